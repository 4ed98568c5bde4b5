//! The ends of budgets' periods.

use super::{at, budget, day, plan, scene};
use crate::years::life::plan::{AgentId, Cycle};

#[test]
fn a_period_ends_when_all_its_days_are_known() {
    let mut plan = plan("2026-01-01", 2);
    plan.budgets
        .push(budget(2_800.0, Cycle::Month(1), &[0.5, 1.0], &[]));
    let mut scene = scene(
        plan,
        "2026-01-02T10:00",
        "2025-12-01",
        "2026-02-20",
        |_, _| 50.0,
    );
    for number in 27..=31 {
        scene.flowgent.state().hide(
            AgentId(0),
            day(&format!("2026-01-{number}")),
            at("2026-02-04T06:00"),
        );
    }
    scene.live("2026-02-03T12:00");
    assert_eq!(
        scene.last("ops", "budget/all/2026-01-01/used 0.5"),
        Some(true)
    );
    assert_eq!(
        scene.last("ops", "budget/all/2026-01-01/used 1"),
        Some(true)
    );
    scene.live("2026-02-08T12:00");
    assert_eq!(
        scene.last("ops", "budget/all/2026-01-01/used 1"),
        Some(false)
    );
    assert_eq!(
        scene
            .told("ops")
            .iter()
            .filter(|(_, key, _)| key.contains("2026-01-01"))
            .count(),
        4
    );
    scene.must_be_right();
}

#[test]
fn an_exporter_that_was_off_for_ten_days_tells_what_was_crossed_in_a_periods_last_days() {
    let mut plan = plan("2026-01-01", 1);
    plan.budgets
        .push(budget(3_000.0, Cycle::Month(1), &[1.0], &[]));
    let mut scene = scene(
        plan,
        "2026-01-02T10:00",
        "2025-12-01",
        "2026-02-20",
        |_, day| {
            if day == super::day("2026-01-31") {
                200.0
            } else {
                97.0
            }
        },
    );
    scene.live("2026-01-30T20:00");
    scene.kill();
    scene.go(at("2026-02-09T20:00"));
    scene.start();
    scene.turn();
    assert_eq!(
        scene.last("ops", "budget/all/2026-01-01/used 1"),
        Some(true)
    );
    scene.live("2026-02-11T22:00");
    assert_eq!(
        scene.last("ops", "budget/all/2026-01-01/used 1"),
        Some(false)
    );
    scene.must_be_right();
}

#[test]
fn at_least_is_said_where_days_are_missing() {
    let mut plan = plan("2026-01-01", 2);
    plan.budgets
        .push(budget(1_000.0, Cycle::Month(1), &[0.5], &[]));
    let mut scene = scene(
        plan,
        "2026-01-02T10:00",
        "2025-12-01",
        "2026-02-20",
        |_, _| 100.0,
    );
    scene
        .flowgent
        .state()
        .hide(AgentId(1), day("2026-01-02"), at("2026-01-10T06:00"));
    scene.live("2026-01-06T12:00");
    let titles: Vec<String> = scene
        .office
        .floor()
        .desk("ops")
        .heard
        .iter()
        .map(|(_, word)| word.title.clone())
        .collect();
    assert_eq!(titles.len(), 1);
    assert!(titles[0].contains("at least"), "{titles:?}");
    scene.must_be_right();
}
