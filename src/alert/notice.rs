//! Notices for people and programs: their shape, which is the same in every JSON that leaves.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Severity;
use super::subject::key_text;
use crate::day::Day;
use crate::ledger::{AlertKey, Member};
use crate::roster::Agent;
use crate::summary::Summary;

/// One message to one receiver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// True if it is only a trial: nothing has happened.
    #[serde(default)]
    pub test: bool,
    /// The alerts, the worst first; none in a summary.
    pub alerts: Vec<Notice>,
    /// Use in a period, if the message is about that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
}

/// Notice of one alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// Status: firing or resolved.
    pub status: Status,
    /// The name of the rule, budget or balance.
    pub rule: String,
    /// Kind of the rule, as in the config: `budget`, `balance`, `usage`, `spike`, …
    pub kind: String,
    /// Subject: `all`, an account, or an account and an agent as `acme/support`.
    pub subject: String,
    /// Severity.
    pub severity: Severity,
    /// The alert's identity, the same for as long as it lasts and at its end: a text without a value.
    pub key: String,
    /// Summary in a line of plain words.
    pub title: String,
    /// The same with all that one needs to act, in a few lines of plain words.
    pub text: String,
    /// Since when it fires.
    pub started_at: DateTime<Utc>,
    /// Time at which it resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_at: Option<DateTime<Utc>>,
    /// Link to the exporter's page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Labels that stay the same for a whole episode: `account`, `agent`, `budget`, `threshold` and the like.
    pub labels: BTreeMap<String, String>,
    /// The figures in the text.
    pub figures: Figures,
    /// Of a card about very many subjects of a budget: the worst of them, worst first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<SubjectLine>,
}

/// Alert of one subject on a card.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubjectLine {
    /// The subject.
    pub subject: String,
    /// The alert's identity.
    pub key: String,
    /// Severity.
    pub severity: Severity,
    /// Summary in a line of plain words.
    pub title: String,
    /// The part of the limit that is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_ratio: Option<f64>,
}

/// Status of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It fires.
    Firing,
    /// It is over.
    Resolved,
}

/// Figures, those that say something about the kind of rule.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Figures {
    /// Credits used, in the period or span.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_credits: Option<f64>,
    /// Credits that may be used: the budget, what a usage rule has as its limit, or what was set and added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_credits: Option<f64>,
    /// The first divided by the second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_ratio: Option<f64>,
    /// The share of the budget that was reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold_ratio: Option<f64>,
    /// Measure that reached it: `used`, `forecast`, `credits_left` or `days_left`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measure: Option<String>,
    /// First day of the period or span, `YYYY-MM-DD`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_day: Option<String>,
    /// Its last day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_day: Option<String>,
    /// Days of agents in it that have passed and are not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_days: Option<u32>,
    /// The first of them since which data is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_since: Option<String>,
    /// Credits per day that are expected from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pace_credits_per_day: Option<f64>,
    /// Credits expected by the end of the period.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forecast_credits: Option<f64>,
    /// The low bound of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forecast_low_credits: Option<f64>,
    /// The high bound of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forecast_high_credits: Option<f64>,
    /// Time at which the budget or balance was exhausted, or is expected to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exhausted_at: Option<DateTime<Utc>>,
    /// Credits left of a balance: at most these while days are missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_credits: Option<f64>,
    /// Days until it is expected to run out; absent if that is over a year away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days_left: Option<f64>,
    /// The low bound of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low_days_left: Option<f64>,
    /// The high bound of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high_days_left: Option<f64>,
    /// Credits that are usual on such a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usual_credits: Option<f64>,
    /// Those behind it who used most.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub top: Vec<Share>,
}

/// An agent's use of a budget or balance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Share {
    /// The account's name, as in the config.
    pub account: String,
    /// The agent's name, as in the config; its identifier if it has no other name.
    pub agent: String,
    /// Credits that it used in the period.
    #[schemars(range(min = 0))]
    pub credits: f64,
}

impl Share {
    pub(crate) fn of((member, credits): &(Member, f64)) -> Self {
        Self::of_agent(&member.agent, *credits)
    }

    pub(super) fn of_agent(agent: &Agent, credits: f64) -> Self {
        Self {
            account: agent.account.to_string(),
            agent: agent.name.to_string(),
            credits,
        }
    }
}

impl Notification {
    /// A message about what has happened.
    #[must_use]
    pub const fn of_alerts(alerts: Vec<Notice>) -> Self {
        Self {
            test: false,
            alerts,
            summary: None,
        }
    }

    /// A message about a period.
    #[must_use]
    pub const fn of_summary(summary: Summary) -> Self {
        Self {
            test: false,
            alerts: Vec::new(),
            summary: Some(summary),
        }
    }

    /// The message without those of its alerts that are not among `keys`: their receiver has newer news of them. It is
    /// all of it if none is left.
    #[must_use]
    pub fn about(mut self, keys: &[AlertKey]) -> Self {
        let keys: HashSet<String> = keys.iter().map(key_text).collect();
        let is_news = |notice: &Notice| {
            let mut subjects = notice.subjects.iter();
            keys.contains(&notice.key) || subjects.any(|line| keys.contains(&line.key))
        };
        if self.alerts.iter().any(is_news) {
            self.alerts.retain(is_news);
        }
        self
    }

    /// A message to try a hook with, marked as such: it looks like one of a budget, and nothing in it
    /// has happened.
    #[must_use]
    pub fn sample(url: Option<&str>, now: DateTime<Utc>) -> Self {
        let today = Day::of(now);
        let (first, last) = (today.plus(-10), today.plus(9));
        let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let share = |agent: &str, credits| Share {
            account: "example".to_owned(),
            agent: agent.to_owned(),
            credits,
        };
        let notice = Notice {
            status: Status::Firing,
            rule: "example".to_owned(),
            kind: "budget".to_owned(),
            subject: "all".to_owned(),
            severity: Severity::Info,
            key: format!("example/all/{first}/used 0.8"),
            title: "Test: budget example: 4,012 of 5,000 credits used (80%)".to_owned(),
            text: "This is a test: nothing has happened, and the figures are made up.\nA real \
                   alert gives its figures, the forecast and the top agents here."
                .to_owned(),
            started_at: now,
            resolved_at: None,
            url: url.map(str::to_owned),
            labels: BTreeMap::from([
                label("rule", "example"),
                label("budget", "example"),
                label("measure", "used"),
                label("threshold", "0.8"),
            ]),
            figures: Figures {
                used_credits: Some(4_012.0),
                limit_credits: Some(5_000.0),
                used_ratio: Some(0.8024),
                threshold_ratio: Some(0.8),
                measure: Some("used".to_owned()),
                first_day: Some(first.to_string()),
                last_day: Some(last.to_string()),
                missing_days: Some(0),
                pace_credits_per_day: Some(401.2),
                forecast_credits: Some(8_024.0),
                forecast_low_credits: Some(7_800.0),
                forecast_high_credits: Some(8_250.0),
                exhausted_at: Some(today.plus(2).start()),
                top: vec![share("support", 2_600.0), share("sales", 1_412.0)],
                ..Figures::default()
            },
            subjects: Vec::new(),
        };
        Self {
            test: true,
            ..Self::of_alerts(vec![notice])
        }
    }
}
