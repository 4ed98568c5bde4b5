//! Days that databases have taken of the history: of each agent the days whose first value was pushed, as
//! ranges without gaps, and of each revised day the last revision that was. That is exact, so that nothing
//! is left out and nothing old is sent again, which a database might not take any more.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension};

use super::error::Fault;
use super::schema::instant;
use super::{AgentNumber, Revision, usage};
use crate::day::{Day, Usage};

const TARGET: &str = "SELECT number, read_back_from FROM push_target WHERE identity = ?1";
const ADD_TARGET: &str = "INSERT INTO push_target (identity) VALUES (?1)";
const NEWEST: &str = "SELECT max(last) FROM pushed_days WHERE target = ?1";
const READ_BACK: &str = "UPDATE push_target SET read_back_from = ?2 WHERE number = ?1";
const RANGES: &str = "
    SELECT first, last FROM pushed_days WHERE target = ?1 AND agent = ?2 ORDER BY first";
const NEIGHBOURS: &str = "
    SELECT min(first), max(last) FROM pushed_days
    WHERE target = ?1 AND agent = ?2 AND first <= ?4 + 1 AND last >= ?3 - 1";
const REMOVE_NEIGHBOURS: &str = "
    DELETE FROM pushed_days
    WHERE target = ?1 AND agent = ?2 AND first <= ?4 + 1 AND last >= ?3 - 1";
const ADD_RANGE: &str =
    "INSERT INTO pushed_days (target, agent, first, last) VALUES (?1, ?2, ?3, ?4)";
/// Each revision, and the last one of its day that was pushed.
const REVISIONS: &str = "
    SELECT revision.day, revision.number, old, new, at_ms, ifnull(pushed.number, 0)
    FROM revision LEFT JOIN pushed_revision AS pushed
        ON pushed.target = ?1 AND pushed.agent = revision.agent AND pushed.day = revision.day
    WHERE revision.agent = ?2 AND revision.day BETWEEN ?3 AND ?4
    ORDER BY revision.day, revision.number";
const SET_REVISION: &str = "
    INSERT INTO pushed_revision (target, agent, day, number) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT DO UPDATE SET number = max(number, excluded.number)";
/// Each takes away what one table knows of a target.
const FORGET: [&str; 3] = [
    "DELETE FROM pushed_days WHERE target = (SELECT number FROM push_target WHERE identity = ?1)",
    "DELETE FROM pushed_revision WHERE target = (SELECT number FROM push_target WHERE identity = ?1)",
    "DELETE FROM push_target WHERE identity = ?1",
];

/// A database that history is pushed to, as the ledger knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PushTarget {
    /// Its number in the ledger.
    number: i64,
    /// The earliest day of which it was seen that it keeps it.
    pub read_back_from: Option<Day>,
    /// The newest day that it has taken anything of.
    pub newest: Option<Day>,
}

/// A day of which a database has not taken everything.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UnpushedDay {
    /// The day and its usage.
    pub usage: Usage,
    /// True if its first value was pushed.
    pub first_is_pushed: bool,
    /// Its revisions through this one were pushed.
    pub pushed_revision: u32,
}

/// Days of an agent that a database has not taken.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Unpushed {
    /// The days, ascending.
    pub days: Vec<UnpushedDay>,
    /// All revisions of these days, pushed or not, by day and number.
    pub revisions: Vec<Revision>,
}

/// A value that a database has taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pushed {
    /// The agent.
    pub agent: AgentNumber,
    /// The day.
    pub day: Day,
    /// The number of the revision, 0 for the day's first value.
    pub revision: u32,
}

/// The target of that identity, which is new if it was not there.
pub(super) fn target(connection: &Connection, identity: &str) -> Result<PushTarget, Fault> {
    let found = connection
        .prepare_cached(TARGET)?
        .query_row([identity], |row| {
            Ok((row.get(0)?, row.get::<_, Option<i32>>(1)?))
        })
        .optional()?;
    let Some((number, read_back_from)) = found else {
        connection.prepare_cached(ADD_TARGET)?.execute([identity])?;
        return target(connection, identity);
    };
    let newest: Option<i32> = connection
        .prepare_cached(NEWEST)?
        .query_row([number], |row| row.get(0))?;
    Ok(PushTarget {
        number,
        read_back_from: read_back_from.map(Day::from_number),
        newest: newest.map(Day::from_number),
    })
}

/// Forgets the target of that identity, and so that it has taken anything.
pub(super) fn forget(connection: &Connection, identity: &str) -> Result<(), Fault> {
    for statement in FORGET {
        connection.execute(statement, [identity])?;
    }
    Ok(())
}

/// Days of each of `agents` in that range that `target` has not taken, in their order.
pub(super) fn unpushed(
    connection: &Connection,
    target: PushTarget,
    agents: &[AgentNumber],
    days: [Day; 2],
) -> Result<Vec<Unpushed>, Fault> {
    let agents = agents.iter();
    let unpushed = agents.map(|agent| of_agent(connection, target, *agent, days));
    unpushed.collect()
}

