//! The rules for single values of `[push]`.

use url::Url;

use super::hooks::reachable;
use super::{Checked, formed, url, without_user};
use crate::config::diagnostics::Fault;
use crate::history::push::query_path;

/// A URL that stands in the config. No message repeats it: it may hold a password or a token.
pub(in crate::config) fn open_url(text: &str, allow_private: bool) -> Checked<Url> {
    let url = url(text, "http://prometheus:9090/api/v1/write")?;
    without_user(&url, "write `username = \"…\"` and `password_file = \"…\"`")?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(
            Fault::new("a URL with a query or a fragment may hold a secret")
                .help("put it into a file, and write `write_url_file = \"…\"`"),
        );
    }
    reachable(&url, allow_private)?;
    Ok(url)
}

/// Refuses a path of writes that does not show that of queries, if it must.
pub(in crate::config) fn tells_query_path(url: &Url, must: bool) -> Checked<()> {
    if !must || query_path(url.path()).is_some() {
        return Ok(());
    }
    Err(
        Fault::new("the path of this URL does not show where the database answers queries")
            .help("add `query_url = \"…/api/v1/query\"`, or `read_back = false`"),
    )
}

pub(in crate::config) fn tenant(text: &str) -> Checked<String> {
    // By Mimir's documentation.
    let help =
        "a tenant has 1 to 150 letters, digits and characters of `!-_.*'()`; only one is possible";
    formed(text, "[0-9A-Za-z!_.*'()-]{1,150}", "a tenant", help)
}
