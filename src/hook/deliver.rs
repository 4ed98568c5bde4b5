//! Outbox → hooks: one worker per hook, which sends what is due and notes what came of it.
//!
//! A message is sent at least once: it is noted only after the receiver has answered, and until then it
//! is in the ledger. What is told of one alert is told in order, which is the ledger's to see to; hooks
//! know nothing of each other.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::SecondsFormat;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinError;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

use super::heart::{Heart, Last, Turns};
use super::metrics::HookMetrics;
use super::worker::{Memory, TICK, Worker, given_up};
use super::{Hooks, Sender, Settings};
use crate::clock;
use crate::ledger::{DisabledHook, Ledger, LedgerError, Overdue};
use crate::telemetry::{self, Instruments};

/// Time after a start at which the outbox is first searched for what is old, which is done daily, and again if
/// it could not be: a clock is not known at once.
const TIDY_DELAY: Duration = Duration::from_secs(10);

/// Makes the sender of a hook.
pub type MakeSender = Arc<dyn Fn(&Settings, &Hooks) -> Sender + Send + Sync>;

/// Runs a worker for each hook.
pub struct Deliverer {
    hooks: Arc<Hooks>,
    make_sender: MakeSender,
    ledger: Ledger,
    turns: Turns,
}

/// A worker that works, or finishes its last try.
struct Running {
    stop: CancellationToken,
    task: AbortOnDropHandle<Memory>,
}

impl Deliverer {
    /// A deliverer to `hooks`.
    #[must_use]
    pub fn new(hooks: Hooks, ledger: Ledger) -> Self {
        Self::with_senders(hooks, Arc::new(Sender::new), ledger)
    }

    /// A deliverer to `hooks` by the senders that `make_sender` makes.
    #[must_use]
    pub fn with_senders(hooks: Hooks, make_sender: MakeSender, ledger: Ledger) -> Self {
        let metrics = hooks.telemetry.of::<HookMetrics>();
        for settings in &hooks.settings {
            metrics.add(&settings.name);
        }
        Self {
            hooks: Arc::new(hooks),
            make_sender,
            ledger,
            turns: Turns::default(),
        }
    }

    /// Sends what is due, until `stop` is cancelled; `outbox` tells when there is something new.
    /// `reloads` brings other hooks: a try that is under way is finished first, so that nothing is sent
    /// twice because of a reload.
    ///
    /// # Panics
    /// If a worker does, since nothing would be sent to its hook from then on.
    pub async fn run(
        mut self,
        outbox: Arc<Notify>,
        mut reloads: mpsc::Receiver<Hooks>,
        stop: CancellationToken,
    ) {
        // A notification wakes one waiter; this hands it on to every worker.
        let (wake, _) = watch::channel(());
        let mut workers = HashMap::new();
        let mut retired = HashMap::new();
        self.start_workers(&mut workers, &mut retired, &wake, &stop);
        self.remind().await;
        let (mut tidied, mut tidy_at) = (None, clock::instant() + TIDY_DELAY);
        loop {
            let today = self.hooks.clock.today();
            if tidied != Some(today) && clock::instant() >= tidy_at {
                tidied = self.tidy().await.unwrap_or(false).then_some(today);
                tidy_at = clock::instant() + TIDY_DELAY;
            }
            self.show().await;
            tokio::select! {
                () = stop.cancelled() => break,
                () = outbox.notified() => {
                    wake.send_replace(());
                }
                Some(hooks) = reloads.recv() => {
                    self.hooks = Arc::new(hooks);
                    self.stop_workers(&mut workers, &mut retired);
                    self.start_workers(&mut workers, &mut retired, &wake, &stop);
                    self.remind().await;
                }
                () = sleep(TICK) => {}
            }
            // None ends before it is stopped, unless it panics.
            let ended = |_: &Arc<str>, worker: &mut Running| worker.task.is_finished();
            if let Some((_, worker)) = workers.extract_if(ended).next() {
                result(worker.task.await);
            }
        }
        for task in workers
            .into_values()
            .map(|worker| worker.task)
            .chain(retired.into_values())
        {
            result(task.await);
        }
    }

    /// Gives up what nobody has taken for 30 days, unless it is not known how long ago that is.
    /// Says whether it is.
    async fn tidy(&self) -> Result<bool, LedgerError> {
        let clock = &self.hooks.clock;
        if !clock.agrees() {
            return Ok(false);
        }
        for Overdue { id, hook, result } in self.ledger.tidy_deliveries(clock.now()).await? {
            given_up(&hook, &id, &result);
            if self.hooks.settings.iter().any(|known| known.name == hook) {
                let metrics = self.hooks.telemetry.of::<HookMetrics>();
                metrics
                    .deliveries
                    .with_label_values(&[&*hook, "given_up"])
                    .inc();
            }
        }
        Ok(true)
    }

    /// Says which hooks want nothing any more: a new URL alone changes nothing about that.
    async fn remind(&self) {
        let disabled = self.ledger.disabled_hooks().await.unwrap_or_default();
        for DisabledHook { hook, at, reason } in disabled {
            if self.hooks.settings.iter().any(|known| known.name == hook) {
                warn!(
                    hook = %hook,
                    since = %at.to_rfc3339_opts(SecondsFormat::Secs, true),
                    "the hook is disabled until `alerts retry`: {reason}"
                );
            }
        }
    }

