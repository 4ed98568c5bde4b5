//! Real time series databases, Debian's Prometheus and VictoriaMetrics of both generations, behind the query
//! API that they share. They run on the real clock: libfaketime does not reach programs that are written in Go.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use url::form_urlencoded;

use super::servers::{Generation, free_port, spawn};
use super::{exchange, wait_for};

/// A database in a folder of its own, with its config in `config.yml` and its data in `data`. It can be
/// ended and started again, and is killed when dropped.
pub struct Tsdb {
    /// What it is, for messages.
    pub name: &'static str,
    program: &'static str,
    generation: Generation,
    flags: Vec<String>,
    /// The path that answers when it is ready.
    ready: &'static str,
    folder: TempDir,
    address: SocketAddr,
    child: Option<Child>,
}

/// A series that a query found, with its points in the order of their time.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// All of its labels; its name, if it has one, is `__name__`.
    pub labels: BTreeMap<String, String>,
    pub points: Vec<(DateTime<Utc>, f64)>,
}

impl Series {
    /// The value of a label, empty if the series does not have it.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

impl Tsdb {
    /// A Prometheus with that config, which is not started yet and will keep everything for ten years.
    pub fn prometheus(config: &str, flags: &[&str]) -> Self {
        let fixed = [
            "--config.file=config.yml",
            "--storage.tsdb.path=data",
            // By default it drops what is older than 15 days.
            "--storage.tsdb.retention.time=10y",
        ];
        let flags = [&fixed, flags].concat();
        Self::new("Prometheus", "prometheus", "/-/ready", config, &flags)
    }

    /// A VictoriaMetrics that scrapes what that config of a Prometheus says, which is not started yet
    /// and will keep everything for ten years.
    pub fn victoria_metrics(config: &str, flags: &[&str]) -> Self {
        let fixed = [
            "-promscrape.config=config.yml",
            "-storageDataPath=data",
            "-retentionPeriod=10y",
            // By default it hides the last 30 seconds, and remembers its answers from before an import.
            "-search.latencyOffset=0s",
            "-search.disableCache",
        ];
        let flags = [&fixed, flags].concat();
        Self::new(
            "VictoriaMetrics",
            "victoria-metrics",
            "/health",
            config,
            &flags,
        )
    }

    fn new(
        name: &'static str,
        program: &'static str,
        ready: &'static str,
        config: &str,
        flags: &[&str],
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.yml"), config).unwrap();
        Self {
            name,
            program,
            generation: Generation::Stable,
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            ready,
            folder,
            address: free_port(),
            child: None,
        }
    }

    /// The same of other packages than the system's.
    pub fn of(mut self, generation: Generation) -> Self {
        self.generation = generation;
        self.name = match (self.program, generation) {
            (_, Generation::Stable) => self.name,
            ("prometheus", Generation::Newer) => "the newer Prometheus",
            (_, Generation::Newer) => "the newer VictoriaMetrics",
        };
        self
    }

    /// Starts it with the data that it has, and returns when it is ready.
    ///
    /// Neither tells which port it was given, so it gets one that was free a moment ago. Should somebody
    /// else have taken that meanwhile, it ends, and another is tried.
    pub async fn start(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.name);
        for _ in 0..5 {
            self.address = free_port();
            let listen = match self.program {
                "prometheus" => format!("--web.listen-address={}", self.address),
                _ => format!("-httpListenAddr={}", self.address),
            };
            let arguments = [self.flags.as_slice(), &[listen]].concat();
            let program = self.generation.program(self.program);
            let mut child = spawn(program, self.folder.path(), &arguments);
            let is_ready = wait_for(self.name, async || {
                if child.try_wait().unwrap().is_some() {
                    return Ok(false);
                }
                if TcpStream::connect(self.address).await.is_err() {
                    return Err("it does not listen".to_owned());
                }
                let (head, _) = self.get(self.ready).await;
                if head.contains(" 200 ") {
                    Ok(true)
                } else {
                    Err(head)
                }
            });
            if is_ready.await {
                self.child = Some(child);
                return;
            }
        }
        panic!("{} ends on every port", self.name);
    }

