//! One sync is one pass over all agents: plan → fetch → validate → commit.
//!
//! A [`Syncer`] does one pass when it is told to; [`worker`] tells it, by the [`schedule`]. Whatever
//! goes wrong in a pass stays with the account, agent or window that it concerns, is told once in the
//! [`Report`], and is planned again by the next pass, because the plan is made from what is missing.

mod account;
pub mod cron;
mod pass;
mod report;
pub mod schedule;
pub mod worker;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use futures_util::future::{join_all, try_join_all};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::clock::SharedClock;
use crate::flowgent;
use crate::flowgent::transport::HttpClient;
use crate::ledger::{AgentNumber, Ledger, LedgerError, Member};
use crate::roster::{AccountSettings, Agent};
use crate::telemetry::{self, Telemetry};
use crate::window::Window;
use crate::window::plan::{self, Policy, Refresh};

use account::Account;
use pass::Pass;
pub use report::{MemberReport, Outcome, PROBLEM_KINDS, Problem, Report};

/// So many agents are planned for at once: one whose history is half filled is listed day by day.
const PLANNED_AT_ONCE: usize = 5_000;

/// What a sync is to ask for.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// What is missing, and unsettled days as the value says.
    Due(Refresh),
    /// What is missing of the accounts whose keys are refused.
    Keys,
    /// These windows of every agent, known or not.
    Windows(Vec<Window>),
}

/// What happens during a sync, for whoever shows it.
#[derive(Debug, Clone)]
pub enum Event {
    /// The sync began, at that time.
    Started(DateTime<Utc>),
    /// All agents of all accounts, as of now.
    Members(Arc<[Member]>),
    /// So many windows will be asked for.
    Planned(usize),
    /// A window of this agent is in the ledger.
    Committed(AgentNumber),
    /// The ledger knows that a window of this agent could not be had.
    Failed(AgentNumber),
    /// So many planned windows are left to a later sync.
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
    telemetry: Telemetry,
    /// All agents as of the last time that somebody asked for them.
    members: Arc<Mutex<Arc<[Member]>>>,
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
        telemetry: Telemetry,
    ) -> Self {
        let account = |settings| {
            Arc::new(Account::new(
                settings,
                api,
                http,
                Arc::clone(&clock),
                &telemetry,
            ))
        };
        let accounts = accounts.iter().map(account).collect();
        Self {
            accounts,
            policy,
            ledger,
            clock,
            telemetry,
            members: Arc::default(),
        }
    }

    /// Whether both ask the same accounts in the same way.
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
                for kind in PROBLEM_KINDS {
                    // Fails only if there is no such series.
                    let labels = [&*account.settings.name, kind];
                    let _ = self
                        .telemetry
                        .sync_last_problems
                        .remove_label_values(&labels);
                }
            }
        }
        Self {
            members: Arc::clone(&previous.members),
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
        self.members(&[], &Mutex::default()).await
    }

    /// The agents that are known without asking anybody, if they are still the same.
    pub(super) async fn unchanged_members(&self) -> Result<Option<Arc<[Member]>>, LedgerError> {
        let before = Arc::clone(&lock(&self.members));
        let members = self.known_members().await?;
        Ok(Arc::ptr_eq(&before, &members).then_some(members))
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
        self.telemetry.sync_running.set(1);
        self.telemetry
            .sync_last_start_timestamp
            .set(telemetry::seconds(started));
        observer(Event::Started(started));
        let clock = crate::clock::instant();
        let accounts = self.asked(wanted);
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
        self.telemetry
            .syncs
            .with_label_values(&[outcome.as_str()])
            .inc();
        self.telemetry
            .sync_last_duration
            .set(clock.elapsed().as_secs_f64());
        let ended = telemetry::seconds(self.clock.now());
        self.telemetry.sync_last_end_timestamp.set(ended);
        if outcome == Outcome::Complete {
            self.telemetry.sync_last_complete_timestamp.set(ended);
        }
        self.telemetry.sync_running.set(0);
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
            for kind in PROBLEM_KINDS {
                let agents = report.problem_count(account, kind);
                self.telemetry
                    .sync_last_problems
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
        let members = stop
            .run_until_cancelled(self.members(accounts, &report))
            .await;
        let Some(members) = members.transpose()? else {
            return Ok(take(&report));
        };
        observer(Event::Members(Arc::clone(&members)));

        let work = self.plan(wanted, accounts, &members).await?;
        self.telemetry.windows_planned.inc_by(work.len() as u64);
        self.telemetry
            .windows_left
            .set(i64::try_from(work.len()).unwrap_or(i64::MAX));
        observer(Event::Planned(work.len()));
        lock(&report).begin(&members, &work);
        let mut queues: HashMap<&str, VecDeque<(usize, Window)>> = HashMap::new();
        for (index, window) in work {
            let queue = queues.entry(&members[index].agent.account).or_default();
            queue.push_back((index, window));
        }

        // Accounts do not wait for each other, and one that fails harms no other.
        let stop = stop.child_token();
        let mut passes = JoinSet::new();
        for account in accounts {
            let queue = queues.remove(&*account.settings.name).unwrap_or_default();
            let pass = Pass::new(self, account, &members, queue, &report, observer, &stop);
            passes.spawn(pass.run());
        }
        passes
            .join_all()
            .await
            .into_iter()
            .collect::<Result<(), _>>()?;
        Ok(take(&report))
    }

    /// The agents of all accounts with their numbers, sorted by account and name; the same list for as
    /// long as they are the same. The accounts that are `asked` for their listings are so all at once: one that
    /// hangs adds to no other's wait.
    async fn members(
        &self,
        asked: &[Arc<Account>],
        report: &Mutex<Report>,
    ) -> Result<Arc<[Member]>, LedgerError> {
        let agents = self.accounts.iter().map(|account| {
            let ask = asked.iter().any(|asked| Arc::ptr_eq(asked, account));
            account.agents(&self.ledger, ask, report)
        });
        let mut agents: Vec<Agent> = try_join_all(agents).await?.into_iter().flatten().collect();
        agents.sort_by(|a, b| (&a.account, &a.name).cmp(&(&b.account, &b.name)));
        let known = Arc::clone(&lock(&self.members));
        if known.iter().map(|member| &member.agent).eq(&agents) {
            return Ok(known);
        }
        let identity = |agent: &Agent| (Arc::clone(&agent.account), Arc::clone(&agent.id));
        let numbers = self
            .ledger
            .register(agents.iter().map(identity).collect())
            .await?;
        let member = |(agent, number)| Member { agent, number };
        let members: Arc<[Member]> = agents.into_iter().zip(numbers).map(member).collect();
        *lock(&self.members) = Arc::clone(&members);
        Ok(members)
    }

    /// The windows to ask for, as indexes into `members`, in the order of asking.
    async fn plan(
        &self,
        wanted: &Wanted,
        accounts: &[Arc<Account>],
        members: &[Member],
    ) -> Result<Vec<(usize, Window)>, LedgerError> {
        let refresh = match wanted {
            Wanted::Windows(windows) => {
                let all = (0..members.len()).map(|index| (index, windows.clone()));
                return Ok(plan::newest_first(all));
            }
            Wanted::Due(refresh) => *refresh,
            Wanted::Keys => Refresh::NotFetchedToday,
        };
        let asked: HashSet<&str> = accounts
            .iter()
            .map(|account| &*account.settings.name)
            .collect();
        let today = self.clock.today();
        let mut plans = Vec::with_capacity(members.len());
        for members in members.chunks(PLANNED_AT_ONCE) {
            let numbers = members.iter().map(|member| member.number).collect();
            let known = self.ledger.coverage(numbers).await?;
            let plan = |known| plan::windows(self.policy, known, refresh, today);
            plans.extend(known.iter().map(plan));
        }
        let plans = plans.into_iter().enumerate();
        let plans = plans.filter(|(index, _)| asked.contains(&*members[*index].agent.account));
        Ok(plan::newest_first(plans))
    }
}

