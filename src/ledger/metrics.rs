//! Metrics of the ledger.

use crate::telemetry::QUICK_BUCKETS;

crate::telemetry::instruments! {
    /// The ledger's size and its transactions.
    pub struct LedgerMetrics {
        size_bytes: IntGauge = "flowgent_exporter_ledger_size_bytes",
            "Size of the ledger's file and its write-ahead log.";
        transaction_duration: HistogramVec = "flowgent_exporter_ledger_transaction_duration_seconds",
            "Time taken by ledger transactions.", ["transaction"], QUICK_BUCKETS;
        errors: IntCounterVec = "flowgent_exporter_ledger_errors_total",
            "Ledger transactions that failed and were rolled back.", ["transaction"];
    }
}

impl LedgerMetrics {
    /// Adds a kind of transaction, at zero.
    pub(super) fn add(&self, transaction: &str) {
        self.transaction_duration.with_label_values(&[transaction]);
        self.errors.with_label_values(&[transaction]);
    }

    /// Counts a transaction that took some seconds.
    pub(super) fn took(&self, transaction: &str, seconds: f64) {
        self.transaction_duration
            .with_label_values(&[transaction])
            .observe(seconds);
    }

    /// Counts a transaction that failed.
    pub(super) fn failed(&self, transaction: &str) {
        self.errors.with_label_values(&[transaction]).inc();
    }
}
