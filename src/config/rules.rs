//! The rules for single values: pure, text or number in, meaning out. Each knows what to tell the
//! person who broke it.

pub(super) mod alerting;
pub(super) mod hooks;
pub(super) mod push;

use std::time::Duration;

use croner::Cron;
use regex::Regex;
use url::Url;

use super::diagnostics::Fault;
use crate::day::{Day, TRACKING_START};
use crate::egress::transport::is_loopback;
use crate::http::{Host, HostError};
use crate::roster::printable;
use crate::server::{Address, AddressError};
use crate::sync::cron::parse_cron;

const ONE_DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) type Checked<T> = Result<T, Fault>;

pub(super) fn listen_address(text: &str) -> Checked<Address> {
    text.parse()
        .map_err(|AddressError { message, help }| Fault::new(message).help(help))
}

pub(super) fn host(text: &str) -> Checked<Host> {
    text.parse()
        .map_err(|HostError { message, help }| Fault::new(message).help(help))
}

/// Checks the path of the metrics; the command line overrides it by the same rule.
///
/// # Errors
/// Says what is wrong with it.
pub fn check_telemetry_path(path: &str) -> Result<(), String> {
    let shown = printable(path);
    if !path.starts_with('/') {
        return Err(format!("telemetry path `{shown}` does not start with `/`"));
    }
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) || path.contains(['?', '#', '%']) {
        return Err(format!(
            "telemetry path `{shown}` has a character that is not allowed in a plain path"
        ));
    }
    let taken = |root: &str| path == root || path.starts_with(&format!("{root}/"));
    if path == "/" || taken("/-") || taken("/api") {
        return Err(format!(
            "telemetry path `{shown}` is taken: `/`, `/-/…` and `/api/…` are other pages"
        ));
    }
    Ok(())
}

pub(super) fn telemetry_path(text: &str) -> Checked<String> {
    check_telemetry_path(text)
        .map(|()| text.to_owned())
        .map_err(|message| Fault::new(message).help("the usual path is `/metrics`"))
}

pub(super) fn cron(text: &str, today: Day) -> Checked<Cron> {
    let shown = printable(text);
    let cron = parse_cron(text).map_err(|error| {
        let fault = Fault::new(format!("`{shown}` is not a cron pattern: {error}"));
        match text.split_whitespace().count() {
            5 => fault.help(format!("seconds come first: `0 {shown}`")),
            _ => fault.help("six fields in UTC: second minute hour day month weekday"),
        }
    })?;
    match cron.find_next_occurrence(&today.start(), true) {
        Ok(_) => Ok(cron),
        Err(_) => Err(
            Fault::new(format!("the cron pattern `{shown}` never matches"))
                .help("there is no such date: check day, month and weekday against each other"),
        ),
    }
}

fn duration(text: &str) -> Checked<Duration> {
    humantime::parse_duration(text).map_err(|error| {
        Fault::new(format!("`{}` is not a duration: {error}", printable(text)))
            .help("write a number and a unit, such as `30s` or `10m`")
    })
}

pub(super) fn jitter(text: &str) -> Checked<Duration> {
    let jitter = duration(text)?;
    if jitter >= ONE_DAY {
        return Err(Fault::new(format!(
            "jitter {} is not shorter than a day",
            printable(text)
        )));
    }
    Ok(jitter)
}

/// A duration from `least` to `most`; the message calls it by its key.
pub(super) fn duration_between(
    key: &str,
    text: &str,
    [least, most]: [&str; 2],
) -> Checked<Duration> {
    let written = duration(text)?;
    if !(duration(least)?..=duration(most)?).contains(&written) {
        return Err(Fault::new(format!(
            "{key} {} is not between {least} and {most}",
            printable(text)
        )));
    }
    Ok(written)
}

/// A day since tracking started, which the message calls `what`.
pub(super) fn day(text: &str, what: &str) -> Checked<Day> {
    let day: Day = text
        .parse()
        .map_err(|error: crate::day::DayError| Fault::new(error.to_string()))?;
    if day < TRACKING_START {
        return Err(Fault::new(format!(
            "{what}{day} is before {TRACKING_START}, when tracking started"
        ))
        .help("FlowGent has no usage of earlier days"));
    }
    Ok(day)
}

/// A day with usage, which the message calls `what`.
pub(super) fn past_day(text: &str, what: &str, today: Day) -> Checked<Day> {
    let day = day(text, what)?;
    let yesterday = today.previous();
    // Tracking start is past for everyone whose clock is right: a machine that boots in 1970 and learns
    // the time later still gets its config.
    if day > yesterday && day != TRACKING_START {
        return Err(Fault::new(format!(
            "{what}{day} is after {yesterday}, the newest day with usage"
        ))
        .help("a day's usage is known once the UTC day is over"));
    }
    Ok(day)
}

/// A URL in full, such as the `example`. No message repeats it: it may hold a password or a key.
pub(super) fn url(text: &str, example: &str) -> Checked<Url> {
    Url::parse(text).map_err(|error| {
        Fault::new(format!("not a URL: {error}"))
            .help(format!("write it in full, such as `{example}`"))
    })
}

/// Refuses a URL with a user, which belongs elsewhere, as the help says.
pub(super) fn without_user(url: &Url, help: &str) -> Checked<()> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(());
    }
    Err(Fault::new("a URL with a user or a password is not accepted").help(help))
}

