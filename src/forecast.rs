//! Pure: what an agent's known days let one expect of the days to come.
//!
//! FORECASTER: the worked example goes here.

use crate::day::{Day, Usage};

/// How many days before today a pattern is made of: eight weeks.
pub const PATTERN_DAYS: i32 = 56;

/// How an agent, or several together, use credits by the days of the week.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern {
    // FORECASTER: means by weekday, residuals by day.
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

impl Pattern {
    /// The pattern of an agent's known days before `today`, ascending and each once; days before
    /// [`PATTERN_DAYS`] ago count for nothing. None if too few are known.
    #[must_use]
    pub fn of(_recent: &[Usage], _today: Day) -> Option<Self> {
        todo!()
    }

    /// Makes this the pattern of all that it was of and of `other` as well, both of the same day.
    pub fn add(&mut self, _other: &Self) {
        todo!()
    }

    /// Credits expected on `day`.
    #[must_use]
    pub fn expected_credits(&self, _day: Day) -> f64 {
        todo!()
    }

    /// What is expected of a span whose known days amount to `used_credits`, and whose other days are
    /// `unknown`.
    #[must_use]
    pub fn forecast(
        &self,
        _used_credits: f64,
        _unknown: impl IntoIterator<Item = Day>,
    ) -> Forecast {
        todo!()
    }
}
