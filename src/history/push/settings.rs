//! `[push]` of the config.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::day::Day;
use crate::history::Target;
use crate::hook::{Endpoint, Proxy};
use crate::secret::SecretSource;

/// `[push]`: where history is pushed.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the database takes writes.
    pub write_url: Endpoint,
    /// Where it answers queries, if that does not follow from the path of the other.
    pub query_url: Option<Url>,
    /// Whether it is seen to that what was written can be read.
    pub read_back: bool,
    /// The labels of the scrape.
    pub target: Target,
    /// The first day that is pushed.
    pub from: Day,
    /// Whether the exporter pushes while it serves.
    pub continuous: bool,
    /// The tenant whose series they are, in Mimir.
    pub tenant: Option<String>,
    /// User and password.
    pub basic_auth: Option<(String, SecretSource)>,
    /// A token instead.
    pub bearer_token: Option<SecretSource>,
    /// The most time that one request may take.
    pub timeout: Duration,
    /// Whether it may lead to private addresses, to this machine, and there without encryption.
    pub allow_private: bool,
    /// Certificates in PEM form that are trusted instead of the usual ones.
    pub ca_file: Option<PathBuf>,
    /// What is connected to instead of the database.
    pub proxy: Option<Proxy>,
}
