//! Probes: a message to an agent at set times, to see that it still replies.
//!
//! Usage is known a day late; only asking tells that an agent has stopped replying, or that an account has no
//! credits left. A probe runs at the times of its cron pattern ([`Times`], pure) and never because of a scrape, a
//! start or a reload; a time that was missed is not made up for. The [`Prober`] keeps each run in the ledger before
//! it asks, so that no time is asked for twice, and [`judge()`] (pure) says how the run went.

mod judge;
mod metrics;
#[cfg(test)]
mod tests;
mod times;
mod worker;

pub use judge::judge;
pub use times::Times;
pub use worker::{Prober, Reload, Tell, ask};

use std::sync::Arc;
use std::time::Duration;

use croner::Cron;
use regex::Regex;

use crate::ledger::{Identity, Member, ProbeRun};
use crate::roster::Agent;
use crate::secret::SecretSource;

/// Failures in a row after which an alert fires, unless a rule says otherwise.
pub const DEFAULT_FAILURES: u32 = 3;

/// A message that an agent is sent at set times.
#[derive(Debug, Clone)]
pub struct Probe {
    /// Its name, unlike any other probe's, rule's, budget's or balance's.
    pub name: Arc<str>,
    /// The account's name.
    pub account: Arc<str>,
    /// Source of the account's key.
    pub api_key: SecretSource,
    /// The agent's identifier, or the name of one that the account's lists name.
    pub agent: Arc<str>,
    /// Text for the agent.
    pub message: String,
    /// Its times, in UTC.
    pub cron: Cron,
    /// Longest time from the request to the end of the reply.
    pub timeout: Duration,
    /// Pattern that the reply must have somewhere.
    pub expect: Option<Regex>,
}

impl Probe {
    /// The agent that it asks, among those that are known. One that is not known has its identifier for a name.
    #[must_use]
    pub fn target(&self, members: &[Member]) -> Agent {
        let mut agents = members
            .iter()
            .map(|member| &member.agent)
            .filter(|agent| agent.account == self.account);
        let by_id = agents.clone().find(|agent| agent.id == self.agent);
        let known = by_id.or_else(|| agents.find(|agent| agent.name == self.agent));
        known.cloned().unwrap_or_else(|| Agent {
            account: Arc::clone(&self.account),
            id: Arc::clone(&self.agent),
            name: Arc::clone(&self.agent),
            labels: Arc::default(),
        })
    }

    /// Those of `runs` that asked `agent` for it, in their order.
    pub fn runs<'a>(
        &'a self,
        agent: &'a Agent,
        runs: &'a [ProbeRun],
    ) -> impl Iterator<Item = &'a ProbeRun> {
        runs.iter().filter(move |run| {
            let (account, id) = &run.planned.agent;
            run.planned.probe == self.name && *account == agent.account && *id == agent.id
        })
    }
}

/// An agent as the ledger knows it.
fn identity(agent: &Agent) -> Identity {
    (Arc::clone(&agent.account), Arc::clone(&agent.id))
}
