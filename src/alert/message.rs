//! Pure: figures in words that a person acts on.
//!
//! A title is one line that says what has happened; the text adds, line by line, what one needs to judge
//! it. The link is left to whoever shows the message, since each place has its own way to show one.

mod budget;
mod figures;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::observe::escaped;
use super::words::{count, credits, date, dates, exact_percent, number, percent, sentence};
use super::{
    AgentFacts, Check, Condition, Figures, Finding, Measure, Notice, Observation, Severity, Span,
    Status, Whose, machine,
};
use crate::day::Day;
use crate::ledger::{Alert, AlertKey};
use crate::roster::Agent;

/// Why an alert is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// What it was about is not so any more.
    Quiet,
    /// Its budget's period is over.
    PeriodOver,
    /// Its rule, its threshold, its kind of period or its subject is gone.
    Gone,
}

/// What is told when an alert fires.
pub(super) fn firing(
    observation: &Observation<'_>,
    url: Option<&str>,
    now: DateTime<Utc>,
) -> Notice {
    let mut lines = lines(observation);
    lines.extend(reason(observation));
    Notice {
        status: Status::Firing,
        rule: observation.key.rule.to_string(),
        kind: observation.rule.check.kind().to_owned(),
        subject: observation.key.subject.to_string(),
        severity: observation.severity,
        key: key_text(&observation.key),
        title: firing_title(observation),
        text: lines.join("\n"),
        started_at: now,
        resolved_at: None,
        url: url.map(str::to_owned),
        labels: labels(observation),
        figures: figures::of(observation),
    }
}

/// What is told when an alert is over. Whatever identifies it is as it was when it fired.
pub(super) fn resolved(
    alert: &Alert,
    observation: Option<&Observation<'_>>,
    ending: Ending,
    now: DateTime<Utc>,
) -> Notice {
    let told = remembered(alert);
    let (title, text, figures) = match observation {
        Some(observation) => (
            ending_title(observation, ending),
            lines(observation).join("\n"),
            figures::of(observation),
        ),
        None => {
            let (title, text) = unseen(&told, alert, ending, Day::of(now));
            (title, text, told.figures)
        }
    };
    Notice {
        status: Status::Resolved,
        title: format!("Resolved: {title}"),
        text,
        resolved_at: Some(now),
        figures,
        ..told
    }
}

/// A notice as it is kept.
pub(super) fn json(notice: &Notice) -> String {
    // It has neither maps with keys that are no text nor anything else that JSON cannot hold.
    serde_json::to_string(notice).unwrap_or_default()
}

/// What was told when `alert` fired. One that cannot be read, as of another version, is made up for.
fn remembered(alert: &Alert) -> Notice {
    serde_json::from_str(&alert.notice).unwrap_or_else(|_| Notice {
        status: Status::Firing,
        rule: alert.key.rule.to_string(),
        kind: String::new(),
        subject: alert.key.subject.to_string(),
        severity: Severity::Warning,
        key: key_text(&alert.key),
        title: String::new(),
        text: String::new(),
        started_at: machine::fired_at(alert),
        resolved_at: None,
        url: None,
        labels: BTreeMap::from([("rule".to_owned(), alert.key.rule.to_string())]),
        figures: Figures::default(),
    })
}

/// An alert's identity as text: `cx-month/all/2026-11-01/used 0.8`. A slash in the rule's name is
/// escaped: two alerts never have one text.
fn key_text(key: &AlertKey) -> String {
    let mut text = format!("{}/{}", escaped(&key.rule), key.subject);
    if let Some(period) = key.period {
        text.push_str(&format!("/{period}"));
    }
    if !key.threshold.is_empty() {
        text.push_str(&format!("/{}", key.threshold));
    }
    text
}

