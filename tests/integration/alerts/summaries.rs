//! Summaries of the whole program.

use std::collections::BTreeSet;

use flowgent_exporter::tabulate::Step;
use serde_json::Value;

use super::{configure, webhook};
use crate::harness::{Receiver, Scene, day, run};

const SUMMARY: &str = "[[summary]]\nname = \"monday\"\nperiod = \"week\"\nby = \"account\"\nhooks = [\"ops\"]\n\
                       [[budget]]\nname = \"all\"\ncredits = 100000\nperiod = \"month\"\n";

/// Credits that all agents of an account used from `first` through `last`.
fn used(scene: &Scene, account: &str, agents: &[&str], (first, last): (&str, &str)) -> f64 {
    let agents = agents.iter().map(|name| scene.agent(account, name));
    agents
        .map(|agent| scene.sum(&agent, day(first), day(last)))
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_week_is_told_on_monday_once_also_by_an_exporter_that_was_killed() {
    assert_eq!(Step::Week.first_day(day("2026-03-09")), day("2026-03-09"));
    let scene = Scene::new("2026-03-05T00:20:00");
    let receiver = Receiver::start().await;
    configure(
        &scene,
        &(SUMMARY.to_owned() + &webhook(&scene, "ops", &receiver, "")),
    );
    let exporter = scene.start().await;
    exporter.wait_for_syncs(1).await;
    // A test says what the last week was, and changes nothing about the one to come.
    let output = run(&scene, &["alerts", "test", "ops", "--summary", "monday"]).await;
    assert!(output.status.success(), "{output:?}");
    let told = receiver.wait_for_deliveries(1).await;
    let test = told[0].json();
    assert_eq!(test["test"], true);
    assert_eq!(test["summary"]["last_day"], "2026-03-01");
    let title = test["summary"]["title"].as_str().unwrap();
    assert!(
        title.starts_with("Test: Weekly summary monday: "),
        "{title}"
    );
    let output = run(&scene, &["alerts", "test", "ops", "--summary", "sunday"]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("the config has no summary `sunday`"),
        "{said}"
    );

    scene.set_time("2026-03-09T00:20:00");
    let told = receiver.wait_for_deliveries(2).await;
    let sent = told[1].json();
    assert_eq!(
        (&sent["test"], &sent["alerts"]),
        (&Value::Bool(false), &Value::Array(Vec::new()))
    );
    let summary = &sent["summary"];
    assert_eq!(
        (&summary["first_day"], &summary["last_day"]),
        (&"2026-03-02".into(), &"2026-03-08".into())
    );
    let week = ("2026-03-02", "2026-03-08");
    let before = ("2026-02-23", "2026-03-01");
    let acme = ["support", "sales", "legal"];
    let close = |found: &Value, expected: f64| {
        assert!(
            (found.as_f64().unwrap() - expected).abs() < 1e-6,
            "{summary}"
        );
    };
    let row = summary["top"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["name"] == "acme")
        .unwrap();
    close(&row["known_credits"], used(&scene, "acme", &acme, week));
    close(&row["before_credits"], used(&scene, "acme", &acme, before));
    let rows = summary["top"].as_array().unwrap().iter();
    close(
        &summary["total"]["known_credits"],
        rows.map(|row| row["known_credits"].as_f64().unwrap()).sum(),
    );
    assert_eq!(summary["total"]["missing_days"], 0);
    assert!(
        summary["budgets"][0]["text"]
            .as_str()
            .unwrap()
            .contains(" of 100,000 credits used"),
        "{summary}"
    );

    // Killed and started again, it has said its word.
    exporter.kill().await;
    let exporter = scene.start().await;
    exporter.wait_for_syncs(1).await;
    scene.set_time("2026-03-10T00:20:00");
    exporter.wait_for_syncs(2).await;
    exporter
        .wait_until("nothing pending", |scrape| {
            scrape.sum("flowgent_hook_pending_deliveries") == 0.0
        })
        .await;
    // One that was killed before it noted the answer sends the same message again.
    let received = receiver.received();
    let ids: BTreeSet<String> = received
        .iter()
        .map(|sent| sent.json()["id"].to_string())
        .collect();
    assert_eq!(ids.len(), 2, "{received:#?}");
    let output = run(&scene, &["alerts", "list", "--all"]).await;
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("summary"), "{shown}");
    exporter.stop().await;
}
