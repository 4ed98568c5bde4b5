//! Pure: what an agent's known days let one expect of the days to come.
//!
//! # What is expected of a day
//!
//! Levels persist, so recent weeks say more than old ones. Yet for agents that waver around a level a long
//! mean is better. So a [`Pattern`] keeps two means of each weekday, and their own record decides. They are
//! made of the known days among the last [`PATTERN_DAYS`] before today, which are the 16 weeks that end
//! yesterday:
//!
//! 1. In the quick mean each week counts half as much as the week after it. The slow mean is plain.
//! 2. Each of the last 8 weeks that is wholly known, and before which each weekday is known twice, is
//!    foretold by both means from the days before it. Q and S are the sums of the absolute errors of
//!    the week's total, over these n weeks.
//! 3. The quick mean's part is a = 1 / (1 + (Q/S)ⁿ), ½ if Q = S. What is expected of a day is
//!    a · quick + (1 − a) · slow, of its weekday.
//!
//! If a weekday is known less than twice, the same is expected of every day: the mean of the last 28
//! known days, of the last 7 if 28 are not known, of all if 7 are not known. Under 3 known days there is no
//! pattern. `benches/forecast.rs` compares this with other methods on simulated agents.
//!
//! # What the bounds are
//!
//! A day's share u is its weight in the mean of its weekday, and it differs from what is expected by its
//! residual r. The variance of a day is v = Σ u·r² / Σ (1 − h), where h is Σ u² of a weekday and the sum in
//! the denominator is over the seven weekdays. Where use is high or low for weeks, the days of a week do
//! not make up for each other, which v' = Σ u·w² / Σ (1 − h) tells, each w being the sum of the residuals of
//! a week. The larger of the two counts. The sum of m days is then expected to stray by
//!
//! s = 1.28 · √(max(v, v') · m · (1 + m / 7))
//!
//! where 1.28 is the normal distribution's factor for 80 %, m is for what the days do by themselves, and
//! m² / 7 is for the level that they lie around. That is not better known than from one week, since it
//! moves on while they pass. The bounds are s below and above what is expected, but never below what is
//! known to be used. They aim at holding four times out of five. On real agents they hold 82 to 88 % of the
//! time, and only 63 to 78 % while less than three weeks are known.
//!
//! For several agents, the residuals of each day are added up before they are squared, so that agents
//! who stray together widen the bounds and agents who stray by themselves make up for each other.
//!
//! # An example
//!
//! An agent used 8, 11, 17 and 15 credits on each working day of four weeks, and none at weekends.
//!
//! The third week is foretold by the quick mean (11 + 4) / 1.5 = 10 and the slow one 9.5; it was 17. The
//! fourth is foretold by (17 + 5.5 + 2) / 1.75 = 14 and by 12; it was 15. So Q = 5 · (7 + 1) = 40, S = 5 · (7.5 + 3)
//! = 52.5, and a = 1 / (1 + (40 / 52.5)²) = 0.6327. Now the quick mean is 27.25 / 1.875 = 14.53 and the slow one 12.75:
//! 13.88 are expected of a working day, 69.39 of the next week.
//!
//! The shares are 0.429, 0.261, 0.176 and 0.134, newest first, and h is 0.301. So v' = 46.86, and for the 7 days
//! to come s = 1.28 · √(46.86 · 7 · 2) = 32.78.
//!
//! ```
//! use flowgent_exporter::day::{Day, Usage};
//! use flowgent_exporter::forecast::Pattern;
//!
//! let monday: Day = "2026-11-02".parse().unwrap();
//! let week = |credits: f64| [credits, credits, credits, credits, credits, 0.0, 0.0];
//! let recent: Vec<Usage> = monday
//!     .through(monday.plus(27))
//!     .zip([8.0, 11.0, 17.0, 15.0].map(week).concat())
//!     .map(|(day, credits)| Usage { day, credits })
//!     .collect();
//!
//! let today = monday.plus(28);
//! let pattern = Pattern::of(&recent, today).unwrap();
//! let forecast = pattern.forecast(0.0, today.through(today.plus(6)));
//! assert!((forecast.expected_credits - 69.39).abs() < 0.005);
//! assert!((forecast.high_credits - forecast.expected_credits - 32.78).abs() < 0.005);
//! ```

