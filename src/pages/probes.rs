//! The last runs of an agent's probes.

use chrono::{DateTime, Utc};

use super::time::Moment;
use crate::ledger::{ProbeOutcome, ProbeRun};
use crate::words;

/// The most runs that are listed.
const LISTED: usize = 60;

/// A run of a probe.
#[derive(Debug)]
pub(super) struct ProbeRow {
    pub(super) planned: Moment,
    pub(super) probe: String,
    pub(super) outcome: String,
    pub(super) class: &'static str,
    pub(super) status: String,
    pub(super) took: String,
    pub(super) used: String,
    pub(super) detail: String,
}

/// Runs of probes, those of all probes together.
pub(super) fn rows(runs: &[ProbeRun], now: DateTime<Utc>) -> Vec<ProbeRow> {
    let row = |ProbeRun { planned, result }: &ProbeRun| {
        let figure = |figure: Option<f64>, unit: &str| {
            figure.map_or_else(
                || "–".to_owned(),
                |figure| format!("{}{unit}", words::number(figure)),
            )
        };
        let result = result.as_ref();
        let (outcome, class) = match result.map(|result| result.outcome) {
            None => ("under way".to_owned(), "waiting"),
            Some(ProbeOutcome::Success) => ("success".to_owned(), "good"),
            Some(ProbeOutcome::Interrupted) => ("interrupted".to_owned(), "warn"),
            Some(outcome) => (outcome.as_str().replace('_', " "), "bad"),
        };
        let status = result.and_then(|result| result.status_code);
        ProbeRow {
            planned: Moment::of(planned.planned_at, now),
            probe: planned.probe.to_string(),
            outcome,
            class,
            status: status.map_or_else(|| "–".to_owned(), |status| status.to_string()),
            took: figure(result.and_then(|result| result.duration_seconds), " s"),
            used: figure(result.and_then(|result| result.used_credits), ""),
            detail: result
                .map(|result| result.detail.clone())
                .unwrap_or_default(),
        }
    };
    runs.iter().take(LISTED).map(row).collect()
}
