//! Reloads, one after the other: `serve` with accounts, rules and hooks reads its config again, every tenth time
//! another one. What it takes of memory, file descriptors, tasks and threads once it has warmed up stands beside
//! what it takes in the end.
//!
//! `cargo bench --bench reload -- [reloads]`; 10,000 by default, which take some ten minutes.

#[path = "common/process.rs"]
#[allow(dead_code, reason = "each bench uses a part of what they share")]
mod process;

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flowgent_exporter::clock::{SharedClock, SystemClock, instant};
use flowgent_exporter::simulator::{Settings, Simulator};
use process::{Running, rss_mib};

const RELOADS: usize = 10_000;
/// This share of the reloads is for warming up: caches fill, the allocator takes what it will need.
const WARM_UP: usize = 10;
/// How much more it may have in the end.
const MORE_MIB: f64 = 5.0;
const MORE_TASKS: f64 = 2.0;
const MORE_FILES: f64 = 2.0;
const PATIENCE: Duration = Duration::from_secs(120);

fn main() -> Result<()> {
    // Cargo passes `--bench`, which says nothing here.
    let mut arguments = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'));
    let reloads: usize = arguments.next().map_or(Ok(RELOADS), |text| text.parse())?;
    let runtime = tokio::runtime::Runtime::new()?;
    let _runtime = runtime.enter();
    let folder = tempfile::tempdir()?;
    let clock: SharedClock = Arc::new(SystemClock);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let simulator = Simulator::start(&Settings::demo(1), clock, listener)?;
    let exporter = Exporter::start(folder.path(), &simulator)?;
    exporter.wait_for_a_sync()?;

    let started = instant();
    let mut warm = exporter.sample()?;
    for number in 1..=reloads {
        if number % 10 == 0 {
            exporter.configure(&simulator, number)?;
        }
        let reply = exporter.ask("POST", "/-/reload")?;
        ensure!(reply.ends_with("config reloaded\n"), "{reply}");
        if (number * WARM_UP).is_multiple_of(reloads) {
            let sample = exporter.sample()?;
            println!(
                "{number} reloads: {:.1} MiB, {} tasks",
                sample.rss_mib, sample.tasks
            );
            if number * WARM_UP == reloads {
                warm = sample;
            }
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let last = exporter.sample()?;
    println!("{reloads} reloads in {seconds:.0} s");
    println!("                             warmed up     in the end");
    for (what, [warm, last], more) in [
        (
            "resident memory, MiB",
            [warm.rss_mib, last.rss_mib],
            MORE_MIB,
        ),
        ("asynchronous tasks", [warm.tasks, last.tasks], MORE_TASKS),
        (
            "open file descriptors",
            [warm.files, last.files],
            MORE_FILES,
        ),
        ("threads", [warm.threads, last.threads], MORE_TASKS),
    ] {
        println!("{what:<28} {warm:>9.1} {last:>14.1}");
        ensure!(
            last <= warm + more,
            "{what}: {last} are more than {warm} and {more}"
        );
    }
    Ok(())
}

struct Exporter<'a> {
    running: Running,
    folder: &'a Path,
    port: u16,
}

struct Sample {
    rss_mib: f64,
    tasks: f64,
    files: f64,
    threads: f64,
}

impl<'a> Exporter<'a> {
    fn start(folder: &'a Path, simulator: &Simulator) -> Result<Self> {
        // Free a moment ago, and nobody else is likely to take it.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let config = folder.join("config.toml");
        write_config(folder, port, simulator, 0)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_flowgent-exporter"));
        command
            .arg("--config.file")
            .arg(config)
            .arg("--web.enable-lifecycle")
            .stderr(Stdio::null());
        Ok(Self {
            running: Running::start(&mut command)?,
            folder,
            port,
        })
    }

    fn configure(&self, simulator: &Simulator, number: usize) -> Result<()> {
        write_config(self.folder, self.port, simulator, number)
    }

    fn ask(&self, method: &str, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        let host = format!("localhost:{}", self.port);
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        )?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply)?;
        Ok(reply)
    }

    fn figure(&self, text: &str, name: &str) -> Result<f64> {
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(value.with_context(|| format!("no {name}"))?.parse()?)
    }

    /// Waits for the first sync, which is incomplete at hours at which some figures are late.
    fn wait_for_a_sync(&self) -> Result<()> {
        let started = instant();
        loop {
            let ended = self.ask("GET", "/metrics").and_then(|text| {
                self.figure(&text, "flowgent_exporter_sync_last_end_timestamp_seconds")
            });
            if ended.as_ref().is_ok_and(|ended| *ended > 0.0) {
                return Ok(());
            }
            ensure!(started.elapsed() < PATIENCE, "no sync ended: {ended:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// What it takes while no sync is under way.
    fn sample(&self) -> Result<Sample> {
        let started = instant();
        let text = loop {
            let text = self.ask("GET", "/metrics")?;
            if self.figure(&text, "flowgent_exporter_sync_running")? == 0.0 {
                break text;
            }
            ensure!(started.elapsed() < PATIENCE, "a sync does not end");
            std::thread::sleep(Duration::from_millis(100));
        };
        Ok(Sample {
            rss_mib: rss_mib(&self.running.id())?,
            tasks: self.figure(&text, "flowgent_exporter_runtime_tasks")?,
            files: self.figure(&text, "process_open_fds")?,
            threads: self.figure(&text, "process_threads")?,
        })
    }
}

/// Writes a config whose rules, hooks and accounts change with `number`.
fn write_config(folder: &Path, port: u16, simulator: &Simulator, number: usize) -> Result<()> {
    let mut text = format!(
        "[server]\nlisten = [\"127.0.0.1:{port}\"]\n[storage]\npath = \"ledger.db\"\n\
         [api]\nbase_url = \"{}\"\nrequests_per_second = 1000\n\
         [[rule]]\nname = \"busy\"\nkind = \"usage\"\nover = {}\nspan = \"previous_day\"\n\
         hooks = [\"ops\"]\n\
         [[hook]]\nname = \"ops\"\nkind = \"exec\"\ncommand = [\"/bin/true\"]\ntimeout = \"{}s\"\n",
        simulator.base_url(),
        1_000_000_000 + number,
        1 + number % 7,
    );
    for account in simulator.world().accounts() {
        let key = simulator.world().key(&account.name);
        fs::write(folder.join(format!("{}.key", account.name)), key.expose())?;
        writeln!(
            text,
            "[[account]]\nname = \"{0}\"\napi_key_file = \"{0}.key\"\nlabels = {{ round = \"{1}\" }}",
            account.name,
            number % 3
        )?;
        for agent in &account.agents {
            writeln!(
                text,
                "[[account.agent]]\nid = \"{}\"\nname = \"{}\"",
                agent.id, agent.name
            )?;
        }
    }
    // Renamed into place, so that the program never reads half of it.
    fs::write(folder.join("config.new"), text)?;
    Ok(fs::rename(
        folder.join("config.new"),
        folder.join("config.toml"),
    )?)
}
