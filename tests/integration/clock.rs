//! Clocks that run ahead, that are not set, and that are set while the exporter runs: nothing lasting comes
//! of it.

use std::net::SocketAddr;

use flowgent_exporter::day::TRACKING_START;
use flowgent_exporter::ledger::{FetchedDay, View};
use flowgent_exporter::simulator::Agent;

use crate::alerts::{configure, wait_until_told, webhook};
use crate::harness::{Exporter, Habit, Receiver, Scene, Scrape, day, free_port};

const NOON: &str = "2026-03-04T12:00:00";
const TRUSTED: &str = "flowgent_exporter_clock_trusted";

/// A rule that fires for the support agent.
const BUSY: &str = "[[rule]]\nname = \"busy\"\nkind = \"usage\"\nover = 0.001\nspan = \"previous_day\"\n\
                    match = { agent = \"support\" }\nhooks = [\"ops\"]\n";
/// A budget that is used up more than once.
const BUDGET: &str = "[[budget]]\nname = \"month\"\ncredits = 0.5\nperiod = \"month\"\nthresholds = [1.0]\n\
                      forecast_thresholds = []\nhooks = [\"ops\"]\n";

async fn wait_for_trust(exporter: &Exporter, trusted: bool) -> Scrape {
    exporter
        .wait_until(&format!("the clock to be trusted: {trusted}"), |scrape| {
            scrape.get(TRUSTED) == Some(f64::from(u8::from(trusted)))
        })
        .await
}

/// Moves the exporter's clock ahead to `then` and back again, and returns once it was seen to be wrong.
async fn run_ahead(scene: &Scene, exporter: &Exporter, then: &str) {
    scene.set_exporters_time(then);
    wait_for_trust(exporter, false).await;
    exporter.wait_for_log("ahead of FlowGent's").await;
}

fn tries(scrape: &Scrape, outcome: &str) -> Option<f64> {
    scrape.get(&format!(
        "flowgent_hook_deliveries_total{{hook=\"ops\",outcome=\"{outcome}\"}}"
    ))
}

