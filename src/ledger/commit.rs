//! Answers → days, revisions and sums: what one fetch changes.
//!
//! Each function runs inside a transaction that its caller has begun.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};

use super::error::Fault;
use super::standing::{Row, Standing};
use super::usage::{FOREVER, each_row, read_standing};
use super::{AgentNumber, Committed, Fetched, Revision, schema};
use crate::day::{Day, Usage};
use crate::series::Totals;
use crate::window::MAX_DAYS;
use crate::window::plan::Policy;

const ALL_AGENTS: &str = "SELECT number FROM agent ORDER BY number";
const WRITE_STANDING: &str = "
    UPDATE agent SET settled_through = ?2, frontier = ?3, frontier_credits = ?4,
        high_water_credits = ?5, known_days = ?6, known_through = ?7, revised_up = ?8,
        revised_down = ?9, last_success_ms = ?10, last_failure_ms = ?11
    WHERE number = ?1";
const CHANGE_ROW: &str =
    "UPDATE usage SET credits = ?3, fetched = ?4 WHERE agent = ?1 AND day = ?2";
const LAST_REVISION: &str =
    "SELECT coalesce(max(number), 0) FROM revision WHERE agent = ?1 AND day = ?2";
const ADD_REVISION: &str = "
    INSERT INTO revision (agent, day, number, old, new, at_ms)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const FORGET_LEFT_OUT: &str = "DELETE FROM left_out WHERE agent = ?1 AND day BETWEEN ?2 AND ?3";
const ADD_LEFT_OUT: &str = "INSERT INTO left_out (agent, day, asked) VALUES (?1, ?2, ?3)";

/// Statements that add as many rows as their index says, up to a whole window. A failure undoes the
/// whole transaction, so none of them need be able to undo its own rows, which SQLite would otherwise
/// prepare for by copying every page before it changes.
static ADD_ROWS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let rows =
        |count| (0..count).map(|row| format!("(?1, ?{}, ?{}, ?2)", 2 * row + 3, 2 * row + 4));
    (0..=LONGEST_WINDOW)
        .map(|count| {
            let rows = rows(count).collect::<Vec<_>>().join(", ");
            format!("INSERT OR FAIL INTO usage (agent, day, credits, fetched) VALUES {rows}")
        })
        .collect()
});
const LONGEST_WINDOW: usize = MAX_DAYS.unsigned_abs() as usize;

/// Stores one answer and everything that follows from it. Returns the agent's totals from then on, too.
pub(super) fn commit(
    connection: &Connection,
    fetched: &Fetched,
) -> Result<(Committed, Totals), Fault> {
    let agent = fetched.agent;
    let policy = schema::policy(connection)?;
    let mut standing = read_standing(connection, agent)?;
    let mut rows = fetched.rows.clone();
    rows.sort_unstable_by_key(|row| row.day);

    let committed = store_rows(connection, fetched, &rows, policy)?;
    store_left_out(connection, fetched, &rows)?;
    update_standing(
        connection,
        fetched,
        &rows,
        &committed,
        policy,
        &mut standing,
    )?;
    write_standing(connection, agent, &standing)?;
    Ok((committed, standing.totals))
}

/// Writes what is new or different in `rows`, which ascend.
fn store_rows(
    connection: &Connection,
    fetched: &Fetched,
    rows: &[Usage],
    policy: Policy,
) -> Result<Committed, Fault> {
    let Fetched {
        agent, window, at, ..
    } = *fetched;
    // Where this host's clock is days behind, FlowGent knows days that it has yet to reach.
    let newest = rows.last().map_or(Day::of(at), |row| row.day.next());
    let today = Day::of(at).max(newest);
    let mut known = Vec::new();
    each_row(connection, agent, window.start(), window.end(), |row| {
        known.push(row);
        true
    })?;
    let mut change = connection.prepare_cached(CHANGE_ROW)?;
    let mut committed = Committed::default();
    let mut new = Vec::with_capacity(rows.len());
    for &Usage { day, credits } in rows {
        let Ok(found) = known.binary_search_by_key(&day, |row| row.day) else {
            new.push(Usage { day, credits });
            committed.inserted.push(day);
            continue;
        };
        let old = known[found];
        // A clock that was set back must not make a settled day unsettled.
        let fetched = old.fetched.max(today);
        let changed = old.credits != credits;
        if changed || (fetched > old.fetched && !old.known().is_settled(policy.settle_days)) {
            change.execute((agent.0, day.number(), credits, fetched.number()))?;
        }
        if changed {
            let revision = add_revision(connection, agent, &old, credits, at)?;
            committed.revisions.push(revision);
        } else {
            committed.confirmed += 1;
        }
    }
    add_rows(connection, agent, &new, today)?;
    Ok(committed)
}

/// Notes the days of the window that are not among `rows`, which ascend.
fn store_left_out(
    connection: &Connection,
    fetched: &Fetched,
    rows: &[Usage],
) -> rusqlite::Result<()> {
    let Fetched {
        agent, window, at, ..
    } = fetched;
    let (start, end) = (window.start().number(), window.end().number());
    connection
        .prepare_cached(FORGET_LEFT_OUT)?
        .execute((agent.0, start, end))?;
    if rows.len() == window.length() {
        return Ok(());
    }
    let mut add = connection.prepare_cached(ADD_LEFT_OUT)?;
    let is_there = |day: &Day| rows.binary_search_by_key(day, |row| row.day).is_ok();
    for day in window.days().filter(|day| !is_there(day)) {
        add.execute((agent.0, day.number(), Day::of(*at).number()))?;
    }
    Ok(())
}

