//! Metrics of pushing. They exist only while the exporter pushes: zeros would look like a failure otherwise.

use chrono::{DateTime, Utc};

use crate::telemetry::seconds;

/// Outcomes of a request: the values of the label `outcome`.
const OUTCOMES: [&str; 6] = [
    "accepted",
    "retried",
    "refused",
    "duplicate",
    "failed",
    "stopped",
];

/// The labels of a family of one series.
const NONE: [&str; 0] = [];

crate::telemetry::instruments! {
    /// The instruments of pushing. Those without labels are families of one series, which can be taken away.
    pub(super) struct PushMetrics {
        samples: IntCounterVec = "flowgent_exporter_push_samples_total",
            "Samples that the database has accepted.";
        requests: IntCounterVec = "flowgent_exporter_push_requests_total",
            "Push requests, by outcome: refused ones held a bad series, duplicate ones a sample for which another value is stored, stopped ones need a change of config or database.",
            ["outcome"];
        position: GaugeVec = "flowgent_exporter_push_position_timestamp_seconds",
            "Time of the newest sample that the database has accepted.";
        last_success: GaugeVec = "flowgent_exporter_push_last_success_timestamp_seconds",
            "When a push of everything known last succeeded.";
    }
}

impl PushMetrics {
    /// Adds all series, at zero if they are new, or removes all.
    pub(super) fn show(&self, shown: bool) {
        if shown {
            self.samples.with_label_values(&NONE);
            for outcome in OUTCOMES {
                self.requests.with_label_values(&[outcome]);
            }
            self.position.with_label_values(&NONE);
            self.last_success.with_label_values(&NONE);
        } else {
            self.samples.reset();
            self.requests.reset();
            self.position.reset();
            self.last_success.reset();
        }
    }

    /// Counts a request with one of [`OUTCOMES`].
    pub(super) fn request(&self, outcome: &str) {
        self.requests.with_label_values(&[outcome]).inc();
    }

    /// Counts samples that were taken.
    pub(super) fn taken(&self, samples: u64) {
        self.samples.with_label_values(&NONE).inc_by(samples);
    }

    /// Notes that a sample at `time` was taken.
    pub(super) fn reached(&self, time: DateTime<Utc>) {
        let position = self.position.with_label_values(&NONE);
        position.set(position.get().max(seconds(time)));
    }

    /// Notes that nothing is left to push at `now`.
    pub(super) fn succeeded(&self, now: DateTime<Utc>) {
        self.last_success.with_label_values(&NONE).set(seconds(now));
    }
}
