//! Scrapes at the worst moments.

use std::sync::Arc;

use flowgent_exporter::simulator::{Fault, Times};
use tokio::task::JoinSet;

use crate::harness::{Scene, many_agents};

#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_does_not_wait_for_a_sync_that_hangs() {
    let scene = Scene::new("2026-03-04T09:00:00");
    let config = scene.config("").replace("\"30s\"", "\"10m\"");
    scene.write("config.toml", &config);
    let exporter = scene.start().await;
    exporter.wait_until_whole(&scene).await;
    let faults = scene.simulator.faults();
    faults.add_everywhere(Fault::Hang, Times::Always);
    scene.set_time("2026-03-05T00:10:00");
    let running = "flowgent_exporter_sync_running";
    let scrape = exporter
        .wait_until("the sync to hang", |scrape| {
            scrape.get(running) == Some(1.0) && scene.simulator.faults().met() == 5
        })
        .await;
    // The sync had not ended when this was answered, and it does not end while it hangs.
    assert_eq!(scene.untruths(&scrape), "");
    assert_eq!(exporter.scrape().await.get(running), Some(1.0));
    for path in ["/", "/-/healthy", "/-/ready"] {
        let (head, _) = exporter.get(path, "").await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
    }
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_scrapers_during_a_backfill_see_nothing_but_the_truth() {
    let scene = Arc::new(Scene::with("2026-03-04T09:00:00", many_agents(30)));
    let exporter = Arc::new(scene.start().await);
    let mut scrapers = JoinSet::new();
    for _ in 0..50 {
        let (scene, exporter) = (Arc::clone(&scene), Arc::clone(&exporter));
        scrapers.spawn(async move {
            let mut counted = 0.0;
            for _ in 0..4 {
                let scrape = exporter.scrape().await;
                assert_eq!(scene.untruths(&scrape), "");
                let now = scrape.sum("flowgent_agent_used_credits_total");
                assert!(now >= counted, "{counted}, then {now}");
                counted = now;
            }
        });
    }
    while let Some(scraper) = scrapers.join_next().await {
        scraper.unwrap();
    }
    exporter.wait_until_whole(&scene).await;
}
