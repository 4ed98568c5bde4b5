//! Cron patterns, and the trigger that wakes the worker and does nothing else.
//!
//! The scheduler behind the trigger keeps its own clock, forgets runs that the host slept through and
//! does not know whether the last one is over; and its loops outlive it. So there is one for the whole
//! process, which knows no pattern: at each second the worker's pure schedule decides.

use std::sync::Arc;

use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use tokio::sync::Notify;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

/// When the worker is woken.
const EVERY_SECOND: &str = "* * * * * *";

/// A running cron trigger.
pub struct CronTrigger {
    scheduler: JobScheduler,
}

impl CronTrigger {
    /// Notifies `wake` at every second from now on. Start it once in the life of a process.
    ///
    /// # Errors
    /// The scheduler could not be started.
    pub async fn start(wake: Arc<Notify>) -> Result<Self, JobSchedulerError> {
        let scheduler = JobScheduler::new().await?;
        let job = Job::new(EVERY_SECOND, move |_, _| wake.notify_one())?;
        scheduler.add(job).await?;
        scheduler.start().await?;
        Ok(Self { scheduler })
    }

    /// Stops notifying.
    pub async fn stop(mut self) {
        if let Err(error) = self.scheduler.shutdown().await {
            tracing::debug!("the cron trigger did not stop cleanly: {error}");
        }
    }
}

/// Reads a cron pattern of six fields, seconds first, or a nickname such as `@daily`.
///
/// A year is refused: with one, a pattern ends one day. A day of the month and a weekday must both be right.
///
/// # Errors
/// Says what is wrong with the pattern.
pub fn parse_cron(pattern: &str) -> Result<Cron, String> {
    let fields = pattern.split_whitespace().count();
    if fields != 6 && !pattern.trim_start().starts_with('@') {
        return Err(format!("6 fields are needed, not {fields}"));
    }
    CronParser::builder()
        .seconds(Seconds::Required)
        .year(Year::Disallowed)
        .dom_and_dow(true)
        .build()
        .parse(pattern)
        .map_err(|error| match error {
            CronError::InvalidPattern(reason)
            | CronError::IllegalCharacters(reason)
            | CronError::ComponentError(reason) => reason.trim_end_matches('.').to_owned(),
            other => other.to_string().trim_end_matches('.').to_owned(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_people_write_are_read() {
        for pattern in [
            "0 10 0 * * *",
            "*/5 * * * * *",
            "0 0 6 * * MON-FRI",
            "0 0 0 L * ?",
            "@daily",
        ] {
            assert!(parse_cron(pattern).is_ok(), "{pattern}");
        }
        for pattern in [
            "",
            "10 0 * * *",
            "60 0 0 * * *",
            "0 0 0 * 13 *",
            "0 0 0 * * x",
            "@often",
            "a b c d e f",
            "0 0 0 * * * 2030",
        ] {
            assert!(parse_cron(pattern).is_err(), "{pattern}");
        }
    }
}
