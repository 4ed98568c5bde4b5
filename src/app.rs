//! Composition: binds the addresses, opens the ledger, starts the parts and links them, changes at a
//! reload what a reload can change, and drains everything when it is told to end.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinError, JoinSet};
use tokio_cron_scheduler::JobSchedulerError;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::alert::{self, Access, Engine, Outlets, Signals};
use crate::clock::SharedClock;
use crate::config::{Config, ConfigError};
use crate::exposition::Exposition;
use crate::flowgent::transport::{HttpClient, HttpClientError};
use crate::hook::{Deliverer, Hooks};
use crate::http::{self, Readiness};
use crate::ledger::{Ledger, LedgerError, View};
use crate::publish::{Changes, Publisher};
use crate::status::Board;
use crate::sync::cron::CronTrigger;
use crate::sync::worker::{Reload, Worker};
use crate::sync::{Event, Observer, Report, Syncer};
use crate::telemetry::Telemetry;

/// How long the parts may take to end when the program is told to: a little longer than each gives
/// to what is under way. A hook may be given longer: what is broken off would be sent again.
const DRAIN: Duration = Duration::from_secs(15);

/// Reads the config: at the start, and again at every reload. May block.
pub type ReadConfig = Arc<dyn Fn() -> Result<Config, ConfigError> + Send + Sync>;

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
        address: SocketAddr,
        /// The operating system's reason.
        cause: std::io::Error,
    },
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
    fn summary(&self) -> String {
        match self {
            Self::Config(error) => error.summary(),
            other => other.to_string(),
        }
    }
}

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
    observer: Option<Observer>,
    addresses: Vec<SocketAddr>,
    /// The server, the publisher, the worker, the engine and the deliverer, which end only when they
    /// are told to.
    parts: JoinSet<()>,
    reloads: mpsc::Sender<Reload>,
    hook_reloads: mpsc::Sender<Hooks>,
    wake: Arc<Notify>,
    cron: CronTrigger,
    stop: CancellationToken,
}

impl App {
    /// Starts all parts. Metrics are served from the first moment on, usage as soon as the ledger is
    /// read; a first sync begins at once. `observer` is told what happens in syncs.
    ///
    /// # Errors
    /// The first part that cannot start.
    pub async fn start(
        read_config: ReadConfig,
        clock: SharedClock,
        observer: Option<Observer>,
    ) -> Result<Self, StartError> {
        let stop = CancellationToken::new();
        // Whatever starts before something else fails must not go on.
        let guard = stop.clone().drop_guard();
        let telemetry = Telemetry::new();
        let config = read(&read_config).await?;
        telemetry.config_reloaded(clock.now(), true);
        config
            .warnings
            .iter()
            .for_each(|warning| warn!("config: {warning}"));

        let exposition = Arc::new(Exposition::new(telemetry.clone()));
        let readiness = Readiness::default();
        let loading = readiness.latch("the ledger is loading");
        let listeners = listen(&config.server.listen).await?;
        let addresses = listeners
            .iter()
            .filter_map(|listener| listener.local_addr().ok())
            .collect();
        let board = Arc::<Board>::default();
        let state = http::State {
            exposition: Arc::clone(&exposition),
            board: Arc::clone(&board),
            readiness,
            clock: Arc::clone(&clock),
            telemetry: telemetry.clone(),
            telemetry_path: config.server.telemetry_path.clone(),
        };
        let limits = http::Limits::default();
        let mut parts = JoinSet::new();
        parts.spawn(http::serve(listeners, state, limits, stop.clone()));

        let ledger = open_ledger(&config, &telemetry).await?;
        let changes = Arc::new(Changes::default());
        let signals = Arc::new(Signals::default());
        board.open(View::clone(&ledger));
        let linked = link(&changes, &signals, &board, observer.clone(), None);
        let http = HttpClient::new(&config.api)?;
        let syncer = syncer(&config, &http, &ledger, &clock, &telemetry);
        linked(Event::Members(syncer.known_members().await?));
        let mut publisher = Publisher::new(
            ledger.clone(),
            Arc::clone(&exposition),
            Arc::clone(&board),
            Arc::clone(&clock),
            telemetry.clone(),
            Arc::clone(&changes),
        );
        publisher.publish().await?;
        loading.release();
        parts.spawn(publisher.run(stop.clone()));

        let outbox = Arc::new(Notify::new());
        let outlets = Outlets {
            exposition,
            board: Arc::clone(&board),
            outbox: Arc::clone(&outbox),
        };
        let engine = Engine::new(
            config.alerts.clone(),
            ledger.clone(),
            outlets,
            Arc::clone(&clock),
            telemetry.clone(),
            Arc::clone(&signals),
        );
        parts.spawn(engine.run(stop.clone()));
        let (hook_reloads, other_hooks) = mpsc::channel(1);
        let hooks = hooks(&config, http, Arc::clone(&clock), telemetry.clone());
        let deliverer = Deliverer::new(hooks, ledger.clone());
        parts.spawn(deliverer.run(outbox, other_hooks, stop.clone()));

        let wake = Arc::new(Notify::new());
        let cron = CronTrigger::start(&config.schedule, Arc::clone(&wake)).await?;
        let (reloads, reload_requests) = mpsc::channel(1);
        let worker = Worker::new(
            syncer,
            &config.schedule,
            ledger.instance(),
            Arc::clone(&clock),
            telemetry.clone(),
            linked,
        );
        parts.spawn(worker.run(Arc::clone(&wake), reload_requests, stop.clone()));
        let stop = guard.disarm();
        Ok(Self {
            read_config,
            config,
            clock,
            telemetry,
            ledger,
            changes,
            signals,
            board,
            observer,
            addresses,
            parts,
            reloads,
            hook_reloads,
            wake,
            cron,
            stop,
        })
    }

