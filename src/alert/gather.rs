//! Pure: agents are taken in one after the other, and become facts.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::facts::{
    AgentFacts, Known, PeriodFacts, ProbeUse, days, missing_recently, used_days, without_probes,
};
use super::subject::ALL;
use super::{Check, Per, Rule, Span};
use crate::balance::{Account, Left};
use crate::budget::{Cycle, Period, Tally};
use crate::day::{Day, Usage};
use crate::forecast::Pattern;
use crate::former;
use crate::ledger::{Member, Watched};
use crate::roster::Matcher;
use crate::series::{self, Totals};
use crate::sheet::Grouping;

/// Time for which a period is evaluated after the first evaluation past its end: its last days may come
/// late.
const LATE: TimeDelta = TimeDelta::days(7);

/// A budget in the periods that are looked at, or a balance in its accounts.
pub(super) struct Purse {
    pub(super) rule: Rule,
    /// Of a balance: what use is counted against.
    account: Option<Account>,
    /// Nobody's use in each period, oldest first, and when it was first evaluated with its end past.
    blank: Vec<(Option<DateTime<Utc>>, Tally)>,
    /// The subjects that have agents, by their names.
    subjects: BTreeMap<Arc<str>, Subject>,
}

/// A subject of a budget, or all agents of a budget or balance.
struct Subject {
    /// The agent, if it is one.
    agent: Option<Member>,
    /// Its use in each period.
    tallies: Vec<Tally>,
}

/// Standing of a budget or a balance.
pub(super) enum Stood {
    Budget(Vec<PeriodFacts>),
    Balance(Left),
}

impl Purse {
    /// Nobody's use yet of the budget or balance that `rule` is; none if it is another rule, or a balance
    /// without a `set` yet.
    pub(super) fn of(
        rule: &Rule,
        watched: Option<&Watched>,
        now: DateTime<Utc>,
        today: Day,
    ) -> Option<Self> {
        let (account, blank) = match &rule.check {
            Check::Budget { cycle, .. } => {
                let periods = periods(*cycle, watched, now, today).into_iter();
                let tally = |(period, over_since)| (over_since, Tally::new(period, today));
                (None, periods.map(tally).collect())
            }
            Check::Balance { book, .. } => {
                let account = book.entries()?.account(today)?;
                let tallies = account.tallies(today).into_iter();
                let tallies = tallies.map(|tally| (None, tally)).collect();
                (Some(account), tallies)
            }
            _ => return None,
        };
        let mut purse = Self {
            rule: rule.clone(),
            account,
            blank,
            subjects: BTreeMap::new(),
        };
        // All agents together are a subject even if there is none.
        if rule.per().is_none() {
            purse.tallies(Arc::clone(&ALL), None);
        }
        Some(purse)
    }

    /// The tallies of `subject`, which `member` is part of.
    fn tallies(&mut self, subject: Arc<str>, member: Option<&Member>) -> &mut [Tally] {
        let subject = self.subjects.entry(subject).or_insert_with(|| {
            let is_agent = self.rule.per() == Some(&Grouping::Agent);
            let blank = self.blank.iter();
            Subject {
                agent: member.filter(|_| is_agent).cloned(),
                tallies: blank.map(|(_, tally)| tally.clone()).collect(),
            }
        });
        &mut subject.tallies
    }

    /// The first day that counts.
    pub(super) fn start(&self) -> Option<Day> {
        self.blank.first().map(|(_, tally)| tally.start())
    }

    /// Its standing. A subject is in the periods in which it has agents.
    pub(super) fn close(&self, today: Day) -> Option<Stood> {
        if let Some(account) = &self.account {
            let subjects = self.subjects.values();
            let tallies: Vec<&Tally> = subjects.flat_map(|subject| &subject.tallies).collect();
            return Some(Stood::Balance(Left::of(account, &tallies, today)?));
        }
        let Check::Budget { limits, .. } = &self.rule.check else {
            return None;
        };
        let mut periods = Vec::new();
        for (name, Subject { agent, tallies }) in &self.subjects {
            for ((over_since, _), tally) in self.blank.iter().zip(tallies) {
                let standing = tally.standing(limits.of(name)?);
                if standing.agents > 0 || self.rule.per().is_none() {
                    periods.push(PeriodFacts {
                        subject: Arc::clone(name),
                        agent: agent.clone(),
                        standing,
                        over_since: *over_since,
                    });
                }
            }
        }
        Some(Stood::Budget(periods))
    }
}

