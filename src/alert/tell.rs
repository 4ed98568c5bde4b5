//! Pure: which hooks are sent what of an alert.
//!
//! An alert remembers the hooks whose last word is that it fires. Each evaluation compares them with those
//! whose last word it should be, and sends the difference: so a hook that is added to a rule learns of what
//! fires, one that is taken out is told so, and one that is gone from the config is told the truth when it
//! comes back. Of what is silenced, nothing is sent and nothing is remembered as sent: at the silence's end, hooks
//! learn how it stands then.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::finding::{Finding, Observation};
use super::message::{self, Ending};
use super::situation::Situation;
use super::{Measure, Notice, Severity, Threshold};
use crate::ledger::{Alert, AlertKey, AlertState};

/// A message about one alert.
#[derive(Debug, Clone)]
pub(super) struct Told {
    /// The alert.
    pub(super) key: AlertKey,
    /// The notice to send.
    pub(super) notice: Notice,
    /// The hooks that it goes to: at least one.
    pub(super) hooks: Vec<String>,
}

/// One alert in one evaluation.
pub(super) struct Case<'a> {
    /// As it was; none if it is new.
    pub(super) before: Option<&'a Alert>,
    /// As it is from now on; none if it stays as it was.
    pub(super) after: Option<Alert>,
    /// Its observation, if there is one.
    pub(super) observation: Option<&'a Observation<'a>>,
    /// Why it is over, if it is since now.
    pub(super) ending: Option<Ending>,
}

impl<'a> Case<'a> {
    pub(super) const fn new(
        before: Option<&'a Alert>,
        observation: Option<&'a Observation<'a>>,
    ) -> Self {
        Self {
            before,
            after: None,
            observation,
            ending: None,
        }
    }

    /// The alert and its threshold, if it fires for one.
    fn firing(&self) -> Option<(&Alert, &Threshold)> {
        let alert = self.after.as_ref().or(self.before)?;
        match &self.observation?.finding {
            Finding::Budget { threshold, .. } | Finding::Balance { threshold, .. }
                if alert.state == AlertState::Firing =>
            {
                Some((alert, threshold))
            }
            _ => None,
        }
    }
}

/// Decides who is sent what.
pub(super) struct Teller<'a> {
    situation: &'a Situation<'a>,
    /// The hooks that there are.
    hooks: BTreeSet<&'a str>,
    /// Time of the next repetition.
    pub(super) next: Option<DateTime<Utc>>,
}

impl<'a> Teller<'a> {
    pub(super) fn new(situation: &'a Situation<'a>) -> Self {
        let routes = situation.settings.routes.iter();
        Self {
            situation,
            hooks: routes.map(|route| &*route.hook).collect(),
            next: None,
        }
    }

    /// Sends what there is to say of the alerts of one subject and period. Returns those that have changed,
    /// each with the reason of its end.
    pub(super) fn tell(
        &mut self,
        cases: Vec<Case<'a>>,
        told: &mut Vec<Told>,
    ) -> Vec<(Option<Ending>, Alert)> {
        let represented: Vec<bool> = cases
            .iter()
            .map(|case| is_represented(case, &cases))
            .collect();
        let mut changed = Vec::new();
        for (case, is_represented) in cases.into_iter().zip(represented) {
            let Case {
                before,
                after,
                observation,
                ending,
            } = case;
            let Some(mut alert) = after.or_else(|| before.cloned()) else {
                continue;
            };
            match (alert.state, observation) {
                (AlertState::Firing, Some(observation)) => {
                    self.fires(&mut alert, before, observation, is_represented, told);
                }
                // A pending one may have ended, silenced, before.
                (AlertState::Resolved | AlertState::Pending, _) => {
                    if let Some(ending) = ending {
                        let now = self.situation.now;
                        let notice = message::resolved(&alert, observation, ending, now);
                        alert.notice = message::json(&notice);
                    }
                    self.is_over(&mut alert, told);
                }
                (AlertState::Firing, None) => {}
            }
            if before != Some(&alert) {
                changed.push((ending, alert));
            }
        }
        changed
    }

