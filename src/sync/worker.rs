//! Runs a sync whenever the [`Schedule`] says so, one at a time, for as long as the program runs.
//!
//! Whatever wakes the worker, the pure schedule decides. It is woken by the cron trigger, by a reload,
//! and every second: that is how a host that slept, or a clock that was set, is noticed.

use std::sync::Arc;
use std::time::Duration;

use chrono::SecondsFormat;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::metrics::SyncMetrics;
use super::schedule::{self, Rest, Schedule, Trigger};
use super::{Event, Observer, Problem, Syncer, Wanted};
use crate::clock::SharedClock;
use crate::telemetry::{self, Telemetry};

/// Interval between looks at the clock.
const TICK: Duration = Duration::from_secs(1);

/// A new config for a running worker. If it changes what is asked of FlowGent, or when, a sync that is under
/// way ends early, and another follows at once.
pub struct Reload {
    /// Does the syncs from now on.
    pub syncer: Syncer,
    /// Schedule.
    pub schedule: schedule::Settings,
    /// Is told who the agents are, and what happens in the syncs of the new config.
    pub observer: Observer,
}

/// Runs syncs by the schedule.
pub struct Worker {
    syncer: Syncer,
    settings: schedule::Settings,
    schedule: Schedule,
    instance: u64,
    clock: SharedClock,
    metrics: SyncMetrics,
    observer: Observer,
    /// Problems of the last sync.
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
        telemetry: &Telemetry,
        observer: Observer,
    ) -> Self {
        let schedule = Schedule::new(settings, instance, clock.now());
        Self {
            syncer,
            settings: settings.clone(),
            schedule,
            instance,
            clock,
            metrics: telemetry.of(),
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
        while !stop.is_cancelled() {
            let mut trigger = self.due();
            if trigger.is_none() {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = wake.notified() => {}
                    Some(reload) = reloads.recv() => trigger = self.reload(reload).await,
                    () = tokio::time::sleep(TICK) => {}
                }
            }
            while let Some(next) = trigger.take() {
                let broken_off_by = self.sync(next, &mut reloads, &stop).await;
                trigger = broken_off_by
                    .filter(|_| !stop.is_cancelled())
                    .map(|reload| self.take_over(reload));
            }
        }
    }

    /// The sync that is due. None is while the day is not known.
    fn due(&mut self) -> Option<Trigger> {
        let time = self.clock.time();
        let is_known = time.standing.is_known();
        is_known.then(|| self.schedule.due(time.now)).flatten()
    }

    /// Follows a reload. If it changes nothing, nothing is asked but whether refused keys are good now.
    async fn reload(&mut self, reload: Reload) -> Option<Trigger> {
        let trigger = if !self.is_as_before(&reload).await {
            self.take_over(reload)
        } else if !self.syncer.refused_accounts().is_empty() {
            Trigger::Keys
        } else {
            return None;
        };
        self.clock.is_known().then_some(trigger)
    }

    /// Returns true if the reload changes neither requests to FlowGent nor their times. If so, its observer is told
    /// who the agents are.
    async fn is_as_before(&self, reload: &Reload) -> bool {
        if reload.schedule != self.settings || !reload.syncer.is_like(&self.syncer) {
            return false;
        }
        // The lists of agents in files may still be others.
        match self.syncer.unchanged_members().await {
            Ok(Some(members)) => {
                (reload.observer)(Event::Members(members));
                true
            }
            // What is wrong with the ledger is told by the sync that follows.
            Ok(None) | Err(_) => false,
        }
    }

    fn take_over(&mut self, reload: Reload) -> Trigger {
        self.syncer = reload.syncer.following(&self.syncer);
        self.observer = reload.observer;
        self.schedule
            .reconfigure(&reload.schedule, self.instance, self.clock.now());
        self.settings = reload.schedule;
        Trigger::Reload
    }

    /// Does one sync. Returns the last of the reloads that have broken it off.
    async fn sync(
        &mut self,
        trigger: Trigger,
        reloads: &mut mpsc::Receiver<Reload>,
        stop: &CancellationToken,
    ) -> Option<Reload> {
        info!(trigger = trigger.as_str(), "sync started");
        let stop_sync = stop.child_token();
        let refused = self.syncer.refused_accounts();
        let as_of = self.schedule.as_of();
        let wanted = match trigger {
            Trigger::Keys => Wanted::Keys,
            _ => Wanted::AsOf(trigger, as_of),
        };
        let mut broken_off_by = None;
        let result = {
            let mut sync = std::pin::pin!(self.syncer.run(&wanted, &self.observer, &stop_sync));
            loop {
                tokio::select! {
                    result = &mut sync => break result,
                    Some(reload) = reloads.recv() => {
                        if broken_off_by.is_some() || !self.is_as_before(&reload).await {
                            stop_sync.cancel();
                            broken_off_by = Some(reload);
                        }
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
        // The retry of what other accounts lack stays as it is.
        if trigger != Trigger::Keys {
            self.schedule.finished(rest, now);
        }
        let next = self.schedule.next(now);
        self.metrics.next_timestamp.set(telemetry::seconds(next));
        let ending = match result {
            Ok(mut report) => {
                report.log(trigger, next, &self.problems);
                if trigger == Trigger::Keys {
                    // What was told of other accounts stands.
                    let others = self.problems.iter();
                    let others = others.filter(|problem| !refused.contains(&problem.account));
                    report.problems.extend(others.cloned());
                }
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
        broken_off_by
    }
}
