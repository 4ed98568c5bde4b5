//! A year that is drawn from a seed: what FlowGent, people, clocks and receivers do to the exporter.

use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;
use flowgent_exporter::day::Day;
use flowgent_exporter::flowgent::transport::HttpClient;

use super::flowgent::{Fault, Glitch, Organisation};
use super::plan::{Account, Agent, AgentId, Budget, Check, Cycle, Hook, Matcher, Plan, Rule};
use super::receivers::Reply;
use super::scene::Scene;

/// Days before the first start that the exporter is to know.
const HISTORY_DAYS: i32 = 70;
/// Days without trouble in the end, after which the ledger must be true.
const QUIET_DAYS: i32 = 8;
/// How many failures are shown.
const MOST_SHOWN: usize = 400;
/// The first identifier of those that nothing happens to.
const CROWD: u32 = 10_000;
/// How many agents there are at first.
const AGENTS: u32 = 11;

/// What may happen in a year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trouble {
    /// Days come late, wrong, or much later.
    pub days: bool,
    /// FlowGent is down, refuses keys and agents, and answers nonsense.
    pub flowgent: bool,
    /// Agents come, leave and are renamed; listings are short.
    pub members: bool,
    /// Receivers are down.
    pub receivers: bool,
    /// The program is killed, or is off for days.
    pub crashes: bool,
    /// The config is edited.
    pub edits: bool,
    /// Our clock is set.
    pub clock: bool,
}

impl Trouble {
    /// All of it.
    pub const ALL: Self = Self {
        days: true,
        flowgent: true,
        members: true,
        receivers: true,
        crashes: true,
        edits: true,
        clock: true,
    };
    /// None of it.
    pub const NONE: Self = Self {
        days: false,
        flowgent: false,
        members: false,
        receivers: false,
        crashes: false,
        edits: false,
        clock: false,
    };

    /// Those of these names, with commas between.
    ///
    /// # Panics
    /// If there is no such trouble.
    #[must_use]
    pub fn named(names: &str) -> Self {
        let mut trouble = Self::NONE;
        for name in names.split(',') {
            match name {
                "all" => return Self::ALL,
                "none" => {}
                "days" => trouble.days = true,
                "flowgent" => trouble.flowgent = true,
                "members" => trouble.members = true,
                "receivers" => trouble.receivers = true,
                "crashes" => trouble.crashes = true,
                "edits" => trouble.edits = true,
                "clock" => trouble.clock = true,
                other => panic!("there is no trouble named {other}"),
            }
        }
        trouble
    }
}

/// How a year went.
#[derive(Debug)]
pub struct Outcome {
    /// Years of agents that were lived through.
    pub agent_years: f64,
    /// Messages that were taken.
    pub messages: usize,
    /// Times that the program was started again.
    pub restarts: usize,
    /// What was wrong first, with what had happened before.
    pub failure: Option<String>,
}

pub(crate) struct Year {
    scene: Scene,
    random: Rng,
    trouble: Trouble,
    first: Day,
    /// What ends by itself: when, and what.
    endings: Vec<(DateTime<Utc>, Ending)>,
    next_agent: u32,
    next_name: u32,
    /// Off until then.
    off_until: Option<DateTime<Utc>>,
    is_quiet: bool,
    agent_days: f64,
}

#[derive(Debug, Clone)]
enum Ending {
    Up(String),
    Reachable,
    Key(String),
    Agent(AgentId),
    Listing(String),
    Clock,
    /// Somebody has a receiver asked again.
    Gone(String),
}

/// Lives through `days` days, or until as much is wrong as `patience` bears. `crowd` agents that nothing
/// happens to are there beside the others.
pub fn live(
    seed: u64,
    days: i32,
    trouble: Trouble,
    crowd: u32,
    patience: usize,
    http: &HttpClient,
) -> Outcome {
    // All that is random in the exporter draws from this.
    fastrand::seed(seed);
    let mut year = Year::new(seed, trouble, http);
    year.gather(crowd);
    year.scene.is_loud = patience > 1;
    year.scene.start();
    year.moment(TimeDelta::zero());
    for number in 0..days + QUIET_DAYS {
        year.is_quiet = number >= days;
        year.day();
        if year.scene.failures.len() >= patience {
            break;
        }
    }
    if year.scene.failures.is_empty() && year.scene.process.is_some() {
        year.scene.check_truth();
    }
    year.outcome(seed)
}

