//! Memory of alerts, and messages about them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use chrono::TimeDelta;

use super::*;

/// The alert of the rule `rule` that is about the budget's period beginning at [`day`] 0.
pub(super) fn key(rule: &str, threshold: &str) -> AlertKey {
    AlertKey {
        rule: rule.into(),
        subject: "all".into(),
        period: (!threshold.is_empty()).then(|| day(0)),
        threshold: threshold.into(),
    }
}

/// An alert that fires since noon of [`day`] 0, of which `ops` was told.
pub(super) fn alert(key: AlertKey) -> Alert {
    Alert {
        key,
        state: AlertState::Firing,
        since: noon(0),
        fired_at: Some(noon(0)),
        hooks: ["ops".to_owned()].into(),
        over_hooks: BTreeSet::new(),
        agent: Some(AgentNumber(7)),
        days: vec![day(3), day(5)],
        below_since: Some(day(4)),
        is_closed: false,
        notice: "{\"title\":\"half is used\"}".to_owned(),
    }
}

pub(super) fn delivery(id: &str, hook: &str, alerts: &[AlertKey]) -> Delivery {
    Delivery {
        id: id.into(),
        hook: hook.into(),
        target: String::new(),
        alerts: alerts.to_vec(),
        notification: "{\"alerts\":[]}".to_owned(),
        created: noon(0),
    }
}

pub(super) fn changes(changed: Vec<Alert>, deliveries: Vec<Delivery>) -> AlertChanges {
    AlertChanges {
        changed,
        deliveries,
        ..AlertChanges::default()
    }
}

/// A rule with that definition, watched since [`noon`] of that day.
fn watched(rule: &str, since: i32, definition: &str) -> (Arc<str>, Watched) {
    let watched = Watched {
        since: noon(since),
        definition: definition.to_owned(),
        evaluated: Some(day(since)),
        open_periods: vec![(day(since - 9), noon(since)), (day(since - 2), noon(since))],
        agents: [(AgentNumber(3), "".into()), (AgentNumber(8), "cx".into())].into(),
    };
    (rule.into(), watched)
}

pub(super) fn new() -> (tempfile::TempDir, PathBuf, Ledger) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let ledger = open(&path);
    (directory, path, ledger)
}

async fn alerts(ledger: &Ledger) -> Vec<Alert> {
    ledger.alert_memory().await.unwrap().alerts
}

/// The ids of the deliveries that are due for `hook`.
pub(super) async fn due(ledger: &Ledger, hook: &str, now: DateTime<Utc>) -> Vec<String> {
    let records = ledger.due_deliveries(hook.into(), now, 99).await.unwrap();
    let ids = records.iter().map(|record| record.delivery.id.to_string());
    ids.collect()
}

