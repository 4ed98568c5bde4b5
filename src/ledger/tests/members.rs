//! Members that are present, listed no more, or have left.

use super::*;
use crate::roster::Labels;

fn agent(id: &str, name: &str, labels: &[(&str, &str)]) -> Agent {
    let labels = labels.iter();
    let labels: Labels = labels
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Agent {
        account: "acme".into(),
        id: id.into(),
        name: name.into(),
        labels: Arc::new(labels),
    }
}

/// These agents, all of them listed, on the day of that offset.
fn enrolment(agents: &[Agent], today: i32) -> Enrolment {
    Enrolment {
        agents: agents.iter().map(|agent| (agent.clone(), None)).collect(),
        today: Some(day(today)),
        ..Enrolment::default()
    }
}

/// Agents that have left, with the day of leaving.
async fn gone(ledger: &Ledger, from: i32) -> Vec<(Arc<str>, Option<Day>)> {
    let absent = ledger.absent(Default::default(), day(from)).await.unwrap();
    let gone = absent.into_iter();
    gone.filter(|member| member.left_on.is_some())
        .map(|member| (member.agent.name, member.left_on))
        .collect()
}

#[tokio::test]
async fn who_leaves_keeps_name_labels_and_number_and_gets_them_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let ledger = open(&path);
    let support = agent("a", "support", &[("team", "cx")]);
    let sales = agent("b", "sales", &[]);
    let both = enrolment(&[support.clone(), sales.clone()], 5);
    let enrolled = ledger.enrol(both).await.unwrap();
    assert_eq!(enrolled.left, []);
    let number = enrolled.members[0].number;
    ledger
        .commit(answer(number, 0, &[1.0, 2.0], 5))
        .await
        .unwrap();

    // A new name and new labels are those under which it leaves.
    let renamed = agent("a", "help", &[("team", "ops")]);
    ledger
        .enrol(enrolment(&[renamed.clone(), sales.clone()], 6))
        .await
        .unwrap();
    let enrolled = ledger
        .enrol(enrolment(std::slice::from_ref(&sales), 7))
        .await
        .unwrap();
    assert_eq!(enrolled.left.len(), 1);
    ledger.close().await;
    let ledger = open(&path);
    let sales_number = enrolled.members[0].number;
    let absent = ledger.absent([sales_number].into(), day(0)).await.unwrap();
    let left = Member {
        left_on: Some(day(7)),
        ..Member::present(renamed.clone(), number)
    };
    assert_eq!(absent, [left]);
    // Nothing of it is on the day on which it left, nor later.
    assert_eq!(gone(&ledger, 6).await.len(), 1);
    assert_eq!(gone(&ledger, 7).await, []);

    let enrolled = ledger
        .enrol(enrolment(&[renamed, sales], 40))
        .await
        .unwrap();
    assert_eq!(enrolled.members[0].number, number);
    assert_eq!(gone(&ledger, 0).await, []);
    ledger.close().await;
    assert!(check(&path).unwrap().is_sound());
}

#[tokio::test]
async fn nobody_leaves_whose_list_or_day_is_not_known_or_who_is_set_aside() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(&directory.path().join("ledger.db"));
    let support = agent("a", "support", &[]);
    ledger.enrol(enrolment(&[support], 5)).await.unwrap();
    let nobody = enrolment(&[], 6);
    let unknown = Enrolment {
        unknown_accounts: ["acme".into()].into(),
        ..nobody.clone()
    };
    let set_aside = Enrolment {
        set_aside: [("acme".into(), "a".into())].into(),
        ..nobody.clone()
    };
    let dayless = Enrolment {
        today: None,
        ..nobody.clone()
    };
    for enrolment in [unknown, set_aside, dayless] {
        assert_eq!(ledger.enrol(enrolment).await.unwrap().left, []);
    }
    // It counts all the same.
    let absent = ledger.absent(Default::default(), day(0)).await.unwrap();
    assert_eq!((absent.len(), absent[0].left_on), (1, None));
    assert_eq!(ledger.enrol(nobody).await.unwrap().left.len(), 1);
}

