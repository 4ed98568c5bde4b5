//! The exporter's telemetry of itself, kept by the `prometheus` crate. Usage figures are not here:
//! [`crate::exposition`] writes those directly.
//!
//! Every series exists from the start, at zero where its labels are known beforehand, so that a rate
//! over it sees the first event.

mod push;

pub use push::{PUSH_OUTCOMES, PushTelemetry};

use std::sync::Arc;

use chrono::{DateTime, Utc};
use prometheus::core::{Collector, GenericCounterVec};
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use prometheus::{
    CounterVec, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry,
};
use tokio::runtime::Handle;

/// Bounds for a request to FlowGent, in seconds; the default timeout is 30 s.
const API_BUCKETS: &[f64] = &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Bounds for a ledger transaction, in seconds.
const LEDGER_BUCKETS: &[f64] = &[0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];

/// How a sync ended: the values of the label `outcome` of `flowgent_exporter_syncs_total`.
pub const SYNC_OUTCOMES: [&str; 3] = ["complete", "incomplete", "failed"];

/// What became of a try: the values of the label `outcome` of `flowgent_hook_deliveries_total`.
pub const DELIVERY_OUTCOMES: [&str; 3] = ["delivered", "failed", "given_up"];

/// What became of a name and a password: the values of the label `outcome` of
/// `flowgent_exporter_http_authentications_total`. A password is hashed where it is `accepted` or
/// `refused`.
pub const AUTHENTICATION_OUTCOMES: [&str; 5] =
    ["accepted", "remembered", "refused", "missing", "busy"];

/// The instruments, cloned freely; all clones count into the same series.
#[derive(Debug, Clone)]
pub struct Telemetry {
    registry: Arc<Registry>,
    /// 1 if the config was read successfully the last time it was tried.
    pub config_last_reload_successful: IntGauge,
    /// When the config was last read successfully.
    pub config_last_reload_success_timestamp: Gauge,
    /// 1 if the web config was read successfully the last time it had changed, or there is none.
    pub web_config_last_reload_successful: IntGauge,
    /// 1 while a sync runs.
    pub sync_running: IntGauge,
    /// When the last sync started.
    pub sync_last_start_timestamp: Gauge,
    /// When the last sync ended.
    pub sync_last_end_timestamp: Gauge,
    /// When the last complete sync ended.
    pub sync_last_complete_timestamp: Gauge,
    /// How long the last sync took.
    pub sync_last_duration: Gauge,
    /// When the next sync is due.
    pub sync_next_timestamp: Gauge,
    /// Syncs by `outcome`, see [`SYNC_OUTCOMES`].
    pub syncs: IntCounterVec,
    /// Windows that were planned.
    pub windows_planned: IntCounter,
    /// Windows of the current sync that are still to be fetched.
    pub windows_left: IntGauge,
    /// Agents that met a problem in the last sync, by `account` and `kind`.
    pub sync_last_problems: IntGaugeVec,
    /// Agents that their list no longer names and that have not left yet, by `account`.
    pub unlisted_agents: IntGaugeVec,
    /// Agents that FlowGent lists and that are not asked for, since there are too many, by `account`.
    pub excess_agents: IntGaugeVec,
    /// 1 where FlowGent's last list of agents said that it is not complete, by `account`.
    pub partial_listing: IntGaugeVec,
    /// Requests to FlowGent by `account`, `endpoint` and `outcome`.
    pub api_requests: IntCounterVec,
    /// Seconds until FlowGent answered in full, by `account` and `endpoint`.
    pub api_request_duration: HistogramVec,
    /// FlowGent's clock minus ours in seconds, by `account`.
    pub api_clock_skew: GaugeVec,
    /// 1 while this host's clock agrees with FlowGent's.
    pub clock_trusted: IntGauge,
    /// Requests that had to wait for the rate or concurrency limit, by `account`.
    pub api_limit_waits: IntCounterVec,
    /// Seconds that requests waited for these limits, by `account`.
    pub api_limit_wait_seconds: CounterVec,
    /// Bytes of the ledger's file and its write-ahead log.
    pub ledger_size: IntGauge,
    /// Seconds per ledger transaction, by `transaction`.
    pub ledger_transaction_duration: HistogramVec,
    /// Transactions of the ledger that failed, by `transaction`.
    pub ledger_errors: IntCounterVec,
    /// Seconds per evaluation of the rules.
    pub alert_evaluation_duration: Histogram,
    /// When the rules were last evaluated.
    pub alert_last_evaluation_timestamp: Gauge,
    /// Tries to deliver by `hook` and `outcome`, see [`DELIVERY_OUTCOMES`].
    pub hook_deliveries: IntCounterVec,
    /// Deliveries that are still to be taken, by `hook`.
    pub hook_pending_deliveries: IntGaugeVec,
    /// When the oldest of them was put into the outbox, by `hook`; 0 without any.
    pub hook_oldest_pending_timestamp: GaugeVec,
    /// 1 for a hook that wants nothing any more, by `hook`.
    pub hook_disabled: IntGaugeVec,
    /// What was pushed to a database.
    pub push: PushTelemetry,
    /// Requests that were served, by `handler` and `code`.
    pub http_requests: IntCounterVec,
    /// Requests where users are configured, by `outcome`, see [`AUTHENTICATION_OUTCOMES`].
    pub http_authentications: IntCounterVec,
    /// Open client connections.
    pub http_connections: IntGauge,
    /// Connections that were closed to make room for new ones.
    pub http_connections_evicted: IntCounter,
    /// Seconds per rendering of the usage series.
    pub render_duration: Histogram,
    /// Asynchronous tasks that are alive.
    runtime_tasks: IntGauge,
}

