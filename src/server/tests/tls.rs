//! TLS with clients of all sorts.

use std::fs;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::ClientConfig;
use tokio::net::UnixStream;
use tokio_rustls::client::TlsStream;

use super::super::metrics::ServerMetrics;
use super::protection::{
    CLIENTS, Folder, REQUEST, TLS, connect, exchange, reload_succeeded, status_over_tls,
};
use super::*;

#[tokio::test]
async fn only_a_client_with_a_good_certificate_gets_in() {
    let names = "  client_allowed_sans: [prometheus.example]\n";
    let folder = Folder::new(&format!("{TLS}{CLIENTS}{names}"));
    folder.issue("good", "prometheus.example", 4000);
    folder.issue("expired", "prometheus.example", 2026);
    folder.issue("named-otherwise", "grafana.example", 4000);
    let elsewhere = Folder::new("");
    elsewhere.issue("stranger", "prometheus.example", 4000);
    for end in ["pem", "key"] {
        let name = format!("stranger.{end}");
        fs::copy(elsewhere.path(&name), folder.path(&name)).unwrap();
    }
    let running = folder.start(patient()).await;
    for (identity, expected) in [
        (Some("good"), Some("200")),
        (Some("expired"), None),
        (Some("named-otherwise"), None),
        (Some("stranger"), None),
        (None, None),
    ] {
        let status = status_over_tls(&running, &folder.client(identity)).await;
        assert_eq!(status.as_deref(), expected, "{identity:?}");
    }
    // It is the exporter's clock that counts, and no handshake is cut short by an earlier one.
    let client = folder.client(Some("good"));
    running.clock.set("2019-12-31T23:59:59Z".parse().unwrap());
    assert_eq!(status_over_tls(&running, &client).await, None);
    running.clock.set("2020-01-01T00:00:01Z".parse().unwrap());
    assert_eq!(
        status_over_tls(&running, &client).await.as_deref(),
        Some("200")
    );
    running.clock.set("4000-01-01T00:00:01Z".parse().unwrap());
    assert_eq!(status_over_tls(&running, &client).await, None);
}

