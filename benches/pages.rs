//! What the pages for people cost with 10,000 agents and 540 days of each: time from the request to the last
//! byte, and bytes, plain and compressed.
//!
//! `cargo bench --bench pages -- [agents]`

#[path = "common/history.rs"]
mod history;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use flowgent_exporter::clock::{Clock, ManualClock, instant};
use flowgent_exporter::day::TRACKING_START;
use flowgent_exporter::exposition::Exposition;
use flowgent_exporter::http::{Gate, Readiness, State};
use flowgent_exporter::ledger::{Ledger, Member, View};
use flowgent_exporter::protection::Guard;
use flowgent_exporter::roster::Agent;
use flowgent_exporter::series;
use flowgent_exporter::server::{Limits, serve};
use flowgent_exporter::status::Board;
use flowgent_exporter::telemetry::Telemetry;
use flowgent_exporter::window::plan::Policy;

const ROUNDS: usize = 101;
/// An account's page is longer once the months of its agents are on it.
const LEAST_BYTES: usize = 30_000;
/// The last instant of the history, 540 days after its start.
const NOW: &str = "2026-11-19T12:00:00Z";

#[tokio::main]
async fn main() -> Result<()> {
    let agents = std::env::args().nth(1).and_then(|text| text.parse().ok());
    let agents: usize = agents.unwrap_or(10_000);
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("ledger.db");
    let clock = ManualClock::at(NOW.parse()?);
    let policy = Policy {
        history_start: TRACKING_START,
        settle_days: 3,
    };
    println!("filling a ledger with 540 days of {agents} agents …");
    let identities = history::identities(agents);
    let credits = |agent: usize, day: flowgent_exporter::day::Day| {
        f64::from(day.number() * 7 % 31) + (agent % 97) as f64
    };
    history::fill(&path, policy, identities.clone(), clock.now(), credits).await?;
    let ledger = Ledger::open(&path, policy, &Telemetry::new())?;
    let numbers = ledger.register(identities.clone()).await?;
    let members: Arc<[Member]> = identities
        .into_iter()
        .zip(numbers)
        .map(|((account, id), number)| Member {
            agent: Agent {
                account,
                name: Arc::clone(&id),
                id,
                labels: Arc::default(),
            },
            number,
            unlisted_since: None,
            left_on: None,
        })
        .collect();
    let board = board(&ledger, &members, &clock).await?;
    let telemetry = Telemetry::new();
    let state = State {
        exposition: Arc::new(Exposition::new(telemetry.clone())),
        board: Arc::new(board),
        readiness: Readiness::default(),
        clock: clock as _,
        telemetry,
        telemetry_path: "/metrics".into(),
        hosts: Arc::default(),
        gate: Gate::default(),
        months: Default::default(),
        lifecycle: None,
    };
    let guard = Guard::open(None, Arc::clone(&state.clock), &state.telemetry)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let stop = CancellationToken::new();
    let server = tokio::spawn(serve(
        vec![listener.into()],
        state,
        guard,
        Limits::default(),
        stop.clone(),
    ));
    let agent = format!("/agents/{}/{}", history::ACCOUNT, members[0].agent.id);
    let account = format!("/accounts/{}", history::ACCOUNT);
    tokio::task::spawn_blocking(move || measure(address, &agent, &account)).await??;
    stop.cancel();
    Ok(server.await?)
}

/// A board with all figures on it, as the publisher fills it.
async fn board(ledger: &Ledger, members: &Arc<[Member]>, clock: &ManualClock) -> Result<Board> {
    let today = clock.today();
    let numbers = members.iter().map(|member| member.number).collect();
    let figures = ledger.snapshot(
        numbers,
        series::recent_start(today),
        move |start, totals, recent| series::figures(totals, recent, start, today),
    );
    let board = Board::default();
    board.open(View::clone(ledger));
    board.enrol(Arc::clone(members));
    board.set_figures(today, figures.await?.into_iter().enumerate(), true);
    Ok(board)
}

fn measure(address: SocketAddr, agent: &str, account: &str) -> Result<()> {
    let start = instant();
    while get(address, account, "")? < LEAST_BYTES {
        std::thread::sleep(Duration::from_millis(5));
    }
    println!(
        "months of the account computed after {:.0} ms",
        start.elapsed().as_secs_f64() * 1000.0
    );
    for (what, path) in [
        ("first page", "/"),
        ("last page, by name", "/?sort=name&page=100"),
        ("search that finds few", "/?q=0099"),
        ("search that finds all", "/?q=a"),
        ("page of an agent", agent),
        ("page of an account", account),
        ("alerts", "/alerts"),
    ] {
        for (form, headers) in [("plain", ""), ("gzip", "Accept-Encoding: gzip\r\n")] {
            let mut times = Vec::with_capacity(ROUNDS);
            let mut bytes = 0;
            for _ in 0..ROUNDS {
                let start = instant();
                bytes = get(address, path, headers)?;
                times.push(start.elapsed().as_secs_f64() * 1000.0);
            }
            let first = times[0];
            times.sort_by(f64::total_cmp);
            let (median, worst) = (times[ROUNDS / 2], times[ROUNDS * 95 / 100]);
            println!(
                "{what:<24} {form:<6} {bytes:8} bytes {median:8.2} ms, 95 % under {worst:8.2} ms, \
                 the first {first:8.2} ms"
            );
        }
    }
    Ok(())
}

/// The length of a response's content.
fn get(address: SocketAddr, path: &str, headers: &str) -> Result<usize> {
    let mut stream = TcpStream::connect(address)?;
    let head = "HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
    stream.write_all(format!("GET {path} {head}{headers}\r\n").as_bytes())?;
    let mut response = Vec::new();
    stream.read_to_end(&mut response)?;
    ensure!(
        response.starts_with(b"HTTP/1.1 200 "),
        "{path} is not answered"
    );
    let end = response.windows(4).position(|four| four == b"\r\n\r\n");
    Ok(response.len() - end.context("a response has a head")? - 4)
}
