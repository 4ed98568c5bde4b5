//! Rows of a summary: who used most, whose use grew, and of whom days are missing.

use serde::{Deserialize, Serialize};

use crate::sheet::{self, Sheet, Sums};

/// The most of those whose use grew, or of whom days are missing.
const MENTIONED: usize = 3;

/// What somebody used in the period.
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
    /// The part by which use grew, or fell where it is negative; absent if a day of either period is missing,
    /// or nothing was used before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_ratio: Option<f64>,
    /// The part of the known credits of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_ratio: Option<f64>,
}

impl Row {
    pub(super) fn new(name: String, sums: &Sums, total: &Sums) -> Self {
        let (used, all) = (sums.whole.known_credits, total.whole.known_credits);
        Self {
            name,
            known_credits: used,
            missing_days: sums.whole.missing_days,
            before_credits: sums.before.credits(),
            change_ratio: sums.change(),
            share_ratio: (all > 0.0).then(|| used / all),
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
    first(rows, |row| row.gained_credits().unwrap_or_default())
}

/// Those of whom most days are missing.
pub(super) fn missing(sheet: &Sheet) -> Vec<Row> {
    let rows = sheet.rows.iter().map(|row| Row::of(row, &sheet.total));
    first(rows, |row| row.missing_days.into())
}

/// The rows with the highest figures above zero, descending.
fn first(rows: impl Iterator<Item = Row>, figure: impl Fn(&Row) -> f64) -> Vec<Row> {
    let mut rows: Vec<Row> = rows.filter(|row| figure(row) > 0.0).collect();
    rows.sort_by(|one, other| figure(other).total_cmp(&figure(one)));
    rows.truncate(MENTIONED);
    rows
}
