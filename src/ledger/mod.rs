//! The ledger: what is known of every agent's days, kept in one SQLite file.
//!
//! A [`Ledger`] has one thread that writes and one connection that reads, so neither waits for the
//! other. A window is committed whole, with the revisions, sums and watermarks that follow from it,
//! and is on the disk before its caller hears of it; a process that is killed loses the windows in
//! flight and nothing else. Sums are kept with each agent, so that no start reads the history.
//!
//! Beside the days stand the alerts that are remembered and the outbox: what is to be told of them, kept
//! until it is taken. What was decided and what is to be told of it are committed together, so neither
//! is ever there without the other.
//!
//! Days that databases have taken of the history are recorded here too, so that each value is pushed and none is
//! pushed again and again.
//!
//! Others may look at the file meanwhile, in this process or another one ([`View`]), and have
//! deliveries tried again ([`retry()`]).
//!
//! SQL is written in this room and nowhere else.

/// Transactions, a method for each: its name in the metrics, what it takes and gives, and the function that does it
/// on a connection.
macro_rules! transactions {
    ($thread:ident: $($(#[$about:meta])* fn $method:ident in $name:literal
        ($($given:ident: $type:ty),*) -> $result:ty = $room:ident::$work:ident($($taken:expr),*);)*) => {
        /// Names of transactions.
        pub(super) const TRANSACTIONS: &'static [&'static str] = &[$($name),*];
        $(
            $(#[$about])*
            pub async fn $method(&self, $($given: $type),*) -> Result<$result, LedgerError> {
                let work = move |connection: &Connection| $room::$work(connection, $($taken),*);
                self.$thread.run($name, work).await
            }
        )*
    };
}

mod agent_history;
mod alert;
mod alert_key;
mod anchor;
mod backup;
mod check;
mod commit;
mod delivery;
mod error;
mod file;
mod hooks;
mod list;
mod metrics;
mod members;
mod outbox;
mod probes;
mod pushed;
mod reader;
mod recent;
mod retry;
mod schema;
mod silences;
mod standing;
mod summaries;
#[cfg(test)]
pub(crate) mod tests;
mod usage;
mod view;
mod watched;
mod writer;

use std::fmt;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rusqlite::Connection;

pub use agent_history::{AgentHistory, FetchedDay};
pub use alert::{Alert, AlertChanges, AlertMemory, AlertState, LastTold};
pub use alert_key::AlertKey;
pub use backup::{BackupProgress, backup};
pub use check::{Report, check};
pub use delivery::{
    Attempt, Backlog, Delivery, DeliveryRecord, DeliveryState, DisabledHook, Overdue,
};
pub use error::{Fault, LedgerError};
pub use hooks::{AdoptedHooks, GoneHook, HookIdentity};
pub use list::{ListChange, ListSource, UNLISTED_DAYS};
pub use members::{Enrolled, Enrolment};
pub use metrics::LedgerMetrics;
pub(crate) use outbox::{LONGEST_REST, RETRY_DAYS, SCHEDULED_TRIES};
pub use probes::{
    KEPT_RUNS, PlannedRun, ProbeOutcome, ProbeResult, ProbeRun, ProbeTotal, RunNumber,
};
pub use pushed::{PushTarget, Pushed, Unpushed, UnpushedDay};
pub use retry::{Which, retry};
pub use silences::{Silence, silence, unsilence};
pub use summaries::{NextSummaries, NextSummary, SummaryKey};
pub use view::View;
pub use watched::{JUDGED_DAYS, Judged, JudgedDays, JudgedKey, Watched};

use crate::clock;
use crate::day::{Day, Usage};
use crate::roster::{Agent, ListedAgent};
use crate::series::Totals;
use crate::telemetry::Telemetry;
use crate::window::Window;
use crate::window::plan::Policy;
use file::{Lock, Place};
use reader::Reader;
use recent::Recent;
use writer::Writer;

/// Names of all transactions, as they stand in metrics.
fn transaction_names() -> impl Iterator<Item = &'static str> {
    let names = [
        Ledger::TRANSACTIONS,
        Ledger::OTHERS,
        View::TRANSACTIONS,
        View::OTHERS,
    ];
    names.into_iter().flatten().copied()
}

