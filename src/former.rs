//! Agents that have left, or are asked for no longer: which of their days count beside those of others.
//!
//! Spent credits stay spent: their days count in every period and range that they lie in. But an agent that
//! moved to another account, or whose account has another name now, is known there with the same identifier
//! and the same days, and each day counts once.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::day::{Day, TRACKING_START, Usage};
use crate::ledger::{AgentNumber, LedgerError, Member, View};

/// Days after an agent has left until its unknown days are no longer missing.
const MISSED_DAYS: i32 = 7;

/// Order in which days count of members with the same identifier: who is listed, then who is not listed any more,
/// then who left last.
#[must_use]
pub fn precedence(member: &Member) -> impl Ord + use<> {
    (
        member.left_on.is_some(),
        member.unlisted_since.is_some(),
        Reverse(member.left_on),
        member.number,
    )
}

/// The day from which on days of `member` that are not known are not missing: `today`, or the one on which it
/// left; the beginning of all if that is more than a week ago.
#[must_use]
pub fn asked_until(member: &Member, today: Day) -> Day {
    match member.left_on {
        None => today,
        Some(left) if today.since(left) <= MISSED_DAYS => left.min(today),
        Some(_) => TRACKING_START,
    }
}

/// The `members`, and whoever else may have days from `from` on: those that have left.
///
/// # Errors
/// The ledger could not be read.
pub async fn with_former(
    members: &[Member],
    view: &View,
    from: Day,
) -> Result<Vec<Member>, LedgerError> {
    let numbers = members.iter().map(|member| member.number).collect();
    let former = view.absent(numbers, from).await?;
    Ok(members.iter().cloned().chain(former).collect())
}

/// These days, of which those that count `elsewhere` are known and hold nothing.
#[must_use]
pub fn own<'a>(days: &'a [Usage], elsewhere: &BTreeSet<Day>) -> Cow<'a, [Usage]> {
    if elsewhere.is_empty() {
        return Cow::Borrowed(days);
    }
    let days = days.iter().map(|usage| (usage.day, usage.credits));
    let mut days: BTreeMap<Day, f64> = days.collect();
    days.extend(elsewhere.iter().map(|day| (*day, 0.0)));
    let usage = |(day, credits)| Usage { day, credits };
    Cow::Owned(days.into_iter().map(usage).collect())
}

/// The days of some agents in a range, each day of an identifier once.
#[derive(Debug)]
pub struct Once {
    /// The days that count elsewhere, by the numbers of agents that have a namesake.
    elsewhere: HashMap<AgentNumber, BTreeSet<Day>>,
    range: (Day, Day),
    today: Day,
}

impl Once {
    /// Reads which days of `members` from `from` through `to` count elsewhere among them.
    ///
    /// # Errors
    /// The ledger could not be read.
    pub async fn read(
        view: &View,
        members: &[&Member],
        (from, to): (Day, Day),
        today: Day,
    ) -> Result<Self, LedgerError> {
        let mut elsewhere: HashMap<AgentNumber, BTreeSet<Day>> = HashMap::new();
        for namesakes in namesakes(members) {
            let numbers = namesakes.iter().map(|member| member.number).collect();
            let days = |days: &[Usage]| days.iter().map(|usage| usage.day).collect::<Vec<_>>();
            let known = view.each_usage(numbers, from, to, days).await?;
            let mut counted = BTreeSet::new();
            for (member, days) in namesakes.iter().zip(known) {
                if member.left_on.is_some() || member.unlisted_since.is_some() {
                    elsewhere.insert(member.number, counted.clone());
                }
                counted.extend(days);
            }
        }
        Ok(Self {
            elsewhere,
            range: (from, to),
            today,
        })
    }

