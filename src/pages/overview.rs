//! The first page: what all agents used, what needs somebody, and a list of the agents.

use std::sync::Arc;

use askama::Template;
use chrono::{DateTime, Utc};
use hyper::StatusCode;

use super::balances;
use super::budgets::{self, BudgetView};
use super::figure::{Shown, Tile, agents, short_span, shortened};
use super::list::{List, Query, Totals};
use super::listing::ListView;
use super::refresh;
use super::row::SPARK_DAYS;
use super::sync::SyncView;
use super::{AlertView, Frame, Page, State, csv};
use crate::blocking;
use crate::day::{Day, TRACKING_START, Usage};
use crate::http::months::Sum;
use crate::ledger::{Alert, AlertState, DeliveryRecord, DisabledHook, LedgerError, View};
use crate::status::{Facts, SyncStatus, Trouble};
use crate::words;

/// The most of each that the page lists: a page of anything has an end.
const TROUBLES: usize = 20;
const ALERTS: usize = 6;
/// Number of alerts read for those, since a budget has one for each threshold.
const THRESHOLDS: usize = 10;
const BUDGETS: usize = 24;
const BALANCES: usize = 4;
const ACCOUNTS: usize = 24;
/// The most letters of the reason why an account has no agents.
const REASON: usize = 300;
/// Number of deliveries read for troubles.
const DELIVERIES: usize = 100;

#[derive(Debug, Template)]
#[template(path = "overview.html")]
struct Overview {
    frame: Frame,
    troubles: Vec<TroubleView>,
    more_troubles: usize,
    sync: SyncView,
    /// True if the form that filters is shown: not on a page that is soon replaced.
    has_filter: bool,
    /// None while the figures are computed.
    known: Option<Known>,
}

/// A trouble as it is shown.
#[derive(Debug)]
struct TroubleView {
    word: &'static str,
    class: &'static str,
    what: Vec<Part>,
    advice: Vec<Part>,
}

/// A part of a text.
#[derive(Debug, PartialEq)]
struct Part {
    /// True for text between backticks, which is shown as code.
    is_code: bool,
    text: String,
}

/// Contents once the figures are loaded.
#[derive(Debug)]
struct Known {
    yesterday: String,
    /// Sentence on missing days.
    state: String,
    is_complete: bool,
    balances: Vec<Tile>,
    tiles: Vec<Tile>,
    more_balances: usize,
    alerts: Vec<AlertView>,
    more_alerts: usize,
    budgets: Vec<BudgetView>,
    more_budgets: usize,
    accounts: Vec<AccountRow>,
    more_accounts: usize,
    /// The download of the last days.
    csv: String,
    /// The months of the only account; none if there are several.
    months: Option<String>,
    list: ListView,
}

#[derive(Debug)]
struct AccountRow {
    name: String,
    link: String,
    agents: String,
    figures: [Shown; 5],
    missing: String,
    /// Why no agent of it is known; empty if some are.
    reason: String,
}

/// The first page, at `path` and with `query`.
pub(super) async fn overview(state: &State, path: &str, asked: &str) -> Page {
    let now = state.clock.now();
    let query = Query::parse(asked);
    let sync = state.board.sync();
    let is_filling = sync.running_since.is_some();
    let (board, wanted) = (Arc::clone(&state.board), query.clone());
    // Among many agents that takes a while.
    let gathered =
        blocking::run(move || board.agents(|agents| (agents.today, List::of(agents, &wanted))));
    let gathered = gathered.await;
    let obstacles = state.board.obstacles().await;
    let mut troubles = Vec::new();
    let known = match (state.board.ledger(), gathered) {
        (Some(ledger), Some((today, list))) => {
            let read = read(&ledger, &list, today).await;
            let ledger = read.unwrap_or_else(|error| {
                troubles.push(unreadable(&error));
                FromLedger::default()
            });
            troubles.extend(ledger.troubles(state, &sync, &obstacles));
            Some(known(state, ledger, list, &query, today, now))
        }
        _ => {
            troubles.extend(FromLedger::default().troubles(state, &sync, &obstacles));
            None
        }
    };
    let more_troubles = troubles.len().saturating_sub(TROUBLES);
    troubles.truncate(TROUBLES);
    let refresh = match is_filling || known.is_none() {
        true => refresh::SOON,
        false => refresh::LATER,
    };
    let refresh = refresh::unless_asked(asked, refresh);
    let mut frame = Frame::new(state, path, "agents", "Usage");
    frame.refresh = refresh;
    let page = Overview {
        frame,
        has_filter: refresh != Some(refresh::SOON),
        troubles: troubles.into_iter().map(TroubleView::of).collect(),
        more_troubles,
        sync: SyncView::of(&sync, now),
        known,
    };
    let page = blocking::run(move || Page::of(StatusCode::OK, &page)).await;
    page.refreshing(refresh)
}

