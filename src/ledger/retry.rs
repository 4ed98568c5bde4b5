//! Having deliveries tried again, also while an exporter has the ledger open: SQLite's own locks let the
//! two take turns.

use std::path::Path;

use chrono::{DateTime, Utc};

use super::error::LedgerError;
use super::outbox;
use super::silences::beside;

/// Which deliveries are to be tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// All that were not delivered, but for those that are out of date: that are older than 30 days, or
    /// about alerts of which something newer was, or will be, told to the same receiver.
    All,
    /// The one of that id, in any case.
    Delivery(String),
}

/// Makes deliveries to `hooks`, which are those that there are, due at `now`, in the ledger at `path`;
/// those that were given up are tried from the start again. Enables the hooks that they are for, or with
/// [`Which::All`] all of `hooks`. Says how many deliveries that makes. Blocks.
///
/// A delivery that shares an alert with an older pending one still waits for that one.
///
/// # Errors
/// There is no ledger of this version at `path`, no such delivery, it was delivered, or is to none of
/// `hooks`; or the file could not be written.
pub fn retry(
    path: &Path,
    which: Which,
    hooks: &[&str],
    now: DateTime<Utc>,
) -> Result<usize, LedgerError> {
    beside(path, |connection| match &which {
        Which::All => outbox::retry_all(connection, hooks, now),
        Which::Delivery(id) => outbox::retry(connection, id, hooks, now).map(|()| 1),
    })
}
