//! The start: everything that the config asks for, from the bottom up.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_cron_scheduler::JobSchedulerError;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{error, info, warn};

use super::health::health;
use super::link::feeding;
use super::metrics::ConfigMetrics;
use super::{App, ReadConfig, link, read};
use crate::alert::{self, Engine, Outlets};
use crate::blocking;
use crate::clock::{self, CheckedClock, SharedClock};
use crate::config::{Config, ConfigError, SOME_DAY};
use crate::egress::transport::HttpClientError;
use crate::exposition::Exposition;
use crate::flowgent::timekeeper::Timekeeper;
use crate::flowgent::transport::HttpClient;
use crate::history::push;
use crate::hook::{Deliverer, Health, Hooks};
use crate::http::{Gate, Host, Latch, Lifecycle, Readiness, Reloaded, State};
use crate::ledger::{Fault, Ledger, LedgerError, View};
use crate::protection::{Guard, WebConfigError};
use crate::publish::Publisher;
use crate::pulse::Pulses;
use crate::server::{self, Address, Inherited, InheritedError, Limits, Listener};
use crate::status::Board;
use crate::sync::cron::CronTrigger;
use crate::sync::worker::{Reload, Worker};
use crate::sync::{Event, Observer, Syncer};
use crate::telemetry::Telemetry;

/// Interval between checks that the ledger is there.
const LEDGER_INTERVAL: Duration = Duration::from_secs(1);

/// Longest time that a start waits for another program that writes into the ledger.
const LOCK_PATIENCE: Duration = Duration::from_secs(300);
/// Interval between those tries.
const LOCK_INTERVAL: Duration = Duration::from_millis(250);

