//! Real Alertmanagers, of both generations. Their clock cannot be set, so the exporter's clock follows the real one here.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use flowgent_exporter::clock::{Clock, SystemClock};

use super::configure;
use crate::harness::{Alertmanager, Generation, Receiver, Scene, Scrape, wait_for};

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
    tokio::join!(
        assert_known_after_restarts(Generation::Stable),
        assert_known_after_restarts(Generation::Newer)
    );
}

async fn assert_known_after_restarts(generation: Generation) {
    let scene = Scene::new(&text(SystemClock.now()));
    let pager = Receiver::start().await;
    let mut alertmanager = Alertmanager::start(generation, &pager.url()).await;
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
        let resolved = wait_for("the page that it is over", async || {
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
        Alertmanager::start(Generation::Stable, &pager.url()).await,
        Alertmanager::start(Generation::Newer, &pager.url()).await,
        Alertmanager::start(Generation::Newer, &pager.url()).await,
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

/// What fires by the exporter's own metric: each rule with its subject.
fn firing(scrape: &Scrape) -> BTreeSet<String> {
    let alerts = scrape.starting_with("flowgent_alert_firing{");
    let firing = alerts.into_iter().filter(|(_, value)| *value == 1.0);
    firing.map(|(series, _)| series).collect()
}

/// The same by an Alertmanager: what is active there.
async fn active(alertmanager: &Alertmanager) -> Result<BTreeSet<String>, String> {
    let series = |alert: &serde_json::Value| {
        let label = |name: &str| alert["labels"][name].as_str().unwrap().to_owned();
        let subject = match &alert["labels"]["agent"] {
            serde_json::Value::Null => label("account"),
            _ => format!("{}/{}", label("account"), label("agent")),
        };
        let rule = label("alertname");
        format!("flowgent_alert_firing{{rule=\"{rule}\",subject=\"{subject}\"}}")
    };
    Ok(alertmanager.alerts().await?.iter().map(series).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn after_each_episode_an_alertmanager_holds_what_the_exporter_says_is_firing() {
    tokio::join!(
        assert_held_after_each_episode(Generation::Stable),
        assert_held_after_each_episode(Generation::Newer)
    );
}

async fn assert_held_after_each_episode(generation: Generation) {
    let scene = Scene::new(&text(SystemClock.now()));
    let pager = Receiver::start().await;
    let alertmanager = Alertmanager::start(generation, &pager.url()).await;
    let rules = "[[rule]]\nname = \"busy\"\nkind = \"usage\"\nover = 1e6\nspan = \"previous_7_days\"\n\
                 hooks = [\"am\"]\n\
                 [[rule]]\nname = \"key\"\nkind = \"key_refused\"\nhooks = [\"am\"]\n";
    // A poll each second, which asks again for the days that may still change.
    let config = scene
        .config("")
        .replace("jitter = \"0s\"", "jitter = \"0s\"\ncron = \"* * * * * *\"");
    let alerting = alerting(&alertmanager, rules);
    scene.write("config.toml", &format!("{config}\n{alerting}"));
    let key = std::fs::read_to_string(scene.path("globex.key")).unwrap();
    let world = scene.simulator.world();
    let revised = scene.today().plus(-2);
    let set = |name: &str, credits: f64| {
        world.set_credits(&scene.agent("acme", name), revised, credits);
    };
    in_real_time(&scene, async {
        let exporter = scene.start().await;
        exporter.wait_until_whole(&scene).await;
        let busy =
            |name: &str| format!("flowgent_alert_firing{{rule=\"busy\",subject=\"acme/{name}\"}}");
        let refused = "flowgent_alert_firing{rule=\"key\",subject=\"globex\"}".to_owned();
        let episodes: [(&dyn Fn(), Vec<String>); 8] = [
            (&|| {}, vec![]),
            (&|| set("support", 2e6), vec![busy("support")]),
            (&|| set("sales", 3e6), vec![busy("sales"), busy("support")]),
            (&|| set("support", 7.0), vec![busy("sales")]),
            (
                &|| scene.write("globex.key", "test-key-of-nobody"),
                vec![busy("sales"), refused.clone()],
            ),
            // Again, after it was over.
            (
                &|| set("support", 4e6),
                vec![busy("sales"), busy("support"), refused],
            ),
            (
                &|| scene.write("globex.key", &key),
                vec![busy("sales"), busy("support")],
            ),
            (
                &|| {
                    set("sales", 1.0);
                    set("support", 1.0);
                },
                vec![],
            ),
        ];
        for (place, (happens, expected)) in episodes.into_iter().enumerate() {
            happens();
            let expected = BTreeSet::from_iter(expected);
            wait_for(
                &format!("{generation:?}, episode {place}: {expected:?}"),
                async || {
                    let (ours, theirs) = (
                        firing(&exporter.scrape().await),
                        active(&alertmanager).await?,
                    );
                    if ours == expected && theirs == expected {
                        Ok(())
                    } else {
                        Err(format!("{ours:?} fire, the Alertmanager holds {theirs:?}"))
                    }
                },
            )
            .await;
        }
        exporter.stop().await;
    })
    .await;
}