/// The days of `agent` as the ledger has them.
async fn days(scene: &Scene, agent: &Agent) -> Vec<FetchedDay> {
    let view = View::open(&scene.path("ledger.db")).unwrap();
    let identity = (agent.account.clone(), agent.id.clone());
    let number = view.numbers(vec![identity]).await.unwrap()[0].unwrap();
    view.agent_history(number).await.unwrap().days
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_20_days_ahead_for_8_seconds_changes_no_figure_and_skips_no_poll() {
    let scene = Scene::new(NOON);
    let exporter = scene.start().await;
    exporter.wait_until_whole(&scene).await;
    scene.simulator.journal().clear();
    run_ahead(&scene, &exporter, "2026-03-24T12:00:00").await;
    // Both clocks are named, and the figures are still those of FlowGent's day.
    assert_eq!(exporter.logged("clock is 20 days ahead of FlowGent's"), 1);
    let scrape = exporter.wait_until_whole(&scene).await;
    assert_eq!(scrape.get(TRUSTED), Some(0.0));
    let (_, page) = exporter.get("/", "").await;
    assert!(String::from_utf8(page).unwrap().contains("20 days ahead"));

    scene.set_time("2026-03-04T12:00:08");
    wait_for_trust(&exporter, true).await;
    exporter.wait_until_whole(&scene).await;
    assert_eq!(scene.simulator.journal().total(), 0);
    for tomorrow in ["2026-03-05T00:10:00", "2026-03-06T00:10:00"] {
        scene.set_time(tomorrow);
        exporter.wait_until_whole(&scene).await;
    }
    assert_eq!(scene.simulator.journal().total(), 10);
    exporter.stop().await;
    scene.assert_ledger_is_the_truth().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_delivery_is_tried_again_in_its_time_after_a_clock_that_was_20_days_ahead() {
    let scene = Scene::new(NOON);
    let ops = Receiver::start().await;
    ops.set_habit(Habit::Status(500));
    configure(
        &scene,
        &format!("{BUSY}{}", webhook(&scene, "ops", &ops, "")),
    );
    let exporter = scene.start().await;
    exporter
        .wait_until("the first failure", |scrape| {
            tries(scrape, "failed") == Some(1.0)
        })
        .await;
    run_ahead(&scene, &exporter, "2026-03-24T12:00:00").await;
    scene.set_time("2026-03-04T12:00:08");
    wait_for_trust(&exporter, true).await;
    ops.set_habit(Habit::Status(200));
    scene.set_time("2026-03-04T12:06:00");
    exporter
        .wait_until("the delivery", |scrape| {
            tries(scrape, "delivered") == Some(1.0)
        })
        .await;
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_not_given_up_by_a_clock_30_days_ahead() {
    let scene = Scene::new(NOON);
    let ops = Receiver::start().await;
    ops.set_habit(Habit::Status(500));
    configure(
        &scene,
        &format!("{BUSY}{}", webhook(&scene, "ops", &ops, "")),
    );
    let exporter = scene.start().await;
    exporter
        .wait_until("the first failure", |scrape| {
            tries(scrape, "failed") == Some(1.0)
        })
        .await;
    run_ahead(&scene, &exporter, "2026-04-04T12:00:00").await;
    // Also by an exporter that starts on that clock.
    exporter.stop().await;
    let exporter = scene.start().await;
    exporter.wait_for_log("ahead of FlowGent's").await;
    let scrape = exporter.wait_until_whole(&scene).await;
    assert_eq!(tries(&scrape, "given_up"), Some(0.0));
    ops.set_habit(Habit::Status(200));
    scene.set_time("2026-03-04T12:06:00");
    let scrape = exporter
        .wait_until("the delivery", |scrape| {
            tries(scrape, "delivered") == Some(1.0)
        })
        .await;
    assert_eq!(tries(&scrape, "given_up"), Some(0.0));
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_is_not_told_over_by_a_clock_40_days_ahead() {
    let scene = Scene::new(NOON);
    let ops = Receiver::start().await;
    configure(
        &scene,
        &format!("{BUDGET}{}", webhook(&scene, "ops", &ops, "")),
    );
    let exporter = scene.start().await;
    ops.wait_for_deliveries(1).await;
    wait_until_told(&exporter, &scene).await;
    let firing = "flowgent_alert_firing{rule=\"month\",subject=\"all\"}";
    run_ahead(&scene, &exporter, "2026-04-13T12:00:00").await;
    assert_eq!(exporter.scrape().await.get(firing), Some(1.0));
    // Also by an exporter that starts on that clock.
    exporter.stop().await;
    let exporter = scene.start().await;
    exporter.wait_for_log("ahead of FlowGent's").await;
    wait_until_told(&exporter, &scene).await;
    assert_eq!(exporter.scrape().await.get(firing), Some(1.0));
    scene.set_time("2026-03-05T00:10:00");
    wait_for_trust(&exporter, true).await;
    wait_until_told(&exporter, &scene).await;
    assert_eq!(exporter.scrape().await.get(firing), Some(1.0));
    exporter.stop().await;
    assert_eq!(ops.received().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_under_a_clock_30_days_ahead_settles_by_flowgents_days() {
    let scene = Scene::new(NOON);
    scene.set_exporters_time("2026-04-03T12:00:00");
    let exporter = scene.start().await;
    exporter.wait_until_whole(&scene).await;
    let support = scene.agent("acme", "support");
    for fetched in days(&scene, &support).await {
        assert_eq!(fetched.fetched, day("2026-03-04"), "{fetched:?}");
    }
    scene.set_time("2026-03-04T13:00:00");
    wait_for_trust(&exporter, true).await;

    // Yesterday is corrected, and asked for again.
    let yesterday = day("2026-03-03");
    scene
        .simulator
        .world()
        .set_credits(&support, yesterday, 77.5);
    scene.set_time("2026-03-05T00:10:00");
    exporter
        .wait_until("the revision", |scrape| {
            scrape.of(&support, "missing_days") == Some(0.0)
                && scrape.of(&support, "used_credits_total")
                    == Some(scene.sum(&support, TRACKING_START, day("2026-03-04")))
        })
        .await;
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_under_a_clock_30_days_behind_knows_what_flowgent_knows() {
    let scene = Scene::new(NOON);
    scene.set_exporters_time("2026-02-02T12:00:00");
    let exporter = scene.start().await;
    let scrape = exporter.wait_until_whole(&scene).await;
    assert_eq!(scrape.get(TRUSTED), Some(0.0));
    let support = scene.agent("acme", "support");
    let newest = day("2026-03-03");
    for fetched in days(&scene, &support).await {
        // By the clock that is behind, but not before the newest day of the same answer was over.
        let range = day("2026-02-02").max(fetched.usage.day.next())..=newest.next();
        assert!(range.contains(&fetched.fetched), "{fetched:?}");
    }
    scene.set_time("2026-03-05T00:10:00");
    exporter.wait_until_whole(&scene).await;
    exporter.stop().await;
    scene.assert_ledger_is_the_truth().await;
}

/// A config that only a clock that is set agrees with, and that asks the FlowGent there, or elsewhere.
fn dated_config(scene: &Scene, elsewhere: Option<SocketAddr>) -> String {
    let config = scene.config("").replace(
        "[schedule]",
        "[push]\nwrite_url = \"http://127.0.0.1:9/api/v1/write\"\nallow_private = true\ninstance = \"here\"\n\
         from = \"2026-03-01\"\n[schedule]\nhistory_start = \"2026-03-01\"",
    );
    match elsewhere {
        None => config,
        Some(address) => {
            let (own, other) = (scene.simulator.base_url(), format!("http://{address}/"));
            assert!(config.contains(&own));
            config.replace(&own, &other)
        }
    }
}

/// Starts an exporter whose clock is not set and that cannot ask FlowGent, sees it wait, sets the clock, and
/// lets it reach FlowGent.
async fn wait_for_the_clock(scene: &Scene, passed: &str) {
    let exporter = scene.start().await;
    let reason = format!("this host's clock is not set: it shows {}", passed);
    exporter.wait_for_log(&reason).await;
    let (head, body) = exporter.get("/-/ready", "").await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    let body = String::from_utf8(body).unwrap();
    assert!(body.contains(&reason), "{body}");
    let (_, page) = exporter.get("/", "").await;
    let shown = reason.replace('\'', "&#39;");
    assert!(String::from_utf8(page).unwrap().contains(&shown));
    let scrape = exporter.scrape().await;
    assert_eq!(scrape.get(TRUSTED), Some(0.0));
    assert_eq!(scrape.syncs(), 0.0);
    assert!(
        !scrape.text.contains("flowgent_agent_missing_days{"),
        "{scrape}"
    );

    scene.set_time(NOON);
    exporter.wait_for_log("config reloaded").await;
    scene.write("config.toml", &dated_config(scene, None));
    exporter.signal("HUP").await;
    let support = scene.agent("acme", "support");
    let known = scene.sum(&support, day("2026-03-01"), day("2026-03-03"));
    exporter
        .wait_until("the figures", |scrape| {
            scrape.get(TRUSTED) == Some(1.0)
                && scrape.of(&support, "used_credits_total") >= Some(known)
                && scrape.of(&support, "missing_days") == Some(0.0)
        })
        .await;
    let (head, _) = exporter.get("/-/ready", "").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_boot_before_the_clock_is_set_waits_and_says_so() {
    let scene = Scene::new(NOON);
    scene.write("config.toml", &dated_config(&scene, Some(free_port())));
    scene.set_exporters_time("1970-01-01T00:00:09");
    wait_for_the_clock(&scene, "1970-01-01T00:00:").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_days_behind_the_ledger_waits_and_says_so() {
    let scene = Scene::new(NOON);
    let exporter = scene.start().await;
    exporter.wait_until_whole(&scene).await;
    exporter.stop().await;
    scene.write("config.toml", &dated_config(&scene, Some(free_port())));
    scene.set_exporters_time("2026-02-27T12:00:00");
    wait_for_the_clock(&scene, "2026-02-27T12:00:00Z, but 2026-03-04T12:00:").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_boot_before_the_clock_is_set_goes_on_by_flowgents_date() {
    let scene = Scene::new(NOON);
    scene.set_exporters_time("1970-01-01T00:00:09");
    let exporter = scene.start().await;
    let scrape = exporter.wait_until_whole(&scene).await;
    assert_eq!(scrape.get(TRUSTED), Some(0.0));
    exporter.stop().await;
    scene.assert_ledger_is_the_truth().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_date_in_the_config_that_has_yet_to_come_is_still_refused() {
    let scene = Scene::new("2026-02-20T12:00:00");
    scene.write("config.toml", &dated_config(&scene, None));
    let output = crate::harness::run(&scene, &["serve"]).await;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("history_start"), "{said}");
}
