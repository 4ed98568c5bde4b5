//! The HTTP server: metrics, health and readiness, pages for people and an API for programs.

mod api;
mod connections;
mod listener;
mod pages;
mod problem;
mod readiness;
mod request;
mod response;
mod routes;

pub use api::Gate;
pub use listener::{Limits, serve};
pub use readiness::{Latch, Readiness};
pub use routes::State;

use std::net::SocketAddr;

/// Where and how the exporter is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Addresses to listen on.
    pub listen: Vec<SocketAddr>,
    /// Path of the metrics, `/metrics` by default.
    pub telemetry_path: String,
}

#[cfg(test)]
mod tests;
