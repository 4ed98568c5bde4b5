//! Starts of the real program on a full ledger: the time from its execution to the first scrape that
//! holds all series, and the most memory it takes, also while it is scraped, reloads, and polls.
//!
//! `cargo bench --bench start -- [agents] [directory]`; 10,000 agents in the system's temporary
//! directory by default. 100,000 agents take about 1 GB of disk and a minute to prepare.

#[path = "common/history.rs"]
mod history;
#[path = "common/process.rs"]
#[allow(dead_code, reason = "each bench uses a part of what they share")]
mod process;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chrono::TimeDelta;
use flate2::bufread::GzDecoder;
use serde_json::json;
use tokio::time::Instant;

use flowgent_exporter::clock::{Clock, SystemClock, instant};
use flowgent_exporter::day::{Day, TRACKING_START};
use flowgent_exporter::ledger::Identity;
use flowgent_exporter::secret::Secret;
use flowgent_exporter::simulator::{self, AccountSettings, AgentSettings, Simulator};
use flowgent_exporter::window::plan::Policy;
use process::{Running, median, peak_rss_mib};

const HISTORY_DAYS: i32 = 540;
const ROUNDS: usize = 3;
const SCRAPES: usize = 20;
/// How often the program is asked while nothing has come yet.
const PAUSE: Duration = Duration::from_millis(5);
/// A program that has not come so far by then never will.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() -> Result<()> {
    // Cargo passes `--bench`, which says nothing here.
    let mut arguments = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'));
    let agents = match arguments.next() {
        Some(agents) => agents.replace('_', "").parse()?,
        None => 10_000,
    };
    let directory = arguments
        .next()
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(directory)?;
    let runtime = tokio::runtime::Runtime::new()?;

    // The program lives by the system's clock, so the history ends yesterday.
    let now = SystemClock.now();
    let today = Day::of(now);
    let policy = Policy {
        history_start: TRACKING_START.max(today.plus(-HISTORY_DAYS)),
        settle_days: 3,
    };
    let simulator = {
        let _inside = runtime.enter();
        let settings = settings(agents);
        let listener = TcpListener::bind("127.0.0.1:0")?;
        Simulator::start(&settings, Arc::new(SystemClock), listener)?
    };
    let program = Program::new(folder.path(), agents, policy, &simulator)?;
    let ledger = folder.path().join("ledger.db");
    let truth = simulator.world().agents(history::ACCOUNT);
    // As it was a day ago, so that the first start has a poll of all agents to do.
    runtime.block_on(history::fill(
        &ledger,
        policy,
        history::identities(agents),
        now - TimeDelta::days(1),
        |agent, day| simulator.world().final_truth(&truth[agent], day),
    ))?;
    println!(
        "{agents} agents, {} days, {:.0} MB of ledger",
        today.since(policy.history_start),
        std::fs::metadata(ledger)?.len() as f64 / 1e6
    );

    let poll = program.poll()?;
    let polled = simulator.journal().total();
    ensure!(
        polled == agents as u64,
        "{polled} requests for {agents} agents"
    );

    let rounds = (0..ROUNDS).map(|_| program.round());
    let rounds = rounds.collect::<Result<Vec<Round>>>()?;
    let first = rounds.iter().map(|round| round.first.as_secs_f64());
    let first: Vec<f64> = first.collect();
    println!(
        "exec to first full scrape    {:.3} s ({})",
        median(first.clone()),
        first
            .iter()
            .map(|seconds| format!("{seconds:.3}"))
            .collect::<Vec<_>>()
            .join(", ")
    );
    for (what, of) in [
        (
            "peak RSS at the first scrape",
            (|round| round.first_rss_mib) as fn(&Round) -> f64,
        ),
        ("peak RSS while serving", |round| round.serving_rss_mib),
        ("peak RSS after a reload", |round| round.reloaded_rss_mib),
    ] {
        println!(
            "{what:<28} {:.0} MiB",
            median(rounds.iter().map(of).collect())
        );
    }
    println!("peak RSS over a poll of all  {poll:.0} MiB");
    let asked = simulator.journal().total() - polled;
    ensure!(
        asked == 0,
        "the program asked {asked} times for what it knew"
    );
    Ok(())
}

/// A FlowGent that knows `agents`, and what they used.
fn settings(agents: usize) -> simulator::Settings {
    let agent = |(_, id): Identity| AgentSettings {
        name: id.to_string(),
        id: Some(id.to_string()),
    };
    let account = AccountSettings {
        name: history::ACCOUNT.to_owned(),
        key: Secret::new("test-key-acme"),
        agents: history::identities(agents).into_iter().map(agent).collect(),
    };
    simulator::Settings {
        accounts: vec![account],
        late_share: 0.0,
        revised_share: 0.0,
        record_requests: false,
        ..simulator::Settings::demo(1)
    }
}

/// How to start the program, and what to expect of it.
struct Program {
    config: PathBuf,
    port: u16,
    agents: usize,
}

/// What was seen of one start.
struct Round {
    first: Duration,
    first_rss_mib: f64,
    serving_rss_mib: f64,
    reloaded_rss_mib: f64,
}

