//! Pushes for as long as the exporter runs: what a sync brings, and what reaches its place in time.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::metrics::PushMetrics;
use super::{PushError, Pusher, Settings};
use crate::backoff::{PUSHES, is_news};
use crate::clock::{self, SharedClock};
use crate::day::Day;
use crate::ledger::{Ledger, Member};
use crate::sync::Event;
use crate::telemetry::Telemetry;

/// Interval between looks at the clock.
const TICK: Duration = Duration::from_secs(1);
/// The longest that a database may ask to be left alone.
const MAX_WAIT: Duration = Duration::from_secs(24 * 3600);
/// Pause until somebody has changed something: it may be in the database's own config.
const REST: Duration = Duration::from_secs(3600);

/// Tells the worker what happens in syncs.
#[derive(Debug, Default)]
pub struct Feed {
    members: Mutex<Arc<[Member]>>,
    notify: Notify,
}

impl Feed {
    /// Notes an event of a sync.
    pub fn observe(&self, event: &Event) {
        match event {
            Event::Members(members) => {
                *self.members.lock() = Arc::clone(members);
            }
            Event::Ended(_) => {}
            Event::Started(_)
            | Event::Planned(_)
            | Event::Committed(_)
            | Event::Failed(_)
            | Event::Left(_)
            | Event::Scheduled(_) => return,
        }
        self.notify.notify_one();
    }

    fn members(&self) -> Arc<[Member]> {
        Arc::clone(&self.members.lock())
    }
}

/// Pushes while the exporter serves. See the [module](super).
pub struct Worker {
    pusher: Option<Pusher>,
    ledger: Ledger,
    clock: SharedClock,
    telemetry: Telemetry,
    feed: Arc<Feed>,
    /// Number of passes that have failed one after the other.
    failures: u32,
    /// Error in the log, so that one that lasts is logged once.
    told: Option<String>,
}

impl Worker {
    /// A worker that pushes as `settings` say, or not at all.
    #[must_use]
    pub fn new(
        settings: Option<Settings>,
        ledger: Ledger,
        clock: SharedClock,
        telemetry: Telemetry,
        feed: Arc<Feed>,
    ) -> Self {
        let mut worker = Self {
            pusher: None,
            ledger,
            clock,
            telemetry,
            feed,
            failures: 0,
            told: None,
        };
        worker.configure(settings);
        worker
    }

    fn configure(&mut self, settings: Option<Settings>) {
        let settings = settings.filter(|settings| settings.continuous);
        self.telemetry.of::<PushMetrics>().show(settings.is_some());
        self.failures = 0;
        self.told = None;
        self.pusher = settings.map(|settings| {
            let clock = Arc::clone(&self.clock);
            Pusher::new(settings, self.ledger.clone(), clock, &self.telemetry)
        });
    }

    /// Works until `stop` is cancelled. Each message on `reloads` has it push as that says from then on. A
    /// pass that is under way is broken off by both: what it has not noted is sent again.
    pub async fn run(
        mut self,
        mut reloads: mpsc::Receiver<Option<Settings>>,
        stop: CancellationToken,
    ) {
        let feed = Arc::clone(&self.feed);
        let mut wanted = true;
        let mut rest_until = clock::instant();
        let mut next_place = self.clock.now();
        loop {
            if wanted && clock::instant() >= rest_until && self.pusher.is_some() {
                wanted = false;
                next_place = place_after(self.clock.now());
                let rest = tokio::select! {
                    () = stop.cancelled() => return,
                    Some(settings) = reloads.recv() => {
                        self.configure(settings);
                        Some(Duration::ZERO)
                    }
                    rest = self.pass() => rest,
                };
                if let Some(rest) = rest {
                    wanted = true;
                    rest_until = rest_from_now(rest);
                }
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                Some(settings) = reloads.recv() => {
                    self.configure(settings);
                    wanted = true;
                    rest_until = clock::instant();
                }
                () = feed.notify.notified() => wanted = true,
                () = tokio::time::sleep(TICK) => wanted |= self.clock.now() >= next_place,
            }
        }
    }

    /// Pushes what is to be pushed; returns how long to rest before the rest of it, if there is any.
    async fn pass(&mut self) -> Option<Duration> {
        let members = self.feed.members();
        let result = match &self.pusher {
            Some(pusher) => pusher.pass(&members, |_| {}).await,
            None => return None,
        };
        match result {
            Ok(summary) => {
                if summary.samples > 0 || self.told.is_some() {
                    info!(samples = summary.samples, place = summary.place, "pushed");
                }
                self.failures = 0;
                self.told = None;
                None
            }
            Err(error) => {
                let rest = match &error {
                    PushError::Stopped(_) => REST,
                    PushError::Later { retry_after, .. } => {
                        let backoff = PUSHES.jittered(self.failures, fastrand::u64(..));
                        retry_after.unwrap_or_default().min(MAX_WAIT).max(backoff)
                    }
                    PushError::Ledger(_) => PUSHES.jittered(self.failures, fastrand::u64(..)),
                };
                self.failures = self.failures.saturating_add(1);
                self.tell(&error);
                Some(rest)
            }
        }
    }

    fn tell(&mut self, error: &PushError) {
        match error {
            _ if !is_news(&mut self.told, error) => {}
            PushError::Stopped(_) => {
                error!("pushing is paused for an hour, or until a reload: {error}");
            }
            PushError::Later { .. } | PushError::Ledger(_) => {
                warn!("cannot push; retrying: {error}");
            }
        }
    }
}

fn rest_from_now(rest: Duration) -> Instant {
    clock::instant() + rest
}

/// The first instant after `now` at which values reach their places: noon for those of the day before, and
/// midnight for its revisions.
fn place_after(now: DateTime<Utc>) -> DateTime<Utc> {
    let today = Day::of(now);
    let noon = today.start() + TimeDelta::hours(12);
    if now < noon { noon } else { today.end() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_reach_their_places_at_noon_and_at_midnight() {
        for (now, then) in [
            ("2026-03-02T00:00:00Z", "2026-03-02T12:00:00Z"),
            ("2026-03-02T11:59:59.999Z", "2026-03-02T12:00:00Z"),
            ("2026-03-02T12:00:00Z", "2026-03-03T00:00:00Z"),
            ("2026-03-02T23:59:59.999Z", "2026-03-03T00:00:00Z"),
        ] {
            let [now, then] = [now, then].map(|text| text.parse::<DateTime<Utc>>().unwrap());
            assert_eq!(place_after(now), then);
        }
    }
}
