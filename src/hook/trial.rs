//! Tries hooks out, without anything being kept of it.

use chrono::{DateTime, Utc};

use super::{Hooks, Message, SendError, Sender};
use crate::alert::Notification;

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
