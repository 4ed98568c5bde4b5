//! Hooks that are renamed, lead elsewhere, or are gone.

use super::alerts::{alert, changes, delivery, due, key, new};
use super::*;

fn hooks(hooks: &[(&str, &str)]) -> Vec<HookIdentity> {
    let hooks = hooks.iter().map(|&(name, identity)| HookIdentity {
        name: name.into(),
        identity: identity.to_owned(),
    });
    hooks.collect()
}

fn told(rule: &str, hooks: &[&str]) -> Alert {
    Alert {
        hooks: hooks.iter().map(|&hook| hook.to_owned()).collect(),
        ..alert(key(rule, ""))
    }
}

async fn disable(ledger: &Ledger, hook: &str) {
    let disabled = DisabledHook {
        hook: hook.into(),
        at: noon(0),
        reason: "410 Gone".to_owned(),
    };
    ledger.disable_hook(disabled).await.unwrap();
}

async fn disabled(ledger: &Ledger) -> Vec<String> {
    let disabled = ledger.disabled_hooks().await.unwrap();
    disabled.iter().map(|hook| hook.hook.to_string()).collect()
}

/// The hooks of each remembered alert.
async fn hooks_of_alerts(ledger: &Ledger) -> Vec<Vec<String>> {
    let memory = ledger.alert_memory().await.unwrap();
    let hooks = memory.alerts.into_iter().map(|alert| alert.hooks);
    hooks.map(Vec::from_iter).collect()
}

#[tokio::test]
async fn a_renamed_hook_takes_over_what_it_was_told_and_what_waits_for_it() {
    let (_directory, path, ledger) = new();
    let before = hooks(&[("ops", "file a"), ("chat", "file b")]);
    let adopted = ledger.adopt_hooks(before).await.unwrap();
    assert_eq!(adopted, AdoptedHooks::default());
    let first = changes(
        vec![
            told("a", &["chat", "ops"]),
            told("b", &["ops", "other"]),
            told("c", &["chat"]),
        ],
        vec![
            delivery("1", "ops", &[]),
            delivery("2", "ops", &[]),
            delivery("3", "chat", &[]),
        ],
    );
    ledger.record_alerts(first, noon(0)).await.unwrap();
    let answer = "200 OK".to_owned();
    let taken = Attempt::Delivered { answer };
    ledger
        .record_attempt("1".into(), taken, noon(0))
        .await
        .unwrap();
    disable(&ledger, "ops").await;

    let after = hooks(&[("night", "file a"), ("chat", "file b")]);
    let adopted = ledger.adopt_hooks(after.clone()).await.unwrap();
    assert_eq!(adopted.renamed, [("ops".to_owned(), "night".into())]);
    let expected = [vec!["chat", "night"], vec!["night", "other"], vec!["chat"]];
    assert_eq!(hooks_of_alerts(&ledger).await, expected);
    let records = ledger.deliveries(true, 9).await.unwrap();
    let hooks_told: Vec<&str> = records
        .iter()
        .map(|record| &*record.delivery.hook)
        .collect();
    assert_eq!(hooks_told, ["chat", "night", "night"]);
    assert_eq!(disabled(&ledger).await, ["night"]);

    // Once: the next start finds it as it is.
    let adopted = ledger.adopt_hooks(after).await.unwrap();
    assert_eq!(adopted.renamed, []);
    assert_eq!(hooks_of_alerts(&ledger).await, expected);
    assert_eq!(due(&ledger, "chat", noon(1)).await, ["3"]);
    ledger.close().await;
    assert_eq!(check(&path).unwrap().violations, [""; 0]);
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_leaves_what_was_told_to_the_new_name() {
    let (_directory, _, ledger) = new();
    ledger
        .adopt_hooks(hooks(&[("ops", "file a")]))
        .await
        .unwrap();
    let first = changes(vec![told("a", &["ops"])], vec![]);
    ledger.record_alerts(first, noon(0)).await.unwrap();
    let both = hooks(&[("ops", "file b"), ("night", "file a")]);
    let adopted = ledger.adopt_hooks(both).await.unwrap();
    assert_eq!(adopted.renamed, [("ops".to_owned(), "night".into())]);
    assert_eq!(hooks_of_alerts(&ledger).await, [["night"]]);
}

#[tokio::test]
async fn nothing_is_taken_over_from_one_of_several_nor_from_one_that_is_there() {
    let (_directory, _, ledger) = new();
    let before = hooks(&[("a", "same"), ("b", "same"), ("c", "kept")]);
    ledger.adopt_hooks(before).await.unwrap();
    let first = changes(vec![told("x", &["a", "c"])], vec![delivery("1", "b", &[])]);
    ledger.record_alerts(first, noon(0)).await.unwrap();
    let after = hooks(&[("c", "kept"), ("d", "same"), ("e", "kept")]);
    let adopted = ledger.adopt_hooks(after).await.unwrap();
    assert_eq!(adopted.renamed, []);
    assert_eq!(hooks_of_alerts(&ledger).await, [["a", "c"]]);
    let gone: Vec<String> = adopted.gone.iter().map(ToString::to_string).collect();
    let expected = [
        "hook `a` is gone; it was last told that 1 alert fires: x (all)",
        "hook `b` is gone; 1 message waits for it",
    ];
    assert_eq!(gone, expected);
    let names = ["c", "d", "e"].map(Arc::from).to_vec();
    assert_eq!(ledger.gone_hooks(names).await.unwrap(), adopted.gone);
}

#[tokio::test]
async fn a_disabled_hook_that_leads_elsewhere_is_sent_what_waits() {
    let (_directory, _, ledger) = new();
    let before = hooks(&[("chat", "file c"), ("ops", "file a")]);
    ledger.adopt_hooks(before.clone()).await.unwrap();
    let first = changes(vec![], vec![delivery("1", "ops", &[])]);
    ledger.record_alerts(first, noon(0)).await.unwrap();
    for hook in ["chat", "ops"] {
        disable(&ledger, hook).await;
    }
    ledger.adopt_hooks(before).await.unwrap();
    assert_eq!(
        disabled(&ledger).await,
        ["chat", "ops"],
        "nothing has changed"
    );
    let after = hooks(&[("chat", "file c"), ("ops", "file b")]);
    let adopted = ledger.adopt_hooks(after).await.unwrap();
    assert_eq!(adopted.enabled, [Arc::from("ops")]);
    assert_eq!(disabled(&ledger).await, ["chat"]);
    assert_eq!(due(&ledger, "ops", noon(0)).await, ["1"]);
}

#[test]
fn what_a_gone_hook_leaves_open_is_named_up_to_a_handful() {
    let firing = |count: usize| {
        let firing = (0..count).map(|number| (format!("r{}", number / 2), "all".to_owned()));
        GoneHook {
            name: "ops".to_owned(),
            firing: firing.collect(),
            pending: 2,
        }
    };
    assert_eq!(
        firing(3).to_string(),
        "hook `ops` is gone; it was last told that 3 alerts fire: r0 (all), r1 (all); 2 messages wait for it"
    );
    assert_eq!(
        firing(14).to_string(),
        "hook `ops` is gone; it was last told that 14 alerts fire: r0 (all), r1 (all), r2 (all), r3 (all), \
         r4 (all) and 2 more; 2 messages wait for it"
    );
}
