//! What an evaluation lets others know: how budgets and alerts stand once it is kept.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::memory::Memory;
use super::{Check, Rule};
use crate::exposition::{AlertSeries, BudgetSeries, Mark};
use crate::ledger::AlertState;

/// The thresholds of a budget, before it is known which are reached; none of another rule.
pub(super) fn marks(rule: &Rule) -> Vec<Mark> {
    let Check::Budget { thresholds, .. } = &rule.check else {
        return Vec::new();
    };
    let mark = thresholds.iter().map(|threshold| Mark {
        measure: threshold.measure.as_str(),
        ratio: threshold.ratio,
        severity: threshold.severity.as_str(),
        threshold: threshold.to_string(),
        state: None,
    });
    mark.collect()
}

/// The budgets with the states of their thresholds in their current periods.
pub(super) fn marked(mut budgets: Vec<BudgetSeries>, memory: &Memory) -> Vec<BudgetSeries> {
    let states: HashMap<_, AlertState> = memory
        .alerts
        .iter()
        .map(|(key, alert)| ((&*key.rule, key.period, &*key.threshold), alert.state))
        .collect();
    for BudgetSeries {
        name,
        matcher: _,
        standing,
        marks,
    } in &mut budgets
    {
        for mark in marks {
            let key = (&**name, Some(standing.period.start), &*mark.threshold);
            mark.state = states.get(&key).copied();
        }
    }
    budgets
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
        rule,
        subject,
    };
    subjects.into_iter().map(series).collect()
}
