//! `push`: sends the history to a database, once in the foreground.

use std::sync::Arc;

use anyhow::anyhow;
use clap::Args;

use super::{Common, Failure, count, load, print, progress, serve, view};
use crate::app;
use crate::clock::{SharedClock, SystemClock};
use crate::history::push::{Pusher, Summary};
use crate::ledger::{Fault, LedgerError};
use crate::telemetry::Telemetry;

/// Arguments of `push`.
#[derive(Debug, Args)]
pub(super) struct PushArguments {
    /// Push everything again, for a database that has lost its data.
    #[arg(long)]
    again: bool,
}

/// Pushes once and prints how that went.
pub(super) async fn push(common: &Common, arguments: &PushArguments) -> Result<(), Failure> {
    let clock: SharedClock = Arc::new(SystemClock);
    let config = load(common)?;
    let Some(settings) = config.push.clone() else {
        return Err(Failure::Usage(format!(
            "error: {} has no section [push]\n\n  tip: name the database in it: \
             `write_url = \"http://prometheus:9090/api/v1/write\"`",
            config.path.display()
        )));
    };
    let telemetry = Telemetry::new();
    let (_, stop) = serve::signals()?;
    let ledger = app::open_ledger(&config, &telemetry)
        .await
        .map_err(in_use)?;
    let members = view::members(&config, &ledger).await?;
    let pusher = Pusher::new(settings, ledger.clone(), clock, &telemetry);
    let bar = progress::bar(progress::AGENTS);
    bar.set_length(members.len() as u64);
    let pushing = async {
        if arguments.again {
            pusher.forget().await?;
        }
        pusher
            .pass(&members, |done| bar.set_position(done as u64))
            .await
    };
    let result = tokio::select! {
        result = pushing => Some(result),
        () = stop.cancelled() => None,
    };
    ledger.close().await;
    bar.finish_and_clear();
    let Some(result) = result else {
        return Err(anyhow!("interrupted: the next `push` pushes the rest").into());
    };
    let summary = result?;
    print(text(&summary, members.len()))?;
    if summary.refused.is_empty() {
        Ok(())
    } else {
        Err(Failure::Told)
    }
}

/// The error, with what to do if an exporter is running, for which this command is not needed.
fn in_use(error: LedgerError) -> anyhow::Error {
    match &error.fault {
        Fault::InUse(pid) => anyhow!(
            "{error}\n\n  tip: the running exporter pushes as [push] says; after an edit, reload it: kill -HUP {pid}"
        ),
        _ => error.into(),
    }
}

/// Summary of what was pushed, and what was not.
fn text(summary: &Summary, agents: usize) -> String {
    let Summary {
        place,
        samples,
        refused_samples,
        refused,
    } = summary;
    let mut text: String = refused.iter().map(|line| format!("{line}\n")).collect();
    text += &format!(
        "{place}: {} of {} pushed",
        count(samples, "sample"),
        count(agents, "agent")
    );
    if *refused_samples > 0 {
        text += &format!(", {refused_samples} refused");
    }
    text + "\n"
}
