//! The hooks that were there, and what they were told: every statement that follows a hook from one name to
//! another.
//!
//! Each function runs inside a transaction that its caller has begun.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use rusqlite::Connection;

use super::error::Fault;

/// Number of alerts that a line names.
const NAMED: usize = 5;

const REMEMBERED: &str = "SELECT name, identity FROM hook ORDER BY name";
const REMEMBER: &str = "
    INSERT INTO hook (name, identity) VALUES (?1, ?2)
    ON CONFLICT (name) DO UPDATE SET identity = excluded.identity WHERE identity <> excluded.identity";
const FORGET: &str = "DELETE FROM hook WHERE name = ?1";
const MOVE_ALERTS: &str = "
    UPDATE alert SET
        hooks = (
            SELECT json_group_array(DISTINCT iif(value = ?1, ?2, value)) FROM json_each(alert.hooks)),
        over_hooks = (
            SELECT json_group_array(DISTINCT iif(value = ?1, ?2, value))
            FROM json_each(alert.over_hooks))
    WHERE EXISTS (SELECT 1 FROM json_each(alert.hooks) WHERE value = ?1)
        OR EXISTS (SELECT 1 FROM json_each(alert.over_hooks) WHERE value = ?1)";
const MOVE_DELIVERIES: &str = "UPDATE delivery SET hook = ?2 WHERE hook = ?1";
const MOVE_DISABLED: &str = "UPDATE OR REPLACE disabled_hook SET hook = ?2 WHERE hook = ?1";
const ENABLE: &str = "DELETE FROM disabled_hook WHERE hook = ?1";
const TOLD: &str = "
    SELECT told.value, rule, subject FROM alert, json_each(alert.hooks) AS told ORDER BY 1, 2, 3";
const WAITING: &str = "
    SELECT hook, count(*) FROM delivery WHERE state = 'pending' GROUP BY hook ORDER BY hook";

/// A hook by its name, and what makes it the same one under another name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookIdentity {
    /// Its name.
    pub name: Arc<str>,
    /// Its kind, and the file, variable or address that it leads to, as the config has them.
    pub identity: String,
}

/// Changes of the hooks since the last look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AdoptedHooks {
    /// The old and the new name of each hook that is called something else now.
    pub renamed: Vec<(String, Arc<str>)>,
    /// The hooks that had wanted nothing any more, and lead elsewhere now.
    pub enabled: Vec<Arc<str>>,
    /// The hooks that are in the config no longer, and what they leave open.
    pub gone: Vec<GoneHook>,
}

/// A hook that is in the config no longer, and what it leaves open. Shows as a sentence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GoneHook {
    /// Its name.
    pub name: String,
    /// The rule and the subject of each alert of which its last word is that it fires, ordered by them.
    pub firing: Vec<(String, String)>,
    /// Number of messages that wait for it.
    pub pending: u64,
}

impl fmt::Display for GoneHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            firing,
            pending,
        } = self;
        write!(f, "hook `{name}` is gone")?;
        let several = |count: usize| if count == 1 { "" } else { "s" };
        if let count @ 1.. = firing.len() {
            let verb = if count == 1 { "fires" } else { "fire" };
            write!(
                f,
                "; it was last told that {count} alert{} {verb}: ",
                several(count)
            )?;
            // Several thresholds of a budget are one thing to a reader.
            let subjects: BTreeSet<_> = firing.iter().collect();
            let named = subjects.iter().take(NAMED);
            let named = named.map(|(rule, subject)| format!("{rule} ({subject})"));
            f.write_str(&named.collect::<Vec<_>>().join(", "))?;
            if let more @ 1.. = subjects.len().saturating_sub(NAMED) {
                write!(f, " and {more} more")?;
            }
        }
        if let count @ 1.. = usize::try_from(*pending).unwrap_or(usize::MAX) {
            let verb = if count == 1 { "waits" } else { "wait" };
            write!(f, "; {count} message{} {verb} for it", several(count))?;
        }
        Ok(())
    }
}

/// Takes `hooks` for those that there are from now on: one with a new name and the identity of a single one that
/// is gone takes over everything that this one was told, and one that leads elsewhere is no longer disabled.
pub(super) fn adopt(
    connection: &Connection,
    hooks: &[HookIdentity],
) -> Result<AdoptedHooks, Fault> {
    let mut statement = connection.prepare_cached(REMEMBERED)?;
    let remembered = statement.query_map([], |row| {
        Ok(HookIdentity {
            name: row.get(0)?,
            identity: row.get(1)?,
        })
    })?;
    let mut remembered: Vec<HookIdentity> = remembered.collect::<rusqlite::Result<_>>()?;
    let mut adopted = AdoptedHooks::default();
    for hook in hooks {
        if remembered.iter().any(|known| known.name == hook.name) {
            continue;
        }
        let mut candidates = remembered
            .iter()
            .filter(|known| known.identity == hook.identity && !hooks.contains(known));
        if let (Some(old), None) = (candidates.next(), candidates.next()) {
            let old = Arc::clone(&old.name);
            rename(connection, &old, &hook.name)?;
            remembered.retain(|known| known.name != old);
            let renamed = (old.to_string(), Arc::clone(&hook.name));
            adopted.renamed.push(renamed);
        }
    }
    for hook in hooks {
        let known = remembered.iter().find(|known| known.name == hook.name);
        let leads_elsewhere = known.is_some_and(|known| known.identity != hook.identity);
        if leads_elsewhere && connection.prepare_cached(ENABLE)?.execute([&hook.name])? > 0 {
            adopted.enabled.push(Arc::clone(&hook.name));
        }
        connection
            .prepare_cached(REMEMBER)?
            .execute((&hook.name, &hook.identity))?;
    }
    let names: Vec<Arc<str>> = hooks.iter().map(|hook| Arc::clone(&hook.name)).collect();
    adopted.gone = gone(connection, &names)?;
    Ok(adopted)
}

fn rename(connection: &Connection, old: &str, new: &str) -> Result<(), Fault> {
    for statement in [MOVE_ALERTS, MOVE_DELIVERIES, MOVE_DISABLED] {
        connection.prepare_cached(statement)?.execute([old, new])?;
    }
    connection.prepare_cached(FORGET)?.execute([old])?;
    Ok(())
}

/// Alerts left open by hooks that are none of `names`, ordered by their names.
pub(super) fn gone(connection: &Connection, names: &[Arc<str>]) -> Result<Vec<GoneHook>, Fault> {
    let mut gone: Vec<GoneHook> = Vec::new();
    let mut told = connection.prepare_cached(TOLD)?;
    let told = told.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    for row in told {
        let (name, rule, subject): (String, String, String) = row?;
        match gone.last_mut().filter(|last| last.name == name) {
            Some(last) => last.firing.push((rule, subject)),
            None => gone.push(GoneHook {
                name,
                firing: vec![(rule, subject)],
                pending: 0,
            }),
        }
    }
    let mut waiting = connection.prepare_cached(WAITING)?;
    let waiting = waiting.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)))?;
    for row in waiting {
        let (name, pending): (String, i64) = row?;
        let pending = pending.unsigned_abs();
        match gone.iter_mut().find(|known| known.name == name) {
            Some(known) => known.pending = pending,
            None => gone.push(GoneHook {
                name,
                firing: Vec::new(),
                pending,
            }),
        }
    }
    gone.retain(|hook| !names.iter().any(|name| **name == *hook.name));
    gone.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(gone)
}
