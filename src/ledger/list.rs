//! The lists of agents as they were last, so that agents are known while a list cannot be had.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::error::Fault;
use super::schema::unreadable;
use crate::roster::{Labels, ListedAgent};

const SELECT: &str =
    "SELECT id, name, labels FROM listed WHERE account = ?1 AND source = ?2 ORDER BY id";

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
    let new: BTreeMap<&str, &ListedAgent> =
        agents.iter().map(|agent| (&*agent.id, agent)).collect();
    if is_kept(connection, account, source, new.values().copied())? {
        return Ok(());
    }
    connection
        .prepare_cached("DELETE FROM listed WHERE account = ?1 AND source = ?2")?
        .execute([account, source.name()])?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO listed (account, source, id, name, labels) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for ListedAgent { id, name, labels } in new.into_values() {
        insert.execute((account, source.name(), id, name, to_text(labels)))?;
    }
    Ok(())
}

/// Whether `agents`, ordered by their identifiers, are what is kept. Nothing is collected, for lists
/// may be long.
fn is_kept<'a>(
    connection: &Connection,
    account: &str,
    source: ListSource,
    mut agents: impl Iterator<Item = &'a ListedAgent>,
) -> rusqlite::Result<bool> {
    let mut select = connection.prepare_cached(SELECT)?;
    let mut rows = select.query([account, source.name()])?;
    while let Some(row) = rows.next()? {
        let same = agents
            .next()
            .is_some_and(|ListedAgent { id, name, labels }| {
                row.get_ref(0)
                    .is_ok_and(|kept| kept == ValueRef::from(&**id))
                    && row
                        .get_ref(1)
                        .is_ok_and(|kept| kept == ValueRef::from(name.as_deref()))
                    && row
                        .get_ref(2)
                        .is_ok_and(|kept| kept == ValueRef::from(&*to_text(labels)))
            });
        if !same {
            return Ok(false);
        }
    }
    Ok(agents.next().is_none())
}

pub(super) fn read(
    connection: &Connection,
    account: &str,
    source: ListSource,
) -> Result<Vec<ListedAgent>, Fault> {
    let mut select = connection.prepare_cached(SELECT)?;
    let mut rows = select.query([account, source.name()])?;
    let mut agents = Vec::new();
    while let Some(row) = rows.next()? {
        let labels: String = row.get(2)?;
        agents.push(ListedAgent {
            id: row.get(0)?,
            name: row.get(1)?,
            labels: Arc::new(serde_json::from_str(&labels).map_err(|error| unreadable(2, error))?),
        });
    }
    Ok(agents)
}

fn to_text(labels: &Labels) -> String {
    serde_json::to_string(labels).expect("texts by texts are always JSON")
}
