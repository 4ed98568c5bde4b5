//! Pure: facts in, observations out.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::condition::{
    forecast, is_drop, is_left, listed, over, refused, silent, spike, staying, used,
};
use super::days::{Question, verdict};
use super::facts::{AgentFacts, Facts, Known, SubjectDay, unknown_days};
use super::finding::{Condition, DayVerdict, Finding, Observation, Whose};
use super::subject::ALL;
use super::{Check, Measure, Per, Rule, Severity, Span, Threshold, probes};
use crate::day::{Day, TRACKING_START};
use crate::former;
use crate::ledger::{AlertKey, JUDGED_DAYS, Member};
use crate::roster::Agent;

/// Number of top users that a finding names.
const TOP: usize = 3;

/// Judges `facts` by `rules`: an observation for every subject of every rule, so that one that is
/// gone can be told from one that is quiet. Those of a budget's period stand together.
#[must_use]
pub fn judge<'a>(rules: &'a [Rule], facts: &'a Facts) -> Vec<Observation<'a>> {
    let judges = rules.iter().map(|rule| Judge { rule, facts });
    judges.flat_map(Judge::observations).collect()
}

/// One rule and the facts.
#[derive(Clone, Copy)]
struct Judge<'a> {
    rule: &'a Rule,
    facts: &'a Facts,
}

