//! Verdicts of rules on given facts.

use super::super::Condition::{Held, Met, NotMet, Past, Unknown};
use super::*;

/// Subjects and conditions.
fn conditions(rule: &Rule, facts: &Facts) -> Vec<(String, Condition)> {
    let observations = judge(std::slice::from_ref(rule), facts);
    let pair = |observation: &Observation<'_>| {
        let subject = observation.key.subject.to_string();
        (subject, observation.condition)
    };
    observations.iter().map(pair).collect()
}

fn one(rule: &Rule, facts: &Facts) -> Condition {
    let conditions = conditions(rule, facts);
    assert_eq!(conditions.len(), 1, "{conditions:?}");
    conditions[0].1
}

#[test]
fn use_is_measured_by_what_is_known_and_below_that_only_if_all_is() {
    // credits used, missing days -> whether 80 % of 5,000 is reached
    let table = [
        (Some(4_000.0), 0, Met),
        (Some(3_999.9), 0, Held),
        (Some(3_800.0), 0, Held),
        (Some(3_799.9), 0, NotMet),
        (Some(4_000.0), 7, Met),
        (Some(3_999.9), 1, Unknown),
        (None, 3, Unknown),
    ];
    let rule = budget("cx", MONTH, 5_000.0, &[used(0.8)]);
    for (used_credits, missing_days, expected) in table {
        let mut facts = facts("2026-11-23");
        let standing = Standing {
            used_credits,
            missing_days,
            ..november(0.0)
        };
        facts.budgets.insert("cx".into(), vec![current(standing)]);
        assert_eq!(
            one(&rule, &facts),
            expected,
            "{used_credits:?} {missing_days}"
        );
    }
}

#[test]
fn a_forecast_is_over_only_well_below_its_threshold_and_tells_nothing_of_a_past_period() {
    // today, expected -> whether all of 5,000 is expected
    let table = [
        ("2026-11-23", Some(5_000.0), Met),
        ("2026-11-23", Some(4_999.0), Held),
        ("2026-11-23", Some(4_750.0), Held),
        ("2026-11-23", Some(4_749.0), NotMet),
        ("2026-11-23", None, Unknown),
        ("2026-11-30", Some(5_000.0), Met),
        ("2026-12-01", Some(5_000.0), Past),
        ("2026-12-01", Some(4_999.0), Held),
        ("2026-12-01", Some(4_000.0), NotMet),
    ];
    let rule = budget("cx", MONTH, 5_000.0, &[expected(1.0)]);
    for (today, credits, condition) in table {
        let mut facts = facts(today);
        let standing = Standing {
            forecast: credits.and_then(forecast),
            ..november(3_000.0)
        };
        facts.budgets.insert("cx".into(), vec![current(standing)]);
        assert_eq!(one(&rule, &facts), condition, "{credits:?} on {today}");
    }
}

#[test]
fn a_share_is_reached_although_a_product_of_floats_lies_above_it() {
    // threshold, credits -> whether so much of 100 is used, and expected
    let table = [
        (0.55, 55.0, [Met, Met]),
        (0.07, 7.0, [Met, Met]),
        (1.1, 110.0, [Met, Met]),
        // Ten tenths are a little less than one.
        (0.01, [0.1; 10].iter().sum(), [Met, Met]),
        (0.55, 54.999_999, [Held, Held]),
        // 95 % of the share.
        (0.55, 52.25, [Held, Held]),
        (0.55, 52.249_999, [NotMet, NotMet]),
    ];
    for (ratio, credits, conditions_of_both) in table {
        let rule = budget("cx", MONTH, 100.0, &[used(ratio), expected(ratio)]);
        let mut facts = facts("2026-11-23");
        let standing = Standing {
            limit_credits: 100.0,
            forecast: forecast(credits),
            ..november(credits)
        };
        facts.budgets.insert("cx".into(), vec![current(standing)]);
        let found = conditions(&rule, &facts);
        let found: Vec<Condition> = found.into_iter().map(|(_, condition)| condition).collect();
        assert_eq!(found, conditions_of_both, "{credits} at {ratio}");
    }
}

#[test]
fn a_budget_has_an_observation_per_period_and_threshold() {
    let rule = budget("cx", MONTH, 5_000.0, &[used(0.5), used(1.0), expected(1.0)]);
    let mut facts = facts("2026-12-03");
    let december = Standing {
        period: Period {
            start: day("2026-12-01"),
            end: Some(day("2027-01-01")),
        },
        ..november(10.0)
    };
    facts.budgets.insert(
        "cx".into(),
        vec![
            over_since(november(5_100.0), "2026-12-02T00:00:00Z"),
            current(december),
        ],
    );
    let observations = judge(std::slice::from_ref(&rule), &facts);
    let shown = observations.iter().map(|observation| {
        let key = &observation.key;
        let Finding::Budget { over_since, .. } = observation.finding else {
            panic!("{key:?} is of a budget");
        };
        let period = key.period.unwrap();
        format!(
            "{}/{}/{period}/{} {}",
            key.rule,
            key.subject,
            key.threshold,
            over_since.is_none()
        )
    });
    assert_eq!(
        shown.collect::<Vec<_>>(),
        [
            "cx/all/2026-11-01/used 0.5 false",
            "cx/all/2026-11-01/used 1 false",
            "cx/all/2026-11-01/forecast 1 false",
            "cx/all/2026-12-01/used 0.5 true",
            "cx/all/2026-12-01/used 1 true",
            "cx/all/2026-12-01/forecast 1 true",
        ]
    );
}