    /// Starts a worker for each hook that has none. One that follows another waits for it.
    fn start_workers(
        &self,
        workers: &mut HashMap<Arc<str>, Running>,
        retired: &mut HashMap<Arc<str>, AbortOnDropHandle<Memory>>,
        wake: &watch::Sender<()>,
        stop: &CancellationToken,
    ) {
        let names = self
            .hooks
            .settings
            .iter()
            .filter(|hook| hook.interval().is_none());
        self.turns.begin(names.map(|hook| Arc::clone(&hook.name)));
        for settings in &self.hooks.settings {
            let name = Arc::clone(&settings.name);
            let predecessor = retired.remove(&name);
            let worker = self.worker(settings);
            let heart = self.heart(settings);
            let metrics = self.hooks.telemetry.of::<HookMetrics>();
            let outbox = wake.subscribe();
            let end = stop.clone();
            // So that it begins no try while this task waits for the ledger.
            let stop = stop.child_token();
            let stopped = stop.clone();
            let task = tokio::spawn(async move {
                let memory = match predecessor {
                    Some(task) => result(task.await),
                    None => Memory::default(),
                };
                metrics.add(&worker.name());
                match heart {
                    Some(heart) => {
                        heart.run(stopped).await;
                        memory
                    }
                    None => worker.following(memory).run(outbox, stopped, end).await,
                }
            });
            let task = AbortOnDropHandle::new(task);
            workers.insert(name, Running { stop, task });
        }
    }

    /// Tells all workers to end. Their tasks end with what they have to hand on; the series of a hook
    /// that is gone end with them.
    fn stop_workers(
        &self,
        workers: &mut HashMap<Arc<str>, Running>,
        retired: &mut HashMap<Arc<str>, AbortOnDropHandle<Memory>>,
    ) {
        for (name, Running { stop, task }) in workers.drain() {
            stop.cancel();
            let stays = self.hooks.settings.iter().any(|hook| hook.name == name);
            let task = if stays {
                task
            } else {
                let metrics = self.hooks.telemetry.of::<HookMetrics>();
                let name = Arc::clone(&name);
                AbortOnDropHandle::new(tokio::spawn(async move {
                    let memory = result(task.await);
                    metrics.forget("hook", &name);
                    memory
                }))
            };
            retired.insert(name, task);
        }
    }

    /// Sends once whatever is due now, to all hooks, and returns when all is noted: for those who
    /// move the clock themselves. Says how many tries there were.
    ///
    /// # Errors
    /// The ledger could not be read or written.
    pub async fn deliver_due(&self) -> Result<usize, LedgerError> {
        let mut tries = 0;
        self.tidy().await?;
        for settings in &self.hooks.settings {
            let mut worker = self.worker(settings);
            let never = CancellationToken::new();
            tries += worker.deliver(&never, &never).await?;
        }
        self.show().await;
        Ok(tries)
    }

    fn worker(&self, settings: &Settings) -> Worker {
        Worker::new(
            settings,
            (self.make_sender)(settings, &self.hooks),
            self.ledger.clone(),
            Arc::clone(&self.hooks.clock),
            self.hooks.telemetry.of(),
            self.turns.clone(),
        )
    }

    /// Sender of a hook's heartbeats; none if it is another kind of hook.
    #[must_use]
    pub fn heart(&self, settings: &Settings) -> Option<Heart> {
        Some(Heart {
            name: Arc::clone(&settings.name),
            interval: settings.interval()?,
            sender: (self.make_sender)(settings, &self.hooks),
            health: self.hooks.health.clone(),
            turns: self.turns.clone(),
            clock: Arc::clone(&self.hooks.clock),
            metrics: self.hooks.telemetry.of(),
            last: Last::default(),
        })
    }

    /// Shows what waits for each hook, as long as the ledger can be read: the workers say if not.
    async fn show(&self) {
        let (backlogs, disabled) =
            tokio::join!(self.ledger.backlogs(), self.ledger.disabled_hooks());
        let (Ok(backlogs), Ok(disabled)) = (backlogs, disabled) else {
            return;
        };
        for Settings { name, .. } in &self.hooks.settings {
            let backlog = backlogs.iter().find(|backlog| backlog.hook == *name);
            let pending = backlog.map_or(0, |backlog| backlog.pending);
            let oldest = backlog.map_or(0.0, |backlog| telemetry::seconds(backlog.oldest));
            let disabled = disabled.iter().any(|disabled| disabled.hook == *name);
            let metrics = self.hooks.telemetry.of::<HookMetrics>();
            metrics
                .pending_deliveries
                .with_label_values(&[name])
                .set(pending.cast_signed());
            metrics
                .oldest_pending_timestamp
                .with_label_values(&[name])
                .set(oldest);
            metrics
                .disabled
                .with_label_values(&[name])
                .set(disabled.into());
        }
    }
}

/// Memory that an ended task leaves.
fn result(ended: Result<Memory, JoinError>) -> Memory {
    ended.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        // It was aborted, because everything is.
        Err(_) => Memory::default(),
    })
}
