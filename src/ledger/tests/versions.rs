//! Files of older versions, and looking at a ledger that somebody else may have open.

use std::path::PathBuf;

use super::alerts::{alert, changes, delivery, key};
use super::*;

/// A file as an older version has left it.
fn version_1(directory: &Path) -> PathBuf {
    made_by(
        include_str!("../../../tests/fixtures/ledger/version-1.sql"),
        directory,
    )
}

fn made_by(script: &str, directory: &Path) -> PathBuf {
    let path = directory.join("ledger.db");
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch(script).unwrap();
    path
}

#[tokio::test]
async fn a_ledger_of_version_1_loses_nothing_and_can_hold_alerts() {
    let directory = tempfile::tempdir().unwrap();
    let path = version_1(directory.path());
    let report = check(&path).unwrap();
    assert_eq!((report.agents, report.days, report.revisions), (2, 4, 1));
    assert_eq!(report.violations, [""; 0]);

    let ledger = open(&path);
    assert_eq!(ledger.instance(), 4_242_424_242_424_242);
    let agents = register(&ledger, &["support", "sales"]).await;
    let support = Totals {
        frontier: Some(day(2)),
        frontier_credits: 7.0,
        high_water_credits: Some(8.0),
        known_days: 3,
        known_through: Some(day(2)),
        revised_down: 1,
        last_success: Some(noon(4)),
        ..Totals::default()
    };
    assert_eq!(totals(&ledger, agents[0]).await, support);
    assert_eq!(
        totals(&ledger, agents[1]).await.last_failure,
        Some(noon(10))
    );
    let days = ledger.usage(agents[0], day(0), day(9)).await.unwrap();
    let credits: Vec<f64> = days.iter().map(|usage| usage.credits).collect();
    assert_eq!(credits, [1.0, 2.0, 4.0]);
    assert_eq!(ledger.revisions(agents[0]).await.unwrap()[0].old, 5.0);
    let listed = ledger.list("acme".into(), ListSource::File).await.unwrap();
    assert_eq!(listed[0].name.as_deref(), Some("Support"));

    assert_eq!(ledger.alert_memory().await.unwrap(), AlertMemory::default());
    let told = delivery("msg_1", "ops", &[key("a", "")]);
    let changes = changes(vec![alert(key("a", ""))], vec![told.clone()]);
    ledger
        .record_alerts(changes.clone(), noon(0))
        .await
        .unwrap();
    ledger.close().await;

    // The second start finds it as the first one has left it.
    let ledger = open(&path);
    let memory = ledger.alert_memory().await.unwrap();
    assert_eq!(memory.alerts, changes.changed);
    let due = ledger
        .due_deliveries("ops".into(), noon(0), 9)
        .await
        .unwrap();
    assert_eq!(due[0].delivery, told);
    ledger.close().await;
    assert_eq!(check(&path).unwrap().violations, [""; 0]);
}

#[tokio::test]
async fn agents_of_an_older_version_that_are_gone_have_an_identifier_and_left_after_their_last_day()
{
    let directory = tempfile::tempdir().unwrap();
    let path = version_1(directory.path());
    let ledger = open(&path);
    let enrolled = ledger
        .enrol(Enrolment {
            today: Some(day(900)),
            ..Enrolment::default()
        })
        .await
        .unwrap();
    assert_eq!(enrolled.left.len(), 2);
    let gone = ledger.absent(Default::default(), day(0)).await.unwrap();
    let left = gone
        .iter()
        .map(|member| (&*member.agent.name, member.left_on));
    let left: Vec<_> = left.collect();
    assert_eq!(left, [("sales", Some(day(1))), ("support", Some(day(3)))]);
    assert!(gone.iter().all(|member| member.agent.labels.is_empty()));
    ledger.close().await;
}

#[tokio::test]
async fn a_ledger_of_version_2_loses_nothing_and_can_tell_what_was_pushed() {
    let directory = tempfile::tempdir().unwrap();
    let script = include_str!("../../../tests/fixtures/ledger/version-2.sql");
    let path = made_by(script, directory.path());
    let report = check(&path).unwrap();
    assert_eq!((report.agents, report.days, report.revisions), (2, 4, 1));
    assert_eq!(report.violations, [""; 0]);

    let ledger = open(&path);
    let memory = ledger.alert_memory().await.unwrap();
    assert_eq!(memory.alerts.len(), 1);
    let waiting = ledger.backlogs().await.unwrap();
    assert_eq!((&*waiting[0].hook, waiting[0].pending), ("ops", 1));
    let support = register(&ledger, &["support"]).await[0];
    let target = ledger.push_target("there".to_owned()).await.unwrap();
    let first = Pushed {
        agent: support,
        day: day(0),
        revision: 0,
    };
    ledger
        .record_pushed(target, vec![first], Some(day(0)))
        .await
        .unwrap();
    ledger.close().await;

    let ledger = open(&path);
    let target = ledger.push_target("there".to_owned()).await.unwrap();
    assert_eq!(target.read_back_from, Some(day(0)));
    let unpushed = ledger.unpushed(target, vec![support], [day(0), day(9)]);
    let days: Vec<Day> = unpushed.await.unwrap()[0]
        .days
        .iter()
        .map(|day| day.usage.day)
        .collect();
    assert_eq!(days, [day(1), day(2)]);
    ledger.close().await;
    assert_eq!(check(&path).unwrap().violations, [""; 0]);
}

#[test]
fn who_only_looks_at_an_older_ledger_is_told_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let path = version_1(directory.path());
    let expected = format!(
        "ledger {} has schema version 1, {} is needed: start the exporter once, which upgrades it",
        path.display(),
        schema::VERSION
    );
    assert_eq!(View::open(&path).unwrap_err().to_string(), expected);
    let refusal = retry(&path, Which::All, &[], noon(0)).unwrap_err();
    assert_eq!(refusal.to_string(), expected);
}

#[test]
fn what_is_not_there_is_neither_looked_at_nor_created() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let expected = format!(
        "ledger {} does not exist: the exporter creates it at its first start",
        path.display()
    );
    assert_eq!(View::open(&path).unwrap_err().to_string(), expected);
    let refusal = retry(&path, Which::All, &[], noon(0)).unwrap_err();
    assert_eq!(refusal.to_string(), expected);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_view_beside_an_open_ledger_sees_each_commit_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let ledger = open(&path);
    let view = View::open(&path).unwrap();
    let identity = |id: &str| ("acme".into(), id.into());
    let asked = vec![identity("sales"), identity("support")];
    assert_eq!(view.numbers(asked.clone()).await.unwrap(), [None, None]);
    assert_eq!(view.history_start().await.unwrap(), day(0));

    let support = register(&ledger, &["support"]).await[0];
    ledger
        .commit(answer(support, 0, &[1.0, 2.0], 5))
        .await
        .unwrap();
    let told = delivery("msg_1", "ops", &[key("a", "")]);
    let changes = changes(vec![alert(key("a", ""))], vec![told.clone()]);
    ledger
        .record_alerts(changes.clone(), noon(0))
        .await
        .unwrap();
    assert_eq!(view.numbers(asked).await.unwrap(), [None, Some(support)]);
    assert_eq!(view.usage(support, day(0), day(9)).await.unwrap().len(), 2);
    assert_eq!(view.alert_memory().await.unwrap().alerts, changes.changed);
    assert_eq!(view.deliveries(true, 9).await.unwrap()[0].delivery, told);
    ledger.close().await;
    assert_eq!(view.deliveries(true, 9).await.unwrap().len(), 1);
}
