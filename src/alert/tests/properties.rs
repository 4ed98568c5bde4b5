//! Years of random usage, revisions, outages, restarts and changes of the limit. Whatever comes, each
//! threshold fires once in its period, nothing fires or ends without a reason, and those who were told of
//! a beginning are told of one end.
//!
//! Each case is drawn from its number as a seed, so that a failure names the one number that repeats it.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use fastrand::Rng;

use super::*;
use crate::alert::machine::Told;
use crate::ledger::{Alert, AlertKey};

const START: &str = "2026-01-01";
const DAYS: i32 = 400;
const CASES: u64 = 16;

/// What happens to one agent, its budget and its rules.
struct World {
    random: Rng,
    cycle: Cycle,
    agent: Member,
    now: DateTime<Utc>,
    known: BTreeMap<Day, f64>,
    /// Until when FlowGent does not answer.
    outage_until: DateTime<Utc>,
    limit_credits: f64,
    /// How often the limit has changed.
    limit_changes: u32,
}

/// What was seen of an alert.
#[derive(Default)]
struct Life {
    /// When it last fired, and whether that was told.
    firing: Option<(DateTime<Utc>, bool)>,
    /// The limit's changes at which it fired.
    fired: Vec<u32>,
}

impl World {
    fn new(case: u64, agent: Member) -> Self {
        let mut random = Rng::with_seed(case);
        let cycles = [MONTH, Cycle::Week, Cycle::Day];
        let now = day(START).start();
        Self {
            cycle: cycles[random.usize(..cycles.len())],
            random,
            agent,
            now,
            known: BTreeMap::new(),
            outage_until: now,
            limit_credits: 0.0,
            limit_changes: 0,
        }
    }

    fn settings(&self) -> Settings {
        let thresholds = [
            used(0.5),
            used(0.8),
            used(1.0),
            expected(0.9),
            expected(1.0),
        ];
        settings(vec![
            budget("cx", self.cycle, self.limit_credits, &thresholds),
            rule("heavy", usage_rule(Span::PreviousDay, Per::Agent)),
            rule("stale", MISSING),
        ])
    }

    /// Lets some time pass, in which something may happen.
    fn go_on(&mut self) {
        let random = &mut self.random;
        self.now += TimeDelta::minutes(random.i64(1..900));
        if random.u8(..) < 2 {
            self.outage_until = self.now + TimeDelta::hours(random.i64(1..100));
        }
        let today = Day::of(self.now);
        if self.now >= self.outage_until {
            for day in today.plus(-20).max(day(START)).through(today.previous()) {
                let is_late = random.u8(..) < 40;
                if !self.known.contains_key(&day) && !is_late {
                    self.known.insert(day, random.f64() * 1_500.0);
                }
            }
            let revised = today.plus(-random.i32(1..10));
            if let Some(credits) = self.known.get_mut(&revised).filter(|_| random.u8(..) < 30) {
                *credits *= random.f64() * 2.0;
            }
        }
        if self.limit_credits == 0.0 || random.u16(..400) == 0 {
            let days = match self.cycle {
                Cycle::Day => 1.0,
                Cycle::Week => 7.0,
                _ => 30.0,
            };
            self.limit_credits = days * (500.0 + 500.0 * random.f64());
            self.limit_changes += 1;
        }
    }

    fn period_of(&self, day: Day) -> Period {
        let (start, end) = match self.cycle {
            Cycle::Day => (day, day.next()),
            Cycle::Week => {
                let start = day.plus(-(day.number() + 3).rem_euclid(7));
                (start, start.plus(7))
            }
            _ => (day.month_start(), day.month_start().plus(31).month_start()),
        };
        let end = Some(end);
        Period { start, end }
    }

    fn standing(&self, period: Period, today: Day) -> Standing {
        let end = period.end.unwrap();
        let passed = period
            .start
            .max(day(START))
            .through(today.min(end).previous());
        let known: Vec<f64> = passed
            .clone()
            .filter_map(|day| self.known.get(&day).copied())
            .collect();
        let missing = passed.count() - known.len();
        let credits: f64 = known.iter().sum();
        let recent: Vec<f64> = self
            .known
            .range(today.plus(-28)..)
            .map(|(_, credits)| *credits)
            .collect();
        let mean = recent.iter().sum::<f64>() / recent.len().max(1) as f64;
        let to_come = missing as f64 + f64::from(end.since(today).max(0));
        Standing {
            period,
            limit_credits: self.limit_credits,
            used_credits: (!known.is_empty() || missing == 0).then_some(credits),
            missing_days: missing as u32,
            forecast: (recent.len() >= 3).then(|| forecast(credits + mean * to_come).unwrap()),
            ..november(0.0)
        }
    }

    fn facts(&self) -> Facts {
        let today = Day::of(self.now);
        let mut periods = vec![self.period_of(today.previous())];
        while let Some(newest) = periods.first() {
            let before = self.period_of(newest.start.previous());
            if today.since(before.end.unwrap()) > 7 || before.start < day(START) {
                break;
            }
            periods.insert(0, before);
        }
        let standings = periods
            .into_iter()
            .map(|period| self.standing(period, today));
        let missing = |day: &Day| !self.known.contains_key(day);
        let mut agent = AgentFacts::unread(&self.agent);
        agent.previous_day_credits = self.known.get(&today.previous()).copied();
        agent.missing_since = day(START).through(today.previous()).find(missing);
        let mut facts = facts(&today.to_string());
        facts.budgets.insert("cx".into(), standings.collect());
        facts.watched_from.insert("stale".into(), day(START));
        facts.agents.push(agent);
        facts
    }

