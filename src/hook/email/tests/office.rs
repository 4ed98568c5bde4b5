//! A mail server that answers as it is told and repeats what it heard.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use lettre::transport::smtp::extension::ClientId;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tempfile::NamedTempFile;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_rustls::TlsAcceptor;

use crate::hook::Encryption;

/// Address of the office.
pub(super) const HOST: &str = "127.0.0.1";

/// Manners of a mail server.
pub(super) struct Manners {
    pub(super) encryption: Encryption,
    /// Whose certificate it shows.
    pub(super) certificate: &'static str,
    /// True if nobody else vouches for it.
    pub(super) signs_itself: bool,
    /// Offers after EHLO; none of it before STARTTLS, which it offers then.
    pub(super) offers: &'static [&'static str],
    /// Answers to commands that begin so, to a message (`.`), an empty line (`(empty)`) and a connection (nothing);
    /// for other commands what is usual. An empty answer is silence for ever.
    pub(super) answers: &'static [(&'static str, &'static str)],
}

/// Settings of a hook that are about its server.
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) encryption: Encryption,
    pub(super) hello: Option<ClientId>,
    pub(super) allow_private: bool,
    pub(super) ca_file: Option<PathBuf>,
}

/// A mail server, until it is dropped.
pub(super) struct Office {
    pub(super) port: u16,
    pub(super) encryption: Encryption,
    /// The certificate of the authority that vouches for it.
    pub(super) ca: NamedTempFile,
    heard: UnboundedReceiver<String>,
    task: tokio::task::JoinHandle<()>,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            encryption: Encryption::None,
            certificate: HOST,
            signs_itself: false,
            offers: &["AUTH PLAIN LOGIN"],
            answers: &[],
        }
    }
}

impl Office {
    /// Opens one that serves its customers one after the other.
    pub(super) async fn open(manners: Manners) -> Self {
        let (ca, acceptor) = certify(manners.certificate, manners.signs_itself);
        let listener = TcpListener::bind((HOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let encryption = manners.encryption;
        let (tell, heard) = unbounded_channel();
        let task = tokio::spawn(async move {
            let counter = Counter { manners, tell };
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counter.serve(stream, &acceptor).await;
                counter.note("(end)");
            }
        });
        Self {
            port,
            encryption,
            ca,
            heard,
            task,
        }
    }

    /// Settings for those who trust its certificate.
    pub(super) fn server(&self) -> Server {
        Server {
            host: HOST.to_owned(),
            port: self.port,
            encryption: self.encryption,
            hello: None,
            allow_private: true,
            ca_file: Some(self.ca.path().to_owned()),
        }
    }

    /// The next thing that it heard: a command, a message, `(TLS)` or `(end)`.
    pub(super) async fn hear(&mut self) -> String {
        self.heard.recv().await.unwrap()
    }

    /// All that it heard of one customer but for the names that they give themselves.
    pub(super) async fn hear_all(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            match self.hear().await.as_str() {
                "(end)" => return all,
                ehlo if ehlo.starts_with("EHLO ") => all.push("EHLO".to_owned()),
                other => all.push(other.to_owned()),
            }
        }
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Counter {
    manners: Manners,
    tell: UnboundedSender<String>,
}

impl Counter {
    fn note(&self, what: &str) {
        // Nobody may listen any more.
        let _ = self.tell.send(what.to_owned());
    }

    async fn serve(&self, stream: tokio::net::TcpStream, acceptor: &TlsAcceptor) {
        let stream = match self.manners.encryption {
            Encryption::None => return self.talk(BufStream::new(stream), true, false).await,
            Encryption::Tls => stream,
            Encryption::StartTls => {
                let mut stream = BufStream::new(stream);
                if !self.hear_start_tls(&mut stream).await {
                    return;
                }
                stream.into_inner()
            }
        };
        // Who does not trust the certificate breaks off here.
        if let Ok(stream) = acceptor.accept(stream).await {
            self.note("(TLS)");
            let greets = self.manners.encryption == Encryption::Tls;
            self.talk(BufStream::new(stream), greets, true).await;
        }
    }

    /// Talks in the clear; says whether TLS is to begin.
    async fn hear_start_tls(&self, stream: &mut BufStream<tokio::net::TcpStream>) -> bool {
        if !self.answer(stream, "").await {
            return false;
        }
        while let Some(line) = self.line(stream).await {
            if !self.answer(stream, &line).await {
                return false;
            }
            if line == "STARTTLS" {
                return true;
            }
        }
        false
    }

    async fn talk<S>(&self, mut stream: BufStream<S>, greets: bool, secured: bool)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if greets && !self.answer(&mut stream, "").await {
            return;
        }
        while let Some(line) = self.line(&mut stream).await {
            if line.starts_with("EHLO ") && secured {
                let offers: String = self
                    .manners
                    .offers
                    .iter()
                    .map(|offer| format!("250-{offer}\r\n"))
                    .collect();
                let _ = stream
                    .write_all(format!("250-mail.test\r\n{offers}250 HELP\r\n").as_bytes())
                    .await;
                let _ = stream.flush().await;
            } else if !self
                .answer(&mut stream, if line.is_empty() { "(empty)" } else { &line })
                .await
            {
                return;
            } else if line == "DATA" {
                let mut message = String::new();
                while !message.ends_with("\r\n.\r\n") {
                    if stream.read_line(&mut message).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                self.note(&message);
                if !self.answer(&mut stream, ".").await {
                    return;
                }
            }
        }
    }

    async fn line<S>(&self, stream: &mut BufStream<S>) -> Option<String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut line = String::new();
        // Customers may be gone at any time.
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return None;
        }
        let line = line.strip_suffix("\r\n").unwrap();
        self.note(line);
        Some(line.to_owned())
    }

