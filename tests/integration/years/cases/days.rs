//! Days that come late, and those that are missing.

use super::{at, budget, day, plan, rule, scene};
use crate::years::life::checks::Check;
use crate::years::life::flowgent::Organisation;
use crate::years::life::plan::{AgentId, Cycle};
use crate::years::life::scene::{Scene, http};

#[test]
fn a_day_that_comes_after_the_next_midnight_is_judged() {
    let mut plan = plan("2026-01-01", 1);
    plan.rules.push(rule(Check::Day {
        over: 1_000.0,
        hysteresis: 0.1,
    }));
    let mut scene = scene(
        plan,
        "2026-01-10T10:00",
        "2025-12-01",
        "2026-02-20",
        |_, _| 10.0,
    );
    scene.use_credits(0, day("2026-01-12"), 5_000.0);
    scene
        .flowgent
        .state()
        .hide(AgentId(0), day("2026-01-12"), at("2026-01-14T06:00"));
    scene.live("2026-01-20T12:00");
    let told: Vec<_> = scene
        .told("ops")
        .into_iter()
        .map(|(at, _, fires)| (at, fires))
        .collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].1 && !told[1].1, "{told:?}");
    scene.must_be_right();
}

#[test]
fn a_spike_that_comes_late_is_held_against_its_own_weeks() {
    let mut plan = plan("2025-10-01", 1);
    plan.rules.push(rule(Check::Spike {
        factor: 3.0,
        floor: 20.0,
    }));
    let mut scene = scene(
        plan,
        "2026-01-10T10:00",
        "2025-10-01",
        "2026-02-20",
        |_, day| if day.weekday() == 2 { 400.0 } else { 10.0 },
    );
    // A Monday, which is known on a Thursday; Wednesdays are always heavy.
    scene.use_credits(0, day("2026-01-12"), 500.0);
    scene
        .flowgent
        .state()
        .hide(AgentId(0), day("2026-01-12"), at("2026-01-15T06:00"));
    scene.live("2026-01-20T12:00");
    assert_eq!(scene.told("ops").len(), 2, "{:?}", scene.told("ops"));
    scene.must_be_right();
}

#[test]
fn a_day_that_is_revised_within_a_week_is_judged_again() {
    let mut plan = plan("2026-01-01", 1);
    plan.rules.push(rule(Check::Day {
        over: 1_000.0,
        hysteresis: 0.1,
    }));
    let mut scene = scene(
        plan,
        "2026-01-10T10:00",
        "2025-12-01",
        "2026-02-20",
        |_, _| 10.0,
    );
    scene.use_credits(0, day("2026-01-12"), 5_000.0);
    scene
        .flowgent
        .state()
        .miscount(AgentId(0), day("2026-01-12"), 10.0, at("2026-01-14T06:00"));
    scene.live("2026-01-20T12:00");
    assert_eq!(scene.told("ops").len(), 2, "{:?}", scene.told("ops"));
    scene.must_be_right();
}

#[test]
fn a_period_that_begins_before_the_history_start_is_fetched() {
    let mut plan = plan("2026-02-10", 1);
    plan.budgets
        .push(budget(2_000.0, Cycle::Month(1), &[0.9], &[]));
    let scene = scene(
        plan,
        "2026-02-20T10:00",
        "2026-01-01",
        "2026-02-28",
        |_, _| 100.0,
    );
    assert_eq!(scene.told("ops").len(), 1, "{:?}", scene.told("ops"));
    scene.must_be_right();
}

#[test]
fn missing_data_counts_what_a_first_start_could_not_get() {
    let mut plan = plan("2026-01-01", 2);
    plan.rules.push(rule(Check::Missing { hours: 30 }));
    let mut scene = scene(
        plan,
        "2026-01-10T10:00",
        "2025-12-01",
        "2026-02-20",
        |_, _| 10.0,
    );
    scene.must_be_right();
    drop(scene);
    let mut plan = super::plan("2026-01-01", 2);
    plan.rules.push(rule(Check::Missing { hours: 30 }));
    scene = Scene::new(plan, at("2026-01-10T10:00"), &http());
    scene
        .flowgent
        .state()
        .organisations
        .insert("acme".to_owned(), Organisation::default());
    for id in 0..2 {
        for day in day("2025-12-01").through(day("2026-02-20")) {
            scene.use_credits(id, day, 10.0);
        }
    }
    scene
        .flowgent
        .state()
        .hide(AgentId(1), day("2026-01-05"), at("2026-02-01T00:00"));
    scene.start();
    scene.turn();
    scene.live("2026-01-14T12:00");
    assert_eq!(scene.last("ops", "rule/acme/agent-1"), Some(true));
    scene.must_be_right();
}
