//! The server over real sockets, spoken to byte by byte.

mod long;
mod protection;
mod replies;
mod tls;

use std::io::Read;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flate2::read::GzDecoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::metrics::ServerMetrics;
use super::*;
use crate::clock::{Clock, ManualClock};
use crate::exposition::{AgentSeries, Body, Exposition};
use crate::http::{Gate, Lifecycle, Readiness, State};
use crate::protection::Guard;
use crate::roster::Agent;
use crate::series::Figures;
use crate::telemetry::Telemetry;

struct Running {
    address: SocketAddr,
    state: State,
    clock: Arc<ManualClock>,
    shutdown: CancellationToken,
    server: JoinHandle<()>,
}

/// Starts a server that publishes one agent with the label `note`.
async fn start(limits: Limits, note: &str) -> Running {
    start_with(limits, note, None).await
}

/// The same with a web config.
async fn start_with(limits: Limits, note: &str, web_config: Option<PathBuf>) -> Running {
    let clock = ManualClock::at("2026-11-23T12:00:00Z".parse().unwrap());
    let telemetry = Telemetry::new();
    let exposition = Exposition::new(telemetry.clone());
    let series = AgentSeries {
        agent: Agent {
            account: "acme".into(),
            id: "1".into(),
            name: "support".into(),
            labels: Arc::new([("note".into(), note.into())].into()),
        },
        figures: Figures {
            previous_day_credits: Some(12.5),
            ..Figures::default()
        },
    };
    exposition.publish(Body::render(clock.today(), &[series], NonZeroUsize::MIN));
    let state = State {
        exposition: Arc::new(exposition),
        board: Arc::default(),
        readiness: Readiness::default(),
        clock: Arc::clone(&clock) as _,
        telemetry,
        telemetry_path: "/metrics".into(),
        hosts: Arc::default(),
        gate: Gate::default(),
        months: Default::default(),
        lifecycle: None,
    };
    let guard = Guard::open(web_config, Arc::clone(&state.clock), &state.telemetry);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let server = tokio::spawn(serve(
        vec![listener.into()],
        state.clone(),
        guard.unwrap(),
        limits,
        shutdown.clone(),
    ));
    Running {
        address,
        state,
        clock,
        shutdown,
        server,
    }
}

struct Answer {
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn read(bytes: &[u8]) -> Self {
        let end = bytes
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .unwrap();
        Self {
            head: String::from_utf8(bytes[..end].to_vec()).unwrap(),
            body: bytes[end + 4..].to_vec(),
        }
    }

    fn status(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self
            .head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "));
        let value = lines.find(|(key, _)| key.eq_ignore_ascii_case(name));
        value.map(|(_, value)| value)
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends raw bytes on a new connection and reads all that comes back.
    async fn send(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut stream = self.connect().await;
        stream.write_all(request.as_ref()).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        Answer::read(&bytes)
    }

    async fn request(&self, method: &str, path: &str, headers: &str) -> Answer {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        self.send(format!("{head}{headers}\r\n")).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, "").await
    }

    /// Waits until so many connections are open.
    async fn open_connections(&self, number: i64) {
        let mut looks = tokio::time::interval(Duration::from_millis(1));
        let reached = async {
            while self.state.telemetry.of::<ServerMetrics>().connections.get() != number {
                looks.tick().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), reached)
            .await
            .unwrap();
    }
}

/// Limits that no test reaches unless it sets one.
fn patient() -> Limits {
    Limits {
        connections: 512,
        header_timeout: Duration::from_secs(60),
        write_timeout: Duration::from_secs(60),
        drain_timeout: Duration::from_secs(60),
    }
}

const SHORT: Duration = Duration::from_millis(30);

/// More than the kernel's buffers of both sides take.
const LARGE: usize = 48 << 20;

