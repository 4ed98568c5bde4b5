//! Runs of chat probes: every statement that touches their tables.
//!
//! A run is kept before its question is asked, so that a time is never asked for twice. Each function runs inside
//! a transaction that its caller has begun.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, OptionalExtension, Row};

use super::Identity;
use super::error::Fault;
use super::schema::{at_most, instant, named};
use crate::day::{Day, Usage};
use crate::named::named;

/// Number of runs that are kept of each probe.
pub const KEPT_RUNS: usize = 10;
/// Days for which the credits that probes used are kept, by agent and day.
const KEPT_DAYS: i32 = 400;
/// A run that was planned for a time further ahead than this is of a clock that ran ahead.
const JITTER: TimeDelta = TimeDelta::hours(1);

/// The newest planned time of a probe, but for those of a clock that ran ahead.
const NEWEST: &str = "SELECT max(planned_ms) FROM probe_run WHERE probe = ?1 AND planned_ms <= ?2";
const BEGIN: &str = "
    INSERT INTO probe_run (probe, account, agent, planned_ms) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (probe, planned_ms) DO NOTHING RETURNING number";
const END: &str = "
    UPDATE probe_run SET outcome = ?2, status_code = ?3, duration_seconds = ?4, execution_seconds = ?5,
        used_credits = ?6, detail = ?7
    WHERE number = ?1 AND outcome IS NULL RETURNING probe, account, agent";
const OPEN: &str = "SELECT number FROM probe_run WHERE outcome IS NULL ORDER BY number";
const COUNT: &str = "
    INSERT INTO probe_total (probe, account, agent, outcome, runs, used_credits)
    VALUES (?1, ?2, ?3, ?4, 1, ?5)
    ON CONFLICT (probe, account, agent, outcome) DO UPDATE SET
        runs = runs + 1, used_credits = used_credits + excluded.used_credits";
const USE: &str = "
    INSERT INTO probe_use (account, agent, day, credits) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (account, agent, day) DO UPDATE SET credits = credits + excluded.credits";
const FORGET_RUNS: &str = "
    DELETE FROM probe_run WHERE probe = ?1 AND outcome IS NOT NULL AND number NOT IN (
        SELECT number FROM probe_run WHERE probe = ?1 ORDER BY number DESC LIMIT ?2)";
const FORGET_USE: &str = "DELETE FROM probe_use WHERE day < ?1";
const RUNS: &str = "
    SELECT probe, account, agent, planned_ms, outcome, status_code, duration_seconds, execution_seconds,
        used_credits, detail
    FROM probe_run ORDER BY number DESC";
const TOTALS: &str = "
    SELECT probe, account, agent, outcome, runs, used_credits FROM probe_total
    ORDER BY probe, account, agent, outcome";
const USED: &str = "
    SELECT account, agent, day, credits FROM probe_use WHERE day BETWEEN ?1 AND ?2
    ORDER BY account, agent, day";

named! {
    /// Outcomes of a run.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, schemars::JsonSchema)]
    #[schemars(inline)]
    #[serde(rename_all = "snake_case")]
    pub enum ProbeOutcome {
        /// The agent replied as expected.
        Success = "success",
        /// FlowGent refused the request: the key, the agent or the message.
        Refused = "refused",
        /// 402: the account has no credits left.
        NoCredits = "no_credits",
        /// FlowGent could not be reached, or failed, or asked for patience.
        Unavailable = "unavailable",
        /// No complete reply came in time.
        Timeout = "timeout",
        /// The reply does not match `expect`.
        Unexpected = "unexpected",
        /// The reply is not what the API document promises.
        Malformed = "malformed",
        /// The exporter ended before the outcome was kept.
        Interrupted = "interrupted",
    }
}

/// A run that is about to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedRun {
    /// The probe's name.
    pub probe: Arc<str>,
    /// The agent that is asked.
    pub agent: Identity,
    /// Time of the probe's cron pattern, of which there is one run at most.
    pub planned_at: DateTime<Utc>,
}

/// Number of a run in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunNumber(i64);

/// The end of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeResult {
    /// Its outcome.
    pub outcome: ProbeOutcome,
    /// The `statusCode` of the reply, or else the HTTP status; none if there was neither.
    pub status_code: Option<u16>,
    /// Time from the request to the end of the reply, in seconds; none if that was not seen.
    pub duration_seconds: Option<f64>,
    /// The reply's `execution_time`, in seconds.
    pub execution_seconds: Option<f64>,
    /// Credits that it used, by the reply.
    pub used_credits: Option<f64>,
    /// The reason for an outcome other than success; empty for that.
    pub detail: String,
}

/// A run as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeRun {
    /// The run.
    pub planned: PlannedRun,
    /// Its end; none while it is under way.
    pub result: Option<ProbeResult>,
}

/// All runs of a probe with one outcome, added up.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeTotal {
    /// The probe's name.
    pub probe: Arc<str>,
    /// The agent that was asked.
    pub agent: Identity,
    /// The outcome.
    pub outcome: ProbeOutcome,
    /// Number of runs.
    pub runs: u64,
    /// Credits that they used.
    pub used_credits: f64,
}

