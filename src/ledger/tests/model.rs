//! Random histories against a model that keeps every day in a map and computes all else from it.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::window::{Coverage, KnownDay};

#[derive(Debug, Clone)]
enum Op {
    /// An answer for one of two agents: how many days before yesterday it ends, and the credits of
    /// its days, absent where a day is late.
    Commit(usize, i32, Vec<Option<f64>>),
    Fail(usize),
    /// Days pass; a negative number is a clock that was set back.
    Advance(i32),
    Configure(i32, i32),
    Reopen,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    // Tenths, so that sums in another order would differ in their last digits. Few days and windows
    // near their end, so that frontier and watermark meet holes and unsettled days all the time.
    let credits = prop::option::weighted(0.9, (0..4).prop_map(|tenths| f64::from(tenths) / 10.0));
    let commit = (0..2_usize, 0..5_i32, prop::collection::vec(credits, 1..=9));
    let op = prop_oneof![
        12 => commit.prop_map(|(agent, age, credits)| Op::Commit(agent, age, credits)),
        1 => (0..2_usize).prop_map(Op::Fail),
        5 => (-1..3_i32).prop_map(Op::Advance),
        1 => (0..4_i32, 0..5_i32).prop_map(|(start, settle)| Op::Configure(start, settle)),
        1 => Just(Op::Reopen),
    ];
    prop::collection::vec(op, 1..40)
}

#[derive(Debug, Default)]
struct Model {
    days: BTreeMap<Day, (f64, Day)>,
    /// Days that the last answer about them left out, and when that came.
    left_out: BTreeMap<Day, Day>,
    revisions: Vec<Revision>,
    high_water: Option<f64>,
    last_success: Option<DateTime<Utc>>,
    last_failure: Option<DateTime<Utc>>,
}

impl Model {
    fn commit(&mut self, fetched: &Fetched, policy: Policy) -> Committed {
        let today = Day::of(fetched.at);
        let mut committed = Committed::default();
        for day in fetched.window.days() {
            self.left_out.remove(&day);
            if !fetched.rows.iter().any(|usage| usage.day == day) {
                self.left_out.insert(day, today);
            }
        }
        for usage in fetched.rows.iter().rev() {
            let Some((credits, seen)) = self.days.get_mut(&usage.day) else {
                self.days.insert(usage.day, (usage.credits, today));
                committed.inserted.push(usage.day);
                continue;
            };
            let settled = seen.since(usage.day) > policy.settle_days;
            if *credits == usage.credits {
                committed.confirmed += 1;
            } else {
                let number = self.revisions.iter().filter(|r| r.day == usage.day).count() + 1;
                let revision = Revision {
                    day: usage.day,
                    number: u32::try_from(number).unwrap(),
                    old: *credits,
                    new: usage.credits,
                    at: fetched.at,
                };
                self.revisions.push(revision);
                committed.revisions.push(revision);
                *credits = usage.credits;
            }
            if !settled
                || committed
                    .revisions
                    .last()
                    .is_some_and(|r| r.day == usage.day)
            {
                *seen = today.max(*seen);
            }
        }
        self.last_success = Some(fetched.at);
        self.last_failure = None;
        committed
    }

    /// The days from the history start on without a gap.
    fn contiguous(&self, policy: Policy) -> Vec<(Day, f64, Day)> {
        (policy.history_start.through(day(1000)))
            .map_while(|day| {
                self.days
                    .get(&day)
                    .map(|&(credits, seen)| (day, credits, seen))
            })
            .collect()
    }

    fn totals(&mut self, policy: Policy) -> Totals {
        let contiguous = self.contiguous(policy);
        let credits = contiguous
            .iter()
            .fold(0.0, |sum, (_, credits, _)| sum + credits);
        if !contiguous.is_empty() && self.high_water.is_none_or(|mark| mark < credits) {
            self.high_water = Some(credits);
        }
        let counted = || self.days.range(policy.history_start..).map(|(day, _)| *day);
        let up = self.revisions.iter().filter(|r| r.new > r.old).count() as u64;
        Totals {
            frontier: contiguous.last().map(|(day, ..)| *day),
            frontier_credits: credits,
            high_water_credits: self.high_water,
            known_days: u32::try_from(counted().count()).unwrap(),
            known_through: counted().next_back(),
            revised_up: up,
            revised_down: self.revisions.len() as u64 - up,
            last_success: self.last_success,
            last_failure: self.last_failure,
        }
    }

