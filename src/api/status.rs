//! The exporter itself: whether it is ready, how its syncs go and what its ledger holds.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use super::{to_milliseconds, unreadable};
use crate::day::Day;
use crate::exposition::AgentSeries;
use crate::http::problem::Problem;
use crate::http::response::{self, Reply};
use crate::http::state::State;
use crate::ledger::LedgerMetrics;
use crate::status::{self, SyncStatus};
use crate::sync::{self, Counts, Outcome};

/// Status of the exporter.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Status<'a> {
    /// The exporter's version.
    version: &'static str,
    /// The exporter's clock.
    now: DateTime<Utc>,
    /// Current UTC day, whose usage is not published yet.
    today: Day,
    /// True if the exporter is ready.
    ready: bool,
    /// Reason why it is not ready; null if it is.
    waiting_for: Option<String>,
    sync: Sync<'a>,
    /// The ledger; null while it is loading.
    ledger: Option<Ledger>,
    /// Time of the last evaluation of budgets, balances and rules; null until then.
    rules_evaluated_at: Option<DateTime<Utc>>,
    /// Reason why the latest config is not in use, in one line; null if it is. The previous one stays active.
    config_error: Option<&'a str>,
    /// Hooks, or pushing, that cannot work because of something outside of the config, such as a missing file: a line
    /// each, with the reason.
    config_problems: Vec<String>,
}

/// Syncs, which fetch days that are missing or may still change.
#[derive(Debug, Serialize, JsonSchema)]
struct Sync<'a> {
    /// Start of the running sync; null if none runs.
    running_since: Option<DateTime<Utc>>,
    /// Time of the next sync; null if that is not known yet.
    next: Option<DateTime<Utc>>,
    /// End of the last complete sync since the exporter started.
    last_complete: Option<DateTime<Utc>>,
    /// The last sync that the ledger could store; null if there was none yet.
    last: Option<LastSync<'a>>,
    /// Error of the ledger that ended the last sync; null if there was none.
    error: Option<&'a str>,
}

/// A sync that has ended.
#[derive(Debug, Serialize, JsonSchema)]
struct LastSync<'a> {
    /// Its start.
    started_at: DateTime<Utc>,
    /// Its end.
    ended_at: DateTime<Utc>,
    /// Its outcome.
    #[schemars(with = "Outcome")]
    outcome: &'static str,
    #[serde(flatten)]
    counts: Counts,
    /// Problems, by account and kind.
    problems: Vec<SyncProblem<'a>>,
    /// Warnings about lists of agents, such as agents that are no longer listed.
    warnings: Vec<String>,
}

/// One kind of problem with an account, or with some of its agents.
#[derive(Debug, Serialize, JsonSchema)]
struct SyncProblem<'a> {
    /// The account's name, as in the config.
    account: &'a str,
    /// The kind in a word, such as `invalid_key` or `timeout`.
    kind: &'static str,
    /// Text of the first such problem.
    message: &'a str,
    /// Number of agents with the problem; 0 for a problem of the whole account.
    agents: usize,
    /// Number of requests with the problem.
    requests: usize,
}

/// Contents of the ledger.
#[derive(Debug, Serialize, JsonSchema)]
struct Ledger {
    /// Size of the ledger's file and its write-ahead log.
    #[schemars(range(min = 0))]
    size_bytes: i64,
    /// The first day in the ledger.
    history_start: Day,
    /// Number of known agents; null while their figures are being computed.
    agents: Option<usize>,
    /// Missing days of agents, through yesterday; null while the figures are being computed.
    missing_days: Option<u64>,
}

/// `/api/v1/status`: the exporter at this moment.
pub(super) async fn status(state: &State) -> Result<Reply, Problem> {
    let now = state.clock.now();
    let waiting_for = state.pending();
    let sync = state.board.sync();
    let config_error = state.board.config_error();
    let body = Status {
        version: env!("CARGO_PKG_VERSION"),
        now: to_milliseconds(now),
        today: Day::of(now),
        ready: waiting_for.is_none(),
        waiting_for,
        sync: Sync::new(&sync),
        ledger: ledger(state).await?,
        rules_evaluated_at: state
            .board
            .alerting()
            .map(|alerting| to_milliseconds(alerting.evaluated_at)),
        config_error: config_error.as_deref().map(String::as_str),
        config_problems: state.board.obstacles().await,
    };
    Ok(response::json(&body))
}

/// Contents of the ledger; none while it is loading.
async fn ledger(state: &State) -> Result<Option<Ledger>, Problem> {
    let Some(view) = state.board.ledger() else {
        return Ok(None);
    };
    let history_start = view.history_start().await;
    let history_start = history_start.map_err(|error| unreadable(&error))?;
    let counted = state.board.agents(|agents| {
        let missing = |series: &AgentSeries| series.figures.missing_days;
        (agents.series.len(), agents.series.iter().map(missing).sum())
    });
    let (agents, missing_days) = counted.unzip();
    Ok(Some(Ledger {
        size_bytes: state.telemetry.of::<LedgerMetrics>().size_bytes.get(),
        history_start,
        agents,
        missing_days,
    }))
}

impl<'a> Sync<'a> {
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
            last: last.as_deref().map(LastSync::new),
            error: error.as_deref(),
        }
    }
}

impl<'a> LastSync<'a> {
    fn new(last: &'a status::LastSync) -> Self {
        let status::LastSync {
            started,
            ended,
            outcome,
            counts,
            problems,
            notes,
            agent_problems: _,
        } = last;
        Self {
            started_at: to_milliseconds(*started),
            ended_at: to_milliseconds(*ended),
            outcome: outcome.as_str(),
            counts: *counts,
            problems: problems.iter().map(SyncProblem::new).collect(),
            warnings: notes.iter().map(ToString::to_string).collect(),
        }
    }
}

impl<'a> SyncProblem<'a> {
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
