//! What keeping a history costs beside fetching it: a client that only fetches and validates, and a
//! sync that has every row on the disk, in turn, both against a simulator in another process.
//!
//! `cargo bench --bench backfill -- [directory]`; the ledger is written in that directory, by default
//! the system's temporary one. It should be on a disk: in memory, flushing costs nothing.

#[path = "common/process.rs"]
#[allow(dead_code, reason = "each bench uses a part of what they share")]
mod process;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use flowgent_exporter::clock::{ManualClock, SharedClock, instant};
use flowgent_exporter::day::{Day, TRACKING_START};
use flowgent_exporter::egress::Roots;
use flowgent_exporter::flowgent;
use flowgent_exporter::flowgent::client::Client;
use flowgent_exporter::flowgent::error::ApiError;
use flowgent_exporter::flowgent::transport::HttpClient;
use flowgent_exporter::ledger::Ledger;
use flowgent_exporter::roster::{AccountSettings, Agent};
use flowgent_exporter::secret::Secret;
use flowgent_exporter::secret::SecretSource;
use flowgent_exporter::simulator::{self, Simulator, World};
use flowgent_exporter::sync::{Observer, Outcome, Syncer, Wanted};
use flowgent_exporter::telemetry::Telemetry;
use flowgent_exporter::validate;
use flowgent_exporter::window::Window;
use flowgent_exporter::window::plan::{self, Policy, Refresh};
use process::{Running, cpu_seconds, median};

const AGENTS: usize = 1000;
const HISTORY_DAYS: i32 = 540;
const CONCURRENCY: usize = 64;
/// Of each kind, after one that is not counted.
const ROUNDS: usize = 7;
const ACCOUNT: &str = "acme";
const KEY: &str = "test-key-acme";
const POLICY: Policy = Policy {
    history_start: TRACKING_START,
    settle_days: 3,
};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("simulate") => simulate(),
        first => {
            // Cargo passes `--bench`, which says nothing here.
            let directory = first
                .map(ToOwned::to_owned)
                .into_iter()
                .chain(arguments)
                .find(|argument| !argument.starts_with('-'));
            compare(&directory.map_or_else(std::env::temp_dir, PathBuf::from))
        }
    }
}

/// The day on which this happens, in both processes.
fn clock() -> SharedClock {
    ManualClock::at(TRACKING_START.plus(HISTORY_DAYS).start())
}

fn settings() -> simulator::Settings {
    let account = simulator::AccountSettings::numbered(ACCOUNT, Secret::new(KEY), AGENTS);
    simulator::Settings {
        accounts: vec![account],
        late_share: 0.0,
        revised_share: 0.0,
        record_requests: false,
        ..simulator::Settings::demo(1)
    }
}

/// Simulates until standard input ends.
fn simulate() -> Result<()> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        let simulator = Simulator::start(&settings(), clock(), listener)?;
        println!("{}", simulator.base_url());
        let wait = tokio::task::spawn_blocking(|| std::io::stdin().read(&mut [0]));
        wait.await??;
        Ok(())
    })
}

/// What both kinds of round work with.
struct Scene {
    http: HttpClient,
    api: flowgent::Settings,
    account: AccountSettings,
    /// All windows of all agents, in the order in which a sync asks for them.
    work: Arc<[(Arc<str>, Window)]>,
    simulator: Running,
    /// Where the key and the ledgers are.
    folder: TempDir,
}

/// What one round took.
struct Cost {
    wall: Duration,
    own_cpu: f64,
    simulator_cpu: f64,
}

impl Scene {
    fn new(directory: &Path) -> Result<Self> {
        let folder = tempfile::tempdir_in(directory)?;
        let key = folder.path().join("acme.key");
        std::fs::write(&key, KEY)?;
        let program = std::env::current_exe()?;
        let mut simulator = Running::start(Command::new(program).arg("simulate"))?;
        let api = flowgent::Settings {
            base_url: simulator.line()?.parse()?,
            timeout: Duration::from_secs(30),
            requests_per_second: f64::INFINITY,
            concurrency: CONCURRENCY,
            roots: Roots::Bundled,
        };
        let world = World::new(&settings());
        let agents: Vec<Agent> = world.agents(ACCOUNT).iter().map(agent).collect();
        let today = Day::of(clock().now());
        let windows = plan::range(POLICY.history_start, today.previous(), today)?;
        let ids = || agents.iter().map(|agent| Arc::clone(&agent.id));
        let work = ids().map(|id| (id, windows.clone()));
        Ok(Self {
            http: HttpClient::new(&api)?,
            work: newest_first(work),
            api,
            account: AccountSettings {
                name: ACCOUNT.into(),
                api_key: SecretSource::File(key),
                labels: Default::default(),
                discover: false,
                max_discovered: 10_000,
                agents_file: None,
                agents,
            },
            simulator,
            folder,
        })
    }