    /// The addresses that are listened on.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
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
        for address in &self.addresses {
            info!(%address, path = self.config.server.telemetry_path, "listening");
        }
        let result = loop {
            tokio::select! {
                () = stop.cancelled() => break Ok(()),
                Some(()) = reload.recv() => self.reload().await,
                Some(ended) = self.parts.join_next() => break Err(Crashed(ended.err())),
            }
        };
        info!("stopping");
        self.drain().await;
        info!("stopped");
        result
    }

    async fn reload(&mut self) {
        let result = self.read_and_apply().await;
        self.telemetry
            .config_reloaded(self.clock.now(), result.is_ok());
        match result {
            Ok(()) => info!("config reloaded"),
            Err(error) => {
                let summary = error.summary();
                error!("config not reloaded, the one from before stays in use: {summary}");
            }
        }
    }

    /// Reads the config and applies it: whole, or if anything is in the way, not at all.
    async fn read_and_apply(&mut self) -> Result<(), StartError> {
        let config = read(&self.read_config).await?;
        let http = HttpClient::new(&config.api)?;
        let syncer = syncer(&config, &http, &self.ledger, &self.clock, &self.telemetry);
        let cron = CronTrigger::start(&config.schedule, Arc::clone(&self.wake)).await?;
        if let Err(error) = self.ledger.configure(config.policy).await {
            cron.stop().await;
            return Err(error.into());
        }
        self.changes.observe_everything();
        std::mem::replace(&mut self.cron, cron).stop().await;
        let (changes, signals, board) = (&self.changes, &self.signals, &self.board);
        let reload = Reload {
            syncer,
            schedule: config.schedule.clone(),
            observer: link(
                changes,
                signals,
                board,
                self.observer.clone(),
                Some(config.alerts.clone()),
            ),
        };
        let (clock, telemetry) = (Arc::clone(&self.clock), self.telemetry.clone());
        let hooks = hooks(&config, http, clock, telemetry);
        let sent = [
            self.reloads.send(reload).await.is_ok(),
            self.hook_reloads.send(hooks).await.is_ok(),
        ];
        if sent.contains(&false) {
            debug!("a part has ended, and so will the program");
        }
        for key in needs_restart(&self.config, &config) {
            warn!("config: {key} has changed, which takes effect at the next start");
        }
        config
            .warnings
            .iter()
            .for_each(|warning| warn!("config: {warning}"));
        // What takes effect at the next start is still as it was.
        let (server, storage) = (self.config.server.clone(), self.config.storage.clone());
        self.config = Config {
            server,
            storage,
            ..config
        };
        Ok(())
    }

    async fn drain(mut self) {
        self.stop.cancel();
        self.cron.stop().await;
        let drained = async {
            while let Some(ended) = self.parts.join_next().await {
                if let Err(error) = ended {
                    error!("a part of the exporter failed: {error}");
                }
            }
        };
        let hooks = self.config.hooks.iter();
        let hooks = hooks.map(|hook| hook.timeout + Duration::from_secs(1));
        let patience = hooks.fold(DRAIN, Duration::max);
        if tokio::time::timeout(patience, drained).await.is_err() {
            warn!(
                "what was under way was given up after {} s",
                patience.as_secs()
            );
            self.parts.shutdown().await;
        }
        self.ledger.close().await;
    }
}

