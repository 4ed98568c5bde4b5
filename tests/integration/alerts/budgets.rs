//! Budgets over days and months.

use std::collections::BTreeSet;

use flowgent_exporter::day::Day;
use flowgent_exporter::simulator::{Fault, Rule, Scope, Times};

use super::{SECRET_BYTES, configure, wait_until_told, webhook};
use crate::harness::{Receiver, Scene, day};

/// Credits that all agents use on the days `first` through `last`.
fn used(scene: &Scene, first: Day, last: Day) -> f64 {
    let agents = scene.agents();
    agents
        .iter()
        .map(|agent| scene.sum(agent, first, last))
        .sum()
}

/// A budget of all agents that a month uses up so far.
fn budget(credits: f64, more: &str) -> String {
    format!(
        "[[budget]]\nname = \"all-month\"\ncredits = {credits}\nperiod = \"month\"\nhooks = [\"ops\"]\n{more}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn each_threshold_is_told_once_a_month_on_the_day_after_it_was_crossed() {
    let scene = Scene::new("2026-03-01T00:20:00");
    let receiver = Receiver::start().await;
    scene.set_flowgents_time("2026-05-02T00:20:00");
    let (march, april) = (day("2026-03-01"), day("2026-04-01"));
    // Half of March's use, so that every threshold is crossed on some day of both months.
    let limit = (used(&scene, march, april.previous()) / 2.0).round();
    let mut expected = Vec::new();
    for (start, end) in [(march, april), (april, day("2026-05-01"))] {
        let mut highest = None;
        for today in start.through(end.previous()) {
            let ratio = used(&scene, start, today) / limit;
            let crossed = [0.5, 0.8, 1.0].into_iter().rfind(|at| ratio >= *at);
            if crossed > highest {
                highest = crossed;
                expected.push((start.to_string(), crossed.unwrap()));
            }
        }
    }
    assert!(expected.len() >= 4, "{expected:?}");

    scene.set_time("2026-03-01T00:20:00");
    let more = "thresholds = [0.5, 0.8, 1.0]\nforecast_thresholds = []";
    let text = budget(limit, more) + &webhook(&scene, "ops", &receiver, "send_resolved = false");
    configure(&scene, &text);
    // February would have used it up as well, which is nobody's concern any more on the second of March.
    scene.set_time("2026-03-02T00:20:00");
    let exporter = scene.start().await;
    wait_until_told(&exporter, &scene).await;
    for today in day("2026-03-03").through(day("2026-05-02")) {
        scene.set_time(&format!("{today}T00:20:00"));
        wait_until_told(&exporter, &scene).await;
    }
    exporter.stop().await;

    let received = receiver.received();
    let told: Vec<(String, f64)> = received
        .iter()
        .flat_map(|message| {
            message.assert_signed_with(&SECRET_BYTES);
            let json = message.json();
            json["alerts"].as_array().unwrap().clone()
        })
        .map(|alert| {
            let figures = &alert["figures"];
            let first_day = figures["first_day"].as_str().unwrap().to_owned();
            (first_day, figures["threshold_ratio"].as_f64().unwrap())
        })
        .collect();
    assert_eq!(told, expected);
    let ids: BTreeSet<String> = received.iter().map(|message| message.id()).collect();
    assert_eq!(ids.len(), received.len(), "no delivery came twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_with_a_long_history_tells_only_how_the_current_period_stands() {
    let scene = Scene::new("2026-03-20T09:00:00");
    let receiver = Receiver::start().await;
    let (first, last) = (day("2026-03-01"), day("2026-03-19"));
    let used = used(&scene, first, last);
    let text =
        budget(used / 0.9, "forecast_thresholds = []") + &webhook(&scene, "ops", &receiver, "");
    configure(&scene, &text);
    let exporter = scene.start().await;
    wait_until_told(&exporter, &scene).await;
    let received = receiver.wait_for_deliveries(1).await;
    assert_eq!(received.len(), 1);
    let alert = &received[0].json()["alerts"][0];
    assert_eq!(alert["rule"], "all-month");
    assert_eq!(alert["status"], "firing");
    assert_eq!(alert["figures"]["threshold_ratio"], 0.8);
    assert_eq!(alert["figures"]["used_credits"], used);
    assert_eq!(alert["figures"]["first_day"], "2026-03-01");

    // What is shown is what is told.
    let scrape = exporter.scrape().await;
    let series =
        |name: &str| scrape.get(&format!("flowgent_budget_{name}{{budget=\"all-month\"}}"));
    assert_eq!(series("used_credits"), Some(used));
    assert_eq!(series("used_ratio"), Some(used / (used / 0.9)));
    assert_eq!(series("missing_days"), Some(0.0));
    let seconds = |day: Day| Some(f64::from(day.number()) * 86_400.0);
    assert_eq!(series("period_start_timestamp_seconds"), seconds(first));
    assert_eq!(
        series("period_end_timestamp_seconds"),
        seconds(day("2026-04-01"))
    );
    let low = series("forecast_low_credits").unwrap();
    let high = series("forecast_high_credits").unwrap();
    let forecast = series("forecast_credits").unwrap();
    assert!(used <= low && low <= forecast && forecast <= high);
    let firing = "flowgent_alert_firing{rule=\"all-month\",subject=\"all\"}";
    assert_eq!(scrape.get(firing), Some(1.0));

    // Neither a restart nor a reload tells it again.
    exporter.stop().await;
    let exporter = scene.start().await;
    wait_until_told(&exporter, &scene).await;
    exporter.signal("HUP").await;
    exporter.wait_for_log("config reloaded").await;
    wait_until_told(&exporter, &scene).await;
    assert_eq!(receiver.received().len(), 1);

    // A smaller budget is another promise: what it now takes to be over has not been told.
    let text = budget(used, "forecast_thresholds = []") + &webhook(&scene, "ops", &receiver, "");
    configure(&scene, &text);
    exporter.signal("HUP").await;
    let received = receiver.wait_for_deliveries(2).await;
    let alert = &received[1].json()["alerts"][0];
    assert_eq!(alert["figures"]["threshold_ratio"], 1.0);
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_period_with_missing_days_is_told_of_by_what_is_known_and_says_so() {
    let scene = Scene::new("2026-03-20T09:00:00");
    let receiver = Receiver::start().await;
    let shop = scene.agent("globex", "shop");
    let (first, last) = (day("2026-03-01"), day("2026-03-19"));
    let known = used(&scene, first, last) - scene.sum(&shop, first, last);
    // One of the agents is named with an id that is nobody's.
    let text = budget(known, "") + &webhook(&scene, "ops", &receiver, "");
    configure(&scene, &text);
    let config = std::fs::read_to_string(scene.path("config.toml")).unwrap();
    scene.write("config.toml", &config.replace(&*shop.id, "nobody"));
    let exporter = scene.start().await;
    let received = receiver.wait_for_deliveries(1).await;
    let alert = &received[0].json()["alerts"][0];
    assert_eq!(alert["figures"]["threshold_ratio"], 1.0);
    assert_eq!(alert["figures"]["used_credits"], known);
    assert_eq!(alert["figures"]["missing_days"], 19);
    let text = alert["text"].as_str().unwrap();
    assert!(text.contains("19"), "{text}");
    let scrape = exporter.scrape().await;
    let missing = "flowgent_budget_missing_days{budget=\"all-month\"}";
    assert_eq!(scrape.get(missing), Some(19.0));
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_agents_have_used_that_left_counts_against_new_limits() {
    let scene = Scene::new("2026-03-20T09:00:00");
    let receiver = Receiver::start().await;
    let hook = webhook(&scene, "ops", &receiver, "");
    let agents = scene.simulator.world().agents("acme").to_vec();
    let month = |agents: &[_]| -> f64 {
        let used = |agent| scene.sum(agent, day("2026-03-01"), day("2026-03-19"));
        agents.iter().map(used).sum()
    };
    let (gone, left) = agents.split_first().unwrap();
    assert!(month(std::slice::from_ref(gone)) > 1.0);
    // The listing of globex keeps the agents of acme waiting while its answers fail.
    let globex = scene.config_account("globex", &[]) + "discover = true\n";
    let write = |agents: &[_], credits| {
        let acme = scene.config_account("acme", agents);
        let budget = format!(
            "[[budget]]\nname = \"acme-month\"\ncredits = {credits}\nperiod = \"month\"\n\
             match = {{ account = \"acme\" }}\nforecast_thresholds = []\nthresholds = [1.0]\n\
             hooks = [\"ops\"]\n"
        );
        let config = scene.config_head("") + &acme + &globex + &budget + &hook;
        scene.write("config.toml", &config);
    };
    write(&agents, month(&agents) + 1.0);
    let exporter = scene.start().await;
    exporter.wait_for_log("outcome=complete").await;

    scene.simulator.faults().add(Rule {
        fault: Fault::Status(500, None),
        scope: Scope::Account("globex".into()),
        times: Times::Count(1),
    });
    write(left, month(left) + 1.0);
    exporter.signal("HUP").await;
    exporter
        .wait_for_log("trigger=reload outcome=complete")
        .await;
    let limit = "flowgent_budget_limit_credits{budget=\"acme-month\"}";
    exporter
        .wait_until("the new limit", |scrape| {
            scrape.get(limit) == Some(month(left) + 1.0)
        })
        .await;
    let used = "flowgent_budget_used_credits{budget=\"acme-month\"}";
    assert_eq!(exporter.scrape().await.get(used), Some(month(&agents)));
    receiver.wait_for_deliveries(1).await;
    exporter.stop().await;
    assert_eq!(receiver.received().len(), 1);
}
