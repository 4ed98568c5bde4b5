//! A running exporter: the real binary, with its log and its port.

use std::net::SocketAddr;
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::faketime::FAKETIME;
use super::{Scene, Scrape, wait_for};

/// A running exporter. It is killed when dropped.
pub struct Exporter {
    child: Child,
    address: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

/// The program in the scene's folder, on the scene's clock.
pub fn command(scene: &Scene) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flowgent-exporter"));
    command
        .current_dir(scene.folder())
        .env("LD_PRELOAD", &*FAKETIME)
        .env("FAKETIME_TIMESTAMP_FILE", scene.path("clock"))
        // The file is read at every look, and waiting goes on in real time.
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("TZ", "UTC")
        .envs(scene.environment.iter().map(|(name, value)| (name, value)))
        .args(["--config.file", "config.toml"])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Runs a command of the program to its end.
pub async fn run(scene: &Scene, arguments: &[&str]) -> Output {
    let output = command(scene).args(arguments).output();
    let ended = tokio::time::timeout(super::PATIENCE, output).await;
    ended
        .unwrap_or_else(|_| panic!("{arguments:?} does not end"))
        .unwrap()
}

impl Exporter {
    /// Starts the program with those arguments, and returns when it listens.
    pub async fn start(scene: &Scene, arguments: &[&str]) -> Self {
        Self::start_with(scene, arguments, &[]).await
    }

    /// The same with those environment variables.
    pub async fn start_with(scene: &Scene, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut child = command(scene)
            .args(arguments)
            .envs(variables.iter().copied())
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let kept = Arc::clone(&log);
        let (found, address) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let mut found = Some(found);
            while let Ok(Some(line)) = lines.next_line().await {
                let place = line
                    .split_whitespace()
                    .find_map(|word| word.strip_prefix("address="))
                    .filter(|_| line.contains("msg=listening"));
                // That of a unix socket is none.
                let place = place.and_then(|place| place.parse().ok());
                if let (Some(place), Some(found)) = (place, found.take_if(|_| place.is_some())) {
                    found.send(place).unwrap();
                }
                kept.lock().unwrap().push(line);
            }
        });
        let listening = tokio::time::timeout(super::PATIENCE, address).await;
        let Ok(Ok(address)) = listening else {
            panic!(
                "the exporter does not listen:\n{}",
                log.lock().unwrap().join("\n")
            );
        };
        Self {
            child,
            address,
            log,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// All lines that it has logged.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// How many logged lines contain `text`.
    pub fn logged(&self, text: &str) -> usize {
        self.log
            .lock()
            .unwrap()
            .iter()
            .filter(|line| line.contains(text))
            .count()
    }

    /// Waits until a line that contains `text` has been logged.
    pub async fn wait_for_log(&self, text: &str) {
        wait_for(&format!("the line {text:?}"), async || {
            if self.logged(text) > 0 {
                Ok(())
            } else {
                Err(self.log())
            }
        })
        .await;
    }

    /// A GET: status line and headers, and the body.
    pub async fn get(&self, path: &str, headers: &str) -> (String, Vec<u8>) {
        super::request(self.address, "GET", path, headers).await
    }

    /// A scrape in the text format.
    pub async fn scrape(&self) -> Scrape {
        let (head, body) = self.get("/metrics", "").await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        Scrape::parse(String::from_utf8(body).unwrap())
    }

    /// Scrapes until `holds`.
    pub async fn wait_until(&self, what: &str, mut holds: impl FnMut(&Scrape) -> bool) -> Scrape {
        wait_for(what, async || {
            let scrape = self.scrape().await;
            if holds(&scrape) {
                Ok(scrape)
            } else {
                Err(format!("{scrape}\n{}", self.log()))
            }
        })
        .await
    }

    /// Waits until nothing is under way and every figure of every agent is there and true.
    pub async fn wait_until_whole(&self, scene: &Scene) -> Scrape {
        wait_for("the whole truth", async || {
            let scrape = self.scrape().await;
            assert_eq!(scene.untruths(&scrape), "", "{}", self.log());
            let gaps = scene.gaps(&scrape);
            if gaps.is_empty() && scrape.get("flowgent_exporter_sync_running") == Some(0.0) {
                Ok(scrape)
            } else {
                Err(format!("{gaps}\n{}", self.log()))
            }
        })
        .await
    }

    /// Waits until that many syncs in all have ended. What they brought is served a moment later.
    pub async fn wait_for_syncs(&self, syncs: u32) -> Scrape {
        self.wait_until(&format!("the end of sync {syncs}"), |scrape| {
            scrape.syncs() >= f64::from(syncs)
                && scrape.get("flowgent_exporter_sync_running") == Some(0.0)
        })
        .await
    }

    /// Sends a signal, by its name.
    pub async fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.pid().to_string()])
            .status()
            .await;
        assert!(status.unwrap().success());
    }

    /// Ends it as an operator does, and returns all that it logged.
    pub async fn stop(mut self) -> String {
        self.signal("TERM").await;
        let status = tokio::time::timeout(super::PATIENCE, self.child.wait()).await;
        assert!(status.unwrap().unwrap().success(), "{}", self.log());
        self.log()
    }

    /// Waits until it has ended in whatever way.
    pub async fn ended(mut self) {
        let ended = tokio::time::timeout(super::PATIENCE, self.child.wait()).await;
        ended.unwrap_or_else(|_| panic!("it does not end")).unwrap();
    }

    /// Ends it at once, wherever it is.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}
