//! Years of random usage, revisions, outages, restarts and changes of the config. Whatever comes, each
//! threshold is told once in its period, fires for as long as that is the current one and it is reached,
//! nothing fires or ends without a reason, and those who were told of a beginning are told of one end.
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

/// Those of the budget.
const THRESHOLDS: [Threshold; 5] = [
    threshold(Measure::Used, 0.5, Severity::Warning),
    threshold(Measure::Used, 0.8, Severity::Critical),
    threshold(Measure::Used, 1.0, Severity::Warning),
    threshold(Measure::Forecast, 0.9, Severity::Info),
    threshold(Measure::Forecast, 1.0, Severity::Warning),
];

const fn threshold(measure: Measure, ratio: f64, severity: Severity) -> Threshold {
    Threshold {
        measure,
        ratio,
        severity,
    }
}

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
    /// Whether the budget is in the config.
    has_budget: bool,
}

/// What was seen of an alert.
#[derive(Default)]
struct Life {
    /// When it last fired, and whether that was told.
    firing: Option<(DateTime<Utc>, bool)>,
    /// The limit's changes at which it fired, since the budget was last gone.
    fired: BTreeSet<u32>,
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
            has_budget: true,
        }
    }

    fn settings(&self) -> Settings {
        let mut rules = vec![
            rule("heavy", usage_rule(Span::PreviousDay, Per::Agent)),
            rule("stale", MISSING),
        ];
        if self.has_budget {
            let budget = budget("cx", self.cycle, self.limit_credits, &THRESHOLDS);
            rules.push(budget);
        }
        settings(rules)
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
        if random.u16(..if self.has_budget { 300 } else { 5 }) == 0 {
            self.has_budget = !self.has_budget;
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

    fn is_current(&self, facts: &Facts, key: &AlertKey) -> bool {
        let current = self.period_of(facts.today.previous());
        key.period == Some(current.start)
    }

    /// Whether there is a reason for this alert, which fired at `fired`, to end.
    fn is_over(&self, facts: &Facts, key: &AlertKey, fired: DateTime<Utc>) -> bool {
        let agent = &facts.agents[0];
        match &*key.rule {
            "heavy" => agent
                .previous_day_credits
                .is_some_and(|credits| credits <= 900.0),
            "stale" => agent.missing_since.is_none(),
            _ if !self.has_budget => true,
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
    let mut began = Vec::new();
    for Alert { key, state, .. } in &step.changed {
        let life = lives.entry(key.clone()).or_default();
        let told = told.remove(key);
        match state {
            AlertState::Pending => assert_eq!(told, None, "{key:?}"),
            AlertState::Firing => {
                assert!(world.is_met(facts, key), "no reason to fire: {key:?}");
                assert!(life.firing.is_none(), "it fires already: {key:?}");
                life.firing = Some((world.now, told == Some(Status::Firing)));
                if key.period.is_none() {
                    assert_eq!(told, Some(Status::Firing), "{key:?}");
                } else if life.fired.insert(world.limit_changes) {
                    began.push(key);
                } else {
                    assert_eq!(told, None, "it was told before: {key:?}");
                    assert!(world.is_current(facts, key), "it was over: {key:?}");
                }
            }
            AlertState::Resolved => {
                let (fired, was_told) = life.firing.take().expect("it fired");
                assert!(
                    world.is_over(facts, key, fired),
                    "no reason to end: {key:?}"
                );
                assert_eq!(told == Some(Status::Resolved), was_told, "{key:?}");
                if !world.has_budget {
                    life.fired.clear();
                }
            }
        }
    }
    assert!(told.is_empty(), "told without a change: {told:?}");
    for key in began {
        assert_known(key, step, lives);
    }
    if world.has_budget {
        assert_true(world, facts, lives);
    }
    let mut periods = BTreeSet::new();
    for told in &step.told {
        let fires = told.notice.status == Status::Firing && told.key.period.is_some();
        assert!(
            !fires || periods.insert(told.key.period),
            "two of one period"
        );
    }
}

/// Who was not told that this threshold of the budget is reached was told of one that is as bad.
fn assert_known(key: &AlertKey, step: &Step, lives: &HashMap<AlertKey, Life>) {
    let is_told = step.told.iter().any(|told| told.key == *key);
    let others = lives.iter().filter(|(other, life)| {
        life.firing.is_some() && other.period == key.period && *other != key
    });
    let worst = others.map(|(other, _)| severity(other)).max();
    let is_worst = worst.is_none_or(|worst| severity(key) > worst);
    assert!(is_told || !is_worst, "nobody knows of {key:?}");
}

/// Every threshold that is reached in the current period fires.
fn assert_true(world: &World, facts: &Facts, lives: &HashMap<AlertKey, Life>) {
    let current = world.period_of(facts.today.previous());
    for threshold in THRESHOLDS {
        let key = AlertKey {
            rule: "cx".into(),
            subject: "all".into(),
            period: Some(current.start),
            threshold: threshold.to_string().into(),
        };
        // What was expected of days that are over makes nothing begin.
        let is_past = threshold.measure == Measure::Forecast
            && current.end.is_some_and(|end| end <= facts.today);
        let fires = lives.get(&key).is_some_and(|life| life.firing.is_some());
        let is_met = world.is_met(facts, &key);
        assert!(fires || is_past || !is_met, "it is reached: {key:?}");
    }
}

/// How bad it is that this threshold of the budget is reached.
fn severity(key: &AlertKey) -> Severity {
    let mut thresholds = THRESHOLDS.iter();
    let threshold = thresholds.find(|threshold| *threshold.to_string() == *key.threshold);
    threshold.unwrap().severity
}

#[test]
fn whatever_comes_each_threshold_is_told_once_and_what_fires_ends_once() {
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