/// Says whether this process may write the ledger at `path`, or make it, without touching anything. Blocks.
///
/// # Errors
/// Why not, and what to do about it.
pub fn may_be_written(path: &Path) -> Result<(), LedgerError> {
    Place::may_be_written(path)
}

/// Path of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its file. The write-ahead log and the lock stand beside it.
    pub path: PathBuf,
}

/// Identity of an agent in the ledger: the name of its account and FlowGent's identifier of it.
pub type Identity = (Arc<str>, Arc<str>);

/// The ledger's own number of an agent, the same for as long as the file exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentNumber(pub(crate) i64);

impl fmt::Display for AgentNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An agent and its number in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The agent.
    pub agent: Agent,
    /// Its number in the ledger.
    pub number: AgentNumber,
    /// The day since which the list that named it no longer does; none if it is named.
    pub unlisted_since: Option<Day>,
    /// The day on which it left; none if it has not.
    pub left_on: Option<Day>,
}

impl Member {
    /// An agent that is there.
    #[must_use]
    pub const fn present(agent: Agent, number: AgentNumber) -> Self {
        Self {
            agent,
            number,
            unlisted_since: None,
            left_on: None,
        }
    }
}

/// A validated answer of the API, ready to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Fetched {
    /// The agent.
    pub agent: AgentNumber,
    /// The window that was asked for.
    pub window: Window,
    /// The days that came: inside the window, each once, in any order, finite and not negative.
    pub rows: Vec<Usage>,
    /// Time of the answer, by the clock that is behind if they differ: the days settle by it.
    pub at: DateTime<Utc>,
}

/// Changes by a commit.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Committed {
    /// Days that were not known before, ascending.
    pub inserted: Vec<Day>,
    /// Days whose value was another one before, ascending.
    pub revisions: Vec<Revision>,
    /// Number of days that came with the value that they had.
    pub confirmed: usize,
}

/// A change of a day's value after it was first known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Revision {
    /// The day.
    pub day: Day,
    /// 1 for the first revision of that day, and so on without gaps.
    pub number: u32,
    /// Credits before.
    pub old: f64,
    /// Credits after.
    pub new: f64,
    /// Time at which it was seen.
    pub at: DateTime<Utc>,
}

/// An open ledger, cloned freely. See the [module](self) for what it promises. Whatever can be read in
/// a [`View`] can be read here.
#[derive(Debug, Clone)]
pub struct Ledger {
    instance: u64,
    writer: Writer,
    view: View,
    recent: Arc<Recent>,
}

/// A ledger is a view that can also write. Each read is thus written once, for both, and a function that takes a
/// `&View` does not write.
impl Deref for Ledger {
    type Target = View;

    fn deref(&self) -> &View {
        &self.view
    }
}

impl Ledger {
    /// Opens the ledger at `path`, which is created if nothing is there, along with the directory it
    /// is in. Blocks. If `policy` is not that of the last time, all sums are computed anew.
    ///
    /// # Errors
    /// Another process has it open, it is no ledger, a newer or a damaged one, or the operating
    /// system refuses. What is there is never replaced.
    pub fn open(path: &Path, policy: Policy, telemetry: &Telemetry) -> Result<Self, LedgerError> {
        let metrics = telemetry.of::<LedgerMetrics>();
        transaction_names().for_each(|transaction| metrics.add(transaction));
        let place = Place::existing_or_new(path)?;
        let lock = Lock::take(&place)?;
        place.create()?;
        let mut connection = place.open_writer()?;
        let found = schema::version(&connection, &place)?;
        place.configure_writer(&connection)?;
        let started = clock::instant();
        let instance = writer::in_transaction(&mut connection, |connection| {
            schema::migrate(connection, found)?;
            commit::configure(connection, policy)?;
            Ok(schema::instance(connection)?)
        })
        .map_err(|fault| fault.at(path))?;
        metrics.took("configure", started.elapsed().as_secs_f64());
        let reader = Reader::new(path.into(), place.open_reader()?, Some(metrics.clone()));
        let writer = Writer::start(place, connection, lock, metrics)?;
        let recent = Arc::<Recent>::default();
        Ok(Self {
            instance,
            writer,
            view: View::new(reader, Some(Arc::clone(&recent))),
            recent,
        })
    }

