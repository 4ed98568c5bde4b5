//! Webhooks by the Standard Webhooks: a POST with an id that stays the same over all tries, the time of
//! the try, and a signature by each secret.

use std::borrow::Cow;

use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::{Map, Value};

use super::signature::SigningKey;
use super::template::Template;
use super::{Message, Settings, TemplateError};
use crate::alert::{Notice, Notification};
use crate::egress::place::{Place, read};
use crate::egress::post::Refusal;
use crate::egress::verdict::Receiver;
use crate::egress::{Endpoint, SendError};
use crate::secret::{Secret, SecretSource};
use crate::text::{QUOTE_BYTES, printable};

/// An HTTP endpoint. Its URL and secrets are read at each try, so that they can be exchanged.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Its URL.
    pub url: Endpoint,
    /// Secrets that messages are signed with, all of them: so that one can be rotated.
    pub secrets: Vec<SecretSource>,
    /// Template of the body; without one, a [`Notification`] and its id as JSON.
    pub template: Option<Template>,
    /// The media type of what is sent.
    pub content_type: String,
    /// The key that PagerDuty knows the service by; only for its preset.
    pub routing_key: Option<SecretSource>,
}

/// The body of a request.
#[derive(Debug)]
struct Body {
    text: String,
    content_type: String,
    template_error: Option<String>,
}

impl Webhook {
    pub(super) fn has_preset(&self) -> bool {
        self.template.as_ref().is_some_and(Template::is_preset)
    }

    /// Returns true if the receiver takes only one alert at a time.
    pub(super) fn takes_one_alert(&self) -> bool {
        let template = self.template.as_ref();
        template.is_some_and(Template::takes_one_alert)
    }

    /// Sends `message` once, as `settings` say; returns what the receiver answered, such as `200 OK`.
    ///
    /// # Errors
    /// It was not taken, or something that is needed for sending it cannot be read.
    pub(super) async fn send(
        &self,
        settings: &Settings,
        message: &Message,
    ) -> Result<String, SendError> {
        let mut place = self.url.place().await?;
        let keys = self.signing_keys(&mut place).await?;
        let routing_key = match &self.routing_key {
            None => None,
            Some(source) => {
                place.expect(Receiver::PagerDuty);
                let key = read(source).await?;
                place.guard(key.expose());
                Some(key)
            }
        };
        let poster = settings.poster().await?;
        let mut answer = String::new();
        for part in self.parts(message) {
            let body = self.body(&part, routing_key.as_ref());
            let headers = headers(&part, &body, &keys)?;
            answer = poster
                .post(&place, headers, body.text.into_bytes(), part.now)
                .await
                .map_err(|Refusal { error, .. }| error)?;
            if let Some(error) = body.template_error {
                tracing::warn!(
                    hook = &*settings.name,
                    delivery = &*part.id,
                    error,
                    "template failed; plain JSON was sent instead"
                );
                answer += &format!(", but the template failed, so plain JSON was sent: {error}");
            }
        }
        Ok(answer)
    }

    async fn signing_keys(&self, place: &mut Place) -> Result<Vec<SigningKey>, SendError> {
        let mut keys = Vec::with_capacity(self.secrets.len());
        for source in &self.secrets {
            let secret = read(source).await?;
            place.guard(secret.expose());
            place.guard(secret.expose().trim_start_matches("whsec_"));
            let key = SigningKey::new(&secret);
            keys.push(key.map_err(|error| SendError::unready(format!("{source}: {error}")))?);
        }
        Ok(keys)
    }

    /// The message, or one for each alert where the receiver takes only one at a time. All have the
    /// same id: such a receiver goes by the keys of the alerts.
    fn parts<'a>(&self, message: &'a Message) -> Vec<Cow<'a, Message>> {
        let alerts = &message.notification.alerts;
        if !self.takes_one_alert() || alerts.len() < 2 {
            return vec![Cow::Borrowed(message)];
        }
        let only = |alert: &Notice| Message {
            notification: Notification {
                test: message.notification.test,
                ..Notification::of_alerts(vec![alert.clone()])
            },
            ..message.clone()
        };
        alerts.iter().map(|alert| Cow::Owned(only(alert))).collect()
    }

    /// The template's output, or plain JSON if it is not usable: somebody must be told.
    fn body(&self, message: &Message, routing_key: Option<&Secret>) -> Body {
        let rendered = match &self.template {
            None => Ok(message.plain(None)),
            Some(template) => template
                .render(message)
                .map_err(|TemplateError { message, line }| format!("line {line}: {message}"))
                .and_then(|text| self.checked(text, routing_key)),
        };
        match rendered {
            Ok(text) => Body {
                text,
                content_type: self.content_type.clone(),
                template_error: None,
            },
            Err(error) => Body {
                text: message.plain(Some(&error)),
                content_type: "application/json".to_owned(),
                template_error: Some(error),
            },
        }
    }

    /// The template's output, if it is of its media type, with the routing key.
    fn checked(&self, text: String, routing_key: Option<&Secret>) -> Result<String, String> {
        if let Some(key) = routing_key {
            let mut event: Map<String, Value> =
                serde_json::from_str(&text).map_err(|error| no_json(&error))?;
            event.insert("routing_key".to_owned(), key.expose().into());
            return Ok(Value::Object(event).to_string());
        }
        check_json(&text, &self.content_type)?;
        Ok(text)
    }
}

fn headers(message: &Message, body: &Body, keys: &[SigningKey]) -> Result<HeaderMap, SendError> {
    let timestamp = message.now.timestamp();
    let signatures: Vec<String> = keys
        .iter()
        .map(|key| key.sign(&message.id, timestamp, body.text.as_bytes()))
        .collect();
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("content-type", body.content_type.as_str()),
        ("webhook-id", &message.id),
        ("webhook-timestamp", &timestamp.to_string()),
        ("webhook-signature", &signatures.join(" ")),
    ] {
        if !value.is_empty() {
            let value = HeaderValue::from_str(value).map_err(|_| {
                SendError::new(format!("`{value}` does not fit into the header {name}"))
            })?;
            headers.insert(name, value);
        }
    }
    Ok(headers)
}

/// Refuses what a template gave if it is no JSON and `content_type` is a media type of that.
pub(super) fn check_json(text: &str, content_type: &str) -> Result<(), String> {
    if is_json(content_type) {
        serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|error| no_json(&error))?;
    }
    Ok(())
}

fn no_json(error: &serde_json::Error) -> String {
    let error = printable(&error.to_string(), QUOTE_BYTES);
    format!(
        "its output is not JSON: {error}; write texts with `| tojson`, or set another `content_type`"
    )
}

/// Returns true if a media type is one of JSON.
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    essence.ends_with("/json") || essence.ends_with("+json")
}
