//! Schedule of syncs: a pure state machine that gets the time and answers with what to do.
//!
//! Days pass whether or not anybody looks, hosts sleep, and clocks are set. So nothing here counts
//! elapsed time: each look compares the present instant with the latest poll that the cron pattern
//! named before it, and a missed poll, however it was missed, is due once.

use std::hash::Hasher;
use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use croner::Cron;

use crate::backoff::{Backoff, SYNCS};
use crate::day::Day;
use crate::named::named;
use crate::window::plan::Refresh;

/// Time of the daily poll.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Seconds, minutes, hours, day, month, weekday, in UTC.
    pub cron: Cron,
    /// The poll is put off by up to this much, by the same amount every day.
    pub jitter: Duration,
}

named! {
    /// Why a sync runs.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Trigger {
        /// The program started: what was missed meanwhile is caught up with.
        Startup = "startup",
        /// The daily poll.
        Scheduled = "scheduled",
        /// The last sync left something undone.
        Retry = "retry",
        /// A new config was read.
        Reload = "reload",
        /// The config was read again and is the same, but keys are refused.
        Keys = "keys",
        /// A person asked for it.
        Manual = "manual",
    }
}

impl Trigger {
    /// Which unsettled days this sync asks for again.
    #[must_use]
    pub const fn refresh(self) -> Refresh {
        match self {
            Self::Scheduled | Self::Manual => Refresh::Unsettled,
            Self::Startup | Self::Retry | Self::Reload | Self::Keys => Refresh::NotFetchedToday,
        }
    }
}

/// Work left for a sync before the next poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// Nothing that time alone may change by then.
    Nothing,
    /// FlowGent may yet learn the newest day, before the next one begins.
    Late,
    /// Something failed.
    Failed,
}

/// A poll that comes within this time of a start is waited for: yesterday would be asked for twice.
const SOON: TimeDelta = TimeDelta::hours(1);

/// Knows what was done and tells what is due.
#[derive(Debug)]
pub struct Schedule {
    cron: Cron,
    /// Delay of this instance after the pattern's instant.
    offset: TimeDelta,
    retries: Backoff,
    /// The latest poll that has been started, or had passed when the program started.
    polled: DateTime<Utc>,
    /// True while the catch-up of the start is still to be done.
    starting: bool,
    /// The day as of which the last sync asked that was no retry: it asked for no day whose poll was to come.
    as_of: Day,
    unfinished: Option<Unfinished>,
}

/// The last sync left something undone.
#[derive(Debug, Clone, Copy)]
struct Unfinished {
    /// Number of syncs in a row that have.
    times: u32,
    /// End of the last of them.
    since: DateTime<Utc>,
    /// Time of the next try.
    retry_at: DateTime<Utc>,
}

impl Schedule {
    /// A schedule that starts at `now`. `instance` is a number that stays the same for this ledger, so
    /// that each of many instances polls at its own moment, the same every day.
    #[must_use]
    pub fn new(settings: &Settings, instance: u64, now: DateTime<Utc>) -> Self {
        let mut schedule = Self {
            cron: settings.cron.clone(),
            offset: offset(settings.jitter, instance),
            retries: SYNCS,
            polled: now,
            starting: true,
            as_of: Day::of(now),
            unfinished: None,
        };
        schedule.polled = schedule.latest_poll(now);
        schedule
    }

    /// The same state under new settings, after a reload. What it mends need not wait for hours.
    pub fn reconfigure(&mut self, settings: &Settings, instance: u64, now: DateTime<Utc>) {
        self.unfinished = None;
        self.cron = settings.cron.clone();
        self.offset = offset(settings.jitter, instance);
        self.polled = self.latest_poll(now);
        self.as_of = self.catching_up(now);
    }

    /// The day as of which the sync asks that was said to be due last. A retry asks for nothing that is known
    /// only later, so that the poll finds all agents' yesterday still to be asked for, once.
    #[must_use]
    pub const fn as_of(&self) -> Day {
        self.as_of
    }

    /// The day as of which a start or a reload asks: the day before, if the poll comes soon.
    fn catching_up(&self, now: DateTime<Utc>) -> Day {
        let today = Day::of(now);
        let poll = self.next_poll(now);
        let was_polled = Day::of(self.latest_poll(now)) == today;
        if !was_polled && Day::of(poll) == today && poll - now <= SOON {
            today.previous()
        } else {
            today
        }
    }

