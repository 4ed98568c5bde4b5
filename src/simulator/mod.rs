//! A FlowGent to try things on: the whole documented API on a port of this machine, with made-up
//! agents whose usage looks real, and with everything that can go wrong, on request.
//!
//! It is a second reading of the API document and shares only the wire types with the client, so that
//! a misreading of one does not hide in the other. Its [`World`] tells tests the truth to compare
//! with, its [`Faults`] what goes wrong, its [`Journal`] what it was asked.

mod body;
mod faults;
mod habit;
mod journal;
mod refusal;
mod reply;
mod server;
mod talk;
#[cfg(test)]
mod tests;
mod usage;
mod world;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use faults::{FAULTS, Fault, FaultError, Faults, RetryAfter, Rule, Scope, Times};
pub use journal::{Endpoint, Journal, Request, SentTemplate};
pub use world::{Account, Agent, World};

use crate::clock::SharedClock;
use crate::secret::Secret;

/// Settings of the simulation.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Everything random follows from it.
    pub seed: u64,
    /// The organisations.
    pub accounts: Vec<AccountSettings>,
    /// The share of days that are not known at once but some hours later, 2 to 30.
    pub late_share: f64,
    /// The share of days whose first figure is corrected a day or two later.
    pub revised_share: f64,
    /// True if the journal keeps single requests, rather than only their number.
    pub record_requests: bool,
    /// Form of the listing of agents.
    pub listing: Listing,
}

/// An organisation to simulate.
#[derive(Debug, Clone)]
pub struct AccountSettings {
    /// Its name.
    pub name: String,
    /// Its API key.
    pub key: Secret,
    /// Its agents.
    pub agents: Vec<AgentSettings>,
}

/// An agent to simulate.
#[derive(Debug, Clone)]
pub struct AgentSettings {
    /// Its name.
    pub name: String,
    /// Its identifier; one is made up from the seed if there is none.
    pub id: Option<String>,
}

/// The form of the listing of agents, which the API document leaves open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The field that holds the array; without it the answer is the array.
    pub field: Option<String>,
    /// The field for an agent's id, `id` if there is none.
    pub id_field: Option<String>,
}

impl Settings {
    /// A dozen agents of all kinds in two organisations, where some days come late or are revised.
    #[must_use]
    pub fn demo(seed: u64) -> Self {
        let acme = [
            "support",
            "sales",
            "operations",
            "legal",
            "onboarding",
            "campaigns",
            "recruiting",
            "reception",
        ];
        let globex = ["support", "storefront", "logistics", "compliance"];
        Self {
            seed,
            accounts: vec![
                AccountSettings::named("acme", Secret::new("test-key-acme"), &acme),
                AccountSettings::named("globex", Secret::new("test-key-globex"), &globex),
            ],
            late_share: 0.02,
            revised_share: 0.02,
            record_requests: true,
            listing: Listing::default(),
        }
    }
}

impl AccountSettings {
    /// An organisation with agents of these names.
    #[must_use]
    pub fn named(name: &str, key: Secret, agents: &[&str]) -> Self {
        Self::with(name, key, agents.iter().map(|agent| (*agent).to_owned()))
    }

    /// An organisation with that many agents, named `agent-1` and so on.
    #[must_use]
    pub fn numbered(name: &str, key: Secret, agents: usize) -> Self {
        Self::with(
            name,
            key,
            (1..=agents).map(|number| format!("agent-{number}")),
        )
    }

    fn with(name: &str, key: Secret, agents: impl Iterator<Item = String>) -> Self {
        Self {
            name: name.to_owned(),
            key,
            agents: agents
                .map(|name| AgentSettings { name, id: None })
                .collect(),
        }
    }
}

/// A running simulator. It stops when dropped.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// State shared by all connections.
#[derive(Debug)]
struct Shared {
    clock: SharedClock,
    world: World,
    faults: Faults,
    journal: Journal,
    listing: Listing,
    /// The number of the next chat or template.
    next: AtomicU64,
}

impl Shared {
    /// A number that tells chats and templates apart.
    fn next_number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

impl Simulator {
    /// Serves what `settings` describe on `listener`, at the time that `clock` shows. Must be called
    /// within a tokio runtime.
    ///
    /// # Errors
    /// If the listener cannot be used without blocking.
    pub fn start(
        settings: &Settings,
        clock: SharedClock,
        listener: std::net::TcpListener,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let simulator = Self {
            address: listener.local_addr()?,
            shared: Arc::new(Shared {
                clock,
                world: World::new(settings),
                faults: Faults::new(settings.seed),
                journal: Journal::new(settings.record_requests),
                listing: settings.listing.clone(),
                next: AtomicU64::new(1),
            }),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let connections = server::Connections {
            shared: Arc::clone(&simulator.shared),
            stop: simulator.stop.clone(),
            tasks: simulator.tasks.clone(),
        };
        simulator.tasks.spawn(connections.accept(listener));
        Ok(simulator)
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The API's base URL, ending in a slash.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/api/public/", self.address)
    }

    /// The truth.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.shared.world
    }

    /// Its faults.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// Its journal.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.shared.journal
    }

    /// Closes the port and all connections, whatever they wait for, and waits until that is done.
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
