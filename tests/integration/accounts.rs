//! Accounts and their keys: what is wrong with one harms no other.

use std::fs;

use flowgent_exporter::secret::Secret;
use flowgent_exporter::simulator::{Agent, Endpoint};

use crate::harness::{Exporter, Scene, Scrape};

/// The agents of an account, and how often they were asked for.
fn of(scene: &Scene, account: &str) -> (Vec<Agent>, u64) {
    let agents = scene.simulator.world().agents(account).to_vec();
    let count = |agent| scene.simulator.journal().count(agent, Endpoint::Usage);
    let asked = agents.iter().map(count).sum();
    (agents, asked)
}

fn asked(scene: &Scene, account: &str) -> u64 {
    of(scene, account).1
}

/// Waits until so many syncs have ended, every agent of `good` is whole and every one of `bad` is down.
async fn wait_for(
    scene: &Scene,
    exporter: &Exporter,
    syncs: u32,
    (good, bad): (&str, &str),
) -> Scrape {
    exporter.wait_for_syncs(syncs).await;
    let (good, bad) = (of(scene, good).0, of(scene, bad).0);
    exporter
        .wait_until("one account to be whole and one to be down", |scrape| {
            assert_eq!(scene.untruths(scrape), "");
            let is_whole = |agent| scene.gaps_of(agent, scrape).is_empty();
            let is_down = |agent| scrape.of(agent, "up") == Some(0.0);
            good.iter().all(is_whole) && bad.iter().all(is_down)
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_costs_one_request_per_sync_and_harms_no_other_account() {
    let scene = Scene::new("2026-03-04T09:00:00");
    scene.write("acme.key", "test-key-of-nobody");
    let exporter = scene.start().await;
    wait_for(&scene, &exporter, 1, ("globex", "acme")).await;
    // What was under way at once before the first of them was refused.
    let mut before = asked(&scene, "acme");
    assert!((1..=4).contains(&before), "{before}");
    assert_eq!(asked(&scene, "globex"), 20);

    for (syncs, now) in [(2, "2026-03-04T09:15:00"), (3, "2026-03-04T09:45:00")] {
        scene.set_time(now);
        wait_for(&scene, &exporter, syncs, ("globex", "acme")).await;
        assert_eq!(asked(&scene, "acme"), before + 1);
        before += 1;
    }
    assert_eq!(asked(&scene, "globex"), 20);
    exporter.wait_for_log("trigger=retry outcome=").await;
    assert_eq!(exporter.logged("the API key is not valid"), 1);

    // A day later it is still so, which is worth another line.
    scene.set_time("2026-03-05T00:10:00");
    wait_for(&scene, &exporter, 4, ("globex", "acme")).await;
    assert_eq!(asked(&scene, "acme"), before + 1);
    assert_eq!(asked(&scene, "globex"), 22);
    exporter.wait_for_log("trigger=scheduled outcome=").await;
    assert_eq!(exporter.logged("the API key is not valid"), 2);
    // A sync that has brought nothing at all ends with a warning, too.
    let ends = exporter.logged("level=warn msg=\"sync ended\"");
    assert_eq!(exporter.logged("level=warn"), 2 + ends);

    let key = scene.simulator.world().key("acme");
    scene.write("acme.key", key.expose());
    scene.set_time("2026-03-05T00:25:00");
    exporter.wait_until_whole(&scene).await;
    exporter.stop().await;
    scene.assert_ledger_is_the_truth().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_rotated_in_its_file_is_used_at_the_next_sync() {
    let scene = Scene::new("2026-03-04T09:00:00");
    let exporter = scene.start().await;
    exporter.wait_until_whole(&scene).await;
    let key = Secret::new("test-key-acme-rotated");
    scene.write("acme.key", key.expose());
    scene.simulator.world().set_key("acme", key);
    scene.set_time("2026-03-05T00:10:00");
    exporter.wait_until_whole(&scene).await;
    let log = exporter.stop().await;
    assert!(!log.contains("level=warn"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_key_file_is_gone_the_old_key_stays_in_use_and_that_is_said() {
    let scene = Scene::new("2026-03-04T09:00:00");
    let exporter = scene.start().await;
    exporter.wait_until_whole(&scene).await;
    fs::remove_file(scene.path("acme.key")).unwrap();
    scene.set_time("2026-03-05T00:10:00");
    exporter.wait_until_whole(&scene).await;
    exporter
        .wait_for_log("trigger=scheduled outcome=incomplete")
        .await;
    assert_eq!(exporter.logged("acme.key"), 1);
    let unreadable =
        "flowgent_exporter_sync_last_problems{account=\"acme\",kind=\"key_unreadable\"}";
    assert_eq!(exporter.scrape().await.get(unreadable), Some(1.0));

    // Everything is known: what follows is free, and silent until there is something new to say.
    scene.simulator.journal().clear();
    scene.set_time("2026-03-05T00:25:00");
    exporter
        .wait_for_log("trigger=retry outcome=incomplete")
        .await;
    assert_eq!(exporter.logged("acme.key"), 1);
    let key = scene.simulator.world().key("acme");
    scene.write("acme.key", key.expose());
    scene.set_time("2026-03-05T00:55:00");
    exporter
        .wait_for_log("trigger=retry outcome=complete")
        .await;
    assert_eq!(exporter.scrape().await.get(unreadable), Some(0.0));
    assert_eq!(scene.simulator.journal().total(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_of_another_organisation_is_refused_alone() {
    let scene = Scene::new("2026-03-04T09:00:00");
    let (support, shop) = (
        scene.agent("acme", "support"),
        scene.agent("globex", "shop"),
    );
    let account = scene.config_account("acme", &[support.clone(), shop.clone()]);
    scene.write("config.toml", &(scene.config_head("") + &account));
    let exporter = scene.start().await;
    // The simulator knows it as another account's.
    let up = "flowgent_agent_up{account=\"acme\",agent=\"shop\"}";
    for (syncs, now) in [(1, "2026-03-04T09:00:00"), (2, "2026-03-05T00:10:00")] {
        scene.set_time(now);
        exporter.wait_for_syncs(syncs).await;
        exporter
            .wait_until("one agent to be whole and one to be down", |scrape| {
                scene.gaps_of(&support, scrape).is_empty() && scrape.get(up) == Some(0.0)
            })
            .await;
    }
    exporter.wait_for_log("trigger=scheduled outcome=").await;
    assert_eq!(exporter.logged("access denied"), 2);
    // Of its ten windows only those that were under way together are asked for.
    let asked = scene.simulator.journal().count(&shop, Endpoint::Usage);
    assert!((2..=8).contains(&asked), "{asked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_agents_are_listed_the_listing_is_the_one_request_of_a_refused_key() {
    let scene = Scene::new("2026-03-04T09:00:00");
    let account = scene.config_account("acme", &[]) + "discover = true\n";
    scene.write("config.toml", &(scene.config_head("") + &account));
    let exporter = scene.start().await;
    let acme = of(&scene, "acme").0;
    let all_whole = |scrape: &Scrape| acme.iter().all(|a| scene.gaps_of(a, scrape).is_empty());
    exporter.wait_until("the listed agents", all_whole).await;

    scene.write("acme.key", "test-key-of-nobody");
    scene.simulator.journal().clear();
    scene.set_time("2026-03-05T00:10:00");
    let all_down = |scrape: &Scrape| {
        acme.iter().all(|agent| {
            scrape.of(agent, "up") == Some(0.0) && scrape.of(agent, "missing_days") == Some(1.0)
        })
    };
    exporter
        .wait_until("all of them to be down", all_down)
        .await;
    exporter.wait_for_syncs(2).await;
    assert_eq!(scene.simulator.journal().total(), 1);

    let key = scene.simulator.world().key("acme");
    scene.write("acme.key", key.expose());
    scene.set_time("2026-03-05T00:25:00");
    exporter
        .wait_until("all to be whole again", all_whole)
        .await;
    // The listing and yesterday of each.
    assert_eq!(scene.simulator.journal().total(), 1 + 1 + 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_odd_about_a_listing_is_said_once() {
    let scene = Scene::new("2026-03-04T09:00:00");
    let list = r#"[{"id": "a", "name": "twin"}, {"id": "b", "name": "twin"}]"#;
    scene.write("agents.json", list);
    let account = scene.config_account("acme", &[]) + "agents_file = \"agents.json\"\n";
    scene.write("config.toml", &(scene.config_head("") + &account));
    let exporter = scene.start().await;
    exporter.wait_for_log("trigger=startup outcome=").await;
    scene.set_time("2026-03-04T09:15:00");
    exporter.wait_for_log("trigger=retry outcome=").await;
    assert_eq!(exporter.logged("the name `twin` is another agent's"), 1);
}
