//! `[push]` of the config.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::day::Day;
use crate::egress::{Endpoint, Proxy};
use crate::history::Target;
use crate::secret::SecretSource;

/// `[push]`: where history is pushed.
#[derive(Debug, Clone)]
pub struct Settings {
    /// URL for writes.
    pub write_url: Endpoint,
    /// URL for queries, if it does not follow from the path of the other.
    pub query_url: Option<Url>,
    /// True if written samples are read back.
    pub read_back: bool,
    /// The labels of the scrape.
    pub target: Target,
    /// The first day that is pushed.
    pub from: Day,
    /// True if the exporter pushes while it serves.
    pub continuous: bool,
    /// The tenant whose series they are, in Mimir.
    pub tenant: Option<String>,
    /// User and password.
    pub basic_auth: Option<(String, SecretSource)>,
    /// A token instead.
    pub bearer_token: Option<SecretSource>,
    /// The most time that one request may take.
    pub timeout: Duration,
    /// True if it may lead to private addresses, to this machine, and there without encryption.
    pub allow_private: bool,
    /// Certificates in PEM form that are trusted instead of the usual ones.
    pub ca_file: Option<PathBuf>,
    /// The proxy.
    pub proxy: Option<Proxy>,
}
