//! Errors that end a pass.

use std::time::Duration;

use crate::egress::SendError;
use crate::ledger::LedgerError;

/// Why a pass has ended before everything was pushed. The text names the database and what it said, and
/// holds no secret.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// It may go on later.
    #[error("{text}")]
    Later {
        /// Description of the failure.
        text: String,
        /// The database asked to be left alone for so long.
        retry_after: Option<Duration>,
    },
    /// Somebody has to change something first.
    #[error("{0}")]
    Stopped(String),
    /// The ledger could not be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl PushError {
    /// The value of the label `outcome` of the requests that ended so.
    pub(super) const fn outcome(&self) -> &'static str {
        match self {
            Self::Later { .. } | Self::Ledger(_) => "failed",
            Self::Stopped(_) => "stopped",
        }
    }
}

impl From<SendError> for PushError {
    fn from(error: SendError) -> Self {
        // Something on this machine is not there; it may be under way.
        Self::Later {
            text: error.text,
            retry_after: error.retry_after,
        }
    }
}
