//! Rules about days judge each day when it becomes known.

use super::*;

/// A day before which the rules were watched.
const LONG_AGO: &str = "2026-01-01";

fn stage() -> (Stage, Facts) {
    let rules = vec![rule("heavy", usage_rule(Span::PreviousDay, Per::Agent))];
    let mut facts = facts("2026-11-23");
    facts.agents = unread(&[("acme", "support")]);
    facts.watched_from.insert("heavy".into(), day(LONG_AGO));
    for days_ago in 1..=8 {
        facts.agents[0].used_on(days_ago, Some(10.0));
    }
    (Stage::new(settings(rules)), facts)
}

#[test]
fn a_day_that_becomes_known_after_a_newer_one_is_judged_and_told_for_a_day() {
    let (mut stage, mut facts) = stage();
    facts.agents[0].used_on(3, None);
    assert!(stage.told(&facts, "2026-11-23T00:12:00Z").is_empty());
    facts.agents[0].used_on(3, Some(5_000.0));
    let step = stage.step(&facts, at("2026-11-23T06:00:00Z"));
    assert_eq!(
        step.told[0].notice.title,
        "heavy: agent acme/support used 5,000 credits on 20 Nov, more than 1,000, reported late"
    );
    assert_eq!(step.next, None);
    stage.restart();
    let step = stage.step(&facts, at("2026-11-24T05:59:59Z"));
    assert!(step.told.is_empty());
    assert_eq!(step.next, Some(at("2026-11-24T06:00:00Z")));
    assert_eq!(
        stage.told(&facts, "2026-11-24T06:00:00Z"),
        ["-heavy/acme/support"]
    );
    assert!(
        stage.told(&facts, "2026-11-24T06:00:00Z").is_empty(),
        "judged once"
    );
}

#[test]
fn a_late_day_that_is_corrected_is_over_at_once_and_judged_again_when_it_rises() {
    let (mut stage, mut facts) = stage();
    facts.agents[0].used_on(3, Some(900.0));
    assert!(stage.told(&facts, "2026-11-23T00:12:00Z").is_empty());
    for _ in 0..2 {
        facts.agents[0].used_on(3, Some(5_000.0));
        assert_eq!(
            stage.told(&facts, "2026-11-23T06:00:00Z"),
            ["+heavy/acme/support"]
        );
        facts.agents[0].used_on(3, Some(900.0));
        assert_eq!(
            stage.told(&facts, "2026-11-23T07:00:00Z"),
            ["-heavy/acme/support"]
        );
    }
}

#[test]
fn days_that_come_late_together_are_one_message() {
    let (mut stage, mut facts) = stage();
    for days_ago in 1..=4 {
        facts.agents[0].used_on(days_ago, None);
    }
    stage.told(&facts, "2026-11-23T00:12:00Z");
    for days_ago in 2..=4 {
        facts.agents[0].used_on(days_ago, Some(2_000.0));
    }
    facts.agents[0].used(Some(10.0));
    let step = stage.step(&facts, at("2026-11-23T06:00:00Z"));
    assert_eq!(step.told.len(), 1);
    let notice = &step.told[0].notice;
    assert_eq!(
        notice.title,
        "heavy: agent acme/support used too much on 19 Nov, 20 Nov, 21 Nov, reported late"
    );
    assert!(
        notice
            .text
            .contains("Reported late: 2,000 credits on 19 Nov, more than 1,000."),
        "{}",
        notice.text
    );
}

#[test]
fn the_newest_known_day_decides_and_goes_on_to_while_yesterday_is_unknown() {
    let (mut stage, mut facts) = stage();
    facts.agents[0].used(Some(5_000.0));
    assert_eq!(stage.told(&facts, "2026-11-23T00:12:00Z").len(), 1);
    // At midnight, it is the day before yesterday, and yesterday is not known yet.
    facts.agents[0].used_on(2, Some(5_000.0));
    facts.agents[0].used(None);
    assert!(stage.told(&facts, "2026-11-24T00:00:00Z").is_empty());
    facts.agents[0].used(Some(10.0));
    assert_eq!(
        stage.told(&facts, "2026-11-24T00:12:00Z"),
        ["-heavy/acme/support"]
    );
}

#[test]
fn what_ended_before_a_rule_was_watched_is_not_judged_but_for_the_newest_day() {
    let (mut stage, mut facts) = stage();
    facts.watched_from.insert("heavy".into(), day("2026-11-23"));
    facts.agents[0].used_on(2, Some(5_000.0));
    facts.agents[0].used(None);
    assert!(stage.told(&facts, "2026-11-23T00:12:00Z").is_empty());
    facts.agents[0].used(Some(2_000.0));
    assert_eq!(stage.told(&facts, "2026-11-23T00:13:00Z").len(), 1);
}

#[test]
fn each_day_is_judged_against_its_own_eight_weeks() {
    let rules = vec![rule("spikes", SPIKE)];
    let mut facts = facts("2026-11-23");
    facts.agents = unread(&[("acme", "support")]);
    facts.watched_from.insert("spikes".into(), day(LONG_AGO));
    let mut stage = Stage::new(settings(rules));
    facts.agents[0].used(Some(350.0));
    facts.agents[0].usually(Some(200.0));
    assert!(stage.told(&facts, "2026-11-23T00:12:00Z").is_empty());
    facts.agents[0].days[5].usual_credits = Some(100.0);
    facts.agents[0].used_on(3, Some(350.0));
    let step = stage.step(&facts, at("2026-11-23T06:00:00Z"));
    assert_eq!(
        step.told[0].notice.title,
        "spikes: agent acme/support used 350 credits on 20 Nov, 3.5 times the usual 100, reported late"
    );
}

#[test]
fn the_days_of_several_agents_are_added_up() {
    let rules = vec![rule("heavy", usage_rule(Span::PreviousDay, Per::Total))];
    let mut facts = facts("2026-11-23");
    facts.agents = unread(&[("acme", "support"), ("acme", "sales")]);
    facts.watched_from.insert("heavy".into(), day(LONG_AGO));
    for agent in &mut facts.agents {
        agent.used(Some(10.0));
        agent.used_on(2, Some(600.0));
    }
    facts.agents[1].used_on(2, None);
    let mut stage = Stage::new(settings(rules));
    assert!(stage.told(&facts, "2026-11-23T00:12:00Z").is_empty());
    facts.agents[1].used_on(2, Some(600.0));
    let step = stage.step(&facts, at("2026-11-23T06:00:00Z"));
    assert_eq!(
        step.told[0].notice.title,
        "heavy: all agents together used 1,200 credits on 21 Nov, more than 1,000, reported late"
    );
}
