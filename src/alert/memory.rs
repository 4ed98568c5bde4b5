//! Pure: what is remembered from one evaluation to the next, as the ledger keeps it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::observe::watched_as_is;
use super::situation::{Outside, Redefined};
use super::{Background, Check, Facts, Per, Rule, Settings};
use crate::day::Day;
use crate::ledger::{
    AgentNumber, Alert, AlertChanges, AlertKey, AlertMemory, AlertState, JudgedDays, Member,
    NextSummaries, Watched,
};
use crate::roster::Agent;
use crate::sheet::Grouping;

/// Memory of earlier evaluations.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    /// Alerts by their keys.
    pub(super) alerts: BTreeMap<AlertKey, Alert>,
    /// Definitions under which the rules were evaluated, by their names.
    pub(super) watched: Arc<HashMap<Arc<str>, Watched>>,
    /// The days that were judged.
    pub(super) judged: Arc<JudgedDays>,
    /// The first day of the next period of each summary.
    pub(super) summaries: NextSummaries,
    /// Changes by other processes.
    pub(super) outside: Outside,
}

impl Memory {
    /// Takes over what the ledger has kept.
    pub(super) fn apply(&mut self, changes: AlertChanges) {
        let AlertChanges {
            watched,
            unwatched,
            judged,
            changed,
            forgotten,
            summaries,
            deliveries: _,
        } = changes;
        for (summary, next) in summaries {
            match next {
                Some(next) => self.summaries.insert(summary, next),
                None => self.summaries.remove(&summary),
            };
        }
        if !watched.is_empty() || !unwatched.is_empty() {
            let known = Arc::make_mut(&mut self.watched);
            known.extend(watched);
            known.retain(|rule, _| !unwatched.contains(rule));
        }
        if !judged.is_empty() {
            Arc::make_mut(&mut self.judged).extend(judged);
        }
        self.alerts
            .extend(changed.into_iter().map(|alert| (alert.key.clone(), alert)));
        for key in forgotten {
            self.alerts.remove(&key);
        }
    }

    /// Reads what an older version has left as this one would have left it: past periods of which an alert
    /// fires are still open, and those of which none does are closed.
    pub(super) fn seed(&mut self, settings: &Settings, today: Day, now: DateTime<Utc>) {
        for rule in &settings.rules {
            let Check::Budget { cycle, .. } = rule.check else {
                continue;
            };
            let unseeded = watched_as_is(rule, &self.watched)
                .is_some_and(|watched| watched.evaluated.is_none());
            if !unseeded {
                continue;
            }
            let current = cycle.period_of(today.previous()).start;
            let alerts = self.alerts.values_mut();
            let past = alerts.filter(|alert| {
                alert.key.rule == rule.name && alert.key.period.is_some_and(|start| start < current)
            });
            let mut open = BTreeSet::new();
            for alert in past {
                match alert.state {
                    AlertState::Firing => open.extend(alert.key.period),
                    AlertState::Resolved => alert.is_closed = true,
                    AlertState::Pending => {}
                }
            }
            if let Some(watched) = Arc::make_mut(&mut self.watched).get_mut(&rule.name) {
                let is_period = |start: &Day| cycle.period_of(*start).start == *start;
                let open = open.into_iter().filter(is_period);
                watched.open_periods = open.map(|start| (start, now)).collect();
            }
        }
    }