/// Contents of the page that only the ledger knows.
#[derive(Debug, Default)]
struct FromLedger {
    /// The history start, and the days of each row, in order.
    days: Option<(Day, Vec<Vec<Usage>>)>,
    alerts: Vec<Alert>,
    disabled_hooks: Vec<DisabledHook>,
    undelivered: Vec<DeliveryRecord>,
}

/// Reads what is shown and no more: the days of the agents on the page, not of all.
async fn read(ledger: &View, list: &List, today: Day) -> Result<FromLedger, LedgerError> {
    let numbers = list.rows.iter().map(|(member, _)| member.number).collect();
    let (first, last) = (today.plus(-SPARK_DAYS), today.previous());
    let history_start = ledger.history_start().await?;
    let days = ledger
        .each_usage(numbers, first, last, <[Usage]>::to_vec)
        .await?;
    Ok(FromLedger {
        days: Some((history_start, days)),
        alerts: ledger
            .newest_alerts(AlertState::Firing, ALERTS * THRESHOLDS)
            .await?,
        disabled_hooks: ledger.disabled_hooks().await?,
        undelivered: ledger.deliveries(false, DELIVERIES).await?,
    })
}

impl FromLedger {
    fn troubles(&self, state: &State, sync: &SyncStatus, obstacles: &[String]) -> Vec<Trouble> {
        let (accounts, config_error) = (state.board.accounts(), state.board.config_error());
        let ledger_error = state.board.ledger_error();
        let standing = state.clock.time().standing;
        let clock = standing.is_wrong().then(|| standing.to_string());
        let facts = Facts {
            accounts: &accounts,
            config_error: config_error.as_deref().map(String::as_str),
            obstacles,
            ledger_error: ledger_error.as_deref().map(String::as_str),
            clock: clock.as_deref(),
            sync,
            disabled_hooks: &self.disabled_hooks,
            undelivered: &self.undelivered,
        };
        facts.troubles()
    }
}

fn unreadable(error: &LedgerError) -> Trouble {
    Trouble {
        is_severe: true,
        what: format!("The ledger cannot be read: {error}."),
        advice: "This page shows what was read before. `doctor` checks the ledger and its disk."
            .to_owned(),
        account: None,
    }
}

fn known(
    state: &State,
    ledger: FromLedger,
    list: List,
    query: &Query,
    today: Day,
    now: DateTime<Utc>,
) -> Known {
    let alerting = state.board.alerting();
    let alerting = alerting.as_deref();
    let budgets = alerting.map_or(&[][..], |alerting| &alerting.budgets);
    let balances = alerting.map_or(&[][..], |alerting| &alerting.balances);
    let firing = alerting.iter().flat_map(|alerting| &alerting.alerts);
    let firing = firing.filter(|alert| alert.firing).count();
    let alerts = super::told(&ledger.alerts).into_iter().take(ALERTS);
    let view = |alert| AlertView::of(alert, true, now);
    let alerts: Vec<AlertView> = alerts.map(view).collect();
    let mut cards = budgets::cards(budgets, now);
    let more_budgets = cards.len().saturating_sub(BUDGETS);
    cards.truncate(BUDGETS);
    let total = &list.total;
    let only = list.accounts.keys().next();
    let only = only.filter(|_| list.accounts.len() == 1);
    Known {
        yesterday: long(today.previous()),
        state: completeness(total),
        is_complete: total.missing_days == 0 && total.agents > 0,
        balances: balances::tiles(balances).take(BALANCES).collect(),
        tiles: tiles(total, today),
        more_balances: balances.len().saturating_sub(BALANCES),
        more_alerts: firing.saturating_sub(alerts.len()),
        alerts,
        budgets: cards,
        more_budgets,
        accounts: accounts(state, &list),
        months: only.map(|name| super::account_link(name)),
        csv: csv(None, today.plus(-30).max(TRACKING_START), today, "day"),
        more_accounts: list.accounts.len().saturating_sub(ACCOUNTS),
        list: ListView::of(
            &list,
            query,
            ledger
                .days
                .as_ref()
                .map(|(start, days)| (*start, days.as_slice())),
            state.board.sync().last.as_deref(),
            today,
        ),
    }
}

/// Sentence on missing days.
fn completeness(total: &Totals) -> String {
    if total.agents == 0 {
        return "No agents yet.".to_owned();
    }
    if total.missing_days == 0 {
        return match total.agents {
            1 => "Every day of the agent is known.".to_owned(),
            number => format!("Every day of all {} is known.", agents(number)),
        };
    }
    let days = match total.missing_days {
        1 => "1 day is".to_owned(),
        days => format!("{} days are", words::grouped(&days.to_string())),
    };
    format!(
        "{days} missing, from {} of {}.",
        words::grouped(&total.incomplete.to_string()),
        agents(total.agents)
    )
}

