//! Names that budgets, rules and hooks refer to.

use std::collections::BTreeSet;

use crate::day::Day;
use crate::roster::{AccountSettings, Matcher};

/// Names that budgets, rules and hooks refer to.
pub(super) struct World<'a> {
    /// The accounts, but for those that are refused.
    pub(super) accounts: &'a [AccountSettings],
    /// The names of all accounts.
    pub(super) account_names: Vec<String>,
    /// The names of all hooks.
    pub(super) hook_names: Vec<String>,
    /// Those of them that are heartbeats.
    pub(super) heartbeats: Vec<String>,
    /// The labels of all agents that the config file names; none if more may come from a list.
    pub(super) labels: Option<BTreeSet<&'a str>>,
    /// The first day of interest.
    pub(super) history_start: Day,
}

impl<'a> World<'a> {
    pub(super) fn new(
        accounts: &'a [AccountSettings],
        account_names: Vec<String>,
        hook_names: Vec<String>,
        heartbeats: Vec<String>,
        history_start: Day,
    ) -> Self {
        let of_accounts = accounts.iter().flat_map(|account| account.labels.keys());
        let agents = accounts.iter().flat_map(|account| &account.agents);
        let of_agents = agents.flat_map(|agent| agent.labels.keys());
        let listed = accounts.iter().any(|account| account.agents_file.is_some());
        Self {
            accounts,
            account_names,
            hook_names,
            heartbeats,
            labels: (!listed).then(|| of_accounts.chain(of_agents).map(String::as_str).collect()),
            history_start,
        }
    }

    /// True if a label is known to be one that no agent has.
    pub(super) fn is_unknown_label(&self, name: &str) -> bool {
        self.labels
            .as_ref()
            .is_some_and(|labels| !labels.contains(name))
    }

    /// Returns true if the matcher is about an agent that the config file names, or may be about one that is
    /// learnt of later.
    pub(super) fn may_match(&self, matcher: &Matcher) -> bool {
        self.accounts.iter().any(|account| {
            let open = account.discover || account.agents_file.is_some();
            (open && matcher.concerns(&account.name))
                || account.agents.iter().any(|agent| matcher.matches(agent))
        })
    }
}
