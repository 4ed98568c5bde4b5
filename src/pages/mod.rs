//! The pages that people see, rendered here from what is known at the moment: no script, no request but
//! for the page itself, and no figure where a day that it covers is not known.

mod account;
mod agent;
mod alerts;
mod balances;
mod budgets;
mod chart;
pub(crate) mod figure;
mod list;
mod listing;
mod missing;
mod overview;
mod probes;
mod refresh;
mod row;
mod sync;
mod time;

use std::sync::LazyLock;

use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use hyper::StatusCode;
use hyper::header::{ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderValue, REFRESH, VARY};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

use self::time::Moment;
use crate::alert::Notice;
use crate::day::Day;
use crate::http::State;
use crate::http::gate::Weight;
use crate::http::request::Asked;
use crate::http::response::{self, Reply, set};
use crate::ledger::{Alert, AlertState, Silence};
use crate::named::named;
use crate::roster::Agent;
use crate::text::visible;
use crate::words;

/// The style of all pages. It stands in each of them, so that a page is one request.
const STYLE: &str = include_str!("style.css");

/// The tab's picture.
const ICON: &str = include_str!("icon.svg");

/// The page's own style, by its hash, the icon, and the form that filters; no script, no frame, nothing
/// from elsewhere.
static CONTENT_SECURITY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; img-src 'self'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).expect("it is made of visible ASCII")
});

/// Characters that are not encoded in a segment of a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

named! {
    /// Kinds of pages, each with its value of the label `handler`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum PageKind {
        Overview = "page_overview",
        Account = "page_account",
        Agent = "page_agent",
        Alerts = "page_alerts",
        Icon = "icon",
    }
}

impl PageKind {
    /// Weight of its answers.
    pub(crate) const fn weight(self) -> Weight {
        match self {
            Self::Overview | Self::Account | Self::Agent | Self::Alerts => Weight::Page,
            Self::Icon => Weight::Light,
        }
    }

    /// The outcomes that are counted from zero.
    pub(crate) const fn outcomes(self) -> &'static [StatusCode] {
        match self {
            Self::Overview | Self::Alerts | Self::Icon => &[StatusCode::OK],
            Self::Account | Self::Agent => &[StatusCode::OK, StatusCode::NOT_FOUND],
        }
    }
}

/// Answers a request for a page.
pub(crate) async fn answer(kind: PageKind, state: &State, asked: &Asked<'_>) -> Reply {
    let path = asked.path;
    match kind {
        PageKind::Overview => overview::overview(state, path, asked.query).await.reply(),
        PageKind::Alerts => alerts::alerts(state, path, asked.query).await.reply(),
        PageKind::Account => {
            let [name] = asked.parameters.as_slice() else {
                return nothing(state, asked);
            };
            let page = account::account(state, path, name);
            page.unwrap_or_else(|| missing::missing(state, path, None))
                .reply()
        }
        PageKind::Agent => {
            let [account, name] = asked.parameters.as_slice() else {
                return nothing(state, asked);
            };
            let page = agent::agent(state, path, account, name).await;
            let missing = || missing::missing(state, path, Some((account, name)));
            page.unwrap_or_else(missing).reply()
        }
        PageKind::Icon => {
            let mut reply = response::of_type("image/svg+xml", ICON.into());
            set(&mut reply, CACHE_CONTROL, "public, max-age=86400");
            reply
        }
    }
}

/// Answers a browser that asks for what is not there.
pub(crate) fn nothing(state: &State, asked: &Asked<'_>) -> Reply {
    let mut reply = missing::missing(state, asked.path, None).reply();
    // Programs get a shorter answer.
    reply.headers_mut().append(VARY, HeaderValue::from(ACCEPT));
    reply
}

/// A page, ready to be sent.
#[derive(Debug)]
struct Page {
    status: StatusCode,
    html: String,
    /// Seconds after which a browser loads it again.
    refresh: Option<u32>,
}

/// Parts that every page has around its content.
#[derive(Debug)]
struct Frame {
    /// The page's own title.
    title: String,
    /// Leads from the page to the first one. All links begin with it, so that pages work behind a proxy
    /// that serves them elsewhere.
    root: String,
    /// The part of the navigation that the page is: `agents`, `alerts`, or none.
    section: &'static str,
    /// Number of firing alerts.
    firing: usize,
    /// Path of the metrics, seen from the first page.
    metrics: String,
    version: &'static str,
    style: &'static str,
    /// Seconds after which the page is loaded again.
    refresh: Option<u32>,
}

