//! Runs the evaluations and keeps what comes of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::decide::{Verdict, decide};
use super::deliveries::{deliveries, to_hooks};
use super::machine::Step;
use super::memory::Memory;
use super::metrics::AlertMetrics;
use super::situation::Outside;
use super::summaries::{self, Due};
use super::tell::Told;
use super::{Access, Background, Check, Facts, Notification, Settings, hooks, observe, published};
use crate::backoff::{REST_AFTER_ERROR, is_news};
use crate::blocking;
use crate::clock::{self, SharedClock, Standing};
use crate::day::Day;
use crate::exposition::Exposition;
use crate::ledger::{AlertChanges, GoneHook, LastTold, Ledger, LedgerError, Member};
use crate::status::{Alerting, Board};
use crate::summary::Purses;
use crate::telemetry::{Telemetry, seconds};

/// Interval between looks at the clock.
const TICK: Duration = Duration::from_secs(1);
/// Longest time that agents may change before the rules are evaluated though the sync goes on.
const PATIENCE: TimeDelta = TimeDelta::minutes(15);
/// Longest time that the end of a first sync is waited for: until then, little is known of its agents.
const FIRST_PATIENCE: Duration = Duration::from_secs(15 * 60);

/// Tells a running [`Engine`] what has happened.
#[derive(Debug, Default)]
pub struct Signals {
    pending: Mutex<Pending>,
    /// True while a sync runs: at its end, the rules are evaluated anyway.
    is_syncing: AtomicBool,
    notify: Notify,
}

/// Events since the engine last looked.
#[derive(Debug, Default)]
struct Pending {
    members: Option<Arc<[Member]>>,
    settings: Option<Settings>,
    access: Access,
    /// A sync has ended.
    has_synced: bool,
    /// An evaluation is due now.
    is_urgent: bool,
    /// One is due before long.
    is_changed: bool,
}

impl Signals {
    /// All agents, as of now.
    pub fn members(&self, members: Arc<[Member]>) {
        self.pending.lock().members = Some(members);
        self.notify.notify_one();
    }

    /// A sync has begun.
    pub fn syncing(&self) {
        self.is_syncing.store(true, Ordering::Relaxed);
    }

    /// Something that a rule may be about has changed in the ledger.
    pub fn changed(&self) {
        // Nobody is woken: this happens at every window, and the clock is looked at anyway.
        self.pending.lock().is_changed = true;
    }

    /// A sync has ended, and this is what it has seen of keys and agents: what is not in it stays as
    /// it was.
    pub fn synced(&self, access: Access) {
        self.is_syncing.store(false, Ordering::Relaxed);
        let mut pending = self.pending.lock();
        pending.access.merge(access);
        pending.has_synced = true;
        pending.is_urgent = true;
        drop(pending);
        self.notify.notify_one();
    }

    /// A probe has run.
    pub fn probed(&self) {
        self.pending.lock().is_urgent = true;
        self.notify.notify_one();
    }

    /// Other rules and hooks from now on, and the agents that they are about: rules are never judged by
    /// the agents of another config.
    pub fn configure(&self, settings: Settings, members: Arc<[Member]>) {
        let mut pending = self.pending.lock();
        pending.settings = Some(settings);
        pending.members = Some(members);
        pending.is_urgent = true;
        drop(pending);
        self.notify.notify_one();
    }
}

/// Receivers of an evaluation's results.
#[derive(Debug, Clone)]
pub struct Outlets {
    /// Serves the series of budgets and alerts.
    pub exposition: Arc<Exposition>,
    /// Shows how budgets and alerts stand.
    pub board: Arc<Board>,
    /// Is notified whenever something is to be sent.
    pub outbox: Arc<Notify>,
}

