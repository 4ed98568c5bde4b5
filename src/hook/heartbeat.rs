//! The request of a heartbeat, as the well-known services take it.

use chrono::{DateTime, Utc};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use url::form_urlencoded::byte_serialize;

use super::Settings;
use crate::egress::SendError;
use crate::egress::place::{Place, read};
use crate::egress::post::Refusal;
use crate::secret::SecretSource;

/// Placeholder in a URL's query for the reason of a failure.
const REASON: &str = "{reason}";

/// Requests to the service that raises the alarm. URLs and token are read at each request, so that they
/// can be exchanged.
#[derive(Debug, Clone)]
pub struct Service {
    /// URL requested while all is well.
    pub url: SecretSource,
    /// URL requested otherwise.
    pub failure_url: Option<SecretSource>,
    /// The method of both.
    pub method: Method,
    /// A token that proves to the service who sends.
    pub bearer_token: Option<SecretSource>,
}

impl Service {
    /// Tells that all is well, or why not, as `settings` say; returns what the receiver answered. A failure without a
    /// URL of its own is not sent.
    ///
    /// # Errors
    /// It was not taken, or something that is needed for sending it cannot be read.
    pub(super) async fn tell(
        &self,
        settings: &Settings,
        failure: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<String, SendError> {
        let source = match (failure, &self.failure_url) {
            (None, _) => &self.url,
            (Some(_), Some(source)) => source,
            (Some(_), None) => return Ok("nothing is sent".to_owned()),
        };
        let text = failure.unwrap_or("all is well");
        let mut place = Place::secret(source).await?.with_query(|query| {
            let reason: String = byte_serialize(text.as_bytes()).collect();
            query.replace(REASON, &reason)
        });
        let mut headers = HeaderMap::new();
        if let Some(source) = &self.bearer_token {
            let token = read(source).await?;
            place.guard(token.expose());
            let value = HeaderValue::try_from(format!("Bearer {}", token.expose()))
                .map_err(|_| SendError::unready(format!("{source} holds no token")))?;
            headers.insert(AUTHORIZATION, value);
        }
        let mut body = String::new();
        if matches!(self.method, Method::POST | Method::PUT) {
            headers.insert(
                CONTENT_TYPE,
                HeaderValue::from_static("text/plain; charset=utf-8"),
            );
            body = text.to_owned();
        }
        let poster = settings.poster().await?;
        let sent = poster
            .send(self.method.clone(), &place, headers, body, now)
            .await;
        sent.map_err(|Refusal { error, .. }| error)
    }
}