/// Why the exporter could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The config is not usable.
    // Not transparent, which would hide the cause's type from whoever looks along the causes for it.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// The address.
        address: Address,
        /// The operating system's reason.
        cause: std::io::Error,
    },
    /// The sockets that were handed over cannot be listened on.
    #[error(transparent)]
    Inherited(#[from] InheritedError),
    /// The web config is not usable any more.
    #[error(transparent)]
    WebConfig(#[from] WebConfigError),
    /// The ledger cannot be opened or read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// FlowGent cannot be talked to at all.
    #[error(transparent)]
    Client(#[from] HttpClientError),
    /// The cron trigger cannot be started.
    #[error("cannot start the cron trigger: {0}")]
    Cron(#[from] JobSchedulerError),
}

impl StartError {
    /// The error in one line, for the log.
    pub(super) fn summary(&self) -> String {
        match self {
            Self::Config(error) => error.summary(),
            other => other.to_string(),
        }
    }
}

/// Parts that serve from the first moment on.
struct Served {
    exposition: Arc<Exposition>,
    board: Arc<Board>,
    hosts: Arc<ArcSwap<Vec<Host>>>,
    addresses: Vec<Address>,
    lifecycle_requests: mpsc::Receiver<oneshot::Sender<Reloaded>>,
    server: JoinSet<()>,
    /// Held until the ledger is read.
    loading: Latch,
    /// Ends the server.
    serving: DropGuard,
}

impl App {
    /// Starts all parts. Metrics are served from the first moment on, usage as soon as the ledger is
    /// read; a first sync begins at once. `sockets` are listened on instead of the config's addresses.
    /// `observer` is told what happens in syncs.
    ///
    /// # Errors
    /// The first part that cannot start.
    pub async fn start(
        read_config: ReadConfig,
        sockets: Option<Inherited>,
        clock: SharedClock,
        observer: Option<Observer>,
    ) -> Result<Self, StartError> {
        let stop = CancellationToken::new();
        // Whatever starts before something else fails must not go on.
        let guard = stop.clone().drop_guard();
        let telemetry = Telemetry::new();
        let clock: SharedClock = CheckedClock::new(clock);
        let config = first_config(&read_config, &clock).await?;
        telemetry.of::<ConfigMetrics>().reloaded(clock.now(), true);
        info!(
            version = env!("CARGO_PKG_VERSION"),
            config = %config.path.display(),
            ledger = %config.storage.path.display(),
            "starting"
        );
        config.log();
        let pulses = Pulses::default();
        let served = serve(&config, sockets, &clock, &telemetry, &pulses).await?;
        let ledger = open_ledger(&config, &telemetry).await?;
        let http = HttpClient::open(&config.api).await?;
        let feed = Arc::<push::Feed>::default();
        let wake = [(); 2].map(|()| Arc::new(Notify::new()));
        let (reloads, reload_requests) = mpsc::channel(1);
        let (hook_reloads, other_hooks) = mpsc::channel(1);
        let (push_reloads, other_pushes) = mpsc::channel(1);
        let (probe_reloads, other_probes) = mpsc::channel(1);
        let mut app = Self {
            read_config,
            config,
            clock,
            telemetry,
            ledger,
            changes: Arc::default(),
            signals: Arc::default(),
            board: served.board,
            observer: feeding(&feed, observer),
            addresses: served.addresses,
            hosts: served.hosts,
            lifecycle_requests: served.lifecycle_requests,
            server: served.server,
            serving: served.serving.disarm(),
            parts: JoinSet::new(),
            pulses,
            reloads,
            hook_reloads,
            push_reloads,
            probe_reloads,
            time_source: Arc::new(ArcSwap::from_pointee(http.clone())),
            cron: CronTrigger::start(wake.to_vec()).await?,
            stop,
        };
        app.watch_ledger_and_time().await?;
        let syncer = app.publish(&http, &served.exposition).await?;
        served.loading.release();
        let [wake_sync, wake_probes] = wake;
        app.probe(http.clone(), wake_probes, other_probes);
        app.alert(served.exposition, http, other_hooks);
        app.push(feed, other_pushes);
        app.sync(syncer, wake_sync, reload_requests);
        guard.disarm();
        Ok(app)
    }

    /// Watches the ledger, and asks FlowGent for the time: what follows goes by it.
    async fn watch_ledger_and_time(&mut self) -> Result<(), StartError> {
        let (ledger, board) = (self.ledger.clone(), Arc::clone(&self.board));
        let watched = watch_ledger(ledger, board, self.stop.clone());
        self.parts.spawn(self.pulses.felt("ledger", watched));
        if let Some(newest) = self.ledger.newest().await? {
            self.clock.has_passed(newest);
        }
        self.board.open(View::clone(&self.ledger));
        let (source, clock) = (Arc::clone(&self.time_source), Arc::clone(&self.clock));
        let mut timekeeper = Timekeeper::new(source, clock, &self.telemetry);
        timekeeper.confirm().await;
        self.parts.spawn(timekeeper.run(self.stop.clone()));
        Ok(())
    }

    /// Publishes what the ledger knows, and keeps that up to date. Returns the syncer, which knows the agents.
    async fn publish(
        &mut self,
        http: &HttpClient,
        exposition: &Arc<Exposition>,
    ) -> Result<Syncer, StartError> {
        let syncer = syncer(
            &self.config,
            http,
            &self.ledger,
            &self.clock,
            &self.telemetry,
        );
        self.linked(None)(Event::Members(syncer.known_members().await?));
        let mut publisher = Publisher::new(
            self.ledger.clone(),
            Arc::clone(exposition),
            Arc::clone(&self.board),
            Arc::clone(&self.clock),
            &self.telemetry,
            Arc::clone(&self.changes),
        );
        publisher.publish().await?;
        let publisher = publisher.run(self.stop.clone());
        self.parts.spawn(self.pulses.felt("publisher", publisher));
        Ok(syncer)
    }

    /// Evaluates the rules, and delivers what follows.
    fn alert(
        &mut self,
        exposition: Arc<Exposition>,
        http: HttpClient,
        other_hooks: mpsc::Receiver<Hooks>,
    ) {
        let outbox = Arc::new(Notify::new());
        let outlets = Outlets {
            exposition,
            board: Arc::clone(&self.board),
            outbox: Arc::clone(&outbox),
        };
        let engine = Engine::new(
            self.config.alerts.clone(),
            self.ledger.clone(),
            outlets,
            Arc::clone(&self.clock),
            &self.telemetry,
            Arc::clone(&self.signals),
        );
        let engine = engine.run(self.stop.clone());
        self.parts.spawn(self.pulses.felt("rule engine", engine));
        let clock = Arc::clone(&self.clock);
        let hooks = hooks(
            &self.config,
            http,
            clock,
            self.telemetry.clone(),
            self.health(),
        );
        let deliverer = Deliverer::new(hooks, self.ledger.clone());
        let deliverer = deliverer.run(outbox, other_hooks, self.stop.clone());
        self.parts.spawn(self.pulses.felt("deliverer", deliverer));
    }

    /// Health, which heartbeats report.
    pub(super) fn health(&self) -> Health {
        health(Arc::clone(&self.board), self.pulses.clone())
    }

    /// Pushes to a database, if that is configured, now or by a reload.
    fn push(
        &mut self,
        feed: Arc<push::Feed>,
        other_pushes: mpsc::Receiver<Option<push::Settings>>,
    ) {
        let pusher = push::Worker::new(
            self.config.push.clone(),
            self.ledger.clone(),
            Arc::clone(&self.clock),
            self.telemetry.clone(),
            feed,
        );
        self.parts
            .spawn(pusher.run(other_pushes, self.stop.clone()));
    }

    /// Syncs whenever it is due.
    fn sync(&mut self, syncer: Syncer, wake: Arc<Notify>, reload_requests: mpsc::Receiver<Reload>) {
        let worker = Worker::new(
            syncer,
            &self.config.schedule,
            self.ledger.instance(),
            Arc::clone(&self.clock),
            &self.telemetry,
            self.linked(None),
        );
        let worker = worker.run(wake, reload_requests, self.stop.clone());
        self.parts.spawn(self.pulses.felt("sync worker", worker));
    }

    /// Tells all parts what happens in syncs; `rules` come into force with the first list of agents.
    pub(super) fn linked(&self, rules: Option<alert::Settings>) -> Observer {
        let observer = Some(Arc::clone(&self.observer));
        link(&self.changes, &self.signals, &self.board, observer, rules)
    }
}

/// Listens, and serves what is known: nothing yet.
async fn serve(
    config: &Config,
    sockets: Option<Inherited>,
    clock: &SharedClock,
    telemetry: &Telemetry,
    pulses: &Pulses,
) -> Result<Served, StartError> {
    let exposition = Arc::new(Exposition::new(telemetry.clone()));
    let readiness = Readiness::default();
    let loading = readiness.latch("the ledger is loading");
    let web_config = config.server.web_config.as_ref();
    let web_config = web_config.map(|file| file.path.clone());
    let protection = Guard::open(web_config, Arc::clone(clock), telemetry)?;
    let listeners = match sockets {
        Some(sockets) => sockets.listeners()?,
        None => listen(&config.server.listen).await?,
    };
    let addresses = listeners.iter().map(|listener| listener.address().clone());
    let addresses = addresses.collect();
    let (lifecycle, lifecycle_requests) = Lifecycle::new();
    let board = Arc::<Board>::default();
    board.configured(&config.accounts, config.obstacles.clone());
    let hosts = Arc::new(ArcSwap::from_pointee(config.server.hosts.clone()));
    let state = State {
        exposition: Arc::clone(&exposition),
        board: Arc::clone(&board),
        readiness,
        clock: Arc::clone(clock),
        telemetry: telemetry.clone(),
        telemetry_path: config.server.telemetry_path.clone(),
        hosts: Arc::clone(&hosts),
        gate: Gate::default(),
        months: Default::default(),
        lifecycle: config.server.lifecycle.then_some(lifecycle),
    };
    let (mut server, serving) = (JoinSet::new(), CancellationToken::new());
    let limits = Limits::default();
    let serve = server::serve(listeners, state, protection, limits, serving.clone());
    server.spawn(pulses.felt("server", serve));
    Ok(Served {
        exposition,
        board,
        hosts,
        addresses,
        lifecycle_requests,
        server,
        loading,
        serving: serving.drop_guard(),
    })
}

/// The config, which may name days that are not over yet by a clock that is not set.
///
/// # Errors
/// The config is wrong, whatever day it is.
async fn first_config(
    read_config: &ReadConfig,
    clock: &SharedClock,
) -> Result<Config, ConfigError> {
    let error = match read(read_config, clock).await {
        Ok(config) => return Ok(config),
        Err(error) => error,
    };
    let read_config = Arc::clone(read_config);
    let reading = blocking::run(move || {
        let config = read_config(SOME_DAY).ok()?;
        let view = View::open(&config.storage.path).ok();
        Some((config, view))
    });
    let Some((config, view)) = reading.await else {
        return Err(error);
    };
    if let Some(view) = view
        && let Ok(Some(newest)) = view.newest().await
    {
        clock.has_passed(newest);
    }
    if clock.is_known() {
        return Err(error);
    }
    Ok(config)
}

async fn listen(addresses: &[Address]) -> Result<Vec<Listener>, StartError> {
    let mut listeners = Vec::new();
    for address in addresses {
        let listener = Listener::bind(address).await;
        let refused = |cause| StartError::Listen {
            address: address.clone(),
            cause,
        };
        listeners.push(listener.map_err(refused)?);
    }
    Ok(listeners)
}

/// Opens the ledger of `config` on a thread that may block. Waits for another program that writes into it.
///
/// # Errors
/// The error of [`Ledger::open`].
pub async fn open_ledger(config: &Config, telemetry: &Telemetry) -> Result<Ledger, LedgerError> {
    unlocked(LOCK_PATIENCE, || {
        let (path, policy) = (config.storage.path.clone(), config.policy);
        let telemetry = telemetry.clone();
        blocking::run(move || Ledger::open(&path, policy, &telemetry))
    })
    .await
}

/// Does `work` again and again while another program writes into the ledger, for at most `patience`. Each time
/// takes some seconds, in which SQLite waits too.
///
/// # Errors
/// The result of `work`.
pub(super) async fn unlocked<T, W>(
    patience: Duration,
    work: impl Fn() -> W,
) -> Result<T, LedgerError>
where
    W: Future<Output = Result<T, LedgerError>>,
{
    let began = clock::instant();
    let mut is_told = false;
    loop {
        match work().await {
            Err(error) if error.is_busy() && began.elapsed() < patience => {
                if !std::mem::replace(&mut is_told, true) {
                    warn!("{error}; waiting for it for up to {} s", patience.as_secs());
                }
                tokio::time::sleep(LOCK_INTERVAL).await;
            }
            result => {
                if is_told && result.is_ok() {
                    info!("the ledger is no longer locked");
                }
                return result;
            }
        }
    }
}

/// Asks the ledger's writing thread again and again, so that it has a pulse too, and tells `board` if the
/// ledger's files are gone. Ends when that thread has.
async fn watch_ledger(ledger: Ledger, board: Arc<Board>, stop: CancellationToken) {
    let asked = async {
        loop {
            let lost = match ledger.ping().await {
                Ok(()) => None,
                Err(error) if matches!(error.fault, Fault::Closed) => break,
                Err(error) => Some(error.to_string()),
            };
            let is_new = lost != board.ledger_error().as_deref().cloned();
            match &lost {
                Some(error) if is_new => error!("{error}"),
                None if is_new => info!("the ledger is back"),
                _ => {}
            }
            board.ledger_lost(lost);
            tokio::time::sleep(LEDGER_INTERVAL).await;
        }
        error!("the ledger's writing thread has ended");
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = asked => {}
    }
}

/// A syncer as `config` says.
#[must_use]
pub fn syncer(
    config: &Config,
    http: &HttpClient,
    ledger: &Ledger,
    clock: &SharedClock,
    telemetry: &Telemetry,
) -> Syncer {
    Syncer::new(
        &config.accounts,
        config.policy,
        &config.api,
        http,
        ledger.clone(),
        Arc::clone(clock),
        telemetry,
    )
    .reaching(config.alerts.reaches())
}

/// The hooks as `config` says.
pub(super) fn hooks(
    config: &Config,
    http: HttpClient,
    clock: SharedClock,
    telemetry: Telemetry,
    health: Health,
) -> Hooks {
    Hooks {
        settings: config.hooks.clone(),
        api: config.api.clone(),
        http,
        clock,
        telemetry,
        health,
    }
}
