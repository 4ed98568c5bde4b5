//! A long life in a short time: `demo` on a clock that runs through more than a year of days in some minutes,
//! with faults, scraped every second. What it takes of memory, file descriptors and tasks in the first
//! quarter after it has warmed up stands beside what it takes in the last one, and in the end its ledger is
//! compared with the truth, day by day.
//!
//! `cargo bench --bench soak -- [minutes] [days]`; 10 minutes and 400 days by default. Needs Debian's
//! `libfaketime`, which `tests/run` installs.

#[path = "../tests/integration/harness/faketime.rs"]
#[allow(
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a part of the tests' harness"
)]
mod faketime;
#[path = "common/process.rs"]
#[allow(dead_code, reason = "each bench uses a part of what they share")]
mod process;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};

use flowgent_exporter::clock::instant;
use flowgent_exporter::day::{Day, TRACKING_START};
use flowgent_exporter::ledger::View;
use flowgent_exporter::simulator::{Settings, World};
use process::{Running, cpu_seconds, median};

/// A first start that has two weeks of history to fill.
const HISTORY_DAYS: i32 = 14;
/// The clock is moved on by a quarter of a day at a time.
const STEPS_PER_DAY: i32 = 4;
const MINUTES: f64 = 10.0;
const DAYS: i32 = 400;
/// This share of the time is for warming up: caches fill, the allocator takes what it will need.
const WARM_UP: f64 = 0.1;
/// What goes wrong, and how often.
const FAULTS: [&str; 7] = [
    "500=0.03",
    "429=0.01",
    "cut=0.01",
    "html=0.01",
    "wrong-total=0.01",
    "missing-day=0.01",
    "malformed-date=0.01",
];
/// From so many days after a day on, FlowGent changes nothing about it.
const FINAL_DAYS: i32 = 4;
/// How long the last sync may take until nothing is missing.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() -> Result<()> {
    // Cargo passes `--bench`, which says nothing here.
    let mut arguments = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'));
    let minutes = arguments.next().map_or(Ok(MINUTES), |text| text.parse())?;
    let days: i32 = arguments.next().map_or(Ok(DAYS), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let clock = Clock {
        folder: folder.path(),
    };
    let mut now = TRACKING_START.plus(HISTORY_DAYS).start() + TimeDelta::hours(12);
    clock.set(now)?;

    let demo = Demo::start(folder.path())?;
    let mut samples = Vec::new();
    let started = instant();
    let length = Duration::from_secs_f64(minutes * 60.0);
    let step = length / u32::try_from(days * STEPS_PER_DAY)?;
    let steps = days * STEPS_PER_DAY;
    for number in 1..=steps {
        std::thread::sleep((step * u32::try_from(number)?).saturating_sub(started.elapsed()));
        now += TimeDelta::days(1) / STEPS_PER_DAY;
        clock.set(now)?;
        if started.elapsed().as_secs() >= samples.len() as u64 {
            samples.push(demo.sample()?);
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let cpu = cpu_seconds(&demo.running.id())?;
    let last = demo.settle(&clock, now)?;

    println!(
        "{days} days in {seconds:.0} s, {:.0} syncs, {} scrapes, {cpu:.0} s of CPU time, {} lines of warnings",
        last.syncs,
        samples.len(),
        demo.warnings()?,
    );
    report(&samples[(samples.len() as f64 * WARM_UP) as usize..]);
    let compared = demo.compare(Day::of(now))?;
    println!("the ledger equals the truth on all {compared} days of agents");
    Ok(())
}

/// The clock of the program.
struct Clock<'a> {
    folder: &'a Path,
}

impl Clock<'_> {
    fn set(&self, now: DateTime<Utc>) -> Result<()> {
        // Renamed into place, so that the program never reads half of it.
        let new = self.folder.join("clock.new");
        fs::write(&new, now.format("%Y-%m-%d %H:%M:%S").to_string())?;
        Ok(fs::rename(new, self.folder.join("clock"))?)
    }
}

/// A running `demo`.
struct Demo<'a> {
    running: Running,
    folder: &'a Path,
    address: String,
}

/// What was seen of the program at an instant.
struct Sample {
    resident_mib: f64,
    open_files: f64,
    tasks: f64,
    syncs: f64,
    missing_days: f64,
}

impl<'a> Demo<'a> {
    fn start(folder: &'a Path) -> Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flowgent-exporter"));
        let faults = FAULTS.iter().flat_map(|fault| ["--fault", fault]);
        command
            .args(["demo", "--web.listen-address", "127.0.0.1:0", "--data"])
            .arg(folder.join("demo"))
            .args(faults)
            .env("LD_PRELOAD", &*faketime::FAKETIME)
            .env("FAKETIME_TIMESTAMP_FILE", folder.join("clock"))
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .stderr(Stdio::from(File::create(folder.join("log"))?));
        let mut running = Running::start(&mut command)?;
        let address = running.find(|line| {
            let rest = line.split_once("Open http://")?.1;
            rest.split_once('/').map(|(address, _)| address.to_owned())
        })?;
        Ok(Self {
            running,
            folder,
            address,
        })
    }

