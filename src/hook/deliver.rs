//! Outbox → hooks: one worker per hook, which sends what is due and notes what came of it.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::Settings;
use crate::clock::SharedClock;
use crate::flowgent;
use crate::flowgent::transport::HttpClient;
use crate::ledger::{Ledger, LedgerError};
use crate::roster::AccountSettings;
use crate::telemetry::Telemetry;

/// The hooks, and what those that send through FlowGent need.
#[derive(Debug, Clone)]
pub struct Hooks {
    /// The hooks.
    pub settings: Vec<Settings>,
    /// The accounts whose agents WhatsApp hooks send with.
    pub accounts: Vec<AccountSettings>,
    /// The API of FlowGent.
    pub api: flowgent::Settings,
    /// Connections to it.
    pub http: HttpClient,
}

/// Runs a worker for each hook.
pub struct Deliverer {
    // LEDGER
    _ledger: Ledger,
}

impl Deliverer {
    /// A deliverer to `hooks`.
    #[must_use]
    pub fn new(_hooks: Hooks, _ledger: Ledger, _clock: SharedClock, _telemetry: Telemetry) -> Self {
        todo!()
    }

    /// Sends what is due, until `stop` is cancelled; `outbox` tells when there is something new.
    /// `reloads` brings other hooks: a try that is under way is finished first, so that nothing is sent
    /// twice because of a reload.
    pub async fn run(
        self,
        _outbox: Arc<Notify>,
        _reloads: mpsc::Receiver<Hooks>,
        _stop: CancellationToken,
    ) {
        todo!()
    }

    /// Sends once whatever is due now, to all hooks, and returns when all is noted: for those who
    /// move the clock themselves. Says how many tries there were.
    ///
    /// # Errors
    /// The ledger could not be read or written.
    pub async fn deliver_due(&self) -> Result<usize, LedgerError> {
        todo!()
    }
}