/// Evaluates the rules. See the [module](super).
pub struct Engine {
    settings: Arc<Settings>,
    ledger: Ledger,
    outlets: Outlets,
    clock: SharedClock,
    metrics: AlertMetrics,
    signals: Arc<Signals>,
    random: fastrand::Rng,
    /// Until then, rules that were never evaluated wait for the end of the first sync.
    patient_until: Option<Instant>,
    /// None until somebody has said who there is.
    members: Option<Arc<[Member]>>,
    access: Arc<Access>,
    /// True once a sync has ended.
    has_synced: bool,
    /// Memory from the ledger; none if it must be read first.
    memory: Option<Arc<Memory>>,
    /// Alerts that removed hooks leave open; none if the ledger does not know the hooks yet.
    gone: Option<Vec<GoneHook>>,
    /// The same under the config before.
    gone_before: Vec<GoneHook>,
    /// Time of the last evaluation.
    evaluated: Option<DateTime<Utc>>,
    /// Trust in this host's clock then: once it is restored, waiting alerts may begin or end.
    trusted: (bool, bool),
    /// Time of the next change that needs no event.
    next: Option<DateTime<Utc>>,
}

impl Engine {
    /// An engine that has evaluated nothing yet.
    #[must_use]
    pub fn new(
        settings: Settings,
        ledger: Ledger,
        outlets: Outlets,
        clock: SharedClock,
        telemetry: &Telemetry,
        signals: Arc<Signals>,
    ) -> Self {
        Self {
            settings: Arc::new(settings),
            ledger,
            outlets,
            clock,
            metrics: telemetry.of(),
            signals,
            random: fastrand::Rng::new(),
            patient_until: None,
            members: None,
            access: Arc::default(),
            has_synced: false,
            memory: None,
            gone: None,
            gone_before: Vec::new(),
            evaluated: None,
            trusted: (true, true),
            next: None,
        }
    }

    /// Evaluates all rules as of now, keeps what has changed, and publishes the series of budgets and
    /// alerts. Does nothing as long as nobody has said who the agents are.
    ///
    /// # Errors
    /// The ledger could not be read or written; then nothing has changed.
    pub async fn evaluate(&mut self) -> Result<(), LedgerError> {
        self.take_over();
        let Some(members) = self.members.clone() else {
            return Ok(());
        };
        let started = clock::instant();
        // As exact as it is kept, so that what is remembered is what will be read again.
        let now = self.clock.now().trunc_subsecs(3);
        let today = Day::of(now);
        if self.gone.is_none() {
            // Under their new names, the hooks are others than those that are remembered.
            self.memory = None;
            let routes = &self.settings.routes;
            self.gone = Some(hooks::adopt(&self.ledger, routes, &self.gone_before).await?);
        }
        let mut memory = match &self.memory {
            Some(memory) => Arc::clone(memory),
            None => {
                let mut memory = Memory::from(self.ledger.alert_memory().await?);
                memory.seed(&self.settings, today, now);
                Arc::new(memory)
            }
        };
        let silenced_on = self.silenced_on(&memory);
        self.refresh(&mut memory, silenced_on).await?;
        for rule in &self.settings.rules {
            if let Check::Balance { book, .. } = &rule.check {
                book.refresh().await;
            }
        }
        let standing = self.clock.time().standing;
        let background = Background {
            now,
            today,
            is_certain: standing.agrees(),
            is_checked: standing.is_checked(),
            has_synced: self.has_synced,
            watched: Arc::clone(&memory.watched),
            judged: Arc::clone(&memory.judged),
            access: Arc::clone(&self.access),
            firing: memory.firing(),
        };
        let facts = observe(&self.ledger, &members, &self.settings, &background).await?;
        let verdict = self.decide(facts, Arc::clone(&memory), background).await;
        let due = match trust(standing) {
            (true, true) => self.due(&verdict, &members, &memory, today).await?,
            _ => Due::default(),
        };
        let mut step = verdict.step;
        let firing_at = std::mem::take(&mut step.firing_at);
        let memory = self.keep(step, verdict.changes, due, memory, now).await?;
        let alerts = published::alerts(verdict.subjects, &memory);
        let (budgets, balances) = published::marked(verdict.budgets, verdict.balances, &memory);
        let Outlets {
            exposition, board, ..
        } = &self.outlets;
        exposition.publish_alerts(today, &budgets, &balances, &alerts);
        board.evaluated(Alerting {
            evaluated_at: now,
            budgets,
            balances,
            alerts,
            firing_at,
        });
        self.memory = Some(memory);
        self.evaluated = Some(now);
        self.trusted = trust(standing);
        let took = started.elapsed().as_secs_f64();
        self.metrics.evaluation_duration.observe(took);
        self.metrics.last_evaluation_timestamp.set(seconds(now));
        Ok(())
    }

