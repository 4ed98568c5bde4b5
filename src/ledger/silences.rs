//! Silences: rules or subjects of which nothing is sent for a while. Every statement that touches their table.
//!
//! They are written beside a running exporter: SQLite's own locks let the two take turns.

use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::Connection;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::alert_key::text;
use super::error::{Fault, LedgerError};
use super::file::Place;
use super::schema::{self, instant};
use super::writer::in_transaction;
use crate::day::Day;

/// Time for which a silence that has ended is kept, so that a clock that is set back finds it again.
const ENDED_KEPT: TimeDelta = TimeDelta::days(30);

/// The condition that `$alert`, a row with a rule and a subject, is silenced on the day of that parameter.
macro_rules! silenced {
    ($alert:literal, $day:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM silence WHERE silence.rule = ",
            $alert,
            ".rule AND silence.subject IN ('', ",
            $alert,
            ".subject) AND silence.until > ",
            $day,
            ")"
        )
    };
}
pub(super) use silenced;

const ACTIVE: &str = "
    SELECT rule, nullif(subject, ''), until, since_ms, reason FROM silence
    WHERE until > ?1 ORDER BY rule, subject";
const SET: &str = "
    INSERT INTO silence (rule, subject, until, since_ms, reason) VALUES (?1, ifnull(?2, ''), ?3, ?4, ?5)
    ON CONFLICT (rule, subject) DO UPDATE
    SET until = excluded.until, since_ms = excluded.since_ms, reason = excluded.reason";
const LIFT: &str =
    "DELETE FROM silence WHERE rule = ?1 AND subject = ifnull(?2, '') AND until > ?3";
const FORGET: &str = "DELETE FROM silence WHERE until <= ?1";

/// A rule, or one of its subjects, of which hooks get no messages for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Silence {
    /// The name of the rule, budget or balance.
    #[serde(serialize_with = "text")]
    pub rule: Arc<str>,
    /// The subject; null if all are silenced.
    #[serde(serialize_with = "text_or_null")]
    pub subject: Option<Arc<str>>,
    /// The first UTC day on which hooks get messages again.
    pub until: Day,
    /// Time at which it was set.
    pub since: DateTime<Utc>,
    /// Why.
    pub reason: String,
}

fn text_or_null<S: Serializer>(text: &Option<Arc<str>>, serializer: S) -> Result<S::Ok, S::Error> {
    text.as_deref().serialize(serializer)
}

impl Silence {
    /// Returns true if it silences the alerts of that rule and subject.
    #[must_use]
    pub fn is_of(&self, rule: &str, subject: &str) -> bool {
        let is_subject = |own: &Arc<str>| **own == *subject;
        *self.rule == *rule && self.subject.as_ref().is_none_or(is_subject)
    }

    /// Of `silences`, the one that silences that rule and subject for longest.
    #[must_use]
    pub fn of<'a>(silences: &'a [Self], rule: &str, subject: &str) -> Option<&'a Self> {
        let silences = silences.iter();
        let those = silences.filter(|silence| silence.is_of(rule, subject));
        those.max_by_key(|silence| silence.until)
    }
}

/// Keeps `silence` in the ledger at `path`, in place of one of the same rule and subject. Blocks.
///
/// # Errors
/// There is no ledger of this version at `path`, or the file could not be written.
pub fn silence(path: &Path, silence: &Silence) -> Result<(), LedgerError> {
    beside(path, |connection| {
        let Silence {
            rule,
            subject,
            until,
            since,
            reason,
        } = silence;
        let (until, since) = (until.number(), since.timestamp_millis());
        let mut set = connection.prepare_cached(SET)?;
        set.execute((rule, subject, until, since, reason))?;
        Ok(())
    })
}

/// Ends the silence of that rule and subject on the day `today` in the ledger at `path`. Returns false if there is
/// none. Blocks.
///
/// # Errors
/// There is no ledger of this version at `path`, or the file could not be written.
pub fn unsilence(
    path: &Path,
    rule: &str,
    subject: Option<&str>,
    today: Day,
) -> Result<bool, LedgerError> {
    beside(path, |connection| {
        let mut lift = connection.prepare_cached(LIFT)?;
        Ok(lift.execute((rule, subject, today.number()))? > 0)
    })
}

/// Writes to the ledger at `path`, also while an exporter has it open.
pub(super) fn beside<T>(
    path: &Path,
    work: impl FnOnce(&Connection) -> Result<T, Fault>,
) -> Result<T, LedgerError> {
    let place = Place::existing(path)?;
    let mut connection = place.open_writer()?;
    let found = schema::version(&connection, &place)?;
    schema::must_be_current(found, &place)?;
    place.configure_writer(&connection)?;
    in_transaction(&mut connection, work).map_err(|fault| fault.at(path))
}

/// The silences of the day `today`, by rule and subject.
pub(super) fn active(connection: &Connection, today: Day) -> Result<Vec<Silence>, Fault> {
    let mut statement = connection.prepare_cached(ACTIVE)?;
    let silences = statement.query_map([today.number()], |row| {
        Ok(Silence {
            rule: row.get(0)?,
            subject: row.get(1)?,
            until: Day::from_number(row.get(2)?),
            since: instant(row, 3)?,
            reason: row.get(4)?,
        })
    })?;
    Ok(silences.collect::<rusqlite::Result<_>>()?)
}

/// Forgets silences that ended long ago.
pub(super) fn forget(connection: &Connection, now: DateTime<Utc>) -> Result<(), Fault> {
    let oldest = Day::of(now - ENDED_KEPT).number();
    connection.prepare_cached(FORGET)?.execute([oldest])?;
    Ok(())
}
