//! Protection of the server: `origin` refuses foreign hosts and pages, [`Guard`] does what the web config says.
//!
//! The web config has TLS, users, headers and a rate limit of everything that is served, in the YAML of the
//! Prometheus exporter-toolkit, so that what is written for other exporters serves here too.
//! It is read again as soon as it or a file that it names has changed. What is wrong then changes
//! nothing, and neither does what would turn protection off: a file that is half written must open
//! nothing.

mod check;
mod choices;
mod clients;
mod file;
mod files;
mod guard;
mod hashing;
mod limit;
pub(crate) mod metrics;
pub(crate) mod origin;
mod tls;
mod users;

pub use guard::Guard;
pub(crate) use guard::{Protection, Refusal};

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

use crate::clock::{SharedClock, SystemClock};

/// Why there is no web config.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebConfigError {
    /// The file cannot be read, or is no text.
    #[error("cannot read web config file `{}`: {reason}", files::shown(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// The mistake.
        reason: String,
    },
    /// Something in it is wrong.
    #[error("{}{fault}", files::shown(path))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The mistake.
        fault: Fault,
    },
}

/// A mistake and its place. It holds no value that may be secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", place.map_or_else(String::new, |(line, column)| format!(":{line}:{column}")))]
pub struct Fault {
    /// Line and column, counted from 1.
    place: Option<(u64, u64)>,
    message: String,
}

impl Fault {
    fn at(place: Option<(u64, u64)>, message: impl Into<String>) -> Self {
        Self {
            place,
            message: message.into(),
        }
    }
}

/// A web config file that was found good when it was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedFile {
    /// The file.
    pub path: PathBuf,
    /// True if it turns on TLS.
    pub tls: bool,
    /// Settings that are allowed but deserve a second look, a line each.
    pub warnings: Vec<String>,
    /// Files of secrets that others may read, a line each.
    pub exposed: Vec<String>,
}

/// Checks the file at `path` and all that it names.
///
/// # Errors
/// The first thing that is wrong.
pub fn check_file(path: &Path) -> Result<CheckedFile, WebConfigError> {
    let mut files = files::Files::default();
    let clock: SharedClock = Arc::new(SystemClock);
    let config = check::read(path, &clock, &mut files)?;
    Ok(CheckedFile {
        path: path.to_owned(),
        tls: config.tls.is_some(),
        warnings: config.warnings,
        exposed: config.exposed,
    })
}

/// By which rustls judges certificates.
type SharedTime = Arc<Time>;

/// The exporter's clock, as rustls asks it.
#[derive(Debug)]
struct Time(SharedClock);

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().timestamp()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

#[cfg(test)]
mod tests;
