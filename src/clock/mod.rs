//! The only place that reads the time. Everything else is handed a [`Clock`], so a test can live
//! through a year of days in a second, and a stepped system clock is one value that changed.
//!
//! The running exporter has a [`CheckedClock`]: this host's clock, compared with FlowGent's dates. Its
//! [`now`](Clock::now) is the best known time, and [`agrees`](Clock::agrees) is false while it may be wrong.

mod checked;
mod standing;

pub use checked::CheckedClock;
pub use standing::{Reading, Standing, Time, Watch};

use std::fmt::Debug;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;

use crate::day::Day;

/// Tells the time in UTC.
///
/// A clock that is compared with no other is always right: only [`CheckedClock`] has something else to say
/// about itself than the defaults below.
pub trait Clock: Debug + Send + Sync + 'static {
    /// The present instant: FlowGent's where this host's clock is known to be wrong.
    fn now(&self) -> DateTime<Utc>;

    /// The UTC day that the present instant lies in. Its usage is not known to anyone yet.
    fn today(&self) -> Day {
        Day::of(self.now())
    }

    /// The present instant, how sure it is, and why it is not.
    fn time(&self) -> Time {
        Time::at(self.now(), Standing::Agreed)
    }

    /// Returns true if this host's clock agrees with FlowGent's within an hour. While it does not, nothing is
    /// settled, ended or given up, and nothing that counts time fires.
    fn agrees(&self) -> bool {
        self.time().standing.agrees()
    }

    /// Returns true if the UTC day is known. It is not on a host that has booted and whose clock is not set yet.
    fn is_known(&self) -> bool {
        self.time().standing.is_known()
    }

    /// The earliest that the present instant may be: where the clocks differ, that of the one that is
    /// behind. Days settle by it, and nothing is written to others that lies after it.
    fn earliest(&self) -> DateTime<Utc> {
        self.time().earliest
    }

    /// Time shown by this host's clock, right or wrong: for comparing it with others.
    fn wall(&self) -> DateTime<Utc> {
        self.now()
    }

    /// Notes an answer of FlowGent that has just come: its time minus [`wall`](Self::wall), if it was dated.
    fn hear(&self, _skew: Option<TimeDelta>) {}

    /// Notes that the time `at` has passed for certain, as something was written down then.
    fn has_passed(&self, _at: DateTime<Utc>) {}
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
        *self.0.lock() = now;
    }

    /// Moves the clock by `delta`, which may be negative.
    pub fn advance(&self, delta: TimeDelta) {
        *self.0.lock() += delta;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock()
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
