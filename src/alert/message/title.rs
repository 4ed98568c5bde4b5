//! Titles: an event in one line.

use super::super::finding::{Finding, Observation, Whose};
use super::super::{Measure, Notice, probes};
use super::{SUBJECT, balance, budget, usage};
use crate::budget::words::{exhaustion, used};
use crate::day::Day;
use crate::ledger::{Alert, AlertKey};
use crate::words::{date, exact_percent, number};

/// Reasons for the end of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::alert) enum Ending {
    /// Its condition is no longer met.
    Quiet,
    /// Its budget's period is over.
    PeriodOver,
    /// Its rule covers other agents now: its `match` or the labels of agents were edited.
    Redefined,
    /// Its rule, its threshold, its kind of period or its subject is gone.
    Gone,
}

/// Writes the title of an alert that fires, in one line.
pub(super) fn firing(observation: &Observation<'_>, late: &[Day]) -> String {
    let (name, today) = (name(observation), observation.today);
    let subject = subject(observation);
    match &observation.finding {
        Finding::Budget {
            standing,
            threshold,
            ..
        } => match (threshold.measure, exhaustion(standing, today)) {
            (Measure::Forecast, Some(exhaustion)) => {
                format!("Budget {name}: at this pace {exhaustion}")
            }
            _ => format!(
                "Budget {name}: {}",
                budget::measured(standing, threshold, today)
            ),
        },
        Finding::Balance { left, .. } => format!("Balance {name}: {}", balance::measured(*left)),
        Finding::Usage { .. } | Finding::Day { .. } if !late.is_empty() => {
            format!("{name}: {subject} used {}", usage::late(observation, late))
        }
        Finding::Usage { .. } => format!(
            "{name}: {subject} used {}, more than {}",
            usage::used(observation),
            number(observation.limit_credits())
        ),
        Finding::Day { .. } => format!("{name}: {subject} used {}", usage::day(observation)),
        Finding::MissingData(_, since) => match since {
            Some(day) => format!("{name}: {subject} has no data for {}", date(*day, today)),
            None => format!("{name}: no day of {subject} is missing"),
        },
        Finding::KeyRefused { account, .. } => {
            format!("{name}: the key of account {account} is refused")
        }
        Finding::AgentRefused(facts) => format!(
            "{name}: FlowGent says that {subject} does not belong to account {}",
            facts.member.agent.account
        ),
        Finding::Probe(probed) => format!("{name}: {subject} {}", probes::failures(probed)),
        Finding::NoCredits { account, .. } => {
            format!("{name}: account {account} has no credits left")
        }
    }
}

/// Writes the title of an alert that has ended, in one line.
pub(super) fn over(observation: &Observation<'_>, ending: Ending) -> String {
    let (name, today) = (name(observation), observation.today);
    let subject = subject(observation);
    match &observation.finding {
        Finding::Budget {
            standing,
            threshold,
            ..
        } => {
            let end = standing.period.end.filter(|_| ending == Ending::PeriodOver);
            match end {
                Some(end) => format!(
                    "budget {name}, its period ended on {} with {}",
                    date(end.previous(), today),
                    used(standing)
                ),
                None => format!(
                    "budget {name} is below {} again, {}",
                    exact_percent(threshold.at),
                    budget::measured(standing, threshold, today)
                ),
            }
        }
        Finding::Balance { left, threshold } => format!(
            "balance {name} is above {} again, {}",
            balance::threshold(threshold),
            balance::measured(*left)
        ),
        Finding::Usage { .. } => format!(
            "{name}: {subject} used {}, no longer above {}",
            usage::used(observation),
            number(observation.limit_credits())
        ),
        Finding::Day { agent, .. } if agent.member.left_on.is_some() => {
            format!("{name}: {subject} has left")
        }
        Finding::Day { .. } => format!("{name}: {subject} used {}", usage::day(observation)),
        Finding::MissingData(..) => format!("{name}: {subject} has no more missing days"),
        Finding::KeyRefused { account, .. } => {
            format!("{name}: the key of account {account} is accepted again")
        }
        Finding::AgentRefused(_) => format!("{name}: {subject} is accepted again"),
        Finding::Probe(_) => format!("{name}: {subject} replies again"),
        Finding::NoCredits { account, .. } => {
            format!("{name}: account {account} has credits again")
        }
    }
}

/// Title and text of the end of an alert that is no longer observed.
pub(super) fn unseen(told: &Notice, alert: &Alert, ending: Ending, today: Day) -> (String, String) {
    let what = match told.kind.as_str() {
        kind @ "budget" if told.labels.contains_key(SUBJECT) => {
            format!("{kind} {} ({})", told.rule, told.subject)
        }
        kind @ ("budget" | "balance") => format!("{kind} {}", told.rule),
        _ => format!("{}: {}", told.rule, told.subject),
    };
    match (ending, alert.key.period) {
        (Ending::PeriodOver, Some(start)) => (
            format!("{what}, its period is over"),
            format!("The period that began on {} is over.", date(start, today)),
        ),
        (Ending::Redefined, _) => (
            format!("{what}, definition changed"),
            "Its `match` or the labels of agents were edited, so it covers other agents now. The new \
             definition raises alerts of its own."
                .to_owned(),
        ),
        _ => (
            format!("{what} is no longer watched"),
            "Its rule, threshold, period or subject was removed from the config."
                .to_owned(),
        ),
    }
}

/// Name of the rule, with the subject of a budget whose subjects have a limit each.
fn name(observation: &Observation<'_>) -> String {
    let AlertKey { rule, subject, .. } = &observation.key;
    match observation.rule.per() {
        Some(_) => format!("{rule} ({subject})"),
        None => rule.to_string(),
    }
}

/// Subject of the alert, as part of a sentence.
pub(super) fn subject(observation: &Observation<'_>) -> String {
    match &observation.finding {
        Finding::Usage {
            whose: Whose::Account(account),
            ..
        }
        | Finding::NoCredits { account, .. } => format!("account {account}"),
        Finding::Probe(probed) => probes::subject(observation.rule, probed),
        Finding::Budget { .. }
        | Finding::Balance { .. }
        | Finding::Usage {
            whose: Whose::All, ..
        } => "all agents together".to_owned(),
        _ => format!("agent {}", observation.key.subject),
    }
}
