//! When a sync is due.

use std::time::Duration;

use croner::Cron;

/// When the daily poll happens.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Seconds, minutes, hours, day, month, weekday, in UTC.
    pub cron: Cron,
    /// The poll is put off by up to this much, by the same amount every day.
    pub jitter: Duration,
}

/// Reads a cron pattern of six fields, seconds first, as the scheduler reads it.
///
/// # Errors
/// Says what is wrong with the pattern.
pub fn parse_cron(pattern: &str) -> Result<Cron, String> {
    use croner::parser::{CronParser, Seconds};
    CronParser::builder()
        .seconds(Seconds::Required)
        .dom_and_dow(true)
        .build()
        .parse(pattern)
        .map_err(|error| error.to_string())
}