    /// Reads anew what others may have written to the ledger.
    async fn refresh(&self, memory: &mut Arc<Memory>, silenced_on: Day) -> Result<(), LedgerError> {
        let last_told = match self.settings.repeats() {
            true => self.ledger.last_told().await?,
            false => LastTold::default(),
        };
        let outside = Outside {
            silences: self.ledger.silences(silenced_on).await?,
            last_told,
        };
        if memory.outside != outside {
            Arc::make_mut(memory).outside = outside;
        }
        Ok(())
    }

    /// The day whose silences hold: until FlowGent has confirmed the clock, which may be ahead, no later one than
    /// that of the last evaluation.
    fn silenced_on(&self, memory: &Memory) -> Day {
        let today = self.clock.today();
        if self.clock.time().standing.is_checked() {
            return today;
        }
        let evaluated = memory.watched.values().filter_map(|known| known.evaluated);
        evaluated.max().map_or(today, |day| day.min(today))
    }

    /// Takes over what the signals have brought.
    fn take_over(&mut self) {
        let Pending {
            members,
            settings,
            access,
            has_synced,
            is_urgent: _,
            is_changed: _,
        } = std::mem::take(&mut *self.signals.pending.lock());
        self.members = members.or_else(|| self.members.take());
        if let Some(settings) = settings {
            self.settings = Arc::new(settings);
            self.gone_before = self.gone.take().unwrap_or_default();
        }
        Arc::make_mut(&mut self.access).merge(access);
        self.has_synced |= has_synced;
    }

    /// Judges the facts, away from the async threads: there may be very many.
    async fn decide(&self, facts: Facts, memory: Arc<Memory>, background: Background) -> Verdict {
        let settings = Arc::clone(&self.settings);
        let decide = move || decide(&settings, &facts, &memory, &background);
        blocking::run(decide).await
    }

    /// The summaries that are due.
    async fn due(
        &self,
        verdict: &Verdict,
        members: &[Member],
        memory: &Memory,
        today: Day,
    ) -> Result<Due, LedgerError> {
        let budgets = verdict.budgets.iter();
        let balances = verdict.balances.iter();
        let purses = Purses {
            budgets: budgets
                .map(|one| (&*one.name, one.subject.as_deref(), &one.standing))
                .collect(),
            balances: balances
                .filter_map(|one| Some((&*one.name, one.left.as_ref()?)))
                .collect(),
        };
        let next = &memory.summaries;
        let is_syncing = self.signals.is_syncing.load(Ordering::Relaxed);
        let when = (today, is_syncing || !self.has_synced);
        summaries::due(&self.ledger, members, &self.settings, next, &purses, when).await
    }

    /// Keeps what has changed with what is to be told of it. Returns what is remembered from then on.
    async fn keep(
        &mut self,
        step: Step,
        changes: AlertChanges,
        due: Due,
        mut memory: Arc<Memory>,
        now: DateTime<Utc>,
    ) -> Result<Arc<Memory>, LedgerError> {
        let Step {
            changed,
            forgotten,
            told,
            firing_at: _,
            next,
        } = step;
        let changes = AlertChanges {
            changed,
            forgotten,
            summaries: due.next,
            ..changes
        };
        let routes = &self.settings.routes;
        let mut deliveries = deliveries(&told, routes, now, &mut self.random);
        for (hooks, summary) in &due.told {
            deliveries.extend(to_hooks(summary, hooks, routes, now, &mut self.random));
        }
        // The ledger tidies up when something is recorded, so once a day something is.
        let is_new_day = self.evaluated.map(Day::of) != Some(Day::of(now));
        let is_outgoing = !deliveries.is_empty();
        if is_new_day || is_outgoing || changes != AlertChanges::default() {
            let recorded = AlertChanges {
                deliveries,
                ..changes.clone()
            };
            // If that fails, nobody knows what is kept, and all is read again.
            self.memory = None;
            // A clock that nothing has confirmed may be far ahead: nothing is old by it.
            let forgets = self.clock.time().standing.is_checked();
            let as_of = if forgets { now } else { DateTime::UNIX_EPOCH };
            self.ledger.record_alerts(recorded, as_of).await?;
            Arc::make_mut(&mut memory).apply(changes);
            if is_outgoing {
                self.outlets.outbox.notify_one();
            }
            told.iter().for_each(log);
            due.told.iter().for_each(log_summary);
        }
        self.next = next;
        Ok(memory)
    }

