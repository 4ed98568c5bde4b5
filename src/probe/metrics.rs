//! Metrics of probes, which go by the ledger, so that counters outlast the program.

use crate::ledger::{Identity, ProbeOutcome, ProbeResult, ProbeRun, ProbeTotal};
use crate::named::Named;
use crate::telemetry::seconds;

/// Name, account and agent of a probe.
pub(super) type Labels = [String; 3];

crate::telemetry::instruments! {
    /// Runs of probes.
    pub(super) struct ProbeMetrics {
        success: IntGaugeVec = "flowgent_probe_success",
            "1 if the last run of the probe had the reply that is expected, else 0.",
            ["probe", "account", "agent"];
        duration: GaugeVec = "flowgent_probe_duration_seconds",
            "Time from the last request to the end of its reply or to its failure.",
            ["probe", "account", "agent"];
        execution: GaugeVec = "flowgent_probe_execution_seconds",
            "Time that the agent needed for its last reply, by FlowGent's own measure; absent if that gave none.",
            ["probe", "account", "agent"];
        last_status_code: IntGaugeVec = "flowgent_probe_last_status_code",
            "Status of the last run: the statusCode in the reply, which counts under HTTP 200 too, else the HTTP status; 0 if there was none.",
            ["probe", "account", "agent"];
        last_run_timestamp: GaugeVec = "flowgent_probe_last_run_timestamp_seconds",
            "Time for which the last run was planned.",
            ["probe", "account", "agent"];
        used_credits: CounterVec = "flowgent_probe_used_credits_total",
            "Credits that the probe used, by the used_credits of its replies.",
            ["probe", "account", "agent"];
        runs: IntCounterVec = "flowgent_probe_runs_total",
            "Runs of the probe by outcome; interrupted ones were not over when the exporter ended.",
            ["probe", "account", "agent", "outcome"];
    }
}

impl ProbeMetrics {
    /// Shows how a probe stands: its runs, newest first, and the totals of its agent.
    pub(super) fn show<'a>(
        &self,
        labels: &Labels,
        runs: impl Iterator<Item = &'a ProbeRun>,
        totals: &[ProbeTotal],
        agent: &Identity,
    ) {
        let probe = labels.each_ref().map(String::as_str);
        let mut runs = runs.filter_map(|run| Some((run.planned.planned_at, run.result.as_ref()?)));
        let last = runs.find(|(_, result)| result.outcome != ProbeOutcome::Interrupted);
        if let Some((planned_at, result)) = last {
            let ProbeResult {
                outcome,
                status_code,
                duration_seconds,
                execution_seconds,
                ..
            } = result;
            let is_success = *outcome == ProbeOutcome::Success;
            self.success
                .with_label_values(&probe)
                .set(is_success.into());
            let status = status_code.unwrap_or_default().into();
            self.last_status_code.with_label_values(&probe).set(status);
            let timestamp = self.last_run_timestamp.with_label_values(&probe);
            timestamp.set(seconds(planned_at));
            for (gauge, value) in [
                (&self.duration, duration_seconds),
                (&self.execution, execution_seconds),
            ] {
                match value {
                    Some(value) => gauge.with_label_values(&probe).set(*value),
                    None => drop(gauge.remove_label_values(&probe)),
                }
            }
        }
        let own = totals
            .iter()
            .filter(|total| *total.probe == *probe[0] && total.agent == *agent);
        let used: f64 = own.clone().map(|total| total.used_credits).sum();
        let counter = self.used_credits.with_label_values(&probe);
        counter.inc_by((used - counter.get()).max(0.0));
        for outcome in ProbeOutcome::ALL {
            let mut of_outcome = own.clone().filter(|total| total.outcome == *outcome);
            let runs = of_outcome.next().map_or(0, |total| total.runs);
            let counter =
                self.runs
                    .with_label_values(&[probe[0], probe[1], probe[2], outcome.as_str()]);
            counter.inc_by(runs.saturating_sub(counter.get()));
        }
    }
}
