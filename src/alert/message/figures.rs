//! The figures that the words are made of.

use super::super::finding::{Finding, Observation};
use super::super::{Figures, Share, Threshold};
use crate::balance::Left;
use crate::budget::Standing;

/// The figures that the words are made of.
pub(super) fn of(observation: &Observation<'_>) -> Figures {
    match &observation.finding {
        Finding::Budget {
            standing,
            threshold,
            ..
        } => budget_figures(standing, threshold),
        Finding::Balance { left, threshold } => balance_figures(*left, threshold),
        Finding::Usage {
            days: (first, last),
            used_credits,
            missing_days,
            top,
            ..
        } => Figures {
            used_credits: *used_credits,
            limit_credits: Some(observation.limit_credits()),
            used_ratio: ratio(*used_credits, observation.limit_credits()),
            first_day: Some(first.to_string()),
            last_day: Some(last.to_string()),
            missing_days: Some(*missing_days),
            top: top
                .iter()
                .map(|(agent, credits)| Share::of_agent(agent, *credits))
                .collect(),
            ..Figures::default()
        },
        Finding::Day {
            day,
            used_credits,
            usual_credits,
            ..
        } => Figures {
            used_credits: *used_credits,
            usual_credits: *usual_credits,
            first_day: Some(day.to_string()),
            last_day: Some(day.to_string()),
            ..Figures::default()
        },
        Finding::MissingData(facts, since) => Figures {
            missing_days: Some(facts.missing_days),
            missing_since: since.map(|day| day.to_string()),
            ..Figures::default()
        },
        Finding::KeyRefused { .. }
        | Finding::AgentRefused(_)
        | Finding::Probe(_)
        | Finding::NoCredits { .. } => Figures::default(),
    }
}

fn budget_figures(standing: &Standing, threshold: &Threshold) -> Figures {
    let forecast = standing.forecast;
    let top = standing.top.iter();
    Figures {
        used_credits: standing.used_credits,
        limit_credits: Some(standing.limit_credits),
        used_ratio: ratio(standing.used_credits, standing.limit_credits),
        threshold_ratio: Some(threshold.at),
        measure: Some(threshold.measure.as_str().to_owned()),
        first_day: Some(standing.period.start.to_string()),
        last_day: standing.period.end.map(|end| end.previous().to_string()),
        missing_days: Some(standing.missing_days),
        pace_credits_per_day: standing.pace_credits_per_day,
        forecast_credits: forecast.map(|forecast| forecast.expected_credits),
        forecast_low_credits: forecast.map(|forecast| forecast.low_credits),
        forecast_high_credits: forecast.map(|forecast| forecast.high_credits),
        exhausted_at: standing.exhausted_at,
        top: top.map(Share::of).collect(),
        ..Figures::default()
    }
}

fn balance_figures(left: Option<&Left>, threshold: &Threshold) -> Figures {
    let measure = Some(threshold.measure.as_str().to_owned());
    let Some(left) = left else {
        return Figures {
            measure,
            ..Figures::default()
        };
    };
    let [low_days_left, high_days_left] = left.days_left_bounds();
    let top = left.standing.top.iter();
    Figures {
        used_credits: left.standing.used_credits,
        limit_credits: Some(left.standing.limit_credits),
        measure,
        first_day: Some(left.standing.period.start.to_string()),
        missing_days: Some(left.standing.missing_days),
        pace_credits_per_day: left.standing.pace_credits_per_day,
        exhausted_at: left.standing.exhausted_at,
        left_credits: left.credits(),
        days_left: left.days_left(),
        low_days_left,
        high_days_left,
        top: top.map(Share::of).collect(),
        ..Figures::default()
    }
}

pub(super) fn ratio(used: Option<f64>, limit: f64) -> Option<f64> {
    used.filter(|_| limit > 0.0).map(|used| used / limit)
}
