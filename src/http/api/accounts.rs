//! Accounts, and what their agents come to together.

use std::sync::Arc;

use serde::Serialize;

use super::super::problem::Problem;
use super::super::request::Asked;
use super::super::response::{self, Reply};
use super::super::state::State;
use super::not_ready;
use super::page::Page;
use crate::day::Day;
use crate::exposition::AgentSeries;
use crate::series::Figures;
use crate::status::Agents;

/// A page of accounts as it is served.
#[derive(Debug, Serialize)]
struct AccountsBody<'a> {
    today: Day,
    total: usize,
    offset: usize,
    limit: usize,
    accounts: Vec<AccountBody<'a>>,
}

#[derive(Debug, Serialize)]
struct AccountBody<'a> {
    account: &'a str,
    #[serde(flatten)]
    sums: &'a Sums,
    problem: Option<&'a str>,
}

/// What the agents of an account come to. Credits are null unless those of every agent are known.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Sums {
    #[serde(skip)]
    account: Arc<str>,
    agents: u64,
    agents_up: u64,
    agents_down: u64,
    previous_day_credits: Option<f64>,
    previous_7_days_credits: Option<f64>,
    previous_30_days_credits: Option<f64>,
    month_to_date_credits: Option<f64>,
    previous_month_credits: Option<f64>,
    forecast_month_credits: Option<f64>,
    missing_days: u64,
}

impl Sums {
    fn nothing(account: Arc<str>) -> Self {
        Self {
            account,
            agents: 0,
            agents_up: 0,
            agents_down: 0,
            previous_day_credits: Some(0.0),
            previous_7_days_credits: Some(0.0),
            previous_30_days_credits: Some(0.0),
            month_to_date_credits: Some(0.0),
            previous_month_credits: Some(0.0),
            forecast_month_credits: Some(0.0),
            missing_days: 0,
        }
    }

    fn add(&mut self, figures: &Figures) {
        let add = |sum: &mut Option<f64>, credits: Option<f64>| {
            *sum = sum.zip(credits).map(|(sum, credits)| sum + credits);
        };
        add(&mut self.previous_day_credits, figures.previous_day_credits);
        add(
            &mut self.previous_7_days_credits,
            figures.previous_7_days_credits,
        );
        add(
            &mut self.previous_30_days_credits,
            figures.previous_30_days_credits,
        );
        add(
            &mut self.month_to_date_credits,
            figures.month_to_date_credits,
        );
        add(
            &mut self.previous_month_credits,
            figures.previous_month_credits,
        );
        add(
            &mut self.forecast_month_credits,
            figures.forecast_month_credits,
        );
        self.missing_days += figures.missing_days as u64;
        self.agents += 1;
        self.agents_up += u64::from(figures.up == Some(1.0));
        self.agents_down += u64::from(figures.up == Some(0.0));
    }
}

/// `/api/v1/accounts`: the accounts of which agents are known, page by page.
pub(super) fn accounts(state: &State, asked: &Asked<'_>) -> Result<Reply, Problem> {
    let query = asked.query(&["limit", "offset"])?;
    let page = Page::of(&query)?;
    let summed = state.board.agents(|agents| (agents.today, sums(agents)));
    let (today, all) = summed.ok_or_else(|| not_ready(state))?;
    let sync = state.board.sync();
    let problem = |account: &str| {
        let problems = sync.last.iter().flat_map(|last| &last.problems);
        let mut of_account = problems.filter(|problem| *problem.account == *account);
        // One of an agent is told with that agent.
        let problem = of_account.find(|problem| problem.first.is_none())?;
        Some(problem.error.as_str())
    };
    let shown = page.part(&all);
    let body = AccountsBody {
        today,
        total: all.len(),
        offset: page.offset,
        limit: page.limit,
        accounts: shown
            .iter()
            .map(|sums| AccountBody {
                account: &sums.account,
                sums,
                problem: problem(&sums.account),
            })
            .collect(),
    };
    let mut reply = response::json(&body);
    page.link(&mut reply, asked, &query, shown.len(), all.len());
    Ok(reply)
}

/// What the agents of each account come to; those of an account stand together.
fn sums(agents: &Agents) -> Vec<Sums> {
    let mut all: Vec<Sums> = Vec::new();
    for AgentSeries { agent, figures } in &agents.series {
        match all.last_mut() {
            Some(sums) if sums.account == agent.account => sums.add(figures),
            _ => {
                let mut sums = Sums::nothing(Arc::clone(&agent.account));
                sums.add(figures);
                all.push(sums);
            }
        }
    }
    all
}
