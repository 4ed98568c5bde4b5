//! Exponential backoff: how long to wait before asking again, in one table for all but messages, whose waits are those
//! of Standard Webhooks. An error that lasts is logged once.
//!
//! Jitter is *full*: the wait is uniform between nothing and the ceiling, which spreads clients that
//! failed together better than any narrower band (Marc Brooker, "Exponential Backoff And Jitter", 2015).

use std::fmt;
use std::time::Duration;

/// Waits whose ceiling starts at a base and doubles with every attempt up to a cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
}

/// Notes in `logged` that `error` is logged. Returns false if it is the same as the last one: an error that lasts is
/// logged once, not at every try.
pub fn is_news(logged: &mut Option<String>, error: &impl fmt::Display) -> bool {
    let error = Some(error.to_string());
    let is_news = *logged != error;
    *logged = error;
    is_news
}

/// Waits between the tries of one call to FlowGent.
pub const CALLS: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
/// Waits between questions for FlowGent's time that are not answered.
pub const TIME: Backoff = Backoff::new(Duration::from_secs(5), Duration::from_secs(900));
/// Waits before an unfinished sync is tried again.
pub const SYNCS: Backoff = Backoff::new(Duration::from_secs(900), Duration::from_secs(2 * 3600));
/// Waits between the tries of one request to a database.
pub const PUSH_REQUESTS: Backoff =
    Backoff::new(Duration::from_millis(500), Duration::from_secs(10));
/// Waits between passes of pushing that could not end.
pub const PUSHES: Backoff = Backoff::new(Duration::from_secs(15), Duration::from_secs(900));
/// Pause after the ledger could not be read or written.
pub const REST_AFTER_ERROR: Duration = Duration::from_secs(10);

impl Backoff {
    /// Ceilings of `base`, twice `base`, four times `base` and so on, at most `cap`.
    ///
    /// # Panics
    /// `base` is zero, which doubled stays nothing, or `cap` is less than `base`.
    #[must_use]
    pub const fn new(base: Duration, cap: Duration) -> Self {
        assert!(!base.is_zero() && base.as_nanos() <= cap.as_nanos());
        Self { base, cap }
    }

    /// The longest wait after the failed attempt of that number, counted from 0: `base · 2^attempt`,
    /// at most the cap.
    #[must_use]
    pub fn ceiling(&self, attempt: u32) -> Duration {
        1_u32
            .checked_shl(attempt)
            .and_then(|factor| self.base.checked_mul(factor))
            .map_or(self.cap, |doubled| doubled.min(self.cap))
    }

    /// The wait after the failed attempt of that number: uniform from zero through the ceiling, if
    /// `random` is uniform over all of `u64`.
    #[must_use]
    pub fn jittered(&self, attempt: u32, random: u64) -> Duration {
        let ceiling = u64::try_from(self.ceiling(attempt).as_nanos()).unwrap_or(u64::MAX);
        // Scaling by multiplication needs no division and has no bias worth the name.
        let scaled = (u128::from(ceiling) + 1) * u128::from(random);
        Duration::from_nanos(u64::try_from(scaled >> 64).unwrap_or(ceiling))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn ceilings_double_up_to_the_cap() {
        let backoff = Backoff::new(15 * 60 * SECOND, 2 * 3600 * SECOND);
        let minutes = |attempt| backoff.ceiling(attempt).as_secs() / 60;
        assert_eq!([0, 1, 2, 3, 4].map(minutes), [15, 30, 60, 120, 120]);
        assert_eq!([31, 32, 64, u32::MAX].map(minutes), [120; 4]);
    }

    #[test]
    fn jitter_spans_everything_from_zero_through_the_ceiling() {
        let backoff = Backoff::new(SECOND, 60 * SECOND);
        assert_eq!(backoff.jittered(3, 0), Duration::ZERO);
        assert_eq!(backoff.jittered(3, u64::MAX / 2 + 1), 4 * SECOND);
        assert_eq!(backoff.jittered(3, u64::MAX), 8 * SECOND);
        assert_eq!(backoff.jittered(40, u64::MAX), 60 * SECOND);
        let longest = Backoff::new(SECOND, Duration::MAX);
        assert!(longest.jittered(99, u64::MAX) <= Duration::MAX);
    }

    #[test]
    #[should_panic(expected = "base.is_zero()")]
    fn waits_that_double_nothing_cannot_be_built() {
        let _ = Backoff::new(Duration::ZERO, SECOND);
    }

    #[test]
    #[should_panic(expected = "base.as_nanos() <= cap.as_nanos()")]
    fn a_first_wait_that_is_the_longest_cannot_be_built() {
        let _ = Backoff::new(2 * SECOND, SECOND);
    }
}
