//! One sync is one pass over all agents: plan → fetch → validate → commit.
//!
//! A [`Syncer`] does one pass when it is told to; [`worker`] tells it, by the [`schedule`]. Whatever
//! goes wrong in a pass stays with the account, agent or window that it concerns, is told once in the
//! [`Report`], and is planned again by the next pass, because the plan is made from what is missing.

pub mod cron;
mod pass;
mod report;
pub mod schedule;
pub mod worker;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::future::join_all;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::clock::SharedClock;
use crate::day::Day;
use crate::flowgent;
use crate::flowgent::client::Client;
use crate::flowgent::error::ApiError;
use crate::flowgent::transport::HttpClient;
use crate::ledger::{AgentNumber, Ledger, LedgerError};
use crate::roster::{self, AccountSettings, Agent, ListedAgent};
use crate::telemetry::{self, Telemetry};
use crate::window::Window;
use crate::window::plan::{self, Policy, Refresh};

use pass::{Pass, lock};
pub use report::{MemberReport, Outcome, Problem, Report};

/// So many agents are planned for at once: one whose history is half filled is listed day by day.
const PLANNED_AT_ONCE: usize = 5_000;

/// An agent and its number in the ledger.
#[derive(Debug, Clone)]
pub struct Member {
    /// The agent.
    pub agent: Agent,
    /// Its number in the ledger.
    pub number: AgentNumber,
}

/// What a sync is to ask for.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// What is missing, and unsettled days as the value says.
    Due(Refresh),
    /// These windows of every agent, known or not.
    Windows(Vec<Window>),
}

/// What happens during a sync, for whoever shows it.
#[derive(Debug, Clone)]
pub enum Event {
    /// All agents of all accounts, as of now, and the first day that is of interest of them.
    Members(Arc<[Member]>, Day),
    /// So many windows will be asked for.
    Planned(usize),
    /// A window of this agent is in the ledger.
    Committed(AgentNumber),
    /// The ledger knows that a window of this agent could not be had.
    Failed(AgentNumber),
    /// So many planned windows are left to a later sync.
    Left(usize),
    /// The sync is over.
    Ended(Outcome),
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
}

