//! The HTTP server.

use std::net::SocketAddr;

/// Where and how the exporter is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Addresses to listen on.
    pub listen: Vec<SocketAddr>,
    /// Path of the metrics, `/metrics` by default.
    pub telemetry_path: String,
}
