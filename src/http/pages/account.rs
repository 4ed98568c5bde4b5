//! One account: what its agents used in each of the last months, side by side.

use std::collections::HashSet;
use std::sync::Arc;

use askama::Template;
use hyper::StatusCode;

use super::figure::{Shown, Sum};
use super::{Frame, Page, State, agent_link, csv};
use crate::day::{Day, TRACKING_START, Usage};
use crate::former::Once;
use crate::ledger::{LedgerError, Member, View};

/// How many months are side by side, the current one among them.
const MONTHS: usize = 6;
/// The most agents that are listed.
const LISTED: usize = 200;
#[derive(Debug, Template)]
#[template(path = "account.html")]
struct AccountPage {
    frame: Frame,
    name: String,
    /// The list of its agents, seen from the first page.
    list: String,
    csv: String,
    months: Vec<String>,
    /// Or the reason why they are not known.
    known: Result<Arc<Known>, String>,
}

#[derive(Debug)]
struct Known {
    /// Name, link and months of each agent; no link if it has left.
    rows: Vec<(String, String, Vec<Shown>)>,
    more: usize,
    total: Vec<Shown>,
}

/// The credits of a month: all of them if every day is known, and those of the known days.
type Month = (Option<f64>, Option<f64>);

/// The page of an account; none if there is no such account.
pub(super) async fn account(state: &State, path: &str, name: &str) -> Option<Page> {
    let members = state.board.members();
    let is_configured = state
        .board
        .accounts()
        .iter()
        .any(|place| *place.name == *name);
    if !is_configured && !members.iter().any(|member| *member.agent.account == *name) {
        return None;
    }
    let today = state.clock.today();
    let as_of = (today, state.board.version());
    let months = months(today);
    let known = match state.board.ledger() {
        None => Err("The ledger is loading. Reload in a moment.".to_owned()),
        Some(ledger) => match state.kept.get(name, as_of) {
            Some(known) => Ok(known),
            None => match Known::read(&ledger, &members, name, &months, today).await {
                Ok(known) => Ok(state.kept.keep(name, as_of, known)),
                Err(error) => Err(format!("The ledger cannot be read: {error}.")),
            },
        },
    };
    let query = super::list::Query {
        account: name.to_owned(),
        ..super::list::Query::default()
    };
    let titles = months.iter().map(|(first, _)| first.date().format("%b %Y"));
    let page = AccountPage {
        frame: Frame::new(state, path, "", name),
        name: name.to_owned(),
        list: format!("?{}#agents", query.address()),
        csv: csv(
            Some((name, None)),
            months[MONTHS - 1].0.max(TRACKING_START),
            today,
            "month",
        ),
        months: titles.map(|title| title.to_string()).collect(),
        known,
    };
    Some(Page::of(StatusCode::OK, &page))
}

/// The first and the last day of each month, the newest first; the current one ends yesterday. On the first day
/// of a month, the list begins with the month that has just ended.
fn months(today: Day) -> Vec<(Day, Day)> {
    let yesterday = today.previous();
    let mut months = vec![(yesterday.month_start(), yesterday)];
    while months.len() < MONTHS {
        let last = months[months.len() - 1].0.previous();
        months.push((last.month_start(), last));
    }
    months
}

/// The credits of each month from its days. Days before `start` are not asked for.
fn sums(days: &[Usage], months: &[(Day, Day)], start: Day) -> Vec<Month> {
    let month = |&(first, last): &(Day, Day)| {
        let first = first.max(start);
        let from = days.partition_point(|usage| usage.day < first);
        let known = &days[from..days.partition_point(|usage| usage.day <= last).max(from)];
        let credits = known.iter().fold(0.0, |sum, usage| sum + usage.credits);
        let covered = usize::try_from(last.next().since(first)).unwrap_or(0);
        let some = (!known.is_empty()).then_some(credits);
        (some.filter(|_| known.len() == covered), some)
    };
    months.iter().map(month).collect()
}

impl Known {
    async fn read(
        ledger: &View,
        members: &[Member],
        account: &str,
        months: &[(Day, Day)],
        today: Day,
    ) -> Result<Self, LedgerError> {
        let (first, last) = (months[MONTHS - 1].0, today.previous());
        let numbers = members.iter().map(|member| member.number).collect();
        let former = ledger.absent(numbers, first).await?;
        let is_own = |member: &&Member| *member.agent.account == *account;
        let own: Vec<Member> = members
            .iter()
            .chain(&former)
            .filter(is_own)
            .cloned()
            .collect();
        let former: HashSet<_> = former.iter().map(|member| member.number).collect();
        let once = Once::read(
            ledger,
            &own.iter().collect::<Vec<_>>(),
            (first, last),
            today,
        )
        .await?;
        let start = ledger.history_start().await?.max(TRACKING_START);
        let own: Arc<[Member]> = own.into();
        let numbers = own.iter().map(|member| member.number).collect();
        let mut visited = Arc::clone(&own)
            .iter()
            .cloned()
            .collect::<Vec<_>>()
            .into_iter();
        let spans = months.to_vec();
        let sums = ledger
            .each_usage(numbers, first, last, move |days| match visited.next() {
                Some(member) => sums(&once.days(&member, days), &spans, start),
                None => Vec::new(),
            })
            .await?;
        let mut totals = vec![Sum::default(); months.len()];
        for agent in &sums {
            for (total, (whole, some)) in totals.iter_mut().zip(agent) {
                total.add(*whole, *some);
            }
        }
        let mut rows: Vec<(&Member, Vec<Month>)> = own.iter().zip(sums).collect();
        let used = |months: &[Month]| {
            months
                .iter()
                .filter_map(|(_, some)| *some)
                .fold(0.0, |sum, used| sum + used)
        };
        rows.sort_by(|(_, one), (_, other)| used(other).total_cmp(&used(one)));
        let more = rows.len().saturating_sub(LISTED);
        let rows = rows.into_iter().take(LISTED).map(|(member, months)| {
            let link = match former.contains(&member.number) {
                true => String::new(),
                false => agent_link(&member.agent),
            };
            let shown =
                |(whole, some)| Shown::of(whole, some, || "some days are missing".to_owned());
            let months = months.into_iter().map(shown).collect();
            (member.agent.name.to_string(), link, months)
        });
        Ok(Self {
            rows: rows.collect(),
            more,
            total: totals.iter().map(Sum::shown).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_side_by_side_and_bounds_where_days_are_missing() {
        let day = |text: &str| text.parse::<Day>().unwrap();
        let months = months(day("2026-03-03"));
        assert_eq!(months.len(), MONTHS);
        assert_eq!(months[0], (day("2026-03-01"), day("2026-03-02")));
        assert_eq!(months[1], (day("2026-02-01"), day("2026-02-28")));
        let usage = |day| Usage { day, credits: 2.0 };
        let mut days: Vec<Usage> = day("2026-02-10")
            .through(day("2026-03-02"))
            .map(usage)
            .collect();
        let sum = |days: &[Usage]| sums(days, &months[..3], day("2026-02-10"));
        let none = (None, None);
        assert_eq!(
            sum(&days),
            [(Some(4.0), Some(4.0)), (Some(38.0), Some(38.0)), none]
        );
        days.remove(0);
        assert_eq!(sum(&days)[1], (None, Some(36.0)));
    }
}
