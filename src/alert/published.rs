//! Results of an evaluation for other modules: budgets, balances and alerts, once they are stored.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::memory::Memory;
use super::subject::ALL;
use super::{Check, Rule};
use crate::day::Day;
use crate::exposition::{AlertSeries, BalanceSeries, BudgetSeries, Mark};
use crate::ledger::{AgentNumber, AlertState, Silence};

/// The thresholds of a budget or balance, before it is known which are reached; none of another rule.
pub(super) fn marks(rule: &Rule) -> Vec<Mark> {
    let (Check::Budget { thresholds, .. } | Check::Balance { thresholds, .. }) = &rule.check else {
        return Vec::new();
    };
    let mark = thresholds.iter().map(|threshold| Mark {
        measure: threshold.measure.as_str(),
        at: threshold.at,
        severity: threshold.severity.as_str(),
        threshold: threshold.to_string(),
        state: None,
    });
    mark.collect()
}

/// Budgets and balances with the states of their thresholds, those of budgets in their current periods.
pub(super) fn marked(
    mut budgets: Vec<BudgetSeries>,
    mut balances: Vec<BalanceSeries>,
    memory: &Memory,
) -> (Vec<BudgetSeries>, Vec<BalanceSeries>) {
    let states: HashMap<_, AlertState> = memory
        .alerts
        .iter()
        .map(|(key, alert)| {
            let whose = whose(alert.agent, &key.subject);
            (
                (&*key.rule, whose, key.period, &*key.threshold),
                alert.state,
            )
        })
        .collect();
    let mark = |name: &str, whose, period: Option<Day>, marks: &mut Vec<Mark>| {
        for mark in marks {
            let state = states.get(&(name, whose, period, &*mark.threshold));
            mark.state = state.copied();
        }
    };
    for budget in &mut budgets {
        let start = budget.standing.period.start;
        let whose = whose(budget.agent, budget.subject.as_ref().unwrap_or(&ALL));
        mark(&budget.name, whose, Some(start), &mut budget.marks);
    }
    for balance in &mut balances {
        mark(&balance.name, Err(&**ALL), None, &mut balance.marks);
    }
    (budgets, balances)
}

/// Identity of an alert's subject: a renamed agent keeps its alert until that is over.
fn whose(agent: Option<AgentNumber>, subject: &str) -> Result<AgentNumber, &str> {
    agent.ok_or(subject)
}

/// Which subjects fire.
pub(super) fn alerts(subjects: Vec<(Arc<str>, Arc<str>)>, memory: &Memory) -> Vec<AlertSeries> {
    let firing: HashSet<(&str, &str)> = memory
        .alerts
        .values()
        .filter(|alert| alert.state == AlertState::Firing)
        .map(|alert| (&*alert.key.rule, &*alert.key.subject))
        .collect();
    let series = |(rule, subject): (Arc<str>, Arc<str>)| AlertSeries {
        firing: firing.contains(&(&*rule, &*subject)),
        silenced: Silence::of(&memory.outside.silences, &rule, &subject).is_some(),
        rule,
        subject,
    };
    subjects.into_iter().map(series).collect()
}