    /// Checks if rules were ever evaluated on this ledger. If not, the first evaluation waits for the end of a sync.
    pub(super) async fn begin(&mut self) {
        let known = self.ledger.alert_memory().await;
        if known.is_ok_and(|memory| memory.watched.is_empty()) {
            self.patient_until = Some(clock::instant() + FIRST_PATIENCE);
        }
    }

    /// Evaluates whenever there is a reason to, until `stop` is cancelled.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut told = None;
        let mut is_retry = false;
        self.begin().await;
        while !stop.is_cancelled() {
            let is_due = is_retry || self.is_due() || self.is_silenced_otherwise().await;
            let rest = if !is_due {
                TICK
            } else {
                match self.evaluate().await {
                    Ok(()) => {
                        told = None;
                        is_retry = false;
                        continue;
                    }
                    Err(error) => {
                        is_retry = true;
                        if is_news(&mut told, &error) {
                            error!("cannot evaluate the rules: {error}");
                        }
                        REST_AFTER_ERROR
                    }
                }
            };
            let notified = async {
                self.signals.notify.notified().await;
                if is_retry {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = notified => {}
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    /// Returns true if somebody has silenced an alert, or ended a silence, since the last evaluation.
    pub async fn is_silenced_otherwise(&self) -> bool {
        let Some(memory) = &self.memory else {
            return false;
        };
        let silences = self.ledger.silences(self.silenced_on(memory)).await;
        // If the ledger cannot be read, the next evaluation logs the reason.
        silences.is_ok_and(|silences| silences != memory.outside.silences)
    }

    /// True if the trust in the clock has changed since the last evaluation, and no sync is running: a sync's end
    /// evaluates the rules anyway.
    fn is_other_certainty(&self) -> bool {
        self.has_synced
            && self.trusted != trust(self.clock.time().standing)
            && !self.signals.is_syncing.load(Ordering::Relaxed)
    }

    /// Returns true if there is a reason to evaluate the rules now.
    #[must_use]
    pub fn is_due(&self) -> bool {
        if !self.clock.is_known() {
            return false;
        }
        let is_syncing = self.signals.is_syncing.load(Ordering::Relaxed);
        let pending = self.signals.pending.lock();
        let Some(evaluated) = self.evaluated else {
            let patient_until = self.patient_until;
            let is_patient = patient_until.is_some_and(|until| clock::instant() < until);
            let is_known = pending.members.is_some() || self.members.is_some();
            return is_known && !(is_syncing && is_patient);
        };
        let now = self.clock.now();
        let known = self.members.as_ref();
        let is_other = |members| known.is_none_or(|known| !Arc::ptr_eq(known, members));
        // The clock may have been set back.
        let waited = now.signed_duration_since(evaluated).abs();
        pending.is_urgent
            || (!is_syncing && pending.members.as_ref().is_some_and(is_other))
            || (pending.is_changed && waited >= PATIENCE)
            || self.is_other_certainty()
            || Day::of(now) != Day::of(evaluated)
            || self.next.is_some_and(|next| next <= now)
    }
}

/// The two degrees of trust in a clock: the UTC day is certain, and FlowGent has confirmed the clock.
const fn trust(standing: Standing) -> (bool, bool) {
    (standing.agrees(), standing.is_checked())
}

fn log(told: &Told) {
    let notice = &told.notice;
    info!(
        rule = notice.rule,
        subject = notice.subject,
        severity = notice.severity.as_str(),
        "alert: {}",
        notice.title
    );
}

fn log_summary((_, notification): &(Vec<Arc<str>>, Notification)) {
    if let Some(summary) = &notification.summary {
        info!(summary = summary.name, "summary: {}", summary.title);
    }
}
