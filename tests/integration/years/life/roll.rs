//! Who there is and what is known of each, as FlowGent has said it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use flowgent_exporter::day::{Day, TRACKING_START};

use super::flowgent::State;
use super::plan::{AgentId, Matcher, Plan};

/// An agent of an account; the same id in another account is another one.
pub(crate) type Key = (String, AgentId);

/// Whether an agent is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Presence {
    Present,
    /// It is missing from the listings since then.
    Unlisted(DateTime<Utc>),
    /// It has left.
    Former(DateTime<Utc>),
}

#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) name: String,
    pub(crate) team: String,
    pub(crate) presence: Presence,
    pub(crate) days: BTreeMap<Day, f64>,
    /// Days that are new or revised since the oracle looked last.
    pub(crate) news: BTreeSet<Day>,
}

/// Credits known to be used on some days, and how many days of agents are not known.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Sum {
    pub(crate) credits: f64,
    /// Days that nobody knows of agents that are there.
    pub(crate) missing: usize,
    /// The same with the days that may count as missing: of former agents, and of those who are known
    /// by another account's agent of the same id.
    pub(crate) perhaps_missing: usize,
    pub(crate) known: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Roll {
    pub(crate) agents: BTreeMap<Key, Known>,
    /// Sums that were asked for since anything has changed.
    sums: RefCell<HashMap<(Matcher, Day, Day), Sum>>,
}

impl Known {
    pub(crate) fn is_former(&self) -> bool {
        matches!(self.presence, Presence::Former(_))
    }

    /// Whether nobody can say if it has left.
    pub(crate) fn is_doubtful(&self, now: DateTime<Utc>) -> bool {
        match self.presence {
            Presence::Present => false,
            Presence::Unlisted(since) => Day::of(now).since(Day::of(since)) >= 3,
            // Its days may still come for a week.
            Presence::Former(since) => now - since < TimeDelta::days(9),
        }
    }

    /// The median of the weekday of `day` in the eight weeks before it.
    pub(crate) fn usual(&self, day: Day) -> Option<f64> {
        let weeks = (1..=8).filter_map(|week| self.days.get(&day.plus(-7 * week)));
        let mut credits: Vec<f64> = weeks.copied().collect();
        credits.sort_by(f64::total_cmp);
        let count = credits.len();
        (count >= 3).then(|| (credits[(count - 1) / 2] + credits[count / 2]) / 2.0)
    }

    /// The newest known day before `today`.
    pub(crate) fn newest(&self, today: Day) -> Option<Day> {
        self.days.range(..today).next_back().map(|(day, _)| *day)
    }
}

impl Roll {
    /// Takes over who there is by the config and by the last good listings.
    pub(crate) fn enrol(&mut self, plan: &Plan, flowgent: &State) {
        let now = flowgent.now;
        self.sums.borrow_mut().clear();
        let mut present: BTreeMap<Key, (String, String)> = BTreeMap::new();
        let mut unlisted: BTreeMap<Key, DateTime<Utc>> = BTreeMap::new();
        for account in &plan.accounts {
            let listing = flowgent
                .listing
                .get(&account.name)
                .filter(|_| account.discover);
            if let Some((at, agents, is_whole)) = listing {
                for (id, name) in agents {
                    let key = (account.name.clone(), *id);
                    present.insert(key, (name.clone(), account.team.clone()));
                }
                let mine = self
                    .agents
                    .iter()
                    .filter(|((owner, _), known)| *owner == account.name && !known.is_former());
                for (key, known) in mine {
                    let place = (known.name.clone(), known.team.clone());
                    match known.presence {
                        _ if present.contains_key(key) => {}
                        Presence::Present if *is_whole => {
                            unlisted.insert(key.clone(), *at);
                            present.insert(key.clone(), place);
                        }
                        Presence::Unlisted(since)
                            if *is_whole && *at - since >= TimeDelta::days(4) => {}
                        Presence::Unlisted(since) => {
                            unlisted.insert(key.clone(), since);
                            present.insert(key.clone(), place);
                        }
                        _ => {
                            present.insert(key.clone(), place);
                        }
                    }
                }
            } else if account.discover {
                let mine = self
                    .agents
                    .iter()
                    .filter(|((owner, _), known)| *owner == account.name && !known.is_former());
                for (key, known) in mine {
                    present.insert(key.clone(), (known.name.clone(), known.team.clone()));
                }
            }
            for agent in &account.agents {
                let key = (account.name.clone(), agent.id);
                unlisted.remove(&key);
                present.insert(key, (agent.name.clone(), agent.team.clone()));
            }
        }
        for (key, known) in &mut self.agents {
            if !present.contains_key(key) && !known.is_former() {
                known.presence = Presence::Former(now);
            }
        }
        for (key, (name, team)) in present {
            let presence = unlisted
                .get(&key)
                .map_or(Presence::Present, |since| Presence::Unlisted(*since));
            let known = self.agents.entry(key).or_insert_with(|| Known {
                name: name.clone(),
                team: team.clone(),
                presence,
                days: BTreeMap::new(),
                news: BTreeSet::new(),
            });
            known.presence = presence;
            (known.name, known.team) = (name, team);
        }
    }

    /// Takes over a day that FlowGent has said.
    pub(crate) fn learn(&mut self, key: &Key, day: Day, credits: f64) {
        if let Some(known) = self.agents.get_mut(key)
            && known.days.insert(day, credits) != Some(credits)
        {
            known.news.insert(day);
            self.sums.borrow_mut().clear();
        }
    }

    /// Those of each id that match, so that an id counts once.
    pub(crate) fn matching<'a>(&'a self, matcher: &Matcher) -> BTreeMap<AgentId, Vec<&'a Known>> {
        let mut all: BTreeMap<AgentId, Vec<&Known>> = BTreeMap::new();
        for ((account, id), known) in &self.agents {
            if matcher.matches(account, &known.team) {
                all.entry(*id).or_default().push(known);
            }
        }
        for same in all.values_mut() {
            same.sort_by_key(|known| known.is_former());
        }
        all
    }

    /// What matching agents have used on the days `first` through `last`.
    pub(crate) fn sum(&self, matcher: &Matcher, first: Day, last: Day) -> Sum {
        let key = (matcher.clone(), first, last);
        if let Some(sum) = self.sums.borrow().get(&key) {
            return *sum;
        }
        let sum = self.add_up(matcher, first, last);
        self.sums.borrow_mut().insert(key, sum);
        sum
    }

    fn add_up(&self, matcher: &Matcher, first: Day, last: Day) -> Sum {
        let mut sum = Sum::default();
        let first = first.max(TRACKING_START);
        for same in self.matching(matcher).values() {
            for day in first.through(last) {
                let credits = same.iter().find_map(|known| known.days.get(&day));
                let is_asked = same.iter().any(|known| known.presence == Presence::Present);
                sum.credits += credits.copied().unwrap_or(0.0);
                sum.known += usize::from(credits.is_some());
                sum.missing += usize::from(credits.is_none() && is_asked);
                sum.perhaps_missing +=
                    usize::from(same.iter().any(|known| !known.days.contains_key(&day)));
            }
        }
        sum
    }
}
