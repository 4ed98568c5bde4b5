//! The hooks: can they be reached, and does what they are sent arrive?

use chrono::TimeDelta;
use futures_util::future::join_all;

use super::super::{Failure, count, view};
use super::{Finding, NO_LEDGER};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::hook;

/// Age above which a pending message waits for more than the first tries.
const PENDING: TimeDelta = TimeDelta::minutes(15);

/// Connects to every hook's receivers, without sending anything, and looks at what waits for them.
pub(super) async fn look(config: &Config) -> Result<Vec<Finding>, Failure> {
    if config.hooks.is_empty() {
        return Ok(vec![Finding::warning(
            "there are none, so alerts are sent nowhere",
            "add a [[hook]], and name it in budgets, balances and rules",
        )]);
    }
    let reached = config.hooks.iter().map(|settings| async move {
        let receivers = hook::reach(settings).await;
        receivers.into_iter().map(move |reached| match reached {
            Ok(receiver) => Finding::good(format!("{}: {receiver}", settings.name)),
            Err(error) => Finding::problem(
                format!("{}: {error}", settings.name),
                "correct the hook's URL or host, or the network; `alerts test` sends a sample",
            ),
        })
    });
    let mut findings: Vec<Finding> = join_all(reached).await.into_iter().flatten().collect();
    let view = view::open(config).await.ok();
    // Without a ledger nothing waits.
    if view.is_none() && config.storage.path.exists() {
        findings.push(Finding::unseen("pending messages", NO_LEDGER));
    }
    if let Some(view) = view {
        for disabled in view.disabled_hooks().await? {
            findings.push(Finding::problem(
                format!("{} is disabled: {}", disabled.hook, disabled.reason),
                "correct its URL, then run `alerts retry --all`",
            ));
        }
        let now = SystemClock.now();
        for backlog in view.backlogs().await? {
            let what = format!(
                "{}: {} waiting since {} UTC",
                backlog.hook,
                count(backlog.pending, "message"),
                backlog.oldest.format("%Y-%m-%d %H:%M")
            );
            findings.push(if now.signed_duration_since(backlog.oldest) > PENDING {
                Finding::problem(what, "`alerts list` shows the receiver's answers")
            } else {
                Finding::good(what)
            });
        }
    }
    Ok(findings)
}