/// The periods of `cycle` that are looked at, oldest first, with when each was first evaluated with its
/// end past: the one that yesterday lies in, those that have ended since the last evaluation, and those
/// that were still open then, for a week. A budget that was never watched as it is knows no past.
fn periods(
    cycle: Cycle,
    watched: Option<&Watched>,
    now: DateTime<Utc>,
    today: Day,
) -> Vec<(Period, Option<DateTime<Utc>>)> {
    let current = cycle.period_of(today.previous());
    let evaluated = watched.and_then(|watched| watched.evaluated);
    let open = watched.map_or(&[][..], |watched| &watched.open_periods);
    let mut periods: Vec<(Period, DateTime<Utc>)> = open
        .iter()
        .map(|(start, over_since)| (cycle.period_of(*start), *over_since))
        // A clock that ran ahead was set back.
        .map(|(period, over_since)| (period, over_since.min(now)))
        .filter(|(period, over_since)| *over_since + LATE > now && period.start < current.start)
        .collect();
    let mut since = evaluated.map_or(current, |day| cycle.period_of(day.previous()));
    while since.start < current.start {
        let Some(end) = since.end else { break };
        if periods.iter().all(|(period, _)| period.start < since.start) {
            periods.push((since, now));
        }
        since = cycle.period_of(end);
    }
    let ended = periods.into_iter();
    ended
        .map(|(period, over_since)| (period, Some(over_since)))
        .chain([(current, None)])
        .collect()
}

/// Use by former agents that a usage rule about accounts or a total adds.
pub(super) struct Sum {
    pub(super) rule: Arc<str>,
    matcher: Matcher,
    pub(super) others: Vec<AgentFacts>,
}

impl Sum {
    /// Nothing yet; none if the rule is another one.
    pub(super) fn of(rule: &Rule) -> Option<Self> {
        let Check::Usage { per, .. } = rule.check else {
            return None;
        };
        (per != Per::Agent).then(|| Self {
            rule: Arc::clone(&rule.name),
            matcher: rule.matcher.clone(),
            others: Vec::new(),
        })
    }
}

/// Takes in one agent after the other.
pub(super) struct Gatherer {
    pub(super) today: Day,
    /// Credits that probes used.
    pub(super) probes: ProbeUse,
    /// The facts about each member; at first, nothing is read of it.
    pub(super) agents: Vec<AgentFacts>,
    /// Budgets and balances.
    pub(super) purses: Vec<Purse>,
    /// Places of members, ascending, each with the place of a purse whose rule matches it.
    pub(super) matched: Vec<(usize, usize)>,
    pub(super) sums: Vec<Sum>,
    /// The identifiers that several have had.
    pub(super) shared: HashSet<Arc<str>>,
    /// The days of these that count already, by the rule's name, the subject and the identifier.
    pub(super) counted: HashMap<[Arc<str>; 3], BTreeSet<Day>>,
}

