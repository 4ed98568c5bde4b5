//! Definitions of alerts: budgets, balances and other rules.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::subject::{ALL, subject_of};
use crate::balance::{Book, Days, Reach};
use crate::budget::{Cycle, Limits};
use crate::day::Day;
use crate::ledger::Watched;
use crate::named::named;
use crate::roster::{Agent, Matcher};
use crate::sheet::Grouping;
use crate::words::exact;

/// A budget, a balance or another rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its name, unlike any other rule's, budget's or balance's.
    pub name: Arc<str>,
    /// The agents that it is about.
    pub matcher: Matcher,
    /// Its check.
    pub check: Check,
    /// The hooks that are told.
    pub hooks: Vec<Arc<str>>,
    /// Interval at which hooks that do not repeat by themselves hear again that it is critical; by default the hook's.
    pub repeat: Option<Duration>,
}

impl Rule {
    /// Days that a budget or a balance needs.
    #[must_use]
    pub fn reach(&self) -> Option<Reach> {
        let days = match &self.check {
            Check::Budget { cycle, .. } => Days::Of(*cycle),
            Check::Balance { book, .. } => Days::By(book.clone()),
            _ => return None,
        };
        Some(Reach {
            matcher: self.matcher.clone(),
            days,
        })
    }
}

/// Checks of rules.
#[derive(Debug, Clone)]
pub enum Check {
    /// Use of all matching agents together, or of each subject among them, by periods.
    Budget {
        /// The limits in a period.
        limits: Limits,
        /// The subjects that have a limit each; none if all agents together have one.
        per: Option<Grouping>,
        /// The periods.
        cycle: Cycle,
        /// Thresholds: at least one, ascending within each measure.
        thresholds: Vec<Threshold>,
    },
    /// Credits left that all matching agents together have bought ahead.
    Balance {
        /// Entries: `set` and `add`.
        book: Book,
        /// Thresholds: at least one, descending within each measure.
        thresholds: Vec<Threshold>,
    },
    /// More use than so much in a span of days.
    Usage {
        /// The days.
        span: Span,
        /// Whose days are added up.
        per: Per,
        /// More than this is told.
        over_credits: f64,
        /// It is over only once use is at most `over_credits · (1 - hysteresis)`. 0 up to, but not
        /// including, 1.
        hysteresis: f64,
        /// Severity.
        severity: Severity,
    },
    /// An agent's previous day is more than `factor` times the median of the same weekday over the
    /// eight weeks before, and more than the floor.
    Spike {
        /// Factor above the usual.
        factor: f64,
        /// Days with no more than this are never a spike.
        floor_credits: f64,
        /// Severity.
        severity: Severity,
    },
    /// An agent's settled day is less than `factor` times the median of the same weekday over the eight
    /// weeks before, which is more than the floor.
    Drop {
        /// Share of the usual.
        factor: f64,
        /// A usual use of no more than this never drops.
        floor_credits: f64,
        /// Severity.
        severity: Severity,
    },
    /// An agent that was in use has had no use for a number of days.
    Silent {
        /// The days.
        days: u32,
        /// Severity.
        severity: Severity,
    },
    /// A day of an agent has been over, and not known, for longer than this.
    MissingData {
        /// Longest time without the day.
        longer_than: Duration,
        /// Severity.
        severity: Severity,
    },
    /// FlowGent refuses an account's key, or there is none to be read.
    KeyRefused {
        /// Severity.
        severity: Severity,
    },
    /// FlowGent says that an agent is not the account's.
    AgentRefused {
        /// Severity.
        severity: Severity,
    },
    /// A probe fails several times in a row.
    Probe {
        /// The probe that the rule belongs to: then it is also about the credits of its account.
        only: Option<Arc<str>>,
        /// Number of failures.
        times: u32,
        /// Severity.
        severity: Severity,
    },
    /// An account has no credits left, as a probe saw.
    NoCredits {
        /// Severity.
        severity: Severity,
    },
}

/// A share of a budget, or what is left of a balance, that is told of when it is reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    /// Measure.
    pub measure: Measure,
    /// The share of a budget's limit, 1 being all of it; the credits or days that are left of a balance.
    pub at: f64,
    /// Severity.
    pub severity: Severity,
}

named! {
    /// Measures of thresholds.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Measure {
        /// Credits used.
        Used = "used",
        /// Credits expected by the end of the period.
        Forecast = "forecast",
        /// Credits left of a balance.
        CreditsLeft = "credits_left",
        /// Days until it is expected to run out.
        DaysLeft = "days_left",
    }
}

