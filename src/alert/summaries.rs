//! Summaries that are due, each once.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Notification, Settings};
use crate::day::Day;
use crate::former::with_former;
use crate::ledger::{LedgerError, Member, NextSummaries, NextSummary, SummaryKey, View};
use crate::sheet::Sheet;
use crate::summary::{self, Purses};

/// Summaries to send, and the records to store about them.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// The summaries, each with the hooks that it is sent to.
    pub(super) told: Vec<(Vec<Arc<str>>, Notification)>,
    /// The first day of the next period of those that have changed.
    pub(super) next: Vec<NextSummary>,
}

/// The summaries that are due on the day `today`. One that is new is due at the end of the period that runs now. What
/// is missing is waited for while `more_may_come`.
pub(super) async fn due(
    view: &View,
    members: &[Member],
    settings: &Settings,
    known: &NextSummaries,
    purses: &Purses<'_>,
    (today, more_may_come): (Day, bool),
) -> Result<Due, LedgerError> {
    let mut due = Due::default();
    let mut gone: BTreeSet<&SummaryKey> = known.keys().collect();
    for summary in &settings.summaries {
        let current = summary.period.first_day(today);
        let key = (Arc::clone(&summary.name), summary.period.as_str().into());
        gone.remove(&key);
        let next = known.get(&key).copied();
        if next.is_some_and(|next| next < current) {
            let sheet = read(view, members, summary, today).await?;
            if !summary.is_ready(&sheet, today, more_may_come) {
                continue;
            }
            let url = settings.dashboard_url.as_deref();
            let told = summary.summary(sheet, purses, url, today);
            due.told
                .push((summary.hooks.clone(), Notification::of_summary(told)));
        }
        // Not what a clock that ran ahead has left.
        if next != Some(current) {
            due.next.push((key, Some(current)));
        }
    }
    due.next
        .extend(gone.into_iter().map(|key| (key.clone(), None)));
    Ok(due)
}

/// The sheet of the last period that has ended by the day `today`, with all that is known of it.
///
/// # Errors
/// The ledger could not be read.
pub async fn read(
    view: &View,
    members: &[Member],
    settings: &summary::Settings,
    today: Day,
) -> Result<Sheet, LedgerError> {
    let sheet = settings.sheet(today);
    let members = with_former(members, view, sheet.before.start()).await?;
    Ok(sheet.read(&members, view, today).await?.sorted())
}
