//! `health`: asks a running exporter how it is, for containers and for people.

use anyhow::{Context, anyhow, bail};
use clap::Args;
use url::Url;

use super::ask::{self, Answer};
use super::{Common, Failure, print};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;

/// Arguments of `health`.
#[derive(Debug, Args)]
pub(super) struct HealthArguments {
    /// Check that it is ready: it has read its ledger.
    #[arg(long)]
    ready: bool,
    /// Ask this base URL, such as http://localhost:13569, instead of the config's first listen
    /// address.
    #[arg(long, value_name = "URL")]
    url: Option<Url>,
}

/// Asks, and says in one line what came of it.
pub(super) async fn health(common: &Common, arguments: &HealthArguments) -> Result<(), Failure> {
    let (path, good) = if arguments.ready {
        ("/-/ready", "ready")
    } else {
        ("/-/healthy", "healthy")
    };
    let authority = match &arguments.url {
        Some(url) => authority(url).map_err(Failure::Usage)?,
        None => {
            let server = Config::load_server(&common.config_file, SystemClock.today())?;
            let first = server.listen.first();
            let first = first.ok_or_else(|| anyhow!("the config has no listen address"))?;
            first.reachable().to_string()
        }
    };
    let answer = ask::ask(&authority, path).await;
    let answer = answer.with_context(|| format!("no exporter answers on {authority}"))?;
    if let (Some(demand), false) = (answer.demand(), arguments.ready) {
        return print(format_args!(
            "the exporter on {authority} is healthy: it answers, and asks for {demand}\n"
        ));
    }
    judge(&authority, path, good, &answer)?;
    print(format_args!("the exporter on {authority} is {good}\n"))
}

/// The host and port of a base URL.
fn authority(url: &Url) -> Result<String, String> {
    let plain = url.scheme() == "http" && url.username().is_empty() && url.password().is_none();
    match (url.host_str(), url.port_or_known_default()) {
        (Some(host), Some(port)) if plain && url.path() == "/" && url.query().is_none() => {
            Ok(format!("{host}:{port}"))
        }
        _ => Err("error: --url takes an address such as http://localhost:13569".to_owned()),
    }
}

fn judge(authority: &str, path: &str, good: &str, answer: &Answer) -> anyhow::Result<()> {
    if answer.status == 200 && answer.body == good {
        return Ok(());
    }
    if let Some(reason) = answer.not_ready() {
        bail!("the exporter on {authority} is not ready: {reason}");
    }
    if let Some(demand) = answer.demand() {
        bail!(
            "the exporter on {authority} asks for {demand}, so it is unknown whether it is {good}"
        );
    }
    match answer.status {
        0 => bail!("the program on {authority} does not speak HTTP"),
        status => {
            bail!("the program on {authority} is not this exporter: status {status} for {path}")
        }
    }
}