    /// Results of `visit` for the known days of each of `members` in the range as they count, in their order; see
    /// [`View::each_usage`].
    ///
    /// # Errors
    /// The ledger could not be read.
    ///
    /// # Panics
    /// Never: the ledger visits as many agents as it is asked for.
    pub async fn each<T: Send + 'static>(
        self: &Arc<Self>,
        view: &View,
        members: Vec<Member>,
        mut visit: impl FnMut(&[Usage]) -> T + Send + 'static,
    ) -> Result<Vec<T>, LedgerError> {
        let numbers = members.iter().map(|member| member.number).collect();
        let (once, mut members) = (Arc::clone(self), members.into_iter());
        let visit = move |known: &[Usage]| {
            let member = members.next().expect("each is visited once");
            visit(&once.days(&member, known))
        };
        view.each_usage(numbers, self.range.0, self.range.1, visit)
            .await
    }

    /// The known `days` of `member` in the range as they count: those that nobody asks for are known, too, and
    /// hold nothing.
    fn days<'a>(&self, member: &Member, days: &'a [Usage]) -> Cow<'a, [Usage]> {
        let (from, to) = self.range;
        let mut elsewhere = self.elsewhere.get(&member.number).cloned();
        if member.left_on.is_some() {
            let unasked = asked_until(member, self.today).max(from).through(to);
            let known: BTreeSet<Day> = days.iter().map(|usage| usage.day).collect();
            let unasked = unasked.filter(|day| !known.contains(day));
            elsewhere.get_or_insert_default().extend(unasked);
        }
        match elsewhere {
            None => Cow::Borrowed(days),
            Some(elsewhere) => own(days, &elsewhere),
        }
    }
}

/// The members that share an identifier with one that has left or is listed no more, by identifier, in the
/// order in which their days count.
fn namesakes<'a>(members: &[&'a Member]) -> Vec<Vec<&'a Member>> {
    let is_gone = |member: &&&Member| member.left_on.is_some() || member.unlisted_since.is_some();
    let gone = members.iter().filter(is_gone);
    let mut by_id: HashMap<&Arc<str>, Vec<&Member>> =
        gone.map(|member| (&member.agent.id, Vec::new())).collect();
    if by_id.is_empty() {
        return Vec::new();
    }
    for member in members {
        if let Some(namesakes) = by_id.get_mut(&member.agent.id) {
            namesakes.push(member);
        }
    }
    let several = by_id.into_values().filter(|namesakes| namesakes.len() > 1);
    several
        .map(|mut namesakes| {
            namesakes.sort_by_cached_key(|member| precedence(member));
            namesakes
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roster::Agent;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    fn member(account: &str, number: i64, left: Option<&str>) -> Member {
        let agent = Agent {
            account: account.into(),
            id: "a".into(),
            name: "support".into(),
            labels: Arc::default(),
        };
        Member {
            left_on: left.map(day),
            ..Member::present(agent, AgentNumber(number))
        }
    }

    #[test]
    fn those_who_are_there_count_before_those_who_left_and_these_from_the_last_one_back() {
        let unlisted = Member {
            unlisted_since: Some(day("2026-11-20")),
            ..member("acme", 1, None)
        };
        let present = member("globex", 2, None);
        let before = member("initech", 3, Some("2026-10-01"));
        let last = member("umbrella", 4, Some("2026-11-01"));
        let members = [&before, &unlisted, &last, &present];
        let order: Vec<i64> = namesakes(&members)[0]
            .iter()
            .map(|member| member.number.0)
            .collect();
        assert_eq!(order, [2, 1, 4, 3]);
        let both = [member("acme", 1, None), member("globex", 2, None)];
        assert!(namesakes(&[&both[0], &both[1]]).is_empty());
    }

    #[test]
    fn unknown_days_before_the_end_are_missing_for_a_week_and_none_after_it() {
        let left = member("acme", 1, Some("2026-11-10"));
        for (today, until) in [
            ("2026-11-10", "2026-11-10"),
            ("2026-11-17", "2026-11-10"),
            ("2026-11-18", "2025-05-28"),
        ] {
            assert_eq!(asked_until(&left, day(today)), day(until), "{today}");
        }
        let today = day("2026-11-18");
        assert_eq!(asked_until(&member("acme", 1, None), today), today);
    }
}
