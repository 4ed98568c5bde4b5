//! Processes that are killed, disks that fill up, and files that are not what they should be.

use std::collections::HashSet;
use std::fs;
use std::time::Duration;

use flowgent_exporter::day::Day;

use crate::harness::{Scene, TinyDisk, many_agents, run};

/// Returns when FlowGent has been asked so many questions.
async fn wait_for_requests(scene: &Scene, count: u64) {
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    let asked = async {
        while scene.simulator.journal().total() < count {
            ticks.tick().await;
        }
    };
    let waited = tokio::time::timeout(crate::harness::PATIENCE, asked).await;
    waited.expect("FlowGent is asked");
}

/// What `file` holds of each agent: the days. A copy is read, so that the exporter finds the file as
/// the killed one left it.
async fn days_kept(scene: &Scene) -> Vec<HashSet<Day>> {
    for suffix in ["", "-wal"] {
        let (file, copy) = (format!("ledger.db{suffix}"), format!("copy.db{suffix}"));
        fs::copy(scene.path(&file), scene.path(&copy)).unwrap();
    }
    let kept = scene.kept("copy.db", &scene.agents()).await;
    let days = |agent: Vec<(Day, f64)>| agent.into_iter().map(|(day, _)| day).collect();
    kept.into_iter().map(days).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_that_is_killed_again_and_again_loses_nothing_and_repeats_nothing() {
    let scene = Scene::with("2026-03-04T09:00:00", many_agents(150));
    let agents = scene.agents();
    let journal = scene.simulator.journal();
    let mut kept: Vec<HashSet<Day>> = vec![HashSet::new(); agents.len()];
    for _ in 0..3 {
        journal.clear();
        let exporter = scene.start().await;
        wait_for_requests(&scene, fastrand::u64(1..150)).await;
        // What is said to be in the ledger is there, whatever happens next.
        let scrape = exporter.scrape().await;
        exporter.kill().await;
        let planned = scrape.sum("flowgent_exporter_windows_planned_total");
        let left = scrape.sum("flowgent_exporter_windows_left");

        let before = std::mem::replace(&mut kept, days_kept(&scene).await);
        let mut committed = 0.0;
        for (index, agent) in agents.iter().enumerate() {
            assert!(kept[index].is_superset(&before[index]), "{}", agent.name);
            for (start, end) in journal.windows(agent) {
                let mut days = start.through(end);
                assert!(!days.clone().any(|day| before[index].contains(&day)));
                if days.clone().all(|day| kept[index].contains(&day)) {
                    committed += 1.0;
                }
                // A window is kept whole or not at all.
                let first = kept[index].contains(&start);
                assert!(days.all(|day| kept[index].contains(&day) == first));
            }
        }
        assert!(committed >= planned - left, "{committed} {planned} {left}");
    }

    journal.clear();
    let exporter = scene.start().await;
    exporter.wait_until_whole(&scene).await;
    for (agent, kept) in agents.iter().zip(kept) {
        for (start, end) in journal.windows(agent) {
            assert!(!start.through(end).any(|day| kept.contains(&day)));
        }
    }
    exporter.stop().await;
    scene.assert_ledger_is_the_truth().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_during_a_backfill_keeps_every_answer_that_was_asked_for() {
    let scene = Scene::with("2026-03-04T09:00:00", many_agents(200));
    let exporter = scene.start().await;
    wait_for_requests(&scene, fastrand::u64(1..300)).await;
    let log = exporter.stop().await;
    assert!(!log.contains("level=warn"), "{log}");
    let asked = scene.simulator.journal().total();
    assert!(asked < 2000, "{asked}");
    let agents = scene.agents();
    let kept = scene.kept("ledger.db", &agents).await;
    for (agent, kept) in agents.iter().zip(kept) {
        let kept: HashSet<Day> = kept.into_iter().map(|(day, _)| day).collect();
        for (start, end) in scene.simulator.journal().windows(agent) {
            assert!(start.through(end).all(|day| kept.contains(&day)));
        }
    }

    let exporter = scene.start().await;
    exporter.wait_until_whole(&scene).await;
    assert_eq!(scene.simulator.journal().total(), 2000);
    exporter.stop().await;
    scene.assert_ledger_is_the_truth().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_it_goes_on_serving_and_completes_once_there_is_space() {
    // However few transactions they share, the days of so many need more space than there is.
    let scene = Scene::with("2026-03-04T09:00:00", many_agents(40));
    scene.write(
        "config.toml",
        &scene.config("").replace("ledger.db", "disk/ledger.db"),
    );
    let disk = TinyDisk::mount(&scene);
    disk.fill(256 << 10);
    let exporter = scene.start().await;
    let full = "ledger disk/ledger.db has no space left on its disk: free some space, and it continues automatically";
    exporter.wait_for_log(full).await;
    let failed = "flowgent_exporter_syncs_total{outcome=\"failed\"}";
    let scrape = exporter.wait_for_syncs(1).await;
    assert_eq!(scrape.get(failed), Some(1.0));
    assert_eq!(scene.untruths(&scrape), "");
    let errors = "flowgent_exporter_ledger_errors_total{transaction=\"record\"}";
    assert!(scrape.get(errors) > Some(0.0));

    // A retry finds the disk as full; nothing is lost, and nothing gets worse.
    scene.set_time("2026-03-04T09:15:00");
    let scrape = exporter.wait_for_syncs(2).await;
    assert_eq!(scrape.get(failed), Some(2.0));
    assert_eq!(scene.untruths(&scrape), "");
    assert_eq!(exporter.logged("level=error"), exporter.logged(full));
    assert!(exporter.logged(full) <= 3, "{}", exporter.log());
    assert_eq!(exporter.logged("level=warn"), 0);

    disk.make_space();
    scene.set_time("2026-03-04T09:45:00");
    exporter.wait_until_whole(&scene).await;
    exporter.stop().await;
    scene.assert_truth_in("disk/ledger.db").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_on_a_full_disk_says_so() {
    let scene = Scene::new("2026-03-04T09:00:00");
    scene.write(
        "config.toml",
        &scene.config("").replace("ledger.db", "disk/ledger.db"),
    );
    let disk = TinyDisk::mount(&scene);
    disk.fill(0);
    let output = run(&scene, &["serve"]).await;
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    let full = "error: ledger disk/ledger.db has no space left on its disk: free some";
    assert!(error.contains(full), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_on_a_ledger_is_refused_and_the_first_unharmed() {
    let scene = Scene::new("2026-03-04T09:00:00");
    let exporter = scene.start().await;
    exporter.wait_until_whole(&scene).await;
    let asked = scene.simulator.journal().total();
    for arguments in [&["serve"][..], &["sync"]] {
        let output = run(&scene, arguments).await;
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8(output.stderr).unwrap();
        let pid = exporter.pid();
        let in_use = format!("error: ledger ledger.db is in use by process {pid}\n");
        assert!(error.contains(&in_use), "{error}");
    }
    assert_eq!(scene.simulator.journal().total(), asked);
    scene.set_time("2026-03-05T00:10:00");
    exporter.wait_until_whole(&scene).await;
    exporter.stop().await;
    scene.assert_ledger_is_the_truth().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_sound_ledger_is_refused_with_advice_and_left_as_it_is() {
    let scene = Scene::new("2026-03-04T09:00:00");
    let exporter = scene.start().await;
    exporter.wait_until_whole(&scene).await;
    exporter.stop().await;
    let mut damaged = fs::read(scene.path("ledger.db")).unwrap();
    damaged[100..4096].fill(0xff);
    let advice = "restore a backup, or move it away to start with an empty ledger";
    let no_ledger = "is not an SQLite file, so it is not a ledger; it was not changed";
    let text = b"shopping list: milk, bread".repeat(40);
    for (content, advice) in [(damaged, advice), (text, no_ledger)] {
        fs::write(scene.path("ledger.db"), &content).unwrap();
        let output = run(&scene, &["serve"]).await;
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(advice), "{error}");
        assert!(fs::read(scene.path("ledger.db")).unwrap() == content);
    }
}
