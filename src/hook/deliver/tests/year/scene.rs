//! A FlowGent where everything goes wrong at times, and the program that lives through it and is killed
//! now and then.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;
use tokio_util::sync::CancellationToken;

use super::super::{Reply, Script, Seen, Stage};
use super::config::{Edition, GONE, NEW, config, write_files};
use crate::alert::{Access, Engine, Outlets, Signals};
use crate::app;
use crate::clock::{Clock, ManualClock, SharedClock};
use crate::config::Config;
use crate::day::{Day, TRACKING_START};
use crate::exposition::Exposition;
use crate::flowgent::transport::HttpClient;
use crate::hook::deliver::{Deliverer, Hooks, MakeSender};
use crate::hook::{Sender, Settings};
use crate::ledger::{AgentNumber, Ledger, Member};
use crate::secret::Secret;
use crate::simulator::{
    AccountSettings, Fault, Listing, Rule, Scope, Settings as World, Simulator, Times,
};
use crate::sync::{Event, Observer, Outcome, Syncer, Wanted};
use crate::telemetry::Telemetry;
use crate::window::plan::Refresh;

/// Faults that meet single requests.
const FAULTS: [&str; 14] = [
    "429",
    "429-date",
    "500",
    "502",
    "503",
    "hang",
    "drip",
    "cut",
    "html",
    "redirect",
    "wrong-total",
    "missing-day",
    "contradicting-day",
    "negative-day",
];
/// Revisions may reach so far back: no window is older than this and asked for again.
const READ_DAYS: i32 = 60;

/// The program, as long as it runs.
pub(super) struct Program {
    syncer: Syncer,
    observer: Observer,
    signals: Arc<Signals>,
    engine: Engine,
    deliverer: Deliverer,
    pub(super) ledger: Ledger,
    pub(super) members: Arc<[Member]>,
}

pub(super) struct Scene {
    pub(super) random: Rng,
    pub(super) clock: Arc<ManualClock>,
    simulator: Simulator,
    span: (Day, Day),
    edition: Edition,
    pub(super) config: Config,
    pub(super) stage: Arc<Stage>,
    pub(super) seen: tokio::sync::mpsc::UnboundedReceiver<Seen>,
    /// Every known day of every agent, as read from the ledger.
    pub(super) known: HashMap<AgentNumber, BTreeMap<Day, f64>>,
    /// What the syncs since the last start have told of keys and agents.
    pub(super) access: Access,
    /// The kinds of problems that the syncs had.
    pub(super) problems: BTreeSet<&'static str>,
    /// Whether the hook `chat` has said that it wants nothing any more.
    pub(super) has_left: bool,
    pub(super) folder: tempfile::TempDir,
}

impl Scene {
    pub(super) fn new(seed: u64, (from, through): (Day, Day)) -> Self {
        // All that is random in the program draws from this.
        fastrand::seed(seed);
        let clock = ManualClock::at(from.start() + TimeDelta::hours(10));
        let account = |name: &str, agents: &[&str]| {
            AccountSettings::named(name, Secret::new(&format!("test-key-{name}")), agents)
        };
        let world = World {
            seed,
            accounts: vec![
                account("acme", &["support", "sales", "machine"]),
                account("globex", &["archive", "newcomer", GONE, NEW]),
            ],
            late_share: 0.08,
            revised_share: 0.08,
            record_requests: false,
            listing: Listing::default(),
        };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let simulator = Simulator::start(&world, clock.clone(), listener).unwrap();
        let folder = tempfile::tempdir().unwrap();
        write_files(folder.path(), &simulator);
        let (span, edition) = ((from, through), Edition::First);
        let config = config(edition, &simulator, folder.path(), span, from);
        let (sender, seen) = tokio::sync::mpsc::unbounded_channel();
        let stage = Arc::new(Stage {
            clock: Arc::clone(&clock),
            replies: std::sync::Mutex::default(),
            seen: sender,
        });
        Self {
            random: Rng::with_seed(seed),
            clock,
            simulator,
            span,
            edition,
            config,
            stage,
            seen,
            known: HashMap::new(),
            access: Access::default(),
            problems: BTreeSet::new(),
            has_left: false,
            folder,
        }
    }