impl Telemetry {
    /// All instruments, registered and at zero.
    ///
    /// # Panics
    /// Never: the names are constants and registered once.
    #[must_use]
    pub fn new() -> Self {
        let registry = Registry::new();
        let maker = Maker(&registry);
        let build = Opts::new(
            name("build_info"),
            "Constant 1, labelled with the build's version.",
        )
        .const_label("version", env!("CARGO_PKG_VERSION"));
        maker.register(IntGauge::with_opts(build)).set(1);
        registry
            .register(Box::new(ProcessCollector::for_self()))
            .expect("the process collector is registered once");
        let telemetry = Self {
            config_last_reload_successful: maker.int_gauge(
                "config_last_reload_successful",
                "1 if the last reading of the config succeeded, else 0.",
            ),
            config_last_reload_success_timestamp: maker.gauge(
                "config_last_reload_success_timestamp_seconds",
                "When the config was last read successfully.",
            ),
            web_config_last_reload_successful: maker.int_gauge(
                "web_config_last_reload_successful",
                "1 if the last reading of the web config succeeded, or there is none, else 0.",
            ),
            sync_running: maker.int_gauge("sync_running", "1 while a sync runs, else 0."),
            sync_last_start_timestamp: maker.gauge(
                "sync_last_start_timestamp_seconds",
                "When the last sync started.",
            ),
            sync_last_end_timestamp: maker.gauge(
                "sync_last_end_timestamp_seconds",
                "When the last sync ended.",
            ),
            sync_last_complete_timestamp: maker.gauge(
                "sync_last_complete_timestamp_seconds",
                "When the last complete sync ended.",
            ),
            sync_last_duration: maker
                .gauge("sync_last_duration_seconds", "How long the last sync took."),
            sync_next_timestamp: maker
                .gauge("sync_next_timestamp_seconds", "When the next sync is due."),
            syncs: maker.counters("syncs_total", "Syncs by outcome.", &["outcome"]),
            windows_planned: maker.register(IntCounter::new(
                name("windows_planned_total"),
                "Windows of days planned for fetching.",
            )),
            windows_left: maker.int_gauge(
                "windows_left",
                "Windows of the current or last sync not fetched yet.",
            ),
            sync_last_problems: maker.int_gauges(
                "sync_last_problems",
                "Agents with a problem in the last sync, by its kind; 1 for a problem of the whole account. Absent until a sync has ended.",
                &["account", "kind"],
            ),
            unlisted_agents: maker.int_gauges(
                "unlisted_agents",
                "Agents that are no longer listed; they are polled for three days and leave if still not listed then.",
                &["account"],
            ),
            excess_agents: maker.int_gauges(
                "excess_agents",
                "Agents that FlowGent lists beyond max_discovered; they are not polled.",
                &["account"],
            ),
            partial_listing: maker.int_gauges(
                "partial_listing",
                "1 if FlowGent's last list of agents was marked incomplete, else 0.",
                &["account"],
            ),
            api_requests: maker.counters(
                "api_requests_total",
                "Requests to FlowGent by outcome.",
                &["account", "endpoint", "outcome"],
            ),
            api_request_duration: maker.histograms(
                "api_request_duration_seconds",
                "Time until FlowGent's answer was complete or failed.",
                &["account", "endpoint"],
                API_BUCKETS,
            ),
            api_clock_skew: maker.register(GaugeVec::new(
                Opts::new(
                    name("api_clock_skew_seconds"),
                    "FlowGent's clock minus this host's, by the Date header of its last answer.",
                ),
                &["account"],
            )),
            clock_trusted: maker.int_gauge(
                "clock_trusted",
                "1 while this host's clock agrees with FlowGent's within an hour, else 0: then no day becomes final and no alert starts or resolves.",
            ),
            api_limit_waits: maker.counters(
                "api_limit_waits_total",
                "Requests that waited for the account's rate or concurrency limit.",
                &["account"],
            ),
            api_limit_wait_seconds: maker.register(CounterVec::new(
                Opts::new(
                    name("api_limit_wait_seconds_total"),
                    "Time that requests waited for the account's rate or concurrency limit.",
                ),
                &["account"],
            )),
            ledger_size: maker.int_gauge(
                "ledger_size_bytes",
                "Size of the ledger's file and its write-ahead log.",
            ),
            ledger_transaction_duration: maker.histograms(
                "ledger_transaction_duration_seconds",
                "Time taken by ledger transactions.",
                &["transaction"],
                LEDGER_BUCKETS,
            ),
            ledger_errors: maker.counters(
                "ledger_errors_total",
                "Ledger transactions that failed and were rolled back.",
                &["transaction"],
            ),
            alert_evaluation_duration: maker.register(Histogram::with_opts(
                HistogramOpts::new(
                    name("alert_evaluation_duration_seconds"),
                    "Time taken to evaluate all rules.",
                )
                .buckets(LEDGER_BUCKETS.to_vec()),
            )),
            alert_last_evaluation_timestamp: maker.gauge(
                "alert_last_evaluation_timestamp_seconds",
                "When the rules were last evaluated.",
            ),
            hook_deliveries: maker.register(IntCounterVec::new(
                Opts::new(
                    "flowgent_hook_deliveries_total",
                    "Delivery attempts of a hook, by outcome; a failed one is retried, one given up is not.",
                ),
                &["hook", "outcome"],
            )),
            hook_pending_deliveries: maker.register(IntGaugeVec::new(
                Opts::new(
                    "flowgent_hook_pending_deliveries",
                    "Deliveries that the receiver has not accepted yet.",
                ),
                &["hook"],
            )),
            hook_oldest_pending_timestamp: maker.register(GaugeVec::new(
                Opts::new(
                    "flowgent_hook_oldest_pending_timestamp_seconds",
                    "When the oldest pending delivery was created, 0 when nothing is pending.",
                ),
                &["hook"],
            )),
            hook_disabled: maker.register(IntGaugeVec::new(
                Opts::new(
                    "flowgent_hook_disabled",
                    "1 if the receiver refused all further messages, until `alerts retry`, else 0.",
                ),
                &["hook"],
            )),
            push: PushTelemetry::new(&maker),
            http_requests: maker.counters(
                "http_requests_total",
                "Requests that were served, by handler and status code.",
                &["handler", "code"],
            ),
            http_authentications: maker.counters(
                "http_authentications_total",
                "Requests by the result of checking user and password, if the web config has users.",
                &["outcome"],
            ),
            http_connections: maker.int_gauge("http_connections", "Open client connections."),
            http_connections_evicted: maker.register(IntCounter::new(
                name("http_connections_evicted_total"),
                "Waiting connections that were closed to make room for new ones.",
            )),
            render_duration: maker.register(Histogram::with_opts(
                HistogramOpts::new(
                    name("render_duration_seconds"),
                    "Time to render and compress the usage series after a change.",
                )
                .buckets(LEDGER_BUCKETS.to_vec()),
            )),
            runtime_tasks: maker.int_gauge(
                "runtime_tasks",
                "Asynchronous tasks alive: those of the components, and one per connection.",
            ),
            registry: Arc::new(registry),
        };
        for outcome in SYNC_OUTCOMES {
            telemetry.syncs.with_label_values(&[outcome]);
        }
        for outcome in AUTHENTICATION_OUTCOMES {
            telemetry.http_authentications.with_label_values(&[outcome]);
        }
        telemetry
    }

