//! Findings: how things stand with the subject of a rule, and whether that is enough to fire.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{AgentFacts, Check, Measure, Probed, Rule, Severity, Span, Threshold};
use crate::balance::Left;
use crate::budget::Standing;
use crate::day::Day;
use crate::ledger::{AgentNumber, AlertKey, Judged, Member};
use crate::roster::Agent;

/// State of a rule's condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It is.
    Met,
    /// It is not, but the value is within the hysteresis: what fires stays, nothing begins to.
    Held,
    /// It is, by what was expected of a period that is over: what fires stays, nothing begins to.
    Past,
    /// It is not.
    NotMet,
    /// A day that the value needs is not known.
    Unknown,
}

/// Observation of one alert of a rule.
#[derive(Debug, Clone)]
pub struct Observation<'a> {
    /// Which alert.
    pub key: AlertKey,
    /// The rule.
    pub rule: &'a Rule,
    /// True if it is to fire. For missing data it is then to be pending first.
    pub condition: Condition,
    /// Severity.
    pub severity: Severity,
    /// The finding.
    pub finding: Finding<'a>,
    /// Only of rules about days: what else they have judged.
    pub days: DayVerdict,
    /// The UTC day of the evaluation.
    pub today: Day,
}

/// Verdict of a rule about days on days older than the newest known one, which decides.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DayVerdict {
    /// The days that meet the condition, ascending.
    pub met: Vec<DayFigure>,
    /// Those of them that were not judged before, or by another figure.
    pub late: Vec<Day>,
    /// The subject's key among the days that were judged, and the days; none of rules about other things.
    pub judged: Option<(Arc<str>, Judged)>,
}

/// Credits on one day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DayFigure {
    /// The UTC day.
    pub day: Day,
    /// Credits used on it, or at least used where agents are summed and one is not known.
    pub credits: f64,
    /// The median of its weekday over the eight weeks before; none if that is not known or not asked.
    pub usual_credits: Option<f64>,
}

/// Finding of a rule about its subject.
#[derive(Debug, Clone)]
pub enum Finding<'a> {
    /// A budget against one of its thresholds.
    Budget {
        /// Its standing.
        standing: &'a Standing,
        /// The threshold.
        threshold: Threshold,
        /// Time of the budget's first evaluation after the period's end; none for the current period.
        over_since: Option<DateTime<Utc>>,
        /// The agent, if it is the subject.
        agent: Option<&'a Member>,
    },
    /// Credits or days left of a balance, and one of its thresholds.
    Balance {
        /// Credits left; absent before the first `set`.
        left: Option<&'a Left>,
        /// The threshold.
        threshold: Threshold,
    },
    /// Credits used in a span of days.
    Usage {
        /// The span.
        span: Span,
        /// Its first and last day.
        days: (Day, Day),
        /// The subject.
        whose: Whose<'a>,
        /// Credits known to be used; absent if nothing is known.
        used_credits: Option<f64>,
        /// Days of agents that are not known: if there are any, more may be used than is known.
        missing_days: u32,
        /// The agents that used most of it, if it is of several.
        top: Vec<(&'a Agent, f64)>,
    },
    /// An agent's newest known day, compared with the days before.
    Day {
        /// The agent.
        agent: &'a AgentFacts,
        /// The day.
        day: Day,
        /// Credits used on it; absent if no day of the last week is known.
        used_credits: Option<f64>,
        /// The median of its weekday over the eight weeks before.
        usual_credits: Option<f64>,
    },
    /// An agent and the oldest of its missing days that count.
    MissingData(&'a AgentFacts, Option<Day>),
    /// An account's key.
    KeyRefused {
        /// The account.
        account: &'a Arc<str>,
        /// Time of the last successful fetch of one of its agents.
        last_success: Option<DateTime<Utc>>,
    },
    /// An agent that belongs to the account, or does not.
    AgentRefused(&'a AgentFacts),
    /// A probe and its last runs.
    Probe(Probed<'a>),
    /// An account's credits.
    NoCredits {
        /// The account.
        account: &'a Arc<str>,
        /// The newest run that shows whether it has any: its planned time, and the agent that was asked.
        last: Option<(DateTime<Utc>, &'a Agent)>,
    },
}

/// The agents that a usage rule has added up.
#[derive(Debug, Clone, Copy)]
pub enum Whose<'a> {
    /// One agent.
    Agent(&'a AgentFacts),
    /// The matching agents of one account.
    Account(&'a Arc<str>),
    /// All matching agents.
    All,
}

impl<'a> Observation<'a> {
    /// The limit of the value, in credits; 0 for rules without a limit.
    #[must_use]
    pub fn limit_credits(&self) -> f64 {
        match (&self.finding, &self.rule.check) {
            (Finding::Budget { standing, .. }, _) => standing.limit_credits,
            (_, Check::Usage { over_credits, .. }) => *over_credits,
            _ => 0.0,
        }
    }

    /// The agent that it is about; none if it is about several.
    #[must_use]
    pub fn agent(&self) -> Option<&'a AgentFacts> {
        match &self.finding {
            Finding::Usage {
                whose: Whose::Agent(agent),
                ..
            }
            | Finding::Day { agent, .. }
            | Finding::MissingData(agent, _)
            | Finding::AgentRefused(agent) => Some(agent),
            Finding::Budget { .. }
            | Finding::Balance { .. }
            | Finding::Usage { .. }
            | Finding::KeyRefused { .. }
            | Finding::Probe(_)
            | Finding::NoCredits { .. } => None,
        }
    }

    /// The agent that is its subject, also of a budget.
    #[must_use]
    pub fn member(&self) -> Option<&'a Member> {
        match self.finding {
            Finding::Budget { agent, .. } => agent,
            _ => self.agent().map(|agent| &agent.member),
        }
    }

    /// The number of that agent.
    #[must_use]
    pub fn agent_number(&self) -> Option<AgentNumber> {
        self.member().map(|member| member.number)
    }

    /// Returns true if it is about one agent that has left: nothing but a budget of its begins to fire.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.agent()
            .is_some_and(|agent| agent.member.left_on.is_some())
    }

    /// Returns true if it is of a past period, all of whose days are known.
    #[must_use]
    pub const fn is_of_known_past(&self) -> bool {
        match self.finding {
            Finding::Budget {
                standing,
                over_since: Some(_),
                ..
            } => standing.missing_days == 0,
            _ => false,
        }
    }

    /// Time at which FlowGent last accepted its subject: the account's key, or the agent.
    #[must_use]
    pub fn taken_at(&self) -> Option<DateTime<Utc>> {
        match &self.finding {
            Finding::KeyRefused { last_success, .. } => *last_success,
            Finding::AgentRefused(agent) => agent.last_success,
            _ => None,
        }
    }

    /// Number of days without the condition, after the first one, on which an alert resolves.
    #[must_use]
    pub fn patience_days(&self) -> i32 {
        match self.finding {
            // A forecast moves a little every day: three days in a row are needed.
            Finding::Budget { threshold, .. } | Finding::Balance { threshold, .. }
                if matches!(threshold.measure, Measure::Forecast | Measure::DaysLeft) =>
            {
                2
            }
            _ => 0,
        }
    }

    /// Number of missing agent-days of its subject.
    #[must_use]
    pub fn missing_days(&self) -> u32 {
        match &self.finding {
            Finding::Budget { standing, .. } => standing.missing_days,
            Finding::Balance { left, .. } => left.map_or(0, |left| left.standing.missing_days),
            Finding::Usage { missing_days, .. } => *missing_days,
            _ => 0,
        }
    }
}
