//! Start, restart, and days that pass.

use flowgent_exporter::day::TRACKING_START;
use flowgent_exporter::simulator::Endpoint;

use crate::harness::{Scene, day};

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_fills_the_history_and_publishes_exact_figures() {
    let scene = Scene::new("2026-03-10T09:00:00");
    let exporter = scene.start().await;
    let support = scene.agent("acme", "support");
    let total = scene.sum(&support, TRACKING_START, day("2026-03-09"));
    let scrape = exporter
        .wait_until("the whole history", |scrape| {
            scrape.of(&support, "used_credits_total") == Some(total)
        })
        .await;
    let figure = |family| scrape.of(&support, family);
    let yesterday = day("2026-03-09");
    assert_eq!(
        figure("previous_day_credits"),
        Some(scene.truth(&support, yesterday))
    );
    let week = scene.sum(&support, day("2026-03-03"), yesterday);
    assert_eq!(figure("previous_7_days_credits"), Some(week));
    let month = scene.sum(&support, day("2026-03-01"), yesterday);
    assert_eq!(figure("month_to_date_credits"), Some(month));
    let february = scene.sum(&support, day("2026-02-01"), day("2026-02-28"));
    assert_eq!(figure("previous_month_credits"), Some(february));
    assert_eq!(figure("missing_days"), Some(0.0));
    assert_eq!(figure("up"), Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_on_the_same_day_asks_for_nothing() {
    let scene = Scene::new("2026-03-10T09:00:00");
    let exporter = scene.start().await;
    exporter.wait_for_syncs(1).await;
    exporter.stop().await;
    let support = scene.agent("acme", "support");
    let asked = scene.simulator.journal().count(&support, Endpoint::Usage);
    // 286 days are ten windows.
    assert_eq!(asked, 10);

    let exporter = scene.start().await;
    let scrape = exporter.wait_for_syncs(1).await;
    assert_eq!(
        scene.simulator.journal().count(&support, Endpoint::Usage),
        asked
    );
    let total = scene.sum(&support, TRACKING_START, day("2026-03-09"));
    assert_eq!(scrape.of(&support, "used_credits_total"), Some(total));
}
