//! Pure: what was used in a week or month, for people who look once in a while.

mod rows;
#[cfg(test)]
mod tests;
mod text;

pub use rows::Row;
pub use text::{change_percent, share};

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::balance::{self, Days, Left, Reach};
use crate::budget::{self, Standing};
use crate::day::Day;
use crate::roster::Matcher;
use crate::sheet::{Grouping, Sheet};
use crate::tabulate::Step;
use crate::window::Range;

/// The most subjects of a budget.
const SUBJECTS: usize = 10;
/// Days after the end of a period that a summary waits for figures.
const WAIT_DAYS: i32 = 2;

/// One `[[summary]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its name, unlike any other summary's.
    pub name: Arc<str>,
    /// A week or a month.
    pub period: Step,
    /// Subject of a row.
    pub grouping: Grouping,
    /// The most rows.
    pub top: usize,
    /// The hooks that it is sent to.
    pub hooks: Vec<Arc<str>>,
}

/// Summary of a period, as it is sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Name of the summary.
    pub name: String,
    /// `week` or `month`.
    pub period: String,
    /// First day of the period, `YYYY-MM-DD`.
    pub first_day: String,
    /// Its last day.
    pub last_day: String,
    /// Subject of a row: `agent`, `account`, or the name of a label.
    pub by: String,
    /// The total in a line of plain words.
    pub title: String,
    /// All of it in lines of plain words.
    pub text: String,
    /// Link to the page with more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// All agents together.
    pub total: Row,
    /// Those that used most, descending.
    pub top: Vec<Row>,
    /// All others together, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others: Option<Row>,
    /// Those whose use grew most against the period before, descending by the credits gained.
    pub growing: Vec<Row>,
    /// Those of whom most days are missing, descending.
    pub missing: Vec<Row>,
    /// Budgets with their state now.
    pub budgets: Vec<Line>,
    /// Balances with their state now.
    pub balances: Vec<Line>,
}

/// A budget or a balance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// Its state in words.
    pub text: String,
    /// The part of its limit that is known to be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_ratio: Option<f64>,
}

/// Budgets and balances with their state now.
#[derive(Debug, Clone, Default)]
pub struct Purses<'a> {
    /// The budgets that have figures, with the subject where each has a limit; those of a budget stand together.
    pub budgets: Vec<(&'a str, Option<&'a str>, &'a Standing)>,
    /// The balances that have figures.
    pub balances: Vec<(&'a str, &'a Left)>,
}

impl Settings {
    /// The days that it needs, of all agents.
    #[must_use]
    pub fn reach(&self) -> Reach {
        Reach {
            matcher: Matcher::default(),
            days: Days::Ended(self.period),
        }
    }

    /// An empty sheet of the last period that has ended by the day `today`, against the one before.
    #[must_use]
    pub fn sheet(&self, today: Day) -> Sheet {
        let period = |after: Day| {
            let last = after.previous();
            Range::new(self.period.first_day(last), last, today)
                .expect("a period ends after it starts, and before today")
        };
        let ended = period(self.period.first_day(today));
        Sheet::new(ended, self.period, self.grouping.clone()).against(period(ended.start()))
    }

    /// True if `sheet` of the last period may be sent on the day `today`: all of it is known, or was waited for in
    /// vain. While `more_may_come`, as before the end of a sync, it is waited for.
    #[must_use]
    pub fn is_ready(&self, sheet: &Sheet, today: Day, more_may_come: bool) -> bool {
        let is_known = sheet.total.whole.missing_days == 0;
        let is_late = today.since(sheet.range.end().next()) >= WAIT_DAYS;
        !sheet.rows.is_empty() && (is_known || (is_late && !more_may_come))
    }

    /// The summary of `sheet`, which is sorted, as of the day `today`.
    #[must_use]
    pub fn summary(
        &self,
        mut sheet: Sheet,
        purses: &Purses<'_>,
        url: Option<&str>,
        today: Day,
    ) -> Summary {
        let growing = rows::growing(&sheet);
        let missing = rows::missing(&sheet);
        let used = sheet.rows.iter();
        let used = used
            .filter(|row| row.sums.whole.known_credits > 0.0)
            .count();
        sheet.keep(self.top.min(used));
        let row = |row| Row::of(row, &sheet.total);
        let (number, others) = &sheet.others;
        let others = (*number > 0).then(|| Row::new(text::others(*number), others, &sheet.total));
        let mut summary = Summary {
            name: self.name.to_string(),
            period: self.period.as_str().to_owned(),
            first_day: sheet.range.start().to_string(),
            last_day: sheet.range.end().to_string(),
            by: sheet.grouping.title().to_owned(),
            title: String::new(),
            text: String::new(),
            url: url.map(str::to_owned),
            total: Row::new("total".to_owned(), &sheet.total, &sheet.total),
            top: sheet.rows.iter().map(row).collect(),
            others,
            growing,
            missing,
            budgets: of_budgets(&purses.budgets, today),
            balances: purses
                .balances
                .iter()
                .map(|(name, left)| of_balance(name, left))
                .collect(),
        };
        summary.title = text::title(&summary, &sheet, today);
        summary.text = text::text(&summary, &sheet);
        summary
    }
}

