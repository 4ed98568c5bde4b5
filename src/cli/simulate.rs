//! `simulate`: a FlowGent API on a port of this machine, for people who want to try their own client.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::Context;
use clap::Args;

use super::{Failure, serve};
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
        FAULTS.iter().for_each(|(name, _)| println!("{name}"));
        return Ok(());
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

    println!("A simulated FlowGent answers at {}", simulator.base_url());
    for account in simulator.world().accounts() {
        let key = simulator.world().key(&account.name);
        println!("\naccount {} with the key {}", account.name, key.expose());
        for agent in &account.agents {
            println!("  {}  {}", agent.id, agent.name);
        }
        if let Some(agent) = account.agents.first() {
            let url = simulator.base_url();
            println!(
                "  curl -H 'Authorization: {}' {url}agent/{}/usage",
                key.expose(),
                agent.id
            );
        }
    }
    stop.cancelled().await;
    simulator.shutdown().await;
    Ok(())
}

/// A simulator on that address.
pub(super) fn start(settings: &Settings, address: SocketAddr) -> Result<Simulator, Failure> {
    let listener =
        TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    Ok(Simulator::start(settings, Arc::new(SystemClock), listener)?)
}
