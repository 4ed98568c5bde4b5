//! Summaries that are due, each once.

use std::sync::Arc;

use super::{Notification, Settings};
use crate::day::Day;
use crate::former::with_former;
use crate::ledger::{LedgerError, Member, NextSummaries, SummaryKey, View};
use crate::summary::{self, Purses, Summary};

/// Summaries to send, and the records to store about them.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// The summaries, each with the hooks that it is sent to.
    pub(super) told: Vec<(Vec<Arc<str>>, Notification)>,
    /// The first day of the next period of those that have changed.
    pub(super) next: Vec<(SummaryKey, Day)>,
}

/// The summaries that are due on the day `today`. One that is new is due at the end of the period that runs now.
pub(super) async fn due(
    view: &View,
    members: &[Member],
    settings: &Settings,
    next: &NextSummaries,
    purses: &Purses<'_>,
    today: Day,
) -> Result<Due, LedgerError> {
    let mut due = Due::default();
    for summary in &settings.summaries {
        let current = summary.period.first_day(today);
        let key = (Arc::clone(&summary.name), summary.period.as_str().into());
        let next = next.get(&key).copied();
        if next.is_some_and(|next| next < current) {
            let url = settings.dashboard_url.as_deref();
            let read = read(view, members, summary, purses, url, today).await?;
            let Some(told) = read else { continue };
            due.told
                .push((summary.hooks.clone(), Notification::of_summary(told)));
        }
        // Not what a clock that ran ahead has left.
        if next != Some(current) {
            due.next.push((key, current));
        }
    }
    Ok(due)
}

/// The summary of the last period that has ended by the day `today`, if it may be sent yet.
async fn read(
    view: &View,
    members: &[Member],
    settings: &summary::Settings,
    purses: &Purses<'_>,
    url: Option<&str>,
    today: Day,
) -> Result<Option<Summary>, LedgerError> {
    let sheet = settings.sheet(today);
    let members = with_former(members, view, sheet.before.start()).await?;
    let sheet = sheet.read(&members, view, today).await?.sorted();
    let is_ready = settings.is_ready(&sheet, today);
    Ok(is_ready.then(|| settings.summary(sheet, purses, url, today)))
}