#[test]
fn usage_is_over_only_below_the_hysteresis() {
    // Credits and missing days of a week.
    let table = [
        (Some(1_000.1), 0, Met),
        (Some(1_000.0), 0, Held),
        (Some(900.1), 0, Held),
        (Some(900.0), 0, NotMet),
        (Some(1_000.1), 6, Met),
        (Some(1_000.0), 1, Unknown),
        (Some(10.0), 1, Unknown),
        (None, 7, Unknown),
    ];
    let rule = rule("heavy", usage_rule(Span::Previous7Days, Per::Agent));
    let mut facts = facts("2026-11-23");
    facts.agents = unread(&[("acme", "support")]);
    for (credits, missing_days, expected) in table {
        facts.agents[0].previous_7_days = Known {
            credits,
            missing_days,
        };
        let condition = one(&rule, &facts);
        assert_eq!(condition, expected, "{credits:?} {missing_days}");
    }
}

#[test]
fn usage_is_added_up_by_agent_account_or_all_and_what_is_known_is_enough_to_be_over() {
    let agents = [("acme", "support"), ("acme", "sales"), ("globex", "legal")];
    let mut facts = facts("2026-11-23");
    facts.agents = unread(&agents);
    let mut found = |per, credits: [Option<f64>; 3]| {
        for (facts, credits) in facts.agents.iter_mut().zip(credits) {
            facts.used(credits);
        }
        conditions(&rule("heavy", usage_rule(Span::PreviousDay, per)), &facts)
    };
    let table: [(Per, &[(&str, Condition)]); 3] = [
        (
            Per::Agent,
            &[
                ("acme/support", NotMet),
                ("acme/sales", NotMet),
                ("globex/legal", Unknown),
            ],
        ),
        (Per::Account, &[("acme", Met), ("globex", Unknown)]),
        (Per::Total, &[("all", Met)]),
    ];
    for (per, expected) in table {
        let expected = expected
            .iter()
            .map(|(subject, condition)| (subject.to_string(), *condition));
        assert_eq!(
            found(per, [Some(600.0), Some(700.0), None]),
            expected.collect::<Vec<_>>(),
            "{per:?}"
        );
    }
    let all = |condition| vec![("all".to_owned(), condition)];
    let some = [Some(600.0), None, Some(10.0)];
    assert_eq!(found(Per::Total, some), all(Unknown));
    assert_eq!(found(Per::Total, [None; 3]), all(Unknown));
    assert_eq!(found(Per::Total, [Some(200.0); 3]), all(NotMet));
    let nobody = rule("heavy", usage_rule(Span::PreviousDay, Per::Total));
    facts.agents.clear();
    assert_eq!(
        one(&nobody, &facts),
        NotMet,
        "the subject is there without agents"
    );
}

#[test]
fn a_sum_knows_who_used_most() {
    let agents = [
        ("acme", "a"),
        ("acme", "b"),
        ("acme", "c"),
        ("acme", "d"),
        ("acme", "e"),
    ];
    let mut facts = facts("2026-11-23");
    facts.agents = unread(&agents);
    for (facts, credits) in facts.agents.iter_mut().zip([5.0, 0.0, 7.0, 1.0, 5.0]) {
        facts.used(Some(credits));
    }
    let rule = rule("heavy", usage_rule(Span::PreviousDay, Per::Total));
    let observations = judge(std::slice::from_ref(&rule), &facts);
    let Finding::Usage { top, .. } = &observations[0].finding else {
        panic!("it is of usage");
    };
    let names: Vec<&str> = top.iter().map(|(agent, _)| &*agent.name).collect();
    assert_eq!(names, ["c", "a", "e"]);
}

#[test]
fn a_spike_is_beyond_the_factor_and_the_floor() {
    // previous day, usual -> more than three times that, and more than 100
    let table = [
        (Some(301.0), Some(100.0), Met),
        (Some(300.0), Some(100.0), NotMet),
        (Some(100.0), Some(10.0), NotMet),
        (Some(101.0), Some(0.0), Met),
        (None, Some(100.0), Unknown),
        (Some(301.0), None, Unknown),
    ];
    let rule = rule("spikes", SPIKE);
    let mut facts = facts("2026-11-23");
    facts.agents = unread(&[("acme", "support")]);
    for (previous, usual, expected) in table {
        facts.agents[0].used(previous);
        facts.agents[0].usually(usual);
        assert_eq!(one(&rule, &facts), expected, "{previous:?} {usual:?}");
    }
}

