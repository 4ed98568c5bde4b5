//! The nouns of the domain that everything else is said in: a UTC [`Day`] and the [`Usage`] on it.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, TimeDelta, Utc};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

/// The first day that FlowGent tracked usage on: 2025-05-28. Usage on earlier days is zero by contract.
pub const TRACKING_START: Day = Day(20_236);

/// A UTC calendar day, counted in days since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i32);

/// The credits that one agent used on one day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    /// The UTC day.
    pub day: Day,
    /// Credits used on it: finite, not negative, possibly fractional.
    pub credits: f64,
}

impl Usage {
    /// The use on `day` among those of `days`, ascending.
    #[must_use]
    pub fn on(days: &[Self], day: Day) -> Option<&Self> {
        // Its place, if no day is missing after it.
        let age = usize::try_from(days.last()?.day.since(day)).ok()?;
        let place = (days.len() - 1).checked_sub(age);
        let found = place.and_then(|place| days.get(place));
        found.filter(|usage| usage.day == day).or_else(|| {
            let place = days.binary_search_by_key(&day, |usage| usage.day).ok()?;
            days.get(place)
        })
    }
}

impl Day {
    /// The day that `instant` lies in.
    #[must_use]
    pub fn of(instant: DateTime<Utc>) -> Self {
        Self::from(instant.date_naive())
    }

    /// The day of that number, counted from 1970-01-01 as day 0.
    #[must_use]
    pub const fn from_number(number: i32) -> Self {
        Self(number)
    }

    /// Days since 1970-01-01.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }

    /// The calendar date. Days outside chrono's calendar are clamped to its ends.
    #[must_use]
    pub fn date(self) -> NaiveDate {
        let epoch = NaiveDate::default();
        let date = if self.0 >= 0 {
            epoch.checked_add_days(Days::new(self.0.unsigned_abs().into()))
        } else {
            epoch.checked_sub_days(Days::new(self.0.unsigned_abs().into()))
        };
        date.unwrap_or(if self.0 >= 0 {
            NaiveDate::MAX
        } else {
            NaiveDate::MIN
        })
    }

    /// The instant at which the day begins, 00:00:00 UTC.
    #[must_use]
    pub fn start(self) -> DateTime<Utc> {
        self.date().and_time(NaiveTime::MIN).and_utc()
    }

    /// The instant at which the day is over: 00:00:00 UTC of the next one.
    #[must_use]
    pub fn end(self) -> DateTime<Utc> {
        self.start() + TimeDelta::days(1)
    }

    /// The day after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        self.plus(1)
    }

    /// The day before this one.
    #[must_use]
    pub const fn previous(self) -> Self {
        self.plus(-1)
    }

    /// The day that lies `days` later, or earlier if negative.
    #[must_use]
    pub const fn plus(self, days: i32) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// Number of days from `earlier` to this day; negative if it is before.
    #[must_use]
    pub const fn since(self, earlier: Self) -> i32 {
        self.0.saturating_sub(earlier.0)
    }

    /// Every day from this one through `last`, both included; empty if `last` lies before.
    pub fn through(self, last: Self) -> impl DoubleEndedIterator<Item = Self> + Clone + use<> {
        (self.0..=last.0).map(Self)
    }

    /// Number of days after Monday, 0 through 6.
    #[must_use]
    pub const fn weekday(self) -> usize {
        // Day 0 was a Thursday. Widened, so that the last days of all do not overflow.
        (self.0 as i64 + 3).rem_euclid(7) as usize
    }

    /// The first day of this day's month.
    #[must_use]
    pub fn month_start(self) -> Self {
        self.plus(1 - i32::try_from(self.date().day()).unwrap_or(1))
    }
}

impl From<NaiveDate> for Day {
    fn from(date: NaiveDate) -> Self {
        let days = date.signed_duration_since(NaiveDate::default()).num_days();
        Self(i32::try_from(days).unwrap_or(if days >= 0 { i32::MAX } else { i32::MIN }))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.date().format("%Y-%m-%d"))
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Day {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Day".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"})
    }
}

