//! FlowGent's public API: its messages and a client that survives what an API can do to it.

pub mod client;
mod credential;
pub mod metrics;
pub mod error;
pub mod listing;
pub mod pace;
#[cfg(test)]
pub(crate) mod tests;
pub mod timekeeper;
pub mod transport;
pub mod wire;

use std::time::Duration;

use url::Url;

use crate::egress::Roots;

/// Settings of the client.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Everything before `agent/…`, ending in a slash.
    pub base_url: Url,
    /// The most time that one request may take, from connecting to the last byte.
    pub timeout: Duration,
    /// The most requests per second, per account.
    pub requests_per_second: f64,
    /// The most requests under way at once, per account.
    pub concurrency: usize,
    /// Which certificate authorities are trusted.
    pub roots: Roots,
}
