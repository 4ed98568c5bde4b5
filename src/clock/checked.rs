//! This host's clock, compared with FlowGent's.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::standing::{Reading, Time, Watch};
use super::{Clock, SharedClock, instant};

/// A clock that FlowGent's dates correct while it is wrong. See [`Watch`] for the rules.
#[derive(Debug)]
pub struct CheckedClock {
    wall: SharedClock,
    started: Instant,
    watch: Mutex<Watch>,
}

impl CheckedClock {
    /// A clock that shows what `wall` shows, until FlowGent contradicts it.
    #[must_use]
    pub fn new(wall: SharedClock) -> Arc<Self> {
        let started = instant();
        let reading = Reading {
            wall: wall.now(),
            uptime: started.elapsed(),
        };
        Arc::new(Self {
            wall,
            started,
            watch: Mutex::new(Watch::new(reading)),
        })
    }

    /// The watch, and both clocks as of now: read while it is held, so that readings come in order.
    fn watch(&self) -> (MutexGuard<'_, Watch>, Reading) {
        let watch = self.watch.lock();
        let reading = Reading {
            wall: self.wall.now(),
            uptime: instant() - self.started,
        };
        (watch, reading)
    }
}

impl Clock for CheckedClock {
    fn now(&self) -> DateTime<Utc> {
        self.time().now
    }

    fn time(&self) -> Time {
        let (mut watch, reading) = self.watch();
        watch.look(reading)
    }

    fn wall(&self) -> DateTime<Utc> {
        self.wall.now()
    }

    fn hear(&self, skew: Option<TimeDelta>) {
        let (mut watch, reading) = self.watch();
        watch.hear(reading, skew);
    }

    fn has_passed(&self, at: DateTime<Utc>) {
        self.watch().0.has_passed(at);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::{ManualClock, Standing};

    #[tokio::test(start_paused = true)]
    async fn a_step_shows_against_the_monotonic_clock_and_a_long_wait_does_not() {
        let wall = ManualClock::at("2026-11-20T09:00:00Z".parse().unwrap());
        let clock = CheckedClock::new(Arc::clone(&wall) as SharedClock);
        assert!(!clock.agrees() && clock.is_known());
        clock.hear(Some(TimeDelta::zero()));
        assert!(clock.agrees());
        let wait = Duration::from_secs(30 * 24 * 3600);
        tokio::time::advance(wait).await;
        wall.advance(TimeDelta::days(30));
        assert!(clock.agrees());
        let before = clock.now();
        wall.advance(TimeDelta::days(20));
        assert_eq!(clock.now(), before);
        assert_eq!(clock.wall(), before + TimeDelta::days(20));
        let stepped = Standing::Stepped(TimeDelta::days(20));
        assert_eq!(clock.time().standing, stepped);
        clock.hear(Some(TimeDelta::days(-20)));
        assert_eq!((clock.now(), clock.agrees()), (before, false));
        assert_eq!(clock.today(), crate::day::Day::of(before));
    }

    #[test]
    fn what_the_ledger_knows_has_passed() {
        let wall = ManualClock::at("2026-11-20T09:00:00Z".parse().unwrap());
        let clock = CheckedClock::new(Arc::clone(&wall) as SharedClock);
        clock.has_passed("2026-11-23T00:00:00Z".parse().unwrap());
        assert!(!clock.is_known());
        wall.advance(TimeDelta::days(3));
        assert!(clock.is_known());
    }
}
