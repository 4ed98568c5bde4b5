//! One agent: its figures, a chart of the last days, a calendar of all, its revisions and when its days
//! were fetched.

use std::collections::BTreeMap;

use askama::Template;
use chrono::{DateTime, Utc};
use hyper::StatusCode;

use super::budgets::BudgetView;
use super::chart::{Calendar, Days, bars, calendar};
use super::figure::{Shown, Tile, counted, lacking, short_span};
use super::list::Health;
use super::probes::{ProbeRow, rows};
use super::row::shown;
use super::time::Moment;
use super::{Frame, Page, State, account_link, alert_link, csv, refresh};
use crate::alert::subject;
use crate::day::{Day, TRACKING_START, Usage};
use crate::ledger::{AgentHistory, LedgerError, Member, Revision};
use crate::roster::{self, Agent};
use crate::series::{self, Figures};
use crate::words;

/// Number of days that the bars show.
const BAR_DAYS: i32 = 90;
/// The most revisions and the most lines of the fetch log that are listed.
const LISTED: usize = 60;
/// The most budgets that are listed.
const BUDGETS: usize = 24;
/// Number of days that the bars show on a phone.
const PHONE_DAYS: i32 = 30;

#[derive(Debug, Template)]
#[template(path = "agent.html")]
struct AgentPage {
    frame: Frame,
    name: String,
    account: String,
    account_link: String,
    id: String,
    labels: Vec<(String, String)>,
    /// The budgets that count it.
    budgets: Vec<BudgetView>,
    /// The rules that fire about it alone, where their alerts are, and whether they are silenced.
    firing: Vec<(String, String, bool)>,
    /// The download of its days.
    csv: String,
    /// The last runs of its probes, newest first.
    probes: Vec<ProbeRow>,
    /// None if the ledger cannot be read, or is still loading: then why.
    known: Result<Known, String>,
}

#[derive(Debug)]
struct Known {
    health: Health,
    reason: String,
    tiles: Vec<Tile>,
    bars: String,
    /// The last of them, as many as a phone is wide.
    few_bars: String,
    /// The days of the bars, the newest first: the day, the figure, and what else is to be said.
    table: Vec<(String, Shown, String)>,
    calendar: Calendar,
    revisions: Vec<RevisionRow>,
    more_revisions: usize,
    last_success: Option<Moment>,
    last_failure: Option<Moment>,
    settle_days: i32,
    fetches: Vec<FetchRow>,
    more_fetches: usize,
    missing: String,
    missing_list: Vec<String>,
}

#[derive(Debug)]
struct RevisionRow {
    day: String,
    old: String,
    new: String,
    change: String,
    class: &'static str,
    seen: Moment,
}

/// A day of fetching.
#[derive(Debug)]
struct FetchRow {
    day: String,
    count: String,
    days: String,
    unsettled: String,
}

/// The page of an agent, by the names in its path; none if there is no such agent.
pub(super) async fn agent(state: &State, path: &str, account: &str, name: &str) -> Option<Page> {
    let found = state.board.agents(|agents| {
        let known = agents.members.iter().map(|member| &member.agent);
        let place = roster::place(known, account, name)?;
        Some((agents.today, agents.members[place].clone()))
    });
    let (today, member) = match found {
        Some(found) => found?,
        None => return Some(loading(state, path, account, name)),
    };
    let now = state.clock.now();
    let known = match state.board.ledger() {
        None => Err("The ledger is loading.".to_owned()),
        Some(ledger) => match ledger.agent_history(member.number).await {
            Ok(history) => Ok(Known::of(&history, problem(state, &member), today, now)),
            Err(error) => Err(unreadable(&error)),
        },
    };
    let Agent {
        account,
        id,
        name,
        labels,
    } = &member.agent;
    let page = AgentPage {
        frame: Frame::new(state, path, "", format!("{name} · {account}")),
        name: name.to_string(),
        account: account.to_string(),
        account_link: account_link(account),
        id: id.to_string(),
        labels: labels
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        budgets: budgets(state, &member.agent, now),
        firing: firing(state, &member.agent),
        csv: csv(Some((account, Some(id))), TRACKING_START, today, "day"),
        probes: rows(&state.board.probe_runs(&member.agent), now),
        known,
    };
    Some(Page::of(StatusCode::OK, &page))
}