impl Year {
    fn new(seed: u64, trouble: Trouble, http: &HttpClient) -> Self {
        let mut random = Rng::with_seed(seed);
        let base: Day = "2025-12-01".parse().unwrap();
        let first = base.plus(random.i32(0..60));
        let plan = plan(&mut random, first);
        let scene = Scene::new(plan, first.start() + TimeDelta::hours(10), http);
        let mut year = Self {
            scene,
            random,
            trouble,
            first,
            endings: Vec::new(),
            next_agent: AGENTS,
            next_name: 0,
            off_until: None,
            is_quiet: false,
            agent_days: 0.0,
        };
        year.populate();
        year
    }

    /// Who there is, and their days before the first start.
    fn populate(&mut self) {
        let organisations = ["acme", "globex", "umbra"];
        for name in organisations {
            let organisation = Organisation::default();
            self.scene
                .flowgent
                .state()
                .organisations
                .insert(name.to_owned(), organisation);
        }
        for number in 0..4 {
            self.list("globex", AgentId(4 + number), format!("listed-{number}"));
        }
        for number in 0..AGENTS {
            for day in self
                .first
                .plus(-HISTORY_DAYS - 40)
                .through(self.first.previous())
            {
                self.use_up(AgentId(number), day);
            }
        }
    }

    /// A crowd of agents that are listed, and use something on every day.
    fn gather(&mut self, crowd: u32) {
        for number in 0..crowd {
            let id = AgentId(CROWD + number);
            self.list("globex", id, format!("crowd-{number}"));
            let before = self.first.plus(-HISTORY_DAYS - 40);
            for day in before.through(self.first.previous()) {
                self.use_up(id, day);
            }
        }
    }

    fn list(&mut self, organisation: &str, id: AgentId, name: String) {
        let mut state = self.scene.flowgent.state();
        let organisation = state.organisations.get_mut(organisation).unwrap();
        organisation.listed.push((id, name));
    }

    /// What the agent uses on a day.
    fn use_up(&mut self, id: AgentId, day: Day) -> f64 {
        let size = if id.0 < CROWD {
            f64::from(8 + (id.0 * 37) % 90)
        } else {
            // All of the crowd together use about as much as one of the others.
            0.5
        };
        let weekend = if day.weekday() >= 5 && !id.0.is_multiple_of(3) {
            0.3
        } else {
            1.0
        };
        // Some weeks are heavy and others idle.
        let week = (day.number().div_euclid(9) as u32)
            .wrapping_mul(2_654_435_761)
            .wrapping_add(id.0.wrapping_mul(97_531));
        let mood = [1.0, 1.0, 0.2, 1.8, 1.0, 0.6, 2.6, 1.0][(week >> 13) as usize % 8];
        let credits = size * weekend * mood * (0.7 + 0.6 * self.random.f64());
        let credits = (credits * 4.0).round() / 4.0;
        self.scene.flowgent.state().set(id, day, credits);
        credits
    }

    fn chance(&mut self, percent: f64) -> bool {
        !self.is_quiet && self.random.f64() * 100.0 < percent
    }

    /// One day, from midnight on.
    fn day(&mut self) {
        let midnight = (self.scene.today().next()).start();
        self.agent_days += self
            .scene
            .roll
            .agents
            .values()
            .filter(|known| !known.is_former())
            .count() as f64;
        self.write_day(Day::of(midnight).previous());
        let seconds = self.random.i64(0..30);
        let mut moments = vec![
            TimeDelta::seconds(seconds),
            TimeDelta::seconds(605 + seconds),
        ];
        for _ in 0..self.random.usize(1..4) {
            moments.push(TimeDelta::seconds(self.random.i64(3_600..86_000)));
        }
        moments.sort();
        for moment in moments {
            let at = midnight + moment;
            // The retries of a sync come in between.
            let due = self
                .scene
                .process
                .as_ref()
                .map(super::process::Process::next_sync);
            if let Some(due) =
                due.filter(|due| *due > self.scene.local() && *due < at && self.scene.agrees())
            {
                self.at(due);
            }
            if at > self.scene.now {
                self.at(at);
            }
        }
    }

