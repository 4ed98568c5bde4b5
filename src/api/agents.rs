//! Agents with all that is known of them.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use super::figures::PeriodCredits;
use super::page::{Extent, MAX_LIMIT, Page};
use super::{not_ready, to_milliseconds};
use crate::day::Day;
use crate::exposition::AgentSeries;
use crate::http::problem::{Kind, Problem};
use crate::http::request::{Asked, Query};
use crate::http::response::{self, Reply};
use crate::http::state::State;
use crate::ledger::{Member, ProbeOutcome, ProbeRun};
use crate::roster::{self, Labels, Selection, SelectionError};
use crate::status::{Board, SyncStatus};

/// A page of agents.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Agents<'a> {
    /// UTC day of the figures. The newest day that they cover is the day before.
    today: Day,
    #[serde(flatten)]
    extent: Extent,
    /// Agents, by the order of their accounts in the config and by name.
    #[schemars(length(max = MAX_LIMIT))]
    agents: Vec<Agent<'a>>,
}

/// An agent with its figures.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Agent<'a> {
    /// The account's name, as in the config.
    account: &'a str,
    /// The agent's name, as in the config; its identifier if it has no other name.
    agent: &'a str,
    /// FlowGent's identifier of the agent.
    agent_id: &'a str,
    /// Its labels from the config, with those of its account.
    labels: &'a Labels,
    /// True if its last fetch succeeded; null if none was tried.
    up: Option<bool>,
    /// Its first problem in the last sync, or else the problem of its account; null if there was none.
    problem: Option<&'a str>,
    /// Credits used from the history start through `complete_through`, as the counter in the metrics. Never falls, not
    /// even if FlowGent revises a day downwards.
    used_credits: Option<f64>,
    /// Credits by which `used_credits` exceeds the sum of the days, after downward revisions.
    overcount_credits: Option<f64>,
    #[serde(flatten)]
    credits: PeriodCredits,
    /// Missing days from the history start through yesterday.
    missing_days: u64,
    /// The newest known day; null if none is.
    known_through: Option<Day>,
    /// The last day before the first missing one; null if the first day is missing.
    complete_through: Option<Day>,
    /// Time of the last successful fetch.
    last_success: Option<DateTime<Utc>>,
    /// Revisions that raised a known day.
    revised_up_days: u64,
    /// Revisions that lowered a known day.
    revised_down_days: u64,
    /// The last ten runs of each of its probes, newest first.
    #[schemars(length(max = MAX_RUNS))]
    probe_runs: Vec<Run>,
}

/// The most runs of an agent: many probes may ask it.
const MAX_RUNS: usize = 1_000;

/// A run of a probe.
#[derive(Debug, Serialize, JsonSchema)]
struct Run {
    /// The probe's name.
    probe: String,
    /// Time for which it was planned.
    planned_at: DateTime<Utc>,
    /// Outcome; null while the run is under way.
    outcome: Option<ProbeOutcome>,
    /// `statusCode` of the reply, else the HTTP status; null if there was neither.
    status_code: Option<u16>,
    /// Time from the request to the end of the reply.
    duration_seconds: Option<f64>,
    /// The agent's own time, as the reply says.
    execution_seconds: Option<f64>,
    /// Credits used, as the reply says.
    used_credits: Option<f64>,
    /// The reason for an outcome other than success.
    detail: Option<String>,
}

impl From<ProbeRun> for Run {
    fn from(ProbeRun { planned, result }: ProbeRun) -> Self {
        let result = result.as_ref();
        Self {
            probe: planned.probe.to_string(),
            planned_at: planned.planned_at,
            outcome: result.map(|result| result.outcome),
            status_code: result.and_then(|result| result.status_code),
            duration_seconds: result.and_then(|result| result.duration_seconds),
            execution_seconds: result.and_then(|result| result.execution_seconds),
            used_credits: result.and_then(|result| result.used_credits),
            detail: result
                .map(|result| result.detail.clone())
                .filter(|detail| !detail.is_empty()),
        }
    }
}

