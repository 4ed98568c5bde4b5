//! The exporter's parts as one process of the years has them. To kill it is to drop it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use chrono::{DateTime, TimeDelta, Utc};
use flowgent_exporter::alert::{Engine, Outlets, Signals};
use flowgent_exporter::app;
use flowgent_exporter::clock::{CheckedClock, Clock, ManualClock, SharedClock};
use flowgent_exporter::config::Config;
use flowgent_exporter::exposition::{Encoding, Exposition, Format};
use flowgent_exporter::flowgent::timekeeper::Timekeeper;
use flowgent_exporter::flowgent::transport::HttpClient;
use flowgent_exporter::history::push::{PushError, Pusher};
use flowgent_exporter::hook::{Deliverer, Heart, Hooks, MakeSender, Sender, Settings};
use flowgent_exporter::ledger::{Delivery, DeliveryRecord, Ledger, Member, Which, retry};
use flowgent_exporter::probe::{self, Prober};
use flowgent_exporter::publish::{Changes, Publisher};
use flowgent_exporter::pulse::Pulses;
use flowgent_exporter::status::Board;
use flowgent_exporter::sync::schedule::{Schedule, Trigger};
use flowgent_exporter::sync::{Event, Observer, Outcome, Syncer, Wanted};
use flowgent_exporter::telemetry::Telemetry;
use futures_util::FutureExt;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::database::Database;
use super::files::write;
use super::plan::{HEART, Plan};
use super::receivers::Office;

/// What outlives a process.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) http: HttpClient,
    pub(crate) office: Office,
    pub(crate) database: Database,
    /// Is notified when the process is to be killed.
    pub(crate) killed: Arc<Notify>,
    /// The ledger of the process that was killed, which may still write what was queued.
    left_behind: Option<Ledger>,
}

/// A running process.
pub(crate) struct Process {
    parts: Parts,
    runtime: Runtime,
}

struct Parts {
    ledger: Ledger,
    syncer: Syncer,
    observer: Observer,
    signals: Arc<Signals>,
    changes: Arc<Changes>,
    board: Arc<Board>,
    publisher: Publisher,
    engine: Engine,
    exposition: Arc<Exposition>,
    /// Is notified when there is something to send.
    outbox: Arc<Notify>,
    pusher: Pusher,
    deliverer: Deliverer,
    heart: Heart,
    prober: Prober,
    schedule: Schedule,
    telemetry: Telemetry,
    clock: SharedClock,
    timekeeper: Timekeeper,
}

/// The process was killed in the middle of something.
pub(crate) struct Killed;

impl Ground {
    pub(crate) fn new(
        folder: tempfile::TempDir,
        clock: Arc<ManualClock>,
        http: HttpClient,
        office: Office,
    ) -> Self {
        let killed = Arc::clone(&office.killed);
        let database = Database::new(Arc::clone(&killed));
        Self {
            folder,
            clock,
            http,
            office,
            database,
            killed,
            left_behind: None,
        }
    }

