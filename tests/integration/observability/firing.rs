//! The shipped alerts on real servers that scrape an exporter to which something happens: each Prometheus
//! evaluates them itself, vmalert those of a VictoriaMetrics, and an Alertmanager is sent what fires.

use std::collections::BTreeSet;

use flowgent_exporter::clock::{Clock, SystemClock};

use super::{JOB, rules};
use crate::harness::{
    Alertmanager, Exporter, Generation, Receiver, Scene, Tsdb, free_port, settings, spawn, wait_for,
};

/// The shipped rules, all of which fire at once: some would wait for half a day.
fn impatient() -> String {
    let rules = rules::read("rules/alerts.yml");
    let lines = rules.lines().map(|line| match line.find("for: ") {
        Some(indent) if line[..indent].trim().is_empty() => format!("{}for: 0s\n", &line[..indent]),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

/// Waits until exactly these alerts are active, each by its name and account.
async fn wait_for_firing(alertmanager: &Alertmanager, expected: &[(&str, &str)]) {
    let expected = expected
        .iter()
        .map(|(alert, account)| format!("{alert} {account}"));
    let expected: BTreeSet<String> = expected.collect();
    wait_for(&format!("{expected:?} to fire"), async || {
        let label = |alert: &serde_json::Value, name: &str| {
            alert["labels"][name]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        let alerts = alertmanager.alerts().await?;
        let firing = alerts
            .iter()
            .map(|alert| format!("{} {}", label(alert, "alertname"), label(alert, "account")));
        let firing: BTreeSet<String> = firing.collect();
        if firing == expected {
            Ok(())
        } else {
            Err(format!("{firing:?}"))
        }
    })
    .await;
}

/// A scene at the real time, whose exporter has a key that FlowGent refuses.
async fn refused() -> (Scene, Exporter) {
    let now = SystemClock.now().format("%Y-%m-%dT%H:%M:%S").to_string();
    let scene = Scene::with(&now, settings());
    scene.write("acme.key", "test-key-of-nobody");
    let exporter = scene.start().await;
    (scene, exporter)
}

fn scraping(exporter: &Exporter, more: &str) -> String {
    format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s{more}\n\
         scrape_configs:\n\
         - {{job_name: {JOB}, static_configs: [{{targets: ['{}']}}]}}\n",
        exporter.address()
    )
}

/// Asserts that they know of the refused key until it works, and of the exporter when it is gone.
async fn assert_alerted(scene: Scene, exporter: Exporter, alertmanager: &Alertmanager) {
    let without_key = [("FlowGentDaysMissing", ""), ("FlowGentKeyRefused", "acme")];
    wait_for_firing(alertmanager, &without_key).await;

    let key = scene.simulator.world().key("acme");
    scene.write("acme.key", key.expose());
    exporter.signal("HUP").await;
    exporter.wait_until_whole(&scene).await;
    wait_for_firing(alertmanager, &[]).await;

    exporter.stop().await;
    wait_for_firing(alertmanager, &[("FlowGentExporterDown", "")]).await;
}

async fn assert_alerted_by_prometheus(generation: Generation) {
    let (scene, exporter) = refused().await;
    let pager = Receiver::start().await;
    let alertmanager = Alertmanager::start(generation, &pager.url()).await;
    let target = alertmanager.url().replace("http://", "");
    let more = format!(
        ", evaluation_interval: 1s}}\nrule_files: [alerts.yml]\n\
         alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{target}']}}]}}]}}"
    );
    let consoles = rules::folder().join("consoles");
    let consoles = format!("--web.console.templates={}", consoles.display());
    // By default it sends the same alert again after a minute only.
    let flags = [&*consoles, "--rules.alert.resend-delay=1s"];
    let mut prometheus = Tsdb::prometheus(&scraping(&exporter, &more), &flags).of(generation);
    std::fs::write(prometheus.path("alerts.yml"), impatient()).unwrap();
    prometheus.start().await;
    assert_alerted(scene, exporter, &alertmanager).await;

    // The link leads to the alert's own runbook, by the way that whoever was told goes.
    let alerts = alertmanager.alerts().await.unwrap();
    let link = alerts[0]["annotations"]["runbook_url"].as_str().unwrap();
    let (page, anchor) = link.split_once('#').unwrap();
    let path = &page[page.find("/consoles/").unwrap()..];
    assert!(page.starts_with("http://"), "{page}");
    let (head, body) = prometheus.get(path).await;
    assert!(
        head.contains(" 200 ") && head.contains("text/html"),
        "{head}"
    );
    let body = String::from_utf8(body).unwrap();
    assert!(
        body.contains(&format!("<h2 id=\"{anchor}\">FlowGentExporterDown<")),
        "{body}"
    );
    // Its queries lead to Prometheus too.
    assert!(
        body.contains("href=\"/graph?g0.expr=flowgent_exporter_windows_left&amp;"),
        "{body}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_is_alerted_of_until_it_works_and_the_alert_leads_to_its_runbook() {
    tokio::join!(
        assert_alerted_by_prometheus(Generation::Stable),
        assert_alerted_by_prometheus(Generation::Newer)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn vmalert_alerts_of_the_same() {
    let (scene, exporter) = refused().await;
    let pager = Receiver::start().await;
    let alertmanager = Alertmanager::start(Generation::Newer, &pager.url()).await;
    let mut victoria_metrics =
        Tsdb::victoria_metrics(&scraping(&exporter, "}"), &[]).of(Generation::Newer);
    victoria_metrics.start().await;
    let rules = victoria_metrics.path("alerts.yml");
    std::fs::write(&rules, impatient()).unwrap();
    let address = free_port();
    let arguments = [
        format!("-rule={}", rules.display()),
        format!("-datasource.url={}", victoria_metrics.url()),
        format!("-notifier.url={}", alertmanager.url()),
        format!("-httpListenAddr={address}"),
        "-evaluationInterval=1s".to_owned(),
        // By default it looks back to where everything has arrived, half a minute ago.
        "-rule.evalDelay=0s".to_owned(),
        "-external.url=http://vmalert.example".to_owned(),
    ];
    let folder = victoria_metrics.path(".");
    let _vmalert = spawn(Generation::Newer.program("vmalert"), &folder, &arguments);
    assert_alerted(scene, exporter, &alertmanager).await;
    let alerts = alertmanager.alerts().await.unwrap();
    assert_eq!(
        alerts[0]["annotations"]["runbook_url"],
        "http://vmalert.example/consoles/flowgent.html#flowgentexporterdown"
    );
}
