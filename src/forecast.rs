//! Pure: what an agent's known days let one expect of the days to come.
//!
//! # What is expected of a day
//!
//! A [`Pattern`] is made of the known days among the last [`PATTERN_DAYS`] before today. If each
//! weekday is among them at least twice, what is expected of a day is the mean of its weekday. Otherwise
//! it is the same for every day: the mean of the last 28 known days, of the last 7 if 28 are not known, of
//! all if 7 are not known. Under 3 known days there is no pattern. `benches/forecast.rs` compares this
//! with plainer methods on simulated agents. Two values of a weekday are enough: their mean is as good
//! as a plain one where agents rest at no weekend, better where they do. With one value each it would
//! be as good, but nothing would tell how far use strays from it.
//!
//! # What the bounds are
//!
//! The days that the expectation is made of differ from it by their residuals r. With n of these days
//! and p means made of them, 7 or 1, the variance of a day is v = Σ r² / (n − p). Where use is high or low
//! for weeks, the days of a week do not make up for each other, which v' = Σ w² / (n − p) tells, each w
//! being the sum of the residuals of one of the eight weeks that end yesterday. The larger of the two
//! counts. The sum of m days is then expected to stray by
//!
//! s = 1.28 · √(max(v, v') · m · (1 + m / 7))
//!
//! where 1.28 is the normal distribution's factor for 80 %, m is for what the days do by themselves, and
//! m² / 7 is for the level that they lie around. That is not better known than from one week, since it
//! moves on while they pass. The bounds are s below and above what is expected, but never below what is
//! known to be used. They aim at holding four times out of five. On simulated agents they hold 84 to 88 %
//! of the time, and 74 to 83 % while only one to three weeks are known.
//!
//! For several agents, the residuals of each day are added up before they are squared, so that agents
//! who stray together widen the bounds and agents who stray by themselves make up for each other.
//!
//! # An example
//!
//! An agent used 10 credits on each working day of a week and none at the weekend, then 14 on each
//! working day and 4 on each day of the weekend: 50 and 78 credits. What is expected is 12 on a working
//! day and 2 on a Saturday or Sunday, in the next week 5 · 12 + 2 · 2 = 64, in all three 128 + 64 = 192.
//!
//! The residuals are −2 on each day of the first week and +2 on each of the second. So v = 14 · 2² / 7 = 8,
//! v' = (14² + 14²) / 7 = 56, and for the 7 days to come s = 1.28 · √(56 · 7 · 2) = 1.28 · 28 = 35.84. With the
//! 128 credits of before, use ends between 156.16 and 227.84.
//!
//! ```
//! use flowgent_exporter::day::{Day, Usage};
//! use flowgent_exporter::forecast::Pattern;
//!
//! let monday: Day = "2026-11-02".parse().unwrap();
//! let credits = [10, 10, 10, 10, 10, 0, 0, 14, 14, 14, 14, 14, 4, 4].map(f64::from);
//! let recent: Vec<Usage> = monday
//!     .through(monday.plus(13))
//!     .zip(credits)
//!     .map(|(day, credits)| Usage { day, credits })
//!     .collect();
//!
//! let today = monday.plus(14);
//! let pattern = Pattern::of(&recent, today).unwrap();
//! assert_eq!(pattern.expected_credits(today), 12.0);
//! let forecast = pattern.forecast(128.0, today.through(today.plus(6)));
//! assert_eq!(forecast.expected_credits, 192.0);
//! assert!((forecast.low_credits - 156.16).abs() < 1e-9);
//! assert!((forecast.high_credits - 227.84).abs() < 1e-9);
//! ```

use std::collections::BTreeMap;

use crate::day::{Day, Usage};

/// How many days before today a pattern is made of: eight weeks.
pub const PATTERN_DAYS: i32 = 56;

/// The same as a length.
const DAYS: usize = PATTERN_DAYS.unsigned_abs() as usize;
/// With fewer known days than this there is no pattern.
const LEAST_DAYS: usize = 3;
/// How often each weekday must be known for the mean of each to count.
const LEAST_PER_WEEKDAY: u32 = 2;
/// How many deviations from the mean hold 80 % of a normal distribution on either side of it.
const BOUND_DEVIATIONS: f64 = 1.28;

/// How an agent uses credits by the days of the week.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern {
    /// Expected credits of Monday through Sunday.
    week: [f64; 7],
    residuals: Residuals,
}

/// Expected credits of a span of days, with the bounds between which they probably lie.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Forecast {
    /// What is expected.
    pub expected_credits: f64,
    /// The low bound, at least what is known to be used.
    pub low_credits: f64,
    /// The high bound.
    pub high_credits: f64,
}

/// What is expected of several agents together, each with unknown days of its own.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outlook {
    expected_credits: f64,
    /// What is expected of all of them on Monday through Sunday.
    week: [f64; 7],
    /// Their residuals, added up by the number of unknown days.
    residuals: BTreeMap<u32, Residuals>,
}

/// By how much the days that a pattern is made of differ from it, oldest first. They are scaled so that
/// the mean of their squares is the variance, however few of the days are known: days that are not
/// are zero.
#[derive(Debug, Clone, PartialEq)]
struct Residuals([f64; DAYS]);

