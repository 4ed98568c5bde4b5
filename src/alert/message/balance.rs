//! Words for the credits left of a balance.

use super::super::finding::Observation;
use super::super::{Figures, Measure, Threshold};
use super::{missing_line, top_line};
use crate::balance::Left;
use crate::balance::words::{amount, bounds, duration};
use crate::words::{credits, date, number, rounded, sentence};

/// Lines about the credits left.
pub(super) fn lines(left: Option<&Left>) -> Vec<String> {
    let Some(left) = left else {
        return vec!["There is no `set` entry yet, so nothing is known.".to_owned()];
    };
    let standing = &left.standing;
    let since = date(standing.period.start, left.today);
    let used = credits(standing.used_credits.unwrap_or(0.0));
    let top = standing.top.iter();
    let top = top.map(|(member, credits)| (&member.agent, *credits));
    let line = format!(
        "{}: {} set and added since {since}, {}{used} used.",
        sentence(&amount(left)),
        number(standing.limit_credits),
        at_least(left)
    );
    [line]
        .into_iter()
        .chain(missing_line(standing.missing_days))
        .chain([outlook(left)])
        .chain(top_line(top, standing.used_credits))
        .collect()
}

/// The amount and how long it lasts: `812 credits left, enough for 9 days`.
pub(super) fn measured(left: Option<&Left>) -> String {
    let Some(left) = left else {
        return "nothing is known of what is left".to_owned();
    };
    match duration(left) {
        _ if left.is_used_up() => format!("used up, {}", amount(left)),
        None => amount(left),
        Some(days) => format!("{}, enough for {days}", amount(left)),
    }
}

fn outlook(left: &Left) -> String {
    let Some(pace) = left.standing.pace_credits_per_day else {
        return match left.standing.last_day() {
            Some(day) => format!("It was used up on {}.", date(day, left.today)),
            None => "There is no forecast: too few days are known.".to_owned(),
        };
    };
    let pace = format!("The pace is {} a day", credits(rounded(pace)));
    match left.standing.last_day().map(|day| date(day, left.today)) {
        Some(day) if left.is_used_up() => format!("It was used up on {day}. {pace}."),
        Some(day) => {
            let days = duration(left).unwrap_or_default();
            let bounds = bounds(left).map(|bounds| format!(" ({bounds})"));
            let bounds = bounds.unwrap_or_default();
            format!("{pace}: at this pace it lasts {days}{bounds}, until {day}.")
        }
        None => format!("{pace}: at this pace it lasts over a year."),
    }
}

/// A threshold with its unit: `200 credits`, `7 days`.
pub(super) fn threshold(threshold: &Threshold) -> String {
    match threshold.measure {
        Measure::DaysLeft if threshold.at == 1.0 => "1 day".to_owned(),
        Measure::DaysLeft => format!("{} days", number(threshold.at)),
        _ => credits(threshold.at),
    }
}

/// A line on why the alert still fires below its threshold.
pub(super) fn held(threshold: &Threshold) -> String {
    let held = Threshold {
        at: threshold.at * 1.05,
        ..*threshold
    };
    let after = match threshold.measure {
        Measure::DaysLeft => ", after a top-up or three days in a row",
        _ => "",
    };
    format!(
        "It still fires: it resolves above {}{after}.",
        self::threshold(&held)
    )
}

/// Reports if credits were set or added since the previous figures.
pub(super) fn is_topped_up(before: &Figures, observation: &Observation<'_>) -> bool {
    let now = observation.figures();
    let credits = |figures: &Figures| figures.limit_credits.unwrap_or(f64::NAN);
    let is_same = (credits(before) - credits(&now)).abs() <= 1e-9 * credits(&now);
    now.left_credits.is_some() && (before.first_day != now.first_day || !is_same)
}

fn at_least(left: &Left) -> &'static str {
    match left.standing.missing_days {
        0 => "",
        _ => "at least ",
    }
}
