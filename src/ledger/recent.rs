//! The newest days of agents, kept in memory: every evaluation of the rules looks at the same ones.
//!
//! Each commit updates them before it returns.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::Connection;

use super::error::Fault;
use super::{AgentNumber, schema, usage};
use crate::day::{Day, Usage};
use crate::series::Totals;

/// Number of days of all agents that are kept at most: 10 MiB of them.
const MAX_DAYS: usize = 10 * 1024 * 1024 / size_of::<f64>();
/// Number of days before those that are asked for that stay: each day they would be moved otherwise.
const SPARE_DAYS: i32 = 32;

/// Totals and newest days of agents, as they are in the ledger.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// Number of commits. What was read before one may be older than the commit.
    commits: u64,
    agents: HashMap<AgentNumber, Arc<Days>>,
}

/// Totals and newest days of one agent.
#[derive(Debug, Clone)]
struct Days {
    totals: Totals,
    from: Day,
    /// Credits of the days from `from` on; NaN for one that is not known.
    credits: Vec<f64>,
}

impl Recent {
    /// Shows each agent's totals and its days from `from` on to `visit`. What is not kept is read, and if `is_kept`
    /// kept from then on, as far as there is room.
    pub(super) fn snapshot<T>(
        &self,
        connection: &Connection,
        agents: &[AgentNumber],
        (from, is_kept): (Day, bool),
        mut visit: impl FnMut(Day, &Totals, &[Usage]) -> T,
    ) -> Result<Vec<T>, Fault> {
        let (commits, kept) = self.find(agents, from);
        let history_start = schema::policy(connection)?.history_start;
        let mut read = Vec::new();
        let mut recent = Vec::new();
        let mut visited = Vec::with_capacity(agents.len());
        for (&agent, kept) in agents.iter().zip(kept) {
            recent.clear();
            let totals = if let Some(days) = kept {
                recent.extend(days.since(from));
                days.totals
            } else {
                let totals = usage::recent(connection, agent, from, &mut recent)?;
                if is_kept {
                    read.push((agent, Days::new(totals, from, &recent)));
                }
                totals
            };
            visited.push(visit(history_start, &totals, &recent));
        }
        self.keep(commits, read);
        Ok(visited)
    }

    /// The number of commits so far, and what is kept of each of `agents` if that goes back to `from`.
    fn find(&self, agents: &[AgentNumber], from: Day) -> (u64, Vec<Option<Arc<Days>>>) {
        let mut kept = self.0.lock();
        let find = |agent| {
            let days = kept.agents.get_mut(agent)?;
            if days.from.plus(SPARE_DAYS) < from {
                Arc::make_mut(days).forget_before(from);
            }
            (days.from <= from).then(|| Arc::clone(days))
        };
        let found = agents.iter().map(find).collect();
        (kept.commits, found)
    }

    /// Keeps the days that were read after this number of `commits`, unless there was another one since.
    fn keep(&self, commits: u64, read: Vec<(AgentNumber, Days)>) {
        let mut kept = self.0.lock();
        if read.is_empty() || kept.commits != commits {
            return;
        }
        let mut days: usize = kept.agents.values().map(|days| days.credits.len()).sum();
        for (agent, read) in read {
            days += read.credits.len();
            if days > MAX_DAYS {
                return;
            }
            kept.agents.insert(agent, Arc::new(read));
        }
    }

    /// Takes over what a commit has made of an agent: its totals, and days that are new or revised.
    pub(super) fn committed(&self, agent: AgentNumber, totals: Totals, rows: &[Usage]) {
        let mut kept = self.0.lock();
        kept.commits += 1;
        if let Some(days) = kept.agents.get_mut(&agent).map(Arc::make_mut) {
            days.totals = totals;
            rows.iter().for_each(|usage| days.set(*usage));
        }
    }

