//! Rules about agents that are used less than usual, or not at all.

use super::super::facts::{used_days, without_probes};
use super::former::Scene;
use super::*;
use crate::day::Usage;
use crate::ledger::Fetched;
use crate::window::Window;

pub(super) const DROP: Check = Check::Drop {
    factor: 0.2,
    floor_credits: 10.0,
    severity: Severity::Warning,
};
const SILENT: Check = Check::Silent {
    days: 3,
    severity: Severity::Warning,
};

/// One agent that used 100 credits a day until 18 November.
async fn scene() -> Scene {
    let mut scene = Scene::new();
    scene
        .enrol(&[(agent("acme", "support"), None)], "2026-09-01")
        .await;
    scene.commit(0, "2025-05-28", "2026-11-18", 100.0).await;
    scene
}

/// Credits of the days from `first` on, as FlowGent tells them on the day `at`.
async fn fetch(scene: &Scene, first: &str, credits: &[f64], at: &str) {
    let (first, at) = (day(first), day(at));
    let last = first.plus(credits.len() as i32 - 1);
    let days = first.through(last).zip(credits);
    let fetched = Fetched {
        agent: scene.members[0].number,
        window: Window::new(first, last, at).unwrap(),
        rows: days.map(|(day, &credits)| Usage { day, credits }).collect(),
        at: at.start(),
    };
    scene.ledger.commit(fetched).await.unwrap();
}

/// Titles of what is sent on each of these days.
async fn told(scene: &Scene, stage: &mut Stage, today: &str) -> Vec<String> {
    let facts = scene.facts(&stage.settings.rules.clone(), today).await;
    let step = stage.step(&facts, day(today).start());
    let titles = step.told.into_iter().map(|told| told.notice.title);
    titles.collect()
}

const NOTHING: [&str; 0] = [];

#[tokio::test]
async fn a_drop_is_told_once_its_day_is_settled() {
    let scene = scene().await;
    let mut stage = Stage::new(settings(vec![rule("less", DROP)]));
    fetch(&scene, "2026-11-19", &[10.0, 100.0, 100.0], "2026-11-22").await;
    assert_eq!(told(&scene, &mut stage, "2026-11-22").await, NOTHING);
    fetch(
        &scene,
        "2026-11-19",
        &[10.0, 100.0, 100.0, 100.0],
        "2026-11-23",
    )
    .await;
    assert_eq!(
        told(&scene, &mut stage, "2026-11-23").await,
        ["less: agent acme/support used 10 credits on 19 Nov, 10% of the usual 100"]
    );
    fetch(&scene, "2026-11-20", &[20.0], "2026-11-24").await;
    assert_eq!(
        told(&scene, &mut stage, "2026-11-24").await,
        ["Resolved: less: agent acme/support used 20 credits on 20 Nov, 20% of the usual 100"]
    );
}

#[tokio::test]
async fn a_drop_that_is_revised_within_a_week_is_told_as_late() {
    let scene = scene().await;
    let mut stage = Stage::new(settings(vec![rule("less", DROP)]));
    fetch(&scene, "2026-11-19", &[100.0; 4], "2026-11-23").await;
    assert_eq!(told(&scene, &mut stage, "2026-11-23").await, NOTHING);
    fetch(&scene, "2026-11-19", &[5.0, 100.0], "2026-11-24").await;
    assert_eq!(
        told(&scene, &mut stage, "2026-11-24").await,
        ["less: agent acme/support used 5 credits on 19 Nov, 5% of the usual 100, reported late"]
    );
}

#[tokio::test]
async fn little_use_has_no_drops() {
    let mut scene = Scene::new();
    scene
        .enrol(&[(agent("acme", "support"), None)], "2026-09-01")
        .await;
    scene.commit(0, "2025-05-28", "2026-11-18", 10.0).await;
    fetch(&scene, "2026-11-19", &[0.0; 4], "2026-11-23").await;
    let mut stage = Stage::new(settings(vec![rule("less", DROP)]));
    assert_eq!(told(&scene, &mut stage, "2026-11-23").await, NOTHING);
}