impl<'a> Judge<'a> {
    fn observations(self) -> Vec<Observation<'a>> {
        match &self.rule.check {
            Check::Budget { thresholds, .. } => self.budget(thresholds),
            Check::Balance { thresholds, .. } => self.balance(thresholds),
            Check::Usage {
                span,
                per,
                over_credits,
                hysteresis,
                severity,
            } => {
                let held_credits = over_credits * (1.0 - hysteresis);
                let sums = self.sums(*per).into_iter();
                let over = |known| over(known, *over_credits, held_credits);
                sums.map(|sum| self.usage(sum, *span, *severity, over))
                    .collect()
            }
            Check::Spike {
                factor,
                floor_credits,
                severity,
            } => {
                let is_spike =
                    |_: &AgentFacts, day: &SubjectDay| spike(day, *factor, *floor_credits);
                self.days(*severity, |agent| agent.days, is_spike)
            }
            Check::Drop {
                factor,
                floor_credits,
                severity,
            } => {
                let is_drop = |agent: &AgentFacts, day: &SubjectDay| {
                    staying(agent, is_drop(day, *factor, *floor_credits))
                };
                self.days(*severity, |agent| self.settled(agent), is_drop)
            }
            Check::Silent { days, severity } => {
                let is_silent = |agent: &AgentFacts, day: &SubjectDay| {
                    staying(agent, silent(agent, day.day, *days))
                };
                self.days(*severity, AgentFacts::days_in_use, is_silent)
            }
            Check::MissingData { severity, .. } => {
                let look = |agent: &'a AgentFacts| {
                    let since = agent.missing_from(self.watched_from());
                    let condition = match since {
                        Some(_) => Condition::Met,
                        None if agent.missing_since.is_none() => Condition::NotMet,
                        // A start may get them still.
                        None if !self.facts.has_synced => Condition::Unknown,
                        None => Condition::Met,
                    };
                    let since = since.or(agent.missing_since);
                    let since = since.filter(|_| condition == Condition::Met);
                    (listed(agent, condition), Finding::MissingData(agent, since))
                };
                self.each(self.subjects(), *severity, look)
            }
            Check::KeyRefused { severity } => self.keys(*severity),
            Check::AgentRefused { severity } => self.each(self.agents(), *severity, |agent| {
                let refusals = &self.facts.access.agent_refused;
                let condition = listed(agent, refused(refusals.get(&agent.member.number)));
                (condition, Finding::AgentRefused(agent))
            }),
            Check::Probe { .. } | Check::NoCredits { .. } => {
                let seen = probes::judge(self.rule, &self.facts.probes).into_iter();
                seen.map(|(subject, condition, severity, finding)| {
                    self.observation(subject, condition, severity, finding)
                })
                .collect()
            }
        }
    }

    /// The first day that was still to end when the rule was first watched as it is.
    fn watched_from(self) -> Day {
        let from = self.facts.watched_from.get(&self.rule.name);
        from.copied().unwrap_or(self.facts.today)
    }

    /// Credits of one subject in `span`, against the limit.
    fn usage(
        self,
        sum: Sum<'a>,
        span: Span,
        severity: Severity,
        over: impl Fn(Known) -> Condition,
    ) -> Observation<'a> {
        let days = span.days(self.facts.today);
        let (condition, known, days, verdict) = if span == Span::PreviousDay {
            let question = self.question(sum.whose, sum.days(self.facts.today));
            let (condition, day, verdict) = verdict(&question, |day| over(day.known));
            (condition, day.known, (day.day, day.day), verdict)
        } else {
            let known = sum.known(|agent| agent.known(span));
            (over(known), known, days, DayVerdict::default())
        };
        let finding = Finding::Usage {
            span,
            days,
            whose: sum.whose,
            used_credits: known.credits,
            missing_days: known.missing_days,
            top: sum.top(|agent| match span {
                Span::PreviousDay => agent.on(days.0).known,
                _ => agent.known(span),
            }),
        };
        Observation {
            days: verdict,
            ..self.observation(sum.whose.subject(), condition, severity, finding)
        }
    }

    /// The days of each agent by itself, against the days before.
    fn days(
        self,
        severity: Severity,
        days: impl Fn(&AgentFacts) -> [SubjectDay; JUDGED_DAYS],
        look: impl Fn(&AgentFacts, &SubjectDay) -> Condition,
    ) -> Vec<Observation<'a>> {
        let observe = |agent: &'a AgentFacts| {
            let question = self.question(Whose::Agent(agent), days(agent));
            let (condition, day, verdict) = verdict(&question, |day| look(agent, day));
            let finding = Finding::Day {
                agent,
                day: day.day,
                used_credits: day.known.credits,
                usual_credits: day.usual_credits,
            };
            Observation {
                days: verdict,
                ..self.observation(Arc::clone(&agent.subject), condition, severity, finding)
            }
        };
        self.subjects().map(observe).collect()
    }

    /// The days of an agent without its probes, of which those that may still change are not known.
    fn settled(self, agent: &AgentFacts) -> [SubjectDay; JUDGED_DAYS] {
        let unsettled = self.facts.unsettled.get(&agent.member.number);
        agent.days_in_use().map(|day| {
            let is_unsettled = unsettled.is_some_and(|days| days.contains(&day.day));
            match is_unsettled {
                true => SubjectDay {
                    known: Known::UNKNOWN_DAY,
                    ..day
                },
                false => day,
            }
        })
    }

    fn question(self, whose: Whose<'_>, days: [SubjectDay; JUDGED_DAYS]) -> Question<'a> {
        let subject = whose.judged_as();
        let key = (Arc::clone(&self.rule.name), Arc::clone(&subject));
        Question {
            subject,
            days,
            // The newest day of a first evaluation is how things stand; older ones are the past.
            from: self.watched_from().previous(),
            judged: self.facts.judged.get(&key),
            is_seeding: self.facts.unseeded.contains(&self.rule.name),
            judged_until: match whose {
                Whose::Agent(agent) => self.judged_until(&agent.member),
                _ => self.facts.today,
            },
        }
    }

    /// The first day of `member` that is not judged. Nobody expects use by an agent that has left or is not listed.
    fn judged_until(self, member: &Member) -> Day {
        let expects_use = matches!(self.rule.check, Check::Drop { .. } | Check::Silent { .. });
        let is_listed = member.left_on.is_none() && member.unlisted_since.is_none();
        match expects_use && !is_listed {
            true => TRACKING_START,
            false => former::asked_until(member, self.facts.today),
        }
    }

    /// The agents that the rule is about.
    fn agents(self) -> impl Iterator<Item = &'a AgentFacts> {
        let agents = self.facts.agents.iter();
        agents.filter(move |facts| self.rule.matcher.matches(&facts.member.agent))
    }

    /// The agents that the rule is about, each by itself: also those that have left while an alert about them
    /// fires.
    fn subjects(self) -> impl Iterator<Item = &'a AgentFacts> {
        let left = self.facts.left.iter();
        let left = left.filter(move |facts| self.rule.matcher.matches(&facts.member.agent));
        self.agents().chain(left)
    }

    /// One observation per agent.
    fn each(
        self,
        agents: impl Iterator<Item = &'a AgentFacts>,
        severity: Severity,
        look: impl Fn(&'a AgentFacts) -> (Condition, Finding<'a>),
    ) -> Vec<Observation<'a>> {
        let observe = |agent: &'a AgentFacts| {
            let (condition, finding) = look(agent);
            self.observation(Arc::clone(&agent.subject), condition, severity, finding)
        };
        agents.map(observe).collect()
    }

    fn observation(
        self,
        subject: Arc<str>,
        condition: Condition,
        severity: Severity,
        finding: Finding<'a>,
    ) -> Observation<'a> {
        let (period, threshold) = match &finding {
            Finding::Budget {
                standing,
                threshold,
                ..
            } => (Some(standing.period.start), threshold.to_string().into()),
            Finding::Balance { threshold, .. } => (None, threshold.to_string().into()),
            _ => (None, Arc::default()),
        };
        Observation {
            key: AlertKey {
                rule: Arc::clone(&self.rule.name),
                subject,
                period,
                threshold,
            },
            rule: self.rule,
            condition,
            severity,
            finding,
            days: DayVerdict::default(),
            today: self.facts.today,
        }
    }

    /// One observation per period and threshold.
    fn budget(self, thresholds: &[Threshold]) -> Vec<Observation<'a>> {
        let periods = self.facts.budgets.get(&self.rule.name);
        let mut observations = Vec::new();
        for period in periods.into_iter().flatten() {
            let standing = &period.standing;
            for &threshold in thresholds {
                let condition = match threshold.measure {
                    Measure::Forecast => forecast(standing, threshold.at, self.facts.today),
                    _ => used(standing, threshold.at),
                };
                let finding = Finding::Budget {
                    standing,
                    threshold,
                    over_since: period.over_since,
                    agent: period.agent.as_ref(),
                };
                let subject = Arc::clone(&period.subject);
                let observation = self.observation(subject, condition, threshold.severity, finding);
                observations.push(observation);
            }
        }
        observations
    }

    /// One observation per threshold.
    fn balance(self, thresholds: &[Threshold]) -> Vec<Observation<'a>> {
        let left = self.facts.balances.get(&self.rule.name);
        let observe = |&threshold: &Threshold| {
            let condition = left.map_or(Condition::Unknown, |left| is_left(left, threshold));
            let finding = Finding::Balance { left, threshold };
            self.observation(Arc::clone(&ALL), condition, threshold.severity, finding)
        };
        thresholds.iter().map(observe).collect()
    }

    /// The agents whose credits are added up: each by itself, those of each account, or all together.
    fn sums(self, per: Per) -> Vec<Sum<'a>> {
        let others = self.facts.others.get(&self.rule.name);
        let counted = self.agents().filter(|agent| agent.is_counted);
        let counted = counted.chain(others.into_iter().flatten());
        match per {
            Per::Agent => self
                .subjects()
                .map(|agent| Sum {
                    whose: Whose::Agent(agent),
                    agents: vec![agent],
                })
                .collect(),
            Per::Account => {
                let mut accounts: BTreeMap<&Arc<str>, Vec<&AgentFacts>> = BTreeMap::new();
                for agent in counted {
                    let account = &agent.member.agent.account;
                    accounts.entry(account).or_default().push(agent);
                }
                let accounts = accounts.into_iter();
                accounts
                    .map(|(account, agents)| Sum {
                        whose: Whose::Account(account),
                        agents,
                    })
                    .collect()
            }
            Per::Total => vec![Sum {
                whose: Whose::All,
                agents: counted.collect(),
            }],
        }
    }

    /// One observation per account that is in the config or has agents. Of an account without known
    /// agents, such as one whose listing was always refused, the rule may be about any.
    fn keys(self, severity: Severity) -> Vec<Observation<'a>> {
        let Self { rule, facts } = self;
        let mut accounts: BTreeMap<&Arc<str>, bool> = BTreeMap::new();
        for agent in &facts.agents {
            let agent = &agent.member.agent;
            *accounts.entry(&agent.account).or_default() |= rule.matcher.matches(agent);
        }
        for account in &facts.accounts {
            let concerns = || rule.matcher.concerns(account);
            accounts.entry(account).or_insert_with(concerns);
        }
        let accounts = accounts.into_iter().filter(|(_, is_meant)| *is_meant);
        accounts
            .map(|(account, _)| {
                let condition = refused(facts.access.key_refused.get(account));
                let agents = facts.agents.iter();
                let agents = agents.filter(|agent| agent.member.agent.account == *account);
                let finding = Finding::KeyRefused {
                    account,
                    last_success: agents.filter_map(|agent| agent.last_success).max(),
                };
                self.observation(Arc::clone(account), condition, severity, finding)
            })
            .collect()
    }
}

