//! Tries hooks and templates out, without anything being kept of it.

use chrono::{DateTime, Utc};

use super::webhook::check_json;
use super::{Hooks, Kind, Message, Sender, Settings, Template, TemplateError, Webhook};
use crate::alert::{Notice, Notification, Status, SubjectLine};
use crate::day::Day;
use crate::egress::SendError;
use crate::summary::Summary;

const SPECIMEN_ID: &str = "msg_000000000000000000000000000";

/// Tries out what `template` makes of a message of one alert and of one of several, as at `now`. If it is
/// sent as a `content_type` of JSON, it must be JSON.
///
/// The alerts have everything that one of any kind has, so that a template for one kind of rule is taken.
///
/// # Errors
/// It fails, or gives no JSON.
pub fn check_template(
    template: &Template,
    content_type: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), TemplateError> {
    let firing = specimen(now);
    let resolved = Notice {
        status: Status::Resolved,
        resolved_at: Some(now),
        ..firing.clone()
    };
    for alerts in [vec![firing.clone()], vec![firing, resolved]] {
        let text = template.render(&Message {
            id: SPECIMEN_ID.into(),
            created: now,
            now,
            target: String::new(),
            notification: Notification {
                test: true,
                ..Notification::of_alerts(alerts)
            },
        })?;
        if let Some(content_type) = content_type {
            check_json(&text, content_type)
                .map_err(|message| TemplateError { message, line: 1 })?;
        }
    }
    Ok(())
}

/// Tries out whether a hook can send a summary, as at `now`.
///
/// # Errors
/// Its receiver takes alerts only, or its template fails.
pub fn check_summary(hook: &Settings, now: DateTime<Utc>) -> Result<(), String> {
    let (template, content_type) = match &hook.kind {
        Kind::Alertmanager(_) => return Err("an Alertmanager takes alerts only".to_owned()),
        Kind::Whatsapp(_) => return Err("the template of WhatsApp is for alerts".to_owned()),
        Kind::Webhook(Webhook {
            template: Some(template),
            content_type,
            ..
        }) => (template, content_type),
        Kind::Webhook(_) | Kind::Email(_) | Kind::Exec { .. } | Kind::Heartbeat { .. } => {
            return Ok(());
        }
    };
    if template.takes_one_alert() {
        return Err("PagerDuty takes alerts only".to_owned());
    }
    for summary in Summary::samples(Day::of(now)) {
        let message = Message {
            id: SPECIMEN_ID.into(),
            created: now,
            now,
            target: String::new(),
            notification: Notification::of_summary(summary),
        };
        let rendered = template.render(&message);
        let text = rendered.map_err(|TemplateError { message, line }| {
            format!("line {line} of its template: {message}")
        })?;
        check_json(&text, content_type)?;
        if text.trim().is_empty() {
            return Err("its template gives nothing for one".to_owned());
        }
    }
    Ok(())
}

/// An alert with every figure and label that there is.
fn specimen(now: DateTime<Utc>) -> Notice {
    let sample = Notification::sample(Some("https://dash.example/"), now);
    let mut alerts = sample.alerts.into_iter();
    let mut notice = alerts.next().expect("a sample tells of an alert");
    for name in ["account", "agent"] {
        notice.labels.insert(name.to_owned(), name.to_owned());
    }
    let figures = &mut notice.figures;
    figures.usual_credits = Some(100.0);
    figures.missing_since.clone_from(&figures.first_day);
    notice.subjects = vec![SubjectLine {
        subject: notice.subject.clone(),
        key: notice.key.clone(),
        severity: notice.severity,
        title: notice.title.clone(),
        used_ratio: notice.figures.used_ratio,
    }];
    notice
}

/// Sends `notification` once to every receiver of every one of `hooks`, at the instant `now`. Returns what
/// each answered, with the receiver where the hook has several.
pub async fn test(
    hooks: &Hooks,
    notification: &Notification,
    now: DateTime<Utc>,
) -> Vec<(String, Result<String, SendError>)> {
    let mut answers = Vec::new();
    for settings in &hooks.settings {
        let sender = Sender::new(settings, hooks);
        for target in settings.route().targets {
            let message = Message {
                id: format!("msg_test_{:016x}", fastrand::u64(..)).into(),
                created: now,
                now,
                target: target.clone(),
                notification: notification.clone(),
            };
            answers.push((target, sender.send(message).await));
        }
    }
    answers
}
