//! Messages to receivers, and what becomes of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::AlertKey;
use crate::named::named;

/// One message to one receiver, kept until it is taken or given up.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// Unlike any other's, and the same at every try: by it receivers tell a repetition.
    pub id: Arc<str>,
    /// The hook's name.
    pub hook: Arc<str>,
    /// Which receiver of the hook, where each gets a message of its own; else empty.
    pub target: String,
    /// Keys of the alerts in it. Messages about the same alert are sent in the order of its events.
    pub alerts: Vec<AlertKey>,
    /// The message as JSON.
    pub notification: String,
    /// Time at which it was put here.
    pub created: DateTime<Utc>,
}

named! {
    /// States of a delivery.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, schemars::JsonSchema)]
    #[schemars(inline, rename_all = "snake_case")]
    pub enum DeliveryState {
        /// The receiver has not taken it yet.
        Pending = "pending",
        /// The receiver has taken it.
        Delivered = "delivered",
        /// All tries have failed, or there was none for long.
        GivenUp = "given_up",
    }
}

impl Delivery {
    /// The rules that it tells of, each once, or the name of a summary.
    #[must_use]
    pub fn about(&self) -> String {
        let rules: BTreeSet<&str> = self.alerts.iter().map(|key| &*key.rule).collect();
        if !rules.is_empty() {
            return Vec::from_iter(rules).join(", ");
        }
        let summary = self.summary().unwrap_or_default();
        format!("summary {summary}").trim_end().to_owned()
    }

    /// Name of the summary that it is; none of a message about alerts.
    #[must_use]
    pub fn summary(&self) -> Option<String> {
        if !self.alerts.is_empty() {
            return None;
        }
        let message: Value = serde_json::from_str(&self.notification).ok()?;
        Some(message["summary"]["name"].as_str()?.to_owned())
    }
}

/// A delivery and what became of it so far.
#[derive(Debug, Clone, PartialEq)]
pub struct DeliveryRecord {
    /// The delivery.
    pub delivery: Delivery,
    /// Its state.
    pub state: DeliveryState,
    /// Number of tries.
    pub attempts: u32,
    /// Time at which it is due, or ended.
    pub at: DateTime<Utc>,
    /// Result of the last try: an answer or an error.
    pub result: Option<String>,
}

/// Result of a try.
#[derive(Debug, Clone, PartialEq)]
pub enum Attempt {
    /// It was taken.
    Delivered {
        /// The receiver's answer.
        answer: String,
    },
    /// It was not, and is to be tried again then.
    Failed {
        /// Why.
        error: String,
        /// Time of the next try.
        next: DateTime<Utc>,
        /// True if it may be given up instead, unless it is the last word on one of its alerts.
        may_end: bool,
    },
    /// It was not, for the last time.
    GivenUp {
        /// Why.
        error: String,
    },
    /// It was not tried, since the hook is to be quiet until then.
    Postponed {
        /// Time of the next try.
        until: DateTime<Utc>,
    },
    /// It was not tried, since the hook lacks something on this machine. It is as due as it was.
    Unready {
        /// The missing secret or file.
        error: String,
    },
}

/// A delivery that was given up since nobody took it in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overdue {
    /// Its id.
    pub id: Arc<str>,
    /// The hook's name.
    pub hook: Arc<str>,
    /// Its result.
    pub result: String,
}

/// Backlog of one hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    /// The hook's name.
    pub hook: Arc<str>,
    /// Number of pending deliveries.
    pub pending: u64,
    /// Time at which the oldest of them was put here.
    pub oldest: DateTime<Utc>,
}

/// A hook that has said that it wants nothing any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisabledHook {
    /// The hook's name.
    pub hook: Arc<str>,
    /// Time of that answer.
    pub at: DateTime<Utc>,
    /// The receiver's words.
    pub reason: String,
}
