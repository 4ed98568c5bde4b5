//! The addresses that the exporter listens on: is it there, or could it be?

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::Finding;
use crate::config::Config;

/// An exporter answers this at once.
const PATIENCE: Duration = Duration::from_secs(5);
/// More of an answer is not read.
const ANSWER_BYTES: u64 = 4096;

/// Looks at every address.
pub(super) async fn look(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for &address in &config.server.listen {
        findings.push(look_at(address).await);
    }
    findings
}

async fn look_at(address: SocketAddr) -> Finding {
    match TcpListener::bind(address).await {
        Ok(_) => Finding::warning(
            format!("{address} is free: no exporter runs there"),
            "start it, if it should be running",
        ),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            let asked = tokio::time::timeout(PATIENCE, readiness(reachable(address))).await;
            let answer = asked.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
            judge(address, answer)
        }
        Err(error) => Finding::problem(
            format!("{address} cannot be listened on: {error}"),
            "correct `[server] listen` in the config; ports below 1024 need a privilege",
        ),
    }
}

/// An address to connect to where something listens on `address`, which may stand for all of them.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// What is answered there when asked whether it is ready.
async fn readiness(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /-/ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn judge(address: SocketAddr, answer: std::io::Result<String>) -> Finding {
    let answer = answer.unwrap_or_default();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    if head.starts_with("HTTP/1.1 200 ") && body == "ready\n" {
        Finding::good(format!("an exporter answers on {address}: ready"))
    } else if let Some(reason) = body.strip_prefix("not ready: ") {
        Finding::warning(
            format!(
                "an exporter answers on {address}, but is not ready: {}",
                reason.trim()
            ),
            "wait until it has read its ledger",
        )
    } else {
        Finding::problem(
            format!("{address} is used by something that does not answer as this exporter does"),
            "end it, or choose another address by `[server] listen`",
        )
    }
}
