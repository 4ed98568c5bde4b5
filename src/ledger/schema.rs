//! The tables, how older files become newer ones, and the policy that the stored sums follow from.

use chrono::{DateTime, Utc};
use rusqlite::types::{Type, ValueRef};
use rusqlite::{Connection, Row};

use super::error::{Fault, LedgerError};
use super::file::Place;
use crate::day::Day;
use crate::named::{self, Named};
use crate::window::plan::Policy;

/// Marks an SQLite file as a ledger: `FlwG` in ASCII.
pub(super) const APPLICATION_ID: i32 = i32::from_be_bytes(*b"FlwG");

/// Each entry takes a file from the version of its index to the next one. Released entries never
/// change: what comes later is a new entry.
///
/// Days are counted from 1970-01-01, instants in milliseconds from then. `usage` and `revision`
/// hold nothing but their key and figures, side by side in key order, which makes 17 bytes per
/// agent and day. What is told of alerts outlives them, so it holds their keys and not their numbers.
const MIGRATIONS: [&str; 9] = [
    BEGINNING, ALERTS, PUSH, MEMBERS, EPISODES, HOOKS, SUMMARIES, PROBES, SILENCES,
];

/// Agents, their days, and the lists that they are in.
const BEGINNING: &str = "
    CREATE TABLE meta (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        instance INTEGER NOT NULL,
        history_start INTEGER NOT NULL DEFAULT 0,
        settle_days INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    INSERT INTO meta (one, instance) VALUES (1, random());
    CREATE TABLE agent (
        number INTEGER PRIMARY KEY,
        account TEXT NOT NULL,
        id TEXT NOT NULL,
        settled_through INTEGER,
        frontier INTEGER,
        frontier_credits REAL NOT NULL DEFAULT 0,
        high_water_credits REAL,
        known_days INTEGER NOT NULL DEFAULT 0,
        known_through INTEGER,
        revised_up INTEGER NOT NULL DEFAULT 0,
        revised_down INTEGER NOT NULL DEFAULT 0,
        last_success_ms INTEGER,
        last_failure_ms INTEGER,
        UNIQUE (account, id)
    ) STRICT;
    CREATE TABLE usage (
        agent INTEGER NOT NULL REFERENCES agent,
        day INTEGER NOT NULL,
        credits REAL NOT NULL CHECK (credits BETWEEN 0 AND 1.7976931348623157e308),
        fetched INTEGER NOT NULL,
        PRIMARY KEY (agent, day)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE revision (
        agent INTEGER NOT NULL REFERENCES agent,
        day INTEGER NOT NULL,
        number INTEGER NOT NULL,
        old REAL NOT NULL,
        new REAL NOT NULL,
        at_ms INTEGER NOT NULL,
        PRIMARY KEY (agent, day, number)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE listed (
        account TEXT NOT NULL,
        source TEXT NOT NULL,
        id TEXT NOT NULL,
        name TEXT,
        labels TEXT NOT NULL,
        PRIMARY KEY (account, source, id)
    ) STRICT, WITHOUT ROWID;
";

/// Alerts, and what is to be told of them. `delivery.at_ms` is when it is due, or when it ended; the
/// deliveries' numbers ascend in the order in which they were put there. The two partial indexes are
/// for what is asked every second, and for what is to be forgotten.
const ALERTS: &str = "
    CREATE TABLE watched (
        rule TEXT PRIMARY KEY,
        since_ms INTEGER NOT NULL,
        definition TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE alert (
        number INTEGER PRIMARY KEY,
        rule TEXT NOT NULL,
        subject TEXT NOT NULL,
        period INTEGER,
        threshold TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('pending', 'firing', 'resolved')),
        since_ms INTEGER NOT NULL,
        fired_at_ms INTEGER,
        limit_credits REAL NOT NULL,
        hooks TEXT NOT NULL CHECK (json_valid(hooks)),
        notice TEXT NOT NULL,
        CHECK (state <> 'firing' OR fired_at_ms IS NOT NULL)
    ) STRICT;
    CREATE UNIQUE INDEX alert_key ON alert (rule, subject, threshold, ifnull(period, ''));
    CREATE TABLE delivery (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        hook TEXT NOT NULL,
        target TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'given_up')),
        attempts INTEGER NOT NULL CHECK (attempts >= 0),
        created_ms INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        result TEXT,
        notification TEXT NOT NULL
    ) STRICT;
    CREATE INDEX delivery_pending ON delivery (hook, number, at_ms, created_ms)
        WHERE state = 'pending';
    CREATE INDEX delivery_ended ON delivery (at_ms) WHERE state <> 'pending';
    CREATE TABLE delivery_alert (
        delivery INTEGER NOT NULL REFERENCES delivery,
        place INTEGER NOT NULL,
        rule TEXT NOT NULL,
        subject TEXT NOT NULL,
        period INTEGER,
        threshold TEXT NOT NULL,
        PRIMARY KEY (delivery, place)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX delivery_alert_key
        ON delivery_alert (rule, subject, threshold, period, delivery);
    CREATE TABLE disabled_hook (
        hook TEXT PRIMARY KEY,
        at_ms INTEGER NOT NULL,
        reason TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// Days that databases have taken of the history. The ranges of an agent neither overlap nor touch, so there is
/// one of them for as long as nothing is missing.
const PUSH: &str = "
    CREATE TABLE push_target (
        number INTEGER PRIMARY KEY,
        identity TEXT NOT NULL UNIQUE,
        read_back_from INTEGER
    ) STRICT;
    CREATE TABLE pushed_days (
        target INTEGER NOT NULL REFERENCES push_target,
        agent INTEGER NOT NULL REFERENCES agent,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL CHECK (last >= first),
        PRIMARY KEY (target, agent, first)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE pushed_revision (
        target INTEGER NOT NULL REFERENCES push_target,
        agent INTEGER NOT NULL REFERENCES agent,
        day INTEGER NOT NULL,
        number INTEGER NOT NULL CHECK (number > 0),
        PRIMARY KEY (target, agent, day)
    ) STRICT, WITHOUT ROWID;
";

/// The last name and labels of each agent, and the day on which it left: later than all its days. An agent
/// without a name was known to an older version only. A listed agent with a day in `unlisted_since` is no
/// longer named by its list, and has not left yet. Of a day in `left_out`, FlowGent's answer on the day
/// `asked` said nothing.
const MEMBERS: &str = "
    ALTER TABLE agent ADD COLUMN name TEXT;
    ALTER TABLE agent ADD COLUMN labels TEXT;
    ALTER TABLE agent ADD COLUMN left_on INTEGER;
    CREATE INDEX agent_left ON agent (left_on);
    ALTER TABLE listed ADD COLUMN unlisted_since INTEGER;
    CREATE TABLE left_out (
        agent INTEGER NOT NULL REFERENCES agent,
        day INTEGER NOT NULL,
        asked INTEGER NOT NULL,
        PRIMARY KEY (agent, day)
    ) STRICT, WITHOUT ROWID;
";

/// Tables for episodes of alerts: last words, definitions of rules, and judged days.
const EPISODES: &str = "
    ALTER TABLE alert DROP COLUMN limit_credits;
    ALTER TABLE alert ADD COLUMN over_hooks TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(over_hooks));
    ALTER TABLE alert ADD COLUMN agent INTEGER;
    ALTER TABLE alert ADD COLUMN days TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(days));
    ALTER TABLE alert ADD COLUMN below_since INTEGER;
    ALTER TABLE alert ADD COLUMN is_closed INTEGER NOT NULL DEFAULT 0 CHECK (is_closed IN (0, 1));
    UPDATE alert SET over_hooks = hooks, hooks = '[]' WHERE state = 'resolved';
    ALTER TABLE watched ADD COLUMN evaluated INTEGER;
    ALTER TABLE watched ADD COLUMN open_periods TEXT NOT NULL DEFAULT '[]'
        CHECK (json_valid(open_periods));
    ALTER TABLE watched ADD COLUMN agents TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(agents));
    CREATE TABLE judged (
        rule TEXT NOT NULL,
        subject TEXT NOT NULL,
        through INTEGER NOT NULL,
        credits BLOB NOT NULL,
        PRIMARY KEY (rule, subject)
    ) STRICT, WITHOUT ROWID;
";

/// The hooks by their names, and what makes each the same one under another name.
const HOOKS: &str = "
    CREATE TABLE hook (
        name TEXT PRIMARY KEY,
        identity TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// The first day of the next period that each summary is to be sent of.
const SUMMARIES: &str = "
    CREATE TABLE summary (
        name TEXT NOT NULL,
        period TEXT NOT NULL,
        next INTEGER NOT NULL,
        PRIMARY KEY (name, period)
    ) STRICT, WITHOUT ROWID;
";

/// Runs of probes, their totals, and the credits that they used. A run without an outcome was begun and not ended.
const PROBES: &str = "
    CREATE TABLE probe_run (
        number INTEGER PRIMARY KEY,
        probe TEXT NOT NULL,
        account TEXT NOT NULL,
        agent TEXT NOT NULL,
        planned_ms INTEGER NOT NULL,
        outcome TEXT,
        status_code INTEGER,
        duration_seconds REAL,
        execution_seconds REAL,
        used_credits REAL CHECK (used_credits BETWEEN 0 AND 1e12),
        detail TEXT,
        UNIQUE (probe, planned_ms),
        CHECK (outcome IS NULL OR detail IS NOT NULL)
    ) STRICT;
    CREATE TABLE probe_total (
        probe TEXT NOT NULL,
        account TEXT NOT NULL,
        agent TEXT NOT NULL,
        outcome TEXT NOT NULL,
        runs INTEGER NOT NULL CHECK (runs > 0),
        used_credits REAL NOT NULL CHECK (used_credits >= 0),
        PRIMARY KEY (probe, account, agent, outcome)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE probe_use (
        account TEXT NOT NULL,
        agent TEXT NOT NULL,
        day INTEGER NOT NULL,
        credits REAL NOT NULL CHECK (credits > 0),
        PRIMARY KEY (account, agent, day)
    ) STRICT, WITHOUT ROWID;
";

/// Rules and subjects of which nothing is sent before the day `until`. An empty subject stands for all of a rule.
const SILENCES: &str = "
    CREATE TABLE silence (
        rule TEXT NOT NULL,
        subject TEXT NOT NULL,
        until INTEGER NOT NULL,
        since_ms INTEGER NOT NULL,
        reason TEXT NOT NULL,
        PRIMARY KEY (rule, subject)
    ) STRICT, WITHOUT ROWID;
";

/// The schema version that this program writes.
pub(super) const VERSION: i32 = 9;
/// The first one that has alerts in it.
pub(super) const WITH_ALERTS: i32 = 2;
/// The first one that knows what was pushed.
pub(super) const WITH_PUSH: i32 = 3;
/// The first one whose alerts have episodes.
pub(super) const WITH_EPISODES: i32 = 5;
/// The first one that has probes in it.
pub(super) const WITH_PROBES: i32 = 8;
/// The first one that has silences.
pub(super) const WITH_SILENCES: i32 = 9;
const _: () = assert!(MIGRATIONS.len() == VERSION as usize);

/// The schema version of the file, 0 if nothing is in it yet.
///
/// # Errors
/// The file is not a ledger, or a newer one than this program knows, or damaged.
pub(super) fn version(connection: &Connection, place: &Place) -> Result<i32, LedgerError> {
    let look = || -> rusqlite::Result<(i32, i32, i64)> {
        Ok((
            connection.pragma_query_value(None, "application_id", |row| row.get(0))?,
            connection.pragma_query_value(None, "user_version", |row| row.get(0))?,
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?,
        ))
    };
    let path = &place.shown;
    match look().map_err(|error| Fault::from(error).at(path))? {
        // An empty file, or one whose creation was cut short before anything was in it.
        (0, 0, 0) => Ok(0),
        (APPLICATION_ID, found, _) if found > VERSION => Err(Fault::Newer {
            found,
            supported: VERSION,
        }
        .at(path)),
        (APPLICATION_ID, found, _) => Ok(found),
        (found, ..) => Err(Fault::Foreign {
            found,
            expected: APPLICATION_ID,
        }
        .at(path)),
    }
}

/// Refuses a file of version `found` if it is not of [`VERSION`]: for those who cannot bring it there.
///
/// # Errors
/// The file is older.
pub(super) fn must_be_current(found: i32, place: &Place) -> Result<(), LedgerError> {
    if found == VERSION {
        return Ok(());
    }
    let needed = VERSION;
    Err(Fault::Older { found, needed }.at(&place.shown))
}

/// Brings a file of version `found` to [`VERSION`], inside the caller's transaction.
pub(super) fn migrate(connection: &Connection, found: i32) -> rusqlite::Result<()> {
    if found == VERSION {
        return Ok(());
    }
    // A negative version was never written; the first migration then fails on what is there.
    for migration in &MIGRATIONS[usize::try_from(found).unwrap_or(0)..] {
        connection.execute_batch(migration)?;
    }
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", VERSION)
}

/// A limit as SQLite takes it.
pub(super) fn at_most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// An instant from a column of milliseconds since 1970.
pub(super) fn instant(row: &Row<'_>, column: usize) -> rusqlite::Result<DateTime<Utc>> {
    let millis: i64 = row.get(column)?;
    DateTime::from_timestamp_millis(millis)
        .ok_or(rusqlite::Error::IntegralValueOutOfRange(column, millis))
}

/// The same from a column that may be empty.
pub(super) fn optional_instant(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<Option<DateTime<Utc>>> {
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        _ => instant(row, column).map(Some),
    }
}

/// The value whose word stands in a column.
pub(super) fn named<T: Named>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let word: String = row.get(column)?;
    let known = || named::words::<T>().join(", ");
    T::from_word(&word)
        .ok_or_else(|| unreadable(column, format!("`{word}` is none of {}", known())))
}

/// A failure to make sense of the text in a column.
pub(super) fn unreadable(
    column: usize,
    reason: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, reason.into())
}

/// The random number that was drawn when the ledger was created.
pub(super) fn instance(connection: &Connection) -> rusqlite::Result<u64> {
    connection
        .query_row("SELECT instance FROM meta", [], |row| row.get(0))
        .map(i64::cast_unsigned)
}

/// The policy that the stored sums and watermarks follow from.
pub(super) fn policy(connection: &Connection) -> rusqlite::Result<Policy> {
    connection
        .prepare_cached("SELECT history_start, settle_days FROM meta")?
        .query_row([], |row| {
            Ok(Policy {
                history_start: Day::from_number(row.get(0)?),
                settle_days: row.get(1)?,
            })
        })
}

/// The first day of the history.
pub(super) fn history_start(connection: &Connection) -> Result<Day, Fault> {
    Ok(policy(connection)?.history_start)
}

/// Stores `policy`. Tells whether it is another one than before.
pub(super) fn set_policy(connection: &Connection, policy: Policy) -> rusqlite::Result<bool> {
    if self::policy(connection)? == policy {
        return Ok(false);
    }
    connection
        .prepare_cached("UPDATE meta SET history_start = ?1, settle_days = ?2")?
        .execute((policy.history_start.number(), policy.settle_days))?;
    Ok(true)
}
