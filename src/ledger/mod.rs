//! The ledger.

use std::path::PathBuf;

/// Where the ledger is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its file. The write-ahead log and the lock stand beside it.
    pub path: PathBuf,
}
