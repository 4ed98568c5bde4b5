//! Days that come late, and days whose figure changes.

use flowgent_exporter::day::TRACKING_START;
use flowgent_exporter::simulator::Agent;

use crate::harness::{Exporter, Scene, Scrape, day, instant, run};

const COUNTER: &str = "used_credits_total";
const OVERCOUNT: &str = "overcount_credits";

/// A scene on 2026-03-04 whose history is known, and one of its agents.
async fn settled() -> (Scene, Exporter, Agent) {
    let scene = Scene::new("2026-03-04T09:00:00");
    let support = scene.agent("acme", "support");
    let exporter = scene.start().await;
    exporter.wait_until_whole(&scene).await;
    scene.simulator.journal().clear();
    (scene, exporter, support)
}

/// How often days of the agent were revised in that direction.
fn revised(scrape: &Scrape, agent: &Agent, direction: &str) -> Option<f64> {
    scrape.get(&format!(
        "flowgent_agent_revised_days_total{{account=\"{}\",agent=\"{}\",direction=\"{direction}\"}}",
        agent.account, agent.name
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_day_is_asked_for_after_15_30_and_60_minutes_until_it_is_there() {
    let (scene, exporter, support) = settled().await;
    let late = day("2026-03-04");
    let world = scene.simulator.world();
    world.set_late(&support, late, instant("2026-03-05T01:30:00"));

    let mut windows = vec![(day("2026-03-01"), late)];
    let mut now = "2026-03-05T00:10:00";
    for (syncs, next) in [
        (2, "2026-03-05T00:25:00"),
        (3, "2026-03-05T00:55:00"),
        (4, "2026-03-05T01:55:00"),
    ] {
        scene.set_time(now);
        exporter.wait_for_syncs(syncs).await;
        let due = instant(next).timestamp() as f64;
        let scrape = exporter
            .wait_until("the plan to ask again", |scrape| {
                scrape.get("flowgent_exporter_sync_next_timestamp_seconds") == Some(due)
                    && scrape.of(&support, "missing_days") == Some(1.0)
            })
            .await;
        assert_eq!(scene.untruths(&scrape), "");
        assert_eq!(scrape.of(&support, "previous_day_credits"), None);
        let known = scene.sum(&support, TRACKING_START, day("2026-03-03"));
        assert_eq!(scrape.of(&support, COUNTER), Some(known));
        // The fetch itself was good.
        assert_eq!(scrape.of(&support, "up"), Some(1.0));
        assert_eq!(scene.simulator.journal().windows(&support), windows);
        // Only what is missing is asked for again.
        windows.push((late, late));
        now = next;
    }

    scene.set_time(now);
    let scrape = exporter.wait_until_whole(&scene).await;
    assert_eq!(scrape.syncs(), 5.0);
    assert_eq!(scene.simulator.journal().windows(&support), windows);
    assert_eq!(scene.simulator.journal().total(), 8);
    assert_eq!(revised(&scrape, &support, "up"), Some(0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_late_day_the_counter_and_the_frontier_wait_while_newer_days_are_shown() {
    let (scene, exporter, support) = settled().await;
    let late = day("2026-03-04");
    let world = scene.simulator.world();
    world.set_late(&support, late, instant("2026-03-07T00:00:00"));
    scene.set_time("2026-03-05T00:10:00");
    exporter.wait_for_syncs(2).await;

    scene.set_time("2026-03-06T00:10:00");
    let yesterday = scene.truth(&support, day("2026-03-05"));
    let scrape = exporter
        .wait_until("the day behind the late one", |scrape| {
            scrape.of(&support, "previous_day_credits") == Some(yesterday)
        })
        .await;
    let end = |text| instant(text).timestamp() as f64;
    let figure = |family| scrape.of(&support, family);
    let frontier = end("2026-03-04T00:00:00");
    assert_eq!(figure("complete_through_timestamp_seconds"), Some(frontier));
    let newest = end("2026-03-06T00:00:00");
    assert_eq!(figure("known_through_timestamp_seconds"), Some(newest));
    let counted = scene.sum(&support, TRACKING_START, day("2026-03-03"));
    assert_eq!(figure(COUNTER), Some(counted));
    assert_eq!(figure("missing_days"), Some(1.0));
    assert_eq!(figure("previous_7_days_credits"), None);
    assert_eq!(figure("month_to_date_credits"), None);

    scene.set_time("2026-03-07T00:10:00");
    exporter.wait_until_whole(&scene).await;
    exporter.stop().await;
    scene.assert_ledger_is_the_truth().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_is_revised_upwards_raises_the_counter() {
    let (scene, exporter, support) = settled().await;
    let revised_day = day("2026-03-02");
    let before = scene.truth(&support, revised_day);
    let world = scene.simulator.world();
    world.set_credits(&support, revised_day, before + 10.5);
    scene.set_time("2026-03-05T00:10:00");
    let scrape = exporter
        .wait_until("the new figures", |scrape| scene.gaps(scrape).is_empty())
        .await;
    assert_eq!(scrape.of(&support, OVERCOUNT), Some(0.0));
    assert_eq!(revised(&scrape, &support, "up"), Some(1.0));
    assert_eq!(revised(&scrape, &support, "down"), Some(0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_counter_stands_through_a_downward_revision_and_a_restart_until_usage_passes_it() {
    let scene = Scene::new("2026-03-04T09:00:00");
    let support = scene.agent("acme", "support");
    let world = scene.simulator.world();
    let revised_day = day("2026-03-03");
    world.set_credits(&support, revised_day, 100_000.0);
    let exporter = scene.start().await;
    let first = exporter.wait_until_whole(&scene).await;
    let high = first.of(&support, COUNTER).unwrap();

    world.set_credits(&support, revised_day, 7.0);
    scene.set_time("2026-03-05T00:10:00");
    let truth = scene.sum(&support, TRACKING_START, day("2026-03-04"));
    let stands = |scrape: &Scrape| {
        scrape.of(&support, OVERCOUNT) == Some(high - truth)
            && scrape.of(&support, COUNTER) == Some(high)
            && revised(scrape, &support, "down") == Some(1.0)
    };
    let scrape = exporter
        .wait_until("the distance to the truth", stands)
        .await;
    // The daily figures are the revised ones at once.
    let week = "previous_7_days_credits";
    assert_eq!(
        scrape.of(&support, week),
        Some(scene.figure(&support, week))
    );
    exporter.stop().await;
    let exporter = scene.start().await;
    assert!(stands(&exporter.scrape().await));

    // Revised again, to more than what was counted.
    world.set_credits(&support, revised_day, 100_001.0);
    scene.set_time("2026-03-06T00:10:00");
    let scrape = exporter.wait_until("the counter to follow again", |scrape| {
        let counter = scrape.of(&support, COUNTER);
        assert!(counter >= Some(high), "{counter:?}");
        scrape.of(&support, OVERCOUNT) == Some(0.0)
            && counter == Some(scene.sum(&support, TRACKING_START, day("2026-03-05")))
    });
    let scrape = scrape.await;
    assert_eq!(revised(&scrape, &support, "up"), Some(1.0));
    assert_eq!(revised(&scrape, &support, "down"), Some(1.0));
    exporter.stop().await;
    let counts = scene.check_ledger().await;
    assert!(counts.ends_with(" 2 revisions"), "{counts}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settled_day_is_not_asked_for_again_but_by_hand() {
    let (scene, exporter, support) = settled().await;
    let (settled_day, unsettled_day) = (day("2026-02-28"), day("2026-03-01"));
    let before = scene.truth(&support, settled_day);
    let world = scene.simulator.world();
    world.set_credits(&support, settled_day, before + 1000.0);
    let credits = scene.truth(&support, unsettled_day);
    world.set_credits(&support, unsettled_day, credits + 1.0);
    scene.set_time("2026-03-05T00:10:00");
    let told = scene.sum(&support, TRACKING_START, day("2026-03-04"));
    exporter
        .wait_until("all but the settled day's revision", |scrape| {
            scrape.of(&support, COUNTER) == Some(told - 1000.0)
                && revised(scrape, &support, "up") == Some(1.0)
        })
        .await;
    exporter.stop().await;

    let range = ["sync", "--from", "2026-02-28", "--to", "2026-02-28"];
    let output = run(&scene, &range).await;
    assert!(output.status.success());
    let exporter = scene.start().await;
    let scrape = exporter.wait_until_whole(&scene).await;
    assert_eq!(revised(&scrape, &support, "up"), Some(2.0));
}
