//! Years of random usage, revisions, outages, restarts and changes of the config. Whatever comes, an
//! alert fires exactly while its threshold is reached, within the hysteresis, and the last word that a
//! hook has of it is true.
//!
//! Each case is drawn from its number as a seed, so that a failure names the one number that repeats it.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use fastrand::Rng;

use super::*;
use crate::ledger::AlertKey;

const START: &str = "2026-01-01";
const DAYS: i32 = 400;
const CASES: u64 = 16;

/// Those of the budget, from the one that covers all others on.
const THRESHOLDS: [f64; 3] = [1.0, 0.8, 0.5];

/// The use of one agent, and its budget by weeks.
struct World {
    random: Rng,
    now: DateTime<Utc>,
    known: BTreeMap<Day, f64>,
    /// Until when FlowGent does not answer.
    outage_until: DateTime<Utc>,
    limit_credits: f64,
    /// True if the budget is in the config, and notifies the hook.
    has_budget: bool,
    has_hook: bool,
    /// The past periods that are looked at, and since when their end is known.
    open: Vec<(Day, DateTime<Utc>)>,
    current: Day,
}

impl World {
    fn new(case: u64) -> Self {
        let now = day(START).start();
        Self {
            random: Rng::with_seed(case),
            now,
            known: BTreeMap::new(),
            outage_until: now,
            limit_credits: 4_000.0,
            has_budget: true,
            has_hook: true,
            open: Vec::new(),
            current: week(day(START).previous()),
        }
    }

    fn settings(&self) -> Settings {
        let thresholds = THRESHOLDS.map(used);
        let mut rule = budget("cx", Cycle::Week, self.limit_credits, &thresholds);
        if !self.has_hook {
            rule.hooks.clear();
        }
        settings(if self.has_budget {
            vec![rule]
        } else {
            Vec::new()
        })
    }

    /// Lets some time pass, in which something may happen.
    fn go_on(&mut self) {
        let random = &mut self.random;
        self.now += TimeDelta::minutes(random.i64(1..900));
        if random.u8(..) < 2 {
            self.outage_until = self.now + TimeDelta::hours(random.i64(1..300));
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
            if let Some(credits) = self.known.get_mut(&revised).filter(|_| random.u8(..) < 60) {
                *credits *= random.f64() * 2.0;
            }
        }
        if random.u16(..400) == 0 {
            self.limit_credits = 2_000.0 + 5_000.0 * random.f64();
        }
        if random.u16(..if self.has_budget { 300 } else { 5 }) == 0 {
            self.has_budget = !self.has_budget;
        }
        if random.u16(..if self.has_hook { 200 } else { 5 }) == 0 {
            self.has_hook = !self.has_hook;
        }
        let current = week(today.previous());
        if current != self.current {
            self.open.push((self.current, self.now));
            self.current = current;
        }
        let now = self.now;
        self.open
            .retain(|(_, since)| *since + TimeDelta::days(7) > now);
    }

    /// Credits of the week that begins then, and how many of its days that have passed are not known.
    fn used(&self, start: Day) -> (f64, u32) {
        let end = start.plus(7).min(Day::of(self.now));
        let passed: Vec<Day> = start.max(day(START)).through(end.previous()).collect();
        let known = passed.iter().filter_map(|day| self.known.get(day));
        let missing = passed.len() - known.clone().count();
        (known.sum(), missing as u32)
    }

    fn facts(&self) -> Facts {
        let mut facts = facts(&Day::of(self.now).to_string());
        let open = self
            .open
            .iter()
            .map(|(start, since)| (*start, Some(*since)));
        let periods = open.chain([(self.current, None)]);
        let periods = periods.map(|(start, over_since)| {
            let (credits, missing_days) = self.used(start);
            let standing = Standing {
                period: Period {
                    start,
                    end: Some(start.plus(7)),
                },
                limit_credits: self.limit_credits,
                missing_days,
                ..november(credits)
            };
            PeriodFacts {
                subject: "all".into(),
                agent: None,
                standing,
                over_since,
            }
        });
        if self.has_budget {
            facts.budgets.insert("cx".into(), periods.collect());
        }
        facts
    }
}

