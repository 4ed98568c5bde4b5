//! Protection by a web config, also while its file changes. TLS has a room of its own.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::super::metrics::ServerMetrics;
use super::*;
use crate::protection::metrics::ProtectionMetrics;

/// A folder with a web config and what it names.
pub(super) struct Folder {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Folder {
    /// Its authority's certificate is `ca.pem`, and `server.pem` and `server.key` are for `localhost`.
    pub(super) fn new(web_config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = authority.self_signed(&key).unwrap();
        fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        let issuer = Issuer::new(authority, key);
        let new = Self { folder, issuer };
        new.issue("server", "localhost", 4000);
        new.write(web_config);
        new
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// Writes the web config.
    pub(super) fn write(&self, text: &str) {
        fs::write(self.path("web.yml"), text).unwrap();
    }

    /// Writes `NAME.pem` and `NAME.key`, for `host`, valid through 2020 to the year `until`.
    pub(super) fn issue(&self, name: &str, host: &str, until: i32) {
        let mut parameters = CertificateParams::new([host.to_owned()]).unwrap();
        parameters.not_before = date_time_ymd(2020, 1, 1);
        parameters.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.path(&format!("{name}.pem")), certificate.pem()).unwrap();
        fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    /// A client that trusts the authority, with the certificate of that name.
    pub(super) fn client(&self, identity: Option<&str>) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(&self.read("ca.pem")).unwrap();
        roots.add(authority).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let certificate = self.read(&format!("{name}.pem"));
                let key = self.read(&format!("{name}.key"));
                builder
                    .with_client_auth_cert(
                        vec![CertificateDer::from_pem_slice(&certificate).unwrap()],
                        PrivateKeyDer::from_pem_slice(&key).unwrap(),
                    )
                    .unwrap()
            }
        };
        TlsConnector::from(Arc::new(config))
    }

    pub(super) async fn start(&self, limits: Limits) -> Running {
        start_with(limits, "", Some(self.path("web.yml"))).await
    }
}

pub(super) const TLS: &str =
    "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n";

pub(super) const CLIENTS: &str =
    "  client_ca_file: ca.pem\n  client_auth_type: RequireAndVerifyClientCert\n";

/// `basic_auth_users` with one user, whose password costs little to check.
fn user(name: &str, password: &str) -> String {
    let hash = bcrypt::hash(password, 4).unwrap();
    format!("basic_auth_users:\n  {name}: {hash}\n")
}

/// The header of that name and password.
fn login(name: &str, password: &str) -> String {
    use base64::Engine;
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}"));
    format!("Authorization: Basic {encoded}\r\n")
}

pub(super) async fn connect(
    running: &Running,
    client: &TlsConnector,
) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("localhost").unwrap();
    client.connect(name, running.connect().await).await
}

pub(super) const REQUEST: &str = "GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Sends bytes and reads what comes back until the end.
pub(super) async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: impl AsRef<[u8]>,
) -> std::io::Result<Answer> {
    stream.write_all(request.as_ref()).await?;
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes).await {
        Err(error) if bytes.is_empty() => return Err(error),
        // Whoever closes at once after an answer says no goodbye.
        _ => {}
    }
    if bytes.is_empty() {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Answer::read(&bytes))
}

/// The status of a request over TLS, or that none was answered.
pub(super) async fn status_over_tls(running: &Running, client: &TlsConnector) -> Option<String> {
    let stream = connect(running, client).await.ok()?;
    let request = REQUEST.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    let answer = exchange(stream, request).await.ok()?;
    Some(answer.status().to_owned())
}

fn counted(running: &Running, outcome: &str) -> u64 {
    let counter = &running
        .state
        .telemetry
        .of::<ProtectionMetrics>()
        .authentications;
    counter.with_label_values(&[outcome]).get()
}

pub(super) fn reload_succeeded(running: &Running) -> i64 {
    running
        .state
        .telemetry
        .of::<ProtectionMetrics>()
        .web_config_last_reload_successful
        .get()
}

