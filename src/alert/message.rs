//! Pure: figures in words that a person acts on.
//!
//! A title is one line that says what has happened; the text adds, line by line, what one needs to judge
//! it. The link is left to whoever shows the message, since each place has its own way to show one.

mod balance;
mod budget;
mod figures;
mod title;
mod usage;

pub(super) use title::Ending;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::finding::{Condition, Finding, Observation, Whose};
use super::subject::key_text;
use super::{AgentFacts, Check, Figures, Measure, Notice, Severity, Status, probes};
use crate::day::Day;
use crate::ledger::Alert;
use crate::roster::Agent;
use crate::sheet::Grouping;
use crate::words::{
    agent_days_are, count, credits, date, exact_percent, number, percent, sentence,
};

/// Label for the subject of a budget whose subjects have a limit each.
pub(super) const SUBJECT: &str = "subject";

/// Notice of an alert that fires, with the figures of this evaluation. For as long as it fires, and
/// under whatever name its agent goes by then, it keeps what identifies it: as `was_firing` has it.
pub(super) fn firing(
    observation: &Observation<'_>,
    alert: &Alert,
    was_firing: Option<&Alert>,
    url: Option<&str>,
) -> Notice {
    let mut lines = lines(observation, Status::Firing);
    lines.extend(usage::late_lines(observation, &alert.days));
    lines.extend(reason(observation));
    lines.extend(lasting(observation, alert));
    let notice = Notice {
        status: Status::Firing,
        rule: observation.key.rule.to_string(),
        kind: observation.rule.check.kind().to_owned(),
        subject: observation.key.subject.to_string(),
        severity: observation.severity,
        key: key_text(&observation.key),
        title: title::firing(observation, &alert.days),
        text: lines.join("\n"),
        started_at: fired_at(alert),
        resolved_at: None,
        url: url.map(str::to_owned),
        labels: labels(observation),
        figures: figures::of(observation),
        subjects: Vec::new(),
    };
    let Some(told) =
        was_firing.and_then(|alert| serde_json::from_str::<Notice>(&alert.notice).ok())
    else {
        return notice;
    };
    Notice {
        severity: told.severity,
        labels: told.labels,
        ..notice
    }
}

