//! Reading a ledger, also while another process writes it.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::error::LedgerError;
use super::file::Place;
use super::reader::Reader;
use super::{
    ABSENT, AGENT_HISTORY, ALERT_MEMORY, ALERTS, ALERTS_OF_HOOK, AgentHistory, AgentNumber, Alert,
    AlertMemory, AlertState, BACKLOGS, Backlog, COVERAGE, DELIVERIES, DISABLED_HOOKS,
    DUE_DELIVERIES, DeliveryRecord, DisabledHook, GONE_HOOKS, GoneHook, HISTORY_START, Identity,
    LIST, ListSource, Member, NEWEST, NUMBERS, PushTarget, REVISIONS, Revision, SNAPSHOT, UNPUSHED,
    USAGE, Unpushed, agent_history, alert, hooks, list, members, outbox, pushed, schema, usage,
};
use crate::day::{Day, Usage};
use crate::roster::ListedAgent;
use crate::series::Totals;
use crate::window::Coverage;

/// A ledger that is only read, cloned freely. Each read sees one state of the ledger throughout.
#[derive(Debug, Clone)]
pub struct View {
    reader: Reader,
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
        Ok(Self::new(Reader::new(path.into(), connection, None)))
    }

    pub(super) fn new(reader: Reader) -> Self {
        Self { reader }
    }

    pub(super) async fn close(&self) {
        self.reader.close().await;
    }

    /// The numbers of `agents`, in their order; none for one that never had any.
    ///
    /// # Errors
    /// The file could not be read.
    pub async fn numbers(
        &self,
        agents: Vec<Identity>,
    ) -> Result<Vec<Option<AgentNumber>>, LedgerError> {
        self.reader
            .run(NUMBERS, move |connection| {
                usage::numbers(connection, &agents)
            })
            .await
    }

    /// The agents that are not among `members` and may have days from `from` on, with their last names and
    /// labels: those that left after it, and those that are there but are not asked for.
    ///
    /// # Errors
    /// The file could not be read.
    pub async fn absent(
        &self,
        members: HashSet<AgentNumber>,
        from: Day,
    ) -> Result<Vec<Member>, LedgerError> {
        self.reader
            .run(ABSENT, move |connection| {
                members::absent(connection, &members, from)
            })
            .await
    }

    /// The history start that the totals follow from.
    ///
    /// # Errors
    /// The file could not be read.
    pub async fn history_start(&self) -> Result<Day, LedgerError> {
        self.reader
            .run(HISTORY_START, |connection| {
                Ok(schema::policy(connection)?.history_start)
            })
            .await
    }

    /// The latest time at which FlowGent was asked for an agent; none if it never was.
    ///
    /// # Errors
    /// The file could not be read.
    pub async fn newest(&self) -> Result<Option<DateTime<Utc>>, LedgerError> {
        self.reader.run(NEWEST, usage::newest).await
    }

    /// Planner's view of `agents`, in their order, with the first day that is asked for of
    /// each; the history start, if that is earlier. Cheap once they are settled; an agent whose oldest days
    /// are missing, or are asked for from before the history start, is listed day by day.
    ///
    /// # Errors
    /// An agent was not registered, or the file could not be read.
    pub async fn coverage(
        &self,
        agents: Vec<(AgentNumber, Day)>,
    ) -> Result<Vec<Coverage>, LedgerError> {
        self.reader
            .run(COVERAGE, move |connection| {
                usage::coverage(connection, &agents)
            })
            .await
    }

    /// Results of `visit` for each of `agents`, in their order. It is shown the history start that the
    /// totals follow from, one agent's totals, and its known days from `recent_from` on, ascending, on
    /// a blocking thread; all that it is shown belongs to the same state of the ledger. Days before
    /// the history start are shown, too.
    ///
    /// # Errors
    /// An agent was not registered, or the file could not be read.
    pub async fn snapshot<T, V>(
        &self,
        agents: Vec<AgentNumber>,
        recent_from: Day,
        visit: V,
    ) -> Result<Vec<T>, LedgerError>
    where
        T: Send + 'static,
        V: FnMut(Day, &Totals, &[Usage]) -> T + Send + 'static,
    {
        self.reader
            .run(SNAPSHOT, move |connection| {
                usage::snapshot(connection, &agents, recent_from, visit)
            })
            .await
    }

    /// The known days of `agent` from `from` through `to`, ascending, also before the history start.
    ///
    /// # Errors
    /// The agent was not registered, or the file could not be read.
    pub async fn usage(
        &self,
        agent: AgentNumber,
        from: Day,
        to: Day,
    ) -> Result<Vec<Usage>, LedgerError> {
        self.reader
            .run(USAGE, move |connection| {
                usage::usage(connection, agent, from, to)
            })
            .await
    }

    /// Results of `visit` for the known days of each of `agents` from `from` through `to`, in their order.
    /// The days ascend, also those before the history start; `visit` runs on a blocking thread, and all
    /// that it is shown belongs to the same state of the ledger.
    ///
    /// # Errors
    /// An agent was not registered, or the file could not be read.
    pub async fn each_usage<T, V>(
        &self,
        agents: Vec<AgentNumber>,
        from: Day,
        to: Day,
        mut visit: V,
    ) -> Result<Vec<T>, LedgerError>
    where
        T: Send + 'static,
        V: FnMut(&[Usage]) -> T + Send + 'static,
    {
        self.reader
            .run(USAGE, move |connection| {
                let visited = agents.iter().map(|agent| {
                    let days = usage::usage(connection, *agent, from, to)?;
                    Ok(visit(&days))
                });
                visited.collect()
            })
            .await
    }

    /// All revisions of `agent`, by day and number.
    ///
    /// # Errors
    /// The agent was not registered, or the file could not be read.
    pub async fn revisions(&self, agent: AgentNumber) -> Result<Vec<Revision>, LedgerError> {
        self.reader
            .run(REVISIONS, move |connection| {
                usage::revisions(connection, agent)
            })
            .await
    }

    /// Everything that is known of `agent`.
    ///
    /// # Errors
    /// The agent was not registered, or the file could not be read.
    pub async fn agent_history(&self, agent: AgentNumber) -> Result<AgentHistory, LedgerError> {
        self.reader
            .run(AGENT_HISTORY, move |connection| {
                agent_history::read(connection, agent)
            })
            .await
    }

    /// Days of each of `agents` from `from` through `to` that `target` has not taken, in their order.
    ///
    /// # Errors
    /// An agent was not registered, or the file could not be read.
    pub async fn unpushed(
        &self,
        target: PushTarget,
        agents: Vec<AgentNumber>,
        [from, to]: [Day; 2],
    ) -> Result<Vec<Unpushed>, LedgerError> {
        self.reader
            .run(UNPUSHED, move |connection| {
                agents
                    .iter()
                    .map(|agent| pushed::unpushed(connection, target, *agent, [from, to]))
                    .collect()
            })
            .await
    }

    /// The list of an account's agents that was kept last, ordered by their identifiers; empty if
    /// none ever was.
    ///
    /// # Errors
    /// The file could not be read.
    pub async fn list(
        &self,
        account: Arc<str>,
        source: ListSource,
    ) -> Result<Vec<ListedAgent>, LedgerError> {
        self.reader
            .run(LIST, move |connection| {
                list::read(connection, &account, source)
            })
            .await
    }

    /// Everything that is remembered of alerts.
    ///
    /// # Errors
    /// The file could not be read.
    pub async fn alert_memory(&self) -> Result<AlertMemory, LedgerError> {
        self.reader.run(ALERT_MEMORY, alert::memory).await
    }

    /// Number of alerts in each state that any is in.
    ///
    /// # Errors
    /// The file could not be read.
    pub async fn alert_counts(&self) -> Result<Vec<(AlertState, usize)>, LedgerError> {
        self.reader.run(ALERTS, alert::counts).await
    }

    /// The alerts that are in `state` since the shortest time, at most `limit`.
    ///
    /// # Errors
    /// The file could not be read.
    pub async fn newest_alerts(
        &self,
        state: AlertState,
        limit: usize,
    ) -> Result<Vec<Alert>, LedgerError> {
        self.reader
            .run(ALERTS, move |connection| {
                alert::newest(connection, state, limit)
            })
            .await
    }

    /// The alerts that fire or are about to, ordered by their keys, at most `limit` after the first
    /// `offset`; and how many there are in all.
    ///
    /// # Errors
    /// The file could not be read.
    pub async fn active_alerts(
        &self,
        offset: usize,
        limit: usize,
    ) -> Result<(Vec<Alert>, usize), LedgerError> {
        self.reader
            .run(ALERTS, move |connection| {
                alert::active(connection, offset, limit)
            })
            .await
    }

    /// The alerts that `hook` is told of which fire, or are over since `resolved_since`, ordered by
    /// their keys: what a receiver is to be reminded of that forgets. One that is still to be told for
    /// the first time is not among them, since its delivery may have to wait. None for a hook that wants
    /// nothing any more.
    ///
    /// # Errors
    /// The file could not be read.
    pub async fn alerts_of_hook(
        &self,
        hook: &str,
        resolved_since: DateTime<Utc>,
    ) -> Result<Vec<Alert>, LedgerError> {
        let hook = hook.to_owned();
        self.reader
            .run(ALERTS_OF_HOOK, move |connection| {
                alert::of_hook(connection, &hook, resolved_since)
            })
            .await
    }

    /// The pending deliveries of `hook` that are due at `now`, oldest first, at most `limit`. One that
    /// shares an alert with an older pending one of the same hook and target waits for it, also while
    /// that one waits for its next try. None for a hook that wants nothing any more.
    ///
    /// # Errors
    /// The file could not be read.
    pub async fn due_deliveries(
        &self,
        hook: &str,
        now: DateTime<Utc>,
        limit: usize,
    ) -> Result<Vec<DeliveryRecord>, LedgerError> {
        let hook = hook.to_owned();
        self.reader
            .run(DUE_DELIVERIES, move |connection| {
                outbox::due(connection, &hook, now, limit)
            })
            .await
    }

    /// The newest deliveries, newest first, at most `limit`: all, or but those that were delivered.
    ///
    /// # Errors
    /// The file could not be read.
    pub async fn deliveries(
        &self,
        all: bool,
        limit: usize,
    ) -> Result<Vec<DeliveryRecord>, LedgerError> {
        self.reader
            .run(DELIVERIES, move |connection| {
                outbox::newest(connection, all, limit)
            })
            .await
    }

    /// Backlog of each hook that has one, ordered by their names.
    ///
    /// # Errors
    /// The file could not be read.
    pub async fn backlogs(&self) -> Result<Vec<Backlog>, LedgerError> {
        self.reader.run(BACKLOGS, outbox::backlogs).await
    }

    /// Alerts left open by hooks that are none of `names`, ordered by their names.
    ///
    /// # Errors
    /// The file could not be read.
    pub async fn gone_hooks(&self, names: Vec<Arc<str>>) -> Result<Vec<GoneHook>, LedgerError> {
        self.reader
            .run(GONE_HOOKS, move |connection| {
                hooks::gone(connection, &names)
            })
            .await
    }

    /// The hooks that want nothing any more, ordered by their names.
    ///
    /// # Errors
    /// The file could not be read.
    pub async fn disabled_hooks(&self) -> Result<Vec<DisabledHook>, LedgerError> {
        self.reader.run(DISABLED_HOOKS, outbox::disabled).await
    }
}
