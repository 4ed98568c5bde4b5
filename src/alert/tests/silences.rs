//! Silences: nothing is sent meanwhile, and the present state at their end.

use super::*;
use crate::ledger::Silence;

const SUBJECT: &str = "acme/support";

/// The rule `busy` about one agent.
fn busy() -> Stage {
    let check = usage_rule(Span::Previous7Days, Per::Agent);
    Stage::new(settings(vec![rule("busy", check)]))
}

/// The agent's use in the week before that day.
fn used_by(today: &str, credits: f64) -> Facts {
    let mut facts = facts(today);
    facts.agents = unread(&[("acme", "support")]);
    facts.agents[0].previous_7_days = known(credits);
    facts
}

fn silence(stage: &mut Stage, rule: &str, subject: Option<&str>) {
    stage.memory.outside.silences = vec![Silence {
        rule: rule.into(),
        subject: subject.map(Into::into),
        until: day("2027-11-01"),
        since: at("2026-11-01T00:00:00Z"),
        reason: "moving".to_owned(),
    }];
}

fn cx() -> Stage {
    let thresholds = [used(0.5), used(0.8), critical(used(1.0))];
    Stage::new(settings(vec![budget("cx", MONTH, 5_000.0, &thresholds)]))
}

/// November's budget on that day.
fn november_on(today: &str, used_credits: f64) -> Facts {
    let mut facts = facts(today);
    let standing = current(november(used_credits));
    facts.budgets.insert("cx".into(), vec![standing]);
    facts
}

#[test]
fn what_fires_while_silenced_is_told_at_the_end_if_it_still_fires() {
    for (subject, other) in [(None, "acme"), (Some("all"), "acme/support")] {
        let mut stage = cx();
        silence(&mut stage, "cx", subject);
        let low = november_on("2026-11-20", 2_600.0);
        assert!(stage.told(&low, "2026-11-20T01:00:00Z").is_empty());
        let high = november_on("2026-11-22", 5_100.0);
        assert!(stage.told(&high, "2026-11-22T01:00:00Z").is_empty());
        assert_eq!(stage.all(AlertState::Firing).len(), 3, "it is shown");
        stage.memory.outside.silences.clear();
        let told = stage.told(&high, "2026-11-23T01:00:00Z");
        assert_eq!(told, ["+cx/all/2026-11-01/used 1"]);
        assert!(stage.told(&high, "2026-11-23T02:00:00Z").is_empty());
        // Others are not silenced by it.
        let mut stage = cx();
        silence(&mut stage, "cx", Some(other));
        assert_eq!(stage.told(&high, "2026-11-22T01:00:00Z").len(), 1);
        silence(&mut stage, "other", None);
        let none = november_on("2026-11-23", 10.0);
        assert_eq!(stage.told(&none, "2026-11-23T01:00:00Z").len(), 1);
    }
}

#[test]
fn what_resolves_while_silenced_is_told_at_the_end_however_long_that_takes() {
    let mut stage = cx();
    let high = november_on("2026-11-22", 5_100.0);
    assert_eq!(stage.told(&high, "2026-11-22T01:00:00Z").len(), 1);
    silence(&mut stage, "cx", None);
    let none = november_on("2026-11-23", 10.0);
    assert!(stage.told(&none, "2026-11-23T01:00:00Z").is_empty());
    // Longer than a resolved alert is remembered.
    let later = facts("2027-02-23");
    assert!(stage.told(&later, "2027-02-23T01:00:00Z").is_empty());
    stage.memory.outside.silences.clear();
    let told = stage.told(&later, "2027-02-24T01:00:00Z");
    assert_eq!(told, ["-cx/all/2026-11-01/used 1"]);
    assert!(stage.told(&later, "2027-02-25T01:00:00Z").is_empty());
}

