//! Progress of each summary: every statement that touches its table.
//!
//! Each function runs inside a transaction that its caller has begun.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::Connection;

use super::error::Fault;
use crate::day::Day;

const ALL: &str = "SELECT name, period, next FROM summary";
const KEEP: &str = "
    INSERT INTO summary (name, period, next) VALUES (?1, ?2, ?3)
    ON CONFLICT (name, period) DO UPDATE SET next = excluded.next";

const FORGET: &str = "DELETE FROM summary WHERE name = ?1 AND period = ?2";

/// A summary's name, and the word for its period.
pub type SummaryKey = (Arc<str>, Arc<str>);

/// The first day of the next period that each summary is to be sent of.
pub type NextSummaries = HashMap<SummaryKey, Day>;

/// A summary with that day; none if it is in the config no more.
pub type NextSummary = (SummaryKey, Option<Day>);

/// All of them.
pub(super) fn all(connection: &Connection) -> Result<NextSummaries, Fault> {
    let mut statement = connection.prepare_cached(ALL)?;
    let next = statement.query_map([], |row| {
        Ok(((row.get(0)?, row.get(1)?), Day::from_number(row.get(2)?)))
    })?;
    Ok(next.collect::<rusqlite::Result<_>>()?)
}

/// Keeps those that have changed, and forgets those that have no day any more.
pub(super) fn keep(connection: &Connection, changed: &[NextSummary]) -> Result<(), Fault> {
    let mut keep = connection.prepare_cached(KEEP)?;
    let mut forget = connection.prepare_cached(FORGET)?;
    for ((name, period), next) in changed {
        match next {
            Some(next) => keep.execute((name, period, next.number()))?,
            None => forget.execute((name, period))?,
        };
    }
    Ok(())
}