/// Agents whose credits are added up.
struct Sum<'a> {
    whose: Whose<'a>,
    agents: Vec<&'a AgentFacts>,
}

impl<'a> Sum<'a> {
    /// The credits of all of them, each of whom has those of `look`. Nobody has used nothing.
    fn known(&self, look: impl Fn(&AgentFacts) -> Known) -> Known {
        let known = self.agents.iter().map(|agent| look(agent));
        known.reduce(Known::plus).unwrap_or(Known {
            credits: Some(0.0),
            missing_days: 0,
        })
    }

    /// Their days, added up. Of none, every day has nothing.
    fn days(&self, today: Day) -> [SubjectDay; JUDGED_DAYS] {
        let mut days = unknown_days(today);
        for (index, day) in days.iter_mut().enumerate() {
            day.known = self.known(|agent| agent.days[index].known);
        }
        days
    }

    /// Those of several who used most, descending.
    fn top(&self, look: impl Fn(&AgentFacts) -> Known) -> Vec<(&'a Agent, f64)> {
        if matches!(self.whose, Whose::Agent(_)) {
            return Vec::new();
        }
        let mut top: Vec<(&'a Agent, f64)> = Vec::new();
        for agent in &self.agents {
            if let Some(credits) = look(agent).credits.filter(|credits| *credits > 0.0) {
                let rank = top.partition_point(|(_, other)| *other >= credits);
                if rank < TOP {
                    top.insert(rank, (&agent.member.agent, credits));
                    top.truncate(TOP);
                }
            }
        }
        top
    }
}

impl Whose<'_> {
    fn subject(self) -> Arc<str> {
        match self {
            Self::Agent(agent) => Arc::clone(&agent.subject),
            Self::Account(account) => Arc::clone(account),
            Self::All => Arc::clone(&ALL),
        }
    }

    /// The subject's key among the days that were judged, which outlasts a new name.
    fn judged_as(self) -> Arc<str> {
        match self {
            Self::Agent(agent) => format!("agent {}", agent.member.number).into(),
            Self::Account(account) => format!("account {account}").into(),
            Self::All => Arc::clone(&ALL),
        }
    }
}
