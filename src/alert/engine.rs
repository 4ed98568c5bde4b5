//! Runs the evaluations and keeps what comes of them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Settings;
use crate::clock::SharedClock;
use crate::exposition::Exposition;
use crate::ledger::{AgentNumber, Ledger, LedgerError, Member};
use crate::telemetry::Telemetry;

/// Which keys and agents FlowGent refused the last time that it was asked. What is not there is not
/// known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// By the account's name: whether its key is refused, or cannot be read.
    pub key_refused: HashMap<Arc<str>, bool>,
    /// By the agent's number: whether it is said to be another's.
    pub agent_refused: HashMap<AgentNumber, bool>,
}

/// Tells a running [`Engine`] what has happened.
#[derive(Debug, Default)]
pub struct Signals {
    // ALERTER
    _agents: HashSet<AgentNumber>,
}

impl Signals {
    /// All agents, as of now.
    pub fn members(&self, _members: Arc<[Member]>) {
        todo!()
    }

    /// Something that a rule may be about has changed in the ledger.
    pub fn changed(&self) {
        todo!()
    }

    /// A sync has ended, and this is what it has seen of keys and agents: what is not in it stays as
    /// it was.
    pub fn synced(&self, _access: Access) {
        todo!()
    }

    /// Other rules and hooks from now on.
    pub fn configure(&self, _settings: Settings) {
        todo!()
    }
}

/// Evaluates the rules. See the [module](super).
pub struct Engine {
    // ALERTER
    _ledger: Ledger,
}

impl Engine {
    /// An engine that has evaluated nothing yet. `outbox` is notified whenever something is to be sent.
    #[must_use]
    pub fn new(
        _settings: Settings,
        _ledger: Ledger,
        _exposition: Arc<Exposition>,
        _clock: SharedClock,
        _telemetry: Telemetry,
        _signals: Arc<Signals>,
        _outbox: Arc<Notify>,
    ) -> Self {
        todo!()
    }

    /// Evaluates all rules as of now, keeps what has changed, and publishes the series of budgets and
    /// alerts.
    ///
    /// # Errors
    /// The ledger could not be read or written; then nothing has changed.
    pub async fn evaluate(&mut self) -> Result<(), LedgerError> {
        todo!()
    }

    /// Evaluates whenever there is a reason to, until `stop` is cancelled.
    pub async fn run(self, _stop: CancellationToken) {
        todo!()
    }
}
