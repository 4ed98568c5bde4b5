//! Everything that is known of one agent, in one look.

use rusqlite::Connection;

use super::error::Fault;
use super::{AgentNumber, Revision, schema, usage};
use crate::day::{Day, Usage};
use crate::series::Totals;
use crate::window::KnownDay;
use crate::window::plan::Policy;

/// Everything that is known of one agent, all of the same state of the ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentHistory {
    /// Policy from which its totals follow.
    pub policy: Policy,
    /// Totals in its own row.
    pub totals: Totals,
    /// Its known days, ascending, also those before the history start.
    pub days: Vec<FetchedDay>,
    /// Its revisions, by day and number.
    pub revisions: Vec<Revision>,
}

/// A known day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FetchedDay {
    /// The day and what was used on it.
    pub usage: Usage,
    /// The UTC day on which it was last fetched while it could still change.
    pub fetched: Day,
}

impl FetchedDay {
    /// True if it was fetched so long after its end that it is taken as final.
    #[must_use]
    pub fn is_settled(&self, policy: Policy) -> bool {
        let known = KnownDay {
            day: self.usage.day,
            fetched: self.fetched,
        };
        known.is_settled(policy.settle_days)
    }
}

/// Everything that is known of `agent`.
pub(super) fn read(connection: &Connection, agent: AgentNumber) -> Result<AgentHistory, Fault> {
    let standing = usage::read_standing(connection, agent)?;
    let mut days = Vec::new();
    let (first, last) = (Day::from_number(i32::MIN), Day::from_number(i32::MAX));
    usage::each_row(connection, agent, first, last, |row| {
        days.push(FetchedDay {
            usage: row.usage(),
            fetched: row.fetched,
        });
        true
    })?;
    Ok(AgentHistory {
        policy: schema::policy(connection)?,
        totals: standing.totals,
        days,
        revisions: usage::revisions(connection, agent)?,
    })
}
