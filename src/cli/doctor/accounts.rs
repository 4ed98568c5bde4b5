//! Each account's key, and FlowGent's clock, by one request for one agent.

use std::sync::Arc;

use futures_util::future::join_all;

use super::super::check::{from_file, skew_seconds, yesterday};
use super::super::{Failure, count};
use super::Finding;
use crate::clock::{SharedClock, SystemClock};
use crate::config::Config;
use crate::egress::TransportError;
use crate::flowgent::client::Client;
use crate::flowgent::error::ApiError;
use crate::flowgent::transport::HttpClient;
use crate::roster::{self, AccountSettings, Agent};
use crate::telemetry::Telemetry;

/// A clock that is off by more is a mistake and not the network's delay.
const SKEW_SECONDS: f64 = 30.0;

/// Asks FlowGent about every account, all at once, so that one that hangs does not keep the others waiting.
pub(super) async fn look(config: &Config) -> Result<Vec<Finding>, Failure> {
    let http = HttpClient::open(&config.api).await?;
    let telemetry = Telemetry::new();
    let examinations = config.accounts.iter().map(|account| {
        let clock: SharedClock = Arc::new(SystemClock);
        let name = Arc::clone(&account.name);
        let client = Client::new(&http, &config.api, name, &telemetry, clock);
        examine(account, client)
    });
    let mut findings = join_all(examinations).await.concat();
    let skews = config
        .accounts
        .iter()
        .filter_map(|account| skew_seconds(&telemetry, &account.name));
    let skew = skews.max_by(|one, other| one.abs().total_cmp(&other.abs()));
    findings.push(skew.map_or_else(
        || Finding::unseen("FlowGent's clock", "no request was answered"),
        clock,
    ));
    Ok(findings)
}

/// Finding about a clock that is so far from FlowGent's.
fn clock(skew_seconds: f64) -> Finding {
    let what = format!("FlowGent's clock is {skew_seconds:+.1} s from this machine's");
    if skew_seconds.abs() <= SKEW_SECONDS {
        Finding::good(what)
    } else {
        Finding::problem(
            what,
            "set this machine's clock, for example with `timedatectl set-ntp true`: days begin at the wrong time",
        )
    }
}

/// Tries the account's key on the first of its agents.
async fn examine(account: &AccountSettings, client: Client) -> Vec<Finding> {
    let name = &account.name;
    let problem = |error: String, advice: &str| {
        let agents = format!("agents of account {name}");
        vec![
            Finding::problem(format!("account {name}: {error}"), advice),
            Finding::unseen(&agents, "its key or list failed"),
        ]
    };
    let key = match account.api_key.read_aside().await {
        Ok(key) => key,
        Err(error) => {
            let advice = "put the API key from FlowGent's settings there, on one line";
            return problem(error.to_string(), advice);
        }
    };
    if let Err(error) = client.set_key(key) {
        return problem(error.to_string(), advice(&error));
    }
    let from_file = match from_file(account).await {
        Ok(agents) => agents,
        Err(error) => {
            let advice = "correct the list, or regenerate it";
            return problem(error.to_string(), advice);
        }
    };
    let mut listed = Vec::new();
    if account.discover {
        match client.list_agents().await {
            Ok(listing) => listed = listing.agents,
            Err(error) => return problem(error.to_string(), advice(&error)),
        }
    }
    let agents = roster::resolve(account, from_file, listed).agents;
    let Some(agent) = agents.first() else {
        return vec![Finding::warning(
            format!("account {name} has no agents"),
            "name them under [[account.agent]], or set `discover = true`",
        )];
    };
    vec![ask(name, agents.len(), &client, agent).await]
}

async fn ask(account: &str, agents: usize, client: &Client, agent: &Agent) -> Finding {
    let of = format!("account {account}, {}", count(agents, "agent"));
    match yesterday(client, agent).await {
        Ok(answer) => Finding::good(format!("{of}: the key works; {}: {answer}", agent.name)),
        Err(error) => Finding::problem(format!("{of}, {}: {error}", agent.name), advice(&error)),
    }
}

/// Advice about it.
fn advice(error: &ApiError) -> &'static str {
    match error {
        ApiError::MissingKey | ApiError::InvalidKey | ApiError::UnusableKey => {
            "put the account's current key into its file, which is read at every sync; a systemd credential \
             needs `systemctl restart`"
        }
        ApiError::AccessDenied | ApiError::InvalidAgentId => {
            "compare the agent's id and its account with FlowGent's settings"
        }
        ApiError::ListingDenied => roster::NAME_AGENTS,
        ApiError::EndDateTooRecent => "set this machine's clock, which is ahead of FlowGent's",
        ApiError::Transport(TransportError::Connect(_) | TransportError::Interrupted(_))
        | ApiError::Timeout { .. } => {
            "check `[api] base_url`, DNS, proxy variables, firewall and certificates"
        }
        ApiError::Redirect { .. } | ApiError::NotJson(_) => {
            "something other than FlowGent answers: check `[api] base_url` and any proxies"
        }
        ApiError::RateLimited { .. } => "lower `[api] requests_per_second`, or wait",
        ApiError::Unavailable { .. } | ApiError::Server { .. } => {
            "FlowGent has a problem; missing days are retried automatically"
        }
        _ => "run `check --live --log.level debug`, and send its output to FlowGent's support",
    }
}
