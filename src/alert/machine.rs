//! Pure: alerts and observations in, alerts and what is to be told out.
//!
//! An alert fires when its condition is met, and is over when it is not met any more. What cannot be
//! said changes nothing. Within a period a threshold is told once; thresholds that are crossed together
//! are told of by the worst and highest, and the others are only marked as firing.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::message::{self, Ending};
use super::{Check, Condition, Finding, Measure, Notice, Observation, Settings, Threshold};
use crate::budget::Cycle;
use crate::day::Day;
use crate::ledger::{Alert, AlertKey, AlertState};

/// An alert of a period that is not the current one any more is over, but not before it has fired for
/// so long: one that fires for a late day is to be seen.
const MIN_FIRING: TimeDelta = TimeDelta::hours(24);
/// How long it is remembered that an alert was there. It outlasts every period that begins anew.
const MEMORY: TimeDelta = TimeDelta::days(45);

/// What one evaluation comes to.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// Alerts in their new state.
    pub(super) changed: Vec<Alert>,
    /// Alerts to be forgotten.
    pub(super) forgotten: Vec<AlertKey>,
    /// What is to be told.
    pub(super) told: Vec<Told>,
    /// When something changes though nothing else does.
    pub(super) next: Option<DateTime<Utc>>,
}

/// Something to be told.
#[derive(Debug, Clone)]
pub(super) struct Told {
    /// The alert.
    pub(super) key: AlertKey,
    /// What is told of it.
    pub(super) notice: Notice,
    /// The hooks that are told. Empty if the rule has none.
    pub(super) hooks: Vec<String>,
}

/// What becomes of `alerts` by these observations of the rules in `settings`.
pub(super) fn step(
    alerts: &BTreeMap<AlertKey, Alert>,
    observations: &[Observation<'_>],
    settings: &Settings,
    now: DateTime<Utc>,
) -> Step {
    let mut machine = Machine {
        alerts,
        hooks: settings.routes.iter().map(|route| &*route.hook).collect(),
        url: settings.dashboard_url.as_deref(),
        now,
        step: Step::default(),
    };
    let together = |a: &Observation<'_>, b: &Observation<'_>| {
        (&a.key.rule, &a.key.subject, a.key.period) == (&b.key.rule, &b.key.subject, b.key.period)
    };
    for observations in observations.chunk_by(together) {
        match observations {
            [observation] if observation.key.period.is_none() => machine.single(observation),
            thresholds => machine.thresholds(thresholds),
        }
    }
    let keys = || observations.iter().map(|observation| &observation.key);
    let seen: HashSet<&AlertKey> = keys().collect();
    let periods = keys().map(|key| (&*key.rule, key.period)).collect();
    let cycles = settings.rules.iter().filter_map(|rule| match rule.check {
        Check::Budget { cycle, .. } => Some((&*rule.name, cycle)),
        _ => None,
    });
    let cycles = cycles.collect();
    for alert in alerts.values().filter(|alert| !seen.contains(&alert.key)) {
        machine.unseen(alert, &periods, &cycles);
    }
    machine.step
}

struct Machine<'a> {
    alerts: &'a BTreeMap<AlertKey, Alert>,
    /// The hooks that there are.
    hooks: HashSet<&'a str>,
    url: Option<&'a str>,
    now: DateTime<Utc>,
    step: Step,
}

