//! The ledger for commands that only look at it, whether an exporter runs or not.

use std::sync::Arc;

use super::Failure;
use crate::blocking;
use crate::config::Config;
use crate::ledger::{LedgerError, ListSource, Member, View};
use crate::roster::{self, Agent, Roster, Selection};

/// The ledger that `config` names.
pub(super) async fn open(config: &Config) -> Result<View, Failure> {
    let path = config.storage.path.clone();
    Ok(blocking::run(move || View::open(&path)).await?)
}

/// All agents that the ledger knows, of the config and of the lists that were kept last.
pub(super) async fn members(config: &Config, view: &View) -> Result<Arc<[Member]>, LedgerError> {
    let mut members = Vec::new();
    for account in &config.accounts {
        let from_file = view
            .list(Arc::clone(&account.name), ListSource::File)
            .await?;
        let listed = view
            .list(Arc::clone(&account.name), ListSource::Flowgent)
            .await?;
        let Roster {
            agents, unlisted, ..
        } = roster::resolve(account, from_file, listed);
        let identities = agents
            .iter()
            .map(|agent| (Arc::clone(&agent.account), Arc::clone(&agent.id)));
        let numbers = view.numbers(identities.collect()).await?;
        let known = agents.into_iter().zip(numbers);
        members.extend(known.filter_map(|(agent, number)| {
            Some(Member {
                unlisted_since: unlisted.get(&agent.id).copied(),
                ..Member::present(agent, number?)
            })
        }));
    }
    Ok(members.into())
}

/// The members that are asked for.
///
/// # Errors
/// The first name that nobody bears, with the one that was probably meant.
pub(super) fn selected(members: &[Member], selection: &Selection) -> Result<Vec<Member>, Failure> {
    let agents: Vec<&Agent> = members.iter().map(|member| &member.agent).collect();
    match selection.places(&agents) {
        Ok(places) => Ok(places.iter().map(|place| members[*place].clone()).collect()),
        Err(error) => {
            let tip = error.nearest().map_or_else(String::new, |near| {
                format!("\n\n  tip: a similar name exists: {near}")
            });
            Err(Failure::Usage(format!("error: {error}{tip}")))
        }
    }
}
