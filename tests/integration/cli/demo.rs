//! `demo`: everything at work without any set-up.

use std::fs;

use chrono::DateTime;
use flowgent_exporter::day::{Day, TRACKING_START};
use flowgent_exporter::simulator::{Agent, Settings};

use super::progress;
use super::simulate::{Running, address};
use crate::harness::{Scene, Scrape, day, request, wait_for};

/// At this instant every day of the demo's agents is known.
const NOW: &str = "2026-03-10T18:00:00";

/// A scene whose FlowGent is the one that the demo simulates.
fn scene() -> Scene {
    Scene::with(NOW, Settings::demo(1))
}

/// Starts the demo; returns what it writes until it is ready, but for the first three lines, and where
/// it serves.
async fn start(scene: &Scene, arguments: &[&str]) -> (Running, String, std::net::SocketAddr) {
    let any_port = ["demo", "--web.listen-address", "127.0.0.1:0"];
    let mut running = Running::start(scene, &[&any_port, arguments].concat());
    let greeting = running.greeting().await;
    let rest = greeting.splitn(4, '\n').nth(3).unwrap().to_owned();
    let address = address(&rest);
    (running, rest, address)
}

/// Waits until the demo serves exactly FlowGent's figures of all its agents.
async fn assert_exact(scene: &Scene, address: std::net::SocketAddr) -> Scrape {
    let (yesterday, month) = (day("2026-03-09"), day("2026-03-01"));
    let accounts = scene.simulator.world().accounts();
    let agents: Vec<_> = accounts
        .iter()
        .flat_map(|account| &account.agents)
        .collect();
    assert_eq!(agents.len(), 12);
    // Some agents begin late or are never used; most are at work.
    let at_work = |agent: &&&Agent| scene.sum(agent, month, yesterday) > 0.0;
    assert!(agents.iter().filter(at_work).count() >= 9);
    wait_for("the figures of the demo", async || {
        let (_, body) = request(address, "GET", "/metrics", "").await;
        let scrape = Scrape::parse(String::from_utf8(body).unwrap());
        let exact = agents.iter().all(|agent| {
            let total = scene.sum(agent, TRACKING_START, yesterday);
            scrape.of(agent, "used_credits_total") == Some(total)
                && scrape.of(agent, "previous_day_credits") == Some(scene.truth(agent, yesterday))
                && scrape.of(agent, "month_to_date_credits")
                    == Some(scene.sum(agent, month, yesterday))
        });
        if exact { Ok(scrape) } else { Err(scrape) }
    })
    .await
}

