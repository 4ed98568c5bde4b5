//! Pure: the agents that somebody asks for by names.

use std::collections::HashSet;

use super::{Agent, printable};
use crate::nearest::nearest;

/// Most names that an unknown one is compared with to suggest the nearest: more would take longer than to answer.
const MOST_COMPARED: usize = 1000;

/// Names of accounts and of agents that are asked for; where there are none, all are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Accounts by their names.
    pub accounts: Vec<String>,
    /// Agents by their names or identifiers.
    pub agents: Vec<String>,
}

/// A name that nobody bears.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// No agent is known of an account of this name.
    #[error("there is no account `{}`", printable(.name))]
    Account {
        /// The name.
        name: String,
        /// The account that was probably meant.
        nearest: Option<String>,
    },
    /// No account has an agent of this name, or none of those that are asked for.
    #[error("there is no agent `{}`{}", printable(.name), within(.accounts))]
    Agent {
        /// The name.
        name: String,
        /// The accounts that it was looked for in; none if it was in all of them.
        accounts: Vec<String>,
        /// The agent that was probably meant.
        nearest: Option<String>,
    },
}

impl Selection {
    /// Places among `agents` of those that are asked for, ascending.
    ///
    /// # Errors
    /// The first name that nobody bears.
    pub fn places(&self, agents: &[&Agent]) -> Result<Vec<usize>, SelectionError> {
        let accounts: HashSet<&str> = self.accounts.iter().map(String::as_str).collect();
        let names: HashSet<&str> = self.agents.iter().map(String::as_str).collect();
        let of_accounts =
            |place: &usize| accounts.is_empty() || accounts.contains(&*agents[*place].account);
        self.check_accounts(agents)?;
        let candidates: Vec<usize> = (0..agents.len()).filter(of_accounts).collect();
        self.check_agents(agents, &candidates)?;
        let is_named = |place: &usize| {
            let agent = agents[*place];
            names.is_empty() || names.contains(&*agent.name) || names.contains(&*agent.id)
        };
        Ok(candidates.into_iter().filter(is_named).collect())
    }

    fn check_accounts(&self, agents: &[&Agent]) -> Result<(), SelectionError> {
        let known: HashSet<&str> = match self.accounts.as_slice() {
            [] => return Ok(()),
            _ => agents.iter().map(|agent| &*agent.account).collect(),
        };
        match self
            .accounts
            .iter()
            .find(|name| !known.contains(name.as_str()))
        {
            None => Ok(()),
            Some(name) => Err(SelectionError::Account {
                name: name.clone(),
                nearest: suggested(name, known),
            }),
        }
    }

    fn check_agents(&self, agents: &[&Agent], candidates: &[usize]) -> Result<(), SelectionError> {
        if self.agents.is_empty() {
            return Ok(());
        }
        let candidates = || candidates.iter().map(|place| agents[*place]);
        let known: HashSet<&str> = candidates()
            .flat_map(|agent| [&*agent.name, &*agent.id])
            .collect();
        match self
            .agents
            .iter()
            .find(|name| !known.contains(name.as_str()))
        {
            None => Ok(()),
            Some(name) => Err(SelectionError::Agent {
                name: name.clone(),
                accounts: self.accounts.clone(),
                nearest: suggested(name, candidates().map(|agent| &*agent.name)),
            }),
        }
    }
}

impl SelectionError {
    /// The name that was probably meant.
    #[must_use]
    pub fn nearest(&self) -> Option<&str> {
        match self {
            Self::Account { nearest, .. } | Self::Agent { nearest, .. } => nearest.as_deref(),
        }
    }
}

/// Place of the account's agent that has this name, or else this identifier.
pub fn place<'a>(
    agents: impl Iterator<Item = &'a Agent> + Clone,
    account: &str,
    name: &str,
) -> Option<usize> {
    let position = |is_meant: &dyn Fn(&Agent) -> bool| {
        let mut agents = agents.clone();
        agents.position(|agent| *agent.account == *account && is_meant(agent))
    };
    position(&|agent| *agent.name == *name).or_else(|| position(&|agent| *agent.id == *name))
}

