//! The only place that reads the time. Everything else is handed a [`Clock`], so a test can live
//! through a year of days in a second, and a stepped system clock is one value that changed.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use crate::day::Day;

/// Tells the wall-clock time in UTC.
pub trait Clock: Debug + Send + Sync + 'static {
    /// The present instant.
    fn now(&self) -> DateTime<Utc>;

    /// Whether it is known to show the true time, to within an hour. While it is not, nothing that counts
    /// time is ended or given up.
    fn agrees(&self) -> bool {
        true
    }

    /// The UTC day that the present instant lies in. Its usage is not known to anyone yet.
    fn today(&self) -> Day {
        Day::of(self.now())
    }
}

/// A clock as it is handed around.
pub type SharedClock = Arc<dyn Clock>;

/// The operating system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the time"
    )]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// A clock that stands still until it is moved, forwards or backwards.
#[derive(Debug)]
pub struct ManualClock(Mutex<DateTime<Utc>>);

impl ManualClock {
    /// A clock that stands at `now`.
    #[must_use]
    pub fn at(now: DateTime<Utc>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(now)))
    }

    /// Moves the clock to `now`.
    pub fn set(&self, now: DateTime<Utc>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// Moves the clock by `delta`, which may be negative.
    pub fn advance(&self, delta: TimeDelta) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += delta;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The present monotonic instant, for durations and deadlines; it says nothing about the date.
///
/// It is tokio's, so that a test may pause it.
#[allow(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the time"
)]
#[must_use]
pub fn instant() -> tokio::time::Instant {
    tokio::time::Instant::now()
}
