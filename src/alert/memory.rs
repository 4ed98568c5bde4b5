//! Pure: what is remembered from one evaluation to the next, as the ledger keeps it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::observe::watched_as_is;
use super::{Background, Check, Facts, Per, Rule, Settings};
use crate::day::Day;
use crate::ledger::{
    AgentNumber, Alert, AlertChanges, AlertKey, AlertMemory, AlertState, JudgedDays, Member,
    NextSummaries, Watched,
};

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

    /// The rules whose sums are of others than before: their `match` was edited, or labels or names of
    /// agents that fired with them.
    pub(super) fn redefined(&self, settings: &Settings, facts: &Facts) -> HashSet<Arc<str>> {
        let is_redefined = |rule: &&Rule| {
            let Some(watched) = self.watched.get(&rule.name).filter(|_| is_of_several(rule)) else {
                return false;
            };
            let about = rule.about();
            let is_about = watched
                .definition
                .strip_prefix(&about)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(':'));
            let is_other = |member: &Member| {
                watched.agents.contains(&member.number) && !rule.matcher.matches(&member.agent)
            };
            let has_fired = !watched.agents.is_empty();
            !is_about || (has_fired && facts.members.iter().any(is_other))
        };
        let rules = settings.rules.iter().filter(is_redefined);
        rules.map(|rule| Arc::clone(&rule.name)).collect()
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
            let open = periods
                .filter_map(|period| Some((period.standing.period.start, period.over_since?)));
            let is_summed = is_of_several(rule) && firing.contains(&*rule.name);
            let watched = Watched {
                since: known.map_or(background.now, |known| known.since),
                definition: rule.definition(),
                evaluated: Some(background.today),
                open_periods: open.collect(),
                agents: if is_summed {
                    members(rule, facts)
                } else {
                    BTreeSet::new()
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

    /// The subject that an alert about each agent bears as long as it fires, whatever the agent's name is by
    /// then, by the rule's name.
    pub(super) fn subjects(&self) -> HashMap<(&str, AgentNumber), &Arc<str>> {
        self.of_agents(AlertState::Firing)
            .map(|(key, alert)| (key, &alert.key.subject))
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
    )
}

/// The agents that a rule is about.
fn members(rule: &Rule, facts: &Facts) -> BTreeSet<AgentNumber> {
    let members = facts.members.iter();
    members
        .filter(|member| rule.matcher.matches(&member.agent))
        .map(|member| member.number)
        .collect()
}
