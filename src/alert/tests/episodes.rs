//! Episodes: the last word that a hook has of an alert is true.

use super::*;

const NOW: &str = "2026-11-23T00:12:00Z";

/// November's budget `cx` on that day.
fn on(today: &str, standing: Standing) -> Facts {
    let mut facts = facts(today);
    facts.budgets.insert("cx".into(), vec![current(standing)]);
    facts
}

fn cx(thresholds: &[Threshold]) -> Stage {
    Stage::new(settings(vec![budget("cx", MONTH, 5_000.0, thresholds)]))
}

#[test]
fn a_threshold_that_was_told_over_is_told_again_as_a_new_episode() {
    let mut stage = cx(&[used(0.8)]);
    let above = on("2026-11-23", november(4_100.0));
    let below = on("2026-11-23", november(3_700.0));
    for (start, end) in [
        ("2026-11-23T01:00:00Z", "2026-11-23T02:00:00Z"),
        ("2026-11-23T03:00:00Z", "2026-11-23T04:00:00Z"),
    ] {
        let fired = stage.step(&above, at(start)).told;
        assert_eq!(fired[0].notice.key, "cx/all/2026-11-01/used 0.8");
        assert_eq!(fired[0].notice.started_at, at(start));
        assert!(stage.told(&above, start).is_empty(), "once an episode");
        assert_eq!(stage.told(&below, end), ["-cx/all/2026-11-01/used 0.8"]);
        assert!(stage.told(&below, end).is_empty());
    }
}

#[test]
fn use_that_is_corrected_by_little_does_not_end_a_threshold() {
    let mut stage = cx(&[used(0.8)]);
    assert_eq!(
        stage.told(&on("2026-11-23", november(4_000.0)), NOW).len(),
        1
    );
    // 95 % of 4,000 are 3,800.
    assert!(
        stage
            .told(&on("2026-11-23", november(3_800.0)), NOW)
            .is_empty()
    );
    let alert = stage.memory.alerts.values().next().unwrap();
    let notice: Notice = serde_json::from_str(&alert.notice).unwrap();
    assert!(
        notice
            .text
            .contains("It still fires: it resolves below 76%."),
        "{}",
        notice.text
    );
    assert_eq!(
        stage.told(&on("2026-11-23", november(3_799.0)), NOW).len(),
        1
    );
}

#[test]
fn when_the_highest_threshold_is_over_the_highest_that_is_still_reached_is_told() {
    let mut stage = cx(&[used(0.5), used(0.8), used(1.0)]);
    let all = ["+cx/all/2026-11-01/used 1"];
    assert_eq!(stage.told(&on("2026-11-23", november(5_100.0)), NOW), all);
    assert_eq!(
        stage.told(&on("2026-11-24", november(4_300.0)), NOW),
        ["+cx/all/2026-11-01/used 0.8", "-cx/all/2026-11-01/used 1"]
    );
    assert_eq!(
        stage.told(&on("2026-11-24", november(5_200.0)), NOW),
        ["+cx/all/2026-11-01/used 1"],
        "what it covers goes on"
    );
    assert_eq!(
        stage.told(&on("2026-11-24", november(100.0)), NOW),
        ["-cx/all/2026-11-01/used 0.8", "-cx/all/2026-11-01/used 1"]
    );
}

#[test]
fn a_forecast_is_over_on_the_third_day_in_a_row_below_its_threshold() {
    let mut stage = cx(&[expected(1.0)]);
    let told = |stage: &mut Stage, today: &str, credits| {
        let standing = Standing {
            forecast: forecast(credits),
            ..november(1_000.0)
        };
        let now = format!("{today}T06:00:00Z");
        stage.told(&on(today, standing), &now).concat()
    };
    assert!(told(&mut stage, "2026-11-05", 6_000.0).starts_with('+'));
    assert_eq!(told(&mut stage, "2026-11-06", 4_000.0), "");
    assert_eq!(told(&mut stage, "2026-11-07", 4_000.0), "");
    assert_eq!(told(&mut stage, "2026-11-08", 4_800.0), "", "within 5 %");
    assert_eq!(told(&mut stage, "2026-11-09", 4_000.0), "");
    assert_eq!(told(&mut stage, "2026-11-09", 4_000.0), "");
    stage.restart();
    assert_eq!(told(&mut stage, "2026-11-10", 4_000.0), "");
    assert!(told(&mut stage, "2026-11-11", 4_000.0).starts_with('-'));
    assert!(
        told(&mut stage, "2026-11-19", 5_500.0).starts_with('+'),
        "heavy again"
    );
}

