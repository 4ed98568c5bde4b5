//! Clients that take up connections and give nothing for them.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use flowgent_exporter::clock::instant;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// How a client takes up a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It sends the beginning of a request, or of a handshake, and no more.
    HalfOpen,
    /// It sends nothing.
    Silent,
    /// It sends a request, or a handshake, without an end, a byte at a time.
    Dripping,
    /// It asks for something, and then for nothing more.
    Idle,
}

const KINDS: [Kind; 4] = [Kind::HalfOpen, Kind::Silent, Kind::Dripping, Kind::Idle];

const BEGINNING: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Filler: ";
/// That of a handshake of 16 KB.
const TLS_BEGINNING: &[u8] = b"\x16\x03\x01\x3f\xff\x01\x00\x3f\xfb\x03\x03";
const REQUEST: &[u8] = b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n";
/// Between two bytes of a client that drips.
const DRIP: Duration = Duration::from_millis(200);

/// Clients of all kinds, each with its connection.
pub struct Crowd(JoinSet<(Kind, Duration)>);

impl Crowd {
    /// Has `size` clients connect to `address`, with TLS if there is a connector for `localhost`.
    pub fn gather(address: SocketAddr, tls: Option<&TlsConnector>, size: usize) -> Self {
        let mut clients = JoinSet::new();
        for kind in KINDS.into_iter().cycle().take(size) {
            let tls = tls.cloned();
            clients.spawn(async move {
                let connected = TcpStream::connect(address).await;
                let since = instant();
                // However it ends, the server has ended it: by a goodbye, a reset, or no answer at all.
                if let Ok(stream) = connected {
                    let _ = take_up(kind, stream, tls).await;
                }
                (kind, since.elapsed())
            });
        }
        Self(clients)
    }

    /// Waits until the server has closed all their connections: how long each was held.
    pub async fn closed(self) -> Vec<(Kind, Duration)> {
        self.0.join_all().await
    }
}

async fn take_up(kind: Kind, mut stream: TcpStream, tls: Option<TlsConnector>) -> io::Result<()> {
    match (kind, tls) {
        (Kind::Idle, Some(tls)) => {
            let name = ServerName::try_from("localhost").expect("it is a name");
            idle(tls.connect(name, stream).await?).await
        }
        (Kind::Idle, None) => idle(stream).await,
        (Kind::Silent, _) => stay(stream).await,
        (Kind::HalfOpen | Kind::Dripping, tls) => {
            let beginning = if tls.is_some() {
                TLS_BEGINNING
            } else {
                BEGINNING
            };
            stream.write_all(beginning).await?;
            if kind == Kind::HalfOpen {
                return stay(stream).await;
            }
            let mut drips = tokio::time::interval(DRIP);
            loop {
                drips.tick().await;
                stream.write_all(b"x").await?;
            }
        }
    }
}

async fn idle(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    stream.write_all(REQUEST).await?;
    stay(stream).await
}

/// Takes whatever comes until nothing can come any more.
async fn stay(mut stream: impl AsyncRead + Unpin) -> io::Result<()> {
    let mut bytes = [0; 1024];
    while stream.read(&mut bytes).await? > 0 {}
    Ok(())
}
