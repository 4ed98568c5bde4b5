//! Pure: alerts and observations in, alerts and messages out.
//!
//! An alert fires when its condition is met: an episode begins. When the condition is no longer met, it is
//! over, and the next time is a new episode. What is not known changes nothing. [`tell`](super::tell) says
//! who is sent what of it.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::finding::{Condition, Finding, Observation};
use super::message::{self, Ending, fired_at};
use super::situation::Situation;
use super::tell::{Case, Teller, Told};
use super::{Check, Settings};
use crate::budget::Cycle;
use crate::day::Day;
use crate::ledger::{Alert, AlertKey, AlertState};

/// The shortest time that an alert fires for a period that is over, or for days that came late: it is to
/// be seen.
const MIN_FIRING: TimeDelta = TimeDelta::hours(24);
/// A clock that is set back by no more than this was not ahead: so far apart may two clocks be that agree.
const JITTER: TimeDelta = TimeDelta::hours(1);
/// Time for which a resolved alert is remembered.
const MEMORY: TimeDelta = TimeDelta::days(45);

/// Changes of one evaluation.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// Alerts in their new state.
    pub(super) changed: Vec<Alert>,
    /// Alerts to be forgotten.
    pub(super) forgotten: Vec<AlertKey>,
    /// The messages.
    pub(super) told: Vec<Told>,
    /// Time at which each pending alert fires, if its condition lasts.
    pub(super) firing_at: HashMap<AlertKey, DateTime<Utc>>,
    /// Time of the next change that needs no event.
    pub(super) next: Option<DateTime<Utc>>,
}

/// Moves every alert along by these observations of the rules in the settings.
pub(super) fn step(situation: &Situation<'_>, observations: &[Observation<'_>]) -> Step {
    let mut machine = Machine {
        situation,
        teller: Teller::new(situation),
        step: Step::default(),
    };
    let together = |a: &Observation<'_>, b: &Observation<'_>| {
        (&a.key.rule, &a.key.subject, a.key.period) == (&b.key.rule, &b.key.subject, b.key.period)
    };
    for observations in observations.chunk_by(together) {
        let cases = observations
            .iter()
            .filter_map(|observation| machine.advance(observation))
            .collect();
        machine.tell(cases);
    }
    let keys = || observations.iter().map(|observation| &observation.key);
    let seen: HashSet<&AlertKey> = keys().collect();
    let observed = Observed {
        periods: keys().map(|key| (&*key.rule, key.period)).collect(),
        cycles: cycles(situation.settings),
    };
    let unseen = situation.alerts.values();
    for alert in unseen.filter(|alert| !seen.contains(&alert.key)) {
        let case = machine.unseen(alert, &observed);
        machine.tell(case.into_iter().collect());
    }
    if let Some(at) = machine.teller.next {
        machine.wake(at);
    }
    machine.step
}

/// The budgets' cycles by their names.
fn cycles(settings: &Settings) -> HashMap<&str, Cycle> {
    let rules = settings.rules.iter();
    let cycles = rules.filter_map(|rule| match rule.check {
        Check::Budget { cycle, .. } => Some((&*rule.name, cycle)),
        _ => None,
    });
    cycles.collect()
}

/// Subjects of the observations.
struct Observed<'a> {
    periods: HashSet<(&'a str, Option<Day>)>,
    cycles: HashMap<&'a str, Cycle>,
}

struct Machine<'a> {
    situation: &'a Situation<'a>,
    teller: Teller<'a>,
    step: Step,
}