impl Program {
    fn new(folder: &Path, agents: usize, policy: Policy, simulator: &Simulator) -> Result<Self> {
        let list: Vec<_> = history::identities(agents)
            .into_iter()
            .enumerate()
            .map(|(number, (_, id))| {
                let team = format!("team-{}", number % 12);
                json!({"id": *id, "name": format!("agent-{number}"), "labels": {"team": team}})
            })
            .collect();
        std::fs::write(folder.join("agents.json"), serde_json::to_vec(&list)?)?;
        std::fs::write(folder.join("acme.key"), "test-key-acme")?;
        // Free a moment ago, and nobody else is likely to take it.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let config = folder.join("config.toml");
        let text = format!(
            "[server]\nlisten = [\"127.0.0.1:{port}\"]\n\n\
             [storage]\npath = \"ledger.db\"\n\n\
             [schedule]\nhistory_start = \"{}\"\nsettle_days = {}\n\n\
             [api]\nbase_url = \"{}\"\nrequests_per_second = 1000000\nconcurrency = 64\n\n\
             [[account]]\nname = \"{}\"\napi_key_file = \"acme.key\"\nagents_file = \"agents.json\"\n",
            policy.history_start,
            policy.settle_days,
            simulator.base_url(),
            history::ACCOUNT
        );
        std::fs::write(&config, text)?;
        Ok(Self {
            config,
            port,
            agents,
        })
    }

    fn start(&self) -> Result<Running> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flowgent-exporter"));
        command.arg("--config.file").arg(&self.config);
        Running::start(command.stderr(Stdio::null()))
    }

    /// The peak RSS in MiB of a start that finds a day of all agents to be missing.
    fn poll(&self) -> Result<f64> {
        let started = instant();
        let running = self.start()?;
        self.wait_for_syncs(&mut self.connect(started)?, 1)?;
        peak_rss_mib(&running.id())
    }

    fn round(&self) -> Result<Round> {
        let started = instant();
        let running = self.start()?;
        let mut stream = self.connect(started)?;
        let arrived = loop {
            let body = scrape(&mut stream)?;
            let arrived = instant();
            // Until the ledger is loaded, there is only the exporter's own telemetry.
            let own = body.len() < 16 * 1024;
            if !own || arrived - started > PATIENCE {
                self.check(&body)?;
                break arrived;
            }
            std::thread::sleep(PAUSE);
        };
        let first_rss_mib = peak_rss_mib(&running.id())?;
        self.wait_for_syncs(&mut stream, 1)?;
        for _ in 0..SCRAPES {
            scrape(&mut stream)?;
        }
        let serving_rss_mib = peak_rss_mib(&running.id())?;
        let text = std::fs::read_to_string(&self.config)?;
        // A reload that changes nothing syncs nothing.
        let changed = text.replace("[schedule]\n", "[schedule]\njitter = \"9m\"\n");
        std::fs::write(&self.config, changed)?;
        let kill = Command::new("kill")
            .args(["-HUP", &running.id()])
            .status()?;
        ensure!(kill.success(), "kill failed");
        self.wait_for_syncs(&mut stream, 2)?;
        std::fs::write(&self.config, text)?;
        Ok(Round {
            first: arrived - started,
            first_rss_mib,
            serving_rss_mib,
            reloaded_rss_mib: peak_rss_mib(&running.id())?,
        })
    }

    fn connect(&self, started: Instant) -> Result<TcpStream> {
        loop {
            match TcpStream::connect(("127.0.0.1", self.port)) {
                Ok(stream) => return Ok(stream),
                Err(error) if started.elapsed() > PATIENCE => return Err(error.into()),
                Err(_) => std::thread::sleep(PAUSE),
            }
        }
    }

    /// Whether a scrape holds every agent in every family that all of them are in.
    fn check(&self, body: &[u8]) -> Result<()> {
        let mut counts = [
            ("flowgent_agent_info{", 0),
            ("flowgent_agent_used_credits_total{", 0),
            ("flowgent_agent_previous_day_credits{", 0),
            ("flowgent_agent_previous_30_days_credits{", 0),
            ("flowgent_agent_last_success_timestamp_seconds{", 0),
        ];
        for line in BufReader::new(GzDecoder::new(body)).lines() {
            let line = line?;
            for (start, count) in &mut counts {
                *count += usize::from(line.starts_with(*start));
            }
        }
        let all = counts.iter().all(|(_, count)| *count == self.agents);
        ensure!(all, "{counts:?} of {} agents", self.agents);
        Ok(())
    }

    /// Waits until so many syncs are over and what they changed has been rendered.
    fn wait_for_syncs(&self, stream: &mut TcpStream, count: u64) -> Result<()> {
        let started = instant();
        let complete = "flowgent_exporter_syncs_total{outcome=\"complete\"} ";
        let rendered = "flowgent_exporter_render_duration_seconds_count ";
        let mut last = None;
        loop {
            let body = scrape(stream)?;
            let mut figures = [0, 0];
            // The exporter's own telemetry comes first.
            for line in BufReader::new(GzDecoder::new(&body[..])).lines() {
                let line = line?;
                if line.starts_with("flowgent_agent_") {
                    break;
                }
                for (figure, start) in figures.iter_mut().zip([complete, rendered]) {
                    if let Some(value) = line.strip_prefix(start) {
                        *figure = value.parse()?;
                    }
                }
            }
            let [syncs, _] = figures;
            if syncs >= count && last == Some(figures) {
                return Ok(());
            }
            ensure!(
                started.elapsed() < PATIENCE,
                "{syncs} of {count} syncs are over"
            );
            last = Some(figures);
            std::thread::sleep(Duration::from_secs(1));
        }
    }
}

/// Scrapes over a kept connection. Returns the body, a gzip member.
fn scrape(stream: &mut TcpStream) -> Result<Vec<u8>> {
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n")?;
    let mut reader = BufReader::with_capacity(256 * 1024, stream);
    let (mut line, mut length) = (String::new(), None);
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = Some(value.parse()?);
        }
    }
    let mut body = vec![0; length.context("the response has no length")?];
    reader.read_exact(&mut body)?;
    Ok(body)
}
