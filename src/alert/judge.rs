//! Pure: what each rule says about the facts.

use chrono::{DateTime, Utc};

use super::{Facts, Notice, Rule};
use crate::ledger::AlertKey;

/// Whether what a rule looks for is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It is.
    Met,
    /// It would not be enough to fire, but what fires stays: the value is within the hysteresis.
    Held,
    /// It is not.
    NotMet,
    /// It cannot be said: a day that the value is of is not known.
    Unknown,
}

/// What a rule says about one of its alerts.
#[derive(Debug, Clone)]
pub struct Observation {
    /// Which alert.
    pub key: AlertKey,
    /// Whether it is to fire.
    pub condition: Condition,
    /// What would be told of it.
    pub notice: Notice,
    // ALERTER: rank among the thresholds, limit, pending since, …
}

/// What `rules` say about `facts` at `now`.
#[must_use]
pub fn judge(_rules: &[Rule], _facts: &Facts, _now: DateTime<Utc>) -> Vec<Observation> {
    todo!()
}
