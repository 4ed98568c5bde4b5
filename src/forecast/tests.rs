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

/// Use expected on Monday through Sunday, and the deviation of a single day.
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
    let mut recent = until_yesterday(&[5.0; 116]);
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
    assert_eq!(figures(&recent[116..]), None);
}

#[test]
fn the_method_depends_on_how_much_is_known() {
    // Every day's credits are its distance from today: 1 was yesterday, a Sunday.
    let distances: Vec<f64> = (1..=112).rev().map(f64::from).collect();
    let all = until_yesterday(&distances);
    let of = |keep: &dyn Fn(i32) -> bool| {
        let keep = |usage: &&Usage| keep(today().since(usage.day));
        figures(&all.iter().filter(keep).copied().collect::<Vec<_>>())
            .unwrap()
            .0
    };
    let weekdays = |sunday: f64| std::array::from_fn(|day| sunday + 6.0 - day as f64);
    // Two weeks, each weekday twice: no week was foretold, so half of either mean.
    assert_close(
        of(&|distance| distance <= 14),
        weekdays(0.5 * (5.0 / 1.5 + 4.5)),
    );
    // Three weeks: both means foretold the newest from the two before it, one error for each Sunday's.
    let (quick, slow) = ((1.0 + 8.0 / 2.0 + 15.0 / 4.0) / 1.75, 8.0);
    let (quick_error, slow_error) = ((8.0 + 15.0 / 2.0) / 1.5 - 1.0, 11.5 - 1.0);
    let part = 1.0 / (1.0 + quick_error / slow_error);
    assert_close(
        of(&|distance| distance <= 21),
        weekdays(part * quick + (1.0 - part) * slow),
    );
    // A day less than two weeks: the last seven.
    assert_eq!(of(&|distance| distance <= 13), [4.0; 7]);
    // Seven days, which need not be in a row.
    assert_eq!(
        of(&|distance| distance > 40 && distance <= 53 && distance % 2 == 1),
        [47.0; 7]
    );
    assert_eq!(of(&|distance| distance <= 6), [3.5; 7]);
    // No Sunday but one: the last 28 known days are 1 through 32 without 8, 15, 22 and 29.
    let sundays = |distance: i32| distance % 7 != 1 || distance == 1;
    assert_eq!(of(&sundays), [(528.0 - 74.0) / 28.0; 7]);
    // 27 of them: the last seven, 1 through 7.
    assert_eq!(of(&|distance| sundays(distance) && distance < 32), [4.0; 7]);
}

#[test]
fn what_persists_follows_the_recent_weeks_and_what_wavers_the_long_mean() {
    // A week's credits on each of its days, oldest first; what is expected of a day.
    let of = |weeks: [f64; 16]| figures(&until_yesterday(&weeks.map(|week| [week; 7]).concat()));
    let expected = |weeks| of(weeks).unwrap().0[0];
    // A level that doubled six weeks ago.
    let doubled = std::array::from_fn(|week| if week < 10 { 10.0 } else { 20.0 });
    assert!(expected(doubled) > 19.5, "{}", expected(doubled));
    // One that is 10 and 20 in turn: the quick mean leans to the last of them.
    let wavering = std::array::from_fn(|week| if week % 2 == 0 { 10.0 } else { 20.0 });
    assert!(expected(wavering) < 15.3, "{}", expected(wavering));
}

#[test]
fn days_that_make_up_for_each_other_count_by_day_and_weeks_that_do_not_by_week() {
    // By weekday: once 7 and once 13, in turn or week by week.
    let of = |credits: &[f64]| figures(&until_yesterday(credits)).unwrap().1.powi(2);
    let week = |first: f64, second: f64| [first, second, first, second, first, second, first];
    // Half of either mean: the newer day has 7/12 of its weekday's mean and the older one 5/12. So the mean
    // lies 2.5 from the newer and 3.5 from the older.
    let freedom = 7.0 * (1.0 - (49.0 + 25.0) / 144.0);
    let day = (7.0 * 2.5_f64.powi(2) + 5.0 * 3.5_f64.powi(2)) / 12.0;
    let alternating = [week(7.0, 13.0), week(13.0, 7.0)].concat();
    let of_days = 7.0 * day / freedom;
    assert!(
        (of(&alternating) - of_days).abs() < 1e-9,
        "{}",
        of(&alternating)
    );
    // Two weeks that are off by seven times as much.
    let weekly = [week(7.0, 7.0), week(13.0, 13.0)].concat();
    let of_weeks = 49.0 * day / freedom;
    assert!((of(&weekly) - of_weeks).abs() < 1e-9, "{}", of(&weekly));
}