    /// The sync that is due at `now`. Saying so marks it as begun: it is due once.
    pub fn due(&mut self, now: DateTime<Utc>) -> Option<Trigger> {
        let latest = self.latest_poll(now);
        let poll_is_due = latest > self.polled;
        // Also when the clock was set back: then the polls from there on count again.
        self.polled = latest;
        if std::mem::take(&mut self.starting) {
            self.as_of = self.catching_up(now);
            return Some(Trigger::Startup);
        }
        if poll_is_due {
            self.as_of = Day::of(now);
            // What is late today is asked for soon, also where yesterday something else lasted.
            self.unfinished = None;
            return Some(Trigger::Scheduled);
        }
        let unfinished = self.unfinished.as_mut()?;
        // A clock that was set back must not put the retry off by as much.
        if now < unfinished.since {
            unfinished.retry_at = now + (unfinished.retry_at - unfinished.since);
            unfinished.since = now;
        }
        (unfinished.retry_at <= now).then_some(Trigger::Retry)
    }

    /// Tells if a poll is due at `now`, without saying that it is begun. A sync that is still at work
    /// makes way for it: a new plan asks for everybody's yesterday first.
    #[must_use]
    pub fn poll_is_due(&mut self, now: DateTime<Utc>) -> bool {
        let latest = self.latest_poll(now);
        // When the clock was set back, the polls from there on count again.
        self.polled = self.polled.min(latest);
        latest > self.polled
    }

    /// Notes that a sync ended at `now`, and what it left to do. A day that FlowGent has left out is asked for
    /// again on its first day, and then by each poll.
    pub fn finished(&mut self, rest: Rest, now: DateTime<Utc>) {
        self.unfinished = (rest != Rest::Nothing).then(|| {
            let times = self.unfinished.map_or(0, |unfinished| unfinished.times + 1);
            let wait = TimeDelta::from_std(self.retries.ceiling(times)).unwrap_or(TimeDelta::MAX);
            Unfinished {
                times,
                since: now,
                retry_at: now + wait,
            }
        });
        let is_tomorrow = |unfinished: &Unfinished| Day::of(unfinished.retry_at) > self.as_of;
        if rest == Rest::Late && self.unfinished.as_ref().is_some_and(is_tomorrow) {
            self.unfinished = None;
        }
    }

    /// Time at which something is due next, as seen at `now`.
    #[must_use]
    pub fn next(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let poll = self.next_poll(now);
        self.unfinished
            .map_or(poll, |unfinished| poll.min(unfinished.retry_at))
    }

    /// The first poll after `now`.
    fn next_poll(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let now = now.trunc_subsecs(0);
        self.cron
            .find_next_occurrence(&(now - self.offset), false)
            .map_or(DateTime::<Utc>::MAX_UTC, |instant| instant + self.offset)
    }

    /// The latest poll at or before `now`; `now` itself for a pattern that has none. A pattern names
    /// whole seconds, but what is searched from keeps its fraction, and so would what is found.
    fn latest_poll(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let now = now.trunc_subsecs(0);
        self.cron
            .find_previous_occurrence(&(now - self.offset), true)
            .map_or(now, |instant| instant + self.offset)
    }
}

