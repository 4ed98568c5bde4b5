//! The outbox: what is to be told to hooks, kept until each has taken it. Every statement that touches
//! these tables.
//!
//! Each function runs inside a transaction that its caller has begun.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::alert_key::{key, params_of};
use super::delivery::{
    Attempt, Backlog, Delivery, DeliveryRecord, DeliveryState, DisabledHook, Overdue,
};
use super::error::Fault;
use super::schema::{self, at_most, instant};
use super::silences::silenced;
use crate::day::Day;

/// The number of tries that follow on each other by a schedule. After them, a delivery that is the last word
/// on an alert is tried daily, and any other one may be given up.
pub(crate) const SCHEDULED_TRIES: u32 = 10;
/// Whole days from the first to the last scheduled try.
pub(crate) const RETRY_DAYS: u64 = 3;
/// The longest that a delivery rests between two tries. One that seems to rest for longer was planned by a
/// clock that ran ahead, and is due.
pub(crate) const LONGEST_REST: Duration = Duration::from_secs(24 * 3600);
/// Age at which a delivery that nobody takes is given up, and limit for sending it again with all others: what
/// is older is no news to anyone.
const LONGEST_WAIT: TimeDelta = TimeDelta::days(30);
/// Time for which an ended delivery is kept, for people to look at.
const ENDED_KEPT: TimeDelta = TimeDelta::days(90);

/// The condition that all alerts of a delivery, which has some, are silenced on the day of that parameter.
macro_rules! held {
    ($delivery:literal, $day:literal) => {
        concat!(
            "(EXISTS (SELECT 1 FROM delivery_alert WHERE delivery = ",
            $delivery,
            ".number) AND NOT EXISTS (SELECT 1 FROM delivery_alert AS loud WHERE loud.delivery = ",
            $delivery,
            ".number AND NOT ",
            silenced!("loud", $day),
            "))"
        )
    };
}
/// The condition that no newer delivery to the same receiver, in such a state, is about the alert `told` of the
/// delivery `mine`.
///
/// SQLite keeps to the order of a cross join: a delivery's own few alerts lead to those of others. The other way round,
/// each delivery would be held against all that are there.
macro_rules! newest {
    ($state:literal) => {
        concat!(
            "NOT EXISTS (
                SELECT 1 FROM delivery_alert AS later
                CROSS JOIN delivery AS newer ON newer.number = later.delivery
                WHERE later.rule = told.rule AND later.subject = told.subject
                    AND later.threshold = told.threshold AND later.period IS told.period
                    AND later.delivery > mine.number AND newer.state ",
            $state,
            " AND newer.hook = mine.hook AND newer.target = mine.target)"
        )
    };
}

const ADD: &str = "
    INSERT INTO delivery (id, hook, target, state, attempts, created_ms, at_ms, notification)
    VALUES (?1, ?2, ?3, 'pending', 0, ?4, ?4, ?5)";
const ADD_ALERT: &str = "
    INSERT INTO delivery_alert (delivery, place, rule, subject, period, threshold)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