use std::collections::BTreeMap;

use crate::day::{Day, Usage};

/// Number of days before today that make a pattern: 16 weeks.
pub const PATTERN_DAYS: i32 = 112;

/// The same in weeks.
const WEEKS: usize = PATTERN_DAYS.unsigned_abs() as usize / 7;
/// Number of the last weeks that both means are tried on.
const TRIED_WEEKS: usize = 8;
/// With fewer known days than this there is no pattern.
const LEAST_DAYS: usize = 3;
/// Number of times that each weekday must be known for the mean of each to count.
const LEAST_PER_WEEKDAY: f64 = 2.0;
/// Weight of a week in the quick mean, as a part of the week after it.
const QUICK_DECAY: f64 = 0.5;
/// Number of deviations from the mean that hold 80 % of a normal distribution on either side of it.
const BOUND_DEVIATIONS: f64 = 1.28;

/// Pattern of an agent's use by the days of the week.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern {
    /// Expected credits of Monday through Sunday.
    week: [f64; 7],
    residuals: Residuals,
}

/// Expected credits of a span of days, with the bounds between which they probably lie.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Forecast {
    /// Expected use.
    pub expected_credits: f64,
    /// The low bound, at least what is known to be used.
    pub low_credits: f64,
    /// The high bound.
    pub high_credits: f64,
}

/// Expected use of several agents together, each with unknown days of its own.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outlook {
    expected_credits: f64,
    /// Use expected of all of them on Monday through Sunday.
    week: [f64; 7],
    /// Their residuals, added up by the number of unknown days.
    residuals: BTreeMap<u32, Residuals>,
}

/// A figure of each day of the last 16 weeks, oldest week first, in each from Monday to Sunday.
type Weeks<T> = [[T; 7]; WEEKS];

/// By how much each day differs from what the pattern expects of it, scaled so that the sum of their
/// squares is the variance; zero where a day is unknown or does not count.
#[derive(Debug, Clone, Default, PartialEq)]
struct Residuals(Weeks<f64>);

/// Weights of days, and the sum of their credits by weight.
#[derive(Debug, Clone, Copy, Default)]
struct Mean {
    credits: f64,
    weight: f64,
}

