//! `[push]`.

use serde::Deserialize;
use toml::Spanned;

use super::Text;

/// `[push]`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Push {
    /// Where the database takes writes.
    pub(in crate::config) write_url: Option<Text>,
    /// The file that holds that URL.
    pub(in crate::config) write_url_file: Option<Text>,
    /// The environment variable that holds that URL.
    pub(in crate::config) write_url_env: Option<Text>,
    /// Where it answers queries. Default: the path beside that of writes.
    pub(in crate::config) query_url: Option<Text>,
    /// Whether it is seen to that what was written can be read. Default: true.
    pub(in crate::config) read_back: Option<bool>,
    /// The label `job` of the scraped series. Default: `flowgent`.
    pub(in crate::config) job: Option<Text>,
    /// The label `instance` of the scraped series. Default: the first listen address.
    pub(in crate::config) instance: Option<Text>,
    /// The first day that is pushed. Default: the history start.
    pub(in crate::config) from: Option<Text>,
    /// Whether the exporter pushes while it serves. Default: true.
    pub(in crate::config) continuous: Option<bool>,
    /// The tenant, in Mimir.
    pub(in crate::config) tenant: Option<Text>,
    /// The user.
    pub(in crate::config) username: Option<Text>,
    /// The file that holds the user's password.
    pub(in crate::config) password_file: Option<Text>,
    /// The environment variable that holds the user's password.
    pub(in crate::config) password_env: Option<Text>,
    /// The file that holds a token.
    pub(in crate::config) bearer_token_file: Option<Text>,
    /// The environment variable that holds a token.
    pub(in crate::config) bearer_token_env: Option<Text>,
    /// The most time that one request may take, as a duration. Default: `30s`.
    pub(in crate::config) timeout: Option<Text>,
    /// Whether it may lead to private addresses and to this machine. Default: false.
    pub(in crate::config) allow_private: Option<Spanned<bool>>,
    /// A file of PEM certificates that are trusted instead of the usual ones.
    pub(in crate::config) ca_file: Option<Text>,
    /// The URL of a proxy, or `environment` for what `HTTPS_PROXY` and its like say. Default: none.
    pub(in crate::config) proxy: Option<Text>,
}