    /// A random number that was drawn when the file was created.
    #[must_use]
    pub fn instance(&self) -> u64 {
        self.instance
    }

    transactions! {
        writer:
        /// The numbers of `agents`, in their order. Agents that are new get one.
        ///
        /// # Errors
        /// The file could not be read or written.
        fn register in "register"(agents: Vec<Identity>) -> Vec<AgentNumber> =
            usage::register(&agents);

        /// Takes over who is there: gives numbers to those who are new, keeps names and labels, and notes who
        /// has left.
        ///
        /// # Errors
        /// The file could not be read or written.
        fn enrol in "enrol"(enrolment: Enrolment) -> Enrolled = members::enrol(&enrolment);

        /// Keeps a list of an account's agents as of the day `today`. Agents that it no longer names are kept,
        /// marked, for [`UNLISTED_DAYS`]; for as long as it is not whole. One that is the same
        /// writes nothing. Returns all that are kept, ordered by their identifiers.
        ///
        /// # Errors
        /// The file could not be read or written.
        fn save_list in "save_list"(account: Arc<str>, source: ListSource, change: ListChange) -> Vec<ListedAgent> =
            list::save(&account, source, &change);

        /// Keeps what an evaluation of the rules has changed, with what is to be told of it: all or
        /// nothing, and on the disk when this returns. Forgets what was old at `now`: alerts of periods that began, and
        /// were over, 400 days before.
        ///
        /// # Errors
        /// The file could not be read or written, or there is a delivery of one of these ids already; then
        /// nothing of it is kept.
        fn record_alerts in "record_alerts"(changes: AlertChanges, now: DateTime<Utc>) -> () =
            alert::record(&changes, now);

        /// Notes what a try of the delivery `id` at `at` came to, and says where that leaves the delivery. What
        /// has ended stays as it ended, so noting the same again does no harm. No next try is planned later than
        /// a day after `at`.
        ///
        /// # Errors
        /// There is no such delivery, or the file could not be read or written.
        fn record_attempt in "record_attempt"(id: Arc<str>, attempt: Attempt, at: DateTime<Utc>) -> DeliveryState =
            outbox::record_attempt(&id, &attempt, at);

        /// Takes `hooks` for those that there are from now on. One with a new name and the identity of a single
        /// one that is gone takes over what this one was told and what waits for it; one that leads elsewhere is no
        /// longer disabled.
        ///
        /// # Errors
        /// The file could not be read or written; then nothing has changed.
        fn adopt_hooks in "adopt_hooks"(hooks: Vec<HookIdentity>) -> AdoptedHooks =
            hooks::adopt(&hooks);

        /// Gives up deliveries that nobody has taken for 30 days, and says which; forgets those that ended 90 days
        /// before `now`; and takes what was written by a clock that ran ahead for written now. To be called only
        /// while the clock is trusted.
        ///
        /// # Errors
        /// The file could not be read or written.
        fn tidy_deliveries in "tidy_deliveries"(now: DateTime<Utc>) -> Vec<Overdue> =
            outbox::tidy(now);

        /// Notes that a hook wants nothing any more: from now on nothing is due for it. What waits for it
        /// goes on waiting, until somebody has it [tried again](retry()).
        ///
        /// # Errors
        /// The file could not be read or written.
        fn disable_hook in "disable_hook"(disabled: DisabledHook) -> () = outbox::disable(&disabled);

        /// Keeps a run of a probe that is about to begin at `now`, and gives it a number. Only then may its
        /// question be asked. None if it must not be: its time was asked for before, or lies before one that was.
        ///
        /// # Errors
        /// The file could not be read or written.
        fn begin_probe in "begin_probe"(run: PlannedRun, now: DateTime<Utc>) -> Option<RunNumber> =
            probes::begin(&run, now);

        /// Keeps the end of a run of a probe at the instant `at`, once.
        ///
        /// # Errors
        /// The file could not be read or written.
        fn end_probe in "end_probe"(run: RunNumber, result: ProbeResult, at: DateTime<Utc>) -> () =
            probes::end(run, &result, at);

        /// Ends all runs of probes that are still open, and says how many: to be called before any begins.
        ///
        /// # Errors
        /// The file could not be read or written.
        fn interrupt_probes in "end_probe"(now: DateTime<Utc>) -> usize = probes::interrupt(now);

        /// The database of that identity, which has taken nothing if it was not known before.
        ///
        /// # Errors
        /// The file could not be read or written.
        fn push_target in "push_target"(identity: String) -> PushTarget = pushed::target(&identity);

        /// Notes what `target` has taken, all or nothing, and from which day on it was seen to keep it, if it
        /// was looked.
        ///
        /// # Errors
        /// The target is forgotten, or the file could not be written.
        fn record_pushed in "record_pushed"(target: PushTarget, values: Vec<Pushed>, read_back_from: Option<Day>) -> () =
            pushed::record(target, &values, read_back_from);

        /// Forgets the database of that identity, so that everything is to be pushed to it again.
        ///
        /// # Errors
        /// The file could not be written.
        fn forget_pushed in "forget_pushed"(identity: String) -> () = pushed::forget(&identity);
    }

