//! Deliveries that are tried again because somebody wants it.

use super::alerts::{changes, delivery, due, key, new};
use super::*;

/// The hooks that there are.
const HOOKS: [&str; 3] = ["chat", "idle", "ops"];

/// Puts these deliveries about these alerts into the outbox, and says what became of each.
async fn end(ledger: &Ledger, deliveries: &[(Delivery, DeliveryState)]) {
    let all = deliveries.iter().map(|(delivery, _)| delivery.clone());
    let changes = changes(vec![], all.collect());
    ledger.record_alerts(changes, noon(0)).await.unwrap();
    for (delivery, state) in deliveries {
        let said = "said".to_owned();
        let attempt = match state {
            DeliveryState::Pending => continue,
            DeliveryState::Delivered => Attempt::Delivered { answer: said },
            DeliveryState::GivenUp => Attempt::GivenUp { error: said },
        };
        let noted = ledger.record_attempt(Arc::clone(&delivery.id), attempt, noon(1));
        noted.await.unwrap();
    }
}

#[tokio::test]
async fn nothing_is_due_for_a_disabled_hook_until_it_is_tried_again() {
    let (_directory, path, ledger) = new();
    let first = changes(
        vec![],
        vec![
            delivery("a", "ops", &[]),
            delivery("b", "chat", &[]),
            delivery("c", "ops", &[]),
        ],
    );
    ledger.record_alerts(first, noon(0)).await.unwrap();
    let disabled = |hook: &str, reason: &str| DisabledHook {
        hook: hook.into(),
        at: noon(1),
        reason: reason.to_owned(),
    };
    for disabled in [
        disabled("ops", "410"),
        disabled("ops", "410 Gone"),
        disabled("idle", "410"),
    ] {
        ledger.disable_hook(disabled).await.unwrap();
    }
    let expected = [disabled("idle", "410"), disabled("ops", "410 Gone")];
    assert_eq!(ledger.disabled_hooks().await.unwrap(), expected);
    assert_eq!(due(&ledger, "ops", noon(9)).await, [""; 0]);
    assert_eq!(due(&ledger, "chat", noon(9)).await, ["b"]);
    assert_eq!(ledger.backlogs().await.unwrap().len(), 2, "it still waits");

    assert_eq!(
        retry(&path, Which::Delivery("c".to_owned()), &HOOKS, noon(2)).unwrap(),
        1
    );
    assert_eq!(due(&ledger, "ops", noon(9)).await, ["a", "c"]);
    assert_eq!(ledger.disabled_hooks().await.unwrap(), expected[..1]);
    assert_eq!(retry(&path, Which::All, &HOOKS, noon(2)).unwrap(), 3);
    assert_eq!(ledger.disabled_hooks().await.unwrap(), []);
}

#[tokio::test]
async fn deliveries_are_tried_again_from_beside_an_open_ledger() {
    let (_directory, path, ledger) = new();
    let ids = ["waits", "given up", "delivered"];
    let first = changes(vec![], ids.map(|id| delivery(id, "ops", &[])).into());
    ledger.record_alerts(first, noon(0)).await.unwrap();
    let text = "503".to_owned();
    for (id, attempt) in [
        (
            "waits",
            Attempt::Failed {
                error: text.clone(),
                next: noon(8),
                may_end: false,
            },
        ),
        (
            "given up",
            Attempt::GivenUp {
                error: text.clone(),
            },
        ),
        ("delivered", Attempt::Delivered { answer: text }),
    ] {
        ledger
            .record_attempt(id.into(), attempt, noon(1))
            .await
            .unwrap();
    }
    // It rests for a day at most.
    let soon = noon(2) - TimeDelta::seconds(1);
    let one = |id: &str| retry(&path, Which::Delivery(id.to_owned()), &HOOKS, soon);
    let shown = path.display();
    assert_eq!(
        one("delivered").unwrap_err().to_string(),
        format!("ledger {shown} has delivered delivered already, so there is nothing to retry")
    );
    assert_eq!(
        one("lost").unwrap_err().to_string(),
        format!("ledger {shown} has no delivery lost")
    );
    assert_eq!(due(&ledger, "ops", soon).await, [""; 0]);
    assert_eq!(one("given up").unwrap(), 1);
    assert_eq!(due(&ledger, "ops", soon).await, ["given up"]);
    assert_eq!(retry(&path, Which::All, &HOOKS, noon(3)).unwrap(), 2);
    let records = ledger
        .due_deliveries("ops".into(), noon(3), 9)
        .await
        .unwrap();
    let shown = records
        .iter()
        .map(|record| (&*record.delivery.id, record.attempts, record.at));
    assert_eq!(
        shown.collect::<Vec<_>>(),
        [("waits", 1, noon(3)), ("given up", 0, noon(3))]
    );
    // The ledger goes on writing as if nobody had been there.
    register(&ledger, &["support"]).await;
    ledger.close().await;
    assert_eq!(check(&path).unwrap().violations, [""; 0]);
}

