//! What a scrape of 100,000 agents costs, against a static file from nginx, the `prometheus` crate
//! and the plainest way to write and compress the same lines. Prints ratios, measured in one run.
//!
//! `cargo bench --bench scrape`; it needs nginx (Debian: `apt-get install nginx-light`).

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use flate2::{Compress, Compression, FlushCompress, write::GzEncoder};
use prometheus::{Encoder, GaugeVec, Opts, Registry, TextEncoder};
use tokio_util::sync::CancellationToken;

use flowgent_exporter::clock::{Clock, ManualClock, instant};
use flowgent_exporter::exposition::{
    AgentSeries, Body, DEFLATE_LEVEL, Encoding, Exposition, FAMILIES, Format, Samples,
};
use flowgent_exporter::http::{Gate, Readiness, State};
use flowgent_exporter::protection::Guard;
use flowgent_exporter::roster::Agent;
use flowgent_exporter::series::Figures;
use flowgent_exporter::server::{Limits, serve};
use flowgent_exporter::telemetry::Telemetry;

const AGENTS: usize = 100_000;
const ROUNDS: usize = 201;
const TWO: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("serve") => serve_agents(),
        Some("gauge-vec") => gauge_vec(),
        _ => compare(),
    }
}

fn compare() -> Result<()> {
    println!("{AGENTS} agents, all families of agents and the exporter's own telemetry");
    let (ours, nginx) = compare_with_nginx()?;
    row("scrape, gzip, this server", ours);
    row("scrape, gzip_static, nginx", nginx);
    let crate_prometheus = own_child("gauge-vec")?.finish()?;
    row("GaugeVec + TextEncoder + gzip, level 6", crate_prometheus);
    ratio("this server / nginx, wall", ours.wall, nginx.wall);
    ratio("this server / nginx, CPU", ours.cpu, nginx.cpu);
    ratio(
        "GaugeVec / this server, wall",
        crate_prometheus.wall,
        ours.wall,
    );
    ratio(
        "GaugeVec / this server, CPU",
        crate_prometheus.cpu,
        ours.cpu,
    );
    compare_rendering()
}

/// Seconds of one operation.
#[derive(Debug, Clone, Copy)]
struct Cost {
    wall: f64,
    cpu: f64,
}

fn row(what: &str, cost: Cost) {
    let [wall, cpu] = [cost.wall, cost.cpu].map(|seconds| seconds * 1000.0);
    println!("{what:<44} {wall:9.2} ms wall {cpu:9.2} ms CPU");
}

fn ratio(what: &str, first: f64, second: f64) {
    println!("{what:<44} {:9.2} x", first / second);
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// CPU time of a process and its threads, finished ones included, in steps of 10 ms.
fn cpu_seconds(process: &str) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("/proc/…/stat has a name")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    Ok(ticks / 100.0)
}

/// Wall and CPU time of `work` in this process.
fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Cost)> {
    let (start, cpu) = (instant(), cpu_seconds("self")?);
    let done = work()?;
    let cost = Cost {
        wall: start.elapsed().as_secs_f64(),
        cpu: cpu_seconds("self")? - cpu,
    };
    Ok((done, cost))
}

// ---- the data ----------------------------------------------------------------------------------

fn clock() -> Arc<ManualClock> {
    ManualClock::at(chrono::DateTime::from_timestamp_nanos(
        1_795_435_200_000_000_000,
    ))
}

