//! The lives of alerts, step by step.

use super::*;

const NOW: &str = "2026-11-23T00:12:00Z";

/// November's budget `cx` on 23 November.
fn on(today: &str, standing: Standing) -> Facts {
    let mut facts = facts(today);
    facts.budgets.insert("cx".into(), vec![current(standing)]);
    facts
}

fn cx(thresholds: &[Threshold]) -> Stage {
    Stage::new(settings(vec![budget("cx", MONTH, 5_000.0, thresholds)]))
}

#[test]
fn of_thresholds_crossed_together_the_highest_is_told_and_the_others_are_marked() {
    let mut stage = cx(&[used(0.5), used(0.8), used(1.0), expected(1.0)]);
    let standing = Standing {
        forecast: forecast(6_000.0),
        ..november(4_100.0)
    };
    assert_eq!(
        stage.told(&on("2026-11-23", standing), NOW),
        ["+cx/all/2026-11-01/forecast 1"]
    );
    assert_eq!(
        stage.all(AlertState::Firing),
        ["all forecast 1", "all used 0.5", "all used 0.8"]
    );
    assert_eq!(
        stage.told(&on("2026-11-24", november(5_000.0)), NOW),
        ["+cx/all/2026-11-01/used 1"]
    );
    // Of what was marked, nobody is told that it is over.
    assert_eq!(
        stage.told(&on("2026-11-24", november(10.0)), NOW),
        ["-cx/all/2026-11-01/used 1"]
    );
    assert_eq!(stage.all(AlertState::Firing), ["all forecast 1"]);
}

#[test]
fn of_equal_thresholds_what_is_used_is_told_rather_than_what_is_expected() {
    let standing = Standing {
        forecast: forecast(6_000.0),
        ..november(5_100.0)
    };
    for thresholds in [[used(1.0), expected(1.0)], [expected(1.0), used(1.0)]] {
        let told = cx(&thresholds).told(&on("2026-11-23", standing.clone()), NOW);
        assert_eq!(told, ["+cx/all/2026-11-01/used 1"]);
    }
}

#[test]
fn of_thresholds_crossed_together_the_worst_is_told() {
    let standing = Standing {
        forecast: forecast(10_500.0),
        ..november(5_100.0)
    };
    let info = |threshold| Threshold {
        severity: Severity::Info,
        ..threshold
    };
    // what is crossed -> what is told
    let table = [
        (vec![expected(1.0), critical(used(0.2))], "used 0.2"),
        (vec![expected(2.0), critical(used(1.0))], "used 1"),
        (vec![used(1.0), critical(expected(0.9))], "forecast 0.9"),
        (vec![used(1.0), info(expected(2.0))], "used 1"),
        (
            vec![critical(used(0.2)), critical(expected(2.0)), used(1.0)],
            "forecast 2",
        ),
        (vec![critical(expected(1.0)), critical(used(1.0))], "used 1"),
    ];
    for (thresholds, expected) in table {
        let mut stage = cx(&thresholds);
        assert_eq!(
            stage.told(&on("2026-11-23", standing.clone()), NOW),
            [format!("+cx/all/2026-11-01/{expected}")]
        );
        assert_eq!(stage.all(AlertState::Firing).len(), thresholds.len());
    }
}

#[test]
fn a_threshold_below_one_that_fires_is_marked_silently() {
    // what fires, what is crossed then -> whether that is told
    let table = [
        (used(1.0), expected(1.0), false),
        (used(1.0), expected(1.1), true),
        (used(0.8), used(0.5), false),
        (expected(1.0), expected(0.9), false),
        (expected(1.0), used(1.0), true),
        (expected(1.0), used(0.8), true),
        (used(1.0), critical(used(0.5)), true),
        (used(1.0), critical(expected(1.0)), true),
        (expected(1.0), critical(expected(0.9)), true),
        (critical(used(1.0)), used(0.5), false),
        (critical(used(0.8)), used(1.0), true),
        (critical(expected(1.0)), expected(0.9), false),
        (critical(expected(1.0)), used(0.8), true),
    ];
    for (first, second, is_told) in table {
        let standing = Standing {
            forecast: forecast(6_000.0),
            ..november(5_100.0)
        };
        let facts = on("2026-11-23", standing);
        let mut stage = cx(&[first]);
        assert_eq!(stage.told(&facts, NOW).len(), 1);
        stage.settings = settings(vec![budget("cx", MONTH, 5_000.0, &[first, second])]);
        let told = stage.told(&facts, "2026-11-23T06:00:00Z");
        assert_eq!(!told.is_empty(), is_told, "{second} while {first} fires");
        assert_eq!(stage.all(AlertState::Firing).len(), 2);
    }
}

