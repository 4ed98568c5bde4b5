//! Summaries in the outbox.

use super::*;
use crate::summary;
use crate::tabulate::Step;

fn weekly() -> summary::Settings {
    summary::Settings {
        name: "monday".into(),
        period: Step::Week,
        grouping: "agent".parse().unwrap(),
        top: 10,
        hooks: vec!["ops".into()],
    }
}

impl Scene {
    /// A scene with the summary, evaluated on Monday the 23rd for the first time.
    async fn of_summary() -> Self {
        let mut scene = Self::new(vec![]).await;
        scene.settings.summaries = vec![weekly()];
        scene.configure(scene.settings.clone());
        scene.evaluate_at(NOON).await;
        scene
    }

    /// The titles of the summaries in the outbox.
    async fn titles(&self) -> Vec<String> {
        let outbox = self.outbox().await.into_iter();
        outbox
            .map(|record| {
                assert!(record.delivery.alerts.is_empty());
                let sent: Notification =
                    serde_json::from_str(&record.delivery.notification).unwrap();
                assert!(sent.alerts.is_empty() && !sent.test);
                sent.summary.unwrap().title
            })
            .collect()
    }
}

const FIRST: &str = "Weekly summary monday: 7 credits used from 23 Nov through 29 Nov";

#[tokio::test]
async fn a_summary_is_sent_once_all_is_known_and_never_again() {
    let mut scene = Scene::of_summary().await;
    // The week before the first start is nobody's concern.
    scene.commit("2026-11-16", "2026-11-22", 5.0).await;
    scene.evaluate_at("2026-11-23T13:00:00Z").await;
    scene.commit("2026-11-23", "2026-11-28", 1.0).await;
    scene.evaluate_at("2026-11-30T00:00:01Z").await;
    assert_eq!(scene.titles().await, [""; 0]);
    scene.commit("2026-11-29", "2026-11-29", 1.0).await;
    scene.evaluate_at("2026-11-30T00:15:00Z").await;
    let told = format!("{FIRST}, 80% less than in the week before");
    assert_eq!(scene.titles().await, [told.as_str()]);
    assert!(scene.is_notified());
    // Neither a correction nor a restart nor another week makes it two.
    scene.commit("2026-11-29", "2026-11-29", 9.0).await;
    for now in [
        "2026-11-30T01:00:00Z",
        "2026-12-02T01:00:00Z",
        "2026-12-06T23:00:00Z",
    ] {
        scene.restart();
        scene.evaluate_at(now).await;
    }
    assert_eq!(scene.titles().await, [told.as_str()]);
    scene.commit("2026-11-30", "2026-12-06", 1.0).await;
    scene.evaluate_at("2026-12-07T00:15:00Z").await;
    assert_eq!(scene.titles().await.len(), 2);
}

#[tokio::test]
async fn what_is_missing_is_waited_for_until_wednesday() {
    let mut scene = Scene::of_summary().await;
    scene.commit("2026-11-23", "2026-11-28", 1.0).await;
    for now in ["2026-11-30T12:00:00Z", "2026-12-01T23:59:59Z"] {
        scene.evaluate_at(now).await;
        assert_eq!(scene.titles().await, [""; 0], "{now}");
    }
    scene.evaluate_at("2026-12-02T00:00:00Z").await;
    let expected = "Weekly summary monday: at least 6 credits used from 23 Nov through 29 Nov";
    assert_eq!(scene.titles().await, [expected]);
}

#[tokio::test]
async fn an_exporter_that_was_off_for_weeks_tells_of_the_last_one() {
    let mut scene = Scene::of_summary().await;
    scene.commit("2026-12-01", "2026-12-20", 1.0).await;
    scene.restart();
    scene.evaluate_at("2026-12-23T12:00:00Z").await;
    let expected = "Weekly summary monday: 7 credits used from 14 Dec through 20 Dec";
    assert_eq!(scene.titles().await, [expected]);
    // Under another period it begins anew.
    scene.settings.summaries[0].period = Step::Month;
    scene.configure(scene.settings.clone());
    scene.evaluate_at("2026-12-23T13:00:00Z").await;
    assert_eq!(scene.titles().await.len(), 1);
    scene.commit("2026-12-01", "2026-12-31", 1.0).await;
    scene.evaluate_at("2027-01-01T00:15:00Z").await;
    let titles = scene.titles().await;
    let monthly = "Monthly summary monday: 31 credits used in December 2026";
    assert_eq!(titles.last().unwrap(), monthly);
}

#[tokio::test]
async fn a_clock_that_ran_ahead_delays_no_summary_for_longer_than_its_week() {
    let mut scene = Scene::of_summary().await;
    scene.commit("2026-11-16", "2026-11-28", 1.0).await;
    // A year ahead, and nobody contradicts it.
    scene.evaluate_at("2027-11-24T12:00:00Z").await;
    let ahead = scene.titles().await.len();
    scene.evaluate_at("2026-11-24T12:00:00Z").await;
    scene.commit("2026-11-29", "2026-11-29", 1.0).await;
    scene.evaluate_at("2026-11-30T00:15:00Z").await;
    let titles = scene.titles().await;
    assert_eq!(titles.len(), ahead + 1);
    assert_eq!(titles.last().unwrap(), FIRST);
}

#[tokio::test]
async fn a_clock_that_nothing_confirms_sends_none() {
    let scene = Scene::of_summary().await;
    scene.commit("2026-11-16", "2026-11-29", 1.0).await;
    let doubted = CheckedClock::new(Arc::clone(&scene.clock) as SharedClock);
    scene.clock.set(at("2026-11-30T12:00:00Z"));
    let mut engine = engine(
        &scene.settings,
        &scene.ledger,
        &doubted,
        &scene.telemetry,
        &scene.signals,
        &scene.outbox,
    );
    engine.evaluate().await.unwrap();
    assert_eq!(scene.titles().await, [""; 0]);
}