    fn config(&self, plan: &Plan) -> Config {
        let path = self.folder.path().join("config.toml");
        for account in &plan.accounts {
            let key = format!("{} {}", account.organisation, account.name);
            write(self.folder.path(), &format!("{}.key", account.name), &key);
        }
        for hook in &plan.hooks {
            let url = format!("https://hooks.example/{}", hook.target);
            write(self.folder.path(), &format!("{}.url", hook.target), &url);
        }
        write(
            self.folder.path(),
            &format!("{HEART}.url"),
            "https://hooks.example/heart",
        );
        let text = plan.toml();
        Config::parse(&text, &path, self.clock.today())
            .unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    fn probes(&self, config: &Config) -> probe::Reload {
        probe::Reload {
            probes: config.alerts.probes.clone(),
            api: config.api.clone(),
            http: self.http.clone(),
        }
    }

    /// What delivers by this config, and what beats.
    fn deliverer(
        &self,
        (config, plan): (&Config, &Plan),
        telemetry: &Telemetry,
        clock: &SharedClock,
        board: &Arc<Board>,
        ledger: &Ledger,
    ) -> (Deliverer, Heart) {
        let hooks = Hooks {
            settings: config.hooks.clone(),
            api: config.api.clone(),
            http: self.http.clone(),
            clock: Arc::clone(clock),
            telemetry: telemetry.clone(),
            health: app::health(Arc::clone(board), Pulses::default()),
        };
        let deliverer = Deliverer::with_senders(hooks, self.make_sender(plan), ledger.clone());
        let mut hearts = config.hooks.iter().filter_map(|hook| deliverer.heart(hook));
        let heart = hearts.next().expect("it is in every plan");
        (deliverer, heart)
    }

    /// The way to the receivers that the hooks of `plan` lead to.
    fn make_sender(&self, plan: &Plan) -> MakeSender {
        let office = self.office.clone();
        let hooks = plan.hooks.clone();
        for hook in &hooks {
            let mut floor = office.floor();
            let desk = floor.desk(&hook.target);
            (desk.send_resolved, desk.group) = (hook.send_resolved, hook.group);
        }
        Arc::new(move |settings: &Settings, _: &Hooks| {
            let hook = hooks.iter().find(|hook| *hook.name == *settings.name);
            let target = hook.map_or(HEART, |hook| &hook.target);
            Sender::direct(settings, office.door(target))
        })
    }

    /// Starts the program, which knows what is in its ledger and nothing else.
    pub(crate) fn start(&mut self, plan: &Plan) -> Process {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        let left_behind = self.left_behind.take();
        let config = self.config(plan);
        let parts = runtime.block_on(async {
            if let Some(ledger) = left_behind {
                ledger.close().await;
            }
            self.parts(&config, plan).await
        });
        Process { parts, runtime }
    }

    async fn parts(&self, config: &Config, plan: &Plan) -> Parts {
        let telemetry = Telemetry::new();
        let ledger = app::open_ledger(config, &telemetry).await.unwrap();
        let clock: SharedClock = CheckedClock::new(self.clock.clone());
        if let Some(newest) = ledger.newest().await.unwrap() {
            clock.has_passed(newest);
        }
        let source = Arc::new(ArcSwap::from_pointee(self.http.clone()));
        let timekeeper = Timekeeper::new(source, Arc::clone(&clock), &telemetry);
        let syncer = app::syncer(config, &self.http, &ledger, &clock, &telemetry);
        let signals = Arc::<Signals>::default();
        let changes = Arc::<Changes>::default();
        let board = Arc::<Board>::default();
        board.configured(&config.accounts, config.obstacles.clone());
        let observer = app::link(&changes, &signals, &board, None, None);
        observer(Event::Members(syncer.known_members().await.unwrap()));
        let exposition = Arc::new(Exposition::new(telemetry.clone()));
        let mut publisher = Publisher::new(
            ledger.clone(),
            Arc::clone(&exposition),
            Arc::clone(&board),
            Arc::clone(&clock),
            &telemetry,
            Arc::clone(&changes),
        );
        publisher.publish().await.unwrap();
        let outbox = Arc::<Notify>::default();
        let outlets = Outlets {
            exposition: Arc::clone(&exposition),
            board: Arc::clone(&board),
            outbox: Arc::clone(&outbox),
        };
        let engine = Engine::new(
            config.alerts.clone(),
            ledger.clone(),
            outlets,
            Arc::clone(&clock),
            &telemetry,
            Arc::clone(&signals),
        );
        let push = config.push.clone().expect("it is in every plan");
        let pusher = Pusher::new(push, ledger.clone(), Arc::clone(&clock), &telemetry);
        let pusher = pusher.over(self.http.clone().over(Arc::new(self.database.clone())));
        let (deliverer, heart) =
            self.deliverer((config, plan), &telemetry, &clock, &board, &ledger);
        let tell = Arc::clone(&signals);
        let mut prober = Prober::new(
            ledger.clone(),
            Arc::clone(&board),
            Arc::clone(&clock),
            &telemetry,
            Arc::new(move || tell.probed()),
        );
        prober.start(self.probes(config)).await;
        let schedule = Schedule::new(&config.schedule, ledger.instance(), clock.now());
        Parts {
            ledger,
            syncer,
            observer,
            signals,
            changes,
            board,
            publisher,
            engine,
            exposition,
            outbox,
            pusher,
            deliverer,
            heart,
            prober,
            schedule,
            telemetry,
            clock,
            timekeeper,
        }
    }

    /// Gives the running process another config.
    pub(crate) fn reload(&self, process: &mut Process, plan: &Plan) {
        let config = self.config(plan);
        let Process { parts, runtime } = process;
        runtime.block_on(async {
            let clock = Arc::clone(&parts.clock);
            let syncer = app::syncer(&config, &self.http, &parts.ledger, &clock, &parts.telemetry);
            parts.ledger.configure(config.policy).await.unwrap();
            parts.changes.observe_everything();
            let obstacles = config.obstacles.clone();
            parts.board.configured(&config.accounts, obstacles);
            parts.syncer = syncer.following(&parts.syncer);
            let (changes, signals, board) = (&parts.changes, &parts.signals, &parts.board);
            let rules = Some(config.alerts.clone());
            parts.observer = app::link(changes, signals, board, None, rules);
            (parts.deliverer, parts.heart) = self.deliverer(
                (&config, plan),
                &parts.telemetry,
                &clock,
                &parts.board,
                &parts.ledger,
            );
            parts.prober.reload(self.probes(&config)).await;
            let instance = parts.ledger.instance();
            parts
                .schedule
                .reconfigure(&config.schedule, instance, parts.clock.now());
        });
    }

    /// Has everything tried again that was given up, as `alerts retry` does.
    pub(crate) fn retry(&self, plan: &Plan) {
        let path = self.folder.path().join("ledger.db");
        let hooks: Vec<&str> = plan.hooks.iter().map(|hook| &*hook.name).collect();
        retry(&path, Which::All, &hooks, self.clock.now()).unwrap();
    }

    /// Ends the process without a farewell.
    pub(crate) fn kill(&mut self, process: Process) {
        let Process { parts, runtime } = process;
        self.left_behind = Some(parts.ledger.clone());
        drop(parts);
        drop(runtime);
        // What killed it may have come too late.
        self.left_behind.as_ref().expect("it was put there");
    }
}

/// What was put into the outbox after `before`, newest first.
async fn since(
    before: Option<&DeliveryRecord>,
    newest: impl AsyncFn(usize) -> Vec<DeliveryRecord>,
) -> Vec<Delivery> {
    let is_before = |record: &DeliveryRecord| {
        before.is_some_and(|known| known.delivery.id == record.delivery.id)
    };
    let mut records = newest(10).await;
    if !records.iter().any(is_before) {
        records = newest(200).await;
    }
    let records = records.into_iter().take_while(|record| !is_before(record));
    records.map(|record| record.delivery).collect()
}

impl Process {
    /// Lets the time pass that the clock has been moved by, as the process feels it.
    pub(crate) fn feel(&mut self, passed: TimeDelta) {
        let passed = passed.to_std().unwrap_or_default();
        self.runtime.block_on(tokio::time::advance(passed));
    }

