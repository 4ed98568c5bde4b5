//! Pure: what is known of an agent's days becomes the figures that are published of it.
//!
//! One rule: a figure is there only if every day it covers is known. Absent beats wrong.

use chrono::{DateTime, Utc};

use crate::day::{Day, TRACKING_START, Usage};
use crate::forecast::{PATTERN_DAYS, Pattern};

/// Totals that the ledger keeps in one row per agent, so that no figure needs the whole history.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Totals {
    /// The last day such that every day from the history start through it is known.
    pub frontier: Option<Day>,
    /// Credits used from the history start through the frontier.
    pub frontier_credits: f64,
    /// The highest value that [`Totals::frontier_credits`] ever had, which the counter never falls
    /// below; absent while there was no frontier yet.
    pub high_water_credits: Option<f64>,
    /// Number of known days from the history start on.
    pub known_days: u32,
    /// The newest known day.
    pub known_through: Option<Day>,
    /// Revisions that raised a known day.
    pub revised_up: u64,
    /// Revisions that lowered a known day.
    pub revised_down: u64,
    /// Time of the last successful fetch.
    pub last_success: Option<DateTime<Utc>>,
    /// Time of the last failed fetch, if none has succeeded since.
    pub last_failure: Option<DateTime<Utc>>,
}

/// Published figures of one agent. A figure is absent while a day that it covers is unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Figures {
    /// True if the last fetch succeeded; absent if none was tried.
    pub up: Option<bool>,
    /// Credits used from the history start through the frontier, never falling.
    pub used_credits: Option<f64>,
    /// Credits by which the counter stands above the ledger after downward revisions.
    pub overcount_credits: Option<f64>,
    /// Credits used yesterday.
    pub previous_day_credits: Option<f64>,
    /// Credits used on the 7 days that end with yesterday.
    pub previous_7_days_credits: Option<f64>,
    /// Credits used on the 30 days that end with yesterday.
    pub previous_30_days_credits: Option<f64>,
    /// Credits used on the complete days of this month; zero on its first day.
    pub month_to_date_credits: Option<f64>,
    /// Credits used in the month before this one.
    pub previous_month_credits: Option<f64>,
    /// Credits that are expected to be used in this month, of which its complete days are known.
    pub forecast_month_credits: Option<f64>,
    /// The same, with missing days as expected as those to come. For people only: metrics never have it.
    pub expected_month_credits: Option<f64>,
    /// The newest known day.
    pub known_through: Option<Day>,
    /// The last day before the first missing one.
    pub complete_through: Option<Day>,
    /// Days from the history start through yesterday that are not known.
    pub missing_days: u64,
    /// Revisions that raised a known day.
    pub revised_up: u64,
    /// Revisions that lowered a known day.
    pub revised_down: u64,
    /// Time of the last successful fetch.
    pub last_success: Option<DateTime<Utc>>,
    /// Lower bounds, for people only: metrics never have them.
    pub at_least: AtLeast,
}

/// Sums of the known days alone, which the full figures cannot be below. None if no day is known.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct AtLeast {
    /// Of the 7 days that end with yesterday.
    pub previous_7_days_credits: Option<f64>,
    /// Of the 30 days that end with yesterday.
    pub previous_30_days_credits: Option<f64>,
    /// Of the complete days of this month.
    pub month_to_date_credits: Option<f64>,
    /// Of the month before this one.
    pub previous_month_credits: Option<f64>,
}

impl Figures {
    /// Credits of yesterday, the last 7 and 30 days, this month, the whole of it as expected, and the previous
    /// month: each the figure, and the sum of the known days, which is a lower bound of it.
    #[must_use]
    pub const fn periods(&self) -> [(Option<f64>, Option<f64>); 6] {
        let known = &self.at_least;
        [
            (self.previous_day_credits, None),
            (self.previous_7_days_credits, known.previous_7_days_credits),
            (
                self.previous_30_days_credits,
                known.previous_30_days_credits,
            ),
            (self.month_to_date_credits, known.month_to_date_credits),
            (self.expected_month_credits, known.month_to_date_credits),
            (self.previous_month_credits, known.previous_month_credits),
        ]
    }
}

/// The first day that the `recent` argument of [`figures`] must reach back to: the oldest day of a pattern,
/// which lies before the previous month.
#[must_use]
pub fn recent_start(today: Day) -> Day {
    today.plus(-PATTERN_DAYS)
}

