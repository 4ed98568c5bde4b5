//! Budgets and balances that need days from before the history start.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::balance::{Days, Reach};
use crate::day::Day;
use crate::ledger::{AgentNumber, Member};
use crate::roster::Matcher;
use crate::window::plan::Policy;
use crate::window::{Coverage, KnownDay};

/// Days that budgets and balances need of agents. Clones share what they know.
#[derive(Debug, Clone, Default)]
pub(super) struct Reaches {
    all: Arc<[Reach]>,
    /// The first day of each agent from which on all days up to the history start are known for good.
    reached: Arc<Mutex<HashMap<AgentNumber, Day>>>,
}

impl Reaches {
    pub(super) fn new(all: Vec<Reach>) -> Self {
        Self {
            all: all.into(),
            ..Self::default()
        }
    }

    /// Reads entries of balances again whose file has changed.
    pub(super) async fn refresh(&self) {
        for reach in &*self.all {
            if let Days::By(book) = &reach.days {
                book.refresh().await;
            }
        }
    }

    /// The budgets and balances that need days from before the history start, and the first of these days.
    pub(super) fn needs(&self, policy: Policy, today: Day) -> Vec<(&Matcher, Day)> {
        let all = self.all.iter();
        let needs = all.filter_map(|reach| Some((&reach.matcher, reach.first_day(today)?)));
        needs
            .filter(|(_, first)| *first < policy.history_start)
            .collect()
    }

    /// The first day that is asked for of an agent: the history start, or the first day that a budget or balance
    /// needs of it, unless all from there on are known for good.
    pub(super) fn asked_from(
        &self,
        member: &Member,
        needs: &[(&Matcher, Day)],
        policy: Policy,
    ) -> Day {
        let needs = needs
            .iter()
            .filter(|(matcher, _)| matcher.matches(&member.agent));
        let Some(first) = needs.map(|(_, first)| *first).min() else {
            return policy.history_start;
        };
        match self.reached.lock().get(&member.number) {
            Some(reached) if *reached <= first => policy.history_start,
            _ => first,
        }
    }

    /// Remembers that nothing is to be asked for from before the history start, so that it need not be read
    /// again.
    pub(super) fn note(&self, member: &Member, known: &Coverage, policy: Policy) {
        if let Some(from) = is_reached(known, policy) {
            self.reached.lock().insert(member.number, from);
        }
    }
}

/// The day that was asked from, if all from there up to the history start are known and settled.
fn is_reached(known: &Coverage, policy: Policy) -> Option<Day> {
    let from = known.asked_from?;
    let days = policy.history_start.since(from);
    let is_settled = |known: &KnownDay| known.is_settled(policy.settle_days);
    let is_whole = usize::try_from(days).is_ok_and(|days| days == known.earlier.len());
    (is_whole && known.earlier.iter().all(is_settled)).then_some(from)
}