impl Machine<'_> {
    /// An alert that stands for itself.
    fn single(&mut self, observation: &Observation<'_>) {
        let alert = self.alerts.get(&observation.key);
        let state = alert.map(|alert| alert.state);
        match (observation.condition, alert, state) {
            (Condition::Met, _, Some(AlertState::Firing))
            | (Condition::Held | Condition::Past | Condition::Unknown, ..) => {}
            (Condition::Met, ..) => {
                let pending = alert.filter(|alert| alert.state == AlertState::Pending);
                // A clock that ran ahead was set back: it is pending from now on.
                let since = pending
                    .map(|alert| alert.since)
                    .filter(|at| *at <= self.now);
                match self.fires_at(observation, since.unwrap_or(self.now)) {
                    Some(at) if self.now < at => {
                        self.wake(at);
                        if since.is_none() {
                            self.pend(observation);
                        }
                    }
                    _ => self.fire(observation, true),
                }
            }
            (Condition::NotMet, Some(alert), Some(AlertState::Firing)) => {
                self.resolve(alert, Some(observation), Ending::Quiet);
            }
            (Condition::NotMet, Some(alert), Some(AlertState::Pending)) => self.forget(alert),
            (Condition::NotMet, Some(alert), Some(AlertState::Resolved)) => self.fade(alert),
            (Condition::NotMet, ..) => {}
        }
    }

    /// When a condition that has been met since `since` is to fire; none if at once.
    fn fires_at(
        &self,
        observation: &Observation<'_>,
        since: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let (Finding::MissingData(_, Some(day)), Check::MissingData { longer_than, .. }) =
            (&observation.finding, &observation.rule.check)
        else {
            return None;
        };
        // Longer than that, if only by the smallest time that is kept.
        let at = TimeDelta::from_std(*longer_than)
            .ok()
            .and_then(|longer| longer.checked_add(&TimeDelta::milliseconds(1)))
            .and_then(|longer| day.end().max(since).checked_add_signed(longer));
        Some(at.unwrap_or(DateTime::<Utc>::MAX_UTC))
    }

    /// The thresholds of a budget in one period.
    fn thresholds(&mut self, observations: &[Observation<'_>]) {
        let mut firing = Vec::new();
        let mut crossed = Vec::new();
        for observation in observations {
            let Finding::Budget {
                threshold,
                is_current,
                ..
            } = observation.finding
            else {
                continue;
            };
            let alert = self.alerts.get(&observation.key);
            match alert {
                Some(alert) if alert.state == AlertState::Firing => {
                    if !self.ends(alert, observation, is_current) {
                        firing.push(threshold);
                    }
                }
                _ if observation.condition != Condition::Met => {}
                Some(_) if !is_current => {}
                Some(alert) if is_latched(alert, observation) => {
                    self.fire(observation, false);
                    firing.push(threshold);
                }
                _ => crossed.push((threshold, observation)),
            }
        }
        let (covered, mut open): (Vec<_>, Vec<_>) = crossed
            .into_iter()
            .partition(|(threshold, _)| firing.iter().any(|other| covers(other, threshold)));
        open.sort_by(|(a, _), (b, _)| highest_first(a, b));
        let silent = covered.iter().chain(open.iter().skip(1));
        silent.for_each(|(_, observation)| self.fire(observation, false));
        if let Some((_, highest)) = open.first() {
            self.fire(highest, true);
        }
    }

    /// Resolves an alert that fires, if it is time to. Says whether it was.
    fn ends(&mut self, alert: &Alert, observation: &Observation<'_>, is_current: bool) -> bool {
        let ending = if observation.condition == Condition::NotMet {
            Ending::Quiet
        } else if !is_current && self.has_fired_long_enough(alert) {
            Ending::PeriodOver
        } else {
            return false;
        };
        self.resolve(alert, Some(observation), ending);
        true
    }

    /// Whether an alert whose period is over may end. If not, it will be time later.
    fn has_fired_long_enough(&mut self, alert: &Alert) -> bool {
        let mut fired_at = fired_at(alert);
        if fired_at > self.now {
            // A clock that ran ahead was set back.
            fired_at = self.now;
            self.step.changed.push(Alert {
                since: fired_at,
                fired_at: Some(fired_at),
                ..alert.clone()
            });
        }
        let until = fired_at + MIN_FIRING;
        if self.now < until {
            self.wake(until);
        }
        self.now >= until
    }

    /// An alert that no observation is about: its rule, its subject, its threshold or its kind of
    /// period is gone, or its period is not looked at any more.
    fn unseen(
        &mut self,
        alert: &Alert,
        periods: &HashSet<(&str, Option<Day>)>,
        cycles: &HashMap<&str, Cycle>,
    ) {
        let AlertKey { rule, period, .. } = &alert.key;
        // With another cycle in the config, a period is gone and not over.
        let is_period = |start| {
            let cycle = cycles.get(&**rule);
            cycle.is_some_and(|cycle| cycle.period_of(start).start == start)
        };
        let is_of_past = period.is_some_and(is_period) && !periods.contains(&(&**rule, *period));
        match alert.state {
            AlertState::Pending => self.forget(alert),
            AlertState::Resolved => self.fade(alert),
            AlertState::Firing if !is_of_past => self.resolve(alert, None, Ending::Gone),
            AlertState::Firing => {
                if self.has_fired_long_enough(alert) {
                    self.resolve(alert, None, Ending::PeriodOver);
                }
            }
        }
    }

    fn pend(&mut self, observation: &Observation<'_>) {
        self.step.changed.push(Alert {
            key: observation.key.clone(),
            state: AlertState::Pending,
            since: self.now,
            fired_at: None,
            limit_credits: observation.limit_credits(),
            hooks: Vec::new(),
            // There may be one per agent, and most of them never fire.
            notice: String::new(),
        });
    }

    /// Lets an alert fire, and tells of it if it is to be told.
    fn fire(&mut self, observation: &Observation<'_>, is_told: bool) {
        let notice = message::firing(observation, self.url, self.now);
        let hooks: Vec<String> = observation
            .rule
            .hooks
            .iter()
            .filter(|hook| is_told && self.hooks.contains(&***hook))
            .map(|hook| hook.to_string())
            .collect();
        self.step.changed.push(Alert {
            key: observation.key.clone(),
            state: AlertState::Firing,
            since: self.now,
            fired_at: Some(self.now),
            limit_credits: observation.limit_credits(),
            hooks: hooks.clone(),
            notice: message::json(&notice),
        });
        if is_told {
            self.tell(&observation.key, notice, hooks);
        }
    }

    /// Ends an alert that fires, and tells those who were told that it did.
    fn resolve(&mut self, alert: &Alert, observation: Option<&Observation<'_>>, ending: Ending) {
        let notice = message::resolved(alert, observation, ending, self.now);
        let still_there = |hook: &&String| self.hooks.contains(hook.as_str());
        let hooks: Vec<String> = alert.hooks.iter().filter(still_there).cloned().collect();
        self.step.changed.push(Alert {
            state: AlertState::Resolved,
            since: self.now,
            // No limit is 0: if it comes back, it is told anew.
            limit_credits: if ending == Ending::Gone {
                0.0
            } else {
                alert.limit_credits
            },
            notice: message::json(&notice),
            ..alert.clone()
        });
        if !hooks.is_empty() {
            self.tell(&alert.key, notice, hooks);
        }
    }

    fn tell(&mut self, key: &AlertKey, notice: Notice, hooks: Vec<String>) {
        self.step.told.push(Told {
            key: key.clone(),
            notice,
            hooks,
        });
    }

    fn forget(&mut self, alert: &Alert) {
        self.step.forgotten.push(alert.key.clone());
    }

    /// Forgets an alert that has been over for long.
    fn fade(&mut self, alert: &Alert) {
        if self.now.signed_duration_since(alert.since) > MEMORY {
            self.forget(alert);
        }
    }

    fn wake(&mut self, at: DateTime<Utc>) {
        self.step.next = Some(self.step.next.map_or(at, |next| next.min(at)));
    }
}

/// Whether an alert that is over is not to be told of again: in its period, against the same limit, once
/// is enough.
fn is_latched(alert: &Alert, observation: &Observation<'_>) -> bool {
    alert.limit_credits == observation.limit_credits()
}

/// Whether someone who knows that `higher` is reached learns nothing new from `lower`, and nothing worse.
fn covers(higher: &Threshold, lower: &Threshold) -> bool {
    let says_more = higher.measure == Measure::Used || higher.measure == lower.measure;
    says_more && higher.ratio >= lower.ratio && higher.severity >= lower.severity
}

/// The order of thresholds that are crossed together, highest first: the worst one, of those the
/// largest share, and of that what is used before what is expected.
fn highest_first(a: &Threshold, b: &Threshold) -> Ordering {
    let is_expected = |threshold: &Threshold| threshold.measure == Measure::Forecast;
    let severities = b.severity.cmp(&a.severity);
    let ratios = b.ratio.total_cmp(&a.ratio);
    let measures = is_expected(a).cmp(&is_expected(b));
    severities.then(ratios).then(measures)
}

/// When an alert that fires began to.
pub(super) fn fired_at(alert: &Alert) -> DateTime<Utc> {
    alert.fired_at.unwrap_or(alert.since)
}
