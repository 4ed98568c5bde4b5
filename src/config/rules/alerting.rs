//! The rules for single values of `[alerts]`, `[[budget]]`, `[[balance]]` and `[[rule]]`.

use std::time::Duration;

use url::Url;

use super::{Checked, duration_between};
use crate::alert::Measure;
use crate::config::diagnostics::Fault;
use crate::config::file::Condition;
use crate::day::{Day, TRACKING_START};
use crate::roster::{self, Pattern, printable};
use crate::validate::MOST_CREDITS;

/// The highest share of a budget that can be told of.
const MAX_SHARE: f64 = 10.0;

/// The most days left that can be told of.
const MAX_DAYS_LEFT: f64 = 365.0;

/// The most rows of a summary.
const MAX_TOP: usize = 100;

/// The shortest and the longest time that a day may be missing.
const MISSING: [Duration; 2] = [
    Duration::from_secs(60 * 60),
    Duration::from_secs(30 * 24 * 60 * 60),
];

/// A URL that people open. It stays as it is written. No message repeats it: it may hold a token.
pub(in crate::config) fn dashboard_url(text: &str) -> Checked<String> {
    let url = Url::parse(text).map_err(|error| {
        Fault::new(format!("not a URL: {error}"))
            .help("write it in full, such as `https://grafana.example/d/credits`")
    })?;
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

/// The most rows of a summary.
pub(in crate::config) fn top(rows: i64) -> Checked<usize> {
    match usize::try_from(rows) {
        Ok(rows @ 1..) if rows <= MAX_TOP => Ok(rows),
        _ => Err(Fault::new(format!(
            "{rows} rows are not between 1 and {MAX_TOP}"
        ))),
    }
}

/// What one label, or the account or agent itself, must be.
pub(in crate::config) fn condition(condition: &Condition) -> Checked<Pattern> {
    match condition {
        Condition::Equals(text) => Ok(Pattern::Equals(text.clone())),
        Condition::OneOf(texts) if texts.is_empty() => {
            Err(Fault::new("an empty list matches nothing"))
        }
        Condition::OneOf(texts) => Ok(Pattern::OneOf(
            texts.iter().map(|text| text.get_ref().clone()).collect(),
        )),
        Condition::Regex(table) => match &table.regex {
            Some(expression) => regular_expression(expression.get_ref()),
            None => Err(Fault::new("this table has no `regex`").help("add `regex = \"…\"`")),
        },
    }
}

fn regular_expression(text: &str) -> Checked<Pattern> {
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

pub(in crate::config) fn credits(credits: f64) -> Checked<f64> {
    above(credits, 0.0, "credits")
}

pub(in crate::config) fn over(credits: f64) -> Checked<f64> {
    at_least_zero(credits, "over")
}

pub(in crate::config) fn floor(credits: f64) -> Checked<f64> {
    at_least_zero(credits, "floor")
}

pub(in crate::config) fn factor(factor: f64) -> Checked<f64> {
    above(factor, 1.0, "factor")
}

fn above(number: f64, limit: f64, key: &str) -> Checked<f64> {
    if number.is_finite() && number > limit {
        Ok(number)
    } else {
        Err(Fault::new(format!(
            "{key} {number} is not a number above {limit}"
        )))
    }
}

fn at_least_zero(number: f64, key: &str) -> Checked<f64> {
    if number.is_finite() && number >= 0.0 {
        Ok(number)
    } else {
        Err(Fault::new(format!("{key} {number} is not 0 or more")))
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

/// What a threshold of that measure is reached at.
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

pub(in crate::config) fn anchor_day(day: i64) -> Checked<u32> {
    u32::try_from(day)
        .ok()
        .filter(|day| (1..=31).contains(day))
        .ok_or_else(|| Fault::new(format!("anchor_day {day} is not between 1 and 31")))
}

/// The first day that counts for a total. It may lie ahead, or before the history start.
pub(in crate::config) fn budget_start(text: &str) -> Checked<Day> {
    let day: Day = text
        .parse()
        .map_err(|error: crate::day::DayError| Fault::new(error.to_string()))?;
    if day < TRACKING_START {
        return Err(Fault::new(format!(
            "start {day} is before {TRACKING_START}, when tracking started"
        ))
        .help("FlowGent has no usage of earlier days"));
    }
    Ok(day)
}

pub(in crate::config) fn longer_than(text: &str) -> Checked<Duration> {
    duration_between("longer_than", text, MISSING)
}

#[cfg(test)]
mod tests {
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
        assert!(anchor_day(1).is_ok() && anchor_day(31).is_ok());
        assert!(anchor_day(0).is_err() && anchor_day(32).is_err() && anchor_day(-1).is_err());
        assert!(over(0.0).is_ok() && over(-0.1).is_err() && floor(0.0).is_ok());
        assert!(credits(0.1).is_ok() && credits(0.0).is_err());
        assert!(factor(1.1).is_ok() && factor(1.0).is_err());
        assert!(longer_than("1h").is_ok() && longer_than("59m 59s").is_err());
        assert!(longer_than("30days").is_ok() && longer_than("30days 1s").is_err());
        assert!(budget_start("2025-05-28").is_ok());
        assert!(budget_start("2099-01-01").is_ok());
        assert!(budget_start("2025-05-27").is_err());
    }

    #[test]
    fn what_is_no_number_is_refused_everywhere() {
        for rule in [credits, over, floor, factor, hysteresis, share] {
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