named! {
    /// The days that a usage rule adds up. Each ends with yesterday.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Span {
        /// Yesterday.
        PreviousDay = "previous_day",
        /// 7 days.
        Previous7Days = "previous_7_days",
        /// 30 days.
        Previous30Days = "previous_30_days",
        /// The complete days of this UTC month.
        MonthToDate = "month_to_date",
    }
}

named! {
    /// Subjects for which a usage rule adds up use.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Per {
        /// Each agent is a subject.
        Agent = "agent",
        /// Each account is, with those of its agents that match.
        Account = "account",
        /// All matching agents together are one.
        Total = "total",
    }
}

named! {
    /// Severity of an alert.
    #[derive(
        Debug,
        Clone,
        Copy,
        PartialEq,
        Eq,
        PartialOrd,
        Ord,
        serde::Serialize,
        serde::Deserialize,
        schemars::JsonSchema,
    )]
    #[schemars(inline)]
    #[serde(rename_all = "lowercase")]
    pub enum Severity {
        /// Worth knowing.
        Info = "info",
        /// Worth a look today.
        Warning = "warning",
        /// Worth a look now.
        Critical = "critical",
    }
}

impl Span {
    /// Its first and its last day, as of the day `today`. On the first of a month, none of its days is
    /// over: the last one then lies before the first.
    #[must_use]
    pub fn days(self, today: Day) -> (Day, Day) {
        let first = match self {
            Self::PreviousDay => today.previous(),
            Self::Previous7Days => today.plus(-7),
            Self::Previous30Days => today.plus(-30),
            Self::MonthToDate => today.month_start(),
        };
        (first, today.previous())
    }
}

impl Threshold {
    /// A number that is the higher the worse it is that the threshold is reached.
    #[must_use]
    pub const fn height(&self) -> f64 {
        match self.measure {
            Measure::Used | Measure::Forecast => self.at,
            Measure::CreditsLeft | Measure::DaysLeft => -self.at,
        }
    }
}

impl fmt::Display for Threshold {
    /// As in an alert's key: `used 0.8`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.measure.as_str(), self.at)
    }
}

impl Rule {
    /// Its kind and its agents, as a text that stays the same until they change: the beginning of its
    /// definition.
    #[must_use]
    pub fn about(&self) -> String {
        let per = self
            .per()
            .map_or_else(String::new, |per| format!(" per {per}"));
        format!("{} {{{}}}{per}", self.check.kind(), self.matcher)
    }

    /// The subjects that have a limit each; none if all agents together have one.
    #[must_use]
    pub const fn per(&self) -> Option<&Grouping> {
        match &self.check {
            Check::Budget { per, .. } => per.as_ref(),
            _ => None,
        }
    }

    /// The agents of one of its subjects.
    pub(super) fn matcher_of(&self, subject: &str, agent: Option<&Agent>) -> Matcher {
        let matcher = self.matcher.clone();
        match (self.per(), agent) {
            (Some(Grouping::Agent), Some(agent)) => matcher
                .and("account", &agent.account)
                .and("agent", &agent.name),
            (Some(Grouping::Account), _) => matcher.and("account", subject),
            (Some(Grouping::Label(name)), _) => matcher.and(name, subject),
            _ => matcher,
        }
    }

    /// The subject of a budget that `agent` counts for, if it counts for one.
    pub(super) fn subject_of(&self, agent: &Agent) -> Option<Arc<str>> {
        let is_meant = self.matcher.matches(agent);
        is_meant.then(|| self.subject_of_matching(agent)).flatten()
    }

    /// The same of an agent that the rule matches.
    pub(super) fn subject_of_matching(&self, agent: &Agent) -> Option<Arc<str>> {
        let Check::Budget {
            limits,
            per: Some(per),
            ..
        } = &self.check
        else {
            return Some(Arc::clone(&ALL));
        };
        subject_of(per, agent).filter(|subject| limits.of(subject).is_some())
    }

    /// Definition that decides when it fires, as a text that stays the same until that changes. Its hooks are no
    /// part of it. Budgets are written out, since they look at periods of the past, and the entries of
    /// balances; of the others their kind and their agents are enough.
    #[must_use]
    pub fn definition(&self) -> String {
        let about = self.about();
        match &self.check {
            Check::Budget {
                limits,
                per: _,
                cycle,
                thresholds,
            } => {
                let threshold =
                    |threshold: &Threshold| format!("{threshold} {}", threshold.severity.as_str());
                let thresholds: Vec<String> = thresholds.iter().map(threshold).collect();
                let thresholds = thresholds.join(", ");
                let cycle = words(*cycle);
                format!("{about}: {limits} {cycle}: {thresholds}")
            }
            // So the last good entries outlast the program: see `recall`.
            Check::Balance { book, .. } => match book.entries() {
                Some(entries) => format!("{about}: {}", entries.json()),
                None => about,
            },
            _ => about,
        }
    }
}