/// Agents of 100 accounts and 12 teams; credits are mostly whole, as they are for most agents.
fn agents() -> Vec<AgentSeries> {
    let mut random = fastrand::Rng::with_seed(13);
    let account = |number| Arc::from(format!("customer-{number}"));
    let accounts: Vec<Arc<str>> = (0..100).map(account).collect();
    let team = |number| {
        let labels = [("region", "eu".into()), ("team", format!("team-{number}"))];
        Arc::new(labels.map(|(name, value)| (name.into(), value)).into())
    };
    let teams: Vec<_> = (0..12).map(team).collect();
    let midnight = clock().today().start();
    let yesterday = clock().today().previous();
    let series = |number: usize| {
        let whole = random.u32(0..10) < 8;
        let mut credits = |days: u32| {
            let credits = f64::from(random.u32(0..200 * days));
            Some(if whole {
                credits
            } else {
                credits + f64::from(random.u8(1..100)) / 100.0
            })
        };
        let figures = Figures {
            up: Some(true),
            used_credits: credits(540),
            overcount_credits: Some(0.0),
            previous_day_credits: credits(1),
            previous_7_days_credits: credits(7),
            previous_30_days_credits: credits(30),
            month_to_date_credits: credits(22),
            previous_month_credits: credits(31),
            forecast_month_credits: credits(30),
            known_through: Some(yesterday),
            complete_through: Some(yesterday),
            missing_days: 0,
            revised_up: random.u64(0..4),
            revised_down: random.u64(0..2),
            last_success: Some(
                midnight + chrono::TimeDelta::milliseconds(random.i64(600_000..1_500_000)),
            ),
            ..Figures::default()
        };
        let id = random.u128(..);
        AgentSeries {
            agent: Agent {
                account: Arc::clone(&accounts[number % accounts.len()]),
                id: format!(
                    "{:08x}-{:04x}-4{:03x}-{:012x}",
                    id >> 96,
                    (id >> 80) & 0xffff,
                    (id >> 64) & 0xfff,
                    id & 0xffff_ffff_ffff
                )
                .into(),
                name: format!("agent-{number}").into(),
                labels: Arc::clone(&teams[random.usize(..teams.len())]),
            },
            figures,
        }
    };
    (0..AGENTS).map(series).collect()
}

// ---- serving -----------------------------------------------------------------------------------

/// Serves the agents after two renderings, as after a refresh, until its standard input ends.
fn serve_agents() -> Result<()> {
    let telemetry = Telemetry::new();
    let exposition = Arc::new(Exposition::new(telemetry.clone()));
    let (clock, agents) = (clock(), agents());
    for _ in 0..2 {
        exposition.publish(Body::render(clock.today(), &agents, TWO));
    }
    let state = State {
        exposition,
        board: Arc::default(),
        readiness: Readiness::default(),
        clock,
        telemetry,
        telemetry_path: "/metrics".into(),
        hosts: Arc::default(),
        gate: Gate::default(),
        months: Default::default(),
        lifecycle: None,
    };
    let guard = Guard::open(None, Arc::clone(&state.clock), &state.telemetry)?;
    let shutdown = CancellationToken::new();
    tokio::runtime::Runtime::new()?.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?.port());
        let server = serve(
            vec![listener.into()],
            state,
            guard,
            Limits::default(),
            shutdown.clone(),
        );
        let wait = tokio::task::spawn_blocking(|| std::io::stdin().read(&mut [0]));
        tokio::select! { () = server => {}, _ = wait => {} }
        anyhow::Ok(())
    })?;
    drop(agents);
    Ok(())
}

/// A child process, killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn line(&mut self) -> Result<String> {
        let stdout = self
            .0
            .stdout
            .as_mut()
            .context("the child's output is piped")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    fn cpu_seconds(&self) -> Result<f64> {
        cpu_seconds(&self.0.id().to_string())
    }

    fn finish(mut self) -> Result<Cost> {
        let line = self.line()?;
        let (wall, cpu) = line
            .split_once(' ')
            .context("the child prints two numbers")?;
        Ok(Cost {
            wall: wall.parse()?,
            cpu: cpu.parse()?,
        })
    }
}

/// This program in another process, so that its memory and CPU time are its own.
fn own_child(mode: &str) -> Result<Running> {
    let mut command = Command::new(std::env::current_exe()?);
    let command = command
        .arg(mode)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    Ok(Running(command.spawn()?))
}

fn nginx(folder: &Path) -> Result<(Running, u16)> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let root = folder.display();
    let config = format!(
        "daemon off; master_process off; pid {root}/pid; error_log {root}/error.log;\n\
         events {{}}\n\
         http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;\n\
         client_body_temp_path {root}/a; proxy_temp_path {root}/b; fastcgi_temp_path {root}/c;\n\
         uwsgi_temp_path {root}/d; scgi_temp_path {root}/e; gzip_static always;\n\
         server {{ listen 127.0.0.1:{port}; root {root}; }} }}\n"
    );
    fs::write(folder.join("nginx.conf"), config)?;
    let child = Command::new("nginx")
        .arg("-c")
        .arg(folder.join("nginx.conf"))
        .args(["-p", &root.to_string()])
        .stderr(Stdio::null())
        .spawn()
        .context("nginx does not start: install it (Debian: apt-get install nginx-light)")?;
    let running = Running(child);
    for _ in 0..200 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Ok((running, port));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    bail!("nginx does not listen: see {root}/error.log");
}