#[test]
fn nothing_ends_while_the_day_is_not_certain() {
    let mut stage = cx(&[used(0.8), expected(1.0)]);
    let standing = Standing {
        forecast: forecast(6_000.0),
        ..november(4_100.0)
    };
    let told = stage.told(&on("2026-11-23", standing), NOW);
    assert_eq!(told, ["+cx/all/2026-11-01/forecast 1"]);
    let december = Standing {
        period: Period {
            start: day("2027-01-01"),
            end: Some(day("2027-02-01")),
        },
        ..november(0.0)
    };
    for wrong in [on("2027-01-02", december), on("2026-11-23", november(10.0))] {
        let step = stage.step_if(&wrong, at("2027-01-02T00:00:00Z"), false);
        assert!(step.told.is_empty());
    }
    assert_eq!(stage.all(AlertState::Firing).len(), 2);

    let mut stage = Stage::new(settings(vec![rule("stale", MISSING)]));
    let mut facts = facts("2026-11-23");
    facts.agents = unread(&[("acme", "support")]);
    facts.agents[0].missing_since = Some(day("2026-11-22"));
    facts.watched_from.insert("stale".into(), TRACKING_START);
    stage.step_if(&facts, at("2026-11-23T00:00:00Z"), false);
    let later = at("2026-11-23T09:00:00Z");
    assert!(stage.step_if(&facts, later, false).told.is_empty());
    assert_eq!(stage.step(&facts, later).told.len(), 1);
}

#[test]
fn a_period_ends_an_alert_once_all_its_days_are_known_and_it_has_fired_for_a_day() {
    let december = Standing {
        period: Period {
            start: day("2026-12-01"),
            end: Some(day("2027-01-01")),
        },
        ..november(10.0)
    };
    let facts = |used, missing_days| {
        let mut facts = facts("2026-12-02");
        let past = Standing {
            missing_days,
            ..november(used)
        };
        let past = over_since(past, "2026-12-02T00:00:00Z");
        let periods = vec![past, current(december.clone())];
        facts.budgets.insert("cx".into(), periods);
        facts
    };
    let mut stage = cx(&[used(0.5), used(1.0)]);
    stage.told(&on("2026-11-20", november(2_600.0)), "2026-11-20T00:12:00Z");
    let told = stage.told(&facts(4_900.0, 1), "2026-12-02T00:12:00Z");
    assert!(told.is_empty(), "its last day is not known");
    let told = stage.told(&facts(5_100.0, 0), "2026-12-02T09:00:00Z");
    let expected = ["-cx/all/2026-11-01/used 0.5", "+cx/all/2026-11-01/used 1"];
    assert_eq!(told, expected, "its last day came late");
    let step = stage.step(&facts(5_100.0, 0), at("2026-12-03T08:59:59Z"));
    assert!(step.told.is_empty());
    assert_eq!(step.next, Some(at("2026-12-03T09:00:00Z")));
    assert_eq!(
        stage.told(&facts(5_100.0, 0), "2026-12-03T09:00:00Z"),
        ["-cx/all/2026-11-01/used 1"]
    );
    assert!(
        stage
            .told(&facts(5_200.0, 0), "2026-12-04T00:00:00Z")
            .is_empty()
    );
}

/// A rule about one agent that tells these hooks.
fn heavy(hooks: &[&str]) -> Rule {
    Rule {
        hooks: hooks.iter().copied().map(Arc::from).collect(),
        ..rule("heavy", usage_rule(Span::PreviousDay, Per::Agent))
    }
}

/// Messages and their hooks: the hooks, and the beginning of the title.
fn sent(stage: &mut Stage, facts: &Facts) -> Vec<String> {
    let step = stage.step(facts, at(NOW));
    let sent = step.told.iter().map(|told| {
        let title = told.notice.title.split(':').next().unwrap();
        format!("{}: {title}", told.hooks.join(" "))
    });
    sent.collect()
}

#[test]
fn hooks_that_change_are_told_the_truth() {
    let mut facts = facts("2026-11-23");
    facts.agents = unread(&[("acme", "support")]);
    facts.agents[0].used(Some(2_000.0));
    let mut stage = Stage::new(settings(vec![heavy(&["ops", "chat", "nowhere"])]));
    let routes = |names: &[&str]| names.iter().map(|name| route(name)).collect::<Vec<_>>();
    stage.settings.routes = routes(&["ops", "chat", "new"]);
    assert_eq!(sent(&mut stage, &facts), ["chat ops: heavy"]);

    stage.settings.rules = vec![heavy(&["ops", "chat", "new"])];
    assert_eq!(sent(&mut stage, &facts), ["new: heavy"], "it was added");
    stage.settings.rules = vec![heavy(&["ops", "new"])];
    assert_eq!(
        sent(&mut stage, &facts),
        ["chat: No longer sent here"],
        "it was taken out"
    );
    stage.settings.rules = vec![heavy(&["ops", "chat", "new"])];
    assert_eq!(sent(&mut stage, &facts), ["chat: heavy"], "it is back");

    stage.settings.routes = routes(&["new"]);
    assert!(
        sent(&mut stage, &facts).is_empty(),
        "who is gone is told nothing"
    );
    stage.restart();
    facts.agents[0].used(Some(0.0));
    assert_eq!(sent(&mut stage, &facts), ["new: Resolved"]);
    stage.settings.routes = routes(&["ops", "new"]);
    assert_eq!(sent(&mut stage, &facts), ["ops: Resolved"], "it came back");
    assert!(sent(&mut stage, &facts).is_empty());
}

