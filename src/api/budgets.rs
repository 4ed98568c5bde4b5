//! Budgets and how they stand.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use super::page::{Extent, MAX_LIMIT, Page};
use super::to_milliseconds;
use crate::alert::{Measure, Severity, Share};
use crate::budget::{Standing, TOP_AGENTS};
use crate::day::Day;
use crate::exposition::{BudgetSeries, Mark};
use crate::http::problem::{Kind, Problem};
use crate::http::request::{Asked, Query};
use crate::http::response::Reply;
use crate::http::state::State;
use crate::ledger::AlertState;
use crate::status::Alerting;

/// A page of budgets.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Budgets<'a> {
    /// Time of the last evaluation.
    evaluated_at: DateTime<Utc>,
    #[serde(flatten)]
    extent: Extent,
    /// Budgets, in the order of the config, and the subjects of each by name.
    #[schemars(length(max = MAX_LIMIT))]
    budgets: Vec<Budget<'a>>,
}

/// A budget in the period containing yesterday.
#[derive(Debug, Serialize, JsonSchema)]
struct Budget<'a> {
    /// Its name.
    budget: &'a str,
    /// The subject that has the limit: an agent as `acme/support`, an account, or the value of a label. Null if all
    /// agents together have it.
    subject: Option<&'a str>,
    /// The first day of the period.
    start: Day,
    /// The last day of the period; null if it never ends.
    end: Option<Day>,
    /// Number of its agents.
    agents: usize,
    /// Credits that may be used in the period.
    #[schemars(range(min = 0))]
    limit_credits: f64,
    /// Credits used in the period so far: a lower bound while `missing_days` is not 0, as `flowgent_budget_used_credits`
    /// is. Null if days have passed and none of them is known.
    #[schemars(range(min = 0))]
    used_credits: Option<f64>,
    /// Used part of the limit, 1 being all of it: a lower bound as `used_credits` is. Null if that is, or if the limit is
    /// zero.
    #[schemars(range(min = 0))]
    used_ratio: Option<f64>,
    /// Missing days of the period so far, summed over agents.
    missing_days: u32,
    /// Expected credits per day from now on.
    #[schemars(range(min = 0))]
    pace_credits_per_day: Option<f64>,
    /// Expected credits at the end of the period; null if it never ends, or if too little is known.
    #[schemars(range(min = 0))]
    forecast_credits: Option<f64>,
    /// Low bound of `forecast_credits`.
    #[schemars(range(min = 0))]
    forecast_low_credits: Option<f64>,
    /// High bound of `forecast_credits`.
    #[schemars(range(min = 0))]
    forecast_high_credits: Option<f64>,
    /// Time at which use reached the limit or is expected to within the period; null if neither.
    exhausted_at: Option<DateTime<Utc>>,
    /// Agents with the highest use, in descending order.
    #[schemars(length(max = TOP_AGENTS))]
    top: Vec<Share>,
    /// Thresholds, each a share of the limit.
    thresholds: Vec<Threshold>,
}

/// A threshold: an alert fires when this share of the budget is reached.
#[derive(Debug, Serialize, JsonSchema)]
struct Threshold {
    /// Credits compared with the threshold: those used, or those expected by the end of the period.
    #[schemars(extend("enum" = [Measure::Used.as_str(), Measure::Forecast.as_str()]))]
    measure: &'static str,
    /// The share of the limit, 1 being all of it.
    #[schemars(range(min = 0))]
    ratio: f64,
    /// Its severity.
    #[schemars(with = "Severity")]
    severity: &'static str,
    /// State of its alert in this period.
    #[schemars(extend("enum" = [
        INACTIVE,
        AlertState::Pending.as_str(),
        AlertState::Firing.as_str(),
        AlertState::Resolved.as_str(),
    ]))]
    state: &'static str,
}

/// State of a threshold that was not reached in this period.
pub(super) const INACTIVE: &str = "inactive";

/// `/api/v1/budgets`: budgets in the order of the config, in pages.
pub(super) fn budgets(state: &State, asked: &Asked<'_>, query: &Query) -> Result<Reply, Problem> {
    let page = Page::of(query)?;
    let alerting = evaluated(state, "the budgets have not been evaluated yet")?;
    let wanted: Vec<&str> = query.all("budget").collect();
    let all = alerting.budgets.iter();
    let all = all.filter(|one| wanted.is_empty() || wanted.contains(&&*one.name));
    let all: Vec<&BudgetSeries> = all.collect();
    Ok(page.reply(asked, query, &all, |extent, shown| Budgets {
        evaluated_at: to_milliseconds(alerting.evaluated_at),
        extent,
        budgets: shown.iter().map(|one| Budget::new(one)).collect(),
    }))
}

/// The last evaluation; without one, the problem that is said.
pub(super) fn evaluated(state: &State, problem: &'static str) -> Result<Arc<Alerting>, Problem> {
    let alerting = state.board.alerting();
    alerting.ok_or_else(|| Problem::new(Kind::NotReady, problem))
}

impl<'a> Budget<'a> {
    fn new(series: &'a BudgetSeries) -> Self {
        let BudgetSeries {
            name,
            subject,
            agent: _,
            matcher: _,
            standing,
            marks,
        } = series;
        let Standing {
            period,
            limit_credits,
            used_credits,
            missing_days,
            forecast,
            exhausted_at,
            pace_credits_per_day,
            top,
            agents,
        } = standing;
        Self {
            budget: name,
            subject: subject.as_deref(),
            start: period.start,
            end: period.end.map(Day::previous),
            agents: *agents,
            limit_credits: *limit_credits,
            used_credits: *used_credits,
            used_ratio: standing.used_ratio(),
            missing_days: *missing_days,
            pace_credits_per_day: *pace_credits_per_day,
            forecast_credits: forecast.map(|forecast| forecast.expected_credits),
            forecast_low_credits: forecast.map(|forecast| forecast.low_credits),
            forecast_high_credits: forecast.map(|forecast| forecast.high_credits),
            exhausted_at: exhausted_at.map(to_milliseconds),
            top: top.iter().map(Share::of).collect(),
            thresholds: marks.iter().map(Threshold::new).collect(),
        }
    }
}

impl Threshold {
    fn new(mark: &Mark) -> Self {
        Self {
            measure: mark.measure,
            ratio: mark.at,
            severity: mark.severity,
            state: mark.state.map_or(INACTIVE, AlertState::as_str),
        }
    }
}
