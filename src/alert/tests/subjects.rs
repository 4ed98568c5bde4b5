//! Budgets whose subjects have a limit each.

use super::super::deliveries::deliveries;
use super::super::tell::Told;
use super::former::Scene;
use super::*;
use crate::budget::Limits;
use crate::sheet::Grouping;

const TODAY: &str = "2026-11-23";

fn team() -> Grouping {
    Grouping::Label("team".to_owned())
}

/// A monthly budget with these limits for each subject.
fn each(per: Grouping, default: Option<f64>, named: &[(&str, f64)]) -> Rule {
    let named = named.iter();
    let check = Check::Budget {
        limits: Limits {
            default,
            named: named
                .map(|(name, limit)| ((*name).into(), *limit))
                .collect(),
        },
        per: Some(per),
        cycle: MONTH,
        thresholds: vec![used(0.5), used(0.8), critical(used(1.0))],
    };
    rule("each", check)
}

fn labelled(account: &str, name: &str, team: Option<&str>) -> Agent {
    let team = team
        .iter()
        .map(|team| ("team".to_owned(), (*team).to_owned()));
    Agent {
        labels: Arc::new(team.collect()),
        ..agent(account, name)
    }
}

/// Two teams in two accounts, and an agent of no team; each has used this much a day in November.
async fn teams() -> Scene {
    let mut scene = Scene::new();
    let agents = [
        labelled("acme", "support", Some("cx")),
        labelled("globex", "help", Some("cx")),
        labelled("acme", "sales", Some("sales")),
        labelled("acme", "stray", None),
    ];
    let agents = agents.map(|agent| (agent, None));
    scene.enrol(&agents, "2026-11-01").await;
    for (place, credits) in [(0, 10.0), (1, 20.0), (2, 1.0), (3, 7.0)] {
        scene
            .commit(place, "2025-05-28", "2026-11-22", credits)
            .await;
    }
    scene
}

/// Subject, used credits and limit of each current standing.
async fn shown(scene: &Scene, rule: Rule) -> Vec<(String, f64, f64)> {
    let facts = scene.facts(&[rule], TODAY).await;
    let current = facts.budgets["each"]
        .iter()
        .filter(|period| period.is_current());
    let shown = current.map(|period| {
        let standing = &period.standing;
        let used = standing.used_credits.unwrap();
        (period.subject.to_string(), used, standing.limit_credits)
    });
    shown.collect()
}

#[tokio::test]
async fn each_subject_has_a_limit_and_use_of_its_own() {
    let scene = teams().await;
    let of = |name: &str, used, limit| (name.to_owned(), used, limit);
    // An agent without the label is no subject.
    assert_eq!(
        shown(&scene, each(team(), Some(500.0), &[("sales", 30.0)])).await,
        [of("cx", 660.0, 500.0), of("sales", 22.0, 30.0)]
    );
    assert_eq!(
        shown(&scene, each(Grouping::Account, Some(500.0), &[])).await,
        [of("acme", 396.0, 500.0), of("globex", 440.0, 500.0)]
    );
    // Without a default, only those with a limit are subjects.
    assert_eq!(
        shown(
            &scene,
            each(Grouping::Agent, None, &[("acme/support", 800.0)])
        )
        .await,
        [of("acme/support", 220.0, 800.0)]
    );
}

/// One step of these rules by what the ledger has.
async fn told(scene: &Scene, stage: &mut Stage, today: &str) -> Vec<String> {
    let facts = scene.facts(&stage.settings.rules.clone(), today).await;
    let facts = Facts {
        agents: scene
            .members
            .iter()
            .map(|member| AgentFacts::unread(member, day(today)))
            .collect(),
        ..facts
    };
    let step = stage.step(&facts, day(today).start());
    let titles = step.told.iter().map(|told| {
        let notice = &told.notice;
        format!("{} | {}", notice.key, notice.title)
    });
    titles.collect()
}

