//! Agents with all that is known of them.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::super::problem::{Kind, Problem};
use super::super::request::{Asked, Query};
use super::super::response::{self, Reply};
use super::super::state::State;
use super::not_ready;
use super::page::Page;
use crate::day::Day;
use crate::exposition::AgentSeries;
use crate::ledger::Member;
use crate::roster::{self, Agent, Labels, Selection, SelectionError};
use crate::series::Figures;
use crate::status::SyncStatus;

/// A page of agents as it is served.
#[derive(Debug, Serialize)]
struct AgentsBody<'a> {
    today: Day,
    total: usize,
    offset: usize,
    limit: usize,
    agents: Vec<AgentBody<'a>>,
}

/// An agent as it is served. A figure is null unless every day that it covers is known.
#[derive(Debug, Serialize)]
struct AgentBody<'a> {
    account: &'a str,
    agent: &'a str,
    agent_id: &'a str,
    labels: &'a Labels,
    up: Option<bool>,
    problem: Option<&'a str>,
    used_credits: Option<f64>,
    overcount_credits: Option<f64>,
    previous_day_credits: Option<f64>,
    previous_7_days_credits: Option<f64>,
    previous_30_days_credits: Option<f64>,
    month_to_date_credits: Option<f64>,
    previous_month_credits: Option<f64>,
    forecast_month_credits: Option<f64>,
    missing_days: u64,
    known_through: Option<Day>,
    complete_through: Option<Day>,
    last_success: Option<DateTime<Utc>>,
    revised_up_days: u64,
    revised_down_days: u64,
}

impl<'a> AgentBody<'a> {
    fn new(AgentSeries { agent, figures }: &'a AgentSeries, problem: Option<&'a str>) -> Self {
        let Agent {
            account,
            id,
            name,
            labels,
        } = agent;
        let Figures {
            up,
            used_credits,
            overcount_credits,
            previous_day_credits,
            previous_7_days_credits,
            previous_30_days_credits,
            month_to_date_credits,
            previous_month_credits,
            forecast_month_credits,
            known_through_seconds,
            complete_through_seconds,
            missing_days,
            revised_up,
            revised_down,
            last_success_seconds,
            at_least: _,
            expected_month_credits: _,
        } = *figures;
        Self {
            account,
            agent: name,
            agent_id: id,
            labels,
            up: up.map(|up| up > 0.0),
            problem,
            used_credits,
            overcount_credits,
            previous_day_credits,
            previous_7_days_credits,
            previous_30_days_credits,
            month_to_date_credits,
            previous_month_credits,
            forecast_month_credits,
            // Counts, which are whole and not negative.
            missing_days: missing_days as u64,
            known_through: known_through_seconds.and_then(day_before),
            complete_through: complete_through_seconds.and_then(day_before),
            last_success: last_success_seconds.and_then(instant),
            revised_up_days: revised_up as u64,
            revised_down_days: revised_down as u64,
        }
    }
}

/// `/api/v1/agents`: the agents that are asked for, page by page.
pub(super) fn agents(state: &State, asked: &Asked<'_>) -> Result<Reply, Problem> {
    let query = asked.query(&["account", "agent", "limit", "offset"])?;
    let page = Page::of(&query)?;
    let members = state.board.agents(|agents| Arc::clone(&agents.members));
    let members = members.ok_or_else(|| not_ready(state))?;
    let places = selected(members.iter(), &query)?;
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
    let body = AgentsBody {
        today,
        total: places.len(),
        offset: page.offset,
        limit: page.limit,
        agents: served
            .map(|(place, series)| AgentBody::new(series, problem(&sync, &members[*place])))
            .collect(),
    };
    let mut reply = response::json(&body);
    page.link(&mut reply, asked, &query, series.len(), places.len());
    Ok(reply)
}

/// `/api/v1/agents/{account}/{agent}`: one agent, by its name or its identifier.
pub(super) fn agent(state: &State, asked: &Asked<'_>) -> Result<Reply, Problem> {
    asked.query(&[])?;
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
            let body = AgentBody::new(&series, problem(&sync, &member));
            Ok(response::json(&body))
        }
    }
}

/// Where the agents stand that a query asks for by `account` and `agent`.
pub(super) fn selected<'a>(
    members: impl Iterator<Item = &'a Member>,
    query: &Query,
) -> Result<Vec<usize>, Problem> {
    let named = |name| query.all(name).map(str::to_owned).collect();
    let selection = Selection {
        accounts: named("account"),
        agents: named("agent"),
    };
    let agents: Vec<&Agent> = members.map(|member| &member.agent).collect();
    let places = selection.places(&agents);
    places.map_err(|error| unknown_name(&error))
}

/// What the last sync met with an agent or its account, if it was nothing good.
fn problem<'a>(sync: &'a SyncStatus, member: &Member) -> Option<&'a str> {
    sync.last.as_ref()?.problem_of(member)
}

/// Why there is no such agent, with the one that was probably meant.
fn unknown(account: &str, agent: &str, members: &[Member]) -> Problem {
    let selection = Selection {
        accounts: vec![account.to_owned()],
        agents: vec![agent.to_owned()],
    };
    let agents: Vec<&Agent> = members.iter().map(|member| &member.agent).collect();
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

/// The day that ends at an instant.
fn day_before(end_seconds: f64) -> Option<Day> {
    Some(Day::of(instant(end_seconds)?).previous())
}

fn instant(seconds: f64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis((seconds * 1000.0).round() as i64)
}
