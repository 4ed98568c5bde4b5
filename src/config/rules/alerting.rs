//! The rules for single values of `[alerts]`, `[[budget]]`, `[[balance]]` and `[[rule]]`.

use std::fmt::Display;
use std::time::Duration;

use toml::Spanned;

use super::{Checked, duration_between, url};
use crate::alert::Measure;
use crate::config::diagnostics::Fault;
use crate::roster::{self, Pattern, printable};
use crate::sheet::Grouping;
use crate::validate::MOST_CREDITS;

/// The highest share of a budget that can be told of.
const MAX_SHARE: f64 = 10.0;

/// The most days left that can be told of.
const MAX_DAYS_LEFT: f64 = 365.0;

/// A URL that people open. It stays as it is written. No message repeats it: it may hold a token.
pub(in crate::config) fn dashboard_url(text: &str) -> Checked<String> {
    let url = url(text, "https://grafana.example/d/credits")?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(Fault::new("the URL is neither http nor https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Fault::new(
            "a URL with a user or a password is not accepted: it appears in every message",
        ));
    }
    Ok(text.to_owned())
}

/// Interval at which an alert that goes on is told again.
pub(in crate::config) fn repeat(text: &str) -> Checked<Duration> {
    duration_between("repeat", text, ["1h", "30days"])
}

/// Texts of which one must match.
pub(in crate::config) fn one_of(texts: Vec<Spanned<String>>) -> Checked<Pattern> {
    if texts.is_empty() {
        return Err(Fault::new("an empty list matches nothing"));
    }
    let texts = texts.into_iter().map(Spanned::into_inner);
    Ok(Pattern::OneOf(texts.collect()))
}

pub(in crate::config) fn regular_expression(text: &str) -> Checked<Pattern> {
    Pattern::regex(text).map_err(|error| {
        let message = error.to_string();
        // The library shows the expression over several lines, and the reason on the last.
        let reason = message.lines().last().unwrap_or_default();
        let reason = reason.strip_prefix("error: ").unwrap_or(reason);
        Fault::new(format!(
            "`{}` is not a regular expression: {}",
            printable(text),
            reason.trim_end_matches('.')
        ))
    })
}

/// The name of what a condition is about.
pub(in crate::config) fn condition_name(name: &str) -> Checked<()> {
    if matches!(name, "account" | "agent" | "agent_id") {
        return Ok(());
    }
    roster::check_label_name(name).map_err(|error| {
        Fault::new(format!("`{}` cannot be a label: {error}", printable(name)))
            .help("match by `account`, `agent`, `agent_id` or a label of yours")
    })
}

/// Subjects by which use is added up.
pub(in crate::config) fn grouping(text: &str) -> Checked<Grouping> {
    let refused = |error: String| Fault::new(format!("`{}` is no group: {error}", printable(text)));
    text.parse().map_err(refused)
}

/// A rule for numbers above a limit.
pub(in crate::config) fn above(key: &str, limit: f64) -> impl Fn(f64) -> Checked<f64> {
    number(
        key,
        move |number| number > limit,
        format!("a number above {limit}"),
    )
}

/// A rule for shares between nothing and all.
pub(in crate::config) fn below_one(key: &str) -> impl Fn(f64) -> Checked<f64> {
    number(
        key,
        |share| share > 0.0 && share < 1.0,
        "above 0 and below 1",
    )
}

/// A rule for numbers from 0 on.
pub(in crate::config) fn at_least_zero(key: &str) -> impl Fn(f64) -> Checked<f64> {
    number(key, |number| number >= 0.0, "0 or more")
}

/// A rule for numbers that are no larger than any figure.
fn number(
    key: &str,
    is_right: impl Fn(f64) -> bool,
    expected: impl Display,
) -> impl Fn(f64) -> Checked<f64> {
    move |number| match number.is_finite() && is_right(number) {
        true if number <= MOST_CREDITS => Ok(number),
        true => Err(Fault::new(format!(
            "{key} {number:e} is more than {MOST_CREDITS:e}"
        ))),
        false => Err(Fault::new(format!("{key} {number} is not {expected}"))),
    }
}

