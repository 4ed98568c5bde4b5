//! Heartbeats: a request every so often, for as long as the exporter does its work, to a service that raises the
//! alarm when none comes. So somebody notices when the exporter itself stops.

use std::collections::HashMap;
use std::fmt;
use std::mem::discriminant;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Sender;
use super::metrics::HookMetrics;
use crate::clock::{self, SharedClock};
use crate::egress::SendError;

/// Interval between checks of the exporter's condition.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// The wait after a request that was not accepted.
const RETRY_INTERVAL: Duration = Duration::from_secs(60);
/// A hook none of whose deliveries could be looked at for so long is stuck. A try takes at most two minutes.
const STUCK: Duration = Duration::from_secs(600);

/// Condition of the exporter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Condition {
    /// Nothing yet: the first sync has not ended, or what it brought is not evaluated.
    #[default]
    Starting,
    /// The last sync has not failed, and what followed from it is kept.
    Well,
    /// Something failed, in a line.
    Failing(String),
}

/// Tells the exporter's condition at an instant.
#[derive(Clone)]
pub struct Health(Arc<dyn Fn(DateTime<Utc>) -> Condition + Send + Sync>);

/// Time at which each hook's deliveries were last looked at or tried; clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Turns(Arc<Mutex<HashMap<Arc<str>, Instant>>>);

/// Sends the heartbeats of one hook.
pub struct Heart {
    pub(super) name: Arc<str>,
    pub(super) interval: Duration,
    pub(super) sender: Sender,
    pub(super) health: Health,
    pub(super) turns: Turns,
    pub(super) clock: SharedClock,
    pub(super) metrics: HookMetrics,
    pub(super) last: Last,
}

/// The last heartbeat.
#[derive(Default)]
pub(super) struct Last {
    condition: Condition,
    is_failing: bool,
    /// When it is told again.
    due: Option<Instant>,
}

impl Health {
    /// Health by that look.
    pub fn new(look: impl Fn(DateTime<Utc>) -> Condition + Send + Sync + 'static) -> Self {
        Self(Arc::new(look))
    }
}

impl Default for Health {
    /// All is well.
    fn default() -> Self {
        Self::new(|_| Condition::Well)
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Health")
    }
}

impl Turns {
    /// These are the hooks from now on.
    pub(super) fn begin(&self, hooks: impl Iterator<Item = Arc<str>>) {
        let now = clock::instant();
        *self.0.lock() = hooks.map(|hook| (hook, now)).collect();
    }

    /// The hook's deliveries were looked at, or one was tried.
    pub(super) fn took(&self, hook: &str) {
        if let Some(at) = self.0.lock().get_mut(hook) {
            *at = clock::instant();
        }
    }

    /// A hook that is stuck.
    fn stuck(&self) -> Option<Arc<str>> {
        let now = clock::instant();
        let turns = self.0.lock();
        let mut stuck = turns.iter().filter(|(_, at)| now - **at > STUCK);
        stuck.next().map(|(hook, _)| Arc::clone(hook))
    }
}

