//! Metrics of the protection.

crate::telemetry::instruments! {
    /// Logins, and readings of the web config.
    pub(crate) struct ProtectionMetrics {
        authentications: IntCounterVec = "flowgent_exporter_http_authentications_total",
            "Requests by the result of checking user and password, if the web config has users.",
            ["outcome"];
        web_config_last_reload_successful: IntGauge = "flowgent_exporter_web_config_last_reload_successful",
            "1 if the last reading of the web config succeeded, or there is none, else 0.";
    }
}
