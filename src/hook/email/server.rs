//! A connection to a mail server: to an address that was checked, and secured as configured before
//! anything is said that matters.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use lettre::transport::smtp;
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::commands::{Ehlo, Starttls};
use lettre::transport::smtp::extension::{ClientId, Extension, ServerInfo};
use lettre::transport::smtp::response::Response;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Email;
use super::hello::greeting;
use crate::blocking;
use crate::egress::SendError;
use crate::egress::post::chain;
use crate::egress::target::{dial, not_public, resolve};
use crate::egress::{Roots, trust};
use crate::hook::{Encryption, Settings, one_line};
use crate::text::printable;

/// The most bytes that a server may say in all: honest ones need about a thousand.
const ANSWER_BYTES: usize = 64 << 10;
/// The most bytes of a server's words that are shown, and of what is said of them.
pub(super) const SHOWN_BYTES: usize = 300;

impl Email {
    /// A connection to the server on which the server has been greeted.
    pub(super) async fn connect(
        &self,
        settings: &Settings,
    ) -> Result<AsyncSmtpConnection, SendError> {
        let addresses = resolve(&self.host, self.port, settings.allow_private).await?;
        if self.encryption == Encryption::None
            && let Some(address) = public(&addresses)
        {
            return Err(self.failed(&format!(
                "{address} is a public address: nothing is sent to it without TLS"
            )));
        }
        let dialled = dial(&addresses).await;
        let (mut stream, peer) =
            dialled.map_err(|error| self.failed(&format!("cannot connect: {error}")))?;
        let own = stream.local_addr();
        let own = own.map_err(|error| self.failed(&format!("cannot connect: {error}")))?;
        let hello = greeting(self.hello.as_ref(), &ClientId::default(), own.ip());
        let connected = match self.encryption {
            Encryption::None => {
                let stream = Bounded::new(stream, peer, Vec::new());
                AsyncSmtpConnection::connect_with_transport(Box::new(stream), &hello).await
            }
            Encryption::Tls => {
                let stream = Bounded::new(self.secure(stream, settings).await?, peer, Vec::new());
                AsyncSmtpConnection::connect_with_transport(Box::new(stream), &hello).await
            }
            Encryption::StartTls => {
                let greeting = start_tls(&mut stream, &hello)
                    .await
                    .map_err(|reason| self.failed(&reason))?;
                let stream = Bounded::new(self.secure(stream, settings).await?, peer, greeting);
                AsyncSmtpConnection::connect_with_transport(Box::new(stream), &hello).await
            }
        };
        connected.map_err(|error| self.failed(&format!("greeting: {}", told(&error))))
    }

    /// A failure of this server, whose words may be of any length and form.
    pub(super) fn failed(&self, what: &str) -> SendError {
        let what = printable(&one_line(what, SHOWN_BYTES), SHOWN_BYTES);
        SendError::new(format!("{}:{}: {what}", self.host, self.port))
    }

    /// TLS over `stream`, with a server that proves to be the host.
    async fn secure<S>(
        &self,
        stream: S,
        settings: &Settings,
    ) -> Result<tokio_rustls::client::TlsStream<S>, SendError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::try_from(self.host.clone())
            .map_err(|_| self.failed("the host is no name that a certificate could be for"))?;
        let file = settings.ca_file.clone();
        let roots = file.map_or(Roots::Bundled, Roots::File);
        let config = blocking::run(move || trust::client_config(&roots)).await;
        let config =
            config.map_err(|error| SendError::unready(self.failed(&chain(&error)).text))?;
        let connector = TlsConnector::from(Arc::new(config));
        let connected = connector.connect(name, stream).await;
        connected.map_err(|error| {
            let advice = trust::advice(&error).map_or_else(String::new, |text| format!(": {text}"));
            self.failed(&format!("TLS: {error}{advice}"))
        })
    }
}

