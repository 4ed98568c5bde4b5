//! Alerts, and what was sent of them.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::super::problem::Problem;
use super::super::request::Asked;
use super::super::response::{self, Reply};
use super::super::state::State;
use super::page::Page;
use super::{ledger, to_milliseconds, unreadable};
use crate::alert::{Notice, Severity};
use crate::day::Day;
use crate::ledger::{Alert, AlertKey, DeliveryRecord, DeliveryState};

/// How many of the newest deliveries are told of.
const DELIVERIES: usize = 100;

/// A page of alerts as it is served, with the newest deliveries.
#[derive(Debug, Serialize)]
struct AlertsBody<'a> {
    total: usize,
    offset: usize,
    limit: usize,
    alerts: Vec<AlertBody<'a>>,
    deliveries: Vec<DeliveryBody<'a>>,
}

#[derive(Debug, Serialize)]
struct AlertBody<'a> {
    #[serde(flatten)]
    key: KeyBody<'a>,
    state: &'static str,
    since: DateTime<Utc>,
    severity: Option<Severity>,
    title: Option<String>,
    text: Option<String>,
    hooks: &'a BTreeSet<String>,
}

/// Which alert.
#[derive(Debug, Serialize)]
struct KeyBody<'a> {
    rule: &'a str,
    subject: &'a str,
    period: Option<Day>,
    threshold: Option<&'a str>,
}

/// What was sent, to which hook and with which result. To whom the hook sends it, and its address, are
/// nobody's business.
#[derive(Debug, Serialize)]
struct DeliveryBody<'a> {
    id: &'a str,
    hook: &'a str,
    state: &'static str,
    attempts: u32,
    created_at: DateTime<Utc>,
    due_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    result: Option<&'a str>,
    alerts: Vec<KeyBody<'a>>,
}

/// `/api/v1/alerts`: what fires or is about to, page by page, and what was last sent.
pub(super) async fn alerts(state: &State, asked: &Asked<'_>) -> Result<Reply, Problem> {
    let query = asked.query(&["limit", "offset"])?;
    let page = Page::of(&query)?;
    let view = ledger(state)?;
    let alerts = view.active_alerts(page.offset, page.limit).await;
    let (alerts, total) = alerts.map_err(|error| unreadable(&error))?;
    let deliveries = view.deliveries(true, DELIVERIES).await;
    let deliveries = deliveries.map_err(|error| unreadable(&error))?;
    let mut reply = response::json(&AlertsBody {
        total,
        offset: page.offset,
        limit: page.limit,
        alerts: alerts.iter().map(AlertBody::new).collect(),
        deliveries: deliveries.iter().map(DeliveryBody::new).collect(),
    });
    page.link(&mut reply, asked, &query, alerts.len(), total);
    Ok(reply)
}

impl<'a> AlertBody<'a> {
    fn new(alert: &'a Alert) -> Self {
        let Alert {
            key,
            state,
            since,
            notice,
            ..
        } = alert;
        // None was told of what is about to fire.
        let notice = serde_json::from_str::<Notice>(notice).ok();
        let (severity, words) = notice.map_or((None, None), |notice| {
            (Some(notice.severity), Some((notice.title, notice.text)))
        });
        let (title, text) = words.unzip();
        Self {
            key: KeyBody::new(key),
            state: state.as_str(),
            since: to_milliseconds(*since),
            severity,
            title,
            text,
            hooks: alert.told_hooks(),
        }
    }
}

impl<'a> KeyBody<'a> {
    fn new(key: &'a AlertKey) -> Self {
        let AlertKey {
            rule,
            subject,
            period,
            threshold,
        } = key;
        Self {
            rule,
            subject,
            period: *period,
            threshold: Some(&**threshold).filter(|threshold| !threshold.is_empty()),
        }
    }
}

impl<'a> DeliveryBody<'a> {
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
            alerts: delivery.alerts.iter().map(KeyBody::new).collect(),
        }
    }
}
