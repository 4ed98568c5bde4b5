//! Worker of one hook: it sends what is due, one after the other, each noted before the next.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::try_join_all;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::heart::Turns;
use super::metrics::HookMetrics;
use super::sender::Sender;
use super::{IN_FLIGHT, Message, QuietHours, Settings, schedule};
use crate::alert::Notification;
use crate::backoff::{REST_AFTER_ERROR, is_news};
use crate::clock::{self, SharedClock};
use crate::day::Day;
use crate::egress::SendError;
use crate::ledger::{
    Attempt, DeliveryRecord, DeliveryState, DisabledHook, Fault, LONGEST_REST, Ledger, LedgerError,
    SCHEDULED_TRIES,
};

/// Interval between looks at the outbox: what waits for a time, or was made due from outside, is announced
/// by nobody.
pub(super) const TICK: Duration = Duration::from_secs(1);
/// Number of deliveries read at a time.
const AT_A_TIME: usize = 64;
/// Pause while something is missing on this machine.
const REST_WHEN_UNREADY: Duration = Duration::from_secs(60);
/// Interval between reminders of a receiver that forgets.
const RESEND_INTERVAL: Duration = Duration::from_secs(60);
/// For how long it is reminded that something is over.
const RESOLVED_RESENT: TimeDelta = TimeDelta::minutes(15);

/// Sends to one hook.
pub(super) struct Worker {
    name: Arc<str>,
    quiet_hours: Option<QuietHours>,
    forgets: bool,
    sender: Sender,
    ledger: Ledger,
    clock: SharedClock,
    metrics: HookMetrics,
    turns: Turns,
    memory: Memory,
}

/// A worker's memory besides the ledger. It goes on to the one that comes after it.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Results that the ledger could not take yet. As long as there is something, nothing more is sent, or it
    /// would be sent again and again.
    unrecorded: VecDeque<Note>,
    /// True if the last try failed, which is logged once.
    failing: bool,
    /// Last log line about the ledger, which is repeated only when it changes.
    told: Option<String>,
    /// Time of the next reminder.
    resend_at: Option<Instant>,
    /// Until when the receiver has asked to be left alone.
    paused_until: Option<DateTime<Utc>>,
}

/// Something for the ledger.
#[derive(Debug, Clone)]
enum Note {
    Attempt {
        id: Arc<str>,
        attempt: Attempt,
        at: DateTime<Utc>,
    },
    Disabled(DisabledHook),
}

impl Worker {
    pub(super) fn new(
        settings: &Settings,
        sender: Sender,
        ledger: Ledger,
        clock: SharedClock,
        metrics: HookMetrics,
        turns: Turns,
    ) -> Self {
        Self {
            name: Arc::clone(&settings.name),
            quiet_hours: settings.quiet_hours,
            forgets: settings.forgets(),
            sender,
            ledger,
            clock,
            metrics,
            turns,
            memory: Memory::default(),
        }
    }

    /// The hook's name.
    pub(super) fn name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// Goes on where the one before it has ended.
    pub(super) fn following(mut self, memory: Memory) -> Self {
        self.memory = memory;
        self
    }

