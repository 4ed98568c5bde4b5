//! One exporter and its world, on a clock that is moved by hand. After each turn, what must hold is held.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use flowgent_exporter::alert::Notice;
use flowgent_exporter::clock::ManualClock;
use flowgent_exporter::day::Day;
use flowgent_exporter::egress::Roots;
use flowgent_exporter::flowgent::Settings;
use flowgent_exporter::flowgent::transport::HttpClient;
use flowgent_exporter::sync::Outcome;
use flowgent_exporter::sync::schedule::Trigger;

use super::beats::Pulse;
use super::checks::Check;
use super::database::Pushed;
use super::flowgent::FlowGent;
use super::oracle::{Oracle, Sight};
use super::plan::{AgentId, Hook, Per, Plan};
use super::probes::Run;
use super::process::{Ground, Killed, Process};
use super::receivers::Office;
use super::roll::{Key, Roll};
use super::summaries::Weeks;

pub(crate) struct Scene {
    pub(crate) flowgent: FlowGent,
    pub(crate) office: Office,
    pub(crate) plan: Plan,
    pub(crate) process: Option<Process>,
    pub(crate) oracle: Oracle,
    pub(crate) roll: Roll,
    /// The true time, and how far our clock is ahead of it.
    pub(crate) now: DateTime<Utc>,
    pub(crate) offset: TimeDelta,
    pub(crate) ground: Ground,
    /// What has happened lately, for a report.
    pub(crate) log: Vec<String>,
    pub(crate) events: usize,
    /// What was wrong first.
    pub(crate) failures: Vec<String>,
    complained: HashSet<String>,
    /// The alerts of each delivery, by its id, which are read once.
    pub(crate) notices: HashMap<Arc<str>, Vec<Notice>>,
    /// Whether what is wrong is shown at once.
    pub(crate) is_loud: bool,
    /// Which keys and agents the last sync of this process has seen refused.
    pub(crate) key_refused: BTreeMap<String, bool>,
    pub(crate) agent_refused: BTreeMap<Key, bool>,
    /// The counter of each series when it was published last.
    pub(crate) counters: HashMap<String, f64>,
    /// What the database has.
    pub(crate) pushed: Pushed,
    /// When it is pushed to next.
    pub(crate) push_at: DateTime<Utc>,
    /// The target of every hook that there ever was, by its name.
    pub(crate) targets: HashMap<String, String>,
    /// When each target was last not taking everything.
    pub(crate) troubled: HashMap<String, DateTime<Utc>>,
    pub(crate) restarts: usize,
    pub(crate) pulse: Pulse,
    pub(crate) weeks: Weeks,
    /// Since when the process runs on a clock that is right.
    pub(crate) calm: DateTime<Utc>,
    /// When it last did not for certain.
    pub(crate) astray: DateTime<Utc>,
    /// When an evaluation last knew for certain what day it is.
    pub(crate) evaluated: DateTime<Utc>,
    /// When the process was started.
    pub(crate) started: DateTime<Utc>,
    /// The runs of probes, oldest first.
    pub(crate) runs: Vec<Run>,
}

/// The clocks may differ by so much.
const TOLERANCE: TimeDelta = TimeDelta::hours(1);
/// For so long FlowGent is waited for.
const PATIENCE: TimeDelta = TimeDelta::hours(6);
const LOG_LENGTH: usize = 400;

impl Scene {
    /// A scene before the first start.
    pub(crate) fn new(plan: Plan, now: DateTime<Utc>, http: &HttpClient) -> Self {
        let flowgent = FlowGent::new(now);
        let office = Office::new(Arc::clone(&flowgent.killed));
        let clock = ManualClock::at(now);
        let http = http.clone().over(Arc::new(flowgent.clone()));
        let ground = Ground::new(folder(), clock, http, office.clone());
        let mut scene = Self {
            flowgent,
            office,
            plan,
            process: None,
            oracle: Oracle::default(),
            roll: Roll::default(),
            now,
            offset: TimeDelta::zero(),
            ground,
            log: Vec::new(),
            events: 0,
            failures: Vec::new(),
            complained: HashSet::new(),
            notices: HashMap::new(),
            is_loud: false,
            key_refused: BTreeMap::new(),
            agent_refused: BTreeMap::new(),
            counters: HashMap::new(),
            pushed: Pushed::new(),
            push_at: now,
            targets: HashMap::new(),
            troubled: HashMap::new(),
            restarts: 0,
            pulse: Pulse::default(),
            weeks: Weeks::default(),
            calm: now,
            astray: DateTime::<Utc>::MIN_UTC,
            evaluated: now,
            started: now,
            runs: Vec::new(),
        };
        scene.know_targets();
        scene.tell_time();
        scene
    }

    pub(crate) fn today(&self) -> Day {
        Day::of(self.now)
    }

