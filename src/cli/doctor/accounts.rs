//! Each account's key, and FlowGent's clock, by one request for one agent.

use super::super::examine::{Examination, examine};
use super::super::{Failure, count};
use super::Finding;
use crate::config::Config;

/// A clock that is off by more is a mistake and not the network's delay.
const SKEW_SECONDS: f64 = 30.0;

/// Asks FlowGent about every account.
pub(super) async fn look(config: &Config) -> Result<Vec<Finding>, Failure> {
    let examined = examine(config, 1).await?;
    let skews = examined.iter().filter_map(|account| account.skew_seconds);
    let skew = skews.max_by(|one, other| one.abs().total_cmp(&other.abs()));
    let clock = skew.map_or_else(
        || Finding::unseen("FlowGent's clock", "no request was answered"),
        clock,
    );
    let findings = examined.into_iter().flat_map(findings);
    Ok(findings.chain([clock]).collect())
}

/// Finding about a clock that is so far from FlowGent's.
fn clock(skew_seconds: f64) -> Finding {
    let what = format!("FlowGent's clock is {skew_seconds:+.1} s from this machine's");
    if skew_seconds.abs() <= SKEW_SECONDS {
        Finding::good(what)
    } else {
        Finding::problem(
            what,
            "set this machine's clock, for example with `timedatectl set-ntp true`: days begin at the wrong time",
        )
    }
}

fn findings(examination: Examination) -> Vec<Finding> {
    let Examination {
        account: name,
        lists,
        agents,
        asked,
        ..
    } = examination;
    let troubles = lists.into_iter().filter_map(|(_, result)| result.err());
    let mut telling = troubles.filter(|trouble| !trouble.advice.is_empty());
    if let Some(trouble) = telling.next() {
        return vec![
            Finding::problem(format!("account {name}: {}", trouble.error), trouble.advice),
            Finding::unseen(
                &format!("agents of account {name}"),
                "its key or list failed",
            ),
        ];
    }
    let of = format!("account {name}, {}", count(agents, "agent"));
    vec![match asked.into_iter().next() {
        None => Finding::warning(
            format!("account {name} has no agents"),
            "name them under [[account.agent]], or set `discover = true`",
        ),
        Some((agent, Ok(answer))) => {
            Finding::good(format!("{of}: the key works; {agent}: {answer}"))
        }
        Some((agent, Err(trouble))) => {
            Finding::problem(format!("{of}, {agent}: {}", trouble.error), trouble.advice)
        }
    }]
}
