//! Pure: syncs as the first page tells of them.

use chrono::{DateTime, TimeDelta, Utc};

use super::figure::counted;
use super::time::{Moment, span};
use crate::status::{LastSync, SyncStatus};
use crate::sync::Outcome;
use crate::words;

/// The sync that runs, the last one and the next.
#[derive(Debug)]
pub(super) struct SyncView {
    pub(super) running: Option<Moment>,
    /// Requests done and planned, while a sync runs.
    pub(super) progress: Option<(usize, usize)>,
    pub(super) last: Option<LastView>,
    pub(super) next: Option<Moment>,
}

/// Outcome of the last sync.
#[derive(Debug)]
pub(super) struct LastView {
    pub(super) ended: Moment,
    pub(super) outcome: &'static str,
    pub(super) class: &'static str,
    pub(super) text: String,
}

impl SyncView {
    pub(super) fn of(sync: &SyncStatus, now: DateTime<Utc>) -> Self {
        Self {
            running: sync.running_since.map(|since| Moment::of(since, now)),
            progress: sync
                .progress
                .map(|progress| (progress.done, progress.planned)),
            last: sync.last.as_deref().map(|last| LastView::of(last, now)),
            next: sync.next.map(|next| Moment::of(next, now)),
        }
    }
}

impl LastView {
    fn of(last: &LastSync, now: DateTime<Utc>) -> Self {
        let took = last.ended.signed_duration_since(last.started);
        let mut parts = vec![match last.counts.planned {
            0 => "nothing to fetch".to_owned(),
            planned => format!(
                "{} of {} succeeded",
                words::grouped(&last.counts.committed.to_string()),
                counted(planned, "request", "requests")
            ),
        }];
        for (number, one, many) in [
            (last.counts.new_days, "new day", "new days"),
            (last.counts.revised_days, "revised day", "revised days"),
            (last.problems.len(), "problem", "problems"),
            (
                last.counts.absent_days,
                "day missing from FlowGent's answers",
                "days missing from FlowGent's answers",
            ),
        ] {
            if number > 0 {
                parts.push(counted(number, one, many));
            }
        }
        parts.push(match took < TimeDelta::seconds(1) {
            true => "took under 1 s".to_owned(),
            false => format!("took {}", span(took)),
        });
        Self {
            ended: Moment::of(last.ended, now),
            outcome: last.outcome.as_str(),
            class: match last.outcome {
                Outcome::Complete => "good",
                Outcome::Incomplete => "warn",
                Outcome::Failed => "bad",
            },
            text: parts.join(", "),
        }
    }
}
