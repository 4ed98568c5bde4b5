//! Promises of committing, reading and closing.

use std::path::PathBuf;

use super::*;
use crate::ledger::error::Fault;
use crate::window::KnownDay;

async fn new() -> (tempfile::TempDir, PathBuf, Ledger, AgentNumber) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let ledger = open(&path);
    let agent = register(&ledger, &["support"]).await[0];
    (directory, path, ledger, agent)
}

#[tokio::test]
async fn an_agent_keeps_its_number() {
    let (_directory, path, ledger, support) = new().await;
    let numbers = register(&ledger, &["sales", "support"]).await;
    assert_eq!(numbers[1], support);
    assert_ne!(numbers[0], support);
    // The same id under another account is another agent.
    let other = ledger.register(vec![("beta".into(), "support".into())]);
    assert!(!numbers.contains(&other.await.unwrap()[0]));
    ledger.close().await;
    let ledger = open(&path);
    assert_eq!(register(&ledger, &["sales", "support"]).await, numbers);
    ledger.close().await;
}

#[tokio::test]
async fn a_window_is_kept_with_everything_that_follows_from_it() {
    let (_directory, path, ledger, agent) = new().await;
    let committed = ledger
        .commit(answer(agent, 2, &[3.0, 4.5], 5))
        .await
        .unwrap();
    assert_eq!(committed.inserted, [day(2), day(3)]);
    let apart = totals(&ledger, agent).await;
    assert_eq!((apart.frontier, apart.high_water_credits), (None, None));
    assert_eq!((apart.known_days, apart.known_through), (2, Some(day(3))));

    ledger
        .commit(answer(agent, 0, &[1.0, 2.0], 5))
        .await
        .unwrap();
    ledger.record_failure(agent, noon(6)).await.unwrap();
    let expected = Totals {
        frontier: Some(day(3)),
        frontier_credits: 10.5,
        high_water_credits: Some(10.5),
        known_days: 4,
        known_through: Some(day(3)),
        last_success: Some(noon(5)),
        last_failure: Some(noon(6)),
        ..Totals::default()
    };
    assert_eq!(totals(&ledger, agent).await, expected);
    let coverage = ledger.coverage(vec![(agent, day(0))]).await.unwrap();
    let unsettled = KnownDay {
        day: day(2),
        fetched: day(5),
    };
    assert_eq!(coverage[0].settled_through, Some(day(1)));
    assert_eq!(coverage[0].later[0], unsettled);

    ledger.close().await;
    let ledger = open(&path);
    assert_eq!(totals(&ledger, agent).await, expected);
    assert_eq!(
        ledger.coverage(vec![(agent, day(0))]).await.unwrap(),
        coverage
    );
    ledger.close().await;
}

#[tokio::test]
async fn a_day_is_never_taken_as_fetched_before_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(&folder.path().join("ledger.db"));
    assert_eq!(ledger.newest().await.unwrap(), None);
    let agent = register(&ledger, &["a", "never asked"]).await[0];
    // FlowGent knows days that this host's clock has yet to reach.
    let fetched = Fetched {
        at: noon(3),
        ..answer(agent, 0, &[1.0, 2.0, 3.0, 4.0, 5.0], 5)
    };
    ledger.commit(fetched).await.unwrap();
    let days = ledger.agent_history(agent).await.unwrap().days;
    assert!(days.iter().all(|known| known.fetched == day(5)), "{days:?}");
    assert_eq!(ledger.newest().await.unwrap(), Some(noon(3)));
    ledger.record_failure(agent, noon(4)).await.unwrap();
    assert_eq!(ledger.newest().await.unwrap(), Some(noon(4)));
}

