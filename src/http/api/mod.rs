//! What is known, for programs: JSON of everything, and CSV of what fits a table.

mod accounts;
mod agents;
mod alerts;
mod budgets;
mod page;
mod sheet;
mod status;
mod usage;

use chrono::{DateTime, SubsecRound, Utc};
use hyper::StatusCode;

use super::gate::Weight;
use super::problem::{Kind, Problem};
use super::request::Asked;
use super::response::{self, Reply};
use super::state::State;
use crate::ledger::{LedgerError, View};
use usage::Form;

/// The description of the API, which tests hold to what is really answered.
const DESCRIPTION: &str = include_str!("openapi.json");

/// Who answers a path of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// The description of the API.
    Description,
    /// The exporter itself.
    Status,
    /// The accounts, page by page.
    Accounts,
    /// The agents, page by page.
    Agents,
    /// One agent.
    Agent,
    /// What agents used, page by page.
    Usage,
    /// The same as CSV.
    UsageCsv,
    /// The budgets, page by page.
    Budgets,
    /// The alerts, page by page, and the newest deliveries.
    Alerts,
}

impl Endpoint {
    /// Its name: the value of the label `handler`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Description => "api_description",
            Self::Status => "api_status",
            Self::Accounts => "api_accounts",
            Self::Agents => "api_agents",
            Self::Agent => "api_agent",
            Self::Usage => "api_usage",
            Self::UsageCsv => "api_usage_csv",
            Self::Budgets => "api_budgets",
            Self::Alerts => "api_alerts",
        }
    }

    /// How much there is to do for it.
    pub(super) const fn weight(self) -> Weight {
        match self {
            Self::Description | Self::Status => Weight::Light,
            Self::Accounts | Self::Agents | Self::Agent | Self::Budgets | Self::Alerts => {
                Weight::Page
            }
            Self::Usage | Self::UsageCsv => Weight::Long,
        }
    }

    /// The outcomes that are counted from zero.
    pub(super) const fn outcomes(self) -> &'static [StatusCode] {
        &[
            StatusCode::OK,
            StatusCode::BAD_REQUEST,
            StatusCode::NOT_FOUND,
            StatusCode::INTERNAL_SERVER_ERROR,
            StatusCode::SERVICE_UNAVAILABLE,
        ]
    }
}

/// Answers a request to `endpoint`.
///
/// # Errors
/// Why it cannot be answered.
pub(super) async fn answer(
    endpoint: Endpoint,
    state: &State,
    asked: &Asked<'_>,
) -> Result<Reply, Problem> {
    match endpoint {
        Endpoint::Description => {
            asked.query(&[])?;
            Ok(response::json_text(DESCRIPTION))
        }
        Endpoint::Status => status::status(state, asked).await,
        Endpoint::Accounts => accounts::accounts(state, asked),
        Endpoint::Agents => agents::agents(state, asked),
        Endpoint::Agent => agents::agent(state, asked),
        Endpoint::Usage => usage::usage(state, asked, Form::Negotiated).await,
        Endpoint::UsageCsv => usage::usage(state, asked, Form::Csv).await,
        Endpoint::Budgets => budgets::budgets(state, asked),
        Endpoint::Alerts => alerts::alerts(state, asked).await,
    }
}

/// The ledger, once it has been read.
fn ledger(state: &State) -> Result<View, Problem> {
    let is_ready = state.pending().is_none();
    let view = state.board.ledger().filter(|_| is_ready);
    view.ok_or_else(|| not_ready(state))
}

/// Why there are no figures to answer with at this moment.
fn not_ready(state: &State) -> Problem {
    let reason = state
        .pending()
        .unwrap_or_else(|| "the figures of the new day are being computed".to_owned());
    Problem::new(Kind::NotReady, reason)
}

/// What is told of a ledger that cannot be read. Where it is stays in the log.
fn unreadable(error: &LedgerError) -> Problem {
    tracing::error!(%error, "the ledger cannot be read for the API");
    Problem::new(
        Kind::LedgerUnreadable,
        "the ledger cannot be read; see the log",
    )
}

/// Timestamps are told as precisely as the ledger keeps them.
fn to_milliseconds(at: DateTime<Utc>) -> DateTime<Utc> {
    at.trunc_subsecs(3)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_endpoint_and_problem_is_described() {
        let description: Value = serde_json::from_str(DESCRIPTION).unwrap();
        let paths = description["paths"].as_object().unwrap();
        let mut described: Vec<&str> = paths.keys().map(String::as_str).collect();
        let mut routed = super::super::routes::api_paths();
        described.sort_unstable();
        routed.sort_unstable();
        assert_eq!(described, routed);
        let problem = &description["components"]["schemas"]["Problem"]["properties"];
        for (property, told) in [
            ("type", Kind::ALL.map(|kind| kind.uri())),
            ("title", Kind::ALL.map(|kind| kind.title().to_owned())),
        ] {
            let told: Vec<Value> = told.map(Value::from).into();
            assert_eq!(problem[property]["enum"], Value::from(told));
        }
    }
}