impl Rule {
    /// Has a balance whose entries could never be read go by those by which it was last watched.
    pub(super) fn recall(&self, watched: &HashMap<Arc<str>, Watched>) {
        let watched = watched.get(&self.name);
        let written = watched.and_then(|watched| watched.definition.rsplit_once("}: "));
        if let (Check::Balance { book, .. }, Some((_, entries))) = (&self.check, written) {
            book.recall(entries);
        }
    }
}

fn words(cycle: Cycle) -> String {
    match cycle {
        Cycle::Day => "a day".to_owned(),
        Cycle::Week => "a week".to_owned(),
        Cycle::Month { anchor_day } => format!("a month from day {anchor_day}"),
        Cycle::Total { start } => format!("from {start} on"),
    }
}

impl Check {
    /// Condition in a line; none of a budget or balance, whose thresholds have a line each.
    #[must_use]
    pub fn wanted(&self) -> String {
        match self {
            Self::Budget { .. } | Self::Balance { .. } => String::new(),
            Self::Usage {
                over_credits,
                hysteresis,
                ..
            } => {
                let held_credits = exact(over_credits * (1.0 - hysteresis));
                format!("fires above {over_credits} credits, resolves at {held_credits} or less\n")
            }
            Self::Spike {
                factor,
                floor_credits,
                ..
            } => {
                format!("fires above {factor} times the usual and above {floor_credits} credits\n")
            }
            Self::Drop {
                factor,
                floor_credits,
                ..
            } => format!(
                "fires below {factor} of the usual, if that is above {floor_credits} credits\n"
            ),
            Self::Silent { days, .. } => {
                format!("fires after {days} days without use, if there was use on 4 of the 28 before\n")
            }
            Self::MissingData { longer_than, .. } => {
                let longer_than = humantime::format_duration(*longer_than);
                format!("fires once a day is missing for longer than {longer_than}\n")
            }
            Self::KeyRefused { .. } | Self::AgentRefused { .. } => {
                "fires while FlowGent refuses, which only a running exporter knows; try `check --live`\n"
                    .to_owned()
            }
            Self::Probe { times, .. } => {
                format!("fires once a probe failed {times} times in a row\n")
            }
            Self::NoCredits { .. } => {
                "fires once a probe finds that the account has no credits left\n".to_owned()
            }
        }
    }

    /// The highest severity of its alerts.
    #[must_use]
    pub fn highest_severity(&self) -> Severity {
        match self {
            Self::Budget { thresholds, .. } | Self::Balance { thresholds, .. } => {
                let severities = thresholds.iter().map(|threshold| threshold.severity);
                severities.max().unwrap_or(Severity::Info)
            }
            // The account's credits are at stake, too.
            Self::Probe { only: Some(_), .. } => Severity::Critical,
            Self::Usage { severity, .. }
            | Self::Spike { severity, .. }
            | Self::Drop { severity, .. }
            | Self::Silent { severity, .. }
            | Self::MissingData { severity, .. }
            | Self::KeyRefused { severity }
            | Self::AgentRefused { severity }
            | Self::Probe { severity, .. }
            | Self::NoCredits { severity } => *severity,
        }
    }

    /// The section of the config that it is written in.
    #[must_use]
    pub const fn section(&self) -> &'static str {
        match self {
            Self::Budget { .. } => "budget",
            Self::Balance { .. } => "balance",
            Self::Probe { only: Some(_), .. } => "probe",
            _ => "rule",
        }
    }

    /// The kind of rule that it makes, as in the config.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Budget { .. } => "budget",
            Self::Balance { .. } => "balance",
            Self::Usage { .. } => "usage",
            Self::Spike { .. } => "spike",
            Self::Drop { .. } => "drop",
            Self::Silent { .. } => "silent",
            Self::MissingData { .. } => "missing_data",
            Self::KeyRefused { .. } => "key_refused",
            Self::AgentRefused { .. } => "agent_refused",
            Self::Probe { .. } => "probe",
            Self::NoCredits { .. } => "no_credits",
        }
    }
}