#[tokio::test]
async fn a_settled_day_that_comes_unchanged_is_not_written() {
    let (_directory, path, ledger, agent) = new().await;
    let fetched = |offset: i32| {
        let connection = Connection::open(&path).unwrap();
        let sql = "SELECT fetched FROM usage WHERE day = ?1";
        let number = connection.query_row(sql, [day(offset).number()], |row| row.get(0));
        Day::from_number(number.unwrap())
    };
    ledger
        .commit(answer(agent, 0, &[1.0, 2.0], 4))
        .await
        .unwrap();
    let again = ledger
        .commit(answer(agent, 0, &[1.0, 2.0], 9))
        .await
        .unwrap();
    assert_eq!((again.inserted.len(), again.confirmed), (0, 2));
    assert_eq!(fetched(0), day(4), "it was settled");
    assert_eq!(fetched(1), day(9), "it was not");
    // A clock that was set back takes nothing back.
    ledger
        .commit(answer(agent, 0, &[1.5, 2.5], 3))
        .await
        .unwrap();
    assert_eq!((fetched(0), fetched(1)), (day(4), day(9)));
    ledger.close().await;
    assert_eq!(check(&path).unwrap().violations, [""; 0]);
}

#[tokio::test]
async fn a_downward_revision_never_lowers_the_high_water_mark() {
    let (_directory, path, ledger, agent) = new().await;
    ledger
        .commit(answer(agent, 0, &[5.0, 5.0], 2))
        .await
        .unwrap();
    let committed = ledger
        .commit(answer(agent, 0, &[5.0, 1.5], 3))
        .await
        .unwrap();
    let down = Revision {
        day: day(1),
        number: 1,
        old: 5.0,
        new: 1.5,
        at: noon(3),
    };
    assert_eq!(committed.revisions, [down]);
    let lowered = totals(&ledger, agent).await;
    assert_eq!(lowered.frontier_credits, 6.5);
    assert_eq!(lowered.high_water_credits, Some(10.0));

    ledger.commit(answer(agent, 1, &[9.0], 4)).await.unwrap();
    let raised = totals(&ledger, agent).await;
    assert_eq!(raised.high_water_credits, Some(14.0));
    assert_eq!((raised.revised_up, raised.revised_down), (1, 1));
    let up = Revision {
        number: 2,
        old: 1.5,
        new: 9.0,
        at: noon(4),
        ..down
    };
    assert_eq!(ledger.revisions(agent).await.unwrap(), [down, up]);
    ledger.close().await;
    assert!(check(&path).unwrap().is_sound());
}

#[tokio::test]
async fn a_later_history_start_lowers_no_high_water_mark_and_forgets_no_day() {
    let (_directory, path, ledger, agent) = new().await;
    ledger
        .commit(answer(agent, 0, &[1.0, 2.0, 4.0], 20))
        .await
        .unwrap();
    ledger.close().await;
    let later = Policy {
        history_start: day(1),
        ..POLICY
    };
    let ledger = Ledger::open(&path, later, &Telemetry::new()).unwrap();
    let shown = ledger.snapshot(vec![agent], day(0), |_, totals, recent| {
        (*totals, recent.len())
    });
    let (totals, recent) = shown.await.unwrap()[0];
    assert_eq!(
        (totals.frontier_credits, totals.known_days, recent),
        // Who looks further back than the totals go sees all days.
        (6.0, 2, 3)
    );
    assert_eq!(totals.high_water_credits, Some(7.0));
    let days = ledger.usage(agent, day(-9), day(9)).await.unwrap();
    assert_eq!(days.len(), 3);
    ledger.close().await;
    assert!(check(&path).unwrap().is_sound());
}