    fn at(&mut self, at: DateTime<Utc>) {
        if self.trouble.clock && self.chance(0.5) && self.scene.process.is_some() {
            self.scene.sleep(at);
        } else {
            self.scene.go(at);
        }
        self.end_what_ends();
        if !self.is_quiet {
            self.happen();
        } else {
            self.calm_down();
        }
        self.moment(TimeDelta::zero());
    }

    fn moment(&mut self, _: TimeDelta) {
        if self.off_until.is_some_and(|until| self.scene.now >= until) {
            self.off_until = None;
        }
        if self.scene.process.is_none() && self.off_until.is_none() {
            self.scene.start();
        }
        self.draw_replies();
        self.draw_faults();
        if self.trouble.crashes && self.chance(1.5) {
            let requests = self.random.usize(0..15);
            self.scene
                .note(format!("is to be killed after {requests} requests"));
            self.scene.flowgent.state().kill_after = Some(requests);
        }
        self.scene.turn();
        if self.trouble.crashes && self.chance(1.5) && self.scene.process.is_some() {
            self.scene.kill();
            if self.chance(20.0) {
                let days = self.random.f64() * 12.0;
                let until = self.scene.now + TimeDelta::minutes((days * 1440.0) as i64);
                self.scene
                    .note(format!("is off until {}", until.format("%Y-%m-%d %H:%M")));
                self.off_until = Some(until);
            } else {
                self.scene.start();
                self.scene.turn();
            }
        }
    }

    /// What is used on the day, and what FlowGent will say of it at first.
    fn write_day(&mut self, day: Day) {
        let mut ids: Vec<AgentId> = self.scene.roll.agents.keys().map(|(_, id)| *id).collect();
        ids.sort();
        ids.dedup();
        for id in ids {
            let mut credits = self.use_up(id, day);
            if self.trouble.days && self.chance(1.2) {
                credits *= 6.0;
                self.scene.flowgent.state().set(id, day, credits);
            }
            if !self.trouble.days {
                continue;
            }
            let hours = |random: &mut Rng, least: i64, most: i64| {
                day.end() + TimeDelta::minutes(random.i64(least * 60..most * 60))
            };
            if self.chance(5.0) {
                let until = hours(&mut self.random, 1, 68);
                self.scene.flowgent.state().hide(id, day, until);
            } else if self.chance(0.7) {
                let until = hours(&mut self.random, 70, 300);
                self.scene.flowgent.state().hide(id, day, until);
                continue;
            }
            if self.chance(5.0) {
                let wrong =
                    (credits * [0.0, 0.8, 12.0, 36.0][self.random.usize(..4)]).round() / 4.0;
                let until = hours(&mut self.random, 12, 66);
                self.scene.flowgent.state().miscount(id, day, wrong, until);
            }
        }
    }

    fn draw_faults(&mut self) {
        let mut faults = Vec::new();
        if self.trouble.flowgent && self.chance(12.0) {
            let share = self.random.f64() * 0.7;
            for _ in 0..40 {
                let kinds = [
                    Fault::Unavailable,
                    Fault::TooMany,
                    Fault::Hang,
                    Fault::Html,
                    Fault::WrongTotal,
                    Fault::AbsentDay,
                ];
                let fault = kinds[self.random.usize(..kinds.len())];
                faults.push((self.random.f64() < share).then_some(fault));
            }
        }
        self.scene.flowgent.state().faults = faults;
    }

