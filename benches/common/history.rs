//! A ledger full of history, filled through the ledger's own interface as a backfill fills it.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use chrono::{DateTime, Utc};
use flowgent_exporter::day::{Day, Usage};
use flowgent_exporter::ledger::{AgentNumber, Fetched, Identity, Ledger};
use flowgent_exporter::telemetry::Telemetry;
use flowgent_exporter::window::Window;
use flowgent_exporter::window::plan::{self, Policy};
use tokio::task::JoinSet;

/// The account of all agents.
pub(crate) const ACCOUNT: &str = "acme";
/// Commits under way at once, as many as a sync has.
const CONCURRENCY: usize = 1024;

/// So many agents of one account.
pub(crate) fn identities(agents: usize) -> Vec<Identity> {
    let account: Arc<str> = ACCOUNT.into();
    (0..agents)
        .map(|agent| {
            let id = format!("66a72b17-cb03-4397-ab2a-{agent:012}");
            (account.clone(), id.into())
        })
        .collect()
}

/// Fills a ledger at `path` with all days of `agents` that are over at the instant `at`, newest
/// windows first and breadth first. `credits` tells what an agent, by its place, used on a day.
pub(crate) async fn fill(
    path: &Path,
    policy: Policy,
    agents: Vec<Identity>,
    at: DateTime<Utc>,
    credits: impl Fn(usize, Day) -> f64,
) -> Result<()> {
    let ledger = Ledger::open(path, policy, &Telemetry::new())?;
    let numbers = ledger.register(agents).await?;
    let today = Day::of(at);
    let windows = plan::range(policy.history_start, today.previous(), today)?;
    let mut commits = JoinSet::new();
    for &window in &windows {
        for (place, &agent) in numbers.iter().enumerate() {
            if commits.len() >= CONCURRENCY
                && let Some(committed) = commits.join_next().await
            {
                committed??;
            }
            let ledger = ledger.clone();
            let fetched = answer(agent, window, at, |day| credits(place, day));
            commits.spawn(async move { ledger.commit(fetched).await });
        }
    }
    while let Some(committed) = commits.join_next().await {
        committed??;
    }
    ledger.close().await;
    Ok(())
}

/// An answer as the API gives it, newest day first.
fn answer(
    agent: AgentNumber,
    window: Window,
    at: DateTime<Utc>,
    credits: impl Fn(Day) -> f64,
) -> Fetched {
    let usage = |day| Usage {
        day,
        credits: credits(day),
    };
    Fetched {
        agent,
        window,
        rows: window.days().rev().map(usage).collect(),
        at,
    }
}
