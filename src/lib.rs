//! Prometheus exporter and usage monitor for AI agents on FlowGent.
pub mod backoff;
pub mod clock;
pub mod config;
pub mod day;
pub mod exposition;
pub mod flowgent;
pub mod http;
pub mod ledger;
pub mod roster;
pub mod secret;
pub mod series;
pub mod simulator;
pub mod sync;
pub mod telemetry;
pub mod validate;
pub mod window;
