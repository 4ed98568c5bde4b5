//! Runs of probes.

use super::*;

fn planned(probe: &str, at: DateTime<Utc>) -> PlannedRun {
    PlannedRun {
        probe: probe.into(),
        agent: ("acme".into(), "support".into()),
        planned_at: at,
    }
}

fn result(outcome: ProbeOutcome, used_credits: Option<f64>) -> ProbeResult {
    ProbeResult {
        outcome,
        status_code: Some(200),
        duration_seconds: Some(1.5),
        execution_seconds: Some(1.25),
        used_credits,
        detail: String::new(),
    }
}

async fn run(ledger: &Ledger, probe: &str, at: DateTime<Utc>, credits: f64) {
    let begun = ledger.begin_probe(planned(probe, at), at).await.unwrap();
    let ended = result(ProbeOutcome::Success, Some(credits));
    ledger.end_probe(begun.unwrap(), ended, at).await.unwrap();
}

#[tokio::test]
async fn a_time_is_begun_once_whatever_becomes_of_it_and_none_before_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let ledger = open(&path);
    let begin = |at| ledger.begin_probe(planned("ping", at), at);
    assert!(begin(noon(1)).await.unwrap().is_some());
    assert_eq!(begin(noon(1)).await.unwrap(), None, "while it is under way");
    let before = ledger.begin_probe(planned("ping", noon(0)), noon(1)).await;
    assert_eq!(before.unwrap(), None, "before it");
    let other = ledger.begin_probe(planned("other", noon(1)), noon(1)).await;
    assert!(other.unwrap().is_some());
    // Killed before the outcome was kept.
    ledger.close().await;
    let ledger = open(&path);
    assert_eq!(ledger.interrupt_probes(noon(1)).await.unwrap(), 2);
    assert_eq!(ledger.interrupt_probes(noon(1)).await.unwrap(), 0);
    let begin = |at| ledger.begin_probe(planned("ping", at), at);
    assert_eq!(begin(noon(1)).await.unwrap(), None, "after a restart");
    assert!(begin(noon(2)).await.unwrap().is_some());
    let runs = ledger.probe_runs().await.unwrap();
    assert_eq!(runs[0].result, None);
    let outcomes = runs[1..]
        .iter()
        .map(|run| run.result.as_ref().unwrap().outcome);
    assert_eq!(outcomes.collect::<Vec<_>>(), [ProbeOutcome::Interrupted; 2]);
    ledger.close().await;
    assert_eq!(check(&path).unwrap().violations, [""; 0]);
}

#[tokio::test]
async fn a_clock_that_ran_ahead_does_not_stop_a_probe_and_one_set_back_an_hour_repeats_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(&directory.path().join("ledger.db"));
    let begin = |at, now| ledger.begin_probe(planned("ping", at), now);
    assert!(begin(noon(900), noon(900)).await.unwrap().is_some());
    assert!(begin(noon(1), noon(1)).await.unwrap().is_some());
    let earlier = noon(1) - TimeDelta::minutes(59);
    assert_eq!(begin(earlier, earlier).await.unwrap(), None);
    assert_eq!(begin(noon(900), noon(900)).await.unwrap(), None);
}

#[tokio::test]
async fn ten_runs_are_kept_and_all_are_counted_with_the_credits_of_their_days() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let ledger = open(&path);
    for number in 0..12 {
        let at = noon(0) + TimeDelta::hours(6 * number);
        run(&ledger, "ping", at, 0.5).await;
    }
    run(&ledger, "other", noon(2), 2.0).await;
    let runs = ledger.probe_runs().await.unwrap();
    let ping: Vec<_> = runs
        .iter()
        .filter(|run| &*run.planned.probe == "ping")
        .collect();
    assert_eq!(ping.len(), KEPT_RUNS);
    assert_eq!(ping[0].planned.planned_at, noon(2) + TimeDelta::hours(18));
    assert_eq!(
        ping[0].result,
        Some(result(ProbeOutcome::Success, Some(0.5)))
    );

    // The second end of a run changes nothing.
    let at = noon(3);
    let begun = ledger.begin_probe(planned("ping", at), at).await.unwrap();
    let refused = result(ProbeOutcome::Refused, None);
    ledger
        .end_probe(begun.unwrap(), refused.clone(), at)
        .await
        .unwrap();
    ledger.end_probe(begun.unwrap(), refused, at).await.unwrap();
    let totals = ledger.probe_totals().await.unwrap();
    let totals = totals
        .iter()
        .map(|total| (&*total.probe, total.outcome, total.runs, total.used_credits));
    let expected = [
        ("other", ProbeOutcome::Success, 1, 2.0),
        ("ping", ProbeOutcome::Refused, 1, 0.0),
        ("ping", ProbeOutcome::Success, 12, 6.0),
    ];
    assert_eq!(totals.collect::<Vec<_>>(), expected);
    let used = ledger.probe_use(day(1), day(9)).await.unwrap();
    let usage = |offset, credits| Usage {
        day: day(offset),
        credits,
    };
    let agent = ("acme".into(), "support".into());
    assert_eq!(used[&agent], [usage(1, 2.0), usage(2, 4.0), usage(3, 1.0)]);
    // Rules look back for nine weeks.
    run(&ledger, "other", noon(66), 1.0).await;
    let used = ledger.probe_use(day(1), day(99)).await.unwrap();
    assert_eq!((used[&agent].len(), used[&agent][0]), (4, usage(1, 2.0)));
    ledger.close().await;
    assert_eq!(check(&path).unwrap().violations, [""; 0]);
    tamper(&path, "UPDATE probe_total SET runs = 3 WHERE runs = 12");
    let finding = "probe ping: 9 runs with outcome success are kept, its total is 3";
    assert_eq!(check(&path).unwrap().violations, [finding]);
}

#[tokio::test]
async fn a_ledger_of_version_7_loses_nothing_and_can_hold_probes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let ledger = open(&path);
    let agent = register(&ledger, &["support"]).await[0];
    ledger
        .commit(answer(agent, 0, &[1.0, 2.0], 5))
        .await
        .unwrap();
    ledger.close().await;
    tamper(
        &path,
        "DROP TABLE silence; DROP TABLE probe_run; DROP TABLE probe_total; DROP TABLE probe_use;
         PRAGMA user_version = 7",
    );
    assert_eq!(check(&path).unwrap().violations, [""; 0]);
    let ledger = open(&path);
    run(&ledger, "ping", noon(1), 1.0).await;
    assert_eq!(ledger.usage(agent, day(0), day(9)).await.unwrap().len(), 2);
    assert_eq!(ledger.probe_runs().await.unwrap().len(), 1);
    ledger.close().await;
    assert_eq!(check(&path).unwrap().violations, [""; 0]);
}