    /// An alert fires: those who should know and do not are told, and those who are to know no more.
    fn fires(
        &mut self,
        alert: &mut Alert,
        before: Option<&Alert>,
        observation: &Observation<'_>,
        is_represented: bool,
        told: &mut Vec<Told>,
    ) {
        let was_firing = before.filter(|before| before.state == AlertState::Firing);
        let url = self.situation.settings.dashboard_url.as_deref();
        let notice = message::firing(observation, alert, was_firing, url);
        // Nothing ends until the day is certain: a top-up is still to be seen then.
        if was_firing.is_none() || self.situation.is_certain {
            alert.notice = message::json(&notice);
        }
        if self.situation.is_silenced(&alert.key) {
            return;
        }
        let hooks = observation.rule.hooks.iter().map(|hook| &**hook);
        let wanted: BTreeSet<&str> = hooks.filter(|hook| self.hooks.contains(hook)).collect();
        let to_tell: Vec<String> = wanted
            .iter()
            .filter(|hook| !is_represented && !alert.hooks.contains(**hook))
            .map(|hook| (*hook).to_owned())
            .collect();
        let is_out = |hook: &&String| self.hooks.contains(&***hook) && !wanted.contains(&***hook);
        let out: Vec<String> = alert.hooks.iter().filter(is_out).cloned().collect();
        let mut again = Vec::new();
        for hook in wanted.iter().filter(|_| !is_represented) {
            if notice.severity == Severity::Critical
                && let Some(interval) = self.interval(observation, hook)
                && self.is_due(alert, hook, interval)
            {
                again.push((*hook).to_owned());
            }
        }
        for hook in &to_tell {
            alert.hooks.insert(hook.clone());
            alert.over_hooks.remove(hook);
        }
        for hook in &out {
            alert.hooks.remove(hook);
            alert.over_hooks.insert(hook.clone());
        }
        // What an older version has decided is known to those whom it told, or was to tell.
        let is_known = was_firing.is_some() && self.situation.unseeded.contains(&alert.key.rule);
        if !is_known {
            push(told, alert, || notice.clone(), to_tell);
            let now = self.situation.now;
            push(told, alert, || message::withdrawn(&notice, now), out);
            push(told, alert, || message::repeated(&notice, now), again);
        }
    }

    /// The interval at which `hook` hears again of an alert.
    fn interval(&self, observation: &Observation<'_>, hook: &str) -> Option<TimeDelta> {
        let mut routes = self.situation.settings.routes.iter();
        let route = routes.find(|route| *route.hook == *hook && !route.repeats_itself)?;
        let interval = observation.rule.repeat.or(route.repeat)?;
        TimeDelta::from_std(interval).ok()
    }

    /// Returns true if a repetition to `hook`, which knows that the alert fires, is due. While its receivers wait
    /// for a message about it, there is nothing to repeat.
    fn is_due(&mut self, alert: &Alert, hook: &str, interval: TimeDelta) -> bool {
        let now = self.situation.now;
        let is_known = alert.hooks.contains(hook);
        let last = match self
            .situation
            .outside
            .last_told
            .get(&(alert.key.clone(), hook.to_owned()))
        {
            Some(Some(ended)) if is_known => (*ended).min(now),
            None if is_known => message::fired_at(alert).min(now),
            _ => now,
        };
        // Once the day is certain, the rules are evaluated anyway.
        if !self.situation.is_certain {
            return false;
        }
        let is_due = last + interval <= now;
        let next = if is_due { now } else { last } + interval;
        self.next = Some(self.next.map_or(next, |other| other.min(next)));
        is_due
    }

    /// An alert is over: those who think that it fires are told, as far as they are there.
    fn is_over(&self, alert: &mut Alert, told: &mut Vec<Told>) {
        if self.situation.is_silenced(&alert.key) {
            return;
        }
        let is_there = |hook: &&String| self.hooks.contains(&***hook);
        let to_tell: Vec<String> = alert.hooks.iter().filter(is_there).cloned().collect();
        for hook in &to_tell {
            alert.hooks.remove(hook);
            alert.over_hooks.insert(hook.clone());
        }
        push(told, alert, || message::remembered(alert), to_tell);
    }
}

fn push(told: &mut Vec<Told>, alert: &Alert, notice: impl FnOnce() -> Notice, hooks: Vec<String>) {
    if !hooks.is_empty() {
        told.push(Told {
            key: alert.key.clone(),
            notice: notice(),
            hooks,
        });
    }
}

/// Returns true if another alert that fires speaks for this one: a threshold that covers its own, or of those that
/// were crossed together the worst and highest that no other covers.
fn is_represented(case: &Case<'_>, cases: &[Case<'_>]) -> bool {
    let Some((alert, threshold)) = case.firing() else {
        return false;
    };
    let is_covered = |alert: &Alert, threshold: &Threshold| {
        let mut others = cases.iter().filter_map(Case::firing);
        others.any(|(other, higher)| other.key != alert.key && covers(higher, threshold))
    };
    let mut together = cases
        .iter()
        .filter_map(Case::firing)
        .filter(|(other, _)| other.fired_at == alert.fired_at);
    is_covered(alert, threshold)
        || together.any(|(other, higher)| {
            highest_first(higher, threshold) == Ordering::Less && !is_covered(other, higher)
        })
}

/// Returns true if someone who knows that `higher` is reached learns nothing new from `lower`, and nothing worse.
fn covers(higher: &Threshold, lower: &Threshold) -> bool {
    let says_more = higher.measure == Measure::Used || higher.measure == lower.measure;
    says_more && higher.height() >= lower.height() && higher.severity >= lower.severity
}

/// The order of thresholds that are crossed together, highest first: the worst one, of those the
/// largest share or the least that is left, and of that what is used before what is expected.
fn highest_first(a: &Threshold, b: &Threshold) -> Ordering {
    let is_expected = |threshold: &Threshold| threshold.measure == Measure::Forecast;
    let severities = b.severity.cmp(&a.severity);
    let heights = b.height().total_cmp(&a.height());
    let measures = is_expected(a).cmp(&is_expected(b));
    severities.then(heights).then(measures)
}