impl Pattern {
    /// The pattern of an agent's known days before `today`, ascending and each once; days before
    /// [`PATTERN_DAYS`] ago count for nothing. None if too few are known.
    #[must_use]
    pub fn of(recent: &[Usage], today: Day) -> Option<Self> {
        let first = today.plus(-PATTERN_DAYS);
        let recent = &recent[..recent.partition_point(|usage| usage.day < today)];
        let recent = &recent[recent.partition_point(|usage| usage.day < first)..];
        if recent.len() < LEAST_DAYS {
            return None;
        }
        let (week, basis, means) = match weekday_means(recent) {
            Some(week) => (week, recent, 7.0),
            None => {
                let days = match recent.len() {
                    28.. => 28,
                    7.. => 7,
                    days => days,
                };
                let last = &recent[recent.len() - days..];
                let credits: f64 = last.iter().map(|usage| usage.credits).sum();
                ([credits / days as f64; 7], last, 1.0)
            }
        };
        let scale = (DAYS as f64 / (basis.len() as f64 - means)).sqrt();
        let mut residuals = Residuals::default();
        for usage in basis {
            let place = usage.day.since(first).unsigned_abs() as usize;
            residuals.0[place] = (usage.credits - week[usage.day.weekday()]) * scale;
        }
        Some(Self { week, residuals })
    }

    /// Credits expected on `day`.
    #[must_use]
    pub const fn expected_credits(&self, day: Day) -> f64 {
        self.week[day.weekday()]
    }

    /// What is expected of a span whose known days amount to `used_credits`, and whose other days are
    /// `unknown`.
    #[must_use]
    pub fn forecast(&self, used_credits: f64, unknown: impl IntoIterator<Item = Day>) -> Forecast {
        let mut outlook = Outlook::default();
        outlook.add(self, unknown);
        outlook.forecast(used_credits)
    }
}

impl Outlook {
    /// Adds an agent, of whose days these are `unknown`. All patterns must be of the same day.
    pub fn add(&mut self, pattern: &Pattern, unknown: impl IntoIterator<Item = Day>) {
        let mut days = 0;
        for day in unknown {
            self.expected_credits += pattern.expected_credits(day);
            days += 1;
        }
        for (sum, credits) in self.week.iter_mut().zip(pattern.week) {
            *sum += credits;
        }
        let sum = self.residuals.entry(days).or_default();
        sum.add(&pattern.residuals, 1.0);
    }

    /// Whether any agent was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.residuals.is_empty()
    }

    /// Credits that all of them are expected to use on `day`.
    #[must_use]
    pub const fn expected_credits(&self, day: Day) -> f64 {
        self.week[day.weekday()]
    }

    /// What is expected of a span whose known days amount to `used_credits`.
    #[must_use]
    pub fn forecast(&self, used_credits: f64) -> Forecast {
        self.forecast_with(used_credits, [])
    }

    /// The same of a span that also holds the days `ahead`, which are unknown of every agent.
    #[must_use]
    pub fn forecast_with(
        &self,
        used_credits: f64,
        ahead: impl IntoIterator<Item = Day>,
    ) -> Forecast {
        let (mut expected_credits, mut days) = (self.expected_credits, 0);
        for day in ahead {
            expected_credits += self.expected_credits(day);
            days += 1;
        }
        // The agents' deviations are to add up and not their variances, so that those who stray
        // together do so in the sum.
        let mut strayed = Residuals::default();
        for (unknown, residuals) in &self.residuals {
            let days = f64::from(unknown + days);
            strayed.add(residuals, f64::sqrt(days * (1.0 + days / 7.0)));
        }
        let stray = BOUND_DEVIATIONS * strayed.variance().sqrt();
        Forecast {
            expected_credits: used_credits + expected_credits,
            low_credits: used_credits + (expected_credits - stray).max(0.0),
            high_credits: used_credits + expected_credits + stray,
        }
    }
}

impl Residuals {
    /// Adds others, each times `factor`.
    fn add(&mut self, others: &Self, factor: f64) {
        for (sum, residual) in self.0.iter_mut().zip(&others.0) {
            *sum += residual * factor;
        }
    }

    /// The variance of a day: as the days have it each by itself, or as the weeks have it, whichever is
    /// larger.
    fn variance(&self) -> f64 {
        let squares = |sums: &mut dyn Iterator<Item = f64>| sums.map(|sum| sum * sum).sum::<f64>();
        let days = squares(&mut self.0.iter().copied());
        let weeks = squares(&mut self.0.chunks(7).map(|week| week.iter().sum()));
        days.max(weeks) / DAYS as f64
    }
}

impl Default for Residuals {
    fn default() -> Self {
        Self([0.0; DAYS])
    }
}

/// The mean of each weekday, if each is known often enough.
fn weekday_means(recent: &[Usage]) -> Option<[f64; 7]> {
    let mut sums = [0.0; 7];
    let mut counts = [0_u32; 7];
    for usage in recent {
        sums[usage.day.weekday()] += usage.credits;
        counts[usage.day.weekday()] += 1;
    }
    for (sum, count) in sums.iter_mut().zip(counts) {
        if count < LEAST_PER_WEEKDAY {
            return None;
        }
        *sum /= f64::from(count);
    }
    Some(sums)
}

#[cfg(test)]
mod tests;