fn tiles(total: &Totals, today: Day) -> Vec<Tile> {
    let yesterday = today.previous();
    let month = today.month_start();
    let span = |days: i32| short_span(today.plus(-days), yesterday, today);
    let [of_yesterday, week, days_30, this_month, forecast, previous] = total.credits;
    let previous = previous.shown().text;
    // Where there is no pointer, nobody sees a title.
    let tile = |label: &str, sum: Sum, note: String| {
        let note = match sum.lacking() {
            Some(lacking) => format!("{note}, {lacking}"),
            None => note,
        };
        Tile::credits(label, sum.shown(), note)
    };
    vec![
        tile("Yesterday", of_yesterday, words::date(yesterday, today)),
        tile("Last 7 days", week, span(7)),
        tile("Last 30 days", days_30, span(30)),
        tile(
            "This month",
            this_month,
            match month == today {
                true => "begins today".to_owned(),
                false => short_span(month, yesterday, today),
            },
        ),
        tile(
            &format!("Expected in {}", today.date().format("%B")),
            forecast,
            format!("{previous} in {}", month.previous().date().format("%B")),
        ),
    ]
}

/// A day with its weekday.
fn long(day: Day) -> String {
    day.date().format("%A, %-d %B %Y").to_string()
}

/// The accounts, if there are several or one has no agents: first those without, then those who used most.
fn accounts(state: &State, list: &List) -> Vec<AccountRow> {
    let empty = accounts_without_agents(state, list);
    if list.accounts.len() < 2 && empty.is_empty() {
        return Vec::new();
    }
    let mut accounts: Vec<(&Arc<str>, &Totals)> = list.accounts.iter().collect();
    let days_30 = |totals: &Totals| totals.credits[2].credits();
    accounts.sort_by(|(_, one), (_, other)| days_30(other).total_cmp(&days_30(one)));
    let row = |(name, totals): (&Arc<str>, &Totals)| AccountRow {
        name: name.to_string(),
        link: super::account_link(name),
        agents: words::grouped(&totals.agents.to_string()),
        figures: std::array::from_fn(|place| totals.credits[place].shown()),
        missing: words::grouped(&totals.missing_days.to_string()),
        reason: String::new(),
    };
    let rows = empty.into_iter().chain(accounts.into_iter().map(row));
    rows.take(ACCOUNTS).collect()
}

/// The accounts of the config of which no agent is known, with the reason: a list that failed is not absent.
fn accounts_without_agents(state: &State, list: &List) -> Vec<AccountRow> {
    let sync = state.board.sync();
    let configured = state.board.accounts();
    let empty = configured
        .iter()
        .filter(|account| !list.accounts.contains_key(&account.name));
    let row = |name: &Arc<str>| {
        let problems = sync.last.iter().flat_map(|last| &last.problems);
        let problem = problems.clone().find(|problem| problem.account == *name);
        let reason = match (problem, &sync.last) {
            (Some(problem), _) => shortened(&problem.error, REASON),
            (None, None) => "its agents are not listed yet".to_owned(),
            (None, Some(_)) => "no agent is listed".to_owned(),
        };
        AccountRow {
            name: name.to_string(),
            link: String::new(),
            agents: "0".to_owned(),
            figures: std::array::from_fn(|_| Shown::unknown(String::new())),
            missing: "–".to_owned(),
            reason,
        }
    };
    empty.map(|account| row(&account.name)).collect()
}

/// A text in parts. A backtick that has no other is one.
fn parts(text: &str) -> Vec<Part> {
    let part = |is_code, text: &str| Part {
        is_code,
        text: text.to_owned(),
    };
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('`')
        && let Some((code, after)) = after.split_once('`')
    {
        parts.extend([part(false, before), part(true, code)]);
        rest = after;
    }
    parts.push(part(false, rest));
    parts
}

impl TroubleView {
    fn of(trouble: Trouble) -> Self {
        let (word, class) = match trouble.is_severe {
            true => ("Problem", "bad"),
            false => ("Note", "warn"),
        };
        Self {
            word,
            class,
            what: parts(&trouble.what),
            advice: parts(&trouble.advice),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_backticks_is_code() {
        for (text, expected) in [
            ("plain", &[(false, "plain")][..]),
            (
                "write `a b`, send `x`.",
                &[
                    (false, "write "),
                    (true, "a b"),
                    (false, ", send "),
                    (true, "x"),
                    (false, "."),
                ],
            ),
            ("one ` alone", &[(false, "one ` alone")]),
        ] {
            let parts = parts(text);
            let parts: Vec<_> = parts
                .iter()
                .map(|part| (part.is_code, &*part.text))
                .collect();
            assert_eq!(parts, expected);
        }
    }
}
