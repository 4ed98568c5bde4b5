//! The rules for single values: pure, text or number in, meaning out. Each knows what to tell the
//! person who broke it.

pub(super) mod alerting;
pub(super) mod hooks;
pub(super) mod push;

use std::time::Duration;

use croner::Cron;
use url::Url;

use super::diagnostics::Fault;
use crate::day::{Day, TRACKING_START};
use crate::flowgent::transport::is_loopback;
use crate::http::{Address, AddressError, Host, HostError};
use crate::roster::printable;
use crate::sync::cron::parse_cron;

/// The shortest and the longest time that a request may be given.
const TIMEOUTS: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(600)];

/// The slowest and the fastest request rate. Slower than one in 1000 s would never finish.
const RATES: [f64; 2] = [0.001, 1_000_000.0];

const MAX_CONCURRENCY: i64 = 256;

/// A year: whoever settles later asks for everything again every day.
const MAX_SETTLE_DAYS: i64 = 365;

const ONE_DAY: Duration = Duration::from_secs(24 * 60 * 60);

type Checked<T> = Result<T, Fault>;

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
            humantime::format_duration(jitter)
        )));
    }
    Ok(jitter)
}

pub(super) fn timeout(text: &str) -> Checked<Duration> {
    duration_between("timeout", text, TIMEOUTS)
}

/// A duration from `least` to `most`; the message calls it by its key.
fn duration_between(key: &str, text: &str, [least, most]: [Duration; 2]) -> Checked<Duration> {
    let duration = duration(text)?;
    if !(least..=most).contains(&duration) {
        return Err(Fault::new(format!(
            "{key} {} is not between {} and {}",
            humantime::format_duration(duration),
            humantime::format_duration(least),
            humantime::format_duration(most)
        )));
    }
    Ok(duration)
}

pub(super) fn settle_days(days: i64) -> Checked<i32> {
    i32::try_from(days)
        .ok()
        .filter(|_| (0..=MAX_SETTLE_DAYS).contains(&days))
        .ok_or_else(|| {
            Fault::new(format!(
                "settle_days {days} is not between 0 and {MAX_SETTLE_DAYS}"
            ))
        })
}

pub(super) fn max_discovered(number: i64) -> Checked<usize> {
    usize::try_from(number)
        .ok()
        .filter(|number| (1..=1_000_000).contains(number))
        .ok_or_else(|| {
            Fault::new(format!(
                "max_discovered {number} is not between 1 and 1000000"
            ))
        })
}

pub(super) fn history_start(text: &str, today: Day) -> Checked<Day> {
    let day: Day = text
        .parse()
        .map_err(|error: crate::day::DayError| Fault::new(error.to_string()))?;
    let yesterday = today.previous();
    if day < TRACKING_START {
        return Err(Fault::new(format!(
            "history start {day} is before {TRACKING_START}, when tracking started"
        ))
        .help("FlowGent has no usage of earlier days"));
    }
    // Tracking start is past for everyone whose clock is right: a machine that boots in 1970 and learns
    // the time later still gets its config.
    if day > yesterday && day != TRACKING_START {
        return Err(Fault::new(format!(
            "history start {day} is after {yesterday}, the newest day with usage"
        ))
        .help("a day's usage is known once the UTC day is over"));
    }
    Ok(day)
}

/// The base URL, ending in a slash. No message repeats it: it may hold a password or a key.
pub(super) fn base_url(text: &str, allow_http: bool) -> Checked<Url> {
    let mut url = Url::parse(text).map_err(|error| {
        Fault::new(format!("not a URL: {error}"))
            .help("write it in full, such as `https://flowgent.ai/api/public/`")
    })?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(Fault::new(format!(
            "the scheme `{}` is not https",
            printable(url.scheme())
        )));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            Fault::new("a URL with a user or a password is not accepted")
                .help("the API key is named by `api_key_file` or `api_key_env` of the account"),
        );
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Fault::new(
            "a base URL has no query and no fragment: paths are appended to it",
        ));
    }
    if url.scheme() == "http" && !allow_http && !is_loopback(&url) {
        return Err(
            Fault::new("plain http would send the API keys unencrypted to another host")
                .help("use https, or set `allow_http = true` if the network to it is safe"),
        );
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

pub(super) fn requests_per_second(rate: f64) -> Checked<f64> {
    let [least, most] = RATES;
    if !(least..=most).contains(&rate) {
        return Err(Fault::new(format!(
            "requests_per_second {rate} is not between {least} and {most}"
        )));
    }
    Ok(rate)
}

pub(super) fn concurrency(requests: i64) -> Checked<usize> {
    usize::try_from(requests)
        .ok()
        .filter(|_| (1..=MAX_CONCURRENCY).contains(&requests))
        .ok_or_else(|| {
            Fault::new(format!(
                "concurrency {requests} is not between 1 and {MAX_CONCURRENCY}"
            ))
        })
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
        assert!(timeout("100ms").is_ok() && timeout("10m").is_ok());
        assert!(timeout("99ms").is_err() && timeout("10m 1ms").is_err());
        assert!(jitter("0s").is_ok() && jitter("23h 59m").is_ok() && jitter("24h").is_err());
        assert!(settle_days(0).is_ok() && settle_days(365).is_ok() && settle_days(366).is_err());
        assert!(concurrency(1).is_ok() && concurrency(256).is_ok() && concurrency(257).is_err());
        assert!(requests_per_second(0.001).is_ok() && requests_per_second(f64::NAN).is_err());
    }

    #[test]
    fn history_may_start_from_tracking_start_through_yesterday() {
        let today: Day = "2026-11-23".parse().unwrap();
        assert!(history_start("2025-05-28", today).is_ok());
        assert!(history_start("2026-11-22", today).is_ok());
        assert!(history_start("2025-05-27", today).is_err());
        assert!(history_start("2026-11-23", today).is_err());
        let boot: Day = "1970-01-01".parse().unwrap();
        assert!(history_start("2025-05-28", boot).is_ok());
        assert!(history_start("2025-05-29", boot).is_err());
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
