//! Scrapes at the worst moments.

use std::sync::Arc;
use std::time::Duration;

use flowgent_exporter::simulator::{Fault, Times};
use tokio::task::JoinSet;

use crate::harness::{Crowd, Exporter, Scene, many_agents};

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
            // The first request of each account goes alone.
            scrape.get(running) == Some(1.0) && scene.simulator.faults().met() >= 2
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

/// As many connections as a crowd of abusers holds at once.
const CROWD: usize = 2000;

/// The exporter's resident memory.
fn resident_bytes(exporter: &Exporter) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", exporter.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.unwrap().trim().trim_end_matches("kB").trim();
    kib.parse::<u64>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_idlers_is_shown_out_and_nobody_else_notices() {
    let scene = Scene::new("2026-03-04T09:00:00");
    let exporter = scene.start().await;
    exporter.wait_until_whole(&scene).await;
    exporter.wait_for_syncs(1).await;
    let before = resident_bytes(&exporter);
    let crowd = Crowd::gather(exporter.address(), None, CROWD);
    let mut shown_out = tokio::spawn(crowd.closed());
    let (mut scrapes, mut most) = (0, 0);
    let held = loop {
        let scrape = exporter.scrape().await;
        assert_eq!(scene.untruths(&scrape), "");
        scrapes += 1;
        most = most.max(resident_bytes(&exporter));
        let waited = tokio::time::timeout(Duration::from_millis(20), &mut shown_out).await;
        if let Ok(held) = waited {
            break held.unwrap();
        }
    };
    assert!(scrapes > 10);
    assert_eq!(held.len(), CROWD);
    assert!(
        most.saturating_sub(before) < 20_000_000,
        "{before}, then {most}"
    );
    let scrape = exporter
        .wait_until("the connections to be gone", |scrape| {
            scrape.get("flowgent_exporter_http_connections") == Some(1.0)
        })
        .await;
    // More came than there is room for, and nobody was sent away for lack of file descriptors.
    assert!(scrape.get("flowgent_exporter_http_connections_evicted_total") > Some(0.0));
    assert_eq!(exporter.logged("cannot accept connections"), 0);
    exporter.stop().await;
}
