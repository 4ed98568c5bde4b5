//! What Grafana makes of a dashboard before it asks a database: which variables there are and what was
//! chosen, what takes their place in a query, and of which points in time it asks.
//!
//! As in Grafana 11: `packages/grafana-prometheus` has the variables and how their values are escaped,
//! `pkg/promlib/models/query.go` the steps and the built-in intervals, and
//! `public/app/features/dashboard-scene/scene/PanelTimeRange.tsx` the time of a panel.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use chrono::{DateTime, Datelike, NaiveTime, TimeDelta, Utc};
use regex::{Captures, Regex};
use serde_json::Value;

/// A variable in a text: `$name`, `${name}` or `${name:format}`.
static VARIABLE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\$(\w+)|\$\{(\w+)(?::(\w+))?\}").unwrap());
/// How often the data source is scraped, as it says itself unless somebody sets it.
const SCRAPE_INTERVAL: TimeDelta = TimeDelta::seconds(15);

/// What was chosen of a variable.
#[derive(Debug, Clone, PartialEq)]
pub enum Choice {
    /// All that there is.
    All,
    /// These values.
    Values(Vec<String>),
}

impl Choice {
    pub fn one(value: &str) -> Self {
        Self::Values(vec![value.to_owned()])
    }
}

/// From when to when.
pub type Span = (DateTime<Utc>, DateTime<Utc>);

/// How a query is asked.
#[derive(Debug, Clone, PartialEq)]
pub enum When {
    /// At that instant.
    At(DateTime<Utc>),
    /// From the first to the last point, a step apart.
    Every(Span, TimeDelta),
}

/// Somebody who looks at a dashboard.
pub struct Viewer<'a> {
    pub dashboard: &'a Value,
    pub choices: BTreeMap<String, Choice>,
    pub now: DateTime<Utc>,
    /// The time that is shown, from this until now, such as `now-90d/d`.
    pub from: String,
}

/// All panels, those in rows among them, but not the rows.
pub fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    panels.flat_map(|panel| match panel["panels"].as_array() {
        Some(inside) => inside.as_slice(),
        None => std::slice::from_ref(panel),
    })
}

/// The variables.
pub fn variables(dashboard: &Value) -> &[Value] {
    dashboard["templating"]["list"].as_array().unwrap()
}

fn name<'a>(found: &'a Captures) -> &'a str {
    found.get(1).or(found.get(2)).unwrap().as_str()
}

impl Viewer<'_> {
    fn variable(&self, name: &str) -> &Value {
        variables(self.dashboard)
            .iter()
            .find(|variable| variable["name"] == name)
            .unwrap_or_else(|| panic!("${name} is no variable"))
    }

    /// A text with the values of the variables that are not built in.
    pub fn interpolate(&self, text: &str) -> String {
        let replace = |found: &Captures| {
            let name = name(found);
            // Those that are built in, and what label_replace puts in.
            if name.starts_with("__") || name.starts_with(|first: char| first.is_ascii_digit()) {
                return found[0].to_owned();
            }
            let variable = self.variable(name);
            let values = match &self.choices[name] {
                // What is written there is not escaped.
                Choice::All => return variable["allValue"].as_str().unwrap().to_owned(),
                Choice::Values(values) => values,
            };
            let format = found.get(3).map(|format| format.as_str());
            let many = variable["multi"] == true || variable["includeAll"] == true;
            let escaped: Vec<String> = values
                .iter()
                .map(|value| match format {
                    Some("regex") => escape(value, r"\^$*+?.()|[]{}/", r"\"),
                    Some(other) => panic!("unknown format {other}"),
                    None if many => escape(&value.replace('\\', r"\\\\"), "$^*{}[]+?.()|", r"\\"),
                    None => value.replace('\\', r"\\").replace('\'', r"\\'"),
                })
                .collect();
            match escaped.as_slice() {
                [one] => one.clone(),
                several => format!("({})", several.join("|")),
            }
        };
        VARIABLE.replace_all(text, replace).into_owned()
    }

    /// The time that is shown.
    pub fn span(&self) -> Span {
        (past(&self.from, self.now), self.now)
    }

    /// The time that a panel shows.
    pub fn span_of(&self, panel: &Value) -> Span {
        let mut span = self.span();
        if let Some(from) = panel["timeFrom"].as_str() {
            let from = if from.starts_with("now") {
                from.to_owned()
            } else {
                format!("now-{from}")
            };
            span = (past(&from, self.now), self.now);
        }
        match panel["timeShift"].as_str() {
            None => {}
            Some("0w/w") => {
                assert_eq!(self.dashboard["weekStart"], "monday");
                let end = monday(span.1) + TimeDelta::days(7) - TimeDelta::milliseconds(1);
                span = (monday(span.0), end);
            }
            Some(other) => panic!("unknown time shift {other}"),
        }
        span
    }

    /// The query of a panel's target as the database gets it, and when it is asked about.
    pub fn query(&self, panel: &Value, target: &Value) -> (String, When) {
        let (from, to) = self.span_of(panel);
        // So many pixels, one for a point.
        let points = panel["maxDataPoints"].as_i64().unwrap_or(1000);
        let least = panel["interval"].as_str().map_or(SCRAPE_INTERVAL, interval);
        let step = rounded((to - from) / i32::try_from(points).unwrap()).max(least);
        let asked = target["interval"].as_str().map(interval);
        let step = step.max(asked.unwrap_or(step));
        let scrape = asked.unwrap_or(SCRAPE_INTERVAL);
        let rate = (step + scrape).max(scrape * 4);
        let range = (to - from).num_milliseconds();
        let built_in = |found: &Captures| match name(found) {
            "__interval" => seconds(step),
            "__rate_interval" => seconds(rate),
            "__range" => format!("{}s", (range + 500) / 1000),
            "__range_ms" => range.to_string(),
            other if other.starts_with(|first: char| first.is_ascii_digit()) => found[0].to_owned(),
            other => panic!("${other} is not built in"),
        };
        let expr = self.interpolate(target["expr"].as_str().unwrap());
        let expr = VARIABLE.replace_all(&expr, built_in).into_owned();
        let when = if target["instant"] == true {
            When::At(to)
        } else {
            When::Every((aligned(from, step), aligned(to, step)), step)
        };
        (expr, when)
    }
}

