//! The HTTP server: metrics, health and readiness, pages for people and an API for programs.

mod address;
mod api;
mod connections;
mod host;
mod gate;
mod lifecycle;
mod listener;
mod metrics;
mod months;
mod origin;
mod pages;
mod parts;
mod problem;
mod readiness;
mod request;
mod response;
mod routes;
mod socket;
mod state;
pub mod web;

pub use address::{Address, AddressError};
pub use gate::Gate;
pub use host::{Host, HostError};
pub use lifecycle::{Lifecycle, Reloaded};
pub use listener::{Limits, serve};
pub use months::Kept;
pub use readiness::{Latch, Readiness};
pub use socket::{Inherited, InheritedError, Listener};
pub use state::State;

use std::net::SocketAddr;

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
    pub web_config: Option<web::CheckedFile>,
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
