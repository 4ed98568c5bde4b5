//! Cron patterns, and the trigger that wakes the worker at their instants and does nothing else.
//!
//! The scheduler behind the trigger keeps its own clock, forgets runs that the host slept through and
//! does not know whether the last one is over. The worker's pure schedule knows all that, and this
//! instance's share of the jitter, by which it polls later than it is woken.

use std::sync::Arc;

use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use tokio::sync::Notify;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use super::schedule;

/// A running cron trigger.
pub struct CronTrigger {
    scheduler: JobScheduler,
}

impl CronTrigger {
    /// Notifies `wake` at every instant of the pattern, from now on.
    ///
    /// # Errors
    /// The scheduler could not be started.
    pub async fn start(
        settings: &schedule::Settings,
        wake: Arc<Notify>,
    ) -> Result<Self, JobSchedulerError> {
        let scheduler = JobScheduler::new().await?;
        let pattern = settings.cron.pattern.to_string();
        let job = Job::new(pattern.as_str(), move |_, _| wake.notify_one())?;
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
/// The scheduler reads patterns with the same crate, in the same way but for one thing: it would
/// also take a year, with which a pattern ends one day. A day of the month and a weekday must both
/// be right, as there.
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
    use proptest::prelude::*;
    use tokio_cron_scheduler::Job;

    fn scheduler_takes(pattern: &str) -> bool {
        Job::new(pattern, |_, _| {}).is_ok()
    }

    proptest! {
        #[test]
        fn what_is_read_here_the_scheduler_reads_too(pattern in "[0-9*/,@LW#a-zA-Z -]{0,16}|([0-9*,/L-]{1,3} ){5}[0-9*#L?+-]{1,3}") {
            if parse_cron(&pattern).is_ok() {
                prop_assert!(scheduler_takes(&pattern), "{}", pattern);
            }
        }
    }

    #[test]
    fn patterns_that_people_write_are_read_as_the_scheduler_reads_them() {
        for pattern in [
            "0 10 0 * * *",
            "*/5 * * * * *",
            "0 0 6 * * MON-FRI",
            "0 0 0 L * ?",
            "@daily",
        ] {
            assert!(
                parse_cron(pattern).is_ok() && scheduler_takes(pattern),
                "{pattern}"
            );
        }
        for pattern in [
            "",
            "10 0 * * *",
            "60 0 0 * * *",
            "0 0 0 * 13 *",
            "0 0 0 * * x",
            "@often",
            "a b c d e f",
        ] {
            assert!(
                parse_cron(pattern).is_err() && !scheduler_takes(pattern),
                "{pattern}"
            );
        }
        assert!(parse_cron("0 0 0 * * * 2030").is_err());
    }
}