/// This instance's share of the jitter, to the second.
fn offset(jitter: Duration, instance: u64) -> TimeDelta {
    let mut hasher = crc32fast::Hasher::new();
    hasher.write(&instance.to_le_bytes());
    let share = u64::from(hasher.finalize()) % (jitter.as_secs() + 1);
    TimeDelta::seconds(i64::try_from(share).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sync::cron::parse_cron;

    fn at(text: &str) -> DateTime<Utc> {
        format!("{text}Z").parse().unwrap()
    }

    fn schedule(now: &str) -> Schedule {
        let cron = parse_cron("0 10 0 * * *").unwrap();
        let mut schedule = Schedule::new(
            &Settings {
                cron,
                jitter: Duration::ZERO,
            },
            7,
            at(now),
        );
        assert_eq!(schedule.due(at(now)), Some(Trigger::Startup));
        schedule.finished(Rest::Nothing, at(now));
        schedule
    }

    #[test]
    fn a_start_catches_up_at_once_and_once() {
        let mut schedule = schedule("2026-11-23T09:00:00");
        assert_eq!(schedule.due(at("2026-11-23T09:00:01")), None);
    }

    #[test]
    fn the_poll_is_due_once_a_day_from_its_second_on() {
        let mut schedule = schedule("2026-11-23T09:00:00");
        assert_eq!(schedule.due(at("2026-11-24T00:09:59")), None);
        assert_eq!(
            schedule.next(at("2026-11-24T00:09:59")),
            at("2026-11-24T00:10:00")
        );
        assert_eq!(
            schedule.due(at("2026-11-24T00:10:00")),
            Some(Trigger::Scheduled)
        );
        assert_eq!(schedule.due(at("2026-11-24T00:10:00")), None);
        assert_eq!(
            schedule.next(at("2026-11-24T00:10:00")),
            at("2026-11-25T00:10:00")
        );
    }

    #[test]
    fn polls_that_were_slept_through_are_due_once() {
        let mut schedule = schedule("2026-11-23T09:00:00");
        assert_eq!(
            schedule.due(at("2026-11-27T15:00:00")),
            Some(Trigger::Scheduled)
        );
        assert_eq!(schedule.due(at("2026-11-27T15:00:01")), None);
    }

    #[test]
    fn a_clock_that_was_years_ahead_and_is_set_right_polls_the_next_day() {
        let mut schedule = schedule("2031-01-01T09:00:00");
        assert_eq!(schedule.due(at("2026-11-23T09:00:00")), None);
        assert_eq!(
            schedule.due(at("2026-11-24T00:10:00")),
            Some(Trigger::Scheduled)
        );
    }

    #[test]
    fn a_clock_that_ran_ahead_during_a_long_sync_skips_no_poll() {
        let mut schedule = schedule("2026-11-23T09:00:00");
        assert_eq!(
            schedule.due(at("2026-12-13T09:00:00")),
            Some(Trigger::Scheduled)
        );
        // The sync goes on while the clock is set right, and into the next day.
        assert!(!schedule.poll_is_due(at("2026-11-23T09:00:08")));
        assert!(schedule.poll_is_due(at("2026-11-24T00:10:00")));
        assert_eq!(
            schedule.due(at("2026-11-24T00:10:00")),
            Some(Trigger::Scheduled)
        );
    }

    #[test]
    fn an_unfinished_sync_is_retried_after_15_minutes_doubling_to_2_hours() {
        let mut schedule = schedule("2026-11-23T09:00:00");
        let mut now = at("2026-11-23T09:00:00");
        for minutes in [15, 30, 60, 120, 120] {
            schedule.finished(Rest::Failed, now);
            let retry = now + TimeDelta::minutes(minutes);
            assert_eq!(schedule.due(retry - TimeDelta::seconds(1)), None);
            assert_eq!(schedule.next(now), retry);
            assert_eq!(schedule.due(retry), Some(Trigger::Retry));
            now = retry;
        }
        schedule.finished(Rest::Nothing, now);
        assert_eq!(schedule.due(now + TimeDelta::hours(3)), None);
        schedule.finished(Rest::Failed, now);
        assert_eq!(
            schedule.next(now),
            now + TimeDelta::minutes(15),
            "it starts over"
        );
    }

    #[test]
    fn a_day_that_was_left_out_is_tried_again_until_midnight_and_then_by_the_poll() {
        let mut schedule = schedule("2026-11-23T09:00:00");
        assert_eq!(
            schedule.due(at("2026-11-24T00:10:00")),
            Some(Trigger::Scheduled)
        );
        schedule.finished(Rest::Late, at("2026-11-24T00:10:00"));
        assert_eq!(
            schedule.next(at("2026-11-24T00:10:00")),
            at("2026-11-24T00:25:00")
        );
        for end in ["2026-11-24T00:25:00", "2026-11-24T23:30:00"] {
            assert_eq!(schedule.due(at(end)), Some(Trigger::Retry));
            schedule.finished(Rest::Late, at(end));
        }
        assert_eq!(
            schedule.next(at("2026-11-24T23:30:00")),
            at("2026-11-25T00:10:00")
        );
    }

    #[test]
    fn no_sync_asks_for_a_day_whose_poll_comes_soon_and_no_retry_before_it() {
        let day = |text: &str| -> Day { text.parse().unwrap() };
        let mut schedule = schedule("2026-11-23T09:00:00");
        assert_eq!(schedule.as_of(), day("2026-11-23"));
        schedule.finished(Rest::Failed, at("2026-11-23T23:50:00"));
        assert_eq!(
            schedule.due(at("2026-11-24T00:05:00")),
            Some(Trigger::Retry)
        );
        assert_eq!(schedule.as_of(), day("2026-11-23"), "a retry");
        let settings = Settings {
            cron: parse_cron("0 10 0 * * *").unwrap(),
            jitter: Duration::ZERO,
        };
        for (now, as_of) in [
            ("2026-11-24T00:06:00", "2026-11-23"),
            ("2026-11-24T00:10:00", "2026-11-24"),
            ("2026-11-24T23:59:59", "2026-11-24"),
        ] {
            schedule.reconfigure(&settings, 7, at(now));
            assert_eq!(schedule.as_of(), day(as_of), "a reload at {now}");
            assert_eq!(
                Schedule::new(&settings, 7, at(now)).due(at(now)),
                Some(Trigger::Startup)
            );
        }
        // A poll at noon is not waited for by a start in the morning.
        let settings = Settings {
            cron: parse_cron("0 0 12 * * *").unwrap(),
            jitter: Duration::ZERO,
        };
        for (now, as_of) in [
            ("2026-11-24T10:59:00", "2026-11-24"),
            ("2026-11-24T11:00:00", "2026-11-23"),
        ] {
            let mut schedule = Schedule::new(&settings, 7, at(now));
            schedule.due(at(now));
            assert_eq!(schedule.as_of(), day(as_of), "a start at {now}");
        }
    }

    #[test]
    fn each_poll_and_each_reload_starts_the_retries_over() {
        let mut schedule = schedule("2026-11-23T09:00:00");
        for _ in 0..5 {
            schedule.finished(Rest::Failed, at("2026-11-23T22:30:00"));
        }
        let poll = at("2026-11-24T00:10:00");
        assert_eq!(schedule.due(poll), Some(Trigger::Scheduled));
        schedule.finished(Rest::Failed, poll);
        assert_eq!(schedule.next(poll), poll + TimeDelta::minutes(15));
        schedule.finished(Rest::Failed, poll);
        assert_eq!(schedule.next(poll), poll + TimeDelta::minutes(30));

        let settings = Settings {
            cron: parse_cron("0 10 0 * * *").unwrap(),
            jitter: Duration::ZERO,
        };
        schedule.reconfigure(&settings, 7, poll);
        schedule.finished(Rest::Failed, poll);
        assert_eq!(schedule.next(poll), poll + TimeDelta::minutes(15));
    }

    #[test]
    fn a_clock_set_back_does_not_put_a_retry_off() {
        let mut schedule = schedule("2026-11-23T20:00:00");
        schedule.finished(Rest::Failed, at("2026-11-23T20:00:00"));
        assert_eq!(schedule.due(at("2026-11-23T12:00:00")), None);
        assert_eq!(
            schedule.due(at("2026-11-23T12:15:00")),
            Some(Trigger::Retry)
        );
    }

    #[test]
    fn jitter_is_stable_per_instance_and_spreads_instances() {
        let jitter = Duration::from_secs(600);
        let offsets: std::collections::BTreeSet<_> =
            (0..1000).map(|instance| offset(jitter, instance)).collect();
        assert!(offsets.len() > 400 && offsets.iter().all(|offset| offset.num_seconds() <= 600));
        assert_eq!(offset(jitter, 42), offset(jitter, 42));
    }

    #[test]
    fn a_new_pattern_does_not_poll_for_a_time_that_has_passed() {
        let mut schedule = schedule("2026-11-23T09:00:00");
        let settings = Settings {
            cron: parse_cron("0 0 8 * * *").unwrap(),
            jitter: Duration::ZERO,
        };
        schedule.reconfigure(&settings, 7, at("2026-11-23T09:30:00"));
        assert_eq!(schedule.due(at("2026-11-23T09:30:01")), None);
        assert_eq!(
            schedule.due(at("2026-11-24T08:00:00")),
            Some(Trigger::Scheduled)
        );
    }

    proptest! {
        /// Whenever and however often anybody looks: every day whose poll time has passed between two
        /// looks is polled exactly once.
        #[test]
        fn no_day_is_missed_and_none_polled_twice(
            gaps in proptest::collection::vec(prop_oneof![1..2000_i64, 1..200_000_000_i64], 1..200),
        ) {
            let mut schedule = schedule("2026-11-23T09:00:00");
            let mut now = at("2026-11-23T09:00:00");
            for gap in gaps {
                let day_of_poll = |instant: DateTime<Utc>| (instant - TimeDelta::minutes(10)).date_naive();
                let before = day_of_poll(now);
                now += TimeDelta::milliseconds(gap);
                let expected = (day_of_poll(now) > before).then_some(Trigger::Scheduled);
                prop_assert_eq!(schedule.due(now), expected);
            }
        }
    }
}
