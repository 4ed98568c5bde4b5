//! Metrics of the server.

crate::telemetry::instruments! {
    /// Requests and connections.
    pub(super) struct ServerMetrics {
        requests: IntCounterVec = "flowgent_exporter_http_requests_total",
            "Requests that were served, by handler and status code.", ["handler", "code"];
        connections: IntGauge = "flowgent_exporter_http_connections", "Open client connections.";
        connections_evicted: IntCounter = "flowgent_exporter_http_connections_evicted_total",
            "Waiting connections that were closed to make room for new ones.";
    }
}
