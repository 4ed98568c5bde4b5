//! Pure: what is known of an agent's days becomes the figures that are published of it.
//!
//! One rule: a figure is there only if every day it covers is known. Absent beats wrong.

use chrono::{DateTime, Utc};

use crate::day::Day;

/// What the ledger keeps in one row per agent, so that no figure needs the whole history.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Totals {
    /// The last day such that every day from the history start through it is known.
    pub frontier: Option<Day>,
    /// Credits used from the history start through the frontier.
    pub frontier_credits: f64,
    /// The highest value that [`Totals::frontier_credits`] ever had, which the counter never falls
    /// below; absent while there was no frontier yet.
    pub high_water_credits: Option<f64>,
    /// How many days from the history start on are known.
    pub known_days: u32,
    /// The newest known day.
    pub known_through: Option<Day>,
    /// Revisions that raised a known day.
    pub revised_up: u64,
    /// Revisions that lowered a known day.
    pub revised_down: u64,
    /// When a fetch last succeeded.
    pub last_success: Option<DateTime<Utc>>,
    /// When a fetch last failed.
    pub last_failure: Option<DateTime<Utc>>,
}
