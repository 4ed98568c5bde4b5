//! Pushed days, to the value: nothing is left out, and nothing is sent for ever.

use std::collections::BTreeSet;

use super::*;

const DAYS: i32 = 30;

/// Days of an agent that are not pushed, with the numbers of their values.
async fn left(
    ledger: &Ledger,
    target: PushTarget,
    agent: AgentNumber,
    from: i32,
) -> BTreeSet<(Day, u32)> {
    let unpushed = ledger.unpushed(target, vec![agent], [day(from), day(DAYS)]);
    let unpushed = unpushed.await.unwrap().remove(0);
    let mut left = BTreeSet::new();
    for entry in &unpushed.days {
        let of_day = entry.usage.day;
        if !entry.first_is_pushed {
            left.insert((of_day, 0));
        }
        for revision in unpushed.revisions.iter().filter(|one| one.day == of_day) {
            if revision.number > entry.pushed_revision {
                left.insert((of_day, revision.number));
            }
        }
    }
    left
}

#[tokio::test]
async fn exactly_what_was_not_pushed_is_left_whatever_comes_in_which_order() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let ledger = open(&path);
    let agents = register(&ledger, &["support", "sales"]).await;
    let target = ledger.push_target("one".to_owned()).await.unwrap();
    let other = ledger.push_target("other".to_owned()).await.unwrap();
    let mut random = fastrand::Rng::with_seed(7);
    // What is known of the first agent, and what of that was pushed to the first target.
    let mut known: BTreeSet<(Day, u32)> = BTreeSet::new();
    let mut pushed: BTreeSet<(Day, u32)> = BTreeSet::new();
    for step in 0..400 {
        let offset = random.i32(0..DAYS);
        if random.bool() {
            let answer = answer(agents[0], offset, &[f64::from(step)], 60);
            let committed = ledger.commit(answer).await.unwrap();
            known.extend(committed.inserted.iter().map(|day| (*day, 0)));
            let revised = committed.revisions.iter();
            known.extend(revised.map(|revision| (revision.day, revision.number)));
        } else {
            // As samples of a day go, in the order of their time.
            let values = known
                .difference(&pushed)
                .copied()
                .filter(|(of_day, _)| of_day.since(day(offset)).abs() < 4)
                .take(random.usize(0..9))
                .collect::<Vec<_>>();
            let values_of = |agent| {
                let values = values.iter();
                values.map(move |(of_day, revision)| Pushed {
                    agent,
                    day: *of_day,
                    revision: *revision,
                })
            };
            let noted = values_of(agents[0]).collect();
            ledger.record_pushed(target, noted, None).await.unwrap();
            pushed.extend(values);
        }
        let expected: BTreeSet<_> = known.difference(&pushed).copied().collect();
        assert_eq!(left(&ledger, target, agents[0], 0).await, expected);
        if step % 50 == 0 {
            assert_eq!(left(&ledger, other, agents[0], 0).await, known);
            assert_eq!(left(&ledger, target, agents[1], 0).await, BTreeSet::new());
            let late = expected.iter().copied().filter(|(of, _)| *of >= day(9));
            assert_eq!(left(&ledger, target, agents[0], 9).await, late.collect());
        }
    }
    assert!(pushed.iter().any(|(_, revision)| *revision > 1));
    assert_eq!(check(&path).unwrap().violations, [""; 0]);

    // All days in one go are one range, whatever was there before.
    let firsts = known.iter().filter(|(_, revision)| *revision == 0);
    let firsts = firsts.map(|(of_day, _)| Pushed {
        agent: agents[0],
        day: *of_day,
        revision: 0,
    });
    let count = firsts.clone().count();
    assert_eq!(count, usize::try_from(DAYS).unwrap(), "a day never came");
    let noted = firsts.collect();
    ledger
        .record_pushed(target, noted, Some(day(0)))
        .await
        .unwrap();
    let again = ledger.push_target("one".to_owned()).await.unwrap();
    assert_eq!(again.newest, Some(day(DAYS - 1)));
    assert_eq!(again.read_back_from, Some(day(0)));
    ledger.close().await;
    let connection = Connection::open(&path).unwrap();
    let ranges = "SELECT count(*) FROM pushed_days";
    let ranges: i64 = connection.query_row(ranges, [], |row| row.get(0)).unwrap();
    assert_eq!(ranges, 1);
}

#[tokio::test]
async fn a_database_that_is_forgotten_has_taken_nothing_and_no_other_one_is() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(&directory.path().join("ledger.db"));
    let support = register(&ledger, &["support"]).await[0];
    ledger
        .commit(answer(support, 0, &[1.0, 2.0], 5))
        .await
        .unwrap();
    ledger.commit(answer(support, 1, &[3.0], 5)).await.unwrap();
    let values: Vec<Pushed> = [(0, 0), (1, 0), (1, 1)]
        .map(|(offset, revision)| Pushed {
            agent: support,
            day: day(offset),
            revision,
        })
        .into();
    for identity in ["one", "other"] {
        let target = ledger.push_target(identity.to_owned()).await.unwrap();
        let noted = ledger.record_pushed(target, values.clone(), Some(day(0)));
        noted.await.unwrap();
    }
    ledger.forget_pushed("one".to_owned()).await.unwrap();
    let one = ledger.push_target("one".to_owned()).await.unwrap();
    assert_eq!((one.newest, one.read_back_from), (None, None));
    assert_eq!(left(&ledger, one, support, 0).await.len(), 3);
    let other = ledger.push_target("other".to_owned()).await.unwrap();
    assert_eq!(left(&ledger, other, support, 0).await, BTreeSet::new());
    ledger.close().await;
}

#[tokio::test]
async fn what_cannot_have_been_pushed_is_found_by_a_check() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let ledger = open(&path);
    let support = register(&ledger, &["support"]).await[0];
    ledger
        .commit(answer(support, 0, &[1.0, 2.0], 5))
        .await
        .unwrap();
    ledger.push_target("one".to_owned()).await.unwrap();
    ledger.close().await;
    tamper(
        &path,
        "INSERT INTO pushed_days VALUES (1, 1, 20236, 20236), (1, 1, 20237, 20239);
         INSERT INTO pushed_revision VALUES (1, 1, 20237, 3);",
    );
    assert_eq!(
        check(&path).unwrap().violations,
        [
            "agent acme/support: the days pushed to target 1 from 2025-05-28 and from 2025-05-29 on are \
             not apart",
            "agent acme/support: 3 days from 2025-05-29 on are pushed to target 1, 1 of them are known",
            "agent acme/support: revision 3 of 2025-05-29 is pushed to target 1, the last one is 0",
        ]
    );
}