impl<'a> Machine<'a> {
    /// The next state of one alert; none if there is none and needs none.
    fn advance(&mut self, observation: &'a Observation<'a>) -> Option<Case<'a>> {
        let before = self.situation.alerts.get(&observation.key);
        let mut case = Case::new(before, Some(observation));
        match before {
            Some(alert) if alert.state == AlertState::Firing => {
                let mut alert = self.not_ahead(alert);
                if let Some(ending) = self.ending(&mut alert, observation) {
                    alert = self.ended(alert, ending);
                    case.ending = Some(ending);
                }
                case.after = Some(alert);
            }
            Some(alert) if alert.is_closed => return self.fade(alert, case),
            _ if !self.situation.is_checked || observation.has_left() => {
                return self.fade(before?, case);
            }
            _ => match self.beginning(before, observation) {
                Some(alert) => case.after = Some(alert),
                None => match before {
                    Some(alert) if alert.state == AlertState::Resolved => {
                        return self.fade(alert, case);
                    }
                    Some(alert) if observation.condition == Condition::NotMet => {
                        case.after = Some(self.dropped(alert)?);
                    }
                    Some(alert) if !alert.hooks.is_empty() => {}
                    _ => return None,
                },
            },
        }
        Some(case)
    }

    /// The state of an alert that does not fire and now pends or fires.
    fn beginning(
        &mut self,
        before: Option<&Alert>,
        observation: &Observation<'_>,
    ) -> Option<Alert> {
        if observation.condition != Condition::Met {
            let late = &observation.days.late;
            let is_late = !late.is_empty() && self.situation.is_certain;
            return is_late.then(|| Alert {
                days: late.clone(),
                ..self.fired(before, observation)
            });
        }
        let Situation { now, pending, .. } = self.situation;
        let renamed = observation
            .agent_number()
            .and_then(|agent| pending.get(&(&*observation.key.rule, agent)));
        let known = before.filter(|alert| alert.state == AlertState::Pending);
        // A clock that ran ahead was set back: it is pending from now on.
        let since = known
            .map(|alert| alert.since)
            .or_else(|| renamed.copied())
            .filter(|at| at <= now);
        let Some(at) = fires_at(observation, since.unwrap_or(*now)) else {
            return Some(self.fired(before, observation));
        };
        if *now >= at && self.situation.is_certain {
            return Some(self.fired(before, observation));
        }
        if *now < at {
            self.wake(at);
        }
        let firing_at = &mut self.step.firing_at;
        firing_at.insert(observation.key.clone(), at);
        let is_new = known.is_none() || since.is_none();
        is_new.then(|| Alert {
            since: since.unwrap_or(*now),
            ..self.pending(before, observation)
        })
    }

    /// Why an alert that fires is over, if it is.
    fn ending(&mut self, alert: &mut Alert, observation: &Observation<'_>) -> Option<Ending> {
        let Situation {
            now,
            is_certain,
            redefined,
            ..
        } = self.situation;
        // Until the day is certain, nobody notes under which definition an alert fires.
        if !is_certain {
            return None;
        }
        if redefined.contains(&alert.key) {
            return Some(Ending::Redefined);
        }
        match observation.condition {
            Condition::Met | Condition::Held | Condition::Past => alert.below_since = None,
            Condition::NotMet | Condition::Unknown => {}
        }
        if observation.condition == Condition::Met {
            alert.days.clear();
        }
        // What a sync has seen before the program was killed.
        let was_taken = observation.condition == Condition::Unknown
            && observation.taken_at() > Some(fired_at(alert));
        let is_over = if was_taken {
            true
        } else if alert.days.is_empty() {
            observation.condition == Condition::NotMet && {
                let first = *alert.below_since.get_or_insert(observation.today);
                observation.today.since(first) >= observation.patience_days()
                    || message::is_topped_up(alert, observation)
            }
        } else {
            alert.days.extend(&observation.days.late);
            alert.days.sort_unstable();
            alert.days.dedup();
            let until = fired_at(alert) + MIN_FIRING;
            let is_met = |day: &Day| {
                let mut met = observation.days.met.iter();
                met.any(|figure| figure.day == *day)
            };
            let is_over = *now >= until || !alert.days.iter().any(is_met);
            if !is_over {
                self.wake(until);
            }
            is_over
        };
        if is_over {
            return Some(Ending::Quiet);
        }
        if !observation.is_of_known_past() {
            return None;
        }
        let until = fired_at(alert) + MIN_FIRING;
        if *now < until {
            self.wake(until);
            return None;
        }
        Some(Ending::PeriodOver)
    }

    /// An alert that no observation is about: its rule, its subject, its threshold or its kind of
    /// period is gone, or its period is not looked at any more.
    fn unseen(&mut self, alert: &'a Alert, observed: &Observed<'_>) -> Option<Case<'a>> {
        let AlertKey { rule, period, .. } = &alert.key;
        // With another cycle in the config, a period is gone and not over.
        let is_period = |start| {
            let cycle = observed.cycles.get(&**rule);
            cycle.is_some_and(|cycle| cycle.period_of(start).start == start)
        };
        let is_looked_at = observed.periods.contains(&(&**rule, *period));
        let is_of_other = period.is_some_and(is_period) && !is_looked_at;
        let is_later = |(other, later): &(&str, Option<Day>)| **rule == **other && later > period;
        let is_past = || observed.periods.iter().any(is_later);
        let case = Case::new(Some(alert), None);
        let ending = match alert.state {
            AlertState::Pending => {
                let after = Some(self.dropped(alert)?);
                return Some(Case { after, ..case });
            }
            AlertState::Resolved => return self.fade(alert, case),
            AlertState::Firing if !is_of_other => Ending::Gone,
            // The clock may be behind, so that its period has not begun.
            AlertState::Firing if !self.situation.is_certain => return None,
            AlertState::Firing if is_past() => Ending::PeriodOver,
            // Its subject is gone, or the clock was ahead when it fired.
            AlertState::Firing => Ending::Gone,
        };
        let after = self.ended(alert.clone(), ending);
        Some(Case {
            after: Some(after),
            ending: Some(ending),
            ..case
        })
    }

    /// Has the hooks told, and keeps what that changes.
    fn tell(&mut self, cases: Vec<Case<'a>>) {
        for (ending, alert) in self.teller.tell(cases, &mut self.step.told) {
            // What another definition has ended may fire anew by it.
            if ending == Some(Ending::Redefined) {
                self.wake(self.situation.now);
            }
            self.step.changed.push(alert);
        }
    }

    /// An alert whose condition holds. Hooks that were never told of the last episode's end keep their place, with
    /// the message about it.
    fn pending(&self, before: Option<&Alert>, observation: &Observation<'_>) -> Alert {
        let (hooks, over_hooks) = before
            .map(|alert| (alert.hooks.clone(), alert.over_hooks.clone()))
            .unwrap_or_default();
        let owed = before.filter(|alert| !alert.hooks.is_empty());
        Alert {
            key: observation.key.clone(),
            state: AlertState::Pending,
            since: self.situation.now,
            fired_at: None,
            hooks,
            over_hooks,
            agent: observation.agent_number(),
            days: Vec::new(),
            below_since: None,
            is_closed: false,
            // There may be one per agent, and most of them never fire.
            notice: owed.map_or_else(String::new, |alert| alert.notice.clone()),
        }
    }

    /// A new episode.
    fn fired(&self, before: Option<&Alert>, observation: &Observation<'_>) -> Alert {
        Alert {
            state: AlertState::Firing,
            fired_at: Some(self.situation.now),
            ..self.pending(before, observation)
        }
    }

    /// A pending alert whose condition is no longer met: forgotten, unless a hook still thinks that it fires.
    fn dropped(&mut self, alert: &Alert) -> Option<Alert> {
        if alert.hooks.is_empty() {
            self.forget(alert);
            return None;
        }
        Some(Alert {
            state: AlertState::Resolved,
            since: self.situation.now,
            ..alert.clone()
        })
    }

    fn ended(&self, alert: Alert, ending: Ending) -> Alert {
        Alert {
            state: AlertState::Resolved,
            since: self.situation.now,
            days: Vec::new(),
            below_since: None,
            is_closed: ending == Ending::PeriodOver,
            ..alert
        }
    }

    /// An alert that fires since a time to come does so since now, if the day is certain: a clock that ran ahead
    /// was set back. One that was set back by as little as any clock is was not ahead.
    fn not_ahead(&self, alert: &Alert) -> Alert {
        let Situation {
            now, is_certain, ..
        } = *self.situation;
        let is_ahead = |at: DateTime<Utc>| is_certain && at - now > JITTER;
        let past = |at: DateTime<Utc>| if is_ahead(at) { now } else { at };
        Alert {
            since: past(alert.since),
            fired_at: Some(past(fired_at(alert))),
            ..alert.clone()
        }
    }

    fn forget(&mut self, alert: &Alert) {
        self.step.forgotten.push(alert.key.clone());
    }

    /// Keeps an alert that is over, or forgets it after a while, but not before every hook knows: a silence may last
    /// for longer.
    fn fade(&mut self, alert: &Alert, case: Case<'a>) -> Option<Case<'a>> {
        let mut routes = self.situation.settings.routes.iter();
        let is_owed = routes.any(|route| alert.hooks.contains(&*route.hook));
        if !is_owed && self.situation.now.signed_duration_since(alert.since) > MEMORY {
            self.forget(alert);
            return None;
        }
        Some(case)
    }

    fn wake(&mut self, at: DateTime<Utc>) {
        self.step.next = Some(self.step.next.map_or(at, |next| next.min(at)));
    }
}

/// Time at which a condition that has been met since `since` fires; none if at once.
fn fires_at(observation: &Observation<'_>, since: DateTime<Utc>) -> Option<DateTime<Utc>> {
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
