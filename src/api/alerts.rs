//! Alerts, and what was sent of them.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use super::page::{Extent, MAX_LIMIT, Page};
use super::{ledger, to_milliseconds, unreadable};
use crate::alert::{Notice, Severity};
use crate::day::Day;
use crate::http::problem::Problem;
use crate::http::request::{Asked, Query};
use crate::http::response::{self, Reply};
use crate::http::state::State;
use crate::ledger::{self, AlertKey, AlertState, DeliveryRecord, DeliveryState, Silence};

/// The most silences that are served.
const SILENCES: usize = 1000;
/// Number of the newest deliveries that are served.
const DELIVERIES: usize = 100;

/// A page of alerts, and the newest deliveries.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Alerts<'a> {
    #[serde(flatten)]
    extent: Extent,
    /// Alerts that are firing or pending, by rule and subject.
    #[schemars(length(max = MAX_LIMIT))]
    alerts: Vec<Alert<'a>>,
    /// Rules and subjects of which hooks get no messages for a while, by rule and subject, the same on every page.
    #[schemars(length(max = SILENCES))]
    silences: &'a [Silence],
    /// The latest messages in the outbox, newest first, the same on every page.
    #[schemars(length(max = DELIVERIES))]
    deliveries: Vec<Delivery<'a>>,
}

/// An alert.
#[derive(Debug, Serialize, JsonSchema)]
struct Alert<'a> {
    #[serde(flatten)]
    key: &'a AlertKey,
    /// `firing`, or `pending` if the condition holds but not for long enough yet.
    #[schemars(extend("enum" = [AlertState::Pending.as_str(), AlertState::Firing.as_str()]))]
    state: &'static str,
    /// Time at which it entered that state.
    since: DateTime<Utc>,
    /// Its severity; null if that is not known.
    severity: Option<Severity>,
    /// Title of the alert, in one line; null if that is not known.
    title: Option<String>,
    /// Full text of the alert; null if that is not known.
    text: Option<String>,
    /// Hooks that got a message.
    hooks: &'a BTreeSet<String>,
    /// The first UTC day on which hooks get messages again; null if it is not silenced.
    silenced_until: Option<Day>,
}

/// A message to a hook, sent or waiting, without its receivers and address.
#[derive(Debug, Serialize, JsonSchema)]
struct Delivery<'a> {
    /// Its identifier, the same at every attempt.
    id: &'a str,
    /// The hook's name.
    hook: &'a str,
    /// Its state.
    #[schemars(with = "DeliveryState")]
    state: &'static str,
    /// Number of attempts.
    attempts: u32,
    /// Time at which it was put into the outbox.
    created_at: DateTime<Utc>,
    /// Time of the next attempt; null if it has ended.
    due_at: Option<DateTime<Utc>>,
    /// Time at which it ended; null if it is pending.
    ended_at: Option<DateTime<Utc>>,
    /// Result of the last attempt: an answer or an error; null if there was none.
    result: Option<&'a str>,
    /// Alerts in the message; none in a summary.
    alerts: &'a [AlertKey],
    /// Name of the summary; null in a message about alerts.
    summary: Option<String>,
}

/// `/api/v1/alerts`: firing and pending alerts, in pages, and the latest messages.
pub(super) async fn alerts(
    state: &State,
    asked: &Asked<'_>,
    query: &Query,
) -> Result<Reply, Problem> {
    let page = Page::of(query)?;
    let view = ledger(state)?;
    let alerts = view.active_alerts(page.offset, page.limit).await;
    let (alerts, total) = alerts.map_err(|error| unreadable(&error))?;
    let deliveries = view.deliveries(true, DELIVERIES).await;
    let deliveries = deliveries.map_err(|error| unreadable(&error))?;
    let silences = view.silences(state.clock.today()).await;
    let silences = silences.map_err(|error| unreadable(&error))?;
    let mut reply = response::json(&Alerts {
        extent: page.extent(total),
        alerts: alerts
            .iter()
            .map(|alert| Alert::new(alert, &silences))
            .collect(),
        silences: &silences[..silences.len().min(SILENCES)],
        deliveries: deliveries.iter().map(Delivery::new).collect(),
    });
    page.link(&mut reply, asked, query, alerts.len(), total);
    Ok(reply)
}

impl<'a> Alert<'a> {
    fn new(alert: &'a ledger::Alert, silences: &[Silence]) -> Self {
        let ledger::Alert {
            key,
            state,
            since,
            notice,
            ..
        } = alert;
        // No hook has got a message about a pending alert.
        let notice = serde_json::from_str::<Notice>(notice).ok();
        let (severity, words) = notice.map_or((None, None), |notice| {
            (Some(notice.severity), Some((notice.title, notice.text)))
        });
        let (title, text) = words.unzip();
        Self {
            key,
            state: state.as_str(),
            since: to_milliseconds(*since),
            severity,
            title,
            text,
            hooks: alert.told_hooks(),
            silenced_until: Silence::of(silences, &key.rule, &key.subject)
                .map(|silence| silence.until),
        }
    }
}

impl<'a> Delivery<'a> {
    fn new(record: &'a DeliveryRecord) -> Self {
        let DeliveryRecord {
            delivery,
            state,
            attempts,
            at,
            result,
        } = record;
        let at = to_milliseconds(*at);
        let is_pending = *state == DeliveryState::Pending;
        Self {
            id: &delivery.id,
            hook: &delivery.hook,
            state: state.as_str(),
            attempts: *attempts,
            created_at: to_milliseconds(delivery.created),
            due_at: is_pending.then_some(at),
            ended_at: (!is_pending).then_some(at),
            result: result.as_deref(),
            alerts: &delivery.alerts,
            summary: delivery.summary(),
        }
    }
}
