//! A real Alertmanager. Its clock cannot be set, so the exporter's clock follows the real one here.

use std::time::Duration;

use chrono::{DateTime, Utc};
use flowgent_exporter::clock::{Clock, SystemClock};

use super::configure;
use crate::harness::{Alertmanager, Receiver, Scene};

/// The time of that instant as scenes have it.
fn text(now: DateTime<Utc>) -> String {
    now.format("%Y-%m-%dT%H:%M:%S").to_string()
}

/// Keeps the scene's clock at the real time while `work` goes on.
async fn in_real_time<T>(scene: &Scene, work: impl Future<Output = T>) -> T {
    let follow = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(200));
        loop {
            ticks.tick().await;
            scene.set_exporters_time(&text(SystemClock.now()));
        }
    };
    tokio::select! {
        result = work => result,
        never = follow => never,
    }
}

fn alerting(alertmanager: &Alertmanager, rules: &str) -> String {
    format!(
        "{rules}[[hook]]\nname = \"am\"\nkind = \"alertmanager\"\nurls = [\"{}\"]\nallow_private = true\n",
        alertmanager.url()
    )
}

fn rule(name: &str, over: f64) -> String {
    format!(
        "[[rule]]\nname = \"{name}\"\nkind = \"usage\"\nover = {over}\nspan = \"previous_30_days\"\n\
         match = {{ agent = \"support\" }}\nhooks = [\"am\"]\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alertmanager_knows_what_fires_after_its_own_restart_and_after_ours_and_resolves_it() {
    let scene = Scene::new(&text(SystemClock.now()));
    let pager = Receiver::start().await;
    let mut alertmanager = Alertmanager::start(&pager.url()).await;
    let both = rule("busy", 0.001) + &rule("busier", 0.002);
    configure(&scene, &alerting(&alertmanager, &both));
    in_real_time(&scene, async {
        let exporter = scene.start().await;
        let alerts = alertmanager.wait_for_alerts(&["busier", "busy"]).await;
        for alert in &alerts {
            assert_eq!(alert["status"]["state"], "active");
            assert_eq!(alert["labels"]["account"], "acme");
            assert_eq!(alert["labels"]["agent"], "support");
            assert_eq!(alert["labels"]["severity"], "warning");
            let summary = alert["annotations"]["summary"].as_str().unwrap();
            assert!(summary.contains("support"), "{summary}");
        }

        // It has forgotten everything, and is told again.
        alertmanager.restart().await;
        alertmanager.wait_for_alerts(&["busier", "busy"]).await;

        // So have we, but for the ledger.
        exporter.kill().await;
        alertmanager.restart().await;
        let exporter = scene.start().await;
        alertmanager.wait_for_alerts(&["busier", "busy"]).await;

        // One is over because its limit is higher now.
        let both = rule("busy", 0.001) + &rule("busier", 1e9);
        configure(&scene, &alerting(&alertmanager, &both));
        exporter.signal("HUP").await;
        alertmanager.wait_for_alerts(&["busy"]).await;
        let resolved = crate::harness::wait_for("the page that it is over", async || {
            let pages = pager.received();
            let resolved = pages
                .iter()
                .find(|page| page.json()["status"] == "resolved");
            resolved.cloned().ok_or(format!("{pages:?}"))
        })
        .await;
        let labels = &resolved.json()["alerts"][0]["labels"];
        assert_eq!(labels["alertname"], "busier");
        exporter.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_alertmanager_is_sent_to_and_one_that_is_down_harms_no_other() {
    let scene = Scene::new(&text(SystemClock.now()));
    let pager = Receiver::start().await;
    let (one, other, mut down) = (
        Alertmanager::start(&pager.url()).await,
        Alertmanager::start(&pager.url()).await,
        Alertmanager::start(&pager.url()).await,
    );
    down.stop().await;
    let text = alerting(&one, &rule("busy", 0.001)).replace(
        &format!("[\"{}\"]", one.url()),
        &format!(
            "[\"{}\", \"{}\", \"{}\"]",
            down.url(),
            one.url(),
            other.url()
        ),
    );
    configure(&scene, &text);
    in_real_time(&scene, async {
        let exporter = scene.start().await;
        one.wait_for_alerts(&["busy"]).await;
        other.wait_for_alerts(&["busy"]).await;
        // It is up again, and is told by the next sending.
        down.restart().await;
        down.wait_for_alerts(&["busy"]).await;
        exporter.stop().await;
    })
    .await;
}
