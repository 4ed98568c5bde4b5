//! The alerts that are remembered: every statement that touches their table.
//!
//! Each function runs inside a transaction that its caller has begun.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, Row, params};

use super::alert_key::{AlertKey, key, params_of};
use super::error::Fault;
use super::schema::at_most;
use super::schema::{self, instant, optional_instant, unreadable};
use super::silences::{self, silenced};
use super::summaries::{self, NextSummaries, NextSummary};
use super::watched::{Judged, JudgedDays, JudgedKey, Watched};
use super::{AgentNumber, Delivery, outbox, watched};
use crate::day::Day;
use crate::named::named;

/// Time for which an alert of a period is kept after it was over: by then the period is, too, so that
/// nothing can fire a second time for being forgotten.
const RESOLVED_KEPT: TimeDelta = TimeDelta::days(400);
/// Time for which judged days are kept of a subject that is judged no more.
const JUDGED_KEPT: TimeDelta = TimeDelta::days(30);

/// A query for alerts, the most severe first.
macro_rules! most_severe_first {
    ($query:literal, $order:literal) => {
        concat!(
            $query,
            " ORDER BY CASE iif(json_valid(notice), json_extract(notice, '$.severity'), '')
                WHEN 'critical' THEN 0 WHEN 'warning' THEN 1 ELSE 2 END, ",
            $order
        )
    };
}

const ALERTS: &str = "
    SELECT rule, subject, period, threshold, state, since_ms, fired_at_ms, hooks, over_hooks,
        agent, days, below_since, is_closed, notice
    FROM alert ORDER BY rule, subject, period, threshold";
const COUNTS: &str = "SELECT state, count(*) FROM alert GROUP BY state";
const NEWEST: &str = most_severe_first!(
    "SELECT rule, subject, period, threshold, state, since_ms, fired_at_ms, hooks, over_hooks,
        agent, days, below_since, is_closed, notice
    FROM alert WHERE state = ?1",
    "since_ms DESC, rule, subject, period, threshold LIMIT ?2"
);
const ACTIVE: &str = most_severe_first!(
    "SELECT rule, subject, period, threshold, state, since_ms, fired_at_ms, hooks, over_hooks,
        agent, days, below_since, is_closed, notice
    FROM alert WHERE state <> 'resolved'",
    "rule, subject, period, threshold LIMIT ?1 OFFSET ?2"
);
const OF_HOOK: &str = concat!(
    "
    SELECT rule, subject, period, threshold, state, since_ms, fired_at_ms, hooks, over_hooks,
        agent, days, below_since, is_closed, notice
    FROM alert
    WHERE (state = 'firing' AND EXISTS (SELECT 1 FROM json_each(alert.hooks) WHERE value = ?1)
            OR state = 'resolved' AND since_ms >= ?2
                AND EXISTS (SELECT 1 FROM json_each(alert.over_hooks) WHERE value = ?1))
        AND NOT EXISTS (SELECT 1 FROM disabled_hook WHERE disabled_hook.hook = ?1)
        AND NOT EXISTS (
            SELECT 1 FROM delivery_alert AS told
            JOIN delivery ON delivery.number = told.delivery
            WHERE told.rule = alert.rule AND told.subject = alert.subject
                AND told.threshold = alert.threshold AND told.period IS alert.period
                AND hook = ?1 AND delivery.state = 'pending' AND attempts = 0)
        AND NOT ",
    silenced!("alert", "?3"),
    " ORDER BY rule, subject, period, threshold"
);
/// Of each firing alert and hook, the time of its newest delivery that ended; none while all receivers still wait for
/// one.
const LAST_TOLD: &str = "
    SELECT rule, subject, period, threshold, hook, max(ended_ms) FROM (
        SELECT told.rule, told.subject, told.period, told.threshold, delivery.hook,
            iif(max(delivery.state = 'pending'), NULL, max(delivery.at_ms)) AS ended_ms
        FROM alert JOIN delivery_alert AS told ON told.rule = alert.rule AND told.subject = alert.subject
            AND told.threshold = alert.threshold AND told.period IS alert.period
        JOIN delivery ON delivery.number = told.delivery
        WHERE alert.state = 'firing'
        GROUP BY alert.number, delivery.hook, delivery.target)
    GROUP BY rule, subject, period, threshold, hook";
const ADD: &str = "
    INSERT INTO alert (rule, subject, period, threshold, state, since_ms, fired_at_ms, hooks, over_hooks,
        agent, days, below_since, is_closed, notice)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