    fn draw_replies(&mut self) {
        let targets: Vec<String> = self
            .scene
            .plan
            .hooks
            .iter()
            .map(|hook| hook.target.clone())
            .collect();
        for target in targets {
            let mut replies = Vec::new();
            if self.trouble.receivers && self.chance(5.0) {
                for _ in 0..self.random.usize(1..4) {
                    let reply = match self.random.u8(..10) {
                        0..6 => Reply::Fail,
                        6..8 => Reply::Hang,
                        _ => Reply::FailFor(self.random.u64(1..50_000)),
                    };
                    replies.push(reply);
                }
                let until = self.scene.now + TimeDelta::hours(24);
                let troubled = self.scene.troubled.entry(target.clone()).or_insert(until);
                *troubled = (*troubled).max(until);
            }
            if self.trouble.receivers && self.chance(0.05) {
                replies.push(Reply::Gone);
                self.later(50.0, Ending::Gone(target.clone()));
            }
            if self.trouble.crashes && self.chance(1.0) {
                let reply = if self.random.bool() {
                    Reply::Kill
                } else {
                    Reply::TakeAndKill
                };
                replies.push(reply);
            }
            self.scene.office.floor().desk(&target).replies = replies;
        }
    }

    fn end_what_ends(&mut self) {
        let now = self.scene.now;
        let (due, later) = std::mem::take(&mut self.endings)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        self.endings = later;
        let due: Vec<_> = due;
        for (_, ending) in due {
            self.end(ending);
        }
    }

    fn end(&mut self, ending: Ending) {
        self.scene.note(format!("is over: {ending:?}"));
        if let Ending::Gone(target) = ending {
            self.scene.office.floor().desk(&target).is_gone = false;
            self.scene.ground.retry(&self.scene.plan);
            let until = self.scene.now;
            let troubled = self.scene.troubled.entry(target).or_insert(until);
            *troubled = (*troubled).max(until);
            return;
        }
        let mut state = self.scene.flowgent.state();
        match ending {
            Ending::Reachable => state.is_unreachable = false,
            Ending::Up(name) => state.organisations.get_mut(&name).unwrap().is_down = false,
            Ending::Key(name) => state.organisations.get_mut(&name).unwrap().refuses_key = false,
            Ending::Listing(name) => state.organisations.get_mut(&name).unwrap().glitch = None,
            Ending::Agent(id) => {
                state.denied.remove(&id);
            }
            Ending::Gone(_) => {}
            Ending::Clock => {
                drop(state);
                self.scene.set_clock(TimeDelta::zero());
            }
        }
    }

    fn calm_down(&mut self) {
        for (_, ending) in std::mem::take(&mut self.endings) {
            self.end(ending);
        }
        self.off_until = None;
        self.scene.flowgent.state().show_everything();
        let mut floor = self.scene.office.floor();
        for desk in floor.desks.values_mut() {
            desk.down_until = None;
        }
    }

    fn later(&mut self, hours: f64, ending: Ending) {
        let at = self.scene.now + TimeDelta::seconds((hours * 3600.0) as i64);
        self.endings.push((at, ending));
    }

    /// What happens at one moment, three or four times a day.
    fn happen(&mut self) {
        if self.trouble.flowgent {
            self.happen_to_flowgent();
        }
        if self.trouble.members {
            self.happen_to_members();
        }
        if self.trouble.receivers && self.chance(0.6) {
            let place = self.random.usize(..self.scene.plan.hooks.len());
            let target = self.scene.plan.hooks[place].target.clone();
            let hours = [3.0, 40.0, 120.0, 600.0][self.random.usize(..4)] * self.random.f64();
            let until = self.scene.now + TimeDelta::seconds((hours * 3600.0) as i64);
            self.scene.close_desk(&target, until);
        }
        if self.trouble.edits && self.chance(1.2) && self.scene.agrees() {
            self.edit();
        }
        let is_reachable = !self.scene.flowgent.state().is_unreachable;
        if self.trouble.clock && self.chance(0.6) && self.scene.offset.is_zero() && is_reachable {
            let hours = [2.0, 5.0, 20.0, 30.0, 480.0, 960.0][self.random.usize(..6)];
            let sign = if self.random.bool() { 1.0 } else { -1.0 };
            self.scene
                .set_clock(TimeDelta::minutes((hours * sign * 60.0) as i64));
            let lasts = [0.003, 2.0, 30.0][self.random.usize(..3)] * self.random.f64();
            self.later(lasts, Ending::Clock);
        }
    }

