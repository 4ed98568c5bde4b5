//! Figures of an agent against what their names say, day by day.

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