    fn sample(&self) -> Result<Sample> {
        let text = scrape(&self.address)?;
        let sum = |name: &str| -> Result<f64> {
            let values = text.lines().filter_map(|line| {
                let (series, value) = line.rsplit_once(' ')?;
                (series.split('{').next() == Some(name)).then(|| value.parse::<f64>())
            });
            values
                .sum::<Result<f64, _>>()
                .context("a value is no number")
        };
        Ok(Sample {
            resident_mib: sum("process_resident_memory_bytes")? / 1024.0 / 1024.0,
            open_files: sum("process_open_fds")?,
            tasks: sum("flowgent_exporter_runtime_tasks")?,
            syncs: sum("flowgent_exporter_syncs_total")?,
            missing_days: sum("flowgent_agent_missing_days")?,
        })
    }

    /// Lets days pass until what was late is there and what was revised is final, and waits until nothing
    /// is missing.
    fn settle(&self, clock: &Clock<'_>, now: DateTime<Utc>) -> Result<Sample> {
        let started = instant();
        let mut now = now;
        for _ in 0..FINAL_DAYS {
            let syncs = self.sample()?.syncs;
            now += TimeDelta::days(1);
            clock.set(now)?;
            loop {
                let sample = self.sample()?;
                if sample.syncs > syncs {
                    break;
                }
                ensure!(started.elapsed() < PATIENCE, "no sync on {now}");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        loop {
            let sample = self.sample()?;
            if sample.missing_days == 0.0 {
                return Ok(sample);
            }
            let missing = sample.missing_days;
            ensure!(started.elapsed() < PATIENCE, "{missing} days stay missing");
            now += TimeDelta::minutes(15);
            clock.set(now)?;
            std::thread::sleep(Duration::from_millis(250));
        }
    }

    fn warnings(&self) -> Result<usize> {
        let log = fs::read_to_string(self.folder.join("log"))?;
        Ok(log.lines().filter(|line| line.contains("level=")).count())
    }

    /// Compares the ledger with what FlowGent says in the end, through the day before `today`. Returns on
    /// how many days of agents.
    fn compare(&self, today: Day) -> Result<usize> {
        let world = World::new(&Settings::demo(1));
        let view = View::open(&self.folder.join("demo/ledger.db"))?;
        let runtime = tokio::runtime::Runtime::new()?;
        let mut compared = 0;
        for agent in world.accounts().iter().flat_map(|account| &account.agents) {
            let identity = (agent.account.clone(), agent.id.clone());
            let numbers = runtime.block_on(view.numbers(vec![identity]))?;
            let number = numbers[0].with_context(|| format!("{} is not known", agent.id))?;
            let yesterday = today.previous();
            let kept = runtime.block_on(view.usage(number, TRACKING_START, yesterday))?;
            let days = TRACKING_START.through(yesterday);
            ensure!(
                kept.len() == days.clone().count(),
                "{}/{}: {} days of {}",
                agent.account,
                agent.name,
                kept.len(),
                days.count()
            );
            for (day, usage) in days.zip(&kept) {
                let truth = world.final_truth(agent, day);
                ensure!(
                    // Not by their bits: a day on which nothing was used may be minus zero in truth.
                    usage.day == day && usage.credits == truth,
                    "{}/{} on {day}: {} in the ledger, {truth} in truth",
                    agent.account,
                    agent.name,
                    usage.credits
                );
                compared += 1;
            }
        }
        Ok(compared)
    }
}

/// Prints what the first and the last quarter of the samples have in the middle.
fn report(samples: &[Sample]) {
    let quarter = samples.len() / 4;
    let (first, last) = (&samples[..quarter], &samples[samples.len() - quarter..]);
    println!("median of                    first quarter   last quarter");
    for (what, of) in [
        (
            "resident memory, MiB",
            (|sample| sample.resident_mib) as fn(&Sample) -> f64,
        ),
        ("open file descriptors", |sample| sample.open_files),
        ("asynchronous tasks", |sample| sample.tasks),
    ] {
        let middle = |samples: &[Sample]| median(samples.iter().map(of).collect());
        let (first, last) = (middle(first), middle(last));
        println!("{what:<28} {first:>13.1} {last:>14.1}");
    }
}

/// The text of a scrape.
fn scrape(address: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    ensure!(line.starts_with("HTTP/1.1 200 "), "the answer is {line}");
    let mut text = String::new();
    reader.read_to_string(&mut text)?;
    Ok(text)
}