    /// Names of the transactions below.
    const OTHERS: &'static [&'static str] = &["configure", "record"];

    /// Changes the policy that frontiers, sums and watermarks follow from, all at once. Costs a scan
    /// of all days if it differs from the present one, and nothing otherwise.
    ///
    /// # Errors
    /// The file could not be read or written.
    pub async fn configure(&self, policy: Policy) -> Result<(), LedgerError> {
        let work = move |connection: &Connection| commit::configure(connection, policy);
        let recent = Arc::clone(&self.recent);
        let done = move |(): &()| recent.clear();
        self.writer.run_then("configure", work, done).await
    }

    /// Keeps an answer. Returns when it is on the disk, with everything that follows from it.
    ///
    /// # Errors
    /// The agent was not registered, or the file could not be read or written; then nothing of it
    /// is kept.
    pub async fn commit(&self, fetched: Fetched) -> Result<Committed, LedgerError> {
        let fetched = Arc::new(fetched);
        let answer = Arc::clone(&fetched);
        let work = move |connection: &Connection| commit::commit(connection, &answer);
        let recent = Arc::clone(&self.recent);
        let done = move |(_, totals): &(Committed, Totals)| {
            recent.committed(fetched.agent, *totals, &fetched.rows);
        };
        let (committed, _) = self.writer.run_then("record", work, done).await?;
        Ok(committed)
    }

    /// Notes that a fetch of `agent` failed at the instant `at`.
    ///
    /// # Errors
    /// The agent was not registered, or the file could not be read or written.
    pub async fn record_failure(
        &self,
        agent: AgentNumber,
        at: DateTime<Utc>,
    ) -> Result<(), LedgerError> {
        let work = move |connection: &Connection| commit::record_failure(connection, agent, at);
        let recent = Arc::clone(&self.recent);
        let done = move |totals: &Totals| recent.committed(agent, *totals, &[]);
        self.writer.run_then("record", work, done).await?;
        Ok(())
    }

    /// Waits for the writing thread to answer, which it does between two transactions.
    ///
    /// # Errors
    /// The ledger is closed, or a file of it was removed or replaced.
    pub async fn ping(&self) -> Result<(), LedgerError> {
        self.writer.ping().await
    }

    /// Finishes what is queued, moves the log into the file and lets go of it. Clones of this ledger
    /// then answer with [`Fault::Closed`].
    pub async fn close(&self) {
        // The writer goes last: the last connection to leave tidies up.
        self.view.close().await;
        self.writer.close().await;
    }
}
