//! Pure: known days → credits by day, week or month.
//!
//! A bucket of which any day is not known has no credits: absent beats wrong. What is known of it is a
//! lower bound, and how many days are missing is told beside it.

use chrono::Datelike;
use schemars::JsonSchema;
use serde::Serialize;

use crate::csv;
use crate::day::{Day, TRACKING_START, Usage};
use crate::named::named;
use crate::window::Range;

named! {
    /// Length of a bucket.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, JsonSchema)]
    #[schemars(inline, rename_all = "snake_case")]
    pub enum Step {
        /// One UTC day.
        Day = "day",
        /// Monday through Sunday.
        Week = "week",
        /// A month of the calendar.
        Month = "month",
    }
}

/// Credits of some days, of one agent or of several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, JsonSchema)]
#[serde(into = "Served")]
pub struct Amount {
    /// Credits of the days that are known: all of them, or a lower bound.
    pub known_credits: f64,
    /// Days that are known.
    pub known_days: u32,
    /// Days that are not known; of several agents, those of each of them.
    pub missing_days: u32,
}

/// An amount as it is served.
#[derive(Serialize, JsonSchema)]
struct Served {
    /// Credits used. Null if a day of it is missing.
    #[schemars(range(min = 0))]
    credits: Option<f64>,
    /// Credits used on the known days: all of them, or a lower bound.
    #[schemars(range(min = 0))]
    known_credits: f64,
    /// Days that are not known.
    missing_days: u32,
}

impl From<Amount> for Served {
    fn from(amount: Amount) -> Self {
        Self {
            credits: amount.credits(),
            known_credits: amount.known_credits,
            missing_days: amount.missing_days,
        }
    }
}

impl Step {
    /// The buckets that `range` is made of, oldest first. The first and the last are cut where it starts
    /// and ends.
    pub fn buckets(self, range: Range) -> impl Iterator<Item = Range> + Clone {
        let mut next = Some(range.start());
        std::iter::from_fn(move || {
            let first = next?;
            let last = self.last_day(first).min(range.end());
            next = (last < range.end()).then(|| last.next());
            Some(range.part(first, last))
        })
    }

    /// Number of buckets that `range` is made of, without making them.
    #[must_use]
    pub fn count(self, range: Range) -> u64 {
        let (start, end) = (range.start(), range.end());
        match self {
            Self::Day => range.days().into(),
            Self::Week => {
                let weeks = self.last_day(end).since(self.last_day(start)) / 7;
                u64::from(weeks.unsigned_abs()) + 1
            }
            Self::Month => {
                let number = |day: Day| {
                    let date = day.date();
                    i64::from(date.year()) * 12 + i64::from(date.month0())
                };
                (number(end) - number(start)).unsigned_abs() + 1
            }
        }
    }

    /// The first day of the bucket that `day` lies in.
    #[must_use]
    pub fn first_day(self, day: Day) -> Day {
        match self {
            Self::Day => day,
            // A weekday is always below 7.
            Self::Week => day.plus(-(day.weekday() as i32)),
            Self::Month => day.month_start(),
        }
    }

    /// The last day of the bucket that `day` lies in.
    fn last_day(self, day: Day) -> Day {
        match self {
            Self::Day => day,
            // A weekday is always below 7.
            Self::Week => day.plus(6 - day.weekday() as i32),
            Self::Month => day.month_start().plus(31).month_start().previous(),
        }
    }
}

impl Amount {
    /// Headings of its [columns](Self::columns).
    pub const COLUMNS: [&str; 5] = ["start", "end", "credits", "known_credits", "missing_days"];

    /// It and the days that it is of, as values of CSV. Credits that are not wholly known are empty.
    #[must_use]
    pub fn columns(&self, bucket: Range) -> [String; 5] {
        [
            bucket.start().to_string(),
            bucket.end().to_string(),
            csv::number(self.credits()),
            csv::number(Some(self.known_credits)),
            self.missing_days.to_string(),
        ]
    }

    /// The credits, if every day is known.
    #[must_use]
    pub fn credits(&self) -> Option<f64> {
        (self.missing_days == 0).then_some(self.known_credits)
    }

    /// Adds another amount, of other days or of another agent.
    pub fn add(&mut self, other: &Self) {
        self.known_credits += other.known_credits;
        self.known_days = self.known_days.saturating_add(other.known_days);
        self.missing_days = self.missing_days.saturating_add(other.missing_days);
    }
}

/// Use of one agent in each of `buckets`, which are contiguous and ascend. `known` holds its known
/// days at least from the first bucket through the last, ascending and each once. Days before tracking
/// started are known to be zero.
pub fn tabulate<'a>(
    buckets: impl IntoIterator<Item = Range> + 'a,
    known: &'a [Usage],
) -> impl Iterator<Item = Amount> + 'a {
    let mut rest = known;
    buckets.into_iter().map(move |bucket| {
        let (first, end) = (bucket.start(), bucket.end().next());
        rest = &rest[rest.partition_point(|usage| usage.day < first)..];
        let (inside, after) = rest.split_at(rest.partition_point(|usage| usage.day < end));
        rest = after;
        amount(bucket, inside)
    })
}

