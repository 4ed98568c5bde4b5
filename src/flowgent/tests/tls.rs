//! The client against a server with a certificate, which it trusts or not.

use std::io::Write;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_rustls::TlsAcceptor;

use super::server::{answer, request};
use super::*;

/// A server that answers well to everyone who trusts its certificate.
pub(crate) struct TlsServer {
    pub(crate) url: String,
    /// The certificate of the authority that vouches for it.
    pub(crate) ca: NamedTempFile,
    pub(crate) requests: UnboundedReceiver<String>,
}

/// An authority's certificate as PEM, and a server's certificate and key for `host` that it signed.
fn certificates(host: &str) -> (String, CertificateDer<'static>, PrivateKeyDer<'static>) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new([host.to_owned()]).unwrap();
    let certificate = server.signed_by(&key, &issuer).unwrap();
    (pem, certificate.into(), key.into())
}

/// The certificate of a server for `host` that has signed itself, as an authority would, as PEM and as it is,
/// and its key.
fn self_signed(host: &str) -> (String, CertificateDer<'static>, PrivateKeyDer<'static>) {
    let mut server = CertificateParams::new([host.to_owned()]).unwrap();
    server.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = server.self_signed(&key).unwrap();
    (certificate.pem(), certificate.into(), key.into())
}

impl TlsServer {
    /// Starts one whose certificate is for `host`.
    pub(crate) async fn start(host: &str) -> Self {
        Self::with(certificates(host)).await
    }

    /// Starts one that vouches for itself.
    pub(crate) async fn self_signed(host: &str) -> Self {
        Self::with(self_signed(host)).await
    }

    async fn with(
        (pem, certificate, key): (String, CertificateDer<'static>, PrivateKeyDer<'static>),
    ) -> Self {
        let mut ca = NamedTempFile::new().unwrap();
        ca.write_all(pem.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/api/public/", listener.local_addr().unwrap());
        let (tell, requests) = unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                // Who does not trust the certificate breaks off here.
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    tell.send(request(&mut stream).await).unwrap();
                    let answer = answer(200, "", usage_json());
                    stream.write_all(&answer).await.unwrap();
                    stream.shutdown().await.unwrap();
                }
            }
        });
        Self { url, ca, requests }
    }

    /// A client of it that trusts `roots`.
    fn client(&self, roots: Roots, telemetry: &Telemetry) -> Client {
        let settings = Settings {
            roots,
            ..settings(&self.url, Duration::from_secs(60))
        };
        client_with(&settings, telemetry)
    }

    /// Its authority's certificate, to be trusted.
    fn roots(&self) -> Roots {
        Roots::File(self.ca.path().to_owned())
    }
}

#[tokio::test]
async fn a_server_whose_authority_is_in_the_ca_file_is_asked() {
    let mut server = TlsServer::start("127.0.0.1").await;
    let client = server.client(server.roots(), &Telemetry::new());
    assert_eq!(usage(&client).await.unwrap().agent_id, "support");
    let request = server.requests.recv().await.unwrap();
    assert!(
        request.contains(&format!("authorization: {KEY}\r\n")),
        "{request}"
    );
}

#[tokio::test]
async fn a_server_that_has_signed_itself_is_asked_if_its_own_certificate_is_the_ca_file() {
    let server = TlsServer::self_signed("127.0.0.1").await;
    let client = server.client(server.roots(), &Telemetry::new());
    assert_eq!(usage(&client).await.unwrap().agent_id, "support");
    let other = TlsServer::self_signed("127.0.0.1").await;
    let elsewhere = TlsServer::self_signed("flowgent.ai").await;
    for (server, roots, reason) in [
        (
            &server,
            other.roots(),
            "it has signed itself: put exactly this certificate",
        ),
        (
            &server,
            Roots::Bundled,
            "it has signed itself: put exactly this certificate",
        ),
        (
            &elsewhere,
            elsewhere.roots(),
            "connect by a name that the certificate is for",
        ),
    ] {
        let error = usage(&server.client(roots, &Telemetry::new()))
            .await
            .unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_is_told_why_and_gets_no_request() {
    let unknown = TlsServer::start("127.0.0.1").await;
    let elsewhere = TlsServer::start("flowgent.ai").await;
    for (server, roots, reason) in [
        (
            &unknown,
            Roots::Bundled,
            "UnknownIssuer: put the certificate of its authority",
        ),
        // Its authority is called the same, but has another key.
        (&unknown, elsewhere.roots(), "BadSignature"),
        (&elsewhere, elsewhere.roots(), "not valid for name"),
    ] {
        let telemetry = Telemetry::new();
        let error = usage(&server.client(roots, &telemetry)).await.unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("cannot connect: invalid peer certificate: "),
            "{text}"
        );
        assert!(text.contains(reason), "{text}");
        assert!(counted(&telemetry, "usage", "connect") > 0);
        assert!(server.requests.is_empty());
    }
}