impl Gatherer {
    /// Adds the agent at `place` to its budgets and balances, and notes what is known of it.
    pub(super) fn add(
        &mut self,
        place: usize,
        history_start: Day,
        totals: &Totals,
        recent: &[Usage],
    ) {
        let today = self.today;
        let member = self.agents[place].member.clone();
        let has_moved = member.unlisted_since.is_some() && self.shared.contains(&member.agent.id);
        if !has_moved {
            let mut pattern = None;
            let first = self.matched.partition_point(|(other, _)| *other < place);
            let matched = self.matched[first..].iter();
            for (_, purse) in matched.take_while(|(other, _)| *other == place) {
                let purse = &mut self.purses[*purse];
                let Some(subject) = purse.rule.subject_of_matching(&member.agent) else {
                    continue;
                };
                // Made once, and only for agents of a budget or balance.
                let pattern = pattern.get_or_insert_with(|| Pattern::of(recent, today));
                for tally in purse.tallies(subject, Some(&member)) {
                    tally.add(&member, recent, pattern.as_ref(), today);
                }
            }
            self.count(&member, recent);
        }
        // Only budgets and balances look at days before the history start.
        let recent = &recent[recent.partition_point(|usage| usage.day < history_start)..];
        let missing_days = series::missing_days(totals, recent, history_start, today);
        let oldest = totals.frontier.map_or(history_start, Day::next);
        let known = |span: Span| Known::of(recent, history_start, span.days(today));
        let identity = (
            Arc::clone(&member.agent.account),
            Arc::clone(&member.agent.id),
        );
        let probes = self.probes.get(&identity);
        let unprobed = without_probes(recent, probes.map(Vec::as_slice));
        let facts = &mut self.agents[place];
        facts.days = days(recent, today);
        facts.days_unprobed = probes.map(|_| Box::new(days(&unprobed, today)));
        (facts.used_days, facts.known_days) = used_days(&unprobed, today);
        facts.previous_7_days = known(Span::Previous7Days);
        facts.previous_30_days = known(Span::Previous30Days);
        facts.month_to_date = known(Span::MonthToDate);
        facts.missing_days = u32::try_from(missing_days).unwrap_or(u32::MAX);
        facts.missing_since = (oldest < today).then_some(oldest);
        facts.missing_recently = missing_recently(recent, history_start, today);
        facts.last_success = totals.last_success;
        facts.is_counted = !has_moved;
    }

    /// Notes which days of an identifier that several have had count by this member.
    fn count(&mut self, member: &Member, recent: &[Usage]) {
        let id = &member.agent.id;
        if !self.shared.contains(id) {
            return;
        }
        let purses = self.purses.iter().filter_map(|purse| {
            let subject = purse.rule.subject_of(&member.agent)?;
            Some((&purse.rule.name, subject))
        });
        let sums = self.sums.iter();
        let sums = sums.filter(|sum| sum.matcher.matches(&member.agent));
        let sums = sums.map(|sum| (&sum.rule, Arc::clone(&ALL)));
        for (rule, subject) in purses.chain(sums) {
            let key = [Arc::clone(rule), subject, Arc::clone(id)];
            let days = self.counted.entry(key).or_default();
            days.extend(recent.iter().map(|usage| usage.day));
        }
    }

    /// Adds an agent that has left, or that is asked for no longer or not for long: the days that count of
    /// nobody else. Days after it left are not missing, and those before it only for a week after.
    pub(super) fn add_other(&mut self, member: &Member, recent: &[Usage]) {
        let asked_until = former::asked_until(member, self.today);
        let id = &member.agent.id;
        let none = BTreeSet::new();
        let own = |rule: &Arc<str>, subject: &Arc<str>| {
            let key = [rule, subject, id].map(Arc::clone);
            former::own(recent, self.counted.get(&key).unwrap_or(&none))
        };
        for purse in &mut self.purses {
            let Some(subject) = purse.rule.subject_of(&member.agent) else {
                continue;
            };
            let own = own(&purse.rule.name, &subject);
            let is_each = purse.rule.per().is_some();
            for tally in purse.tallies(subject, Some(member)) {
                // It is no subject of a period that began after it had left.
                let is_gone = member.left_on.is_some_and(|left| left <= tally.start());
                if !(is_each && is_gone) {
                    tally.add(member, &own, None, asked_until);
                }
            }
        }
        for sum in &mut self.sums {
            if sum.matcher.matches(&member.agent) {
                let own = own(&sum.rule, &ALL);
                let facts = AgentFacts::unasked(member, &own, asked_until, self.today);
                sum.others.push(facts);
            }
        }
        self.count(member, recent);
    }
}
