//! Decides what people are told, and when.
//!
//! After every sync, at every new day and after a reload, the [`Engine`] reads what the rules are about
//! from the ledger ([`observe()`]), asks each rule what it sees ([`judge()`], pure), moves every alert
//! along its life (`machine`, pure), inactive, pending, firing, resolved, and decides which hooks are sent
//! what (`tell`, pure). Alerts and messages go into the ledger in one transaction; only then is anything
//! sent, by others.
//!
//! The last word that a hook has of an alert is true. An alert is identified by its rule, its subject, its
//! period and its threshold, and by no value and no day, so that one that lasts stays one. Each time that
//! it fires is an episode, which ends by being told over.

mod card;
mod condition;
mod days;
mod decide;
mod deliveries;
mod engine;
mod facts;
mod finding;
mod gather;
mod hooks;
mod judge;
mod machine;
mod memory;
mod metrics;
mod message;
mod notice;
mod observe;
mod probes;
mod published;
mod rule;
mod runs;
mod situation;
mod subject;
mod summaries;
mod tell;
#[cfg(test)]
mod tests;

pub use engine::{Engine, Outlets, Signals};
pub use facts::{
    Access, AgentFacts, Background, Facts, Known, PeriodFacts, ProbeUse, Silence, SubjectDay,
};
pub use finding::{Condition, DayFigure, DayVerdict, Finding, Observation, Whose};
pub use judge::judge;
pub use notice::{Figures, Notice, Notification, Share, Status, SubjectLine};
pub use observe::observe;
pub use rule::{Check, Measure, Per, Rule, Severity, Span, Threshold};
pub use runs::{ProbeFacts, Probed};
pub(crate) use subject::subject;
pub use subject::subject_of;
pub use summaries::read as read_summary;

use std::sync::Arc;
use std::time::Duration;

use crate::balance::Reach;
use crate::probe::Probe;
use crate::summary;

/// A hook as alerts see it. The rest of a hook is none of an alert's concern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The hook's name.
    pub hook: Arc<str>,
    /// Identity that survives a new name.
    pub identity: String,
    /// True if all alerts of one evaluation go into one message.
    pub group: bool,
    /// True if the receiver tracks each alert by its key, so that it gets each of very many.
    pub tracks: bool,
    /// True if it gets a message when alerts resolve.
    pub send_resolved: bool,
    /// The receivers, where each gets a message of its own; otherwise one that is empty.
    pub targets: Vec<String>,
    /// Interval at which it hears again of critical alerts.
    pub repeat: Option<Duration>,
    /// True if it repeats by itself, as an Alertmanager does.
    pub repeats_itself: bool,
}

/// Rules, and the hooks that they notify.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The names of all accounts, also of those whose agents nobody knows yet.
    pub accounts: Vec<Arc<str>>,
    /// Budgets and rules, each with a name of its own.
    pub rules: Vec<Rule>,
    /// Probes, whose runs some rules are about.
    pub probes: Vec<Probe>,
    /// Summaries, each with a name of its own.
    pub summaries: Vec<summary::Settings>,
    /// The hooks.
    pub routes: Vec<Route>,
    /// The page that every message links to.
    pub dashboard_url: Option<String>,
}

impl Settings {
    /// Returns true if a hook may hear again of an alert that goes on.
    #[must_use]
    pub fn repeats(&self) -> bool {
        let mut rules = self.rules.iter().map(|rule| rule.repeat);
        let mut routes = self.routes.iter().map(|route| route.repeat);
        rules.any(|repeat| repeat.is_some()) || routes.any(|repeat| repeat.is_some())
    }

    /// The days that budgets, balances and summaries need of their agents.
    #[must_use]
    pub fn reaches(&self) -> Vec<Reach> {
        let rules = self.rules.iter().filter_map(Rule::reach);
        rules
            .chain(self.summaries.iter().map(summary::Settings::reach))
            .collect()
    }
}
