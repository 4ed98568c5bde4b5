//! Agents that leave, and lists that shrink.

use super::{budget, days, plan, rule, scene, scene_of};
use crate::years::life::checks::{Check, Rule};
use crate::years::life::flowgent::Glitch;
use crate::years::life::plan::{AgentId, Cycle};
use crate::years::life::scene::Scene;

#[test]
fn a_deleted_agent_does_not_end_an_alert() {
    let mut plan = plan("2026-01-01", 0);
    plan.accounts[0].discover = true;
    plan.budgets
        .push(budget(3_000.0, Cycle::Month(1), &[1.0], &[]));
    let days = ("2025-12-01", "2026-02-20");
    let mut scene = scene_of(plan, 0..2, "2026-01-02T10:00", days, |id, _| {
        100.0 + 60.0 * f64::from(id)
    });
    scene.live("2026-01-15T12:00");
    assert_eq!(
        scene.last("ops", "budget/all/2026-01-01/used 1"),
        Some(true)
    );
    scene.flowgent.state().denied.insert(AgentId(1));
    scene.discover(0..1);
    scene.live("2026-01-31T12:00");
    assert_eq!(
        scene.last("ops", "budget/all/2026-01-01/used 1"),
        Some(true)
    );
    assert_eq!(scene.told("ops").len(), 1, "{:?}", scene.told("ops"));
    scene.must_be_right();
}

#[test]
fn an_agent_that_is_taken_out_of_the_config_keeps_its_days() {
    let mut plan = plan("2026-01-01", 2);
    plan.budgets
        .push(budget(3_000.0, Cycle::Month(1), &[1.0], &[]));
    let mut scene = scene(
        plan,
        "2026-01-02T10:00",
        "2025-12-01",
        "2026-02-20",
        |id, _| 100.0 + 60.0 * f64::from(id),
    );
    scene.live("2026-01-15T12:00");
    scene.edit("an agent goes", |plan| {
        plan.accounts[0].agents.pop();
    });
    scene.live("2026-01-25T12:00");
    assert_eq!(scene.told("ops").len(), 1, "{:?}", scene.told("ops"));
    scene.must_be_right();
}

#[test]
fn days_of_a_renamed_account_count_once() {
    let mut plan = plan("2026-01-01", 2);
    plan.budgets
        .push(budget(3_000.0, Cycle::Month(1), &[0.8, 1.0], &[]));
    let mut scene = scene(
        plan,
        "2026-01-02T10:00",
        "2025-12-01",
        "2026-02-20",
        |_, _| 60.0,
    );
    scene.live("2026-01-15T12:00");
    scene.edit("the account is renamed", |plan| {
        plan.accounts[0].name = "acme-eu".to_owned()
    });
    scene.live("2026-01-25T12:00");
    let told = scene.told("ops");
    assert_eq!(days(&told, "used 0.8", true), ["2026-01-21"]);
    assert_eq!(days(&told, "used 1", true), Vec::<String>::new());
    scene.must_be_right();
}

#[test]
fn an_edited_match_ends_what_fires() {
    let mut plan = plan("2026-01-01", 2);
    plan.accounts[0].agents[1].team = "back".to_owned();
    plan.budgets
        .push(budget(1_000.0, Cycle::Month(1), &[1.0], &[]));
    let mut scene = scene(
        plan,
        "2026-01-02T10:00",
        "2025-12-01",
        "2026-02-20",
        |id, _| 10.0 + 190.0 * f64::from(id),
    );
    scene.live("2026-01-10T12:00");
    assert_eq!(
        scene.last("ops", "budget/all/2026-01-01/used 1"),
        Some(true)
    );
    scene.edit("the budget is about others", |plan| {
        plan.budgets[0].matcher.team = Some("front".to_owned())
    });
    scene.live("2026-01-11T12:00");
    assert_eq!(
        scene.last("ops", "budget/all/2026-01-01/used 1"),
        Some(false)
    );
    scene.must_be_right();
}

fn listed() -> Scene {
    let mut plan = plan("2026-01-01", 0);
    plan.accounts[0].discover = true;
    plan.budgets
        .push(budget(800.0, Cycle::Month(1), &[1.0], &[]));
    let days = ("2025-12-01", "2026-02-20");
    let mut scene = scene_of(plan, 0..5, "2026-01-02T10:00", days, |_, _| 10.0);
    scene.live("2026-01-20T20:00");
    assert_eq!(
        scene.last("ops", "budget/all/2026-01-01/used 1"),
        Some(true)
    );
    scene
}

#[test]
fn one_short_listing_ends_nothing() {
    let mut scene = listed();
    let glitch = |scene: &mut Scene, glitch| {
        scene
            .flowgent
            .state()
            .organisations
            .get_mut("acme")
            .unwrap()
            .glitch = glitch;
    };
    glitch(&mut scene, Some(Glitch::Short(4)));
    scene.live("2026-01-21T20:00");
    glitch(&mut scene, None);
    scene.live("2026-01-31T20:00");
    assert_eq!(scene.told("ops").len(), 1, "{:?}", scene.told("ops"));
    scene.must_be_right();
}

#[test]
fn a_listing_that_says_that_it_is_not_whole_lets_nobody_leave() {
    let mut scene = listed();
    let whole = Some(Glitch::NotWhole(4));
    scene
        .flowgent
        .state()
        .organisations
        .get_mut("acme")
        .unwrap()
        .glitch = whole;
    scene.live("2026-01-31T20:00");
    assert_eq!(scene.process().members().len(), 5);
    assert_eq!(scene.told("ops").len(), 1, "{:?}", scene.told("ops"));
    scene.must_be_right();
}

#[test]
fn who_is_missing_from_the_listings_is_neither_refused_nor_missing() {
    let mut scene = listed();
    scene.edit("rules", |plan| {
        plan.rules.push(rule(Check::Agent));
        plan.rules.push(Rule {
            name: "stale".to_owned(),
            ..rule(Check::Missing { hours: 12 })
        });
    });
    scene.flowgent.state().denied.insert(AgentId(4));
    scene.discover(0..4);
    scene.live("2026-01-31T20:00");
    assert_eq!(scene.told("ops").len(), 1, "{:?}", scene.told("ops"));
    assert_eq!(scene.process().members().len(), 4);
    scene.must_be_right();
}
