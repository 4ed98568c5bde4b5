//! What is known, for programs: JSON of everything, and CSV of what fits a table.

mod agents;
mod page;

use hyper::StatusCode;

use super::problem::{Kind, Problem};
use super::request::Asked;
use super::response::Reply;
use super::routes::State;

/// Who answers a path of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// The agents, page by page.
    Agents,
    /// One agent.
    Agent,
}

impl Endpoint {
    /// Its name: the value of the label `handler`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Agents => "api_agents",
            Self::Agent => "api_agent",
        }
    }

    /// The outcomes that are counted from zero.
    pub(super) const fn outcomes(self) -> &'static [StatusCode] {
        match self {
            Self::Agents | Self::Agent => &[
                StatusCode::OK,
                StatusCode::BAD_REQUEST,
                StatusCode::NOT_FOUND,
                StatusCode::SERVICE_UNAVAILABLE,
            ],
        }
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
        Endpoint::Agents => agents::agents(state, asked),
        Endpoint::Agent => agents::agent(state, asked),
    }
}

/// Why there are no figures to answer with at this moment.
fn not_ready(state: &State) -> Problem {
    let reason = state
        .readiness
        .pending()
        .unwrap_or_else(|| "the figures of the new day are being computed".to_owned());
    Problem::new(Kind::NotReady, reason)
}