#[test]
fn a_hook_that_knows_how_it_stands_is_told_nothing_at_the_end() {
    let mut stage = busy();
    let (above, below) = (used_by("2026-11-23", 1_500.0), used_by("2026-11-24", 10.0));
    // It began and ended while silenced.
    silence(&mut stage, "busy", Some(SUBJECT));
    assert!(stage.told(&above, "2026-11-23T01:00:00Z").is_empty());
    assert!(stage.told(&below, "2026-11-24T01:00:00Z").is_empty());
    stage.memory.outside.silences.clear();
    assert!(stage.told(&below, "2026-11-24T02:00:00Z").is_empty());
    // It was told as firing, ended, and fires again.
    let again = used_by("2026-11-25", 1_500.0);
    assert_eq!(stage.told(&again, "2026-11-25T01:00:00Z").len(), 1);
    silence(&mut stage, "busy", None);
    let below = used_by("2026-11-26", 10.0);
    assert!(stage.told(&below, "2026-11-26T01:00:00Z").is_empty());
    let above = used_by("2026-11-27", 1_500.0);
    assert!(stage.told(&above, "2026-11-27T01:00:00Z").is_empty());
    stage.memory.outside.silences.clear();
    assert!(stage.told(&above, "2026-11-27T02:00:00Z").is_empty());
    let below = used_by("2026-11-28", 10.0);
    assert_eq!(
        stage.told(&below, "2026-11-28T01:00:00Z"),
        [format!("-busy/{SUBJECT}")]
    );
}

#[test]
fn an_end_that_is_owed_outlasts_a_pending_alert() {
    let without = |today: &str, oldest: Option<&str>| {
        let mut facts = facts(today);
        facts.agents = unread(&[("acme", "support")]);
        facts.agents[0].missing_since = oldest.map(day);
        facts.watched_from.insert("stale".into(), TRACKING_START);
        facts
    };
    for is_silenced_until_the_end in [true, false] {
        let mut stage = Stage::new(settings(vec![rule("stale", MISSING)]));
        let missing = without("2026-11-23", Some("2026-11-01"));
        assert!(stage.told(&missing, "2026-11-23T00:00:00Z").is_empty());
        assert_eq!(stage.told(&missing, "2026-11-23T07:00:00Z").len(), 1);
        silence(&mut stage, "stale", None);
        let sound = without("2026-11-23", None);
        assert!(stage.told(&sound, "2026-11-23T08:00:00Z").is_empty());
        let missing = without("2026-11-24", Some("2026-11-23"));
        assert!(stage.told(&missing, "2026-11-24T01:00:00Z").is_empty());
        assert_eq!(stage.all(AlertState::Pending).len(), 1);
        if is_silenced_until_the_end {
            let sound = without("2026-11-24", None);
            assert!(stage.told(&sound, "2026-11-24T02:00:00Z").is_empty());
            stage.memory.outside.silences.clear();
            let told = stage.told(&sound, "2026-11-24T03:00:00Z");
            assert_eq!(told, [format!("-stale/{SUBJECT}")]);
        } else {
            stage.memory.outside.silences.clear();
            let told = stage.told(&missing, "2026-11-24T03:00:00Z");
            assert_eq!(told, [format!("-stale/{SUBJECT}")]);
            // It is pending still, and fires in its time.
            let told = stage.told(&missing, "2026-11-24T07:01:00Z");
            assert_eq!(told, [format!("+stale/{SUBJECT}")]);
        }
    }
}

#[test]
fn a_hook_that_is_removed_from_a_rule_while_it_is_silenced_learns_that_at_the_end() {
    let mut stage = busy();
    let above = used_by("2026-11-23", 1_500.0);
    assert_eq!(stage.told(&above, "2026-11-23T01:00:00Z").len(), 1);
    silence(&mut stage, "busy", None);
    stage.settings.rules[0].hooks.clear();
    assert!(stage.told(&above, "2026-11-23T02:00:00Z").is_empty());
    stage.memory.outside.silences.clear();
    let told = stage.step(&above, at("2026-11-23T03:00:00Z")).told;
    assert_eq!(told.len(), 1);
    assert!(told[0].notice.title.starts_with("No longer sent here: "));
}
