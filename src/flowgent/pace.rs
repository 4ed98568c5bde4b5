//! Pace of one account: a limit of requests per second and of requests at once, both lower while
//! FlowGent says that it is too much.
//!
//! The rate is kept by the generic cell rate algorithm (ITU-T I.371), which needs one instant of state;
//! what is allowed shrinks by half at a refusal and grows back in small steps, as TCP's window does.

use std::time::Duration;

use parking_lot::Mutex;
use prometheus::{Counter, IntCounter};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::error::LONGEST_HOLD;
use super::metrics::ApiMetrics;
use crate::clock::instant;

/// Unused allowance is kept for this long, so that a burst is two seconds' worth: 10 at 5 per second.
const BURST: Duration = Duration::from_secs(2);
/// The least share of what is configured that refusals leave.
const LEAST_SHARE: f64 = 1.0 / 32.0;
/// Part of the whole that each success gives back: from half to all in 25.
const RECOVERY: f64 = 0.02;
/// Keeps the time between two requests finite, whatever the settings say.
const LEAST_RATE: f64 = 0.001;

/// The limits of one account.
#[derive(Debug)]
pub struct Pace {
    /// Requests per second, as configured; infinite means unlimited.
    rate: f64,
    /// Requests at once, as configured.
    concurrency: usize,
    /// The turn to wait for the limits; the others queue here, first come, first served.
    turn: tokio::sync::Mutex<()>,
    freed: Notify,
    state: Mutex<State>,
    waits: IntCounter,
    wait_seconds: Counter,
}

#[derive(Debug)]
struct State {
    /// The share of the configured limits that is granted at present.
    share: f64,
    /// Time of the next request at the steady rate; it may come up to a burst earlier.
    due: Instant,
    /// Nothing is asked before this.
    held_until: Option<Instant>,
    /// Time at which the share was last halved.
    halved: Option<Instant>,
    under_way: usize,
}

/// Leave to send one request; it counts as under way until this is dropped.
#[derive(Debug)]
#[must_use = "the request counts as under way only while its permit lives"]
pub struct Permit<'a> {
    pace: &'a Pace,
    admitted: Instant,
}

/// Answer to a request for admission.
enum Admission {
    Now,
    NotBefore(Instant),
    WhenOneIsDone,
}

impl Pace {
    /// Limits of `rate` requests per second (infinite means unlimited) and `concurrency` at once,
    /// whose waits are counted for `account`.
    #[must_use]
    pub fn new(rate: f64, concurrency: usize, account: &str, metrics: &ApiMetrics) -> Self {
        Self {
            rate: rate.max(LEAST_RATE),
            concurrency: concurrency.max(1),
            turn: tokio::sync::Mutex::new(()),
            freed: Notify::new(),
            state: Mutex::new(State {
                share: 1.0,
                due: instant(),
                held_until: None,
                halved: None,
                under_way: 0,
            }),
            waits: metrics.limit_waits.with_label_values(&[account]),
            wait_seconds: metrics.limit_wait_seconds.with_label_values(&[account]),
        }
    }

    /// Waits until a request may be sent. Whoever stops waiting leaves nothing behind.
    pub async fn acquire(&self) -> Permit<'_> {
        let asked = instant();
        let mut waited = false;
        let _turn = match self.turn.try_lock() {
            Ok(turn) => turn,
            Err(_) => {
                waited = true;
                self.turn.lock().await
            }
        };
        let admitted = loop {
            let now = instant();
            match self.admit(now) {
                Admission::Now => break now,
                Admission::NotBefore(then) => sleep_until(then).await,
                Admission::WhenOneIsDone => self.freed.notified().await,
            }
            waited = true;
        };
        if waited {
            self.waits.inc();
            self.wait_seconds.inc_by((admitted - asked).as_secs_f64());
        }
        Permit {
            pace: self,
            admitted,
        }
    }

    fn admit(&self, now: Instant) -> Admission {
        let mut state = self.state.lock();
        if let Some(until) = state.held_until.filter(|until| now < *until) {
            return Admission::NotBefore(until);
        }
        if state.under_way >= self.allowed(state.share) {
            return Admission::WhenOneIsDone;
        }
        let interval = self.interval(state.share);
        let tolerance = BURST.saturating_sub(interval);
        if state.due > now + tolerance {
            return Admission::NotBefore(state.due - tolerance);
        }
        state.due = state.due.max(now) + interval;
        state.under_way += 1;
        Admission::Now
    }

    /// The time from one request to the next at that share of the rate.
    fn interval(&self, share: f64) -> Duration {
        Duration::from_secs_f64(1.0 / (self.rate * share))
    }

    /// The requests that may be under way at that share of the concurrency.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a small count of requests is a small count"
    )]
    fn allowed(&self, share: f64) -> usize {
        ((self.concurrency as f64 * share) as usize).max(1)
    }

    /// The share of the configured limits that is granted at present.
    #[cfg(test)]
    pub(super) fn share(&self) -> f64 {
        self.state.lock().share
    }

    /// Number of requests under way.
    #[cfg(test)]
    pub(super) fn under_way(&self) -> usize {
        self.state.lock().under_way
    }
}

