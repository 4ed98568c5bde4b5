//! Agents, their days and their revisions, as they are read.
//!
//! Each function runs inside a transaction that its caller has begun.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row as SqlRow};

use super::error::Fault;
use super::schema::{instant, optional_instant};
use super::standing::{Row, Standing};
use super::{AgentNumber, Identity, Revision, schema};
use crate::day::{Day, Usage};
use crate::series::Totals;
use crate::window::{Coverage, KnownDay};

const FIND_AGENT: &str = "SELECT number FROM agent WHERE account = ?1 AND id = ?2";
const ADD_AGENT: &str = "INSERT INTO agent (account, id) VALUES (?1, ?2)";
const NEWEST: &str = "
    SELECT max(max(ifnull(last_success_ms, last_failure_ms), ifnull(last_failure_ms, last_success_ms)))
    FROM agent";
const READ_STANDING: &str = "
    SELECT settled_through, frontier, frontier_credits, high_water_credits, known_days,
        known_through, revised_up, revised_down, last_success_ms, last_failure_ms
    FROM agent WHERE number = ?1";
const ROWS: &str = "
    SELECT day, credits, fetched FROM usage
    WHERE agent = ?1 AND day BETWEEN ?2 AND ?3 ORDER BY day";
const RECENT: &str = "SELECT day, credits FROM usage WHERE agent = ?1 AND day >= ?2 ORDER BY day";
const REVISIONS: &str = "
    SELECT day, number, old, new, at_ms FROM revision
    WHERE agent = ?1 ORDER BY day, number";

const LEFT_OUT: &str = "SELECT day, asked FROM left_out WHERE agent = ?1 ORDER BY day";

/// Later than any day that can be known.
pub(super) const FOREVER: Day = Day::from_number(i32::MAX);

/// The numbers of agents, in the order given; new ones are given the next free number.
pub(super) fn register(
    connection: &Connection,
    identities: &[Identity],
) -> Result<Vec<AgentNumber>, Fault> {
    let mut find = connection.prepare_cached(FIND_AGENT)?;
    let mut add = connection.prepare_cached(ADD_AGENT)?;
    let mut number = |(account, id): &Identity| -> rusqlite::Result<AgentNumber> {
        let found = find.query_row((account, id), |row| row.get(0)).optional()?;
        Ok(AgentNumber(match found {
            Some(number) => number,
            None => add.insert((account, id))?,
        }))
    };
    Ok(identities
        .iter()
        .map(&mut number)
        .collect::<rusqlite::Result<_>>()?)
}

/// The numbers of agents, in the order given; none for one that has no number.
pub(super) fn numbers(
    connection: &Connection,
    identities: &[Identity],
) -> Result<Vec<Option<AgentNumber>>, Fault> {
    let mut find = connection.prepare_cached(FIND_AGENT)?;
    let number = |(account, id): &Identity| {
        find.query_row((account, id), |row| row.get(0).map(AgentNumber))
            .optional()
    };
    Ok(identities
        .iter()
        .map(number)
        .collect::<rusqlite::Result<_>>()?)
}

/// The latest time at which an agent was asked for.
pub(super) fn newest(connection: &Connection) -> Result<Option<DateTime<Utc>>, Fault> {
    let newest = |row: &SqlRow<'_>| optional_instant(row, 0);
    Ok(connection.query_row(NEWEST, [], newest)?)
}

/// Planner's view of each agent that is asked for from that day on, or the history start.
pub(super) fn coverage(
    connection: &Connection,
    agents: &[(AgentNumber, Day)],
) -> Result<Vec<Coverage>, Fault> {
    let policy = schema::policy(connection)?;
    let coverage_of = |&(agent, asked_from): &(AgentNumber, Day)| {
        let standing = read_standing(connection, agent)?;
        let asked_from = (asked_from < policy.history_start).then_some(asked_from);
        let mut earlier = Vec::new();
        if let Some(from) = asked_from {
            let last = policy.history_start.previous();
            each_row(connection, agent, from, last, |row| {
                earlier.push(row.known());
                true
            })?;
        }
        let mut later = Vec::new();
        each_row(
            connection,
            agent,
            standing.next_settled(policy),
            FOREVER,
            |row| {
                later.push(row.known());
                true
            },
        )?;
        later.shrink_to_fit();
        Ok(Coverage {
            settled_through: standing.settled_through,
            later,
            asked_from,
            earlier,
            left_out: left_out(connection, agent)?,
        })
    };
    agents.iter().map(coverage_of).collect()
}

/// The days of `agent` that answers have left out.
fn left_out(connection: &Connection, agent: AgentNumber) -> rusqlite::Result<Vec<KnownDay>> {
    let mut statement = connection.prepare_cached(LEFT_OUT)?;
    let days = statement.query_map([agent.0], |row| {
        Ok(KnownDay {
            day: Day::from_number(row.get(0)?),
            fetched: Day::from_number(row.get(1)?),
        })
    })?;
    days.collect()
}

