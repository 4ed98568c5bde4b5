//! Pure: days → charts as SVG.
//!
//! A day that is not known looks unlike a day on which nothing was used, and so does a day that nobody asks
//! for. Colours come from the stylesheet, by classes, so that charts follow the reader's light or dark.
//! Every mark has a title, which says the day and the figure; each chart has a name and a description.

mod bars;
mod calendar;
mod meter;
mod spark;

pub(super) use bars::bars;
pub(super) use calendar::{Calendar, calendar};
pub(super) use meter::meter;
pub(super) use spark::sparkline;

use crate::day::{Day, TRACKING_START, Usage};
use crate::words;

/// State of one day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Point {
    /// Credits used on it.
    Used(f64),
    /// It is not known.
    Missing,
    /// Nobody asks for it: it lies before the history start.
    Unasked,
}

/// Days without a gap between them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Days {
    first: Day,
    points: Vec<Point>,
}

impl Days {
    /// The days `first` through `last`. `known` holds those of them that are known, ascending and each
    /// once; it may hold others.
    pub(super) fn of(first: Day, last: Day, history_start: Day, known: &[Usage]) -> Self {
        let asked_from = history_start.max(TRACKING_START);
        let mut known = known[known.partition_point(|usage| usage.day < first)..]
            .iter()
            .peekable();
        let point = |day| match known.next_if(|usage| usage.day == day) {
            Some(usage) => Point::Used(usage.credits),
            None if day < asked_from => Point::Unasked,
            None => Point::Missing,
        };
        Self {
            first,
            points: first.through(last).map(point).collect(),
        }
    }

    /// Each day, ascending.
    pub(super) fn iter(
        &self,
    ) -> impl DoubleEndedIterator<Item = (Day, Point)> + ExactSizeIterator + '_ {
        let day = |place: usize| self.first.plus(i32::try_from(place).unwrap_or(i32::MAX));
        let points = self.points.iter().enumerate();
        points.map(move |(place, point)| (day(place), *point))
    }

    /// The days that are not known, ascending.
    pub(super) fn missing(&self) -> impl DoubleEndedIterator<Item = Day> + '_ {
        self.iter()
            .filter(|(_, point)| *point == Point::Missing)
            .map(|(day, _)| day)
    }

    /// The most that was used on one of them.
    fn most(&self) -> f64 {
        self.used().fold(0.0, f64::max)
    }

    /// Use on each of the known days.
    fn used(&self) -> impl Iterator<Item = f64> + '_ {
        self.points.iter().filter_map(|point| match point {
            Point::Used(credits) => Some(*credits),
            Point::Missing | Point::Unasked => None,
        })
    }

    /// Description of the chart, a sentence without its end.
    fn summary(&self) -> String {
        let known = u32::try_from(self.used().count()).unwrap_or(u32::MAX);
        let missing = u32::try_from(self.missing().count()).unwrap_or(u32::MAX);
        let days = |number| words::count(number, "day", "days");
        let used = match known {
            0 => "no known day".to_owned(),
            _ => {
                let most = words::credits(self.most());
                let sum = words::credits(self.used().fold(0.0, |sum, used| sum + used));
                format!(
                    "{sum} on {} with figures, at most {most} a day",
                    days(known)
                )
            }
        };
        match missing {
            0 => used,
            _ => format!("{used}; {} missing", days(missing)),
        }
    }
}

/// A day as the title of a mark begins: `Wed 25 Nov 2026`.
fn long(day: Day) -> String {
    day.date().format("%a %-d %b %Y").to_string()
}

/// Description of a day.
fn told(day: Day, point: Point) -> String {
    let what = match point {
        Point::Used(credits) => words::credits(credits),
        Point::Missing => "missing".to_owned(),
        Point::Unasked => "before the history start".to_owned(),
    };
    format!("{}: {what}", long(day))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    /// Days from `first` on: a figure, `None` for one that is not known.
    pub(super) fn days(first: &str, credits: &[Option<f64>]) -> Days {
        let first = day(first);
        let known: Vec<Usage> = (0..)
            .zip(credits)
            .filter_map(|(place, credits)| {
                Some(Usage {
                    day: first.plus(place),
                    credits: (*credits)?,
                })
            })
            .collect();
        let last = first.plus(credits.len() as i32 - 1);
        Days::of(first, last, first, &known)
    }

    #[test]
    fn a_day_is_used_missing_or_not_asked_for() {
        let usage = |text, credits| Usage {
            day: day(text),
            credits,
        };
        // The first was asked for by hand, from before the history start; the last is of no concern.
        let known = [
            usage("2026-03-01", 7.0),
            usage("2026-03-04", 0.0),
            usage("2026-03-09", 1.0),
        ];
        let days = Days::of(
            day("2026-03-01"),
            day("2026-03-05"),
            day("2026-03-03"),
            &known,
        );
        assert_eq!(
            days.iter().map(|(_, point)| point).collect::<Vec<_>>(),
            [
                Point::Used(7.0),
                Point::Unasked,
                Point::Missing,
                Point::Used(0.0),
                Point::Missing,
            ]
        );
        let missing: Vec<String> = days.missing().map(|day| day.to_string()).collect();
        assert_eq!(missing, ["2026-03-03", "2026-03-05"]);
    }

    #[test]
    fn days_before_tracking_began_are_never_missing() {
        let days = Days::of(
            TRACKING_START.previous(),
            TRACKING_START,
            TRACKING_START.plus(-30),
            &[],
        );
        let points: Vec<Point> = days.iter().map(|(_, point)| point).collect();
        assert_eq!(points, [Point::Unasked, Point::Missing]);
    }

    #[test]
    fn the_summary_counts_what_is_not_known() {
        for (credits, expected) in [
            (
                &[Some(1.0), Some(0.5)][..],
                "1.5 credits on two days with figures, at most 1 credit a day",
            ),
            (
                &[Some(3.0), None],
                "3 credits on one day with figures, at most 3 credits a day; one day missing",
            ),
            (&[None, None], "no known day; two days missing"),
        ] {
            assert_eq!(days("2026-03-01", credits).summary(), expected);
        }
    }
}