/// The Monday of the week that `day` lies in.
fn week(day: Day) -> Day {
    day.plus(-(day.number() + 3).rem_euclid(7))
}

fn key(start: Day, ratio: f64) -> AlertKey {
    AlertKey {
        rule: "cx".into(),
        subject: "all".into(),
        period: Some(start),
        threshold: used(ratio).to_string().into(),
    }
}

/// Alerts that an observer expects to fire, who knows nothing of how the program decides.
#[derive(Default)]
struct Oracle {
    /// Start of each alert that fires.
    firing: BTreeMap<AlertKey, DateTime<Utc>>,
    /// Alerts that the end of their period has ended.
    closed: BTreeSet<AlertKey>,
}

impl Oracle {
    fn look(&mut self, world: &World) {
        if !world.has_budget {
            self.firing.clear();
            return;
        }
        let open = world.open.iter().map(|(start, _)| *start);
        let observed: Vec<Day> = open.clone().chain([world.current]).collect();
        self.firing
            .retain(|key, _| observed.contains(&key.period.unwrap()));
        for start in &observed {
            let (credits, missing_days) = world.used(*start);
            for ratio in THRESHOLDS {
                let (key, limit) = (key(*start, ratio), ratio * world.limit_credits);
                if credits >= limit && !self.closed.contains(&key) {
                    self.firing.entry(key).or_insert(world.now);
                } else if missing_days == 0 && credits < 0.95 * limit {
                    self.firing.remove(&key);
                }
            }
        }
        for start in open.filter(|start| world.used(*start).1 == 0) {
            for key in THRESHOLDS.map(|ratio| key(start, ratio)) {
                let fired = self.firing.get(&key);
                if fired.is_some_and(|at| world.now - *at >= TimeDelta::hours(24)) {
                    self.firing.remove(&key);
                    self.closed.insert(key);
                }
            }
        }
    }
}

#[test]
fn whatever_comes_what_is_reached_fires_and_the_last_word_is_true() {
    let (mut fired, mut ended) = (0, 0);
    for case in 0..CASES {
        let mut world = World::new(case);
        let mut stage = Stage::new(world.settings());
        let mut oracle = Oracle::default();
        let mut last_words: BTreeMap<AlertKey, Status> = BTreeMap::new();
        let end = day(START).plus(DAYS).start();
        while world.now < end {
            world.go_on();
            stage.settings = world.settings();
            if world.random.u8(..10) == 0 {
                stage.restart();
            }
            let facts = world.facts();
            oracle.look(&world);
            let step = stage.step(&facts, world.now);
            for told in &step.told {
                let before = last_words.insert(told.key.clone(), told.notice.status);
                assert_ne!(
                    before,
                    Some(told.notice.status),
                    "case {case}: {:?}",
                    told.key
                );
                match told.notice.status {
                    Status::Firing => fired += 1,
                    Status::Resolved => ended += 1,
                }
            }
            let alerts = stage.memory.alerts.values();
            let firing: BTreeSet<_> = alerts
                .filter(|alert| alert.state == AlertState::Firing)
                .map(|alert| alert.key.clone())
                .collect();
            let now = world.now;
            assert!(
                firing.iter().eq(oracle.firing.keys()),
                "case {case} at {now}: {firing:?}"
            );
            for (key, last) in &last_words {
                let is_true = (*last == Status::Firing) <= (firing.contains(key) && world.has_hook);
                assert!(is_true, "case {case} at {now}: {key:?}");
            }
            for start in firing
                .iter()
                .filter_map(|key| key.period)
                .collect::<BTreeSet<_>>()
            {
                let keys = THRESHOLDS.map(|ratio| key(start, ratio));
                let highest = keys.iter().find(|key| firing.contains(key)).unwrap();
                let is_told = last_words.get(highest) == Some(&Status::Firing);
                assert_eq!(is_told, world.has_hook, "case {case} at {now}: {highest:?}");
            }
            let again = stage.step(&facts, world.now);
            let is_nothing = again.changed.is_empty() && again.told.is_empty();
            assert!(is_nothing, "case {case} at {now}: told twice");
        }
    }
    assert!(fired > 1_000 && ended > 1_000, "only {fired} and {ended}");
}