#[test]
fn what_was_gone_from_the_config_is_told_anew_when_it_comes_back() {
    let facts = on("2026-11-23", november(4_100.0));
    let mut stage = cx(&[used(0.8)]);
    let config = stage.settings.clone();
    let without_threshold = settings(vec![budget("cx", MONTH, 5_000.0, &[used(1.0)])]);
    assert_eq!(stage.told(&facts, NOW), ["+cx/all/2026-11-01/used 0.8"]);
    for gone in [settings(vec![]), without_threshold] {
        stage.settings = gone;
        assert_eq!(stage.told(&facts, NOW), ["-cx/all/2026-11-01/used 0.8"]);
        assert!(stage.told(&facts, NOW).is_empty());
        stage.restart();
        stage.settings = config.clone();
        assert_eq!(stage.told(&facts, NOW), ["+cx/all/2026-11-01/used 0.8"]);
        assert!(stage.told(&facts, NOW).is_empty());
    }
}

#[test]
fn what_cannot_be_said_changes_nothing() {
    let unknown = Standing {
        missing_days: 2,
        ..november(3_000.0)
    };
    let nothing = Standing {
        used_credits: None,
        missing_days: 60,
        ..november(0.0)
    };
    let mut stage = cx(&[used(0.8), expected(1.0)]);
    assert!(
        stage
            .told(&on("2026-11-23", unknown.clone()), NOW)
            .is_empty()
    );
    assert!(stage.memory.alerts.is_empty());
    assert_eq!(
        stage.told(&on("2026-11-23", november(4_100.0)), NOW).len(),
        1
    );
    assert!(stage.told(&on("2026-11-23", unknown), NOW).is_empty());
    assert!(stage.told(&on("2026-11-23", nothing), NOW).is_empty());
    assert_eq!(stage.all(AlertState::Firing), ["all used 0.8"]);
}

#[test]
fn a_period_that_is_over_ends_what_fires_after_a_day_at_least() {
    let december = Standing {
        period: Period {
            start: day("2026-12-01"),
            end: Some(day("2027-01-01")),
        },
        ..november(10.0)
    };
    let both = |today, used| {
        let mut facts = facts(today);
        let past = over_since(november(used), "2026-12-02T00:00:00Z");
        let periods = vec![past, current(december.clone())];
        facts.budgets.insert("cx".into(), periods);
        facts
    };
    // It fires for a late day of a period that has ended.
    let mut stage = cx(&[used(0.8)]);
    let late = both("2026-12-03", 4_100.0);
    assert_eq!(
        stage.told(&late, "2026-12-03T06:00:00Z"),
        ["+cx/all/2026-11-01/used 0.8"]
    );
    let step = stage.step(&late, at("2026-12-04T05:59:59Z"));
    assert!(step.told.is_empty());
    assert_eq!(step.next, Some(at("2026-12-04T06:00:00Z")));
    let told = stage.told(&late, "2026-12-04T06:00:00Z");
    assert_eq!(told, ["-cx/all/2026-11-01/used 0.8"]);
    // What the end of its period has ended stays ended.
    assert!(stage.told(&late, "2026-12-05T00:00:00Z").is_empty());

    // One that is not looked at any more ends as well.
    let mut stage = cx(&[used(0.8)]);
    stage.told(&on("2026-11-30", november(4_100.0)), "2026-11-30T23:00:00Z");
    let alone = on("2026-12-20", december.clone());
    let step = stage.step_if(&alone, at("2026-12-20T00:00:00Z"), false);
    assert!(step.told.is_empty(), "the day is not certain");
    let step = stage.step(&alone, at("2026-12-20T00:00:00Z"));
    assert_eq!(step.told.len(), 1);
    assert_eq!(
        step.told[0].notice.title,
        "Resolved: budget cx, its period is over"
    );
}

