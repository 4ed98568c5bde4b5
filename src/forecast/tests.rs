use proptest::prelude::*;

use super::*;

/// A Monday.
const TODAY: &str = "2026-11-23";

fn today() -> Day {
    TODAY.parse().unwrap()
}

/// Usage on the days that end yesterday.
fn until_yesterday(credits: &[f64]) -> Vec<Usage> {
    let first = today().plus(-i32::try_from(credits.len()).unwrap());
    let days = first.through(today().previous());
    days.zip(credits)
        .map(|(day, &credits)| Usage { day, credits })
        .collect()
}

/// What is expected on Monday through Sunday, and the deviation of a single day.
fn figures(recent: &[Usage]) -> Option<([f64; 7], f64)> {
    let pattern = Pattern::of(recent, today())?;
    let week = std::array::from_fn(|day| pattern.expected_credits(today().plus(day as i32)));
    Some((week, pattern.residuals.variance().sqrt()))
}

#[test]
fn there_is_no_pattern_under_three_known_days() {
    assert_eq!(figures(&[]), None);
    assert_eq!(figures(&until_yesterday(&[1.0, 2.0])), None);
    // Variance of 1, 2 and 3 about 2, of which one degree of freedom is gone; their sum is 0.
    let three = figures(&until_yesterday(&[1.0, 2.0, 3.0])).unwrap();
    assert_eq!(three.0, [2.0; 7]);
    assert!((three.1 - 1.0).abs() < 1e-12);
}

#[test]
fn days_too_old_and_days_from_today_on_count_for_nothing() {
    let mut recent = until_yesterday(&[5.0; 60]);
    for usage in &mut recent[..4] {
        usage.credits = 1e9;
    }
    recent.extend(
        today()
            .through(today().plus(9))
            .map(|day| Usage { day, credits: 1e9 }),
    );
    assert_eq!(figures(&recent), Some(([5.0; 7], 0.0)));
    assert_eq!(figures(&recent[..4]), None);
    assert_eq!(figures(&recent[60..]), None);
}

#[test]
fn the_method_depends_on_how_much_is_known() {
    // Every day's credits are its distance from today: 1 was yesterday, a Sunday.
    let distances: Vec<f64> = (1..=56).rev().map(f64::from).collect();
    let all = until_yesterday(&distances);
    let of = |keep: &dyn Fn(i32) -> bool| {
        let keep = |usage: &&Usage| keep(today().since(usage.day));
        figures(&all.iter().filter(keep).copied().collect::<Vec<_>>())
            .unwrap()
            .0
    };
    let weekdays = |sunday: f64| std::array::from_fn(|day| sunday + 6.0 - day as f64);
    // Eight weeks: the mean of 1, 8, …, 50, and so on.
    assert_eq!(of(&|_| true), weekdays(25.5));
    // Two weeks: each weekday twice.
    assert_eq!(of(&|distance| distance <= 14), weekdays(4.5));
    // A day less: the last seven.
    assert_eq!(of(&|distance| distance <= 13), [4.0; 7]);
    // Seven days, which need not be in a row.
    assert_eq!(
        of(&|distance| distance > 40 && distance <= 53 && distance % 2 == 1),
        [47.0; 7]
    );
    assert_eq!(of(&|distance| distance <= 6), [3.5; 7]);
    // No Sunday but one: 49 known days, of which the last 28 are 1 through 32 without 8, 15, 22 and 29.
    let sundays = |distance: i32| distance % 7 != 1 || distance == 1;
    assert_eq!(of(&sundays), [(528.0 - 74.0) / 28.0; 7]);
    // 27 of them: the last seven, 1 through 7.
    assert_eq!(of(&|distance| sundays(distance) && distance < 32), [4.0; 7]);
    // One gap takes one value from its weekday and nothing else.
    let mut gap = weekdays(25.5);
    gap[6] = (8.0 * 25.5 - 8.0) / 7.0;
    assert_eq!(of(&|distance| distance != 8), gap);
}

#[test]
fn days_that_make_up_for_each_other_count_by_day_and_weeks_that_do_not_by_week() {
    // By weekday: twice 3 below and twice 3 above, in turn or week by week.
    let of = |credits: &[f64]| figures(&until_yesterday(credits)).unwrap().1.powi(2);
    let week = |first: f64, second: f64| [first, second, first, second, first, second, first];
    let alternating = [week(7.0, 13.0), week(13.0, 7.0)].concat();
    // 14 residuals of 3 less 7 means.
    assert!((of(&alternating) - 18.0).abs() < 1e-9);
    let weekly = [week(7.0, 7.0), week(13.0, 13.0)].concat();
    // Two weeks that are 21 off.
    assert!((of(&weekly) - 126.0).abs() < 1e-9);
}

