//! Pure: figures as pages show them. With missing days a figure is a lower bound, and a dash if no day is known.

use crate::day::Day;
use crate::http::months::Sum;
use crate::words;

/// Sign for an unknown figure.
const UNKNOWN: &str = "–";
/// The most days that are listed one by one.
const MOST_LISTED: usize = 6;

/// A figure as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    /// The figure, `≥` and a lower bound of it, or a dash.
    pub(super) text: String,
    /// Note on missing days; empty if none is missing.
    pub(super) title: String,
    /// The figure with its decimals, where `text` is rounded; else empty.
    pub(super) exact: String,
}

/// A figure with a name and a note.
#[derive(Debug)]
pub(super) struct Tile {
    pub(super) label: String,
    pub(super) shown: Shown,
    /// `credits`, or nothing where the label says it.
    pub(super) unit: &'static str,
    pub(super) note: String,
}

/// Credits without decimals from 100 on.
pub(super) fn amount(credits: f64) -> String {
    words::number(words::rounded(credits))
}

/// The same, rounded down.
pub(super) fn amount_at_least(credits: f64) -> String {
    match credits.abs() < 100.0 {
        // What a product of floats lost in its last bits costs no hundredth.
        true => words::number((credits * 100.0 + 1e-6).floor() / 100.0),
        false => words::number(credits.floor()),
    }
}

impl Shown {
    /// Credits, or why there are none.
    pub(super) fn credits(credits: Option<f64>, why_not: impl FnOnce() -> String) -> Self {
        Self::of(credits, None, why_not)
    }

    /// Credits, or else the lower bound `at_least` with what is missing, or else a dash with that.
    pub(super) fn of(
        credits: Option<f64>,
        at_least: Option<f64>,
        missing: impl FnOnce() -> String,
    ) -> Self {
        let (text, figure) = match (credits, at_least) {
            (Some(credits), _) => (amount(credits), credits),
            (None, Some(bound)) => (format!("≥ {}", amount_at_least(bound)), bound),
            (None, None) => return Self::unknown(missing()),
        };
        let exact = words::grouped(
            format!("{figure:.2}")
                .trim_end_matches('0')
                .trim_end_matches('.'),
        );
        let is_rounded = exact != text.trim_start_matches("≥ ");
        Self {
            text,
            title: if credits.is_some() {
                String::new()
            } else {
                missing()
            },
            exact: if is_rounded { exact } else { String::new() },
        }
    }

    /// A dash, and why.
    pub(super) fn unknown(title: String) -> Self {
        Self {
            text: UNKNOWN.to_owned(),
            title,
            exact: String::new(),
        }
    }

    /// A text that says all.
    pub(super) fn plain(text: String) -> Self {
        Self {
            text,
            title: String::new(),
            exact: String::new(),
        }
    }
}

impl Tile {
    /// A tile of credits.
    pub(super) fn credits(label: impl Into<String>, shown: Shown, note: String) -> Self {
        let unit = match shown.text.as_str() {
            UNKNOWN => "",
            "1" => "credit",
            _ => "credits",
        };
        Self {
            label: label.into(),
            shown,
            unit,
            note,
        }
    }
}

impl Sum {
    /// Number of agents with missing days, if there are any.
    pub(super) fn lacking(&self) -> Option<String> {
        let lacking = self.agents - self.whole;
        (lacking > 0).then(|| {
            let lacking = words::grouped(&lacking.to_string());
            format!("{lacking} of {} incomplete", agents(self.agents))
        })
    }

    /// The sum, a lower bound of it where the figure of some agents is not known, or nothing.
    pub(super) fn shown(&self) -> Shown {
        // Of no agents too: they use nothing.
        let whole = (self.whole == self.agents).then_some(self.credits);
        let known = (self.known > 0).then_some(self.credits);
        Shown::of(whole, known, || self.lacking().unwrap_or_default())
    }
}

/// A number of agents: `1 agent`, `10,000 agents`.
pub(super) fn agents(number: usize) -> String {
    counted(number, "agent", "agents")
}

/// A number of things in figures: `1 day`, `1,234 days`.
pub(super) fn counted(number: usize, one: &str, many: &str) -> String {
    let thing = if number == 1 { one } else { many };
    format!("{} {thing}", words::grouped(&number.to_string()))
}

/// A text, cut after `most` letters.
pub(super) fn shortened(text: &str, most: usize) -> String {
    let mut letters = text.chars();
    let shown: String = letters.by_ref().take(most).collect();
    match letters.next() {
        Some(_) => shown + "…",
        None => shown,
    }
}

