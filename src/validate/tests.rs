//! Accepted and rejected answers, one rule at a time.

use super::*;
use crate::flowgent::wire::{DailyUsage, TimeRange};

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn window(start: &str, end: &str) -> Window {
    Window::new(day(start), day(end), day("2026-11-23")).unwrap()
}

/// The answer for `support` in the three days up to 22 November 2026 with these days and their sum.
fn answer(days: &[(&str, f64)]) -> UsageAnswer {
    UsageAnswer {
        agent_id: "support".into(),
        time_range: TimeRange {
            start: "2026-11-20T00:00:00.000Z".into(),
            end: "2026-11-22T23:59:59.999Z".into(),
        },
        usage: crate::flowgent::wire::Usage {
            total_credits_used: days.iter().map(|(_, credits)| credits).sum(),
            daily_breakdown: days
                .iter()
                .map(|(date, credits)| DailyUsage {
                    date: (*date).into(),
                    credits_used: *credits,
                })
                .collect(),
        },
        note: None,
    }
}

fn sound() -> UsageAnswer {
    answer(&[
        ("2026-11-22", 1.5),
        ("2026-11-21", 0.0),
        ("2026-11-20", 2.25),
    ])
}

fn judged(answer: &UsageAnswer) -> Result<Accepted, String> {
    rows(&window("2026-11-20", "2026-11-22"), "support", answer)
        .map_err(|rejection| rejection.to_string())
}

fn credits(answer: &UsageAnswer) -> Vec<(String, f64)> {
    let accepted = judged(answer).unwrap();
    let pairs = accepted.rows.iter();
    pairs
        .map(|row| (row.day.to_string(), row.credits))
        .collect()
}

#[test]
fn days_in_any_order_become_ascending_rows() {
    let expected = [
        ("2026-11-20", 2.25),
        ("2026-11-21", 0.0),
        ("2026-11-22", 1.5),
    ];
    let expected = expected.map(|(day, credits)| (day.to_owned(), credits));
    let mut answer = sound();
    assert_eq!(credits(&answer), expected);
    answer.usage.daily_breakdown.swap(0, 1);
    assert_eq!(credits(&answer), expected);
    assert_eq!(judged(&answer).unwrap().missing, []);
}

#[test]
fn a_day_that_did_not_come_is_missing_and_the_others_are_kept() {
    let accepted = judged(&answer(&[("2026-11-21", 3.0)])).unwrap();
    assert_eq!(accepted.missing, [day("2026-11-20"), day("2026-11-22")]);
    assert_eq!(accepted.rows.len(), 1);
    assert_eq!(judged(&answer(&[])).unwrap().missing.len(), 3);
}

#[test]
fn an_identical_duplicate_counts_once() {
    let mut answer = answer(&[("2026-11-21", 3.0), ("2026-11-21", 3.0)]);
    assert_eq!(judged(&answer).unwrap_err(), "total 6, days sum to 3");
    answer.usage.total_credits_used = 3.0;
    assert_eq!(credits(&answer), [("2026-11-21".to_owned(), 3.0)]);
}

#[test]
fn a_contradicting_duplicate_is_rejected() {
    assert_eq!(
        judged(&answer(&[("2026-11-21", 3.0), ("2026-11-21", 4.0)])).unwrap_err(),
        "day 2026-11-21 has 3 credits and also 4"
    );
}

#[test]
fn negative_zero_is_zero() {
    let answer = answer(&[("2026-11-21", -0.0)]);
    assert!(judged(&answer).unwrap().rows[0].credits.is_sign_positive());
}

#[test]
fn another_agents_answer_is_rejected() {
    let mut answer = sound();
    answer.agent_id = format!("a\n{}", "b".repeat(999));
    let expected = format!(
        "asked for agent `support`, answered for `a\\n{}…`",
        "b".repeat(58)
    );
    assert_eq!(judged(&answer).unwrap_err(), expected);
}

#[test]
fn a_day_outside_the_window_is_rejected() {
    for outside in ["2026-11-19", "2026-11-23"] {
        assert_eq!(
            judged(&answer(&[(outside, 0.0)])).unwrap_err(),
            format!("asked for 2026-11-20..2026-11-22, answered with {outside}")
        );
    }
    assert_eq!(
        judged(&answer(&[("22/11/2026", 0.0)])).unwrap_err(),
        "day `22/11/2026` is not in YYYY-MM-DD format"
    );
    assert_eq!(
        judged(&answer(&[("2026-11-31", 0.0)])).unwrap_err(),
        "day `2026-11-31` is not a day of the calendar"
    );
}

#[test]
fn credits_that_cannot_be_are_rejected() {
    for (credits, text) in [
        (-1.0, "-1"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "inf"),
        (2e12, "2,000,000,000,000"),
        (1e300, "1e300"),
    ] {
        assert_eq!(
            judged(&answer(&[("2026-11-21", credits)])).unwrap_err(),
            format!("day 2026-11-21 has {text} credits, not 0 to 1,000,000,000,000")
        );
    }
    assert!(judged(&answer(&[("2026-11-21", MOST_CREDITS)])).is_ok());
}

