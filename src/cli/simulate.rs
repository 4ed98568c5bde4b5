//! `simulate`: a FlowGent API on a port of this machine, for people who want to try their own client.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::Context;
use clap::Args;

use super::{Failure, print, serve};
use crate::clock::SystemClock;
use crate::simulator::{FAULTS, Rule, Settings, Simulator};

/// What `simulate` takes.
#[derive(Debug, Args)]
pub(super) struct SimulateArguments {
    /// Address to listen on; port 0 takes any free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:13570")]
    listen: SocketAddr,
    /// All usage follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What goes wrong, and for which share of requests, as in `429=0.05`; may be repeated. `list`
    /// prints the names.
    #[arg(long = "fault", value_name = "NAME[=SHARE]")]
    faults: Vec<String>,
}

/// Serves until told to end.
pub(super) async fn simulate(arguments: &SimulateArguments) -> Result<(), Failure> {
    if arguments.faults.iter().any(|fault| fault == "list") {
        let names = FAULTS.map(|(name, _)| name);
        return print(format_args!("{}\n", names.join("\n")));
    }
    let rules = arguments
        .faults
        .iter()
        .map(|text| {
            text.parse::<Rule>()
                .map_err(|error| format!("error: --fault {text}: {error}"))
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(Failure::Usage)?;
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

/// Whom it knows, and how to ask it.
fn listing(simulator: &Simulator) -> String {
    let (url, world) = (simulator.base_url(), simulator.world());
    let mut text = format!("A simulated FlowGent answers at {url}\n");
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
