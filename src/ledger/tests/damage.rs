//! Findings of a check, and the worth of a backup.

use std::fs;
use std::path::PathBuf;

use super::alerts::{alert, changes, delivery, key};
use super::*;

/// A closed ledger with two agents, three days and a revision of the last one.
async fn sound(directory: &Path) -> PathBuf {
    let path = directory.join("ledger.db");
    let ledger = open(&path);
    let agents = register(&ledger, &["support", "sales"]).await;
    for fetched in [
        answer(agents[0], 0, &[1.0, 2.0, 5.0], 3),
        answer(agents[0], 2, &[4.0], 4),
        answer(agents[1], 0, &[7.0], 3),
    ] {
        ledger.commit(fetched).await.unwrap();
    }
    ledger.close().await;
    path
}

#[tokio::test]
async fn every_contradiction_is_reported_with_both_values() {
    let directory = tempfile::tempdir().unwrap();
    let sound = sound(directory.path()).await;
    let report = check(&sound).unwrap();
    assert_eq!((report.agents, report.days, report.revisions), (2, 4, 1));
    assert_eq!(report.violations, [""; 0]);

    let support = "agent acme/support";
    let day_2 = day(2).number();
    for (sql, expected) in [
        (
            "UPDATE agent SET frontier_credits = 7.5 WHERE number = 1".to_owned(),
            vec![format!("{support}: frontier sum is 7.5, its days say 7")],
        ),
        (
            format!(
                "UPDATE agent SET frontier = {} WHERE number = 1",
                day(1).number()
            ),
            vec![format!(
                "{support}: frontier is 2025-05-29, its days say 2025-05-30"
            )],
        ),
        (
            format!("UPDATE agent SET settled_through = {day_2} WHERE number = 1"),
            vec![format!(
                "{support}: settled-through day is 2025-05-30, its days say none"
            )],
        ),
        (
            "UPDATE agent SET known_through = NULL, known_days = 9 WHERE number = 1".to_owned(),
            vec![
                format!("{support}: known-through day is none, its days say 2025-05-30"),
                format!("{support}: number of known days is 9, its days say 3"),
            ],
        ),
        (
            "UPDATE agent SET high_water_credits = 6 WHERE number = 1".to_owned(),
            vec![format!("{support}: high-water mark is 6, its days say 7")],
        ),
        (
            "UPDATE revision SET new = 3".to_owned(),
            vec![format!(
                "{support}: last revision of 2025-05-30 ends at 3, the day is 4"
            )],
        ),
        (
            "UPDATE revision SET number = 2".to_owned(),
            vec![format!(
                "{support}: revision of 2025-05-30 is number 2, 1 comes next"
            )],
        ),
        (
            format!("INSERT INTO revision VALUES (1, {day_2}, 2, 8, 4, 0)"),
            vec![
                format!(
                    "{support}: revision 2 of 2025-05-30 starts at 8, the one before ends at 4"
                ),
                format!("{support}: number of revisions down is 1, 2 are there"),
            ],
        ),
        (
            "INSERT INTO usage VALUES (9, 20236, 1, 20240)".to_owned(),
            vec!["a row of table usage belongs to no agent".to_owned()],
        ),
        (
            "UPDATE usage SET credits = -1 WHERE agent = 2".to_owned(),
            vec![
                "agent acme/sales: credits of 2025-05-28 are -1".to_owned(),
                "agent acme/sales: frontier sum is 7, its days say -1".to_owned(),
            ],
        ),
        (
            format!("DELETE FROM usage WHERE agent = 1 AND day = {day_2}"),
            vec![
                format!("{support}: frontier is 2025-05-30, its days say 2025-05-29"),
                format!("{support}: known-through day is 2025-05-30, its days say 2025-05-29"),
                format!("{support}: number of known days is 3, its days say 2"),
                format!("{support}: frontier sum is 7, its days say 3"),
                format!("{support}: last revision of 2025-05-30 ends at 4, the day is not known"),
            ],
        ),
    ] {
        let path = directory.path().join("tampered.db");
        fs::copy(&sound, &path).unwrap();
        tamper(&path, &sql);
        assert_eq!(check(&path).unwrap().violations, expected, "{sql}");
    }
}

