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

/// A summary's name, and the word for its period.
pub type SummaryKey = (Arc<str>, Arc<str>);

/// The first day of the next period that each summary is to be sent of.
pub type NextSummaries = HashMap<SummaryKey, Day>;

/// All of them.
pub(super) fn all(connection: &Connection) -> Result<NextSummaries, Fault> {
    let mut statement = connection.prepare_cached(ALL)?;
    let next = statement.query_map([], |row| {
        Ok(((row.get(0)?, row.get(1)?), Day::from_number(row.get(2)?)))
    })?;
    Ok(next.collect::<rusqlite::Result<_>>()?)
}

/// Keeps those that have changed.
pub(super) fn keep(connection: &Connection, changed: &[(SummaryKey, Day)]) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached(KEEP)?;
    for ((name, period), next) in changed {
        statement.execute((name, period, next.number()))?;
    }
    Ok(())
}