/// A part of the exporter has ended by itself.
#[derive(Debug, thiserror::Error)]
#[error("a part of the exporter has ended by itself{}", .0.as_ref().map_or_else(String::new, |error| format!(": {error}")))]
pub struct Crashed(Option<JoinError>);

/// Reads the config on a thread that may block.
async fn read(read_config: &ReadConfig) -> Result<Config, ConfigError> {
    let read_config = Arc::clone(read_config);
    match tokio::task::spawn_blocking(move || read_config()).await {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

async fn listen(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, StartError> {
    let mut listeners = Vec::new();
    for &address in addresses {
        let listener = TcpListener::bind(address).await;
        listeners.push(listener.map_err(|cause| StartError::Listen { address, cause })?);
    }
    Ok(listeners)
}

/// Opens the ledger of `config` on a thread that may block.
///
/// # Errors
/// What [`Ledger::open`] says.
pub async fn open_ledger(config: &Config, telemetry: &Telemetry) -> Result<Ledger, LedgerError> {
    let (path, policy) = (config.storage.path.clone(), config.policy);
    let telemetry = telemetry.clone();
    match tokio::task::spawn_blocking(move || Ledger::open(&path, policy, &telemetry)).await {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
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
        telemetry.clone(),
    )
}

/// The hooks as `config` says.
fn hooks(config: &Config, http: HttpClient, clock: SharedClock, telemetry: Telemetry) -> Hooks {
    Hooks {
        settings: config.hooks.clone(),
        api: config.api.clone(),
        http,
        clock,
        telemetry,
    }
}

/// Tells `changes`, `signals`, `board` and `observer` what happens in syncs. Rules that are new come into force
/// with the first list of agents, which is of the same config.
pub(crate) fn link(
    changes: &Arc<Changes>,
    signals: &Arc<Signals>,
    board: &Arc<Board>,
    observer: Option<Observer>,
    rules: Option<alert::Settings>,
) -> Observer {
    let (changes, signals, board) = (Arc::clone(changes), Arc::clone(signals), Arc::clone(board));
    let rules = Mutex::new(rules);
    Arc::new(move |event| {
        changes.observe(&event);
        board.observe(&event);
        match &event {
            Event::Members(members) => {
                let rules = rules.lock().unwrap_or_else(PoisonError::into_inner).take();
                match rules {
                    Some(rules) => signals.configure(rules, Arc::clone(members)),
                    None => signals.members(Arc::clone(members)),
                }
            }
            Event::Committed(_) | Event::Failed(_) => signals.changed(),
            Event::Ended(report) => {
                signals.synced(report.as_deref().map(access).unwrap_or_default())
            }
            Event::Started(_) | Event::Planned(_) | Event::Left(_) | Event::Scheduled(_) => {}
        }
        if let Some(observer) = &observer {
            observer(event);
        }
    })
}

/// What a sync has seen of keys and agents. What was not asked for is not in it.
fn access(report: &Report) -> Access {
    let mut access = Access::default();
    for report in report.members.iter().filter(|report| report.committed > 0) {
        let account = Arc::clone(&report.member.agent.account);
        access.key_refused.insert(account, false);
        access.agent_refused.insert(report.member.number, false);
    }
    for problem in &report.problems {
        match problem.kind {
            "invalid_key" | "key_unreadable" => {
                access
                    .key_refused
                    .insert(Arc::clone(&problem.account), true);
            }
            "access_denied" => {
                // FlowGent has looked at the key before it said that.
                let account = Arc::clone(&problem.account);
                access.key_refused.entry(account).or_insert(false);
                let refused = problem.agents.iter();
                let number = |index: &usize| report.members[*index].member.number;
                access
                    .agent_refused
                    .extend(refused.map(|index| (number(index), true)));
            }
            _ => {}
        }
    }
    access
}

/// The keys whose change a running exporter cannot follow.
fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let mut keys = Vec::new();
    let addresses = |config: &Config| {
        config
            .server
            .listen
            .iter()
            .copied()
            .collect::<BTreeSet<_>>()
    };
    if addresses(old) != addresses(new) {
        keys.push("[server] listen");
    }
    if old.server.telemetry_path != new.server.telemetry_path {
        keys.push("[server] telemetry_path");
    }
    if old.storage != new.storage {
        keys.push("[storage] path");
    }
    keys
}