/// Notice of an alert that resolves. Whatever identifies it is as it was when it fired.
pub(super) fn resolved(
    alert: &Alert,
    observation: Option<&Observation<'_>>,
    ending: Ending,
    now: DateTime<Utc>,
) -> Notice {
    let told = remembered(alert);
    let (title, text, figures) = match observation {
        Some(observation) if ending != Ending::Redefined => (
            title::over(observation, ending),
            lines(observation, Status::Resolved).join("\n"),
            figures::of(observation),
        ),
        _ => {
            let (title, text) = title::unseen(&told, alert, ending, Day::of(now));
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

/// Notice for a hook that was taken out of a rule while its alert fires.
pub(super) fn withdrawn(notice: &Notice, now: DateTime<Utc>) -> Notice {
    Notice {
        status: Status::Resolved,
        title: format!("No longer sent here: {}", notice.title),
        text: format!(
            "The alert still fires, but this hook was removed from {} {}.",
            match &*notice.kind {
                kind @ ("budget" | "balance") => kind,
                _ => "rule",
            },
            notice.rule
        ),
        resolved_at: Some(now),
        ..notice.clone()
    }
}

/// Notice for a hook that hears again of an alert that goes on.
pub(super) fn repeated(notice: &Notice, now: DateTime<Utc>) -> Notice {
    let since = date(Day::of(notice.started_at), Day::of(now));
    Notice {
        title: format!("Still firing since {since}: {}", notice.title),
        ..notice.clone()
    }
}

impl Observation<'_> {
    /// The figures that a message about it has.
    #[must_use]
    pub fn figures(&self) -> Figures {
        figures::of(self)
    }
}

/// True if credits were set or added to a balance since `alert` last fired.
pub(super) fn is_topped_up(alert: &Alert, observation: &Observation<'_>) -> bool {
    matches!(observation.finding, Finding::Balance { .. })
        && balance::is_topped_up(&remembered(alert).figures, observation)
}

/// Time at which a firing alert began to.
pub(super) fn fired_at(alert: &Alert) -> DateTime<Utc> {
    alert.fired_at.unwrap_or(alert.since)
}

/// A notice as it is kept.
pub(super) fn json(notice: &Notice) -> String {
    // It has neither maps with keys that are no text nor anything else that JSON cannot hold.
    serde_json::to_string(notice).unwrap_or_default()
}

/// Notice sent when `alert` fired. One that cannot be read, as of another version, is made up for.
pub(super) fn remembered(alert: &Alert) -> Notice {
    serde_json::from_str(&alert.notice).unwrap_or_else(|_| Notice {
        status: Status::Firing,
        rule: alert.key.rule.to_string(),
        kind: String::new(),
        subject: alert.key.subject.to_string(),
        severity: Severity::Warning,
        key: key_text(&alert.key),
        title: String::new(),
        text: String::new(),
        started_at: fired_at(alert),
        resolved_at: None,
        url: None,
        labels: BTreeMap::from([("rule".to_owned(), alert.key.rule.to_string())]),
        figures: Figures::default(),
        subjects: Vec::new(),
    })
}

/// Labels that stay the same for as long as an alert fires. The labels of its agent are among them, unless one
/// of the others has their name.
fn labels(observation: &Observation<'_>) -> BTreeMap<String, String> {
    let agent = match &observation.finding {
        Finding::Probe(probed) => Some(probed.agent),
        _ => observation.member().map(|member| &member.agent),
    };
    let own = agent.into_iter().flat_map(|agent| agent.labels.iter());
    let mut labels: BTreeMap<String, String> = own
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let mut label = |name: &str, value: &str| labels.insert(name.to_owned(), value.to_owned());
    if let Some(agent) = agent {
        label("account", &agent.account);
        label("agent", &agent.name);
    }
    match &observation.finding {
        Finding::Budget { threshold, .. } => {
            let subject = &observation.key.subject;
            match observation.rule.per() {
                Some(Grouping::Account) => drop(label("account", subject)),
                Some(Grouping::Label(name)) => drop(label(name, subject)),
                Some(Grouping::Agent) | None => {}
            }
            if observation.rule.per().is_some() {
                label(SUBJECT, subject);
            }
            label("budget", &observation.key.rule);
            label("measure", threshold.measure.as_str());
            label("threshold", &threshold.at.to_string());
        }
        Finding::Balance { threshold, .. } => {
            label("balance", &observation.key.rule);
            label("measure", threshold.measure.as_str());
            label("threshold", &threshold.at.to_string());
        }
        Finding::Usage {
            whose: Whose::Account(account),
            ..
        }
        | Finding::KeyRefused { account, .. }
        | Finding::NoCredits { account, .. } => {
            label("account", account);
        }
        Finding::Probe(probed) => {
            label("probe", probed.name);
        }
        _ => {}
    }
    label("rule", &observation.key.rule);
    labels
}

/// Body of a notice, line by line.
fn lines(observation: &Observation<'_>, status: Status) -> Vec<String> {
    let today = observation.today;
    let subject = title::subject(observation);
    match &observation.finding {
        Finding::Budget { standing, .. } => budget::lines(observation, standing),
        Finding::Balance { left, .. } => balance::lines(*left),
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
                usage::used(observation),
                number(observation.limit_credits())
            );
            [line]
                .into_iter()
                .chain(missing_line(*missing_days))
                .chain(top_line(top, *used_credits))
                .collect()
        }
        Finding::Day {
            day, usual_credits, ..
        } => {
            let used = format!("{} used {}.", sentence(&subject), usage::day(observation));
            let is_compared = !matches!(observation.rule.check, Check::Silent { .. });
            let usual = usual_credits.filter(|_| is_compared).map(|usual| {
                let weekday = day.date().format("%A");
                let usual = credits(usual);
                format!("Usual: {usual}, the median of the {weekday}s in the eight weeks before.")
            });
            [used].into_iter().chain(usual).collect()
        }
        Finding::MissingData(facts, since) => match since {
            Some(day) => vec![
                format!(
                    "{} has no data for {}; {} missing in all.",
                    sentence(&subject),
                    date(*day, today),
                    count(facts.missing_days, "day is", "days are")
                ),
                "Either FlowGent has no figures for it yet, or fetching them fails: the exporter's \
                 log shows which."
                    .to_owned(),
            ],
            None => vec![format!(
                "Every day of {subject} that the rule looks at is known."
            )],
        },
        Finding::KeyRefused { account, .. } => key_lines(account, status),
        Finding::AgentRefused(facts) => agent_lines(facts, status),
        Finding::Probe(probed) => probes::lines(&subject, probed, status),
        Finding::NoCredits { account, last } => probes::credit_lines(account, *last, status),
    }
}

