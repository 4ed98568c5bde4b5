//! `alerts list`: the alerts and deliveries that the ledger remembers.

use std::cmp::Reverse;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::super::{Common, Failure, fitted, load, print, table, view};
use super::Format;
use super::silence::named;
use crate::alert::Notice;
use crate::clock::{Clock, SystemClock};
use crate::ledger::{
    Alert, AlertKey, AlertState, DeliveryRecord, DeliveryState, DisabledHook, Silence,
};

/// The most deliveries that are shown.
const DELIVERIES: usize = 1000;

pub(super) async fn list(common: &Common, format: Format, all: bool) -> Result<(), Failure> {
    let config = load(common)?;
    let view = view::open(&config).await?;
    let mut alerts = view.alert_memory().await?.alerts;
    alerts.retain(|alert| all || alert.state != AlertState::Resolved);
    alerts.sort_by_key(|alert| Reverse(notice(alert).map(|notice| notice.severity)));
    let deliveries = view.deliveries(all, DELIVERIES).await?;
    let disabled = view.disabled_hooks().await?;
    let silences = view.silences(SystemClock.today()).await?;
    match format {
        Format::Json => {
            let alerts: Vec<Value> = alerts
                .iter()
                .map(|alert| alert_json(alert, &silences))
                .collect();
            let deliveries: Vec<Value> = deliveries.iter().map(delivery_json).collect();
            let disabled: Vec<Value> = disabled.iter().map(disabled_json).collect();
            let silences: Vec<Value> = silences.iter().map(silence_json).collect();
            let all = json!({
                "alerts": alerts, "silences": silences, "deliveries": deliveries,
                "disabled_hooks": disabled,
            });
            print(format_args!("{all:#}\n"))
        }
        Format::Table => {
            print(alerts_table(&alerts, &silences))?;
            for silence in &silences {
                let name = named(&silence.rule, silence.subject.as_deref());
                let (until, reason) = (silence.until, &silence.reason);
                print(format_args!(
                    "\n{name} is silenced until {until}: {reason}\n"
                ))?;
            }
            print(deliveries_table(&deliveries))?;
            for DisabledHook { hook, at, reason } in &disabled {
                let at = time(*at);
                print(format_args!(
                    "\nhook {hook} is disabled since {at}: {reason}\n"
                ))?;
            }
            Ok(())
        }
    }
}

fn alerts_table(alerts: &[Alert], silences: &[Silence]) -> String {
    if alerts.is_empty() {
        return "no alert is firing\n".to_owned();
    }
    let header = [
        "rule",
        "subject",
        "period",
        "threshold",
        "state",
        "since (UTC)",
        "hooks",
        "title",
    ];
    let mut table = table(header, &[]);
    for alert in alerts {
        let AlertKey {
            rule,
            subject,
            period,
            threshold,
        } = &alert.key;
        let period = period.map_or("-".to_owned(), |day| day.to_string());
        let threshold = if threshold.is_empty() { "-" } else { threshold };
        let hooks = match alert.told_hooks() {
            hooks if hooks.is_empty() => "-".to_owned(),
            hooks => Vec::from_iter(hooks.iter().map(String::as_str)).join(", "),
        };
        let (mut state, since) = (alert.state.as_str().to_owned(), time(alert.since));
        if Silence::of(silences, rule, subject).is_some() {
            state += ", silenced";
        }
        let title = notice(alert).map_or_else(|| "-".to_owned(), |notice| notice.title);
        table.add_row([
            rule, subject, &*period, threshold, &state, &since, &hooks, &title,
        ]);
    }
    fitted(&table)
}

/// Last title of an alert; none of one that is pending.
fn notice(alert: &Alert) -> Option<Notice> {
    serde_json::from_str(&alert.notice).ok()
}

fn deliveries_table(deliveries: &[DeliveryRecord]) -> String {
    if deliveries.is_empty() {
        return "\nno pending deliveries\n".to_owned();
    }
    let header = [
        "delivery",
        "hook",
        "rules",
        "state",
        "tries",
        "due or ended (UTC)",
        "last result",
    ];
    let mut table = table(header, &[4]);
    for record in deliveries {
        let delivery = &record.delivery;
        table.add_row([
            &*delivery.id,
            &*hook(record),
            &record.delivery.about(),
            record.state.as_str(),
            &record.attempts.to_string(),
            &time(record.at),
            record.result.as_deref().unwrap_or("-"),
        ]);
    }
    format!("\n{}", fitted(&table))
}

/// The hook, and which of its receivers.
fn hook(record: &DeliveryRecord) -> String {
    let delivery = &record.delivery;
    match delivery.target.as_str() {
        "" => delivery.hook.to_string(),
        target => format!("{}, {target}", delivery.hook),
    }
}

fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn alert_json(alert: &Alert, silences: &[Silence]) -> Value {
    let Alert {
        key,
        state,
        since,
        fired_at,
        ..
    } = alert;
    let mut json = json!(key);
    json["state"] = state.as_str().into();
    json["since"] = instant(*since).into();
    json["fired_at"] = fired_at.map(instant).into();
    json["hooks"] = json!(alert.told_hooks());
    let silence = Silence::of(silences, &key.rule, &key.subject);
    json["silenced_until"] = silence.map(|silence| silence.until.to_string()).into();
    json["notice"] = notice(alert).map_or(Value::Null, |notice| json!(notice));
    json
}

/// A silence as JSON.
fn silence_json(silence: &Silence) -> Value {
    let mut json = json!(silence);
    json["since"] = instant(silence.since).into();
    json
}

fn delivery_json(record: &DeliveryRecord) -> Value {
    let DeliveryRecord {
        delivery,
        state,
        attempts,
        at,
        result,
    } = record;
    json!({
        "id": &*delivery.id,
        "hook": &*delivery.hook,
        "target": delivery.target,
        "state": state.as_str(),
        "attempts": attempts,
        "created": instant(delivery.created),
        "due": (*state == DeliveryState::Pending).then(|| instant(*at)),
        "ended": (*state != DeliveryState::Pending).then(|| instant(*at)),
        "result": result,
        "alerts": delivery.alerts,
        "summary": delivery.summary(),
    })
}

fn disabled_json(disabled: &DisabledHook) -> Value {
    let DisabledHook { hook, at, reason } = disabled;
    json!({ "hook": &**hook, "at": instant(*at), "reason": reason })
}
