//! Alerts: what fires, what is over, and what was told of it. Hooks are shown by their names, neither by
//! where they lead nor by whom they reach.

use std::collections::BTreeSet;

use askama::Template;
use chrono::{DateTime, Utc};
use hyper::StatusCode;

use super::figure::{counted, shortened};
use super::refresh;
use super::time::Moment;
use super::{AlertView, Frame, Page, State, agent_link};
use crate::day::Day;
use crate::ledger::{
    Alert, AlertState, Backlog, DeliveryRecord, DeliveryState, DisabledHook, LedgerError, Member,
    Silence, View,
};

/// The most alerts of each state, and the most deliveries that are listed.
const LISTED: usize = 100;

/// The most letters of an answer.
const ANSWER: usize = 160;

#[derive(Debug, Template)]
#[template(path = "alerts.html")]
struct AlertsPage {
    frame: Frame,
    /// Or why it is not known.
    known: Result<Known, String>,
}

#[derive(Debug)]
struct Known {
    /// Number of firing alerts and of rules, in a sentence; none until the rules were evaluated.
    watched: Option<String>,
    evaluated: Option<Moment>,
    groups: Vec<Group>,
    backlogs: Vec<BacklogRow>,
    disabled: Vec<(String, Moment, String)>,
    silences: Vec<(Silence, Moment)>,
    deliveries: Vec<DeliveryRow>,
}

/// The alerts of one state.
#[derive(Debug)]
struct Group {
    id: &'static str,
    title: &'static str,
    empty: &'static str,
    alerts: Vec<AlertView>,
    /// The number of alerts that are left out, in a sentence; empty if there are none.
    more: String,
}

#[derive(Debug)]
struct BacklogRow {
    hook: String,
    pending: String,
    oldest: Moment,
}

#[derive(Debug)]
struct DeliveryRow {
    created: Moment,
    hook: String,
    rules: String,
    state: &'static str,
    class: &'static str,
    attempts: u32,
    /// Time at which it is due or ended, and which of the two.
    at: Moment,
    at_word: &'static str,
    result: String,
}

/// Contents of the page that only the ledger knows.
struct FromLedger {
    alerts: [(Vec<Alert>, usize); 3],
    backlogs: Vec<Backlog>,
    disabled: Vec<DisabledHook>,
    silences: Vec<Silence>,
    deliveries: Vec<DeliveryRecord>,
}

/// The page of the alerts, at `path`.
pub(super) async fn alerts(state: &State, path: &str, query: &str) -> Page {
    let refresh = refresh::unless_asked(query, refresh::LATER);
    let known = match state.board.ledger() {
        None => Err("The ledger is loading. Reload in a moment.".to_owned()),
        Some(ledger) => match read(&ledger, state.clock.today()).await {
            Ok(read) => Ok(Known::of(state, read)),
            Err(error) => Err(format!(
                "The ledger cannot be read: {error}. `doctor` checks the ledger and its disk."
            )),
        },
    };
    let mut frame = Frame::new(state, path, "alerts", "Alerts");
    frame.refresh = refresh;
    let page = AlertsPage { frame, known };
    Page::of(StatusCode::OK, &page).refreshing(refresh)
}

async fn read(ledger: &View, today: Day) -> Result<FromLedger, LedgerError> {
    let counts = ledger.alert_counts().await?;
    let of_state = async |state: AlertState| {
        let alerts = ledger.newest_alerts(state, LISTED).await?;
        let count = counts.iter().find(|(counted, _)| *counted == state);
        let more = count.map_or(0, |(_, number)| number.saturating_sub(alerts.len()));
        Ok((alerts, more))
    };
    Ok(FromLedger {
        alerts: [
            of_state(AlertState::Firing).await?,
            of_state(AlertState::Pending).await?,
            of_state(AlertState::Resolved).await?,
        ],
        backlogs: ledger.backlogs().await?,
        disabled: ledger.disabled_hooks().await?,
        silences: ledger.silences(today).await?,
        deliveries: ledger.deliveries(true, LISTED).await?,
    })
}

