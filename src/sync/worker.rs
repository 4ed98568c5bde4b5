//! Runs a sync whenever the [`Schedule`] says so, one at a time, for as long as the program runs.
//!
//! Whatever wakes the worker, the pure schedule decides. It is woken by the cron trigger, by a reload,
//! and every second: that is how a host that slept, or a clock that was set, is noticed.

use std::sync::Arc;
use std::time::Duration;

use chrono::SecondsFormat;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use super::schedule::{self, Rest, Schedule, Trigger};
use super::{Event, Observer, Problem, Syncer, Wanted};
use crate::clock::SharedClock;
use crate::telemetry::{self, Telemetry};

/// How often the clock is looked at.
const TICK: Duration = Duration::from_secs(1);

/// A new config for a running worker. What is under way ends early, and a sync by the new config
/// follows at once.
pub struct Reload {
    /// Does the syncs from now on.
    pub syncer: Syncer,
    /// When they happen.
    pub schedule: schedule::Settings,
    /// Who is told what happens in them.
    pub observer: Observer,
}

/// Runs syncs by the schedule.
pub struct Worker {
    syncer: Syncer,
    schedule: Schedule,
    instance: u64,
    clock: SharedClock,
    telemetry: Telemetry,
    observer: Observer,
    /// What went wrong in the last sync.
    problems: Vec<Problem>,
}

impl Worker {
    /// A worker whose first sync is due at once. `instance` tells this ledger from others.
    #[must_use]
    pub fn new(
        syncer: Syncer,
        settings: &schedule::Settings,
        instance: u64,
        clock: SharedClock,
        telemetry: Telemetry,
        observer: Observer,
    ) -> Self {
        let schedule = Schedule::new(settings, instance, clock.now());
        Self {
            syncer,
            schedule,
            instance,
            clock,
            telemetry,
            observer,
            problems: Vec::new(),
        }
    }

    /// Works until `stop` is cancelled; a sync that runs then finishes the requests that are under way
    /// and begins no new ones.
    pub async fn run(
        mut self,
        wake: Arc<Notify>,
        mut reloads: mpsc::Receiver<Reload>,
        stop: CancellationToken,
    ) {
        let mut pending = None;
        while !stop.is_cancelled() {
            let trigger = match pending.take() {
                Some(reload) => {
                    self.reload(reload);
                    if !self.clock.is_known() {
                        continue;
                    }
                    Trigger::Reload
                }
                None => match self.due() {
                    Some(trigger) => trigger,
                    None => {
                        tokio::select! {
                            () = stop.cancelled() => {}
                            () = wake.notified() => {}
                            reload = reloads.recv() => pending = reload,
                            () = tokio::time::sleep(TICK) => {}
                        }
                        continue;
                    }
                },
            };
            pending = self.sync(trigger, &mut reloads, &stop).await;
        }
    }

    /// What is due. Nothing is while the day is not known.
    fn due(&mut self) -> Option<Trigger> {
        let time = self.clock.time();
        let is_known = time.standing.is_known();
        is_known.then(|| self.schedule.due(time.now)).flatten()
    }

    fn reload(&mut self, reload: Reload) {
        self.syncer = reload.syncer.following(&self.syncer);
        self.observer = reload.observer;
        self.schedule
            .reconfigure(&reload.schedule, self.instance, self.clock.now());
    }

    /// Does one sync. Returns the last reload that came meanwhile.
    async fn sync(
        &mut self,
        trigger: Trigger,
        reloads: &mut mpsc::Receiver<Reload>,
        stop: &CancellationToken,
    ) -> Option<Reload> {
        debug!(trigger = trigger.as_str(), "sync started");
        let stop_sync = stop.child_token();
        let as_of = self.schedule.as_of();
        let wanted = Wanted::AsOf(trigger, as_of);
        let mut pending = None;
        let result = {
            let mut sync = std::pin::pin!(self.syncer.run(&wanted, &self.observer, &stop_sync));
            loop {
                tokio::select! {
                    result = &mut sync => break result,
                    Some(reload) = reloads.recv() => {
                        stop_sync.cancel();
                        pending = Some(reload);
                    }
                    () = tokio::time::sleep(TICK) => {
                        if self.schedule.poll_is_due(self.clock.now()) {
                            stop_sync.cancel();
                        }
                    }
                }
            }
        };
        let rest = result
            .as_ref()
            .map_or(Rest::Failed, |report| report.rest(as_of));
        let now = self.clock.now();
        self.schedule.finished(rest, now);
        let next = self.schedule.next(now);
        self.telemetry
            .sync_next_timestamp
            .set(telemetry::seconds(next));
        let ending = match result {
            Ok(report) => {
                report.log(trigger, next, &self.problems);
                self.problems.clone_from(&report.problems);
                Ok(Arc::new(report))
            }
            Err(error) => {
                error!(
                    trigger = trigger.as_str(),
                    next = %next.to_rfc3339_opts(SecondsFormat::Secs, true),
                    "sync failed: {error}"
                );
                Err(error.to_string().into())
            }
        };
        (self.observer)(Event::Ended(ending));
        (self.observer)(Event::Scheduled(next));
        pending
    }
}