#[tokio::test]
async fn alerts_and_deliveries_that_cannot_be_are_reported() {
    let directory = tempfile::tempdir().unwrap();
    let sound = directory.path().join("ledger.db");
    let ledger = open(&sound);
    let about = [key("a", ""), key("a", "used 1")];
    let changes = changes(
        about.iter().cloned().map(alert).collect(),
        vec![
            delivery("msg_1", "ops", &about),
            delivery("msg_2", "ops", &[]),
        ],
    );
    ledger.record_alerts(changes, noon(0)).await.unwrap();
    ledger.close().await;
    assert_eq!(check(&sound).unwrap().violations, [""; 0]);

    for (sql, expected) in [
        (
            "UPDATE alert SET notice = '{' WHERE threshold = ''",
            vec!["alert a of all: what was told of it is not JSON"],
        ),
        (
            "UPDATE alert SET state = 'odd' WHERE threshold = ''",
            vec![
                "table alert cannot be read: Conversion error from type Text at index: 4, `odd` is none of pending, firing, resolved",
            ],
        ),
        (
            "UPDATE alert SET fired_at_ms = NULL WHERE threshold = ''",
            vec!["alert a of all: it fires, and never fired"],
        ),
        (
            "UPDATE delivery SET attempts = -1 WHERE number = 2",
            vec!["delivery number 2 cannot be read: Integer -1 out of range at index 5"],
        ),
        (
            "UPDATE delivery SET state = 'odd'",
            vec![
                "delivery number 1 cannot be read: Conversion error from type Text at index: 4, `odd` is none of pending, delivered, given_up",
                "delivery number 2 cannot be read: Conversion error from type Text at index: 4, `odd` is none of pending, delivered, given_up",
            ],
        ),
        (
            "UPDATE delivery_alert SET period = 3000000000 WHERE place = 1",
            vec!["delivery number 1 cannot be read: Integer 3000000000 out of range at index 2"],
        ),
        (
            "UPDATE delivery SET notification = 'hello' WHERE number = 2",
            vec!["delivery msg_2: its message is not JSON"],
        ),
        (
            "UPDATE delivery SET state = 'delivered' WHERE number = 2",
            vec!["delivery msg_2: it is delivered after 0 attempts"],
        ),
        (
            "UPDATE delivery SET attempts = 3 WHERE number = 2",
            vec!["delivery msg_2: it is pending after 3 attempts and says nothing of the last one"],
        ),
        (
            "DELETE FROM delivery_alert WHERE place = 0",
            vec!["delivery msg_1: the last of its 1 alerts has place 1"],
        ),
        (
            "DELETE FROM delivery WHERE number = 1",
            vec!["a row of table delivery_alert belongs to no delivery"; 2],
        ),
    ] {
        let path = directory.path().join("tampered.db");
        fs::copy(&sound, &path).unwrap();
        tamper(&path, sql);
        assert_eq!(check(&path).unwrap().violations, expected, "{sql}");
    }
}

#[tokio::test]
async fn a_truncated_ledger_is_refused_and_reported() {
    let directory = tempfile::tempdir().unwrap();
    let path = sound(directory.path()).await;
    let content = fs::read(&path).unwrap();
    fs::write(&path, &content[..content.len() / 2]).unwrap();
    let refusal = Ledger::open(&path, POLICY, &Telemetry::new()).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        format!(
            "ledger {} is damaged (database disk image is malformed): run `flowgent-exporter ledger check`, then restore a backup, or move it away to start with an empty ledger",
            path.display()
        )
    );
    let report = check(&path).unwrap();
    assert_eq!(
        report.violations,
        ["cannot be read on: database disk image is malformed"]
    );
    assert_eq!(fs::metadata(&path).unwrap().len(), content.len() as u64 / 2);
}