#[tokio::test]
async fn metrics_are_negotiated() {
    let running = start(patient(), "").await;
    let plain = running.get("/metrics").await;
    assert_eq!(plain.status(), "200");
    assert_eq!(
        plain.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    assert_eq!(plain.header("content-encoding"), None);
    assert_eq!(plain.header("vary"), Some("Accept, Accept-Encoding"));
    assert_eq!(plain.header("x-content-type-options"), Some("nosniff"));
    let text = plain.text();
    assert!(text.contains("\nflowgent_exporter_build_info{"));
    assert!(text.contains("\nprocess_open_fds "));
    let not_yet = "flowgent_exporter_http_requests_total{code=\"503\",handler=\"ready\"} 0\n";
    assert!(text.contains(not_yet));
    let previous_day =
        r#"flowgent_agent_previous_day_credits{account="acme",agent="support"} 12.5"#;
    assert!(text.contains(previous_day));

    let headers = "Accept: application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6\r\n\
                   Accept: text/plain;version=0.0.4;q=0.3\r\nAccept-Encoding: gzip\r\n";
    let zipped = running.request("GET", "/metrics", headers).await;
    assert_eq!(
        zipped.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8")
    );
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
    assert_eq!(
        zipped.header("content-length"),
        Some(zipped.body.len().to_string().as_str())
    );
    let mut text = String::new();
    GzDecoder::new(&zipped.body[..])
        .read_to_string(&mut text)
        .unwrap();
    assert!(text.contains(previous_day) && text.ends_with("\n# EOF\n"));
    assert!(
        text.contains(
            "\nflowgent_exporter_http_requests_total{code=\"200\",handler=\"metrics\"} 1\n"
        )
    );
}

#[tokio::test]
async fn the_figures_of_yesterday_are_gone_when_the_clock_passes_midnight() {
    let running = start(patient(), "").await;
    running.clock.set("2026-11-24T00:00:00Z".parse().unwrap());
    let text = running.get("/metrics").await.text();
    assert!(!text.contains("flowgent_agent_previous_day_credits"));
    assert!(text.contains("flowgent_agent_info{"));
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_body() {
    let running = start(patient(), "").await;
    for path in ["/", "/-/healthy", "/-/ready", "/nothing"] {
        let (get, head) = (
            running.get(path).await,
            running.request("HEAD", path, "").await,
        );
        let without_date = |answer: &Answer| -> Vec<String> {
            let lines = answer.head.lines().filter(|line| !line.starts_with("date"));
            lines.map(str::to_owned).collect()
        };
        assert_eq!(without_date(&head), without_date(&get), "{path}");
        assert_eq!(
            head.header("content-length"),
            Some(get.body.len().to_string().as_str())
        );
        assert_eq!(head.body, b"", "{path}");
    }
    let head = running.request("HEAD", "/metrics", "").await;
    let length: usize = head.header("content-length").unwrap().parse().unwrap();
    assert!(length > 1000 && head.body.is_empty());
}

#[tokio::test]
async fn what_is_not_there_is_told_in_plain_text() {
    let running = start(patient(), "").await;
    let missing = running.get("/metrics/").await;
    assert_eq!(
        (missing.status(), missing.text().as_str()),
        ("404", "not found\n")
    );
    assert_eq!(
        missing.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    for path in ["/metrics", "/", "/-/healthy", "/-/ready"] {
        for method in ["POST", "DELETE", "OPTIONS", "BREW"] {
            let refused = running.request(method, path, "").await;
            assert_eq!(refused.status(), "405", "{method} {path}");
            assert_eq!(refused.header("allow"), Some("GET, HEAD"));
            assert_eq!(refused.text(), "method not allowed\n");
        }
    }
}

#[tokio::test]
async fn readiness_tells_what_is_waited_for() {
    let running = start(patient(), "").await;
    let latch = running.state.readiness.latch("the ledger is loading");
    let waiting = running.get("/-/ready").await;
    assert_eq!(waiting.status(), "503");
    assert_eq!(waiting.text(), "not ready: the ledger is loading\n");
    assert_eq!(running.get("/-/healthy").await.status(), "200");
    latch.release();
    let ready = running.get("/-/ready").await;
    assert_eq!((ready.status(), ready.text().as_str()), ("200", "ready\n"));
}

#[tokio::test]
async fn a_page_loads_nothing_from_elsewhere() {
    let running = start(patient(), "").await;
    let page = running.get("/?query=is&passed=over").await;
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none';"));
    let text = page.text();
    assert!(text.contains("href=\"./metrics\"") && !text.contains("//"));
    assert!(text.contains(env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn a_request_with_content_ends_its_connection_unread() {
    let running = start(patient(), "").await;
    let next = "GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let length = format!("Content-Length: {}", next.len());
    for (method, framing) in [
        ("POST", length.as_str()),
        ("GET", length.as_str()),
        ("GET", "Transfer-Encoding: chunked"),
    ] {
        for content in [next, ""] {
            let head =
                format!("{method} /-/ready HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n");
            let answer = running.send(format!("{head}{content}")).await;
            assert_eq!(
                answer.header("connection"),
                Some("close"),
                "{method} {framing}"
            );
            assert!(!answer.text().contains("HTTP/1.1"), "{method} {framing}");
        }
    }
}

#[tokio::test]
async fn absurd_requests_are_answered_or_refused_and_hurt_nobody() {
    let running = start(patient(), "").await;
    let many = "X-Filler: 1\r\n".repeat(70);
    let long = format!("X-Filler: {}\r\n", "x".repeat(17 * 1024));
    for (path, headers, expected) in [
        ("/metrics", many.as_str(), "431"),
        ("/metrics", long.as_str(), "431"),
        ("*", "", "404"),
        ("/%00%ff/../..", "", "404"),
        ("http://localhost/metrics", "", "200"),
        ("http://elsewhere/metrics", "", "421"),
        (
            "/metrics",
            "Accept: \u{80}\u{fe}\r\nAccept-Encoding: ,;=q,\t\r\n",
            "200",
        ),
        (
            "/metrics",
            "Accept: ;q=1e309,*/*;q=-1,a/b/c;;version\r\n",
            "200",
        ),
        ("/me trics", "", "400"),
    ] {
        let answer = running.request("GET", path, headers).await;
        assert_eq!(answer.status(), expected, "{path} {headers:.40}");
    }
    let not_http = running
        .send(b"\x16\x03\x01\x02\x00\x01\xff\xff\r\n\r\n")
        .await;
    assert_eq!(not_http.status(), "400");
    assert_eq!(running.get("/-/healthy").await.status(), "200");
}

#[tokio::test]
async fn a_connection_serves_one_request_after_another() {
    let running = start(patient(), "").await;
    let mut stream = running.connect().await;
    let request = "GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(3);
    let last = "GET /-/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream
        .write_all(format!("{request}{last}").as_bytes())
        .await
        .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 4);
}

#[tokio::test]
async fn a_head_that_does_not_come_in_time_ends_the_connection() {
    let limits = Limits {
        header_timeout: SHORT,
        ..patient()
    };
    let running = start(limits, "").await;
    for beginning in ["", "GET /metrics HTTP/1.1\r\nHost:"] {
        let mut stream = running.connect().await;
        stream.write_all(beginning.as_bytes()).await.unwrap();
        assert_eq!(stream.read(&mut [0; 64]).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn silent_connections_cannot_shut_out_a_scraper() {
    let limits = Limits {
        connections: 2,
        ..patient()
    };
    let running = start(limits, "").await;
    let mut first = running.connect().await;
    running.open_connections(1).await;
    let mut second = running.connect().await;
    running.open_connections(2).await;
    assert_eq!(running.get("/metrics").await.status(), "200");
    assert_eq!(first.read(&mut [0; 64]).await.unwrap(), 0);
    let late = "GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    second.write_all(late.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    second.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(Answer::read(&bytes).status(), "200");
    assert_eq!(
        running
            .state
            .telemetry
            .of::<ServerMetrics>()
            .connections_evicted
            .get(),
        1
    );
}

/// Asks for a large body and reads nothing of it.
async fn ask_and_stall(running: &Running) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(running.address).await.unwrap();
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    running.open_connections(1).await;
    stream
}

#[tokio::test]
async fn a_client_that_never_reads_cannot_hold_a_body_for_ever() {
    let limits = Limits {
        write_timeout: SHORT,
        ..patient()
    };
    let running = start(limits, &"x".repeat(LARGE)).await;
    let _stream = ask_and_stall(&running).await;
    running.open_connections(0).await;
    assert_eq!(
        running
            .state
            .telemetry
            .of::<ServerMetrics>()
            .connections_evicted
            .get(),
        1
    );
}

#[tokio::test]
async fn a_response_under_way_is_finished_at_shutdown() {
    let running = start(patient(), &"x".repeat(LARGE)).await;
    let mut idle = running.connect().await;
    let request = "GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n";
    idle.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = [0; 1024];
    let read = idle.read(&mut bytes).await.unwrap();
    assert!(bytes[..read].starts_with(b"HTTP/1.1 200"));
    let mut stream = running.connect().await;
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = vec![0; 1024];
    stream.read_exact(&mut bytes).await.unwrap();
    running.shutdown.cancel();
    assert_eq!(idle.read(&mut [0; 64]).await.unwrap(), 0);
    stream.read_to_end(&mut bytes).await.unwrap();
    let answer = Answer::read(&bytes);
    assert_eq!(
        answer.header("content-length"),
        Some(answer.body.len().to_string().as_str())
    );
    running.server.await.unwrap();
    assert!(TcpStream::connect(running.address).await.is_err());
}

#[tokio::test]
async fn nobody_can_hold_up_the_shutdown() {
    let limits = Limits {
        drain_timeout: SHORT,
        ..patient()
    };
    let running = start(limits, &"x".repeat(LARGE)).await;
    let _stalled = ask_and_stall(&running).await;
    let mut half = running.connect().await;
    half.write_all(b"GET /metrics HT").await.unwrap();
    running.open_connections(2).await;
    running.shutdown.cancel();
    running.server.await.unwrap();
}
