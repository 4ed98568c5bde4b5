//! `alerts why`: a rule, the figures that it uses, and what it makes of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::SubsecRound;
use serde_json::{Value, json};

use super::super::width::{self, wrapped};
use super::super::{Common, Failure, load, print, view};
use super::unknown;
use crate::alert::{
    self, Background, Condition, Figures, Finding, Observation, Rule, Settings, Share,
};
use crate::clock::{Clock, SystemClock};
use crate::day::Day;
use crate::ledger::{AlertMemory, Watched};
use crate::words::exact as number;

pub(super) async fn why(common: &Common, name: &str, on: Option<Day>) -> Result<(), Failure> {
    let config = load(common)?;
    let rules = &config.alerts.rules;
    let Some(rule) = rules.iter().find(|rule| &*rule.name == name) else {
        let known: Vec<&str> = rules.iter().map(|rule| &*rule.name).collect();
        return Err(unknown(
            "the config",
            "rule, budget, balance or probe",
            name,
            &known,
        ));
    };
    let today = SystemClock.today();
    // The day after the first one of interest: there is something to go by.
    let first = config.policy.history_start.plus(1);
    if let Some(day) = on.filter(|day| !(first..=today).contains(day)) {
        return Err(Failure::Usage(format!(
            "error: --on {day} is out of range: it must be from {first} through {today}"
        )));
    }
    let settings = Settings {
        rules: vec![rule.clone()],
        ..config.alerts.clone()
    };
    let view = view::open(&config).await?;
    let members = view::members(&config, &view).await?;
    let memory = view.alert_memory().await?;
    let today = on.unwrap_or(today);
    // On another day than today, nothing is forgiven for having been there before.
    let always = Watched {
        since: config.policy.history_start.start(),
        definition: rule.definition(),
        // Periods that ended within the week before are still open.
        evaluated: Some(today.plus(-7)),
        open_periods: Vec::new(),
        agents: BTreeMap::new(),
    };
    let watched = match on {
        Some(_) => HashMap::from([(Arc::clone(&rule.name), always)]),
        None => memory.watched.clone(),
    };
    let background = Background {
        today,
        watched: Arc::new(watched),
        judged: Arc::new(memory.judged.clone()),
        ..Background::of_spectator(SystemClock.now())
    };
    let facts = alert::observe(&view, &members, &settings, &background).await?;
    let observations = alert::judge(&settings.rules, &facts);
    let columns = width::columns().unwrap_or(usize::MAX);
    for line in heading(rule, today).lines() {
        print(format_args!("{}\n", wrapped(line, 0, columns)))?;
    }
    if observations.is_empty() {
        return print("no agent matches\n");
    }
    let mut rest = observations.as_slice();
    while let Some(first) = rest.first() {
        let is_like = |other: &Observation<'_>| {
            (&other.key.subject, other.key.period) == (&first.key.subject, first.key.period)
        };
        let alike = rest.iter().take_while(|other| is_like(other)).count();
        let (these, others) = rest.split_at(alike);
        print(subject(these, &memory, on.is_none()))?;
        rest = others;
    }
    Ok(())
}

fn heading(rule: &Rule, today: Day) -> String {
    let matcher = rule.matcher.to_string();
    let whom = if matcher.is_empty() {
        "all agents"
    } else {
        &matcher
    };
    let hooks: Vec<&str> = rule.hooks.iter().map(|hook| &**hook).collect();
    let told = if hooks.is_empty() {
        "nobody".to_owned()
    } else {
        hooks.join(", ")
    };
    format!(
        "{} ({}) as of {today}; the newest day counted is {}\nmatches {whom}; sends to {told}\n{}",
        rule.name,
        rule.check.kind(),
        today.previous(),
        rule.check.wanted()
    )
}

/// Facts about one subject, and the verdict of each threshold.
fn subject(observations: &[Observation<'_>], memory: &AlertMemory, has_state: bool) -> String {
    let Some(first) = observations.first() else {
        return String::new();
    };
    let period = first
        .key
        .period
        .map_or(String::new(), |day| format!(", period from {day}"));
    let mut lines = named(first.figures());
    for observation in observations {
        let title = match observation.finding {
            Finding::Budget { threshold, .. } => {
                let credits = number(threshold.at * observation.limit_credits());
                format!("{threshold} ({credits} credits)")
            }
            Finding::Balance { threshold, .. } => threshold.to_string(),
            _ => "condition".to_owned(),
        };
        let mut verdict = words(observation.condition).to_owned();
        let alert = memory.alerts.iter();
        let mut alert = alert.filter(|alert| has_state && alert.key == observation.key);
        if let Some(alert) = alert.next() {
            let since = alert.since.format("%Y-%m-%d %H:%M:%S");
            verdict += &format!("; {} since {since} UTC", alert.state.as_str());
        }
        lines.push((title, verdict));
    }
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let columns = width::columns().unwrap_or(usize::MAX);
    let lines = lines.into_iter();
    let lines: String = lines
        .map(|(name, value)| format!("  {name:width$}  {}\n", wrapped(&value, width + 4, columns)))
        .collect();
    format!("\n{}{period}\n{lines}", first.key.subject)
}

/// Names of figures in JSON, in the order in which they are shown, but for those of a single threshold.
const SHOWN: [&str; 18] = [
    "first_day",
    "last_day",
    "missing_days",
    "missing_since",
    "limit_credits",
    "used_credits",
    "used_ratio",
    "usual_credits",
    "pace_credits_per_day",
    "forecast_credits",
    "forecast_low_credits",
    "forecast_high_credits",
    "exhausted_at",
    "left_credits",
    "days_left",
    "low_days_left",
    "high_days_left",
    "top",
];

/// The figures that are there, by their names in JSON.
fn named(mut figures: Figures) -> Vec<(String, String)> {
    figures.exhausted_at = figures.exhausted_at.map(|at| at.trunc_subsecs(0));
    let json = json!(figures);
    let shown = SHOWN.iter().filter_map(|name| {
        let figure = match json.get(name)? {
            Value::Number(figure) => number(figure.as_f64()?),
            Value::String(text) => text.clone(),
            _ => figures.top.iter().map(share).collect::<Vec<_>>().join(", "),
        };
        Some(((*name).to_owned(), figure))
    });
    shown.collect()
}

fn share(share: &Share) -> String {
    let credits = number(share.credits);
    format!("{}/{} {credits}", share.account, share.agent)
}

const fn words(condition: Condition) -> &'static str {
    match condition {
        Condition::Met => "met",
        Condition::Held => "not met, but too close to resolve a firing alert",
        Condition::Past => "met, but its period is over: a firing alert stays, no new one starts",
        Condition::NotMet => "not met",
        Condition::Unknown => "unknown: days that it needs are missing",
    }
}