/// The figures of one agent as of the UTC day `today`.
///
/// `recent` holds every known day from [`recent_start`] on, ascending and each once. Days from
/// `today` on, which can be known only if the clock was stepped back, count for nothing but the
/// counter, which never falls; those before `history_start` count for nothing at all.
#[must_use]
pub fn figures(totals: &Totals, recent: &[Usage], history_start: Day, today: Day) -> Figures {
    let recent = &recent[recent.partition_point(|usage| usage.day < history_start)..];
    let missing_days = missing_days(totals, recent, history_start, today);
    let recent = &recent[..recent.partition_point(|usage| usage.day < today)];
    let yesterday = today.previous();
    let month_start = today.month_start();
    let over_days = |days: i32| credits(recent, today.plus(-days), yesterday);
    let month_to_date_credits = credits(recent, month_start, yesterday);
    let expected_month_credits = Pattern::of(recent, today).map(|pattern| {
        let month = among(recent, month_start, yesterday);
        let is_missing = |day: &Day| Usage::on(month, *day).is_none();
        let tracked = month_start.max(TRACKING_START).through(yesterday);
        let missing = tracked.filter(is_missing);
        let left = today.through(month_start.plus(31).month_start().previous());
        pattern
            .forecast(sum(month), missing.chain(left))
            .expected_credits
    });
    // A frontier that an earlier history start took away leaves nothing that the counter is of.
    let counter = totals.frontier.and(totals.high_water_credits);
    Figures {
        up: is_up(totals),
        used_credits: counter,
        overcount_credits: counter.map(|counter| (counter - totals.frontier_credits).max(0.0)),
        previous_day_credits: over_days(1),
        previous_7_days_credits: over_days(7),
        previous_30_days_credits: over_days(30),
        month_to_date_credits,
        previous_month_credits: credits(
            recent,
            previous_month_start(today),
            month_start.previous(),
        ),
        forecast_month_credits: month_to_date_credits.and(expected_month_credits),
        expected_month_credits,
        known_through: known_through(totals, recent, today),
        complete_through: totals.frontier.map(|day| day.min(yesterday)),
        missing_days,
        revised_up: totals.revised_up,
        revised_down: totals.revised_down,
        last_success: totals.last_success,
        at_least: AtLeast {
            previous_7_days_credits: known(recent, today.plus(-7), yesterday),
            previous_30_days_credits: known(recent, today.plus(-30), yesterday),
            month_to_date_credits: known(recent, month_start, yesterday),
            previous_month_credits: known(
                recent,
                previous_month_start(today),
                month_start.previous(),
            ),
        },
    }
}

fn previous_month_start(today: Day) -> Day {
    today.month_start().previous().month_start()
}

/// Credits used on the days `first` through `last`, if all of them are known. Days before tracking
/// started are: they are zero.
fn credits(recent: &[Usage], first: Day, last: Day) -> Option<f64> {
    let first = first.max(TRACKING_START);
    let known = among(recent, first, last);
    let covered = usize::try_from(last.next().since(first)).unwrap_or(0);
    (known.len() == covered).then(|| sum(known))
}

/// Credits used on those of the days `first` through `last` that are known, if any is.
fn known(recent: &[Usage], first: Day, last: Day) -> Option<f64> {
    let known = among(recent, first, last);
    (!known.is_empty()).then(|| sum(known))
}

/// The known days from `first` through `last`.
fn among(recent: &[Usage], first: Day, last: Day) -> &[Usage] {
    let from = recent.partition_point(|usage| usage.day < first);
    let known = recent[from..].partition_point(|usage| usage.day <= last);
    &recent[from..from + known]
}

fn sum(days: &[Usage]) -> f64 {
    // Not `sum`, whose zero is a negative one.
    days.iter().fold(0.0, |sum, usage| sum + usage.credits)
}

/// Returns true if the last fetch succeeded. Instants are not compared: the clock may have been set meanwhile.
fn is_up(totals: &Totals) -> Option<bool> {
    let known = totals.last_success.is_some() || totals.last_failure.is_some();
    known.then_some(totals.last_failure.is_none())
}

/// The newest known day before `today`.
fn known_through(totals: &Totals, recent: &[Usage], today: Day) -> Option<Day> {
    let newest = totals.known_through?;
    if newest < today {
        return Some(newest);
    }
    // The clock was stepped back. What is known before `recent` is at least the frontier.
    let frontier = totals.frontier.map(|day| day.min(today.previous()));
    recent.last().map(|usage| usage.day).max(frontier)
}

/// Number of missing days from the history start through yesterday, of an agent whose days `recent` are
/// known: the newest ones.
#[must_use]
pub fn missing_days(totals: &Totals, recent: &[Usage], history_start: Day, today: Day) -> u64 {
    let days = u64::try_from(today.since(history_start)).unwrap_or(0);
    let first_ahead = today.max(history_start);
    let ahead = recent.iter().rev();
    let ahead = ahead.take_while(|usage| usage.day >= first_ahead).count();
    days.saturating_sub(u64::from(totals.known_days).saturating_sub(ahead as u64))
}

#[cfg(test)]
mod tests;
