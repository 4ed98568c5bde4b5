//! A crowd of 2,000 clients that hold connections and give nothing for them, beside a scraper: how long they
//! hold them, how long scrapes take meanwhile, and what it costs in memory; first without TLS, then with TLS
//! and a password. And how long it takes to refuse a user who is known, and one who is not.
//!
//! `cargo bench --bench abuse -- [clients]`.

#[path = "../tests/integration/harness/crowd.rs"]
#[allow(unreachable_pub, reason = "a part of the tests' harness")]
mod crowd;
#[path = "common/process.rs"]
#[allow(dead_code, reason = "each bench uses a part of what they share")]
mod process;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flowgent_exporter::clock::instant;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crowd::{Crowd, Kind};
use process::{Running, median};

const CLIENTS: usize = 2000;
/// Between two scrapes, each on a connection of its own.
const PAUSE: Duration = Duration::from_millis(20);
/// Scrapes before the crowd comes, to compare with.
const SCRAPES: usize = 200;
/// Refusals of each kind.
const REFUSALS: usize = 31;
const PATIENCE: Duration = Duration::from_secs(30);
const USER: &str = "prometheus";
const PASSWORD: &str = "swordfish";

#[tokio::main]
async fn main() -> Result<()> {
    // Cargo passes `--bench`, which says nothing here.
    let mut arguments = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'));
    let clients = arguments.next().map_or(Ok(CLIENTS), |text| text.parse())?;
    let needed = clients as u64 + 100;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    ensure!(
        limit.current.is_none_or(|files| files >= needed),
        "this needs {needed} open files: ulimit -n {needed}"
    );
    let folder = tempfile::tempdir()?;
    for protected in [false, true] {
        let exporter = Exporter::start(folder.path(), protected).await?;
        println!(
            "\n{clients} clients, {}",
            if protected {
                "TLS and a password"
            } else {
                "plain"
            }
        );
        measure(&exporter, clients).await?;
        if protected {
            compare_refusals(&exporter).await?;
        }
    }
    Ok(())
}

async fn measure(exporter: &Exporter, clients: usize) -> Result<()> {
    let mut quiet = Vec::new();
    for _ in 0..SCRAPES {
        quiet.push(exporter.scrape().await?);
        tokio::time::sleep(PAUSE).await;
    }
    let before = exporter.resident_mib()?;
    let crowd = Crowd::gather(exporter.address, exporter.tls.as_ref(), clients);
    let mut gone = tokio::spawn(crowd.closed());
    let (mut busy, mut most) = (Vec::new(), before);
    let held = loop {
        busy.push(exporter.scrape().await?);
        most = most.max(exporter.resident_mib()?);
        if let Ok(held) = tokio::time::timeout(PAUSE, &mut gone).await {
            break held?;
        }
    };
    println!("scrapes before    {}", figures(quiet));
    println!("scrapes meanwhile {}", figures(busy));
    for kind in [Kind::HalfOpen, Kind::Silent, Kind::Dripping, Kind::Idle] {
        let of_kind = held.iter().filter(|(held, _)| *held == kind);
        let longest = of_kind.map(|(_, time)| *time).max().unwrap_or_default();
        let name = format!("{kind:?}");
        println!("{name:<9} all closed within {:.1} s", longest.as_secs_f64());
    }
    println!(
        "resident memory {before:.1} MiB before, {most:.1} MiB at most: {:.1} MiB more",
        most - before
    );
    Ok(())
}

/// Median, 99th percentile and maximum.
fn figures(times: Vec<Duration>) -> String {
    let mut millis: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1e3).collect();
    millis.sort_by(f64::total_cmp);
    let p99 = millis[(millis.len() * 99).div_ceil(100) - 1];
    format!(
        "{:4}, none failed; median {:.1} ms, p99 {p99:.1} ms, max {:.1} ms",
        millis.len(),
        median(millis.clone()),
        millis[millis.len() - 1]
    )
}