/// Keeps a run that is about to begin at `now`. None if it must not: its time was asked for before, or lies before
/// one that was.
pub(super) fn begin(
    connection: &Connection,
    run: &PlannedRun,
    now: DateTime<Utc>,
) -> Result<Option<RunNumber>, Fault> {
    let planned = run.planned_at.timestamp_millis();
    let horizon = (now + JITTER).timestamp_millis();
    let mut newest = connection.prepare_cached(NEWEST)?;
    let newest: Option<i64> = newest.query_row((&run.probe, horizon), |row| row.get(0))?;
    if newest.is_some_and(|newest| newest >= planned) {
        return Ok(None);
    }
    let (account, agent) = &run.agent;
    let mut begin = connection.prepare_cached(BEGIN)?;
    let number = begin.query_row((&run.probe, account, agent, planned), |row| row.get(0));
    Ok(number.optional()?.map(RunNumber))
}

/// Keeps the end of a run at the instant `at`, and what follows from it; nothing if its end is kept already.
pub(super) fn end(
    connection: &Connection,
    RunNumber(number): RunNumber,
    result: &ProbeResult,
    at: DateTime<Utc>,
) -> Result<(), Fault> {
    let ProbeResult {
        outcome,
        status_code,
        duration_seconds,
        execution_seconds,
        used_credits,
        detail,
    } = result;
    let outcome = outcome.as_str();
    let values = (
        number,
        outcome,
        status_code,
        duration_seconds,
        execution_seconds,
        used_credits,
        detail,
    );
    let mut end = connection.prepare_cached(END)?;
    let ended = end.query_row(values, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    let Some((probe, account, agent)): Option<(String, String, String)> = ended.optional()? else {
        return Ok(());
    };
    let credits = used_credits.unwrap_or_default();
    connection
        .prepare_cached(COUNT)?
        .execute((&probe, &account, &agent, outcome, credits))?;
    let today = Day::of(at);
    if credits > 0.0 {
        connection
            .prepare_cached(USE)?
            .execute((&account, &agent, today.number(), credits))?;
    }
    connection
        .prepare_cached(FORGET_RUNS)?
        .execute((&probe, at_most(KEPT_RUNS)))?;
    let oldest = today.plus(-KEPT_DAYS);
    connection
        .prepare_cached(FORGET_USE)?
        .execute([oldest.number()])?;
    Ok(())
}

/// Ends all runs that are still open: those that were under way when the program ended. Tells how many.
pub(super) fn interrupt(connection: &Connection, now: DateTime<Utc>) -> Result<usize, Fault> {
    let mut open = connection.prepare_cached(OPEN)?;
    let open = open.query_map([], |row| row.get(0).map(RunNumber))?;
    let open: Vec<RunNumber> = open.collect::<rusqlite::Result<_>>()?;
    let interrupted = ProbeResult {
        outcome: ProbeOutcome::Interrupted,
        status_code: None,
        duration_seconds: None,
        execution_seconds: None,
        used_credits: None,
        detail: "the exporter ended before the outcome was kept".to_owned(),
    };
    for run in &open {
        end(connection, *run, &interrupted, now)?;
    }
    Ok(open.len())
}

/// The runs that are kept, newest first.
pub(super) fn runs(connection: &Connection) -> Result<Vec<ProbeRun>, Fault> {
    let mut statement = connection.prepare_cached(RUNS)?;
    let runs = statement.query_map([], |row| {
        let is_open = row.get_ref(4)? == rusqlite::types::ValueRef::Null;
        Ok(ProbeRun {
            planned: PlannedRun {
                probe: row.get(0)?,
                agent: (row.get(1)?, row.get(2)?),
                planned_at: instant(row, 3)?,
            },
            result: (!is_open).then(|| result(row)).transpose()?,
        })
    })?;
    Ok(runs.collect::<rusqlite::Result<_>>()?)
}

fn result(row: &Row<'_>) -> rusqlite::Result<ProbeResult> {
    Ok(ProbeResult {
        outcome: named(row, 4)?,
        status_code: row.get(5)?,
        duration_seconds: row.get(6)?,
        execution_seconds: row.get(7)?,
        used_credits: row.get(8)?,
        detail: row.get(9)?,
    })
}

/// The totals of all probes that ever ran.
pub(super) fn totals(connection: &Connection) -> Result<Vec<ProbeTotal>, Fault> {
    let mut statement = connection.prepare_cached(TOTALS)?;
    let totals = statement.query_map([], |row| {
        Ok(ProbeTotal {
            probe: row.get(0)?,
            agent: (row.get(1)?, row.get(2)?),
            outcome: named(row, 3)?,
            runs: row.get::<_, i64>(4)?.cast_unsigned(),
            used_credits: row.get(5)?,
        })
    })?;
    Ok(totals.collect::<rusqlite::Result<_>>()?)
}

/// Credits that probes used by the account and identifier of each agent, on the days `from` through `to`, ascending.
pub(super) fn used(
    connection: &Connection,
    from: Day,
    to: Day,
) -> Result<HashMap<Identity, Vec<Usage>>, Fault> {
    let mut statement = connection.prepare_cached(USED)?;
    let mut rows = statement.query((from.number(), to.number()))?;
    let mut used: HashMap<Identity, Vec<Usage>> = HashMap::new();
    while let Some(row) = rows.next()? {
        let usage = Usage {
            day: Day::from_number(row.get(2)?),
            credits: row.get(3)?,
        };
        let agent = (row.get(0)?, row.get(1)?);
        used.entry(agent).or_default().push(usage);
    }
    Ok(used)
}
