//! A server that does to its clients what it is told, one connection after the other.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;

/// Treatment of one connection after its request was read.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// These bytes, then the end.
    Send(Vec<u8>),
    /// These bytes, then nothing for ever.
    Stall(Vec<u8>),
    /// These bytes, then a space now and then for ever.
    Drip(Vec<u8>),
    /// These bytes, then spaces in chunks for as long as anybody takes them.
    Flood(Vec<u8>),
}

/// A server that is gone when its acts are over, so that no client can wait for it.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) url: String,
    requests: UnboundedReceiver<String>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(acts: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/api/public/", listener.local_addr().unwrap());
        let (tell, requests) = unbounded_channel();
        let task = tokio::spawn(async move {
            let mut stalled = Vec::new();
            for act in acts {
                let (mut stream, _) = listener.accept().await.unwrap();
                tell.send(request(&mut stream).await).unwrap();
                // A client that has read enough may close at any time.
                match act {
                    Act::Send(bytes) => {
                        let _ = stream.write_all(&bytes).await;
                        let _ = stream.shutdown().await;
                    }
                    Act::Stall(bytes) => {
                        let _ = stream.write_all(&bytes).await;
                        stalled.push(stream);
                    }
                    Act::Drip(bytes) => {
                        let _ = stream.write_all(&bytes).await;
                        let mut beat = tokio::time::interval(Duration::from_millis(5));
                        while stream.write_all(b"1\r\n \r\n").await.is_ok() {
                            beat.tick().await;
                        }
                    }
                    Act::Flood(bytes) => {
                        let _ = stream.write_all(&bytes).await;
                        let chunk = format!("1000\r\n{}\r\n", " ".repeat(4096));
                        while stream.write_all(chunk.as_bytes()).await.is_ok() {}
                    }
                }
            }
            drop(listener);
            std::future::pending::<()>().await;
        });
        Self {
            url,
            requests,
            task,
        }
    }

    /// A server that sends the same answer so many times.
    pub(crate) async fn repeating(answer: Vec<u8>, times: usize) -> Self {
        Self::start(vec![Act::Send(answer); times]).await
    }

    /// The next request: head and body.
    pub(crate) async fn request(&mut self) -> String {
        self.requests.recv().await.unwrap()
    }

    /// Number of requests that came and nobody has looked at yet.
    pub(crate) fn unseen(&self) -> usize {
        self.requests.len()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads one request, with as much of a body as it announces.
pub(crate) async fn request(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().unwrap());
            if body.len() >= length {
                return text;
            }
        }
        assert!(stream.read_buf(&mut read).await.unwrap() > 0, "{text}");
    }
}

/// An answer with a body and its length; `headers` are lines that end in `\r\n`.
pub(crate) fn answer(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut answer = format!(
        "HTTP/1.1 {status} Any\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    )
    .into_bytes();
    answer.extend_from_slice(body);
    answer
}

/// The head of an answer whose body follows in chunks.
pub(crate) fn chunked_head() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec()
}
