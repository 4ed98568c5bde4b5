//! Metrics of evaluations.

use crate::telemetry::QUICK_BUCKETS;

crate::telemetry::instruments! {
    /// Evaluations of all rules.
    pub(super) struct AlertMetrics {
        evaluation_duration: Histogram = "flowgent_exporter_alert_evaluation_duration_seconds",
            "Time taken to evaluate all rules.", QUICK_BUCKETS;
        last_evaluation_timestamp: Gauge = "flowgent_exporter_alert_last_evaluation_timestamp_seconds",
            "When the rules were last evaluated.";
    }
}
