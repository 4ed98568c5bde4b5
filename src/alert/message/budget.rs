//! Words for the standing of a budget.

use super::super::finding::Observation;
use super::super::{Check, Measure, Threshold};
use super::{missing_line, top_line};
use crate::budget::words::{exhaustion, expected, is_exhausted, used};
use crate::budget::{Cycle, Standing};
use crate::day::Day;
use crate::words::{credits, date, dates, number, rounded, sentence};

/// Its standing, line by line.
pub(super) fn lines(observation: &Observation<'_>, standing: &Standing) -> Vec<String> {
    let today = observation.today;
    let top = standing
        .top
        .iter()
        .map(|(member, credits)| (&member.agent, *credits));
    [used_line(standing, today)]
        .into_iter()
        .chain(missing_line(standing.missing_days))
        .chain(outlook(observation, standing))
        .chain(top_line(top, standing.used_credits))
        .collect()
}

/// Used credits of a budget, their days, and the end of its period.
fn used_line(standing: &Standing, today: Day) -> String {
    let period = standing.period;
    let last = period.end.map_or(today, |end| end.min(today)).previous();
    // A period that is still to begin has no days yet.
    let days = dates(period.start.min(last), last, today);
    let ending = match period.end {
        None => "; the period has no end".to_owned(),
        Some(_) if standing.period.is_over(today) && period.start == last => String::new(),
        Some(_) if standing.period.is_over(today) => ", the whole period".to_owned(),
        Some(end) => format!("; the period ends on {}", date(end.previous(), today)),
    };
    format!("{} {days}{ending}.", sentence(&used(standing)))
}

/// Used or expected credits of a budget, as the threshold measures them.
pub(super) fn measured(standing: &Standing, threshold: &Threshold, today: Day) -> String {
    match threshold.measure {
        Measure::Forecast => expected(standing, today),
        _ => used(standing),
    }
}

/// Day of exhaustion, pace and forecast.
fn outlook(observation: &Observation<'_>, standing: &Standing) -> Option<String> {
    let today = observation.today;
    let past = standing
        .last_day()
        .filter(|_| is_exhausted(standing))
        .map(|day| format!("The budget was used up on {}.", date(day, today)));
    let future = (!standing.period.is_over(today)).then(|| future(observation, standing));
    let outlook: Vec<String> = past.into_iter().chain(future).collect();
    (!outlook.is_empty()).then(|| outlook.join(" "))
}

/// The pace, and where it leads.
fn future(observation: &Observation<'_>, standing: &Standing) -> String {
    let end = match observation.rule.check {
        Check::Budget {
            cycle: Cycle::Week, ..
        } => "week",
        Check::Budget {
            cycle: Cycle::Month { anchor_day: 1 },
            ..
        } => "month",
        _ => "period",
    };
    let pace = standing.pace_credits_per_day.map_or_else(
        || "At".to_owned(),
        |pace| format!("The pace is {} a day: at", credits(rounded(pace))),
    );
    let expected = standing.forecast.map(|forecast| {
        let number = |value| number(rounded(value));
        let (low, high) = (number(forecast.low_credits), number(forecast.high_credits));
        let within = if forecast.expected_credits < standing.limit_credits {
            ", within the budget"
        } else {
            ""
        };
        let expected = number(forecast.expected_credits);
        (format!("{expected} ({low} to {high})"), within)
    });
    match (exhaustion(standing, observation.today), expected) {
        (Some(exhaustion), Some((expected, _))) => {
            format!("{pace} this pace {exhaustion}; {expected} expected by the end of the {end}.")
        }
        (Some(exhaustion), None) => format!("{pace} this pace {exhaustion}."),
        (None, Some((expected, within))) => {
            format!("{pace} this pace {expected} by the end of the {end}{within}.")
        }
        (None, None) => match standing.pace_credits_per_day {
            Some(pace) => format!("The pace is {} a day.", credits(rounded(pace))),
            None => "There is no forecast: too few days are known.".to_owned(),
        },
    }
}
