//! Asks a running exporter how it is, over HTTP, for commands that look at it from outside.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

/// An exporter answers these questions at once.
const PATIENCE: Duration = Duration::from_secs(5);
/// More of an answer is not read.
const ANSWER_BYTES: u64 = 4096;

/// Answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The status code; 0 if it was no HTTP.
    pub(super) status: u16,
    /// The content, without the white space around it.
    pub(super) body: String,
}

/// Asks for `path` at `authority`, which is a host with its port, or `unix:` and the path of a socket.
///
/// # Errors
/// The operating system's, also if there is no answer in time.
pub(super) async fn ask(authority: &str, path: &str) -> io::Result<Answer> {
    let asked = async {
        match authority.strip_prefix("unix:") {
            Some(socket) => exchange(UnixStream::connect(socket).await?, "localhost", path).await,
            None => exchange(TcpStream::connect(authority).await?, authority, path).await,
        }
    };
    tokio::time::timeout(PATIENCE, asked)
        .await
        .unwrap_or_else(|_| {
            let message = format!("no answer within {} s", PATIENCE.as_secs());
            Err(io::Error::new(io::ErrorKind::TimedOut, message))
        })
}

async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    host: &str,
    path: &str,
) -> io::Result<Answer> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES).read_to_end(&mut answer).await?;
    Ok(Answer::of(&String::from_utf8_lossy(&answer)))
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

    /// Returns true if this exporter says of itself that it is ready.
    pub(super) fn is_ready(&self) -> bool {
        self.status == 200 && self.body == "ready"
    }

    /// Credentials that this exporter, which is alive then, asks for before it says more.
    pub(super) fn demand(&self) -> Option<&'static str> {
        match self.status {
            400 if self.body.starts_with("TLS is spoken here") => Some("TLS"),
            401 if self.body.starts_with("unauthorized: this exporter ") => Some("a password"),
            429 if self.body.starts_with("too many requests: see rate_limit") => {
                Some("fewer requests")
            }
            503 if self.body == "too many passwords are being checked" => Some("fewer passwords"),
            _ => None,
        }
    }

    /// Why this exporter says that it is not ready.
    pub(super) fn not_ready(&self) -> Option<&str> {
        self.body.strip_prefix("not ready: ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exporter_that_protects_itself_is_alive() {
        let demand = |status: &str, body: &str| {
            let head = format!("HTTP/1.1 {status}\r\nRetry-After: 1");
            Answer::of(&format!("{head}\r\n\r\n{body}\n")).demand()
        };
        let limited = "too many requests: see rate_limit in the web config";
        assert_eq!(
            demand("429 Too Many Requests", limited),
            Some("fewer requests")
        );
        let busy = "too many passwords are being checked";
        assert_eq!(
            demand("503 Service Unavailable", busy),
            Some("fewer passwords")
        );
        // What stands before it may say the like.
        assert_eq!(demand("429 Too Many Requests", "slow down"), None);
        assert_eq!(
            demand("503 Service Unavailable", "no server is available"),
            None
        );
    }
}
