//! Words for the standing of a budget.

use super::super::finding::Observation;
use super::super::{Check, Measure, Threshold};
use super::figures::ratio;
use super::{missing_line, top_line};
use crate::budget::{Cycle, Standing};
use crate::day::Day;
use crate::words::{count, credits, date, dates, number, percent, rounded, sentence};

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

/// Used credits of a budget: `at least 4,012 of 5,000 credits used (80%)`.
pub(super) fn used(standing: &Standing) -> String {
    let amount = amount(standing.used_credits, standing.limit_credits, "used");
    if standing.used_credits.is_some() && standing.missing_days > 0 {
        return format!("at least {amount}");
    }
    amount
}

/// Used or expected credits of a budget, as the threshold measures them.
pub(super) fn measured(standing: &Standing, threshold: &Threshold, today: Day) -> String {
    match threshold.measure {
        Measure::Forecast => {
            let expected = standing
                .forecast
                .map(|forecast| rounded(forecast.expected_credits));
            let amount = amount(expected, standing.limit_credits, "expected");
            let end = standing.period.end.map(|end| date(end.previous(), today));
            end.map_or_else(|| amount.clone(), |end| format!("{amount} by {end}"))
        }
        _ => used(standing),
    }
}

fn amount(value: Option<f64>, limit: f64, participle: &str) -> String {
    match value {
        Some(value) => {
            let share = ratio(Some(value), limit).map(|ratio| format!(" ({})", percent(ratio)));
            let (value, limit) = (number(value), credits(limit));
            format!(
                "{value} of {limit} {participle}{}",
                share.unwrap_or_default()
            )
        }
        None => format!("an unknown part of {} {participle}", credits(limit)),
    }
}

/// Returns true if all of it is known to be used.
fn is_exhausted(standing: &Standing) -> bool {
    standing
        .used_credits
        .is_some_and(|used| used >= standing.limit_credits)
}

/// Day on which a budget is expected to be exhausted: `used up on 27 Nov, three days before the period ends`.
pub(super) fn exhaustion(standing: &Standing, today: Day) -> Option<String> {
    let day = standing.last_day().filter(|_| !is_exhausted(standing))?;
    let on = format!("used up on {}", date(day, today));
    let Some(last) = standing.period.end.map(Day::previous) else {
        return Some(on);
    };
    Some(match u32::try_from(last.since(day)) {
        Ok(0) if last != standing.period.start => format!("{on}, the last day of the period"),
        Ok(days @ 1..) => {
            let days = count(days, "day", "days");
            format!("{on}, {days} before the period ends")
        }
        _ => on,
    })
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