#[tokio::test]
async fn an_agent_that_is_listed_no_more_keeps_its_last_name_though_another_bears_it() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(&directory.path().join("ledger.db"));
    let old = agent("a", "support", &[("team", "cx")]);
    ledger.enrol(enrolment(&[old], 5)).await.unwrap();
    let mut changed = enrolment(&[agent("b", "support", &[])], 6);
    let unlisted = (agent("a", "a", &[("team", "cx")]), Some(day(6)));
    changed.agents.insert(0, unlisted);
    ledger.enrol(changed).await.unwrap();
    ledger
        .enrol(enrolment(&[agent("b", "support", &[])], 9))
        .await
        .unwrap();
    assert_eq!(gone(&ledger, 0).await, [("support".into(), Some(day(9)))]);
}

#[tokio::test]
async fn no_known_day_is_as_late_as_the_leaving_whatever_the_clock_says() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(&directory.path().join("ledger.db"));
    let support = agent("a", "support", &[]);
    let enrolled = ledger.enrol(enrolment(&[support], 9)).await.unwrap();
    let number = enrolled.members[0].number;
    ledger
        .commit(answer(number, 4, &[1.0; 3], 9))
        .await
        .unwrap();
    ledger.enrol(enrolment(&[], 2)).await.unwrap();
    assert_eq!(gone(&ledger, 0).await, [("support".into(), Some(day(7)))]);
}

/// Whom the list of acme's names on the day of that offset, and whether it names all.
fn list(ids: &[&str], is_whole: bool, today: i32) -> ListChange {
    let agent = |id: &&str| ListedAgent {
        id: (*id).into(),
        ..ListedAgent::default()
    };
    ListChange {
        agents: ids.iter().map(agent).collect(),
        is_whole,
        today: Some(day(today)),
    }
}

#[tokio::test]
async fn a_list_that_shrinks_is_believed_on_the_third_day_restarts_or_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    // today, whom the list names, whether it is whole -> who is kept, and since when it is unlisted
    let a = |since: Option<i32>| ("a", since);
    let b = ("b", None);
    type Row<'a> = (i32, &'a [&'a str], bool, &'a [(&'a str, Option<i32>)]);
    let table: [Row<'_>; 11] = [
        (10, &["a", "b"], true, &[a(None), b]),
        (11, &["b"], true, &[a(Some(11)), b]),
        (11, &["b"], true, &[a(Some(11)), b]),
        (13, &["b"], true, &[a(Some(11)), b]),
        // It returns, and is gone again.
        (13, &["a", "b"], true, &[a(None), b]),
        (14, &["b"], true, &[a(Some(14)), b]),
        // A list that is not whole lets nobody leave, late as it is, and marks nobody.
        (18, &[], false, &[a(Some(14)), b]),
        // Nor does a clock that was set back.
        (3, &["b"], true, &[a(Some(14)), b]),
        (16, &["b"], true, &[a(Some(14)), b]),
        (17, &["b"], true, &[b]),
        (18, &[], true, &[("b", Some(18))]),
    ];
    for (place, (today, named, is_whole, expected)) in table.into_iter().enumerate() {
        let ledger = open(&path);
        let change = list(named, is_whole, today);
        let account: Arc<str> = "acme".into();
        let saved = ledger.save_list(Arc::clone(&account), ListSource::Flowgent, change);
        let saved = saved.await.unwrap();
        let kept: Vec<(&str, Option<Day>)> = saved
            .iter()
            .map(|agent| (&*agent.id, agent.unlisted_since))
            .collect();
        let expected: Vec<(&str, Option<Day>)> = expected
            .iter()
            .map(|(id, since)| (*id, since.map(day)))
            .collect();
        assert_eq!(kept, expected, "row {place}");
        let read = ledger.list(account, ListSource::Flowgent).await.unwrap();
        assert_eq!(read, saved, "row {place}");
        ledger.close().await;
    }
}

#[tokio::test]
async fn days_that_an_answer_left_out_are_known_as_such_until_they_come() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(&directory.path().join("ledger.db"));
    let number = register(&ledger, &["support"]).await[0];
    let mut gappy = answer(number, 0, &[1.0; 5], 6);
    gappy
        .rows
        .retain(|usage| ![day(1), day(4)].contains(&usage.day));
    ledger.commit(gappy).await.unwrap();
    let left_out = async || {
        let coverage = ledger.coverage(vec![(number, day(0))]).await.unwrap();
        let days = coverage[0].left_out.iter();
        days.map(|known| (known.day, known.fetched))
            .collect::<Vec<_>>()
    };
    assert_eq!(left_out().await, [(day(1), day(6)), (day(4), day(6))]);
    ledger
        .commit(answer(number, 3, &[1.0; 2], 7))
        .await
        .unwrap();
    assert_eq!(left_out().await, [(day(1), day(6))]);
}