#[tokio::test]
async fn alerts_are_remembered_whole_and_in_the_order_of_their_keys() {
    let (_directory, path, ledger) = new();
    let pending = Alert {
        state: AlertState::Pending,
        fired_at: None,
        hooks: BTreeSet::new(),
        notice: String::new(),
        ..alert(key("a", ""))
    };
    let resolved = Alert {
        state: AlertState::Resolved,
        since: noon(3),
        over_hooks: ["ops".to_owned(), "chat \"quoted\"".to_owned()].into(),
        is_closed: true,
        ..alert(key("a", "used 1"))
    };
    let mut other_subject = alert(key("a", ""));
    other_subject.key.subject = "beta/support".into();
    let expected = vec![
        pending,
        resolved,
        other_subject,
        alert(key("b", "used 0.5")),
    ];
    let first = AlertChanges {
        watched: vec![
            watched("b", 1, "day"),
            watched("a", 2, "day"),
            watched("c", 2, "day"),
        ],
        ..changes(expected.iter().rev().cloned().collect(), vec![])
    };
    let summary = |period: &str| -> SummaryKey { ("monday".into(), period.into()) };
    let first = AlertChanges {
        summaries: vec![
            (summary("week"), Some(day(7))),
            (summary("month"), Some(day(31))),
        ],
        ..first
    };
    ledger.record_alerts(first, noon(3)).await.unwrap();
    ledger.close().await;
    let ledger = open(&path);
    let memory = ledger.alert_memory().await.unwrap();
    assert_eq!(memory.alerts, expected);
    let next = [(summary("week"), day(7)), (summary("month"), day(31))];
    assert_eq!(memory.summaries, next.into());
    assert!(expected.is_sorted_by_key(|alert| &alert.key));
    let known = [
        watched("a", 2, "day"),
        watched("b", 1, "day"),
        watched("c", 2, "day"),
    ];
    assert_eq!(memory.watched, known.into());

    // What comes again replaces what was there.
    let moved = Alert {
        state: AlertState::Resolved,
        ..alert(key("b", "used 0.5"))
    };
    let second = AlertChanges {
        watched: vec![watched("c", 9, "week")],
        summaries: vec![(summary("week"), Some(day(14))), (summary("month"), None)],
        unwatched: vec!["b".into()],
        forgotten: vec![key("a", ""), key("never", "there")],
        ..changes(vec![moved.clone()], vec![])
    };
    ledger.record_alerts(second, noon(3)).await.unwrap();
    let memory = ledger.alert_memory().await.unwrap();
    let known = [watched("a", 2, "day"), watched("c", 9, "week")];
    assert_eq!(memory.watched, known.into());
    let next = [(summary("week"), day(14))];
    assert_eq!(memory.summaries, next.into());
    let expected = [expected[1].clone(), expected[2].clone(), moved];
    assert_eq!(memory.alerts, expected);
    ledger.close().await;
    assert_eq!(check(&path).unwrap().violations, [""; 0]);
}

#[tokio::test]
async fn days_that_were_judged_are_kept_until_their_subject_is_judged_no_more() {
    let (_directory, path, ledger) = new();
    let judged = |subject: &str, through: i32, first: Option<f64>| {
        let mut credits = [Some(0.1); JUDGED_DAYS];
        credits[0] = first;
        let through = day(through);
        let key: (Arc<str>, Arc<str>) = ("spikes".into(), subject.into());
        (key, Judged { through, credits })
    };
    let both = vec![judged("agent 1", 0, None), judged("agent 2", 0, Some(7.0))];
    let keep = |judged| AlertChanges {
        judged,
        ..AlertChanges::default()
    };
    ledger
        .record_alerts(keep(both.clone()), noon(1))
        .await
        .unwrap();
    ledger.close().await;
    let ledger = open(&path);
    let memory = ledger.alert_memory().await.unwrap();
    assert_eq!(memory.judged, both.into_iter().collect());
    let first = &memory.judged[&("spikes".into(), "agent 1".into())];
    let days = [-8, -7, 0, 1].map(|number| first.on(day(number)));
    assert_eq!(days, [None, None, Some(0.1), None]);

    let newer = judged("agent 2", 30, None);
    ledger
        .record_alerts(keep(vec![newer.clone()]), noon(31))
        .await
        .unwrap();
    let memory = ledger.alert_memory().await.unwrap();
    assert_eq!(memory.judged, [newer].into());
    ledger.close().await;
}

#[tokio::test]
async fn an_evaluation_is_kept_whole_or_not_at_all() {
    let (_directory, path, ledger) = new();
    let told = delivery("msg_1", "ops", &[key("a", "")]);
    let first = changes(vec![alert(key("a", ""))], vec![told]);
    ledger.record_alerts(first, noon(0)).await.unwrap();
    // The id is taken, which is only found out at the end.
    let twice = delivery("msg_1", "ops", &[key("b", "")]);
    let second = AlertChanges {
        watched: vec![watched("b", 0, "day")],
        forgotten: vec![key("a", "")],
        ..changes(
            vec![alert(key("b", ""))],
            vec![delivery("msg_2", "ops", &[]), twice],
        )
    };
    let refused = ledger.record_alerts(second, noon(0)).await.unwrap_err();
    assert!(refused.to_string().contains("UNIQUE"), "{refused}");
    let memory = ledger.alert_memory().await.unwrap();
    assert_eq!(memory.alerts, [alert(key("a", ""))]);
    assert_eq!(memory.watched.len(), 0);
    assert_eq!(due(&ledger, "ops", noon(0)).await, ["msg_1"]);
    ledger.close().await;
    assert_eq!(check(&path).unwrap().violations, [""; 0]);
}