impl Known {
    fn of(state: &State, read: FromLedger) -> Self {
        let now = state.clock.now();
        let alerting = state.board.alerting();
        let watched = alerting.as_ref().map(|alerting| {
            let rules: BTreeSet<&str> = alerting.alerts.iter().map(|alert| &*alert.rule).collect();
            let firing = alerting.alerts.iter().filter(|alert| alert.firing).count();
            format!(
                "{} firing. Rules, budgets and balances in the config: {}.",
                counted(firing, "alert is", "alerts are"),
                rules.len(),
            )
        });
        let [firing, pending, resolved] = read.alerts;
        let silences = read.silences;
        let group = |id, title, empty, (alerts, more): (Vec<Alert>, usize)| {
            let views = match id {
                // A card per budget, which names the lower thresholds.
                "firing" => super::cards(&alerts, now),
                "pending" => alerts.iter().map(|alert| waiting(state, alert)).collect(),
                _ => alerts
                    .iter()
                    .map(|alert| AlertView::of(alert, false, now))
                    .collect(),
            };
            let views = views.into_iter().map(|view| view.silenced(&silences));
            Group {
                id,
                title,
                empty,
                alerts: views.collect(),
                more: match more {
                    0 => String::new(),
                    _ => format!("And {}.", counted(more, "older alert", "older alerts")),
                },
            }
        };
        let mut groups = vec![group("firing", "Firing", "No alert is firing.", firing)];
        if !pending.0.is_empty() {
            groups.push(group("pending", "About to fire", "", pending));
        }
        groups.push(group("over", "Resolved", "No resolved alerts.", resolved));
        let backlogs = read.backlogs.iter().map(|backlog| {
            let pending = usize::try_from(backlog.pending).unwrap_or(usize::MAX);
            BacklogRow {
                hook: backlog.hook.to_string(),
                pending: format!("{} waiting", counted(pending, "message", "messages")),
                oldest: Moment::of(backlog.oldest, now),
            }
        });
        let since = |silence: Silence| {
            let since = Moment::of(silence.since, now);
            (silence, since)
        };
        let disabled = read.disabled.into_iter();
        Self {
            watched,
            evaluated: alerting.map(|alerting| Moment::of(alerting.evaluated_at, now)),
            groups,
            backlogs: backlogs.collect(),
            disabled: disabled
                .map(|hook| (hook.hook.to_string(), Moment::of(hook.at, now), hook.reason))
                .collect(),
            silences: silences.into_iter().map(since).collect(),
            deliveries: read
                .deliveries
                .iter()
                .map(|record| DeliveryRow::of(record, now))
                .collect(),
        }
    }
}

/// An alert that pends, of which no message says anything yet.
fn waiting(state: &State, alert: &Alert) -> AlertView {
    let now = state.clock.now();
    let members = state.board.members();
    let is_about = |member: &&Member| Some(member.number) == alert.agent;
    let agent = members.iter().find(is_about);
    let alerting = state.board.alerting();
    let firing_at = alerting.and_then(|alerting| alerting.firing_at.get(&alert.key).copied());
    AlertView {
        link: agent.map(|member| (agent_link(&member.agent), "Agent")),
        firing_at: firing_at.map(|at| Moment::of(at, now)),
        ..AlertView::of(alert, true, now)
    }
}

impl DeliveryRow {
    fn of(record: &DeliveryRecord, now: DateTime<Utc>) -> Self {
        let (class, at_word) = match record.state {
            DeliveryState::Pending => ("warn", "due"),
            DeliveryState::Delivered => ("good", "ended"),
            DeliveryState::GivenUp => ("bad", "ended"),
        };
        Self {
            created: Moment::of(record.delivery.created, now),
            hook: record.delivery.hook.to_string(),
            rules: record.delivery.about(),
            state: match record.state {
                DeliveryState::Pending => "waiting",
                DeliveryState::Delivered => "delivered",
                DeliveryState::GivenUp => "given up",
            },
            class,
            attempts: record.attempts,
            at: Moment::of(record.at, now),
            at_word,
            result: shortened(record.result.as_deref().unwrap_or_default(), ANSWER),
        }
    }
}
