//! Start, restart, and days that pass.

use flowgent_exporter::day::TRACKING_START;
use flowgent_exporter::simulator::{Endpoint, Fault, Times};

use crate::harness::{DAY_BOUND, Scene, day};

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_fills_the_history_and_publishes_exact_figures() {
    let scene = Scene::new("2026-03-10T09:00:00");
    let exporter = scene.start().await;
    let support = scene.agent("acme", "support");
    let total = scene.sum(&support, TRACKING_START, day("2026-03-09"));
    let scrape = exporter
        .wait_until("the whole history", |scrape| {
            scrape.of(&support, "used_credits_total") == Some(total)
        })
        .await;
    let figure = |family| scrape.of(&support, family);
    let yesterday = day("2026-03-09");
    assert_eq!(
        figure("previous_day_credits"),
        Some(scene.truth(&support, yesterday))
    );
    let week = scene.sum(&support, day("2026-03-03"), yesterday);
    assert_eq!(figure("previous_7_days_credits"), Some(week));
    let month = scene.sum(&support, day("2026-03-01"), yesterday);
    assert_eq!(figure("month_to_date_credits"), Some(month));
    let february = scene.sum(&support, day("2026-02-01"), day("2026-02-28"));
    assert_eq!(figure("previous_month_credits"), Some(february));
    assert_eq!(figure("missing_days"), Some(0.0));
    assert_eq!(figure("up"), Some(1.0));
    exporter.wait_until_whole(&scene).await;
    exporter.stop().await;
    scene.assert_ledger_is_the_truth().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_later_the_same_day_asks_for_nothing() {
    let scene = Scene::new("2026-03-10T09:00:00");
    let exporter = scene.start().await;
    exporter.wait_until_whole(&scene).await;
    exporter.stop().await;
    let support = scene.agent("acme", "support");
    let asked = scene.simulator.journal().count(&support, Endpoint::Usage);
    // 286 days are ten windows.
    assert_eq!(asked, 10);

    scene.simulator.journal().clear();
    scene.set_time("2026-03-10T18:00:00");
    let exporter = scene.start().await;
    // Everything is there before the first sync is over.
    assert_eq!(scene.gaps(&exporter.scrape().await), "");
    exporter.wait_for_syncs(1).await;
    assert_eq!(scene.simulator.journal().total(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_shortly_before_the_daily_poll_leaves_yesterday_to_it() {
    let scene = Scene::new("2026-03-10T09:00:00");
    let exporter = scene.start().await;
    exporter.wait_until_whole(&scene).await;
    exporter.stop().await;

    scene.simulator.journal().clear();
    scene.set_time("2026-03-11T00:05:00");
    let exporter = scene.start().await;
    exporter.wait_for_syncs(1).await;
    assert_eq!(scene.simulator.journal().total(), 0);
    scene.set_time("2026-03-11T00:10:00");
    exporter.wait_until_whole(&scene).await;
    assert_eq!(scene.simulator.journal().total(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_week_each_day_costs_one_request_per_agent_and_begins_without_a_yesterday() {
    let scene = Scene::new("2026-03-04T09:00:00");
    let exporter = scene.start().await;
    let mut before = exporter.wait_until_whole(&scene).await;
    for number in 1..=7_u32 {
        scene.simulator.journal().clear();
        let today = day("2026-03-04").plus(number.try_into().unwrap());
        scene.set_time(&format!("{today}T00:00:00"));
        let midnight = exporter.scrape().await;
        assert_eq!(scene.untruths(&midnight), "");
        for agent in &scene.agents() {
            for family in &DAY_BOUND[..4] {
                assert_eq!(midnight.of(agent, family), None, "{family} on {today}");
            }
            let counter = "used_credits_total";
            assert_eq!(midnight.of(agent, counter), before.of(agent, counter));
        }

        scene.set_time(&format!("{today}T00:10:00"));
        before = exporter.wait_until_whole(&scene).await;
        // Yesterday, and the three days before it, which have not settled.
        let window = (today.plus(-4), today.plus(-1));
        for agent in &scene.agents() {
            let asked = scene.simulator.journal().windows(agent);
            assert_eq!(asked, [window], "{} on {today}", agent.name);
        }
        assert_eq!(before.syncs(), f64::from(1 + number));
    }
    exporter.stop().await;
    scene.assert_ledger_is_the_truth().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn days_that_the_host_slept_through_are_one_sync() {
    let scene = Scene::new("2026-03-04T09:00:00");
    let exporter = scene.start().await;
    exporter.wait_until_whole(&scene).await;
    scene.simulator.journal().clear();

    scene.set_time("2026-03-07T15:00:00");
    exporter.wait_until_whole(&scene).await;
    scene.set_time("2026-03-08T00:10:00");
    let scrape = exporter.wait_until_whole(&scene).await;
    assert_eq!(scrape.syncs(), 3.0);
    for agent in &scene.agents() {
        assert_eq!(
            scene.simulator.journal().windows(agent),
            [
                (day("2026-03-01"), day("2026-03-06")),
                (day("2026-03-04"), day("2026-03-07"))
            ]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_back_costs_no_request_and_loses_nothing() {
    let scene = Scene::new("2026-03-10T09:00:00");
    let exporter = scene.start().await;
    let before = exporter.wait_until_whole(&scene).await;
    scene.simulator.journal().clear();

    scene.set_time("2026-03-08T09:00:00");
    let agents = scene.agents();
    let scrape = exporter
        .wait_until("the figures as of the earlier day", |scrape| {
            agents.iter().all(|agent| {
                let figure = |family| scrape.of(agent, family) == Some(scene.figure(agent, family));
                DAY_BOUND.into_iter().all(figure)
            })
        })
        .await;
    for agent in &agents {
        let counter = "used_credits_total";
        assert_eq!(scrape.of(agent, counter), before.of(agent, counter));
        assert_eq!(scrape.of(agent, "missing_days"), Some(0.0));
    }

    scene.set_time("2026-03-11T00:10:00");
    exporter
        .wait_until("the figures of the day", |scrape| {
            scene.gaps(scrape).is_empty()
        })
        .await;
    assert_eq!(scene.simulator.journal().total(), 5);
    exporter.stop().await;
    scene.assert_ledger_is_the_truth().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_is_not_over_for_flowgent_yet_is_nobodys_fault_and_asked_for_again() {
    let scene = Scene::new("2026-03-04T09:00:00");
    let exporter = scene.start().await;
    exporter.wait_until_whole(&scene).await;
    scene.simulator.journal().clear();

    scene.set_flowgents_time("2026-03-04T23:50:00");
    scene.set_exporters_time("2026-03-05T00:10:00");
    let agents = scene.agents();
    exporter.wait_for_syncs(2).await;
    let scrape = exporter
        .wait_until("the wait for FlowGent's midnight", |scrape| {
            agents.iter().all(|agent| {
                scrape.of(agent, "missing_days") == Some(1.0)
                    && scrape.of(agent, "previous_day_credits").is_none()
                    && scrape.of(agent, "up") == Some(1.0)
            })
        })
        .await;
    for account in ["acme", "globex"] {
        let skew = format!("flowgent_exporter_api_clock_skew_seconds{{account=\"{account}\"}}");
        // The header tells whole seconds.
        let skew = scrape.get(&skew).unwrap();
        assert!((-1200.0..=-1199.0).contains(&skew), "{skew}");
    }
    assert_eq!(scene.simulator.journal().total(), 5);

    scene.set_flowgents_time("2026-03-05T00:05:00");
    scene.set_exporters_time("2026-03-05T00:25:00");
    exporter.wait_until_whole(&scene).await;
    assert_eq!(scene.simulator.journal().total(), 10);
    let log = exporter.stop().await;
    assert!(!log.contains("level=warn"), "{log}");
    scene.assert_ledger_is_the_truth().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_first_of_a_month_the_new_one_is_zero_and_the_old_one_waits_for_its_last_day() {
    let scene = Scene::new("2026-02-28T09:00:00");
    let exporter = scene.start().await;
    exporter.wait_until_whole(&scene).await;

    let agents = scene.agents();
    scene.set_time("2026-03-01T00:00:00");
    exporter
        .wait_until("March before its first poll", |scrape| {
            agents.iter().all(|agent| {
                scrape.of(agent, "month_to_date_credits") == Some(0.0)
                    && scrape.of(agent, "previous_month_credits").is_none()
                    && scrape.of(agent, "missing_days") == Some(1.0)
            })
        })
        .await;

    scene.set_time("2026-03-01T00:10:00");
    let scrape = exporter.wait_until_whole(&scene).await;
    for agent in &agents {
        let february = scene.sum(agent, day("2026-02-01"), day("2026-02-28"));
        assert_eq!(scrape.of(agent, "previous_month_credits"), Some(february));
        assert_eq!(scrape.of(agent, "month_to_date_credits"), Some(0.0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_another_tool_adds_to_its_list_appears_at_the_next_sync() {
    let scene = Scene::new("2026-03-10T09:00:00");
    let (support, sales) = (scene.agent("acme", "support"), scene.agent("acme", "sales"));
    let entry = |id: &str, name: &str| format!("{{\"id\": \"{id}\", \"name\": \"{name}\"}}");
    let first = entry(&support.id, &support.name);
    scene.write("agents.json", &format!("[{first}]"));
    let account = scene.config_account("acme", &[]) + "agents_file = \"agents.json\"\n";
    scene.write("config.toml", &(scene.config_head("") + &account));
    let exporter = scene.start().await;
    exporter
        .wait_until("the first agent", |scrape| {
            scene.gaps_of(&support, scrape).is_empty()
        })
        .await;

    let second = entry(&sales.id, &sales.name);
    scene.write("agents.json", &format!("[{first}, {second}]"));
    scene.set_time("2026-03-11T00:10:00");
    exporter
        .wait_until("both agents", |scrape| {
            scene.gaps_of(&support, scrape).is_empty() && scene.gaps_of(&sales, scrape).is_empty()
        })
        .await;

    // While another tool writes the list badly, the last good one counts, and that is said once.
    scene.write("agents.json", "[{");
    scene.set_time("2026-03-12T00:10:00");
    let scrape = exporter
        .wait_until("both agents of the next day", |scrape| {
            scene.gaps_of(&support, scrape).is_empty()
                && scene.gaps_of(&sales, scrape).is_empty()
                && scrape.syncs() == 3.0
        })
        .await;
    assert_eq!(scrape.get("flowgent_exporter_sync_running"), Some(0.0));
    exporter.wait_for_log("agents.json").await;
    assert_eq!(exporter.logged("agents.json"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn discovered_agents_survive_a_restart_while_flowgent_is_away() {
    let scene = Scene::new("2026-03-10T09:00:00");
    let accounts =
        ["acme", "globex"].map(|name| scene.config_account(name, &[]) + "discover = true\n");
    scene.write("config.toml", &(scene.config_head("") + &accounts.concat()));
    let exporter = scene.start().await;
    exporter.wait_until_whole(&scene).await;
    exporter.stop().await;

    let away = Fault::Status(502, None);
    scene.simulator.faults().add_everywhere(away, Times::Always);
    scene.set_time("2026-03-10T18:00:00");
    let exporter = scene.start().await;
    assert_eq!(scene.gaps(&exporter.scrape().await), "");
    exporter.wait_for_syncs(1).await;
    assert_eq!(scene.gaps(&exporter.scrape().await), "");
    // One warning per account, whatever the number of tries.
    exporter.wait_for_log("sync ended").await;
    assert_eq!(exporter.logged("listing agents: server error 502"), 2);

    scene.simulator.faults().clear();
    scene.set_time("2026-03-10T18:15:00");
    let scrape = exporter.wait_for_syncs(2).await;
    assert_eq!(
        scrape.get("flowgent_exporter_syncs_total{outcome=\"complete\"}"),
        Some(1.0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_is_removed_while_it_runs_is_noticed_and_nothing_is_written_into_the_ghost() {
    let scene = Scene::new("2026-03-04T09:00:00");
    let exporter = scene.start().await;
    exporter.wait_until_whole(&scene).await;
    scene.simulator.journal().clear();
    let files = [
        "ledger.db",
        "ledger.db-wal",
        "ledger.db-shm",
        "ledger.db.lock",
    ];
    for file in files {
        std::fs::rename(scene.path(file), scene.path(&format!("{file}.aside"))).unwrap();
    }
    let reason = "was removed or replaced while the exporter runs";
    exporter.wait_for_log(reason).await;
    assert_eq!(exporter.logged("level=error"), 1);
    let (head, body) = exporter.get("/-/healthy", "").await;
    let body = String::from_utf8(body).unwrap();
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert!(
        body.contains(reason) && body.contains("restart the exporter"),
        "{body}"
    );
    let (_, page) = exporter.get("/", "").await;
    assert!(String::from_utf8(page).unwrap().contains(reason));

    // No second process begins at its place, and the next poll keeps nothing.
    let second = crate::harness::run(&scene, &["sync"]).await;
    let said = String::from_utf8(second.stderr).unwrap();
    let in_use = format!("is in use by process {}", exporter.pid());
    assert!(said.contains(&in_use), "{said}");
    scene.set_time("2026-03-05T00:10:00");
    exporter.wait_for_log("sync failed").await;
    let agents = scene.agents();
    exporter
        .wait_until("yesterday to be missing", |scrape| {
            let missing = |agent| scrape.of(agent, "missing_days");
            agents.iter().all(|agent| missing(agent) == Some(1.0))
        })
        .await;

    // The very file is good again.
    for file in files {
        std::fs::rename(scene.path(&format!("{file}.aside")), scene.path(file)).unwrap();
    }
    exporter.wait_for_log("the ledger is back").await;
    let (head, _) = exporter.get("/-/healthy", "").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    scene.set_time("2026-03-05T00:30:00");
    exporter.wait_until_whole(&scene).await;
    exporter.stop().await;
    scene.assert_ledger_is_the_truth().await;
}