/// The guarded value. A panic elsewhere leaves counts that are still worth reporting.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take(report: &Mutex<Report>) -> Report {
    std::mem::take(&mut *lock(report))
}

/// The result of a task that is never aborted; if it panicked, so does this.
async fn join<T>(task: JoinHandle<T>) -> T {
    match task.await {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::ManualClock;
    use crate::day::TRACKING_START;
    use crate::flowgent::Roots;
    use crate::secret::SecretSource;

    #[tokio::test]
    async fn the_list_of_members_stays_the_same_until_an_agent_changes() {
        let folder = tempfile::tempdir().unwrap();
        let agents_file = folder.path().join("agents.json");
        std::fs::write(&agents_file, r#"["a", "b"]"#).unwrap();
        let policy = Policy {
            history_start: TRACKING_START,
            settle_days: 3,
        };
        let telemetry = Telemetry::new();
        let path = folder.path().join("ledger.db");
        let ledger = Ledger::open(&path, policy, &telemetry).unwrap();
        let account = AccountSettings {
            name: "acme".into(),
            api_key: SecretSource::File(folder.path().join("acme.key")),
            labels: Default::default(),
            discover: false,
            agents_file: Some(agents_file.clone()),
            agents: Vec::new(),
        };
        let api = flowgent::Settings {
            base_url: "http://127.0.0.1:9/".parse().unwrap(),
            timeout: Duration::from_secs(1),
            requests_per_second: 1.0,
            concurrency: 1,
            roots: Roots::Bundled,
        };
        let http = HttpClient::new(&api).unwrap();
        let syncer = || {
            let clock = ManualClock::at(TRACKING_START.plus(10).start());
            let (accounts, ledger) = (std::slice::from_ref(&account), ledger.clone());
            Syncer::new(
                accounts,
                policy,
                &api,
                &http,
                ledger,
                clock,
                telemetry.clone(),
            )
        };
        let first = syncer();
        let members = first.known_members().await.unwrap();
        assert_eq!(members.len(), 2);
        assert!(Arc::ptr_eq(&members, &first.known_members().await.unwrap()));
        let reloaded = syncer().following(&first);
        assert!(Arc::ptr_eq(
            &members,
            &reloaded.known_members().await.unwrap()
        ));

        std::fs::write(&agents_file, r#"["b", "c"]"#).unwrap();
        let changed = reloaded.known_members().await.unwrap();
        let ids: Vec<&str> = changed.iter().map(|member| &*member.agent.id).collect();
        assert_eq!(ids, ["b", "c"]);
        assert_eq!(changed[0].number, members[1].number);
    }
}
