//! The addresses that the exporter listens on: is it there, or could it be?

use std::io::{self, ErrorKind};

use tokio::net::{TcpListener, UnixStream};

use super::super::ask::{Answer, ask};
use super::Finding;
use crate::config::Config;
use crate::server::Address;

/// Looks at every address.
pub(super) async fn look(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for address in &config.server.listen {
        findings.push(look_at(address).await);
    }
    findings
}

async fn look_at(address: &Address) -> Finding {
    match try_to_listen(address).await {
        Ok(()) => Finding::warning(
            format!("{address} is free: no exporter is running there"),
            "start it if it should be running",
        ),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            let answer = ask(&address.reachable().to_string(), "/-/ready").await;
            judge(address, answer.ok())
        }
        Err(error) => Finding::problem(
            format!("cannot listen on {address}: {error}"),
            "correct `[server] listen` in the config; ports below 1024 need privileges",
        ),
    }
}

/// Checks that one could listen there. A unix socket is not made for it, only looked for.
async fn try_to_listen(address: &Address) -> io::Result<()> {
    match address {
        Address::Tcp(address) => TcpListener::bind(address).await.map(drop),
        Address::Unix(path) => match UnixStream::connect(path).await {
            Ok(_) => Err(ErrorKind::AddrInUse.into()),
            // What a killed exporter has left behind is replaced.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => path
                .parent()
                .map_or(Ok(()), |folder| folder.metadata().map(drop)),
            Err(error) => Err(error),
        },
    }
}

fn judge(address: &Address, answer: Option<Answer>) -> Finding {
    let answer = answer.as_ref();
    if answer.is_some_and(Answer::is_ready) {
        Finding::good(format!("an exporter answers on {address}: ready"))
    } else if let Some(reason) = answer.and_then(Answer::not_ready) {
        Finding::warning(
            format!("an exporter answers on {address}, but is not ready: {reason}"),
            "wait until it has loaded its ledger",
        )
    } else if let Some(demand) = answer.and_then(Answer::demand) {
        Finding::good(format!(
            "an exporter answers on {address} and asks for {demand}"
        ))
    } else {
        Finding::problem(
            format!("{address} is used by another program"),
            "stop that program, or choose another address in `[server] listen`",
        )
    }
}
