//! Answers to scrapes: the exporter's own telemetry, fresh, and the series of agents, of budgets and of
//! alerts, rendered before.
//!
//! A scrape copies none of those: it compresses the few kilobytes of telemetry and hands out
//! references to what is compressed in a [`Body`].

mod alerts;
mod body;
mod deflate;
mod names;
mod negotiate;
mod text;

pub use alerts::{AlertSeries, BalanceSeries, BudgetSeries, Mark};
pub use body::{AgentSeries, Body};
pub use deflate::{DEFLATE_LEVEL, Frames};
pub use names::{FAMILIES, Family, Kind, Sample, Samples};
pub use negotiate::{Encoding, MediaType, weight};
pub use text::Format;
pub(crate) use text::{write_header, write_label, write_value};

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::day::Day;
use crate::telemetry::Telemetry;

use deflate::Deflater;

/// Series served at the telemetry path.
#[derive(Debug)]
pub struct Exposition {
    agents: ArcSwap<Body>,
    alerts: ArcSwap<Body>,
    telemetry: Telemetry,
}

impl Exposition {
    /// An exposition of `telemetry` alone, until something else is published.
    #[must_use]
    pub fn new(telemetry: Telemetry) -> Self {
        Self {
            agents: ArcSwap::from_pointee(Body::empty()),
            alerts: ArcSwap::from_pointee(Body::empty()),
            telemetry,
        }
    }

    /// Serves the agents in `body` from now on. Scrapes under way go on with those that they have.
    pub fn publish(&self, body: Body) {
        self.agents.store(Arc::new(body));
    }

    /// Serves these budgets, balances and alerts from now on, as of the UTC day `today`. Each name and
    /// each pair of rule and subject must be there once. Tens of thousands of them take some
    /// milliseconds to compress.
    pub fn publish_alerts(
        &self,
        today: Day,
        budgets: &[BudgetSeries],
        balances: &[BalanceSeries],
        alerts: &[AlertSeries],
    ) {
        let body = alerts::render(today, budgets, balances, alerts);
        self.alerts.store(Arc::new(body));
    }

    /// The document for a scrape on the UTC day `today`. Without a day, figures of one are withheld.
    #[must_use]
    pub fn scrape(&self, format: Format, encoding: Encoding, today: Option<Day>) -> Frames {
        let mut deflater = Deflater::new();
        text::write_telemetry(deflater.buffer(), format, &self.telemetry.gather());
        let fresh = deflater.finish();
        let bodies = [self.agents.load(), self.alerts.load()];
        let pieces = bodies.iter().flat_map(|body| body.pieces(format, today));
        let pieces = fresh.into_iter().chain(pieces.cloned()).collect();
        match encoding {
            Encoding::Gzip => Frames::gzip(pieces, format.end()),
            Encoding::Identity => Frames::identity(pieces, format.end()),
        }
    }
}
