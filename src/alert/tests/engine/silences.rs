//! Silences, by a clock that may be wrong.

use super::*;
use crate::ledger::{Silence, silence};

#[tokio::test]
async fn a_clock_far_ahead_that_nothing_confirms_ends_and_forgets_no_silence() {
    let mut scene = Scene::new(vec![heavy()]).await;
    scene.commit("2026-11-22", "2026-11-22", 2_000.0).await;
    let silenced = Silence {
        rule: "heavy".into(),
        subject: None,
        until: day("2026-12-01"),
        since: at(NOON),
        reason: "a move".to_owned(),
    };
    silence(&scene.folder.path().join("ledger.db"), &silenced).unwrap();
    scene.evaluate_at(NOON).await;
    assert_eq!(scene.alerts().await.len(), 1);
    assert!(scene.outbox().await.is_empty());

    // It starts with a clock that is so far ahead that what ended on 1 December would be forgotten.
    let clock = CheckedClock::new(Arc::clone(&scene.clock) as SharedClock);
    scene.clock.set(at("2027-02-20T12:00:00Z"));
    scene.restart_by(&clock);
    scene.engine.evaluate().await.unwrap();
    assert!(scene.outbox().await.is_empty(), "the silence still holds");

    scene.clock.set(at("2026-11-23T13:00:00Z"));
    clock.hear(Some(TimeDelta::zero()));
    scene.engine.evaluate().await.unwrap();
    assert!(scene.outbox().await.is_empty());
    let today = day("2026-11-23");
    assert_eq!(scene.ledger.silences(today).await.unwrap(), [silenced]);

    // It ends on its day.
    scene.clock.set(at("2026-12-01T00:00:00Z"));
    clock.hear(Some(TimeDelta::zero()));
    scene.engine.evaluate().await.unwrap();
    assert_eq!(scene.outbox().await.len(), 1);
}