    fn happen_to_flowgent(&mut self) {
        if self.chance(0.25) && self.scene.agrees() && self.scene.offset.is_zero() {
            self.scene.note("FlowGent cannot be reached");
            self.scene.flowgent.state().is_unreachable = true;
            let hours = self.random.f64() * 60.0;
            self.later(hours, Ending::Reachable);
        }
        let name = ["acme", "globex", "umbra"][self.random.usize(..3)].to_owned();
        if self.chance(0.5) {
            self.scene.note(format!("{name} is down"));
            self.scene
                .flowgent
                .state()
                .organisations
                .get_mut(&name)
                .unwrap()
                .is_down = true;
            let hours = self.random.f64() * 100.0;
            self.later(hours, Ending::Up(name));
        } else if self.chance(0.4) {
            self.scene.note(format!("{name} refuses the key"));
            self.scene
                .flowgent
                .state()
                .organisations
                .get_mut(&name)
                .unwrap()
                .refuses_key = true;
            let hours = self.random.f64() * 90.0;
            self.later(hours, Ending::Key(name));
        } else if self.chance(0.4) {
            let id = AgentId(self.random.u32(..AGENTS));
            self.scene.note(format!("{id} is refused"));
            self.scene.flowgent.state().denied.insert(id);
            let hours = self.random.f64() * 90.0;
            self.later(hours, Ending::Agent(id));
        }
    }

    fn happen_to_members(&mut self) {
        if self.chance(0.5) {
            let id = AgentId(self.next_agent);
            self.next_agent += 1;
            self.scene.note(format!("{id} joins"));
            for day in self
                .first
                .plus(-HISTORY_DAYS - 40)
                .through(self.scene.today().previous())
            {
                self.scene.flowgent.state().set(id, day, 0.0);
            }
            self.list("globex", id, format!("joiner-{}", id.0));
        }
        let count = self.scene.flowgent.state().organisations["globex"]
            .listed
            .len();
        if self.chance(0.4) && count > 3 {
            let place = self.random.usize(..count);
            let mut state = self.scene.flowgent.state();
            let (id, name) = state
                .organisations
                .get_mut("globex")
                .unwrap()
                .listed
                .remove(place);
            // Some are nobody's any more, others are only not listed.
            if self.random.bool() {
                state.denied.insert(id);
            }
            drop(state);
            self.scene.note(format!("{id} ({name}) leaves"));
        }
        let count = self.scene.flowgent.state().organisations["globex"]
            .listed
            .len();
        if self.chance(0.4) && count > 0 {
            let place = self.random.usize(..count);
            self.next_name += 1;
            let name = format!("renamed-{}", self.next_name);
            let mut state = self.scene.flowgent.state();
            let entry = &mut state.organisations.get_mut("globex").unwrap().listed[place];
            let text = format!("{} is renamed from {} to {name}", entry.0, entry.1);
            entry.1 = name;
            drop(state);
            self.scene.note(text);
        }
        if self.chance(0.8) {
            let count = self.random.usize(1..4);
            let glitch = [Glitch::Short(count), Glitch::NotWhole(count), Glitch::Down]
                [self.random.usize(..3)];
            self.scene.note(format!("the listing is {glitch:?}"));
            self.scene
                .flowgent
                .state()
                .organisations
                .get_mut("globex")
                .unwrap()
                .glitch = Some(glitch);
            let hours = self.random.f64() * 50.0;
            self.later(hours, Ending::Listing("globex".to_owned()));
        }
    }

