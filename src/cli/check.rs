//! `check`: is the config good, and with `--live`, are the keys and agents?

mod surroundings;

use std::sync::Arc;

use clap::Args;
use futures_util::future::join_all;
use prometheus::core::Collector;
use tokio::task::JoinSet;

use super::{Common, Failure, agents, count, load, print, table};
use crate::blocking;
use crate::clock::{Clock, SharedClock, SystemClock};
use crate::config::Config;
use crate::files;
use crate::flowgent::client::Client;
use crate::flowgent::error::ApiError;
use crate::flowgent::metrics::ApiMetrics;
use crate::flowgent::transport::HttpClient;
use crate::roster::{self, AccountSettings, Agent, ListError, ListedAgent};
use crate::telemetry::Telemetry;
use crate::validate;
use crate::window::Window;
use crate::words;

/// Arguments of `check`.
#[derive(Debug, Default, Args)]
pub(super) struct CheckArguments {
    /// Also fetch yesterday's usage of every agent, to see which keys and agents work.
    #[arg(long)]
    live: bool,
}

/// Checks and says what it found.
pub(super) async fn check(common: &Common, arguments: &CheckArguments) -> Result<(), Failure> {
    let config = load(common)?;
    for warning in &config.warnings {
        print(format_args!("warning: {warning}\n"))?;
    }
    for exposed in &config.exposed {
        print(format_args!("warning: {exposed}: {}\n", files::CLOSE_IT))?;
    }
    for failure in &config.failures {
        print(format_args!("problem: {failure}\n"))?;
    }
    let verdict = if config.failures.is_empty() {
        "is valid"
    } else {
        "is valid, with problems"
    };
    print(format_args!(
        "{} {verdict}: {}, {}\n",
        common.config_file.display(),
        count(config.accounts.len(), "account"),
        agents(&config.accounts)
    ))?;
    print(format_args!("{}\n", surroundings::next_poll(&config)))?;
    for probe in &config.alerts.probes {
        print(format_args!("{}\n", surroundings::runs(probe)))?;
    }
    for warning in surroundings::warnings(&config).await {
        print(format_args!("warning: {warning}\n"))?;
    }
    if arguments.live {
        live(&config).await?;
    }
    if config.failures.is_empty() {
        Ok(())
    } else {
        Err(Failure::Told)
    }
}

/// One line of the table.
struct Finding {
    account: Arc<str>,
    agent: String,
    result: Result<String, String>,
}

async fn live(config: &Config) -> Result<(), Failure> {
    let http = HttpClient::open(&config.api).await?;
    let telemetry = Telemetry::new();
    // All at once, so that an account that hangs does not keep the others waiting.
    let examinations = config.accounts.iter().map(|account| {
        let clock: SharedClock = Arc::new(SystemClock);
        let name = Arc::clone(&account.name);
        let client = Client::new(&http, &config.api, name, &telemetry, clock);
        examine(account, Arc::new(client))
    });
    let findings: Vec<Finding> = join_all(examinations).await.into_iter().flatten().collect();
    let header = ["account", "agent", "clock skew", "result"];
    let mut table = table(header, &[2]);
    for finding in &findings {
        let skew = match skew_seconds(&telemetry, &finding.account) {
            Some(seconds) => format!("{seconds:+.1} s"),
            None => "unknown".to_owned(),
        };
        let result = finding.result.as_ref().unwrap_or_else(|error| error);
        table.add_row([finding.account.as_ref(), &finding.agent, &skew, result]);
    }
    let failed = findings
        .iter()
        .filter(|finding| finding.result.is_err())
        .count();
    print(format_args!(
        "\n{}\n\n{}\n",
        table.trim_fmt(),
        tally(failed, findings.len())
    ))?;
    if failed == 0 {
        Ok(())
    } else {
        Err(Failure::Told)
    }
}

/// Says how many of all calls failed.
fn tally(failed: usize, all: usize) -> String {
    let calls = count(all, "call");
    match (failed, all) {
        (0, 0) => "no calls: the config names no agents".to_owned(),
        (0, 1) => format!("{calls} succeeded"),
        (0, _) => format!("all {calls} succeeded"),
        (1, 1) => format!("{calls} failed"),
        _ if failed == all => format!("all {calls} failed"),
        _ => format!("{failed} of {calls} failed"),
    }
}

