//! The shipped alerts on a real Prometheus, which scrapes an exporter to which something happens.

use std::collections::BTreeSet;

use flowgent_exporter::clock::{Clock, SystemClock};

use super::JOB;
use crate::harness::{Scene, Tsdb, settings, wait_for};

/// The shipped rules, all of which fire at once: some would wait for a day.
fn impatient() -> String {
    let rules = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/deploy/prometheus/rules/alerts.yml"
    );
    let rules = std::fs::read_to_string(rules).unwrap();
    let lines = rules.lines().map(|line| match line.find("for: ") {
        Some(indent) if line[..indent].trim().is_empty() => format!("{}for: 0s\n", &line[..indent]),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

/// Waits until exactly these alerts fire, each by its name and account.
async fn wait_for_firing(prometheus: &Tsdb, expected: &[(&str, &str)]) {
    let expected = expected
        .iter()
        .map(|(alert, account)| format!("{alert} {account}"));
    let expected: BTreeSet<String> = expected.collect();
    wait_for(&format!("{expected:?} to fire"), async || {
        let found = prometheus
            .query("ALERTS{alertstate=\"firing\"}", SystemClock.now())
            .await?;
        let name = |label| found.iter().map(move |series| series.label(label));
        let firing = name("alertname").zip(name("account"));
        let firing: BTreeSet<String> = firing
            .map(|(alert, account)| format!("{alert} {account}"))
            .collect();
        if firing == expected {
            Ok(())
        } else {
            Err(format!("{firing:?}"))
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_is_alerted_of_until_it_works() {
    let now = SystemClock.now().format("%Y-%m-%dT%H:%M:%S").to_string();
    let scene = Scene::with(&now, settings());
    scene.write("acme.key", "test-key-of-nobody");
    let exporter = scene.start().await;
    let config = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\n\
         rule_files: [alerts.yml]\n\
         scrape_configs:\n\
         - {{job_name: {JOB}, static_configs: [{{targets: ['{}']}}]}}\n",
        exporter.address()
    );
    let mut prometheus = Tsdb::prometheus(&config, &[]);
    std::fs::write(prometheus.path("alerts.yml"), impatient()).unwrap();
    prometheus.start().await;
    let without_key = [
        ("FlowGentDaysMissing", "acme"),
        ("FlowGentKeyRefused", "acme"),
    ];
    wait_for_firing(&prometheus, &without_key).await;

    let key = scene.simulator.world().key("acme");
    scene.write("acme.key", key.expose());
    exporter.signal("HUP").await;
    exporter.wait_until_whole(&scene).await;
    wait_for_firing(&prometheus, &[]).await;

    exporter.stop().await;
    wait_for_firing(&prometheus, &[("FlowGentExporterDown", "")]).await;
}
