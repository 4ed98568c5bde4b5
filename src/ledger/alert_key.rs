//! The key of an alert, and its four columns.

use std::sync::Arc;

use rusqlite::Row;

use crate::day::Day;

/// The identity of an alert. It holds neither a value nor the day of one, so that it stays
/// the same for as long as something lasts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlertKey {
    /// The name of the rule, budget or balance.
    pub rule: Arc<str>,
    /// Subject: `all`, an account, or an account and an agent as `acme/support`.
    pub subject: Arc<str>,
    /// The first day of the budget's period; none for what has no periods.
    pub period: Option<Day>,
    /// The threshold as text, such as `used 0.8`; empty for rules that have only one.
    pub threshold: Arc<str>,
}

/// The columns of a key, in the order in which every statement here has them.
pub(super) fn params_of(key: &AlertKey) -> (&str, &str, Option<i32>, &str) {
    let AlertKey {
        rule,
        subject,
        period,
        threshold,
    } = key;
    (rule, subject, period.map(Day::number), threshold)
}

/// A key from its four columns, of which the first is `column`.
pub(super) fn key(row: &Row<'_>, column: usize) -> rusqlite::Result<AlertKey> {
    Ok(AlertKey {
        rule: row.get(column)?,
        subject: row.get(column + 1)?,
        period: row.get::<_, Option<i32>>(column + 2)?.map(Day::from_number),
        threshold: row.get(column + 3)?,
    })
}
