//! Past days for other programs: as a text that a database imports or a person reads
//! ([`Document`]), or sent to a database ([`push`]).
//!
//! A scrape tells of yesterday alone, so a database that begins to scrape today knows nothing of the days
//! before, and nothing of their revisions later on. History is the same series as the scrape's, with its
//! values placed as scrapes would have brought them: [`placement`] says where.

mod document;
pub mod placement;
pub mod push;

pub use document::Document;

use std::net::SocketAddr;

/// The series that history is made of.
pub const SERIES: &str = "flowgent_agent_previous_day_credits";

/// The job of the shipped scrape config.
pub const DEFAULT_JOB: &str = "flowgent";

/// Labels that a scrape adds to each series. History belongs to the scraped series only if these are
/// the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The label `job`: the name of the scrape config.
    pub job: String,
    /// The label `instance`: the address that is scraped.
    pub instance: String,
}

impl Target {
    /// The `instance` of an exporter that listens on these addresses, unless the first one names no machine.
    #[must_use]
    pub fn instance_of(listen: &[SocketAddr]) -> Option<String> {
        let first = listen.first();
        let first = first.filter(|address| !address.ip().is_unspecified() && address.port() > 0);
        first.map(ToString::to_string)
    }
}