impl Permit<'_> {
    /// The request was answered well: a little more is granted from now on.
    pub fn succeeded(self) {
        let mut state = self.pace.state.lock();
        state.share = (state.share + RECOVERY).min(1.0);
    }

    /// FlowGent said that this was too much: half is granted from now on, and nothing before
    /// `retry_after` has passed, at most [`LONGEST_HOLD`].
    pub fn refused(self, retry_after: Option<Duration>) {
        let now = instant();
        let mut state = self.pace.state.lock();
        // Requests that were under way together are refused together; that is one sign, not many.
        if state.halved.is_none_or(|halved| self.admitted > halved) {
            state.share = (state.share / 2.0).max(LEAST_SHARE);
            state.halved = Some(now);
        }
        let until = now + retry_after.unwrap_or_default().min(LONGEST_HOLD);
        let until = state.held_until.map_or(until, |held| held.max(until));
        state.held_until = Some(until);
        // What was refused as too much is not followed by a burst.
        let tolerance = BURST.saturating_sub(self.pace.interval(state.share));
        state.due = state.due.max(until + tolerance);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.pace.state.lock().under_way -= 1;
        self.pace.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Telemetry;

    const SECOND: Duration = Duration::from_secs(1);

    fn pace(rate: f64, concurrency: usize) -> Pace {
        Pace::new(rate, concurrency, "acme", &Telemetry::new().of())
    }

    /// Times at which requests that take no time at all are admitted.
    async fn admissions(pace: &Pace, count: usize) -> Vec<Duration> {
        let start = instant();
        let mut found = Vec::new();
        for _ in 0..count {
            found.push(pace.acquire().await.admitted - start);
        }
        found
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_of_two_seconds_worth_is_followed_by_the_steady_rate() {
        let pace = pace(5.0, 4);
        let times = admissions(&pace, 13).await;
        assert!(times[..10].iter().all(Duration::is_zero), "{times:?}");
        assert_eq!(times[10..], [1, 2, 3].map(|n| n * SECOND / 5));
        assert_eq!(pace.waits.get(), 3);
        assert!((pace.wait_seconds.get() - 0.6).abs() < 1e-9);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_below_one_per_two_seconds_has_no_burst() {
        let times = admissions(&pace(0.1, 4), 3).await;
        assert_eq!(times, [0, 10, 20].map(|n| n * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn an_infinite_rate_never_waits() {
        let pace = pace(f64::INFINITY, 4);
        let times = admissions(&pace, 10_000).await;
        assert!(times.iter().all(Duration::is_zero));
        assert_eq!(pace.waits.get(), 0);
        pace.acquire().await.refused(None);
        assert!(admissions(&pace, 10).await.iter().all(Duration::is_zero));
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_allowed_are_under_way_and_waiting_can_be_given_up() {
        let pace = pace(f64::INFINITY, 2);
        let (one, _two) = (pace.acquire().await, pace.acquire().await);
        let third = tokio::time::timeout(SECOND, pace.acquire()).await;
        assert!(third.is_err());
        assert_eq!(pace.under_way(), 2);
        drop(one);
        let _third = pace.acquire().await;
        assert_eq!(pace.under_way(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_first_is_admitted_first() {
        let pace = std::sync::Arc::new(pace(1.0, 1));
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        for number in 0..5 {
            let (pace, tell) = (std::sync::Arc::clone(&pace), tell.clone());
            tokio::spawn(async move {
                let permit = pace.acquire().await;
                tell.send(number).unwrap();
                drop(permit);
            });
        }
        for number in 0..5 {
            assert_eq!(told.recv().await, Some(number));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_together_halve_once_and_successes_recover_slowly() {
        let pace = pace(5.0, 4);
        let together = [
            pace.acquire().await,
            pace.acquire().await,
            pace.acquire().await,
        ];
        for permit in together {
            permit.refused(None);
        }
        let times = admissions(&pace, 3).await;
        assert_eq!(times, [0, 2, 4].map(|n| n * SECOND / 5));
        assert_eq!(pace.allowed(pace.state.lock().share), 2);
        for done in 1..=25 {
            assert!(pace.state.lock().share < 1.0, "{done}");
            pace.acquire().await.succeeded();
        }
        assert!((pace.state.lock().share - 1.0).abs() < 1e-9);
        assert_eq!(pace.allowed(pace.state.lock().share), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn one_request_in_a_while_is_always_left() {
        let pace = pace(5.0, 4);
        for _ in 0..100 {
            tokio::time::advance(SECOND).await;
            pace.acquire().await.refused(None);
        }
        assert!((pace.state.lock().share - LEAST_SHARE).abs() < 1e-9);
        assert_eq!(pace.allowed(pace.state.lock().share), 1);
        drop(pace.acquire().await);
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_holds_the_whole_account_but_not_for_ever() {
        let pace = pace(5.0, 4);
        pace.acquire().await.refused(Some(30 * SECOND));
        let shorter = pace.acquire().await;
        assert_eq!(admissions(&pace, 1).await, [SECOND * 2 / 5]);
        let start = instant();
        shorter.refused(Some(Duration::MAX));
        assert_eq!(pace.acquire().await.admitted - start, LONGEST_HOLD);
    }

    #[tokio::test(start_paused = true)]
    async fn a_shorter_retry_after_does_not_lift_a_longer_one() {
        let pace = pace(1.0, 4);
        let (one, two) = (pace.acquire().await, pace.acquire().await);
        tokio::time::advance(10 * SECOND).await;
        let three = pace.acquire().await;
        one.refused(Some(30 * SECOND));
        two.refused(Some(SECOND));
        // Nor does a success, although it raises the rate.
        three.succeeded();
        assert_eq!(admissions(&pace, 1).await, [30 * SECOND]);
    }

    #[test]
    fn nonsense_settings_still_admit_something() {
        for rate in [0.0, -1.0, f64::NAN] {
            let pace = pace(rate, 0);
            assert_eq!(pace.interval(LEAST_SHARE), 32_000 * SECOND);
            assert_eq!(pace.allowed(1.0), 1);
        }
    }
}
