//! Since when each rule is watched as it is, and the days that rules about days have judged: every
//! statement that touches these tables.
//!
//! Each function runs inside a transaction that its caller has begun.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use super::AgentNumber;
use super::error::Fault;
use super::schema::{instant, unreadable};
use crate::day::Day;

const WATCHED: &str =
    "SELECT rule, since_ms, definition, evaluated, open_periods, agents FROM watched";
const WATCH: &str = "
    INSERT INTO watched (rule, since_ms, definition, evaluated, open_periods, agents)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (rule) DO UPDATE SET since_ms = excluded.since_ms, definition = excluded.definition,
        evaluated = excluded.evaluated, open_periods = excluded.open_periods,
        agents = excluded.agents";
const UNWATCH: &str = "DELETE FROM watched WHERE rule = ?1";
const JUDGED: &str = "SELECT rule, subject, through, credits FROM judged";
const JUDGE: &str = "
    INSERT INTO judged (rule, subject, through, credits) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (rule, subject) DO UPDATE SET through = excluded.through, credits = excluded.credits";
const FORGET_JUDGED: &str = "DELETE FROM judged WHERE through < ?1";

/// Number of days that a rule about days looks at: a day counts for a week after its end.
pub const JUDGED_DAYS: usize = 8;

/// Record of a rule's evaluations.
#[derive(Debug, Clone, PartialEq)]
pub struct Watched {
    /// Since when it is as it is. What ended before is none of its concern.
    pub since: DateTime<Utc>,
    /// Definition that decides when it fires: a rule with another definition is another rule.
    pub definition: String,
    /// The UTC day of its last evaluation; none if a version evaluated it that did not keep that.
    pub evaluated: Option<Day>,
    /// The periods of a budget that had ended by then and were still open, oldest first: the first day of
    /// each, and when the budget was first evaluated after its end.
    pub open_periods: Vec<(Day, DateTime<Utc>)>,
    /// The agents that its sums were of at the last evaluation, as long as one of its alerts fires, each with
    /// the subject of a budget that it counted for; empty if that is all agents together.
    pub agents: BTreeMap<AgentNumber, Arc<str>>,
}

/// The figures by which the days of one subject were last judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judged {
    /// The newest of the days.
    pub through: Day,
    /// Credits of the days that end with it, oldest first; none of a day that was not known.
    pub credits: [Option<f64>; JUDGED_DAYS],
}

/// The rule's name, and the subject.
pub type JudgedKey = (Arc<str>, Arc<str>);

/// The days that were judged.
pub type JudgedDays = HashMap<JudgedKey, Judged>;

impl Judged {
    /// The credits by which `day` was judged, if it was.
    #[must_use]
    pub fn on(&self, day: Day) -> Option<f64> {
        let age = usize::try_from(self.through.since(day)).ok()?;
        let index = JUDGED_DAYS.checked_sub(age + 1)?;
        self.credits[index]
    }

    /// The credits as the ledger keeps them: numbers of eight bytes, and no number for an unknown day.
    fn bytes(&self) -> Vec<u8> {
        let credits = self.credits.iter();
        credits
            .flat_map(|credits| credits.unwrap_or(f64::NAN).to_le_bytes())
            .collect()
    }

    fn from_bytes(through: Day, bytes: &[u8]) -> Option<Self> {
        if bytes.len() != 8 * JUDGED_DAYS {
            return None;
        }
        let mut credits = [None; JUDGED_DAYS];
        for (credits, bytes) in credits.iter_mut().zip(bytes.chunks_exact(8)) {
            let value = f64::from_le_bytes(bytes.try_into().ok()?);
            *credits = (!value.is_nan()).then_some(value);
        }
        Some(Self { through, credits })
    }
}

/// An agent that counted, as the ledger keeps it: its number, with the subject if there are several.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Counted {
    Together(i64),
    For(i64, String),
}

