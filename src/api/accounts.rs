//! Accounts, with the sums of their agents.

use schemars::JsonSchema;
use serde::Serialize;

use super::figures::PeriodCredits;
use super::not_ready;
use super::page::{Extent, MAX_LIMIT, Page};
use crate::day::Day;
use crate::exposition::AgentSeries;
use crate::http::problem::Problem;
use crate::http::request::{Asked, Query};
use crate::http::response::Reply;
use crate::http::state::State;
use crate::status::Agents;

/// A page of accounts.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Accounts {
    /// UTC day of the figures. The newest day that they cover is the day before.
    today: Day,
    #[serde(flatten)]
    extent: Extent,
    /// Accounts, in the order of the config.
    #[schemars(length(max = MAX_LIMIT))]
    accounts: Vec<Account>,
}

/// An account, with the sums of its agents. Credits are null unless those of every agent are known.
#[derive(Debug, Clone, Serialize, JsonSchema)]
struct Account {
    /// The account's name, as in the config.
    account: String,
    /// Number of its known agents.
    agents: u64,
    /// Number of its agents whose last fetch succeeded.
    agents_up: u64,
    /// Number of its agents whose last fetch failed.
    agents_down: u64,
    #[serde(flatten)]
    credits: PeriodCredits,
    /// Missing days of its agents, through yesterday.
    missing_days: u64,
    /// Problem of the whole account in the last sync, such as a refused key; null if there was none. A problem of one
    /// agent is shown with that agent.
    problem: Option<String>,
}

/// `/api/v1/accounts`: accounts with known agents, in pages.
pub(super) fn accounts(state: &State, asked: &Asked<'_>, query: &Query) -> Result<Reply, Problem> {
    let page = Page::of(query)?;
    let summed = state.board.agents(|agents| (agents.today, sums(agents)));
    let (today, all) = summed.ok_or_else(|| not_ready(state))?;
    let sync = state.board.sync();
    let problem = |account: &str| {
        let problems = sync.last.iter().flat_map(|last| &last.problems);
        let mut of_account = problems.filter(|problem| *problem.account == *account);
        // A problem of one agent is shown with that agent.
        let problem = of_account.find(|problem| problem.first.is_none())?;
        Some(problem.error.clone())
    };
    let with_problem = |account: &Account| Account {
        problem: problem(&account.account),
        ..account.clone()
    };
    Ok(page.reply(asked, query, &all, |extent, shown| Accounts {
        today,
        extent,
        accounts: shown.iter().map(with_problem).collect(),
    }))
}

/// The accounts without their problems; the agents of an account stand together.
fn sums(agents: &Agents) -> Vec<Account> {
    let mut all: Vec<Account> = Vec::new();
    for AgentSeries { agent, figures } in &agents.series {
        let credits = PeriodCredits::of(figures);
        let (up, down) = (figures.up == Some(true), figures.up == Some(false));
        match all.last_mut() {
            Some(sums) if *sums.account == *agent.account => {
                sums.agents += 1;
                sums.agents_up += u64::from(up);
                sums.agents_down += u64::from(down);
                sums.credits.add(credits);
                sums.missing_days += figures.missing_days;
            }
            _ => all.push(Account {
                account: agent.account.to_string(),
                agents: 1,
                agents_up: up.into(),
                agents_down: down.into(),
                credits,
                missing_days: figures.missing_days,
                problem: None,
            }),
        }
    }
    all
}
