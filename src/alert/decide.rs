//! Pure: what comes of an evaluation.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::finding::Observation;
use super::machine::{self, Step};
use super::memory::Memory;
use super::situation::Situation;
use super::{Background, Check, Facts, Settings, judge, published};
use crate::exposition::{BalanceSeries, BudgetSeries};
use crate::ledger::{AgentNumber, AlertChanges, AlertKey, AlertState};

/// The result of an evaluation, before any of it is kept.
pub(super) struct Verdict {
    pub(super) step: Step,
    /// Changes to store besides the alerts and messages of the step.
    pub(super) changes: AlertChanges,
    /// Budgets, balances and every subject of every rule, in the order of the rules.
    pub(super) budgets: Vec<BudgetSeries>,
    pub(super) balances: Vec<BalanceSeries>,
    pub(super) subjects: Vec<(Arc<str>, Arc<str>)>,
}

/// Judges the facts and moves the alerts along.
pub(super) fn decide(
    settings: &Settings,
    facts: &Facts,
    memory: &Memory,
    background: &Background,
) -> Verdict {
    let observations = named_as_before(judge(&settings.rules, facts), memory);
    let situation = Situation {
        alerts: &memory.alerts,
        outside: &memory.outside,
        settings,
        redefined: memory.redefined(settings, facts),
        pending: memory.pending(),
        unseeded: &facts.unseeded,
        now: background.now,
        is_certain: background.is_certain,
        is_checked: background.is_checked,
    };
    let step = machine::step(&situation, &observations);
    let changed: HashMap<_, _> = step
        .changed
        .iter()
        .map(|alert| (&alert.key, alert.state))
        .collect();
    let kept = memory
        .alerts
        .values()
        .map(|alert| (&alert.key, alert.state));
    let kept = kept.filter(|(key, _)| !changed.contains_key(key));
    let states = kept.chain(changed.iter().map(|(key, state)| (*key, *state)));
    let firing: HashSet<&str> = states
        .filter(|(_, state)| *state == AlertState::Firing)
        .map(|(key, _)| &*key.rule)
        .collect();
    let judged = observations.iter().filter_map(|observation| {
        let (subject, judged) = observation.days.judged.clone()?;
        let key = (Arc::clone(&observation.key.rule), subject);
        let is_new = memory.judged.get(&key) != Some(&judged);
        (is_new && background.is_certain).then_some((key, judged))
    });
    let changes = AlertChanges {
        judged: judged.collect(),
        ..memory.watch(settings, facts, background, &firing)
    };
    let budgets = settings.rules.iter().flat_map(|rule| {
        let periods = facts.budgets.get(&rule.name).into_iter().flatten();
        let current = periods.filter(|period| period.is_current());
        current.map(|period| BudgetSeries {
            name: Arc::clone(&rule.name),
            subject: rule.per().map(|_| Arc::clone(&period.subject)),
            agent: period.agent.as_ref().map(|member| member.number),
            matcher: rule.matcher_of(&period.subject, period.agent.as_ref().map(|one| &one.agent)),
            standing: period.standing.clone(),
            marks: published::marks(rule),
        })
    });
    let balances = settings.rules.iter();
    let balances = balances.filter(|rule| matches!(rule.check, Check::Balance { .. }));
    let balances = balances.map(|rule| BalanceSeries {
        name: Arc::clone(&rule.name),
        left: facts.balances.get(&rule.name).cloned(),
        marks: published::marks(rule),
    });
    let keys = observations
        .iter()
        .map(|observation| observation.key.clone());
    let mut subjects: Vec<_> = keys.map(|key| (key.rule, key.subject)).collect();
    // The observations of a subject stand together.
    subjects.dedup();
    Verdict {
        budgets: budgets.collect(),
        balances: balances.collect(),
        subjects,
        changes,
        step,
    }
}

/// The observations, those of an agent that was renamed while its alert fires under its name of before.
/// Another agent that has taken that name is not observed until then: the two would be one alert.
fn named_as_before<'a>(
    mut observations: Vec<Observation<'a>>,
    memory: &Memory,
) -> Vec<Observation<'a>> {
    let subjects = memory.subjects();
    if subjects.is_empty() {
        return observations;
    }
    // Without a threshold: all alerts of a subject and period.
    let of_subject = |key: &AlertKey| AlertKey {
        threshold: Arc::default(),
        ..key.clone()
    };
    let mut owners: HashMap<AlertKey, AgentNumber> = HashMap::new();
    for observation in &mut observations {
        let Some(number) = observation.agent_number() else {
            continue;
        };
        let key = &mut observation.key;
        if let Some(subject) = subjects.get(&(&*key.rule, number, key.period)) {
            key.subject = Arc::clone(subject);
            owners.insert(of_subject(key), number);
        }
    }
    observations.retain(|observation| {
        let owner = owners.get(&of_subject(&observation.key));
        owner.is_none_or(|owner| observation.agent_number() == Some(*owner))
    });
    observations
}