/// Page shown before the list of agents is known.
fn loading(state: &State, path: &str, account: &str, name: &str) -> Page {
    let page = AgentPage {
        frame: Frame::new(state, path, "", format!("{name} · {account}")),
        name: name.to_owned(),
        account: account.to_owned(),
        account_link: String::new(),
        id: String::new(),
        labels: Vec::new(),
        budgets: Vec::new(),
        firing: Vec::new(),
        csv: String::new(),
        probes: Vec::new(),
        known: Err("The figures are being computed. Reload in a moment.".to_owned()),
    };
    Page::of(StatusCode::OK, &page).refreshing(Some(refresh::SOON))
}

/// The budgets that count `agent`.
fn budgets(state: &State, agent: &Agent, now: DateTime<Utc>) -> Vec<BudgetView> {
    let alerting = state.board.alerting();
    let budgets = alerting.iter().flat_map(|alerting| &alerting.budgets);
    let counting = budgets.filter(|budget| budget.matcher.matches(agent));
    let views = counting.map(|budget| BudgetView::of(budget, now));
    views.take(BUDGETS).collect()
}

/// The rules that fire about `agent` alone.
fn firing(state: &State, agent: &Agent) -> Vec<(String, String, bool)> {
    let subject = subject(agent);
    let alerting = state.board.alerting();
    let alerts = alerting.iter().flat_map(|alerting| &alerting.alerts);
    let own = alerts.filter(|alert| alert.firing && alert.subject == subject);
    own.map(|alert| {
        (
            alert.rule.to_string(),
            alert_link(&alert.rule, &alert.subject),
            alert.silenced,
        )
    })
    .collect()
}

fn unreadable(error: &LedgerError) -> String {
    format!("The ledger cannot be read: {error}. `doctor` checks the ledger and its disk.")
}

/// Problem of the agent, or of its account, in the last sync.
fn problem(state: &State, member: &Member) -> Option<String> {
    let sync = state.board.sync();
    sync.last.as_ref()?.problem_of(member).map(str::to_owned)
}

impl Known {
    fn of(history: &AgentHistory, problem: Option<String>, today: Day, now: DateTime<Utc>) -> Self {
        let start = history.policy.history_start;
        let usage: Vec<Usage> = history.days.iter().map(|day| day.usage).collect();
        let recent =
            usage.partition_point(|usage| usage.day < series::recent_start(today).max(start));
        let figures = series::figures(&history.totals, &usage[recent..], start, today);
        let yesterday = today.previous();
        let shown_days = Days::of(today.plus(-BAR_DAYS), yesterday, start, &usage);
        let health = Health::of(&figures);
        let first = calendar_start(start, &usage);
        let all = Days::of(first, yesterday, start, &usage);
        let missing: Vec<Day> = all.missing().collect();
        let (revisions, more_revisions) = revisions(&history.revisions, today, now);
        let (fetches, more_fetches) = fetches(history, today);
        Self {
            health,
            reason: match (health, problem) {
                (Health::Failing, Some(problem)) => format!("The last fetch failed: {problem}."),
                (Health::Failing, None) => "The last fetch failed.".to_owned(),
                _ => String::new(),
            },
            tiles: tiles(history, &figures, &all, today),
            bars: bars(&shown_days, "bars"),
            few_bars: bars(
                &Days::of(today.plus(-PHONE_DAYS), yesterday, start, &usage),
                "few",
            ),
            table: table(&shown_days, &history.revisions),
            calendar: calendar(&all),
            revisions,
            more_revisions,
            last_success: history.totals.last_success.map(|at| Moment::of(at, now)),
            last_failure: history.totals.last_failure.map(|at| Moment::of(at, now)),
            settle_days: history.policy.settle_days,
            fetches,
            more_fetches,
            missing: words::grouped(&figures.missing_days.to_string()),
            missing_list: spans(&missing, today),
        }
    }
}

/// The first day of the calendar: that of the month in which the history starts, or in which something is
/// known.
fn calendar_start(history_start: Day, usage: &[Usage]) -> Day {
    let known = usage.first().map_or(history_start, |usage| usage.day);
    known.min(history_start).max(TRACKING_START).month_start()
}

