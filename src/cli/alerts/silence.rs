//! `alerts silence` and `alerts unsilence`.

use std::collections::BTreeSet;
use std::sync::Arc;

use clap::Args;

use super::super::{Common, Failure, load, print, view};
use super::{listed, unknown};
use crate::alert::{self, Background, Rule, Settings};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::day::Day;
use crate::ledger::{self, Silence};
use crate::text::visible;

/// The longest silence, in days.
const LONGEST_DAYS: i32 = 366;
/// The most characters of a reason.
const REASON_CHARACTERS: usize = 200;

/// A rule or one of its subjects.
#[derive(Debug, Args)]
pub(in crate::cli) struct Silenced {
    /// The name of the rule, budget, balance or probe.
    rule: String,
    /// One subject, such as `acme/support` [default: all of the rule's].
    subject: Option<String>,
}

/// Silences it.
pub(super) async fn silence(
    common: &Common,
    silenced: Silenced,
    until: Day,
    reason: &str,
) -> Result<(), Failure> {
    let config = load(common)?;
    let now = SystemClock.now();
    let (first, last) = (Day::of(now).next(), Day::of(now).plus(LONGEST_DAYS));
    if !(first..=last).contains(&until) {
        return Err(Failure::Usage(format!(
            "error: --until {until} is out of range: it must be from {first} through {last}"
        )));
    }
    let reason = visible(reason);
    let reason = Vec::from_iter(reason.split_whitespace()).join(" ");
    let length = reason.chars().count();
    if !(1..=REASON_CHARACTERS).contains(&length) {
        return Err(Failure::Usage(format!(
            "error: --reason has {length} characters: it must have from 1 through {REASON_CHARACTERS}"
        )));
    }
    let Silenced { rule, subject } = silenced;
    let rules = &config.alerts.rules;
    let Some(known) = rules.iter().find(|known| *known.name == *rule) else {
        let known: Vec<&str> = rules.iter().map(|rule| &*rule.name).collect();
        let thing = "rule, budget, balance or probe";
        return Err(unknown("the config", thing, &rule, &known));
    };
    if let Some(subject) = &subject {
        let subjects = subjects(&config, known).await?;
        if !subjects.contains(subject.as_str()) {
            let subjects: Vec<&str> = subjects.iter().map(|subject| &**subject).collect();
            return Err(unknown(&rule, "subject", subject, &subjects));
        }
    }
    let silence = Silence {
        rule: rule.into(),
        subject: subject.map(Arc::from),
        until,
        since: now,
        reason,
    };
    ledger::silence(&config.storage.path, &silence)?;
    print(format_args!(
        "{} is silenced until {until}, 00:00 UTC: hooks get no messages about it before then\n",
        named(&silence.rule, silence.subject.as_deref())
    ))
}

/// Ends the silence.
pub(super) async fn unsilence(common: &Common, silenced: Silenced) -> Result<(), Failure> {
    let config = load(common)?;
    let today = SystemClock.today();
    let Silenced { rule, subject } = silenced;
    let name = named(&rule, subject.as_deref());
    if ledger::unsilence(&config.storage.path, &rule, subject.as_deref(), today)? {
        return print(format_args!(
            "{name} is no longer silenced: hooks learn its present state from the running exporter, or else at its \
             next start\n"
        ));
    }
    let silences = view::open(&config).await?.silences(today).await?;
    let silences = silences.iter();
    let known: Vec<String> = silences
        .map(|silence| named(&silence.rule, silence.subject.as_deref()))
        .collect();
    let tip = match &*known {
        [] => "no alert is silenced".to_owned(),
        known => format!("silenced: {}", listed(known)),
    };
    Err(Failure::Usage(format!(
        "error: {name} is not silenced\n\n  tip: {tip}"
    )))
}

/// What is silenced, in words.
pub(super) fn named(rule: &str, subject: Option<&str>) -> String {
    match subject {
        Some(subject) => format!("{rule} of {subject}"),
        None => rule.to_owned(),
    }
}

/// The subjects of `rule`: those that it is about now, and those of its alerts.
async fn subjects(config: &Config, rule: &Rule) -> Result<BTreeSet<Arc<str>>, Failure> {
    let view = view::open(config).await?;
    let members = view::members(config, &view).await?;
    let memory = view.alert_memory().await?;
    let settings = Settings {
        rules: vec![rule.clone()],
        ..config.alerts.clone()
    };
    let background = Background {
        watched: Arc::new(memory.watched),
        ..Background::of_spectator(SystemClock.now())
    };
    let facts = alert::observe(&view, &members, &settings, &background).await?;
    let observed = alert::judge(&settings.rules, &facts).into_iter();
    let observed = observed.map(|observation| observation.key.subject);
    let alerts = memory.alerts.into_iter().map(|alert| alert.key);
    let alerts = alerts.filter(|key| key.rule == rule.name);
    Ok(observed.chain(alerts.map(|key| key.subject)).collect())
}