    /// Starts the program, which knows what is in its ledger and nothing else.
    pub(super) async fn start(&mut self) -> Program {
        let telemetry = Telemetry::new();
        let ledger = app::open_ledger(&self.config, &telemetry).await.unwrap();
        let clock: SharedClock = self.clock.clone();
        let http = HttpClient::new(&self.config.api).unwrap();
        let syncer = app::syncer(&self.config, &http, &ledger, &clock, &telemetry);
        let signals = Arc::<Signals>::default();
        let observer = app::link(&Arc::default(), &signals, &Arc::default(), None, None);
        let outlets = Outlets {
            exposition: Arc::new(Exposition::new(telemetry.clone())),
            board: Arc::default(),
            outbox: Arc::default(),
        };
        let engine = Engine::new(
            self.config.alerts.clone(),
            ledger.clone(),
            outlets,
            Arc::clone(&clock),
            telemetry.clone(),
            Arc::clone(&signals),
        );
        let hooks = Hooks {
            settings: self.config.hooks.clone(),
            api: self.config.api.clone(),
            http,
            clock,
            telemetry,
        };
        let deliverer = Deliverer::with_senders(hooks, self.make_sender(), ledger.clone());
        let members = syncer.known_members().await.unwrap();
        observer(Event::Members(Arc::clone(&members)));
        self.access = Access::default();
        let program = Program {
            syncer,
            observer,
            signals,
            engine,
            deliverer,
            ledger,
            members,
        };
        self.read(&program).await;
        program
    }

    /// Ends the program without a farewell, and starts it again.
    pub(super) async fn restart(&mut self, program: Program) -> Program {
        let ledger = program.ledger.clone();
        drop(program);
        ledger.close().await;
        self.start().await
    }

    /// Gives the running program another config.
    pub(super) async fn reload(&mut self, program: &mut Program, edition: Edition) {
        self.edition = edition;
        let (folder, today) = (self.folder.path(), self.clock.today());
        self.config = config(self.edition, &self.simulator, folder, self.span, today);
        let http = HttpClient::new(&self.config.api).unwrap();
        let clock: SharedClock = self.clock.clone();
        let (ledger, telemetry) = (&program.ledger, Telemetry::new());
        let syncer = app::syncer(&self.config, &http, ledger, &clock, &telemetry);
        program.syncer = syncer.following(&program.syncer);
        program.members = program.syncer.known_members().await.unwrap();
        let rules = Some(self.config.alerts.clone());
        program.observer = app::link(
            &Arc::default(),
            &program.signals,
            &Arc::default(),
            None,
            rules,
        );
        (program.observer)(Event::Members(Arc::clone(&program.members)));
        self.read(program).await;
    }

    fn make_sender(&self) -> MakeSender {
        let stage = Arc::clone(&self.stage);
        Arc::new(move |settings: &Settings, _: &Hooks| {
            let script = Script {
                hook: settings.name.to_string(),
                mark: String::new(),
                stage: Arc::clone(&stage),
            };
            Sender::scripted(settings, &Arc::new(script))
        })
    }

    /// Has FlowGent fail as it does on `today`.
    pub(super) fn draw_faults(&mut self, today: Day) {
        let (faults, world) = (self.simulator.faults(), self.simulator.world());
        faults.clear();
        let number = today.since(self.span.0);
        // Days of each kind of trouble, counted from the first one.
        let is_down = matches!(number, 40..=45 | 160..=163 | 320..=328);
        if is_down {
            faults.add_everywhere(Fault::Status(503, None), Times::Always);
        }
        let key = match number {
            70..=73 | 255..=260 => "another-key",
            _ => "test-key-globex",
        };
        world.set_key("globex", Secret::new(key));
        for (refused, agent) in [
            (100..=104, &world.agents("acme")[2]),
            (198..=212, &world.agents("globex")[2]),
            (270..=299, &world.agents("globex")[3]),
            (310..=312, &world.agents("acme")[0]),
        ] {
            if refused.contains(&number) {
                faults.add_for(agent, Fault::Status(403, None), Times::Always);
            }
        }
        if self.random.u8(..100) < 30 {
            let fault = FAULTS[self.random.usize(..FAULTS.len())].parse().unwrap();
            let times = Times::Share(0.2 + 0.6 * self.random.f64());
            let account = ["acme", "globex"][self.random.usize(..2)].to_owned();
            let scope = Scope::Account(account);
            faults.add(Rule {
                fault,
                scope,
                times,
            });
        }
    }

