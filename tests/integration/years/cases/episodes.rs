//! Alerts that are over, and their lines crossed again.

use flowgent_exporter::day::Day;

use super::{at, budget, day, days, plan, scene};
use crate::years::life::plan::{AgentId, Cycle};

#[test]
fn a_budget_told_over_is_told_again_when_it_crosses_again() {
    let mut plan = plan("2026-01-01", 1);
    plan.budgets
        .push(budget(2_500.0, Cycle::Month(1), &[0.5, 0.8, 1.0], &[]));
    let mut scene = scene(
        plan,
        "2026-01-02T10:00",
        "2025-12-01",
        "2026-02-10",
        |_, _| 100.0,
    );
    // 2,600 is said for a day, and corrected.
    scene.flowgent.state().miscount(
        AgentId(0),
        day("2026-01-04"),
        2_300.0,
        at("2026-01-06T00:05"),
    );
    scene.live("2026-02-01T12:00");
    let told = scene.told("ops");
    assert_eq!(days(&told, "used 1", true), ["2026-01-05", "2026-01-26"]);
    assert_eq!(days(&told, "used 1", false)[0], "2026-01-06");
    assert_eq!(days(&told, "used 0.8", true), ["2026-01-21"]);
    assert_eq!(days(&told, "used 0.5", true), ["2026-01-14"]);
    scene.must_be_right();
}

#[test]
fn a_forecast_told_over_is_told_again_when_use_is_heavy_again() {
    let mut plan = plan("2025-09-01", 1);
    plan.budgets
        .push(budget(3_000.0, Cycle::Month(1), &[], &[1.0]));
    let heavy = |day: Day| {
        day >= super::day("2025-11-19")
            || (super::day("2025-11-01")..=super::day("2025-11-05")).contains(&day)
    };
    let mut scene = scene(
        plan,
        "2025-11-01T10:00",
        "2025-09-01",
        "2025-12-31",
        |_, day| {
            if day < super::day("2025-11-01") {
                90.0
            } else if heavy(day) {
                260.0
            } else {
                0.0
            }
        },
    );
    scene.live("2025-11-30T12:00");
    let told = scene.told("ops");
    assert_eq!(days(&told, "forecast 1", true).len(), 2, "{told:?}");
    assert_eq!(days(&told, "forecast 1", false).len(), 1, "{told:?}");
    scene.must_be_right();
}

#[test]
fn a_forecast_is_over_after_three_days_in_a_row_below_its_threshold() {
    let mut plan = plan("2025-09-01", 1);
    plan.budgets
        .push(budget(3_000.0, Cycle::Month(1), &[], &[1.0]));
    let mut scene = scene(
        plan,
        "2025-11-03T10:00",
        "2025-09-01",
        "2025-12-31",
        |_, day| {
            if day < super::day("2025-11-04") {
                105.0
            } else {
                30.0
            }
        },
    );
    scene.live("2025-11-25T12:00");
    let told = scene.told("ops");
    assert_eq!(days(&told, "forecast 1", true), ["2025-11-03"]);
    let over = days(&told, "forecast 1", false);
    assert_eq!(over.len(), 1, "{told:?}");
    scene.must_be_right();
}

#[test]
fn a_covered_threshold_is_told_when_the_higher_one_is_over() {
    let mut plan = plan("2026-01-01", 1);
    plan.budgets
        .push(budget(1_000.0, Cycle::Month(1), &[0.5, 1.0], &[]));
    let mut scene = scene(
        plan,
        "2026-01-02T10:00",
        "2025-12-01",
        "2026-02-10",
        |_, _| 10.0,
    );
    scene.use_credits(0, day("2026-01-02"), 700.0);
    scene.flowgent.state().miscount(
        AgentId(0),
        day("2026-01-02"),
        1_200.0,
        at("2026-01-04T00:05"),
    );
    scene.live("2026-01-03T12:00");
    assert_eq!(
        scene.last("ops", "budget/all/2026-01-01/used 1"),
        Some(true)
    );
    assert_eq!(scene.last("ops", "budget/all/2026-01-01/used 0.5"), None);
    scene.live("2026-01-04T12:00");
    assert_eq!(
        scene.last("ops", "budget/all/2026-01-01/used 1"),
        Some(false)
    );
    assert_eq!(
        scene.last("ops", "budget/all/2026-01-01/used 0.5"),
        Some(true)
    );
    scene.must_be_right();
}

#[test]
fn a_threshold_stays_while_use_is_within_5_percent_of_it() {
    let mut plan = plan("2026-01-01", 1);
    plan.budgets
        .push(budget(1_000.0, Cycle::Month(1), &[1.0], &[]));
    let mut scene = scene(
        plan,
        "2026-01-02T10:00",
        "2025-12-01",
        "2026-02-10",
        |_, _| 0.0,
    );
    scene.use_credits(0, day("2026-01-02"), 960.0);
    scene.flowgent.state().miscount(
        AgentId(0),
        day("2026-01-02"),
        1_010.0,
        at("2026-01-04T00:05"),
    );
    scene.live("2026-01-20T12:00");
    assert_eq!(scene.told("ops").len(), 1);
    scene.must_be_right();
}