/// Shows each agent's totals and its days from `recent_from` on to `visit`.
pub(super) fn snapshot<T>(
    connection: &Connection,
    agents: &[AgentNumber],
    recent_from: Day,
    mut visit: impl FnMut(Day, &Totals, &[Usage]) -> T,
) -> Result<Vec<T>, Fault> {
    let history_start = schema::policy(connection)?.history_start;
    let mut days = Vec::new();
    let visited = agents.iter().map(|agent| {
        days.clear();
        let totals = recent(connection, *agent, recent_from, &mut days)?;
        Ok(visit(history_start, &totals, &days))
    });
    visited.collect()
}

/// Totals of `agent`, whose days from `from` on are added to `days`.
pub(super) fn recent(
    connection: &Connection,
    agent: AgentNumber,
    from: Day,
    days: &mut Vec<Usage>,
) -> Result<Totals, Fault> {
    let standing = read_standing(connection, agent)?;
    let mut statement = connection.prepare_cached(RECENT)?;
    let mut rows = statement.query((agent.0, from.number()))?;
    while let Some(row) = rows.next()? {
        days.push(Usage {
            day: Day::from_number(row.get(0)?),
            credits: row.get(1)?,
        });
    }
    Ok(standing.totals)
}

/// The known days of `agent` from `from` through `to`, ascending.
pub(super) fn usage(
    connection: &Connection,
    agent: AgentNumber,
    from: Day,
    to: Day,
) -> Result<Vec<Usage>, Fault> {
    read_standing(connection, agent)?;
    let mut days = Vec::new();
    each_row(connection, agent, from, to, |row| {
        days.push(row.usage());
        true
    })?;
    Ok(days)
}

/// The known days of each agent from `from` on that were fetched too early to be settled.
pub(super) fn unsettled(
    connection: &Connection,
    agents: &[AgentNumber],
    from: Day,
) -> Result<Vec<Vec<Day>>, Fault> {
    let settle_days = schema::policy(connection)?.settle_days;
    let unsettled = |agent: &AgentNumber| {
        let mut days = Vec::new();
        each_row(connection, *agent, from, FOREVER, |row| {
            if !row.known().is_settled(settle_days) {
                days.push(row.day);
            }
            true
        })?;
        Ok(days)
    };
    agents.iter().map(unsettled).collect()
}

/// The revisions of `agent`, by day and number.
pub(super) fn revisions(
    connection: &Connection,
    agent: AgentNumber,
) -> Result<Vec<Revision>, Fault> {
    read_standing(connection, agent)?;
    let mut statement = connection.prepare_cached(REVISIONS)?;
    let revisions = statement.query_map([agent.0], |row| {
        Ok(Revision {
            day: Day::from_number(row.get(0)?),
            number: row.get(1)?,
            old: row.get(2)?,
            new: row.get(3)?,
            at: instant(row, 4)?,
        })
    })?;
    Ok(revisions.collect::<rusqlite::Result<_>>()?)
}

/// Shows the rows of `agent` from `from` through `to` to `visit`, ascending, until it says no.
pub(super) fn each_row(
    connection: &Connection,
    agent: AgentNumber,
    from: Day,
    to: Day,
    mut visit: impl FnMut(Row) -> bool,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(ROWS)?;
    let mut rows = statement.query((agent.0, from.number(), to.number()))?;
    while let Some(row) = rows.next()? {
        let row = Row {
            day: Day::from_number(row.get(0)?),
            credits: row.get(1)?,
            fetched: Day::from_number(row.get(2)?),
        };
        if !visit(row) {
            break;
        }
    }
    Ok(())
}

/// Totals in the row of `agent`.
pub(super) fn read_standing(
    connection: &Connection,
    agent: AgentNumber,
) -> Result<Standing, Fault> {
    let day = |row: &SqlRow<'_>, column| -> rusqlite::Result<Option<Day>> {
        Ok(row.get::<_, Option<i32>>(column)?.map(Day::from_number))
    };
    let count = |row: &SqlRow<'_>, column| row.get(column).map(i64::unsigned_abs);
    connection
        .prepare_cached(READ_STANDING)?
        .query_row([agent.0], |row| {
            Ok(Standing {
                settled_through: day(row, 0)?,
                totals: Totals {
                    frontier: day(row, 1)?,
                    frontier_credits: row.get(2)?,
                    high_water_credits: row.get(3)?,
                    known_days: row.get(4)?,
                    known_through: day(row, 5)?,
                    revised_up: count(row, 6)?,
                    revised_down: count(row, 7)?,
                    last_success: optional_instant(row, 8)?,
                    last_failure: optional_instant(row, 9)?,
                },
            })
        })
        .optional()?
        .ok_or(Fault::UnknownAgent(agent))
}