#[tokio::test]
async fn damage_anywhere_is_reported_or_harmless_but_never_a_panic() {
    let directory = tempfile::tempdir().unwrap();
    let path = sound(directory.path()).await;
    let content = fs::read(&path).unwrap();
    let mut reported = 0;
    for page in 1..content.len() / 4096 {
        let mut damaged = content.clone();
        damaged[page * 4096..page * 4096 + 64].fill(0xA5);
        fs::write(&path, &damaged).unwrap();
        reported += usize::from(!check(&path).unwrap().is_sound());
        if let Ok(ledger) = Ledger::open(&path, POLICY, &Telemetry::new()) {
            let agent = ledger
                .register(vec![("acme".into(), "support".into())])
                .await;
            if let Ok(agent) = agent {
                let _ = ledger.commit(answer(agent[0], 0, &[1.0; 31], 40)).await;
                let _ = ledger.snapshot(agent, day(0), |_, _, _| ()).await;
            }
            ledger.close().await;
        }
    }
    assert_eq!(reported, content.len() / 4096 - 1);
}

#[test]
fn what_is_not_there_is_neither_checked_nor_copied_nor_created() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let expected = format!(
        "ledger {} does not exist: the exporter creates it at its first start",
        path.display()
    );
    assert_eq!(check(&path).unwrap_err().to_string(), expected);
    let copy = directory.path().join("copy.db");
    let error = backup(&path, &copy, |_| {}).unwrap_err();
    assert_eq!(error.to_string(), expected);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_backup_of_a_ledger_in_use_is_whole_and_sound() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let copy = directory.path().join("copy.db");
    let ledger = open(&path);
    let agent = register(&ledger, &["support"]).await[0];
    for number in 0..20 {
        let fetched = answer(agent, number * 31, &[0.1; 31], 5000);
        ledger.commit(fetched).await.unwrap();
    }
    // More than one step has to copy.
    let filler = (0..15_000).map(|number| ("acme".into(), format!("{number:0200}").into()));
    ledger.register(filler.collect()).await.unwrap();
    let changes = changes(
        vec![alert(key("a", ""))],
        vec![delivery("msg_1", "ops", &[key("a", "")])],
    );
    ledger
        .record_alerts(changes.clone(), noon(0))
        .await
        .unwrap();
    // Part of it is still in the log, and the exporter goes on writing between the steps.
    let writing = ledger.clone();
    let handle = tokio::runtime::Handle::current();
    let (from, to) = (path.clone(), copy.clone());
    let told = tokio::task::spawn_blocking(move || {
        let mut told = Vec::new();
        backup(&from, &to, |progress| {
            if told.len() < 5 {
                let fetched = answer(agent, 20 * 31, &[0.2; 31], 5000);
                handle.block_on(writing.commit(fetched)).unwrap();
            }
            told.push(progress);
        })
        .map(|()| told)
    });
    let told = told.await.unwrap().unwrap();
    assert_eq!(told.len(), 2, "no step was repeated");
    let last = told.last().unwrap();
    assert_eq!(last.copied_bytes, last.total_bytes);
    assert_eq!(last.total_bytes, fs::metadata(&copy).unwrap().len());
    assert!(check(&path).unwrap().is_sound(), "checked while in use");

    let report = check(&copy).unwrap();
    assert_eq!((report.days, report.violations.len()), (20 * 31, 0));
    let again = backup(&path, &copy, |_| {}).unwrap_err();
    assert_eq!(
        again.to_string(),
        format!(
            "ledger {} cannot be copied: backup destination {} already exists",
            path.display(),
            copy.display()
        )
    );
    ledger.close().await;
    // One file each and the lock: no log, no partial copy.
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3);

    let restored = open(&copy);
    assert_eq!(restored.instance(), ledger.instance());
    assert_eq!(totals(&restored, agent).await.known_days, 620);
    let memory = restored.alert_memory().await.unwrap();
    assert_eq!(memory.alerts, changes.changed);
    let waiting = restored.deliveries(true, 9).await.unwrap();
    assert_eq!(waiting[0].delivery, changes.deliveries[0]);
    restored.close().await;
}
