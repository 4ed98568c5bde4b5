//! The state that responses are made from.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::gate::Gate;
use super::host::Host;
use super::lifecycle::Lifecycle;
use super::months::Kept;
use super::readiness::Readiness;
use crate::clock::SharedClock;
use crate::exposition::Exposition;
use crate::status::Board;
use crate::telemetry::Telemetry;

/// The state that responses are made from.
#[derive(Debug, Clone)]
pub struct State {
    /// The metrics.
    pub exposition: Arc<Exposition>,
    /// Everything known at this moment.
    pub board: Arc<Board>,
    /// The exporter's readiness.
    pub readiness: Readiness,
    /// Tells which day it is.
    pub clock: SharedClock,
    /// Counters of requests.
    pub telemetry: Telemetry,
    /// Path of the metrics.
    pub telemetry_path: String,
    /// Hosts that are answered to, as the config has them. A reload changes them.
    pub hosts: Arc<ArcSwap<Vec<Host>>>,
    /// Bounds how many requests of the API and for pages are answered at once.
    pub gate: Gate,
    /// The months of accounts.
    pub months: Kept,
    /// Reloads the config on a request, if that is allowed.
    pub lifecycle: Option<Lifecycle>,
}

impl State {
    /// Why the exporter is not ready; nothing if it is.
    pub(crate) fn pending(&self) -> Option<String> {
        self.readiness.pending().or_else(|| {
            let standing = self.clock.time().standing;
            (!standing.is_known()).then(|| standing.to_string())
        })
    }
}
