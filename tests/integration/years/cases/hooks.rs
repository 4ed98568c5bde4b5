//! Hooks that change, and receivers that are down.

use super::{at, firing, hook};
use crate::years::life::receivers::Reply;

#[test]
fn a_hook_that_is_taken_out_of_a_rule_is_told_so() {
    let mut scene = firing();
    scene.edit("the budget tells nobody", |plan| {
        plan.budgets[0].hooks.clear()
    });
    scene.live("2026-01-07T12:00");
    assert_eq!(
        scene.last("ops", "budget/all/2026-01-01/used 0.5"),
        Some(false)
    );
    scene.must_be_right();
}

#[test]
fn a_renamed_hook_takes_over_what_was_told() {
    let mut scene = firing();
    scene.edit("the hook is renamed", |plan| {
        plan.hooks[0].name = "operations".to_owned();
        plan.budgets[0].hooks = vec!["operations".to_owned()];
    });
    scene.live("2026-01-08T12:00");
    assert_eq!(scene.told("ops").len(), 1, "{:?}", scene.told("ops"));
    scene.live("2026-02-05T12:00");
    assert_eq!(
        scene.last("ops", "budget/all/2026-01-01/used 0.5"),
        Some(false)
    );
    scene.must_be_right();
}

#[test]
fn an_added_hook_learns_what_fires() {
    let mut scene = firing();
    scene.edit("a hook is added", |plan| {
        plan.hooks.push(hook("new"));
        plan.budgets[0].hooks.push("new".to_owned());
    });
    scene.live("2026-01-07T12:00");
    assert_eq!(
        scene.last("new", "budget/all/2026-01-01/used 0.5"),
        Some(true)
    );
    assert_eq!(scene.told("ops").len(), 1, "{:?}", scene.told("ops"));
    scene.must_be_right();
}

#[test]
fn a_hook_that_was_gone_learns_the_truth_when_it_is_back() {
    let mut scene = firing();
    scene.edit("the hook is gone", |plan| {
        plan.hooks[0] = hook("other");
        plan.budgets[0].hooks = vec!["other".to_owned()];
    });
    scene.live("2026-01-07T12:00");
    assert_eq!(scene.told("ops").len(), 1, "{:?}", scene.told("ops"));
    scene.edit("the budget is larger", |plan| {
        plan.budgets[0].credits = 100_000.0
    });
    scene.live("2026-01-08T12:00");
    scene.edit("the hook is back", |plan| {
        plan.hooks.push(hook("ops"));
        plan.budgets[0].hooks.push("ops".to_owned());
    });
    scene.live("2026-01-09T12:00");
    assert_eq!(
        scene.last("ops", "budget/all/2026-01-01/used 0.5"),
        Some(false)
    );
    scene.must_be_right();
}

#[test]
fn the_last_word_is_tried_daily_after_the_tenth_try() {
    let mut scene = firing();
    scene.close_desk("ops", at("2026-01-25T06:00"));
    scene.live("2026-01-28T12:00");
    assert_eq!(
        scene.last("ops", "budget/all/2026-01-01/used 1"),
        Some(true)
    );
    scene.must_be_right();
}

#[test]
fn a_message_that_was_taken_before_a_kill_is_sent_again_with_its_id() {
    let mut scene = firing();
    scene.office.floor().desk("ops").replies = vec![Reply::TakeAndKill];
    scene.live("2026-01-12T12:00");
    assert_eq!(scene.restarts, 1);
    let messages = scene.office.floor().messages;
    assert_eq!((messages, scene.told("ops").len()), (3, 2));
    scene.must_be_right();
}
