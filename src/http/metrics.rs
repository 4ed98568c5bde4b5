//! Metrics of the server.

/// Outcomes of a login: the values of the label `outcome`. Only `accepted` and `refused` passwords were hashed.
pub(super) const AUTHENTICATION_OUTCOMES: [&str; 5] =
    ["accepted", "remembered", "refused", "missing", "busy"];

crate::telemetry::instruments! {
    /// Requests, connections and logins.
    pub(super) struct HttpMetrics {
        requests: IntCounterVec = "flowgent_exporter_http_requests_total",
            "Requests that were served, by handler and status code.", ["handler", "code"];
        authentications: IntCounterVec = "flowgent_exporter_http_authentications_total",
            "Requests by the result of checking user and password, if the web config has users.",
            ["outcome"];
        connections: IntGauge = "flowgent_exporter_http_connections", "Open client connections.";
        connections_evicted: IntCounter = "flowgent_exporter_http_connections_evicted_total",
            "Waiting connections that were closed to make room for new ones.";
        web_config_last_reload_successful: IntGauge = "flowgent_exporter_web_config_last_reload_successful",
            "1 if the last reading of the web config succeeded, or there is none, else 0.";
    }
}
