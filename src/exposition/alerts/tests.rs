use std::num::NonZeroUsize;

use proptest::prelude::*;

use super::*;
use crate::budget::Period;
use crate::exposition::body::tests::{check, day, document, three_agents};
use crate::exposition::{Encoding, Exposition, Format};
use crate::forecast::Forecast;
use crate::telemetry::Telemetry;

/// A budget of which all is known, one of which little is, one that has neither end nor limit.
fn three_budgets() -> Vec<BudgetSeries> {
    let period = |start, end: Option<&str>| Period {
        start: day(start),
        end: end.map(day),
    };
    let complete = Standing {
        period: period("2026-11-01", Some("2026-12-01")),
        limit_credits: 5000.0,
        used_credits: Some(4100.5),
        missing_days: 0,
        forecast: Some(Forecast {
            expected_credits: 5600.0,
            low_credits: 5212.25,
            high_credits: 5987.75,
        }),
        exhausted_at: Some("2026-11-27T09:30:00.250Z".parse().unwrap()),
        pace_credits_per_day: Some(187.0),
        top: Vec::new(),
        agents: 12,
    };
    let unknown = Standing {
        used_credits: None,
        missing_days: 44,
        forecast: None,
        exhausted_at: None,
        ..complete.clone()
    };
    let endless = Standing {
        period: period("2025-05-28", None),
        limit_credits: 0.0,
        used_credits: Some(0.0),
        ..unknown.clone()
    };
    let named = |(name, standing): (&str, Standing)| BudgetSeries {
        matcher: Default::default(),
        subject: None,
        agent: None,
        name: name.into(),
        standing,
        marks: Vec::new(),
    };
    [
        ("cx-month", complete),
        ("a \"new\"\nC:\\budget", unknown),
        ("東京", endless),
    ]
    .map(named)
    .into()
}

/// A balance of which all figures are there, and one without a `set` yet.
fn two_balances() -> Vec<BalanceSeries> {
    [
        ("acme", Some(crate::balance::tests::left(2))),
        ("later", None),
    ]
    .map(|(name, left)| BalanceSeries {
        name: name.into(),
        left,
        marks: Vec::new(),
    })
    .into()
}

fn three_alerts() -> Vec<AlertSeries> {
    [
        ("cx-month", "all", true),
        ("spike", "acme/support", false),
        ("spike", "acme/the \"big\" one\nC:\\bots", true),
    ]
    .map(|(rule, subject, firing)| AlertSeries {
        rule: rule.into(),
        subject: subject.into(),
        firing,
        silenced: subject.contains('"'),
    })
    .into()
}

#[test]
fn the_exposition_is_what_users_depend_on() {
    let today = day("2026-11-23");
    let body = render(today, &three_budgets(), &two_balances(), &three_alerts());
    for (format, golden) in [
        (
            Format::Text,
            include_str!("../../../tests/fixtures/exposition/alerts.prom"),
        ),
        (
            Format::OpenMetrics,
            include_str!("../../../tests/fixtures/exposition/alerts.openmetrics"),
        ),
    ] {
        let document = document(&body, format, today);
        check(&document, format);
        assert!(document == golden, "{format:?} is now:\n{document}");
    }
}

#[test]
fn a_budget_with_a_limit_for_each_subject_has_series_for_each() {
    let today = day("2026-11-23");
    let budgets = ["acme/support", "the \"big\" one"].map(|subject| BudgetSeries {
        subject: Some(subject.into()),
        ..three_budgets().remove(0)
    });
    let document = document(&render(today, &budgets, &[], &[]), Format::Text, today);
    check(&document, Format::Text);
    let lines: Vec<&str> = document
        .lines()
        .filter(|line| line.starts_with("flowgent_budget_limit_credits"))
        .collect();
    assert_eq!(
        lines,
        [
            r#"flowgent_budget_limit_credits{budget="cx-month",subject="acme/support"} 5000"#,
            r#"flowgent_budget_limit_credits{budget="cx-month",subject="the \"big\" one"} 5000"#,
        ]
    );
}

