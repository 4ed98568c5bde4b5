//! Pure: the credits left of a balance in words.

use super::Left;
use crate::words::{credits, date, number, rounded};

/// The credits left: `at most 812 credits left`. Below zero, entries are missing: `100 credits more used than entered`.
#[must_use]
pub fn amount(left: &Left) -> String {
    let Some(amount) = left.credits() else {
        return "an unknown amount left".to_owned();
    };
    let is_bound = left.standing.missing_days > 0;
    if amount < 0.0 {
        let bound = if is_bound { "at least " } else { "" };
        return format!("{bound}{} more used than entered", credits(-amount));
    }
    let bound = if is_bound { "at most " } else { "" };
    format!("{bound}{} left", credits(amount))
}

/// Duration and last day: `enough for 9 days (7 to 12 days), until 9 Dec`.
#[must_use]
pub fn lasting(left: &Left) -> Option<String> {
    let day = left.standing.last_day();
    let day = day.map(|day| date(day, left.today));
    if left.is_used_up() {
        return Some(day.map_or("used up".to_owned(), |day| format!("used up on {day}")));
    }
    let duration = duration(left)?;
    let bounds = bounds(left).map(|bounds| format!(" ({bounds})"));
    let until = day.map(|day| format!(", until {day}"));
    Some(format!(
        "enough for {duration}{}{}",
        bounds.unwrap_or_default(),
        until.unwrap_or_default()
    ))
}

/// Difference of the last `set` from the expected amount: `120 less than expected on 10 Mar`.
#[must_use]
pub fn correction(left: &Left) -> Option<String> {
    let correction = left.correction_credits.filter(|credits| *credits != 0.0)?;
    let more = if correction > 0.0 { "more" } else { "less" };
    Some(format!(
        "{} {more} than expected on {}",
        number(rounded(correction.abs())),
        date(left.standing.period.start, left.today)
    ))
}

/// Expected duration: `9 days`, `over a year`.
#[must_use]
pub fn duration(left: &Left) -> Option<String> {
    match left.days_left() {
        Some(days) => Some(whole_days(days)),
        None => left.lasts().then(|| "over a year".to_owned()),
    }
}

/// Days, rounded down: what is promised is there.
fn whole_days(days: f64) -> String {
    match days.floor() as u32 {
        0 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        days => format!("{} days", number(days.into())),
    }
}

/// The low and the high bound of the duration: `7 to 12 days`.
#[must_use]
pub fn bounds(left: &Left) -> Option<String> {
    let [low, high] = left.days_left_bounds();
    let low = low?.floor();
    Some(match high.map(f64::floor) {
        Some(1.0) if low == 1.0 => "1 day".to_owned(),
        Some(high) if high == low => format!("{} days", number(low)),
        Some(high) => format!("{} to {} days", number(low), number(high)),
        None => format!("{} days to over a year", number(low)),
    })
}
