//! Members of the ledger: the agents present, their names and labels, and those that have left.

use std::collections::HashSet;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row};

use super::error::Fault;
use super::list::{from_text, to_text};
use super::{AgentNumber, Identity, Member};
use crate::day::Day;
use crate::roster::Agent;

const FIND: &str = "SELECT number, name, labels, left_on FROM agent WHERE account = ?1 AND id = ?2";
const ADD: &str = "INSERT INTO agent (account, id, name, labels) VALUES (?1, ?2, ?3, ?4)";
const CHANGE: &str = "UPDATE agent SET name = ?2, labels = ?3, left_on = NULL WHERE number = ?1";
const RETURN: &str = "UPDATE agent SET left_on = NULL WHERE number = ?1";
const PRESENT: &str =
    "SELECT number, account, id, name, labels, left_on FROM agent WHERE left_on IS NULL";
const ABSENT: &str = "
    SELECT number, account, id, name, labels, left_on FROM agent
    WHERE left_on IS NULL OR left_on > ?1";
/// A day that is known is never later than the one on which its agent left. Of an agent that an older
/// version has known, only its days tell when that was.
const LEAVE: &str = "
    UPDATE agent SET
        left_on = max(ifnull((SELECT max(day) + 1 FROM usage WHERE agent = number), 0),
            CASE WHEN name IS NULL THEN 0 ELSE ?2 END),
        name = ifnull(name, id), labels = ifnull(labels, '{}')
    WHERE number = ?1";

/// Agents that are present.
#[derive(Debug, Clone, Default)]
pub struct Enrolment {
    /// All agents that are asked for, and since which day their list no longer names them. The name and
    /// the labels of one that is not named stay as they were.
    pub agents: Vec<(Agent, Option<Day>)>,
    /// Agents that are there but are not asked for.
    pub set_aside: HashSet<Identity>,
    /// Accounts whose agents are not all known yet: none of theirs has left.
    pub unknown_accounts: HashSet<Arc<str>>,
    /// The day on which agents in none of these leave; none does if the day is not known.
    pub today: Option<Day>,
}

/// Changes by an [`Enrolment`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Enrolled {
    /// The agents that are asked for, in their order.
    pub members: Vec<Member>,
    /// The agents that have left with it.
    pub left: Vec<Member>,
}

/// An agent's row.
struct Found {
    number: AgentNumber,
    name: Option<String>,
    labels: Option<String>,
    has_left: bool,
}

/// Takes over who is there.
pub(super) fn enrol(connection: &Connection, enrolment: &Enrolment) -> Result<Enrolled, Fault> {
    let mut enrolled = Enrolled::default();
    let mut numbers = HashSet::with_capacity(enrolment.agents.len());
    for (agent, unlisted_since) in &enrolment.agents {
        let number = enrol_one(connection, agent, unlisted_since.is_none())?;
        numbers.insert(number);
        enrolled.members.push(Member {
            unlisted_since: *unlisted_since,
            ..Member::present(agent.clone(), number)
        });
    }
    let Some(today) = enrolment.today else {
        return Ok(enrolled);
    };
    let mut leave = connection.prepare_cached(LEAVE)?;
    let mut present = connection.prepare_cached(PRESENT)?;
    let mut rows = present.query([])?;
    let mut leaving = Vec::new();
    while let Some(row) = rows.next()? {
        if numbers.contains(&AgentNumber(row.get(0)?)) {
            continue;
        }
        let member = member(row)?;
        let agent = &member.agent;
        let identity = (Arc::clone(&agent.account), Arc::clone(&agent.id));
        if !enrolment.unknown_accounts.contains(&agent.account)
            && !enrolment.set_aside.contains(&identity)
        {
            leaving.push(member);
        }
    }
    for member in leaving {
        leave.execute((member.number.0, today.number()))?;
        enrolled.left.push(member);
    }
    Ok(enrolled)
}

/// The number of an agent, which is new, returns, or has other labels now; if it `is_named`, by its present
/// name.
fn enrol_one(connection: &Connection, agent: &Agent, is_named: bool) -> Result<AgentNumber, Fault> {
    let Agent {
        account,
        id,
        name,
        labels,
    } = agent;
    let found = connection
        .prepare_cached(FIND)?
        .query_row((account, id), |row| {
            Ok(Found {
                number: AgentNumber(row.get(0)?),
                name: row.get(1)?,
                labels: row.get(2)?,
                has_left: row.get::<_, Option<i32>>(3)?.is_some(),
            })
        })
        .optional()?;
    let labels = to_text(labels);
    let Some(found) = found else {
        let number = connection
            .prepare_cached(ADD)?
            .insert((account, id, name, labels))?;
        return Ok(AgentNumber(number));
    };
    let is_same = found.name.as_deref() == Some(name) && found.labels.as_ref() == Some(&labels);
    if !is_same && (is_named || found.name.is_none()) {
        connection
            .prepare_cached(CHANGE)?
            .execute((found.number.0, name, labels))?;
    } else if found.has_left {
        connection
            .prepare_cached(RETURN)?
            .execute([found.number.0])?;
    }
    Ok(found.number)
}

/// The agents that are not among `members` and may have days from `from` on.
pub(super) fn absent(
    connection: &Connection,
    members: &HashSet<AgentNumber>,
    from: Day,
) -> Result<Vec<Member>, Fault> {
    let mut statement = connection.prepare_cached(ABSENT)?;
    let mut rows = statement.query([from.number()])?;
    let mut absent = Vec::new();
    while let Some(row) = rows.next()? {
        if !members.contains(&AgentNumber(row.get(0)?)) {
            absent.push(member(row)?);
        }
    }
    Ok(absent)
}

/// An agent under its last name, which is its identifier if none was kept.
fn member(row: &Row<'_>) -> rusqlite::Result<Member> {
    let id: Arc<str> = row.get(2)?;
    let name: Option<Arc<str>> = row.get(3)?;
    let labels: Option<String> = row.get(4)?;
    let agent = Agent {
        account: row.get(1)?,
        name: name.unwrap_or_else(|| Arc::clone(&id)),
        id,
        labels: match labels {
            Some(labels) => Arc::new(from_text(&labels, 4)?),
            None => Arc::default(),
        },
    };
    Ok(Member {
        left_on: row.get::<_, Option<i32>>(5)?.map(Day::from_number),
        ..Member::present(agent, AgentNumber(row.get(0)?))
    })
}
