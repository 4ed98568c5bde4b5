//! Holds the simulator against the API document, over real sockets and by a client of a few lines
//! that shares nothing with the exporter's.

mod access;
mod faults;
mod talk;
mod usage;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::*;
use crate::clock::ManualClock;
use crate::day::Day;

const KEY: &str = "test-key-acme";
const USAGE_AGENT: &str = "66a72b17-cb03-4397-ab2a-1eef13847737";
const CHAT_AGENT: &str = "agent_123abc";
const ODD_AGENT: &str = "a/b ü?";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn fixture(name: &str) -> Value {
    let path = format!(
        "{}/tests/fixtures/api/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The demo's world without late and revised days, with the ids of the document's agents and an odd one.
fn settings() -> Settings {
    let mut settings = Settings::demo(1);
    (settings.late_share, settings.revised_share) = (0.0, 0.0);
    let agents = &mut settings.accounts[0].agents;
    for (agent, id) in agents.iter_mut().zip([USAGE_AGENT, CHAT_AGENT, ODD_AGENT]) {
        agent.id = Some(id.to_owned());
    }
    settings
}

fn start(settings: &Settings) -> (Simulator, Arc<ManualClock>) {
    let clock = ManualClock::at(at("2026-11-23T08:00:00Z"));
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let simulator = Simulator::start(settings, clock.clone(), listener).unwrap();
    (simulator, clock)
}

/// Answer of the simulator.
#[derive(Debug)]
struct Answer {
    status: u16,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    /// As on the wire, up to where the connection ended.
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find_map(|(known, value)| (known == name).then_some(value.as_str()))
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Sends a request and returns the connection.
async fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    key: Option<&str>,
    body: &str,
) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let key = key.map_or_else(String::new, |key| format!("Authorization: {key}\r\n"));
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: simulator\r\nConnection: close\r\n{key}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    BufReader::new(stream)
}

/// Reads the head of a response.
async fn head(stream: &mut BufReader<TcpStream>) -> Answer {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let status = lines[0].split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines[1..].iter().map(|line| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_lowercase(), value.to_owned())
    });
    Answer {
        status,
        headers: headers.collect(),
        body: Vec::new(),
    }
}

async fn exchange(
    simulator: &Simulator,
    method: &str,
    path: &str,
    key: Option<&str>,
    body: &str,
) -> Answer {
    let mut stream = send(simulator.address(), method, path, key, body).await;
    let mut answer = head(&mut stream).await;
    stream.read_to_end(&mut answer.body).await.unwrap();
    answer
}

async fn get(simulator: &Simulator, path: &str) -> Answer {
    exchange(simulator, "GET", path, Some(KEY), "").await
}

async fn usage(simulator: &Simulator, agent: &Agent, query: &str) -> Answer {
    let key = simulator.world().key(&agent.account);
    let id = utf8_percent_encode(&agent.id, NON_ALPHANUMERIC);
    let path = format!("/api/public/agent/{id}/usage{query}");
    exchange(simulator, "GET", &path, Some(key.expose()), "").await
}

async fn post(simulator: &Simulator, action: &str, body: &Value) -> Answer {
    let path = format!("/api/public/agent/{CHAT_AGENT}/{action}");
    exchange(simulator, "POST", &path, Some(KEY), &body.to_string()).await
}