#[test]
fn a_clock_that_may_be_behind_ends_nothing_of_a_period_that_it_has_not_reached() {
    let october = || Standing {
        period: Period {
            start: day("2026-10-01"),
            end: Some(day("2026-11-01")),
        },
        ..november(10.0)
    };
    // As of October, and as of a day on which the budget has no period at all.
    for behind in [on("2026-10-20", october()), facts("2026-10-20")] {
        let mut stage = cx(&[used(0.8)]);
        stage.told(&on("2026-11-23", november(4_100.0)), NOW);
        for _ in 0..2 {
            let step = stage.step_unchecked(&behind, at("2026-10-20T09:00:00Z"));
            assert!(step.told.is_empty() && step.changed.is_empty());
        }
        // Once the day is certain, the clock was ahead when it fired.
        let step = stage.step(&behind, at("2026-10-20T09:00:00Z"));
        assert_eq!(
            step.told[0].notice.title,
            "Resolved: budget cx is no longer watched"
        );
    }
}

#[test]
fn nothing_begins_to_fire_on_a_clock_that_nothing_has_confirmed() {
    let facts = on("2026-11-23", november(4_100.0));
    let mut stage = cx(&[used(0.8)]);
    let step = stage.step_unchecked(&facts, at(NOW));
    assert!(step.told.is_empty() && step.changed.is_empty());
    assert_eq!(stage.told(&facts, NOW), ["+cx/all/2026-11-01/used 0.8"]);
}

#[test]
fn a_clock_that_is_set_back_by_a_second_begins_no_other_episode() {
    let mut stage = cx(&[used(0.8)]);
    stage.told(&on("2026-11-23", november(4_100.0)), "2026-11-23T09:00:01Z");
    let over = on("2026-11-23", november(10.0));
    let step = stage.step(&over, at("2026-11-23T09:00:00Z"));
    assert_eq!(step.told[0].notice.started_at, at("2026-11-23T09:00:01Z"));
}

#[test]
fn what_has_fired_at_a_time_to_come_ends_as_if_it_had_fired_now() {
    let mut stage = cx(&[used(0.8)]);
    stage.told(&on("2026-11-30", november(4_100.0)), "2027-11-30T09:00:00Z");
    let december = Standing {
        period: Period {
            start: day("2026-12-01"),
            end: Some(day("2027-01-01")),
        },
        ..november(10.0)
    };
    let mut over = facts("2026-12-02");
    let past = over_since(november(4_100.0), "2026-12-02T00:00:00Z");
    over.budgets
        .insert("cx".into(), vec![past, current(december)]);
    for now in ["2026-12-02T09:00:00Z", "2026-12-02T21:00:00Z"] {
        let step = stage.step(&over, at(now));
        assert!(step.told.is_empty());
        assert_eq!(step.next, Some(at("2026-12-03T09:00:00Z")));
    }
    assert_eq!(
        stage.told(&over, "2026-12-03T09:00:00Z"),
        ["-cx/all/2026-11-01/used 0.8"]
    );
}

#[test]
fn usage_within_the_hysteresis_neither_fires_nor_ends() {
    let mut stage = Stage::new(settings(vec![rule(
        "heavy",
        usage_rule(Span::PreviousDay, Per::Total),
    )]));
    let mut facts = facts("2026-11-23");
    facts.agents = unread(&[("acme", "support")]);
    // credits -> what is told
    let table: [(Option<f64>, &[&str]); 9] = [
        (Some(950.0), &[]),
        (Some(1_050.0), &["+heavy/all"]),
        (Some(990.0), &[]),
        (Some(1_050.0), &[]),
        (None, &[]),
        (Some(900.0), &["-heavy/all"]),
        (Some(990.0), &[]),
        (None, &[]),
        (Some(1_001.0), &["+heavy/all"]),
    ];
    for (place, (credits, expected)) in table.into_iter().enumerate() {
        facts.agents[0].used(credits);
        assert_eq!(stage.told(&facts, NOW), expected, "step {place}");
    }
}

#[test]
fn what_fires_ends_with_its_rule_its_threshold_or_its_subject() {
    let mut facts = facts("2026-11-23");
    facts.agents = unread(&[("acme", "support"), ("acme", "sales")]);
    facts
        .agents
        .iter_mut()
        .for_each(|agent| agent.used(Some(2_000.0)));
    facts
        .budgets
        .insert("cx".into(), vec![current(november(4_100.0))]);
    let heavy = rule("heavy", usage_rule(Span::PreviousDay, Per::Agent));
    let cx = |thresholds: &[Threshold]| Rule {
        matcher: Matcher::new(vec![(
            "agent".to_owned(),
            Pattern::Equals("support".to_owned()),
        )]),
        ..budget("cx", MONTH, 5_000.0, thresholds)
    };
    let both = cx(&[used(0.8), expected(1.0)]);
    let mut stage = Stage::new(settings(vec![both, heavy.clone()]));
    assert_eq!(stage.told(&facts, NOW).len(), 3);

    facts.agents.pop();
    let step = stage.step(&facts, at(NOW));
    assert_eq!(step.told.len(), 1);
    assert_eq!(
        step.told[0].notice.title,
        "Resolved: heavy: acme/sales is no longer watched"
    );
    stage.settings = settings(vec![cx(&[expected(1.0)]), heavy]);
    assert_eq!(stage.told(&facts, NOW), ["-cx/all/2026-11-01/used 0.8"]);
    stage.settings = settings(vec![cx(&[expected(1.0)])]);
    assert_eq!(stage.told(&facts, NOW), ["-heavy/acme/support"]);
}