#[tokio::test]
async fn what_newer_news_has_overtaken_is_sent_again_only_if_it_is_named() {
    use DeliveryState::{Delivered, GivenUp, Pending};
    let (_directory, path, ledger) = new();
    let told = |id: &str, rules: &[&str]| {
        let keys: Vec<_> = rules.iter().map(|rule| key(rule, "used 1")).collect();
        delivery(id, "ops", &keys)
    };
    let to = |target: &str, delivery: Delivery| Delivery {
        target: target.to_owned(),
        ..delivery
    };
    let other_hook = Delivery {
        hook: "chat".into(),
        ..told("chat", &["chat"])
    };
    let other_period = Delivery {
        alerts: vec![AlertKey {
            period: Some(day(31)),
            ..key("period", "used 1")
        }],
        ..told("next", &[])
    };
    end(
        &ledger,
        &[
            (told("before", &["fired", "newest"]), Delivered),
            (told("newest", &["newest"]), GivenUp),
            (told("overtaken", &["fired"]), GivenUp),
            (told("overtaken together", &["fired", "also"]), GivenUp),
            (told("in part", &["fired", "alone"]), GivenUp),
            (told("other hook", &["chat"]), GivenUp),
            (to("+1", told("other target", &["target"])), GivenUp),
            (told("other period", &["period"]), GivenUp),
            (told("in part not yet", &["fired", "waits"]), GivenUp),
            (told("not yet", &["waits"]), GivenUp),
            (told("about nothing", &[]), GivenUp),
            (told("resolved", &["fired"]), Delivered),
            (told("resolved too", &["also"]), Delivered),
            (other_hook, Delivered),
            (to("+2", told("target", &["target"])), Delivered),
            (other_period, Delivered),
            (told("after it", &["waits"]), Pending),
        ],
    )
    .await;
    assert_eq!(retry(&path, Which::All, &HOOKS, noon(2)).unwrap(), 7);
    let expected = [
        "newest",
        "in part",
        "other hook",
        "other target",
        "other period",
        "about nothing",
        "after it",
    ];
    assert_eq!(due(&ledger, "ops", noon(2)).await, expected);
    let in_part = ledger.due_deliveries("ops".into(), noon(2), 2).await;
    let alerts = in_part.unwrap().pop().unwrap().delivery.alerts;
    assert_eq!(
        alerts,
        [key("alone", "used 1")],
        "of the other there is newer news"
    );
    let named = Which::Delivery("overtaken".to_owned());
    assert_eq!(retry(&path, named, &HOOKS, noon(2)).unwrap(), 1);
    assert_eq!(due(&ledger, "ops", noon(2)).await[1], "overtaken");
}

#[tokio::test]
async fn what_is_older_than_thirty_days_is_sent_again_only_if_it_is_named() {
    let (_directory, path, ledger) = new();
    let states = [DeliveryState::GivenUp, DeliveryState::Pending];
    let deliveries = states.map(|state| (delivery(state.as_str(), "ops", &[]), state));
    end(&ledger, &deliveries).await;
    let late = noon(30) + TimeDelta::seconds(1);
    assert_eq!(retry(&path, Which::All, &HOOKS, late).unwrap(), 1);
    assert_eq!(due(&ledger, "ops", late).await, ["pending"]);
    let named = Which::Delivery("given_up".to_owned());
    assert_eq!(retry(&path, named, &HOOKS, late).unwrap(), 1);
    // Nor is given up what somebody wants.
    assert_eq!(ledger.tidy_deliveries(late).await.unwrap(), []);
    assert_eq!(due(&ledger, "ops", late).await, ["given_up", "pending"]);
}

#[tokio::test]
async fn nothing_is_sent_again_to_a_hook_that_is_gone() {
    let (_directory, path, ledger) = new();
    let ids = ["ops", "chat"];
    let deliveries = ids.map(|hook| (delivery(hook, hook, &[]), DeliveryState::GivenUp));
    end(&ledger, &deliveries).await;
    for hook in ids {
        let disabled = DisabledHook {
            hook: hook.into(),
            at: noon(1),
            reason: "410 Gone".to_owned(),
        };
        ledger.disable_hook(disabled).await.unwrap();
    }
    assert_eq!(retry(&path, Which::All, &["ops"], noon(2)).unwrap(), 1);
    assert_eq!(due(&ledger, "ops", noon(2)).await, ["ops"]);
    let disabled = ledger.disabled_hooks().await.unwrap();
    assert_eq!(disabled.len(), 1);
    let named = Which::Delivery("chat".to_owned());
    assert_eq!(
        retry(&path, named, &["ops"], noon(2))
            .unwrap_err()
            .to_string(),
        format!(
            "ledger {} has delivery chat to hook `chat`, which is not in the config",
            path.display()
        )
    );
    assert_eq!(ledger.disabled_hooks().await.unwrap(), disabled);
    let records = ledger.deliveries(true, 9).await.unwrap();
    assert_eq!(records[0].state, DeliveryState::GivenUp);
}
