//! Pure: which time of a probe is due.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use croner::Cron;

/// Longest delay with which a time is still asked for. One that was missed for longer is skipped.
const GRACE: TimeDelta = TimeDelta::seconds(60);

/// The times of a probe, each of which is due once.
#[derive(Debug, Clone)]
pub struct Times {
    cron: Cron,
    /// The latest time that was due, or had passed at the start.
    seen: DateTime<Utc>,
}

impl Times {
    /// The times of `cron` after `now`.
    #[must_use]
    pub fn new(cron: Cron, now: DateTime<Utc>) -> Self {
        let mut times = Self { cron, seen: now };
        times.seen = times.latest(now);
        times
    }

    /// The times of `cron` from now on. If it is the same pattern as before, none gets lost in between.
    #[must_use]
    pub fn following(self, before: Option<Self>) -> Self {
        match before {
            Some(before) if before.cron == self.cron => before,
            _ => self,
        }
    }

    /// The time that is due at `now`. Saying so marks it as begun: it is due once.
    pub fn due(&mut self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let latest = self.latest(now);
        let is_new = latest > self.seen;
        // Also when the clock was set back: then the times from there on count again.
        self.seen = latest;
        (is_new && now - latest <= GRACE).then_some(latest)
    }

    /// The latest time at or before `now`; `now` itself for a pattern that has none.
    fn latest(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let now = now.trunc_subsecs(0);
        let latest = self.cron.find_previous_occurrence(&now, true);
        latest.unwrap_or(now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sync::cron::parse_cron;

    fn at(text: &str) -> DateTime<Utc> {
        format!("2026-11-{text}Z").parse().unwrap()
    }

    fn times(pattern: &str, now: &str) -> Times {
        Times::new(parse_cron(pattern).unwrap(), at(now))
    }

    #[test]
    fn a_time_is_due_once_from_its_second_on_and_not_at_a_start() {
        let mut times = times("0 0 6 * * *", "23T06:00:00.5");
        assert_eq!(times.due(at("23T06:00:01")), None, "a start sends nothing");
        assert_eq!(times.due(at("24T05:59:59.9")), None);
        assert_eq!(times.due(at("24T06:00:00.7")), Some(at("24T06:00:00")));
        assert_eq!(times.due(at("24T06:00:00.8")), None);
    }

    #[test]
    fn a_missed_time_is_not_made_up_for() {
        let mut times = times("0 0 6 * * *", "23T07:00:00");
        assert_eq!(times.due(at("24T06:01:00.1")), None);
        assert_eq!(times.due(at("24T06:01:01")), None);
        assert_eq!(times.due(at("27T06:01:00")), Some(at("27T06:00:00")));
    }

    #[test]
    fn a_reload_sends_nothing_and_loses_no_time_of_a_pattern_that_stays() {
        let before = times("0 0 6 * * *", "23T07:00:00");
        let reloaded = times("0 0 6 * * *", "24T06:00:00.2");
        let mut kept = reloaded.following(Some(before.clone()));
        assert_eq!(kept.due(at("24T06:00:01")), Some(at("24T06:00:00")));
        let other = times("0 0 5 * * *", "24T06:00:00.2");
        let mut other = other.following(Some(before));
        assert_eq!(other.due(at("24T06:00:01")), None);
        assert_eq!(other.due(at("25T05:00:00")), Some(at("25T05:00:00")));
    }

    #[test]
    fn a_clock_that_was_years_ahead_and_is_set_right_goes_on_with_the_next_time() {
        let mut times = times("0 0 6 * * *", "23T07:00:00");
        assert_eq!(times.due("2031-01-01T09:00:00Z".parse().unwrap()), None);
        assert_eq!(times.due(at("24T05:00:00")), None);
        assert_eq!(times.due(at("24T06:00:00")), Some(at("24T06:00:00")));
    }

    proptest! {
        /// Whenever anybody looks: each time is due at most once, within a minute, and none is missed while looks
        /// are not further apart than that.
        #[test]
        fn no_time_is_due_twice_and_none_late(gaps in proptest::collection::vec(1..400_000_i64, 1..200)) {
            let mut times = times("0 */3 * * * *", "23T07:00:00");
            let (mut now, mut last) = (at("23T07:00:00"), at("23T07:00:00"));
            for gap in gaps {
                let before = now;
                now += TimeDelta::milliseconds(gap);
                let due = times.due(now);
                if let Some(due) = due {
                    prop_assert!(due > last && due > before && due <= now && now - due <= GRACE);
                    last = due;
                } else if gap <= 60_000 {
                    prop_assert_eq!(before.timestamp() / 180, now.timestamp() / 180);
                }
            }
        }
    }
}
