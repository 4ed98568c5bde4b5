//! One sync is one pass over all agents: plan → fetch → validate → commit.
//!
//! A [`Syncer`] does one pass when it is told to; [`worker`] tells it, by the [`schedule`]. Whatever
//! goes wrong in a pass stays with the account, agent or window that it concerns, is told once in the
//! [`Report`], and is planned again by the next pass, because the plan is made from what is missing.

mod account;
pub mod cron;
mod metrics;
mod pass;
mod reaches;
mod report;
pub mod schedule;
pub mod worker;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::future::{join_all, try_join_all};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::balance::Reach;
use crate::clock::SharedClock;
use crate::day::Day;
use crate::flowgent;
use crate::flowgent::transport::HttpClient;
use crate::ledger::{AgentNumber, Enrolled, Enrolment, Identity, Ledger, LedgerError, Member};
use crate::roster::{AccountSettings, Agent};
use crate::telemetry::{self, Instruments, Telemetry};
use crate::window::Window;
use crate::window::plan::{self, Policy, Refresh};

use account::{Account, Ask};
use metrics::SyncMetrics;
use pass::AccountSync;
use reaches::Reaches;
pub use report::{Counts, MemberReport, Note, NoteKind, Outcome, Problem, Report, problem_kinds};
use schedule::Trigger;

/// Number of agents that are planned for at once: one whose history is half filled is listed day by day.
const PLANNED_AT_ONCE: usize = 5_000;

/// Days that a sync asks for.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// Missing days, and unsettled days as the value says.
    Due(Refresh),
    /// The same for that reason, as of that day: nothing that can be known only later.
    AsOf(Trigger, Day),
    /// Missing days of the accounts whose keys are refused.
    Keys,
    /// These windows of every agent, known or not.
    Windows(Vec<Window>),
}

/// Events during a sync, for whoever shows it.
#[derive(Debug, Clone)]
pub enum Event {
    /// The sync began, at that time.
    Started(DateTime<Utc>),
    /// All agents of all accounts, as of now.
    Members(Arc<[Member]>),
    /// Number of windows that will be asked for.
    Planned(usize),
    /// A window of this agent is in the ledger.
    Committed(AgentNumber),
    /// The ledger knows that a window of this agent could not be had.
    Failed(AgentNumber),
    /// Number of planned windows that are left to a later sync.
    Left(usize),
    /// The sync is over. Without a report the ledger failed, and this is what it said.
    Ended(Result<Arc<Report>, Arc<str>>),
    /// The next sync is due then.
    Scheduled(DateTime<Utc>),
}

/// Is told every [`Event`] of a sync, from any thread; it must not block.
pub type Observer = Arc<dyn Fn(Event) + Send + Sync>;

/// Does syncs, one at a time.
#[derive(Debug, Clone)]
pub struct Syncer {
    accounts: Vec<Arc<Account>>,
    policy: Policy,
    ledger: Ledger,
    clock: SharedClock,
    metrics: SyncMetrics,
    /// All agents as of the last time that somebody asked for them.
    known: Arc<Mutex<Option<Known>>>,
    /// The budgets and balances that may need days from before the history start.
    reaches: Reaches,
}

/// Members as the ledger knows them.
#[derive(Debug)]
struct Known {
    members: Arc<[Member]>,
    /// The accounts of which it was not known who else is there.
    unknown_accounts: HashSet<Arc<str>>,
    /// Members that are not asked for.
    set_aside: HashSet<Identity>,
    /// False as long as nobody may leave.
    lets_leave: bool,
}

impl Known {
    /// Returns true if the ledger would learn nothing from `enrolment`.
    fn is_of(&self, enrolment: &Enrolment) -> bool {
        let known = self.members.iter();
        let known = known.map(|member| (&member.agent, member.unlisted_since));
        let agents = enrolment.agents.iter();
        (self.lets_leave || enrolment.today.is_none())
            && known.eq(agents.map(|(agent, since)| (agent, *since)))
            && self.unknown_accounts == enrolment.unknown_accounts
            && self.set_aside == enrolment.set_aside
    }
}