const FORGET: &str = "
    DELETE FROM alert WHERE rule = ?1 AND subject = ?2 AND period IS ?3 AND threshold = ?4";
/// A budget without end has one period for ever, hence the look at when it was over.
const FORGET_RESOLVED: &str =
    "DELETE FROM alert WHERE state = 'resolved' AND since_ms < ?1 AND period < ?2";

named! {
    /// States of an alert.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum AlertState {
        /// The condition holds, but not for long enough.
        Pending = "pending",
        /// It holds.
        Firing = "firing",
        /// It held once.
        Resolved = "resolved",
    }
}

/// An alert as it is remembered.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// Which.
    pub key: AlertKey,
    /// Its state.
    pub state: AlertState,
    /// Since when it has been there.
    pub since: DateTime<Utc>,
    /// Time at which it fired, if it ever did.
    pub fired_at: Option<DateTime<Utc>>,
    /// The hooks whose last word is that it fires.
    pub hooks: BTreeSet<String>,
    /// The hooks whose last word is that it is over.
    pub over_hooks: BTreeSet<String>,
    /// The agent that it is about, if it is about one.
    pub agent: Option<AgentNumber>,
    /// The days for which it fires although a newer one is known, ascending: their figures came late.
    pub days: Vec<Day>,
    /// The first of the days in a row on which the forecast was below the threshold.
    pub below_since: Option<Day>,
    /// True if the end of its period ended it: then it stays over.
    pub is_closed: bool,
    /// Its notice as JSON, with the figures of the last evaluation.
    pub notice: String,
}

/// Changes of an evaluation, all in one transaction.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AlertChanges {
    /// New definitions of rules.
    pub watched: Vec<(Arc<str>, Watched)>,
    /// Rules that are watched no more.
    pub unwatched: Vec<Arc<str>>,
    /// Days that were judged.
    pub judged: Vec<(JudgedKey, Judged)>,
    /// Alerts in their new state.
    pub changed: Vec<Alert>,
    /// Alerts to be forgotten.
    pub forgotten: Vec<AlertKey>,
    /// The first day of the next period of summaries.
    pub summaries: Vec<NextSummary>,
    /// Messages to send.
    pub deliveries: Vec<Delivery>,
}

impl Alert {
    /// The hooks that know how it stands: that it fires, or that it is over.
    #[must_use]
    pub const fn told_hooks(&self) -> &BTreeSet<String> {
        match self.state {
            AlertState::Resolved => &self.over_hooks,
            AlertState::Pending | AlertState::Firing => &self.hooks,
        }
    }
}

/// By alert and hook, the time of the newest delivery that ended; none while all receivers still wait for one.
pub type LastTold = HashMap<(AlertKey, String), Option<DateTime<Utc>>>;

/// Everything that is remembered of alerts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AlertMemory {
    /// All alerts, ordered by their keys.
    pub alerts: Vec<Alert>,
    /// Record of each rule's evaluations.
    pub watched: HashMap<Arc<str>, Watched>,
    /// The days that rules about days have judged.
    pub judged: JudgedDays,
    /// The first day of the next period of each summary.
    pub summaries: NextSummaries,
}

/// Everything that is remembered.
pub(super) fn memory(connection: &Connection) -> Result<AlertMemory, Fault> {
    let mut alerts = connection.prepare_cached(ALERTS)?;
    let alerts = alerts.query_map([], alert)?;
    Ok(AlertMemory {
        alerts: alerts.collect::<rusqlite::Result<_>>()?,
        watched: watched::watched(connection)?,
        judged: watched::judged(connection)?,
        summaries: summaries::all(connection)?,
    })
}

/// Number of alerts in each state that any is in.
pub(super) fn counts(connection: &Connection) -> Result<Vec<(AlertState, usize)>, Fault> {
    let mut statement = connection.prepare_cached(COUNTS)?;
    let counts = statement.query_map([], |row| {
        let number: i64 = row.get(1)?;
        Ok((schema::named(row, 0)?, usize::try_from(number).unwrap_or(0)))
    })?;
    Ok(counts.collect::<rusqlite::Result<_>>()?)
}

/// The most severe and newest of those in `state`, at most `limit`.
pub(super) fn newest(
    connection: &Connection,
    state: AlertState,
    limit: usize,
) -> Result<Vec<Alert>, Fault> {
    let mut statement = connection.prepare_cached(NEWEST)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let alerts = statement.query_map((state.as_str(), limit), alert)?;
    Ok(alerts.collect::<rusqlite::Result<_>>()?)
}

