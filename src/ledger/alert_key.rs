//! The key of an alert, and its four columns.

use std::sync::Arc;

use rusqlite::Row;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::day::Day;

/// The key of an alert.
// It holds neither a value nor the day of one, so that it stays the same for as long as something lasts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
pub struct AlertKey {
    /// The name of the rule, budget or balance.
    #[serde(serialize_with = "text")]
    pub rule: Arc<str>,
    /// Its subject: `all`, an account, or an account and an agent as `acme/support`.
    #[serde(serialize_with = "text")]
    pub subject: Arc<str>,
    /// The first day of the budget's period; null for rules without periods.
    pub period: Option<Day>,
    /// The threshold, such as `used 0.8`; null for rules that have only one.
    #[serde(serialize_with = "null_if_empty")]
    #[schemars(with = "Option<String>")]
    pub threshold: Arc<str>,
}

pub(super) fn text<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

fn null_if_empty<S: Serializer>(threshold: &str, serializer: S) -> Result<S::Ok, S::Error> {
    let threshold = Some(threshold).filter(|threshold| !threshold.is_empty());
    threshold.serialize(serializer)
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