#[tokio::test]
async fn a_client_that_has_signed_itself_is_let_in_by_its_own_certificate() {
    let client = "  client_ca_file: client.pem\n  client_auth_type: RequireAndVerifyClientCert\n";
    let folder = Folder::new("");
    for name in ["client", "stranger"] {
        let mut parameters = CertificateParams::new([format!("{name}.example")]).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        fs::write(folder.path(&format!("{name}.pem")), certificate.pem()).unwrap();
        fs::write(folder.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }
    for (names, expected) in [
        ("", Some("200")),
        ("  client_allowed_sans: [client.example]\n", Some("200")),
        ("  client_allowed_sans: [grafana.example]\n", None),
    ] {
        folder.write(&format!("{TLS}{client}{names}"));
        let running = folder.start(patient()).await;
        for (identity, expected) in [
            (Some("client"), expected),
            (Some("stranger"), None),
            (None, None),
        ] {
            let status = status_over_tls(&running, &folder.client(identity)).await;
            assert_eq!(status.as_deref(), expected, "{identity:?} {names}");
        }
    }
}

#[tokio::test]
async fn a_reload_cannot_put_the_systems_authorities_in_the_place_of_named_ones() {
    let folder = Folder::new(&format!("{TLS}{CLIENTS}"));
    folder.issue("good", "prometheus.example", 4000);
    let running = folder.start(patient()).await;
    folder.write(&format!("{TLS}{CLIENTS}").replace("  client_ca_file: ca.pem\n", ""));
    let status = status_over_tls(&running, &folder.client(Some("good"))).await;
    assert_eq!(status.as_deref(), Some("200"));
    assert_eq!(reload_succeeded(&running), 0);
}

#[tokio::test]
async fn each_kind_of_client_authentication_asks_for_what_it_says() {
    let (yes, no) = (Some("200"), None);
    for (kind, without, stranger, known) in [
        ("NoClientCert", yes, yes, yes),
        ("RequestClientCert", yes, yes, yes),
        ("RequireAnyClientCert", no, yes, yes),
        ("VerifyClientCertIfGiven", yes, no, yes),
        ("RequireAndVerifyClientCert", no, no, yes),
    ] {
        let authority = if kind.contains("Verify") {
            "  client_ca_file: ca.pem\n"
        } else {
            ""
        };
        let folder = Folder::new(&format!("{TLS}{authority}  client_auth_type: {kind}\n"));
        folder.issue("known", "a.example", 4000);
        let elsewhere = Folder::new("");
        elsewhere.issue("stranger", "a.example", 4000);
        for name in ["stranger.pem", "stranger.key"] {
            fs::copy(elsewhere.path(name), folder.path(name)).unwrap();
        }
        let running = folder.start(patient()).await;
        for (identity, expected) in [
            (None, without),
            (Some("stranger"), stranger),
            (Some("known"), known),
        ] {
            let status = status_over_tls(&running, &folder.client(identity)).await;
            assert_eq!(status.as_deref(), expected, "{kind} {identity:?}");
        }
    }
}

#[tokio::test]
async fn a_new_certificate_is_shown_at_the_next_handshake_and_ends_old_connections_gently() {
    let folder = Folder::new(TLS);
    let running = folder.start(patient()).await;
    let client = folder.client(None);
    let shown = |stream: &TlsStream<TcpStream>| {
        let (_, session) = stream.get_ref();
        session.peer_certificates().unwrap()[0].to_vec()
    };
    let answer = async |stream: &mut TlsStream<TcpStream>| {
        stream.write_all(REQUEST.as_bytes()).await.unwrap();
        let mut bytes = [0; 1024];
        let read = stream.read(&mut bytes).await.unwrap();
        Answer::read(&bytes[..read])
    };
    let mut old = connect(&running, &client).await.unwrap();
    assert_eq!(answer(&mut old).await.header("connection"), None);
    // A certificate without its key is not taken.
    let (certificate, key) = (folder.read("server.pem"), folder.read("server.key"));
    folder.issue("server", "localhost", 4000);
    let (new_certificate, new_key) = (folder.read("server.pem"), folder.read("server.key"));
    fs::write(folder.path("server.key"), &key).unwrap();
    let between = connect(&running, &client).await.unwrap();
    assert_eq!(shown(&between), shown(&old));
    assert_eq!(reload_succeeded(&running), 0);
    assert_ne!(certificate, new_certificate);
    fs::write(folder.path("server.key"), &new_key).unwrap();
    let new = connect(&running, &client).await.unwrap();
    assert_ne!(shown(&new), shown(&old));
    assert_eq!(reload_succeeded(&running), 1);
    let last = answer(&mut old).await;
    assert_eq!(
        (last.status(), last.header("connection")),
        ("200", Some("close"))
    );
}

#[tokio::test]
async fn whoever_speaks_plain_http_to_tls_is_told_so() {
    let folder = Folder::new(TLS);
    let running = folder.start(patient()).await;
    let answer = running.get("/metrics").await;
    assert_eq!(answer.status(), "400");
    assert_eq!(answer.text(), "TLS is spoken here: use https://\n");
    assert_eq!(answer.header("content-length"), Some("33"));
}

#[tokio::test]
async fn http_1_1_is_agreed_on() {
    let folder = Folder::new(TLS);
    let running = folder.start(patient()).await;
    let client = folder.client(None);
    let mut config = ClientConfig::clone(client.config());
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = connect(&running, &Arc::new(config).into()).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[tokio::test]
async fn a_handshake_that_does_not_come_in_time_ends_the_connection() {
    let folder = Folder::new(TLS);
    let limits = Limits {
        header_timeout: SHORT,
        ..patient()
    };
    let running = folder.start(limits).await;
    // A handshake of 512 bytes, of which some come.
    for beginning in [
        &b""[..],
        b"\x16",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ] {
        let mut stream = running.connect().await;
        stream.write_all(beginning).await.unwrap();
        // It may be closed with an alert or without.
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        running.open_connections(0).await;
    }
    // A handshake that was done counts with what follows it.
    let mut stream = connect(&running, &folder.client(None)).await.unwrap();
    let _ = stream.read(&mut [0; 64]).await;
    running.open_connections(0).await;
    assert_eq!(
        running
            .state
            .telemetry
            .of::<ServerMetrics>()
            .connections_evicted
            .get(),
        0
    );
}

#[tokio::test]
async fn absurd_requests_hurt_nobody_over_tls_and_unix_sockets_either() {
    let folder = Folder::new(TLS);
    let running = folder.start(patient()).await;
    let client = folder.client(None);
    let path = folder.path("web.sock");
    let listener = Listener::bind(&Address::Unix(path.clone())).await.unwrap();
    let clock = Arc::clone(&running.state.clock);
    let open = Guard::open(None, clock, &running.state.telemetry).unwrap();
    let state = running.state.clone();
    let by_unix = tokio::spawn(serve(
        vec![listener],
        state,
        open,
        patient(),
        running.shutdown.clone(),
    ));
    for (request, expected) in absurd_requests() {
        let over_tls = connect(&running, &client).await.unwrap();
        let by_unix = UnixStream::connect(&path).await.unwrap();
        let answers = [
            exchange(over_tls, &request).await,
            exchange(by_unix, &request).await,
        ];
        for answer in answers {
            let status = answer.map(|answer| answer.status().to_owned());
            let request = String::from_utf8_lossy(&request).into_owned();
            assert_eq!(status.unwrap_or_default(), expected, "{request:.60}");
        }
    }
    // What is no TLS at all where it is spoken.
    for noise in [
        &b"\x16\x03\x01\x40\x00"[..],
        b"\x16\xff\xff\xff\xff\xff\xff",
        b"\x80\x2e\x01\x00\x02",
    ] {
        let mut stream = running.connect().await;
        let mut noise = noise.to_vec();
        noise.resize(32 * 1024, 0xff);
        // It may be closed before all of it is taken.
        let _ = stream.write_all(&noise).await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
    assert_eq!(
        status_over_tls(&running, &client).await.as_deref(),
        Some("200")
    );
    running.shutdown.cancel();
    by_unix.await.unwrap();
    assert!(!path.exists());
}

/// Requests that nobody should send, each ending its connection, and the statuses of the answers.
fn absurd_requests() -> Vec<(Vec<u8>, &'static str)> {
    let request = |head: &str, more: &str| {
        let request =
            format!("{head} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n");
        request.into_bytes()
    };
    let many = "X-Filler: 1\r\n".repeat(70);
    let long = format!("X-Filler: {}\r\n", "x".repeat(17 * 1024));
    let body = format!("Content-Length: 5\r\n\r\nhello{REQUEST}");
    vec![
        (request("GET /metrics", &many), "431"),
        (request("GET /metrics", &long), "431"),
        (request("GET /me trics", ""), "400"),
        (
            request("GET /metrics", "Accept: ;q=1e309,*/*;q=-1\r\n"),
            "200",
        ),
        (request("BREW /-/ready", ""), "405"),
        (request("POST /-/ready", &body), "405"),
        (
            request(
                "GET /-/ready",
                "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
            ),
            "200",
        ),
        (b"\0\0\0\0\r\n\r\n".to_vec(), "400"),
        // HTTP/2 without asking: hyper hangs up.
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), ""),
        (
            [REQUEST.repeat(50).as_bytes(), &request("GET /-/ready", "")].concat(),
            "200",
        ),
    ]
}