/// FlowGent's clock minus ours, if it has told its time to this account.
pub(super) fn skew_seconds(telemetry: &Telemetry, account: &str) -> Option<f64> {
    let families = telemetry.of::<ApiMetrics>().clock_skew.collect();
    let series = families.iter().flat_map(|family| family.get_metric());
    series
        .filter(|metric| {
            metric
                .get_label()
                .iter()
                .any(|label| label.value() == account)
        })
        .map(|metric| metric.get_gauge().get_value())
        .next()
}

/// Tries the account's key, its listing if that is used, and each of its agents.
async fn examine(account: &AccountSettings, client: Arc<Client>) -> Vec<Finding> {
    let finding = |agent: &str, result| Finding {
        account: Arc::clone(&account.name),
        agent: agent.to_owned(),
        result,
    };
    let key = account.api_key.read_aside().await;
    let key = key.map_err(|error| error.to_string());
    if let Err(error) = key.and_then(|key| client.set_key(key).map_err(|error| error.to_string())) {
        return vec![finding("(key)", Err(error))];
    }
    let mut findings = Vec::new();
    let from_file = match from_file(account).await {
        Ok(agents) => agents,
        Err(error) => {
            findings.push(finding("(agents_file)", Err(error.to_string())));
            Vec::new()
        }
    };
    let mut listed = Vec::new();
    if account.discover {
        let result = client.list_agents().await;
        let shown = result
            .as_ref()
            .map(|listing| format!("{} agents listed", listing.agents.len()));
        findings.push(finding("(listing)", shown.map_err(ToString::to_string)));
        if let Ok(listing) = result {
            if let Some(gap) = listing.gap {
                findings.push(finding("(listing)", Err(format!("not all agents: {gap}"))));
            }
            listed = listing.agents;
        }
    }
    let roster = roster::resolve(account, from_file, listed);
    findings.extend(
        roster
            .warnings
            .iter()
            .map(|warning| finding("(agents)", Err(warning.clone()))),
    );
    let mut calls = JoinSet::new();
    for (place, agent) in roster.agents.into_iter().enumerate() {
        let client = Arc::clone(&client);
        calls.spawn(async move {
            let result = yesterday(&client, &agent).await;
            (place, agent, result)
        });
    }
    // The client's own limits pace the calls; the answers come in any order.
    let mut answers = calls.join_all().await;
    answers.sort_by_key(|(place, ..)| *place);
    findings.extend(
        answers.into_iter().map(|(_, agent, result)| {
            finding(&agent.name, result.map_err(|error| error.to_string()))
        }),
    );
    findings
}

/// The agents of the account's list in a file.
pub(super) async fn from_file(account: &AccountSettings) -> Result<Vec<ListedAgent>, ListError> {
    match account.agents_file.clone() {
        None => Ok(Vec::new()),
        Some(path) => blocking::run(move || roster::read_agents(&path)).await,
    }
}

/// Use of the agent yesterday, in words.
pub(super) async fn yesterday(client: &Client, agent: &Agent) -> Result<String, ApiError> {
    let today = SystemClock.today();
    let yesterday = today.previous();
    let window = Window::new(yesterday, yesterday, today).map_err(|_| ApiError::InvalidDates)?;
    let judge = |answer| Ok(validate::rows(&window, &agent.id, &answer)?);
    let accepted = client.usage(&agent.id, &window, judge).await?;
    Ok(match accepted.rows.first() {
        Some(usage) => format!("ok, {} on {yesterday}", words::credits(usage.credits)),
        None => format!("ok, but FlowGent has no figure for {yesterday} yet"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_in_words_that_a_reader_need_not_turn_around() {
        for (failed, all, text) in [
            (0, 0, "no calls: the config names no agents"),
            (0, 1, "1 call succeeded"),
            (0, 7, "all 7 calls succeeded"),
            (2, 7, "2 of 7 calls failed"),
            (7, 7, "all 7 calls failed"),
            (1, 1, "1 call failed"),
        ] {
            assert_eq!(tally(failed, all), text);
        }
    }
}