/// Scrapes over a kept connection; returns the body's length and, if wanted, the body.
fn scrape(
    stream: &mut TcpStream,
    buffer: &mut [u8],
    mut keep: Option<&mut Vec<u8>>,
) -> Result<usize> {
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n")?;
    let mut filled = 0;
    let end = loop {
        filled += stream.read(&mut buffer[filled..])?;
        let end = buffer[..filled]
            .windows(4)
            .position(|bytes| bytes == b"\r\n\r\n");
        if let Some(end) = end {
            break end + 4;
        }
    };
    let head = std::str::from_utf8(&buffer[..end])?.to_ascii_lowercase();
    ensure!(
        head.starts_with("http/1.1 200") && head.contains("content-encoding: gzip"),
        "{head}"
    );
    let (_, length) = head
        .split_once("content-length: ")
        .context("a length is sent")?;
    let length: usize = length.lines().next().context("a length is sent")?.parse()?;
    let mut left = length - (filled - end);
    if let Some(kept) = keep.as_mut() {
        kept.extend_from_slice(&buffer[end..filled]);
    }
    while left > 0 {
        let read = stream.read(buffer)?;
        ensure!(read > 0 && read <= left, "{left} bytes are missing");
        if let Some(kept) = keep.as_mut() {
            kept.extend_from_slice(&buffer[..read]);
        }
        left -= read;
    }
    Ok(length)
}

fn compare_with_nginx() -> Result<(Cost, Cost)> {
    let mut buffer = vec![0; 256 * 1024];
    let mut ours = own_child("serve")?;
    let mut to_ours = TcpStream::connect(("127.0.0.1", ours.line()?.parse()?))?;
    let mut file = Vec::new();
    scrape(&mut to_ours, &mut buffer, Some(&mut file))?;
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("metrics.gz"), &file)?;
    let (nginx, port) = nginx(folder.path())?;
    let mut to_nginx = TcpStream::connect(("127.0.0.1", port))?;
    scrape(&mut to_nginx, &mut buffer, None)?;
    println!("{:.1} MB compressed", file.len() as f64 / 1e6);
    let cpu = [ours.cpu_seconds()?, nginx.cpu_seconds()?];
    let mut walls = [Vec::new(), Vec::new()];
    for round in 0..ROUNDS * 2 {
        let server = round % 2;
        let stream = [&mut to_ours, &mut to_nginx].into_iter().nth(server);
        let start = instant();
        scrape(stream.context("there are two")?, &mut buffer, None)?;
        walls[server].push(start.elapsed().as_secs_f64());
    }
    let cpu = [ours.cpu_seconds()? - cpu[0], nginx.cpu_seconds()? - cpu[1]];
    let status = fs::read_to_string(format!("/proc/{}/status", ours.0.id()))?;
    let peak = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap_or_default();
    println!(
        "this server, agents and two bodies included: {}",
        peak.replace('\t', " ")
    );
    let [ours, nginx] = walls.map(median);
    let [ours_cpu, nginx_cpu] = cpu.map(|cpu| cpu / ROUNDS as f64);
    Ok((
        Cost {
            wall: ours,
            cpu: ours_cpu,
        },
        Cost {
            wall: nginx,
            cpu: nginx_cpu,
        },
    ))
}

// ---- the prometheus crate ----------------------------------------------------------------------

/// Encodes and compresses the same series as an exporter built on the `prometheus` crate does at
/// every scrape; prints the median seconds.
fn gauge_vec() -> Result<()> {
    let registry = Registry::new();
    let agents = agents();
    for family in FAMILIES {
        let (extra, samples): (&[&str], _) = match &family.samples {
            Samples::Info => (&["agent_id", "region", "team"], None),
            Samples::Figures(samples) => match samples[0].label {
                Some(_) => (&["direction"], Some(samples)),
                None => (&[], Some(samples)),
            },
            Samples::Standing(_) | Samples::Left(_) | Samples::Firing | Samples::Silenced => {
                continue;
            }
        };
        let labels = [&["account", "agent"], extra].concat();
        let gauges = GaugeVec::new(Opts::new(family.name, family.help), &labels)?;
        for AgentSeries { agent, figures } in &agents {
            let mut values = vec![&*agent.account, &*agent.name];
            let Some(samples) = samples else {
                values.push(&agent.id);
                values.extend(agent.labels.values().map(String::as_str));
                gauges.with_label_values(&values).set(1.0);
                continue;
            };
            for sample in *samples {
                values.truncate(2);
                values.extend(sample.label.map(|(_, value)| value));
                if let Some(value) = (sample.value)(figures) {
                    gauges.with_label_values(&values).set(value);
                }
            }
        }
        registry.register(Box::new(gauges))?;
    }
    drop(agents);
    let mut costs = Vec::new();
    for _ in 0..3 {
        let (_, cost) = timed(|| {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
            TextEncoder::new().encode(&registry.gather(), &mut gzip)?;
            Ok(gzip.finish()?)
        })?;
        costs.push(cost);
    }
    let wall = median(costs.iter().map(|cost| cost.wall).collect());
    let cpu = median(costs.iter().map(|cost| cost.cpu).collect());
    println!("{wall} {cpu}");
    Ok(())
}