/// Days of `agent` from `from` through `to` that `target` has not taken.
fn of_agent(
    connection: &Connection,
    target: PushTarget,
    agent: AgentNumber,
    [from, to]: [Day; 2],
) -> Result<Unpushed, Fault> {
    usage::read_standing(connection, agent)?;
    let mut days = BTreeMap::new();
    for [first, last] in gaps(&ranges(connection, target, agent)?, [from, to]) {
        usage::each_row(connection, agent, first, last, |row| {
            let day = UnpushedDay {
                usage: row.usage(),
                first_is_pushed: false,
                pushed_revision: 0,
            };
            days.insert(row.day, day);
            true
        })?;
    }
    let mut statement = connection.prepare_cached(REVISIONS)?;
    let (first, last) = (from.number(), to.number());
    let mut rows = statement.query((target.number, agent.0, first, last))?;
    let mut revisions = Vec::new();
    let mut revised = BTreeSet::new();
    while let Some(row) = rows.next()? {
        let revision = Revision {
            day: Day::from_number(row.get(0)?),
            number: row.get(1)?,
            old: row.get(2)?,
            new: row.get(3)?,
            at: instant(row, 4)?,
        };
        let pushed_revision = row.get(5)?;
        if let Some(day) = days.get_mut(&revision.day) {
            day.pushed_revision = pushed_revision;
        } else if revision.number > pushed_revision && revised.insert(revision.day) {
            usage::each_row(connection, agent, revision.day, revision.day, |row| {
                let day = UnpushedDay {
                    usage: row.usage(),
                    first_is_pushed: true,
                    pushed_revision,
                };
                days.insert(row.day, day);
                true
            })?;
        }
        revisions.push(revision);
    }
    revisions.retain(|revision| days.contains_key(&revision.day));
    Ok(Unpushed {
        days: days.into_values().collect(),
        revisions,
    })
}

/// Notes what `target` has taken, and from which day on it was seen to keep it.
pub(super) fn record(
    connection: &Connection,
    target: PushTarget,
    pushed: &[Pushed],
    read_back_from: Option<Day>,
) -> Result<(), Fault> {
    let mut pushed = pushed.to_vec();
    pushed.sort_unstable();
    let firsts: Vec<Pushed> = pushed
        .iter()
        .copied()
        .filter(|value| value.revision == 0)
        .collect();
    let together =
        |one: &Pushed, other: &Pushed| one.agent == other.agent && other.day <= one.day.next();
    for run in firsts.chunk_by(together) {
        // A chunk holds at least one element.
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            continue;
        };
        add_range(connection, target, first.agent, [first.day, last.day])?;
    }
    let mut set = connection.prepare_cached(SET_REVISION)?;
    for value in pushed.iter().filter(|value| value.revision > 0) {
        let key = (target.number, value.agent.0, value.day.number());
        set.execute((key.0, key.1, key.2, value.revision))?;
    }
    if let Some(day) = read_back_from {
        connection
            .prepare_cached(READ_BACK)?
            .execute((target.number, day.number()))?;
    }
    Ok(())
}

/// Adds the days of a range, which becomes one with those that it overlaps or touches.
fn add_range(
    connection: &Connection,
    target: PushTarget,
    agent: AgentNumber,
    [first, last]: [Day; 2],
) -> Result<(), Fault> {
    let (mut first, mut last) = (first.number(), last.number());
    let key = (target.number, agent.0, first, last);
    let (least, most): (Option<i32>, Option<i32>) = connection
        .prepare_cached(NEIGHBOURS)?
        .query_row(key, |row| Ok((row.get(0)?, row.get(1)?)))?;
    connection.prepare_cached(REMOVE_NEIGHBOURS)?.execute(key)?;
    first = least.map_or(first, |least| least.min(first));
    last = most.map_or(last, |most| most.max(last));
    connection
        .prepare_cached(ADD_RANGE)?
        .execute((target.number, agent.0, first, last))?;
    Ok(())
}

/// The days of `agent` that `target` has taken, as ranges in ascending order.
fn ranges(
    connection: &Connection,
    target: PushTarget,
    agent: AgentNumber,
) -> rusqlite::Result<Vec<[Day; 2]>> {
    let mut statement = connection.prepare_cached(RANGES)?;
    let ranges = statement.query_map((target.number, agent.0), |row| {
        Ok([row.get(0)?, row.get(1)?].map(Day::from_number))
    })?;
    ranges.collect()
}

/// The days from `from` through `to` without those in `ranges`.
fn gaps(ranges: &[[Day; 2]], [from, to]: [Day; 2]) -> Vec<[Day; 2]> {
    let mut gaps = Vec::new();
    let mut next = from;
    for [first, last] in ranges {
        if next < *first {
            gaps.push([next, first.previous().min(to)]);
        }
        next = next.max(last.next());
    }
    gaps.push([next, to]);
    gaps.retain(|[first, last]| first <= last);
    gaps
}