    fn coverage(&self, policy: Policy) -> Coverage {
        let settled_through = self
            .contiguous(policy)
            .iter()
            .take_while(|(day, _, seen)| seen.since(*day) > policy.settle_days)
            .last()
            .map(|(day, ..)| *day);
        let from = settled_through.map_or(policy.history_start, Day::next);
        let later = self.days.range(from..);
        Coverage {
            settled_through,
            later: later
                .map(|(&day, &(_, fetched))| KnownDay { day, fetched })
                .collect(),
            asked_from: (day(0) < policy.history_start).then_some(day(0)),
            earlier: (self.days.range(day(0)..policy.history_start))
                .map(|(&day, &(_, fetched))| KnownDay { day, fetched })
                .collect(),
            left_out: (self.left_out.iter())
                .map(|(&day, &fetched)| KnownDay { day, fetched })
                .collect(),
        }
    }

    fn usage(&self, from: Day) -> Vec<Usage> {
        let days = self.days.range(from..);
        days.map(|(&day, &(credits, _))| Usage { day, credits })
            .collect()
    }

    fn revisions(&self) -> Vec<Revision> {
        let mut revisions = self.revisions.clone();
        revisions.sort_by_key(|revision| (revision.day, revision.number));
        revisions
    }
}

/// Questions to the ledger besides those to the model.
async fn compare(ledger: &Ledger, agents: &[AgentNumber], models: &mut [Model], policy: Policy) {
    let snapshot = ledger.snapshot(agents.to_vec(), day(-99), |_, totals, recent| {
        (*totals, recent.to_vec())
    });
    let snapshot = snapshot.await.unwrap();
    let coverage = ledger
        .coverage(agents.iter().map(|agent| (*agent, day(0))).collect())
        .await
        .unwrap();
    for (index, model) in models.iter_mut().enumerate() {
        let (totals, recent) = &snapshot[index];
        assert_eq!(*totals, model.totals(policy));
        assert_eq!(*recent, model.usage(day(-99)));
        assert_eq!(coverage[index], model.coverage(policy));
        let all = ledger.usage(agents[index], day(-99), day(99)).await;
        assert_eq!(all.unwrap(), model.usage(day(-99)));
        let revisions = ledger.revisions(agents[index]).await;
        assert_eq!(revisions.unwrap(), model.revisions());
    }
    // What is kept in memory since the last time, days before it, and what is kept when these are given up.
    for from in [day(0), day(-99), day(0)] {
        let watched = ledger.watch(agents.to_vec(), from, |start, totals, recent| {
            (start, *totals, recent.to_vec())
        });
        let expected = models.iter_mut().map(|model| {
            (
                policy.history_start,
                model.totals(policy),
                model.usage(from),
            )
        });
        assert_eq!(watched.await.unwrap(), expected.collect::<Vec<_>>());
    }
}

async fn live_through(ops: Vec<Op>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let mut policy = POLICY;
    let mut today = 4;
    let mut ledger = open(&path);
    let agents = register(&ledger, &["support", "sales"]).await;
    let mut models = [Model::default(), Model::default()];
    for op in ops {
        match op {
            Op::Commit(agent, age, credits) => {
                let first = today - age - i32::try_from(credits.len()).unwrap();
                let dense: Vec<f64> = credits.iter().map(|c| c.unwrap_or_default()).collect();
                let mut fetched = answer(agents[agent], first, &dense, today);
                let late = |usage: &Usage| {
                    let index = usize::try_from(usage.day.since(day(first))).unwrap();
                    credits[index].is_none()
                };
                fetched.rows.retain(|usage| !late(usage));
                let expected = models[agent].commit(&fetched, policy);
                assert_eq!(ledger.commit(fetched).await.unwrap(), expected);
            }
            Op::Fail(agent) => {
                let at = noon(today);
                models[agent].last_failure = Some(at);
                ledger.record_failure(agents[agent], at).await.unwrap();
            }
            Op::Advance(days) => today += days,
            Op::Configure(start, settle_days) => {
                policy = Policy {
                    history_start: day(start),
                    settle_days,
                };
                ledger.configure(policy).await.unwrap();
            }
            Op::Reopen => {
                ledger.close().await;
                ledger = Ledger::open(&path, policy, &Telemetry::new()).unwrap();
            }
        }
        compare(&ledger, &agents, &mut models, policy).await;
    }
    ledger.close().await;
    assert_eq!(check(&path).unwrap().violations, [""; 0]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_ledger_knows_what_a_naive_model_knows(ops in ops()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(live_through(ops));
    }
}