#[test]
fn a_renamed_agent_keeps_its_alert_under_its_old_name_until_that_is_over() {
    let mut facts = facts("2026-11-23");
    facts.agents = unread(&[("acme", "support"), ("acme", "sales")]);
    facts.agents[0].used(Some(2_000.0));
    facts.agents[1].used(Some(1.0));
    let mut stage = Stage::new(settings(vec![heavy(&["ops"])]));
    let fired = stage.step(&facts, at(NOW)).told.remove(0).notice;
    assert_eq!(fired.labels["team"], "cx");

    facts.agents[0].member.agent.name = "help".into();
    facts.agents[0].member.agent.labels = Arc::default();
    facts.agents[0].subject = "acme/help".into();
    // Another agent takes the name.
    facts.agents[1].member.agent.name = "support".into();
    facts.agents[1].subject = "acme/support".into();
    stage.restart();
    assert!(stage.told(&facts, NOW).is_empty());
    facts.agents[0].used(Some(1.0));
    let over = stage.step(&facts, at(NOW)).told.remove(0).notice;
    assert_eq!((over.key, over.labels), (fired.key, fired.labels));
    facts.agents[0].used(Some(3_000.0));
    facts.agents[1].used(Some(3_000.0));
    assert_eq!(
        stage.told(&facts, NOW),
        ["+heavy/acme/help", "+heavy/acme/support"]
    );
}

#[test]
fn a_match_or_labels_that_are_edited_end_what_fires_and_the_new_definition_begins_anew() {
    let mut stage = cx(&[used(0.8)]);
    let mut above = on("2026-11-23", november(4_100.0));
    above.agents = unread(&[("acme", "support"), ("acme", "sales")]);
    let titles = |stage: &mut Stage, facts: &Facts| {
        let step = stage.step(facts, at(NOW));
        let titles = step.told.iter().map(|told| told.notice.title.clone());
        (titles.collect::<Vec<_>>(), step.next)
    };
    let changed = (
        vec!["Resolved: budget cx, definition changed".to_owned()],
        Some(at(NOW)),
    );
    assert_eq!(stage.told(&above, NOW).len(), 1);

    let team = ("team".to_owned(), Pattern::Equals("cx".to_owned()));
    stage.settings.rules[0].matcher = Matcher::new(vec![team]);
    assert_eq!(titles(&mut stage, &above), changed);
    assert_eq!(
        stage.told(&above, NOW).len(),
        1,
        "it fires by its new match"
    );

    // An agent of the budget is given another team.
    above.agents[1].member.agent.labels = Arc::new([("team".to_owned(), "hr".to_owned())].into());
    stage.restart();
    assert_eq!(titles(&mut stage, &above), changed);
    assert_eq!(stage.told(&above, NOW).len(), 1);
    assert!(stage.told(&above, NOW).is_empty());

    // Another limit is another limit, and not about others.
    let mut below = on(
        "2026-11-23",
        Standing {
            limit_credits: 9_000.0,
            ..november(4_100.0)
        },
    );
    below.agents = above.agents.clone();
    let Check::Budget { limits, .. } = &mut stage.settings.rules[0].check else {
        panic!("it is a budget");
    };
    *limits = 9_000.0.into();
    let (told, _) = titles(&mut stage, &below);
    assert_eq!(
        told,
        ["Resolved: budget cx is below 80% again, 4,100 of 9,000 credits used (45%)"]
    );
}

#[test]
fn another_definition_ends_nothing_until_the_day_is_certain_and_then_once() {
    let mut stage = cx(&[used(0.8)]);
    let mut above = on("2026-11-23", november(4_100.0));
    above.agents = unread(&[("acme", "support")]);
    assert_eq!(stage.told(&above, NOW).len(), 1);
    let account = ("account".to_owned(), Pattern::Equals("acme".to_owned()));
    stage.settings.rules[0].matcher = Matcher::new(vec![account]);
    for _ in 0..3 {
        assert!(stage.step_if(&above, at(NOW), false).told.is_empty());
    }
    let key = "cx/all/2026-11-01/used 0.8";
    assert_eq!(stage.told(&above, NOW), [format!("-{key}")]);
    assert_eq!(stage.told(&above, NOW), [format!("+{key}")]);
    assert!(stage.told(&above, NOW).is_empty());
}