    /// Somebody edits the config.
    fn edit(&mut self) {
        let random = &mut self.random;
        let what = random.u8(..9);
        let (one, two) = (random.usize(..100), random.usize(..100));
        let factor = 0.6 + random.f64();
        self.next_name += 1;
        let fresh = self.next_name;
        match what {
            0 => self.scene.edit("a budget's credits", |plan| {
                let count = plan.budgets.len();
                let budget = &mut plan.budgets[one % count];
                budget.credits = (budget.credits * factor).round();
            }),
            1 => self.scene.edit("a budget's agents", |plan| {
                let count = plan.budgets.len();
                let teams = [None, Some("front".to_owned()), Some("back".to_owned())];
                plan.budgets[one % count].matcher = Matcher {
                    team: teams[two % 3].clone(),
                    account: None,
                };
            }),
            2 => self.scene.edit("an agent's team", |plan| {
                let agents = &mut plan.accounts[0].agents;
                let count = agents.len();
                let agent = &mut agents[one % count];
                agent.team = if agent.team == "front" {
                    "back"
                } else {
                    "front"
                }
                .to_owned();
            }),
            3 => self.scene.edit("a hook is renamed", |plan| {
                let count = plan.hooks.len();
                let hook = &mut plan.hooks[one % count];
                let old = std::mem::replace(&mut hook.name, format!("hook-{fresh}"));
                let new = hook.name.clone();
                let lists = plan.budgets.iter_mut().map(|budget| &mut budget.hooks);
                let lists = lists.chain(plan.rules.iter_mut().map(|rule| &mut rule.hooks));
                for name in lists.flatten().filter(|name| **name == old) {
                    name.clone_from(&new);
                }
            }),
            4 => self.scene.edit("a rule's hooks", |plan| {
                let hook = plan.hooks[two % plan.hooks.len()].name.clone();
                let count = plan.rules.len() + plan.budgets.len();
                let place = one % count;
                let hooks = if place < plan.rules.len() {
                    &mut plan.rules[place].hooks
                } else {
                    &mut plan.budgets[place - plan.rules.len()].hooks
                };
                if hooks.contains(&hook) {
                    hooks.retain(|name| *name != hook);
                } else {
                    hooks.push(hook);
                }
            }),
            5 => self
                .scene
                .edit("a rule is removed, or all are back", |plan| {
                    if plan.rules.len() > 4 {
                        plan.rules.remove(one % plan.rules.len());
                    } else {
                        let all = rules();
                        let missing = all
                            .into_iter()
                            .filter(|rule| !plan.rules.iter().any(|known| known.name == rule.name));
                        let missing: Vec<Rule> = missing
                            .map(|mut rule| {
                                rule.hooks.retain(|name| plan.hook(name).is_some());
                                rule
                            })
                            .collect();
                        plan.rules.extend(missing);
                    }
                }),
            6 => self.scene.edit("thresholds", |plan| {
                let count = plan.budgets.len();
                let sets = [
                    vec![0.5, 0.8, 1.0],
                    vec![0.8, 1.0],
                    vec![0.3, 0.6, 0.9, 1.0, 1.2],
                ];
                plan.budgets[one % count].used = sets[two % 3].clone();
            }),
            7 => self.scene.edit("an agent comes or goes", |plan| {
                let agents = &mut plan.accounts[2].agents;
                if agents.len() > 2 {
                    agents.remove(one % agents.len());
                } else {
                    let known = |id: u32| agents.iter().any(|agent| agent.id.0 == id);
                    let id = (8..11).find(|id| !known(*id)).unwrap();
                    agents.push(agent(id, "back"));
                }
            }),
            _ => self.scene.edit("a hook is added, or goes", |plan| {
                if plan.hooks.len() > 4 {
                    let hook = plan.hooks.pop().unwrap();
                    let lists = plan.budgets.iter_mut().map(|budget| &mut budget.hooks);
                    let lists = lists.chain(plan.rules.iter_mut().map(|rule| &mut rule.hooks));
                    lists.for_each(|hooks| hooks.retain(|name| *name != hook.name));
                } else {
                    let name = format!("hook-{fresh}");
                    plan.hooks.push(hook(&name, &format!("target-{fresh}")));
                    plan.budgets[0].hooks.push(name.clone());
                    plan.rules[0].hooks.push(name);
                }
            }),
        }
    }

    fn outcome(self, seed: u64) -> Outcome {
        let Self { scene, .. } = self;
        let failure = (!scene.failures.is_empty()).then(|| {
            let from = scene.log.len().saturating_sub(60);
            let log = scene.log[from..].join("\n");
            let failures: Vec<&str> = scene
                .failures
                .iter()
                .take(MOST_SHOWN)
                .map(String::as_str)
                .collect();
            format!("seed {seed}:\n{}\nbefore that:\n{log}", failures.join("\n"))
        });
        Outcome {
            agent_years: self.agent_days / 365.25,
            messages: scene.office.floor().messages,
            restarts: scene.restarts,
            failure,
        }
    }
}