/// Days that are missing, as a title: `12 Nov and 3 Nov 2025 are missing`; the newest first.
pub(super) fn lacking(missing: &[Day], today: Day) -> String {
    let listed = missing.iter().rev().take(MOST_LISTED);
    let mut listed: Vec<String> = listed.map(|day| words::date(*day, today)).collect();
    let more = missing.len().saturating_sub(MOST_LISTED);
    if more > 0 {
        listed.push(counted(more, "more day", "more days"));
    }
    let are = if missing.len() == 1 { "is" } else { "are" };
    match listed.split_last() {
        None => "missing when the figures were last computed".to_owned(),
        Some((only, [])) => format!("{only} {are} missing"),
        Some((last, others)) => format!("{} and {last} {are} missing", others.join(", ")),
    }
}

/// Days as a note: `19 – 25 Nov`, `27 Oct – 25 Nov`.
pub(super) fn short_span(first: Day, last: Day, today: Day) -> String {
    let (from, to) = (words::date(first, today), words::date(last, today));
    if first == last {
        to
    } else if first.month_start() == last.month_start() {
        format!("{} – {to}", first.date().format("%-d"))
    } else {
        format!("{from} – {to}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_never_shown_as_zero() {
        let shown = Shown::credits(None, || "25 Nov is missing".to_owned());
        assert_eq!((&*shown.text, &*shown.title), ("–", "25 Nov is missing"));
        let zero = Shown::credits(Some(0.0), String::new);
        assert_eq!((&*zero.text, &*zero.title), ("0", ""));
    }

    #[test]
    fn a_sum_of_which_a_part_is_not_known_is_a_lower_bound() {
        let sum = |figures: &[Option<f64>]| {
            let mut sum = Sum::default();
            figures.iter().for_each(|figure| sum.add(*figure, None));
            sum.shown().text
        };
        assert_eq!(sum(&[Some(1_200.0), Some(34.4)]), "1,234");
        assert_eq!(sum(&[Some(1_200.0), None]), "≥ 1,200");
        assert_eq!(sum(&[None, None]), "–");
        assert_eq!(sum(&[]), "0");
        // The known days of an agent count, and the agent is incomplete.
        let mut part = Sum::default();
        part.add(Some(10.0), None);
        part.add(None, Some(5.0));
        let shown = part.shown();
        assert_eq!(
            (&*shown.text, &*shown.title),
            ("≥ 15", "1 of 2 agents incomplete")
        );
    }

    #[test]
    fn decimals_are_shown_where_they_say_something_and_a_lower_bound_is_never_rounded_up() {
        let shown = |credits, at_least| {
            let shown = Shown::of(credits, at_least, || "missing".to_owned());
            (shown.text, shown.exact)
        };
        let both = |text: &str, exact: &str| (text.to_owned(), exact.to_owned());
        assert_eq!(shown(Some(1_234.56), None), both("1,235", "1,234.56"));
        assert_eq!(shown(Some(34.56), None), both("34.56", ""));
        assert_eq!(shown(Some(5_000.0), None), both("5,000", ""));
        assert_eq!(shown(None, Some(1_234.9)), both("≥ 1,234", "1,234.9"));
        assert_eq!(shown(None, Some(0.29)), both("≥ 0.29", ""));
        assert_eq!(shown(None, None), both("–", ""));
    }

    #[test]
    fn days_that_are_lacking_are_named_the_newest_first_and_many_are_counted() {
        let today: Day = "2026-01-03".parse().unwrap();
        let days =
            |number: i32| -> Vec<Day> { today.plus(-number).through(today.previous()).collect() };
        assert_eq!(lacking(&days(1), today), "2 Jan is missing");
        let three = "2 Jan, 1 Jan and 31 Dec 2025 are missing";
        assert_eq!(lacking(&days(3), today), three);
        let many = lacking(&days(1_240), today);
        assert!(
            many.ends_with("28 Dec 2025 and 1,234 more days are missing"),
            "{many}"
        );
    }

    #[test]
    fn the_days_of_a_figure_are_said_shortly() {
        let day = |text: &str| text.parse::<Day>().unwrap();
        let today = day("2026-01-03");
        let span = |first, last| short_span(day(first), day(last), today);
        assert_eq!(span("2026-01-01", "2026-01-02"), "1 – 2 Jan");
        assert_eq!(span("2026-01-02", "2026-01-02"), "2 Jan");
        assert_eq!(span("2025-12-27", "2026-01-02"), "27 Dec 2025 – 2 Jan");
    }
}