#[tokio::test]
async fn what_is_long_over_is_forgotten_and_nothing_else() {
    let (_directory, path, ledger) = new();
    let over = |rule: &str, since: i32, period: Option<i32>| {
        let mut over = alert(key(rule, "used 1"));
        over.state = AlertState::Resolved;
        over.since = noon(since);
        over.key.period = period.map(day);
        over
    };
    let first = changes(
        vec![
            over("forgotten", 30, Some(0)),
            over("resolved later", 50, Some(0)),
            over("a later period", 30, Some(40)),
            over("no period", 30, None),
            alert(key("still firing", "used 1")),
        ],
        ["delivered", "pending", "given up"]
            .map(|id| delivery(id, "ops", &[key("forgotten", "used 1"), key("b", "")]))
            .into(),
    );
    ledger.record_alerts(first, noon(30)).await.unwrap();
    let attempt = |id: &'static str, attempt, at| ledger.record_attempt(id.into(), attempt, at);
    let answer = "200 OK".to_owned();
    attempt("delivered", Attempt::Delivered { answer }, noon(1))
        .await
        .unwrap();
    let error = "500".to_owned();
    attempt("given up", Attempt::GivenUp { error }, noon(2))
        .await
        .unwrap();

    let ended = |record: &DeliveryRecord| (record.state, record.at, record.result.clone());
    let pending = || async {
        let records = ledger.deliveries(true, 99).await.unwrap();
        let mut records = records.iter();
        let pending = records.find(|record| &*record.delivery.id == "pending");
        pending.map(ended)
    };
    let count = || async { ledger.deliveries(true, 99).await.unwrap().len() };
    let pass = async |now| {
        let nothing = AlertChanges::default();
        ledger.record_alerts(nothing, now).await.unwrap();
        ledger.tidy_deliveries(now).await
    };
    pass(noon(30)).await.unwrap();
    let waits = (DeliveryState::Pending, noon(0), None);
    assert_eq!(pending().await, Some(waits), "not yet more than 30 days");
    let second = TimeDelta::seconds(1);
    let overdue = pass(noon(30) + second).await.unwrap();
    let overdue: Vec<&str> = overdue.iter().map(|overdue| &*overdue.id).collect();
    assert_eq!(overdue, ["pending"]);
    let reason = Some("waited for 30 days".to_owned());
    let given_up = (DeliveryState::GivenUp, noon(30) + second, reason);
    assert_eq!(pending().await, Some(given_up));
    pass(noon(91)).await.unwrap();
    assert_eq!(count().await, 3, "90 days are not yet more than 90 days");
    pass(noon(91) + second).await.unwrap();
    assert_eq!(count().await, 2);
    assert_eq!(alerts(&ledger).await.len(), 5);
    pass(noon(440)).await.unwrap();
    let left = alerts(&ledger).await;
    let left: Vec<&str> = left.iter().map(|alert| &*alert.key.rule).collect();
    assert_eq!(
        left,
        [
            "a later period",
            "no period",
            "resolved later",
            "still firing"
        ]
    );
    assert_eq!(count().await, 0);
    ledger.close().await;
    // No link of a forgotten delivery is left behind, and those of others are all there.
    assert_eq!(check(&path).unwrap().violations, [""; 0]);
}

