//! Reading a ledger, also while another process writes it.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rusqlite::Connection;

use super::error::LedgerError;
use super::file::Place;
use super::reader::Reader;
use super::recent::Recent;
use super::{
    AgentHistory, AgentNumber, Alert, AlertMemory, AlertState, Backlog, DeliveryRecord,
    DisabledHook, GoneHook, Identity, LastTold, ListSource, Member, ProbeRun, ProbeTotal,
    PushTarget, Revision, Silence, Unpushed, agent_history, alert, hooks, list, members, outbox,
    probes, pushed, schema, silences, usage,
};
use crate::day::{Day, Usage};
use crate::roster::ListedAgent;
use crate::series::Totals;
use crate::window::Coverage;

/// A ledger that is only read, cloned freely. Each read sees one state of the ledger throughout.
#[derive(Debug, Clone)]
pub struct View {
    reader: Reader,
    /// Days that are kept in memory, if nobody else can write the ledger.
    recent: Option<Arc<Recent>>,
}

impl View {
    /// Opens the ledger at `path` to look at it, whoever may have it open to write. Blocks; changes
    /// nothing.
    ///
    /// # Errors
    /// There is no ledger at `path`, an older or a newer one, or it cannot be read.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let place = Place::existing(path)?;
        let connection = place.open_reader()?;
        let found = schema::version(&connection, &place)?;
        schema::must_be_current(found, &place)?;
        Ok(Self::new(Reader::new(path.into(), connection, None), None))
    }

    pub(super) fn new(reader: Reader, recent: Option<Arc<Recent>>) -> Self {
        Self { reader, recent }
    }

    pub(super) async fn close(&self) {
        self.reader.close().await;
    }

    transactions! {
        reader:
        /// The numbers of `agents`, in their order; none for one that never had any.
        ///
        /// # Errors
        /// The file could not be read.
        fn numbers in "numbers"(agents: Vec<Identity>) -> Vec<Option<AgentNumber>> =
            usage::numbers(&agents);

        /// The agents that are not among `members` and may have days from `from` on, with their last names and
        /// labels: those that left after it, and those that are there but are not asked for.
        ///
        /// # Errors
        /// The file could not be read.
        fn absent in "absent"(members: HashSet<AgentNumber>, from: Day) -> Vec<Member> =
            members::absent(&members, from);

        /// The latest time at which FlowGent was asked for an agent; none if it never was.
        ///
        /// # Errors
        /// The file could not be read.
        fn newest in "newest"() -> Option<DateTime<Utc>> = usage::newest();

        /// Planner's view of `agents`, in their order, with the first day that is asked for of
        /// each; the history start, if that is earlier. Cheap once they are settled; an agent whose oldest days
        /// are missing, or are asked for from before the history start, is listed day by day.
        ///
        /// # Errors
        /// An agent was not registered, or the file could not be read.
        fn coverage in "coverage"(agents: Vec<(AgentNumber, Day)>) -> Vec<Coverage> =
            usage::coverage(&agents);

        /// The known days of `agent` from `from` through `to`, ascending, also before the history start.
        ///
        /// # Errors
        /// The agent was not registered, or the file could not be read.
        fn usage in "usage"(agent: AgentNumber, from: Day, to: Day) -> Vec<Usage> =
            usage::usage(agent, from, to);

        /// The known days of each of `agents` from `from` on that were last fetched too early to be settled.
        ///
        /// # Errors
        /// The file could not be read.
        fn unsettled in "unsettled"(agents: Vec<AgentNumber>, from: Day) -> Vec<Vec<Day>> =
            usage::unsettled(&agents, from);

        /// All revisions of `agent`, by day and number.
        ///
        /// # Errors
        /// The agent was not registered, or the file could not be read.
        fn revisions in "revisions"(agent: AgentNumber) -> Vec<Revision> = usage::revisions(agent);

        /// Everything that is known of `agent`.
        ///
        /// # Errors
        /// The agent was not registered, or the file could not be read.
        fn agent_history in "agent_history"(agent: AgentNumber) -> AgentHistory =
            agent_history::read(agent);

        /// The list of an account's agents that was kept last, ordered by their identifiers; empty if
        /// none ever was.
        ///
        /// # Errors
        /// The file could not be read.
        fn list in "list"(account: Arc<str>, source: ListSource) -> Vec<ListedAgent> =
            list::read(&account, source);

        /// Everything that is remembered of alerts.
        ///
        /// # Errors
        /// The file could not be read.
        fn alert_memory in "alert_memory"() -> AlertMemory = alert::memory();

        /// When each hook was last told of each alert that fires.
        ///
        /// # Errors
        /// The file could not be read.
        fn last_told in "alerts"() -> LastTold = alert::last_told();

        /// Number of alerts in each state that any is in.
        ///
        /// # Errors
        /// The file could not be read.
        fn alert_counts in "alerts"() -> Vec<(AlertState, usize)> = alert::counts();

        /// The alerts that are in `state` since the shortest time, at most `limit`.
        ///
        /// # Errors
        /// The file could not be read.
        fn newest_alerts in "alerts"(state: AlertState, limit: usize) -> Vec<Alert> =
            alert::newest(state, limit);

        /// The alerts that fire or are about to, ordered by their keys, at most `limit` after the first
        /// `offset`; and how many there are in all.
        ///
        /// # Errors
        /// The file could not be read.
        fn active_alerts in "alerts"(offset: usize, limit: usize) -> (Vec<Alert>, usize) =
            alert::active(offset, limit);

        /// The newest deliveries, newest first, at most `limit`: all, or but those that were delivered.
        ///
        /// # Errors
        /// The file could not be read.
        fn deliveries in "deliveries"(all: bool, limit: usize) -> Vec<DeliveryRecord> =
            outbox::newest(all, limit);

        /// The silences of the day `today`, by rule and subject.
        ///
        /// # Errors
        /// The file could not be read.
        fn silences in "silences"(today: Day) -> Vec<Silence> = silences::active(today);

        /// Backlog of each hook that has one, ordered by their names.
        ///
        /// # Errors
        /// The file could not be read.
        fn backlogs in "backlogs"() -> Vec<Backlog> = outbox::backlogs();

        /// Alerts left open by hooks that are none of `names`, ordered by their names.
        ///
        /// # Errors
        /// The file could not be read.
        fn gone_hooks in "gone_hooks"(names: Vec<Arc<str>>) -> Vec<GoneHook> = hooks::gone(&names);

        /// The hooks that want nothing any more, ordered by their names.
        ///
        /// # Errors
        /// The file could not be read.
        fn disabled_hooks in "disabled_hooks"() -> Vec<DisabledHook> = outbox::disabled();

        /// The last runs of each probe, also of those that are gone from the config, newest first.
        ///
        /// # Errors
        /// The file could not be read.
        fn probe_runs in "probe_runs"() -> Vec<ProbeRun> = probes::runs();

        /// All runs of each probe, added up by outcome.
        ///
        /// # Errors
        /// The file could not be read.
        fn probe_totals in "probe_runs"() -> Vec<ProbeTotal> = probes::totals();

        /// Credits that probes used by the account and identifier of each agent that was asked, on the UTC days
        /// `from` through `to`, ascending. FlowGent counts them among the agent's use, a day later.
        ///
        /// # Errors
        /// The file could not be read.
        fn probe_use in "probe_use"(from: Day, to: Day) -> HashMap<Identity, Vec<Usage>> =
            probes::used(from, to);

        /// The history start that the totals follow from.
        ///
        /// # Errors
        /// The file could not be read.
        fn history_start in "history_start"() -> Day = schema::history_start();

        /// Days of each of `agents` from `from` through `to` that `target` has not taken, in their order.
        ///
        /// # Errors
        /// An agent was not registered, or the file could not be read.
        fn unpushed in "unpushed"(target: PushTarget, agents: Vec<AgentNumber>, days: [Day; 2]) -> Vec<Unpushed> =
            pushed::unpushed(target, &agents, days);

        /// Alerts that `hook` was told of and that fire, or have been over since `resolved_since` at the earliest, ordered
        /// by their keys. Leaves out alerts whose first message is pending, and alerts that are silenced on the day
        /// `today`. Empty if the hook is disabled.
        ///
        /// # Errors
        /// The file could not be read.
        fn alerts_of_hook in "alerts_of_hook"(hook: Arc<str>, resolved_since: DateTime<Utc>, today: Day) -> Vec<Alert> =
            alert::of_hook(&hook, resolved_since, today);

        /// The pending deliveries of `hook` that are due at `now`, oldest first, at most `limit`, each with those of its
        /// alerts of which its receiver has no newer news. One that shares an alert with an older pending one of the same
        /// hook and target waits for it, also while that one waits for its next try. One whose alerts are all silenced is
        /// not due, and nothing waits for it. None for a hook that wants nothing any more.
        ///
        /// # Errors
        /// The file could not be read.
        fn due_deliveries in "due_deliveries"(hook: Arc<str>, now: DateTime<Utc>, limit: usize) -> Vec<DeliveryRecord> =
            outbox::due(&hook, now, limit);
    }

    /// Names of those below.
    pub(super) const OTHERS: &'static [&'static str] = &["snapshot", "usage"];

    /// Results of `visit` for each of `agents`, in their order. It is shown the history start that the
    /// totals follow from, one agent's totals, and its known days from `recent_from` on, ascending, on
    /// a blocking thread. All that is shown of an agent belongs to the same state of the ledger. Days before
    /// the history start are shown, too.
    ///
    /// # Errors
    /// An agent was not registered, or the file could not be read.
    pub async fn snapshot<T: Send + 'static>(
        &self,
        agents: Vec<AgentNumber>,
        recent_from: Day,
        visit: impl FnMut(Day, &Totals, &[Usage]) -> T + Send + 'static,
    ) -> Result<Vec<T>, LedgerError> {
        self.shown(agents, (recent_from, false), visit).await
    }

    /// The same, for one who looks again and again: the days are kept in memory, as far as there is room.
    ///
    /// # Errors
    /// An agent was not registered, or the file could not be read.
    pub async fn watch<T: Send + 'static>(
        &self,
        agents: Vec<AgentNumber>,
        recent_from: Day,
        visit: impl FnMut(Day, &Totals, &[Usage]) -> T + Send + 'static,
    ) -> Result<Vec<T>, LedgerError> {
        self.shown(agents, (recent_from, true), visit).await
    }

    async fn shown<T: Send + 'static>(
        &self,
        agents: Vec<AgentNumber>,
        from: (Day, bool),
        visit: impl FnMut(Day, &Totals, &[Usage]) -> T + Send + 'static,
    ) -> Result<Vec<T>, LedgerError> {
        let recent = self.recent.clone();
        self.reader
            .run("snapshot", move |connection| match recent {
                Some(recent) => recent.snapshot(connection, &agents, from, visit),
                None => usage::snapshot(connection, &agents, from.0, visit),
            })
            .await
    }

    /// Results of `visit` for the known days of each of `agents` from `from` through `to`, in their order.
    /// The days ascend, also those before the history start; `visit` runs on a blocking thread, and all
    /// that it is shown belongs to the same state of the ledger.
    ///
    /// # Errors
    /// An agent was not registered, or the file could not be read.
    pub async fn each_usage<T: Send + 'static>(
        &self,
        agents: Vec<AgentNumber>,
        from: Day,
        to: Day,
        mut visit: impl FnMut(&[Usage]) -> T + Send + 'static,
    ) -> Result<Vec<T>, LedgerError> {
        self.reader
            .run("usage", move |connection| {
                let visited = agents.iter().map(|agent| {
                    let days = usage::usage(connection, *agent, from, to)?;
                    Ok(visit(&days))
                });
                visited.collect()
            })
            .await
    }
}