    /// The present state of every instrument and of the process, sorted by name.
    #[must_use]
    pub fn gather(&self) -> Vec<MetricFamily> {
        if let Ok(runtime) = Handle::try_current() {
            let tasks = runtime.metrics().num_alive_tasks();
            self.runtime_tasks
                .set(i64::try_from(tasks).unwrap_or(i64::MAX));
        }
        self.registry.gather()
    }

    /// Shows `hook`, at zero if it was not there before.
    pub fn hook_added(&self, hook: &str) {
        for outcome in DELIVERY_OUTCOMES {
            self.hook_deliveries.with_label_values(&[hook, outcome]);
        }
        self.hook_pending_deliveries.with_label_values(&[hook]);
        self.hook_oldest_pending_timestamp
            .with_label_values(&[hook]);
        self.hook_disabled.with_label_values(&[hook]);
    }

    /// Shows `hook` no longer.
    pub fn hook_removed(&self, hook: &str) {
        // An error means that it was not shown.
        for outcome in DELIVERY_OUTCOMES {
            let _ = self.hook_deliveries.remove_label_values(&[hook, outcome]);
        }
        let _ = self.hook_pending_deliveries.remove_label_values(&[hook]);
        let _ = self
            .hook_oldest_pending_timestamp
            .remove_label_values(&[hook]);
        let _ = self.hook_disabled.remove_label_values(&[hook]);
    }

