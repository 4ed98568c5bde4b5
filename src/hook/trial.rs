//! Tries hooks and templates out, without anything being kept of it.

use chrono::{DateTime, Utc};

use super::webhook::check_json;
use super::{Hooks, Message, SendError, Sender, Template, TemplateError};
use crate::alert::{Notice, Notification, Status};

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
            id: "msg_000000000000000000000000000".into(),
            created: now,
            now,
            target: String::new(),
            notification: Notification { test: true, alerts },
        })?;
        if let Some(content_type) = content_type {
            check_json(&text, content_type)
                .map_err(|message| TemplateError { message, line: 1 })?;
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