impl Frame {
    /// The frame of a page at `path`.
    fn new(state: &State, path: &str, section: &'static str, title: impl Into<String>) -> Self {
        let alerting = state.board.alerting();
        let alerts = alerting.iter().flat_map(|alerting| &alerting.alerts);
        let metrics = state.telemetry_path.trim_start_matches('/');
        Self {
            title: title.into(),
            root: root(path),
            section,
            firing: alerts.filter(|alert| alert.firing).count(),
            metrics: metrics.to_owned(),
            version: env!("CARGO_PKG_VERSION"),
            style: STYLE,
            refresh: None,
        }
    }

    /// Refresh interval in words.
    fn refreshes(&self) -> Option<String> {
        self.refresh.map(refresh::words)
    }
}

impl Page {
    fn reply(self) -> Reply {
        let mut reply = response::html(self.html);
        *reply.status_mut() = self.status;
        let policy = CONTENT_SECURITY.clone();
        reply.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
        if let Some(seconds) = self.refresh {
            reply
                .headers_mut()
                .insert(REFRESH, HeaderValue::from(seconds));
        }
        reply
    }

    /// The page, loaded again after so many seconds.
    fn refreshing(self, refresh: Option<u32>) -> Self {
        Self { refresh, ..self }
    }

    /// The page that `template` makes.
    fn of(status: StatusCode, template: &impl Template) -> Self {
        match template.render() {
            Ok(html) => Self {
                status,
                html: visible(&html).into_owned(),
                refresh: None,
            },
            // Writing to a text cannot fail, and neither do the templates.
            Err(error) => Self {
                status: StatusCode::INTERNAL_SERVER_ERROR,
                html: format!("<!DOCTYPE html><title>Error</title><p>{error}"),
                refresh: None,
            },
        }
    }
}

/// Relative path from the page at `path` to the first one.
fn root(path: &str) -> String {
    match path.matches('/').count() {
        0 | 1 => "./".to_owned(),
        slashes => "../".repeat(slashes - 1),
    }
}

/// The download of usage in steps of `step` from `first` through yesterday, of all agents or of `whose` account
/// and agent, seen from the first page.
fn csv(whose: Option<(&str, Option<&str>)>, first: Day, today: Day, step: &str) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    if let Some((account, agent)) = whose {
        query.append_pair("account", account);
        if let Some(agent) = agent {
            query.append_pair("agent", agent);
        }
    }
    query.append_pair("start", &first.min(today.previous()).to_string());
    query.append_pair("end", &today.previous().to_string());
    query.append_pair("step", step);
    format!("api/v1/usage.csv?{}", query.finish())
}

/// The page of an account, seen from the first one. A browser would take `..` for another folder.
fn account_link(account: &str) -> String {
    match account {
        "." | ".." => String::new(),
        _ => format!("accounts/{}", utf8_percent_encode(account, SEGMENT)),
    }
}

/// The page of an agent, seen from the first one.
fn agent_link(agent: &Agent) -> String {
    // Browsers take these for other folders, even percent-encoded. An identifier is never one of them.
    let name = match &*agent.name {
        "." | ".." => &agent.id,
        _ => &agent.name,
    };
    agent_path(&agent.account, name)
}

fn agent_path(account: &str, name: &str) -> String {
    let segment = |text| utf8_percent_encode(text, SEGMENT);
    format!("agents/{}/{}", segment(account), segment(name))
}