/// A delivery waits for those before it about its alerts, but not for one that a silence holds back.
const DUE: &str = concat!(
    "
    SELECT number, id, hook, target, state, attempts, created_ms, at_ms, result, notification
    FROM delivery AS mine
    WHERE hook = ?1 AND state = 'pending' AND (at_ms <= ?2 OR at_ms > ?4) AND NOT ",
    held!("mine", "?5"),
    "
        AND NOT EXISTS (SELECT 1 FROM disabled_hook WHERE disabled_hook.hook = ?1)
        AND NOT EXISTS (
            SELECT 1 FROM delivery_alert AS told
            CROSS JOIN delivery_alert AS earlier ON earlier.rule = told.rule
                AND earlier.subject = told.subject AND earlier.threshold = told.threshold
                AND earlier.period IS told.period AND earlier.delivery < mine.number
            CROSS JOIN delivery AS older ON older.number = earlier.delivery
            WHERE told.delivery = mine.number AND older.state = 'pending'
                AND older.hook = mine.hook AND older.target = mine.target AND NOT ",
    held!("older", "?5"),
    ")
    ORDER BY number LIMIT ?3"
);
const NEWEST: &str = "
    SELECT number, id, hook, target, state, attempts, created_ms, at_ms, result, notification
    FROM delivery WHERE ?1 OR state <> 'delivered' ORDER BY number DESC LIMIT ?2";
const ALL: &str = "
    SELECT number, id, hook, target, state, attempts, created_ms, at_ms, result, notification
    FROM delivery ORDER BY number";
const ALERTS: &str = "
    SELECT rule, subject, period, threshold FROM delivery_alert
    WHERE delivery = ?1 ORDER BY place";
/// Those of which the receiver has no newer news.
const ALERTS_TO_TELL: &str = concat!(
    "
    SELECT rule, subject, period, threshold FROM delivery AS mine
    CROSS JOIN delivery_alert AS told ON told.delivery = mine.number
    WHERE mine.number = ?1 AND ",
    newest!("= 'delivered'"),
    " ORDER BY place"
);
const FIND: &str = "SELECT hook, state FROM delivery WHERE id = ?1";
/// One of its alerts has no newer delivery to the same receiver, or only such as were given up.
const IS_LAST_WORD: &str = concat!(
    "
    SELECT EXISTS (
        SELECT 1 FROM delivery AS mine CROSS JOIN delivery_alert AS told ON told.delivery = mine.number
        WHERE mine.id = ?1 AND ",
    newest!("<> 'given_up'"),
    ")"
);
/// Forgets those before the given one, which was delivered, of all whose alerts their receiver has newer news: they
/// waited for the end of a silence.
const FORGET_OVERTAKEN: &str = concat!(
    "
    DELETE FROM delivery AS mine
    WHERE state = 'pending' AND number IN (
            SELECT earlier.delivery FROM delivery AS newer
            CROSS JOIN delivery_alert AS told ON told.delivery = newer.number
            CROSS JOIN delivery_alert AS earlier ON earlier.rule = told.rule
                AND earlier.subject = told.subject AND earlier.threshold = told.threshold
                AND earlier.period IS told.period AND earlier.delivery < newer.number
            WHERE newer.id = ?1)
        AND NOT EXISTS (SELECT 1 FROM delivery_alert AS told WHERE told.delivery = mine.number AND ",
    newest!("= 'delivered'"),
    ") RETURNING number"
);
const FORGET_ALERTS_OF: &str = "DELETE FROM delivery_alert WHERE delivery = ?1";
/// Makes the delivery that the given one waits for due at once if it has used up its scheduled tries: it goes
/// out before the newer one, or makes room for it.
const HURRY: &str = "
    UPDATE delivery AS mine SET at_ms = ?2
    WHERE state = 'pending' AND attempts >= ?3 AND at_ms > ?2
        AND (hook, target) = (SELECT hook, target FROM delivery WHERE number = ?1)
        AND number IN (
            SELECT earlier.delivery FROM delivery_alert AS told
            CROSS JOIN delivery_alert AS earlier ON earlier.rule = told.rule
                AND earlier.subject = told.subject AND earlier.threshold = told.threshold
                AND earlier.period IS told.period AND earlier.delivery < told.delivery
            WHERE told.delivery = ?1)";
/// Only what is pending: an attempt that is noted again changes nothing.
const NOTE: &str = "
    UPDATE delivery SET state = ?2, attempts = attempts + 1, at_ms = ?3, result = ?4
    WHERE id = ?1 AND state = 'pending'";
const POSTPONE: &str = "UPDATE delivery SET at_ms = ?2 WHERE id = ?1 AND state = 'pending'";
const EXPLAIN: &str = "UPDATE delivery SET result = ?2 WHERE id = ?1 AND state = 'pending'";
const BACKLOGS: &str = "
    SELECT hook, count(*), min(created_ms) FROM delivery
    WHERE state = 'pending' GROUP BY hook ORDER BY hook";
const DISABLE: &str = "
    INSERT INTO disabled_hook (hook, at_ms, reason) VALUES (?1, ?2, ?3)
    ON CONFLICT (hook) DO UPDATE SET at_ms = excluded.at_ms, reason = excluded.reason";
const DISABLED: &str = "SELECT hook, at_ms, reason FROM disabled_hook ORDER BY hook";
const ENABLE: &str = "DELETE FROM disabled_hook WHERE hook = ?1";
const ENABLE_ALL: &str =
    "DELETE FROM disabled_hook WHERE hook IN (SELECT value FROM json_each(?1))";
const RETRY: &str = "
    UPDATE delivery SET state = 'pending', at_ms = ?2, attempts = iif(state = 'pending', attempts, 0)
    WHERE id = ?1";
/// Leaves out a message that was given up if newer ones about each of its alerts were delivered or are pending: it
/// would tell a receiver that an alert fires after the receiver has heard that it is over.
const RETRY_ALL: &str = concat!(
    "
    UPDATE delivery AS mine
    SET state = 'pending', at_ms = ?2, attempts = iif(state = 'pending', attempts, 0)
    WHERE hook IN (SELECT value FROM json_each(?1))
        AND (state = 'pending' OR state = 'given_up' AND created_ms >= ?3 AND (
            NOT EXISTS (SELECT 1 FROM delivery_alert WHERE delivery = mine.number)
            OR EXISTS (SELECT 1 FROM delivery_alert AS told WHERE told.delivery = mine.number AND ",
    newest!("<> 'given_up'"),
    ")))"
);
/// True if it was put here, or ended, in what is the future: by a clock that ran ahead.
const MEND: &str = "
    UPDATE delivery SET created_ms = min(created_ms, ?1), at_ms = iif(state = 'pending', at_ms, min(at_ms, ?1))
    WHERE created_ms > ?1 OR state <> 'pending' AND at_ms > ?1";
/// Gives up old deliveries, but for those that a silence holds back. One that somebody has had tried again has its scheduled tries first.
const GIVE_UP: &str = concat!(
    "
    UPDATE delivery AS mine SET state = 'given_up', at_ms = ?1, result = CASE attempts
        WHEN 0 THEN 'waited for 30 days' || coalesce('; last: ' || result, '')
        ELSE 'not taken for 30 days, the last of ' || attempts || ' tries failed with: ' || result END
    WHERE state = 'pending' AND created_ms < ?2 AND (attempts >= ?3 OR at_ms < ?2) AND NOT ",
    held!("mine", "?4"),
    " RETURNING id, hook, result"
);
const FORGET_ALERTS: &str = "
    DELETE FROM delivery_alert WHERE delivery IN
        (SELECT number FROM delivery WHERE state <> 'pending' AND at_ms < ?1)";
const FORGET: &str = "DELETE FROM delivery WHERE state <> 'pending' AND at_ms < ?1";

/// Puts `deliveries` into the outbox, due at once, and with them those that they wait for and that have used
/// up their scheduled tries.
pub(super) fn add(connection: &Connection, deliveries: &[Delivery]) -> Result<(), Fault> {
    let mut add = connection.prepare_cached(ADD)?;
    let mut add_alert = connection.prepare_cached(ADD_ALERT)?;
    let mut hurry = connection.prepare_cached(HURRY)?;
    for delivery in deliveries {
        let number = add.insert((
            &delivery.id,
            &delivery.hook,
            &delivery.target,
            delivery.created.timestamp_millis(),
            &delivery.notification,
        ))?;
        for (place, key) in (0_i64..).zip(&delivery.alerts) {
            let (rule, subject, period, threshold) = params_of(key);
            add_alert.execute(params![number, place, rule, subject, period, threshold])?;
        }
        let created = delivery.created.timestamp_millis();
        hurry.execute((number, created, SCHEDULED_TRIES))?;
    }
    Ok(())
}

/// Deliveries due for `hook`, oldest first, each with those of its alerts of which its receiver has no newer news.
pub(super) fn due(
    connection: &Connection,
    hook: &str,
    now: DateTime<Utc>,
    limit: usize,
) -> Result<Vec<DeliveryRecord>, Fault> {
    let mut statement = connection.prepare_cached(DUE)?;
    let instants = [now, now + LONGEST_REST].map(|instant| instant.timestamp_millis());
    let today = Day::of(now).number();
    let parameters = (hook, instants[0], at_most(limit), instants[1], today);
    let rows = statement.query_map(parameters, numbered)?;
    with_alerts(connection, ALERTS_TO_TELL, rows)
}

/// The newest deliveries, newest first: all, or but those that were delivered.
pub(super) fn newest(
    connection: &Connection,
    all: bool,
    limit: usize,
) -> Result<Vec<DeliveryRecord>, Fault> {
    let mut statement = connection.prepare_cached(NEWEST)?;
    let rows = statement.query_map((all, at_most(limit)), numbered)?;
    with_alerts(connection, ALERTS, rows)
}

/// A delivery's number, and all of it but its alerts.
fn numbered(row: &Row<'_>) -> rusqlite::Result<(i64, DeliveryRecord)> {
    let record = DeliveryRecord {
        delivery: Delivery {
            id: row.get(1)?,
            hook: row.get(2)?,
            target: row.get(3)?,
            alerts: Vec::new(),
            notification: row.get(9)?,
            created: instant(row, 6)?,
        },
        state: schema::named(row, 4)?,
        attempts: row.get(5)?,
        at: instant(row, 7)?,
        result: row.get(8)?,
    };
    Ok((row.get(0)?, record))
}

fn with_alerts(
    connection: &Connection,
    alerts: &str,
    rows: impl Iterator<Item = rusqlite::Result<(i64, DeliveryRecord)>>,
) -> Result<Vec<DeliveryRecord>, Fault> {
    let mut alerts = connection.prepare_cached(alerts)?;
    let mut records = Vec::new();
    for row in rows {
        let (number, mut record) = row?;
        let keys = alerts.query_map([number], |row| key(row, 0))?;
        record.delivery.alerts = keys.collect::<rusqlite::Result<_>>()?;
        records.push(record);
    }
    Ok(records)
}

/// Reads every delivery, one after the other, for there may be very many. `visit` gets the number of
/// each that cannot be read, and why.
pub(super) fn each_unreadable(
    connection: &Connection,
    mut visit: impl FnMut(i64, rusqlite::Error),
) -> Result<(), Fault> {
    let mut all = connection.prepare(ALL)?;
    let mut alerts = connection.prepare(ALERTS)?;
    let mut rows = all.query([])?;
    while let Some(row) = rows.next()? {
        let number = row.get(0)?;
        let read = numbered(row).and_then(|_| {
            let mut keys = alerts.query_map([number], |row| key(row, 0))?;
            keys.try_for_each(|key| key.map(|_| ()))
        });
        match read {
            // A value that does not belong there spoils one delivery, not the file.
            Err(error) if error.sqlite_error().is_none() => visit(number, error),
            read => read?,
        }
    }
    Ok(())
}

/// Notes what a try of the delivery `id` at `at` came to, and says where that leaves the delivery.
pub(super) fn record_attempt(
    connection: &Connection,
    id: &str,
    attempt: &Attempt,
    at: DateTime<Utc>,
) -> Result<DeliveryState, Fault> {
    let (_, before) = state(connection, id)?;
    // A clock that is set back meanwhile must not make it rest for longer than it would have.
    let no_later = |planned: DateTime<Utc>| planned.min(at + LONGEST_REST);
    let (after, at, result) = match attempt {
        Attempt::Delivered { answer } => (DeliveryState::Delivered, at, answer),
        Attempt::Failed {
            error,
            next,
            may_end,
        } => match *may_end && !is_last_word(connection, id)? {
            true => (DeliveryState::GivenUp, at, error),
            false => (DeliveryState::Pending, no_later(*next), error),
        },
        Attempt::GivenUp { error } => (DeliveryState::GivenUp, at, error),
        Attempt::Postponed { until } => {
            connection
                .prepare_cached(POSTPONE)?
                .execute((id, no_later(*until).timestamp_millis()))?;
            return Ok(before);
        }
        Attempt::Unready { error } => {
            connection.prepare_cached(EXPLAIN)?.execute((id, error))?;
            return Ok(before);
        }
    };
    let noted = connection.prepare_cached(NOTE)?.execute((
        id,
        after.as_str(),
        at.timestamp_millis(),
        result,
    ))?;
    if after == DeliveryState::Delivered {
        let mut forget = connection.prepare_cached(FORGET_OVERTAKEN)?;
        let forgotten = forget.query_map([id], |row| row.get::<_, i64>(0))?;
        let mut forget_alerts = connection.prepare_cached(FORGET_ALERTS_OF)?;
        for number in forgotten.collect::<rusqlite::Result<Vec<_>>>()? {
            forget_alerts.execute([number])?;
        }
    }
    Ok(if noted == 0 { before } else { after })
}

/// Returns true if the delivery `id` is the newest to its receiver about one of its alerts.
fn is_last_word(connection: &Connection, id: &str) -> Result<bool, Fault> {
    let mut statement = connection.prepare_cached(IS_LAST_WORD)?;
    Ok(statement.query_row([id], |row| row.get(0))?)
}

/// The hook and the state of the delivery `id`.
fn state(connection: &Connection, id: &str) -> Result<(String, DeliveryState), Fault> {
    let found = connection
        .prepare_cached(FIND)?
        .query_row([id], |row| Ok((row.get(0)?, schema::named(row, 1)?)))
        .optional()?;
    found.ok_or_else(|| Fault::UnknownDelivery(id.to_owned()))
}

/// Backlog of each hook that has one, ordered by their names.
pub(super) fn backlogs(connection: &Connection) -> Result<Vec<Backlog>, Fault> {
    let mut statement = connection.prepare_cached(BACKLOGS)?;
    let backlogs = statement.query_map([], |row| {
        Ok(Backlog {
            hook: row.get(0)?,
            pending: row.get::<_, i64>(1)?.unsigned_abs(),
            oldest: instant(row, 2)?,
        })
    })?;
    Ok(backlogs.collect::<rusqlite::Result<_>>()?)
}

/// Notes that a hook wants nothing any more.
pub(super) fn disable(connection: &Connection, disabled: &DisabledHook) -> Result<(), Fault> {
    let DisabledHook { hook, at, reason } = disabled;
    connection
        .prepare_cached(DISABLE)?
        .execute((hook, at.timestamp_millis(), reason))?;
    Ok(())
}

/// The hooks that want nothing any more, ordered by their names.
pub(super) fn disabled(connection: &Connection) -> Result<Vec<DisabledHook>, Fault> {
    let mut statement = connection.prepare_cached(DISABLED)?;
    let disabled = statement.query_map([], |row| {
        Ok(DisabledHook {
            hook: row.get(0)?,
            at: instant(row, 1)?,
            reason: row.get(2)?,
        })
    })?;
    Ok(disabled.collect::<rusqlite::Result<_>>()?)
}

/// Makes what was not delivered to `hooks` due at `now`, unless it is out of date, and enables them.
/// Says how much that is.
pub(super) fn retry_all(
    connection: &Connection,
    hooks: &[&str],
    now: DateTime<Utc>,
) -> Result<usize, Fault> {
    let hooks = serde_json::to_string(hooks).expect("a list of texts is always JSON");
    connection.prepare_cached(ENABLE_ALL)?.execute([&hooks])?;
    let oldest = now - LONGEST_WAIT;
    Ok(connection.prepare_cached(RETRY_ALL)?.execute((
        hooks,
        now.timestamp_millis(),
        oldest.timestamp_millis(),
    ))?)
}

/// Makes the delivery `id` to one of `hooks` due at `now`, and enables its hook.
pub(super) fn retry(
    connection: &Connection,
    id: &str,
    hooks: &[&str],
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    let (hook, state) = state(connection, id)?;
    if state == DeliveryState::Delivered {
        return Err(Fault::AlreadyDelivered(id.to_owned()));
    }
    if !hooks.contains(&hook.as_str()) {
        let id = id.to_owned();
        return Err(Fault::UnknownHook { hook, id });
    }
    connection.prepare_cached(ENABLE)?.execute([hook])?;
    connection
        .prepare_cached(RETRY)?
        .execute((id, now.timestamp_millis()))?;
    Ok(())
}

/// Gives up at `now` what nobody has taken for too long, forgets what ended long ago, and puts right what a
/// clock that ran ahead has left. Says what was given up.
pub(super) fn tidy(connection: &Connection, now: DateTime<Utc>) -> Result<Vec<Overdue>, Fault> {
    let present = now.timestamp_millis();
    connection.prepare_cached(MEND)?.execute([present])?;
    let oldest = (now - LONGEST_WAIT).timestamp_millis();
    let mut give_up = connection.prepare_cached(GIVE_UP)?;
    let parameters = (present, oldest, SCHEDULED_TRIES, Day::of(now).number());
    let given_up = give_up.query_map(parameters, |row| {
        Ok(Overdue {
            id: row.get(0)?,
            hook: row.get(1)?,
            result: row.get(2)?,
        })
    })?;
    let given_up = given_up.collect::<rusqlite::Result<_>>()?;
    let ended = [(now - ENDED_KEPT).timestamp_millis()];
    connection.prepare_cached(FORGET_ALERTS)?.execute(ended)?;
    connection.prepare_cached(FORGET)?.execute(ended)?;
    Ok(given_up)
}
