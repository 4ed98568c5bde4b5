//! Composition: binds the addresses, opens the ledger, starts the parts (`start`) and links them
//! (`link`), changes at a reload what a reload can change (`reload`), tells the service manager how it
//! is (`supervisor`), and drains everything when it is told to end.

mod health;
mod link;
mod manager;
mod metrics;
mod probes;
mod reload;
mod start;
mod supervisor;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::alert::Signals;
use crate::blocking;
use crate::clock::SharedClock;
use crate::config::{Config, ConfigError, SOME_DAY};
use crate::day::Day;
use crate::flowgent::transport::HttpClient;
use crate::history::push;
use crate::hook::{Hooks, IN_FLIGHT};
use crate::http::{Host, Reloaded};
use crate::ledger::Ledger;
use crate::probe;
use crate::publish::Changes;
use crate::pulse::Pulses;
use crate::server::Address;
use crate::status::Board;
use crate::sync::Observer;
use crate::sync::cron::CronTrigger;
use crate::sync::worker::Reload;
use crate::telemetry::Telemetry;

pub use health::health;
pub use link::link;
pub use start::{StartError, open_ledger, syncer};
use supervisor::Supervisor;

/// Time for the parts to end on a stop: a little longer than each gives
/// to what is under way.
const DRAIN: Duration = IN_FLIGHT.saturating_add(Duration::from_secs(2));

/// Reloads that are asked for within this time are one.
const GATHER: Duration = Duration::from_millis(50);

/// Reads the config as on that day: at the start, and again at every reload. May block.
pub type ReadConfig = Arc<dyn Fn(Day) -> Result<Config, ConfigError> + Send + Sync>;

/// The exporter, serving and ready to work.
pub struct App {
    read_config: ReadConfig,
    config: Config,
    clock: SharedClock,
    telemetry: Telemetry,
    ledger: Ledger,
    changes: Arc<Changes>,
    signals: Arc<Signals>,
    board: Arc<Board>,
    /// Told, by all that is built, what happens in syncs.
    observer: Observer,
    addresses: Vec<Address>,
    /// Hosts that the server answers to.
    hosts: Arc<ArcSwap<Vec<Host>>>,
    /// Requests for a reload over HTTP.
    lifecycle_requests: mpsc::Receiver<oneshot::Sender<Reloaded>>,
    /// The server, which goes on until all others have ended, and what tells it to end.
    server: JoinSet<()>,
    serving: CancellationToken,
    /// The publisher, the workers, the engine, the deliverer and what pushes, which end only
    /// when they are told to.
    parts: JoinSet<()>,
    pulses: Pulses,
    reloads: mpsc::Sender<Reload>,
    hook_reloads: mpsc::Sender<Hooks>,
    push_reloads: mpsc::Sender<Option<push::Settings>>,
    probe_reloads: mpsc::Sender<probe::Reload>,
    /// Client that the timekeeper asks with.
    time_source: Arc<ArcSwap<HttpClient>>,
    cron: CronTrigger,
    stop: CancellationToken,
}

impl App {
    /// The addresses that are listened on.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Works until `stop` is cancelled, then drains. Every message on `reload` has the config read
    /// again.
    ///
    /// # Errors
    /// A part has ended by itself. What is served would be stale from then on, so the program had
    /// better be started again.
    pub async fn run(
        mut self,
        mut reload: mpsc::Receiver<()>,
        stop: CancellationToken,
    ) -> Result<(), Crashed> {
        let server = &self.config.server;
        let tls = server.web_config.as_ref().is_some_and(|file| file.tls);
        for address in &self.addresses {
            info!(%address, path = server.telemetry_path, tls, "listening");
        }
        let mut supervisor = Supervisor::new(self.pulses.clone());
        supervisor.ready(&self.board);
        let mut awaits_day = !self.clock.is_known();
        // This loop feeds the watchdog. A reload has a pulse of its own: it may wait, but not hang.
        let result = loop {
            // Who is to be told what becomes of a reload, if one is asked for.
            let mut asked = None;
            tokio::select! {
                () = stop.cancelled() => break Ok(()),
                Some(()) = reload.recv() => asked = Some(Vec::new()),
                Some(first) = self.lifecycle_requests.recv() => asked = Some(vec![first]),
                () = supervisor.due() => {
                    supervisor.report(&self.board);
                    // Dates in the config could not be checked before.
                    if awaits_day && self.clock.is_known() {
                        awaits_day = false;
                        asked = Some(Vec::new());
                    }
                }
                Some(ended) = self.parts.join_next() => break Err(Crashed(ended.err())),
                Some(ended) = self.server.join_next() => break Err(Crashed(ended.err())),
            }
            let Some(mut asked) = asked else { continue };
            gather(&mut asked, &mut reload, &mut self.lifecycle_requests).await;
            supervisor.reloading();
            let board = Arc::clone(&self.board);
            let reload = self.pulses.clone().felt("reload", self.reload(&stop));
            let Some(reloaded) = supervisor.meanwhile(&board, reload).await else {
                break Ok(());
            };
            supervisor.ready(&self.board);
            for asked in asked {
                // Who asked may have gone.
                let _ = asked.send(reloaded.clone());
            }
        };
        info!("stopping");
        supervisor.stopping();
        self.drain().await;
        info!("stopped");
        result
    }

    /// Ends the parts, and the server last: it shows the shutdown until the end.
    async fn drain(mut self) {
        self.stop.cancel();
        // Who asks for a reload now is refused rather than kept waiting.
        self.lifecycle_requests.close();
        while self.lifecycle_requests.try_recv().is_ok() {}
        self.cron.stop().await;
        if tokio::time::timeout(DRAIN, all(&mut self.parts))
            .await
            .is_err()
        {
            warn!("unfinished work was abandoned after {} s", DRAIN.as_secs());
            self.parts.shutdown().await;
        }
        self.serving.cancel();
        // It bounds what it gives to open connections itself.
        all(&mut self.server).await;
        self.ledger.close().await;
    }
}

/// Returns when all of `parts` have ended.
async fn all(parts: &mut JoinSet<()>) {
    while let Some(ended) = parts.join_next().await {
        if let Err(error) = ended {
            error!("a component of the exporter failed: {error}");
        }
    }
}

/// A part of the exporter has ended by itself.
#[derive(Debug, thiserror::Error)]
#[error("a component of the exporter has ended unexpectedly{}", .0.as_ref().map_or_else(String::new, |error| format!(": {error}")))]
pub struct Crashed(Option<JoinError>);

/// Waits for those who ask for a reload at about the same time: one serves for all.
async fn gather(
    asked: &mut Vec<oneshot::Sender<Reloaded>>,
    reload: &mut mpsc::Receiver<()>,
    lifecycle_requests: &mut mpsc::Receiver<oneshot::Sender<Reloaded>>,
) {
    let gathering = async {
        loop {
            tokio::select! {
                Some(()) = reload.recv() => {}
                Some(more) = lifecycle_requests.recv() => asked.push(more),
                else => std::future::pending().await,
            }
        }
    };
    // Ends by running out of time alone.
    let _: Result<(), _> = tokio::time::timeout(GATHER, gathering).await;
}

/// Reads the config on a thread that may block, as on the day that it is by `clock`.
async fn read(read_config: &ReadConfig, clock: &SharedClock) -> Result<Config, ConfigError> {
    let time = clock.time();
    let today = if time.standing.is_known() {
        Day::of(time.now)
    } else {
        SOME_DAY
    };
    let read_config = Arc::clone(read_config);
    blocking::run(move || read_config(today)).await
}
