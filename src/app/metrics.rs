//! Metrics of reloads.

use chrono::{DateTime, Utc};

use crate::telemetry::seconds;

crate::telemetry::instruments! {
    /// Results of reading the config.
    pub(super) struct ConfigMetrics {
        last_reload_successful: IntGauge = "flowgent_exporter_config_last_reload_successful",
            "1 if the last reading of the config succeeded, else 0.";
        last_reload_success_timestamp: Gauge = "flowgent_exporter_config_last_reload_success_timestamp_seconds",
            "When the config was last read successfully.";
    }
}

impl ConfigMetrics {
    /// Notes an attempt to read the config at `now`, and its success.
    pub(super) fn reloaded(&self, now: DateTime<Utc>, successful: bool) {
        self.last_reload_successful.set(successful.into());
        if successful {
            self.last_reload_success_timestamp.set(seconds(now));
        }
    }
}