fn tiles(history: &AgentHistory, figures: &Figures, days: &Days, today: Day) -> Vec<Tile> {
    let [yesterday, week, days_30, month, forecast] = shown(figures, Some(days), today);
    let previous = today.month_start().previous();
    let name = |day: Day| day.date().format("%B").to_string();
    let previous_month = Shown::of(
        figures.previous_month_credits,
        figures.at_least.previous_month_credits,
        || {
            let missing = days.missing();
            let missing = missing.filter(|day| day.month_start() == previous.month_start());
            lacking(&missing.collect::<Vec<_>>(), today)
        },
    );
    let start = words::date(history.policy.history_start, today);
    let span = |days: i32| short_span(today.plus(-days), today.previous(), today);
    // Where there is no pointer, nobody sees a title.
    let tile = |label: &str, shown: Shown, note: String| {
        let note = if shown.title.is_empty() {
            note
        } else {
            shown.title.clone()
        };
        Tile::credits(label, shown, note)
    };
    vec![
        tile("Yesterday", yesterday, words::date(today.previous(), today)),
        tile("Last 7 days", week, span(7)),
        tile("Last 30 days", days_30, span(30)),
        tile("This month", month, name(today)),
        tile("Expected this month", forecast, name(today)),
        tile("Last month", previous_month, name(previous)),
        tile(
            &format!("Since {start}"),
            since_start(history, figures, today),
            format!("through {}", words::date(today.previous(), today)),
        ),
        Tile {
            label: "Missing days".to_owned(),
            shown: Shown::plain(words::grouped(&figures.missing_days.to_string())),
            unit: "",
            note: format!("since {start}"),
        },
    ]
}

/// Sum of all known days since the history start.
fn since_start(history: &AgentHistory, figures: &Figures, today: Day) -> Shown {
    let days = history.days.iter().map(|day| day.usage);
    let counts = |usage: &Usage| (history.policy.history_start..today).contains(&usage.day);
    let known = days.filter(counts).map(|usage| usage.credits);
    let known = known.reduce(|sum, credits| sum + credits);
    let whole = known.filter(|_| figures.missing_days == 0);
    Shown::of(whole, known, || {
        let missing = words::grouped(&figures.missing_days.to_string());
        let days = if missing == "1" { "day" } else { "days" };
        format!("{missing} {days} missing")
    })
}

/// The days of the bars, the newest first.
fn table(days: &Days, revisions: &[Revision]) -> Vec<(String, Shown, String)> {
    let mut revised: BTreeMap<Day, u32> = BTreeMap::new();
    for revision in revisions {
        *revised.entry(revision.day).or_default() += 1;
    }
    let row = |(day, point): (Day, super::chart::Point)| {
        let shown = match point {
            super::chart::Point::Used(credits) => Shown::credits(Some(credits), String::new),
            super::chart::Point::Missing => Shown::credits(None, || "missing".to_owned()),
            super::chart::Point::Unasked => {
                Shown::credits(None, || "before the history start".to_owned())
            }
        };
        let note = match revised.get(&day) {
            Some(1) => "revised".to_owned(),
            Some(times) => format!("revised {times} times"),
            None => shown.title.clone(),
        };
        (day.date().format("%a %-d %b %Y").to_string(), shown, note)
    };
    days.iter().rev().map(row).collect()
}

/// The revisions that were seen last, and how many more there are.
fn revisions(revisions: &[Revision], today: Day, now: DateTime<Utc>) -> (Vec<RevisionRow>, usize) {
    let mut newest: Vec<&Revision> = revisions.iter().collect();
    newest.sort_by_key(|revision| std::cmp::Reverse((revision.at, revision.day)));
    let row = |revision: &&Revision| {
        let change = revision.new - revision.old;
        RevisionRow {
            day: words::date(revision.day, today),
            old: words::number(revision.old),
            new: words::number(revision.new),
            change: match change > 0.0 {
                true => format!("+{}", words::number(change)),
                false => format!("−{}", words::number(-change)),
            },
            class: if change > 0.0 { "up" } else { "down" },
            seen: Moment::of(revision.at, now),
        }
    };
    let rows = newest.iter().take(LISTED).map(row).collect();
    (rows, newest.len().saturating_sub(LISTED))
}

