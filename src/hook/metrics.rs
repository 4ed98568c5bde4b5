//! Metrics of hooks.

/// Outcomes of an attempt: the values of the label `outcome`.
pub(super) const OUTCOMES: [&str; 3] = ["delivered", "failed", "given_up"];

crate::telemetry::instruments! {
    /// Deliveries by hook.
    pub(super) struct HookMetrics {
        deliveries: IntCounterVec = "flowgent_hook_deliveries_total",
            "Delivery attempts of a hook, by outcome; a failed one is retried, one given up is not.",
            ["hook", "outcome"];
        pending_deliveries: IntGaugeVec = "flowgent_hook_pending_deliveries",
            "Deliveries that the receiver has not accepted yet.", ["hook"];
        oldest_pending_timestamp: GaugeVec = "flowgent_hook_oldest_pending_timestamp_seconds",
            "When the oldest pending delivery was created, 0 when nothing is pending.", ["hook"];
        disabled: IntGaugeVec = "flowgent_hook_disabled",
            "1 if the receiver refused all further messages, until `alerts retry`, else 0.",
            ["hook"];
    }
}

impl HookMetrics {
    /// Adds `hook`, at zero if it is new.
    pub(super) fn add(&self, hook: &str) {
        for outcome in OUTCOMES {
            self.deliveries.with_label_values(&[hook, outcome]);
        }
        self.pending_deliveries.with_label_values(&[hook]);
        self.oldest_pending_timestamp.with_label_values(&[hook]);
        self.disabled.with_label_values(&[hook]);
    }
}
