//! A [`Window`] is an inclusive range of days that one request may ask for. It cannot be built
//! invalid, so nothing downstream has to wonder; the same rules serve the planner, the command line
//! and every other place where a person names a range.

pub mod plan;
mod range;

pub use range::{Range, RangeError};

use std::fmt;

use crate::day::Day;

/// The most days that one request may cover.
pub const MAX_DAYS: i32 = 31;

/// An inclusive range of complete days: start ≤ end ≤ yesterday, at most 31 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    start: Day,
    end: Day,
}

/// Why a range is not a [`Window`]: the same rules as FlowGent's own, with the values at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// The range ends before it starts.
    #[error("start {start} must not be after end {end}")]
    StartAfterEnd {
        /// The first day asked for.
        start: Day,
        /// The last day asked for.
        end: Day,
    },
    /// The range reaches into a day that is not over yet.
    #[error("end {end} cannot be today or in the future: data is only available up to {yesterday}")]
    EndTooRecent {
        /// The last day asked for.
        end: Day,
        /// The newest day that may be asked for.
        yesterday: Day,
    },
    /// The range is longer than one request may be.
    #[error("range {start} to {end} is {days} days, more than {MAX_DAYS}")]
    TooLong {
        /// The first day asked for.
        start: Day,
        /// The last day asked for.
        end: Day,
        /// Its length in days.
        days: i32,
    },
}

impl Window {
    /// The days `start` through `end`, as seen on the UTC day `today`.
    ///
    /// # Errors
    /// Days that the API would refuse: start after end, end today or later, more than [`MAX_DAYS`] days.
    pub fn new(start: Day, end: Day, today: Day) -> Result<Self, WindowError> {
        Range::new(start, end, today)?;
        let days = end.since(start).saturating_add(1);
        if days > MAX_DAYS {
            return Err(WindowError::TooLong { start, end, days });
        }
        Ok(Self { start, end })
    }

    /// The first day.
    #[must_use]
    pub const fn start(&self) -> Day {
        self.start
    }

    /// The last day.
    #[must_use]
    pub const fn end(&self) -> Day {
        self.end
    }

    /// Its days, oldest first.
    pub fn days(&self) -> impl DoubleEndedIterator<Item = Day> + Clone + use<> {
        self.start.through(self.end)
    }

    /// Number of days that it covers, 1 to [`MAX_DAYS`].
    #[must_use]
    pub fn length(&self) -> usize {
        self.days().count()
    }

    /// Returns true if `day` lies in it.
    #[must_use]
    pub fn contains(&self, day: Day) -> bool {
        self.start <= day && day <= self.end
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

/// A day that the ledger knows, and when it was last asked for while its figure could still change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownDay {
    /// The day.
    pub day: Day,
    /// The UTC day on which it was fetched.
    pub fetched: Day,
}

impl KnownDay {
    /// Returns true if it was fetched at least `settle_days` after it ended, so that its figure is taken as
    /// final. A day ends where the next one starts.
    #[must_use]
    pub fn is_settled(&self, settle_days: i32) -> bool {
        self.fetched.since(self.day.next()) >= settle_days
    }
}

/// The ledger's knowledge of one agent, as the planner needs it: a long settled past in one figure,
/// and the days after it one by one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Every day from the history start through this one is known and settled.
    pub settled_through: Option<Day>,
    /// The known days after that, ascending.
    pub later: Vec<KnownDay>,
    /// The first day that is asked for, if that lies before the history start.
    pub asked_from: Option<Day>,
    /// The known days from there up to the history start, ascending.
    pub earlier: Vec<KnownDay>,
    /// The days that the last answer about them left out, and when that was asked for; ascending.
    pub left_out: Vec<KnownDay>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    #[test]
    fn what_the_api_would_refuse_cannot_be_built() {
        let today = day("2026-11-23");
        let refusal = |start: &str, end: &str| {
            Window::new(day(start), day(end), today)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            refusal("2026-11-20", "2026-11-19"),
            "start 2026-11-20 must not be after end 2026-11-19"
        );
        assert_eq!(
            refusal("2026-11-20", "2026-11-23"),
            "end 2026-11-23 cannot be today or in the future: data is only available up to 2026-11-22"
        );
        assert_eq!(
            refusal("2026-10-01", "2026-11-01"),
            "range 2026-10-01 to 2026-11-01 is 32 days, more than 31"
        );
    }

    #[test]
    fn thirty_one_days_through_yesterday_are_a_window() {
        let window = Window::new(day("2026-10-23"), day("2026-11-22"), day("2026-11-23")).unwrap();
        assert_eq!(window.length(), 31);
        assert!(window.contains(day("2026-11-22")) && !window.contains(day("2026-11-23")));
    }

    #[test]
    fn a_day_settles_when_fetched_that_many_days_after_its_end() {
        let known = |fetched| KnownDay {
            day: day("2026-11-10"),
            fetched: day(fetched),
        };
        assert!(!known("2026-11-13").is_settled(3));
        assert!(known("2026-11-14").is_settled(3));
        assert!(known("2026-11-11").is_settled(0));
    }
}