#[test]
fn at_midnight_only_limits_and_alerts_stay() {
    let today = day("2026-11-23");
    let body = render(today, &three_budgets(), &two_balances(), &three_alerts());
    for (format, other) in [
        (Format::Text, today.next()),
        (Format::OpenMetrics, today.previous()),
    ] {
        let families = check(&document(&body, format, other), format);
        assert_eq!(
            families.into_iter().collect::<Vec<_>>(),
            [
                ("flowgent_alert_firing".into(), 3),
                ("flowgent_alert_silenced".into(), 1),
                ("flowgent_budget_limit_credits".into(), 3),
            ]
        );
    }
}

#[test]
fn without_budgets_or_alerts_their_families_are_not_mentioned() {
    let today = day("2026-11-23");
    let text = |budgets: &[_], balances: &[_], alerts: &[_]| {
        document(
            &render(today, budgets, balances, alerts),
            Format::Text,
            today,
        )
    };
    assert_eq!(text(&[], &[], &[]), "");
    assert!(!text(&three_budgets(), &[], &[]).contains("alert"));
    assert!(!text(&[], &[], &three_alerts()).contains("budget_"));
    let balances = text(&[], &two_balances(), &[]);
    assert!(!balances.contains("alert") && !balances.contains("budget"));
}

#[test]
fn alerts_are_served_after_the_agents_until_others_are_published() {
    let today = day("2026-11-23");
    let exposition = Exposition::new(Telemetry::new());
    let served = || {
        let frames = exposition.scrape(Format::OpenMetrics, Encoding::Identity, Some(today));
        let text = String::from_utf8(frames.collect::<Vec<_>>().concat()).unwrap();
        let names = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE flowgent_"));
        let whose = names.filter_map(|name| Some(name.split_once('_')?.0.to_owned()));
        let mut whose: Vec<String> = whose.collect();
        whose.dedup();
        whose
    };
    exposition.publish_alerts(today, &three_budgets(), &two_balances(), &three_alerts());
    assert_eq!(served(), ["exporter", "budget", "balance", "alert"]);
    exposition.publish(Body::render(today, &three_agents(), NonZeroUsize::MIN));
    assert_eq!(
        served(),
        ["exporter", "agent", "budget", "balance", "alert"]
    );
    exposition.publish_alerts(today, &[], &[], &three_alerts());
    assert_eq!(served(), ["exporter", "agent", "alert"]);
}

proptest! {
    #[test]
    fn any_budgets_and_alerts_make_a_sound_document(
        budgets in prop::collection::vec((any::<String>(), any::<[Option<f64>; 5]>()), 0..9),
        alerts in prop::collection::vec(any::<([String; 2], bool)>(), 0..9),
    ) {
        let [template, ..] = &three_budgets()[..] else { unreachable!() };
        let numbered = |number: usize, text: &str| format!("{number}{text}").into();
        let budget = |(number, (name, values)): (usize, &(String, [Option<f64>; 5]))| {
            let [limit, used, expected_credits, low, high] = *values;
            BudgetSeries {
                matcher: Default::default(),
                subject: None,
                agent: None,
                name: numbered(number, name),
                standing: Standing {
                    limit_credits: limit.unwrap_or(0.0),
                    used_credits: used,
                    forecast: expected_credits.map(|expected_credits| Forecast {
                        expected_credits,
                        low_credits: low.unwrap_or(0.0),
                        high_credits: high.unwrap_or(0.0),
                    }),
                    ..template.standing.clone()
                },
                marks: Vec::new(),
            }
        };
        let budgets: Vec<_> = budgets.iter().enumerate().map(budget).collect();
        let alert = |(number, ([rule, subject], firing)): (usize, &([String; 2], bool))| AlertSeries {
            rule: numbered(number, rule),
            subject: subject.as_str().into(),
            firing: *firing,
            silenced: *firing,
        };
        let alerts: Vec<_> = alerts.iter().enumerate().map(alert).collect();
        let today = day("2026-11-23");
        let body = render(today, &budgets, &[], &alerts);
        for format in Format::ALL {
            let families = check(&document(&body, format, today), format);
            let count = |name: &str| families.get(name).copied().unwrap_or(0);
            prop_assert_eq!(count("flowgent_alert_firing"), alerts.len());
            let used = budgets.iter().filter(|budget| budget.standing.used_credits.is_some());
            prop_assert_eq!(count("flowgent_budget_used_credits"), used.count());
        }
    }
}
