//! Pure: policy + what is known + today → the windows to ask for.

use crate::day::Day;

/// What is asked for, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The first day of interest, 2025-05-28 or later.
    pub history_start: Day,
    /// A day's figure is final once fetched this many days after it ended.
    pub settle_days: i32,
}
