//! Answers that are made while they are sent.

use super::super::metrics::ServerMetrics;
use super::*;
use crate::day::TRACKING_START;
use crate::ledger::{Ledger, Member, View};
use crate::window::plan::Policy;

/// Ten years of as many agents as these are more than the kernel's buffers of both sides take.
const AGENTS: usize = 150;
const CSV: &str = "/api/v1/usage.csv?start=2016-11-20";
/// Last chunk of an answer.
const END: &[u8] = b"\r\n0\r\n\r\n";

struct Scene {
    running: Running,
    ledger: Ledger,
    _folder: tempfile::TempDir,
}

/// A server with agents of whom nothing is known.
async fn scene(limits: Limits) -> Scene {
    let running = start(limits, "").await;
    let folder = tempfile::tempdir().unwrap();
    let policy = Policy {
        history_start: TRACKING_START,
        settle_days: 3,
    };
    let path = folder.path().join("ledger.db");
    let ledger = Ledger::open(&path, policy, &Telemetry::new()).unwrap();
    let id = |place: usize| Arc::<str>::from(format!("agent-{place:03}"));
    let identities = (0..AGENTS).map(|place| ("acme".into(), id(place)));
    let numbers = ledger.register(identities.collect()).await.unwrap();
    let members = numbers.into_iter().enumerate().map(|(place, number)| {
        let agent = Agent {
            account: "acme".into(),
            id: id(place),
            name: id(place),
            labels: Arc::default(),
        };
        Member::present(agent, number)
    });
    let board = &running.state.board;
    board.open(View::clone(&ledger));
    board.enrol(members.collect());
    Scene {
        running,
        ledger,
        _folder: folder,
    }
}

impl Scene {
    /// Asks, and reads the head of the answer and no more.
    async fn begin(&self, path: &str, version: &str) -> (TcpStream, String) {
        let mut stream = self.ask(path, version).await;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        (stream, String::from_utf8(head).unwrap())
    }

    /// Asks, and reads nothing.
    async fn ask(&self, path: &str, version: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(self.running.address).await.unwrap();
        let request = format!("GET {path} {version}\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    async fn taken(&self, places: usize) {
        let mut looks = tokio::time::interval(Duration::from_millis(1));
        let reached = async {
            while self
                .running
                .state
                .gate
                .taken(crate::http::gate::Weight::Long)
                != places
            {
                looks.tick().await;
            }
        };
        let reached = tokio::time::timeout(Duration::from_secs(30), reached);
        reached.await.unwrap();
    }
}

/// Everything up to the connection's end, and true if it ended in order.
async fn rest(mut stream: TcpStream) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let ended = stream.read_to_end(&mut bytes).await;
    (bytes, ended.is_ok())
}

#[tokio::test]
async fn an_answer_that_cannot_be_made_to_its_end_is_broken_and_never_short() {
    for version in ["HTTP/1.1", "HTTP/1.0"] {
        let scene = scene(patient()).await;
        let (stream, head) = scene.begin(CSV, version).await;
        assert!(head.starts_with(&format!("{version} 200 OK\r\n")), "{head}");
        assert!(!head.contains("content-length"), "{head}");
        scene.ledger.close().await;
        let (bytes, is_plain_end) = rest(stream).await;
        match version {
            "HTTP/1.1" => assert!(!bytes.ends_with(END)),
            _ => assert!(!is_plain_end),
        }
        scene.taken(0).await;
        // Nothing of it was sent, so it is a problem.
        let problem = scene.running.get(CSV).await;
        assert_eq!(problem.status(), "500");
        assert_eq!(
            problem.header("content-type"),
            Some("application/problem+json")
        );
    }
}

#[tokio::test]
async fn an_answer_that_is_taken_slowly_is_whole_and_the_ledger_is_free_meanwhile() {
    let scene = scene(patient()).await;
    let json = "/api/v1/usage?start=2016-11-20";
    let (first, head) = scene.begin(json, "HTTP/1.1").await;
    assert!(
        head.contains("\r\ntransfer-encoding: chunked\r\n"),
        "{head}"
    );
    scene.taken(1).await;
    let small = scene.running.get("/api/v1/usage?limit=1").await;
    assert_eq!(small.status(), "200");
    assert!(small.header("content-length").is_some());
    let mut reading = scene.running.connect().await;
    let request = format!("GET {json} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    reading.write_all(request.as_bytes()).await.unwrap();
    let ((slow, _), (fast, _)) = tokio::join!(rest_of_one(first), rest(reading));
    let end = fast
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    assert!(fast.ends_with(END));
    assert!(slow == fast[end + 4..]);
    scene.taken(0).await;
}

/// The rest of an answer, whose connection stays open.
async fn rest_of_one(mut stream: TcpStream) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    while !bytes.ends_with(END) {
        if stream.read_buf(&mut bytes).await.unwrap() == 0 {
            return (bytes, false);
        }
    }
    (bytes, true)
}

#[tokio::test]
async fn whoever_hangs_up_leaves_its_place() {
    let scene = scene(patient()).await;
    let (stream, _) = scene.begin(CSV, "HTTP/1.1").await;
    scene.taken(1).await;
    drop(stream);
    scene.taken(0).await;
}

#[tokio::test]
async fn whoever_takes_nothing_leaves_its_place() {
    let limits = Limits {
        write_timeout: Duration::from_secs(1),
        ..patient()
    };
    let scene = scene(limits).await;
    let stream = scene.ask(CSV, "HTTP/1.1").await;
    scene.running.open_connections(1).await;
    scene.running.open_connections(0).await;
    scene.taken(0).await;
    assert_eq!(
        scene
            .running
            .state
            .telemetry
            .of::<ServerMetrics>()
            .connections_evicted
            .get(),
        1
    );
    let (bytes, _) = rest(stream).await;
    assert!(!bytes.ends_with(END));
}
