//! Who is asked: the accounts, where their keys are, and their agents, which come from the config
//! file, from a list that another tool keeps, and from FlowGent's own listing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// One FlowGent organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountSettings {
    /// Its name here: the `account` label.
    pub name: Arc<str>,
    /// Where its API key is read from, at every sync.
    pub api_key: KeySource,
    /// Labels of all its agents.
    pub labels: BTreeMap<String, String>,
    /// Whether to ask FlowGent for the list of agents at every sync.
    pub discover: bool,
    /// A list of agents that another tool keeps, read at every sync.
    pub agents_file: Option<PathBuf>,
    /// The agents named in the config file.
    pub agents: Vec<Agent>,
}

/// Where an API key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// The content of a file.
    File(PathBuf),
    /// The value of an environment variable.
    Environment(String),
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
    pub labels: Arc<BTreeMap<String, String>>,
}
