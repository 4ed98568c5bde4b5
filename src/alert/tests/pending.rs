//! Missing data is pending before it fires.

use super::*;

/// One agent without the days from `oldest` on, as a rule sees it that has always been watched.
fn without(oldest: Option<&str>) -> Facts {
    let mut facts = facts("2026-11-23");
    facts.agents = unread(&[("acme", "support")]);
    facts.agents[0].missing_since = oldest.map(day);
    facts.watched_from.insert("stale".into(), TRACKING_START);
    facts
}

#[test]
fn missing_data_is_pending_until_it_has_been_over_and_seen_for_long_enough() {
    let mut stage = Stage::new(settings(vec![rule("stale", MISSING)]));
    let missing = without(Some("2026-11-22"));
    let step = stage.step(&missing, at("2026-11-23T00:00:00Z"));
    assert_eq!(step.next, Some(at("2026-11-23T06:00:00.001Z")));
    let firing_at: Vec<_> = step.firing_at.values().copied().collect();
    assert_eq!(firing_at, [at("2026-11-23T06:00:00.001Z")]);
    assert_eq!(stage.all(AlertState::Pending), ["acme/support "]);
    stage.restart();
    assert!(stage.told(&missing, "2026-11-23T06:00:00Z").is_empty());
    assert_eq!(
        stage.told(&missing, "2026-11-23T06:00:00.001Z"),
        ["+stale/acme/support"]
    );
    assert!(stage.told(&missing, "2026-11-23T12:00:00Z").is_empty());
    assert_eq!(
        stage.told(&without(None), "2026-11-23T13:00:00Z"),
        ["-stale/acme/support"]
    );
}

#[test]
fn data_that_has_long_been_missing_when_it_is_first_seen_is_pending_from_then_on() {
    let mut stage = Stage::new(settings(vec![rule("stale", MISSING)]));
    let missing = without(Some("2026-11-01"));
    assert!(stage.told(&missing, "2026-11-23T09:00:00Z").is_empty());
    assert!(stage.told(&missing, "2026-11-23T15:00:00Z").is_empty());
    assert_eq!(stage.told(&missing, "2026-11-23T15:01:00Z").len(), 1);
}

#[test]
fn what_is_pending_since_a_time_to_come_is_pending_from_now_on() {
    let mut stage = Stage::new(settings(vec![rule("stale", MISSING)]));
    let missing = without(Some("2026-11-01"));
    assert!(stage.told(&missing, "2027-11-23T09:00:00Z").is_empty());
    let step = stage.step(&missing, at("2026-11-23T09:00:00Z"));
    assert_eq!(step.next, Some(at("2026-11-23T15:00:00.001Z")));
    let step = stage.step(&missing, at("2026-11-23T12:00:00Z"));
    assert_eq!(step.next, Some(at("2026-11-23T15:00:00.001Z")));
    assert_eq!(stage.told(&missing, "2026-11-23T15:00:00.001Z").len(), 1);
}

#[test]
fn what_is_pending_and_then_is_not_so_is_forgotten() {
    let mut stage = Stage::new(settings(vec![rule("stale", MISSING)]));
    stage.told(&without(Some("2026-11-22")), "2026-11-23T00:00:00Z");
    assert!(
        stage
            .told(&without(None), "2026-11-23T00:12:00Z")
            .is_empty()
    );
    assert!(stage.memory.alerts.is_empty());
    stage.told(&without(Some("2026-11-22")), "2026-11-23T00:00:00Z");
    assert!(
        stage
            .told(&facts("2026-11-23"), "2026-11-23T12:00:00Z")
            .is_empty()
    );
    assert!(stage.memory.alerts.is_empty(), "its agent is gone");
}

#[test]
fn a_duration_beyond_the_calendar_is_never_over() {
    let check = Check::MissingData {
        longer_than: Duration::MAX,
        severity: Severity::Warning,
    };
    let mut stage = Stage::new(settings(vec![rule("stale", check)]));
    let missing = without(Some("2026-11-01"));
    assert!(stage.told(&missing, "2026-11-23T09:00:00Z").is_empty());
    assert!(stage.told(&missing, "2999-11-23T09:00:00Z").is_empty());
}

#[test]
fn an_agent_that_is_renamed_while_it_is_pending_fires_in_time_under_its_new_name() {
    let mut stage = Stage::new(settings(vec![rule("stale", MISSING)]));
    let mut missing = without(Some("2026-11-22"));
    assert!(stage.told(&missing, "2026-11-23T00:00:00Z").is_empty());
    missing.agents[0].member.agent.name = "help".into();
    missing.agents[0].subject = "acme/help".into();
    assert!(stage.told(&missing, "2026-11-23T03:00:00Z").is_empty());
    assert_eq!(stage.all(AlertState::Pending), ["acme/help "]);
    stage.restart();
    assert_eq!(
        stage.told(&missing, "2026-11-23T06:00:00.001Z"),
        ["+stale/acme/help"]
    );
}