impl Counted {
    fn of((agent, subject): (&AgentNumber, &Arc<str>)) -> Self {
        match subject.is_empty() {
            true => Self::Together(agent.0),
            false => Self::For(agent.0, subject.to_string()),
        }
    }

    fn read(self) -> (AgentNumber, Arc<str>) {
        match self {
            Self::Together(agent) => (AgentNumber(agent), Arc::default()),
            Self::For(agent, subject) => (AgentNumber(agent), subject.into()),
        }
    }
}

/// Every rule that was ever watched.
pub(super) fn watched(connection: &Connection) -> Result<HashMap<Arc<str>, Watched>, Fault> {
    let mut statement = connection.prepare_cached(WATCHED)?;
    let watched = statement.query_map([], |row| {
        let text = |column| row.get::<_, String>(column);
        let periods: Vec<(i32, i64)> =
            serde_json::from_str(&text(4)?).map_err(|error| unreadable(4, error))?;
        let period = |(start, at): (i32, i64)| {
            let at = DateTime::from_timestamp_millis(at);
            at.map(|at| (Day::from_number(start), at))
                .ok_or_else(|| unreadable(4, "no such instant"))
        };
        let agents: Vec<Counted> =
            serde_json::from_str(&text(5)?).map_err(|error| unreadable(5, error))?;
        let watched = Watched {
            since: instant(row, 1)?,
            definition: row.get(2)?,
            evaluated: row.get::<_, Option<i32>>(3)?.map(Day::from_number),
            open_periods: periods
                .into_iter()
                .map(period)
                .collect::<rusqlite::Result<_>>()?,
            agents: agents.into_iter().map(Counted::read).collect(),
        };
        Ok((row.get(0)?, watched))
    })?;
    Ok(watched.collect::<rusqlite::Result<_>>()?)
}

/// Keeps how rules are watched, and forgets those that are not.
pub(super) fn watch(
    connection: &Connection,
    watched: &[(Arc<str>, Watched)],
    unwatched: &[Arc<str>],
) -> Result<(), Fault> {
    let mut forget = connection.prepare_cached(UNWATCH)?;
    for rule in unwatched {
        forget.execute([rule])?;
    }
    let mut statement = connection.prepare_cached(WATCH)?;
    for (rule, watched) in watched {
        let periods: Vec<(i32, i64)> = watched
            .open_periods
            .iter()
            .map(|(start, at)| (start.number(), at.timestamp_millis()))
            .collect();
        let agents: Vec<Counted> = watched.agents.iter().map(Counted::of).collect();
        let text = "lists of numbers and texts are always JSON";
        statement.execute(params![
            rule,
            watched.since.timestamp_millis(),
            watched.definition,
            watched.evaluated.map(Day::number),
            serde_json::to_string(&periods).expect(text),
            serde_json::to_string(&agents).expect(text),
        ])?;
    }
    Ok(())
}

/// All days that were judged and are not forgotten.
pub(super) fn judged(connection: &Connection) -> Result<JudgedDays, Fault> {
    let mut statement = connection.prepare_cached(JUDGED)?;
    let judged = statement.query_map([], |row| {
        let through = Day::from_number(row.get(2)?);
        let bytes: Vec<u8> = row.get(3)?;
        let judged = Judged::from_bytes(through, &bytes)
            .ok_or_else(|| unreadable(3, format!("{} bytes", bytes.len())))?;
        Ok(((row.get(0)?, row.get(1)?), judged))
    })?;
    Ok(judged.collect::<rusqlite::Result<_>>()?)
}

/// Keeps the days that were judged, and forgets what was judged before `oldest`.
pub(super) fn judge(
    connection: &Connection,
    judged: &[(JudgedKey, Judged)],
    oldest: Day,
) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached(JUDGE)?;
    for ((rule, subject), judged) in judged {
        statement.execute(params![
            rule,
            subject,
            judged.through.number(),
            judged.bytes()
        ])?;
    }
    let mut statement = connection.prepare_cached(FORGET_JUDGED)?;
    statement.execute([oldest.number()])?;
    Ok(())
}