/// An account as it is worked with.
#[derive(Debug)]
struct Account {
    settings: AccountSettings,
    client: Client,
    concurrency: usize,
    /// The agents that `agents_file` last held.
    from_file: Mutex<Vec<ListedAgent>>,
    /// What was last said about lists of agents, which is said again only when it changes.
    warnings: Mutex<Vec<String>>,
    /// Whether its key was refused the last time it was tried.
    refused: AtomicBool,
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
        let accounts = accounts
            .iter()
            .map(|settings| {
                let name = Arc::clone(&settings.name);
                Arc::new(Account {
                    settings: settings.clone(),
                    client: Client::new(http, api, name, &telemetry, Arc::clone(&clock)),
                    concurrency: api.concurrency,
                    from_file: Mutex::default(),
                    warnings: Mutex::default(),
                    refused: AtomicBool::new(false),
                })
            })
            .collect();
        Self {
            accounts,
            policy,
            ledger,
            clock,
            telemetry,
        }
    }

    /// All agents that are known without asking anybody: from the config, from lists in files, and as
    /// FlowGent listed them last. Sorted by account and name.
    ///
    /// # Errors
    /// The ledger could not be read or written.
    pub async fn known_members(&self) -> Result<Arc<[Member]>, LedgerError> {
        let mut agents = Vec::new();
        for account in &self.accounts {
            let listed = self.last_listing(account).await?;
            agents.extend(account.roster(listed, &mut Report::default()));
        }
        self.register(agents).await
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
        let clock = crate::clock::instant();
        let result = self.pass(wanted, observer, stop).await.map(|mut report| {
            report.took = clock.elapsed();
            report.interrupted = stop.is_cancelled();
            report
        });
        let outcome = result.as_ref().map_or(Outcome::Failed, Report::outcome);
        self.telemetry
            .syncs
            .with_label_values(&[outcome.as_str()])
            .inc();
        self.telemetry
            .sync_last_duration
            .set(clock.elapsed().as_secs_f64());
        self.telemetry
            .sync_last_end_timestamp
            .set(telemetry::seconds(self.clock.now()));
        self.telemetry.sync_running.set(0);
        result
    }

    async fn pass(
        &self,
        wanted: &Wanted,
        observer: &Observer,
        stop: &CancellationToken,
    ) -> Result<Report, LedgerError> {
        let mut report = Report::default();
        let mut agents = Vec::new();
        for account in &self.accounts {
            account.read_key(&mut report);
        }
        // All at once, so that one that hangs does not add to the wait for another.
        let listings = join_all(self.accounts.iter().map(|account| account.list())).await;
        for (account, listing) in self.accounts.iter().zip(listings) {
            let listed = self.listing(account, listing, &mut report).await?;
            agents.extend(account.roster(listed, &mut report));
        }
        let members = self.register(agents).await?;
        observer(Event::Members(
            Arc::clone(&members),
            self.policy.history_start,
        ));

        let work = self.plan(wanted, &members).await?;
        self.telemetry.windows_planned.inc_by(work.len() as u64);
        self.telemetry
            .windows_left
            .set(i64::try_from(work.len()).unwrap_or(i64::MAX));
        observer(Event::Planned(work.len()));
        report.begin(&members, &work);

        // Accounts do not wait for each other, and one that fails harms no other.
        let report = Arc::new(Mutex::new(report));
        let stop = stop.child_token();
        let mut passes = JoinSet::new();
        for account in &self.accounts {
            let is_ours = |index: usize| members[index].agent.account == account.settings.name;
            let queue = work
                .iter()
                .filter(|(index, _)| is_ours(*index))
                .copied()
                .collect();
            let pass = Pass::new(self, account, &members, queue, &report, observer, &stop);
            passes.spawn(pass.run());
        }
        passes
            .join_all()
            .await
            .into_iter()
            .collect::<Result<(), _>>()?;
        let report = std::mem::take(&mut *lock(&report));
        Ok(report)
    }

    /// The windows to ask for, as indexes into `members`, in the order of asking.
    async fn plan(
        &self,
        wanted: &Wanted,
        members: &[Member],
    ) -> Result<Vec<(usize, Window)>, LedgerError> {
        let refresh = match wanted {
            Wanted::Windows(windows) => {
                let all = (0..members.len()).map(|index| (index, windows.clone()));
                return Ok(plan::newest_first(all));
            }
            Wanted::Due(refresh) => *refresh,
        };
        let today = self.clock.today();
        let numbers: Vec<AgentNumber> = members.iter().map(|member| member.number).collect();
        let mut plans = Vec::with_capacity(numbers.len());
        for numbers in numbers.chunks(PLANNED_AT_ONCE) {
            let known = self.ledger.coverage(numbers.to_vec()).await?;
            let plan = |known| plan::windows(self.policy, known, refresh, today);
            plans.extend(known.iter().map(plan));
        }
        Ok(plan::newest_first(plans.into_iter().enumerate()))
    }

    async fn register(&self, mut agents: Vec<Agent>) -> Result<Arc<[Member]>, LedgerError> {
        agents.sort_by(|a, b| (&a.account, &a.name).cmp(&(&b.account, &b.name)));
        let identities = agents
            .iter()
            .map(|agent| (Arc::clone(&agent.account), Arc::clone(&agent.id)))
            .collect();
        let numbers = self.ledger.register(identities).await?;
        Ok(agents
            .into_iter()
            .zip(numbers)
            .map(|(agent, number)| Member { agent, number })
            .collect())
    }

    /// FlowGent's listing of the account's agents: this one, or if it could not be had, the last.
    async fn listing(
        &self,
        account: &Account,
        listing: Result<Vec<ListedAgent>, ApiError>,
        report: &mut Report,
    ) -> Result<Vec<ListedAgent>, LedgerError> {
        let name = &account.settings.name;
        match listing {
            Ok(listed) if account.settings.discover => {
                account.refused.store(false, Ordering::Relaxed);
                self.ledger
                    .save_listing(Arc::clone(name), listed.clone())
                    .await?;
                Ok(listed)
            }
            Ok(_) => Ok(Vec::new()),
            Err(error) => {
                account
                    .refused
                    .store(error.is_account_wide(), Ordering::Relaxed);
                report.account_problem(name, error.outcome(), &format!("listing agents: {error}"));
                self.last_listing(account).await
            }
        }
    }

    /// The last listing that could be had, which may be none.
    async fn last_listing(&self, account: &Account) -> Result<Vec<ListedAgent>, LedgerError> {
        if !account.settings.discover {
            return Ok(Vec::new());
        }
        self.ledger
            .listing(Arc::clone(&account.settings.name))
            .await
    }
}

impl Account {
    /// Reads the key again, so that it can be rotated while the program runs. A key that was read
    /// before stays in use while there is no other: it may well still be good.
    fn read_key(&self, report: &mut Report) {
        match self.settings.api_key.read() {
            Ok(key) => {
                if let Err(error) = self.client.set_key(key) {
                    report.account_problem(&self.settings.name, error.outcome(), &error);
                }
            }
            Err(error) => report.account_problem(&self.settings.name, "key_unreadable", &error),
        }
    }

    /// Has FlowGent list the account's agents, if that is wanted.
    async fn list(&self) -> Result<Vec<ListedAgent>, ApiError> {
        if self.settings.discover {
            self.client.list_agents().await
        } else {
            Ok(Vec::new())
        }
    }

    /// The account's agents from all sources. The list in the file is read again at every sync; while
    /// it cannot be read, the last one that could be is used.
    fn roster(&self, listed: Vec<ListedAgent>, report: &mut Report) -> Vec<Agent> {
        let name = &self.settings.name;
        let mut from_file = lock(&self.from_file);
        match self
            .settings
            .agents_file
            .as_deref()
            .map(roster::read_agents)
        {
            None => {}
            Some(Ok(agents)) => *from_file = agents,
            Some(Err(error)) => report.account_problem(name, "agents_file", &error),
        }
        let roster = roster::resolve(&self.settings, from_file.clone(), listed);
        let mut told = lock(&self.warnings);
        for warning in &roster.warnings {
            if !told.contains(warning) {
                warn!(account = %name, "{warning}");
            }
        }
        *told = roster.warnings;
        roster.agents
    }
}