/// Refuses a URL that nothing can be appended to; the URL ends in a slash afterwards.
pub(super) fn as_base(mut url: Url) -> Checked<Url> {
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Fault::new(
            "a base URL has no query and no fragment: paths are appended to it",
        ));
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

/// The base URL of FlowGent's API, ending in a slash.
pub(super) fn base_url(text: &str, allow_http: bool) -> Checked<Url> {
    let url = url(text, "https://flowgent.ai/api/public/")?;
    if !matches!(url.scheme(), "https" | "http") {
        let shown = printable(url.scheme());
        return Err(Fault::new(format!("the scheme `{shown}` is not https")));
    }
    without_user(
        &url,
        "the API key is named by `api_key_file` or `api_key_env` of the account",
    )?;
    let url = as_base(url)?;
    if url.scheme() == "http" && !allow_http && !is_loopback(&url) {
        return Err(
            Fault::new("plain http would send the API keys unencrypted to another host")
                .help("use https, or set `allow_http = true` if the network to it is safe"),
        );
    }
    Ok(url)
}

/// A text of a form, which is a regular expression for the whole of it; the message says that it is not `what`.
pub(super) fn formed(text: &str, form: &str, what: &str, help: &str) -> Checked<String> {
    match Regex::new(&format!("^(?:{form})$")) {
        Ok(form) if form.is_match(text) => Ok(text.to_owned()),
        _ => Err(Fault::new(format!("`{}` is not {what}", printable(text))).help(help)),
    }
}

pub(super) fn requests_per_second(rate: f64) -> Checked<f64> {
    // Slower than one in 1000 s would never finish.
    let (least, most) = (0.001, 1_000_000.0);
    if !(least..=most).contains(&rate) {
        return Err(Fault::new(format!(
            "requests_per_second {rate} is not between {least} and {most}"
        )));
    }
    Ok(rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_ends_in_a_slash() {
        for (written, meant) in [
            (
                "https://flowgent.ai/api/public",
                "https://flowgent.ai/api/public/",
            ),
            (
                "https://flowgent.ai/api/public/",
                "https://flowgent.ai/api/public/",
            ),
            ("HTTPS://FlowGent.ai", "https://flowgent.ai/"),
        ] {
            assert_eq!(base_url(written, false).unwrap().as_str(), meant);
        }
    }

    #[test]
    fn plain_http_is_for_this_machine_only() {
        for here in [
            "http://localhost:1/",
            "http://127.0.0.1/",
            "http://127.9.9.9/",
            "http://[::1]:8080/",
            "http://2130706433/",
        ] {
            assert!(base_url(here, false).is_ok(), "{here}");
        }
        for elsewhere in [
            "http://flowgent.ai/",
            "http://localhost.flowgent.ai/",
            "http://flowgent.localhost/",
            "http://128.0.0.1/",
            "http://[::2]/",
            "http://0.0.0.0/",
        ] {
            assert!(base_url(elsewhere, false).is_err(), "{elsewhere}");
            assert!(base_url(elsewhere, true).is_ok(), "{elsewhere}");
        }
    }

    #[test]
    fn the_ends_of_a_range_are_allowed() {
        let timeout = |text| duration_between("timeout", text, ["100ms", "10m"]);
        assert!(timeout("100ms").is_ok() && timeout("10m").is_ok());
        assert!(timeout("99ms").is_err() && timeout("10m 1ms").is_err());
        assert!(jitter("0s").is_ok() && jitter("23h 59m").is_ok() && jitter("24h").is_err());
        assert!(requests_per_second(0.001).is_ok() && requests_per_second(f64::NAN).is_err());
    }

    #[test]
    fn history_may_start_from_tracking_start_through_yesterday() {
        let start = |text, today| past_day(text, "history start ", today);
        let today: Day = "2026-11-23".parse().unwrap();
        assert!(start("2025-05-28", today).is_ok());
        assert!(start("2026-11-22", today).is_ok());
        assert!(start("2025-05-27", today).is_err());
        assert!(start("2026-11-23", today).is_err());
        let boot: Day = "1970-01-01".parse().unwrap();
        assert!(start("2025-05-28", boot).is_ok());
        assert!(start("2025-05-29", boot).is_err());
    }

    #[test]
    fn pages_of_the_exporter_keep_their_paths() {
        for free in ["/metrics", "/m/x", "/-metrics", "/apis"] {
            assert_eq!(check_telemetry_path(free), Ok(()), "{free}");
        }
        for taken in [
            "/",
            "/-/ready",
            "/-",
            "/api",
            "/api/v1/x",
            "metrics",
            "",
            "/a b",
            "/a?b",
            "/ä",
            "/%2d",
        ] {
            assert!(check_telemetry_path(taken).is_err(), "{taken}");
        }
    }

    #[test]
    fn a_cron_pattern_may_be_rare_but_not_impossible() {
        let today: Day = "2026-11-23".parse().unwrap();
        for pattern in [
            "0 10 0 * * *",
            "0 0 0 29 2 *",
            "0 0 6 * * MON-FRI",
            "@daily",
            "0 0 0 29 2 MON",
        ] {
            assert!(cron(pattern, today).is_ok(), "{pattern}");
        }
        for pattern in ["0 0 0 30 2 *", "0 0 0 31 4,6,9,11 *", "0 0 0 1-7 * MON#2"] {
            assert!(cron(pattern, today).is_err(), "{pattern}");
        }
    }
}
