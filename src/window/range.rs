//! Pure: the ranges of days that people ask for.

use std::fmt;

use super::WindowError;
use crate::day::{Day, DayError};

/// An inclusive range of complete days: start ≤ end ≤ yesterday. Unlike a window it may be of any
/// length, since it is asked of what is kept here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Range {
    start: Day,
    end: Day,
}

/// Why what somebody wrote is not a [`Range`]: by FlowGent's own rules, in the order in which FlowGent
/// applies them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// Only the end is given.
    #[error("end {end} needs a start")]
    StartMissing {
        /// The end as it was written.
        end: String,
    },
    /// A text that is not a day.
    #[error(transparent)]
    Day(#[from] DayError),
    /// Days that make no range.
    #[error(transparent)]
    Days(#[from] WindowError),
}

impl Range {
    /// The days `start` through `end`, as seen on the UTC day `today`.
    ///
    /// # Errors
    /// The start is after the end, or the end is today or later.
    pub fn new(start: Day, end: Day, today: Day) -> Result<Self, WindowError> {
        if start > end {
            return Err(WindowError::StartAfterEnd { start, end });
        }
        if end >= today {
            return Err(WindowError::EndTooRecent {
                end,
                yesterday: today.previous(),
            });
        }
        Ok(Self { start, end })
    }

    /// The last `days` days, at least one, that end with yesterday.
    #[must_use]
    pub fn last_days(days: u16, today: Day) -> Self {
        Self {
            start: today.plus(-i32::from(days.max(1))),
            end: today.previous(),
        }
    }

    /// Range that was asked for: both days, or from a start through yesterday, or else the last
    /// `default_days` days.
    ///
    /// # Errors
    /// Days that FlowGent would refuse too, but for the length.
    pub fn asked(
        start: Option<&str>,
        end: Option<&str>,
        default_days: u16,
        today: Day,
    ) -> Result<Self, RangeError> {
        let Some(start) = start else {
            return match end {
                None => Ok(Self::last_days(default_days, today)),
                Some(end) => Err(RangeError::StartMissing {
                    end: end.chars().take(32).collect(),
                }),
            };
        };
        let start = start.parse::<Day>();
        let end = end.map_or(Ok(today.previous()), str::parse);
        match (start, end) {
            // Of two mistakes, the one in the form is told.
            (Err(DayError::Calendar(_)), Err(error @ DayError::Format(_))) => Err(error.into()),
            (start, end) => Ok(Self::new(start?, end?, today)?),
        }
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

    /// Number of days that it covers, at least one.
    #[must_use]
    pub const fn days(&self) -> u32 {
        self.end.since(self.start).unsigned_abs().saturating_add(1)
    }

    /// The range of the same length that ends right before this one starts.
    #[must_use]
    pub fn before(&self) -> Self {
        let days = i32::try_from(self.days()).unwrap_or(i32::MAX);
        Self {
            start: self.start.plus(-days),
            end: self.start.previous(),
        }
    }

    /// Its days from `first`, which lies in it, through `last` or its own end.
    pub(crate) fn part(&self, first: Day, last: Day) -> Self {
        debug_assert!(self.start <= first && first <= self.end.min(last));
        Self {
            start: first,
            end: last.min(self.end),
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.start == self.end {
            return write!(f, "{}", self.start);
        }
        write!(f, "{} through {}", self.start, self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: &str = "2026-11-23";

    fn asked(start: Option<&str>, end: Option<&str>) -> String {
        match Range::asked(start, end, 7, TODAY.parse().unwrap()) {
            Ok(range) => range.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_is_left_out_is_filled_in_as_flowgent_does() {
        for (start, end, expected) in [
            (None, None, "2026-11-16 through 2026-11-22"),
            (Some("2026-11-22"), None, "2026-11-22"),
            (Some("2025-01-01"), None, "2025-01-01 through 2026-11-22"),
            (
                Some("2025-01-01"),
                Some("2025-12-31"),
                "2025-01-01 through 2025-12-31",
            ),
        ] {
            assert_eq!(asked(start, end), expected);
        }
    }

    #[test]
    fn what_flowgent_would_refuse_is_refused_in_its_order() {
        for (start, end, expected) in [
            (None, Some("2026-11-22"), "end 2026-11-22 needs a start"),
            (None, Some("nonsense"), "end nonsense needs a start"),
            (
                Some("2026-02-30"),
                Some("today"),
                "`today` is not in YYYY-MM-DD format",
            ),
            (
                Some("2026-02-30"),
                None,
                "`2026-02-30` is not a day of the calendar",
            ),
            (
                Some("2026-11-25"),
                Some("2026-11-24"),
                "start 2026-11-25 must not be after end 2026-11-24",
            ),
            (
                Some("2026-11-23"),
                None,
                "start 2026-11-23 must not be after end 2026-11-22",
            ),
            (
                Some("2020-01-01"),
                Some("2026-11-23"),
                "end 2026-11-23 cannot be today or in the future: data is only available up to \
                 2026-11-22",
            ),
        ] {
            assert_eq!(asked(start, end), expected);
        }
    }

    #[test]
    fn the_range_before_is_as_long_and_ends_where_this_one_starts() {
        let today = TODAY.parse().unwrap();
        let range = Range::last_days(30, today);
        assert_eq!(range.days(), 30);
        assert_eq!(range.before().to_string(), "2026-09-24 through 2026-10-23");
        assert_eq!(Range::last_days(0, today).days(), 1);
    }
}
