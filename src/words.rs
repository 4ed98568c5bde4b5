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
pub fn number(value: f64) -> String {
    let decimals = if value.abs() < 100.0 { 2 } else { 1 };
    // The sum is what makes a negative zero a positive one.
    let text = format!("{:.decimals$}", value + 0.0);
    grouped(text.trim_end_matches('0').trim_end_matches('.'))
}

/// A figure to the millionth: what products of floats leave in their last digits tells nobody anything.
#[must_use]
pub fn exact(figure: f64) -> String {
    let text = format!("{figure:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The value without decimals from 100 on, where they say nothing.
pub fn rounded(value: f64) -> f64 {
    if value.abs() < 100.0 {
        value
    } else {
        value.round()
    }
}

/// An amount of credits: `1 credit`, `1,234.5 credits`.
pub fn credits(value: f64) -> String {
    let number = number(value);
    let unit = if number == "1" { "credit" } else { "credits" };
    format!("{number} {unit}")
}

/// A share in whole percent, rounded down: 100% is said only of all.
pub fn percent(ratio: f64) -> String {
    // What a product of floats lost in its last bits is not to cost a whole percent.
    format!("{}%", number((ratio * 100.0 + 1e-9).floor()))
}

/// A threshold in percent, as it was configured.
pub fn exact_percent(ratio: f64) -> String {
    format!("{}%", number(ratio * 100.0))
}

/// A day without its year, unless that differs from the year of `today`: `27 Nov`.
pub fn date(day: Day, today: Day) -> String {
    let date = day.date();
    let format = if date.year() == today.date().year() {
        "%-d %b"
    } else {
        "%-d %b %Y"
    };
    date.format(format).to_string()
}

/// The days `first` through `last` as the end of a sentence: `from 1 Nov through 22 Nov`.
pub fn dates(first: Day, last: Day, today: Day) -> String {
    if first == last {
        format!("on {}", date(first, today))
    } else {
        format!("from {} through {}", date(first, today), date(last, today))
    }
}

/// A count of things, in words up to twelve: `three days`, `1,000 days`.
pub fn count(number: u32, one: &str, many: &str) -> String {
    let thing = if number == 1 { one } else { many };
    let word = usize::try_from(number)
        .ok()
        .and_then(|number| WORDS.get(number));
    match word {
        Some(word) => format!("{word} {thing}"),
        None => format!("{} {thing}", self::number(number.into())),
    }
}

/// Missing days of agents, and the verb that follows: `1 agent-day is`, `1,000 agent-days are`.
pub fn agent_days_are(number: u32) -> String {
    match number {
        1 => "1 agent-day is".to_owned(),
        days => format!("{} agent-days are", self::number(days.into())),
    }
}

/// The text with its first letter as a capital.
pub fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    #[test]
    fn numbers_have_separators_and_no_more_decimals_than_one_reads() {
        let table = [
            (0.0, "0"),
            (-0.0, "0"),
            (0.25, "0.25"),
            (12.5, "12.5"),
            (99.999, "100"),
            (123.45, "123.5"),
            (999.96, "1,000"),
            (1_234.5, "1,234.5"),
            (1_234_567.0, "1,234,567"),
            (-1_234.0, "-1,234"),
            (100.0, "100"),
            (1e12, "1,000,000,000,000"),
        ];
        for (value, text) in table {
            assert_eq!(number(value), text, "{value:?}");
        }
        assert_eq!(credits(1.0), "1 credit");
        assert_eq!(credits(0.5), "0.5 credits");
    }

    #[test]
    fn all_is_said_only_of_all() {
        let table = [
            (0.8, "80%"),
            (0.999_9, "99%"),
            (1.0, "100%"),
            (0.29, "29%"),
            (12.345, "1,234%"),
        ];
        for (ratio, text) in table {
            assert_eq!(percent(ratio), text, "{ratio}");
        }
        assert_eq!(exact_percent(0.855), "85.5%");
        assert_eq!(exact_percent(0.29), "29%");
    }

    #[test]
    fn a_year_is_said_only_where_it_differs() {
        let today = day("2026-11-23");
        assert_eq!(date(day("2026-11-07"), today), "7 Nov");
        assert_eq!(date(day("2025-12-31"), today), "31 Dec 2025");
        let (first, last) = (day("2025-12-31"), day("2026-01-30"));
        assert_eq!(dates(first, last, today), "from 31 Dec 2025 through 30 Jan");
        assert_eq!(dates(last, last, today), "on 30 Jan");
    }

    #[test]
    fn small_counts_are_words() {
        let days = |number| count(number, "day", "days");
        assert_eq!(days(0), "no days");
        assert_eq!(days(1), "one day");
        assert_eq!(days(12), "twelve days");
        assert_eq!(days(13), "13 days");
        assert_eq!(days(1_000), "1,000 days");
    }
}