#[tokio::test]
async fn jobs_share_a_transaction_and_only_the_guilty_one_fails() {
    let (_directory, path, ledger, agent) = new().await;
    let telemetry = Telemetry::new();
    ledger.close().await;
    let ledger = Ledger::open(&path, POLICY, &telemetry).unwrap();
    let recorded = || {
        telemetry
            .of::<LedgerMetrics>()
            .transaction_duration
            .with_label_values(&["record"])
            .get_sample_count()
    };
    // Holds the thread until everything below is queued.
    let (release, held) = std::sync::mpsc::channel::<()>();
    let hold = ledger.writer.run("hold", move |_| {
        let _ = held.recv();
        Ok(())
    });
    let unknown = AgentNumber(99);
    let outcomes = async {
        let outcomes = tokio::join!(
            ledger.commit(answer(agent, 0, &[1.0], 5)),
            ledger.commit(answer(unknown, 0, &[1.0], 5)),
            ledger.commit(answer(agent, 1, &[-1.0], 5)),
            ledger.commit(answer(agent, 1, &[2.0], 5)),
            ledger
                .writer
                .run("record", |_| -> Result<(), Fault> { panic!("on purpose") }),
            async { release.send(()).unwrap() },
        );
        (outcomes.0, outcomes.1, outcomes.2, outcomes.3, outcomes.4)
    };
    let (_, outcomes) = tokio::join!(hold, outcomes);
    let shown = path.display();
    assert_eq!(outcomes.0.unwrap().inserted, [day(0)]);
    assert_eq!(
        outcomes.1.unwrap_err().to_string(),
        format!("ledger {shown} has no agent number 99")
    );
    assert!(
        outcomes
            .2
            .unwrap_err()
            .to_string()
            .contains("CHECK constraint")
    );
    assert_eq!(outcomes.3.unwrap().inserted, [day(1)]);
    assert_eq!(
        outcomes.4.unwrap_err().to_string(),
        format!("ledger {shown} is sound, but transaction record panicked: on purpose")
    );
    assert_eq!(recorded(), 1 + 5, "one together, then each alone");
    let errors = telemetry
        .of::<LedgerMetrics>()
        .errors
        .with_label_values(&["record"]);
    assert_eq!(errors.get(), 3, "the guilty ones, each once");
    assert_eq!(totals(&ledger, agent).await.frontier_credits, 3.0);

    // Without a guilty one there is one transaction for all.
    let before = recorded();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let hold = ledger.writer.run("hold", move |_| {
        let _ = held.recv();
        Ok(())
    });
    let commits = async {
        let outcomes = tokio::join!(
            ledger.commit(answer(agent, 2, &[1.0], 5)),
            ledger.record_failure(agent, noon(5)),
            ledger.commit(answer(agent, 3, &[1.0], 5)),
            async { release.send(()).unwrap() },
        );
        assert!(outcomes.0.is_ok() && outcomes.1.is_ok() && outcomes.2.is_ok());
    };
    let _ = tokio::join!(hold, commits);
    assert_eq!(recorded(), before + 1);
    ledger.close().await;
    assert!(check(&path).unwrap().is_sound());
}

#[tokio::test]
async fn a_full_disk_fails_the_commit_and_nothing_else() {
    let (_directory, path, ledger, agent) = new().await;
    // Less than what is there makes SQLite keep what is there, and nothing more.
    limit_pages(&ledger, 1).await;
    let credits = [0.1; 31];
    let mut kept = Vec::new();
    let refused = loop {
        let number = i32::try_from(kept.len()).unwrap();
        match ledger
            .commit(answer(agent, number * 31, &credits, 5000))
            .await
        {
            Ok(committed) => kept.push(committed),
            Err(error) => break error,
        }
    };
    assert_eq!(
        refused.to_string(),
        format!(
            "ledger {} has no space left on its disk: free some space, and it continues automatically",
            path.display()
        )
    );
    let known = |kept: usize| u32::try_from(kept * 31).unwrap();
    assert_eq!(totals(&ledger, agent).await.known_days, known(kept.len()));

    limit_pages(&ledger, 1 << 20).await;
    let number = i32::try_from(kept.len()).unwrap();
    let retried = ledger
        .commit(answer(agent, number * 31, &credits, 5000))
        .await;
    assert_eq!(retried.unwrap().inserted.len(), 31);
    assert_eq!(
        totals(&ledger, agent).await.known_days,
        known(kept.len() + 1)
    );
    ledger.close().await;
    assert!(check(&path).unwrap().is_sound());
}