    /// Has FlowGent asked for the time if there is a reason to.
    pub(crate) fn confirm(&mut self) {
        let Self { parts, runtime } = self;
        runtime.block_on(parts.timekeeper.confirm());
    }

    /// Whether the process knows which day it is.
    pub(crate) fn is_day_known(&self) -> bool {
        // The monotonic clock is the runtime's.
        let _within = self.runtime.enter();
        self.parts.clock.time().standing.is_known()
    }

    /// What the schedule says is due.
    pub(crate) fn due(&mut self) -> Option<Trigger> {
        let is_known = self.is_day_known();
        let _within = self.runtime.enter();
        let now = self.parts.clock.now();
        is_known.then(|| self.parts.schedule.due(now)).flatten()
    }

    /// When the next sync is due.
    pub(crate) fn next_sync(&self) -> DateTime<Utc> {
        let _within = self.runtime.enter();
        self.parts.schedule.next(self.parts.clock.now())
    }

    /// Does one sync.
    pub(crate) fn sync(&mut self, trigger: Trigger, killed: &Notify) -> Result<Outcome, Killed> {
        let Self { parts, runtime } = self;
        runtime.block_on(async {
            let as_of = parts.schedule.as_of();
            let wanted = Wanted::AsOf(trigger, as_of);
            let never = CancellationToken::new();
            let running = parts.syncer.run(&wanted, &parts.observer, &never);
            let report = tokio::select! {
                biased;
                () = killed.notified() => return Err(Killed),
                report = running => report.unwrap(),
            };
            let outcome = report.outcome();
            parts
                .schedule
                .finished(report.rest(as_of), parts.clock.now());
            (parts.observer)(Event::Ended(Ok(Arc::new(report))));
            Ok(outcome)
        })
    }