/// The UTC days on which days were last fetched while they could still change, the newest first, and how
/// many more there are.
fn fetches(history: &AgentHistory, today: Day) -> (Vec<FetchRow>, usize) {
    let mut by_fetch: BTreeMap<Day, Vec<(Day, bool)>> = BTreeMap::new();
    for day in &history.days {
        let is_settled = day.is_settled(history.policy);
        by_fetch
            .entry(day.fetched)
            .or_default()
            .push((day.usage.day, is_settled));
    }
    let more = by_fetch.len().saturating_sub(LISTED);
    let row = |(fetched, days): (&Day, &Vec<(Day, bool)>)| {
        let unsettled = days.iter().filter(|(_, is_settled)| !is_settled).count();
        let days: Vec<Day> = days.iter().map(|(day, _)| *day).collect();
        FetchRow {
            day: words::date(*fetched, today),
            count: words::grouped(&days.len().to_string()),
            days: spans(&days, today).join(", "),
            unsettled: match unsettled {
                0 => "final".to_owned(),
                all if all == days.len() => "may still change".to_owned(),
                some => format!("{} may still change", counted(some, "day", "days")),
            },
        }
    };
    (by_fetch.iter().rev().take(LISTED).map(row).collect(), more)
}

/// Days, which ascend, as spans without gaps: `1 Nov – 4 Nov`, the newest first and not too many.
fn spans(days: &[Day], today: Day) -> Vec<String> {
    const MOST: usize = 12;
    let mut spans: Vec<(Day, Day)> = Vec::new();
    for &day in days {
        match spans.last_mut().filter(|(_, last)| last.next() == day) {
            Some((_, last)) => *last = day,
            None => spans.push((day, day)),
        }
    }
    let more = spans.len().saturating_sub(MOST);
    let text = |(first, last): &(Day, Day)| match first == last {
        true => words::date(*first, today),
        false => format!(
            "{} – {}",
            words::date(*first, today),
            words::date(*last, today)
        ),
    };
    let mut texts: Vec<String> = spans.iter().rev().take(MOST).map(text).collect();
    if more > 0 {
        texts.push(counted(more, "more span of days", "more spans of days"));
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::FetchedDay;
    use crate::series::Totals;
    use crate::window::plan::Policy;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    fn history(days: &[(&str, f64, &str)]) -> AgentHistory {
        let days = days.iter().map(|(text, credits, fetched)| FetchedDay {
            usage: Usage {
                day: day(text),
                credits: *credits,
            },
            fetched: day(fetched),
        });
        AgentHistory {
            policy: Policy {
                history_start: day("2026-11-20"),
                settle_days: 3,
            },
            totals: Totals::default(),
            days: days.collect(),
            revisions: Vec::new(),
        }
    }

    #[test]
    fn the_fetch_log_tells_what_was_fetched_when_and_whether_it_may_change() {
        let history = history(&[
            ("2026-11-20", 1.0, "2026-11-24"),
            ("2026-11-21", 1.0, "2026-11-24"),
            ("2026-11-22", 1.0, "2026-11-26"),
            ("2026-11-23", 1.0, "2026-11-26"),
            ("2026-11-25", 1.0, "2026-11-26"),
        ]);
        let (rows, more) = fetches(&history, day("2026-11-26"));
        let seen: Vec<_> = rows
            .iter()
            .map(|row| (&*row.day, &*row.count, &*row.days, &*row.unsettled))
            .collect();
        assert_eq!(
            seen,
            [
                (
                    "26 Nov",
                    "3",
                    "25 Nov, 22 Nov – 23 Nov",
                    "2 days may still change"
                ),
                ("24 Nov", "2", "20 Nov – 21 Nov", "1 day may still change"),
            ]
        );
        assert_eq!(more, 0);
    }

    #[test]
    fn many_spans_are_counted() {
        let first = day("2026-01-01");
        let odd: Vec<Day> = (0..40).map(|place| first.plus(place * 2)).collect();
        let texts = spans(&odd, day("2026-11-26"));
        assert_eq!(texts.len(), 13);
        assert_eq!(texts[0], "20 Mar");
        assert_eq!(texts[12], "28 more spans of days");
    }

    #[test]
    fn the_calendar_begins_with_the_month_of_the_first_day() {
        assert_eq!(calendar_start(day("2026-11-20"), &[]), day("2026-11-01"));
        let known = Usage {
            day: day("2025-06-03"),
            credits: 1.0,
        };
        assert_eq!(
            calendar_start(day("2026-11-20"), &[known]),
            day("2025-06-01")
        );
        assert_eq!(calendar_start(day("2020-03-01"), &[]), day("2025-05-01"));
    }
}
