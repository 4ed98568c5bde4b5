//! Runs of probes, as rules are asked about them.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{Check, Rule};
use crate::ledger::{LedgerError, Member, ProbeOutcome, ProbeResult, ProbeRun, View};
use crate::probe::Probe;
use crate::roster::Agent;

/// Probes and their last runs.
#[derive(Debug, Clone, Default)]
pub struct ProbeFacts {
    /// Each probe's name, and the agent that it asks.
    pub targets: Vec<(Arc<str>, Agent)>,
    /// Runs of probes, newest first.
    pub runs: Vec<ProbeRun>,
}

/// A probe and its last runs.
#[derive(Debug, Clone, Copy)]
pub struct Probed<'a> {
    /// The probe's name.
    pub name: &'a Arc<str>,
    /// The agent that it asks.
    pub agent: &'a Agent,
    /// Number of its last runs that failed in a row.
    pub failures: u32,
    /// The newest of those that are over, and the time for which it was planned.
    pub last: Option<(DateTime<Utc>, &'a ProbeResult)>,
}

impl ProbeFacts {
    /// Reads the runs of `probes`, which ask agents that are among `members`, if a rule is about them.
    pub(super) async fn read(
        ledger: &View,
        probes: &[Probe],
        members: &[Member],
        rules: &[Rule],
    ) -> Result<Self, LedgerError> {
        let is_about =
            |rule: &Rule| matches!(rule.check, Check::Probe { .. } | Check::NoCredits { .. });
        if probes.is_empty() || !rules.iter().any(is_about) {
            return Ok(Self::default());
        }
        let target = |probe: &Probe| (Arc::clone(&probe.name), probe.target(members));
        Ok(Self {
            targets: probes.iter().map(target).collect(),
            runs: ledger.probe_runs().await?,
        })
    }

    /// Results of the probe's runs that `count`, newest first.
    pub(super) fn results<'a>(
        &'a self,
        (name, agent): &'a (Arc<str>, Agent),
        counts: impl Fn(ProbeOutcome) -> bool,
    ) -> impl Iterator<Item = (usize, DateTime<Utc>, &'a ProbeResult)> {
        let runs = self.runs.iter().enumerate();
        runs.filter_map(move |(place, run)| {
            let (account, id) = &run.planned.agent;
            let is_own = run.planned.probe == *name && *account == agent.account && *id == agent.id;
            let result = run
                .result
                .as_ref()
                .filter(|result| is_own && counts(result.outcome))?;
            Some((place, run.planned.planned_at, result))
        })
    }

    /// Returns the probe with its failures in a row. With `with_credits`, runs without credits do not count: the rule has
    /// an alert of its own for them.
    pub(super) fn probed<'a>(
        &'a self,
        target: &'a (Arc<str>, Agent),
        with_credits: bool,
    ) -> Probed<'a> {
        let counts = move |outcome| match outcome {
            ProbeOutcome::Interrupted => false,
            ProbeOutcome::NoCredits => !with_credits,
            _ => true,
        };
        let failed = self
            .results(target, counts)
            .take_while(|(.., result)| result.outcome != ProbeOutcome::Success);
        Probed {
            name: &target.0,
            agent: &target.1,
            failures: u32::try_from(failed.count()).unwrap_or(u32::MAX),
            last: self
                .results(target, counts)
                .next()
                .map(|(_, at, result)| (at, result)),
        }
    }
}