/// Waits until a sync has left nothing undone. What a sync gave up is tried again when the clock says so,
/// and the clock here stands still but for this.
async fn wait_until_complete(scene: &Scene, address: std::net::SocketAddr) {
    wait_for("a complete sync", async || {
        let (_, body) = request(address, "GET", "/metrics", "").await;
        let scrape = Scrape::parse(String::from_utf8(body).unwrap());
        if scrape.get("flowgent_exporter_syncs_total{outcome=\"complete\"}") > Some(0.0) {
            return Ok(());
        }
        if let Some(next) = scrape.get("flowgent_exporter_sync_next_timestamp_seconds") {
            let next = DateTime::from_timestamp(next as i64, 0).unwrap();
            // Before the first sync has ended, it is the poll of the day after.
            if Day::of(next) == scene.today() {
                scene.set_time(&next.format("%Y-%m-%dT%H:%M:%S").to_string());
            }
        }
        Err(scrape)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_what_to_open_serves_exact_figures_and_leaves_nothing_behind() {
    let scene = scene();
    let (running, greeting, address) = start(&scene, &[]).await;
    let stable = greeting.replace(&address.to_string(), "127.0.0.1:PORT");
    super::assert_golden("demo.txt", &stable);
    assert_exact(&scene, address).await;
    // What it says to try works.
    for line in greeting
        .lines()
        .filter(|line| line.contains("curl -s http://"))
    {
        let rest = line.split(&address.to_string()).nth(1).unwrap();
        let (path, pattern) = match rest.split_once(" | grep ^") {
            Some((path, pattern)) => (path, pattern),
            None => (rest, ""),
        };
        let (head, body) = request(address, "GET", path, "").await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
        let body = String::from_utf8(body).unwrap();
        assert!(body.lines().any(|line| line.starts_with(pattern)), "{line}");
    }
    // The progress, and no line of a log beside it.
    assert_eq!(running.stop().await, progress(120));
    let left: Vec<_> = fs::read_dir(scene.folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name.to_string_lossy().contains("demo"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn its_data_can_be_kept_so_that_it_starts_without_asking_again() {
    let scene = scene();
    let (running, _, address) = start(&scene, &["--data", "kept"]).await;
    assert_exact(&scene, address).await;
    running.stop().await;
    for name in ["config.toml", "ledger.db", "acme.key", "globex.key"] {
        assert!(scene.path("kept").join(name).exists(), "{name}");
    }
    let (running, _, address) = start(&scene, &["--data", "kept"]).await;
    let scrape = assert_exact(&scene, address).await;
    assert_eq!(
        scrape.get("flowgent_exporter_windows_planned_total"),
        Some(0.0)
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_faults_it_comes_to_the_same_figures() {
    let scene = scene();
    let (running, _, address) = start(&scene, &["--fault", "500=0.3"]).await;
    wait_until_complete(&scene, address).await;
    let scrape = assert_exact(&scene, address).await;
    let requests = scrape.starting_with("flowgent_exporter_api_requests_total");
    let failed = requests
        .iter()
        .filter(|(series, _)| series.contains("server_error"));
    assert!(
        failed.map(|(_, count)| count).sum::<f64>() > 0.0,
        "{scrape}"
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_demo_in_the_same_folder_is_refused_and_touches_nothing() {
    let scene = scene();
    let (running, _, _) = start(&scene, &["--data", "kept"]).await;
    let config = fs::read_to_string(scene.path("kept/config.toml")).unwrap();
    let second = [
        "demo",
        "--data",
        "kept",
        "--web.listen-address",
        "127.0.0.1:0",
    ];
    let refused = super::ran(&scene, &second).await;
    let pid = running.child.id().unwrap();
    refused.assert_refused(
        1,
        &format!(
            "error: a demo already runs in kept, as process {pid}: stop it, or choose another folder with --data\n"
        ),
    );
    let after = fs::read_to_string(scene.path("kept/config.toml")).unwrap();
    assert_eq!(after, config);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_is_named_before_anything_is_filled() {
    let scene = scene();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let arguments = ["demo", "--data", "kept", "--web.listen-address", &address];
    let refused = super::ran(&scene, &arguments).await;
    let expected =
        format!("error: cannot listen on {address}: Address already in use (os error 98)\n");
    refused.assert_refused(1, &expected);
    assert!(!scene.path("kept/config.toml").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_usual_port_is_taken_it_takes_another_and_says_so() {
    let scene = scene();
    // Whoever holds it, this test or somebody else.
    let _taken = std::net::TcpListener::bind("127.0.0.1:13569");
    let mut running = Running::start(&scene, &["demo"]);
    let greeting = running.greeting().await;
    let first = greeting.lines().next().unwrap();
    let other = first.strip_prefix("127.0.0.1:13569 is in use, so the demo listens on ");
    let other: std::net::SocketAddr = other.unwrap().parse().unwrap();
    assert_exact(&scene, other).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_fault_did_is_said_and_not_called_filled() {
    let scene = scene();
    let (running, greeting, _) = start(&scene, &["--fault", "html"]).await;
    let expected =
        "The history is incomplete: 0 of 90 requests succeeded. The others are retried.\n";
    assert!(greeting.contains(expected), "{greeting}");
    assert!(
        greeting.contains(": not JSON but an HTML page"),
        "{greeting}"
    );
    let fault = " requests met a fault:\n  html                 a web page, with status 200\n";
    assert!(greeting.contains(fault), "{greeting}");
    assert!(greeting.contains("doctor --config.file "), "{greeting}");
    running.stop().await;
}
