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
        let is_missing = |day: &Day| month.binary_search_by_key(day, |usage| usage.day).is_err();
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
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    /// One credit on each of the days `first` through `last`.
    fn ones(first: &str, last: &str) -> Vec<Usage> {
        let usage = |day| Usage { day, credits: 1.0 };
        day(first).through(day(last)).map(usage).collect()
    }

    fn at(text: &str) -> Option<DateTime<Utc>> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn every_day_known_means_every_figure_is_there() {
        let totals = Totals {
            frontier: Some(day("2026-11-22")),
            frontier_credits: 97.5,
            high_water_credits: Some(100.0),
            known_days: 53,
            known_through: Some(day("2026-11-22")),
            revised_up: 1,
            revised_down: 2,
            last_success: at("2026-11-23T00:10:00.250Z"),
            last_failure: None,
        };
        let (start, today) = (day("2026-10-01"), day("2026-11-23"));
        assert_eq!(
            figures(&totals, &ones("2026-10-01", "2026-11-22"), start, today),
            Figures {
                up: Some(true),
                used_credits: Some(100.0),
                overcount_credits: Some(2.5),
                previous_day_credits: Some(1.0),
                previous_7_days_credits: Some(7.0),
                previous_30_days_credits: Some(30.0),
                month_to_date_credits: Some(22.0),
                previous_month_credits: Some(31.0),
                forecast_month_credits: Some(30.0),
                expected_month_credits: Some(30.0),
                known_through: Some(day("2026-11-22")),
                complete_through: Some(day("2026-11-22")),
                missing_days: 0,
                revised_up: 1,
                revised_down: 2,
                last_success: totals.last_success,
                at_least: AtLeast {
                    previous_7_days_credits: Some(7.0),
                    previous_30_days_credits: Some(30.0),
                    month_to_date_credits: Some(22.0),
                    previous_month_credits: Some(31.0),
                },
            }
        );
    }

    #[test]
    fn an_agent_never_fetched_has_missing_days_and_no_usage() {
        let figures = figures(
            &Totals::default(),
            &[],
            day("2026-11-01"),
            day("2026-11-23"),
        );
        let nothing = Figures {
            missing_days: 22,
            ..Figures::default()
        };
        assert_eq!(figures, nothing);
    }

    #[test]
    fn one_unknown_day_withdraws_exactly_the_figures_that_cover_it() {
        // day left out -> previous day, 7 days, 30 days, month to date, previous month are there
        let table = [
            ("2026-11-22", [false, false, false, false, true]),
            ("2026-11-21", [true, false, false, false, true]),
            ("2026-11-16", [true, false, false, false, true]),
            ("2026-11-15", [true, true, false, false, true]),
            ("2026-11-01", [true, true, false, false, true]),
            ("2026-10-31", [true, true, false, true, false]),
            ("2026-10-24", [true, true, false, true, false]),
            ("2026-10-23", [true, true, true, true, false]),
            ("2026-10-01", [true, true, true, true, false]),
            ("2026-09-30", [true; 5]),
        ];
        for (unknown, expected) in table {
            let mut recent = ones("2026-09-01", "2026-11-22");
            recent.retain(|usage| usage.day != day(unknown));
            let start = day("2026-09-01");
            let figures = figures(&Totals::default(), &recent, start, day("2026-11-23"));
            let there = [
                figures.previous_day_credits.is_some(),
                figures.previous_7_days_credits.is_some(),
                figures.previous_30_days_credits.is_some(),
                figures.month_to_date_credits.is_some(),
                figures.previous_month_credits.is_some(),
            ];
            assert_eq!(there, expected, "without {unknown}");
        }
    }

    #[test]
    fn known_days_are_a_lower_bound_of_what_is_not_known_whole() {
        let mut recent = ones("2026-10-01", "2026-11-22");
        recent.retain(|usage| ![day("2026-11-20"), day("2026-10-31")].contains(&usage.day));
        let (start, today) = (day("2026-10-01"), day("2026-11-23"));
        let bounds = figures(&Totals::default(), &recent, start, today).at_least;
        assert_eq!(
            bounds,
            AtLeast {
                previous_7_days_credits: Some(6.0),
                previous_30_days_credits: Some(28.0),
                month_to_date_credits: Some(21.0),
                previous_month_credits: Some(30.0),
            }
        );
        let none = figures(&Totals::default(), &[], start, today).at_least;
        assert_eq!(none, AtLeast::default());
    }

    #[test]
    fn the_month_to_date_is_a_positive_zero_on_the_first() {
        let figures = figures(
            &Totals::default(),
            &[],
            day("2026-10-01"),
            day("2026-11-01"),
        );
        let zero = figures.month_to_date_credits.unwrap();
        assert!(zero == 0.0 && zero.is_sign_positive());
        assert_eq!(figures.previous_month_credits, None);
    }

    #[test]
    fn days_before_tracking_started_are_known_zeros() {
        let recent = ones("2025-05-28", "2025-05-29");
        let figures = figures(
            &Totals::default(),
            &recent,
            TRACKING_START,
            day("2025-05-30"),
        );
        assert_eq!(figures.previous_7_days_credits, Some(2.0));
        assert_eq!(figures.month_to_date_credits, Some(2.0));
        assert_eq!(figures.previous_month_credits, Some(0.0));
    }

    #[test]
    fn an_agent_is_up_if_its_last_fetch_succeeded() {
        let (earlier, later) = (at("2026-11-22T00:00:00Z"), at("2026-11-23T00:00:00Z"));
        let table = [
            (None, None, None),
            (earlier, None, Some(true)),
            (None, earlier, Some(false)),
            (earlier, later, Some(false)),
            // The failure came later, on a clock that had been set back.
            (later, earlier, Some(false)),
        ];
        for (last_success, last_failure, up) in table {
            let totals = Totals {
                last_success,
                last_failure,
                ..Totals::default()
            };
            let today = day("2026-11-23");
            assert_eq!(figures(&totals, &[], today, today).up, up, "{totals:?}");
        }
    }

    #[test]
    fn after_a_step_back_the_newest_known_day_may_be_the_frontier() {
        let ahead = ones("2026-11-24", "2026-11-25");
        let totals = Totals {
            frontier: Some(day("2026-08-01")),
            known_days: 66,
            known_through: Some(day("2026-11-25")),
            ..Totals::default()
        };
        let figures = figures(&totals, &ahead, day("2026-05-30"), day("2026-11-23"));
        let frontier = Some(day("2026-08-01"));
        assert_eq!(figures.known_through, frontier);
        assert_eq!(figures.complete_through, frontier);
        assert_eq!(figures.missing_days, 113);
    }

    #[test]
    fn recent_days_reach_back_to_the_previous_month_and_sixteen_weeks() {
        for today in day("2026-01-01").through(day("2028-02-29")) {
            let start = recent_start(today);
            assert_eq!(today.since(start), 112, "on {today}");
            assert!(start < previous_month_start(today), "on {today}");
        }
    }

    /// The figures by their words, day by day, from everything that is known.
    fn naive(known: &BTreeMap<Day, f64>, totals: &Totals, history: Day, today: Day) -> Figures {
        let sum = |first: Day, last: Day| {
            first.through(last).try_fold(0.0, |sum, day| {
                let before_tracking = (day < TRACKING_START).then_some(0.0);
                Some(sum + before_tracking.or(known.get(&day).copied())?)
            })
        };
        let at_least = |first: Day, last: Day| {
            let known = first.through(last).filter_map(|day| known.get(&day));
            known.copied().reduce(|sum, credits| sum + credits)
        };
        let yesterday = today.previous();
        let month = today.month_start();
        let complete = history
            .through(yesterday)
            .take_while(|day| known.contains_key(day))
            .last();
        let missing = history
            .through(yesterday)
            .filter(|day| !known.contains_key(day));
        Figures {
            up: None,
            used_credits: totals.high_water_credits,
            overcount_credits: totals.high_water_credits.map(|_| 2.0),
            previous_day_credits: sum(yesterday, yesterday),
            previous_7_days_credits: sum(today.plus(-7), yesterday),
            previous_30_days_credits: sum(today.plus(-30), yesterday),
            month_to_date_credits: sum(month, yesterday),
            previous_month_credits: sum(month.previous().month_start(), month.previous()),
            forecast_month_credits: sum(month, yesterday).and(expected_month(known, today)),
            expected_month_credits: expected_month(known, today),
            known_through: known.range(..today).next_back().map(|(day, _)| *day),
            complete_through: complete,
            missing_days: missing.count() as u64,
            revised_up: 0,
            revised_down: 0,
            last_success: None,
            at_least: AtLeast {
                previous_7_days_credits: at_least(today.plus(-7), yesterday),
                previous_30_days_credits: at_least(today.plus(-30), yesterday),
                month_to_date_credits: at_least(month, yesterday),
                previous_month_credits: at_least(month.previous().month_start(), month.previous()),
            },
        }
    }

    /// The known days of today's month, and the credits expected of its other days.
    fn expected_month(known: &BTreeMap<Day, f64>, today: Day) -> Option<f64> {
        let recent = known.range(today.plus(-56)..today);
        let recent: Vec<(Day, f64)> = recent.map(|(day, credits)| (*day, *credits)).collect();
        let mean = |credits: &mut dyn Iterator<Item = f64>| {
            let credits: Vec<f64> = credits.collect();
            credits.iter().sum::<f64>() / credits.len() as f64
        };
        let of_weekday = |weekday: i32| {
            let weekday = today.plus(weekday);
            let same = move |(day, _): &&(Day, f64)| weekday.since(*day) % 7 == 0;
            recent.iter().filter(same).map(|(_, credits)| *credits)
        };
        let expected = |day: Day| {
            if (0..7).all(|weekday| of_weekday(weekday).count() >= 2) {
                return Some(mean(&mut of_weekday(day.since(today))));
            }
            let days = [28, 7].into_iter().find(|days| recent.len() >= *days);
            let days = days.unwrap_or(recent.len());
            let last = &mut recent.iter().rev().take(days).map(|(_, credits)| *credits);
            (days >= 3).then(|| mean(last))
        };
        let month = (0..31).map(|days| today.month_start().plus(days));
        let month: Vec<Day> = month
            .filter(|day| day.month_start() == today.month_start() && *day >= TRACKING_START)
            .collect();
        let is_known = |day: &&Day| **day < today && known.contains_key(day);
        let used = month
            .iter()
            .filter(is_known)
            .fold(0.0, |sum, day| sum + known[day]);
        let unknown = month.iter().filter(|day| !is_known(day));
        let mut rest = unknown.map(|day| expected(*day));
        Some(used + rest.try_fold(0.0, |sum, credits| Some(sum + credits?))?)
    }

    #[test]
    fn people_see_what_is_expected_although_days_are_missing() {
        let mut recent = ones("2026-09-01", "2026-11-22");
        recent.retain(|usage| usage.day != day("2026-11-03") && usage.day != day("2026-11-22"));
        let figures = figures(
            &Totals::default(),
            &recent,
            day("2026-09-01"),
            day("2026-11-23"),
        );
        let seen = (
            figures.forecast_month_credits,
            figures.expected_month_credits,
        );
        assert_eq!(seen, (None, Some(30.0)));
        assert_eq!(figures.at_least.month_to_date_credits, Some(20.0));
    }

    #[test]
    fn a_forecast_needs_the_month_to_date_and_three_known_days() {
        let forecast = |first: &str, unknown: &str, today: &str| {
            let mut recent = ones(first, "2026-11-30");
            recent.retain(|usage| usage.day != day(unknown));
            figures(&Totals::default(), &recent, day(first), day(today)).forecast_month_credits
        };
        assert_eq!(
            forecast("2026-09-01", "2026-10-31", "2026-11-23"),
            Some(30.0)
        );
        assert_eq!(forecast("2026-09-01", "2026-11-01", "2026-11-23"), None);
        assert_eq!(forecast("2026-09-01", "2026-11-22", "2026-11-23"), None);
        assert_eq!(
            forecast("2026-09-01", "2026-10-31", "2026-11-01"),
            Some(30.0)
        );
        assert_eq!(
            forecast("2026-11-01", "2026-10-31", "2026-11-04"),
            Some(30.0)
        );
        assert_eq!(forecast("2026-11-01", "2026-10-31", "2026-11-03"), None);
        assert_eq!(
            forecast("2026-10-28", "2026-10-31", "2026-11-01"),
            Some(30.0)
        );
    }

    proptest! {
        #[test]
        fn figures_are_what_their_names_say(
            history in 0..70_i32,
            age in 1..130_i32,
            // How many days the ledger knows beyond yesterday, as after a clock stepped back.
            ahead in 0..4_i32,
            gaps in prop::collection::btree_set(0..140_i32, 0..5),
        ) {
            let history = TRACKING_START.plus(history);
            let today = history.plus(age);
            let known: BTreeMap<Day, f64> = history
                .through(today.plus(ahead - 1))
                .filter(|day| !gaps.contains(&day.since(history)))
                .map(|day| (day, f64::from(day.number() % 7)))
                .collect();
            let frontier = history
                .through(today.plus(ahead - 1))
                .take_while(|day| known.contains_key(day))
                .last();
            let frontier_credits: f64 = known
                .iter()
                .filter(|(day, _)| Some(**day) <= frontier)
                .map(|(_, credits)| credits)
                .sum();
            let totals = Totals {
                frontier,
                frontier_credits,
                high_water_credits: frontier.map(|_| frontier_credits + 2.0),
                known_days: u32::try_from(known.len()).unwrap(),
                known_through: known.keys().next_back().copied(),
                ..Totals::default()
            };
            let recent: Vec<Usage> = known
                .range(recent_start(today)..)
                .map(|(day, credits)| Usage { day: *day, credits: *credits })
                .collect();
            prop_assert_eq!(
                figures(&totals, &recent, history, today),
                naive(&known, &totals, history, today)
            );
        }
    }
}
