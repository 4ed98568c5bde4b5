//! Pure: what an evaluation decides by.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::Settings;
use crate::ledger::{AgentNumber, Alert, AlertKey, LastTold, Silence};

/// Rules whose sums are of other agents than before: all of them, or those of these subjects.
#[derive(Debug, Default)]
pub(super) struct Redefined(pub(super) HashMap<Arc<str>, Option<HashSet<Arc<str>>>>);

impl Redefined {
    /// Returns true if the alert of `key` is about such a sum.
    pub(super) fn contains(&self, key: &AlertKey) -> bool {
        let subjects = self.0.get(&key.rule);
        subjects.is_some_and(|subjects| {
            let mut subjects = subjects.iter();
            subjects.all(|subjects| subjects.contains(&key.subject))
        })
    }
}

/// The inputs of an evaluation besides the observations.
pub(super) struct Situation<'a> {
    /// The alerts that are remembered.
    pub(super) alerts: &'a BTreeMap<AlertKey, Alert>,
    /// Silences, and when hooks were last told.
    pub(super) outside: &'a Outside,
    /// The rules and hooks.
    pub(super) settings: &'a Settings,
    /// The sums that are of others than before, because somebody edited labels or a `match`.
    pub(super) redefined: Redefined,
    /// Since when an alert about each agent is pending, by the rule's name: also under another name.
    pub(super) pending: HashMap<(&'a str, AgentNumber), DateTime<Utc>>,
    /// The rules of which an older version decided before: what fires is taken as told.
    pub(super) unseeded: &'a HashSet<Arc<str>>,
    /// The instant of the evaluation.
    pub(super) now: DateTime<Utc>,
    /// True if the UTC day is certain. Otherwise nothing ends, and nothing that counts time fires.
    pub(super) is_certain: bool,
    /// True if FlowGent has confirmed this host's clock. Otherwise nothing begins to fire either.
    pub(super) is_checked: bool,
}

/// Changes by other processes to the ledger; each evaluation reads them anew.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Outside {
    /// The silences of the day.
    pub(super) silences: Vec<Silence>,
    /// When each hook was last told of what fires; empty if nothing is ever repeated.
    pub(super) last_told: LastTold,
}

impl Situation<'_> {
    /// Returns true if nothing is sent of that alert.
    pub(super) fn is_silenced(&self, key: &AlertKey) -> bool {
        Silence::of(&self.outside.silences, &key.rule, &key.subject).is_some()
    }
}
