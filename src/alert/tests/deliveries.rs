//! Recipients of messages.

use super::super::deliveries::deliveries;
use super::super::tell::Told;
use super::*;
use crate::ledger::AlertKey;

fn told(rule: &str, severity: Severity, status: Status, hooks: &[&str]) -> Told {
    let Notification { alerts, .. } = Notification::sample(None, at("2026-11-23T00:12:00Z"));
    let notice = alerts.into_iter().next().unwrap();
    Told {
        key: AlertKey {
            rule: rule.into(),
            subject: "all".into(),
            period: None,
            threshold: "".into(),
        },
        notice: Notice {
            rule: rule.to_owned(),
            severity,
            status,
            ..notice
        },
        hooks: hooks.iter().map(|hook| hook.to_string()).collect(),
    }
}

/// Hook, target and rules of each message.
fn sent(told: &[Told], routes: &[Route]) -> Vec<String> {
    let now = at("2026-11-23T00:12:00Z");
    let deliveries = deliveries(told, routes, now, &mut fastrand::Rng::with_seed(1));
    let show = |delivery: &crate::ledger::Delivery| {
        let notification: Notification = serde_json::from_str(&delivery.notification).unwrap();
        assert!(!notification.test && delivery.created == now);
        let alerts = notification
            .alerts
            .iter()
            .map(|notice| notice.rule.as_str());
        let alerts: Vec<&str> = alerts.collect();
        let keys: Vec<&str> = delivery.alerts.iter().map(|key| &*key.rule).collect();
        assert_eq!(alerts, keys);
        format!("{}{}: {}", delivery.hook, delivery.target, alerts.join(" "))
    };
    deliveries.iter().map(show).collect()
}

#[test]
fn a_hook_that_groups_gets_one_message_and_another_one_for_each_alert() {
    use Severity::{Critical, Info, Warning};
    let told = [
        told("a", Info, Status::Firing, &["ops", "chat"]),
        told("b", Critical, Status::Resolved, &["ops", "chat", "gone"]),
        told("c", Critical, Status::Firing, &["chat"]),
        told("d", Warning, Status::Firing, &["ops", "chat"]),
    ];
    let single = Route {
        group: false,
        ..route("ops")
    };
    assert_eq!(
        sent(&told, &[single, route("chat"), route("idle")]),
        ["ops: d", "ops: a", "ops: b", "chat: c d a b"]
    );
}

#[test]
fn every_target_gets_a_message_of_its_own() {
    let told = [told("a", Severity::Info, Status::Firing, &["phones"])];
    let phones = Route {
        targets: vec!["+1".to_owned(), "+2".to_owned()],
        ..route("phones")
    };
    assert_eq!(sent(&told, &[phones]), ["phones+1: a", "phones+2: a"]);
}

#[test]
fn a_hook_that_does_not_want_it_is_not_told_of_an_end() {
    let told = [told(
        "a",
        Severity::Info,
        Status::Resolved,
        &["ops", "quiet"],
    )];
    let quiet = Route {
        send_resolved: false,
        ..route("quiet")
    };
    assert_eq!(sent(&told, &[quiet, route("ops")]), ["ops: a"]);
}

#[test]
fn very_many_alerts_are_several_messages() {
    let told: Vec<Told> = (0..250)
        .map(|number| {
            told(
                &number.to_string(),
                Severity::Info,
                Status::Firing,
                &["ops"],
            )
        })
        .collect();
    let sent = sent(&told, &[route("ops")]);
    let counts: Vec<usize> = sent
        .iter()
        .map(|message| message.split(' ').count() - 1)
        .collect();
    assert_eq!(counts, [100, 100, 50]);
}

#[test]
fn ids_are_different_and_of_letters_and_digits() {
    let told: Vec<Told> = (0..50)
        .map(|number| {
            told(
                &number.to_string(),
                Severity::Info,
                Status::Firing,
                &["ops"],
            )
        })
        .collect();
    let single = Route {
        group: false,
        ..route("ops")
    };
    let now = at("2026-11-23T00:12:00Z");
    let deliveries = deliveries(&told, &[single], now, &mut fastrand::Rng::with_seed(7));
    let ids: BTreeSet<&str> = deliveries.iter().map(|delivery| &*delivery.id).collect();
    assert_eq!(ids.len(), 50);
    for id in ids {
        let letters = id.strip_prefix("msg_").unwrap();
        let plain = letters.chars().all(|letter| letter.is_ascii_alphanumeric());
        assert!(letters.len() == 27 && plain, "{id}");
    }
}
