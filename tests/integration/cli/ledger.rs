//! `ledger check` and `ledger backup`, beside a running exporter and alone.

use std::fs;

use super::ran;
use crate::harness::Scene;

const NOW: &str = "2026-03-10T09:00:00";

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_is_checked_and_copied_while_the_exporter_runs() {
    let scene = Scene::new(NOW);
    let exporter = scene.start().await;
    exporter.wait_until_whole(&scene).await;
    let checked = ran(&scene, &["ledger", "check"]).await;
    let sound = "is sound: 5 agents, 1,430 days, 0 revisions\n";
    assert_eq!(checked.stdout, format!("ledger.db {sound}"));
    assert_eq!((checked.code, checked.stderr.as_str()), (0, ""));

    let copied = ran(&scene, &["ledger", "backup", "copy.db"]).await;
    assert_eq!(copied.stdout, "copy.db is a copy of ledger.db\n");
    assert_eq!((copied.code, copied.stderr.as_str()), (0, ""));
    let checked = ran(&scene, &["ledger", "check", "copy.db"]).await;
    assert_eq!(checked.stdout, format!("copy.db {sound}"));
    assert_eq!(checked.code, 0);

    // Nothing is overwritten.
    let copy = fs::read(scene.path("copy.db")).unwrap();
    ran(&scene, &["ledger", "backup", "copy.db"])
        .await
        .assert_refused(
            1,
            "error: ledger ledger.db cannot be copied: backup destination copy.db already exists\n",
        );
    assert_eq!(fs::read(scene.path("copy.db")).unwrap(), copy);
    exporter.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exporter_goes_on_from_a_backup_without_asking_again() {
    let scene = Scene::new(NOW);
    assert_eq!(ran(&scene, &["sync"]).await.code, 0);
    assert_eq!(ran(&scene, &["ledger", "backup", "copy.db"]).await.code, 0);
    let asked = scene.simulator.journal().total();
    let config = scene.config("").replace("ledger.db", "copy.db");
    scene.write("config.toml", &config);
    let exporter = scene.start().await;
    exporter.wait_for_syncs(1).await;
    exporter.wait_until_whole(&scene).await;
    assert_eq!(scene.simulator.journal().total(), asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_ledger_is_told_and_left_alone() {
    let scene = Scene::new(NOW);
    ran(&scene, &["ledger", "check"]).await.assert_refused(
        1,
        "error: ledger ledger.db does not exist: the exporter creates it at its first start\n",
    );
    assert!(!scene.path("ledger.db").exists());
    let config = fs::read(scene.path("config.toml")).unwrap();
    ran(&scene, &["ledger", "check", "config.toml"])
        .await
        .assert_refused(
            1,
            "error: ledger config.toml is not an SQLite file, so it is not a ledger; it was not changed: correct `[storage] path`, or move it away\n",
        );
    assert_eq!(fs::read(scene.path("config.toml")).unwrap(), config);
}