#[tokio::test]
async fn a_panic_while_reading_reaches_its_caller_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let telemetry = Telemetry::new();
    let ledger = Ledger::open(&path, POLICY, &telemetry).unwrap();
    let agent = register(&ledger, &["support"]).await[0];
    let panicked = ledger.snapshot(vec![agent], day(0), |_, _, _| panic!("on purpose"));
    let panicked: Result<Vec<()>, _> = panicked.await;
    assert_eq!(
        panicked.unwrap_err().to_string(),
        format!(
            "ledger {} is sound, but transaction snapshot panicked: on purpose",
            path.display()
        )
    );
    assert_eq!(totals(&ledger, agent).await, Totals::default());
    let errors = telemetry
        .of::<LedgerMetrics>()
        .errors
        .with_label_values(&["snapshot"]);
    assert_eq!(errors.get(), 1);
    ledger.close().await;
}

#[tokio::test]
async fn a_read_does_not_wait_for_the_writer() {
    let (_directory, _path, ledger, agent) = new().await;
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (begun, writing) = tokio::sync::oneshot::channel();
    let mut begun = Some(begun);
    let writer = ledger.writer.clone();
    let hold = tokio::spawn(async move {
        let hold = writer.run("hold", move |_| {
            if let Some(begun) = begun.take() {
                let _ = begun.send(());
            }
            let _ = held.recv();
            Ok(())
        });
        hold.await.unwrap();
    });
    writing.await.unwrap();
    // The write transaction is open: a read that waited for it would never come back.
    assert_eq!(totals(&ledger, agent).await, Totals::default());
    release.send(()).unwrap();
    hold.await.unwrap();
    ledger.close().await;
}

#[tokio::test]
async fn closing_finishes_what_is_queued_and_leaves_one_file() {
    let (directory, path, ledger, agent) = new().await;
    let credits = [1.0; 31];
    let commits: Vec<_> = (0..40)
        .map(|number| {
            let ledger = ledger.clone();
            let fetched = answer(agent, number * 31, &credits, 5000);
            tokio::spawn(async move { ledger.commit(fetched).await })
        })
        .collect();
    // Spawned tasks of this runtime run in order up to their first wait, then closing is queued.
    tokio::task::yield_now().await;
    ledger.close().await;
    for commit in commits {
        commit.await.unwrap().unwrap();
    }
    for suffix in ["-wal", "-shm"] {
        assert!(!directory.path().join(format!("ledger.db{suffix}")).exists());
    }
    let closed = format!("ledger {} is closed", path.display());
    let commit = ledger.commit(answer(agent, 0, &[1.0], 9)).await;
    assert_eq!(commit.unwrap_err().to_string(), closed);
    let read = ledger.revisions(agent).await;
    assert_eq!(read.unwrap_err().to_string(), closed);
    ledger.close().await;
    assert_eq!(check(&path).unwrap().days, 40 * 31);
}

#[tokio::test]
async fn an_unknown_agent_is_an_error_for_every_read() {
    let (_directory, path, ledger, _agent) = new().await;
    let unknown = AgentNumber(7);
    let expected = format!("ledger {} has no agent number 7", path.display());
    let coverage = ledger.coverage(vec![(unknown, day(0))]).await.unwrap_err();
    let snapshot = ledger.snapshot(vec![unknown], day(0), |_, _, _| ()).await;
    let usage = ledger.usage(unknown, day(0), day(9)).await.unwrap_err();
    let revisions = ledger.revisions(unknown).await.unwrap_err();
    let failure = ledger.record_failure(unknown, noon(0)).await.unwrap_err();
    for error in [coverage, snapshot.unwrap_err(), usage, revisions, failure] {
        assert_eq!(error.to_string(), expected);
    }
    ledger.close().await;
}

#[tokio::test]
async fn the_days_of_many_agents_are_shown_one_agent_after_the_other() {
    let (_folder, _, ledger, one) = new().await;
    let other = register(&ledger, &["other"]).await[0];
    let kept = [
        answer(one, 0, &[1.0, 2.0, 4.0], 10),
        answer(other, 2, &[8.0], 10),
    ];
    for answer in kept {
        ledger.commit(answer).await.unwrap();
    }
    let shown = |days: &[Usage]| -> Vec<(Day, f64)> {
        days.iter()
            .map(|usage| (usage.day, usage.credits))
            .collect()
    };
    let days = ledger
        .each_usage(vec![other, one], day(1), day(2), shown)
        .await;
    let expected = [vec![(day(2), 8.0)], vec![(day(1), 2.0), (day(2), 4.0)]];
    assert_eq!(days.unwrap(), expected);
}