#[test]
fn what_an_older_version_has_decided_is_neither_told_again_nor_ended() {
    let december = Standing {
        period: Period {
            start: day("2026-12-01"),
            end: Some(day("2027-01-01")),
        },
        ..november(4_500.0)
    };
    let thresholds = [used(0.5), used(0.8)];
    let rules = vec![budget("cx", MONTH, 5_000.0, &thresholds), heavy(&["ops"])];
    let mut old = facts("2026-12-05");
    old.agents = unread(&[("acme", "support")]);
    let past = over_since(november(4_100.0), "2026-12-02T00:00:00Z");
    old.budgets
        .insert("cx".into(), vec![past, current(december)]);
    let mut stage = Stage::new(settings(rules));
    assert_eq!(stage.told(&old, "2026-12-05T06:00:00Z").len(), 2);
    // The older version told no hook of one of them, keeps no evaluation, and judged no day.
    for alert in stage.memory.alerts.values_mut() {
        if alert.key.period == Some(day("2026-12-01")) {
            alert.hooks.clear();
        }
    }
    for watched in Arc::make_mut(&mut stage.memory.watched).values_mut() {
        watched.evaluated = None;
        watched.open_periods.clear();
    }
    stage.memory.judged = Arc::default();
    let now = at("2026-12-05T07:00:00Z");
    stage.memory.seed(&stage.settings, day("2026-12-05"), now);
    let open = &stage.memory.watched["cx"].open_periods;
    assert_eq!(open, &[(day("2026-11-01"), now)]);
    old.unseeded = ["cx".into(), "heavy".into()].into();
    old.watched_from.insert("heavy".into(), TRACKING_START);
    old.agents[0].used_on(4, Some(5_000.0));
    old.agents[0].used(Some(1.0));
    assert!(stage.told(&old, "2026-12-05T07:00:00Z").is_empty());
    assert!(
        stage
            .memory
            .watched
            .values()
            .all(|watched| watched.evaluated.is_some())
    );
    old.unseeded.clear();
    assert!(
        stage.told(&old, "2026-12-05T08:00:00Z").is_empty(),
        "nor later"
    );
}

#[test]
fn of_thresholds_crossed_together_one_that_another_covers_speaks_for_none() {
    let mut stage = cx(&[used(0.8), expected(0.9), expected(1.0)]);
    let of = |used, expected| {
        let standing = Standing {
            forecast: forecast(expected),
            ..november(used)
        };
        on("2026-11-23", standing)
    };
    assert_eq!(
        stage.told(&of(1_000.0, 5_200.0), NOW),
        ["+cx/all/2026-11-01/forecast 1"]
    );
    stage.settings = settings(vec![budget(
        "cx",
        MONTH,
        5_000.0,
        &[used(0.8), expected(0.85), expected(0.9), expected(1.0)],
    )]);
    assert_eq!(
        stage.told(&of(4_100.0, 5_200.0), "2026-11-24T00:12:00Z"),
        ["+cx/all/2026-11-01/used 0.8"]
    );
}

#[test]
fn an_agent_that_was_taken_before_the_program_was_killed_is_refused_no_longer() {
    let severity = Severity::Critical;
    let rules = vec![
        rule("agents", Check::AgentRefused { severity }),
        rule("keys", Check::KeyRefused { severity }),
    ];
    let mut facts = facts("2026-11-23");
    facts.agents = unread(&[("acme", "support")]);
    facts.access = Arc::new(Access {
        key_refused: [("acme".into(), true)].into(),
        agent_refused: [(facts.agents[0].member.number, true)].into(),
    });
    let mut stage = Stage::new(settings(rules));
    assert_eq!(stage.told(&facts, NOW).len(), 2);
    // After a restart nobody knows, but for what the ledger kept.
    facts.access = Arc::default();
    facts.agents[0].last_success = Some(at("2026-11-22T00:12:00Z"));
    assert!(stage.told(&facts, "2026-11-23T06:00:00Z").is_empty());
    facts.agents[0].last_success = Some(at("2026-11-23T05:00:00Z"));
    let step = stage.step(&facts, at("2026-11-23T06:00:00Z"));
    let texts: Vec<&str> = step.told.iter().map(|told| &*told.notice.text).collect();
    assert_eq!(
        texts,
        [
            "FlowGent accepts agent support (id-support) of account acme.",
            "FlowGent accepts the API key of account acme."
        ]
    );
}
