//! Why something could not be sent.

use std::time::Duration;

/// Why a try failed. The text names the place and what it said, and holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct SendError {
    /// Description of the failure, in a line.
    pub text: String,
    /// The receiver asked to be left alone for so long.
    pub retry_after: Option<Duration>,
    /// The receiver wants nothing any more: HTTP 410.
    pub gone: bool,
    /// The exporter itself lacks something, such as a file, and has connected to nobody.
    pub unready: bool,
}

impl SendError {
    /// A failure that says nothing of when to come again.
    pub(crate) fn new(text: String) -> Self {
        Self {
            text,
            retry_after: None,
            gone: false,
            unready: false,
        }
    }

    /// A failure for want of something on this machine.
    pub(crate) fn unready(text: String) -> Self {
        Self {
            unready: true,
            ..Self::new(text)
        }
    }
}