    /// Evaluates the rules, if there is a reason to. Returns the messages of each evaluation.
    pub(crate) fn evaluate(&mut self) -> Vec<Vec<Delivery>> {
        let Self { parts, runtime } = self;
        runtime.block_on(async {
            let mut sent = Vec::new();
            let newest = async |count| parts.ledger.deliveries(true, count).await.unwrap();
            // What is ended by an edit may fire anew at once.
            for _ in 0..3 {
                if parts.engine.is_due() || parts.engine.is_silenced_otherwise().await {
                    let before = newest(1).await.pop();
                    parts.engine.evaluate().await.unwrap();
                    if parts.outbox.notified().now_or_never().is_some() {
                        sent.push(since(before.as_ref(), newest).await);
                    }
                }
            }
            sent
        })
    }

    /// What a scrape gets.
    pub(crate) fn served(&self) -> String {
        // The monotonic clock is the runtime's.
        let _within = self.runtime.enter();
        let today = self.parts.clock.time().day;
        let frames = self
            .parts
            .exposition
            .scrape(Format::Text, Encoding::Identity, today);
        let mut text = Vec::new();
        frames.for_each(|frame| text.extend_from_slice(&frame));
        String::from_utf8(text).unwrap()
    }

    /// Pushes what is due; says whether all of it was taken.
    pub(crate) fn push(&mut self, killed: &Notify) -> Result<bool, Killed> {
        let Self { parts, runtime } = self;
        let members = parts.board.members();
        runtime.block_on(async {
            let pushed = tokio::select! {
                biased;
                () = killed.notified() => return Err(Killed),
                pushed = parts.pusher.pass(&members, |_| {}) => pushed,
            };
            match pushed {
                Ok(summary) => Ok(summary.refused.is_empty()),
                Err(PushError::Later { .. }) => Ok(false),
                Err(error) => panic!("{error}"),
            }
        })
    }

    /// Does the runs of probes that are due.
    pub(crate) fn probe(&mut self, killed: &Notify) -> Result<(), Killed> {
        let Self { parts, runtime } = self;
        runtime.block_on(async {
            tokio::select! {
                biased;
                () = killed.notified() => Err(Killed),
                () = parts.prober.turn() => Ok(()),
            }
        })
    }

    /// Sends the heartbeat that is due.
    pub(crate) fn beat(&mut self) {
        let Self { parts, runtime } = self;
        runtime.block_on(parts.heart.turn());
    }

    pub(crate) fn publish(&mut self) {
        let Self { parts, runtime } = self;
        runtime.block_on(parts.publisher.publish()).unwrap();
    }

    /// Sends what is due.
    pub(crate) fn deliver(&mut self, killed: &Notify) -> Result<(), Killed> {
        let Self { parts, runtime } = self;
        runtime.block_on(async {
            tokio::select! {
                biased;
                () = killed.notified() => Err(Killed),
                delivered = parts.deliverer.deliver_due() => {
                    delivered.unwrap();
                    Ok(())
                }
            }
        })
    }

    /// What `ask` gets from the ledger.
    pub(crate) fn ask<T>(&self, ask: impl AsyncFnOnce(&Ledger) -> T) -> T {
        self.runtime.block_on(ask(&self.parts.ledger))
    }

    pub(crate) fn members(&self) -> Arc<[Member]> {
        self.parts.board.members()
    }
}