/// A known user with a wrong password and an unknown one, in turn.
async fn compare_refusals(exporter: &Exporter) -> Result<()> {
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for number in 0..REFUSALS {
        let wrong = format!("wrong-{number}");
        known.push(exporter.refusal(USER, &wrong).await?.as_secs_f64());
        unknown.push(exporter.refusal("nobody", &wrong).await?.as_secs_f64());
    }
    let (known, unknown) = (median(known), median(unknown));
    println!(
        "refusing a known user takes {:.1} ms, an unknown one {:.1} ms: ratio {:.3}",
        known * 1e3,
        unknown * 1e3,
        unknown / known
    );
    Ok(())
}

/// The program with a FlowGent that is never there.
struct Exporter {
    running: Running,
    address: SocketAddr,
    tls: Option<TlsConnector>,
}

impl Exporter {
    async fn start(folder: &Path, protected: bool) -> Result<Self> {
        // Free a moment ago, and nobody else is likely to take them.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let nobody = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        std::fs::write(folder.join("acme.key"), "test-key-acme")?;
        let config = folder.join("config.toml");
        let text = format!(
            "[server]\nlisten = [\"{address}\"]\n[storage]\npath = \"ledger.db\"\n\
             [api]\nbase_url = \"http://{nobody}/\"\n\
             [[account]]\nname = \"acme\"\napi_key_file = \"acme.key\"\n\
             [[account.agent]]\nid = \"1\"\nname = \"support\"\n"
        );
        std::fs::write(&config, text)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_flowgent-exporter"));
        command.arg("--config.file").arg(&config);
        let tls = if protected {
            command.arg("--web.config.file").arg(folder.join("web.yml"));
            Some(protect(folder)?)
        } else {
            None
        };
        let exporter = Self {
            running: Running::start(command.stderr(Stdio::null()))?,
            address,
            tls,
        };
        let started = instant();
        while exporter.scrape().await.is_err() {
            ensure!(started.elapsed() < PATIENCE, "the program does not answer");
            tokio::time::sleep(PAUSE).await;
        }
        Ok(exporter)
    }

    /// How long a scrape takes, from connecting to the last byte.
    async fn scrape(&self) -> Result<Duration> {
        let login = STANDARD.encode(format!("{USER}:{PASSWORD}"));
        self.request(&login, " 200 ").await
    }

    /// How long it takes to be refused.
    async fn refusal(&self, user: &str, password: &str) -> Result<Duration> {
        let login = STANDARD.encode(format!("{user}:{password}"));
        self.request(&login, " 401 ").await
    }

    async fn request(&self, login: &str, expected: &str) -> Result<Duration> {
        let started = instant();
        let request = format!(
            "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAccept-Encoding: gzip\r\n\
             Authorization: Basic {login}\r\n\r\n"
        );
        let stream = TcpStream::connect(self.address).await?;
        let answer = match &self.tls {
            None => exchange(stream, &request).await?,
            Some(tls) => {
                let name = ServerName::try_from("localhost")?;
                exchange(tls.connect(name, stream).await?, &request).await?
            }
        };
        let head = String::from_utf8_lossy(answer.get(..32).context("there is no answer")?);
        ensure!(head.contains(expected), "{head}");
        Ok(started.elapsed())
    }

    fn resident_mib(&self) -> Result<f64> {
        process::rss_mib(&self.running.id())
    }
}

async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &str,
) -> Result<Vec<u8>> {
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer)
}

/// Writes a web config with a certificate and a user; returns what a client needs.
fn protect(folder: &Path) -> Result<TlsConnector> {
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(["localhost".to_owned()])?.self_signed(&key)?;
    std::fs::write(folder.join("server.pem"), certificate.pem())?;
    std::fs::write(folder.join("server.key"), key.serialize_pem())?;
    let text = format!(
        "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n\
         basic_auth_users:\n  {USER}: {}\n",
        bcrypt::hash(PASSWORD, 10)?
    );
    std::fs::write(folder.join("web.yml"), text)?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(certificate))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
