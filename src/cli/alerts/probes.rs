//! `alerts test` of a probe: one question, of which nothing is kept.

use std::sync::Arc;

use super::super::{Failure, print, view};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::flowgent::client::Client;
use crate::flowgent::transport::HttpClient;
use crate::ledger::ProbeOutcome;
use crate::probe::{self, Probe};
use crate::roster::Agent;
use crate::telemetry::Telemetry;
use crate::words::credits;

/// Asks the agent of `probe` once and shows how that went.
pub(super) async fn ask(config: &Config, probe: &Probe) -> Result<(), Failure> {
    let agent = agent(config, probe).await;
    let (account, name) = (&agent.account, &agent.name);
    print(format_args!(
        "{}: asking agent {account}/{name} once, which costs credits\n",
        probe.name
    ))?;
    let http = HttpClient::open(&config.api).await?;
    let (telemetry, clock) = (Telemetry::new(), Arc::new(SystemClock));
    let client = Client::new(&http, &config.api, Arc::clone(account), &telemetry, clock);
    let result = probe::ask(probe, &agent.id, &client).await;
    let cost = match result.used_credits {
        Some(used) => format!("it used {}", credits(used)),
        None => "FlowGent does not say what it used".to_owned(),
    };
    let took = result.duration_seconds.unwrap_or_default();
    if result.outcome == ProbeOutcome::Success {
        return print(format_args!(
            "{}: replied as expected after {took:.1} s; {cost}\n",
            probe.name
        ));
    }
    print(format_args!(
        "{}: failed after {took:.1} s ({}): {}; {cost}\n",
        probe.name,
        result.outcome.as_str(),
        result.detail
    ))?;
    Err(Failure::Told)
}

/// The agent, by the config or else by the lists that the ledger has, if there is a ledger yet.
async fn agent(config: &Config, probe: &Probe) -> Agent {
    let mut named = config.accounts.iter().flat_map(|account| &account.agents);
    if let Some(agent) = named.find(|agent| agent.id == probe.agent) {
        return agent.clone();
    }
    let known = match view::open(config).await {
        Ok(view) => view::members(config, &view).await.unwrap_or_default(),
        Err(_) => Arc::default(),
    };
    probe.target(&known)
}