#[tokio::test]
async fn a_success_ends_the_failure_before_it_whatever_the_clock_says() {
    let (_directory, _, ledger, agent) = new().await;
    ledger.record_failure(agent, noon(400)).await.unwrap();
    assert_eq!(totals(&ledger, agent).await.last_failure, Some(noon(400)));
    ledger.commit(answer(agent, 0, &[1.0], 5)).await.unwrap();
    assert_eq!(totals(&ledger, agent).await.last_failure, None);
}

#[tokio::test]
async fn the_last_list_of_each_source_is_kept_with_its_labels() {
    let (_directory, _, ledger, _) = new().await;
    let agent = |id: &str, team: &str| ListedAgent {
        id: id.into(),
        name: Some(format!("{id}-name").into()),
        labels: Arc::new([("team".to_owned(), team.to_owned())].into()),
        unlisted_since: None,
    };
    let whole = |agents| ListChange {
        agents,
        is_whole: true,
        today: Some(day(9)),
    };
    let acme: Arc<str> = "acme".into();
    let list = |source| ledger.list(Arc::clone(&acme), source);
    for source in [ListSource::File, ListSource::Flowgent] {
        assert_eq!(list(source).await.unwrap(), []);
    }
    let first = vec![agent("b", "x"), agent("a", "y")];
    ledger
        .save_list(Arc::clone(&acme), ListSource::File, whole(first))
        .await
        .unwrap();
    let second = vec![agent("c", "z")];
    ledger
        .save_list(
            Arc::clone(&acme),
            ListSource::Flowgent,
            whole(second.clone()),
        )
        .await
        .unwrap();
    assert_eq!(
        list(ListSource::File).await.unwrap(),
        [agent("a", "y"), agent("b", "x")]
    );
    assert_eq!(list(ListSource::Flowgent).await.unwrap(), second);
    // Of one that is named twice, the first counts.
    let twice = vec![agent("b", "x"), agent("a", "z"), agent("b", "y")];
    ledger
        .save_list(Arc::clone(&acme), ListSource::File, whole(twice))
        .await
        .unwrap();
    assert_eq!(
        list(ListSource::File).await.unwrap(),
        [agent("a", "z"), agent("b", "x")]
    );
    assert_eq!(list(ListSource::Flowgent).await.unwrap(), second);
}

#[tokio::test]
async fn an_agents_history_tells_its_days_when_they_were_fetched_and_what_changed() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(&directory.path().join("ledger.db"));
    let agents = register(&ledger, &["support", "sales"]).await;
    ledger
        .commit(answer(agents[0], 0, &[1.0, 2.0], 2))
        .await
        .unwrap();
    ledger
        .commit(answer(agents[1], 0, &[9.0], 2))
        .await
        .unwrap();
    ledger
        .commit(answer(agents[0], 1, &[2.5, 3.0], 4))
        .await
        .unwrap();
    let history = ledger.agent_history(agents[0]).await.unwrap();
    let days: Vec<_> = history
        .days
        .iter()
        .map(|day| {
            (
                day.usage.day,
                day.usage.credits,
                day.fetched,
                day.is_settled(POLICY),
            )
        })
        .collect();
    let expected = [
        (day(0), 1.0, day(2), false),
        (day(1), 2.5, day(4), false),
        (day(2), 3.0, day(4), false),
    ];
    assert_eq!(days, expected);
    assert_eq!(history.policy, POLICY);
    assert_eq!(history.totals.revised_up, 1);
    let [revision] = history.revisions[..] else {
        panic!("{:?}", history.revisions)
    };
    assert_eq!(
        (revision.day, revision.old, revision.new),
        (day(1), 2.0, 2.5)
    );
    ledger
        .commit(answer(agents[0], 0, &[1.0], 9))
        .await
        .unwrap();
    let history = ledger.agent_history(agents[0]).await.unwrap();
    assert!(history.days[0].is_settled(POLICY));
    assert_eq!(history.days[0].fetched, day(9));
}
