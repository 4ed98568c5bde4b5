//! A config that changes while the exporter runs.

use flowgent_exporter::day::TRACKING_START;
use flowgent_exporter::simulator::{Endpoint, Fault, Times};

use futures_util::future::join_all;

use crate::harness::{Exporter, Scene, Scrape, day, request, wait_for};

const SUCCESSFUL: &str = "flowgent_exporter_config_last_reload_successful";

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_adds_and_removes_agents_and_asks_only_for_what_is_new() {
    let scene = Scene::new("2026-03-04T09:00:00");
    let (support, sales) = (scene.agent("acme", "support"), scene.agent("acme", "sales"));
    let config = |agents: &[_]| scene.config_head("") + &scene.config_account("acme", agents);
    let one = config(std::slice::from_ref(&support));
    let both = config(&[support.clone(), sales.clone()]);
    let asked = |agent| scene.simulator.journal().count(agent, Endpoint::Usage);
    scene.write("config.toml", &one);
    let exporter = scene.start().await;
    let whole = |agent| {
        let scene = &scene;
        move |scrape: &Scrape| scene.gaps_of(agent, scrape).is_empty()
    };
    exporter
        .wait_until("the first agent", whole(&support))
        .await;
    exporter.wait_for_syncs(1).await;

    scene.write("config.toml", &both);
    exporter.signal("HUP").await;
    let scrape = exporter.wait_until("the new agent", whole(&sales)).await;
    assert_eq!(scrape.get(SUCCESSFUL), Some(1.0));
    exporter
        .wait_for_log("trigger=reload outcome=complete")
        .await;
    assert_eq!((asked(&support), asked(&sales)), (10, 10));

    scene.write("config.toml", &one);
    exporter.signal("HUP").await;
    exporter
        .wait_until("the agent to go", |scrape| {
            !scrape.text.contains("agent=\"sales\"")
        })
        .await;

    // It comes back with all that was known of it.
    scene.write("config.toml", &both);
    exporter.signal("HUP").await;
    exporter.wait_until("the agent again", whole(&sales)).await;
    exporter.wait_for_syncs(4).await;
    assert_eq!((asked(&support), asked(&sales)), (10, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_config_leaves_the_old_one_at_work_and_says_where_it_is_wrong() {
    let scene = Scene::new("2026-03-04T09:00:00");
    let good = scene.config("");
    let exporter = scene.start().await;
    exporter.wait_until_whole(&scene).await;

    scene.write("config.toml", &good.replace("jitter", "jiter"));
    exporter.signal("HUP").await;
    exporter
        .wait_until("the failure", |scrape| scrape.get(SUCCESSFUL) == Some(0.0))
        .await;
    exporter.wait_for_log("config not reloaded").await;
    assert_eq!(exporter.logged("level=error"), 1);
    let line = 1 + good
        .lines()
        .position(|line| line.starts_with("jitter"))
        .unwrap();
    assert_eq!(exporter.logged(&format!("config.toml:{line}:")), 1);
    scene.set_time("2026-03-05T00:10:00");
    exporter.wait_until_whole(&scene).await;

    scene.write("config.toml", &good);
    exporter.signal("HUP").await;
    let scrape = exporter
        .wait_until("the success", |scrape| scrape.get(SUCCESSFUL) == Some(1.0))
        .await;
    let now = f64::from(u32::try_from(day("2026-03-05").start().timestamp()).unwrap() + 600);
    assert_eq!(
        scrape.get("flowgent_exporter_config_last_reload_success_timestamp_seconds"),
        Some(now)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_does_not_wait_for_a_backfill_that_hangs() {
    let scene = Scene::new("2026-03-04T09:00:00");
    let head = scene.config_head("").replace("\"30s\"", "\"60s\"");
    let acme = scene.config_account("acme", scene.simulator.world().agents("acme"));
    let globex = scene.config_account("globex", scene.simulator.world().agents("globex"));
    scene.write("config.toml", &format!("{head}{acme}"));
    let hanging = scene.agent("acme", "support");
    let faults = scene.simulator.faults();
    faults.add_for(&hanging, Fault::Hang, Times::Always);
    let exporter = scene.start().await;
    let others = ["sales", "legal"].map(|name| scene.agent("acme", name));
    exporter
        .wait_until("the backfill to hang", |scrape| {
            let left = scrape.get("flowgent_exporter_windows_left");
            let under_way = scrape.get("flowgent_exporter_sync_running");
            let asked = scene.simulator.journal().count(&hanging, Endpoint::Usage);
            under_way == Some(1.0) && left < Some(30.0) && asked > 0
        })
        .await;

    scene.write("config.toml", &format!("{head}{acme}{globex}"));
    scene.simulator.faults().clear();
    exporter.signal("HUP").await;
    exporter.wait_until_whole(&scene).await;
    exporter
        .wait_for_log("trigger=startup outcome=incomplete")
        .await;
    // What had been committed before was not asked for again.
    for agent in &others {
        let asked = scene.simulator.journal().count(agent, Endpoint::Usage);
        assert!((10..=14).contains(&asked), "{asked}");
    }
    exporter.stop().await;
    scene.assert_ledger_is_the_truth().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_restart_is_said_at_a_reload_and_everything_else_is_done() {
    let scene = Scene::new("2026-03-04T09:00:00");
    let exporter = scene.start().await;
    exporter.wait_until_whole(&scene).await;
    let config = scene
        .config("")
        .replace("127.0.0.1:0", "127.0.0.1:13599")
        .replace("ledger.db", "other.db")
        .replace("[storage]", "telemetry_path = \"/usage\"\n[storage]")
        .replace("jitter", "history_start = \"2026-02-01\"\njitter");
    scene.write("config.toml", &config);
    exporter.signal("HUP").await;
    exporter.wait_for_log("config reloaded").await;
    for key in [
        "[server] listen",
        "[server] telemetry_path",
        "[storage] path",
    ] {
        let said = format!("{key} has changed; restart to apply it");
        assert_eq!(exporter.logged(&said), 1, "{key}");
    }
    assert_eq!(exporter.logged("level=warn"), 3);
    assert!(!scene.path("other.db").exists());
    // A later history start lowers no counter.
    let support = scene.agent("acme", "support");
    let counter = scene.sum(&support, TRACKING_START, day("2026-03-03"));
    let counted = scene.sum(&support, day("2026-02-01"), day("2026-03-03"));
    exporter
        .wait_until("the new history start", |scrape| {
            scrape.of(&support, "used_credits_total") == Some(counter)
                && scrape.of(&support, "overcount_credits") == Some(counter - counted)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_taken_out_leaves_no_series_behind() {
    let scene = Scene::new("2026-03-04T09:00:00");
    let exporter = scene.start().await;
    exporter.wait_until_whole(&scene).await;
    let globex = scene.simulator.world().agents("globex").to_vec();
    scene.write(
        "config.toml",
        &(scene.config_head("") + &scene.config_account("globex", &globex)),
    );
    exporter.signal("HUP").await;
    let scrape = exporter
        .wait_until("acme to be gone", |scrape| {
            !scrape.text.contains("account=\"acme\"")
        })
        .await;
    assert_eq!(scrape.of(&globex[0], "up"), Some(1.0));
}

const NEXT: &str = "flowgent_exporter_sync_next_timestamp_seconds";

/// Reloads, and returns once the exporter has told `times` in all that it has.
async fn reload(exporter: &Exporter, times: usize) {
    exporter.signal("HUP").await;
    wait_for("the reload", async || {
        let told = exporter.logged("config reloaded");
        if told == times { Ok(()) } else { Err(told) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_changes_nothing_asks_nothing_and_puts_no_retry_off() {
    let scene = Scene::new("2026-03-04T09:00:00");
    let late = scene.agent("acme", "support");
    let faults = scene.simulator.faults();
    faults.add_for(&late, Fault::MissingDay, Times::Always);
    let exporter = scene.start().await;
    let scrape = exporter.wait_for_syncs(1).await;
    let (asked, next) = (scene.simulator.journal().total(), scrape.get(NEXT));
    scene.set_time("2026-03-04T09:10:00");
    reload(&exporter, 1).await;
    reload(&exporter, 2).await;
    // Alerting is none of FlowGent's business: the new rule fires without a sync.
    let rule = "[[rule]]\nname = \"busy\"\nkind = \"usage\"\nover = 0.001\nspan = \"month_to_date\"\n\
                match = { agent = \"sales\" }\n";
    scene.write("config.toml", &scene.config(rule));
    reload(&exporter, 3).await;
    let firing = "flowgent_alert_firing{rule=\"busy\",subject=\"acme/sales\"}";
    let scrape = exporter
        .wait_until("the rule to fire", |scrape| scrape.get(firing) == Some(1.0))
        .await;
    assert_eq!(scrape.get(NEXT), next);
    assert_eq!(scrape.syncs(), 1.0);
    assert_eq!(scene.simulator.journal().total(), asked);
    scene.set_time("2026-03-04T09:15:01");
    exporter.wait_for_log("trigger=retry").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_does_not_break_off_a_sync_that_it_does_not_change() {
    let scene = Scene::new("2026-03-04T09:00:00");
    let hanging = scene.agent("acme", "support");
    let faults = scene.simulator.faults();
    faults.add_for(&hanging, Fault::Hang, Times::Count(1));
    let config = scene.config("").replace("\"30s\"", "\"4s\"");
    scene.write("config.toml", &config);
    let exporter = scene.start().await;
    exporter
        .wait_until("the sync to hang", |scrape| {
            scrape.get("flowgent_exporter_sync_running") == Some(1.0)
                && scene.simulator.journal().count(&hanging, Endpoint::Usage) > 0
        })
        .await;
    reload(&exporter, 1).await;
    exporter
        .wait_for_log("trigger=startup outcome=complete")
        .await;
    assert_eq!(exporter.scrape().await.syncs(), 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_tries_refused_keys_and_asks_no_other_account() {
    let scene = Scene::new("2026-03-04T09:00:00");
    scene.write("acme.key", "test-key-nobody");
    let late = scene.agent("globex", "shop");
    let faults = scene.simulator.faults();
    faults.add_for(&late, Fault::MissingDay, Times::Always);
    let exporter = scene.start().await;
    let next = exporter.wait_for_syncs(1).await.get(NEXT);
    scene.simulator.journal().clear();
    let asked = |account: &str| -> u64 {
        let agents = scene.simulator.world().agents(account).iter();
        agents
            .map(|agent| scene.simulator.journal().count(agent, Endpoint::Usage))
            .sum()
    };
    reload(&exporter, 1).await;
    exporter.wait_for_log("trigger=keys outcome=failed").await;
    assert_eq!((asked("acme"), asked("globex")), (1, 0));

    scene.write("acme.key", scene.simulator.world().key("acme").expose());
    exporter.signal("HUP").await;
    let support = scene.agent("acme", "support");
    let scrape = exporter
        .wait_until("acme's history", |scrape| {
            scene.gaps_of(&support, scrape).is_empty()
                && scrape.get("flowgent_exporter_sync_running") == Some(0.0)
        })
        .await;
    assert_eq!(asked("globex"), 0);
    assert_eq!(scrape.get(NEXT), next, "globex's retry stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_schedule_syncs() {
    let scene = Scene::new("2026-03-04T09:00:00");
    let exporter = scene.start().await;
    exporter.wait_until_whole(&scene).await;
    let config = scene
        .config("")
        .replace("[schedule]", "[schedule]\ncron = \"0 0 12 * * *\"");
    scene.write("config.toml", &config);
    exporter.signal("HUP").await;
    exporter
        .wait_for_log("trigger=reload outcome=complete")
        .await;
    let noon = day("2026-03-04").start().timestamp() + 12 * 3600;
    exporter
        .wait_until("the new schedule", |scrape| {
            scrape.get(NEXT) == Some(noon as f64)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reloads_that_come_together_are_one_and_leave_no_task_behind() {
    let scene = Scene::new("2026-03-04T09:00:00");
    let exporter = Exporter::start(&scene, &["--web.enable-lifecycle"]).await;
    exporter.wait_until_whole(&scene).await;
    let tasks = |scrape: &Scrape| scrape.get("flowgent_exporter_runtime_tasks").unwrap();
    let before = tasks(&exporter.scrape().await);
    let reload = || request(exporter.address(), "POST", "/-/reload", "");
    let replies = join_all((0..20).map(|_| reload())).await;
    for (head, body) in replies {
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert_eq!(body, b"config reloaded\n");
    }
    let together = exporter.logged("config reloaded");
    assert!(together <= 3, "{together}");
    for _ in 0..20 {
        reload().await;
    }
    assert_eq!(exporter.logged("config reloaded"), together + 20);
    exporter
        .wait_until("as many tasks as before", |scrape| {
            tasks(scrape) <= before + 1.0
        })
        .await;
}