impl Heart {
    /// Sends a heartbeat every interval, and at once when the condition changes, until `stop` is cancelled.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            self.turn().await;
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(LOOK_INTERVAL) => {}
            }
        }
    }

    /// Sends a heartbeat if one is due now.
    pub async fn turn(&mut self) {
        let (condition, last) = (self.condition(), &self.last);
        let has_changed = discriminant(&condition) != discriminant(&last.condition);
        let is_due = last.due.is_none_or(|due| clock::instant() >= due);
        let is_wanted = is_due || (has_changed && !last.is_failing);
        if condition == Condition::Starting || !is_wanted {
            return;
        }
        let sent = self.beat(&condition).await;
        if last.is_failing != sent.is_err() {
            match &sent {
                Ok(_) => info!(hook = %self.name, "heartbeats are accepted again"),
                Err(error) => warn!(hook = %self.name, "heartbeat not accepted: {error}"),
            }
        }
        if has_changed && let Condition::Failing(reason) = &condition {
            warn!(hook = %self.name, "heartbeats have stopped: {reason}");
        }
        let is_failing = sent.is_err();
        let wait = match is_failing {
            true => RETRY_INTERVAL,
            false => self.interval,
        };
        self.last = Last {
            condition,
            is_failing,
            due: Some(clock::instant() + wait),
        };
    }

    /// The condition, as the deliveries have it too.
    fn condition(&self) -> Condition {
        let condition = (self.health.0)(self.clock.now());
        match self.turns.stuck() {
            Some(hook) if condition == Condition::Well => Condition::Failing(format!(
                "what is due for hook `{hook}` has not been tried for {}",
                humantime::format_duration(STUCK)
            )),
            _ => condition,
        }
    }

    async fn beat(&self, condition: &Condition) -> Result<String, SendError> {
        let failure = match condition {
            Condition::Failing(reason) => Some(reason.clone()),
            Condition::Starting | Condition::Well => None,
        };
        let sent = self.sender.beat(failure, self.clock.now()).await;
        let outcome = if sent.is_ok() { "delivered" } else { "failed" };
        let counter = self
            .metrics
            .deliveries
            .with_label_values(&[&*self.name, outcome]);
        counter.inc();
        sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::hook::tests::{at, settings};
    use crate::hook::{Message, Receiver, Taking};
    use crate::ledger::Alert;
    use crate::telemetry::Telemetry;

    /// A service that notes what it is told, and when.
    struct Service {
        began: Instant,
        told: Mutex<Vec<(u64, Option<String>)>>,
        refuses: Mutex<bool>,
    }

    impl Receiver for Service {
        fn take<'a>(&'a self, _: &'a Message) -> Taking<'a> {
            unreachable!("no alert is sent to a heartbeat")
        }

        fn remind<'a>(&'a self, _: &'a [Alert], _: DateTime<Utc>) -> Taking<'a> {
            unreachable!("it forgets nothing")
        }

        fn beat<'a>(&'a self, failure: Option<&'a str>) -> Taking<'a> {
            let second = self.began.elapsed().as_secs();
            self.told.lock().push((second, failure.map(str::to_owned)));
            let refuses = *self.refuses.lock();
            Box::pin(async move {
                match refuses {
                    true => Err(SendError::new("503".to_owned())),
                    false => Ok("200 OK".to_owned()),
                }
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_beats_every_interval_while_all_is_well_and_tells_changes_at_once() {
        let service = Arc::new(Service {
            began: clock::instant(),
            told: Mutex::default(),
            refuses: Mutex::new(false),
        });
        let condition = Arc::new(Mutex::new(Condition::Starting));
        let seen = Arc::clone(&condition);
        let turns = Turns::default();
        turns.begin(["ops".into()].into_iter());
        let heart = Heart {
            name: "beat".into(),
            interval: Duration::from_secs(600),
            sender: Sender::direct(&settings(), service.clone()),
            health: Health::new(move |_| seen.lock().clone()),
            turns: turns.clone(),
            clock: ManualClock::at(at("2026-11-23T12:00:00Z")),
            metrics: Telemetry::new().of(),
            last: Last::default(),
        };
        let stop = CancellationToken::new();
        let beating = tokio::spawn(heart.run(stop.clone()));
        let ok = |second| (second, None);
        let failed = |second, reason: &str| (second, Some(reason.to_owned()));
        // What is told until then, each second of which the hook has its turn.
        let until = async |second: u64| {
            while service.began.elapsed().as_secs() < second {
                turns.took("ops");
                sleep(Duration::from_secs(1)).await;
            }
            std::mem::take(&mut *service.told.lock())
        };
        assert_eq!(until(1005).await, [], "nothing while it starts");
        *condition.lock() = Condition::Well;
        assert_eq!(until(2005).await, [ok(1005), ok(1605)]);
        *condition.lock() = Condition::Failing("disk".to_owned());
        assert_eq!(
            until(2705).await,
            [failed(2005, "disk"), failed(2605, "disk")]
        );
        *condition.lock() = Condition::Well;
        *service.refuses.lock() = true;
        assert_eq!(
            until(2766).await,
            [ok(2705), ok(2765)],
            "again until it is taken"
        );
        *service.refuses.lock() = false;
        assert_eq!(until(3300).await, [ok(2825)]);
        // No hook has its turn any more.
        sleep(Duration::from_secs(610)).await;
        let told = std::mem::take(&mut *service.told.lock());
        let stuck = "what is due for hook `ops` has not been tried for 10m";
        assert_eq!(told, [ok(3425), failed(3900, stuck)]);
        stop.cancel();
        beating.await.unwrap();
    }
}