#[test]
fn what_fires_of_a_period_that_the_budget_does_not_have_any_more_ends_at_once() {
    // the cycle that the budget has then, its period on 22 November -> whether the old one is gone
    let total = Cycle::Total {
        start: day("2026-01-01"),
    };
    let late = Cycle::Month { anchor_day: 15 };
    let table = [
        (late, "2026-11-15", true),
        (Cycle::Week, "2026-11-16", true),
        (total, "2026-01-01", true),
        // It is December by now.
        (MONTH, "2026-12-01", false),
    ];
    for (cycle, start, is_gone) in table {
        let mut stage = cx(&[used(0.8)]);
        stage.told(&on("2026-11-23", november(4_100.0)), NOW);
        let period = Period {
            start: day(start),
            end: None,
        };
        let standing = Standing {
            period,
            ..november(10.0)
        };
        stage.settings = settings(vec![budget("cx", cycle, 5_000.0, &[used(0.8)])]);
        let step = stage.step(&on("2026-11-23", standing), at(NOW));
        let titles: Vec<&str> = step.told.iter().map(|told| &*told.notice.title).collect();
        let expected = if is_gone {
            "Resolved: budget cx is no longer watched"
        } else {
            "Resolved: budget cx, its period is over"
        };
        assert_eq!(titles, [expected], "{cycle:?}");
    }
}

#[test]
fn the_end_bears_the_identity_of_the_beginning() {
    let mut facts = facts("2026-11-23");
    facts.access = Arc::new(Access {
        key_refused: [("acme".into(), true)].into(),
        ..Access::default()
    });
    facts.accounts.insert("acme".into());
    let severe = |severity| rule("keys", Check::KeyRefused { severity });
    let mut stage = Stage::new(settings(vec![severe(Severity::Critical)]));
    let fired = stage.step(&facts, at(NOW)).told.remove(0).notice;
    // The rule is another one when it ends.
    stage.settings.rules = vec![severe(Severity::Info)];
    facts.access = Arc::new(Access {
        key_refused: [("acme".into(), false)].into(),
        ..Access::default()
    });
    let ended = stage
        .step(&facts, at("2026-11-24T00:00:00Z"))
        .told
        .remove(0)
        .notice;
    assert_eq!((ended.key, ended.labels), (fired.key, fired.labels));
    assert_eq!(
        (ended.severity, ended.kind),
        (Severity::Critical, fired.kind)
    );
    assert_eq!(ended.started_at, at(NOW));
    assert_eq!(ended.resolved_at, Some(at("2026-11-24T00:00:00Z")));
    assert_eq!(ended.status, Status::Resolved);
}

#[test]
fn what_was_over_long_ago_is_forgotten() {
    let mut facts = facts("2026-11-23");
    facts.agents = unread(&[("acme", "support")]);
    facts.agents[0].used(Some(2_000.0));
    facts
        .budgets
        .insert("cx".into(), vec![current(november(4_100.0))]);
    let heavy = rule("heavy", usage_rule(Span::PreviousDay, Per::Agent));
    let cx = budget("cx", MONTH, 5_000.0, &[used(0.8)]);
    let mut stage = Stage::new(settings(vec![cx, heavy]));
    stage.told(&facts, NOW);
    facts.agents[0].used(Some(0.0));
    facts
        .budgets
        .insert("cx".into(), vec![current(november(0.0))]);
    assert_eq!(stage.told(&facts, NOW).len(), 2);
    stage.told(&facts, "2027-01-07T00:00:00Z");
    assert_eq!(stage.all(AlertState::Resolved).len(), 2);
    stage.told(&facts, "2027-01-08T00:00:00Z");
    assert!(stage.memory.alerts.is_empty());
}