/// The alerts that fire or are about to, at most `limit` after the first `offset`, and how many there are
/// in all.
pub(super) fn active(
    connection: &Connection,
    offset: usize,
    limit: usize,
) -> Result<(Vec<Alert>, usize), Fault> {
    let mut statement = connection.prepare_cached(ACTIVE)?;
    let alerts = statement.query_map((at_most(limit), at_most(offset)), alert)?;
    let alerts = alerts.collect::<rusqlite::Result<_>>()?;
    let counts = counts(connection)?.into_iter();
    let active = counts.filter(|(state, _)| *state != AlertState::Resolved);
    Ok((alerts, active.map(|(_, number)| number).sum()))
}

/// The alerts that `hook` was told of, and that fire or are over since `resolved_since`. What it was
/// never told of is left to the delivery that is still to tell it, and what is silenced to the silence's end.
pub(super) fn of_hook(
    connection: &Connection,
    hook: &str,
    resolved_since: DateTime<Utc>,
    today: Day,
) -> Result<Vec<Alert>, Fault> {
    let mut statement = connection.prepare_cached(OF_HOOK)?;
    let parameters = (hook, resolved_since.timestamp_millis(), today.number());
    let alerts = statement.query_map(parameters, alert)?;
    Ok(alerts.collect::<rusqlite::Result<_>>()?)
}

/// When each hook was last told of each alert that fires.
pub(super) fn last_told(connection: &Connection) -> Result<LastTold, Fault> {
    let mut statement = connection.prepare_cached(LAST_TOLD)?;
    let told = statement.query_map([], |row| {
        Ok(((key(row, 0)?, row.get(4)?), optional_instant(row, 5)?))
    })?;
    Ok(told.collect::<rusqlite::Result<_>>()?)
}

/// Keeps what an evaluation has changed, and forgets what is old.
pub(super) fn record(
    connection: &Connection,
    changes: &AlertChanges,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    let AlertChanges {
        watched,
        unwatched,
        judged,
        changed,
        forgotten,
        summaries,
        deliveries,
    } = changes;
    watched::watch(connection, watched, unwatched)?;
    watched::judge(connection, judged, Day::of(now - JUDGED_KEPT))?;
    let mut forget = connection.prepare_cached(FORGET)?;
    for key in forgotten
        .iter()
        .chain(changed.iter().map(|alert| &alert.key))
    {
        forget.execute(params_of(key))?;
    }
    let mut add = connection.prepare_cached(ADD)?;
    for alert in changed {
        let (rule, subject, period, threshold) = params_of(&alert.key);
        add.execute(params![
            rule,
            subject,
            period,
            threshold,
            alert.state.as_str(),
            alert.since.timestamp_millis(),
            alert.fired_at.map(|at| at.timestamp_millis()),
            to_text(&alert.hooks),
            to_text(&alert.over_hooks),
            alert.agent.map(|agent| agent.0),
            to_text(
                &alert
                    .days
                    .iter()
                    .map(|day| day.number())
                    .collect::<Vec<_>>()
            ),
            alert.below_since.map(Day::number),
            alert.is_closed,
            alert.notice,
        ])?;
    }
    summaries::keep(connection, summaries)?;
    outbox::add(connection, deliveries)?;
    silences::forget(connection, now)?;
    let oldest = now - RESOLVED_KEPT;
    connection
        .prepare_cached(FORGET_RESOLVED)?
        .execute((oldest.timestamp_millis(), Day::of(oldest).number()))?;
    Ok(())
}

fn alert(row: &Row<'_>) -> rusqlite::Result<Alert> {
    let days: Vec<i32> = list(row, 10)?;
    Ok(Alert {
        key: key(row, 0)?,
        state: schema::named(row, 4)?,
        since: instant(row, 5)?,
        fired_at: optional_instant(row, 6)?,
        hooks: list(row, 7)?,
        over_hooks: list(row, 8)?,
        agent: row.get::<_, Option<i64>>(9)?.map(AgentNumber),
        days: days.into_iter().map(Day::from_number).collect(),
        below_since: row.get::<_, Option<i32>>(11)?.map(Day::from_number),
        is_closed: row.get(12)?,
        notice: row.get(13)?,
    })
}

/// A list from a column of JSON.
fn list<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| unreadable(column, error))
}

fn to_text(list: &impl serde::Serialize) -> String {
    serde_json::to_string(list).expect("a list of texts or numbers is always JSON")
}
