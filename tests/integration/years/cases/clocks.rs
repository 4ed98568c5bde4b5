//! Clocks that are wrong.

use chrono::TimeDelta;

use super::{at, day, firing, plan, rule};
use crate::years::life::checks::Check;
use crate::years::life::flowgent::Organisation;
use crate::years::life::plan::AgentId;
use crate::years::life::scene::{Scene, http};

#[test]
fn a_clock_20_days_ahead_blocks_no_delivery() {
    let mut scene = firing();
    scene.close_desk("ops", at("2026-01-11T06:00"));
    scene.live("2026-01-11T00:12");
    // The crossing of 100 % waits for its receiver, and is tried while our clock is wrong.
    scene.set_clock(TimeDelta::days(20));
    for seconds in [20, 400, 4_000] {
        scene.go(at("2026-01-11T00:12") + TimeDelta::seconds(seconds));
        scene.turn();
    }
    scene.set_clock(TimeDelta::zero());
    scene.live("2026-01-13T12:00");
    assert_eq!(
        scene.last("ops", "budget/all/2026-01-01/used 1"),
        Some(true)
    );
    scene.must_be_right();
}

#[test]
fn a_clock_40_days_ahead_ends_nothing() {
    let mut scene = firing();
    scene.live("2026-01-12T12:00");
    let told = scene.told("ops");
    scene.set_clock(TimeDelta::days(40));
    scene.live("2026-01-13T15:00");
    scene.set_clock(TimeDelta::zero());
    scene.live("2026-01-20T12:00");
    assert_eq!(scene.told("ops"), told);
    scene.must_be_right();
}

#[test]
fn a_start_under_a_clock_that_is_behind_keeps_when_an_episode_began() {
    let mut scene = firing();
    scene.live("2026-01-07T00:09");
    scene.set_clock(TimeDelta::days(-5));
    scene.go(at("2026-01-07T00:10"));
    scene.turn();
    scene.kill();
    scene.start();
    scene.turn();
    scene.set_clock(TimeDelta::zero());
    scene.live("2026-02-04T12:00");
    assert_eq!(
        scene.last("ops", "budget/all/2026-01-01/used 0.5"),
        Some(false)
    );
    scene.must_be_right();
}

#[test]
fn a_clock_30_days_ahead_gives_no_message_up() {
    let mut scene = firing();
    scene.close_desk("ops", at("2026-01-14T06:00"));
    scene.live("2026-01-12T12:00");
    scene.set_clock(TimeDelta::days(31));
    scene.live("2026-01-12T18:00");
    scene.set_clock(TimeDelta::zero());
    scene.live("2026-01-16T12:00");
    assert_eq!(
        scene.last("ops", "budget/all/2026-01-01/used 1"),
        Some(true)
    );
    scene.must_be_right();
}

#[test]
fn days_that_were_fetched_under_a_clock_that_ran_ahead_are_asked_for_again() {
    // Thirty days ahead of 10 January: one window ends with it, and the next one is not to be had.
    let mut plan = plan("2025-12-11", 1);
    plan.rules.push(rule(Check::Key));
    let mut scene = Scene::new(plan, at("2026-01-11T10:00"), &http());
    scene
        .flowgent
        .state()
        .organisations
        .insert("acme".to_owned(), Organisation::default());
    for day in day("2025-12-01").through(day("2026-02-20")) {
        scene.use_credits(0, day, 10.0);
    }
    scene
        .flowgent
        .state()
        .miscount(AgentId(0), day("2026-01-10"), 70.0, at("2026-01-12T06:00"));
    scene.set_clock(TimeDelta::days(20));
    scene.start();
    scene.turn();
    scene.set_clock(TimeDelta::zero());
    scene.live("2026-01-18T12:00");
    scene.check_truth();
    scene.must_be_right();
}