/// The nearest of the names, in an order that does not depend on how they come.
fn suggested<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut known: Vec<&str> = known.into_iter().take(MOST_COMPARED + 1).collect();
    if known.len() > MOST_COMPARED {
        return None;
    }
    known.sort_unstable();
    nearest(name, &known).map(str::to_owned)
}

fn within(accounts: &[String]) -> String {
    match accounts {
        [] => String::new(),
        [account] => format!(" of account {}", printable(account)),
        accounts => format!(" of these {} accounts", accounts.len()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn agent(account: &str, name: &str) -> Agent {
        Agent {
            account: account.into(),
            id: format!("id-{name}").into(),
            name: name.into(),
            labels: Arc::default(),
        }
    }

    /// The names of what is selected, or why nothing is, with what is suggested.
    fn selected(
        accounts: &[&str],
        names: &[&str],
    ) -> Result<Vec<String>, (String, Option<String>)> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let selection = Selection {
            accounts: owned(accounts),
            agents: owned(names),
        };
        let agents = [
            agent("acme", "legal"),
            agent("acme", "support"),
            agent("globex", "support"),
            agent("globex", "shop"),
        ];
        let agents: Vec<&Agent> = agents.iter().collect();
        match selection.places(&agents) {
            Ok(places) => Ok(places
                .into_iter()
                .map(|place| format!("{}/{}", agents[place].account, agents[place].name))
                .collect()),
            Err(error) => Err((error.to_string(), error.nearest().map(str::to_owned))),
        }
    }

    #[test]
    fn names_and_identifiers_select_and_none_selects_all() {
        for (accounts, names, expected) in [
            (
                &[][..],
                &[][..],
                &[
                    "acme/legal",
                    "acme/support",
                    "globex/support",
                    "globex/shop",
                ][..],
            ),
            (&["globex"], &[], &["globex/support", "globex/shop"]),
            (&[], &["support"], &["acme/support", "globex/support"]),
            (&["acme"], &["support"], &["acme/support"]),
            (&[], &["id-shop", "legal"], &["acme/legal", "globex/shop"]),
        ] {
            assert_eq!(selected(accounts, names).unwrap(), expected);
        }
    }

    #[test]
    fn a_name_comes_before_an_identifier_and_both_are_of_one_account() {
        let mut agents = [
            agent("acme", "support"),
            agent("acme", "id-support"),
            agent("globex", "support"),
        ];
        agents[2].id = "66a72b17".into();
        let place = |account: &str, name: &str| place(agents.iter(), account, name);
        assert_eq!(place("acme", "support"), Some(0));
        assert_eq!(place("acme", "id-support"), Some(1));
        assert_eq!(place("acme", "id-id-support"), Some(1));
        assert_eq!(place("globex", "support"), Some(2));
        assert_eq!(place("globex", "66a72b17"), Some(2));
        assert_eq!(place("acme", "66a72b17"), None);
    }

    #[test]
    fn a_name_that_nobody_bears_is_told_with_the_one_that_was_meant() {
        for (accounts, names, error, near) in [
            (
                &["acmee"][..],
                &[][..],
                "there is no account `acmee`",
                Some("acme"),
            ),
            (
                &[],
                &["suport"],
                "there is no agent `suport`",
                Some("support"),
            ),
            (&[], &["zzz"], "there is no agent `zzz`", None),
            (
                &["acme"],
                &["shop"],
                "there is no agent `shop` of account acme",
                None,
            ),
            (
                &["acme", "globex"],
                &["legal", "shops"],
                "there is no agent `shops` of these 2 accounts",
                Some("shop"),
            ),
        ] {
            let expected = (error.to_owned(), near.map(str::to_owned));
            assert_eq!(selected(accounts, names), Err(expected));
        }
    }
}
