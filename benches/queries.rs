//! Memory under queries: the real program with 50,000 agents, and 64 clients that ask for the same long answer again
//! and again. For each kind of answer, the most resident memory while they ask and what stays of it once they are
//! gone, beside what it took before; and how long scrapes, probes and the status wait meanwhile.
//!
//! `cargo bench --bench queries -- [agents] [days] [seconds] [directory]`; 50,000 agents with 540 days, 20 seconds of
//! each flood, in the system's temporary directory by default. The ledger takes about 0.5 GB.

#[path = "common/history.rs"]
mod history;
#[path = "common/process.rs"]
#[allow(dead_code, reason = "each bench uses a part of what they share")]
mod process;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use flowgent_exporter::clock::{Clock, SystemClock, instant};
use flowgent_exporter::day::{Day, TRACKING_START};
use flowgent_exporter::window::plan::Policy;
use process::{Running, peak_rss_mib, rss_mib};

const CLIENTS: usize = 64;
/// The most memory that a flood may take, and what may stay of it.
const MOST_MIB: f64 = 160.0;
const MORE: f64 = 0.10;
/// Idle threads end after 10 s, so what they held is given back by then.
const REST: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(300);
/// Between two looks at what must not wait.
const PAUSE: Duration = Duration::from_millis(50);
/// What must not wait for long answers.
const PROMPT: [&str; 3] = ["/metrics", "/-/healthy", "/api/v1/status"];

fn main() -> Result<()> {
    // Cargo passes `--bench`, which says nothing here.
    let arguments = std::env::args().skip(1);
    let mut arguments = arguments.filter(|argument| !argument.starts_with('-'));
    let mut number = |default: u64| match arguments.next() {
        Some(text) => text.replace('_', "").parse(),
        None => Ok(default),
    };
    let agents: usize = number(50_000)?.try_into()?;
    let days: i32 = number(540)?.try_into()?;
    let flood = Duration::from_secs(number(20)?);
    let directory = arguments
        .next()
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(directory)?;
    let now = SystemClock.now();
    let today = Day::of(now);
    let policy = Policy {
        history_start: TRACKING_START.max(today.plus(-days)),
        settle_days: 3,
    };
    println!("filling a ledger with {days} days of {agents} agents …");
    tokio::runtime::Runtime::new()?.block_on(history::fill(
        &folder.path().join("ledger.db"),
        policy,
        history::identities(agents),
        now,
        |agent, day| f64::from(day.number() * 7 % 31) + (agent % 97) as f64,
    ))?;
    let program = Program::start(folder.path(), agents, policy)?;
    let (ten_years, month) = (today.plus(-3660), today.plus(-30));
    let mut fits = true;
    for (what, path, headers) in [
        (
            "usage, 10 years",
            format!("/api/v1/usage?start={ten_years}"),
            "",
        ),
        (
            "usage, 10 years, gzip",
            format!("/api/v1/usage?start={ten_years}"),
            GZIP,
        ),
        ("usage.csv, 7 days", "/api/v1/usage.csv".to_owned(), ""),
        (
            "usage.csv, 30 days, gzip",
            format!("/api/v1/usage.csv?start={month}"),
            GZIP,
        ),
        (
            "agents, 1,000 a page",
            "/api/v1/agents?limit=1000".to_owned(),
            GZIP,
        ),
        ("/", "/".to_owned(), GZIP),
    ] {
        fits &= program.flood(what, &path, headers, flood)?;
    }
    println!(
        "{}",
        if fits {
            "all within the bounds"
        } else {
            "NOT within the bounds"
        }
    );
    Ok(())
}

const GZIP: &str = "Accept-Encoding: gzip\r\n";

struct Program {
    running: Running,
    address: SocketAddr,
    idle_mib: f64,
}

