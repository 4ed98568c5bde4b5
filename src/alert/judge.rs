//! Pure: what each rule says about the facts.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{
    AgentFacts, Check, Facts, Known, Measure, Notice, Per, Rule, Severity, Span, Threshold, message,
};
use crate::budget::Standing;
use crate::day::Day;
use crate::ledger::AlertKey;
use crate::roster::Agent;

/// The subject of a rule that is about all its agents together.
const ALL: &str = "all";
/// A forecast that has reached a threshold is over only once it is below this share of it: it moves a
/// little every day.
const FORECAST_HYSTERESIS: f64 = 0.95;
/// By how much, relatively, a value may lie below a share of a limit and still reach it.
const TOLERANCE: f64 = 1e-9;
/// How many of those who used most are told.
const TOP: usize = 3;

/// Whether what a rule looks for is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It is.
    Met,
    /// It would not be enough to fire, but what fires stays: the value is within the hysteresis.
    Held,
    /// It was expected of a period that is over: nothing begins to fire for that, but what fires stays.
    Past,
    /// It is not.
    NotMet,
    /// It cannot be said: a day that the value is of is not known.
    Unknown,
}

/// What a rule says about one of its alerts.
#[derive(Debug, Clone)]
pub struct Observation<'a> {
    /// Which alert.
    pub key: AlertKey,
    /// The rule.
    pub rule: &'a Rule,
    /// Whether it is to fire. For missing data it is then to be pending first.
    pub condition: Condition,
    /// How bad it is.
    pub severity: Severity,
    /// What was seen.
    pub finding: Finding<'a>,
    /// The day that it is.
    pub today: Day,
}