    /// Whether our clock is right, and the process can know it: FlowGent has answered since it started
    /// or its clock was set, or has not for so long that our clock counts.
    pub(crate) fn agrees(&self) -> bool {
        let answered = self.flowgent.state().answered;
        let is_confirmed = answered >= self.calm || self.now - self.calm >= PATIENCE;
        self.offset.abs() <= TOLERANCE && is_confirmed
    }

    /// The time on our clock.
    pub(crate) fn local(&self) -> DateTime<Utc> {
        self.now + self.offset
    }

    pub(crate) fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        let line = format!(
            "{:>5} {} {text}",
            self.events,
            self.now.format("%Y-%m-%d %H:%M:%S")
        );
        if self.is_loud {
            println!("{line}");
        }
        self.log.push(line);
        if self.log.len() > 2 * LOG_LENGTH {
            self.log.drain(..LOG_LENGTH);
        }
    }

    pub(crate) fn fail(&mut self, text: String) {
        // What stays wrong is told once.
        let what = text.split("; expected").next().unwrap_or(&text).to_owned();
        if self.complained.insert(what) {
            let line = format!(
                "event {}, {}: {text}",
                self.events,
                self.now.format("%Y-%m-%d %H:%M:%S")
            );
            if self.is_loud {
                println!("{line}");
            }
            self.failures.push(line);
        }
    }

    fn tell_time(&mut self) {
        self.flowgent.state().now = self.now;
        self.office.floor().now = self.now;
        self.ground.clock.set(self.local());
    }

    fn know_targets(&mut self) {
        for hook in &self.plan.hooks {
            self.targets.insert(hook.name.clone(), hook.target.clone());
        }
    }

    /// Lets time pass until `at`.
    pub(crate) fn go(&mut self, at: DateTime<Utc>) {
        let passed = at - self.now;
        self.now = at;
        self.tell_time();
        if let Some(process) = &mut self.process {
            process.feel(passed);
        }
    }

    /// Lets time pass that the process does not feel, since its host sleeps.
    pub(crate) fn sleep(&mut self, at: DateTime<Utc>) {
        self.note(format!("its host sleeps until {}", at.format("%H:%M")));
        // So short a step leaves the clocks in agreement.
        if at - self.now > TOLERANCE {
            self.calm = at;
        }
        self.pulse.rest(at - self.now);
        self.now = at;
        self.tell_time();
    }

    /// Sets our clock so that it is ahead by `offset`.
    pub(crate) fn set_clock(&mut self, offset: TimeDelta) {
        self.note(format!(
            "our clock is set to be {} min ahead",
            offset.num_minutes()
        ));
        self.offset = offset;
        self.calm = self.now;
        self.tell_time();
    }

    pub(crate) fn start(&mut self) {
        assert!(self.process.is_none());
        self.note("starts");
        self.calm = self.now;
        self.started = self.now;
        self.process = Some(self.ground.start(&self.plan));
        self.pulse = Pulse::default();
        self.flowgent.state().kill_after = None;
    }

    pub(crate) fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            self.note("is killed");
            self.restarts += 1;
            self.ground.kill(process);
            self.key_refused.clear();
            self.agent_refused.clear();
            if self.evaluated < self.astray {
                // By a clock that was wrong, what was taken may look older than its refusal.
                let mut state = self.flowgent.state();
                state.key_refused.retain(|_, is_refused| *is_refused);
                state.agent_refused.retain(|_, is_refused| *is_refused);
                let rules = self.plan.rules.iter();
                for rule in rules.filter(|rule| matches!(rule.check, Check::Key | Check::Agent)) {
                    self.oracle
                        .doubt(&rule.name, self.now, "a clock was wrong at its end");
                }
            }
        }
    }

    /// Changes the config, and has the process read it if it runs.
    pub(crate) fn edit(&mut self, what: &str, edit: impl FnOnce(&mut Plan)) {
        self.note(format!("config: {what}"));
        let before = self.plan.clone();
        edit(&mut self.plan);
        self.know_targets();
        self.roll.look_anew();
        for rule in before.names() {
            let told = self.plan.hooks_of(rule);
            let is_out = |hook: &&&Hook| told.iter().all(|told| told.target != hook.target);
            for hook in before.hooks_of(rule).iter().filter(is_out) {
                self.office.floor().desk(&hook.target).drop_rule(rule);
            }
        }
        // Budgets whose agents are others now are about something else.
        let relabelled = before.accounts != self.plan.accounts;
        for budget in &self.plan.budgets {
            let old = before.budgets.iter().find(|old| old.name == budget.name);
            let has_changed =
                old.is_some_and(|old| old.matcher != budget.matcher || old.cycle != budget.cycle);
            let is_of_teams = budget.matcher.team.is_some() || budget.per == Some(Per::Team);
            if has_changed || (relabelled && is_of_teams) {
                self.oracle
                    .doubt(&budget.name, self.now, "its agents may be others");
            }
        }
        for balance in &self.plan.balances {
            let mut old = before.balances.iter();
            let is_other =
                old.any(|old| old.name == balance.name && old.matcher != balance.matcher);
            if is_other || (relabelled && balance.matcher.team.is_some()) {
                self.oracle
                    .doubt(&balance.name, self.now, "its agents may be others");
            }
        }
        let plan = self.plan.clone();
        if let Some(process) = &mut self.process {
            self.ground.reload(process, &plan);
            self.sync(Trigger::Reload);
        }
    }

    /// Does whatever is due, and holds what must hold.
    pub(crate) fn turn(&mut self) {
        self.events += 1;
        if self.process.is_none() {
            return;
        }
        // Nothing is said of the time before the rules are looked at.
        if self.now == self.calm {
            self.evaluate();
            self.deliver();
        }
        self.process().confirm();
        if let Some(trigger) = self.process().due() {
            self.sync(trigger);
        }
        self.probe();
        self.evaluate();
        self.deliver();
        if self.now >= self.push_at && self.process().is_day_known() {
            self.push();
        }
        self.process().beat();
        self.check();
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("it runs")
    }

    fn sync(&mut self, trigger: Trigger) {
        let killed = Arc::clone(&self.ground.killed);
        self.plan.read_entries();
        self.ground.write_lists(&self.plan, &self.flowgent.state());
        match self.process().sync(trigger, &killed) {
            Ok(outcome) => {
                self.pulse.outcome = Some(outcome);
                let is_complete = outcome == Outcome::Complete;
                self.note(format!(
                    "sync ({}), complete: {is_complete}",
                    trigger.as_str()
                ));
                self.take_in(false);
                let state = self.flowgent.state();
                self.key_refused.clone_from(&state.key_refused);
                self.agent_refused.clone_from(&state.agent_refused);
            }
            Err(Killed) => {
                self.kill();
                self.start();
                self.process().confirm();
                self.take_in(true);
                if let Some(trigger) = self.process().due() {
                    self.sync(trigger);
                }
            }
        }
    }

    /// Evaluates the rules and publishes, as the exporter does when something has happened.
    pub(crate) fn evaluate(&mut self) {
        let process = self.process();
        process.publish();
        let mut sent = Vec::new();
        for hooks in process.evaluate() {
            self.check_grouped(&hooks);
            self.check_sent_summaries(&hooks);
            self.check_hushed(&hooks);
            sent.extend(hooks);
        }
        let sight = Sight {
            plan: &self.plan,
            roll: &self.roll,
            now: self.now,
            agrees: self.agrees(),
            key_refused: &self.key_refused,
            agent_refused: &self.agent_refused,
            runs: &self.runs,
        };
        self.oracle.look(&sight);
        match self.agrees() {
            true => self.evaluated = self.now,
            false => self.astray = self.now,
        }
        self.check_repeated(&sent);
        // What becomes known while the clocks differ is judged when they agree.
        if self.agrees() {
            for known in self.roll.agents.values_mut() {
                known.news.clear();
                known.newly_settled.clear();
            }
        }
    }

    fn deliver(&mut self) {
        let killed = Arc::clone(&self.ground.killed);
        self.office.floor().is_certain = self.agrees();
        for _ in 0..4 {
            match self.process().deliver(&killed) {
                Ok(()) => return,
                Err(Killed) => self.restart(),
            }
        }
    }

    /// Kills the process and starts it again, which does what is due.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.start();
        self.process().confirm();
        if let Some(trigger) = self.process().due() {
            self.sync(trigger);
        }
        self.evaluate();
    }

    /// From now on `target` takes nothing until `until`.
    pub(crate) fn close_desk(&mut self, target: &str, until: DateTime<Utc>) {
        self.note(format!(
            "{target} takes nothing until {}",
            until.format("%Y-%m-%d %H:%M")
        ));
        self.office.floor().desk(target).down_until = Some(until);
        let troubled = self.troubled.entry(target.to_owned()).or_insert(until);
        *troubled = (*troubled).max(until);
    }

    /// The agent's true use of a day.
    pub(crate) fn use_credits(&mut self, id: u32, day: Day, credits: f64) {
        self.flowgent.state().set(AgentId(id), day, credits);
    }
}

/// A folder in memory if there is one: what is on a disk need not be there after these processes.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

/// What all scenes share.
pub fn http() -> HttpClient {
    HttpClient::new(&Settings {
        base_url: "http://127.0.0.1:9/".parse().unwrap(),
        timeout: std::time::Duration::from_secs(30),
        requests_per_second: 1000.0,
        concurrency: 1,
        roots: Roots::Bundled,
    })
    .unwrap()
}