#[tokio::test]
async fn only_a_user_with_the_password_is_answered_on_every_path() {
    let folder = Folder::new(&user("alice", "swordfish"));
    let running = folder.start(patient()).await;
    for path in [
        "/",
        "/metrics",
        "/-/healthy",
        "/-/ready",
        "/-/reload",
        "/api/v1/agents",
        "/nothing",
    ] {
        for wrong in [
            String::new(),
            login("alice", "Swordfish"),
            login("alice", ""),
            login("bob", "swordfish"),
            login("", ""),
            "Authorization: Basic alice:swordfish\r\n".to_owned(),
            "Authorization: Bearer swordfish\r\n".to_owned(),
            "Authorization: Basic \u{80}\r\n".to_owned(),
        ] {
            let answer = running.request("GET", path, &wrong).await;
            assert_eq!(answer.status(), "401", "{path} {wrong}");
            assert_eq!(
                answer.header("www-authenticate"),
                Some("Basic realm=\"flowgent-exporter\", charset=\"UTF-8\"")
            );
            assert!(answer.text().starts_with("unauthorized: "));
        }
        let right = login("alice", "swordfish").replace("Basic", "bAsIc");
        let answer = running.request("GET", path, &right).await;
        assert_ne!(answer.status(), "401", "{path}");
    }
    // 4 of the 8 had a name and a password, on 7 paths; the right one was hashed once.
    assert_eq!(counted(&running, "missing"), 28);
    assert_eq!(counted(&running, "refused"), 28);
    assert_eq!(counted(&running, "accepted"), 1);
    assert_eq!(counted(&running, "remembered"), 6);
    let refused = running
        .state
        .telemetry
        .of::<ServerMetrics>()
        .requests
        .with_label_values(&["guard", "401"]);
    assert_eq!(refused.get(), 56);
}

#[tokio::test]
async fn users_follow_the_file_at_the_next_request() {
    let folder = Folder::new(&user("alice", "one"));
    let running = folder.start(patient()).await;
    let status = async |name: &str, password: &str| {
        let answer = running
            .request("GET", "/metrics", &login(name, password))
            .await;
        answer.status().to_owned()
    };
    assert_eq!(status("alice", "one").await, "200");
    folder.write(&user("alice", "two"));
    assert_eq!(status("alice", "one").await, "401");
    assert_eq!(status("alice", "two").await, "200");
    folder.write(&user("bob", "two"));
    assert_eq!(status("alice", "two").await, "401");
    assert_eq!(status("bob", "two").await, "200");
    assert_eq!(reload_succeeded(&running), 1);
}

#[tokio::test]
async fn a_file_that_is_wrong_or_opens_the_doors_changes_nothing_and_shows() {
    let tls = format!("{TLS}{CLIENTS}{}", user("alice", "one"));
    let users = user("alice", "one");
    for (good, bad) in [
        (&users, String::new()),
        (&users, "basic_auth_users: {}\n".to_owned()),
        (&users, "basic_auth_user:\n".to_owned()),
        (&users, "\u{0}".to_owned()),
        (&users, TLS.to_owned()),
    ] {
        let folder = Folder::new(good);
        let running = folder.start(patient()).await;
        folder.write(&bad);
        assert_eq!(running.get("/metrics").await.status(), "401", "{bad}");
        assert_eq!(reload_succeeded(&running), 0, "{bad}");
        let answer = running
            .request("GET", "/metrics", &login("alice", "one"))
            .await;
        assert!(
            answer
                .text()
                .contains("\nflowgent_exporter_web_config_last_reload_successful 0\n")
        );
        folder.write(good);
        assert_eq!(running.get("/metrics").await.status(), "401");
        assert_eq!(reload_succeeded(&running), 1);
    }
    for bad in [
        users.clone(),
        format!("{TLS}{users}"),
        tls.replace("RequireAndVerifyClientCert", "VerifyClientCertIfGiven"),
        tls.replace("ca.pem", "server.key"),
    ] {
        let folder = Folder::new(&tls);
        let running = folder.start(patient()).await;
        folder.write(&bad);
        assert_eq!(
            status_over_tls(&running, &folder.client(None)).await,
            None,
            "{bad}"
        );
        assert_eq!(reload_succeeded(&running), 0, "{bad}");
    }
    let gone = Folder::new(&users);
    let running = gone.start(patient()).await;
    fs::remove_file(gone.path("web.yml")).unwrap();
    assert_eq!(running.get("/metrics").await.status(), "401");
    assert_eq!(reload_succeeded(&running), 0);
}