/// The forecast by the words of `docs`, step by step and day by day: use expected on Monday through Sunday, and the
/// variance of a day. The weekdays must all be known twice.
fn by_the_definition(recent: &[Usage]) -> ([f64; 7], f64) {
    let week_of = |usage: &Usage| (today().since(usage.day) - 1) / 7;
    let of_weekday = |weekday: usize, from: i32| {
        let is_it = move |usage: &&Usage| {
            usage.day.weekday() == weekday && (from..16).contains(&week_of(usage))
        };
        recent.iter().filter(is_it)
    };
    let mean = |weekday, from, decay: f64| {
        let weighed = of_weekday(weekday, from).map(|usage| {
            (
                decay.powi(week_of(usage)) * usage.credits,
                decay.powi(week_of(usage)),
            )
        });
        let (credits, weight) = weighed.fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        credits / weight
    };
    let (mut errors, mut weeks) = ([0.0, 0.0], 0);
    for week in 0..8 {
        let days: Vec<&Usage> = recent
            .iter()
            .filter(|usage| week_of(usage) == week)
            .collect();
        let is_foretold = (0..7).all(|weekday| of_weekday(weekday, week + 1).count() >= 2);
        if days.len() == 7 && is_foretold {
            weeks += 1;
            let total: f64 = days.iter().map(|usage| usage.credits).sum();
            for (error, decay) in errors.iter_mut().zip([0.5, 1.0]) {
                let foretold: f64 = (0..7).map(|weekday| mean(weekday, week + 1, decay)).sum();
                *error += (foretold - total).abs();
            }
        }
    }
    let part = if errors[0] == errors[1] {
        0.5
    } else {
        1.0 / (1.0 + (errors[0] / errors[1]).powi(weeks))
    };
    let expected =
        std::array::from_fn(|day| part * mean(day, 0, 0.5) + (1.0 - part) * mean(day, 0, 1.0));
    let share = |usage: &Usage| {
        let all = || of_weekday(usage.day.weekday(), 0);
        let weights: f64 = all().map(|usage| 0.5_f64.powi(week_of(usage))).sum();
        part * 0.5_f64.powi(week_of(usage)) / weights + (1.0 - part) / all().count() as f64
    };
    let known = || {
        recent
            .iter()
            .filter(|usage| week_of(usage) < 16 && usage.day < today())
    };
    let freedom = 7.0 - known().map(|usage| share(usage).powi(2)).sum::<f64>();
    let weighed =
        |usage: &Usage| share(usage).sqrt() * (usage.credits - expected[usage.day.weekday()]);
    let days: f64 = known().map(|usage| weighed(usage).powi(2)).sum();
    let week = |week| known().filter(move |usage| week_of(usage) == week);
    let weeks: f64 = (0..16)
        .map(|number| week(number).map(weighed).sum::<f64>().powi(2))
        .sum();
    (expected, days.max(weeks) / freedom)
}

#[track_caller]
fn assert_close(week: [f64; 7], expected: [f64; 7]) {
    for (day, expected) in week.iter().zip(expected) {
        assert!(
            (day - expected).abs() < 1e-9,
            "{week:?} instead of {expected:?}"
        );
    }
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
    assert!(forecast.expected_credits > 30.0 && forecast.expected_credits < 100.0);
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
    fn a_pattern_is_what_its_definition_says(
        days in prop::collection::vec(prop::option::weighted(0.9, 0.0..1e3), 14..=130),
    ) {
        let all = until_yesterday(&days.iter().map(|day| day.unwrap_or(0.0)).collect::<Vec<_>>());
        let known = all.iter().zip(&days).filter(|(_, credits)| credits.is_some());
        let recent: Vec<Usage> = known.map(|(usage, _)| *usage).collect();
        let within = |weekday| recent.iter().filter(move |usage| {
            usage.day.weekday() == weekday && today().since(usage.day) <= 112
        });
        prop_assume!((0..7).all(|weekday| within(weekday).count() >= 2));
        let (week, deviation) = figures(&recent).unwrap();
        let (expected, variance) = by_the_definition(&recent);
        for (ours, expected) in week.iter().zip(expected) {
            prop_assert!((ours - expected).abs() <= 1e-9 * expected.max(1.0), "{ours} for {expected}");
        }
        prop_assert!((deviation.powi(2) - variance).abs() <= 1e-9 * variance.max(1.0));
    }

    #[test]
    fn twice_the_credits_are_twice_the_forecast(
        days in prop::collection::vec(0.0..1e6, 14..=112),
        unknown in 0..40_i32,
    ) {
        let twice: Vec<f64> = days.iter().map(|credits| 2.0 * credits).collect();
        let forecast = |credits: &[f64], used| {
            let pattern = Pattern::of(&until_yesterday(credits), today()).unwrap();
            pattern.forecast(used, today().through(today().plus(unknown - 1)))
        };
        let (once, twice) = (forecast(&days, 3.0), forecast(&twice, 6.0));
        for (once, twice) in [
            (once.expected_credits, twice.expected_credits),
            (once.low_credits, twice.low_credits),
            (once.high_credits, twice.high_credits),
        ] {
            prop_assert!((2.0 * once - twice).abs() <= 1e-6 * twice.max(1.0), "{once} and {twice}");
        }
    }

    #[test]
    fn what_is_known_lies_below_the_bounds_and_the_expectation_between(
        days in prop::collection::btree_map(0..130_i32, 0.0..1e12, 0..120),
        used_credits in 0.0..1e12,
        unknown in 0..40_i32,
    ) {
        let usage = |(day, credits): (&i32, &f64)| Usage { day: today().plus(day - 126), credits: *credits };
        let recent: Vec<Usage> = days.iter().map(usage).collect();
        let known = recent.iter().filter(|usage| (1..=112).contains(&today().since(usage.day)));
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
