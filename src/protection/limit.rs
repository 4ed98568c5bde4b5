//! `rate_limit`: a bucket of tokens that fills up again with time. Each request takes one.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The bucket.
#[derive(Debug)]
pub(super) struct RateLimit {
    interval: Duration,
    /// Time in which an empty bucket fills up but for the token that is asked for; none if it never has
    /// a token.
    tolerance: Option<Duration>,
    /// Time at which the bucket is full again; none until the first request.
    full_at: Mutex<Option<Instant>>,
}

impl RateLimit {
    /// A full bucket of `burst` tokens that gets one back every `interval`.
    pub(super) fn new(interval: Duration, burst: u32) -> Self {
        Self {
            interval,
            tolerance: burst
                .checked_sub(1)
                .map(|others| interval.saturating_mul(others)),
            full_at: Mutex::default(),
        }
    }

    /// Takes a token if there is one.
    pub(super) fn allows(&self, now: Instant) -> bool {
        let Some(tolerance) = self.tolerance else {
            return false;
        };
        let mut full_at = self.full_at.lock();
        let behind = full_at.unwrap_or(now).max(now);
        let allowed = behind.duration_since(now) <= tolerance;
        if allowed {
            *full_at = behind.checked_add(self.interval).or(Some(behind));
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::instant;

    #[test]
    fn a_burst_is_allowed_and_then_one_request_per_interval() {
        let start = instant();
        let limit = RateLimit::new(Duration::from_secs(2), 3);
        let at = |seconds| start + Duration::from_secs(seconds);
        let allowed = [0, 0, 0, 0, 1, 2, 2, 3, 4, 4];
        let answers = allowed.map(|seconds| limit.allows(at(seconds)));
        let expected = [
            true, true, true, false, false, true, false, false, true, false,
        ];
        assert_eq!(answers, expected);
        // After a pause the bucket is full, and no more than full.
        let answers = [100; 4].map(|seconds| limit.allows(at(seconds)));
        assert_eq!(answers, [true, true, true, false]);
        assert!(!RateLimit::new(Duration::from_secs(2), 0).allows(start));
    }
}