    async fn measure(&self, work: impl Future<Output = Result<usize>>) -> Result<Cost> {
        let cpu = || anyhow::Ok((cpu_seconds("self")?, cpu_seconds(&self.simulator.id())?));
        let before = cpu()?;
        let started = instant();
        let rows = work.await?;
        let wall = started.elapsed();
        let after = cpu()?;
        ensure!(rows == AGENTS * HISTORY_DAYS as usize, "{rows} rows came");
        Ok(Cost {
            wall,
            own_cpu: after.0 - before.0,
            simulator_cpu: after.1 - before.1,
        })
    }

    /// Fetches and validates everything, and forgets it. Returns how many rows that were.
    async fn fetch(&self) -> Result<usize> {
        let telemetry = Telemetry::new();
        let client = Client::new(&self.http, &self.api, ACCOUNT.into(), &telemetry, clock());
        client.set_key(Secret::new(KEY))?;
        let (client, next) = (Arc::new(client), Arc::new(AtomicUsize::new(0)));
        let mut workers = JoinSet::new();
        for _ in 0..CONCURRENCY {
            let (work, client, next) = (
                Arc::clone(&self.work),
                Arc::clone(&client),
                Arc::clone(&next),
            );
            workers.spawn(async move {
                let mut rows = 0;
                while let Some((id, window)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let judge = |answer| Ok(validate::rows(window, id, &answer)?);
                    rows += client.usage(id, window, judge).await?.rows.len();
                }
                Ok::<_, ApiError>(rows)
            });
        }
        let rows = workers.join_all().await;
        Ok(rows.into_iter().sum::<Result<usize, _>>()?)
    }

    /// Syncs everything into `ledger`. Returns how many rows are on the disk.
    async fn sync(&self, ledger: &Ledger, telemetry: &Telemetry) -> Result<usize> {
        let syncer = Syncer::new(
            std::slice::from_ref(&self.account),
            POLICY,
            &self.api,
            &self.http,
            ledger.clone(),
            clock(),
            telemetry,
        );
        let observer: Observer = Arc::new(|_| {});
        let wanted = Wanted::Due(Refresh::NotFetchedToday);
        let report = syncer
            .run(&wanted, &observer, &CancellationToken::new())
            .await?;
        ensure!(report.outcome() == Outcome::Complete, "{report:?}");
        Ok(report.counts.new_days)
    }

    /// Syncs into a new ledger, which is opened before and closed after what is measured.
    async fn measure_sync(&self) -> Result<Cost> {
        let folder = tempfile::tempdir_in(self.folder.path())?;
        let telemetry = Telemetry::new();
        let ledger = Ledger::open(&folder.path().join("ledger.db"), POLICY, &telemetry)?;
        let cost = self.measure(self.sync(&ledger, &telemetry)).await?;
        ledger.close().await;
        Ok(cost)
    }
}

fn agent(simulated: &simulator::Agent) -> Agent {
    Agent {
        account: ACCOUNT.into(),
        id: Arc::clone(&simulated.id),
        name: Arc::clone(&simulated.name),
        labels: Arc::default(),
    }
}

/// The windows of all agents in the planner's order.
fn newest_first(work: impl Iterator<Item = (Arc<str>, Vec<Window>)>) -> Arc<[(Arc<str>, Window)]> {
    let (ids, windows): (Vec<_>, Vec<_>) = work.unzip();
    plan::newest_first(windows.into_iter().enumerate())
        .into_iter()
        .map(|(index, window)| (Arc::clone(&ids[index]), window))
        .collect()
}

fn compare(directory: &Path) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let scene = Scene::new(directory)?;
    println!(
        "{AGENTS} agents, {HISTORY_DAYS} days, {} requests, {CONCURRENCY} at once",
        scene.work.len()
    );
    let (mut fetches, mut syncs) = (Vec::new(), Vec::new());
    runtime.block_on(async {
        for round in 0..=ROUNDS {
            let fetch = scene.measure(scene.fetch()).await?;
            let sync = scene.measure_sync().await?;
            if round > 0 {
                fetches.push(fetch);
                syncs.push(sync);
            }
        }
        anyhow::Ok(())
    })?;
    let fetch = row("fetch and validate", &fetches, scene.work.len());
    let sync = row("sync, every row on the disk", &syncs, scene.work.len());
    println!("sync / fetch, requests per second    {:.2} x", sync / fetch);
    Ok(())
}

/// Prints the medians of all rounds of a kind; returns the requests per second.
fn row(what: &str, costs: &[Cost], requests: usize) -> f64 {
    let middle = |of: fn(&Cost) -> f64| median(costs.iter().map(of).collect());
    let seconds = middle(|cost| cost.wall.as_secs_f64());
    let rate = requests as f64 / seconds;
    let rows = (AGENTS * HISTORY_DAYS as usize) as f64 / seconds;
    println!(
        "{what:<28} {rate:8.0} requests/s {rows:9.0} rows/s {seconds:6.3} s wall, CPU {:.2} s here, {:.2} s in the simulator",
        middle(|cost| cost.own_cpu),
        middle(|cost| cost.simulator_cpu)
    );
    rate
}
