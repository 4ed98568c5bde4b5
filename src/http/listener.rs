//! Accepts connections and talks HTTP/1.1 on them, within limits that keep the exporter reachable
//! whatever its clients do.

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connections::{Answering, Connections};
use super::response::Content;
use super::routes::{State, respond, start_counting};
use crate::clock::instant;

/// The most bytes that a request head may have, and the most headers.
const MAX_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;

/// How long accepting rests after it failed for lack of something, doubling up to the second.
const ACCEPT_PAUSE: [Duration; 2] = [Duration::from_millis(10), Duration::from_secs(1)];

/// How often the connections are looked at.
const TICK: Duration = Duration::from_secs(1);

/// What clients may take from the server.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// Time to send a whole request head, and to stay idle between requests.
    pub header_timeout: Duration,
    /// Time to take a whole response.
    pub write_timeout: Duration,
    /// Time for responses under way when the server stops.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            header_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

/// What every connection needs.
struct Server {
    state: State,
    limits: Limits,
    connections: Arc<Connections>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

/// Serves on all `listeners` until `shutdown` is cancelled; returns when the responses under way
/// are done or [`Limits::drain_timeout`] is over.
pub async fn serve(
    listeners: Vec<TcpListener>,
    state: State,
    limits: Limits,
    shutdown: CancellationToken,
) {
    start_counting(&state.telemetry);
    let server = Arc::new(Server {
        connections: Connections::new(limits.connections, state.telemetry.clone()),
        state,
        limits,
        tasks: TaskTracker::new(),
        shutdown: shutdown.clone(),
    });
    for listener in listeners {
        server.tasks.spawn(accept(Arc::clone(&server), listener));
    }
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = evict_stalled(&server) => {}
    }
    server.tasks.close();
    let drained = tokio::time::timeout(limits.drain_timeout, server.tasks.wait()).await;
    if drained.is_err() {
        server.connections.evict_all();
        server.tasks.wait().await;
    }
}

/// Gives up responses that their clients do not take, for as long as it is polled.
async fn evict_stalled(server: &Server) {
    loop {
        let limit = server.limits.write_timeout;
        let next = server.connections.evict_stalled(instant(), limit);
        // Every second at the least, by which it is seen that the server goes round.
        tokio::time::sleep_until(next.min(instant() + TICK)).await;
    }
}

async fn accept(server: Arc<Server>, listener: TcpListener) {
    let [shortest, longest] = ACCEPT_PAUSE;
    let mut pause = shortest;
    loop {
        let accepted = tokio::select! {
            () = server.shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                pause = shortest;
                server.tasks.spawn(converse(Arc::clone(&server), stream));
            }
            Err(error) if is_of_the_connection(&error) => {}
            // Out of file descriptors or memory. What waits goes first; trying on at once would
            // burn the processor.
            Err(error) => {
                if pause == shortest {
                    tracing::warn!(%error, "cannot accept connections");
                }
                server.connections.make_room();
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(longest);
            }
        }
    }
}

/// Whether the error is about the connection that was to be accepted, not about accepting.
fn is_of_the_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// Answers the requests of one connection until either side has had enough.
async fn converse(server: Arc<Server>, stream: TcpStream) {
    let slot = server.connections.open(instant());
    // The last packet of a response would otherwise wait for the client's acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot turn off delays");
    }
    let service = service_fn(|request: Request<Incoming>| {
        let (server, answering) = (&server, slot.answering());
        async move {
            let response = respond(&server.state, &request).await;
            Ok::<Response<Answer>, Infallible>(response.map(|content| Answer {
                content,
                _answering: answering,
            }))
        }
    });
    let connection = http1::Builder::new()
        // Without a timer, hyper keeps no timeout and does not say so.
        .timer(TokioTimer::new())
        .header_read_timeout(server.limits.header_timeout)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        result = connection.as_mut() => return log(result),
        () = slot.evicted() => return,
        () = server.shutdown.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        result = connection => log(result),
        () = slot.evicted() => {}
    }
}

/// Clients hang up as they like; only someone who looks for it wants to read about that.
fn log(result: hyper::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(%error, "connection ended");
    }
}

/// The content of a response, which marks its connection as answering while it is being sent.
struct Answer {
    content: Content,
    _answering: Answering,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.content.next().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.content.length() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.content.length())
    }
}
