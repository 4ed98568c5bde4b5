//! Silences, set by another process while a ledger is open.

use super::alerts::{alert, changes, delivery, due, key, new};
use super::*;

fn of(rule: &str, subject: Option<&str>, until: i32) -> Silence {
    Silence {
        rule: rule.into(),
        subject: subject.map(Into::into),
        until: day(until),
        since: noon(0),
        reason: "moving".to_owned(),
    }
}

#[tokio::test]
async fn a_silence_is_there_until_its_day_or_its_end() {
    let (_directory, path, ledger) = new();
    let silences = [of("cx", None, 9), of("cx", Some("all"), 7)];
    for silence in &silences {
        super::silence(&path, silence).unwrap();
    }
    let active = |on| ledger.silences(day(on));
    assert_eq!(active(6).await.unwrap(), silences);
    assert_eq!(active(7).await.unwrap(), silences[..1]);
    assert_eq!(active(9).await.unwrap(), []);
    assert!(!unsilence(&path, "cx", Some("all"), day(7)).unwrap());
    // A new one takes the place of the one before.
    let again = Silence {
        reason: "still moving".to_owned(),
        ..of("cx", None, 12)
    };
    super::silence(&path, &again).unwrap();
    assert_eq!(active(9).await.unwrap(), [again]);
    assert!(unsilence(&path, "cx", None, day(9)).unwrap());
    assert!(!unsilence(&path, "cx", None, day(9)).unwrap());
    assert_eq!(active(9).await.unwrap(), []);
    assert_eq!(active(6).await.unwrap(), silences[1..], "the other stays");
    // Those that ended long ago are forgotten.
    let nothing = changes(vec![], vec![]);
    ledger
        .record_alerts(nothing.clone(), noon(36))
        .await
        .unwrap();
    assert_eq!(active(6).await.unwrap().len(), 1);
    ledger.record_alerts(nothing, noon(37)).await.unwrap();
    assert_eq!(active(6).await.unwrap(), []);
    assert!(check(&path).unwrap().is_sound());
}

#[test]
fn of_several_silences_the_longest_counts() {
    let silences = [of("cx", None, 7), of("cx", Some("all"), 9)];
    let until = |rule, subject| Silence::of(&silences, rule, subject).map(|one| one.until);
    assert_eq!(until("cx", "all"), Some(day(9)));
    assert_eq!(until("cx", "acme"), Some(day(7)));
    assert_eq!(until("cy", "all"), None);
}

#[tokio::test]
async fn what_is_silenced_is_held_back_and_not_given_up() {
    let (_directory, path, ledger) = new();
    let keys = [key("cx", "used 1"), key("busy", "")];
    let deliveries = vec![
        delivery("held", "ops", &keys[..1]),
        delivery("both", "mail", &keys),
        delivery("other", "ops", &keys[1..]),
        delivery("summary", "ops", &[]),
    ];
    let alerts = keys.iter().cloned().map(|key| {
        let hooks = ["told".to_owned()].into();
        Alert {
            hooks,
            ..alert(key)
        }
    });
    let all = changes(alerts.collect(), deliveries);
    ledger.record_alerts(all, noon(0)).await.unwrap();
    super::silence(&path, &of("cx", Some("all"), 40)).unwrap();
    assert_eq!(due(&ledger, "ops", noon(1)).await, ["other", "summary"]);
    assert_eq!(
        due(&ledger, "mail", noon(1)).await,
        ["both"],
        "one is not silenced"
    );
    let reminded = async |on: i32| {
        let alerts = ledger
            .alerts_of_hook("told".into(), noon(on), day(on))
            .await;
        let rules = alerts.unwrap().into_iter().map(|alert| alert.key.rule);
        rules.map(|rule| rule.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(reminded(1).await, ["busy"]);
    let given_up = ledger.tidy_deliveries(noon(39)).await.unwrap();
    let mut ids: Vec<&str> = given_up.iter().map(|overdue| &*overdue.id).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["both", "other", "summary"]);
    assert_eq!(due(&ledger, "ops", noon(39)).await, [""; 0]);
    assert_eq!(due(&ledger, "ops", noon(40)).await, ["held"]);
    assert_eq!(reminded(40).await, ["busy", "cx"]);
    assert!(unsilence(&path, "cx", Some("all"), day(1)).unwrap());
    assert_eq!(due(&ledger, "ops", noon(1)).await, ["held"]);
}

#[test]
fn a_silence_needs_a_ledger_of_this_version() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let missing = super::silence(&path, &of("cx", None, 9)).unwrap_err();
    assert!(missing.to_string().contains("does not exist"), "{missing}");
    assert!(unsilence(&path, "cx", None, day(1)).is_err());
}
