//! Rows of a summary: who used most, whose use grew, and of whom days are missing.

use serde::{Deserialize, Serialize};

use crate::sheet::{self, Sheet, Sums};
use crate::words::{number, rounded};

/// The most of those whose use grew, or of whom days are missing.
const MENTIONED: usize = 3;

/// Use of one subject in the period.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// An agent as `acme/support`, an account, a label's value, or those together that the row is of.
    pub name: String,
    /// Credits used on the known days: all of them, or a lower bound.
    pub known_credits: f64,
    /// Days that are not known; of several agents, those of each of them.
    pub missing_days: u32,
    /// Credits used in the period before; absent if a day of it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_credits: Option<f64>,
    /// The part by which use grew, or fell where it is negative; absent if a day of either period is missing, or
    /// something was used after nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_ratio: Option<f64>,
    /// The part of the credits of all; absent if a day of anybody is missing, or nothing was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_ratio: Option<f64>,
}

impl Row {
    pub(super) fn new(name: String, sums: &Sums, total: &Sums) -> Self {
        Self {
            name,
            known_credits: sums.whole.known_credits,
            missing_days: sums.whole.missing_days,
            before_credits: sums.before.credits(),
            change_ratio: sums.change(),
            share_ratio: sums.share_of(total),
        }
    }

    pub(super) fn of(row: &sheet::Row, total: &Sums) -> Self {
        Self::new(row.subject.to_string(), &row.sums, total)
    }

    /// Credits that were used more than in the period before; none unless all of both is known.
    #[must_use]
    pub fn gained_credits(&self) -> Option<f64> {
        let before = self.before_credits.filter(|_| self.missing_days == 0)?;
        Some(self.known_credits - before)
    }
}

/// Those whose use grew most.
pub(super) fn growing(sheet: &Sheet) -> Vec<Row> {
    let rows = sheet.rows.iter().map(|row| Row::of(row, &sheet.total));
    first(rows, |row| {
        // Not what rounding hides.
        let [before, now] = [row.before_credits?, row.known_credits].map(rounded);
        row.gained_credits()
            .filter(|_| number(before) != number(now))
    })
}

/// Those of whom most days are missing.
pub(super) fn missing(sheet: &Sheet) -> Vec<Row> {
    let rows = sheet.rows.iter().map(|row| Row::of(row, &sheet.total));
    first(rows, |row| Some(row.missing_days.into()))
}

/// The rows with the highest figures above zero, descending.
fn first(rows: impl Iterator<Item = Row>, figure: impl Fn(&Row) -> Option<f64>) -> Vec<Row> {
    let figures = rows.filter_map(|row| Some((figure(&row).filter(|figure| *figure > 0.0)?, row)));
    let mut rows: Vec<(f64, Row)> = figures.collect();
    rows.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    rows.truncate(MENTIONED);
    rows.into_iter().map(|(_, row)| row).collect()
}
