//! A summary of the last period, made to try a hook with.

use anyhow::anyhow;
use chrono::{DateTime, Utc};

use super::super::purses::{Standings, purses};
use super::super::{Failure, view};
use super::unknown;
use crate::alert::{self, Check, Notification};
use crate::config::Config;
use crate::day::Day;
use crate::hook;
use crate::summary::Purses;

/// The summary `name` with what the ledger knows at `now`, for those `hooks`.
///
/// # Errors
/// There is no such summary, one of the hooks takes none, nothing is known yet, or the ledger cannot be read.
pub(super) async fn of_now(
    config: &Config,
    name: &str,
    hooks: &[hook::Settings],
    now: DateTime<Utc>,
) -> Result<Notification, Failure> {
    let summaries = config.alerts.summaries.iter();
    let Some(settings) = summaries.clone().find(|summary| &*summary.name == name) else {
        let known: Vec<&str> = summaries.map(|summary| &*summary.name).collect();
        return Err(unknown("the config", "summary", name, &known));
    };
    for hook in hooks {
        if let Err(reason) = hook::check_summary(hook, now) {
            let message = format!("error: the hook `{}` takes no summary: {reason}", hook.name);
            return Err(Failure::Usage(message));
        }
    }
    let today = Day::of(now);
    let view = view::open(config).await?;
    let members = view::members(config, &view).await?;
    let sheet = alert::read_summary(&view, &members, settings, today).await?;
    if sheet.rows.is_empty() {
        return Err(anyhow!("no agent is known yet: the first sync makes them known").into());
    }
    let is_purse = |check: &Check| matches!(check, Check::Budget { .. } | Check::Balance { .. });
    let Standings { budgets, balances } = purses(config, &view, now, is_purse).await?;
    let purses = Purses {
        budgets: budgets
            .iter()
            .map(|(name, subject, one)| (&**name, subject.as_deref(), one))
            .collect(),
        balances: balances.iter().map(|(name, one)| (&**name, one)).collect(),
    };
    let url = config.alerts.dashboard_url.as_deref();
    let summary = settings.summary(sheet, &purses, url, today).as_test();
    Ok(Notification {
        test: true,
        ..Notification::of_summary(summary)
    })
}
