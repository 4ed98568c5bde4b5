//! Budgets and how they stand.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::super::problem::{Kind, Problem};
use super::super::request::Asked;
use super::super::response::{self, Reply};
use super::super::state::State;
use super::page::Page;
use super::to_milliseconds;
use crate::budget::Standing;
use crate::day::Day;
use crate::exposition::{BudgetSeries, Mark};
use crate::ledger::{AlertState, Member};

/// A page of budgets as it is served.
#[derive(Debug, Serialize)]
struct BudgetsBody<'a> {
    evaluated_at: DateTime<Utc>,
    total: usize,
    offset: usize,
    limit: usize,
    budgets: Vec<BudgetBody<'a>>,
}

#[derive(Debug, Serialize)]
struct BudgetBody<'a> {
    budget: &'a str,
    start: Day,
    end: Option<Day>,
    agents: usize,
    limit_credits: f64,
    used_credits: Option<f64>,
    used_ratio: Option<f64>,
    missing_days: u32,
    pace_credits_per_day: Option<f64>,
    forecast_credits: Option<f64>,
    forecast_low_credits: Option<f64>,
    forecast_high_credits: Option<f64>,
    exhausted_at: Option<DateTime<Utc>>,
    top: Vec<ShareBody<'a>>,
    thresholds: Vec<ThresholdBody>,
}

/// Somebody's share of what was used.
#[derive(Debug, Serialize)]
struct ShareBody<'a> {
    account: &'a str,
    agent: &'a str,
    credits: f64,
}

#[derive(Debug, Serialize)]
struct ThresholdBody {
    measure: &'static str,
    ratio: f64,
    severity: &'static str,
    state: &'static str,
}

/// `/api/v1/budgets`: the budgets in the order of the config, page by page.
pub(super) fn budgets(state: &State, asked: &Asked<'_>) -> Result<Reply, Problem> {
    let query = asked.query(&["limit", "offset"])?;
    let page = Page::of(&query)?;
    let alerting = state
        .board
        .alerting()
        .ok_or_else(|| Problem::new(Kind::NotReady, "the budgets have not been evaluated yet"))?;
    let (all, shown) = (alerting.budgets.len(), page.part(&alerting.budgets));
    let mut reply = response::json(&BudgetsBody {
        evaluated_at: to_milliseconds(alerting.evaluated_at),
        total: all,
        offset: page.offset,
        limit: page.limit,
        budgets: shown.iter().map(BudgetBody::new).collect(),
    });
    page.link(&mut reply, asked, &query, shown.len(), all);
    Ok(reply)
}

impl<'a> BudgetBody<'a> {
    fn new(series: &'a BudgetSeries) -> Self {
        let BudgetSeries {
            name,
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
            top: top.iter().map(ShareBody::new).collect(),
            thresholds: marks.iter().map(ThresholdBody::new).collect(),
        }
    }
}

impl<'a> ShareBody<'a> {
    fn new((member, credits): &'a (Member, f64)) -> Self {
        Self {
            account: &member.agent.account,
            agent: &member.agent.name,
            credits: *credits,
        }
    }
}

impl ThresholdBody {
    fn new(mark: &Mark) -> Self {
        Self {
            measure: mark.measure,
            ratio: mark.ratio,
            severity: mark.severity,
            state: mark.state.map_or("inactive", AlertState::as_str),
        }
    }
}