/// An alert as pages show it.
#[derive(Debug)]
struct AlertView {
    state: &'static str,
    /// Severity: `info`, `warning` or `critical`.
    severity: &'static str,
    title: String,
    /// Further lines.
    lines: Vec<String>,
    /// True if these lines are shown.
    is_told: bool,
    rule: String,
    threshold: String,
    subject: String,
    /// Its anchor on the page of alerts.
    anchor: String,
    /// The first day on which messages about it are sent again, if it is silenced.
    silenced_until: Option<Day>,
    /// Earliest time to fire, if it pends.
    firing_at: Option<Moment>,
    /// Link to the page of the agent or account, or to the budget; none if it is about several.
    link: Option<(String, &'static str)>,
    since: Moment,
}

/// Of each rule and subject one alert: of several thresholds the most severe, and of those the highest.
/// The alerts begin with the most severe.
fn told(alerts: &[Alert]) -> Vec<&Alert> {
    let mut told: Vec<&Alert> = Vec::new();
    for alert in alerts {
        let is_same = |other: &&mut &Alert| {
            (&other.key.rule, &other.key.subject) == (&alert.key.rule, &alert.key.subject)
        };
        match told.iter_mut().find(is_same) {
            Some(other) if represents(alert, other) => *other = alert,
            Some(_) => {}
            None => told.push(alert),
        }
    }
    told
}

/// The alerts that fire, a card for each rule and subject.
fn cards(alerts: &[Alert], now: DateTime<Utc>) -> Vec<AlertView> {
    let card = |alert: &&Alert| {
        let others = alerts.iter().filter(|other| {
            (&other.key.rule, &other.key.subject) == (&alert.key.rule, &alert.key.subject)
                && other.key != alert.key
        });
        let others: Vec<String> = others.map(|other| in_words(&other.key.threshold)).collect();
        let mut card = AlertView::of(alert, true, now);
        if !others.is_empty() {
            card.lines
                .push(format!("Also reached: {}.", others.join(", ")));
        }
        card
    };
    told(alerts).iter().map(card).collect()
}

/// Returns true if `alert` says more than `other`, which is of the same rule and subject.
fn represents(alert: &Alert, other: &Alert) -> bool {
    let weight = |alert: &Alert| {
        let notice = serde_json::from_str::<Notice>(&alert.notice).ok()?;
        let height = match notice.labels.get("threshold") {
            Some(left) if notice.kind == "balance" => left.parse().ok().map(|left: f64| -left),
            _ => notice.figures.threshold_ratio,
        };
        Some((notice.severity, height))
    };
    weight(alert) > weight(other)
}

/// A threshold such as `used 0.8` as people read it: `80% used`.
fn in_words(threshold: &str) -> String {
    let parts = threshold.split_once(' ');
    let parts = parts.and_then(|(measure, at)| Some((measure, at.parse().ok()?)));
    match parts {
        Some(("used", at)) => format!("{} used", words::exact_percent(at)),
        Some(("forecast", at)) => format!("{} expected", words::exact_percent(at)),
        Some(("credits_left", at)) => format!("{} left", words::credits(at)),
        Some(("days_left", at)) => format!("{} days left", words::number(at)),
        _ => threshold.to_owned(),
    }
}

/// The anchor of an alert on the page of alerts.
fn alert_anchor(rule: &str, subject: &str) -> String {
    let segment = |text| utf8_percent_encode(text, SEGMENT);
    format!("alert-{}-{}", segment(rule), segment(subject))
}

/// An alert on the page of alerts, seen from the first one.
fn alert_link(rule: &str, subject: &str) -> String {
    format!("alerts#{}", alert_anchor(rule, subject))
}

/// Link to the cause of an alert, seen from the first page.
fn link_of(notice: &Notice) -> Option<(String, &'static str)> {
    if notice.kind == "budget" {
        return Some((format!("#{}", budgets::anchor(&notice.rule)), "Budget"));
    }
    if notice.kind == "balance" {
        return Some(("#totals".to_owned(), "Balance"));
    }
    let account = notice.labels.get("account")?;
    let agent = notice.labels.get("agent");
    let agent = agent.map(|agent| (agent_path(account, agent), "Agent"));
    Some(agent.unwrap_or_else(|| (account_link(account), "Account")))
}

impl AlertView {
    fn of(alert: &Alert, is_told: bool, now: DateTime<Utc>) -> Self {
        // What is there was written by this program; should it be of a later one, the key says enough.
        let notice = serde_json::from_str::<Notice>(&alert.notice).ok();
        let key = &alert.key;
        let title = notice.as_ref().map_or_else(
            || format!("{}: {}", key.rule, key.subject),
            |notice| notice.title.clone(),
        );
        let text = notice.as_ref().map_or("", |notice| notice.text.as_str());
        let lines = text.lines().map(str::to_owned).collect();
        let since = match alert.state {
            AlertState::Firing => alert.fired_at.unwrap_or(alert.since),
            AlertState::Pending | AlertState::Resolved => alert.since,
        };
        Self {
            state: alert.state.as_str(),
            anchor: alert_anchor(&key.rule, &key.subject),
            silenced_until: None,
            firing_at: None,
            link: notice.as_ref().and_then(link_of),
            severity: notice.map_or("warning", |notice| notice.severity.as_str()),
            title,
            lines,
            is_told,
            rule: key.rule.to_string(),
            threshold: in_words(&key.threshold),
            subject: key.subject.to_string(),
            since: Moment::of(since, now),
        }
    }

    /// The same, with the silence that it is under.
    fn silenced(mut self, silences: &[Silence]) -> Self {
        let silence = Silence::of(silences, &self.rule, &self.subject);
        self.silenced_until = silence.map(|silence| silence.until);
        self
    }
}

#[cfg(test)]
mod tests;