#[tokio::test]
async fn the_headers_of_the_web_config_are_on_every_response() {
    let headers = "http_server_config:\n  headers:\n    Content-Security-Policy: frame-ancestors 'none'\n    \
        X-Frame-Options: sameorigin\n    Strict-Transport-Security: max-age=60\n";
    let folder = Folder::new(&format!("{headers}{}", user("alice", "one")));
    let running = folder.start(patient()).await;
    for login in [String::new(), login("alice", "one")] {
        let answer = running.request("GET", "/", &login).await;
        assert_eq!(
            answer.header("content-security-policy"),
            Some("frame-ancestors 'none'")
        );
        assert_eq!(answer.header("x-frame-options"), Some("sameorigin"));
        assert_eq!(
            answer.header("strict-transport-security"),
            Some("max-age=60")
        );
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
}

#[tokio::test]
async fn more_requests_than_the_rate_limit_allows_are_refused() {
    let folder = Folder::new("rate_limit:\n  interval: 1h\n  burst: 2\n");
    let running = folder.start(patient()).await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(running.get("/-/healthy").await.status().to_owned());
    }
    assert_eq!(statuses, ["200", "200", "429"]);
    assert_eq!(running.get("/").await.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn a_reload_is_for_whoever_is_allowed_to_ask_for_it() {
    let running = start(patient(), "").await;
    for method in ["POST", "PUT"] {
        let refused = running.request(method, "/-/reload", "").await;
        assert_eq!(refused.status(), "403", "{method}");
        assert_eq!(
            refused.text(),
            "reloading over HTTP is not enabled: start the exporter with --web.enable-lifecycle, or send it \
             a SIGHUP\n"
        );
    }
    let (lifecycle, mut requests) = Lifecycle::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let state = State {
        lifecycle: Some(lifecycle),
        ..running.state.clone()
    };
    let guard = Guard::open(None, Arc::clone(&state.clock), &state.telemetry).unwrap();
    tokio::spawn(serve(
        vec![listener.into()],
        state,
        guard,
        patient(),
        CancellationToken::new(),
    ));
    tokio::spawn(async move {
        requests.recv().await.unwrap().send(Ok(())).unwrap();
        requests
            .recv()
            .await
            .unwrap()
            .send(Err("config.toml:1:1: oh".into()))
            .unwrap();
        drop(requests);
    });
    let running = Running { address, ..running };
    for (method, status, text) in [
        ("GET", "405", "method not allowed\n"),
        ("POST", "200", "config reloaded\n"),
        (
            "PUT",
            "500",
            "config not reloaded; the previous one stays active: config.toml:1:1: oh\n",
        ),
        (
            "POST",
            "500",
            "config not reloaded; the previous one stays active: the exporter is stopping\n",
        ),
    ] {
        let answer = running.request(method, "/-/reload", "").await;
        assert_eq!((answer.status(), answer.text().as_str()), (status, text));
    }
    let refused = running.request("GET", "/-/reload", "").await;
    assert_eq!(refused.header("allow"), Some("POST, PUT"));
}

#[tokio::test]
async fn strangers_are_turned_away_on_every_path_before_anything_else() {
    // Also before anybody is asked for a password, and with the headers that the web config demands.
    let headers = "http_server_config:\n  headers:\n    Strict-Transport-Security: max-age=60\n";
    let folder = Folder::new(&format!("{headers}{}", user("alice", "one")));
    let running = folder.start(patient()).await;
    for path in [
        "/",
        "/metrics",
        "/-/healthy",
        "/-/reload",
        "/api/v1/agents",
        "/nothing",
    ] {
        for (head, method, status, kind) in [
            (
                "Host: evil.example\r\n",
                "GET",
                "421",
                "misdirected-request",
            ),
            ("", "GET", "400", "invalid-host"),
            (
                "Host: localhost\r\nHost: localhost\r\n",
                "GET",
                "400",
                "invalid-host",
            ),
            ("Host: a b\r\n", "GET", "400", "invalid-host"),
            (
                "Host: localhost\r\nOrigin: http://evil.example\r\n",
                "POST",
                "403",
                "foreign-origin",
            ),
        ] {
            let request = format!("{method} {path} HTTP/1.1\r\n{head}Connection: close\r\n\r\n");
            let answer = running.send(request).await;
            assert_eq!(answer.status(), status, "{method} {path} {head}");
            assert_eq!(
                answer.header("strict-transport-security"),
                Some("max-age=60")
            );
            let text = answer.text();
            assert_eq!(
                text.contains("`hosts` under [server]"),
                status == "421",
                "{text}"
            );
            let is_problem = path.starts_with("/api/");
            let expected = if is_problem {
                "application/problem+json"
            } else {
                "text/plain; charset=utf-8"
            };
            assert_eq!(answer.header("content-type"), Some(expected));
            assert_eq!(text.contains(kind), is_problem, "{text}");
        }
    }
    let old = running.send("GET /-/healthy HTTP/1.0\r\n\r\n").await;
    assert_eq!(old.status(), "401");
}

#[test]
fn a_web_config_that_cannot_be_used_prevents_the_start() {
    let clock = ManualClock::at("2026-11-23T12:00:00Z".parse().unwrap());
    let open = |path: &str| {
        Guard::open(
            Some(Path::new(path).into()),
            clock.clone(),
            &Telemetry::new(),
        )
    };
    let error = open("/nowhere/web.yml").unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot read web config file `/nowhere/web.yml`: No such file or directory (os error 2)"
    );
}
