//! JSON API for programs, with CSV of usage.

mod accounts;
mod agents;
mod alerts;
mod balances;
mod budgets;
mod description;
mod endpoint;
mod figures;
mod page;
mod sheet;
mod status;
mod usage;

use crate::http::problem::{Kind, Problem};
use crate::http::request::Asked;
use crate::http::response::{self, Reply};
use crate::http::state::State;
use crate::ledger::{LedgerError, View};
use chrono::{DateTime, SubsecRound, Utc};
use description::DESCRIPTION;
use usage::Form;

pub(crate) use endpoint::{Endpoint, FACTS};

/// Maximum range of days in a request: ten years.
const MOST_DAYS: u32 = 3660;

/// Answers a request to `endpoint`.
///
/// # Errors
/// The reason for refusing the request.
pub(crate) async fn answer(
    endpoint: Endpoint,
    state: &State,
    asked: &Asked<'_>,
) -> Result<Reply, Problem> {
    let query = asked.query(&endpoint.facts().query())?;
    match endpoint {
        Endpoint::Accounts => accounts::accounts(state, asked, &query),
        Endpoint::Agents => agents::agents(state, asked, &query),
        Endpoint::Agent => agents::agent(state, asked),
        Endpoint::Usage => usage::usage(state, asked, &query, Form::Negotiated).await,
        Endpoint::UsageCsv => usage::usage(state, asked, &query, Form::Csv).await,
        Endpoint::Budgets => budgets::budgets(state, asked, &query),
        Endpoint::Balances => balances::balances(state, asked, &query),
        Endpoint::Alerts => alerts::alerts(state, asked, &query).await,
        Endpoint::Status => status::status(state).await,
        Endpoint::Description => Ok(response::json_text(&DESCRIPTION)),
    }
}

/// The ledger, once it has been read.
fn ledger(state: &State) -> Result<View, Problem> {
    let is_ready = state.pending().is_none();
    let view = state.board.ledger().filter(|_| is_ready);
    view.ok_or_else(|| not_ready(state))
}

/// Problem while there are no figures.
fn not_ready(state: &State) -> Problem {
    let reason = state
        .pending()
        .unwrap_or_else(|| "the figures of the new day are being computed".to_owned());
    Problem::new(Kind::NotReady, reason)
}

/// Problem of a ledger that cannot be read. Only the log names its path.
fn unreadable(error: &LedgerError) -> Problem {
    tracing::error!(%error, "the ledger cannot be read for the API");
    Problem::new(
        Kind::LedgerUnreadable,
        "the ledger cannot be read; see the log",
    )
}

/// Rounds a timestamp to the ledger's precision.
fn to_milliseconds(at: DateTime<Utc>) -> DateTime<Utc> {
    at.trunc_subsecs(3)
}
