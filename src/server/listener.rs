//! Accepts connections and talks HTTP/1.1 on them, within limits that keep the exporter reachable
//! whatever its clients do.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::server::Acceptor;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connections::{Answering, Connections, Slot};
use super::routes::{refuse, respond, start_counting, turn_away};
use super::socket::{Listener, Socket};
use crate::clock::instant;
use crate::http::months;
use crate::http::parts::BrokenOff;
use crate::http::response::Content;
use crate::http::state::State;
use crate::protection::origin::Arrival;
use crate::protection::{Guard, Protection};

/// The most bytes that a request head may have, and the most headers.
const MAX_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;

/// The first byte of a client that speaks TLS: a record of the handshake.
const TLS_HANDSHAKE: u8 = 22;

/// Reply to plain HTTP on a TLS port.
const NEEDS_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 33\r\nConnection: close\r\n\r\nTLS is spoken here: use https://\n";

/// First pause after accepting failed for lack of a resource; doubles up to the second.
const ACCEPT_PAUSE: [Duration; 2] = [Duration::from_millis(10), Duration::from_secs(1)];

/// The same complaint is logged no more often than this.
const COMPLAINTS: Duration = Duration::from_secs(60);

/// Interval between checks of the connections.
const TICK: Duration = Duration::from_secs(1);

/// Limits on clients.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// Time to send a whole request head, the handshake of TLS included, and to stay idle between
    /// requests.
    pub header_timeout: Duration,
    /// Time to take a whole response; of a long one, to take the next of it.
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

/// When full, accept this many connections, then pause: some 2,000 a second.
const CROWD_AT_ONCE: u32 = 4;
const CROWD_PAUSE: Duration = Duration::from_millis(1);

/// Kinds of sockets that requests come by.
type Stream = Either<Socket, TlsStream<Socket>>;

/// Values that every connection needs.
struct Server {
    state: State,
    guard: Guard,
    limits: Limits,
    connections: Arc<Connections>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

/// Serves on all `listeners` until `shutdown` is cancelled; returns when the responses under way
/// are done or [`Limits::drain_timeout`] is over.
pub async fn serve(
    listeners: Vec<Listener>,
    state: State,
    guard: Guard,
    limits: Limits,
    shutdown: CancellationToken,
) {
    start_counting(&state.telemetry.of());
    let server = Arc::new(Server {
        connections: Connections::new(limits.connections, state.telemetry.of()),
        state,
        guard,
        limits,
        tasks: TaskTracker::new(),
        shutdown: shutdown.clone(),
    });
    for listener in listeners {
        server.tasks.spawn(accept(Arc::clone(&server), listener));
    }
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = evict_late(&server) => {}
        () = months::keep(&server.state.months, &server.state.board, &*server.state.clock) => {}
    }
    server.tasks.close();
    let drained = tokio::time::timeout(limits.drain_timeout, server.tasks.wait()).await;
    if drained.is_err() {
        server.connections.evict_all();
        server.tasks.wait().await;
    }
}

/// Gives up connections on which nothing has come, and responses that their clients do not take, for as
/// long as it is polled.
async fn evict_late(server: &Server) {
    let Limits {
        header_timeout,
        write_timeout,
        ..
    } = server.limits;
    loop {
        let next = server
            .connections
            .evict_late(instant(), header_timeout, write_timeout);
        // Every second at the least, by which it is seen that the server goes round.
        tokio::time::sleep_until(next.min(instant() + TICK)).await;
    }
}

async fn accept(server: Arc<Server>, listener: Listener) {
    let [shortest, longest] = ACCEPT_PAUSE;
    let mut pause = shortest;
    let mut complaint = Complaint::default();
    let mut pressed_in: u32 = 0;
    loop {
        let accepted = tokio::select! {
            () = server.shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, arrival)) => {
                pause = shortest;
                let slot = server.connections.open(instant());
                let conversation = converse(Arc::clone(&server), socket, arrival, slot);
                server.tasks.spawn(conversation);
                // Where each that comes presses another out, a crowd must not press out those that have come
                // just before it, faster than they can say what they want.
                if server.connections.are_full() {
                    pressed_in = pressed_in.wrapping_add(1);
                    if pressed_in.is_multiple_of(CROWD_AT_ONCE) {
                        tokio::time::sleep(CROWD_PAUSE).await;
                    }
                }
            }
            Err(error) if is_of_the_connection(&error) => {}
            // Out of file descriptors or memory. What waits goes first; trying on at once would
            // burn the processor.
            Err(error) => {
                if let Some(times) = complaint.due(instant()) {
                    tracing::warn!(%error, times, "cannot accept connections");
                }
                server.connections.make_room();
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(longest);
            }
        }
    }
}

/// Something that goes wrong again and again, and is told once a minute.
#[derive(Debug, Default)]
struct Complaint {
    told_at: Option<Instant>,
    /// Number of failures since then.
    times: u64,
}

impl Complaint {
    /// Notes that it has gone wrong at `now`. Returns how often it has since it was told, if it is to be told
    /// now.
    fn due(&mut self, now: Instant) -> Option<u64> {
        self.times += 1;
        if self
            .told_at
            .is_some_and(|told_at| now < told_at + COMPLAINTS)
        {
            return None;
        }
        self.told_at = Some(now);
        Some(std::mem::take(&mut self.times))
    }
}