    /// Answers `command`; false once the customer is gone, which who is silent waits for.
    async fn answer<S>(&self, stream: &mut BufStream<S>, command: &str) -> bool
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let own = self.manners.answers.iter().find(|(start, _)| match *start {
            "" => command.is_empty(),
            "(empty)" => command == "(empty)",
            start => command.starts_with(start),
        });
        let usual = match command.split(' ').next().unwrap() {
            "" => "220 mail.test ready",
            "EHLO" if self.manners.encryption == Encryption::StartTls => {
                "250-mail.test\r\n250 STARTTLS"
            }
            "EHLO" => "250-mail.test\r\n250-AUTH PLAIN LOGIN\r\n250 HELP",
            "STARTTLS" => "220 go ahead",
            "AUTH" if command == "AUTH LOGIN" => "334 VXNlcm5hbWU6",
            "AUTH" => "235 welcome",
            "MAIL" | "RCPT" => "250 ok",
            "DATA" => "354 go ahead",
            "." => "250 2.0.0 queued as 7",
            "QUIT" => "221 bye",
            // Base64: user and password.
            "b3Bz" => "334 UGFzc3dvcmQ6",
            _ => "235 welcome",
        };
        match own.map_or(usual, |(_, answer)| answer) {
            "" => {
                self.note("(silence)");
                while self.line(stream).await.is_some() {}
                false
            }
            "(flood)" => {
                let line = [b'x'; 4096];
                while stream.write_all(&line).await.is_ok() {}
                false
            }
            answer => {
                let _ = stream.write_all(format!("{answer}\r\n").as_bytes()).await;
                stream.flush().await.is_ok()
            }
        }
    }
}

/// An authority's certificate, and TLS with one for `host` that it signed.
fn certify(host: &str, signs_itself: bool) -> (NamedTempFile, TlsAcceptor) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let mut server = CertificateParams::new([host.to_owned()]).unwrap();
    let (pem, certificate) = if signs_itself {
        server.is_ca = authority.is_ca;
        let certificate = server.self_signed(&key).unwrap();
        (certificate.pem(), certificate)
    } else {
        let authority_key = KeyPair::generate().unwrap();
        let pem = authority.self_signed(&authority_key).unwrap().pem();
        let issuer = Issuer::new(authority, authority_key);
        (pem, server.signed_by(&key, &issuer).unwrap())
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.into()], PrivateKeyDer::from(key))
        .unwrap();
    let mut ca = NamedTempFile::new().unwrap();
    ca.write_all(pem.as_bytes()).unwrap();
    (ca, TlsAcceptor::from(Arc::new(config)))
}
