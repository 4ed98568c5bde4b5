//! The HTTP server: it listens, keeps its connections within limits, and routes each request to the metrics, a page,
//! the API, or health and readiness.

mod address;
mod connections;
mod listener;
mod metrics;
mod routes;
mod socket;

pub use address::{Address, AddressError};
pub use listener::{Limits, serve};
pub use socket::{Inherited, InheritedError, Listener};

use std::net::SocketAddr;

use crate::http::Host;
use crate::protection::CheckedFile;

/// Settings of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Addresses to listen on.
    pub listen: Vec<Address>,
    /// Hosts that are answered to beside this machine's own; if there are none, on loopback only.
    pub hosts: Vec<Host>,
    /// Path of the metrics, `/metrics` by default.
    pub telemetry_path: String,
    /// Protection, if there is any.
    pub web_config: Option<CheckedFile>,
    /// True if HTTP requests may cause a reload.
    pub lifecycle: bool,
}

impl Settings {
    /// The addresses that are no unix sockets, which another machine could reach.
    #[must_use]
    pub fn ip_addresses(&self) -> Vec<SocketAddr> {
        let addresses = self.listen.iter();
        let of_ip = addresses.filter_map(|address| match address {
            Address::Tcp(address) => Some(*address),
            Address::Unix(_) => None,
        });
        of_ip.collect()
    }

    /// Its own page, as one opens it on its own machine.
    #[must_use]
    pub fn own_page(&self) -> Option<String> {
        let tls = self.web_config.as_ref().is_some_and(|file| file.tls);
        self.listen.first()?.url(tls)
    }
}

#[cfg(test)]
mod tests;
