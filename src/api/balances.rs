//! Balances and what is left of them.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use super::budgets::{INACTIVE, evaluated};
use super::page::{Extent, MAX_LIMIT, Page};
use super::to_milliseconds;
use crate::alert::{Measure, Severity, Share};
use crate::balance::Left;
use crate::budget::TOP_AGENTS;
use crate::day::Day;
use crate::exposition::{BalanceSeries, Mark};
use crate::http::problem::Problem;
use crate::http::request::{Asked, Query};
use crate::http::response::Reply;
use crate::http::state::State;
use crate::ledger::AlertState;

/// A page of balances.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Balances<'a> {
    /// Time of the last evaluation.
    evaluated_at: DateTime<Utc>,
    #[serde(flatten)]
    extent: Extent,
    /// Balances, in the order of the config.
    #[schemars(length(max = MAX_LIMIT))]
    balances: Vec<Balance<'a>>,
}

/// A balance, with the credits left.
#[derive(Debug, Serialize, JsonSchema)]
struct Balance<'a> {
    /// Its name.
    balance: &'a str,
    /// The day of its last `set`; null, as all figures are, before the first.
    start: Option<Day>,
    /// Number of its agents.
    agents: usize,
    /// Credits of that `set` and of each `add` since.
    #[schemars(range(min = 0))]
    entered_credits: Option<f64>,
    /// Credits used since that `set`: a lower bound while `missing_days` is not 0.
    #[schemars(range(min = 0))]
    used_credits: Option<f64>,
    /// Credits left: an upper bound while `missing_days` is not 0, as `flowgent_balance_credits` is. Below zero if more
    /// was used than the entries say.
    credits: Option<f64>,
    /// Days of agents since that `set` that have passed and are not known.
    missing_days: u32,
    /// Credits by which that `set` lay above what the entries before it had left. Null without such entries, or if a
    /// day between is not known.
    correction_credits: Option<f64>,
    /// Expected credits per day from now on; null if too little is known.
    #[schemars(range(min = 0))]
    pace_credits_per_day: Option<f64>,
    /// Expected days until the balance runs out, from 00:00 UTC; null if that is over a year away, or if too little is
    /// known.
    #[schemars(range(min = 0))]
    days_left: Option<f64>,
    /// Low bound of `days_left`.
    #[schemars(range(min = 0))]
    low_days_left: Option<f64>,
    /// High bound of `days_left`.
    #[schemars(range(min = 0))]
    high_days_left: Option<f64>,
    /// Time at which the balance ran out or is expected to; null as `days_left` is.
    exhausted_at: Option<DateTime<Utc>>,
    /// Low bound of `exhausted_at`.
    low_exhausted_at: Option<DateTime<Utc>>,
    /// High bound of `exhausted_at`.
    high_exhausted_at: Option<DateTime<Utc>>,
    /// Agents that used most since that `set`, descending.
    #[schemars(length(max = TOP_AGENTS))]
    top: Vec<Share>,
    /// Its thresholds, of credits and of days left.
    thresholds: Vec<LeftThreshold>,
}

/// Credits or days that alert when no more than these are left.
#[derive(Debug, Serialize, JsonSchema)]
struct LeftThreshold {
    /// The measure: credits left, or days left.
    #[schemars(extend("enum" = [Measure::CreditsLeft.as_str(), Measure::DaysLeft.as_str()]))]
    measure: &'static str,
    /// The credits or days.
    #[schemars(range(min = 0))]
    at: f64,
    /// Its severity.
    #[schemars(with = "Severity")]
    severity: &'static str,
    /// State of its alert.
    #[schemars(extend("enum" = [
        INACTIVE,
        AlertState::Pending.as_str(),
        AlertState::Firing.as_str(),
        AlertState::Resolved.as_str(),
    ]))]
    state: &'static str,
}

/// `/api/v1/balances`: the balances in the order of the config, page by page.
pub(super) fn balances(state: &State, asked: &Asked<'_>, query: &Query) -> Result<Reply, Problem> {
    let page = Page::of(query)?;
    let alerting = evaluated(state, "the balances have not been evaluated yet")?;
    let all = &alerting.balances;
    Ok(page.reply(asked, query, all, |extent, shown| Balances {
        evaluated_at: to_milliseconds(alerting.evaluated_at),
        extent,
        balances: shown.iter().map(Balance::new).collect(),
    }))
}

impl<'a> Balance<'a> {
    fn new(series: &'a BalanceSeries) -> Self {
        let BalanceSeries { name, left, marks } = series;
        let left = left.as_ref();
        let standing = left.map(|left| &left.standing);
        let [low_days_left, high_days_left] = left.map_or([None; 2], Left::days_left_bounds);
        let [low, high] = left.map_or([None; 2], |left| left.bounds);
        let exhausted_at = standing.and_then(|standing| standing.exhausted_at);
        let top = standing.map_or(&[][..], |standing| &standing.top);
        Self {
            balance: name,
            start: standing.map(|standing| standing.period.start),
            agents: standing.map_or(0, |standing| standing.agents),
            entered_credits: standing.map(|standing| standing.limit_credits),
            used_credits: standing.and_then(|standing| standing.used_credits),
            credits: left.and_then(Left::credits),
            missing_days: standing.map_or(0, |standing| standing.missing_days),
            correction_credits: left.and_then(|left| left.correction_credits),
            pace_credits_per_day: standing.and_then(|standing| standing.pace_credits_per_day),
            days_left: left.and_then(Left::days_left),
            low_days_left,
            high_days_left,
            exhausted_at: exhausted_at.map(to_milliseconds),
            low_exhausted_at: low.map(to_milliseconds),
            high_exhausted_at: high.map(to_milliseconds),
            top: top.iter().map(Share::of).collect(),
            thresholds: marks.iter().map(LeftThreshold::new).collect(),
        }
    }
}

impl LeftThreshold {
    fn new(mark: &Mark) -> Self {
        Self {
            measure: mark.measure,
            at: mark.at,
            severity: mark.severity,
            state: mark.state.map_or(INACTIVE, AlertState::as_str),
        }
    }
}
