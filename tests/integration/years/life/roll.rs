//! Who there is and what is known of each, as FlowGent has said it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use flowgent_exporter::day::{Day, TRACKING_START};

use super::flowgent::{Listed, State};
use super::plan::{Account, AgentId, Matcher, Plan};
use super::prospect::Prospects;

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

/// The known days of an agent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Days(Vec<Option<f64>>);

#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) name: String,
    /// All that it has had.
    pub(crate) names: BTreeSet<String>,
    pub(crate) team: String,
    pub(crate) presence: Presence,
    pub(crate) days: Days,
    /// What was said of days before they were revised.
    earlier: BTreeMap<Day, Vec<f64>>,
    /// Days that are new or revised since the oracle looked last, and what was said of them before.
    pub(crate) news: BTreeMap<Day, Option<f64>>,
    /// Known days that were asked for too early to be settled.
    pub(crate) unsettled: BTreeSet<Day>,
    /// Days that have settled since the oracle looked last.
    pub(crate) newly_settled: BTreeSet<Day>,
    /// The credits that probes used on days.
    pub(crate) probed: BTreeMap<Day, f64>,
    /// What is expected of each weekday, as of a day; none until somebody asks.
    pub(crate) week: RefCell<Option<(Day, Option<[f64; 7]>)>>,
    /// A day, and the rules by which nothing is to be told of it then unless something new becomes known of it: a bit
    /// for each by its place.
    pub(crate) calm: Cell<(Option<Day>, u64)>,
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

/// Those whose use is foreseen: who match, with the two days between which their days count, as of a third.
type Asked = (Matcher, [Day; 3]);

/// What a roll is made from.
#[derive(Debug, Default)]
struct Source {
    accounts: Vec<Account>,
    /// By account: the agents that were listed, and whether these were all.
    listings: BTreeMap<String, (Vec<(AgentId, String)>, bool)>,
}

#[derive(Debug, Default)]
pub(crate) struct Roll {
    pub(crate) agents: BTreeMap<Key, Known>,
    /// Whose names were which.
    names: HashMap<(String, String), AgentId>,
    /// The accounts and listings that it was last made from.
    source: Source,
    /// Each day's sum, from the day on which tracking started; none if it is to be added up again.
    sums: RefCell<HashMap<Matcher, Vec<Option<Sum>>>>,
    /// What is expected of them.
    prospects: RefCell<HashMap<Asked, Option<Prospects>>>,
}

/// How many days after tracking started `day` is; none before.
fn place(day: Day) -> Option<usize> {
    usize::try_from(day.since(TRACKING_START)).ok()
}

impl Days {
    pub(crate) fn get(&self, day: Day) -> Option<f64> {
        self.0.get(place(day)?).copied().flatten()
    }

    /// Takes over what a day has; returns what it had.
    fn set(&mut self, day: Day, credits: f64) -> Option<f64> {
        let place = place(day)?;
        if self.0.len() <= place {
            self.0.resize(place + 1, None);
        }
        self.0[place].replace(credits)
    }

    /// The first unknown day from `first` on.
    pub(crate) fn first_unknown(&self, first: Day) -> Day {
        let start = first.max(TRACKING_START);
        let from = place(start).expect("it is not before the start");
        let known = self.0.get(from..).unwrap_or_default();
        let known = known.iter().take_while(|credits| credits.is_some()).count();
        start.plus(i32::try_from(known).unwrap())
    }

