//! What a scrape gets: the exporter's own telemetry, fresh, and the usage series, rendered before.
//!
//! A scrape copies no usage series: it compresses the few kilobytes of telemetry and hands out
//! references to the compressed [`Body`].

mod body;
mod deflate;
mod names;
mod negotiate;
mod text;

pub use body::{AgentSeries, Body};
pub use deflate::{DEFLATE_LEVEL, Frames};
pub use names::{FAMILIES, Family, Kind, Sample, Samples};
pub use negotiate::{Encoding, MediaType};
pub use text::Format;

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::budget::Standing;
use crate::day::Day;
use crate::telemetry::Telemetry;

use deflate::Deflater;

/// A budget and how it stands.
#[derive(Debug, Clone)]
pub struct BudgetSeries {
    /// Its name.
    pub name: Arc<str>,
    /// How it stands in its current period.
    pub standing: Standing,
}

/// An alert that may fire, summed up over its thresholds and periods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertSeries {
    /// The name of the rule or budget.
    pub rule: Arc<str>,
    /// What it is about.
    pub subject: Arc<str>,
    /// Whether it fires.
    pub firing: bool,
}

/// What is served at the telemetry path.
#[derive(Debug)]
pub struct Exposition {
    current: ArcSwap<Body>,
    telemetry: Telemetry,
}

impl Exposition {
    /// An exposition of `telemetry` without usage series, until some are published.
    #[must_use]
    pub fn new(telemetry: Telemetry) -> Self {
        Self {
            current: ArcSwap::from_pointee(Body::empty()),
            telemetry,
        }
    }

    /// Serves `body` from now on. Scrapes under way go on with the one that they have.
    pub fn publish(&self, body: Body) {
        self.current.store(Arc::new(body));
    }

    /// Serves these budgets and alerts from now on, as of the UTC day `today`. FORECASTER.
    pub fn publish_alerts(&self, _today: Day, _budgets: &[BudgetSeries], _alerts: &[AlertSeries]) {
        todo!()
    }

    /// The document for a scrape on the UTC day `today`.
    #[must_use]
    pub fn scrape(&self, format: Format, encoding: Encoding, today: Day) -> Frames {
        let mut deflater = Deflater::new();
        text::write_telemetry(deflater.buffer(), format, &self.telemetry.gather());
        let fresh = deflater.finish();
        let body = self.current.load();
        let pieces = body.pieces(format, today).cloned();
        let pieces = fresh.into_iter().chain(pieces).collect();
        match encoding {
            Encoding::Gzip => Frames::gzip(pieces, format.end()),
            Encoding::Identity => Frames::identity(pieces, format.end()),
        }
    }
}
