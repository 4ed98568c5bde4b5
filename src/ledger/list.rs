//! The lists of agents as they were last, so that agents are known while a list cannot be had, and while one
//! that has shrunk is not believed yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, Row};

use super::error::Fault;
use super::schema::unreadable;
use crate::day::Day;
use crate::named::named;
use crate::roster::{Labels, ListedAgent};

/// Days after which an agent leaves that its list no longer names, unless it is named again.
pub const UNLISTED_DAYS: i32 = 3;

const SELECT: &str = "SELECT id, name, labels, unlisted_since FROM listed WHERE account = ?1 AND source = ?2 ORDER BY id";
const WRITE: &str = "
    INSERT INTO listed (account, source, id, name, labels) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT DO UPDATE SET name = ?4, labels = ?5, unlisted_since = NULL";
const MARK: &str =
    "UPDATE listed SET unlisted_since = ?4 WHERE account = ?1 AND source = ?2 AND id = ?3";
const REMOVE: &str = "DELETE FROM listed WHERE account = ?1 AND source = ?2 AND id = ?3";

named! {
    /// Source of a list of an account's agents.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum ListSource {
        /// A file that another tool keeps.
        File = "file",
        /// FlowGent's own listing.
        Flowgent = "flowgent",
    }
}

/// A list that has been read.
#[derive(Debug, Clone, Default)]
pub struct ListChange {
    /// The agents that it names. Of one that it names twice, the first counts.
    pub agents: Vec<ListedAgent>,
    /// True if it names all: one that does not lets nobody leave.
    pub is_whole: bool,
    /// The day that it is, if that is known; if not, nobody leaves.
    pub today: Option<Day>,
}

/// Keeps a list. Returns all that is kept then, ordered by the identifiers.
pub(super) fn save(
    connection: &Connection,
    account: &str,
    source: ListSource,
    change: &ListChange,
) -> Result<Vec<ListedAgent>, Fault> {
    let mut new: BTreeMap<&str, &ListedAgent> = BTreeMap::new();
    for agent in &change.agents {
        new.entry(&agent.id).or_insert(agent);
    }
    let source_name = source.as_str();
    let mut kept = Vec::with_capacity(new.len());
    for old in read(connection, account, source)? {
        let id = Arc::clone(&old.id);
        match new.get(&*id) {
            Some(listed) if **listed == old => {
                new.remove(&*id);
                kept.push(old);
            }
            // Written below.
            Some(_) => {}
            None => match (change.today.filter(|_| change.is_whole), old.unlisted_since) {
                (Some(today), Some(since)) if today.since(since) >= UNLISTED_DAYS => {
                    let mut remove = connection.prepare_cached(REMOVE)?;
                    remove.execute((account, source_name, &id))?;
                }
                (Some(today), None) => {
                    let mut mark = connection.prepare_cached(MARK)?;
                    mark.execute((account, source_name, &id, today.number()))?;
                    kept.push(ListedAgent {
                        unlisted_since: Some(today),
                        ..old
                    });
                }
                _ => kept.push(old),
            },
        }
    }
    let mut write = connection.prepare_cached(WRITE)?;
    for listed in new.into_values() {
        let ListedAgent {
            id, name, labels, ..
        } = listed;
        write.execute((account, source_name, id, name, to_text(labels)))?;
        kept.push(listed.clone());
    }
    kept.sort_unstable_by(|one, other| one.id.cmp(&other.id));
    Ok(kept)
}

/// Entries of a list, ordered by the identifiers.
pub(super) fn read(
    connection: &Connection,
    account: &str,
    source: ListSource,
) -> Result<Vec<ListedAgent>, Fault> {
    let mut select = connection.prepare_cached(SELECT)?;
    let agents = select.query_map([account, source.as_str()], kept)?;
    Ok(agents.collect::<rusqlite::Result<_>>()?)
}

fn kept(row: &Row<'_>) -> rusqlite::Result<ListedAgent> {
    let labels: String = row.get(2)?;
    Ok(ListedAgent {
        id: row.get(0)?,
        name: row.get(1)?,
        labels: Arc::new(from_text(&labels, 2)?),
        unlisted_since: row.get::<_, Option<i32>>(3)?.map(Day::from_number),
    })
}

pub(super) fn to_text(labels: &Labels) -> String {
    serde_json::to_string(labels).expect("texts by texts are always JSON")
}

/// Labels from the text in `column`.
pub(super) fn from_text(text: &str, column: usize) -> rusqlite::Result<Labels> {
    serde_json::from_str(text).map_err(|error| unreadable(column, error))
}