#[tokio::test]
async fn alerts_of_subjects_have_keys_and_labels_of_their_own() {
    let scene = teams().await;
    let rules = vec![each(team(), Some(500.0), &[("sales", 25.0)])];
    let mut stage = Stage::new(settings(rules.clone()));
    assert_eq!(
        told(&scene, &mut stage, TODAY).await,
        [
            "each/cx/2026-11-01/used 1 | Budget each (cx): 660 of 500 credits used (132%)",
            "each/sales/2026-11-01/used 0.8 | Budget each (sales): 22 of 25 credits used (88%)",
        ]
    );
    let labels = |rules: &[Rule], facts: &Facts| -> Vec<BTreeMap<String, String>> {
        let mut stage = Stage::new(settings(rules.to_vec()));
        let told = stage.step(facts, day(TODAY).start()).told;
        told.into_iter().map(|told| told.notice.labels).collect()
    };
    let text = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    };
    let facts = scene.facts(&rules, TODAY).await;
    assert_eq!(
        labels(&rules, &facts)[1],
        text(&[
            ("budget", "each"),
            ("measure", "used"),
            ("rule", "each"),
            ("subject", "sales"),
            ("team", "sales"),
            ("threshold", "0.8"),
        ])
    );
    let rules = [each(Grouping::Agent, None, &[("acme/support", 200.0)])];
    let facts = scene.facts(&rules, TODAY).await;
    assert_eq!(
        labels(&rules, &facts)[0],
        text(&[
            ("account", "acme"),
            ("agent", "support"),
            ("budget", "each"),
            ("measure", "used"),
            ("rule", "each"),
            ("subject", "acme/support"),
            ("team", "cx"),
            ("threshold", "1"),
        ])
    );
}

#[tokio::test]
async fn an_agent_that_left_counts_for_its_subject_until_the_period_ends() {
    let mut scene = teams().await;
    let rest: Vec<_> = scene.members[1..]
        .iter()
        .map(|member| (member.agent.clone(), None))
        .collect();
    scene.enrol(&rest, "2026-11-23").await;
    let of = |name: &str, used, limit| (name.to_owned(), used, limit);
    let rule = each(Grouping::Agent, None, &[("acme/support", 200.0)]);
    assert_eq!(
        shown(&scene, rule.clone()).await,
        [of("acme/support", 220.0, 200.0)]
    );
    let team = each(team(), None, &[("cx", 500.0)]);
    assert_eq!(shown(&scene, team).await, [of("cx", 660.0, 500.0)]);
    // Its last days still cross a threshold, and it is no subject of December.
    let mut stage = Stage::new(settings(vec![rule]));
    let key = "each/acme/support/2026-11-01/used 1";
    let title = "Budget each (acme/support): 220 of 200 credits used (110%)";
    assert_eq!(
        told(&scene, &mut stage, TODAY).await,
        [format!("{key} | {title}")]
    );
    let facts = scene
        .facts(&stage.settings.rules.clone(), "2026-12-02")
        .await;
    let periods = facts.budgets["each"].iter().map(PeriodFacts::is_current);
    assert_eq!(periods.collect::<Vec<_>>(), [false]);
}

#[tokio::test]
async fn a_renamed_agent_keeps_the_alert_of_its_budget_until_that_is_over() {
    let mut scene = teams().await;
    let mut stage = Stage::new(settings(vec![each(Grouping::Agent, Some(200.0), &[])]));
    let first = told(&scene, &mut stage, TODAY).await;
    assert_eq!(first.len(), 3, "{first:?}");
    let mut agents: Vec<_> = scene
        .members
        .iter()
        .map(|member| (member.agent.clone(), None))
        .collect();
    agents[0].0.name = "care".into();
    scene.enrol(&agents, TODAY).await;
    assert_eq!(told(&scene, &mut stage, TODAY).await, [] as [&str; 0]);
    let firing = stage.all(AlertState::Firing);
    assert!(
        firing.contains(&"acme/support used 1".to_owned()),
        "{firing:?}"
    );
    assert!(!firing.iter().any(|key| key.contains("care")), "{firing:?}");
    // November ends it under the name that it had, and is not told again under the new one.
    scene.commit(0, "2026-11-23", "2026-12-02", 10.0).await;
    scene.commit(1, "2026-11-23", "2026-12-02", 20.0).await;
    scene.commit(2, "2026-11-23", "2026-12-02", 1.0).await;
    scene.commit(3, "2026-11-23", "2026-12-02", 1.0).await;
    let ended = told(&scene, &mut stage, "2026-12-03").await;
    let of_care = ended
        .iter()
        .filter(|told| told.starts_with("each/acme/support/2026-11-01"));
    assert_eq!(of_care.count(), 1, "{ended:?}");
    let again = told(&scene, &mut stage, "2026-12-03").await;
    assert_eq!(again, [] as [&str; 0]);
}

