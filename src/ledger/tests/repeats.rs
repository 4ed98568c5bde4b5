//! When hooks were last told of what fires.

use super::alerts::{alert, changes, delivery, key, new};
use super::*;

#[tokio::test]
async fn the_newest_delivery_of_each_firing_alert_and_hook_counts_unless_all_receivers_wait() {
    let (_directory, _, ledger) = new();
    let keys = [key("cx", "used 1"), key("cx", "used 0.5"), key("busy", "")];
    let over = Alert {
        state: AlertState::Resolved,
        ..alert(keys[2].clone())
    };
    let alerts = vec![alert(keys[0].clone()), alert(keys[1].clone()), over];
    let to = |id: &str, hook: &str, target: &str, keys: &[AlertKey]| Delivery {
        target: target.to_owned(),
        ..delivery(id, hook, keys)
    };
    let deliveries = vec![
        to("first", "ops", "", &keys[..1]),
        to("both", "ops", "", &keys[..2]),
        to("a", "mail", "a@example.org", &keys[..1]),
        to("b", "mail", "b@example.org", &keys[..1]),
        to("over", "ops", "", &keys[2..]),
    ];
    let all = changes(alerts, deliveries);
    ledger.record_alerts(all, noon(0)).await.unwrap();
    let told = async || {
        let told = ledger.last_told().await.unwrap();
        let mut told: Vec<_> = told
            .into_iter()
            .map(|((key, hook), at)| (key.threshold.to_string(), hook, at))
            .collect();
        told.sort();
        told
    };
    let entry = |threshold: &str, hook: &str, at| (threshold.to_owned(), hook.to_owned(), at);
    let nothing = [
        entry("used 0.5", "ops", None),
        entry("used 1", "mail", None),
        entry("used 1", "ops", None),
    ];
    assert_eq!(told().await, nothing);
    let ended = async |id: &str, at| {
        let answer = "200".to_owned();
        let attempt = Attempt::Delivered { answer };
        ledger.record_attempt(id.into(), attempt, at).await.unwrap();
    };
    ended("first", noon(1)).await;
    assert_eq!(told().await, nothing, "the other one still waits");
    ended("both", noon(3)).await;
    ended("a", noon(2)).await;
    ended("over", noon(2)).await;
    let expected = [
        entry("used 0.5", "ops", Some(noon(3))),
        entry("used 1", "mail", Some(noon(2))),
        entry("used 1", "ops", Some(noon(3))),
    ];
    assert_eq!(
        told().await,
        expected,
        "one receiver that waits holds up no other"
    );
}