    /// The newest known day before `end`.
    fn newest(&self, end: Day) -> Option<Day> {
        let known = &self.0[..place(end)?.min(self.0.len())];
        let place = known.iter().rposition(Option::is_some)?;
        Some(TRACKING_START.plus(i32::try_from(place).unwrap()))
    }
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
        self.median(day, |day| self.days.get(day))
    }

    /// The same of what is `used`.
    pub(crate) fn median(&self, day: Day, used: impl Fn(Day) -> Option<f64>) -> Option<f64> {
        let weeks = (1..=8).filter_map(|week| used(day.plus(-7 * week)));
        let mut credits: Vec<f64> = weeks.collect();
        credits.sort_by(f64::total_cmp);
        let count = credits.len();
        (count >= 3).then(|| (credits[(count - 1) / 2] + credits[count / 2]) / 2.0)
    }

    /// The newest known day before `today` that is settled.
    pub(crate) fn newest_settled(&self, today: Day) -> Option<Day> {
        let mut newest = self.newest(today)?;
        while self.unsettled.contains(&newest) || self.days.get(newest).is_none() {
            newest = Some(newest.previous()).filter(|day| *day >= TRACKING_START)?;
        }
        Some(newest)
    }

    /// Everything that was said of the day, one after the other.
    pub(crate) fn values(&self, day: Day) -> Vec<f64> {
        let earlier = self.earlier.get(&day).into_iter().flatten().copied();
        earlier.chain(self.days.get(day)).collect()
    }

    /// The newest known day before `today`.
    pub(crate) fn newest(&self, today: Day) -> Option<Day> {
        self.days.newest(today)
    }
}