impl Syncer {
    /// A syncer of `accounts`.
    #[must_use]
    pub fn new(
        accounts: &[AccountSettings],
        policy: Policy,
        api: &flowgent::Settings,
        http: &HttpClient,
        ledger: Ledger,
        clock: SharedClock,
        telemetry: &Telemetry,
    ) -> Self {
        let account = |settings| {
            Arc::new(Account::new(
                settings,
                api,
                http,
                Arc::clone(&clock),
                telemetry,
            ))
        };
        let accounts = accounts.iter().map(account).collect();
        let metrics: SyncMetrics = telemetry.of();
        for outcome in crate::named::words::<Outcome>() {
            metrics.syncs.with_label_values(&[outcome]);
        }
        Self {
            accounts,
            policy,
            ledger,
            clock,
            metrics,
            known: Arc::default(),
            reaches: Reaches::default(),
        }
    }

    /// The same syncer, which also asks for the days that these budgets and balances need from before the history start.
    #[must_use]
    pub fn reaching(self, reaches: Vec<Reach>) -> Self {
        Self {
            reaches: Reaches::new(reaches),
            ..self
        }
    }

    /// Returns true if both ask the same accounts in the same way.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let accounts = || self.accounts.iter().zip(&other.accounts);
        self.policy == other.policy
            && self.accounts.len() == other.accounts.len()
            && accounts().all(|(account, other)| account.is_like(other))
    }

    /// The names of the accounts whose keys were refused the last time.
    pub(super) fn refused_accounts(&self) -> Vec<Arc<str>> {
        let refused = self.accounts.iter().filter(|account| account.is_refused());
        refused
            .map(|account| Arc::clone(&account.settings.name))
            .collect()
    }

    /// The same syncer in the place of `previous`, on the same ledger, which is not used any more: this
    /// one knows whom that one knew, accounts that are the same go on as they were, and the telemetry
    /// forgets those that are gone.
    #[must_use]
    pub fn following(mut self, previous: &Self) -> Self {
        for account in &mut self.accounts {
            let mut known = previous.accounts.iter();
            if let Some(same) = known.find(|known| account.is_like(known)) {
                *account = Arc::clone(same);
            }
        }
        let names: HashSet<_> = self
            .accounts
            .iter()
            .map(|account| &account.settings.name)
            .collect();
        for account in &previous.accounts {
            if !names.contains(&account.settings.name) {
                account.client.forget_telemetry();
                let name = &account.settings.name;
                self.metrics.forget("account", name);
            }
        }
        Self {
            known: Arc::clone(&previous.known),
            ..self
        }
    }

    /// All agents that are known without asking anybody: from the config, from lists in files, and as
    /// FlowGent listed them last. Sorted by account and name.
    ///
    /// # Errors
    /// The ledger could not be read or written.
    pub async fn known_members(&self) -> Result<Arc<[Member]>, LedgerError> {
        // What is wrong with a list is told by the first sync, which reads it again.
        self.members(Ask::Nobody, &[], &Mutex::default()).await
    }

    /// The agents that are known without asking anybody, if they are still the same.
    pub(super) async fn unchanged_members(&self) -> Result<Option<Arc<[Member]>>, LedgerError> {
        let before = self
            .known
            .lock()
            .as_ref()
            .map(|known| Arc::clone(&known.members));
        let members = self.known_members().await?;
        let is_same = before.is_some_and(|before| Arc::ptr_eq(&before, &members));
        Ok(is_same.then_some(members))
    }

    /// Does one sync and says how it went. Ends early, but cleanly, once `stop` is cancelled.
    ///
    /// # Errors
    /// The ledger could not be read or written. What FlowGent did wrong is in the report instead.
    pub async fn run(
        &self,
        wanted: &Wanted,
        observer: &Observer,
        stop: &CancellationToken,
    ) -> Result<Report, LedgerError> {
        let started = self.clock.now();
        self.metrics.running.set(1);
        self.metrics
            .last_start_timestamp
            .set(telemetry::seconds(started));
        observer(Event::Started(started));
        let clock = crate::clock::instant();
        let accounts = self.asked(wanted);
        self.reaches.refresh().await;
        let result = self
            .pass(wanted, &accounts, observer, stop)
            .await
            .map(|mut report| {
                report.started = started;
                report.ended = self.clock.now();
                report.took = clock.elapsed();
                report.interrupted = stop.is_cancelled();
                report
            });
        let outcome = result.as_ref().map_or(Outcome::Failed, Report::outcome);
        if let Ok(report) = &result {
            self.show_problems(report, &accounts);
        }
        self.metrics
            .syncs
            .with_label_values(&[outcome.as_str()])
            .inc();
        self.metrics
            .last_duration
            .set(clock.elapsed().as_secs_f64());
        let ended = telemetry::seconds(self.clock.now());
        self.metrics.last_end_timestamp.set(ended);
        if outcome == Outcome::Complete {
            self.metrics.last_complete_timestamp.set(ended);
        }
        self.metrics.running.set(0);
        result
    }

    /// The accounts that are asked for what is `wanted`.
    fn asked(&self, wanted: &Wanted) -> Vec<Arc<Account>> {
        let accounts = self.accounts.iter();
        let is_asked =
            |account: &&Arc<Account>| !matches!(wanted, Wanted::Keys) || account.is_refused();
        accounts.filter(is_asked).cloned().collect()
    }

    /// Shows how often each of `accounts` met each kind of problem.
    fn show_problems(&self, report: &Report, accounts: &[Arc<Account>]) {
        for account in accounts {
            let account = &*account.settings.name;
            for kind in problem_kinds() {
                let agents = report.problem_count(account, kind);
                self.metrics
                    .last_problems
                    .with_label_values(&[account, kind])
                    .set(i64::try_from(agents).unwrap_or(i64::MAX));
            }
        }
    }

    async fn pass(
        &self,
        wanted: &Wanted,
        accounts: &[Arc<Account>],
        observer: &Observer,
        stop: &CancellationToken,
    ) -> Result<Report, LedgerError> {
        let report = Arc::new(Mutex::new(Report::default()));
        let read_keys = accounts.iter().map(|account| account.read_key(&report));
        join_all(read_keys).await;
        let today = self.clock.today();
        let is_retry = matches!(wanted, Wanted::AsOf(Trigger::Retry, _));
        let ask = match wanted {
            Wanted::AsOf(Trigger::Retry, day) => Ask::Rest(*day),
            Wanted::AsOf(_, day) => Ask::Everybody(*day),
            Wanted::Due(_) | Wanted::Keys | Wanted::Windows(_) => Ask::Everybody(today),
        };
        let members = stop
            .run_until_cancelled(self.members(ask, accounts, &report))
            .await;
        let Some(members) = members.transpose()? else {
            return Ok(std::mem::take(&mut *report.lock()));
        };
        observer(Event::Members(Arc::clone(&members)));

        let work = self.plan(wanted, accounts, &members).await?;
        self.metrics.windows_planned.inc_by(work.len() as u64);
        self.metrics
            .windows_left
            .set(i64::try_from(work.len()).unwrap_or(i64::MAX));
        observer(Event::Planned(work.len()));
        report.lock().begin(&members, &work);
        let mut queues: HashMap<&str, VecDeque<(usize, Window)>> = HashMap::new();
        for (index, window) in work {
            let queue = queues.entry(&members[index].agent.account).or_default();
            queue.push_back((index, window));
        }

        // Accounts do not wait for each other, and one that fails harms no other.
        let stop = stop.child_token();
        let mut passes = JoinSet::new();
        for account in accounts {
            let mut queue = queues.remove(&*account.settings.name).unwrap_or_default();
            if is_retry {
                let today = self.clock.today();
                pass::leave_denied(account, &members, &mut queue, &report, observer, today);
            }
            let pass = AccountSync::new(self, account, &members, queue, &report, observer, &stop);
            passes.spawn(pass.run());
        }
        passes
            .join_all()
            .await
            .into_iter()
            .collect::<Result<(), _>>()?;
        Ok(std::mem::take(&mut *report.lock()))
    }

    /// The agents of all accounts with their numbers, sorted by account and name; the same list for as
    /// long as they are the same. The accounts that are `asked` are so for their listings as `ask` says, and
    /// all at once: one that hangs adds to no other's wait. The ledger takes over who is there and who has left.
    async fn members(
        &self,
        ask: Ask,
        asked: &[Arc<Account>],
        report: &Mutex<Report>,
    ) -> Result<Arc<[Member]>, LedgerError> {
        let time = self.clock.time();
        // Nobody leaves by a clock that FlowGent has not confirmed: days from now on would count as unknown.
        let today = time.standing.is_checked().then(|| Day::of(time.now));
        let present = self.accounts.iter().map(|account| {
            let is_asked = asked.iter().any(|asked| Arc::ptr_eq(asked, account));
            let ask = if is_asked { ask } else { Ask::Nobody };
            account.agents(&self.ledger, ask, today, report)
        });
        let present = try_join_all(present).await?;
        let mut enrolment = Enrolment {
            today,
            ..Enrolment::default()
        };
        for (account, present) in self.accounts.iter().zip(present) {
            if !present.is_known {
                let name = Arc::clone(&account.settings.name);
                enrolment.unknown_accounts.insert(name);
            }
            enrolment.agents.extend(present.agents);
            enrolment.set_aside.extend(present.set_aside);
        }
        let order = |(agent, _): &(Agent, Option<Day>)| {
            (Arc::clone(&agent.account), Arc::clone(&agent.name))
        };
        enrolment.agents.sort_by_cached_key(order);
        self.show_lists(&report.lock().notes);
        if let Some(known) = &*self.known.lock()
            && known.is_of(&enrolment)
        {
            return Ok(Arc::clone(&known.members));
        }
        let mut known = Known {
            members: Arc::default(),
            unknown_accounts: enrolment.unknown_accounts.clone(),
            set_aside: enrolment.set_aside.clone(),
            lets_leave: today.is_some(),
        };
        let Enrolled { members, left } = self.ledger.enrol(enrolment).await?;
        if !left.is_empty() {
            let names = left.iter().map(|member| Arc::clone(&member.agent.name));
            let names: Vec<Arc<str>> = names.collect();
            let names = report::shortened(&names, left.len());
            info!(agents = left.len(), "agents have left: {names}");
        }
        let members: Arc<[Member]> = members.into();
        known.members = Arc::clone(&members);
        *self.known.lock() = Some(known);
        Ok(members)
    }

    /// Shows what needs a look about lists of agents.
    fn show_lists(&self, notes: &[Note]) {
        for account in &self.accounts {
            let name = &*account.settings.name;
            let kinds = || {
                let notes = notes.iter().filter(|note| *note.account == *name);
                notes.map(|note| &note.kind)
            };
            let unlisted = kinds().find_map(|kind| match kind {
                NoteKind::Unlisted { names } => Some(names.len()),
                _ => None,
            });
            let excess = kinds().find_map(|kind| match kind {
                NoteKind::Excess { number, .. } => Some(*number),
                _ => None,
            });
            let is_partial = kinds().any(|kind| matches!(kind, NoteKind::Partial { .. }));
            let metrics = &self.metrics;
            for (gauge, agents) in [
                (&metrics.unlisted_agents, unlisted),
                (&metrics.excess_agents, excess),
            ] {
                let agents = i64::try_from(agents.unwrap_or(0)).unwrap_or(i64::MAX);
                gauge.with_label_values(&[name]).set(agents);
            }
            metrics
                .partial_listing
                .with_label_values(&[name])
                .set(is_partial.into());
        }
    }

    /// The windows to ask for, as indexes into `members`, in the order of asking.
    async fn plan(
        &self,
        wanted: &Wanted,
        accounts: &[Arc<Account>],
        members: &[Member],
    ) -> Result<Vec<(usize, Window)>, LedgerError> {
        let today = self.clock.today();
        let (refresh, today) = match wanted {
            Wanted::Windows(windows) => {
                let all = (0..members.len()).map(|index| (index, windows.clone()));
                return Ok(plan::newest_first(all));
            }
            Wanted::Due(refresh) => (*refresh, today),
            Wanted::Keys => (Refresh::NotFetchedToday, today),
            Wanted::AsOf(trigger, day) => (trigger.refresh(), today.min(*day)),
        };
        let asked: HashSet<&str> = accounts
            .iter()
            .map(|account| &*account.settings.name)
            .collect();
        let mut plans = Vec::with_capacity(members.len());
        let needs = self.reaches.needs(self.policy, today);
        for members in members.chunks(PLANNED_AT_ONCE) {
            let asked_from = |member: &Member| {
                let first = self.reaches.asked_from(member, &needs, self.policy);
                (member.number, first)
            };
            let known = self
                .ledger
                .coverage(members.iter().map(asked_from).collect());
            let known = known.await?;
            for (member, known) in members.iter().zip(&known) {
                self.reaches.note(member, known, self.policy);
                plans.push(plan::windows(self.policy, known, refresh, today));
            }
        }
        let plans = plans.into_iter().enumerate();
        let plans = plans.filter(|(index, _)| asked.contains(&*members[*index].agent.account));
        Ok(plan::newest_first(plans))
    }
}

#[cfg(test)]
mod tests;
