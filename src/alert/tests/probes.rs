//! Rules about the runs of probes.

use chrono::TimeDelta;

use super::*;
use crate::ledger::ProbeOutcome::{self, *};
use crate::ledger::{PlannedRun, ProbeResult, ProbeRun};

/// Probes by their names and agents, with the outcomes of their runs, each with its probe's place; oldest first.
pub(super) fn probed(targets: &[(&str, Agent)], outcomes: &[(usize, ProbeOutcome)]) -> ProbeFacts {
    let run = |(hours, (place, outcome)): (i64, &(usize, ProbeOutcome))| {
        let (name, agent) = &targets[*place];
        ProbeRun {
            planned: PlannedRun {
                probe: (*name).into(),
                agent: (Arc::clone(&agent.account), Arc::clone(&agent.id)),
                planned_at: at("2026-11-22T06:00:00Z") + TimeDelta::hours(hours),
            },
            result: Some(ProbeResult {
                outcome: *outcome,
                status_code: None,
                duration_seconds: None,
                execution_seconds: None,
                used_credits: None,
                detail: format!("the reason of {}", outcome.as_str()),
            }),
        }
    };
    let mut runs: Vec<_> = (0..).zip(outcomes).map(run).collect();
    runs.reverse();
    let targets = targets.iter();
    ProbeFacts {
        targets: targets
            .map(|(name, agent)| ((*name).into(), agent.clone()))
            .collect(),
        runs,
    }
}

pub(super) fn probes(only: Option<&str>, times: u32) -> Check {
    Check::Probe {
        only: only.map(Arc::from),
        times,
        severity: Severity::Warning,
    }
}

pub(super) const NO_CREDITS: Check = Check::NoCredits {
    severity: Severity::Critical,
};

/// Subjects and conditions of what `check` sees.
fn seen(check: Check, probes: ProbeFacts) -> Vec<(String, Condition)> {
    let rule = rule("ping", check);
    let facts = Facts {
        probes,
        ..facts("2026-11-23")
    };
    let observations = judge(std::slice::from_ref(&rule), &facts);
    let observations = observations.iter();
    observations
        .map(|observation| (observation.key.subject.to_string(), observation.condition))
        .collect()
}

#[test]
fn a_probe_fires_after_failures_in_a_row_and_ends_with_the_next_success() {
    let support = [("ping", agent("acme", "support"))];
    for (outcomes, condition) in [
        (&[][..], Condition::Unknown),
        (&[Interrupted], Condition::Unknown),
        (&[Success], Condition::NotMet),
        (&[Timeout, Refused], Condition::Held),
        (&[Timeout, Refused, Malformed], Condition::Met),
        // An interrupted run is neither a failure nor a success.
        (
            &[Timeout, Refused, Interrupted, Unexpected, Interrupted],
            Condition::Met,
        ),
        (&[Timeout, Success, Refused, Unavailable], Condition::Held),
        (&[Timeout, NoCredits, Unavailable], Condition::Met),
        (&[Timeout, Timeout, Timeout, Success], Condition::NotMet),
    ] {
        let outcomes: Vec<_> = outcomes.iter().map(|outcome| (0, *outcome)).collect();
        let seen = seen(probes(None, 3), probed(&support, &outcomes));
        assert_eq!(seen, [("ping".to_owned(), condition)], "{outcomes:?}");
    }
}

#[test]
fn the_newest_run_that_shows_it_says_whether_an_account_has_credits() {
    let targets = [
        ("ping", agent("acme", "support")),
        ("pong", agent("acme", "sales")),
        ("other", agent("globex", "legal")),
    ];
    for (outcomes, condition) in [
        (&[][..], Condition::Unknown),
        (&[(0, Timeout)], Condition::Unknown),
        (&[(0, Success), (1, NoCredits)], Condition::Met),
        (
            &[(0, NoCredits), (1, Timeout), (0, Unavailable)],
            Condition::Met,
        ),
        (&[(0, NoCredits), (1, Success)], Condition::NotMet),
        (&[(0, NoCredits), (0, Unexpected)], Condition::NotMet),
        (&[(0, NoCredits), (2, Success)], Condition::Met),
    ] {
        let seen = seen(NO_CREDITS, probed(&targets, outcomes));
        assert_eq!(seen[0], ("acme".to_owned(), condition), "{outcomes:?}");
        assert_eq!(seen[1].0, "globex");
    }
}

#[test]
fn the_rule_of_a_probe_is_about_that_one_and_any_reply_shows_credits() {
    let targets = [
        ("ping", agent("acme", "support")),
        ("pong", agent("acme", "sales")),
    ];
    for (last, credits) in [
        ((0, NoCredits), Condition::Met),
        ((1, NoCredits), Condition::Met),
        ((1, Timeout), Condition::Met),
        ((1, Success), Condition::NotMet),
    ] {
        let ran = probed(&targets, &[(0, NoCredits), (0, NoCredits), last]);
        assert_eq!(
            seen(probes(Some("ping"), 2), ran),
            [
                ("ping".to_owned(), Condition::Unknown),
                ("acme".to_owned(), credits)
            ]
        );
    }
    let ran = probed(&targets, &[(1, NoCredits)]);
    let credits = &seen(probes(Some("ping"), 2), ran)[1];
    assert_eq!(credits.1, Condition::Unknown, "pong's own rule tells of it");
    // One that is called as its account has two subjects all the same.
    let targets = [("acme", agent("acme", "support"))];
    let seen = seen(probes(Some("acme"), 1), probed(&targets, &[(0, Timeout)]));
    assert_eq!(
        seen,
        [
            ("acme".to_owned(), Condition::Met),
            ("account acme".to_owned(), Condition::Unknown)
        ]
    );
}

#[test]
fn runs_that_asked_another_agent_count_for_nothing_and_a_match_is_heeded() {
    let before = probed(&[("ping", agent("acme", "sales"))], &[(0, Timeout)]);
    let now = ProbeFacts {
        runs: before.runs,
        ..probed(&[("ping", agent("acme", "support"))], &[])
    };
    assert_eq!(seen(probes(None, 1), now)[0].1, Condition::Unknown);

    let of_globex = Rule {
        matcher: Matcher::new(vec![(
            "account".to_owned(),
            Pattern::Equals("globex".to_owned()),
        )]),
        ..rule("credits", NO_CREDITS)
    };
    let facts = Facts {
        probes: probed(&[("ping", agent("acme", "support"))], &[(0, NoCredits)]),
        ..facts("2026-11-23")
    };
    assert!(judge(std::slice::from_ref(&of_globex), &facts).is_empty());
}
