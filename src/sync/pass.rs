//! The part of a sync that concerns one account: its windows are fetched in order by a few workers,
//! validated, and committed while the next ones are under way.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::account::Account;
use super::report::{Refusal, Report};
use super::{Event, Observer, Syncer};
use crate::day::Day;
use crate::flowgent::error::ApiError;
use crate::ledger::{Fetched, LedgerError, Member};
use crate::validate::{self, Accepted};
use crate::window::Window;

/// Number of failed requests in a row, each after its retries, from which the service counts as down: the rest is
/// left to the next sync instead of waiting for each in turn.
const GIVE_UP_AFTER: usize = 20;

/// Time for a request that is under way when the sync must stop. With its retries
/// and waits it might take minutes.
const GRACE: Duration = Duration::from_secs(5);

/// Most writes that wait for the disk at once; with more, fetching waits too.
const WRITES_AT_ONCE: usize = 1024;

/// One account's part of a sync.
pub(super) struct AccountSync {
    account: Arc<Account>,
    syncer: Syncer,
    members: Arc<[Member]>,
    observer: Observer,
    report: Arc<Mutex<Report>>,
    /// Cancelled to begin nothing new: by the program's end, or because the ledger failed.
    stop: CancellationToken,
    writes: TaskTracker,
    writes_at_once: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<(usize, Window)>,
    /// Windows of agents that have failed, in this sync or the last. They come after all others, so
    /// that a failing or hanging agent delays none.
    later: VecDeque<(usize, Window)>,
    /// The account is of no use in this sync: its key is refused, or its service is down.
    abandoned: bool,
    failures_in_a_row: usize,
    /// Agents that are of no use in this sync.
    dropped: HashSet<usize>,
    /// Agents of which a window could not be had.
    failed: HashSet<usize>,
    ledger_error: Option<LedgerError>,
}

/// Takes the agents that FlowGent has refused since before `today` out of the queue of a retry, and reports them
/// as before: they are asked for once a day.
pub(super) fn leave_denied(
    account: &Account,
    members: &[Member],
    queue: &mut VecDeque<(usize, Window)>,
    report: &Mutex<Report>,
    observer: &Observer,
    today: Day,
) {
    let denied = account.denied.lock();
    queue.retain(|(index, window)| {
        let member = &members[*index];
        match denied.get(&member.agent.id) {
            Some((since, error)) if *since < today => {
                observer(Event::Left(1));
                let mut report = report.lock();
                report.refused(*index, *window, error, Refusal::of(member, true));
                false
            }
            _ => true,
        }
    });
}

impl AccountSync {
    /// A pass over `queue`, which holds windows of the members with those indexes.
    pub(super) fn new(
        syncer: &Syncer,
        account: &Arc<Account>,
        members: &Arc<[Member]>,
        queue: VecDeque<(usize, Window)>,
        report: &Arc<Mutex<Report>>,
        observer: &Observer,
        stop: &CancellationToken,
    ) -> Arc<Self> {
        let troubled = account.troubled.lock();
        let is_troubled =
            |(index, _): &(usize, Window)| troubled.contains(&members[*index].agent.id);
        let (later, queue) = queue.into_iter().partition(is_troubled);
        Arc::new(Self {
            account: Arc::clone(account),
            syncer: syncer.clone(),
            members: Arc::clone(members),
            observer: Arc::clone(observer),
            report: Arc::clone(report),
            stop: stop.clone(),
            writes: TaskTracker::new(),
            writes_at_once: Arc::new(Semaphore::new(WRITES_AT_ONCE)),
            state: Mutex::new(State {
                queue,
                later,
                ..State::default()
            }),
        })
    }