    /// Forgets everything, since a commit has changed all agents.
    pub(super) fn clear(&self) {
        let mut kept = self.0.lock();
        kept.commits += 1;
        kept.agents.clear();
    }
}

impl Days {
    fn new(totals: Totals, from: Day, recent: &[Usage]) -> Self {
        let mut days = Self {
            totals,
            from,
            credits: Vec::with_capacity(recent.len() + SPARE_DAYS.unsigned_abs() as usize),
        };
        recent.iter().for_each(|usage| days.set(*usage));
        days
    }

    /// Notes what was used on a day. Days before those that are kept do not matter.
    fn set(&mut self, usage: Usage) {
        let Ok(place) = usize::try_from(usage.day.since(self.from)) else {
            return;
        };
        if place >= self.credits.len() {
            self.credits.resize(place + 1, f64::NAN);
        }
        self.credits[place] = usage.credits;
    }

    /// The known days from `from` on, ascending.
    fn since(&self, from: Day) -> impl Iterator<Item = Usage> {
        let days = (self.from.number()..).map(Day::from_number);
        days.zip(self.credits.iter().copied())
            .map(|(day, credits)| Usage { day, credits })
            .filter(move |usage| usage.day >= from && !usage.credits.is_nan())
    }

    fn forget_before(&mut self, from: Day) {
        let days = usize::try_from(from.since(self.from)).unwrap_or(0);
        self.credits.drain(..days.min(self.credits.len()));
        self.from = from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::tests::day;

    const AGENT: AgentNumber = AgentNumber(7);

    fn usage(number: i32, credits: f64) -> Usage {
        Usage {
            day: day(number),
            credits,
        }
    }

    fn days(recent: &[Usage]) -> Days {
        Days::new(Totals::default(), day(0), recent)
    }

    /// The days of the agent that are kept from the day of that number on.
    fn kept(recent: &Recent, from: i32) -> Option<Vec<Usage>> {
        let (_, found) = recent.find(&[AGENT], day(from));
        Some(found[0].as_ref()?.since(day(from)).collect())
    }

    #[test]
    fn what_was_read_before_a_commit_is_not_kept_after_it() {
        let recent = Recent::default();
        let (commits, _) = recent.find(&[AGENT], day(0));
        recent.committed(AGENT, Totals::default(), &[usage(1, 5.0)]);
        recent.keep(commits, vec![(AGENT, days(&[usage(1, 4.0)]))]);
        assert_eq!(kept(&recent, 0), None);

        recent.keep(1, vec![(AGENT, days(&[usage(1, 5.0)]))]);
        assert_eq!(kept(&recent, 0), Some(vec![usage(1, 5.0)]));
    }

    #[test]
    fn days_are_kept_up_to_date_and_given_up_once_they_are_old() {
        let recent = Recent::default();
        recent.keep(0, vec![(AGENT, days(&[usage(1, 5.0), usage(40, 6.0)]))]);
        let late = [usage(-3, 9.0), usage(1, 7.0), usage(42, 8.0)];
        recent.committed(AGENT, Totals::default(), &late);
        let known = vec![usage(1, 7.0), usage(40, 6.0), usage(42, 8.0)];
        assert_eq!(kept(&recent, 0), Some(known));
        assert_eq!(kept(&recent, -1), None);
        assert_eq!(kept(&recent, 41), Some(vec![usage(42, 8.0)]));
        assert_eq!(kept(&recent, 0), None);
    }

    #[test]
    fn no_more_days_are_kept_than_there_is_room_for() {
        let recent = Recent::default();
        let long = i32::try_from(MAX_DAYS / 2).unwrap();
        let agents = (0..3).map(|number| (AgentNumber(number), days(&[usage(long - 1, 1.0)])));
        recent.keep(0, agents.collect());
        let (_, found) = recent.find(&[0, 1, 2].map(AgentNumber), day(0));
        assert_eq!(found.iter().flatten().count(), 2);
    }
}
