//! A year that is drawn from a seed: one day after the other, and what is used on each.

use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;
use flowgent_exporter::day::Day;
use flowgent_exporter::flowgent::transport::HttpClient;

use super::entries::balances;
use super::first;
use super::flowgent::Organisation;
use super::lulls::Lulls;
use super::plan::AgentId;
use super::scene::Scene;
use super::trouble::{Ending, Trouble};

/// Days before the first start that the exporter is to know.
pub(crate) const HISTORY_DAYS: i32 = 70;
/// Days without trouble in the end, after which the ledger must be true.
const QUIET_DAYS: i32 = 8;
/// How many failures are shown.
const MOST_SHOWN: usize = 400;
/// The first identifier of those of whom only days go wrong, and seldom.
const CROWD: u32 = 10_000;
/// How many agents there are at first.
pub(crate) const AGENTS: u32 = 15;

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
    pub(crate) scene: Scene,
    pub(crate) random: Rng,
    /// Draws what happens to balances, so that all else goes as it does without them.
    pub(crate) books: Rng,
    /// Draws what is silenced.
    pub(crate) hushes: Rng,
    /// Draws what agents reply.
    pub(crate) talk: Rng,
    /// Draws which agents are used less for a while.
    lulls: Lulls,
    pub(crate) trouble: Trouble,
    pub(crate) first: Day,
    /// What ends by itself: when, and what.
    pub(crate) endings: Vec<(DateTime<Utc>, Ending)>,
    pub(crate) next_agent: u32,
    pub(crate) next_name: u32,
    /// Off until then.
    pub(crate) off_until: Option<DateTime<Utc>>,
    pub(crate) is_quiet: bool,
    agent_days: f64,
}

/// Lives through `days` days, or until as much is wrong as `patience` bears. `crowd` agents of whom only
/// days go wrong, and seldom, are there beside the others.
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
        year.scene.push();
        year.scene.check_pushed(year.first.plus(-HISTORY_DAYS));
    }
    year.outcome(seed)
}

impl Year {
    fn new(seed: u64, trouble: Trouble, http: &HttpClient) -> Self {
        let mut random = Rng::with_seed(seed);
        let base: Day = "2025-12-01".parse().unwrap();
        let first = base.plus(random.i32(0..60));
        let mut books = Rng::with_seed(!seed);
        let mut plan = first::plan(&mut random, first, HISTORY_DAYS);
        if trouble.balances {
            plan.balances = balances(&mut books, first);
            plan.has_summary = true;
        }
        if trouble.limits {
            plan.budgets.extend(first::limits(&mut books));
        }
        if trouble.directions {
            plan.rules.extend(first::directions());
            plan.usual_rules.extend(first::directions());
        }
        if trouble.probes {
            plan.probe();
        }
        if trouble.repeats {
            plan.repeat();
        }
        let scene = Scene::new(plan, first.start() + TimeDelta::hours(10), http);
        let mut year = Self {
            scene,
            random,
            books,
            hushes: Rng::with_seed(seed.rotate_left(31)),
            talk: Rng::with_seed(seed.rotate_left(43)),
            lulls: Lulls::new(seed),
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
        let organisations = ["acme", "globex", "umbra", "initech"];
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
            self.list("initech", AgentId(11 + number), format!("filed-{number}"));
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

    pub(crate) fn list(&mut self, organisation: &str, id: AgentId, name: String) {
        let mut state = self.scene.flowgent.state();
        state.organisation(organisation).listed.push((id, name));
    }

    /// What the agent uses on a day.
    fn use_up(&mut self, id: AgentId, day: Day) -> f64 {
        let size = if id.0 < CROWD {
            f64::from(8 + (id.0 * 37) % 90)
        } else {
            // All of the crowd together use about as much as one of the others.
            0.25
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

    pub(crate) fn chance(&mut self, percent: f64) -> bool {
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
        moments.extend(self.probe_times());
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

    pub(crate) fn moment(&mut self, _: TimeDelta) {
        if self.off_until.is_some_and(|until| self.scene.now >= until) {
            self.off_until = None;
        }
        if self.scene.process.is_none() && self.off_until.is_none() {
            self.scene.start();
        }
        self.draw_replies();
        self.draw_faults();
        self.draw_writes();
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
            if self.trouble.directions {
                credits = self.lulls.lessen(id, day, credits);
            }
            if self.trouble.directions || self.trouble.probes {
                let mut state = self.scene.flowgent.state();
                credits += state.talk.used.remove(&(id, day)).unwrap_or(0.0);
                state.set(id, day, credits);
            }
            if self.trouble.days && self.chance(1.2) {
                credits *= 6.0;
                self.scene.flowgent.state().set(id, day, credits);
            }
            if !self.trouble.days {
                continue;
            }
            // The crowd is quiet: it is there for its number.
            let share = if id.0 < CROWD { 1.0 } else { 0.1 };
            let hours = |random: &mut Rng, least: i64, most: i64| {
                day.end() + TimeDelta::minutes(random.i64(least * 60..most * 60))
            };
            if self.chance(5.0 * share) {
                let until = hours(&mut self.random, 1, 68);
                self.scene.flowgent.state().hide(id, day, until);
            } else if self.chance(0.7 * share) {
                let until = hours(&mut self.random, 70, 300);
                self.scene.flowgent.state().hide(id, day, until);
                continue;
            }
            if self.chance(5.0 * share) {
                let wrong =
                    (credits * [0.0, 0.8, 12.0, 36.0][self.random.usize(..4)]).round() / 4.0;
                let until = hours(&mut self.random, 12, 66);
                self.scene.flowgent.state().miscount(id, day, wrong, until);
            }
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
