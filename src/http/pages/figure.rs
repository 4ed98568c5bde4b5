//! Pure: figures as pages show them. One that is not known is a dash, with what is lacking as its title.

use crate::alert::words;
use crate::day::Day;

/// What stands where a figure is not known.
const UNKNOWN: &str = "–";
/// The most days that are listed one by one.
const MOST_LISTED: usize = 6;

/// A figure as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    /// The figure, or a dash.
    pub(super) text: String,
    /// What else is to be said of it; empty where it says all.
    pub(super) title: String,
}

/// The sum of a figure over agents.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Sum {
    credits: f64,
    known: usize,
    agents: usize,
}

impl Shown {
    /// Credits, or why there are none.
    pub(super) fn credits(credits: Option<f64>, why_not: impl FnOnce() -> String) -> Self {
        match credits {
            Some(credits) => Self {
                text: words::number(credits),
                title: String::new(),
            },
            None => Self {
                text: UNKNOWN.to_owned(),
                title: why_not(),
            },
        }
    }
}

impl Sum {
    /// Adds an agent's figure.
    pub(super) fn add(&mut self, credits: Option<f64>) {
        self.agents += 1;
        if let Some(credits) = credits {
            self.known += 1;
            self.credits += credits;
        }
    }

    /// Whom it is without, if it is without anybody.
    pub(super) fn lacking(&self) -> Option<String> {
        let lacking = self.agents - self.known;
        (lacking > 0).then(|| format!("without {lacking} of {}", agents(self.agents)))
    }

    /// The credits that are known.
    pub(super) fn credits(&self) -> f64 {
        self.credits
    }

    /// The sum, a lower bound of it where the figure of some agents is not known, or nothing.
    pub(super) fn shown(&self) -> Shown {
        if self.known == self.agents {
            // Of no agents too: they use nothing.
            return Shown::credits(Some(self.credits), String::new);
        }
        let lacking = self.agents - self.known;
        let title = format!(
            "not known of {lacking} of {}, because a day that it covers is missing",
            agents(self.agents)
        );
        Shown {
            text: match self.known {
                0 => UNKNOWN.to_owned(),
                _ => format!("≥ {}", words::number(self.credits)),
            },
            title,
        }
    }
}

/// So many agents: `1 agent`, `10,000 agents`.
pub(super) fn agents(number: usize) -> String {
    counted(number, "agent", "agents")
}

/// So many things in figures: `1 day`, `1,234 days`.
pub(super) fn counted(number: usize, one: &str, many: &str) -> String {
    let thing = if number == 1 { one } else { many };
    format!("{} {thing}", words::grouped(&number.to_string()))
}

/// Days that are not known, as a title: `12 Nov and 3 Nov 2025 are not known`; the newest first.
pub(super) fn lacking(missing: &[Day], today: Day) -> String {
    let listed = missing.iter().rev().take(MOST_LISTED);
    let mut listed: Vec<String> = listed.map(|day| words::date(*day, today)).collect();
    let more = missing.len().saturating_sub(MOST_LISTED);
    if more > 0 {
        listed.push(counted(more, "more day", "more days"));
    }
    let are = if missing.len() == 1 { "is" } else { "are" };
    match listed.split_last() {
        None => "it was not known when the figures were last computed".to_owned(),
        Some((only, [])) => format!("{only} {are} not known"),
        Some((last, others)) => format!("{} and {last} {are} not known", others.join(", ")),
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
        let shown = Shown::credits(None, || "25 Nov is not known".to_owned());
        assert_eq!((&*shown.text, &*shown.title), ("–", "25 Nov is not known"));
        let zero = Shown::credits(Some(0.0), String::new);
        assert_eq!((&*zero.text, &*zero.title), ("0", ""));
    }

    #[test]
    fn a_sum_of_which_a_part_is_not_known_is_a_lower_bound() {
        let sum = |figures: &[Option<f64>]| {
            let mut sum = Sum::default();
            figures.iter().for_each(|figure| sum.add(*figure));
            sum.shown().text
        };
        assert_eq!(sum(&[Some(1_200.0), Some(34.5)]), "1,234.5");
        assert_eq!(sum(&[Some(1_200.0), None]), "≥ 1,200");
        assert_eq!(sum(&[None, None]), "–");
        assert_eq!(sum(&[]), "0");
    }

    #[test]
    fn days_that_are_lacking_are_named_the_newest_first_and_many_are_counted() {
        let today: Day = "2026-01-03".parse().unwrap();
        let days =
            |number: i32| -> Vec<Day> { today.plus(-number).through(today.previous()).collect() };
        assert_eq!(lacking(&days(1), today), "2 Jan is not known");
        let three = "2 Jan, 1 Jan and 31 Dec 2025 are not known";
        assert_eq!(lacking(&days(3), today), three);
        let many = lacking(&days(1_240), today);
        assert!(
            many.ends_with("28 Dec 2025 and 1,234 more days are not known"),
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