    /// Has FlowGent be late with some days, miscount others, and correct what it miscounted.
    pub(super) fn draw_days(&mut self, today: Day) {
        let world = self.simulator.world();
        for account in world.accounts() {
            for agent in &account.agents {
                let yesterday = today.previous();
                let credits = world.final_truth(agent, yesterday);
                match self.random.u8(..100) {
                    0..3 => {
                        let hours = self.random.i64(20..110);
                        world.set_late(agent, yesterday, today.start() + TimeDelta::hours(hours));
                    }
                    3..6 => world.set_credits(agent, yesterday, (credits * 7.0).round()),
                    _ => {}
                }
                let day = today.plus(-self.random.i32(1..4));
                let credits = world.final_truth(agent, day);
                match self.random.u8(..100) {
                    0..6 => world.set_credits(agent, day, (credits / 6.0).round()),
                    6..9 => world.set_credits(agent, day, (credits * 1.5).round()),
                    _ => {}
                }
            }
        }
        self.miscount_a_week(today);
    }

    /// On some Fridays, far too much is counted for one agent, and corrected when another one's day is
    /// still missing: nobody can say then that the budget of the week is not reached.
    fn miscount_a_week(&self, today: Day) {
        let world = self.simulator.world();
        let [support, sales] = [0, 1].map(|place| &world.agents("acme")[place]);
        let thursday = today.previous();
        let normal = world.final_truth(support, thursday.plus(-7));
        match today.since(self.span.0) {
            60 | 151 | 235 | 333 => {
                world.set_credits(support, thursday, 15.0 * normal);
                world.set_late(sales, thursday, today.start() + TimeDelta::hours(70));
            }
            61 | 152 | 236 | 334 => world.set_credits(support, thursday.previous(), normal),
            _ => {}
        }
    }

    /// Does one sync. Says whether all is known then.
    pub(super) async fn sync(&mut self, program: &mut Program, refresh: Refresh) -> bool {
        let (wanted, never) = (Wanted::Due(refresh), CancellationToken::new());
        let syncer = &program.syncer;
        let report = syncer.run(&wanted, &program.observer, &never).await;
        let report = Arc::new(report.unwrap());
        (program.observer)(Event::Ended(Ok(Arc::clone(&report))));
        let Access {
            key_refused,
            agent_refused,
        } = &mut self.access;
        for member in report.members.iter().filter(|member| member.committed > 0) {
            key_refused.insert(Arc::clone(&member.member.agent.account), false);
            agent_refused.insert(member.member.number, false);
        }
        for problem in &report.problems {
            match problem.kind {
                "invalid_key" => {
                    key_refused.insert(Arc::clone(&problem.account), true);
                }
                "access_denied" => {
                    let numbers = problem.agents.iter();
                    let number = |index: &usize| report.members[*index].member.number;
                    agent_refused.extend(numbers.map(|index| (number(index), true)));
                }
                _ => {}
            }
            self.problems.insert(problem.kind);
        }
        if report.committed > 0 {
            self.read(program).await;
        }
        report.outcome() == Outcome::Complete
    }

    /// Reads what the ledger knows: all of it until the history is filled, and then what may change.
    async fn read(&mut self, program: &Program) {
        let today = self.clock.today();
        let recent = today.plus(-READ_DAYS);
        for member in program.members.iter() {
            let known = self.known.entry(member.number).or_default();
            let is_filled = known.range(..recent).count() as i32 == recent.since(TRACKING_START);
            let from = if is_filled { recent } else { TRACKING_START };
            let usage = program.ledger.usage(member.number, from, today).await;
            let usage = usage.unwrap().into_iter();
            known.extend(usage.map(|usage| (usage.day, usage.credits)));
        }
    }

    /// What each hook does with the next tries: most of the time it takes what comes.
    pub(super) fn draw_replies(&mut self) {
        let now = self.clock.now();
        let number = Day::of(now).since(self.span.0);
        let mut all = self.stage.replies.lock().unwrap();
        for settings in &self.config.hooks {
            let is_down = match &*settings.name {
                "ops" => (108..120).contains(&number),
                "bills" => (60..62).contains(&number),
                _ => false,
            };
            let random = &mut self.random;
            let replies = (0..64).map(|_| match random.u8(..100) {
                _ if is_down => Reply::Fail,
                0..10 => Reply::Fail,
                10..15 => Reply::Hang,
                15..18 => Reply::FailFor(std::time::Duration::from_secs(random.u64(1..30_000))),
                18..20 => Reply::TakeSaying(100_000),
                _ => Reply::Take,
            });
            all.insert(settings.name.to_string(), replies.collect());
        }
        if number >= 230 && !self.has_left {
            all.insert("chat".to_owned(), [Reply::Gone].into());
        }
    }

    /// The first day.
    pub(super) fn first(&self) -> Day {
        self.span.0
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }
}

impl Program {
    pub(super) async fn evaluate(&mut self) {
        self.engine.evaluate().await.unwrap();
    }

    pub(super) fn deliverer(&self) -> &Deliverer {
        &self.deliverer
    }
}