/// What a rule has seen of its subject.
#[derive(Debug, Clone)]
pub enum Finding<'a> {
    /// How a budget stands against one of its thresholds.
    Budget {
        /// How it stands.
        standing: &'a Standing,
        /// The threshold.
        threshold: Threshold,
        /// Whether the period is the one that yesterday lies in.
        is_current: bool,
    },
    /// What was used in a span of days.
    Usage {
        /// The days.
        span: Span,
        /// Whose.
        whose: Whose<'a>,
        /// Credits known to be used; absent if nothing is known.
        used_credits: Option<f64>,
        /// Days of agents that are not known: if there are any, more may be used than is known.
        missing_days: u32,
        /// Those who used most of it, if it is of several.
        top: Vec<(&'a Agent, f64)>,
    },
    /// An agent's previous day, compared with what is usual.
    Spike(&'a AgentFacts),
    /// An agent and the oldest of its missing days that count.
    MissingData(&'a AgentFacts, Option<Day>),
    /// An account's key.
    KeyRefused(&'a Arc<str>),
    /// Whether an agent is the account's.
    AgentRefused(&'a AgentFacts),
}

/// What a usage rule has added up.
#[derive(Debug, Clone, Copy)]
pub enum Whose<'a> {
    /// One agent.
    Agent(&'a AgentFacts),
    /// The matching agents of one account.
    Account(&'a Arc<str>),
    /// All matching agents.
    All,
}

/// What `rules` say about `facts`: an observation for every subject of every rule, so that one that is
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
            Check::Usage {
                span,
                per,
                over_credits,
                hysteresis,
                severity,
            } => {
                let held_credits = over_credits * (1.0 - hysteresis);
                let sums = self.sums(*span, *per).into_iter();
                sums.map(|sum| {
                    // Nobody has used nothing.
                    let known = sum.known.unwrap_or(Known {
                        credits: Some(0.0),
                        missing_days: 0,
                    });
                    let condition = over(known, *over_credits, held_credits);
                    let finding = Finding::Usage {
                        span: *span,
                        whose: sum.whose,
                        used_credits: known.credits,
                        missing_days: known.missing_days,
                        top: sum.top,
                    };
                    self.observation(sum.whose.subject(), condition, *severity, finding)
                })
                .collect()
            }
            Check::Spike {
                factor,
                floor_credits,
                severity,
            } => self.each_agent(*severity, |agent| {
                let condition = spike(agent, *factor, *floor_credits);
                (condition, Finding::Spike(agent))
            }),
            Check::MissingData { severity, .. } => {
                let watched_from = self.facts.watched_from.get(&self.rule.name);
                let from = watched_from.copied().unwrap_or(self.facts.today);
                self.each_agent(*severity, |agent| {
                    let since = agent.missing_from(from);
                    let condition = listed(agent, met(since.is_some()));
                    (condition, Finding::MissingData(agent, since))
                })
            }
            Check::KeyRefused { severity } => self.keys(*severity),
            Check::AgentRefused { severity } => self.each_agent(*severity, |agent| {
                let refusals = &self.facts.access.agent_refused;
                let condition = listed(agent, refused(refusals.get(&agent.member.number)));
                (condition, Finding::AgentRefused(agent))
            }),
        }
    }

    /// The agents that the rule is about.
    fn agents(self) -> impl Iterator<Item = &'a AgentFacts> {
        let agents = self.facts.agents.iter();
        agents.filter(move |facts| self.rule.matcher.matches(&facts.member.agent))
    }

    /// One observation per agent.
    fn each_agent(
        self,
        severity: Severity,
        look: impl Fn(&'a AgentFacts) -> (Condition, Finding<'a>),
    ) -> Vec<Observation<'a>> {
        let observe = |agent: &'a AgentFacts| {
            let (condition, finding) = look(agent);
            self.observation(Arc::clone(&agent.subject), condition, severity, finding)
        };
        self.agents().map(observe).collect()
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
            today: self.facts.today,
        }
    }

    /// One observation per period and threshold.
    fn budget(self, thresholds: &[Threshold]) -> Vec<Observation<'a>> {
        let standings = self.facts.budgets.get(&self.rule.name);
        let standings = standings.map_or(&[][..], Vec::as_slice);
        let subject: Arc<str> = ALL.into();
        let mut observations = Vec::new();
        for (place, standing) in standings.iter().enumerate() {
            for &threshold in thresholds {
                let condition = match threshold.measure {
                    Measure::Used => used(standing, threshold.ratio),
                    Measure::Forecast => forecast(standing, threshold.ratio, self.facts.today),
                };
                let finding = Finding::Budget {
                    standing,
                    threshold,
                    is_current: place + 1 == standings.len(),
                };
                let subject = Arc::clone(&subject);
                let observation = self.observation(subject, condition, threshold.severity, finding);
                observations.push(observation);
            }
        }
        observations
    }

    /// What was used in `span`: by each agent, or in each account, or by all together.
    fn sums(self, span: Span, per: Per) -> Vec<Sum<'a>> {
        let mut accounts: BTreeMap<&Arc<str>, Sum<'a>> = BTreeMap::new();
        let mut agents = Vec::new();
        let mut all = Sum::of(Whose::All);
        let mut add = |agent: &'a Agent, known| match per {
            Per::Agent => {}
            Per::Account => accounts
                .entry(&agent.account)
                .or_insert_with(|| Sum::of(Whose::Account(&agent.account)))
                .add(agent, known),
            Per::Total => all.add(agent, known),
        };
        for agent in self.agents() {
            let known = agent.known(span);
            if agent.is_counted {
                add(&agent.member.agent, known);
            }
            agents.push(Sum {
                known: Some(known),
                ..Sum::of(Whose::Agent(agent))
            });
        }
        let others = self.facts.others.get(&self.rule.name);
        for (agent, known) in others.into_iter().flatten() {
            add(agent, *known);
        }
        match per {
            Per::Agent => agents,
            Per::Account => accounts.into_values().collect(),
            Per::Total => vec![all],
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
                let finding = Finding::KeyRefused(account);
                self.observation(Arc::clone(account), condition, severity, finding)
            })
            .collect()
    }
}

/// Credits of one agent, or of several.
struct Sum<'a> {
    whose: Whose<'a>,
    /// None if it is of nobody.
    known: Option<Known>,
    /// Those of several who used most, descending.
    top: Vec<(&'a Agent, f64)>,
}

impl<'a> Sum<'a> {
    const fn of(whose: Whose<'a>) -> Self {
        Self {
            whose,
            known: None,
            top: Vec::new(),
        }
    }

