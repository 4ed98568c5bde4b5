//! Accounts and agents to ask for: the accounts, the sources of their keys, and agents, which come from the config
//! file, from a list that another tool keeps, and from FlowGent's own listing.

mod list;
mod matcher;
mod select;

pub use list::{ListError, ListedAgent, read_agents};
pub use matcher::{Matcher, Pattern};
pub use select::{Selection, SelectionError, place};

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use crate::day::Day;
use crate::secret::SecretSource;
pub(crate) use crate::text::brief as printable;

/// The longest name and the longest identifier, in bytes.
pub const MAX_NAME_BYTES: usize = 256;

/// Most warnings that a roster carries; the rest is counted in one more.
const MAX_WARNINGS: usize = 20;

/// Labels that the exporter or Prometheus itself puts on the series.
const RESERVED_LABELS: [&str; 5] = ["account", "agent", "agent_id", "instance", "job"];

/// Custom labels: names and values.
pub type Labels = BTreeMap<String, String>;

/// Advice about a key that may not list agents.
pub(crate) const NAME_AGENTS: &str = "Allow the key to list agents in FlowGent's settings, or name them under `[[account.agent]]` and \
    remove `discover`.";

/// One FlowGent organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountSettings {
    /// Its name here: the `account` label.
    pub name: Arc<str>,
    /// Source of its API key, read at every sync.
    pub api_key: SecretSource,
    /// Labels of all its agents.
    pub labels: Labels,
    /// True if every sync asks FlowGent for the list of agents.
    pub discover: bool,
    /// Most agents of that list that are asked for.
    pub max_discovered: usize,
    /// A list of agents that another tool keeps, read at every sync.
    pub agents_file: Option<PathBuf>,
    /// The agents named in the config file.
    pub agents: Vec<Agent>,
}

/// One agent of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// The account it belongs to.
    pub account: Arc<str>,
    /// FlowGent's identifier of it.
    pub id: Arc<str>,
    /// Its name here, by default its identifier: the `agent` label.
    pub name: Arc<str>,
    /// Its labels and its account's, the agent's winning.
    pub labels: Arc<Labels>,
}

/// Different sets of labels, each kept once: a map costs more than all else that is known of an agent.
#[derive(Debug, Default)]
struct LabelSets(HashSet<Arc<Labels>>);

impl LabelSets {
    /// The set that is equal to `labels`.
    fn share(&mut self, labels: Arc<Labels>) -> Arc<Labels> {
        if let Some(known) = self.0.get(&labels) {
            return Arc::clone(known);
        }
        self.0.insert(Arc::clone(&labels));
        labels
    }
}

/// The agents of one account at one sync.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roster {
    /// Ordered by name; no two share a name or an identifier.
    pub agents: Vec<Agent>,
    /// Those that no list names any more and that have not left yet, by their identifiers: since when.
    pub unlisted: BTreeMap<Arc<str>, Day>,
    /// Agents left out or renamed, with the reason: a bounded number of lines.
    pub warnings: Vec<String>,
}

/// Why a text is no name or identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// There is nothing but white space.
    #[error("is empty")]
    Empty,
    /// It is too long to be meant.
    #[error("is {bytes} bytes long, more than {MAX_NAME_BYTES}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// It could break a log line or a terminal.
    #[error("has a control character")]
    ControlCharacter,
    /// `.` and `..` mean another path wherever they stand in a URL, even percent-encoded.
    #[error("cannot be part of a URL path")]
    DotSegment,
}

/// Why a text is no name of a custom label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// Prometheus' rule for label names.
    #[error(
        "a label name is made of letters, digits and underscores and does not start with a digit"
    )]
    Form,
    /// The name has a meaning already.
    #[error("the exporter or Prometheus sets this label itself")]
    Reserved,
}

/// Checks a name of an account or an agent.
///
/// # Errors
/// Says what is wrong, as the end of a sentence that the name begins.
pub fn check_name(name: &str) -> Result<(), NameError> {
    if name.trim().is_empty() {
        Err(NameError::Empty)
    } else if name.len() > MAX_NAME_BYTES {
        Err(NameError::TooLong { bytes: name.len() })
    } else if name.chars().any(char::is_control) {
        Err(NameError::ControlCharacter)
    } else {
        Ok(())
    }
}

/// Checks an agent's identifier, which becomes one segment of a URL's path.
///
/// # Errors
/// Says what is wrong, as the end of a sentence that the identifier begins.
pub fn check_id(id: &str) -> Result<(), NameError> {
    check_name(id)?;
    if matches!(id, "." | "..") {
        return Err(NameError::DotSegment);
    }
    Ok(())
}

/// Checks the name of a custom label by Prometheus' rules and against the labels that exist anyway.
///
/// # Errors
/// Says which rule is broken.
pub fn check_label_name(name: &str) -> Result<(), LabelError> {
    let mut characters = name.chars();
    let head = characters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
    if !head || !characters.all(|rest| rest.is_ascii_alphanumeric() || rest == '_') {
        return Err(LabelError::Form);
    }
    if name.starts_with("__") || RESERVED_LABELS.contains(&name) {
        return Err(LabelError::Reserved);
    }
    Ok(())
}

