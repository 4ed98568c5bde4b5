//! HTTP as hooks speak it, and whatever else sends to a place of the user's choice: straight to the
//! receiver, or through the proxy that the config names, and without redirects.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use tokio::time::{Instant, timeout_at};

use super::error::SendError;
use super::place::{Place, WITHHELD};
use super::proxy::{self, Proxy};
use super::target::{self, Resolver};
use super::transport::{self, Pool};
use super::trust::Roots;
use super::verdict::{self, Reply};
use crate::blocking;
use crate::clock;
use crate::secret::Secret;

/// The most bytes that are read of the body of an answer.
const BODY_LIMIT: usize = 64 << 10;
/// The longest that the body of a success is waited for: its status has come, which is most of a yes.
const BODY_PATIENCE: Duration = Duration::from_secs(5);
/// The share of a try's time after which no more is read of it: there is some left to tell what was.
const BODY_SHARE: f64 = 0.7;

/// The connections of one try.
#[derive(Debug, Clone)]
pub(crate) struct Poster {
    pool: Pool,
    allow_private: bool,
    proxy: Option<Proxy>,
    /// Until when the body of an answer is read: its status is worth telling even if that never ends.
    until: Instant,
}

/// An answer that is no success, or none at all.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The answer's status, if one came.
    pub(crate) status: Option<StatusCode>,
    /// Description of the failure.
    pub(crate) error: SendError,
    /// The answer's body as far as it was read, to look for words in it. It is not for anybody to see.
    pub(crate) said: Secret,
}

impl Poster {
    /// Connections for a try that takes at most `timeout`. The file of certificates that are trusted
    /// instead of the usual ones is read each time, so that it can be exchanged.
    ///
    /// # Errors
    /// That file cannot be read or holds no certificate.
    pub(crate) async fn new(
        timeout: Duration,
        allow_private: bool,
        ca_file: Option<&Path>,
        proxy: Option<&Proxy>,
    ) -> Result<Self, SendError> {
        let until = clock::instant() + timeout.mul_f64(BODY_SHARE);
        let roots = ca_file.map_or(Roots::Bundled, |path| Roots::File(path.to_owned()));
        let resolver = Resolver { allow_private };
        let failed = |error: &dyn Error| SendError::unready(chain(error));
        let builder = blocking::run(move || transport::client_builder(&roots)).await;
        let builder = builder.map_err(|error| failed(&error))?;
        let builder = match proxy {
            None => builder.no_proxy(),
            Some(Proxy::At(url)) => {
                let proxy = reqwest::Proxy::all(url.clone()).map_err(|error| failed(&error))?;
                builder.no_proxy().proxy(proxy)
            }
            // It is asked by the client itself.
            Some(Proxy::Environment) => builder,
        };
        let pool = Pool::new(builder.dns_resolver(resolver)).map_err(|error| failed(&error))?;
        Ok(Self {
            pool,
            allow_private,
            proxy: proxy.cloned(),
            until,
        })
    }

    /// A try over the connections of `pool`.
    pub(crate) fn over(pool: &Pool, timeout: Duration) -> Self {
        Self {
            pool: pool.clone(),
            allow_private: true,
            proxy: None,
            until: clock::instant() + timeout.mul_f64(BODY_SHARE),
        }
    }

    /// The same connections for another try.
    pub(crate) fn again(&self, timeout: Duration) -> Self {
        Self {
            until: clock::instant() + timeout.mul_f64(BODY_SHARE),
            ..self.clone()
        }
    }

    /// Posts `body` once and returns the status, such as `200 OK`, if the answer is the receiver's yes.
    ///
    /// # Errors
    /// The failure, with the answer if there was one.
    pub(crate) async fn post(
        &self,
        place: &Place,
        headers: HeaderMap,
        body: impl Into<Bytes>,
        now: DateTime<Utc>,
    ) -> Result<String, Refusal> {
        self.send(Method::POST, place, headers, body, now).await
    }

