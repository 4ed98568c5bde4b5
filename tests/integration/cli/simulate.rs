//! `simulate`: a FlowGent for people who want to try their own client.

use std::net::SocketAddr;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::{assert_golden, ran};
use crate::harness::{PATIENCE, Scene, command, request};

const NOW: &str = "2026-03-10T09:00:00";

/// A command that goes on until it is told to end, and what it writes.
pub struct Running {
    pub child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    pub fn start(scene: &Scene, arguments: &[&str]) -> Self {
        let mut child = command(scene)
            .args(arguments)
            .env("TMPDIR", scene.folder())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// What it writes up to the line that says how to end it.
    pub async fn greeting(&mut self) -> String {
        let mut text = String::new();
        while !text.ends_with("Press Ctrl-C to end.\n") {
            let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await;
            let line = line.unwrap_or_else(|_| panic!("no more came than:\n{text}"));
            text += &line.unwrap().unwrap_or_else(|| panic!("it ended:\n{text}"));
            text.push('\n');
        }
        text
    }

    /// Ends it as an operator does, and returns what it wrote to stderr.
    pub async fn stop(mut self) -> String {
        let pid = self.child.id().unwrap().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status().await;
        assert!(told.unwrap().success());
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        assert_eq!(status.unwrap().unwrap().code(), Some(0));
        let mut text = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut text).await.unwrap();
        text
    }
}

/// The address in the first URL of a text.
pub fn address(text: &str) -> SocketAddr {
    let rest = text.split("http://").nth(1).unwrap();
    rest.split('/').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn its_own_examples_work() {
    let scene = Scene::new(NOW);
    let mut running = Running::start(&scene, &["simulate", "--listen", "127.0.0.1:0"]);
    let greeting = running.greeting().await;
    let address = address(&greeting);
    let stable = greeting.replace(&address.to_string(), "127.0.0.1:PORT");
    assert_golden("simulate.txt", &stable);

    let mut examples = 0;
    for line in greeting.lines().filter(|line| line.contains("curl")) {
        let (header, url) = line
            .trim()
            .strip_prefix("curl -H '")
            .unwrap()
            .split_once("' ")
            .unwrap();
        let path = url.strip_prefix(&format!("http://{address}")).unwrap();
        let (head, body) = request(address, "GET", path, &format!("{header}\r\n")).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let answer: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let days = answer["usage"]["daily_breakdown"].as_array().unwrap();
        assert_eq!(days.len(), 7);
        examples += 1;
    }
    assert_eq!(examples, 2);

    let (key, path) = ("Authorization: test-key-acme\r\n", "/api/public/agent");
    let (_, body) = request(address, "GET", path, key).await;
    let listing: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let ids: Vec<&str> = listing
        .as_array()
        .unwrap()
        .iter()
        .map(|agent| agent["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 8);
    assert!(ids.iter().all(|id| greeting.contains(id)), "{ids:?}");
    assert_eq!(running.stop().await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn its_faults_happen() {
    let scene = Scene::new(NOW);
    let arguments = ["simulate", "--listen", "127.0.0.1:0", "--fault", "429"];
    let mut running = Running::start(&scene, &arguments);
    let address = address(&running.greeting().await);
    let key = "Authorization: test-key-acme\r\n";
    let (head, _) = request(address, "GET", "/api/public/agent", key).await;
    assert!(head.starts_with("HTTP/1.1 429 "), "{head}");
    assert!(
        head.to_lowercase().contains("\r\nretry-after: 1\r\n"),
        "{head}"
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_names_of_its_faults_can_be_listed() {
    let scene = Scene::new(NOW);
    let ran = ran(&scene, &["simulate", "--fault", "list"]).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert_golden("simulate-faults.txt", &ran.stdout);
}
