//! Fills a ledger through its public API as a backfill does, newest windows first and breadth first,
//! then starts from it as the exporter does. Prints what that costs in space, time and memory.
//!
//! `cargo bench --bench ledger -- [agents] [directory]`; 10,000 agents in the system's temporary
//! directory by default. 100,000 agents take about 1 GB of disk.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use flowgent_exporter::clock::instant;
use flowgent_exporter::day::{Day, TRACKING_START, Usage};
use flowgent_exporter::ledger::{AgentNumber, Fetched, Identity, Ledger};
use flowgent_exporter::telemetry::Telemetry;
use flowgent_exporter::window::plan::Policy;
use flowgent_exporter::window::{MAX_DAYS, Window};
use tokio::task::JoinSet;

const HISTORY_DAYS: i32 = 540;
const RECENT_DAYS: i32 = 62;
/// Commits under way at once, as many as a sync of many accounts has.
const CONCURRENCY: usize = 1024;
const POLICY: Policy = Policy {
    history_start: TRACKING_START,
    settle_days: 3,
};

fn main() -> Result<(), Box<dyn Error>> {
    // Cargo passes `--bench`, which says nothing here.
    let mut arguments = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'));
    let agents = match arguments.next() {
        Some(agents) => agents.replace('_', "").parse()?,
        None => 10_000,
    };
    let directory = match arguments.next() {
        Some(directory) => tempfile::tempdir_in(directory)?,
        None => tempfile::tempdir()?,
    };
    let path = directory.path().join("ledger.db");
    let runtime = tokio::runtime::Builder::new_multi_thread().build()?;
    runtime.block_on(fill(&path, agents))?;
    runtime.block_on(start(&path, agents))
}

fn identities(agents: usize) -> Vec<Identity> {
    let account: Arc<str> = "acme".into();
    (0..agents)
        .map(|agent| {
            let id = format!("66a72b17-cb03-4397-ab2a-{agent:012}");
            (account.clone(), id.into())
        })
        .collect()
}

async fn fill(path: &Path, agents: usize) -> Result<(), Box<dyn Error>> {
    let ledger = Ledger::open(path, POLICY, &Telemetry::new())?;
    let numbers = ledger.register(identities(agents)).await?;
    let today = TRACKING_START.plus(HISTORY_DAYS);
    let started = instant();
    let mut commits = JoinSet::new();
    let mut end = today.previous();
    while end >= TRACKING_START {
        let first = end.plus(1 - MAX_DAYS).max(TRACKING_START);
        let window = Window::new(first, end, today)?;
        for &agent in &numbers {
            if commits.len() >= CONCURRENCY
                && let Some(committed) = commits.join_next().await
            {
                committed??;
            }
            let ledger = ledger.clone();
            let fetched = answer(agent, window, today);
            commits.spawn(async move { ledger.commit(fetched).await });
        }
        end = first.previous();
    }
    while let Some(committed) = commits.join_next().await {
        committed??;
    }
    let seconds = started.elapsed().as_secs_f64();
    ledger.close().await;

    let days = numbers.len() as f64 * f64::from(HISTORY_DAYS);
    let windows = numbers.len() as f64 * f64::from((HISTORY_DAYS + MAX_DAYS - 1) / MAX_DAYS);
    let bytes = fs::metadata(path)?.len() as f64;
    println!("agents                    {agents}, {HISTORY_DAYS} days each");
    println!("bytes per agent-day       {:.2}", bytes / days);
    println!("rows stored per second    {:.0}", days / seconds);
    println!("windows stored per second {:.0}", windows / seconds);
    println!("peak RSS while filling    {}", peak_rss()?);
    Ok(())
}

/// An answer as the API gives it, newest day first. Most days are whole credits, some are not.
fn answer(agent: AgentNumber, window: Window, today: Day) -> Fetched {
    let mut random = fastrand::Rng::with_seed(window.start().number().unsigned_abs().into());
    let mut credits = || match random.u32(0..10) {
        0..2 => 0.0,
        2..9 => f64::from(random.u32(1..5000)),
        _ => f64::from(random.u32(1..500_000)) / 100.0,
    };
    Fetched {
        agent,
        window,
        rows: window
            .days()
            .rev()
            .map(|day| Usage {
                day,
                credits: credits(),
            })
            .collect(),
        at: today.start(),
    }
}

async fn start(path: &Path, agents: usize) -> Result<(), Box<dyn Error>> {
    let identities = identities(agents);
    reset_peak_rss()?;
    let started = instant();
    let mut lap = started;
    let mut report = |step: &str| {
        let now = instant();
        let milliseconds = (now - lap).as_secs_f64() * 1000.0;
        println!("{step:<25} {milliseconds:.1} ms");
        lap = now;
    };
    let ledger = Ledger::open(path, POLICY, &Telemetry::new())?;
    report("open");
    let numbers = ledger.register(identities).await?;
    report("register");
    let coverage = ledger
        .coverage(
            numbers
                .iter()
                .map(|number| (*number, TRACKING_START))
                .collect(),
        )
        .await?;
    report("coverage");
    let recent_from = TRACKING_START.plus(HISTORY_DAYS - RECENT_DAYS);
    let sums = ledger
        .snapshot(numbers, recent_from, |_, totals, recent| {
            let recent: f64 = recent.iter().map(|usage| usage.credits).sum();
            totals.frontier_credits + recent
        })
        .await?;
    report("snapshot");
    println!(
        "start in all              {:.1} ms ({} known agents, {:.0} credits)",
        started.elapsed().as_secs_f64() * 1000.0,
        coverage.len(),
        sums.iter().sum::<f64>()
    );
    println!("peak RSS while starting   {}", peak_rss()?);
    ledger.close().await;
    Ok(())
}

/// The highest resident set size so far, as the kernel has counted it.
fn peak_rss() -> Result<String, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    Ok(peak.unwrap_or("unknown").trim().to_owned())
}

/// Makes the kernel count from the present size on, so that filling does not hide starting.
fn reset_peak_rss() -> Result<(), Box<dyn Error>> {
    Ok(fs::write("/proc/self/clear_refs", "5")?)
}