/// The first public one of `addresses`, to which the way is open to anybody.
pub(super) fn public(addresses: &[SocketAddr]) -> Option<IpAddr> {
    let mut addresses = addresses.iter().map(SocketAddr::ip);
    addresses.find(|address| not_public(*address).is_none())
}

/// Text of an SMTP error: the server's code and words, or the failure without them.
pub(super) fn told(error: &smtp::Error) -> String {
    let words =
        std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    match error.status() {
        Some(code) => format!("{code} {words}"),
        None if error.is_response() => format!("no answer in SMTP: {words}"),
        None => words,
    }
}

/// Talks to the server in the clear up to where TLS begins, and gives back its greeting.
///
/// Nothing is read beyond the answer to STARTTLS: what somebody between put there, to be taken for
/// the server's own words afterwards, is then no TLS and ends the connection.
async fn start_tls(stream: &mut TcpStream, hello: &ClientId) -> Result<Vec<u8>, String> {
    let greeting = expect(stream, 220, "greeting").await?;
    say(stream, &Ehlo::new(hello.clone()).to_string()).await?;
    let offers = expect(stream, 250, "EHLO").await?;
    let offers = parse(&offers)
        .and_then(|offers| ServerInfo::from_response(&offers).ok())
        .is_some_and(|server| server.supports_feature(Extension::StartTls));
    if !offers {
        return Err("STARTTLS is not offered, and nothing is sent without it".to_owned());
    }
    say(stream, &Starttls.to_string()).await?;
    expect(stream, 220, "STARTTLS").await?;
    Ok(greeting)
}

async fn say(stream: &mut TcpStream, command: &str) -> Result<(), String> {
    let written = stream.write_all(command.as_bytes()).await;
    written.map_err(|error| error.to_string())
}

/// Reads an answer of perhaps several lines, which must have that code. It is read byte by byte.
async fn expect(stream: &mut TcpStream, code: u16, to: &str) -> Result<Vec<u8>, String> {
    let mut answer = Vec::new();
    let mut start = 0;
    loop {
        let byte = stream.read_u8().await;
        answer.push(byte.map_err(|error| format!("{to}: {error}"))?);
        if answer.len() == ANSWER_BYTES {
            return Err(format!("{to}: the answer has {ANSWER_BYTES} bytes or more"));
        }
        if answer.ends_with(b"\n") {
            if answer.get(start + 3) != Some(&b'-') {
                break;
            }
            start = answer.len();
        }
    }
    if parse(&answer).is_some_and(|answer| answer.has_code(code)) {
        return Ok(answer);
    }
    Err(format!("{to}: {}", String::from_utf8_lossy(&answer)))
}

fn parse(answer: &[u8]) -> Option<Response> {
    std::str::from_utf8(answer).ok()?.parse().ok()
}

/// A connection whose server cannot say more than it needs to: lettre reads lines of any length.
///
/// It begins with a greeting that was read already, if there is one.
#[derive(Debug)]
struct Bounded<S> {
    stream: S,
    peer: SocketAddr,
    greeting: Vec<u8>,
    /// Bytes that the server may still say.
    left: usize,
}

impl<S> Bounded<S> {
    fn new(stream: S, peer: SocketAddr, greeting: Vec<u8>) -> Self {
        Self {
            stream,
            peer,
            greeting,
            left: ANSWER_BYTES,
        }
    }
}

impl<S> AsyncTokioStream for Bounded<S>
where
    S: AsyncRead + AsyncWrite + Send + Sync + Unpin + std::fmt::Debug,
{
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.greeting.is_empty() {
            let count = this.greeting.len().min(buffer.remaining());
            buffer.put_slice(&this.greeting[..count]);
            this.greeting.drain(..count);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        let count = buffer.filled().len() - before;
        let Some(left) = this.left.checked_sub(count) else {
            let text = format!("the answers have more than {ANSWER_BYTES} bytes");
            return Poll::Ready(Err(io::Error::other(text)));
        };
        this.left = left;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