impl Roll {
    /// Takes over who there is by the config and by the last good listings.
    pub(crate) fn enrol(&mut self, plan: &Plan, flowgent: &State) {
        let now = flowgent.now;
        if self.is_enrolled(plan, flowgent) {
            return;
        }
        let mut present: BTreeMap<Key, (String, String)> = BTreeMap::new();
        let mut unlisted: BTreeMap<Key, DateTime<Utc>> = BTreeMap::new();
        for account in &plan.accounts {
            let listing = flowgent
                .listing
                .get(&account.name)
                .filter(|_| account.is_listed());
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
            } else if account.is_listed() {
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
        let mut has_changed = false;
        for (key, known) in &mut self.agents {
            if !present.contains_key(key) && !known.is_former() {
                known.presence = Presence::Former(now);
                has_changed = true;
            }
        }
        for (key, (name, team)) in present {
            let (account, id) = key.clone();
            let presence = unlisted
                .get(&key)
                .map_or(Presence::Present, |since| Presence::Unlisted(*since));
            let known = self.agents.entry(key).or_insert_with(|| {
                has_changed = true;
                self.names.insert((account.clone(), name.clone()), id);
                Known {
                    name: name.clone(),
                    names: BTreeSet::from([name.clone()]),
                    team: team.clone(),
                    presence,
                    days: Days::default(),
                    earlier: BTreeMap::new(),
                    news: BTreeMap::new(),
                    unsettled: BTreeSet::new(),
                    newly_settled: BTreeSet::new(),
                    probed: BTreeMap::new(),
                    week: RefCell::default(),
                    calm: Cell::default(),
                }
            });
            has_changed |= known.presence != presence || known.team != team;
            if known.presence != presence || known.team != team || known.name != name {
                known.calm.take();
            }
            known.presence = presence;
            if known.name != name {
                self.names.insert((account, name.clone()), id);
                known.names.insert(name.clone());
            }
            (known.name, known.team) = (name, team);
        }
        if has_changed {
            self.sums.get_mut().clear();
            self.prospects.get_mut().clear();
        }
    }

    /// Whether nothing has changed since somebody was enrolled last; notes what it is made from.
    fn is_enrolled(&mut self, plan: &Plan, flowgent: &State) -> bool {
        let Source { accounts, listings } = &self.source;
        let is_as_before = |(account, (_, agents, is_whole)): (&String, &Listed)| {
            let before = listings.get(account);
            before.is_some_and(|before| before.0 == *agents && before.1 == *is_whole)
        };
        let waits = |known: &Known| matches!(known.presence, Presence::Unlisted(_));
        if *accounts == plan.accounts
            && listings.len() == flowgent.listing.len()
            && flowgent.listing.iter().all(is_as_before)
            && !self.agents.values().any(waits)
        {
            return true;
        }
        let listing = flowgent.listing.iter();
        let listings = listing
            .map(|(account, (_, agents, is_whole))| (account.clone(), (agents.clone(), *is_whole)));
        self.source = Source {
            accounts: plan.accounts.clone(),
            listings: listings.collect(),
        };
        false
    }

    /// Somebody has edited the config.
    pub(crate) fn look_anew(&self) {
        for known in self.agents.values() {
            known.calm.take();
        }
    }

    /// Takes over a day that FlowGent has said, and whether it said so late enough for the day to be settled; a day
    /// stays so.
    pub(crate) fn learn(&mut self, key: &Key, day: Day, credits: f64, is_settled: bool) {
        let Some(known) = self.agents.get_mut(key) else {
            return;
        };
        if !is_settled {
            if known.days.get(day).is_none() {
                known.unsettled.insert(day);
            }
        } else if known.unsettled.remove(&day) || known.days.get(day).is_none() {
            known.newly_settled.insert(day);
            known.calm.take();
        }
        if known.days.get(day) != Some(credits) {
            let old = known.days.set(day, credits);
            if let Some(old) = old {
                known.earlier.entry(day).or_default().push(old);
            }
            known.news.entry(day).or_insert(old);
            known.week.take();
            known.calm.take();
            self.prospects.get_mut().clear();
            for (matcher, sums) in self.sums.get_mut() {
                let sum = place(day).and_then(|place| sums.get_mut(place));
                if matcher.matches(&key.0, &known.team)
                    && let Some(sum) = sum
                {
                    *sum = None;
                }
            }
        }
    }

    /// The agent of the account that has, or had, that name.
    pub(crate) fn named(&self, account: &str, name: &str) -> Option<Key> {
        let id = self.names.get(&(account.to_owned(), name.to_owned()))?;
        Some((account.to_owned(), *id))
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
        let mut total = Sum::default();
        let Some(end) = place(last.next()) else {
            return total;
        };
        let mut sums = self.sums.borrow_mut();
        if !sums.contains_key(matcher) {
            sums.insert(matcher.clone(), Vec::new());
        }
        let sums = sums.get_mut(matcher).expect("it was put there");
        if sums.len() < end {
            sums.resize(end, None);
        }
        let mut matching = None;
        for day in first.max(TRACKING_START).through(last) {
            let sum = &mut sums[place(day).expect("it is not before the start")];
            let sum = sum.get_or_insert_with(|| {
                let matching = matching.get_or_insert_with(|| self.matching(matcher));
                add_up(matching.values(), day)
            });
            total.credits += sum.credits;
            total.missing += sum.missing;
            total.perhaps_missing += sum.perhaps_missing;
            total.known += sum.known;
        }
        total
    }

    /// What is expected of those who match, as [`Self::look_ahead`] says it, unless it did so before and
    /// nothing has changed.
    pub(crate) fn prospects(&self, matcher: &Matcher, days: [Day; 3]) -> Option<Prospects> {
        let key = (matcher.clone(), days);
        let known = self.prospects.borrow().get(&key).copied();
        known.unwrap_or_else(|| {
            let prospects = self.look_ahead(matcher, days);
            self.prospects.borrow_mut().insert(key, prospects);
            prospects
        })
    }
}

/// What agents have used on a day, each id once.
fn add_up<'a>(ids: impl Iterator<Item = &'a Vec<&'a Known>>, day: Day) -> Sum {
    let mut sum = Sum::default();
    for same in ids {
        let credits = same.iter().find_map(|known| known.days.get(day));
        let is_asked = same.iter().any(|known| known.presence == Presence::Present);
        sum.credits += credits.unwrap_or(0.0);
        sum.known += usize::from(credits.is_some());
        sum.missing += usize::from(credits.is_none() && is_asked);
        sum.perhaps_missing += usize::from(same.iter().any(|known| known.days.get(day).is_none()));
    }
    sum
}