fn key_lines(account: &str, status: Status) -> Vec<String> {
    if status == Status::Resolved {
        return vec![format!(
            "FlowGent accepts the API key of account {account}."
        )];
    }
    vec![
        format!("FlowGent refuses the API key of account {account}, or it cannot be read."),
        "None of its agents is fetched until the key works. The exporter's log shows the cause."
            .to_owned(),
    ]
}

fn agent_lines(facts: &AgentFacts, status: Status) -> Vec<String> {
    let Agent {
        account, id, name, ..
    } = &facts.member.agent;
    if status == Status::Resolved {
        return vec![format!(
            "FlowGent accepts agent {name} ({id}) of account {account}."
        )];
    }
    vec![
        format!("FlowGent says that agent {name} ({id}) does not belong to account {account}."),
        "It is not fetched. Was it deleted or moved to another account, or is its id wrong?"
            .to_owned(),
    ]
}

/// Why it fires, where that is not said yet.
fn reason(observation: &Observation<'_>) -> Option<String> {
    match (&observation.finding, &observation.rule.check) {
        (Finding::Budget { threshold, .. }, _) => Some(match threshold.measure {
            Measure::Forecast => {
                format!("Threshold: {} expected.", exact_percent(threshold.at))
            }
            _ => format!("Threshold: {} used.", exact_percent(threshold.at)),
        }),
        (Finding::Balance { threshold, .. }, _) => Some(format!(
            "Threshold: {} left.",
            balance::threshold(threshold)
        )),
        (
            Finding::Usage { .. },
            Check::Usage {
                over_credits,
                hysteresis,
                ..
            },
        ) if *hysteresis > 0.0 => Some(format!(
            "It resolves once use is at most {}.",
            number(over_credits * (1.0 - hysteresis))
        )),
        (
            _,
            Check::Spike {
                factor,
                floor_credits,
                ..
            },
        ) => Some(format!(
            "A spike is more than {} times the usual and more than {}.",
            number(*factor),
            credits(*floor_credits)
        )),
        (
            _,
            Check::Drop {
                factor,
                floor_credits,
                ..
            },
        ) => Some(format!(
            "A drop is less than {} of the usual, if that is more than {}.",
            exact_percent(*factor),
            credits(*floor_credits)
        )),
        (_, Check::Silent { days, .. }) => Some(format!(
            "It fires after {} without use, if there was use on at least 4 of the 28 days before.",
            count(*days, "day", "days")
        )),
        (Finding::MissingData(..), Check::MissingData { longer_than, .. }) => Some(format!(
            "It has been missing for longer than {}.",
            humantime::format_duration(*longer_than)
        )),
        _ => None,
    }
}

/// Why it still fires though its condition is not met.
fn lasting(observation: &Observation<'_>, alert: &Alert) -> Option<String> {
    if !alert.days.is_empty() {
        return Some("It fires for 24 hours, because these figures came late.".to_owned());
    }
    match (observation.condition, &observation.finding) {
        (Condition::Met, _)
        | (
            _,
            Finding::KeyRefused { .. }
            | Finding::AgentRefused(_)
            | Finding::Probe(_)
            | Finding::NoCredits { .. },
        ) => None,
        (Condition::Unknown, _) if observation.missing_days() > 0 => Some(format!(
            "It still fires: {} missing.",
            agent_days_are(observation.missing_days())
        )),
        (Condition::Unknown, _) => Some("It still fires: the figures are missing.".to_owned()),
        (Condition::Past, _) => Some("It fires until all days of its period are known.".to_owned()),
        (_, Finding::Budget { threshold, .. }) => Some(match threshold.measure {
            Measure::Forecast => format!(
                "It still fires: it resolves after three days in a row below {}.",
                percent(0.95 * threshold.at)
            ),
            _ => format!(
                "It still fires: it resolves below {}.",
                percent(0.95 * threshold.at)
            ),
        }),
        (_, Finding::Balance { threshold, .. }) => Some(balance::held(threshold)),
        _ => None,
    }
}

/// That days are missing, if any are.
fn missing_line(missing_days: u32) -> Option<String> {
    let line = || {
        let days = agent_days_are(missing_days);
        format!("{days} missing, so use may be higher.")
    };
    (missing_days > 0).then(line)
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
    (!shares.is_empty()).then(|| format!("Top agents: {}.", shares.join(", ")))
}
