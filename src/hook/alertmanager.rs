//! Alertmanagers, by their API v2.
//!
//! They keep an alert only until its `endsAt`, so what fires is posted again and again with one that lies
//! a few minutes ahead: if this program dies, what it said ends soon after. What is over is posted again
//! for a while, for one that was not there when it ended. Each Alertmanager is sent everything, since
//! they do not pass alerts on to each other.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use parking_lot::Mutex;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Serialize;
use tokio::time::timeout;
use url::Url;

use super::text::{Card, line};
use super::{Message, Settings};
use crate::alert::{Notice, Status};
use crate::egress::SendError;
use crate::egress::place::Place;
use crate::egress::post::{Poster, Refusal};
use crate::ledger::{Alert, AlertState};
use crate::secret::SecretSource;
use crate::text::visible;

/// Time for which a firing alert stays so in an Alertmanager that gets no more messages.
const LASTS: TimeDelta = TimeDelta::minutes(4);
/// Time for which a resolved alert is sent again.
const RESOLVED_FOR: TimeDelta = TimeDelta::minutes(15);
/// The most alerts in one request.
const BATCH: usize = 256;

/// Alertmanagers that are all told the same. Passwords are read at each try, so that they can be
/// exchanged.
#[derive(Debug)]
pub(super) struct Alertmanager {
    settings: Settings,
    them: Alertmanagers,
    memory: Mutex<Memory>,
}

/// Addresses of Alertmanagers, and the login to all of them.
#[derive(Debug, Clone, Default)]
pub struct Alertmanagers {
    /// Their base URLs.
    pub urls: Vec<Url>,
    /// User and password.
    pub basic_auth: Option<(String, SecretSource)>,
    /// A token instead.
    pub bearer_token: Option<SecretSource>,
}

/// Memory from one sending to the next.
#[derive(Debug, Default)]
struct Memory {
    /// Firing alerts by their labels: the key of the alert.
    firing: HashMap<Labels, String>,
    /// Keys of alerts that some Alertmanager refuses, which the log knows of.
    refused: HashSet<String>,
    /// The Alertmanagers that took nothing the last time, which the log knows of.
    failing: HashSet<String>,
}

type Labels = BTreeMap<String, String>;

/// An alert as it is posted.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Posted {
    labels: Labels,
    annotations: BTreeMap<&'static str, String>,
    starts_at: DateTime<Utc>,
    ends_at: DateTime<Utc>,
    #[serde(rename = "generatorURL", skip_serializing_if = "Option::is_none")]
    generator_url: Option<String>,
    #[serde(skip)]
    key: String,
    #[serde(skip)]
    is_firing: bool,
}

/// An alert that an Alertmanager does not take, and what it says.
#[derive(Debug)]
struct Refused {
    key: String,
    error: SendError,
}

impl Alertmanager {
    /// Those of the hook of `settings`. Nothing is read or connected to yet.
    pub(super) fn new(settings: &Settings, them: &Alertmanagers) -> Self {
        Self {
            settings: settings.clone(),
            them: them.clone(),
            memory: Mutex::default(),
        }
    }

    /// Sends `message` once to each; returns what each answered, such as `http://host:9093: 200 OK`.
    ///
    /// # Errors
    /// None took it.
    pub(super) async fn send(&self, message: &Message) -> Result<String, SendError> {
        let notification = &message.notification;
        let posted = notification.alerts.iter().map(|notice| {
            let resolved = match notice.status {
                Status::Firing => None,
                Status::Resolved => Some(notice.resolved_at.unwrap_or(message.now)),
            };
            let mut posted = Posted::of(notice, resolved, message.now);
            if notification.test {
                posted.labels.insert("test".to_owned(), "true".to_owned());
            }
            posted
        });
        let alerts = self.remember(settled(posted));
        if alerts.is_empty() {
            return Ok("nothing to send: the same labels fire for another period".to_owned());
        }
        self.post_to_all(&alerts, message.now).await
    }

    /// Sends once more what fires, and what has been over for a short while: those of `alerts` that
    /// this hook was told of. Says how many that were. To be called every minute, and before anything
    /// else at a start.
    ///
    /// # Errors
    /// No Alertmanager took them.
    pub(super) async fn resend(
        &self,
        alerts: &[Alert],
        now: DateTime<Utc>,
    ) -> Result<usize, SendError> {
        let told = alerts
            .iter()
            .filter(|alert| alert.told_hooks().contains(&*self.settings.name));
        let alerts = settled(told.filter_map(|alert| self.again(alert, now)));
        self.remember_only(&alerts);
        if !alerts.is_empty() {
            self.post_to_all(&alerts, now).await?;
        }
        Ok(alerts.len())
    }

