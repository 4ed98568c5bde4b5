//! Pure: numbers and days as people write them.

use chrono::Datelike;

use crate::day::Day;
pub(crate) use crate::text::grouped;

/// The numbers that are written as words.
const WORDS: [&str; 13] = [
    "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve",
];

/// A number with thousands separators: two decimals below 100, one above, without trailing zeros.
pub(crate) fn number(value: f64) -> String {
    let decimals = if value.abs() < 100.0 { 2 } else { 1 };
    // The sum is what makes a negative zero a positive one.
    let text = format!("{:.decimals$}", value + 0.0);
    grouped(text.trim_end_matches('0').trim_end_matches('.'))
}

/// The value without decimals from 100 on, where they say nothing.
pub(crate) fn rounded(value: f64) -> f64 {
    if value.abs() < 100.0 {
        value
    } else {
        value.round()
    }
}

/// An amount of credits: `1 credit`, `1,234.5 credits`.
pub(crate) fn credits(value: f64) -> String {
    let number = number(value);
    let unit = if number == "1" { "credit" } else { "credits" };
    format!("{number} {unit}")
}

/// A share in whole percent, rounded down: 100% is said only of all.
pub(crate) fn percent(ratio: f64) -> String {
    // What a product of floats lost in its last bits is not to cost a whole percent.
    format!("{}%", number((ratio * 100.0 + 1e-9).floor()))
}

/// A threshold in percent, as it was configured.
pub(crate) fn exact_percent(ratio: f64) -> String {
    format!("{}%", number(ratio * 100.0))
}

/// A day without its year, unless that differs from the year of `today`: `27 Nov`.
pub(crate) fn date(day: Day, today: Day) -> String {
    let date = day.date();
    let format = if date.year() == today.date().year() {
        "%-d %b"
    } else {
        "%-d %b %Y"
    };
    date.format(format).to_string()
}

/// The days `first` through `last` as the end of a sentence: `from 1 Nov through 22 Nov`.
pub(crate) fn dates(first: Day, last: Day, today: Day) -> String {
    if first == last {
        format!("on {}", date(first, today))
    } else {
        format!("from {} through {}", date(first, today), date(last, today))
    }
}

/// A count of things, in words up to twelve: `three days`, `1,000 days`.
pub(crate) fn count(number: u32, one: &str, many: &str) -> String {
    let thing = if number == 1 { one } else { many };
    let word = usize::try_from(number)
        .ok()
        .and_then(|number| WORDS.get(number));
    match word {
        Some(word) => format!("{word} {thing}"),
        None => format!("{} {thing}", self::number(number.into())),
    }
}

/// The text with its first letter as a capital.
pub(crate) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}