impl Program {
    /// Starts it, and waits until it has loaded all and has nothing to do.
    fn start(folder: &Path, agents: usize, policy: Policy) -> Result<Self> {
        let list: Vec<_> = history::identities(agents)
            .into_iter()
            .enumerate()
            .map(|(number, (_, id))| json!({"id": *id, "name": format!("agent-{number}")}))
            .collect();
        std::fs::write(folder.join("agents.json"), serde_json::to_vec(&list)?)?;
        std::fs::write(folder.join("acme.key"), "test-key-acme")?;
        // Free a moment ago, and nobody else is likely to take them.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let nobody = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let text = format!(
            "[server]\nlisten = [\"{address}\"]\n[storage]\npath = \"ledger.db\"\n\
             [schedule]\nhistory_start = \"{}\"\nsettle_days = {}\n\
             [api]\nbase_url = \"http://{nobody}/\"\n\
             [[account]]\nname = \"{}\"\napi_key_file = \"acme.key\"\nagents_file = \"agents.json\"\n",
            policy.history_start,
            policy.settle_days,
            history::ACCOUNT,
        );
        let config = folder.join("config.toml");
        std::fs::write(&config, text)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_flowgent-exporter"));
        command.arg("--config.file").arg(config);
        let mut program = Self {
            running: Running::start(command.stderr(Stdio::null()))?,
            address,
            idle_mib: 0.0,
        };
        let started = instant();
        while !matches!(get(address, "/api/v1/agents", ""), Ok((200, _))) {
            ensure!(started.elapsed() < PATIENCE, "the program is not ready");
            thread::sleep(PAUSE);
        }
        get(address, "/metrics", GZIP)?;
        thread::sleep(REST);
        program.idle_mib = rss_mib(&program.running.id())?;
        println!("idle: {:.1} MiB", program.idle_mib);
        Ok(program)
    }

    /// Floods it, and prints what that took. Returns whether it is within the bounds.
    fn flood(&self, what: &str, path: &str, headers: &str, time: Duration) -> Result<bool> {
        let process = self.running.id();
        // From now on the peak is that of this flood.
        std::fs::write(format!("/proc/{process}/clear_refs"), "5")?;
        let over = AtomicBool::new(false);
        let (outcomes, prompt) = thread::scope(|scope| {
            let client = || {
                let mut outcomes: BTreeMap<String, u64> = BTreeMap::new();
                while !over.load(Ordering::Relaxed) {
                    let outcome = match ask(self.address, path, headers, &over) {
                        Ok((status, _)) => status.to_string(),
                        Err(error) => error.to_string(),
                    };
                    *outcomes.entry(outcome).or_default() += 1;
                }
                outcomes
            };
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
            let prompt = self.prompt(time);
            over.store(true, Ordering::Relaxed);
            let mut outcomes: BTreeMap<String, u64> = BTreeMap::new();
            for client in clients {
                for (outcome, times) in client.join().expect("clients do not panic") {
                    *outcomes.entry(outcome).or_default() += times;
                }
            }
            (outcomes, prompt)
        });
        let peak = peak_rss_mib(&process)?;
        thread::sleep(REST);
        let (idle, after) = (self.idle_mib, rss_mib(&process)?);
        let (prompt, is_prompt) = prompt;
        println!("{what:<26} peak {peak:6.1} MiB, then {after:6.1} MiB; {outcomes:?}; {prompt}");
        Ok(is_prompt && peak <= MOST_MIB && after <= idle * (1.0 + MORE))
    }

    /// How long what must not wait has waited, and how often it was not answered.
    fn prompt(&self, time: Duration) -> (String, bool) {
        let started = instant();
        let mut times: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        let mut failed = 0;
        while started.elapsed() < time {
            for path in PROMPT {
                let asked = instant();
                let answer = get(self.address, path, GZIP);
                failed += u32::from(!matches!(answer, Ok((200, _))));
                let millis = asked.elapsed().as_secs_f64() * 1e3;
                times.entry(path).or_default().push(millis);
            }
            thread::sleep(PAUSE);
        }
        let figures = times.into_iter().map(|(path, mut times)| {
            times.sort_by(f64::total_cmp);
            let (middle, last) = (times[times.len() / 2], times[times.len() - 1]);
            format!("{path} {middle:.0}, at most {last:.0} ms")
        });
        let figures: Vec<String> = figures.collect();
        (
            format!("{}; {failed} failed", figures.join("; ")),
            failed == 0,
        )
    }
}

/// Asks once, keeping nothing of the answer. Returns its status and how many bytes it had.
fn get(address: SocketAddr, path: &str, headers: &str) -> Result<(u16, usize)> {
    ask(address, path, headers, &AtomicBool::new(false))
}

/// The same, which hangs up when it is `over`.
fn ask(address: SocketAddr, path: &str, headers: &str, over: &AtomicBool) -> Result<(u16, usize)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let head = "HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
    stream.write_all(format!("GET {path} {head}{headers}\r\n").as_bytes())?;
    let mut buffer = vec![0; 64 * 1024];
    let (mut first, mut last, mut bytes) = (Vec::new(), Vec::new(), 0);
    loop {
        ensure!(!over.load(Ordering::Relaxed), "still under way");
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        bytes += read;
        if first.len() < 1024 {
            first.extend_from_slice(&buffer[..read]);
        }
        last.extend_from_slice(&buffer[..read]);
        last.drain(..last.len().saturating_sub(5));
    }
    let head = String::from_utf8_lossy(&first);
    let status = head.split(' ').nth(1).context("no answer")?.parse()?;
    let is_chunked = head.contains("\r\ntransfer-encoding: chunked\r\n");
    ensure!(!is_chunked || last == b"0\r\n\r\n", "a broken answer");
    Ok((status, bytes))
}