    /// Ends it as an operator does, so that it keeps what it knows.
    pub async fn stop(&mut self) {
        let mut child = self.child.take().expect("it runs");
        let pid = child.id().unwrap().to_string();
        let killed = Command::new("kill").arg(pid).status().await;
        assert!(killed.unwrap().success());
        let ended = tokio::time::timeout(super::PATIENCE, child.wait()).await;
        ended
            .unwrap_or_else(|_| panic!("{} does not end", self.name))
            .unwrap();
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The path of a file in its folder.
    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// Makes blocks of a text in the OpenMetrics format, for a Prometheus that does not run.
    pub async fn create_blocks(&self, openmetrics: &str) {
        std::fs::write(self.path("history.om"), openmetrics).unwrap();
        let output = Command::new(self.generation.program("promtool"))
            .current_dir(self.folder.path())
            .args(["tsdb", "create-blocks-from", "openmetrics"])
            .args(["--max-block-duration=744h", "history.om", "data"])
            .output();
        let output = output.await.unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{told}");
    }

    /// Sends a text in the OpenMetrics format to a VictoriaMetrics that runs.
    pub async fn import(&self, openmetrics: &str) {
        let path = "/api/v1/import/prometheus";
        let (head, body) = self.post(path, "text/plain", openmetrics).await;
        let body = String::from_utf8_lossy(&body);
        assert!(head.contains(" 204 "), "{head}{body}");
    }

    /// A GET: status line and headers, and the body.
    pub async fn get(&self, path: &str) -> (String, Vec<u8>) {
        // HTTP/1.0, since they would send a long body in chunks otherwise.
        exchange(self.address, &format!("GET {path} HTTP/1.0\r\n\r\n")).await
    }

    /// A POST of that body.
    pub async fn post(&self, path: &str, kind: &str, body: &str) -> (String, Vec<u8>) {
        let request = format!(
            "POST {path} HTTP/1.0\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        exchange(self.address, &request).await
    }

    /// What a query finds at an instant, or why it is refused.
    pub async fn query(&self, expr: &str, time: DateTime<Utc>) -> Result<Vec<Series>, String> {
        self.ask("query", &[("query", expr), ("time", &stamp(time))])
            .await
    }

    /// What a query finds from `start` through `end`, every `step`, or why it is refused.
    pub async fn query_range(
        &self,
        expr: &str,
        (start, end): (DateTime<Utc>, DateTime<Utc>),
        step: &str,
    ) -> Result<Vec<Series>, String> {
        let (start, end) = (stamp(start), stamp(end));
        let form = [("start", start.as_str()), ("end", &end), ("step", step)];
        self.ask(
            "query_range",
            &[&form, [("query", expr)].as_slice()].concat(),
        )
        .await
    }

    /// The values of a label of the series that a selector finds in that time.
    pub async fn label_values(
        &self,
        label: &str,
        selector: &str,
        time: (DateTime<Utc>, DateTime<Utc>),
    ) -> Vec<String> {
        self.names(&format!("label/{label}/values"), selector, time)
            .await
    }

    /// The names of the labels of the series that a selector finds in that time.
    pub async fn label_names(
        &self,
        selector: &str,
        time: (DateTime<Utc>, DateTime<Utc>),
    ) -> Vec<String> {
        self.names("labels", selector, time).await
    }

    async fn names(
        &self,
        path: &str,
        selector: &str,
        (start, end): (DateTime<Utc>, DateTime<Utc>),
    ) -> Vec<String> {
        let query: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("match[]", selector)
            .append_pair("start", &stamp(start))
            .append_pair("end", &stamp(end))
            .finish();
        let (head, body) = self.get(&format!("/api/v1/{path}?{query}")).await;
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        assert_eq!(answer["status"], "success", "{selector}: {head}{answer}");
        serde_json::from_value(answer["data"].clone()).unwrap()
    }

    async fn ask(&self, path: &str, form: &[(&str, &str)]) -> Result<Vec<Series>, String> {
        if self.program == "victoria-metrics" {
            // It makes samples visible once a second only.
            self.get("/internal/force_flush").await;
        }
        let form: String = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let kind = "application/x-www-form-urlencoded";
        let (head, body) = self.post(&format!("/api/v1/{path}"), kind, &form).await;
        match serde_json::from_slice::<Value>(&body) {
            Ok(answer) if answer["status"] == "success" => Ok(series(&answer["data"])),
            _ => {
                let body = String::from_utf8_lossy(&body);
                Err(format!("{}: {}\n{body}", self.name, head.trim_end()))
            }
        }
    }
}

/// An instant as the query API takes it: seconds with milliseconds.
fn stamp(time: DateTime<Utc>) -> String {
    let milliseconds = time.timestamp_millis();
    format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}

/// The series of an answer, of whichever type it is.
fn series(data: &Value) -> Vec<Series> {
    let point = |point: &Value| {
        let seconds = point[0].as_f64().unwrap();
        let time = DateTime::from_timestamp_millis((seconds * 1000.0).round() as i64).unwrap();
        (time, point[1].as_str().unwrap().parse().unwrap())
    };
    let result = &data["result"];
    if data["resultType"] == "scalar" {
        return vec![Series {
            labels: BTreeMap::new(),
            points: vec![point(result)],
        }];
    }
    let entry = |entry: &Value| Series {
        labels: serde_json::from_value(entry["metric"].clone()).unwrap(),
        points: match entry["values"].as_array() {
            Some(values) => values.iter().map(point).collect(),
            None => vec![point(&entry["value"])],
        },
    };
    result.as_array().unwrap().iter().map(entry).collect()
}
