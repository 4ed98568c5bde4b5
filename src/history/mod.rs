//! What is known of past days, for other programs: as a text that a database imports or a person reads
//! ([`Document`]).
//!
//! A scrape tells of yesterday alone, so a database that begins to scrape today knows nothing of the days
//! before, and nothing of their revisions later on. History is the same series as the scrape's, with its
//! values placed as scrapes would have brought them: [`placement`] says where.

mod document;
pub mod placement;

pub use document::{Document, Format};

/// The series that history is made of.
pub const SERIES: &str = "flowgent_agent_previous_day_credits";

/// Who scrapes: what a scrape adds to each series. History belongs to the scraped series only if these are
/// the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The label `job`: the name of the scrape config.
    pub job: String,
    /// The label `instance`: the address that is scraped.
    pub instance: String,
}