#[test]
fn a_total_may_be_rounded_to_fewer_decimals_than_its_days_have() {
    for (days, total, accepted) in [
        (&[0.4938][..], 0.49, true),
        (&[0.4938], 0.494, true),
        (&[0.4938], 0.5, true),
        (&[0.4938], 0.0, true),
        (&[0.4938], 0.48, false),
        (&[0.4938], 0.50001, false),
        (&[0.5062], 1.0, true),
        (&[10.25, 3.125], 13.4, true),
        (&[10.25, 3.125], 13.3, false),
        (&[10.25, 3.125], 13.0, true),
        (&[10.25, 3.125], 14.0, false),
        // No day has more decimals than the total.
        (&[1.5, 2.5], 4.1, false),
        (&[4.0], 4.4, false),
        (&[4.0], 5.0, false),
        (&[0.4938], f64::NAN, false),
        (&[0.4938], f64::INFINITY, false),
        (&[0.4938], -0.0, true),
    ] {
        let days: Vec<(&str, f64)> = ["2026-11-20", "2026-11-21"]
            .into_iter()
            .zip(days.iter().copied())
            .collect();
        let mut answer = answer(&days);
        answer.usage.total_credits_used = total;
        assert_eq!(judged(&answer).is_ok(), accepted, "{days:?} {total}");
    }
}

#[test]
fn a_total_is_the_sum_of_its_days_up_to_rounding() {
    let mut answer = answer(&[("2026-11-20", 36.0)]);
    answer.usage.total_credits_used = 41.0;
    assert_eq!(judged(&answer).unwrap_err(), "total 41, days sum to 36");
    for (total, accepted) in [
        (36.000_03, true),
        (36.000_04, false),
        (35.999_97, true),
        (f64::NAN, false),
        (f64::INFINITY, false),
        (-36.0, false),
    ] {
        answer.usage.total_credits_used = total;
        assert_eq!(judged(&answer).is_ok(), accepted, "{total}");
    }
}

#[test]
fn a_time_range_other_than_the_window_is_rejected() {
    let with = |start: &str, end: &str| {
        let mut answer = sound();
        answer.time_range = TimeRange {
            start: start.into(),
            end: end.into(),
        };
        judged(&answer).map(|_| ())
    };
    let (start, end) = ("2026-11-20T00:00:00.000Z", "2026-11-22T23:59:59.999Z");
    for (start, end) in [
        (start, end),
        ("2026-11-20T00:00:00Z", "2026-11-22T23:59:59Z"),
        (
            "2026-11-20T00:00:00+00:00",
            "2026-11-22T23:59:59.999999999Z",
        ),
        ("2026-11-20T02:00:00+02:00", "2026-11-22T18:59:59.5-05:00"),
    ] {
        assert_eq!(with(start, end), Ok(()));
    }
    for (start, text) in [
        ("2026-11-20T00:00:00.001Z", "2026-11-20T00:00:00.001+00:00"),
        ("2026-11-20T00:00:00+02:00", "2026-11-19T22:00:00+00:00"),
    ] {
        let text = format!("asked from 2026-11-20, time_range starts at {text}");
        assert_eq!(with(start, end), Err(text));
    }
    for (end, text) in [
        ("2026-11-23T00:00:00Z", "2026-11-23T00:00:00+00:00"),
        ("2026-11-22T23:59:58.999Z", "2026-11-22T23:59:58.999+00:00"),
        ("2026-11-21T23:59:59.999Z", "2026-11-21T23:59:59.999+00:00"),
    ] {
        let text = format!("asked through 2026-11-22, time_range ends at {text}");
        assert_eq!(with(start, end), Err(text));
    }
    assert_eq!(
        with("yesterday", end),
        Err("time_range.start `yesterday` is not an RFC 3339 time".to_owned())
    );
}

#[test]
fn usage_before_tracking_start_is_rejected_unless_zero() {
    let asked = window("2025-05-27", "2025-05-28");
    let mut answer = answer(&[("2025-05-27", 0.0), ("2025-05-28", 1.0)]);
    answer.time_range = TimeRange {
        start: "2025-05-27T00:00:00.000Z".into(),
        end: "2025-05-28T23:59:59.999Z".into(),
    };
    assert_eq!(rows(&asked, "support", &answer).unwrap().rows.len(), 2);
    answer.usage.daily_breakdown[0].credits_used = 1.0;
    assert_eq!(
        rows(&asked, "support", &answer).unwrap_err().to_string(),
        "day 2025-05-27 has 1 credits, but nothing was tracked before 2025-05-28"
    );
}

#[test]
fn a_rejection_is_a_broken_contract() {
    let rejection = Rejection::Total {
        total: 41.0,
        sum: 36.0,
    };
    assert_eq!(
        ApiError::from(rejection).to_string(),
        "invalid answer: total 41, days sum to 36"
    );
}
