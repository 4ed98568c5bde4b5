//! Pure: what is left of credits that were bought ahead, and until when it lasts.
//!
//! A balance is a budget without end that begins with the last `set`. Its limit is what was set, and what
//! was added since. So what is left is that limit minus use, and it runs out when the budget does. While
//! days are missing, use is a lower bound, and what is left an upper one.

mod book;
mod entries;
pub mod words;

pub use book::Book;
pub use entries::{Account, Change, Closed, Entries, Entry, EntryError, Written};

use chrono::{DateTime, Utc};

use crate::budget::{Cycle, Period, Standing, Tally};
use crate::day::{Day, TRACKING_START};
use crate::roster::Matcher;
use crate::tabulate::Step;

/// The days that a budget or a balance needs of its agents.
#[derive(Debug, Clone)]
pub struct Reach {
    /// The agents.
    pub matcher: Matcher,
    /// Source of those days.
    pub days: Days,
}

/// Sources of needed days.
#[derive(Debug, Clone)]
pub enum Days {
    /// The periods of a budget.
    Of(Cycle),
    /// The entries of a balance.
    By(Book),
    /// The last period of a summary that has ended, and the one before.
    Ended(Step),
}

impl Reach {
    /// The first day that is needed on the day `today`, if any is.
    #[must_use]
    pub fn first_day(&self, today: Day) -> Option<Day> {
        match &self.days {
            // A period that may still change.
            Days::Of(cycle) => Some(cycle.open_periods(today)[0].start.max(TRACKING_START)),
            Days::By(book) => Some(book.entries()?.account(today)?.first_day()),
            Days::Ended(step) => {
                let before = |day: Day| step.first_day(day.previous());
                Some(before(before(step.first_day(today))).max(TRACKING_START))
            }
        }
    }
}

impl Account {
    /// The first day that it needs: also the account that it has closed is checked.
    #[must_use]
    pub fn first_day(&self) -> Day {
        self.closed.map_or(self.since, |closed| closed.since)
    }

    /// Nobody's use yet from each `set` on, as of the day `today`: of the account that was closed, if
    /// there was one, and of this one.
    #[must_use]
    pub fn tallies(&self, today: Day) -> Vec<Tally> {
        let closed = self.closed.map(|closed| Period {
            start: closed.since,
            end: Some(self.since),
        });
        let open = Period {
            start: self.since,
            end: None,
        };
        let periods = closed.into_iter().chain([open]);
        periods.map(|period| Tally::new(period, today)).collect()
    }
}

/// Credits left of a balance.
#[derive(Debug, Clone, PartialEq)]
pub struct Left {
    /// Use since the last `set`, against what was set and added since.
    pub standing: Standing,
    /// Times at which it runs out, by the high bound of use and by the low one; none if that is over a year away or
    /// nothing is foreseen.
    pub bounds: [Option<DateTime<Utc>>; 2],
    /// Credits by which the last `set` lay above what should have been left by the entries before; none
    /// without such, or if a day between is missing.
    pub correction_credits: Option<f64>,
    /// The day that it is.
    pub today: Day,
}

impl Left {
    /// Standing of `account`, of which these are the tallies, as of the day `today`.
    #[must_use]
    pub fn of(account: &Account, tallies: &[&Tally], today: Day) -> Option<Self> {
        let (open, closed) = tallies.split_last()?;
        let standing = open.standing(account.credits);
        let correction = closed
            .first()
            .zip(account.closed)
            .and_then(|(tally, closed)| {
                let standing = tally.standing(closed.credits);
                let used = standing
                    .used_credits
                    .filter(|_| standing.missing_days == 0)?;
                Some(closed.set_credits - (closed.credits - used))
            });
        Some(Self {
            bounds: open.exhaustion_bounds(&standing),
            standing,
            correction_credits: correction,
            today,
        })
    }

    /// Credits that are left, at most these while days are missing: below zero if more was used than the
    /// entries say. None if nobody is known who might have used any.
    #[must_use]
    pub fn credits(&self) -> Option<f64> {
        let is_known = self.standing.agents > 0 || self.standing.used_credits.is_some();
        is_known.then(|| self.standing.limit_credits - self.standing.used_credits.unwrap_or(0.0))
    }

    /// Days from the beginning of today until it runs out; none if that is over a year away or nothing is
    /// foreseen.
    #[must_use]
    pub fn days_left(&self) -> Option<f64> {
        self.standing.exhausted_at.map(|at| self.days_until(at))
    }

    /// The low and the high bound of [`Self::days_left`].
    #[must_use]
    pub fn days_left_bounds(&self) -> [Option<f64>; 2] {
        self.bounds.map(|at| Some(self.days_until(at?)))
    }

    /// Returns true if it lasts for over a year.
    #[must_use]
    pub const fn lasts(&self) -> bool {
        self.standing.pace_credits_per_day.is_some() && self.standing.exhausted_at.is_none()
    }

    /// Returns true if all of it is known to be used.
    #[must_use]
    pub fn is_used_up(&self) -> bool {
        self.credits().is_some_and(|credits| credits <= 0.0)
    }

    fn days_until(&self, at: DateTime<Utc>) -> f64 {
        let milliseconds = (at - self.today.start()).num_milliseconds().max(0);
        // Exact: some hundred days.
        milliseconds as f64 / 86_400_000.0
    }
}

#[cfg(test)]
pub(crate) mod tests;
