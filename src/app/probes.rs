//! Probes: how they are started, and what a reload changes of them.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc};

use super::App;
use crate::config::Config;
use crate::flowgent::transport::HttpClient;
use crate::probe::{Prober, Reload};

impl App {
    /// Runs probes at their times. The rules are evaluated after each run.
    pub(super) fn probe(
        &mut self,
        http: HttpClient,
        wake: Arc<Notify>,
        reloads: mpsc::Receiver<Reload>,
    ) {
        let signals = Arc::clone(&self.signals);
        let prober = Prober::new(
            self.ledger.clone(),
            Arc::clone(&self.board),
            Arc::clone(&self.clock),
            &self.telemetry,
            Arc::new(move || signals.probed()),
        );
        let prober = prober.run(probes(&self.config, http), wake, reloads, self.stop.clone());
        self.parts.spawn(self.pulses.felt("prober", prober));
    }
}

/// The probes as `config` says.
pub(super) fn probes(config: &Config, http: HttpClient) -> Reload {
    Reload {
        probes: config.alerts.probes.clone(),
        api: config.api.clone(),
        http,
    }
}
