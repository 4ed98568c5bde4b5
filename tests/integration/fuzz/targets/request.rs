//! Requests: the target of a GET in the first line, and headers in those below it.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use flowgent_exporter::clock::Clock;
use flowgent_exporter::day::Usage;
use flowgent_exporter::exposition::{Body, Exposition};
use flowgent_exporter::http::{Gate, Readiness, State};
use flowgent_exporter::ledger::{Fetched, Ledger, Member, View};
use flowgent_exporter::protection::Guard;
use flowgent_exporter::roster::Agent;
use flowgent_exporter::series;
use flowgent_exporter::server::{Limits, serve};
use flowgent_exporter::status::Board;
use flowgent_exporter::telemetry::Telemetry;
use flowgent_exporter::window::Window;
use flowgent_exporter::window::plan::Policy;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::{clock, runtime};

/// The most bytes of an answer about two agents and ten years.
const MOST_BYTES: u64 = 4 << 20;

/// An exporter that serves two agents.
struct Exporter {
    runtime: Runtime,
    address: std::net::SocketAddr,
    _folder: TempDir,
}

thread_local! {
    static EXPORTER: Exporter = {
        let runtime = runtime(false);
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let address = runtime.block_on(start(&folder));
        Exporter { runtime, address, _folder: folder }
    };
}

/// Two agents with a week of usage in `ledger`.
pub(super) async fn members(ledger: &Ledger) -> Arc<[Member]> {
    let today = clock().today();
    let ids = ["agent-1", "agent-2"].map(|id| ("acme".into(), id.into()));
    let numbers = ledger.register(ids.to_vec()).await;
    let numbers = numbers.expect("the ledger takes agents");
    let window = Window::new(today.plus(-7), today.plus(-1), today);
    let window = window.expect("it is a week");
    let mut members = Vec::new();
    for ((account, id), number) in ids.into_iter().zip(numbers) {
        let usage = |day| Usage { day, credits: 2.5 };
        let fetched = Fetched {
            agent: number,
            window,
            rows: window.days().map(usage).collect(),
            at: clock().now(),
        };
        let committed = ledger.commit(fetched).await;
        committed.expect("the ledger takes a week");
        let agent = Agent {
            account,
            name: Arc::clone(&id),
            id,
            labels: Arc::default(),
        };
        members.push(Member::present(agent, number));
    }
    members.into()
}

/// An empty ledger in `folder`.
pub(super) fn ledger(folder: &TempDir) -> Ledger {
    let policy = Policy {
        history_start: clock().today().plus(-7),
        settle_days: 3,
    };
    let path = folder.path().join("ledger.db");
    Ledger::open(&path, policy, &Telemetry::new()).expect("a new ledger opens")
}

/// Serves, and returns where.
async fn start(folder: &TempDir) -> std::net::SocketAddr {
    let ledger = ledger(folder);
    let members = members(&ledger).await;
    let (clock, today) = (clock(), clock().today());
    let numbers = members.iter().map(|member| member.number).collect();
    let start = series::recent_start(today);
    let figures = ledger.snapshot(numbers, start, move |start, totals, recent| {
        series::figures(totals, recent, start, today)
    });
    let figures = figures.await.expect("the ledger can be read");
    let board = Board::default();
    board.open(View::clone(&ledger));
    board.enrol(Arc::clone(&members));
    board.set_figures(today, figures.into_iter().enumerate(), true);
    let telemetry = Telemetry::new();
    let exposition = Exposition::new(telemetry.clone());
    exposition.publish(Body::render(today, &[], NonZeroUsize::MIN));
    let state = State {
        exposition: Arc::new(exposition),
        board: Arc::new(board),
        readiness: Readiness::default(),
        clock,
        telemetry,
        telemetry_path: "/metrics".into(),
        hosts: Arc::default(),
        gate: Gate::default(),
        months: Default::default(),
        lifecycle: None,
    };
    let guard = Guard::open(None, Arc::clone(&state.clock), &state.telemetry);
    let guard = guard.expect("nothing protects it");
    let listener = TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("there is a port");
    let address = listener.local_addr().expect("it has an address");
    let limits = Limits {
        header_timeout: Duration::from_secs(1),
        ..Limits::default()
    };
    let stop = CancellationToken::new();
    tokio::spawn(serve(vec![listener.into()], state, guard, limits, stop));
    address
}

/// Every request is answered, and none as a fault of the exporter.
pub(super) fn request(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let target = lines.next().unwrap_or_default();
    let mut request = [b"GET ", target, b" HTTP/1.1\r\nConnection: close\r\n"].concat();
    for line in lines {
        request.extend_from_slice(line);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    let answer = EXPORTER.with(|exporter| {
        let exchange = exchange(exporter.address, &request);
        exporter.runtime.block_on(exchange).unwrap_or_default()
    });
    let head = b"HTTP/1.1 ";
    assert!(
        answer.starts_with(head) || answer.is_empty(),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    assert!((answer.len() as u64) < MOST_BYTES, "{} bytes", answer.len());
    if answer.get(head.len()) == Some(&b'5') {
        panic!("{}", String::from_utf8_lossy(&answer));
    }
}

async fn exchange(address: std::net::SocketAddr, request: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request).await?;
    let mut answer = Vec::new();
    stream.take(MOST_BYTES).read_to_end(&mut answer).await?;
    Ok(answer)
}
