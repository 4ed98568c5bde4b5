//! `simulate`: a FlowGent API on a port of this machine, for people who want to try their own client.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::Context;
use clap::Args;

use super::{Failure, print, serve};
use crate::clock::SystemClock;
use crate::simulator::{FAULTS, Fault, Rule, Settings, Simulator};

/// Arguments of `simulate`.
#[derive(Debug, Args)]
pub(super) struct SimulateArguments {
    /// Address to listen on; port 0 takes any free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:13570", value_parser = super::tcp_address)]
    listen: SocketAddr,
    /// Seed of the simulated usage.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    faults: FaultArguments,
}

/// Faults of a simulated FlowGent.
#[derive(Debug, Args)]
pub(super) struct FaultArguments {
    /// Fault to inject, and its share of requests, such as `429=0.05`; may be repeated. `list`
    /// explains each.
    #[arg(long = "fault", value_name = "NAME[=SHARE]")]
    faults: Vec<String>,
}

impl FaultArguments {
    /// The names of all faults, if they are asked for.
    pub(super) fn listing(&self) -> Option<String> {
        let is_asked_for = self.faults.iter().any(|fault| fault == "list");
        is_asked_for.then(|| FAULTS.map(explained).concat())
    }

    /// The faults that are asked for, a line each; a wrong one is refused elsewhere.
    pub(super) fn explained(&self) -> String {
        let names = self.faults.iter().map(|fault| fault.split('=').next());
        let names: Vec<&str> = names.flatten().collect();
        let asked = FAULTS.into_iter().filter(|(name, ..)| names.contains(name));
        asked
            .map(|fault| format!("  {}", explained(fault)))
            .collect()
    }

    /// The faults as the simulator takes them.
    ///
    /// # Errors
    /// One of them is none.
    pub(super) fn rules(&self) -> Result<Vec<Rule>, Failure> {
        let rule = |text: &String| {
            let rule = text.parse::<Rule>();
            rule.map_err(|error| Failure::Usage(format!("error: --fault {text}: {error}")))
        };
        self.faults.iter().map(rule).collect()
    }
}

/// The line that explains a fault.
fn explained((name, _, about): (&str, Fault, &str)) -> String {
    format!("{name:<20} {about}\n")
}

/// Serves until told to end.
pub(super) async fn simulate(arguments: &SimulateArguments) -> Result<(), Failure> {
    if let Some(listing) = arguments.faults.listing() {
        return print(listing);
    }
    let rules = arguments.faults.rules()?;
    let (_, stop) = serve::signals()?;
    let settings = Settings::demo(arguments.seed);
    let simulator = start(&settings, arguments.listen)?;
    rules
        .into_iter()
        .for_each(|rule| simulator.faults().add(rule));

    print(listing(&simulator))?;
    stop.cancelled().await;
    simulator.shutdown().await;
    Ok(())
}

/// Its accounts, and how to ask it.
fn listing(simulator: &Simulator) -> String {
    let (url, world) = (simulator.base_url(), simulator.world());
    let mut text = format!(
        "A simulated FlowGent answers at {url}\n\nTo use it, write into the exporter's config:\n\n  \
         [api]\n  base_url = \"{url}\"\n"
    );
    for account in world.accounts() {
        let key = world.key(&account.name);
        let key = key.expose();
        text += &format!("\naccount {} with the key {key}\n", account.name);
        for agent in &account.agents {
            text += &format!("  {}  {}\n", agent.id, agent.name);
        }
        if let Some(agent) = account.agents.first() {
            let id = &agent.id;
            text += &format!("  curl -H 'Authorization: {key}' {url}agent/{id}/usage\n");
        }
    }
    text + "\nPress Ctrl-C to end.\n"
}

/// A simulator on that address.
pub(super) fn start(settings: &Settings, address: SocketAddr) -> Result<Simulator, Failure> {
    let listener =
        TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    Ok(Simulator::start(settings, Arc::new(SystemClock), listener)?)
}
