//! Pushing while the exporter serves.

use super::{NOW, assert_whole, configure, noon, truth};
use crate::harness::{Database, Reply, Scene, Scrape, day};

const SUCCESS: &str = "flowgent_exporter_push_last_success_timestamp_seconds";
const SAMPLES: &str = "flowgent_exporter_push_samples_total";
const POSITION: &str = "flowgent_exporter_push_position_timestamp_seconds";

fn requests(scrape: &Scrape, outcome: &str) -> Option<f64> {
    scrape.get(&format!(
        "flowgent_exporter_push_requests_total{{outcome=\"{outcome}\"}}"
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exporter_pushes_what_each_sync_brings_and_what_reaches_its_place() {
    let scene = Scene::new(NOW);
    let database = Database::start().await;
    configure(&scene, &database.url(), "");
    let exporter = scene.start().await;
    exporter.wait_until_whole(&scene).await;
    let samples = f64::from(5 * day("2026-03-10").since(flowgent_exporter::day::TRACKING_START));
    let scrape = exporter
        .wait_until("the history to be pushed", |scrape| {
            scrape.get(SAMPLES) == Some(samples) && scrape.get(SUCCESS) > Some(0.0)
        })
        .await;
    assert_whole(&scene, &database, "2026-03-09");
    let newest = noon(day("2026-03-09")) as f64 / 1000.0;
    assert_eq!(scrape.get(POSITION), Some(newest));
    assert_eq!(requests(&scrape, "stopped"), Some(0.0));
    assert_eq!(
        requests(&scrape, "accepted"),
        Some(database.writes().len() as f64)
    );

    // A day that is known at night is pushed at noon, without a sync.
    scene.set_time("2026-03-11T00:10:00");
    exporter.wait_for_syncs(2).await;
    exporter.wait_until_whole(&scene).await;
    assert_eq!(exporter.scrape().await.get(SAMPLES), Some(samples));
    scene.set_time("2026-03-11T12:00:01");
    exporter
        .wait_until("the new day", |scrape| {
            scrape.get(SAMPLES) == Some(samples + 5.0)
        })
        .await;
    assert_whole(&scene, &database, "2026-03-10");

    // A revision is pushed when a sync brings it.
    let support = scene.agent("acme", "support");
    let revised = day("2026-03-08");
    let (before, after) = (scene.truth(&support, revised), 4321.5);
    scene
        .simulator
        .world()
        .set_credits(&support, revised, after);
    scene.set_time("2026-03-12T00:10:00");
    exporter
        .wait_until("the revision", |scrape| {
            scrape.get(SAMPLES) == Some(samples + 6.0)
        })
        .await;
    let found = database.samples("acme", "support");
    let place = found.iter().position(|(at, _)| *at == noon(revised));
    let place = place.unwrap();
    assert_eq!(
        found[place..=place + 1],
        [(noon(revised), before), (noon(revised) + 43_199_901, after)]
    );
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_changes_the_database_mends_what_had_stopped_and_ends_it() {
    let scene = Scene::new(NOW);
    let (database, other) = (Database::start().await, Database::start().await);
    scene.write("ops.password", "test-password");
    let login = "username = \"ops\"\npassword_file = \"ops.password\"";
    configure(&scene, &database.url(), login);
    database.judge(|_, write| match write.headers["authorization"].as_str() {
        // ops:test-password
        "Basic b3BzOnRlc3QtcGFzc3dvcmQ=" => Reply::Refused(401, "", ""),
        _ => Reply::Taken,
    });
    let exporter = scene.start().await;
    let scrape = exporter
        .wait_until("it to stop", |scrape| {
            requests(scrape, "stopped") == Some(1.0)
        })
        .await;
    assert_eq!(scrape.get(SUCCESS), Some(0.0));
    exporter.wait_for_log("pushing is paused").await;
    exporter.wait_until_whole(&scene).await;

    scene.write("ops.password", "other-password");
    exporter.signal("HUP").await;
    exporter
        .wait_until("the history to be pushed", |scrape| {
            scrape.get(SUCCESS) > Some(0.0)
        })
        .await;
    assert_whole(&scene, &database, "2026-03-09");

    configure(&scene, &other.url(), login);
    exporter.signal("HUP").await;
    let support = scene.agent("acme", "support");
    let whole = truth(&scene, &support, "2026-03-09");
    exporter
        .wait_until("the other database to have it", |_| {
            other.samples("acme", "support") == whole
        })
        .await;

    scene.write("config.toml", &scene.config(""));
    exporter.signal("HUP").await;
    exporter
        .wait_until("it to end", |scrape| {
            !scrape.text.contains("flowgent_exporter_push_")
        })
        .await;
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_hangs_holds_up_neither_scrapes_nor_syncs_nor_the_end() {
    let scene = Scene::new(NOW);
    let database = Database::start().await;
    configure(&scene, &database.url(), "timeout = \"2m\"");
    database.judge(|_, _| Reply::Silence);
    let exporter = scene.start().await;
    exporter
        .wait_until("a request", |_| !database.writes().is_empty())
        .await;
    exporter.wait_until_whole(&scene).await;
    scene.set_time("2026-03-11T00:10:00");
    exporter.wait_until_whole(&scene).await;
    let log = exporter.stop().await;
    assert!(!log.contains("given up"), "{log}");
}