// ---- rendering ---------------------------------------------------------------------------------

/// The lines of all agents by formatted writes into one string, as one would do it first.
fn plain_lines(agents: &[AgentSeries]) -> Result<String> {
    let mut out = String::new();
    for family in FAMILIES {
        let name = family.name;
        for AgentSeries { agent, figures } in agents {
            let (account, agent_name) = (&agent.account, &agent.name);
            match &family.samples {
                Samples::Info => {
                    let id = &agent.id;
                    write!(
                        out,
                        "{name}{{account=\"{account}\",agent=\"{agent_name}\",agent_id=\"{id}\""
                    )?;
                    for (label, value) in agent.labels.iter() {
                        write!(out, ",{label}=\"{value}\"")?;
                    }
                    writeln!(out, "}} 1")?;
                }
                Samples::Figures(samples) => {
                    for sample in *samples {
                        let Some(value) = (sample.value)(figures) else {
                            continue;
                        };
                        write!(out, "{name}{{account=\"{account}\",agent=\"{agent_name}\"")?;
                        if let Some((label, text)) = sample.label {
                            write!(out, ",{label}=\"{text}\"")?;
                        }
                        writeln!(out, "}} {value}")?;
                    }
                }
                Samples::Standing(_) | Samples::Left(_) | Samples::Firing | Samples::Silenced => {}
            }
        }
    }
    Ok(out)
}

/// One raw deflate of everything, by the same library as the exporter's.
fn deflate(text: &str, level: u32) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 2);
    Compress::new(Compression::new(level), false).compress_vec(
        text.as_bytes(),
        &mut out,
        FlushCompress::Finish,
    )?;
    Ok(out)
}

fn compare_rendering() -> Result<()> {
    let (today, agents) = (clock().today(), agents());
    let (text, _) = timed(|| plain_lines(&agents))?;
    println!(
        "{:.1} MB of text, {} lines",
        text.len() as f64 / 1e6,
        text.lines().count()
    );
    for level in 1..=6 {
        let (deflated, cost) = timed(|| deflate(&text, level))?;
        let megabytes = deflated.len() as f64 / 1e6;
        row(&format!("deflate, level {level}: {megabytes:.1} MB"), cost);
    }
    drop(text);
    let mut costs = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..3 {
        let threads = [NonZeroUsize::MIN, TWO];
        for (threads, costs) in threads.into_iter().zip(&mut costs) {
            costs.push(timed(|| Ok(Body::render(today, &agents, threads)))?.1);
        }
        costs[2].push(timed(|| deflate(&plain_lines(&agents)?, DEFLATE_LEVEL))?.1);
    }
    let [one, two, plain] = costs.map(|costs| Cost {
        wall: median(costs.iter().map(|cost| cost.wall).collect()),
        cpu: median(costs.iter().map(|cost| cost.cpu).collect()),
    });
    row("render and compress, 1 thread", one);
    row("render and compress, 2 threads", two);
    row(
        &format!("write! and deflate, level {DEFLATE_LEVEL}, flate2 as well"),
        plain,
    );
    ratio(
        "render and compress / plain, 1 thread, wall",
        one.wall,
        plain.wall,
    );
    ratio(
        "render and compress / plain, 2 threads, wall",
        two.wall,
        plain.wall,
    );
    identity(&agents)
}

/// What the rare client that takes no gzip costs.
fn identity(agents: &[AgentSeries]) -> Result<()> {
    let today = clock().today();
    let exposition = Exposition::new(Telemetry::new());
    exposition.publish(Body::render(today, agents, TWO));
    let scrape = || exposition.scrape(Format::Text, Encoding::Identity, Some(today));
    let (bytes, cost) = timed(|| Ok(scrape().map(|frame| frame.len()).sum::<usize>()))?;
    row(
        &format!(
            "inflate for a scrape without gzip: {:.1} MB",
            bytes as f64 / 1e6
        ),
        cost,
    );
    Ok(())
}
