//! Whoever hangs, fails or cannot be read keeps nobody else waiting.

use flowgent_exporter::day::TRACKING_START;
use flowgent_exporter::secret::Secret;
use flowgent_exporter::simulator::{AccountSettings, Fault, Rule, Scope, Settings, Times};

use crate::harness::{Exporter, Scene, Scrape, settings};

/// Strikes every request of an account from now on.
fn strike(scene: &Scene, account: &str, fault: Fault) {
    let scope = Scope::Account(account.into());
    scene.simulator.faults().add(Rule {
        fault,
        scope,
        times: Times::Always,
    });
}

/// Waits until every figure of the account's agents is there and true.
async fn wait_until_whole(scene: &Scene, exporter: &Exporter, account: &str) {
    let agents = scene.simulator.world().agents(account);
    exporter
        .wait_until(&format!("{account} to be whole"), |scrape| {
            agents
                .iter()
                .all(|agent| scene.gaps_of(agent, scrape).is_empty())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_does_not_wait_for_a_sync_that_hangs() {
    let scene = Scene::new("2026-03-04T09:00:00");
    strike(&scene, "acme", Fault::Hang);
    let exporter = scene.start().await;
    wait_until_whole(&scene, &exporter, "globex").await;
    let scrape = exporter.scrape().await;
    assert_eq!(scrape.get("flowgent_exporter_sync_running"), Some(1.0));

    scene.set_time("2026-03-05T00:10:00");
    wait_until_whole(&scene, &exporter, "globex").await;
    let scrape = exporter.scrape().await;
    assert_eq!(scrape.get("flowgent_exporter_sync_running"), Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_hangs_keeps_no_other_account_waiting_for_its_retries() {
    let scene = Scene::new("2026-03-04T09:00:00");
    strike(&scene, "acme", Fault::Hang);
    let globex = scene.simulator.world().agents("globex").to_vec();
    let account = scene.config_account("acme", &[]) + "discover = true\n";
    let head = scene
        .config_head("")
        .replace("timeout = \"30s\"", "timeout = \"5s\"");
    scene.write(
        "config.toml",
        &(head + &account + &scene.config_account("globex", &globex)),
    );
    let exporter = scene.start().await;
    wait_until_whole(&scene, &exporter, "globex").await;
    // One request to list was given its time, and no second one.
    let listings = "flowgent_exporter_api_requests_total{account=\"acme\",endpoint=\"agents\"";
    let asked: f64 = exporter
        .scrape()
        .await
        .starting_with(listings)
        .values()
        .sum();
    assert!(asked <= 1.0, "{asked}");
    exporter
        .wait_for_log("listing agents: no complete answer within 5s")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_failing_agents_does_not_starve_the_one_behind_them() {
    let crowd = (1..=24).map(|number| format!("failing-{number:02}"));
    let names: Vec<String> = crowd.chain(["good".to_owned()]).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let key = Secret::new("test-key-acme");
    let accounts = vec![AccountSettings::named("acme", key, &names)];
    let scene = Scene::with(
        "2026-03-04T09:00:00",
        Settings {
            accounts,
            ..settings()
        },
    );
    for agent in scene
        .agents()
        .iter()
        .filter(|agent| agent.name.starts_with("failing"))
    {
        // Not worth a retry, so that the test is quick, and not the agent's fault.
        scene
            .simulator
            .faults()
            .add_for(agent, Fault::Html, Times::Always);
    }
    let exporter = scene.start().await;
    exporter.wait_for_syncs(1).await;
    let good = scene.agent("acme", "good");
    // The service was taken to be down before its turn came.
    assert!(scene.simulator.journal().windows(&good).is_empty());

    scene.set_time("2026-03-04T09:15:00");
    exporter
        .wait_until("the good one to be whole", |scrape| {
            scene.gaps_of(&good, scrape).is_empty()
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_list_of_agents_at_a_start_loses_none_of_them() {
    let scene = Scene::new("2026-03-04T09:00:00");
    let support = scene.agent("acme", "support");
    let list = format!("[{{\"id\": \"{}\", \"name\": \"support\"}}]", support.id);
    scene.write("agents.json", &list);
    let account = scene.config_account("acme", &[]) + "agents_file = \"agents.json\"\n";
    scene.write("config.toml", &(scene.config_head("") + &account));
    let exporter = scene.start().await;
    let total = scene.sum(&support, TRACKING_START, scene.today().previous());
    let whole = |scrape: &Scrape| scrape.of(&support, "used_credits_total") == Some(total);
    exporter.wait_until("the whole history", whole).await;
    exporter.stop().await;

    scene.write("agents.json", &list[..list.len() / 2]);
    let exporter = scene.start().await;
    assert!(whole(&exporter.scrape().await));
    exporter.wait_for_log("kind=agents_file").await;
    exporter.signal("HUP").await;
    exporter.wait_for_log("config reloaded").await;
    assert!(whole(&exporter.scrape().await));
}