fn agent(id: u32, team: &str) -> Agent {
    Agent {
        id: AgentId(id),
        name: format!("agent-{id}"),
        team: team.to_owned(),
    }
}

fn hook(name: &str, target: &str) -> Hook {
    Hook {
        name: name.to_owned(),
        target: target.to_owned(),
        send_resolved: true,
        group: false,
        quiet: None,
    }
}

fn rules() -> Vec<Rule> {
    let rule = |name: &str, check, hooks: &[&str]| Rule {
        name: name.to_owned(),
        matcher: Matcher::default(),
        check,
        hooks: hooks.iter().map(|hook| (*hook).to_owned()).collect(),
    };
    vec![
        rule(
            "busy-day",
            Check::Day {
                over: 150.0,
                hysteresis: 0.2,
            },
            &["pager", "bills"],
        ),
        rule(
            "busy-week",
            Check::Week {
                over: 1_300.0,
                hysteresis: 0.1,
            },
            &["pager", "chat"],
        ),
        rule(
            "spike",
            Check::Spike {
                factor: 3.0,
                floor: 20.0,
            },
            &["pager", "night"],
        ),
        rule("stale", Check::Missing { hours: 30 }, &["pager", "chat"]),
        rule("keys", Check::Key, &["pager", "chat", "night"]),
        rule("agents", Check::Agent, &["pager"]),
    ]
}

fn plan(random: &mut Rng, first: Day) -> Plan {
    let account = |name: &str, team: &str, discover, agents: Vec<Agent>| Account {
        name: name.to_owned(),
        organisation: name.to_owned(),
        team: team.to_owned(),
        discover,
        agents,
    };
    let budget = |name: &str,
                  team: Option<&str>,
                  credits: f64,
                  cycle,
                  used: &[f64],
                  forecast: &[f64],
                  hooks: &[&str]| Budget {
        name: name.to_owned(),
        matcher: Matcher {
            account: None,
            team: team.map(str::to_owned),
        },
        credits: credits.round(),
        cycle,
        used: used.to_vec(),
        forecast: forecast.to_vec(),
        hooks: hooks.iter().map(|hook| (*hook).to_owned()).collect(),
    };
    let size = 0.6 + 0.8 * random.f64();
    let anchor = [1, 15, 31][random.usize(..3)];
    let mut night = hook("night", "night");
    night.quiet = Some((22, 7));
    let mut bills = hook("bills", "bills");
    bills.send_resolved = false;
    let mut chat = hook("chat", "chat");
    chat.group = true;
    Plan {
        history_start: first.plus(-HISTORY_DAYS),
        accounts: vec![
            account(
                "acme",
                "front",
                false,
                (0..4).map(|id| agent(id, "front")).collect(),
            ),
            account("globex", "back", true, Vec::new()),
            account(
                "umbra",
                "back",
                false,
                (8..11).map(|id| agent(id, "back")).collect(),
            ),
        ],
        budgets: vec![
            budget(
                "all-month",
                None,
                14_000.0 * size,
                Cycle::Month(anchor),
                &[0.5, 0.8, 0.9, 1.0],
                &[0.8, 1.0],
                &["pager", "chat", "night"],
            ),
            budget(
                "front-week",
                Some("front"),
                1_200.0 * size,
                Cycle::Week,
                &[0.8, 1.0],
                &[1.0],
                &["pager", "bills"],
            ),
            budget(
                "back-day",
                Some("back"),
                350.0 * size,
                Cycle::Day,
                &[1.0, 2.0],
                &[],
                &["chat"],
            ),
            budget(
                "ever",
                None,
                120_000.0 * size,
                Cycle::Total(first.plus(-30)),
                &[0.1, 0.3, 0.6, 0.9],
                &[],
                &["night", "pager"],
            ),
        ],
        rules: rules(),
        hooks: vec![hook("pager", "pager"), chat, night, bills],
    }
}
