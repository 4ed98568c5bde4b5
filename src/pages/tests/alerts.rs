//! Alerts on pages, and the order in which they are shown.

use super::*;

/// A refused key for each of 300 accounts.
pub(super) fn many_troubles(scene: &Scene) {
    let account = |place: usize| Arc::<str>::from(format!("customer-{place:03}"));
    let accounts: Vec<AccountSettings> = (0..300)
        .map(|place| AccountSettings {
            name: account(place),
            api_key: SecretSource::File(format!("/etc/keys/{place}.key").into()),
            labels: Default::default(),
            discover: false,
            max_discovered: 10_000,
            agents_file: None,
            agents: Vec::new(),
        })
        .collect();
    scene.state.board.configured(&accounts, Vec::new());
    let problems = (0..300).map(|place| Problem {
        account: account(place),
        kind: "invalid_key",
        error: "the API key is not valid".to_owned(),
        first: None,
        windows: 100,
        agents: Default::default(),
        key: None,
    });
    scene.state.board.observe(&Event::Ended(Ok(Arc::new(Report {
        problems: problems.collect(),
        ..Report::default()
    }))));
}

/// A budget for each of 300 accounts, all of them exceeded.
pub(super) fn many_alerts(scene: &Scene) {
    let today = scene.today();
    let month = crate::budget::Cycle::Month { anchor_day: 1 }.period_of(today);
    let name = |place: usize| Arc::<str>::from(format!("budget-{place}"));
    scene.state.board.evaluated(Alerting {
        evaluated_at: scene.state.clock.now(),
        balances: Vec::new(),
        budgets: (0..300)
            .map(|place| BudgetSeries {
                name: name(place),
                subject: None,
                agent: None,
                matcher: Default::default(),
                standing: crate::budget::Tally::new(month, today).standing(100.0),
                marks: Vec::new(),
            })
            .collect(),
        alerts: (0..300)
            .map(|place| AlertSeries {
                rule: name(place),
                subject: "all".into(),
                firing: true,
                silenced: false,
            })
            .collect(),
        firing_at: Default::default(),
    });
}

/// An alert that fires since `minutes` ago.
fn alert(rule: &str, threshold: &str, severity: Severity, minutes: i64) -> Alert {
    let now = NOW.parse().unwrap();
    let since = now - TimeDelta::minutes(minutes);
    let notice = Notice {
        rule: rule.to_owned(),
        severity,
        title: format!("{rule} at {threshold}"),
        ..Notification::sample(None, now).alerts.remove(0)
    };
    Alert {
        key: AlertKey {
            rule: rule.into(),
            subject: "all".into(),
            period: None,
            threshold: threshold.into(),
        },
        state: AlertState::Firing,
        since,
        fired_at: Some(since),
        hooks: Default::default(),
        over_hooks: Default::default(),
        agent: None,
        days: Vec::new(),
        below_since: None,
        is_closed: false,
        notice: serde_json::to_string(&notice).unwrap(),
    }
}

#[tokio::test]
async fn the_most_severe_alert_comes_first_with_one_card_for_each_budget() {
    let scene = Scene::of(&names(&[("acme", "support")])).await;
    scene.publish().await;
    let changes = AlertChanges {
        changed: vec![
            alert("notes", "used 1", Severity::Info, 1),
            alert("keys", "refused", Severity::Warning, 2),
            alert("budget", "used 0.5", Severity::Warning, 3),
            alert("budget", "used 0.8", Severity::Critical, 4),
        ],
        ..AlertChanges::default()
    };
    let now = NOW.parse().unwrap();
    scene.ledger.record_alerts(changes, now).await.unwrap();
    let (_, alerts) = scene.see(PageKind::Alerts, "/alerts", "").await;
    assert!(alerts.contains("Also reached: 50% used."), "{alerts}");
    for page in [scene.overview("").await, alerts] {
        let places = ["budget at used 0.8", "keys at refused", "notes at used 1"];
        let places = places.map(|title| page.find(title).unwrap_or_else(|| panic!("{page}")));
        assert!(places.is_sorted(), "{places:?}: {page}");
        assert!(!page.contains("budget at used 0.5"), "{page}");
    }
}

#[tokio::test]
async fn alerts_that_are_left_out_are_counted_and_served_as_json_where_that_has_them() {
    let scene = Scene::of(&names(&[("acme", "support")])).await;
    scene.publish().await;
    let firing = (0..102).map(|number| alert(&format!("new-{number}"), "", Severity::Info, 1));
    let resolved = (0..101).map(|number| Alert {
        state: AlertState::Resolved,
        ..alert(&format!("old-{number}"), "", Severity::Info, 2)
    });
    let changes = AlertChanges {
        changed: firing.chain(resolved).collect(),
        ..AlertChanges::default()
    };
    let now = NOW.parse().unwrap();
    scene.ledger.record_alerts(changes, now).await.unwrap();
    let (_, page) = scene.see(PageKind::Alerts, "/alerts", "").await;
    let link = "<a href=\"./api/v1/alerts\">All alerts that fire or are about to, as JSON</a>";
    for line in [
        &*format!("And 2 older alerts. {link}</p>"),
        "And 1 older alert.</p>",
    ] {
        assert!(page.contains(line), "{line}: {page}");
    }
}

#[test]
fn an_alert_about_an_account_leads_to_its_page() {
    let mut notice = Notification::sample(None, NOW.parse().unwrap())
        .alerts
        .remove(0);
    notice.kind = "key_refused".to_owned();
    notice.labels = [("account".to_owned(), "a b".to_owned())].into();
    let link = link_of(&notice);
    assert_eq!(link, Some(("accounts/a%20b".to_owned(), "Account")));
}

#[tokio::test]
async fn an_alert_that_pends_says_when_it_fires_and_leads_to_its_agent_and_back() {
    let scene = Scene::of(&names(&[("acme", "support")])).await;
    scene.publish().await;
    let key = AlertKey {
        rule: "no data".into(),
        subject: "acme/support".into(),
        period: None,
        threshold: "".into(),
    };
    let alert = Alert {
        key: key.clone(),
        state: AlertState::Pending,
        since: scene.state.clock.now(),
        fired_at: None,
        hooks: Default::default(),
        over_hooks: Default::default(),
        agent: Some(scene.members[0].number),
        days: Vec::new(),
        below_since: None,
        is_closed: false,
        notice: String::new(),
    };
    let changes = AlertChanges {
        changed: vec![alert],
        ..AlertChanges::default()
    };
    let now = scene.state.clock.now();
    scene.ledger.record_alerts(changes, now).await.unwrap();
    scene.state.board.evaluated(Alerting {
        evaluated_at: now,
        budgets: Vec::new(),
        balances: Vec::new(),
        alerts: vec![AlertSeries {
            rule: Arc::clone(&key.rule),
            subject: Arc::clone(&key.subject),
            firing: true,
            silenced: false,
        }],
        firing_at: [(key, now + TimeDelta::hours(5))].into(),
    });
    let (_, page) = scene.see(PageKind::Alerts, "/alerts", "").await;
    let earliest = "on <time datetime=\"2026-11-26T17:00:00Z\">26 Nov 2026, 17:00 UTC</time> (in 5 h) at the earliest";
    let anchor = "alert-no%20data-acme%2Fsupport";
    for part in [
        earliest,
        "href=\"./agents/acme/support\"",
        &format!("id=\"{anchor}\""),
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let (_, page) = scene.see(PageKind::Agent, "/agents/acme/support", "").await;
    let link = format!("href=\"../../alerts#{anchor}\"");
    assert!(page.contains(&link), "{page}");
}