pub(in crate::config) fn hysteresis(share: f64) -> Checked<f64> {
    if (0.0..1.0).contains(&share) {
        return Ok(share);
    }
    let fault = Fault::new(format!("hysteresis {share} is not at least 0 and below 1"));
    Err(if share >= 1.0 {
        fault.help("it is a share of `over`: write `0.1` for 10 %")
    } else {
        fault
    })
}

/// The limit of a threshold of that measure.
pub(in crate::config) fn threshold(measure: Measure, at: f64) -> Checked<f64> {
    let (key, most) = match measure {
        Measure::Used | Measure::Forecast => return share(at),
        Measure::CreditsLeft => ("credits_left", MOST_CREDITS),
        Measure::DaysLeft => ("days_left", MAX_DAYS_LEFT),
    };
    if (0.0..=most).contains(&at) {
        return Ok(at);
    }
    let fault = Fault::new(format!("{key} {at} is not between 0 and {most}"));
    Err(match measure {
        Measure::DaysLeft if at > most => fault.help("nothing is foreseen beyond a year"),
        _ => fault,
    })
}

fn share(share: f64) -> Checked<f64> {
    if share > 0.0 && share <= MAX_SHARE {
        return Ok(share);
    }
    let fault = Fault::new(format!(
        "threshold {share} is not above 0 and at most {MAX_SHARE}"
    ));
    Err(if share > MAX_SHARE {
        fault.help("it is a share of the budget: write `0.8` for 80 %")
    } else {
        fault
    })
}

#[cfg(test)]
mod tests {
    use super::super::day;
    use super::*;

    #[test]
    fn the_ends_of_a_range_are_allowed() {
        assert!(share(10.0).is_ok() && share(0.001).is_ok());
        assert!(share(10.001).is_err() && share(0.0).is_err());
        let left = |measure, at| threshold(measure, at).is_ok();
        for (measure, most) in [(Measure::CreditsLeft, 1e12), (Measure::DaysLeft, 365.0)] {
            assert!(left(measure, 0.0) && left(measure, most));
            assert!(!left(measure, -0.1) && !left(measure, most * 1.001));
            assert!(!left(measure, f64::NAN));
        }
        assert!(hysteresis(0.0).is_ok() && hysteresis(0.999).is_ok() && hysteresis(1.0).is_err());
        let over = at_least_zero("over");
        assert!(over(0.0).is_ok() && over(-0.1).is_err());
        assert!(over(1e12).is_ok() && over(1.001e12).is_err());
        let credits = above("credits", 0.0);
        assert!(credits(0.1).is_ok() && credits(0.0).is_err());
        assert!(credits(1e12).is_ok());
        let refused = credits(1e300).unwrap_err();
        assert_eq!(refused.message, "credits 1e300 is more than 1e12");
        assert!(day("2025-05-28", "start ").is_ok() && day("2099-01-01", "start ").is_ok());
        assert!(day("2025-05-27", "start ").is_err());
    }

    #[test]
    fn what_is_no_number_is_refused_everywhere() {
        let (over, factor) = (at_least_zero("over"), above("factor", 1.0));
        let rules: [&dyn Fn(f64) -> Checked<f64>; 4] = [&over, &factor, &hysteresis, &share];
        for rule in rules {
            for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                assert!(rule(number).is_err(), "{number}");
            }
        }
    }

    #[test]
    fn a_refused_dashboard_is_not_repeated() {
        assert!(dashboard_url("https://grafana.example/d/credits?orgId=1").is_ok());
        assert!(dashboard_url("http://localhost:3000").is_ok());
        for bad in [
            "grafana.example/canary",
            "ftp://canary/",
            "https://canary@grafana.example/",
        ] {
            let fault = dashboard_url(bad).unwrap_err();
            assert!(!format!("{fault:?}").contains("canary"), "{bad}");
        }
    }
}