/// Sum of the days of `bucket`, of which `inside` are in the ledger.
fn amount(bucket: Range, inside: &[Usage]) -> Amount {
    let untracked = TRACKING_START.since(bucket.start()).max(0).unsigned_abs();
    let untracked = untracked.min(bucket.days());
    let tracked = &inside[inside.partition_point(|usage| usage.day < TRACKING_START)..];
    // A bucket has fewer days than would overflow.
    let known_days = untracked + u32::try_from(tracked.len()).unwrap_or(u32::MAX);
    Amount {
        // Not by sum, which makes nothing minus zero.
        known_credits: inside.iter().fold(0.0, |sum, usage| sum + usage.credits),
        known_days,
        missing_days: bucket.days().saturating_sub(known_days),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    fn range(start: &str, end: &str) -> Range {
        Range::new(day(start), day(end), day("2027-01-01")).unwrap()
    }

    fn usage(text: &str, credits: f64) -> Usage {
        let day = day(text);
        Usage { day, credits }
    }

    #[test]
    fn weeks_start_on_monday_and_the_ends_are_cut_at_the_range() {
        let cut = |step: Step, start, end| -> Vec<String> {
            let buckets = step.buckets(range(start, end));
            buckets.map(|bucket| bucket.to_string()).collect()
        };
        assert_eq!(
            cut(Step::Week, "2026-03-04", "2026-03-16"),
            [
                "2026-03-04 through 2026-03-08",
                "2026-03-09 through 2026-03-15",
                "2026-03-16",
            ]
        );
        assert_eq!(
            cut(Step::Month, "2025-12-31", "2026-02-28"),
            [
                "2025-12-31",
                "2026-01-01 through 2026-01-31",
                "2026-02-01 through 2026-02-28",
            ]
        );
        assert_eq!(
            cut(Step::Day, "2026-02-28", "2026-03-01"),
            ["2026-02-28", "2026-03-01"]
        );
        assert_eq!(
            cut(Step::Week, "2026-03-09", "2026-03-15"),
            ["2026-03-09 through 2026-03-15"]
        );
    }

    #[test]
    fn a_missing_day_leaves_its_bucket_without_credits_and_counts() {
        let known = [
            usage("2026-03-03", 100.0),
            usage("2026-03-04", 1.5),
            usage("2026-03-06", 2.0),
            usage("2026-03-09", 4.0),
            usage("2026-03-11", 100.0),
        ];
        let buckets = Step::Week.buckets(range("2026-03-04", "2026-03-10"));
        let amounts: Vec<Amount> = tabulate(buckets, &known).collect();
        let expected = |known_credits, known_days, missing_days| Amount {
            known_credits,
            known_days,
            missing_days,
        };
        assert_eq!(amounts, [expected(3.5, 2, 3), expected(4.0, 1, 1)]);
        assert_eq!(amounts[0].credits(), None);
        let days = Step::Day.buckets(range("2026-03-04", "2026-03-05"));
        let days: Vec<_> = tabulate(days, &known).map(|day| day.credits()).collect();
        assert_eq!(days, [Some(1.5), None]);
    }

    #[test]
    fn days_before_tracking_started_are_zero_and_known() {
        let known = [usage("2025-05-28", 3.0)];
        let buckets = [
            range("2025-05-01", "2025-05-27"),
            range("2025-05-28", "2025-05-29"),
        ];
        let amounts: Vec<Amount> = tabulate(buckets, &known).collect();
        assert_eq!(amounts[0].credits(), Some(0.0));
        assert_eq!(amounts[0].known_days, 27);
        assert_eq!((amounts[1].known_days, amounts[1].missing_days), (1, 1));
        // What the ledger may hold of them counts once.
        let before = [usage("2025-05-20", 0.0)];
        let all = tabulate([buckets[0]], &before).next().unwrap();
        assert_eq!((all.known_days, all.missing_days), (27, 0));
    }

    proptest! {
        #[test]
        fn buckets_touch_each_other_and_hold_what_the_days_do(
            start in 20_000..21_000_i32,
            days in 1..400_i32,
            known in prop::collection::btree_map(19_990..21_410_i32, 0..100_u32, 0..300),
            step in prop::sample::select(<Step as crate::named::Named>::ALL),
        ) {
            let (start, end) = (Day::from_number(start), Day::from_number(start + days - 1));
            let range = Range::new(start, end, end.next()).unwrap();
            let known: Vec<Usage> = known
                .into_iter()
                .map(|(day, credits)| Usage {
                    day: Day::from_number(day),
                    credits: f64::from(credits) / 4.0,
                })
                .collect();
            let buckets: Vec<Range> = step.buckets(range).collect();
            prop_assert_eq!(step.count(range), buckets.len() as u64);
            prop_assert_eq!(buckets.first().map(Range::start), Some(start));
            prop_assert_eq!(buckets.last().map(Range::end), Some(end));
            for pair in buckets.windows(2) {
                prop_assert_eq!(pair[0].end().next(), pair[1].start());
                prop_assert!(step == Step::Day || step.last_day(pair[0].start()) == pair[0].end());
            }
            let mut whole = Amount::default();
            for (bucket, amount) in buckets.iter().zip(tabulate(buckets.clone(), &known)) {
                prop_assert_eq!(amount.known_days + amount.missing_days, bucket.days());
                whole.add(&amount);
            }
            let mut by_day = Amount::default();
            for day in tabulate(Step::Day.buckets(range), &known) {
                by_day.add(&day);
            }
            prop_assert_eq!(whole, by_day);
            let inside = known.iter().filter(|usage| start <= usage.day && usage.day <= end);
            prop_assert_eq!(whole.known_credits, inside.map(|usage| usage.credits).sum::<f64>());
        }
    }
}