    /// Works the queue off; what came of it is in the report.
    ///
    /// # Errors
    /// The ledger could not be written.
    pub(super) async fn run(self: Arc<Self>) -> Result<(), LedgerError> {
        if self.account.is_paused.load(Ordering::Relaxed) {
            self.state.lock().abandoned = true;
        }
        // Whatever is wrong with the key or the way to FlowGent, one request shows it.
        let answered = CancellationToken::new();
        let mut workers = JoinSet::new();
        let (pass, first) = (Arc::clone(&self), answered.clone().drop_guard());
        workers.spawn(async move {
            let goes_on = pass.work_one().await;
            drop(first);
            if goes_on {
                while pass.work_one().await {}
            }
        });
        // It is bounded by its own timeout; its retries keep nobody waiting.
        let _ = tokio::time::timeout(self.account.patience, answered.cancelled()).await;
        for _ in 1..self.account.concurrency() {
            let pass = Arc::clone(&self);
            workers.spawn(async move { while pass.work_one().await {} });
        }
        workers.join_all().await;
        self.leave_the_rest();
        self.writes.close();
        self.writes.wait().await;
        // Last of all, so that no good window of such an agent hides that another failed.
        self.record_failures().await;
        self.writes.wait().await;
        match self.state.lock().ledger_error.take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Fetches the next window and has the outcome written; false if there is nothing to begin.
    async fn work_one(self: &Arc<Self>) -> bool {
        let Some((index, window)) = self.next() else {
            return false;
        };
        let id = &self.members[index].agent.id;
        // An answer is at least as new as its question.
        let asked_at = self.syncer.clock.earliest();
        let judge = |answer| {
            validate::rows(&window, id, &answer)
                .map_err(|rejection| ApiError::Contract(rejection.to_string()))
        };
        let answer = tokio::select! {
            answer = self.account.client.usage(id, &window, judge) => Some(answer),
            () = self.grace_is_over() => None,
        };
        // The answer may have shown that the clock ran ahead.
        let asked_at = asked_at.min(self.syncer.clock.earliest());
        match answer {
            Some(Ok(accepted)) => self.keep(index, window, accepted, asked_at).await,
            Some(Err(error)) => self.fail(index, window, &error, asked_at).await,
            None => (self.observer)(Event::Left(1)),
        }
        true
    }

    /// Returns once a request that was under way when `stop` was cancelled has had its time.
    async fn grace_is_over(&self) {
        self.stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    }

    /// The next window of an agent that is still of use.
    fn next(&self) -> Option<(usize, Window)> {
        let mut state = self.state.lock();
        while !state.abandoned && !self.stop.is_cancelled() {
            if let Some((index, window)) = state.queue.pop_front() {
                if !state.failed.contains(&index) {
                    return Some((index, window));
                }
                state.later.push_back((index, window));
            } else {
                let (index, window) = state.later.pop_front()?;
                if !state.dropped.contains(&index) {
                    return Some((index, window));
                }
                if self.is_unlisted(index) {
                    self.report.lock().excused += 1;
                }
                (self.observer)(Event::Left(1));
            }
        }
        None
    }

    /// Returns true if the list that named the agent no longer does: a refusal of it says nothing new.
    fn is_unlisted(&self, index: usize) -> bool {
        self.members[index].unlisted_since.is_some()
    }

    /// Has the ledger keep an answer, without waiting until it is on the disk.
    async fn keep(
        self: &Arc<Self>,
        index: usize,
        window: Window,
        accepted: Accepted,
        at: DateTime<Utc>,
    ) {
        self.account.refused.store(false, Ordering::Relaxed);
        self.state.lock().failures_in_a_row = 0;
        self.account
            .denied
            .lock()
            .remove(&self.members[index].agent.id);
        let agent = self.members[index].number;
        let absent = match self.is_unlisted(index) {
            true => Vec::new(),
            false => accepted.missing.clone(),
        };
        let fetched = Fetched {
            agent,
            window,
            rows: accepted.rows,
            at,
        };
        let pass = Arc::clone(self);
        self.write(async move {
            let committed = pass.syncer.ledger.commit(fetched).await?;
            pass.syncer.metrics.windows_left.dec();
            pass.report.lock().committed(index, &committed, &absent);
            Ok(Event::Committed(agent))
        })
        .await;
    }

    /// Notes a failure with its consequences for the rest of the queue.
    async fn fail(
        self: &Arc<Self>,
        index: usize,
        window: Window,
        error: &ApiError,
        at: DateTime<Utc>,
    ) {
        if error.shows_key_accepted() {
            let name = Arc::clone(&self.account.settings.name);
            self.report.lock().accepted.insert(name);
        }
        // The two clocks differ about what day it is. Nobody is to blame; the next sync asks again.
        if *error == ApiError::EndDateTooRecent {
            self.report.lock().counts.deferred += 1;
            (self.observer)(Event::Left(1));
            return;
        }
        (self.observer)(Event::Left(1));
        if error.pauses_account() {
            self.account.refused.store(true, Ordering::Relaxed);
        }
        let is_old = error.is_lasting() && self.note_denial(index, error);
        if error.is_account_wide() {
            let settings = &self.account.settings;
            let (name, key) = (&settings.name, &settings.api_key);
            self.report
                .lock()
                .key_problem(name, error.outcome(), error, key);
        } else {
            let refusal = Refusal::of(&self.members[index], is_old);
            self.report.lock().refused(index, window, error, refusal);
        }
        let first = {
            let mut state = self.state.lock();
            let first = state.failed.insert(index);
            state.failures_in_a_row = if is_of_the_agent(error) || self.is_unlisted(index) {
                0
            } else {
                state.failures_in_a_row + 1
            };
            // A service that wants to be left alone is left alone.
            state.abandoned |= error.pauses_account()
                || error.retry_after().is_some()
                || state.failures_in_a_row >= GIVE_UP_AFTER;
            // An answer that makes no sense at all is not asked for a third time; one that breaks the
            // contract may do so for this window alone.
            let is_senseless = !error.is_retryable() && !is_of_the_agent(error);
            if error.is_lasting() || (is_senseless && !first) {
                state.dropped.insert(index);
            }
            first
        };
        if first {
            self.record_failure(index, at).await;
        }
    }

    /// Notes that the agent is refused. Says whether it was so before today.
    fn note_denial(&self, index: usize, error: &ApiError) -> bool {
        let id = Arc::clone(&self.members[index].agent.id);
        let today = self.syncer.clock.today();
        let mut denied = self.account.denied.lock();
        let (since, _) = denied.entry(id).or_insert_with(|| (today, error.clone()));
        *since < today
    }

    /// Counts what is left of the queues.
    fn leave_the_rest(&self) {
        let mut state = self.state.lock();
        let later = std::mem::take(&mut state.later);
        state.queue.extend(later);
        (self.observer)(Event::Left(state.queue.len()));
    }

    /// Tells the next sync whom to ask last, and the ledger which agents have failed: also those whose
    /// turn never came for the account's sake.
    async fn record_failures(self: &Arc<Self>) {
        let failed = {
            let mut state = self.state.lock();
            let mut failed = std::mem::take(&mut state.failed);
            let id = |index: &usize| Arc::clone(&self.members[*index].agent.id);
            *self.account.troubled.lock() = failed.iter().map(id).collect();
            if state.abandoned {
                failed.extend(state.queue.iter().map(|(index, _)| *index));
            }
            failed
        };
        let now = self.syncer.clock.now();
        for index in failed {
            self.record_failure(index, now).await;
        }
    }

    /// Tells the ledger that a fetch failed.
    async fn record_failure(self: &Arc<Self>, index: usize, at: DateTime<Utc>) {
        let agent = self.members[index].number;
        let ledger = self.syncer.ledger.clone();
        self.write(async move {
            ledger
                .record_failure(agent, at)
                .await
                .map(|()| Event::Failed(agent))
        })
        .await;
    }

    /// Runs `write` beside the fetching, and announces it when it is on the disk.
    async fn write(
        self: &Arc<Self>,
        write: impl Future<Output = Result<Event, LedgerError>> + Send + 'static,
    ) {
        let permit = Arc::clone(&self.writes_at_once).acquire_owned().await;
        let pass = Arc::clone(self);
        self.writes.spawn(async move {
            match write.await {
                Ok(event) => (pass.observer)(event),
                // What cannot be kept need not be fetched.
                Err(error) => {
                    pass.stop.cancel();
                    pass.state.lock().ledger_error.get_or_insert(error);
                }
            }
            drop(permit);
        });
    }
}

/// Returns true if the failure is about the agent rather than about the service.
fn is_of_the_agent(error: &ApiError) -> bool {
    error.is_lasting() || matches!(error, ApiError::Contract(_))
}