#[tokio::test]
async fn an_agent_in_use_is_silent_after_so_many_days_without_use() {
    let scene = scene().await;
    let mut stage = Stage::new(settings(vec![rule("quiet", SILENT)]));
    fetch(&scene, "2026-11-19", &[0.0, 0.0], "2026-11-21").await;
    assert_eq!(told(&scene, &mut stage, "2026-11-21").await, NOTHING);
    fetch(&scene, "2026-11-21", &[0.0], "2026-11-22").await;
    let title = "agent acme/support used nothing from 19 Nov through 21 Nov, after use on 28 of the 28 days before";
    assert_eq!(
        told(&scene, &mut stage, "2026-11-22").await,
        [format!("quiet: {title}")]
    );
    // What is not known ends nothing.
    assert_eq!(told(&scene, &mut stage, "2026-11-23").await, NOTHING);
    fetch(&scene, "2026-11-22", &[7.0], "2026-11-23").await;
    assert_eq!(
        told(&scene, &mut stage, "2026-11-23").await,
        ["Resolved: quiet: agent acme/support used 7 credits on 22 Nov"]
    );
}

#[tokio::test]
async fn an_agent_that_leaves_is_neither_silent_nor_less_used() {
    let mut scene = scene().await;
    let rules = vec![rule("quiet", SILENT), rule("less", DROP)];
    let mut stage = Stage::new(settings(rules.clone()));
    fetch(&scene, "2026-11-19", &[0.0; 4], "2026-11-23").await;
    let unlisted = (agent("acme", "support"), Some("2026-11-22"));
    scene.enrol(&[unlisted], "2026-11-22").await;
    assert_eq!(told(&scene, &mut stage, "2026-11-23").await, NOTHING);
    scene
        .enrol(&[(agent("acme", "support"), None)], "2026-11-23")
        .await;
    assert_eq!(told(&scene, &mut stage, "2026-11-23").await.len(), 2);
    scene.enrol(&[], "2026-11-23").await;
    let firing = [crate::ledger::AgentNumber(1)];
    let facts = scene
        .facts_while_firing(&rules, "2026-11-24", &firing)
        .await;
    let step = stage.step(&facts, day("2026-11-24").start());
    let titles: Vec<&str> = step.told.iter().map(|told| &*told.notice.title).collect();
    assert_eq!(
        titles,
        [
            "Resolved: quiet: agent acme/support has left",
            "Resolved: less: agent acme/support has left"
        ]
    );
}

#[tokio::test]
async fn days_after_it_left_are_judged_once_an_agent_is_back() {
    let mut scene = scene().await;
    let rules = vec![rule("quiet", SILENT)];
    let mut stage = Stage::new(settings(rules.clone()));
    fetch(&scene, "2026-11-18", &[0.0; 3], "2026-11-21").await;
    assert_eq!(told(&scene, &mut stage, "2026-11-21").await.len(), 1);
    scene.enrol(&[], "2026-11-21").await;
    let firing = [crate::ledger::AgentNumber(1)];
    for today in ["2026-11-22", "2026-11-23"] {
        let facts = scene.facts_while_firing(&rules, today, &firing).await;
        stage.step(&facts, day(today).start());
    }
    scene
        .enrol(&[(agent("acme", "support"), None)], "2026-11-25")
        .await;
    fetch(&scene, "2026-11-21", &[0.0, 0.0, 0.0, 5.0], "2026-11-25").await;
    assert_eq!(
        told(&scene, &mut stage, "2026-11-25").await,
        ["quiet: agent acme/support used nothing on 21 Nov, 22 Nov, 23 Nov, reported late"]
    );
}

