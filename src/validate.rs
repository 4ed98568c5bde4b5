//! Pure: asked window + wire answer → rows, or a rejection of the whole answer.
//!
//! An answer that contradicts the question or itself is worth nothing: nobody can tell which part of it
//! is right. A day that is merely not there yet is no contradiction; it stays missing.

use chrono::{DateTime, TimeDelta, Utc};

use crate::day::{Day, DayError, TRACKING_START, Usage};
use crate::flowgent::error::ApiError;
use crate::flowgent::wire::UsageAnswer;
use crate::text::grouped;
use crate::text::printable;
use crate::window::{MAX_DAYS, Window};

/// More credits than any agent can use in a day.
pub const MOST_CREDITS: f64 = 1e12;
/// Largest distance of a total from the sum of its days, relative to it, as fractions round.
const TOLERANCE: f64 = 1e-6;
/// The most bytes of a foreign text in a message.
const SHOWN_BYTES: usize = 64;

/// Contents of an accepted answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// The days that came, ascending, each once, all within the window.
    pub rows: Vec<Usage>,
    /// The days of the window that did not come, ascending.
    pub missing: Vec<Day>,
}

/// Why an answer was rejected, with what was asked or said before and what was answered.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Rejection {
    /// It is about another agent.
    #[error("asked for agent `{asked}`, answered for `{answered}`")]
    OtherAgent {
        /// The agent asked for.
        asked: String,
        /// The agent answered for.
        answered: String,
    },
    /// A bound of its `time_range` is no point in time.
    #[error("time_range.{bound} `{text}` is not an RFC 3339 time")]
    NoTime {
        /// `start` or `end`.
        bound: &'static str,
        /// Text found there.
        text: String,
    },
    /// Its `time_range` does not start with the window.
    #[error("asked from {asked}, time_range starts at {}", .answered.to_rfc3339())]
    OtherStart {
        /// The first day asked for.
        asked: Day,
        /// The start answered for.
        answered: DateTime<Utc>,
    },
    /// Its `time_range` does not end with the window.
    #[error("asked through {asked}, time_range ends at {}", .answered.to_rfc3339())]
    OtherEnd {
        /// The last day asked for.
        asked: Day,
        /// The end answered for.
        answered: DateTime<Utc>,
    },
    /// A day is none.
    #[error("day {0}")]
    NoDay(#[from] DayError),
    /// A day was not asked for.
    #[error("asked for {asked}, answered with {answered}")]
    OutsideWindow {
        /// The window asked for.
        asked: Window,
        /// The day answered with.
        answered: Day,
    },
    /// A day's credits cannot be.
    #[error("day {day} has {} credits, not 0 to {}", figure(*.credits), figure(MOST_CREDITS))]
    Credits {
        /// The day.
        day: Day,
        /// Negative, not finite or absurd.
        credits: f64,
    },
    /// A day has usage although nothing was tracked yet.
    #[error("day {day} has {} credits, but nothing was tracked before {TRACKING_START}", figure(*.credits))]
    BeforeTracking {
        /// The day.
        day: Day,
        /// Not zero.
        credits: f64,
    },
    /// The same day has two values.
    #[error("day {day} has {} credits and also {}", figure(*.first), figure(*.second))]
    Contradiction {
        /// The day.
        day: Day,
        /// The value that came first.
        first: f64,
        /// Another value.
        second: f64,
    },
    /// The total is not that of the days. A day that came twice counts once.
    #[error("total {}, days sum to {}", figure(*.total), figure(*.sum))]
    Total {
        /// The total as answered.
        total: f64,
        /// The sum of the days as answered.
        sum: f64,
    },
}

impl From<Rejection> for ApiError {
    fn from(rejection: Rejection) -> Self {
        Self::Contract(rejection.to_string())
    }
}

/// A figure as people write it; one of hundreds of digits in scientific notation.
fn figure(value: f64) -> String {
    let plain = value == 0.0 || !value.is_finite() || (1e-6..1e16).contains(&value.abs());
    if plain {
        grouped(&value.to_string())
    } else {
        format!("{value:e}")
    }
}

