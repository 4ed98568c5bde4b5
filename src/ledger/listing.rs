//! The agents that FlowGent listed last, so that a start while FlowGent is away knows them.

use rusqlite::Connection;

use super::error::Fault;
use crate::roster::ListedAgent;

pub(super) fn save(
    connection: &Connection,
    account: &str,
    agents: &[ListedAgent],
) -> Result<(), Fault> {
    connection
        .prepare_cached("DELETE FROM listed WHERE account = ?1")?
        .execute([account])?;
    // A listing may name an agent twice; what it says last counts.
    let mut insert = connection
        .prepare_cached("INSERT OR REPLACE INTO listed (account, id, name) VALUES (?1, ?2, ?3)")?;
    for ListedAgent {
        id,
        name,
        labels: _,
    } in agents
    {
        insert.execute((account, id, name))?;
    }
    Ok(())
}

pub(super) fn read(connection: &Connection, account: &str) -> Result<Vec<ListedAgent>, Fault> {
    let mut select =
        connection.prepare_cached("SELECT id, name FROM listed WHERE account = ?1 ORDER BY id")?;
    let agents = select.query_map([account], |row| {
        Ok(ListedAgent {
            id: row.get(0)?,
            name: row.get(1)?,
            ..ListedAgent::default()
        })
    })?;
    Ok(agents.collect::<rusqlite::Result<_>>()?)
}
