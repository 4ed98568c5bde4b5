//! `alerts test` of a probe: one question, of which nothing is kept.

use std::sync::Arc;

use super::super::{Failure, print, view};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::flowgent::client::Client;
use crate::flowgent::transport::HttpClient;
use crate::ledger::{Member, ProbeOutcome};
use crate::probe::{self, Probe};
use crate::telemetry::Telemetry;
use crate::words::credits;

/// Asks the agent of `probe` once and shows how that went.
pub(super) async fn ask(config: &Config, probe: &Probe) -> Result<(), Failure> {
    let agent = probe.target(&members(config).await);
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

/// The agents that the ledger knows; none if there is no ledger yet.
async fn members(config: &Config) -> Arc<[Member]> {
    let Ok(view) = view::open(config).await else {
        return Arc::default();
    };
    view::members(config, &view).await.unwrap_or_default()
}