/// A value with something before each of the letters that mean something.
fn escape(value: &str, letters: &str, before: &str) -> String {
    let mut escaped = String::new();
    for letter in value.chars() {
        if letters.contains(letter) {
            escaped += before;
        }
        escaped.push(letter);
    }
    escaped
}

/// The instant of a text such as `now-90d/d` or `now/M`.
fn past(text: &str, now: DateTime<Utc>) -> DateTime<Utc> {
    let rest = text.strip_prefix("now").unwrap();
    let (back, unit) = rest.split_once('/').unwrap_or((rest, ""));
    let back = back.strip_prefix('-').map_or(TimeDelta::zero(), interval);
    let midnight = |day: chrono::NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
    let then = now - back;
    match unit {
        "" => then,
        "d" => midnight(then.date_naive()),
        "M" => midnight(then.date_naive().with_day(1).unwrap()),
        other => panic!("unknown unit {other} in {text}"),
    }
}

/// The midnight that the week began with.
fn monday(time: DateTime<Utc>) -> DateTime<Utc> {
    let day = time.date_naive();
    let days = i64::from(day.weekday().num_days_from_monday());
    (day - TimeDelta::days(days))
        .and_time(NaiveTime::MIN)
        .and_utc()
}

/// A time as Grafana and Prometheus write it, such as `1d`.
pub fn interval(text: &str) -> TimeDelta {
    let (number, unit) = text.split_at(text.len() - 1);
    let number: i64 = number.parse().unwrap();
    match unit {
        "s" => TimeDelta::seconds(number),
        "m" => TimeDelta::minutes(number),
        "h" => TimeDelta::hours(number),
        "d" => TimeDelta::days(number),
        "w" => TimeDelta::weeks(number),
        other => panic!("unknown unit {other} in {text}"),
    }
}

fn seconds(time: TimeDelta) -> String {
    format!("{}s", time.num_seconds())
}

/// A step that people find even, as near to this one as Grafana has it.
fn rounded(step: TimeDelta) -> TimeDelta {
    let even = [
        15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400,
        604_800,
    ];
    let even = even.map(TimeDelta::seconds);
    *even
        .iter()
        .find(|even| **even >= step)
        .unwrap_or(&even[even.len() - 1])
}

/// The last multiple of the step since Unix time began.
fn aligned(time: DateTime<Utc>, step: TimeDelta) -> DateTime<Utc> {
    let (time, step) = (time.timestamp_millis(), step.num_milliseconds());
    DateTime::from_timestamp_millis(time - time.rem_euclid(step)).unwrap()
}
