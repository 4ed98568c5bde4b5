//! The exporter itself: whether it is ready, how its syncs go and what its ledger holds.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::super::problem::Problem;
use super::super::request::Asked;
use super::super::response::{self, Reply};
use super::super::state::State;
use super::{to_milliseconds, unreadable};
use crate::day::Day;
use crate::exposition::AgentSeries;
use crate::status::{LastSync, SyncStatus};
use crate::sync;

/// The exporter as it is served.
#[derive(Debug, Serialize)]
struct StatusBody<'a> {
    version: &'static str,
    now: DateTime<Utc>,
    today: Day,
    ready: bool,
    waiting_for: Option<String>,
    sync: SyncBody<'a>,
    ledger: Option<LedgerBody>,
    rules_evaluated_at: Option<DateTime<Utc>>,
    config_error: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct SyncBody<'a> {
    running_since: Option<DateTime<Utc>>,
    next: Option<DateTime<Utc>>,
    last_complete: Option<DateTime<Utc>>,
    last: Option<LastSyncBody<'a>>,
    error: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct LastSyncBody<'a> {
    started_at: DateTime<Utc>,
    ended_at: DateTime<Utc>,
    outcome: &'static str,
    planned_requests: usize,
    committed_requests: usize,
    deferred_requests: usize,
    new_days: usize,
    revised_days: usize,
    absent_days: usize,
    problems: Vec<ProblemBody<'a>>,
    warnings: Vec<String>,
}

/// One kind of thing that went wrong with an account or with some of its agents.
#[derive(Debug, Serialize)]
struct ProblemBody<'a> {
    account: &'a str,
    kind: &'static str,
    message: &'a str,
    agents: usize,
    requests: usize,
}

#[derive(Debug, Serialize)]
struct LedgerBody {
    size_bytes: i64,
    history_start: Day,
    agents: Option<usize>,
    missing_days: Option<u64>,
}

/// `/api/v1/status`: the exporter at this moment.
pub(super) async fn status(state: &State, asked: &Asked<'_>) -> Result<Reply, Problem> {
    asked.query(&[])?;
    let now = state.clock.now();
    let waiting_for = state.pending();
    let sync = state.board.sync();
    let config_error = state.board.config_error();
    let body = StatusBody {
        version: env!("CARGO_PKG_VERSION"),
        now: to_milliseconds(now),
        today: Day::of(now),
        ready: waiting_for.is_none(),
        waiting_for,
        sync: SyncBody::new(&sync),
        ledger: ledger(state).await?,
        rules_evaluated_at: state
            .board
            .alerting()
            .map(|alerting| to_milliseconds(alerting.evaluated_at)),
        config_error: config_error.as_deref().map(String::as_str),
    };
    Ok(response::json(&body))
}

/// What is known of the ledger; none while it is loading.
async fn ledger(state: &State) -> Result<Option<LedgerBody>, Problem> {
    let Some(view) = state.board.ledger() else {
        return Ok(None);
    };
    let history_start = view.history_start().await;
    let history_start = history_start.map_err(|error| unreadable(&error))?;
    let counted = state.board.agents(|agents| {
        let missing = |series: &AgentSeries| series.figures.missing_days as u64;
        (agents.series.len(), agents.series.iter().map(missing).sum())
    });
    let (agents, missing_days) = counted.unzip();
    Ok(Some(LedgerBody {
        size_bytes: state.telemetry.ledger_size.get(),
        history_start,
        agents,
        missing_days,
    }))
}

impl<'a> SyncBody<'a> {
    fn new(status: &'a SyncStatus) -> Self {
        let SyncStatus {
            running_since,
            progress: _,
            last,
            last_complete,
            error,
            next,
        } = status;
        Self {
            running_since: running_since.map(to_milliseconds),
            next: next.map(to_milliseconds),
            last_complete: last_complete.map(to_milliseconds),
            last: last.as_deref().map(LastSyncBody::new),
            error: error.as_deref(),
        }
    }
}

impl<'a> LastSyncBody<'a> {
    fn new(last: &'a LastSync) -> Self {
        let LastSync {
            started,
            ended,
            outcome,
            planned,
            committed,
            deferred,
            new_days,
            revised_days,
            absent_days,
            problems,
            notes,
            agent_problems: _,
        } = last;
        Self {
            started_at: to_milliseconds(*started),
            ended_at: to_milliseconds(*ended),
            outcome: outcome.as_str(),
            planned_requests: *planned,
            committed_requests: *committed,
            deferred_requests: *deferred,
            new_days: *new_days,
            revised_days: *revised_days,
            absent_days: *absent_days,
            problems: problems.iter().map(ProblemBody::new).collect(),
            warnings: notes.iter().map(ToString::to_string).collect(),
        }
    }
}

impl<'a> ProblemBody<'a> {
    fn new(problem: &'a sync::Problem) -> Self {
        Self {
            account: &problem.account,
            kind: problem.kind,
            message: &problem.error,
            agents: problem.agents.len(),
            requests: problem.windows,
        }
    }
}