    /// Whether there is a reason for this alert to fire.
    fn is_met(&self, facts: &Facts, key: &AlertKey) -> bool {
        let agent = &facts.agents[0];
        match &*key.rule {
            "heavy" => agent
                .previous_day_credits
                .is_some_and(|credits| credits > 1_000.0),
            "stale" => agent
                .missing_since
                .is_some_and(|day| self.now - day.end() > TimeDelta::hours(6)),
            _ => {
                let standing = self.standing(self.period_of(key.period.unwrap()), facts.today);
                let (measure, ratio) = key.threshold.split_once(' ').unwrap();
                let reached =
                    |credits: f64| credits >= ratio.parse::<f64>().unwrap() * self.limit_credits;
                match measure {
                    "used" => standing.used_credits.is_some_and(reached),
                    _ => standing
                        .forecast
                        .is_some_and(|forecast| reached(forecast.expected_credits)),
                }
            }
        }
    }

    /// Whether there is a reason for this alert, which fired at `fired`, to end.
    fn is_over(&self, facts: &Facts, key: &AlertKey, fired: DateTime<Utc>) -> bool {
        let agent = &facts.agents[0];
        match &*key.rule {
            "heavy" => agent
                .previous_day_credits
                .is_some_and(|credits| credits <= 900.0),
            "stale" => agent.missing_since.is_none(),
            _ => {
                let current = self.period_of(facts.today.previous());
                let has_passed = key.period.unwrap() < current.start;
                let standing = self.standing(self.period_of(key.period.unwrap()), facts.today);
                let is_known = standing.missing_days == 0 || key.threshold.starts_with("forecast");
                has_passed && self.now - fired >= TimeDelta::hours(24)
                    || is_known && !self.is_met(facts, key)
            }
        }
    }
}

/// Holds one evaluation against what there was a reason for.
fn check(world: &World, facts: &Facts, step: &Step, lives: &mut HashMap<AlertKey, Life>) {
    let mut told: HashMap<&AlertKey, Status> = HashMap::new();
    for notice in &step.told {
        let twice = told.insert(&notice.key, notice.notice.status);
        assert_eq!(twice, None, "told twice: {:?}", notice.key);
    }
    for Alert { key, state, .. } in &step.changed {
        let life = lives.entry(key.clone()).or_default();
        let told = told.remove(key);
        match state {
            AlertState::Pending => assert_eq!(told, None, "{key:?}"),
            AlertState::Firing => {
                assert!(world.is_met(facts, key), "no reason to fire: {key:?}");
                assert!(life.firing.is_none(), "it fires already: {key:?}");
                life.firing = Some((world.now, told == Some(Status::Firing)));
                let before = life.fired.contains(&world.limit_changes);
                assert!(
                    key.period.is_none() || !before,
                    "it has fired before: {key:?}"
                );
                life.fired.push(world.limit_changes);
            }
            AlertState::Resolved => {
                let (fired, was_told) = life.firing.take().expect("it fired");
                assert!(
                    world.is_over(facts, key, fired),
                    "no reason to end: {key:?}"
                );
                assert_eq!(told == Some(Status::Resolved), was_told, "{key:?}");
            }
        }
    }
    assert!(told.is_empty(), "told without a change: {told:?}");
    let mut periods = BTreeSet::new();
    for told in &step.told {
        let fires = told.notice.status == Status::Firing && told.key.period.is_some();
        assert!(
            !fires || periods.insert(told.key.period),
            "two of one period"
        );
    }
}

#[test]
fn whatever_comes_each_threshold_fires_once_and_what_fires_ends_once() {
    let agent = members(&[("acme", "support")])[0].clone();
    let (mut fired, mut ended) = (0, 0);
    for case in 0..CASES {
        let mut world = World::new(case, agent.clone());
        let mut stage = Stage::new(world.settings());
        let mut lives = HashMap::new();
        let end = day(START).plus(DAYS).start();
        while world.now < end {
            world.go_on();
            stage.settings = world.settings();
            if world.random.u8(..10) == 0 {
                stage.restart();
            }
            let facts = world.facts();
            let step = stage.step(&facts, world.now);
            check(&world, &facts, &step, &mut lives);
            let fires = |told: &&Told| told.notice.status == Status::Firing;
            fired += step.told.iter().filter(fires).count();
            ended += step.told.iter().filter(|told| !fires(told)).count();
            if world.random.u8(..10) == 0 {
                let again = stage.step(&facts, world.now);
                let is_nothing = again.changed.is_empty() && again.told.is_empty();
                assert!(is_nothing, "case {case}: told twice");
            }
        }
        // In the end nobody watches any more.
        stage.settings.rules.clear();
        let step = stage.step(&world.facts(), world.now);
        let told: BTreeSet<_> = step.told.iter().map(|told| told.key.clone()).collect();
        let open = lives
            .into_iter()
            .filter(|(_, life)| life.firing.is_some_and(|(_, told)| told));
        assert_eq!(told, open.map(|(key, _)| key).collect(), "case {case}");
        ended += told.len();
    }
    assert_eq!(fired, ended);
    assert!(fired > 1_000, "only {fired} alerts fired");
}
