//! Metrics of the client.

use super::error::OUTCOMES;

/// Bounds in seconds; the default timeout is 30 s.
const API_BUCKETS: &[f64] = &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

crate::telemetry::instruments! {
    /// Requests to FlowGent, and the difference of its clock.
    pub struct ApiMetrics {
        requests: IntCounterVec = "flowgent_exporter_api_requests_total",
            "Requests to FlowGent by outcome.", ["account", "endpoint", "outcome"];
        request_duration: HistogramVec = "flowgent_exporter_api_request_duration_seconds",
            "Time until FlowGent's answer was complete or failed.", ["account", "endpoint"], API_BUCKETS;
        clock_skew: GaugeVec = "flowgent_exporter_api_clock_skew_seconds",
            "FlowGent's clock minus this host's, by the Date header of its last answer.", ["account"];
        clock_trusted: IntGauge = "flowgent_exporter_clock_trusted",
            "1 while this host's clock agrees with FlowGent's within an hour, else 0: then no day becomes final and no alert starts or resolves.";
        limit_waits: IntCounterVec = "flowgent_exporter_api_limit_waits_total",
            "Requests that waited for the account's rate or concurrency limit.", ["account"];
        limit_wait_seconds: CounterVec = "flowgent_exporter_api_limit_wait_seconds_total",
            "Time that requests waited for the account's rate or concurrency limit.", ["account"];
    }
}

impl ApiMetrics {
    /// Adds an endpoint of the account, at zero if it is new.
    pub(super) fn add(&self, account: &str, endpoint: &str) {
        for outcome in OUTCOMES {
            self.requests
                .with_label_values(&[account, endpoint, outcome]);
        }
        self.request_duration
            .with_label_values(&[account, endpoint]);
    }
}
