//! The exporter's telemetry of itself, kept by the `prometheus` crate. Each module declares the instruments
//! that it counts with by `instruments!`. Usage figures are not here:
//! [`crate::exposition`] writes those directly.

pub mod instrument;

pub use instrument::Instruments;
pub(crate) use instrument::instruments;

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use prometheus::{IntGauge, Opts, Registry};
use tokio::runtime::Handle;

/// Bounds in seconds for what is done in this process.
pub const QUICK_BUCKETS: &[f64] = &[0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];

instruments! {
    /// The process as a whole.
    struct ProcessMetrics {
        tasks: IntGauge = "flowgent_exporter_runtime_tasks",
            "Asynchronous tasks alive: those of the components, and one per connection.";
    }
}

/// All instruments of the exporter, cloned freely; all clones count into the same series.
#[derive(Clone)]
pub struct Telemetry {
    registry: Arc<Registry>,
    /// The sets that were asked for.
    sets: Arc<Mutex<HashMap<TypeId, Box<dyn Any + Send>>>>,
}

impl Telemetry {
    /// The build and the process, and whatever modules register later.
    ///
    /// # Panics
    /// Never: the names are constants and registered once.
    #[must_use]
    pub fn new() -> Self {
        let registry = Registry::new();
        let build = Opts::new(
            "flowgent_exporter_build_info",
            "Constant 1, labelled with the build's version.",
        )
        .const_label("version", env!("CARGO_PKG_VERSION"));
        instrument::registered(IntGauge::with_opts(build), &registry).set(1);
        registry
            .register(Box::new(ProcessCollector::for_self()))
            .expect("the process collector is registered once");
        let telemetry = Self {
            registry: Arc::new(registry),
            sets: Arc::default(),
        };
        telemetry.of::<ProcessMetrics>();
        telemetry
    }

    /// The instruments of that set: registered when they are first asked for, the same ones ever after.
    ///
    /// # Panics
    /// Never: a set is kept by its type.
    pub fn of<S: Instruments>(&self) -> S {
        self.sets
            .lock()
            .entry(TypeId::of::<S>())
            .or_insert_with(|| Box::new(S::register(&self.registry)))
            .downcast_ref::<S>()
            .expect("a set is kept by its type")
            .clone()
    }

    /// The present state of every instrument and of the process, sorted by name.
    #[must_use]
    pub fn gather(&self) -> Vec<MetricFamily> {
        if let Ok(runtime) = Handle::try_current() {
            let tasks = runtime.metrics().num_alive_tasks();
            let tasks = i64::try_from(tasks).unwrap_or(i64::MAX);
            self.of::<ProcessMetrics>().tasks.set(tasks);
        }
        self.registry.gather()
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").finish_non_exhaustive()
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
