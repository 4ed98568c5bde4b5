//! The lists of agents as they were last, so that agents are known while a list cannot be had.

use std::collections::BTreeMap;

use rusqlite::types::Type;
use rusqlite::{Connection, Row};

use super::error::Fault;
use crate::roster::ListedAgent;

/// Where a list of an account's agents comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListSource {
    /// A file that another tool keeps.
    File,
    /// FlowGent's own listing.
    Flowgent,
}

impl ListSource {
    const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Flowgent => "flowgent",
        }
    }
}

pub(super) fn save(
    connection: &Connection,
    account: &str,
    source: ListSource,
    agents: &[ListedAgent],
) -> Result<(), Fault> {
    // A list may name an agent twice; what it says last counts.
    let new: BTreeMap<&str, &ListedAgent> = agents
        .iter()
        .map(|agent| (agent.id.as_str(), agent))
        .collect();
    if read(connection, account, source)?
        .iter()
        .eq(new.values().copied())
    {
        return Ok(());
    }
    connection
        .prepare_cached("DELETE FROM listed WHERE account = ?1 AND source = ?2")?
        .execute([account, source.name()])?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO listed (account, source, id, name, labels) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for ListedAgent { id, name, labels } in new.into_values() {
        let labels = serde_json::to_string(labels).expect("texts by texts are always JSON");
        insert.execute((account, source.name(), id, name, labels))?;
    }
    Ok(())
}

pub(super) fn read(
    connection: &Connection,
    account: &str,
    source: ListSource,
) -> Result<Vec<ListedAgent>, Fault> {
    let mut select = connection.prepare_cached(
        "SELECT id, name, labels FROM listed WHERE account = ?1 AND source = ?2 ORDER BY id",
    )?;
    let agents = select.query_map([account, source.name()], agent)?;
    Ok(agents.collect::<rusqlite::Result<_>>()?)
}

fn agent(row: &Row<'_>) -> rusqlite::Result<ListedAgent> {
    let labels: String = row.get(2)?;
    Ok(ListedAgent {
        id: row.get(0)?,
        name: row.get(1)?,
        labels: serde_json::from_str(&labels).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(2, Type::Text, Box::new(error))
        })?,
    })
}