/// The usage of `agent_id` in the window `asked` as `answer` says.
///
/// Days may come in any order, be repeated with the same value, or be missing.
///
/// # Errors
/// The answer contradicts the question or itself; nothing of it should be kept.
pub fn rows(asked: &Window, agent_id: &str, answer: &UsageAnswer) -> Result<Accepted, Rejection> {
    if answer.agent_id != agent_id {
        return Err(Rejection::OtherAgent {
            asked: printable(agent_id, SHOWN_BYTES),
            answered: printable(&answer.agent_id, SHOWN_BYTES),
        });
    }
    check_time_range(asked, answer)?;
    let known = credits_by_day(asked, answer)?;
    let sum: f64 = known.iter().flatten().sum();
    let total = answer.usage.total_credits_used;
    // Written so that a total that is no number, or infinite, fails.
    let sums_up = (total - sum).abs() <= TOLERANCE * sum;
    if !sums_up && !is_rounded(total, sum, known.iter().flatten()) {
        return Err(Rejection::Total { total, sum });
    }
    let mut accepted = Accepted {
        rows: Vec::with_capacity(known.len()),
        missing: Vec::new(),
    };
    for (day, credits) in asked.days().zip(known) {
        match credits {
            Some(credits) => accepted.rows.push(Usage { day, credits }),
            None => accepted.missing.push(day),
        }
    }
    Ok(accepted)
}

/// Returns true if `total` is `sum` rounded to the decimals that the total is written with, fewer than those of a day.
fn is_rounded<'a>(total: f64, sum: f64, mut days: impl Iterator<Item = &'a f64>) -> bool {
    let decimals = |figure: f64| {
        let text = figure.to_string();
        text.split_once('.')
            .map_or(0, |(_, decimals)| decimals.len())
    };
    let written = decimals(total);
    let half = 0.5 * 10_f64.powi(-i32::try_from(written).unwrap_or(i32::MAX));
    (total - sum).abs() <= half + TOLERANCE * sum && days.any(|day| decimals(*day) > written)
}

/// The window's days in order, with their credits if they came.
fn credits_by_day(
    asked: &Window,
    answer: &UsageAnswer,
) -> Result<[Option<f64>; MAX_DAYS as usize], Rejection> {
    let mut known = [None; MAX_DAYS as usize];
    for daily in &answer.usage.daily_breakdown {
        let day: Day = daily.date.parse()?;
        // Adding zero turns -0 into 0 and leaves everything else as it is.
        let credits = daily.credits_used + 0.0;
        if !asked.contains(day) {
            return Err(Rejection::OutsideWindow {
                asked: *asked,
                answered: day,
            });
        }
        if !(0.0..=MOST_CREDITS).contains(&credits) {
            return Err(Rejection::Credits { day, credits });
        }
        if day < TRACKING_START && credits > 0.0 {
            return Err(Rejection::BeforeTracking { day, credits });
        }
        let place = usize::try_from(day.since(asked.start()))
            .ok()
            .and_then(|offset| known.get_mut(offset))
            .expect("a window has at most MAX_DAYS days, and this is one of them");
        match place.replace(credits) {
            Some(first) if first != credits => {
                return Err(Rejection::Contradiction {
                    day,
                    first,
                    second: credits,
                });
            }
            _ => {}
        }
    }
    Ok(known)
}

/// Returns true if `time_range` is the window: from the first instant of its first day to some instant in
/// the last second of its last.
fn check_time_range(asked: &Window, answer: &UsageAnswer) -> Result<(), Rejection> {
    let start = time("start", &answer.time_range.start)?;
    if start != asked.start().start() {
        return Err(Rejection::OtherStart {
            asked: asked.start(),
            answered: start,
        });
    }
    let end = time("end", &answer.time_range.end)?;
    let over = asked.end().end();
    if end < over - TimeDelta::seconds(1) || end >= over {
        return Err(Rejection::OtherEnd {
            asked: asked.end(),
            answered: end,
        });
    }
    Ok(())
}

fn time(bound: &'static str, text: &str) -> Result<DateTime<Utc>, Rejection> {
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.to_utc())
        .map_err(|_| Rejection::NoTime {
            bound,
            text: printable(text, SHOWN_BYTES),
        })
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