    fn add(&mut self, agent: &'a Agent, known: Known) {
        self.known = Some(self.known.map_or(known, |sum| sum.plus(known)));
        if let Some(credits) = known.credits.filter(|credits| *credits > 0.0) {
            let place = self.top.partition_point(|(_, other)| *other >= credits);
            self.top.insert(place, (agent, credits));
            self.top.truncate(TOP);
        }
    }
}

impl Whose<'_> {
    fn subject(self) -> Arc<str> {
        match self {
            Self::Agent(agent) => Arc::clone(&agent.subject),
            Self::Account(account) => Arc::clone(account),
            Self::All => ALL.into(),
        }
    }
}

/// Whether more than `over_credits` are used, or still more than what holds an alert that fires.
/// Missing days may add to what is known, and take nothing away.
fn over(known: Known, over_credits: f64, held_credits: f64) -> Condition {
    match known.credits {
        Some(used) if used > over_credits => Condition::Met,
        None => Condition::Unknown,
        Some(_) if known.missing_days > 0 => Condition::Unknown,
        Some(used) if used > held_credits => Condition::Held,
        Some(_) => Condition::NotMet,
    }
}

/// Whether an agent's previous day is a spike.
fn spike(agent: &AgentFacts, factor: f64, floor_credits: f64) -> Condition {
    let figures = agent.previous_day_credits.zip(agent.usual_credits);
    figures.map_or(Condition::Unknown, |(used, usual)| {
        met(used > factor * usual && used > floor_credits)
    })
}

/// The condition of an agent; unknown of one that its list no longer names, which may well be refused or late.
fn listed(agent: &AgentFacts, condition: Condition) -> Condition {
    match agent.member.unlisted_since {
        None => condition,
        Some(_) => Condition::Unknown,
    }
}

const fn met(is_met: bool) -> Condition {
    if is_met {
        Condition::Met
    } else {
        Condition::NotMet
    }
}

fn refused(refused: Option<&bool>) -> Condition {
    refused.map_or(Condition::Unknown, |refused| met(*refused))
}

/// Whether so much of a budget is used. Missing days may add to what is known, and take nothing away.
fn used(standing: &Standing, ratio: f64) -> Condition {
    match standing.used_credits {
        Some(used) if reaches(used, ratio, standing.limit_credits) => Condition::Met,
        Some(_) if standing.missing_days == 0 => Condition::NotMet,
        _ => Condition::Unknown,
    }
}

/// Whether so much of a budget is expected to be used. A period that is over is not told of by what
/// was expected of it.
fn forecast(standing: &Standing, ratio: f64, today: Day) -> Condition {
    let Some(forecast) = standing.forecast else {
        return Condition::Unknown;
    };
    let reaches = |ratio| reaches(forecast.expected_credits, ratio, standing.limit_credits);
    if !reaches(FORECAST_HYSTERESIS * ratio) {
        Condition::NotMet
    } else if !reaches(ratio) {
        Condition::Held
    } else if is_over(standing, today) {
        Condition::Past
    } else {
        Condition::Met
    }
}

/// Whether so many credits are at least that share of the limit. What a product or a sum of floats has
/// lost in its last bits is not missing.
fn reaches(credits: f64, ratio: f64, limit_credits: f64) -> bool {
    credits >= ratio * limit_credits * (1.0 - TOLERANCE)
}

/// Whether all days of the period have passed.
pub(super) fn is_over(standing: &Standing, today: Day) -> bool {
    standing.period.end.is_some_and(|end| end <= today)
}

impl Observation<'_> {
    /// What the value is measured against, in credits; 0 for rules without a limit.
    #[must_use]
    pub fn limit_credits(&self) -> f64 {
        match (&self.finding, &self.rule.check) {
            (Finding::Budget { standing, .. }, _) => standing.limit_credits,
            (_, Check::Usage { over_credits, .. }) => *over_credits,
            _ => 0.0,
        }
    }

    /// What is told if it fires at `now`, or would be, with a link to `url`.
    #[must_use]
    pub fn notice(&self, url: Option<&str>, now: DateTime<Utc>) -> Notice {
        message::firing(self, url, now)
    }
}