/// The labels of an agent: its account's and its own, its own winning.
#[must_use]
pub fn merge_labels(account: &Labels, agent: &Labels) -> Labels {
    let mut merged = account.clone();
    merged.extend(
        agent
            .iter()
            .map(|(name, value)| (name.clone(), value.clone())),
    );
    merged
}

/// Puts together the agents of `account` from the config file, from its agents file and from
/// FlowGent's listing. An identifier found in several of them counts where it stands first.
///
/// The lists are taken in the order of their identifiers, so that a server that shuffles its answer
/// cannot move a disputed name from one agent's series to another's. Those that no list names any more come
/// last. One that only one of two lists still names keeps the name and labels of the first.
#[must_use]
pub fn resolve(
    account: &AccountSettings,
    from_file: Vec<ListedAgent>,
    discovered: Vec<ListedAgent>,
) -> Roster {
    let mut resolution = Resolution {
        account,
        label_sets: LabelSets::default(),
        ids: account
            .agents
            .iter()
            .map(|agent| Arc::clone(&agent.id))
            .collect(),
        names: account
            .agents
            .iter()
            .map(|agent| Arc::clone(&agent.name))
            .collect(),
        agents: account.agents.clone(),
        unlisted: BTreeMap::new(),
        warnings: Vec::new(),
        further_warnings: 0,
    };
    let lists = [from_file, discovered];
    let is_named = |agent: &&ListedAgent| agent.unlisted_since.is_none();
    let named = lists.iter().flatten().filter(is_named);
    let named: HashSet<Arc<str>> = named.map(|agent| Arc::clone(&agent.id)).collect();
    let mut unnamed = Vec::new();
    for mut listed in lists {
        listed.sort_by(|one, other| one.id.cmp(&other.id));
        for agent in listed {
            if named.contains(&agent.id) {
                resolution.add(ListedAgent {
                    unlisted_since: None,
                    ..agent
                });
            } else {
                unnamed.push(agent);
            }
        }
    }
    unnamed.into_iter().for_each(|agent| resolution.add(agent));
    resolution.finish()
}

/// A [`Roster`] while it is put together.
struct Resolution<'a> {
    account: &'a AccountSettings,
    label_sets: LabelSets,
    ids: HashSet<Arc<str>>,
    names: HashSet<Arc<str>>,
    agents: Vec<Agent>,
    unlisted: BTreeMap<Arc<str>, Day>,
    warnings: Vec<String>,
    further_warnings: usize,
}

impl Resolution<'_> {
    fn add(&mut self, listed: ListedAgent) {
        let ListedAgent {
            id,
            name,
            labels,
            unlisted_since,
        } = listed;
        if let Err(error) = check_id(&id) {
            return self.warn(&id, &format!("its identifier {error}: it is left out"));
        }
        if !self.ids.insert(Arc::clone(&id)) {
            return;
        }
        let Some(name) = self.free_name(&id, name) else {
            return self.warn(
                &id,
                "another agent bears its identifier as a name: it is left out",
            );
        };
        self.names.insert(Arc::clone(&name));
        let labels = self.labels(&id, &labels);
        if let Some(since) = unlisted_since {
            self.unlisted.insert(Arc::clone(&id), since);
        }
        self.agents.push(Agent {
            account: Arc::clone(&self.account.name),
            id,
            name,
            labels,
        });
    }

    /// The listed name if it is good and free, else the identifier if that is free.
    fn free_name(&mut self, id: &Arc<str>, listed: Option<Arc<str>>) -> Option<Arc<str>> {
        // A listing may hold blank names: such an agent has none.
        if let Some(name) = listed.filter(|name| !name.trim().is_empty()) {
            match check_name(&name) {
                Err(error) => self.warn(
                    id,
                    &format!("its name {error}: it is called by its identifier"),
                ),
                Ok(()) if self.names.contains(&name) => self.warn(
                    id,
                    &format!(
                        "the name `{}` is another agent's: it is called by its identifier",
                        printable(&name)
                    ),
                ),
                Ok(()) => return Some(name),
            }
        }
        (!self.names.contains(id)).then(|| Arc::clone(id))
    }

    fn labels(&mut self, id: &str, labels: &Labels) -> Arc<Labels> {
        let mut merged = merge_labels(&self.account.labels, labels);
        for name in labels.keys() {
            if let Err(error) = check_label_name(name) {
                self.warn(
                    id,
                    &format!("its label `{}` is left out: {error}", printable(name)),
                );
                // An account's labels are checked, so this one is none of them.
                merged.remove(name);
            }
        }
        self.label_sets.share(Arc::new(merged))
    }

    fn warn(&mut self, id: &str, what: &str) {
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings.push(format!(
                "account {}, agent `{}`: {what}",
                self.account.name,
                printable(id)
            ));
        } else {
            self.further_warnings += 1;
        }
    }

    fn finish(mut self) -> Roster {
        if self.further_warnings > 0 {
            self.warnings.push(format!(
                "account {}: {} more warnings of this kind",
                self.account.name, self.further_warnings
            ));
        }
        self.agents
            .sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Roster {
            agents: self.agents,
            unlisted: self.unlisted,
            warnings: self.warnings,
        }
    }
}

#[cfg(test)]
mod tests;