    /// The sums that are of others than before: the rule's `match` was edited, or labels or names of agents
    /// that fired with them.
    pub(super) fn redefined(&self, settings: &Settings, facts: &Facts) -> Redefined {
        let redefined = |rule: &Rule| {
            let watched = self.watched.get(&rule.name);
            let watched = watched.filter(|_| is_of_several(rule))?;
            let about = rule.about();
            let is_about = watched
                .definition
                .strip_prefix(&about)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(':'));
            // The subjects that an agent counted for and counts for no longer.
            let lost = |member: &Member| {
                let before = watched.agents.get(&member.number)?;
                (counts_for(rule, &member.agent).as_ref() != Some(before))
                    .then(|| Arc::clone(before))
            };
            let members = facts.members.iter();
            let lost: HashSet<Arc<str>> = match watched.agents.is_empty() {
                true => HashSet::new(),
                false => members.filter_map(lost).collect(),
            };
            (!is_about || !lost.is_empty()).then(|| {
                let is_each = is_about && rule.per().is_some();
                (Arc::clone(&rule.name), is_each.then_some(lost))
            })
        };
        Redefined(settings.rules.iter().filter_map(redefined).collect())
    }

    /// New definitions of the rules after an evaluation, and the rules that are gone. Alerts of the
    /// rules in `firing` fire then.
    pub(super) fn watch(
        &self,
        settings: &Settings,
        facts: &Facts,
        background: &Background,
        firing: &HashSet<&str>,
    ) -> AlertChanges {
        let watch = |rule: &Rule| {
            // What another definition ends is ended when the day is certain.
            if !background.is_certain && self.watched.contains_key(&rule.name) {
                return None;
            }
            let known = watched_as_is(rule, &self.watched);
            let periods = facts.budgets.get(&rule.name).into_iter().flatten();
            let open: BTreeMap<Day, DateTime<Utc>> = periods
                .filter_map(|period| Some((period.standing.period.start, period.over_since?)))
                .collect();
            let is_summed = is_of_several(rule) && firing.contains(&*rule.name);
            let watched = Watched {
                since: known.map_or(background.now, |known| known.since),
                definition: rule.definition(),
                evaluated: Some(background.today),
                open_periods: open.into_iter().collect(),
                agents: if is_summed {
                    members(rule, facts)
                } else {
                    BTreeMap::new()
                },
            };
            (known != Some(&watched)).then(|| (Arc::clone(&rule.name), watched))
        };
        let rules: HashSet<&str> = settings.rules.iter().map(|rule| &*rule.name).collect();
        let gone = self.watched.keys().filter(|rule| !rules.contains(&***rule));
        AlertChanges {
            watched: settings.rules.iter().filter_map(watch).collect(),
            unwatched: gone.cloned().collect(),
            ..AlertChanges::default()
        }
    }

    /// The agents about which an alert fires.
    pub(super) fn firing(&self) -> HashSet<AgentNumber> {
        let firing = self.of_agents(AlertState::Firing);
        firing.map(|((_, agent), _)| agent).collect()
    }

    /// The subject that an alert about each agent bears as long as it fires, or its period has ended it,
    /// whatever the agent's name is by then, by the rule's name and the period.
    pub(super) fn subjects(&self) -> HashMap<(&str, AgentNumber, Option<Day>), &Arc<str>> {
        let closed = self.of_agents(AlertState::Resolved);
        let closed = closed.filter(|(_, alert)| alert.is_closed);
        let firing = self.of_agents(AlertState::Firing);
        closed
            .chain(firing)
            .map(|((rule, agent), alert)| ((rule, agent, alert.key.period), &alert.key.subject))
            .collect()
    }

    /// Since when an alert about each agent is pending, whatever its name was then, by the rule's name.
    pub(super) fn pending(&self) -> HashMap<(&str, AgentNumber), DateTime<Utc>> {
        self.of_agents(AlertState::Pending)
            .map(|(key, alert)| (key, alert.since))
            .collect()
    }

    fn of_agents(&self, state: AlertState) -> impl Iterator<Item = ((&str, AgentNumber), &Alert)> {
        let alerts = self.alerts.values();
        let alerts = alerts.filter(move |alert| alert.state == state);
        alerts.filter_map(|alert| Some(((&*alert.key.rule, alert.agent?), alert)))
    }
}

impl From<AlertMemory> for Memory {
    fn from(memory: AlertMemory) -> Self {
        let alerts = memory.alerts.into_iter();
        Self {
            alerts: alerts.map(|alert| (alert.key.clone(), alert)).collect(),
            watched: Arc::new(memory.watched),
            judged: Arc::new(memory.judged),
            summaries: memory.summaries,
            outside: Outside::default(),
        }
    }
}

/// Returns true if a rule adds up agents.
fn is_of_several(rule: &Rule) -> bool {
    matches!(
        rule.check,
        Check::Budget { .. }
            | Check::Balance { .. }
            | Check::Usage {
                per: Per::Account | Per::Total,
                ..
            }
    ) && rule.per() != Some(&Grouping::Agent)
}

/// The agents that a rule is about, and the subject of each.
fn members(rule: &Rule, facts: &Facts) -> BTreeMap<AgentNumber, Arc<str>> {
    let members = facts.members.iter();
    members
        .filter_map(|member| Some((member.number, counts_for(rule, &member.agent)?)))
        .collect()
}

/// The subject of a budget that `agent` counts for; empty if a rule is about all its agents together.
fn counts_for(rule: &Rule, agent: &Agent) -> Option<Arc<str>> {
    let subject = rule.subject_of(agent)?;
    Some(rule.per().map_or_else(Arc::default, |_| subject))
}