    /// As [`Self::post`], by any method.
    ///
    /// # Errors
    /// As for [`Self::post`].
    pub(crate) async fn send(
        &self,
        method: Method,
        place: &Place,
        headers: HeaderMap,
        body: impl Into<Bytes>,
        now: DateTime<Utc>,
    ) -> Result<String, Refusal> {
        let body = body.into();
        let request = self.pool.http.request(method, place.url.clone());
        let request = request.headers(headers);
        let mut response = self.answer(place, request.body(body.clone()), now).await?;
        let status = response.status();
        let until = self.until.min(clock::instant() + BODY_PATIENCE);
        let (said, is_whole) = beginning(&mut response, until).await;
        let content_type = response.headers().get(CONTENT_TYPE);
        let reply = Reply {
            status: status.as_u16(),
            content_type: content_type.map_or("", |value| value.to_str().unwrap_or_default()),
            body: &said,
            is_whole,
        };
        let Some(reason) = verdict::refusal(place.receiver, reply, &body) else {
            return Ok(status_line(status));
        };
        let mut text = format!("{}: {}, but {reason}", place.name(), status_line(status));
        text += &place.quoted(&said, is_whole);
        Err(Refusal {
            status: Some(status),
            error: SendError::new(text),
            said: Secret::new(&String::from_utf8_lossy(&said)),
        })
    }

    /// Asks `place` with `query`, and returns the body of a success, of at most `limit` bytes.
    ///
    /// # Errors
    /// The failure, with the answer if there was one.
    pub(crate) async fn get(
        &self,
        place: &Place,
        query: &[(&str, &str)],
        headers: HeaderMap,
        limit: usize,
        now: DateTime<Utc>,
    ) -> Result<Vec<u8>, Refusal> {
        let mut url = place.url.clone();
        url.query_pairs_mut().extend_pairs(query);
        let request = self.pool.http.get(url).headers(headers);
        let mut response = self.answer(place, request, now).await?;
        let body = transport::body(&mut response, limit).await;
        body.map_err(|error| Refusal::silent(place, &error.to_string()))
    }

    /// The answer to `request`, which is to `place`, if it is a success.
    async fn answer(
        &self,
        place: &Place,
        request: RequestBuilder,
        now: DateTime<Utc>,
    ) -> Result<Response, Refusal> {
        let proxy = self.proxy.as_ref().and_then(|proxy| proxy.to(&place.url));
        let way = proxy::way(proxy.as_ref());
        let silent = |text: String| Refusal::silent(place, &format!("{way}{text}"));
        // Nobody here resolves what is behind a proxy.
        target::check_literal(proxy.as_ref().unwrap_or(&place.url), self.allow_private)
            .map_err(|error| silent(error.to_string()))?;
        if place.url.scheme() == "http" && !self.allow_private {
            let text = "plain http, which only `allow_private = true` allows";
            return Err(silent(text.to_owned()));
        }
        let request = request.headers(place.headers.clone());
        let response = self.pool.send(request).await;
        let response = response.map_err(|error| silent(error.to_string()))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.refusal(place, &way, response, now).await)
    }

    /// The failure, with the answer if there was one.
    async fn refusal(
        &self,
        place: &Place,
        way: &str,
        mut response: Response,
        now: DateTime<Utc>,
    ) -> Refusal {
        let status = response.status();
        let mut text = format!("{}: {way}{}", place.name(), status_line(status));
        let mut said = Secret::new("");
        if status.is_redirection() {
            let target = match transport::redirect_host(&response) {
                None => "nowhere".to_owned(),
                Some(_) if place.is_secret() => WITHHELD.to_owned(),
                Some(host) => place.quote(host.as_bytes()),
            };
            text += &format!(", a redirect to {target}, which is not followed");
        } else {
            let (body, is_whole) = beginning(&mut response, self.until).await;
            text += &place.quoted(&body, is_whole);
            if is_whole {
                said = Secret::new(&String::from_utf8_lossy(&body));
            }
        }
        let retry_after = match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                transport::retry_after(response.headers(), now)
            }
            _ => None,
        };
        Refusal {
            status: Some(status),
            error: SendError {
                text,
                retry_after,
                gone: status == StatusCode::GONE,
                unready: false,
            },
            said,
        }
    }
}

impl Refusal {
    /// That no answer came from `place`, and why.
    pub(crate) fn silent(place: &Place, text: &str) -> Self {
        Self {
            status: None,
            error: SendError::new(format!("{}: {}", place.name(), place.without_host(text))),
            said: Secret::new(""),
        }
    }
}

/// The beginning of the answer's body, of at most [`BODY_LIMIT`] bytes that come until then, and whether
/// that is all of it.
async fn beginning(response: &mut Response, until: Instant) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        match timeout_at(until, response.chunk()).await {
            Ok(Ok(Some(chunk))) => {
                let room = BODY_LIMIT - body.len();
                body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if chunk.len() > room {
                    return (body, false);
                }
            }
            Ok(Ok(None)) => return (body, true),
            Ok(Err(_)) | Err(_) => return (body, false),
        }
    }
}

fn status_line(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text += &format!(": {cause}");
        next = cause.source();
    }
    text
}
