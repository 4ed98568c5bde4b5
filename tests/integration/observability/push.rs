//! What is pushed to real databases: into what was imported and scraped, again, and with its revisions.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use flowgent_exporter::clock::{Clock, SystemClock};
use flowgent_exporter::day::{Day, TRACKING_START};

use super::{JOB, history};
use crate::harness::{Generation, Scene, Series, Tsdb, run, settings, wait_for};

/// The usage of each day, at that day.
const BARS: &str = "last_over_time(flowgent_agent_previous_day_credits[1d] offset -2d)";

/// The points of series by their labels.
type Points = BTreeMap<BTreeMap<String, String>, Vec<(DateTime<Utc>, f64)>>;

/// The points of each series that was found, whatever it is called.
fn points(found: Vec<Series>) -> Points {
    let count = found.len();
    let named = found.into_iter().map(|mut series| {
        series.labels.remove("__name__");
        (series.labels, series.points)
    });
    let points: Points = named.collect();
    assert_eq!(points.len(), count, "a series is there twice");
    points
}

/// What Prometheus needs for the past to be written.
const WRITABLE: &str = "--web.enable-remote-write-receiver";

/// A scene at the real time, which is the databases'.
fn scene_of_now() -> Scene {
    let now = SystemClock.now().format("%Y-%m-%dT%H:%M:%S").to_string();
    Scene::with(&now, settings())
}

/// Lets the config push to `server`.
fn configure(scene: &Scene, server: &Tsdb, instance: &str, more: &str) {
    let push = format!(
        "[push]\nwrite_url = \"{}/api/v1/write\"\ninstance = \"{instance}\"\nallow_private = true\n{more}",
        server.url()
    );
    scene.write("config.toml", &scene.config(&push));
}

/// Runs `push`; how many samples it says it has pushed, or why it has not.
async fn push(scene: &Scene, arguments: &[&str]) -> Result<usize, String> {
    let output = run(scene, &[&["push"], arguments].concat()).await;
    if !output.status.success() {
        return Err(String::from_utf8(output.stderr).unwrap());
    }
    let said = String::from_utf8(output.stdout).unwrap();
    let words: Vec<&str> = said.split(' ').collect();
    Ok(words[1].replace(',', "").parse().unwrap())
}

/// Asserts that the bars of every agent and day are what FlowGent tells.
async fn assert_bars(scene: &Scene, server: &Tsdb, instance: &str, first: Day, last: Day) {
    let found = server.query_range(BARS, (first.start(), last.start()), "1d");
    let expected = scene.agents().into_iter().map(|agent| {
        let labels = [
            ("account", &*agent.account),
            ("agent", &*agent.name),
            ("instance", instance),
            ("job", JOB),
        ];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let days = first.through(last);
        let bars = days.map(|day| (day.start(), scene.truth(&agent, day)));
        (labels.into(), bars.collect())
    });
    assert_eq!(
        points(found.await.unwrap()),
        expected.collect(),
        "{}",
        server.name
    );
}

