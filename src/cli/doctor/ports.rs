//! The addresses that the exporter listens on: is it there, or could it be?

use std::io::ErrorKind;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::super::ask::{Answer, ask, reachable};
use super::Finding;
use crate::config::Config;

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
            let answer = ask(&reachable(address).to_string(), "/-/ready").await;
            judge(address, answer.ok())
        }
        Err(error) => Finding::problem(
            format!("{address} cannot be listened on: {error}"),
            "correct `[server] listen` in the config; ports below 1024 need a privilege",
        ),
    }
}

fn judge(address: SocketAddr, answer: Option<Answer>) -> Finding {
    let answer = answer.as_ref();
    if answer.is_some_and(Answer::is_ready) {
        Finding::good(format!("an exporter answers on {address}: ready"))
    } else if let Some(reason) = answer.and_then(Answer::not_ready) {
        Finding::warning(
            format!("an exporter answers on {address}, but is not ready: {reason}"),
            "wait until it has read its ledger",
        )
    } else {
        Finding::problem(
            format!("{address} is used by something that does not answer as this exporter does"),
            "end it, or choose another address by `[server] listen`",
        )
    }
}