#[test]
fn days_that_had_passed_when_a_rule_was_first_watched_are_missing_once_a_sync_has_ended() {
    // oldest missing day, those of the last weeks, watched from -> the day that counts
    let table = [
        (None, vec![], "2026-01-01", None),
        (
            Some("2026-11-20"),
            vec!["2026-11-20"],
            "2026-01-01",
            Some("2026-11-20"),
        ),
        (
            Some("2025-05-28"),
            vec!["2026-11-20", "2026-11-22"],
            "2026-11-23",
            None,
        ),
        (
            Some("2025-05-28"),
            vec!["2026-11-20", "2026-11-22"],
            "2026-11-21",
            Some("2026-11-22"),
        ),
        (Some("2025-05-28"), vec![], "2026-11-01", None),
        (
            Some("2026-11-20"),
            vec!["2026-11-20"],
            "2026-11-20",
            Some("2026-11-20"),
        ),
    ];
    let rule = rule("stale", MISSING);
    let mut facts = facts("2026-11-23");
    facts.agents = unread(&[("acme", "support")]);
    for (oldest, recently, watched_from, expected) in table {
        facts.agents[0].missing_since = oldest.map(day);
        facts.agents[0].missing_recently = recently.into_iter().map(day).collect();
        facts.watched_from.insert("stale".into(), day(watched_from));
        let rules = [rule.clone()];
        let observations = judge(&rules, &facts);
        let Finding::MissingData(_, since) = observations[0].finding else {
            panic!("it is of missing data");
        };
        assert_eq!(since, expected.map(day), "{oldest:?} {watched_from}");
        let condition = match (expected, oldest) {
            (Some(_), _) => Met,
            (None, Some(_)) => Unknown,
            (None, None) => NotMet,
        };
        assert_eq!(observations[0].condition, condition);
    }
    facts.watched_from.clear();
    facts.agents[0].missing_since = Some(day("2026-11-22"));
    assert_eq!(one(&rule, &facts), Unknown, "it may be on its way");
    facts.has_synced = true;
    assert_eq!(one(&rule, &facts), Met, "a sync did not get it");
}

#[test]
fn a_key_is_of_every_account_that_the_rule_may_be_about() {
    let mut facts = facts("2026-11-23");
    facts.agents = unread(&[("acme", "support"), ("globex", "legal")]);
    facts.accounts = ["acme", "empty", "globex"].map(Arc::from).into();
    facts.access = Arc::new(Access {
        key_refused: [("acme".into(), true), ("globex".into(), false)].into(),
        ..Access::default()
    });
    let keys = |conditions| Rule {
        matcher: Matcher::new(conditions),
        ..rule(
            "keys",
            Check::KeyRefused {
                severity: Severity::Critical,
            },
        )
    };
    let equals = |name: &str, value: &str| (name.to_owned(), Pattern::Equals(value.to_owned()));
    let found = |conditions_of_rule| conditions(&keys(conditions_of_rule), &facts);
    let (acme, empty, globex) = (
        ("acme".to_owned(), Met),
        ("empty".to_owned(), Unknown),
        ("globex".to_owned(), NotMet),
    );
    assert_eq!(found(vec![]), [acme.clone(), empty.clone(), globex]);
    assert_eq!(
        found(vec![equals("account", "acme")]),
        std::slice::from_ref(&acme)
    );
    assert_eq!(found(vec![equals("agent", "support")]), [acme, empty]);
}

#[test]
fn an_agent_is_refused_if_flowgent_said_so() {
    let mut facts = facts("2026-11-23");
    facts.agents = unread(&[("acme", "a"), ("acme", "b"), ("acme", "c")]);
    let number = |place: usize| facts.agents[place].member.number;
    facts.access = Arc::new(Access {
        agent_refused: [(number(0), true), (number(1), false)].into(),
        ..Access::default()
    });
    let rule = rule(
        "agents",
        Check::AgentRefused {
            severity: Severity::Critical,
        },
    );
    let conditions = conditions(&rule, &facts);
    let conditions = conditions.into_iter().map(|(_, condition)| condition);
    assert_eq!(conditions.collect::<Vec<_>>(), [Met, NotMet, Unknown]);
}

#[test]
fn two_agents_are_never_one_subject() {
    let facts = unread(&[("a/b", "c"), ("a", "b/c"), ("a\\/b", "d"), ("a\\", "b/d")]);
    let subjects: Vec<&str> = facts.iter().map(|facts| &*facts.subject).collect();
    assert_eq!(subjects, ["a\\/b/c", "a/b/c", "a\\\\\\/b/d", "a\\\\/b/d"]);
    assert_eq!(&*unread(&[("acme", "support")])[0].subject, "acme/support");
}