/// Adds days that were not known, in one statement per window: that takes half the time of one
/// statement per day.
fn add_rows(
    connection: &Connection,
    agent: AgentNumber,
    new: &[Usage],
    fetched: Day,
) -> rusqlite::Result<()> {
    // A window has few lengths, so each length's statement is prepared once.
    for new in new.chunks(LONGEST_WINDOW) {
        let mut statement = connection.prepare_cached(&ADD_ROWS[new.len()])?;
        statement.raw_bind_parameter(1, agent.0)?;
        statement.raw_bind_parameter(2, fetched.number())?;
        for (parameter, usage) in (3..).step_by(2).zip(new) {
            statement.raw_bind_parameter(parameter, usage.day.number())?;
            statement.raw_bind_parameter(parameter + 1, usage.credits)?;
        }
        statement.raw_execute()?;
    }
    Ok(())
}

/// Keeps what a row said before it was changed.
fn add_revision(
    connection: &Connection,
    agent: AgentNumber,
    old: &Row,
    new: f64,
    at: DateTime<Utc>,
) -> Result<Revision, Fault> {
    let day = old.day.number();
    let last: u32 = connection
        .prepare_cached(LAST_REVISION)?
        .query_row((agent.0, day), |row| row.get(0))?;
    let number = last + 1;
    connection.prepare_cached(ADD_REVISION)?.execute((
        agent.0,
        day,
        number,
        old.credits,
        new,
        at.timestamp_millis(),
    ))?;
    Ok(Revision {
        day: old.day,
        number,
        old: old.credits,
        new,
        at,
    })
}

/// Brings the sums and watermarks up to date with what [`store_rows`] has done, reading only rows
/// that move them.
fn update_standing(
    connection: &Connection,
    fetched: &Fetched,
    rows: &[Usage],
    committed: &Committed,
    policy: Policy,
    standing: &mut Standing,
) -> Result<(), Fault> {
    let agent = fetched.agent;
    let totals = &mut standing.totals;
    totals.last_success = Some(fetched.at);
    totals.last_failure = None;
    for &day in &committed.inserted {
        if day >= policy.history_start {
            totals.known_days += 1;
            totals.known_through = totals.known_through.max(Some(day));
        }
    }
    for revision in &committed.revisions {
        if revision.new > revision.old {
            totals.revised_up += 1;
        } else {
            totals.revised_down += 1;
        }
    }
    if let Some(frontier) = totals.frontier
        && committed
            .revisions
            .iter()
            .any(|revision| policy.history_start <= revision.day && revision.day <= frontier)
    {
        // Summed again rather than corrected by the difference, which would drift as floats do.
        let mut credits = 0.0;
        each_row(connection, agent, policy.history_start, frontier, |row| {
            credits += row.credits;
            true
        })?;
        totals.frontier_credits = credits;
        standing.raise_high_water();
    }
    // The watermark is never ahead of the frontier, so one pass moves both; it ends at the first
    // row that moves neither. A pass can only help if this commit has touched its first day.
    let touched = |day: Day| rows.binary_search_by_key(&day, |row| row.day).is_ok();
    let first = [
        standing.next_settled(policy),
        standing.next_frontier(policy),
    ]
    .into_iter()
    .find(|&day| touched(day));
    if let Some(first) = first {
        each_row(connection, agent, first, FOREVER, |row| {
            let advances = standing.advance_frontier(&row, policy);
            standing.advance_settled(&row, policy)
                || advances
                || row.day < standing.next_frontier(policy)
        })?;
    }
    Ok(())
}

/// Notes that a fetch of `agent` failed. Returns its totals from then on.
pub(super) fn record_failure(
    connection: &Connection,
    agent: AgentNumber,
    at: DateTime<Utc>,
) -> Result<Totals, Fault> {
    let mut standing = read_standing(connection, agent)?;
    standing.totals.last_failure = Some(at);
    write_standing(connection, agent, &standing)?;
    Ok(standing.totals)
}

/// Makes the stored sums and watermarks follow from `policy`. All rows are read, but only if it
/// differs from the stored one.
pub(super) fn configure(connection: &Connection, policy: Policy) -> Result<(), Fault> {
    if !schema::set_policy(connection, policy)? {
        return Ok(());
    }
    let agents = connection
        .prepare(ALL_AGENTS)?
        .query_map([], |row| row.get(0).map(AgentNumber))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    for agent in agents {
        let mut standing = read_standing(connection, agent)?.cleared();
        each_row(connection, agent, policy.history_start, FOREVER, |row| {
            standing.count(&row, policy);
            true
        })?;
        write_standing(connection, agent, &standing)?;
    }
    Ok(())
}

/// Keeps `standing` in the row of `agent`.
fn write_standing(
    connection: &Connection,
    agent: AgentNumber,
    standing: &Standing,
) -> rusqlite::Result<()> {
    let Standing {
        settled_through,
        totals:
            Totals {
                frontier,
                frontier_credits,
                high_water_credits,
                known_days,
                known_through,
                revised_up,
                revised_down,
                last_success,
                last_failure,
            },
    } = *standing;
    connection.prepare_cached(WRITE_STANDING)?.execute(params![
        agent.0,
        settled_through.map(Day::number),
        frontier.map(Day::number),
        frontier_credits,
        high_water_credits,
        known_days,
        known_through.map(Day::number),
        revised_up.cast_signed(),
        revised_down.cast_signed(),
        last_success.map(|at| at.timestamp_millis()),
        last_failure.map(|at| at.timestamp_millis()),
    ])?;
    Ok(())
}