/// The two means of each weekday, and by how much they have missed the weeks that they foretold.
#[derive(Debug, Default)]
struct Speeds {
    quick: [Mean; 7],
    slow: [Mean; 7],
    quick_error: f64,
    slow_error: f64,
    tried_weeks: i32,
}

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
        let mut known = Weeks::<Option<f64>>::default();
        for usage in recent {
            *at(&mut known, first, usage.day) = Some(usage.credits);
        }
        let speeds = Speeds::of(&known);
        Some(if speeds.are_known() {
            let quick_part = speeds.quick_part();
            let newest = WEEKS - 1;
            // What a day of the newest week counts, halved with every week before it.
            let mut quick_shares = speeds.quick.map(|mean| quick_part / mean.weight);
            let slow_shares = speeds.slow.map(|mean| (1.0 - quick_part) / mean.weight);
            let mut shares = Weeks::default();
            for week in (0..=newest).rev() {
                for weekday in 0..7 {
                    if known[week][weekday].is_some() {
                        shares[week][weekday] = quick_shares[weekday] + slow_shares[weekday];
                    }
                    quick_shares[weekday] *= QUICK_DECAY;
                }
            }
            let expected = std::array::from_fn(|weekday| {
                quick_part * speeds.quick[weekday].value()
                    + (1.0 - quick_part) * speeds.slow[weekday].value()
            });
            Self::with(expected, 7.0, &known, &shares)
        } else {
            let days = match recent.len() {
                28.. => 28,
                7.. => 7,
                days => days,
            };
            let last = &recent[recent.len() - days..];
            let mean = last.iter().map(|usage| usage.credits).sum::<f64>() / days as f64;
            let mut shares = Weeks::default();
            for usage in last {
                *at(&mut shares, first, usage.day) = 1.0 / days as f64;
            }
            Self::with([mean; 7], 1.0, &known, &shares)
        })
    }

    /// The pattern that expects `week`, made of this number of `means` of the `known` days by their `shares`.
    fn with(week: [f64; 7], means: f64, known: &Weeks<Option<f64>>, shares: &Weeks<f64>) -> Self {
        let squares = shares.as_flattened().iter().map(|share| share * share);
        let freedom = means - squares.sum::<f64>();
        let mut residuals = Residuals::default();
        for ((residuals, known), shares) in residuals.0.iter_mut().zip(known).zip(shares) {
            for (weekday, residual) in residuals.iter_mut().enumerate() {
                if let Some(credits) = known[weekday] {
                    *residual = (credits - week[weekday]) * (shares[weekday] / freedom).sqrt();
                }
            }
        }
        Self { week, residuals }
    }

    /// Credits expected on `day`.
    #[must_use]
    pub const fn expected_credits(&self, day: Day) -> f64 {
        self.week[day.weekday()]
    }

    /// Use expected of a span whose known days amount to `used_credits`, and whose other days are
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

    /// Returns true if any agent was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.residuals.is_empty()
    }

    /// Credits that all of them are expected to use on `day`.
    #[must_use]
    pub const fn expected_credits(&self, day: Day) -> f64 {
        self.week[day.weekday()]
    }

    /// Use expected of a span whose known days amount to `used_credits`.
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
        let sums = self.0.as_flattened_mut();
        for (sum, residual) in sums.iter_mut().zip(others.0.as_flattened()) {
            *sum += residual * factor;
        }
    }

    /// The variance of a day: as the days have it each by itself, or as the weeks have it, whichever is
    /// larger.
    fn variance(&self) -> f64 {
        let squares = |sums: &mut dyn Iterator<Item = f64>| sums.map(|sum| sum * sum).sum::<f64>();
        let days = squares(&mut self.0.as_flattened().iter().copied());
        let weeks = squares(&mut self.0.iter().map(|week| week.iter().sum()));
        days.max(weeks)
    }
}

impl Mean {
    fn value(self) -> f64 {
        self.credits / self.weight
    }
}

impl Speeds {
    /// Both means of the known days, week after week.
    fn of(known: &Weeks<Option<f64>>) -> Self {
        let mut speeds = Self::default();
        for (number, week) in known.iter().enumerate() {
            if number >= WEEKS - TRIED_WEEKS
                && let Some(total) = week.iter().copied().sum::<Option<f64>>()
            {
                speeds.try_on(total);
            }
            for (weekday, credits) in week.iter().enumerate() {
                let (quick, slow) = (&mut speeds.quick[weekday], &mut speeds.slow[weekday]);
                quick.credits *= QUICK_DECAY;
                quick.weight *= QUICK_DECAY;
                if let Some(credits) = credits {
                    for mean in [quick, slow] {
                        mean.credits += credits;
                        mean.weight += 1.0;
                    }
                }
            }
        }
        speeds
    }

    /// Returns true if each weekday is known often enough.
    fn are_known(&self) -> bool {
        self.slow
            .iter()
            .all(|mean| mean.weight >= LEAST_PER_WEEKDAY)
    }

    /// Counts by how much both means miss the `total` of the week to come, if they can foretell it.
    fn try_on(&mut self, total: f64) {
        if self.are_known() {
            let error =
                |means: [Mean; 7]| (means.map(Mean::value).iter().sum::<f64>() - total).abs();
            self.quick_error += error(self.quick);
            self.slow_error += error(self.slow);
            self.tried_weeks += 1;
        }
    }

    /// Share of the quick mean in the expected use, from 0 to 1.
    fn quick_part(&self) -> f64 {
        if self.quick_error == self.slow_error {
            return 0.5;
        }
        1.0 / (1.0 + (self.quick_error / self.slow_error).powi(self.tried_weeks))
    }
}

/// Value in the place of `day`, which is one of those from `first` on.
fn at<T>(weeks: &mut Weeks<T>, first: Day, day: Day) -> &mut T {
    let number = day.since(first).unsigned_abs() as usize;
    &mut weeks[number / 7][day.weekday()]
}

#[cfg(test)]
mod tests;
