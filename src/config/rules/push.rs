//! The rules for single values of `[push]`.

use url::Url;

use super::Checked;
use super::hooks::reachable;
use crate::config::diagnostics::Fault;
use crate::day::{Day, TRACKING_START};
use crate::history::push::query_path;
use crate::roster::{self, printable};

/// A URL that stands in the config. No message repeats it: it may hold a password or a token.
pub(in crate::config) fn open_url(text: &str, allow_private: bool) -> Checked<Url> {
    let url = Url::parse(text).map_err(|error| {
        Fault::new(format!("not a URL: {error}"))
            .help("write it in full, such as `http://prometheus:9090/api/v1/write`")
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            Fault::new("a URL with a user or a password is not accepted")
                .help("write `username = \"…\"` and `password_file = \"…\"`"),
        );
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(
            Fault::new("a URL with a query or a fragment may hold a secret")
                .help("put it into a file, and write `write_url_file = \"…\"`"),
        );
    }
    reachable(&url, allow_private)?;
    Ok(url)
}

/// A URL that was read from a secret's place.
pub(in crate::config) fn secret_url(
    text: &str,
    allow_private: bool,
    needs_path: bool,
) -> Checked<()> {
    let url = Url::parse(text)
        .map_err(|error| Fault::new(format!("its content is not a URL: {error}")))?;
    reachable(&url, allow_private)?;
    if needs_path {
        tells_query_path(&url)?;
    }
    Ok(())
}

/// Whether the path of writes tells that of queries.
pub(in crate::config) fn tells_query_path(url: &Url) -> Checked<()> {
    if query_path(url.path()).is_some() {
        return Ok(());
    }
    Err(
        Fault::new("the path of this URL does not show where the database answers queries")
            .help("add `query_url = \"…/api/v1/query\"`, or `read_back = false`"),
    )
}

/// The value of a label that a scrape adds.
pub(in crate::config) fn label(name: &str, text: &str) -> Checked<String> {
    roster::check_name(text)
        .map(|()| text.to_owned())
        .map_err(|error| Fault::new(format!("the label {name} {error}")))
}

pub(in crate::config) fn from(text: &str, today: Day) -> Checked<Day> {
    let day: Day = text
        .parse()
        .map_err(|error: crate::day::DayError| Fault::new(error.to_string()))?;
    let yesterday = today.previous();
    if day < TRACKING_START {
        return Err(Fault::new(format!(
            "{day} is before {TRACKING_START}, when tracking started"
        )));
    }
    if day > yesterday && day != TRACKING_START {
        return Err(Fault::new(format!(
            "{day} is after {yesterday}, the newest day with usage"
        )));
    }
    Ok(day)
}

pub(in crate::config) fn tenant(text: &str) -> Checked<String> {
    // By Mimir's documentation.
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!-_.*'()".contains(&byte);
    if (1..=150).contains(&text.len()) && text.bytes().all(allowed) {
        return Ok(text.to_owned());
    }
    Err(
        Fault::new(format!("`{}` is not a tenant", printable(text))).help(
            "a tenant has 1 to 150 letters, digits and characters of `!-_.*'()`; only one is \
             possible",
        ),
    )
}
