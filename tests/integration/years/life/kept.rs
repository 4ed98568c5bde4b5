//! The ledger, held against what FlowGent has said and what is true.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::TimeDelta;
use flowgent_exporter::day::Day;

use super::roll::{Key, Presence};
use super::scene::Scene;

/// A day is settled if it was asked for this long after its end.
const SETTLED: TimeDelta = TimeDelta::days(3);

impl Scene {
    /// Takes over what FlowGent has said since the last time, and holds the ledger against it. If the
    /// process was killed meanwhile, each day is as it was before or as it was said.
    pub(super) fn take_in(&mut self, was_killed: bool) {
        let said = {
            let mut state = self.flowgent.state();
            for account in self.plan.accounts.iter().filter(|account| account.has_file) {
                if let Some(agents) = state.file(&account.organisation) {
                    let listed = (self.now, agents.to_vec(), true);
                    state.listing.insert(account.name.clone(), listed);
                }
            }
            self.roll.enrol(&self.plan, &state);
            std::mem::take(&mut state.said)
        };
        let bounds = said.values().flat_map(|days| {
            let first = days.keys().next().copied();
            first.zip(days.keys().next_back().copied())
        });
        let bounds = bounds.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        let Some((from, to)) = bounds else { return };
        let keys: Vec<Key> = said.keys().cloned().collect();
        let kept = self.kept(&keys, from, to);
        for ((key, days), kept) in said.iter().zip(kept) {
            for (day, credits) in days {
                let kept = kept.get(day).copied();
                let before = self
                    .roll
                    .agents
                    .get(key)
                    .and_then(|known| known.days.get(*day));
                let is_right = kept == Some(*credits) || (was_killed && kept == before);
                if !is_right {
                    self.fail(format!(
                        "the ledger has {kept:?} for {}/{} on {day}, FlowGent said {credits}",
                        key.0, key.1
                    ));
                }
                if let Some(kept) = kept {
                    // A kill leaves open if an answer was kept that changes no value, and a clock that is behind
                    // by what day it was kept.
                    let is_open = was_killed || self.offset < TimeDelta::zero();
                    let is_settled = self.now - day.end() >= SETTLED
                        && !(is_open && self.is_unsettled(key, *day));
                    self.roll.learn(key, *day, kept, is_settled);
                }
            }
        }
    }

    /// Whether the ledger has the day as one that was last asked for too early.
    fn is_unsettled(&mut self, (account, id): &Key, day: Day) -> bool {
        let agent = (account.as_str().into(), id.to_string().into());
        self.process().ask(async |ledger| {
            let numbers = ledger.numbers(vec![agent]).await.unwrap();
            let numbers = numbers.into_iter().flatten().collect();
            let unsettled = ledger.unsettled(numbers, day).await.unwrap();
            unsettled.iter().flatten().any(|known| *known == day)
        })
    }

    /// What the ledger knows of the agents.
    pub(crate) fn kept(&mut self, keys: &[Key], from: Day, to: Day) -> Vec<BTreeMap<Day, f64>> {
        let identities: Vec<_> = keys
            .iter()
            .map(|(account, id)| {
                (
                    Arc::from(account.as_str()),
                    Arc::from(id.to_string().as_str()),
                )
            })
            .collect();
        self.process().ask(async |ledger| {
            let numbers = ledger.numbers(identities).await.unwrap();
            let present: Vec<_> = numbers.iter().flatten().copied().collect();
            let days = ledger.each_usage(present, from, to, |days| {
                days.iter()
                    .map(|usage| (usage.day, usage.credits))
                    .collect::<BTreeMap<_, _>>()
            });
            let mut days = days.await.unwrap().into_iter();
            numbers
                .iter()
                .map(|number| number.and_then(|_| days.next()).unwrap_or_default())
                .collect()
        })
    }

    /// The ledger is what is true, once FlowGent has been there for long enough.
    pub(crate) fn check_truth(&mut self) {
        let last = self.today().previous();
        let keys: Vec<_> = self
            .roll
            .agents
            .iter()
            .filter(|(_, known)| known.presence == Presence::Present)
            .map(|(key, _)| key.clone())
            .collect();
        let first = self.plan.history_start;
        let kept = self.kept(&keys, first, last);
        for (key, kept) in keys.into_iter().zip(kept) {
            let truth: BTreeMap<Day, f64> = first
                .through(last)
                .filter_map(|day| Some((day, self.flowgent.state().credits(key.1, day)?)))
                .collect();
            let differs = first
                .through(last)
                .find(|day| kept.get(day) != truth.get(day));
            if let Some(day) = differs {
                self.fail(format!(
                    "in the end the ledger has {:?} for {}/{} on {day}, true is {:?}",
                    kept.get(&day),
                    key.0,
                    key.1,
                    truth.get(&day)
                ));
            }
        }
    }
}
