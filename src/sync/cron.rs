//! Cron patterns, and the trigger that wakes those who go by one and does nothing else.
//!
//! The scheduler behind the trigger keeps its own clock, forgets runs that the host slept through and
//! does not know whether the last one is over; and its loops outlive it. So there is one for the whole
//! process, which knows no pattern: at each second a pure schedule decides.

use std::sync::Arc;

use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use tokio::sync::Notify;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use crate::day::Day;

/// Pattern that wakes them.
const EVERY_SECOND: &str = "* * * * * *";

/// A running cron trigger.
pub struct CronTrigger {
    scheduler: JobScheduler,
}

impl CronTrigger {
    /// Notifies each of `wake` at every second from now on. Start it once in the life of a process.
    ///
    /// # Errors
    /// The scheduler could not be started.
    pub async fn start(wake: Vec<Arc<Notify>>) -> Result<Self, JobSchedulerError> {
        let scheduler = JobScheduler::new().await?;
        let job = Job::new(EVERY_SECOND, move |_, _| {
            wake.iter().for_each(|wake| wake.notify_one())
        })?;
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
    let is_nickname = pattern.trim_start().starts_with('@');
    if fields != 6 && !is_nickname {
        return Err(format!("6 fields are needed, not {fields}"));
    }
    CronParser::builder()
        .seconds(Seconds::Required)
        .year(Year::Disallowed)
        .dom_and_dow(true)
        .build()
        .parse(pattern)
        .map_err(|error| match error {
            _ if is_nickname => {
                "the nicknames are @yearly, @monthly, @weekly, @daily and @hourly".to_owned()
            }
            CronError::InvalidPattern(reason)
            | CronError::IllegalCharacters(reason)
            | CronError::ComponentError(reason) => reason.trim_end_matches('.').to_owned(),
            other => other.to_string().trim_end_matches('.').to_owned(),
        })
}

/// The first UTC day on which the pattern names no time, of the year that begins with `from`. Days with one are
/// alike: each field is by itself.
#[must_use]
pub fn first_day_without(cron: &Cron, from: Day) -> Option<Day> {
    let is_without = |day: &Day| {
        let next = cron.find_next_occurrence(&day.start(), true);
        next.is_ok_and(|next| next >= day.next().start())
    };
    (0..366).map(|days| from.plus(days)).find(is_without)
}

/// Returns true if the pattern asks for days of the month and for weekdays, which must both be right then.
#[must_use]
pub fn asks_for_both_days(cron: &Cron) -> bool {
    let fields: Vec<&str> = cron.pattern.as_str().split_whitespace().collect();
    let is_limited = |field: Option<&&str>| field.is_some_and(|field| !["*", "?"].contains(field));
    is_limited(fields.get(3)) && is_limited(fields.get(5))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_skips_days_is_known_by_the_first_and_both_kinds_of_days_must_be_right() {
        let friday: Day = "2026-11-27".parse().unwrap();
        for (pattern, skipped, asks_for_both) in [
            ("0 10 0 * * *", None, false),
            ("*/5 * * * * ?", None, false),
            ("@daily", None, false),
            ("@weekly", Some("2026-11-27"), false),
            ("0 0 6 * * MON-FRI", Some("2026-11-28"), false),
            ("0 0 6 1-30 * *", Some("2026-12-31"), false),
            ("0 0 6 * 1-11 *", Some("2026-12-01"), false),
            ("0 0 6 27 * FRI", Some("2026-11-28"), true),
            ("0 0 6 1-31 * *", None, false),
        ] {
            let cron = parse_cron(pattern).unwrap();
            let first = first_day_without(&cron, friday).map(|day| day.to_string());
            assert_eq!(first.as_deref(), skipped, "{pattern}");
            assert_eq!(asks_for_both_days(&cron), asks_for_both, "{pattern}");
        }
        // The 27th that is a Friday, and not each of both.
        let cron = parse_cron("0 0 6 27 * FRI").unwrap();
        let next = cron.find_next_occurrence(&friday.next().start(), true);
        assert_eq!(next.unwrap().to_rfc3339(), "2027-08-27T06:00:00+00:00");
    }

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
        let refused = parse_cron("@reboot").unwrap_err();
        assert!(
            refused.starts_with("the nicknames are @yearly"),
            "{refused}"
        );
        for nickname in ["@yearly", "@monthly", "@weekly", "@daily", "@hourly"] {
            assert!(parse_cron(nickname).is_ok() && refused.contains(nickname));
        }
    }
}
