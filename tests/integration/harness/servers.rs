//! Real servers that alerts are sent to: Debian's Alertmanagers, and Debian's aiosmtpd for mail.

use std::ffi::OsStr;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::{exchange, wait_for};

/// The packages that a server comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// Those of the system: Prometheus 2, VictoriaMetrics 1.79 and Alertmanager 0.25 on Debian 12.
    Stable,
    /// Those of a later Debian: Prometheus 3, VictoriaMetrics with vmalert, and a newer Alertmanager.
    Newer,
}

impl Generation {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Stable, Self::Newer];

    /// A program of these packages, as a command.
    pub fn program(self, name: &str) -> PathBuf {
        match self {
            Self::Stable => name.into(),
            Self::Newer => {
                let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/newer");
                folder.join(name)
            }
        }
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// Starts a program in a folder, which is killed when dropped.
pub fn spawn(program: impl AsRef<OsStr>, folder: &Path, arguments: &[String]) -> Child {
    let program = program.as_ref();
    Command::new(program)
        .current_dir(folder)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}: tests/run installs it", program.display()))
}

/// An Alertmanager that hands on to a webhook at once. It can be ended and started again.
pub struct Alertmanager {
    generation: Generation,
    folder: TempDir,
    address: SocketAddr,
    child: Option<Child>,
}

impl Alertmanager {
    /// One that tells `receiver`, a URL, of everything.
    pub async fn start(generation: Generation, receiver: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "route: {{ receiver: test, group_by: ['...'], group_wait: 0s, group_interval: 1s, repeat_interval: 1h }}\n\
             receivers: [ {{ name: test, webhook_configs: [ {{ url: '{receiver}', send_resolved: true }} ] }} ]\n"
        );
        std::fs::write(folder.path().join("alertmanager.yml"), config).unwrap();
        let mut alertmanager = Self {
            generation,
            folder,
            address: free_port(),
            child: None,
        };
        alertmanager.restart().await;
        alertmanager
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends it, if it runs.
    pub async fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().await.unwrap();
        }
    }

    /// Starts it with nothing that it knew before.
    pub async fn restart(&mut self) {
        self.stop().await;
        let data = self.folder.path().join("data");
        if data.exists() {
            std::fs::remove_dir_all(&data).unwrap();
        }
        let arguments = [
            "--config.file=alertmanager.yml".to_owned(),
            "--storage.path=data".to_owned(),
            "--cluster.listen-address=".to_owned(),
            format!("--web.listen-address={}", self.address),
        ];
        let program = self.generation.program("prometheus-alertmanager");
        let child = spawn(program, self.folder.path(), &arguments);
        self.child = Some(child);
        wait_for("a ready Alertmanager", async || {
            self.alerts().await.map(drop)
        })
        .await;
    }

    /// The alerts that it knows and that are not over.
    pub async fn alerts(&self) -> Result<Vec<Value>, String> {
        let connected = TcpStream::connect(self.address).await;
        connected.map_err(|error| error.to_string())?;
        // HTTP/1.0, since it would send a long body in chunks otherwise.
        let (head, body) = exchange(self.address, "GET /api/v2/alerts HTTP/1.0\r\n\r\n").await;
        if head.contains(" 200 ") {
            Ok(serde_json::from_slice(&body).unwrap())
        } else {
            Err(head)
        }
    }

    /// Waits until it knows exactly these alerts, by their names.
    pub async fn wait_for_alerts(&self, names: &[&str]) -> Vec<Value> {
        wait_for(&format!("{names:?} in the Alertmanager"), async || {
            let alerts = self.alerts().await?;
            let name = |alert: &Value| alert["labels"]["alertname"].as_str().unwrap().to_owned();
            let mut found: Vec<String> = alerts.iter().map(name).collect();
            found.sort();
            if found == names {
                Ok(alerts)
            } else {
                Err(format!("{found:?}"))
            }
        })
        .await
    }
}

/// A mail server that keeps every message in a file. It offers STARTTLS with a certificate of its own.
pub struct MailServer {
    folder: TempDir,
    address: SocketAddr,
    _child: Child,
}

impl MailServer {
    /// A server called `localhost`.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("cert.pem", &certified.cert.pem());
        write("key.pem", &certified.signing_key.serialize_pem());
        let address = free_port();
        let arguments = [
            "-m",
            "aiosmtpd",
            "--nosetuid",
            "--listen",
            &address.to_string(),
            "--tlscert",
            "cert.pem",
            "--tlskey",
            "key.pem",
            "--class",
            "aiosmtpd.handlers.Mailbox",
            "mails",
        ]
        .map(str::to_owned);
        let child = spawn("/usr/bin/python3", folder.path(), &arguments);
        wait_for("a greeting mail server", async || {
            match greeting(address).await {
                Ok(line) if line.starts_with("220 ") => Ok(()),
                Ok(line) => Err(line),
                Err(error) => Err(error.to_string()),
            }
        })
        .await;
        Self {
            folder,
            address,
            _child: child,
        }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The certificate that it shows.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    /// All messages, as they came.
    pub fn mails(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.folder.path().join("mails/new")) else {
            return Vec::new();
        };
        entries
            .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
            .collect()
    }
}

/// The first line that a server says.
async fn greeting(address: SocketAddr) -> std::io::Result<String> {
    let mut line = String::new();
    let mut stream = BufReader::new(TcpStream::connect(address).await?);
    stream.read_line(&mut line).await?;
    Ok(line)
}
