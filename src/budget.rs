//! Pure: how much of a budget its agents have used in a period, and where that is heading.
//!
//! The period that counts on a day is the one that *yesterday* lies in, since yesterday is the newest
//! day that anyone can know: on the first of December, November's budget stands as it ended.

use chrono::{DateTime, Utc};

use crate::day::{Day, Usage};
use crate::forecast::{Forecast, Pattern};
use crate::ledger::Member;

/// How often a budget begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cycle {
    /// Every UTC day.
    Day,
    /// Every Monday.
    Week,
    /// Every month on that day, 1 to 31; where a month is shorter, on its last day.
    Month {
        /// The day of the month.
        anchor_day: u32,
    },
    /// Never: it counts from that day on.
    Total {
        /// The first day that counts.
        start: Day,
    },
}

/// The days from `start` up to, but not including, `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period {
    /// The first day.
    pub start: Day,
    /// The day after the last one; none if it never ends.
    pub end: Option<Day>,
}

/// How a budget stands in one period.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// The period.
    pub period: Period,
    /// The budget.
    pub limit_credits: f64,
    /// Credits known to be used: all of them if no day is missing, else a lower bound. None if days
    /// have passed and nothing at all is known of them.
    pub used_credits: Option<f64>,
    /// Days of agents that have passed and are not known.
    pub missing_days: u32,
    /// What is expected by the end of the period; none for a period without an end, without agents,
    /// or if one of the agents has too few known days.
    pub forecast: Option<Forecast>,
    /// When use reached the limit, or is expected to within the period, interpolated within the day. A
    /// period without end is looked ahead for a year.
    pub exhausted_at: Option<DateTime<Utc>>,
    /// Credits per day that are expected from now on, on the average of a week.
    pub pace_credits_per_day: Option<f64>,
    /// Those who used most, at most three, descending; none who used nothing.
    pub top: Vec<(Member, f64)>,
    /// How many agents it is of.
    pub agents: usize,
}

impl Cycle {
    /// The period that `day` lies in. One before the start of a total lies in that total.
    #[must_use]
    pub fn period_of(self, _day: Day) -> Period {
        todo!()
    }
}

/// Adds up agents, one after the other, to a [`Standing`].
#[derive(Debug)]
pub struct Tally {
    // FORECASTER
}

impl Tally {
    /// Nobody's use in `period` yet, as of the UTC day `today`.
    #[must_use]
    pub fn new(_period: Period, _today: Day) -> Self {
        todo!()
    }

    /// Adds an agent. `recent` holds its known days, ascending and each once, at least from the start
    /// of the period on. Days before `history_start` are not missing: nobody asks for them.
    pub fn add(
        &mut self,
        _member: &Member,
        _recent: &[Usage],
        _pattern: Option<&Pattern>,
        _history_start: Day,
    ) {
        todo!()
    }

    /// How a budget of so many credits stands with those who were added.
    #[must_use]
    pub fn standing(&self, _limit_credits: f64) -> Standing {
        todo!()
    }
}