impl<'a> Agent<'a> {
    fn new(
        AgentSeries { agent, figures }: &'a AgentSeries,
        problem: Option<&'a str>,
        board: &Board,
    ) -> Self {
        let runs = board.probe_runs(agent).into_iter();
        Self {
            account: &agent.account,
            agent: &agent.name,
            agent_id: &agent.id,
            labels: &agent.labels,
            up: figures.up,
            problem,
            used_credits: figures.used_credits,
            overcount_credits: figures.overcount_credits,
            credits: PeriodCredits::of(figures),
            missing_days: figures.missing_days,
            known_through: figures.known_through,
            complete_through: figures.complete_through,
            last_success: figures.last_success.map(to_milliseconds),
            revised_up_days: figures.revised_up,
            revised_down_days: figures.revised_down,
            probe_runs: runs.take(MAX_RUNS).map(Run::from).collect(),
        }
    }
}

/// `/api/v1/agents`: the selected agents, in pages.
pub(super) fn agents(state: &State, asked: &Asked<'_>, query: &Query) -> Result<Reply, Problem> {
    let page = Page::of(query)?;
    let members = state.board.agents(|agents| Arc::clone(&agents.members));
    let members = members.ok_or_else(|| not_ready(state))?;
    let places = selected(members.iter(), query)?;
    let places_shown = page.part(&places);
    let copied = state.board.agents(|agents| {
        let series = places_shown
            .iter()
            .map(|place| agents.series[*place].clone());
        let is_same = Arc::ptr_eq(&agents.members, &members);
        is_same.then(|| (agents.today, series.collect::<Vec<_>>()))
    });
    let (today, series) = copied.flatten().ok_or_else(|| not_ready(state))?;
    let sync = state.board.sync();
    let served = places_shown.iter().zip(&series);
    let body = Agents {
        today,
        extent: page.extent(places.len()),
        agents: served
            .map(|(place, series)| {
                Agent::new(series, problem(&sync, &members[*place]), &state.board)
            })
            .collect(),
    };
    let mut reply = response::json(&body);
    page.link(&mut reply, asked, query, series.len(), places.len());
    Ok(reply)
}

/// `/api/v1/agents/{account}/{agent}`: one agent, by its name or its identifier.
pub(super) fn agent(state: &State, asked: &Asked<'_>) -> Result<Reply, Problem> {
    let [account, agent] = asked.parameters.as_slice() else {
        return Err(Problem::new(Kind::NotFound, "not found"));
    };
    let found = state.board.agents(|agents| {
        let known = agents.members.iter().map(|member| &member.agent);
        let place = roster::place(known, account, agent);
        let found =
            place.map(|place| (agents.members[place].clone(), agents.series[place].clone()));
        found.ok_or_else(|| Arc::clone(&agents.members))
    });
    match found {
        None => Err(not_ready(state)),
        Some(Err(members)) => Err(unknown(account, agent, &members)),
        Some(Ok((member, series))) => {
            let sync = state.board.sync();
            let body = Agent::new(&series, problem(&sync, &member), &state.board);
            Ok(response::json(&body))
        }
    }
}

/// Places of the agents that a query selects by `account` and `agent`.
pub(super) fn selected<'a>(
    members: impl Iterator<Item = &'a Member>,
    query: &Query,
) -> Result<Vec<usize>, Problem> {
    let named = |name| query.all(name).map(str::to_owned).collect();
    let selection = Selection {
        accounts: named("account"),
        agents: named("agent"),
    };
    let agents: Vec<&roster::Agent> = members.map(|member| &member.agent).collect();
    let places = selection.places(&agents);
    places.map_err(|error| unknown_name(&error))
}

/// Problem of an agent or its account in the last sync, if any.
fn problem<'a>(sync: &'a SyncStatus, member: &Member) -> Option<&'a str> {
    sync.last.as_ref()?.problem_of(member)
}

/// Error for an unknown agent, with the nearest name.
fn unknown(account: &str, agent: &str, members: &[Member]) -> Problem {
    let selection = Selection {
        accounts: vec![account.to_owned()],
        agents: vec![agent.to_owned()],
    };
    let agents: Vec<&roster::Agent> = members.iter().map(|member| &member.agent).collect();
    match selection.places(&agents) {
        Err(error) => unknown_name(&error),
        Ok(_) => Problem::new(Kind::NotFound, "not found"),
    }
}

fn unknown_name(error: &SelectionError) -> Problem {
    let tip = error
        .nearest()
        .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    Problem::new(Kind::UnknownName, format!("{error}{tip}"))
}
