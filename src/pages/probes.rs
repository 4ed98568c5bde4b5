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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{PlannedRun, ProbeResult};

    #[test]
    fn a_run_shows_its_figures_and_one_that_is_under_way_none() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let run = |result| ProbeRun {
            planned: PlannedRun {
                probe: "ping".into(),
                agent: ("acme".into(), "a1".into()),
                planned_at: at("2026-11-23T06:00:00Z"),
            },
            result,
        };
        let ended = ProbeResult {
            outcome: ProbeOutcome::NoCredits,
            status_code: Some(402),
            duration_seconds: Some(1.25),
            execution_seconds: None,
            used_credits: None,
            detail: "no credits are left".to_owned(),
        };
        let replied = ProbeResult {
            outcome: ProbeOutcome::Success,
            status_code: Some(200),
            used_credits: Some(0.5),
            ..ended.clone()
        };
        let runs = [run(None), run(Some(ended)), run(Some(replied))];
        let rows = rows(&runs, at("2026-11-23T06:01:00Z"));
        let shown = rows.iter().map(|row| {
            [
                &row.outcome,
                row.class,
                &row.status,
                &row.took,
                &row.used,
                &row.detail,
            ]
        });
        assert_eq!(
            shown.collect::<Vec<_>>(),
            [
                ["under way", "waiting", "–", "–", "–", ""],
                [
                    "no credits",
                    "bad",
                    "402",
                    "1.25 s",
                    "–",
                    "no credits are left"
                ],
                [
                    "success",
                    "good",
                    "200",
                    "1.25 s",
                    "0.5",
                    "no credits are left"
                ],
            ]
        );
    }
}