/// What stays the same for as long as an alert lasts.
fn labels(observation: &Observation<'_>) -> BTreeMap<String, String> {
    let rule = observation.key.rule.to_string();
    let mut labels = vec![("rule", rule.clone())];
    let of_agent = |agent: &Agent| {
        [
            ("account", agent.account.to_string()),
            ("agent", agent.name.to_string()),
        ]
    };
    match &observation.finding {
        Finding::Budget { threshold, .. } => labels.extend([
            ("budget", rule),
            ("measure", threshold.measure.as_str().to_owned()),
            ("threshold", threshold.ratio.to_string()),
        ]),
        Finding::Usage { whose, .. } => match whose {
            Whose::Agent(facts) => labels.extend(of_agent(&facts.member.agent)),
            Whose::Account(account) => labels.push(("account", account.to_string())),
            Whose::All => {}
        },
        Finding::Spike(facts) | Finding::MissingData(facts, _) | Finding::AgentRefused(facts) => {
            labels.extend(of_agent(&facts.member.agent))
        }
        Finding::KeyRefused(account) => labels.push(("account", account.to_string())),
    }
    let labels = labels.into_iter();
    labels
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// What has happened, in a line.
fn firing_title(observation: &Observation<'_>) -> String {
    let (name, today) = (&observation.key.rule, observation.today);
    let subject = subject(observation);
    match &observation.finding {
        Finding::Budget {
            standing,
            threshold,
            ..
        } => match (threshold.measure, budget::exhaustion(standing, today)) {
            (Measure::Forecast, Some(exhaustion)) => {
                format!("Budget {name}: at this pace {exhaustion}")
            }
            _ => format!(
                "Budget {name}: {}",
                budget::measured(standing, threshold, today)
            ),
        },
        Finding::Usage { .. } => format!(
            "{name}: {subject} used {}, more than {}",
            usage(observation),
            number(observation.limit_credits())
        ),
        Finding::Spike(facts) => format!("{name}: {subject} used {}", spike(facts, today)),
        Finding::MissingData(_, since) => match since {
            Some(day) => format!("{name}: no data of {subject} for {}", date(*day, today)),
            None => format!("{name}: no day of {subject} is missing"),
        },
        Finding::KeyRefused(account) => format!("{name}: the key of account {account} is refused"),
        Finding::AgentRefused(facts) => format!(
            "{name}: {subject} is not of account {}, says FlowGent",
            facts.member.agent.account
        ),
    }
}

/// What is over, in a line.
fn ending_title(observation: &Observation<'_>, ending: Ending) -> String {
    let (name, today) = (&observation.key.rule, observation.today);
    let subject = subject(observation);
    match &observation.finding {
        Finding::Budget {
            standing,
            threshold,
            ..
        } => {
            let end = standing.period.end.filter(|_| ending == Ending::PeriodOver);
            match end {
                Some(end) => format!(
                    "budget {name}, its period ended on {} with {}",
                    date(end.previous(), today),
                    budget::used(standing)
                ),
                None => format!(
                    "budget {name} is below {} again, {}",
                    exact_percent(threshold.ratio),
                    budget::measured(standing, threshold, today)
                ),
            }
        }
        Finding::Usage { .. } => format!(
            "{name}: {subject} used {}, no longer more than {}",
            usage(observation),
            number(observation.limit_credits())
        ),
        Finding::Spike(facts) => format!("{name}: {subject} used {}", spike(facts, today)),
        Finding::MissingData(..) => format!("{name}: the days of {subject} are known"),
        Finding::KeyRefused(account) => {
            format!("{name}: the key of account {account} is accepted again")
        }
        Finding::AgentRefused(_) => format!("{name}: {subject} is accepted again"),
    }
}

/// Title and text of the end of an alert that nothing is observed of any more.
fn unseen(told: &Notice, alert: &Alert, ending: Ending, today: Day) -> (String, String) {
    let what = match told.kind.as_str() {
        "budget" => format!("budget {}", told.rule),
        _ => format!("{}: {}", told.rule, told.subject),
    };
    match (ending, alert.key.period) {
        (Ending::PeriodOver, Some(start)) => (
            format!("{what}, its period is over"),
            format!("The period that began on {} is over.", date(start, today)),
        ),
        _ => (
            format!("{what} is not watched any more"),
            "The rule, its threshold, its period or what it was about is gone from the config."
                .to_owned(),
        ),
    }
}

/// What the alert is about, as it stands within a sentence.
fn subject(observation: &Observation<'_>) -> String {
    match &observation.finding {
        Finding::Usage {
            whose: Whose::Account(account),
            ..
        } => format!("account {account}"),
        Finding::Budget { .. }
        | Finding::Usage {
            whose: Whose::All, ..
        } => "all agents together".to_owned(),
        _ => format!("agent {}", observation.key.subject),
    }
}

/// How it stands, line by line.
fn lines(observation: &Observation<'_>) -> Vec<String> {
    let today = observation.today;
    let subject = subject(observation);
    match &observation.finding {
        Finding::Budget { standing, .. } => budget::lines(observation, standing),
        Finding::Usage {
            used_credits,
            missing_days,
            top,
            ..
        } => {
            let top = top.iter().map(|(agent, credits)| (*agent, *credits));
            let line = format!(
                "{} used {}. The limit is {}.",
                sentence(&subject),
                usage(observation),
                number(observation.limit_credits())
            );
            [line]
                .into_iter()
                .chain(missing_line(*missing_days))
                .chain(top_line(top, *used_credits))
                .collect()
        }
        Finding::Spike(facts) => {
            let yesterday = today.previous();
            let used = format!("{} used {}.", sentence(&subject), spike(facts, today));
            let usual = facts.usual_credits.map(|usual| {
                let weekday = yesterday.date().format("%A");
                let usual = credits(usual);
                format!("Usual is the median of the {weekday}s of the eight weeks before: {usual}.")
            });
            [used].into_iter().chain(usual).collect()
        }
        Finding::MissingData(facts, since) => match since {
            Some(day) => vec![
                format!(
                    "{} is over and not known of {subject}; {} missing in all.",
                    sentence(&date(*day, today)),
                    match facts.missing_days {
                        1 => "one day is".to_owned(),
                        days => format!("{} are", count(days, "day", "days")),
                    }
                ),
                "Either FlowGent does not have the figures, or asking for them fails: the \
                 exporter's log says which."
                    .to_owned(),
            ],
            None => vec![format!(
                "Every day of {subject} that the rule looks at is known."
            )],
        },
        Finding::KeyRefused(account) => key_lines(observation, account),
        Finding::AgentRefused(facts) => agent_lines(observation, facts),
    }
}

fn key_lines(observation: &Observation<'_>, account: &str) -> Vec<String> {
    if observation.condition == Condition::NotMet {
        return vec![format!(
            "FlowGent accepts the API key of account {account}."
        )];
    }
    vec![
        format!("FlowGent refuses the API key of account {account}, or it cannot be read."),
        "Nothing of its agents is fetched until it has a valid key. The exporter's log says what \
         is wrong with it."
            .to_owned(),
    ]
}

fn agent_lines(observation: &Observation<'_>, facts: &AgentFacts) -> Vec<String> {
    let Agent {
        account, id, name, ..
    } = &facts.member.agent;
    if observation.condition == Condition::NotMet {
        return vec![format!(
            "FlowGent answers for agent {name} ({id}) of account {account}."
        )];
    }
    vec![
        format!("FlowGent says that agent {name} ({id}) is not one of account {account}."),
        "Nothing of it is fetched. Was it deleted, moved to another account, or is its id wrong?"
            .to_owned(),
    ]
}

/// Why it fires, where that is not said yet.
fn reason(observation: &Observation<'_>) -> Option<String> {
    match (&observation.finding, &observation.rule.check) {
        (Finding::Budget { threshold, .. }, _) => Some(match threshold.measure {
            Measure::Used => format!("The threshold is {} used.", exact_percent(threshold.ratio)),
            Measure::Forecast => {
                format!(
                    "The threshold is {} expected.",
                    exact_percent(threshold.ratio)
                )
            }
        }),
        (
            Finding::Usage { .. },
            Check::Usage {
                over_credits,
                hysteresis,
                ..
            },
        ) if *hysteresis > 0.0 => Some(format!(
            "It is over once use is at most {}.",
            number(over_credits * (1.0 - hysteresis))
        )),
        (
            Finding::Spike(_),
            Check::Spike {
                factor,
                floor_credits,
                ..
            },
        ) => Some(format!(
            "More than {} times that, and more than {}, is a spike.",
            number(*factor),
            credits(*floor_credits)
        )),
        (Finding::MissingData(..), Check::MissingData { longer_than, .. }) => Some(format!(
            "That has been so for longer than {}.",
            humantime::format_duration(*longer_than)
        )),
        _ => None,
    }
}

/// That days are missing, if any are.
fn missing_line(missing_days: u32) -> Option<String> {
    match missing_days {
        0 => None,
        1 => Some("1 agent-day is not known yet, so it may be more.".to_owned()),
        days => Some(format!(
            "{} agent-days are not known yet, so it may be more.",
            number(days.into())
        )),
    }
}

/// Those who used most, and their shares.
fn top_line<'a>(
    top: impl Iterator<Item = (&'a Agent, f64)>,
    used_credits: Option<f64>,
) -> Option<String> {
    let shares: Vec<String> = top
        .map(|(agent, credits)| {
            let share = figures::ratio(Some(credits), used_credits.unwrap_or_default());
            let share = share.map(|share| format!(" ({})", percent(share)));
            let (account, name) = (&agent.account, &agent.name);
            format!(
                "{account}/{name} {}{}",
                number(credits),
                share.unwrap_or_default()
            )
        })
        .collect();
    (!shares.is_empty()).then(|| format!("Most of it by {}.", shares.join(", ")))
}

/// What was used in the span of a usage rule: `1,234.5 credits on 22 Nov`.
fn usage(observation: &Observation<'_>) -> String {
    let Finding::Usage {
        span, used_credits, ..
    } = observation.finding
    else {
        return String::new();
    };
    let today = observation.today;
    let (first, last) = span.days(today);
    let used = used_credits.map_or_else(|| "an unknown amount".to_owned(), credits);
    let days = match span {
        Span::Previous7Days => format!("in the seven days through {}", date(last, today)),
        Span::Previous30Days => format!("in the 30 days through {}", date(last, today)),
        // On the first of a month, no day of it is over.
        Span::MonthToDate if last < first => format!("since {}", date(first, today)),
        Span::PreviousDay | Span::MonthToDate => dates(first, last, today),
    };
    format!("{used} {days}")
}

/// What was used on the previous day, and how that compares: `900 credits on 22 Nov, 4.5 times the
/// usual 200`.
fn spike(facts: &AgentFacts, today: Day) -> String {
    let used = facts.previous_day_credits;
    let shown = used.map_or_else(|| "an unknown amount".to_owned(), credits);
    let on = dates(today.previous(), today.previous(), today);
    let compared = match used.zip(facts.usual_credits) {
        Some((used, usual)) if usual > 0.0 => {
            format!("{} times the usual {}", number(used / usual), number(usual))
        }
        Some(_) => "where nothing is usual".to_owned(),
        None => "where it is not known what is usual".to_owned(),
    };
    format!("{shown} {on}, {compared}")
}