#[test]
fn bounds_close_as_the_days_become_known() {
    let credits: Vec<f64> = (0..56).map(|day| f64::from(day * 7919 % 13)).collect();
    let pattern = Pattern::of(&until_yesterday(&credits), today()).unwrap();
    let width = |days: i32| {
        let forecast = pattern.forecast(100.0, today().through(today().plus(days - 1)));
        let expected = forecast.expected_credits;
        assert!((forecast.high_credits - 2.0 * expected + forecast.low_credits).abs() < 1e-9);
        forecast.high_credits - expected
    };
    assert!(width(30) > width(14) && width(14) > width(7) && width(7) > 0.0);
    // √(30 · (1 + 30/7)) to √(7 · 2).
    let ratio = (30.0 * 37.0 / 7.0_f64 / 14.0).sqrt();
    assert!((width(30) / width(7) - ratio).abs() < 1e-9);
    let nothing = Forecast {
        expected_credits: 100.0,
        low_credits: 100.0,
        high_credits: 100.0,
    };
    assert_eq!(pattern.forecast(100.0, []), nothing);
}

#[test]
fn the_low_bound_is_never_under_what_is_used() {
    // Mostly nothing, and once a lot.
    let mut credits = [0.0; 56];
    credits[30] = 700.0;
    let pattern = Pattern::of(&until_yesterday(&credits), today()).unwrap();
    let forecast = pattern.forecast(5.0, today().through(today().plus(6)));
    assert_eq!(forecast.expected_credits, 5.0 + 700.0 / 8.0);
    assert_eq!(forecast.low_credits, 5.0);
    assert!(forecast.high_credits > 200.0);
}

#[test]
fn agents_that_stray_together_widen_the_bounds_and_opposites_cancel() {
    let up: Vec<f64> = (0..56).map(|day| f64::from(day * 7919 % 13)).collect();
    let down: Vec<f64> = up.iter().map(|credits| 12.0 - credits).collect();
    let [up, down] =
        [up, down].map(|credits| Pattern::of(&until_yesterday(&credits), today()).unwrap());
    let unknown = || today().through(today().plus(6));
    let width = |patterns: &[&Pattern]| {
        let mut outlook = Outlook::default();
        for pattern in patterns {
            outlook.add(pattern, unknown());
        }
        let forecast = outlook.forecast(0.0);
        forecast.high_credits - forecast.expected_credits
    };
    assert!((width(&[&up, &up]) - 2.0 * width(&[&up])).abs() < 1e-9);
    assert!(width(&[&up, &down]) < 1e-9);
    assert!(width(&[&up]) > 1.0);
}

proptest! {
    #[test]
    fn a_pattern_of_a_sum_is_the_sum_of_the_patterns(
        days in prop::collection::vec((0.0..1e6, 0.0..1e6), 14..=56),
        unknown in 0..40_i32,
    ) {
        let (ours, others): (Vec<f64>, Vec<f64>) = days.iter().copied().unzip();
        let both: Vec<f64> = days.iter().map(|(ours, others)| ours + others).collect();
        let pattern = |credits: &[f64]| Pattern::of(&until_yesterday(credits), today()).unwrap();
        let unknown = || today().through(today().plus(unknown - 1));
        let mut outlook = Outlook::default();
        outlook.add(&pattern(&ours), unknown());
        outlook.add(&pattern(&others), unknown());
        let (sum, whole) = (outlook.forecast(3.0), pattern(&both).forecast(3.0, unknown()));
        for (sum, whole) in [
            (sum.expected_credits, whole.expected_credits),
            (sum.low_credits, whole.low_credits),
            (sum.high_credits, whole.high_credits),
        ] {
            prop_assert!((sum - whole).abs() <= 1e-6 * whole.max(1.0), "{sum} and {whole}");
        }
    }

    #[test]
    fn what_is_known_lies_below_the_bounds_and_the_expectation_between(
        days in prop::collection::btree_map(0..70_i32, 0.0..1e12, 0..60),
        used_credits in 0.0..1e12,
        unknown in 0..40_i32,
    ) {
        let usage = |(day, credits): (&i32, &f64)| Usage { day: today().plus(day - 66), credits: *credits };
        let recent: Vec<Usage> = days.iter().map(usage).collect();
        let known = recent.iter().filter(|usage| (1..=56).contains(&today().since(usage.day)));
        let pattern = Pattern::of(&recent, today());
        prop_assert_eq!(pattern.is_some(), known.count() >= 3);
        if let Some(pattern) = pattern {
            let Forecast { expected_credits, low_credits, high_credits } =
                pattern.forecast(used_credits, today().through(today().plus(unknown - 1)));
            prop_assert!(used_credits <= low_credits);
            prop_assert!(low_credits <= expected_credits && expected_credits <= high_credits);
        }
    }
}