    /// Notes that the config was tried to be read at `now`, and whether that succeeded.
    pub fn config_reloaded(&self, now: DateTime<Utc>, successful: bool) {
        self.config_last_reload_successful.set(successful.into());
        if successful {
            self.config_last_reload_success_timestamp.set(seconds(now));
        }
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        Self::new()
    }
}

/// An instant as Prometheus has it: seconds since 1970, with milliseconds.
#[allow(
    clippy::cast_precision_loss,
    reason = "milliseconds since 1970 stay far below 2^53"
)]
#[must_use]
pub fn seconds(instant: DateTime<Utc>) -> f64 {
    instant.timestamp_millis() as f64 / 1000.0
}

/// The full name of one of the exporter's own families.
fn name(rest: &str) -> String {
    format!("flowgent_exporter_{rest}")
}

/// Makes instruments and registers them.
struct Maker<'a>(&'a Registry);

impl Maker<'_> {
    fn register<C: Collector + Clone + 'static>(&self, made: prometheus::Result<C>) -> C {
        let collector = made.expect("names and labels are constants that satisfy the rules");
        self.0
            .register(Box::new(collector.clone()))
            .expect("each name is registered once");
        collector
    }

    fn int_gauge(&self, rest: &str, help: &str) -> IntGauge {
        self.register(IntGauge::new(name(rest), help))
    }

    fn int_gauges(&self, rest: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.register(IntGaugeVec::new(Opts::new(name(rest), help), labels))
    }

    fn gauge(&self, rest: &str, help: &str) -> Gauge {
        self.register(Gauge::new(name(rest), help))
    }

    fn counters(&self, rest: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.register(GenericCounterVec::new(Opts::new(name(rest), help), labels))
    }

    fn histograms(&self, rest: &str, help: &str, labels: &[&str], bounds: &[f64]) -> HistogramVec {
        let options = HistogramOpts::new(name(rest), help).buckets(bounds.to_vec());
        self.register(HistogramVec::new(options, labels))
    }
}