    /// A remembered alert as it is to be told again, if it is.
    fn again(&self, alert: &Alert, now: DateTime<Utc>) -> Option<Posted> {
        let is_told = match alert.state {
            AlertState::Pending => false,
            AlertState::Firing => true,
            // What is over since a time to come is so by a clock that ran ahead.
            AlertState::Resolved => {
                let over_for = now - alert.since;
                self.settings.send_resolved
                    && (TimeDelta::zero()..=RESOLVED_FOR).contains(&over_for)
            }
        };
        if !is_told {
            return None;
        }
        let notice: Notice = serde_json::from_str(&alert.notice)
            .inspect_err(|error| {
                let rule = &*alert.key.rule;
                tracing::error!(rule, %error, "cannot read the stored notice of an alert");
            })
            .ok()?;
        let resolved = match alert.state {
            AlertState::Resolved => Some(notice.resolved_at.unwrap_or(alert.since)),
            AlertState::Pending | AlertState::Firing => None,
        };
        Some(Posted::of(&notice, resolved, now))
    }

    /// Leaves out what is over but fires for another period, and remembers what fires.
    fn remember(&self, alerts: Vec<Posted>) -> Vec<Posted> {
        let firing = &mut self.memory.lock().firing;
        alerts
            .into_iter()
            .filter(|alert| {
                if alert.is_firing {
                    firing.insert(alert.labels.clone(), alert.key.clone());
                    return true;
                }
                let is_other = firing
                    .get(&alert.labels)
                    .is_some_and(|key| *key != alert.key);
                if !is_other {
                    firing.remove(&alert.labels);
                }
                !is_other
            })
            .collect()
    }

    /// Remembers of what fires, and of what is refused, only what is among `alerts`.
    fn remember_only(&self, alerts: &[Posted]) {
        let mut memory = self.memory.lock();
        memory.firing = alerts
            .iter()
            .filter(|alert| alert.is_firing)
            .map(|alert| (alert.labels.clone(), alert.key.clone()))
            .collect();
        let keys: HashSet<&str> = alerts.iter().map(|alert| &*alert.key).collect();
        memory.refused.retain(|key| keys.contains(&**key));
    }

    /// Posts `alerts` to all at once, so that one that hangs holds up no other.
    async fn post_to_all(
        &self,
        alerts: &[Posted],
        now: DateTime<Utc>,
    ) -> Result<String, SendError> {
        let poster = self.settings.poster().await?;
        // What the others have taken must not be lost to one that uses up all the time of a try.
        let limit = self.settings.timeout.mul_f64(0.75);
        let results = join_all(self.them.urls.iter().map(|url| async {
            let place = self.place(url).await?;
            let origin = place.name();
            match timeout(limit, post_all(&poster, &place, alerts, now)).await {
                Ok(result) => self.judge(origin, alerts.len(), result),
                Err(_) => Err(SendError::new(format!(
                    "{origin}: no answer within {limit:?}"
                ))),
            }
        }))
        .await;
        for (url, result) in self.them.urls.iter().zip(&results) {
            self.log_change(url, result.as_ref().err());
        }
        sum_up(results)
    }

    async fn place(&self, url: &Url) -> Result<Place, SendError> {
        let api = |path: &str| format!("{}/api/v2/alerts", path.trim_end_matches('/'));
        let mut place = Place::new(url.clone()).with_path(api);
        if let Some((user, password)) = &self.them.basic_auth {
            place.log_in(user, password).await?;
        }
        if let Some(token) = &self.them.bearer_token {
            place.bear(token).await?;
        }
        Ok(place)
    }

    /// Result of one Alertmanager: it took all, or those that are sound, or nothing.
    fn judge(
        &self,
        origin: &str,
        sent: usize,
        result: Result<Vec<Refused>, SendError>,
    ) -> Result<String, SendError> {
        let refused = result?;
        for Refused { key, error } in &refused {
            if self.memory.lock().refused.insert(key.clone()) {
                let hook = &*self.settings.name;
                tracing::error!(hook, alert = key, %error, "Alertmanager refused an alert");
            }
        }
        let count = refused.len();
        match refused.into_iter().next() {
            None => Ok(format!("{origin}: 200 OK")),
            Some(first) if count == sent => Err(first.error),
            Some(first) => Ok(format!(
                "{origin}: took {} of {sent} alerts: {}",
                sent - count,
                first.error
            )),
        }
    }

    fn log_change(&self, url: &Url, error: Option<&SendError>) {
        let hook = &*self.settings.name;
        let place = url.origin().ascii_serialization();
        let failing = &mut self.memory.lock().failing;
        match error {
            Some(error) => {
                if failing.insert(place) {
                    tracing::warn!(hook, %error, "Alertmanager accepts no alerts");
                }
            }
            None => {
                if failing.remove(&place) {
                    tracing::info!(hook, place, "Alertmanager accepts alerts again");
                }
            }
        }
    }
}

