//! Rules of the other kinds.

use super::{configure, wait_until_told, webhook};
use crate::harness::{Receiver, Scene, day};

/// What was told, by rule, subject and status, in its order.
fn told(receiver: &Receiver) -> Vec<(String, String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    receiver
        .received()
        .iter()
        .flat_map(|message| message.json()["alerts"].as_array().unwrap().clone())
        .map(|alert| {
            (
                text(&alert["rule"]),
                text(&alert["subject"]),
                text(&alert["status"]),
            )
        })
        .collect()
}

fn entry(rule: &str, subject: &str, status: &str) -> (String, String, String) {
    (rule.to_owned(), subject.to_owned(), status.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn use_over_a_limit_fires_on_the_days_that_are_over_it_and_resolves_after_them() {
    let scene = Scene::new("2026-03-02T00:20:00");
    let receiver = Receiver::start().await;
    scene.set_flowgents_time("2026-03-16T00:20:00");
    let support = scene.agent("acme", "support");
    let days: Vec<f64> = day("2026-03-01")
        .through(day("2026-03-14"))
        .map(|day| scene.truth(&support, day))
        .collect();
    let mut sorted = days.clone();
    sorted.sort_by(f64::total_cmp);
    // Between the two in the middle, so that about half of the days are over it.
    let limit = f64::midpoint(sorted[6], sorted[7]);
    assert!(sorted[6] < limit && limit < sorted[7], "{sorted:?}");
    let mut expected = Vec::new();
    for credits in &days {
        let is_firing = expected.len() % 2 == 1;
        match (is_firing, *credits > limit) {
            (false, true) => expected.push(entry("busy", "acme/support", "firing")),
            (true, false) => expected.push(entry("busy", "acme/support", "resolved")),
            _ => {}
        }
    }
    let text = format!(
        "[[rule]]\nname = \"busy\"\nkind = \"usage\"\nover = {limit}\nhysteresis = 0\n\
         match = {{ agent = \"support\" }}\nhooks = [\"ops\"]\n"
    );
    configure(&scene, &(text + &webhook(&scene, "ops", &receiver, "")));
    scene.set_time("2026-03-02T00:20:00");
    let exporter = scene.start().await;
    wait_until_told(&exporter, &scene).await;
    for today in day("2026-03-03").through(day("2026-03-15")) {
        scene.set_time(&format!("{today}T00:20:00"));
        wait_until_told(&exporter, &scene).await;
    }
    assert_eq!(told(&receiver), expected);
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_keys_and_agents_are_told_and_so_is_their_return() {
    let scene = Scene::new("2026-03-02T09:00:00");
    let receiver = Receiver::start().await;
    let rules = "[[rule]]\nname = \"key\"\nkind = \"key_refused\"\nhooks = [\"ops\"]\n\
                 [[rule]]\nname = \"agent\"\nkind = \"agent_refused\"\nhooks = [\"ops\"]\n";
    let alerting = rules.to_owned() + &webhook(&scene, "ops", &receiver, "");
    configure(&scene, &alerting);
    let good = std::fs::read_to_string(scene.path("config.toml")).unwrap();
    let sales = scene.agent("acme", "sales");
    // An agent of acme that is globex's, and a key of globex that is none.
    scene.write("config.toml", &good.replace(&*sales.id, "not-of-acme"));
    let key = std::fs::read_to_string(scene.path("globex.key")).unwrap();
    scene.write("globex.key", "test-key-nobody");
    let exporter = scene.start().await;
    receiver.wait_for_deliveries(2).await;
    let mut first = told(&receiver);
    first.sort();
    assert_eq!(
        first,
        [
            entry("agent", "acme/sales", "firing"),
            entry("key", "globex", "firing"),
        ]
    );

    receiver.forget();
    scene.write("globex.key", &key);
    scene.write("config.toml", &good);
    exporter.signal("HUP").await;
    receiver.wait_for_deliveries(2).await;
    let mut then = told(&receiver);
    then.sort();
    assert_eq!(
        then,
        [
            entry("agent", "acme/sales", "resolved"),
            entry("key", "globex", "resolved"),
        ]
    );
    exporter.wait_until_whole(&scene).await;
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_is_missing_for_longer_than_it_may_be_is_told_once_and_so_is_its_return() {
    let scene = Scene::new("2026-03-02T09:00:00");
    let receiver = Receiver::start().await;
    let rule = "[[rule]]\nname = \"missing\"\nkind = \"missing_data\"\nlonger_than = \"36h\"\n\
                match = { account = \"globex\" }\nhooks = [\"ops\"]\n";
    configure(
        &scene,
        &(rule.to_owned() + &webhook(&scene, "ops", &receiver, "group = true")),
    );
    let exporter = scene.start().await;
    wait_until_told(&exporter, &scene).await;
    let key = std::fs::read_to_string(scene.path("globex.key")).unwrap();
    scene.write("globex.key", "test-key-nobody");
    // The second of March is seen to be over and unknown at twenty past midnight, and at each retry.
    for time in [
        "2026-03-03T00:20:00",
        "2026-03-04T00:20:00",
        "2026-03-04T12:19:00",
    ] {
        scene.set_time(time);
        let now = Some(crate::harness::instant(time).timestamp() as f64);
        let ended = "flowgent_exporter_sync_last_end_timestamp_seconds";
        let evaluated = "flowgent_exporter_alert_last_evaluation_timestamp_seconds";
        exporter
            .wait_until("an evaluation after a sync", |scrape| {
                scrape.get(ended) >= now && scrape.get(evaluated) >= scrape.get(ended)
            })
            .await;
    }
    assert_eq!(told(&receiver), []);
    scene.set_time("2026-03-04T12:20:30");
    receiver.wait_for_deliveries(1).await;
    let mut firing = told(&receiver);
    firing.sort();
    assert_eq!(
        firing,
        [
            entry("missing", "globex/returns", "firing"),
            entry("missing", "globex/shop", "firing"),
        ]
    );
    scene.write("globex.key", &key);
    scene.set_time("2026-03-05T00:20:00");
    receiver.wait_for_deliveries(2).await;
    wait_until_told(&exporter, &scene).await;
    assert_eq!(told(&receiver).len(), 4);
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_good_again_once_flowgent_refuses_an_agent_by_it() {
    let scene = Scene::new("2026-03-02T09:00:00");
    let receiver = Receiver::start().await;
    let mut shop = scene.agent("globex", "shop");
    shop.id = "not-of-globex".into();
    let rule = "[[rule]]\nname = \"key\"\nkind = \"key_refused\"\nhooks = [\"ops\"]\n";
    let account = scene.config_account("globex", &[shop]);
    let hook = webhook(&scene, "ops", &receiver, "");
    scene.write(
        "config.toml",
        &(scene.config_head("") + &account + rule + &hook),
    );
    let key = std::fs::read_to_string(scene.path("globex.key")).unwrap();
    scene.write("globex.key", "test-key-nobody");
    let exporter = scene.start().await;
    receiver.wait_for_deliveries(1).await;
    scene.write("globex.key", &key);
    exporter.signal("HUP").await;
    receiver.wait_for_deliveries(2).await;
    assert_eq!(
        told(&receiver),
        [
            entry("key", "globex", "firing"),
            entry("key", "globex", "resolved"),
        ]
    );
    exporter.stop().await;
}