#[tokio::test]
async fn labels_that_are_edited_end_what_the_subject_that_lost_an_agent_fires() {
    let mut scene = teams().await;
    let rules = vec![each(team(), Some(500.0), &[("sales", 25.0)])];
    let mut stage = Stage::new(settings(rules));
    assert_eq!(told(&scene, &mut stage, TODAY).await.len(), 2);
    stage.restart();
    let mut agents: Vec<_> = scene
        .members
        .iter()
        .map(|member| (member.agent.clone(), None))
        .collect();
    agents[1].0.labels = agents[2].0.labels.clone();
    scene.enrol(&agents, TODAY).await;
    let title = "Resolved: budget each (cx), definition changed";
    // Sales has won an agent, and has now reached all of its limit.
    assert_eq!(
        told(&scene, &mut stage, TODAY).await,
        [
            format!("each/cx/2026-11-01/used 1 | {title}"),
            "each/sales/2026-11-01/used 1 | Budget each (sales): 462 of 25 credits used (1,848%)"
                .to_owned(),
        ]
    );
    assert_eq!(told(&scene, &mut stage, TODAY).await, [] as [&str; 0]);
}

/// A thousand subjects that reach a threshold at once.
fn thousand() -> (Settings, Facts) {
    let rules = vec![each(team(), Some(100.0), &[])];
    let period = |number: u32| PeriodFacts {
        subject: format!("team-{number:04}").into(),
        ..current(Standing {
            limit_credits: 100.0,
            ..november(f64::from(50 + number))
        })
    };
    let mut facts = facts(TODAY);
    facts
        .budgets
        .insert("each".into(), (0..1_000).map(period).collect());
    (settings(rules), facts)
}

#[test]
fn a_thousand_subjects_are_one_card_worst_first_but_for_receivers_that_track_alerts() {
    let (settings, facts) = thousand();
    let mut stage = Stage::new(settings);
    let told = stage.step(&facts, day(TODAY).start()).told;
    assert_eq!(told.len(), 1_000);
    let now = at("2026-11-23T00:12:00Z");
    let sent = |route: Route| deliveries(&told, &[route], now, &mut fastrand::Rng::with_seed(1));
    let single = Route {
        group: false,
        ..route("ops")
    };
    for route in [route("ops"), single] {
        let [card] = &sent(route)[..] else {
            panic!("it is not one card");
        };
        assert_eq!(card.alerts.len(), 1_000, "each alert waits for it");
        let notification: Notification = serde_json::from_str(&card.notification).unwrap();
        let [notice] = &notification.alerts[..] else {
            panic!("it is not one notice");
        };
        assert_eq!(
            notice.title,
            "Budget each: 1,000 subjects have reached a threshold"
        );
        assert_eq!(
            (notice.severity, &*notice.subject),
            (Severity::Critical, "1,000 subjects")
        );
        let lines: Vec<&str> = notice.text.lines().collect();
        assert_eq!(
            (lines[0], lines.len(), lines[20]),
            (
                "Budget each (team-0999): 1,049 of 100 credits used (1,049%)",
                21,
                "and 980 more"
            )
        );
        assert_eq!(notice.subjects.len(), 100);
        assert_eq!(notice.subjects[0].key, "each/team-0999/2026-11-01/used 1");
        assert!(
            !notice.labels.contains_key("subject"),
            "{:?}",
            notice.labels
        );
    }
    let tracking = Route {
        tracks: true,
        ..route("ops")
    };
    let notices = sent(tracking);
    assert_eq!(
        notices.iter().map(|sent| sent.alerts.len()).sum::<usize>(),
        1_000
    );
}

#[test]
fn ten_subjects_are_told_one_by_one_and_ends_are_a_card_of_their_own() {
    let (settings, mut facts) = thousand();
    let mut stage = Stage::new(settings);
    facts.budgets.get_mut("each").unwrap().truncate(11);
    let fired = stage.step(&facts, day(TODAY).start()).told;
    for period in facts.budgets.get_mut("each").unwrap() {
        period.standing.used_credits = Some(1.0);
    }
    let over = stage.step(&facts, day(TODAY).start()).told;
    let titles = |told: &[Told]| {
        let told: Vec<&Told> = told.iter().collect();
        let notices = super::super::card::carded(&told).into_iter();
        notices.map(|(_, notice)| notice.title).collect::<Vec<_>>()
    };
    assert_eq!(
        titles(&fired),
        ["Budget each: 11 subjects have reached a threshold"]
    );
    assert_eq!(titles(&over), ["Resolved: budget each, 11 subjects"]);
    assert_eq!(titles(&fired[1..]).len(), 10);
}
