//! Identity of rules.

use super::*;

fn about(team: &str, check: Check) -> Rule {
    let pattern = Pattern::Equals(team.to_owned());
    Rule {
        matcher: Matcher::new(vec![("team".to_owned(), pattern)]),
        ..rule("cx", check)
    }
}

fn of_budget(limit: f64, cycle: Cycle, thresholds: &[Threshold]) -> Rule {
    budget("cx", cycle, limit, thresholds)
}

fn missing(hours: u64, severity: Severity) -> Check {
    Check::MissingData {
        longer_than: Duration::from_secs(hours * 3600),
        severity,
    }
}

#[test]
fn a_definition_is_another_one_as_soon_as_anything_that_decides_is() {
    let severe = Threshold {
        severity: Severity::Critical,
        ..used(0.8)
    };
    let start = day("2026-01-01");
    let severity = Severity::Warning;
    let rules = [
        of_budget(5_000.0, MONTH, &[used(0.8)]),
        of_budget(5_000.5, MONTH, &[used(0.8)]),
        of_budget(5_000.0, Cycle::Month { anchor_day: 2 }, &[used(0.8)]),
        of_budget(5_000.0, Cycle::Day, &[used(0.8)]),
        of_budget(5_000.0, Cycle::Week, &[used(0.8)]),
        of_budget(5_000.0, Cycle::Total { start }, &[used(0.8)]),
        of_budget(
            5_000.0,
            Cycle::Total {
                start: start.next(),
            },
            &[used(0.8)],
        ),
        of_budget(5_000.0, MONTH, &[used(0.81)]),
        of_budget(5_000.0, MONTH, &[expected(0.8)]),
        of_budget(5_000.0, MONTH, &[severe]),
        of_budget(5_000.0, MONTH, &[used(0.8), used(1.0)]),
        about("cx", of_budget(5_000.0, MONTH, &[used(0.8)]).check),
        about("ops", of_budget(5_000.0, MONTH, &[used(0.8)]).check),
        rule("cx", missing(6, severity)),
        about("cx", missing(6, severity)),
        rule("cx", SPIKE),
        about("cx", SPIKE),
        rule("cx", usage_rule(Span::PreviousDay, Per::Agent)),
        rule("cx", Check::KeyRefused { severity }),
        rule("cx", Check::AgentRefused { severity }),
    ];
    let definitions: BTreeSet<String> = rules.iter().map(Rule::definition).collect();
    assert_eq!(definitions.len(), rules.len(), "{definitions:#?}");
}

#[test]
fn who_is_told_and_how_bad_or_long_data_is_missing_are_no_part_of_a_definition() {
    let before = rule("cx", missing(6, Severity::Warning));
    let after = Rule {
        hooks: vec!["chat".into()],
        ..rule("cx", missing(7, Severity::Critical))
    };
    assert_eq!(before.definition(), after.definition());
}

#[test]
fn a_definition_can_be_read() {
    let budget = of_budget(5_000.0, MONTH, &[used(0.5), expected(1.0)]);
    assert_eq!(
        about("cx", budget.check).definition(),
        "budget {team=\"cx\"}: 5000 credits a month from day 1: used 0.5 warning, forecast 1 warning"
    );
    assert_eq!(rule("cx", MISSING).definition(), "missing_data {}");
}