impl Posted {
    /// The alert that `notice` tells of, over since `resolved` if it is.
    fn of(notice: &Notice, resolved: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Self {
        let own = [
            ("alertname", &*notice.rule),
            ("severity", notice.severity.as_str()),
        ];
        let mut labels = Labels::new();
        let given = notice
            .labels
            .iter()
            .map(|(name, value)| (&**name, &**value));
        for (name, value) in own.into_iter().chain(given) {
            // Alertmanager takes a label without value for none.
            if !value.is_empty() {
                labels
                    .entry(label_name(name))
                    .or_insert_with(|| value.to_owned());
            }
        }
        // By a clock that ran ahead it may be over, or fire, since a time to come. Alertmanager takes for
        // firing what ends later than now.
        let ends_at = resolved.map_or(now + LASTS, |resolved| resolved.min(now));
        Self {
            labels,
            annotations: BTreeMap::from([
                ("summary", line(&notice.title)),
                ("description", visible(&notice.text).into_owned()),
            ]),
            // One that ends before it starts is refused.
            starts_at: notice.started_at.min(ends_at).min(now),
            ends_at,
            generator_url: Card::of(notice).link().map(String::from),
            key: notice.key.clone(),
            is_firing: resolved.is_none(),
        }
    }
}

/// A name in the letters that Alertmanager takes.
fn label_name(name: &str) -> String {
    let valid = |letter: char| match letter {
        letter if letter.is_ascii_alphanumeric() => letter,
        _ => '_',
    };
    let name: String = name.chars().map(valid).collect();
    if name.is_empty() || name.starts_with(|letter: char| letter.is_ascii_digit()) {
        return format!("_{name}");
    }
    name
}

/// One alert for each set of labels, since Alertmanager knows alerts by nothing else: budgets of two
/// periods may have the same. One that fires wins over one that is over, then the one that started last.
fn settled(alerts: impl IntoIterator<Item = Posted>) -> Vec<Posted> {
    let mut kept: BTreeMap<Labels, Posted> = BTreeMap::new();
    for alert in alerts {
        let rank = |alert: &Posted| (alert.is_firing, alert.starts_at);
        match kept.get(&alert.labels) {
            Some(other) if rank(other) >= rank(&alert) => {}
            _ => drop(kept.insert(alert.labels.clone(), alert)),
        }
    }
    kept.into_values().collect()
}

/// Posts `alerts` in batches to one Alertmanager. A batch that it calls malformed is halved until the
/// alerts are found that it does not take.
async fn post_all(
    poster: &Poster,
    place: &Place,
    alerts: &[Posted],
    now: DateTime<Utc>,
) -> Result<Vec<Refused>, SendError> {
    let mut open: Vec<&[Posted]> = alerts.chunks(BATCH).rev().collect();
    let mut refused = Vec::new();
    while let Some(batch) = open.pop() {
        let json = HeaderValue::from_static("application/json");
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, json)]);
        let body = serde_json::to_vec(batch).expect("all its maps have texts as their keys");
        match (poster.post(place, headers, body, now).await, batch) {
            (Ok(_), _) => {}
            (Err(Refusal { status, error, .. }), _) if !is_malformed(status) => return Err(error),
            (Err(Refusal { error, .. }), [alone]) => refused.push(Refused {
                key: alone.key.clone(),
                error,
            }),
            (Err(_), _) => {
                let (first, second) = batch.split_at(batch.len() / 2);
                open.extend([second, first]);
            }
        }
    }
    Ok(refused)
}

/// Returns true if an answer says that the alerts are at fault: 422 is what Alertmanager's framework says of a
/// value in a wrong form.
fn is_malformed(status: Option<StatusCode>) -> bool {
    matches!(
        status,
        Some(StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY)
    )
}

/// All results as one: it is enough that one Alertmanager took the alerts.
fn sum_up(results: Vec<Result<String, SendError>>) -> Result<String, SendError> {
    let taken = results.iter().any(Result::is_ok);
    let retry_after = results
        .iter()
        .filter_map(|result| result.as_ref().err()?.retry_after)
        .min();
    let unready = results
        .iter()
        .all(|result| result.as_ref().is_err_and(|error| error.unready));
    let texts: Vec<String> = results
        .into_iter()
        .map(|result| result.unwrap_or_else(|error| error.text))
        .collect();
    let text = texts.join("; ");
    if taken {
        return Ok(text);
    }
    Err(SendError {
        retry_after,
        unready,
        ..SendError::new(text)
    })
}
