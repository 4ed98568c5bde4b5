//! The outbox: what is to be told to hooks, kept until each has taken it. Every statement that touches
//! these tables.
//!
//! Each function runs inside a transaction that its caller has begun.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::AlertKey;

/// One message to one receiver, kept until it is taken or given up.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// Unlike any other's, and the same at every try: by it receivers tell a repetition.
    pub id: Arc<str>,
    /// The hook's name.
    pub hook: Arc<str>,
    /// Which receiver of the hook, where each gets a message of its own; else empty.
    pub target: String,
    /// The alerts in it: what is told of one alert is told in the order in which it happened.
    pub alerts: Vec<AlertKey>,
    /// The message as JSON.
    pub notification: String,
    /// When it was put here.
    pub created: DateTime<Utc>,
}

/// Where a delivery is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// It is still to be taken.
    Pending,
    /// The receiver has taken it.
    Delivered,
    /// All tries have failed.
    GivenUp,
}

/// A delivery and what became of it so far.
#[derive(Debug, Clone, PartialEq)]
pub struct DeliveryRecord {
    /// The delivery.
    pub delivery: Delivery,
    /// Where it is in its life.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is due, or when it ended.
    pub at: DateTime<Utc>,
    /// What the last try came to: an answer or an error.
    pub result: Option<String>,
}

/// What a try came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Attempt {
    /// It was taken.
    Delivered {
        /// What the receiver said.
        answer: String,
    },
    /// It was not, and is to be tried again then.
    Failed {
        /// Why.
        error: String,
        /// When to try again.
        next: DateTime<Utc>,
    },
    /// It was not, for the last time.
    GivenUp {
        /// Why.
        error: String,
    },
    /// It was not tried, since the hook is to be quiet until then.
    Postponed {
        /// When to try.
        until: DateTime<Utc>,
    },
}

/// What waits for one hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    /// The hook's name.
    pub hook: Arc<str>,
    /// How many deliveries are pending.
    pub pending: u64,
    /// When the oldest of them was put here.
    pub oldest: DateTime<Utc>,
}

/// A hook that has said that it wants nothing any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisabledHook {
    /// The hook's name.
    pub hook: Arc<str>,
    /// When it said so.
    pub at: DateTime<Utc>,
    /// What it said.
    pub reason: String,
}
