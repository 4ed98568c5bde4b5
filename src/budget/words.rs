//! Pure: how a budget stands, in words.

use super::Standing;
use crate::day::Day;
use crate::words::{count, credits, date, number, percent, rounded};

/// Used credits of a budget: `at least 4,012 of 5,000 credits used (80%)`.
#[must_use]
pub fn used(standing: &Standing) -> String {
    let amount = amount(standing.used_credits, standing.limit_credits, "used");
    if standing.used_credits.is_some() && standing.missing_days > 0 {
        return format!("at least {amount}");
    }
    amount
}

/// Expected credits of a budget, and the end of its period: `4,800 of 5,000 credits expected (96%) by 30 Nov`.
#[must_use]
pub fn expected(standing: &Standing, today: Day) -> String {
    let expected = standing
        .forecast
        .map(|forecast| rounded(forecast.expected_credits));
    let amount = amount(expected, standing.limit_credits, "expected");
    let end = standing.period.end.map(|end| date(end.previous(), today));
    end.map_or_else(|| amount.clone(), |end| format!("{amount} by {end}"))
}

/// Returns true if all of it is known to be used.
#[must_use]
pub fn is_exhausted(standing: &Standing) -> bool {
    standing
        .used_credits
        .is_some_and(|used| used >= standing.limit_credits)
}

/// Day on which a budget is expected to be exhausted: `used up on 27 Nov, three days before the period ends`.
#[must_use]
pub fn exhaustion(standing: &Standing, today: Day) -> Option<String> {
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

fn amount(value: Option<f64>, limit: f64, participle: &str) -> String {
    match value {
        Some(value) => {
            let share = (limit > 0.0).then(|| format!(" ({})", percent(value / limit)));
            let (value, limit) = (number(value), credits(limit));
            format!(
                "{value} of {limit} {participle}{}",
                share.unwrap_or_default()
            )
        }
        None => format!("an unknown part of {} {participle}", credits(limit)),
    }
}
