//! The alerts that are remembered, and since when each rule has been watched: every statement that
//! touches these tables.
//!
//! Each function runs inside a transaction that its caller has begun.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rusqlite::Connection;

use super::Delivery;
use super::error::Fault;
use crate::day::Day;

/// What tells an alert from all others. It holds neither a value nor the day of one, so that it stays
/// the same for as long as something lasts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlertKey {
    /// The name of the rule or budget.
    pub rule: Arc<str>,
    /// What it is about: `all`, an account, or an account and an agent as `acme/support`.
    pub subject: Arc<str>,
    /// The first day of the budget's period; none for what has no periods.
    pub period: Option<Day>,
    /// The threshold as text, such as `used 0.8`; empty for rules that have only one.
    pub threshold: Arc<str>,
}

/// Where an alert is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertState {
    /// The condition holds, but not for long enough.
    Pending,
    /// It holds.
    Firing,
    /// It held once.
    Resolved,
}

/// An alert as it is remembered.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// Which.
    pub key: AlertKey,
    /// Where it is in its life.
    pub state: AlertState,
    /// Since when it has been there.
    pub since: DateTime<Utc>,
    /// When it fired, if it ever did.
    pub fired_at: Option<DateTime<Utc>>,
    /// What the value was measured against when it fired, in credits: with another limit, a threshold
    /// may fire again within its period. 0 for rules without a limit.
    pub limit_credits: f64,
    /// The hooks that were told that it fires, and are to be told when it resolves. Empty if a higher
    /// threshold was told of in its place.
    pub hooks: Vec<String>,
    /// What was last told of it, or would have been, as JSON.
    pub notice: String,
}

/// What an evaluation changes, all in one transaction.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AlertChanges {
    /// Rules that are watched from now on.
    pub watched: Vec<(Arc<str>, DateTime<Utc>)>,
    /// Alerts in their new state.
    pub changed: Vec<Alert>,
    /// Alerts to be forgotten.
    pub forgotten: Vec<AlertKey>,
    /// What is to be told.
    pub deliveries: Vec<Delivery>,
}

impl AlertState {
    /// Its word in the file, in tables and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

/// Everything that is remembered of alerts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AlertMemory {
    /// All alerts, ordered by their keys.
    pub alerts: Vec<Alert>,
    /// Since when each rule has been watched. A rule that is gone stays here.
    pub watched: HashMap<Arc<str>, DateTime<Utc>>,
}

/// See [`super::Ledger::alert_memory`].
pub(super) fn memory(_connection: &Connection) -> Result<AlertMemory, Fault> {
    todo!()
}

/// See [`super::Ledger::record_alerts`].
pub(super) fn record(_connection: &Connection, _changes: &AlertChanges) -> Result<(), Fault> {
    todo!()
}