/// Returns true if the error is about the connection to accept, not about accepting.
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
async fn converse(server: Arc<Server>, socket: Socket, arrival: Arrival, slot: Arc<Slot>) {
    let begun = async {
        let protection = server.guard.protection().await;
        match protection.tls().cloned() {
            None => Some((Either::Left(socket), protection)),
            Some(config) => {
                let socket = speaks_tls(socket).await?;
                match shake_hands(socket, config, &slot).await {
                    Ok(stream) => Some((Either::Right(stream), protection)),
                    Err(error) => {
                        tracing::debug!(%error, "TLS handshake with a client failed");
                        None
                    }
                }
            }
        }
    };
    let begun = tokio::select! {
        begun = begun => begun,
        () = slot.evicted() => None,
        () = server.shutdown.cancelled() => None,
    };
    if let Some((stream, protection)) = begun {
        answer_requests(&server, &slot, stream, &arrival, &protection).await;
    }
}

/// The socket if TLS may be spoken on it. Who speaks plain HTTP is told so, in words that it can read.
async fn speaks_tls(mut socket: Socket) -> Option<Socket> {
    let Either::Left(stream) = &mut socket else {
        // What comes by a unix socket cannot be looked at before it is read.
        return Some(socket);
    };
    let mut first = [0];
    match stream.peek(&mut first).await {
        Ok(1) if first != [TLS_HANDSHAKE] => {
            // What has come is taken first: a connection that is closed over it would be reset, and the
            // words with it. What of them is not taken is not missed.
            let _ = stream.try_read(&mut [0; MAX_HEAD]);
            let _ = stream.write_all(NEEDS_TLS).await;
            let _ = stream.shutdown().await;
            None
        }
        Ok(1) => Some(socket),
        _ => None,
    }
}

/// Agrees on TLS with the client.
async fn shake_hands(
    socket: Socket,
    config: Arc<ServerConfig>,
    slot: &Slot,
) -> io::Result<TlsStream<Socket>> {
    let hello = LazyConfigAcceptor::new(Acceptor::default(), socket).await?;
    slot.greeted();
    hello.into_stream(config).await
}

async fn answer_requests(
    server: &Server,
    slot: &Arc<Slot>,
    stream: Stream,
    arrival: &Arrival,
    began_with: &Protection,
) {
    let unfinished = Arc::new(AtomicBool::new(false));
    let service = service_fn(|request: Request<Incoming>| {
        let (answering, unfinished) = (slot.answering(), Arc::clone(&unfinished));
        async move {
            let response = protect_and_respond(server, &request, arrival, began_with).await;
            Ok::<Response<Answer>, Infallible>(response.map(|content| Answer {
                content,
                answering,
                wanted: None,
                unfinished,
            }))
        }
    });
    // Heads that do not come are given up with their connection, by the table that keeps them all.
    let mut connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    let ended = async {
        tokio::select! {
            result = &mut connection => return log(result),
            () = slot.evicted() => return,
            () = server.shutdown.cancelled() => Pin::new(&mut connection).graceful_shutdown(),
        }
        tokio::select! {
            result = &mut connection => log(result),
            () = slot.evicted() => {}
        }
    };
    ended.await;
    if unfinished.load(Ordering::Relaxed) {
        reset(connection.into_parts().io.inner());
    }
}

/// Has a connection end in an error for its client when it is dropped: one that speaks HTTP/1.0 takes the plain end of
/// a connection for the end of the answer.
fn reset(stream: &Stream) {
    let socket = match stream {
        Either::Left(socket) => socket,
        Either::Right(stream) => stream.get_ref().0,
    };
    if let Either::Left(socket) = socket {
        // Whoever has gone has seen enough.
        let _ = socket.set_zero_linger();
    }
}

/// Answers a request if its sender may have an answer.
async fn protect_and_respond(
    server: &Server,
    request: &Request<Incoming>,
    arrival: &Arrival,
    began_with: &Protection,
) -> Response<Content> {
    let protection = server.guard.protection().await;
    let state = &server.state;
    let tls = began_with.tls().is_some();
    let mut response = match turn_away(state, request, arrival, tls).await {
        Some(turned_away) => turned_away,
        None => match server
            .guard
            .admit(&protection, request.headers(), arrival.client)
            .await
        {
            Ok(()) => respond(state, request).await,
            Err(refusal) => refuse(state, request, refusal).await,
        },
    };
    let headers = response.headers_mut();
    for (name, value) in protection.headers() {
        headers.insert(name, value.clone());
    }
    if protection.speaks_otherwise_than(began_with) {
        // The next handshake is to be the new one.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
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
    answering: Answering,
    /// Since when the next frame is wanted.
    wanted: Option<Instant>,
    /// Says while a long answer is being sent that not all of it is.
    unfinished: Arc<AtomicBool>,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let wanted = *self.wanted.get_or_insert_with(instant);
        let part = ready!(self.content.poll_next(context));
        self.wanted = None;
        if self.content.length().is_none() {
            self.unfinished.store(part.is_some(), Ordering::Relaxed);
            if let Some(Ok(bytes)) = &part {
                self.answering.sends(bytes.len(), wanted.elapsed());
            }
        }
        Poll::Ready(part.map(|part| part.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.content.length() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        let length = self.content.length();
        length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_wrong_90_times_a_second_is_told_once_a_minute() {
        let mut complaint = Complaint::default();
        let start = instant();
        let told: Vec<u64> = (0..90 * 150)
            .filter_map(|time: u32| complaint.due(start + Duration::from_secs(1) / 90 * time))
            .collect();
        assert_eq!(told.len(), 3);
        assert_eq!(told[0], 1);
        assert!((5_390..=5_410).contains(&told[1]), "{told:?}");
    }
}
