//! Balances over days, top-ups and broken files of entries.

use flowgent_exporter::day::Day;
use serde_json::{Value, json};

use super::{configure, webhook};
use crate::harness::{Exporter, Receiver, Scene, day};

/// Credits that acme's agents use from the 1st of March through `last`.
fn used(scene: &Scene, last: Day) -> f64 {
    let agents = ["support", "sales", "legal"].map(|name| scene.agent("acme", name));
    let used = agents.map(|agent| scene.sum(&agent, day("2026-03-01"), last));
    used.iter().sum()
}

/// What the API says of the only balance, once it has been evaluated at that time.
async fn balance(exporter: &Exporter, evaluated: &str) -> Value {
    exporter
        .wait_until("an evaluation after the sync", |scrape| {
            let of =
                |name: &str| scrape.get(&format!("flowgent_exporter_{name}_timestamp_seconds"));
            let at = crate::harness::instant(evaluated).timestamp() as f64;
            of("alert_last_evaluation") >= Some(at)
                && of("alert_last_evaluation") >= of("sync_last_end")
                && scrape.get("flowgent_exporter_sync_running") == Some(0.0)
                && scrape.sum("flowgent_hook_pending_deliveries") == 0.0
        })
        .await;
    let (_, body) = exporter.get("/api/v1/balances", "").await;
    serde_json::from_slice::<Value>(&body).unwrap()["balances"][0].clone()
}

/// What does not work by the config.
async fn problems(exporter: &Exporter) -> String {
    let (_, body) = exporter.get("/api/v1/status", "").await;
    let status: Value = serde_json::from_slice(&body).unwrap();
    status["config_problems"].to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_out_is_told_once_until_a_top_up_and_a_broken_file_changes_nothing() {
    let scene = Scene::new("2026-03-20T00:20:00");
    let receiver = Receiver::start().await;
    let (first, last) = (day("2026-03-01"), day("2026-03-19"));
    let so_far = used(&scene, last);
    // Enough for another three days or so.
    let set = (so_far * 22.0 / 19.0).round();
    let entries = |more: &[Value]| {
        let set = json!({"on": first.to_string(), "set": set});
        json!([&[set], more].concat()).to_string()
    };
    scene.write("acme.json", &entries(&[]));
    let text = "[[balance]]\nname = \"acme\"\nmatch = { account = \"acme\" }\n\
                entries_file = \"acme.json\"\ndays_left = [14, 7]\nhooks = [\"ops\"]\n";
    configure(
        &scene,
        &(text.to_owned() + &webhook(&scene, "ops", &receiver, "")),
    );
    let exporter = scene.start().await;
    exporter.wait_for_syncs(1).await;
    let told = receiver.wait_for_deliveries(1).await;
    let alert = &told[0].json()["alerts"][0];
    assert_eq!(told[0].json()["alerts"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&alert["kind"], &alert["status"]),
        (&json!("balance"), &json!("firing"))
    );
    assert_eq!(alert["key"], "acme/all/days_left 7", "the worst of both");
    let close = |found: &Value, expected: f64| (found.as_f64().unwrap() - expected).abs() < 1e-6;
    // It may be told while days are still on their way.
    let left = alert["figures"]["left_credits"].as_f64().unwrap();
    assert!(left >= set - so_far - 1e-6, "{alert}");

    // The next day nothing new is told, though the file is broken by then.
    scene.write("acme.json", "[{\"on\": \"2026-03-20\", \"add\": -5}]");
    scene.set_time("2026-03-21T00:20:00");
    exporter.wait_for_syncs(2).await;
    let shown = balance(&exporter, "2026-03-21T00:20:00").await;
    assert!(
        close(&shown["credits"], set - used(&scene, day("2026-03-20"))),
        "{shown}"
    );
    assert_eq!(shown["missing_days"], 0);
    let problem = "entries file `acme.json`: entry 1: `add` -5 is not above 0";
    let folder = format!("{}/", scene.folder().display());
    let said = problems(&exporter).await.replace(&folder, "");
    assert!(
        said.contains("keeps its last valid entries, if there were any"),
        "{said}"
    );
    assert!(said.contains(problem), "{said}");
    exporter
        .wait_for_log("the last valid entries stay active")
        .await;
    let (_, page) = exporter.get("/", "").await;
    let page = String::from_utf8(page).unwrap();
    assert!(
        page.contains("Balance acme")
            && page.contains("keeps its last valid entries, if there were any")
    );
    // A reload and a restart go by them, too.
    exporter.signal("HUP").await;
    exporter.wait_for_log("config reloaded").await;
    let reloaded = balance(&exporter, "2026-03-21T00:20:00").await;
    assert_eq!(reloaded["credits"], shown["credits"]);
    exporter.stop().await;
    let exporter = scene.start().await;
    exporter.wait_for_syncs(1).await;
    let restarted = balance(&exporter, "2026-03-21T00:20:00").await;
    assert_eq!(restarted["credits"], shown["credits"]);
    assert_eq!(receiver.received().len(), 1);

    // A top-up ends both, of which the receiver knows one.
    scene.write(
        "acme.json",
        &entries(&[json!({"on": "2026-03-21", "add": set * 9.0})]),
    );
    scene.set_time("2026-03-22T00:20:00");
    let told = receiver.wait_for_deliveries(2).await;
    let alert = &told[1].json()["alerts"][0];
    assert_eq!(
        (&alert["key"], &alert["status"]),
        (&json!("acme/all/days_left 7"), &json!("resolved"))
    );
    exporter.wait_for_syncs(2).await;
    let shown = balance(&exporter, "2026-03-22T00:20:00").await;
    let left = set * 10.0 - used(&scene, day("2026-03-21"));
    assert!(close(&shown["credits"], left), "{shown}");
    assert_eq!(problems(&exporter).await, "[]");
    exporter.stop().await;
}