impl Summary {
    /// Two summaries to try a template with, as on the day `today`: one has everything that one may have, the other
    /// nothing that one may lack.
    #[must_use]
    pub fn samples(today: Day) -> [Self; 2] {
        let whole = Self::sample(today);
        let sparse = Self {
            url: None,
            total: Row {
                before_credits: None,
                change_ratio: None,
                share_ratio: None,
                ..whole.total.clone()
            },
            top: Vec::new(),
            others: None,
            growing: Vec::new(),
            missing: Vec::new(),
            budgets: Vec::new(),
            balances: Vec::new(),
            ..whole.clone()
        };
        [whole, sparse]
    }

    /// A summary with everything that one may have.
    #[must_use]
    pub fn sample(today: Day) -> Self {
        let row = Row {
            name: "acme/support".to_owned(),
            known_credits: 4_012.0,
            missing_days: 1,
            before_credits: Some(3_600.0),
            change_ratio: Some(0.1),
            share_ratio: Some(0.5),
        };
        let line = Line {
            name: "example".to_owned(),
            text: "4,012 of 5,000 credits used (80%)".to_owned(),
            used_ratio: Some(0.8),
        };
        Self {
            name: "example".to_owned(),
            period: "week".to_owned(),
            first_day: today.plus(-7).to_string(),
            last_day: today.previous().to_string(),
            by: "agent".to_owned(),
            title: "Summary example: 8,024 credits used".to_owned(),
            text: "8,024 credits used.".to_owned(),
            url: Some("https://dash.example/".to_owned()),
            total: row.clone(),
            top: vec![row.clone()],
            others: Some(row.clone()),
            growing: vec![row.clone()],
            missing: vec![row],
            budgets: vec![line.clone()],
            balances: vec![line],
        }
    }

    /// The same, marked as one that was asked for to try a hook with.
    #[must_use]
    pub fn as_test(self) -> Self {
        Self {
            title: format!("Test: {}", self.title),
            text: format!(
                "This is a test: the real summary is sent on its own.\n\n{}",
                self.text
            ),
            ..self
        }
    }
}

/// The budgets that have agents, and of each the subjects that used most of their limits.
fn of_budgets(budgets: &[(&str, Option<&str>, &Standing)], today: Day) -> Vec<Line> {
    let mut lines = Vec::new();
    for alike in budgets.chunk_by(|one, other| one.0 == other.0) {
        let mut alike: Vec<_> = alike.iter().filter(|(.., one)| one.agents > 0).collect();
        let ratio = |standing: &Standing| standing.used_ratio().unwrap_or(0.0);
        alike.sort_by(|one, other| ratio(other.2).total_cmp(&ratio(one.2)));
        let rest = alike.len().saturating_sub(SUBJECTS);
        lines.extend(
            alike
                .iter()
                .take(SUBJECTS)
                .map(|(name, subject, standing)| {
                    let name = match subject {
                        Some(subject) => format!("{name} ({subject})"),
                        None => (*name).to_owned(),
                    };
                    of_budget(&name, standing, today)
                }),
        );
        if let (Some((name, ..)), 1..) = (alike.first(), rest) {
            lines.push(Line {
                name: (*name).to_owned(),
                text: text::others(rest),
                used_ratio: None,
            });
        }
    }
    lines
}

fn of_budget(name: &str, standing: &Standing, today: Day) -> Line {
    let exhaustion = match standing.forecast {
        Some(_) if !standing.period.is_over(today) => budget::words::exhaustion(standing, today),
        _ => None,
    };
    let ahead = exhaustion.map(|exhaustion| format!(", expected to be {exhaustion}"));
    Line {
        name: name.to_owned(),
        text: format!(
            "{} {}{}",
            budget::words::used(standing),
            budget::words::days(standing, today),
            ahead.unwrap_or_default()
        ),
        used_ratio: standing.used_ratio(),
    }
}

fn of_balance(name: &str, left: &Left) -> Line {
    let lasting = balance::words::lasting(left).map(|lasting| format!(", {lasting}"));
    Line {
        name: name.to_owned(),
        text: format!(
            "{}{}",
            balance::words::amount(left),
            lasting.unwrap_or_default()
        ),
        used_ratio: left.standing.used_ratio(),
    }
}
