//! Asks a running exporter how it is, over HTTP, for commands that look at it from outside.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An exporter answers these questions at once.
const PATIENCE: Duration = Duration::from_secs(5);
/// More of an answer is not read.
const ANSWER_BYTES: u64 = 4096;

/// What was answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The status code; 0 if it was no HTTP.
    pub(super) status: u16,
    /// The content, without the white space around it.
    pub(super) body: String,
}

/// Asks for `path` at `authority`, which is a host with its port.
///
/// # Errors
/// The operating system's, also if there is no answer in time.
pub(super) async fn ask(authority: &str, path: &str) -> io::Result<Answer> {
    let asked = async {
        let mut stream = TcpStream::connect(authority).await?;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(ANSWER_BYTES).read_to_end(&mut answer).await?;
        Ok(Answer::of(&String::from_utf8_lossy(&answer)))
    };
    tokio::time::timeout(PATIENCE, asked)
        .await
        .unwrap_or_else(|_| {
            let message = format!("no answer within {} s", PATIENCE.as_secs());
            Err(io::Error::new(io::ErrorKind::TimedOut, message))
        })
}

/// An address to connect to where something listens on `address`, which may stand for all of them.
pub(super) fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    address
}

impl Answer {
    fn of(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
        let status = head.strip_prefix("HTTP/1.1 ");
        let status = status.and_then(|rest| rest.get(..3)?.parse().ok());
        Self {
            status: status.unwrap_or_default(),
            body: body.trim().to_owned(),
        }
    }

    /// Whether this exporter says of itself that it is ready.
    pub(super) fn is_ready(&self) -> bool {
        self.status == 200 && self.body == "ready"
    }

    /// Why this exporter says that it is not ready.
    pub(super) fn not_ready(&self) -> Option<&str> {
        self.body.strip_prefix("not ready: ")
    }
}