/// A text that is not a day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DayError {
    /// The text is not of the form YYYY-MM-DD.
    #[error("`{0}` is not in YYYY-MM-DD format")]
    Format(String),
    /// The form is right, but the calendar has no such day.
    #[error("`{0}` is not a day of the calendar")]
    Calendar(String),
}

impl FromStr for Day {
    type Err = DayError;

    fn from_str(text: &str) -> Result<Self, DayError> {
        // Errors echo at most this much of a text that may come from a hostile server.
        let shown = || {
            text.chars()
                .take(32)
                .collect::<String>()
                .escape_default()
                .to_string()
        };
        let bytes = text.as_bytes();
        let shape = bytes.len() == 10
            && bytes.iter().enumerate().all(|(i, byte)| match i {
                4 | 7 => *byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        if !shape {
            return Err(DayError::Format(shown()));
        }
        // The shape check leaves ASCII digits only, so each part is a small number.
        let part = |range: std::ops::Range<usize>| {
            bytes[range]
                .iter()
                .fold(0, |number, digit| number * 10 + u32::from(digit - b'0'))
        };
        let year = i32::try_from(part(0..4)).unwrap_or(0);
        NaiveDate::from_ymd_opt(year, part(5..7), part(8..10))
            .map(Self::from)
            .ok_or_else(|| DayError::Calendar(shown()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    #[test]
    fn the_use_on_a_day_is_found_also_where_days_are_missing() {
        let first = day("2026-02-20");
        // All days, every third day missing, one day alone, none.
        let rows: [fn(&i32) -> bool; 4] =
            [|_| true, |age| age % 3 != 1, |age| *age == 5, |_| false];
        for is_known in rows {
            let known: Vec<Usage> = (0..12)
                .filter(is_known)
                .map(|age| Usage {
                    day: first.plus(age),
                    credits: f64::from(age),
                })
                .collect();
            for age in -3..15 {
                let credits = Usage::on(&known, first.plus(age)).map(|usage| usage.credits);
                let expected = (0..12).contains(&age) && is_known(&age);
                assert_eq!(credits, expected.then_some(f64::from(age)), "{age}");
            }
        }
    }

    #[test]
    fn tracking_starts_on_28_may_2025() {
        assert_eq!(TRACKING_START.to_string(), "2025-05-28");
    }

    #[test]
    fn a_day_reads_back_what_it_prints() {
        for number in [-719_162, -1, 0, 1, 19_782, 20_236, 2_932_896] {
            let day = Day::from_number(number);
            assert_eq!(day.to_string().parse(), Ok(day));
        }
    }

    #[test]
    fn text_that_is_no_day_is_refused_with_the_reason() {
        for text in [
            "",
            "2025-5-28",
            "2025/05/28",
            "20250528",
            "2025-05-28T00",
            "２０25-05-28",
        ] {
            assert!(
                matches!(text.parse::<Day>(), Err(DayError::Format(_))),
                "{text}"
            );
        }
        for text in ["2025-02-29", "2025-13-01", "2025-00-10", "2025-04-31"] {
            assert!(
                matches!(text.parse::<Day>(), Err(DayError::Calendar(_))),
                "{text}"
            );
        }
    }

    #[test]
    fn a_day_ends_where_the_next_begins() {
        let day = day("2024-02-28");
        assert_eq!(day.end(), day.next().start());
        assert_eq!(day.next().to_string(), "2024-02-29");
        assert_eq!(Day::of(day.end() - TimeDelta::nanoseconds(1)), day);
    }

    #[test]
    fn a_month_starts_on_its_first() {
        assert_eq!(day("2026-11-23").month_start(), day("2026-11-01"));
        assert_eq!(day("2026-11-01").month_start(), day("2026-11-01"));
    }

    #[test]
    fn weekdays_are_those_of_the_calendar() {
        for number in [-719_162, -4, -3, 0, 3, 4, 20_236, 2_932_896] {
            let day = Day::from_number(number);
            let calendar = day.date().weekday().num_days_from_monday() as usize;
            assert_eq!(day.weekday(), calendar, "{day}");
        }
    }

    #[test]
    fn days_through_an_earlier_one_are_none() {
        let day = day("2026-11-23");
        assert_eq!(day.through(day.previous()).count(), 0);
        assert_eq!(day.through(day.plus(2)).count(), 3);
    }
}