#[tokio::test]
async fn a_hook_is_reminded_of_what_it_was_told() {
    let (_directory, _path, ledger) = new();
    let resolved = |rule: &str, at: DateTime<Utc>| Alert {
        state: AlertState::Resolved,
        since: at,
        hooks: BTreeSet::new(),
        over_hooks: ["ops".to_owned()].into(),
        ..alert(key(rule, ""))
    };
    let start = noon(9);
    let others = Alert {
        hooks: ["op".to_owned(), "ops2".to_owned()].into(),
        ..alert(key("others", ""))
    };
    let pending = Alert {
        state: AlertState::Pending,
        ..alert(key("pending", ""))
    };
    let fresh = alert(key("fresh", "used 1"));
    let first = changes(
        vec![
            alert(key("fires", "")),
            resolved("just over", start),
            resolved("long over", start - TimeDelta::milliseconds(1)),
            others,
            pending,
            fresh.clone(),
        ],
        vec![delivery("msg_1", "ops", std::slice::from_ref(&fresh.key))],
    );
    ledger.record_alerts(first, noon(9)).await.unwrap();
    let told = || async {
        let told = ledger
            .alerts_of_hook("ops".into(), start, day(0))
            .await
            .unwrap();
        let told = told.iter().map(|alert| alert.key.rule.to_string());
        told.collect::<Vec<_>>()
    };
    assert_eq!(told().await, ["fires", "just over"]);
    // Once its delivery was tried, it may have arrived.
    let failed = Attempt::Failed {
        error: "timed out".to_owned(),
        next: noon(10),
        may_end: false,
    };
    ledger
        .record_attempt("msg_1".into(), failed, noon(9))
        .await
        .unwrap();
    assert_eq!(told().await, ["fires", "fresh", "just over"]);
    let disabled = DisabledHook {
        hook: "ops".into(),
        at: noon(9),
        reason: "410 Gone".to_owned(),
    };
    ledger.disable_hook(disabled).await.unwrap();
    assert_eq!(told().await, [""; 0]);
}

#[tokio::test]
async fn an_attempt_is_noted_with_what_it_came_to() {
    let (_directory, path, ledger) = new();
    let ids = ["a", "b", "c", "d"];
    let first = changes(vec![], ids.map(|id| delivery(id, "ops", &[])).into());
    ledger.record_alerts(first, noon(0)).await.unwrap();
    let text = |text: &str| text.to_owned();
    for (id, attempt) in [
        (
            "a",
            Attempt::Failed {
                error: text("503"),
                next: noon(2),
                may_end: false,
            },
        ),
        (
            "a",
            Attempt::Delivered {
                answer: text("204"),
            },
        ),
        ("a", Attempt::GivenUp { error: text("no") }),
        ("b", Attempt::Postponed { until: noon(5) }),
        (
            "c",
            Attempt::Failed {
                error: text("503"),
                next: noon(2),
                may_end: false,
            },
        ),
        ("d", Attempt::GivenUp { error: text("no") }),
    ] {
        ledger
            .record_attempt(id.into(), attempt, noon(1))
            .await
            .unwrap();
    }
    let records = ledger.deliveries(true, 99).await.unwrap();
    let shown = records.iter().rev().map(|record| {
        let result = record.result.as_deref();
        (record.state, record.attempts, record.at, result)
    });
    let expected = [
        (DeliveryState::Delivered, 2, noon(1), Some("204")),
        (DeliveryState::Pending, 0, noon(2), None),
        (DeliveryState::Pending, 1, noon(2), Some("503")),
        (DeliveryState::GivenUp, 1, noon(1), Some("no")),
    ];
    assert_eq!(shown.collect::<Vec<_>>(), expected);
    assert_eq!(ledger.deliveries(true, 1).await.unwrap(), records[..1]);
    // However many came after it: `a` alone was delivered, and is the oldest.
    assert_eq!(ledger.deliveries(false, 99).await.unwrap(), records[..3]);
    let backlog = Backlog {
        hook: "ops".into(),
        pending: 2,
        oldest: noon(0),
    };
    assert_eq!(ledger.backlogs().await.unwrap(), [backlog]);
    let unknown = Attempt::Postponed { until: noon(5) };
    let unknown = ledger.record_attempt("z".into(), unknown, noon(1)).await;
    assert_eq!(
        unknown.unwrap_err().to_string(),
        format!("ledger {} has no delivery z", path.display())
    );
}