/// The scene, with both databases of both generations having imported its history and scraped its exporter,
/// which has ended since; and the exporter's instance. The day of the test is that of the scene until this
/// returns.
async fn imported_and_scraped() -> (Scene, Vec<Tsdb>, String) {
    let scene = scene_of_now();
    let revised = scene.today().plus(-2);
    let support = scene.agent("acme", "support");
    scene.simulator.world().set_credits(&support, revised, 5.0);
    let exporter = scene.start().await;
    exporter.wait_until_whole(&scene).await;
    let instance = exporter.address().to_string();
    let scrape = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
         scrape_configs:\n\
         - {{job_name: {JOB}, static_configs: [{{targets: ['{instance}']}}]}}\n"
    );
    let with_past = format!("{scrape}storage: {{tsdb: {{out_of_order_time_window: 5000d}}}}\n");
    let history = history(&scene, &instance).await;
    let mut servers = Vec::new();
    for generation in Generation::BOTH {
        let mut prometheus = Tsdb::prometheus(&with_past, &[WRITABLE]).of(generation);
        let mut victoria_metrics = Tsdb::victoria_metrics(&scrape, &[]).of(generation);
        tokio::join!(
            async {
                prometheus.create_blocks(&history).await;
                prometheus.start().await;
            },
            async {
                victoria_metrics.start().await;
                victoria_metrics.import(&history).await;
            }
        );
        servers.extend([prometheus, victoria_metrics]);
    }
    for server in &servers {
        wait_for("several scrapes", async || {
            let scrapes =
                "count_over_time(flowgent_agent_previous_day_credits{agent=\"shop\"}[1h])";
            let found = server.query(scrapes, SystemClock.now()).await?;
            match found.first() {
                Some(series) if series.points[0].1 >= 3.0 => Ok(()),
                _ => Err(format!("{found:?}")),
            }
        })
        .await;
    }
    exporter.stop().await;
    (scene, servers, instance)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_imported_scraped_pushed_again_and_revised_is_the_ledger_on_all_of_them() {
    let (scene, mut servers, instance) = imported_and_scraped().await;
    let (first, yesterday) = (TRACKING_START, scene.today().previous());
    let revised = yesterday.previous();
    let support = scene.agent("acme", "support");
    let mut pushed = Vec::new();
    for server in &servers {
        configure(&scene, server, &instance, "");
        let samples = push(&scene, &[]).await.unwrap();
        // Yesterday has its place at noon.
        let days =
            [yesterday, revised].map(|day| usize::try_from(day.next().since(first)).unwrap());
        assert!(days.contains(&(samples / 5)), "{samples}");
        assert_bars(&scene, server, &instance, first, yesterday).await;
        assert_eq!(push(&scene, &["--again"]).await, Ok(samples));
        assert_bars(&scene, server, &instance, first, yesterday).await;
        assert_eq!(push(&scene, &[]).await, Ok(0));
        pushed.push(samples);
    }
    for credits in [6.0, 2.0] {
        let world = scene.simulator.world();
        world.set_credits(&support, revised, credits);
        let day = revised.to_string();
        let synced = run(&scene, &["sync", "--from", &day, "--to", &day]).await;
        assert!(synced.status.success(), "{synced:?}");
        for server in &servers {
            configure(&scene, server, &instance, "");
            assert_eq!(push(&scene, &[]).await, Ok(1), "{}", server.name);
            assert_bars(&scene, server, &instance, first, yesterday).await;
        }
    }
    // All of it is still so after everything was pushed once more, and after a restart.
    for (server, samples) in servers.iter_mut().zip(pushed) {
        configure(&scene, server, &instance, "");
        assert_eq!(push(&scene, &["--again"]).await, Ok(samples + 2));
        server.stop().await;
        server.start().await;
        assert_bars(&scene, server, &instance, first, yesterday).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_takes_no_past_or_keeps_none_is_told_by_the_setting_to_change() {
    let scene = scene_of_now();
    let synced = run(&scene, &["sync"]).await;
    assert!(synced.status.success(), "{synced:?}");
    let instance = "host:13569";
    let yesterday = scene.today().previous();
    // It scrapes itself, so that there is something newer than the past.
    let scrape = |address: &str| {
        format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
             scrape_configs:\n- {{job_name: self, static_configs: [{{targets: ['{address}']}}]}}\n"
        )
    };
    let simulator = scene.simulator.base_url();
    let target = simulator.split('/').nth(2).unwrap();
    let month = "storage: {tsdb: {out_of_order_time_window: 30d}}\n";
    for (generation, window, said) in [
        (Generation::Stable, "", "out of bounds"),
        (Generation::Stable, month, "too old sample"),
        (Generation::Newer, "", "out of bounds"),
        (Generation::Newer, month, "too old sample"),
    ] {
        let config = format!("{}{window}", scrape(target));
        let mut prometheus = Tsdb::prometheus(&config, &[WRITABLE]).of(generation);
        prometheus.start().await;
        wait_for("a scrape", async || {
            match prometheus.query("up", SystemClock.now()).await?.len() {
                0 => Err("there is none".to_owned()),
                _ => Ok(()),
            }
        })
        .await;
        configure(&scene, &prometheus, instance, "");
        let error = push(&scene, &[]).await.unwrap_err();
        assert!(error.contains(said), "{error}");
        let age = scene.today().since(TRACKING_START);
        let advice = format!("raise `out_of_order_time_window` to {}d at least", age + 1);
        assert!(error.contains(&advice), "{error}");
        if !window.is_empty() {
            let first = yesterday.plus(-9);
            let from = format!("from = \"{first}\"");
            configure(&scene, &prometheus, instance, &from);
            push(&scene, &[]).await.unwrap();
            assert_bars(&scene, &prometheus, instance, first, yesterday.previous()).await;
        }
    }

    for generation in Generation::BOTH {
        // By default it keeps a month.
        let mut victoria_metrics =
            Tsdb::victoria_metrics("", &["-retentionPeriod=1"]).of(generation);
        victoria_metrics.start().await;
        configure(&scene, &victoria_metrics, instance, "");
        let error = push(&scene, &[]).await.unwrap_err();
        assert!(error.contains("raise `-retentionPeriod`"), "{error}");
        assert!(error.contains(&TRACKING_START.to_string()), "{error}");
        let first = yesterday.plus(-9);
        let from = format!("from = \"{first}\"");
        configure(&scene, &victoria_metrics, instance, &from);
        push(&scene, &[]).await.unwrap();
        let last = yesterday.previous();
        assert_bars(&scene, &victoria_metrics, instance, first, last).await;
    }
}