#[tokio::test]
async fn days_that_settled_while_an_agent_was_gone_are_judged_once_it_is_back() {
    let unlisted = (agent("acme", "support"), Some("2026-11-22"));
    for absent in [Vec::new(), vec![unlisted]] {
        let mut scene = scene().await;
        let rules = vec![rule("less", DROP)];
        let mut stage = Stage::new(settings(rules.clone()));
        fetch(&scene, "2026-11-19", &[100.0, 5.0, 5.0], "2026-11-22").await;
        assert_eq!(told(&scene, &mut stage, "2026-11-22").await, NOTHING);
        fetch(&scene, "2026-11-20", &[5.0], "2026-11-24").await;
        scene.enrol(&absent, "2026-11-22").await;
        let firing = [crate::ledger::AgentNumber(1)];
        for today in ["2026-11-24", "2026-11-25"] {
            let facts = scene.facts_while_firing(&rules, today, &firing).await;
            let step = stage.step(&facts, day(today).start());
            assert!(step.told.is_empty(), "{absent:?}");
        }
        scene
            .enrol(&[(agent("acme", "support"), None)], "2026-11-25")
            .await;
        fetch(&scene, "2026-11-21", &[100.0, 100.0], "2026-11-26").await;
        let title =
            "agent acme/support used 5 credits on 20 Nov, 5% of the usual 100, reported late";
        let expected = [format!("less: {title}")];
        assert_eq!(
            told(&scene, &mut stage, "2026-11-26").await,
            expected,
            "{absent:?}"
        );
    }
}

/// Facts whose agent was used on these days before 23 November: `1` on each that it was, `?` on each that
/// nobody knows.
fn used(days: &str) -> AgentFacts {
    let today = day("2026-11-23");
    let first = today.plus(-(days.len() as i32));
    let known = first
        .through(today.previous())
        .zip(days.bytes())
        .filter(|(_, sign)| *sign != b'?')
        .map(|(day, sign)| Usage {
            day,
            credits: f64::from(sign - b'0'),
        });
    let known: Vec<Usage> = known.collect();
    let mut facts = unread(&[("acme", "support")]).remove(0);
    (facts.used_days, facts.known_days) = used_days(&known, today);
    facts.days = super::super::facts::days(&known, today);
    facts
}

#[test]
fn an_agent_was_in_use_on_four_of_the_28_days_before() {
    let zeros = "0".repeat(24);
    for (days, expected) in [
        (format!("1111{zeros}000"), Condition::Met),
        (format!("0111{zeros}000"), Condition::NotMet),
        (format!("?111{zeros}000"), Condition::Unknown),
        (format!("11110{zeros}000"), Condition::NotMet),
        (format!("11111{}?00", "1".repeat(20)), Condition::Unknown),
        // The newest known day decides.
        (format!("{}00?", "1".repeat(30)), Condition::NotMet),
        (format!("{}000?", "1".repeat(30)), Condition::Met),
    ] {
        let mut facts = facts("2026-11-23");
        facts.agents = vec![used(&days)];
        facts.watched_from.insert("quiet".into(), TRACKING_START);
        let rules = [rule("quiet", SILENT)];
        assert_eq!(judge(&rules, &facts)[0].condition, expected, "{days}");
    }
}

#[test]
fn use_by_probes_is_no_use() {
    let today = day("2026-11-23");
    let days = [(1, 0.3), (2, 5.3), (3, 0.1 + 0.2)];
    let mut recent = days.map(|(ago, credits)| Usage {
        day: today.plus(-ago),
        credits,
    });
    recent.reverse();
    let probes = [1, 2, 3].map(|ago| Usage {
        day: today.plus(-ago),
        credits: 0.3,
    });
    let unprobed = without_probes(&recent, Some(&probes));
    assert_eq!(used_days(&unprobed, today), (0b010, 0b111));
    assert_eq!(
        used_days(&without_probes(&recent, None), today),
        (0b111, 0b111)
    );
}
