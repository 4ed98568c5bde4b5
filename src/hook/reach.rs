//! Reachability of a hook's receivers, without sending them a word.

use futures_util::future::join_all;

use super::{Kind, Settings};
use crate::egress::SendError;
use crate::egress::place::Place;
use crate::egress::reach::{reach_host, reach_place};

/// Connects to every receiver of the hook, and hangs up. Returns of each that it can be reached, in words, or
/// why it cannot. WhatsApp's is FlowGent itself, which others ask.
pub async fn reach(settings: &Settings) -> Vec<Result<String, SendError>> {
    let places = match &settings.kind {
        Kind::Webhook(webhook) => vec![webhook.url.place().await],
        Kind::Alertmanager(them) => {
            let urls = them.urls.iter().cloned();
            urls.map(|url| Ok(Place::new(url))).collect()
        }
        Kind::Heartbeat { service, .. } => {
            let sources = [&service.url].into_iter().chain(&service.failure_url);
            join_all(sources.map(Place::secret)).await
        }
        Kind::Email(email) => {
            return vec![reach_host(&email.host, email.port, settings.allow_private).await];
        }
        // The config was refused if it cannot be run.
        Kind::Exec { command } => {
            let program = command.first().map_or("", String::as_str);
            return vec![Ok(format!("{program} can be run"))];
        }
        Kind::Whatsapp(_) => Vec::new(),
    };
    let mut reached = Vec::new();
    for place in places {
        reached.push(match place {
            Ok(place) => reach_place(&place, settings.allow_private, settings.proxy.as_ref()).await,
            Err(error) => Err(error),
        });
    }
    reached
}