#[tokio::test]
async fn what_was_recorded_outlives_a_process_that_is_killed() {
    let (directory, _path, ledger) = new();
    let told = delivery("msg_1", "ops", &[key("a", "")]);
    let first = changes(vec![alert(key("a", ""))], vec![told.clone()]);
    ledger.record_alerts(first, noon(0)).await.unwrap();
    let disabled = DisabledHook {
        hook: "chat".into(),
        at: noon(1),
        reason: "410 Gone".to_owned(),
    };
    ledger.disable_hook(disabled.clone()).await.unwrap();
    let failed = Attempt::Failed {
        error: "503".to_owned(),
        next: noon(2),
        may_end: false,
    };
    ledger
        .record_attempt("msg_1".into(), failed, noon(1))
        .await
        .unwrap();
    // As a kill leaves it: nobody has closed it, and all of it is still in the log beside the file.
    let left = directory.path().join("left.db");
    for suffix in ["", "-wal"] {
        let name = |name: &str| directory.path().join(format!("{name}.db{suffix}"));
        std::fs::copy(name("ledger"), name("left")).unwrap();
    }
    ledger.close().await;

    let ledger = open(&left);
    assert_eq!(alerts(&ledger).await, [alert(key("a", ""))]);
    assert_eq!(ledger.disabled_hooks().await.unwrap(), [disabled]);
    let records = ledger.deliveries(true, 9).await.unwrap();
    assert_eq!(records[0].delivery, told);
    assert_eq!((records[0].attempts, records[0].at), (1, noon(2)));
    ledger.close().await;
    assert_eq!(check(&left).unwrap().violations, [""; 0]);
}

#[tokio::test]
async fn the_alerts_that_are_not_over_are_read_part_by_part() {
    let (_directory, _, ledger) = new();
    let over = Alert {
        state: AlertState::Resolved,
        ..alert(key("b", ""))
    };
    let others = ["c", "a", "d"].map(|rule| alert(key(rule, "")));
    let changes = AlertChanges {
        changed: [vec![over], others.to_vec()].concat(),
        ..AlertChanges::default()
    };
    ledger.record_alerts(changes, noon(0)).await.unwrap();
    let part = async |offset, limit| {
        let (alerts, all) = ledger.active_alerts(offset, limit).await.unwrap();
        let rules = alerts.iter().map(|alert| alert.key.rule.to_string());
        (rules.collect::<Vec<_>>().concat(), all)
    };
    assert_eq!(part(0, 2).await, ("ac".to_owned(), 3));
    assert_eq!(part(2, 2).await, ("d".to_owned(), 3));
    assert_eq!(part(3, usize::MAX).await, (String::new(), 3));
}

#[tokio::test]
async fn the_newest_alerts_of_a_state_come_first_and_all_are_counted() {
    let (_directory, _, ledger) = new();
    let since = |rule: &str, offset| Alert {
        since: noon(offset),
        ..alert(key(rule, ""))
    };
    let over = Alert {
        state: AlertState::Resolved,
        ..since("over", 9)
    };
    let all = vec![since("a", 1), since("b", 3), since("c", 2), over];
    ledger
        .record_alerts(changes(all, vec![]), noon(9))
        .await
        .unwrap();
    let firing = ledger.newest_alerts(AlertState::Firing, 2).await.unwrap();
    let rules: Vec<&str> = firing.iter().map(|alert| &*alert.key.rule).collect();
    assert_eq!(rules, ["b", "c"]);
    let mut counts = ledger.alert_counts().await.unwrap();
    counts.sort_by_key(|(_, number)| *number);
    let expected = [(AlertState::Resolved, 1), (AlertState::Firing, 3)];
    assert_eq!(counts, expected);
}