    /// Sends what is due whenever `outbox` changes and every second, until `stop` is cancelled; a try
    /// that is under way then is finished and noted. With `end` the program ends, and it is given
    /// [`IN_FLIGHT`].
    pub(super) async fn run(
        mut self,
        mut outbox: watch::Receiver<()>,
        stop: CancellationToken,
        end: CancellationToken,
    ) -> Memory {
        while !stop.is_cancelled() {
            let rest = match self.turn(&stop, &end).await {
                Ok(()) => {
                    self.turns.took(&self.name);
                    self.memory.told = None;
                    TICK
                }
                Err(error) => {
                    self.complain(&error);
                    REST_AFTER_ERROR
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                Ok(()) = outbox.changed() => {}
                () = sleep(rest) => {}
            }
        }
        // The last chance: whoever follows in another process knows only what is in the ledger.
        if let Err(error) = self.record().await {
            self.complain(&error);
        }
        self.memory
    }

    async fn turn(
        &mut self,
        stop: &CancellationToken,
        end: &CancellationToken,
    ) -> Result<(), LedgerError> {
        self.record().await?;
        self.remind().await?;
        self.deliver(stop, end).await?;
        Ok(())
    }

    fn complain(&mut self, error: &LedgerError) {
        if is_news(&mut self.memory.told, error) {
            let waiting = self.memory.unrecorded.len();
            error!(hook = %self.name, waiting, "cannot read or update pending deliveries: {error}");
        }
    }

    /// Sends what is due until nothing is or the receiver asks for a pause, which does not count as a try. Returns the
    /// number of tries.
    pub(super) async fn deliver(
        &mut self,
        stop: &CancellationToken,
        end: &CancellationToken,
    ) -> Result<usize, LedgerError> {
        let mut tries = 0;
        loop {
            let now = self.clock.now();
            if self.is_paused(now) {
                return Ok(tries);
            }
            let mut due = VecDeque::from(
                self.ledger
                    .due_deliveries(self.name(), now, AT_A_TIME)
                    .await?,
            );
            if due.is_empty() {
                return Ok(tries);
            }
            while let Some(record) = due.pop_front() {
                if stop.is_cancelled() {
                    return Ok(tries);
                }
                let now = self.clock.now();
                if self.is_paused(now) {
                    return Ok(tries);
                }
                if let Some(until) = self.quiet_hours.and_then(|hours| hours.until(now)) {
                    due.push_front(record);
                    self.postpone(due, until, now).await?;
                    break;
                }
                tries += 1;
                let goes_on = self.attempt(record, now, end).await;
                self.record().await?;
                self.turns.took(&self.name);
                if !goes_on {
                    return Ok(tries);
                }
                self.remind().await?;
            }
        }
    }

    /// Puts deliveries off, all of them in few transactions.
    async fn postpone(
        &self,
        deliveries: impl IntoIterator<Item = DeliveryRecord>,
        until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<(), LedgerError> {
        let postponed = deliveries.into_iter().map(|record| {
            let attempt = Attempt::Postponed { until };
            self.ledger.record_attempt(record.delivery.id, attempt, now)
        });
        try_join_all(postponed).await.map(|_| ())
    }

    /// Tries a delivery once, and has noted what came of it. False if the hook wants nothing any more or lacks
    /// something, or the try was broken off since the program ends; then the delivery is as due as it was.
    async fn attempt(
        &mut self,
        record: DeliveryRecord,
        now: DateTime<Utc>,
        end: &CancellationToken,
    ) -> bool {
        let delivery = record.delivery;
        let notification = match serde_json::from_str::<Notification>(&delivery.notification) {
            Ok(notification) => notification.about(&delivery.alerts),
            Err(error) => {
                let error = format!("its message cannot be read: {error}");
                self.note(delivery.id, Attempt::GivenUp { error });
                return true;
            }
        };
        let message = Message {
            id: Arc::clone(&delivery.id),
            created: delivery.created,
            now,
            target: delivery.target,
            notification,
        };
        let too_late = async {
            end.cancelled().await;
            sleep(IN_FLIGHT).await;
        };
        let outcome = tokio::select! {
            outcome = self.sender.send(message) => outcome,
            () = too_late => {
                let (hook, delivery) = (&*self.name, &*delivery.id);
                info!(hook, delivery, "interrupted; retried at the next start");
                return false;
            }
        };
        self.heard(&outcome);
        match outcome {
            Ok(answer) => {
                debug!(hook = %self.name, delivery = %delivery.id, answer, "delivered");
                self.note(delivery.id, Attempt::Delivered { answer });
                true
            }
            Err(error) if error.gone => {
                self.disable(delivery.id, error.text);
                false
            }
            Err(error) if error.unready => {
                self.memory.paused_until = Some(self.clock.now() + REST_WHEN_UNREADY);
                self.note(delivery.id, Attempt::Unready { error: error.text });
                false
            }
            Err(error) => {
                self.failed(delivery.id, record.attempts, error);
                true
            }
        }
    }

    fn failed(&mut self, id: Arc<str>, attempts: u32, error: SendError) {
        let failures = attempts.saturating_add(1);
        let wait = schedule::wait(failures, error.retry_after, fastrand::u64(..));
        debug!(hook = %self.name, delivery = %id, failures, "not delivered: {error}");
        let next = self.clock.now() + wait;
        // The last word on an alert is tried on and on, and only the ledger knows which is one.
        let may_end = failures >= SCHEDULED_TRIES && self.clock.agrees();
        let error = if may_end {
            format!("{failures} tries have failed, the last one with: {error}")
        } else {
            error.text
        };
        self.note(
            id,
            Attempt::Failed {
                error,
                next,
                may_end,
            },
        );
    }

    /// The delivery stays, due as soon as somebody enables the hook.
    fn disable(&mut self, id: Arc<str>, reason: String) {
        warn!(
            hook = %self.name,
            "the receiver refused all further messages; the hook is disabled until `alerts retry`: {reason}"
        );
        let at = self.clock.now();
        self.memory
            .unrecorded
            .push_back(Note::Disabled(DisabledHook {
                hook: Arc::clone(&self.name),
                at,
                reason: reason.clone(),
            }));
        self.note(
            id,
            Attempt::Failed {
                error: reason,
                next: at,
                may_end: false,
            },
        );
    }

    fn note(&mut self, id: Arc<str>, attempt: Attempt) {
        let at = self.clock.now();
        let note = Note::Attempt { id, attempt, at };
        self.memory.unrecorded.push_back(note);
    }

    fn is_paused(&self, now: DateTime<Utc>) -> bool {
        // No pause is that long: the clock ran ahead when it began.
        let longest = now + LONGEST_REST;
        let until = self.memory.paused_until;
        until.is_some_and(|until| now < until && until <= longest)
    }

    /// Leaves the receiver alone for as long as it asks to be.
    fn pause(&mut self, wish: Duration) {
        let wish = wish.min(LONGEST_REST);
        info!(
            hook = %self.name,
            "the receiver asks for a pause of {}", humantime::format_duration(wish)
        );
        self.memory.paused_until = Some(self.clock.now() + wish);
    }

    /// Says when a hook begins to fail, and when it works again, and takes the pause that it asks for.
    fn heard(&mut self, outcome: &Result<String, SendError>) {
        if let Err(SendError {
            retry_after: Some(wish),
            ..
        }) = outcome
        {
            self.pause(*wish);
        }
        match outcome {
            Ok(_) if self.memory.failing => {
                info!(hook = %self.name, "the hook works again");
                self.memory.failing = false;
            }
            Err(error) if !error.gone && !self.memory.failing => {
                warn!(hook = %self.name, "the hook has failed; retrying: {error}");
                self.memory.failing = true;
            }
            _ => {}
        }
    }

    /// Has the ledger take what it has not taken yet, in the order in which it happened.
    async fn record(&mut self) -> Result<(), LedgerError> {
        while let Some(note) = self.memory.unrecorded.front().cloned() {
            let recorded = match note {
                Note::Disabled(disabled) => self.ledger.disable_hook(disabled).await,
                Note::Attempt { id, attempt, at } => {
                    let noted = self
                        .ledger
                        .record_attempt(Arc::clone(&id), attempt.clone(), at);
                    noted.await.map(|state| self.tell(&id, &attempt, state))
                }
            };
            match recorded {
                // Somebody has put another file in place of the ledger: there is nothing to note.
                Err(error) if matches!(error.fault, Fault::UnknownDelivery(_)) => {
                    warn!(hook = %self.name, "cannot record a delivery attempt: {error}");
                }
                recorded => recorded?,
            }
            self.memory.unrecorded.pop_front();
        }
        Ok(())
    }

    /// Counts what became of a try, and says so if that was the last one.
    fn tell(&self, id: &str, attempt: &Attempt, state: DeliveryState) {
        let outcome = match (attempt, state) {
            (Attempt::Postponed { .. }, _) => return,
            (Attempt::Delivered { .. }, _) => "delivered",
            (Attempt::Unready { .. }, _) | (Attempt::Failed { .. }, DeliveryState::Pending) => {
                "failed"
            }
            (Attempt::Failed { error, .. } | Attempt::GivenUp { error }, _) => {
                given_up(&self.name, id, error);
                "given_up"
            }
        };
        let counted = &self.metrics.deliveries;
        counted.with_label_values(&[&*self.name, outcome]).inc();
    }

    /// Reminds a receiver that forgets, once a minute and also between two tries, which may take long.
    async fn remind(&mut self) -> Result<(), LedgerError> {
        let instant = clock::instant();
        if self.is_paused(self.clock.now()) {
            return Ok(());
        }
        if !self.forgets || self.memory.resend_at.is_some_and(|at| instant < at) {
            return Ok(());
        }
        self.memory.resend_at = Some(instant + RESEND_INTERVAL);
        let now = self.clock.now();
        let since = now - RESOLVED_RESENT;
        let alerts = self
            .ledger
            .alerts_of_hook(self.name(), since, Day::of(now))
            .await?;
        if !alerts.is_empty() {
            let outcome = self.sender.resend(alerts, now).await;
            self.heard(&outcome);
        }
        Ok(())
    }
}

/// Says that a delivery was given up.
pub(super) fn given_up(hook: &str, id: &str, error: &str) {
    error!(
        hook,
        delivery = id,
        "delivery given up; `alerts retry {id}` resends it: {error}"
    );
}
