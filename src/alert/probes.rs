//! Pure: rules about the runs of probes, and their words.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::finding::{Condition, Finding};
use super::{Check, ProbeFacts, Probed, Rule, Severity, Status};
use crate::ledger::ProbeOutcome;
use crate::roster::Agent;
use crate::words::{count, sentence};

/// Subject of an observation, and what is seen of it.
type Seen<'a> = (Arc<str>, Condition, Severity, Finding<'a>);

/// Observations of a rule about probes: one per probe, or one per account of theirs; both for the probe that the
/// rule belongs to.
pub(super) fn judge<'a>(rule: &'a Rule, facts: &'a ProbeFacts) -> Vec<Seen<'a>> {
    match &rule.check {
        Check::Probe {
            only,
            times,
            severity,
        } => {
            let targets = matching(rule, facts, only.as_ref());
            let failing = targets.iter().map(|target| {
                let probed = facts.probed(target, only.is_some());
                let condition = match (probed.failures, probed.last) {
                    (_, None) => Condition::Unknown,
                    (0, _) => Condition::NotMet,
                    (failures, _) if failures >= *times => Condition::Met,
                    _ => Condition::Held,
                };
                (
                    Arc::clone(probed.name),
                    condition,
                    *severity,
                    Finding::Probe(probed),
                )
            });
            let mut seen: Vec<Seen<'_>> = failing.collect();
            if only.is_some() {
                seen.extend(credits(&targets, facts, Severity::Critical, only.as_ref()));
            }
            seen
        }
        Check::NoCredits { severity } => {
            credits(&matching(rule, facts, None), facts, *severity, None)
        }
        _ => Vec::new(),
    }
}

/// The probes that a rule is about: the one that it belongs to, or those of the agents that it matches.
fn matching<'a>(
    rule: &Rule,
    facts: &'a ProbeFacts,
    only: Option<&Arc<str>>,
) -> Vec<&'a (Arc<str>, Agent)> {
    let targets = facts.targets.iter();
    targets
        .filter(|(name, agent)| match only {
            Some(only) => only == name,
            None => rule.matcher.matches(agent),
        })
        .collect()
}

/// One observation per account: the newest run that shows whether it has credits decides.
fn credits<'a>(
    targets: &[&'a (Arc<str>, Agent)],
    facts: &'a ProbeFacts,
    severity: Severity,
    only: Option<&Arc<str>>,
) -> Vec<Seen<'a>> {
    let shows = |outcome| {
        use ProbeOutcome::{NoCredits, Success, Unexpected};
        matches!(outcome, Success | Unexpected | NoCredits)
    };
    let mut accounts: Vec<&Arc<str>> = targets.iter().map(|(_, agent)| &agent.account).collect();
    accounts.sort_unstable();
    accounts.dedup();
    let observe = |account: &'a Arc<str>| {
        let all = facts.targets.iter();
        let all = all.filter(|(_, agent)| agent.account == *account);
        let newest = all.filter_map(|target| {
            // A reply to any probe shows that the account has credits.
            let is_own = targets.contains(&target);
            let counts = |outcome| shows(outcome) && (is_own || outcome != ProbeOutcome::NoCredits);
            let (place, at, result) = facts.results(target, counts).next()?;
            Some((place, target, at, result))
        });
        let newest = newest.min_by_key(|(place, ..)| *place);
        let condition = match newest {
            None => Condition::Unknown,
            Some((.., result)) if result.outcome == ProbeOutcome::NoCredits => Condition::Met,
            Some(_) => Condition::NotMet,
        };
        let last = newest.map(|(_, (_, agent), at, _)| (at, agent));
        let finding = Finding::NoCredits { account, last };
        // The rule that belongs to a probe has an observation of that name already.
        let subject = match only {
            Some(name) if name == account => format!("account {account}").into(),
            _ => Arc::clone(account),
        };
        (subject, condition, severity, finding)
    };
    accounts.into_iter().map(observe).collect()
}

/// The probe in a sentence; the rule's name may say which one it is.
pub(super) fn subject(rule: &Rule, probed: &Probed<'_>) -> String {
    let Agent { account, name, .. } = probed.agent;
    match &rule.check {
        Check::Probe { only: Some(_), .. } => format!("agent {account}/{name}"),
        _ => format!("probe {} of agent {account}/{name}", probed.name),
    }
}

/// Its failures in a title.
pub(super) fn failures(probed: &Probed<'_>) -> String {
    let outcome = probed
        .last
        .map_or("", |(_, result)| result.outcome.as_str());
    let outcome = outcome.replace('_', " ");
    match probed.failures {
        1 => format!("failed with {outcome}"),
        failures => format!(
            "failed {} in a row, last with {outcome}",
            count(failures, "time", "times")
        ),
    }
}

/// The body of a notice about a probe, line by line.
pub(super) fn lines(subject: &str, probed: &Probed<'_>, status: Status) -> Vec<String> {
    let Some((planned_at, result)) = probed.last else {
        return Vec::new();
    };
    let subject = sentence(subject);
    if status == Status::Resolved {
        return vec![format!(
            "{subject} replied as expected at {}.",
            time(planned_at)
        )];
    }
    vec![
        format!("{subject} {}.", failures(probed)),
        format!("The last run, at {}: {}.", time(planned_at), result.detail),
    ]
}

/// The body of a notice about an account's credits.
pub(super) fn credit_lines(
    account: &str,
    last: Option<(DateTime<Utc>, &Agent)>,
    status: Status,
) -> Vec<String> {
    let Some((at, agent)) = last else {
        return Vec::new();
    };
    let (agent, at) = (&agent.name, time(at));
    match status {
        Status::Resolved => vec![format!("Agent {account}/{agent} replied to a probe at {at}.")],
        Status::Firing => vec![
            format!("FlowGent refused a probe of agent {account}/{agent} at {at}: the account has no credits left."),
            "The account's agents do not reply until it has credits. It resolves with the next probe of the account \
             that gets a reply."
                .to_owned(),
        ],
    }
}

fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}
