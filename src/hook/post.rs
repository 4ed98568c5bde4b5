//! HTTP as hooks speak it, and whatever else sends to a place of the user's choice: straight to the
//! receiver, without proxies and redirects. No error holds a secret, nor more of a URL than its scheme, host
//! and port, and nothing at all of one that is a secret.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use percent_encoding::{percent_decode, percent_decode_str};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{RequestBuilder, Response, StatusCode};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::SendError;
use super::target::{self, Resolver};
use super::verdict::{self, Receiver, Reply};
use crate::clock;
use crate::flowgent::Roots;
use crate::flowgent::error::{QUOTE_BYTES, printable};
use crate::flowgent::transport;
use crate::secret::{Secret, SecretSource};

/// The most bytes that are read of the body of an answer.
const BODY_LIMIT: usize = 64 << 10;
/// The longest that the body of a success is waited for: its status has come, which is most of a yes.
const BODY_PATIENCE: Duration = Duration::from_secs(5);
/// The share of a try's time after which no more is read of it: there is some left to tell what was.
const BODY_SHARE: f64 = 0.7;
/// What stands for what nobody may see.
const WITHHELD: &str = "[withheld]";
/// Shorter parts of a URL's path and query, such as `services`, are no tokens.
const TOKEN_LETTERS: usize = 9;
/// Parts of well-known URLs that are no tokens either, and that receivers may well speak of.
const WORDS: [&str; 7] = [
    "workflows",
    "webhookb2",
    "IncomingWebhook",
    "powerautomate",
    "automations",
    "integrations",
    "notifications",
];

/// The connections of one try.
#[derive(Debug)]
pub(crate) struct Poster {
    http: reqwest::Client,
    allow_private: bool,
    /// Until when the body of an answer is read: its status is worth telling even if that never ends.
    until: Instant,
}

/// Where something is posted, with everything about it that nobody may read: it has no [`Debug`].
pub(crate) struct Place {
    url: Url,
    /// What errors and logs call it.
    name: String,
    /// Whether the URL is a secret, with its host.
    is_secret: bool,
    receiver: Receiver,
    guarded: Vec<Secret>,
    headers: HeaderMap,
}

/// An answer that is no success, or none at all.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The answer's status, if one came.
    pub(crate) status: Option<StatusCode>,
    /// What happened.
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
    pub(crate) fn new(
        timeout: Duration,
        allow_private: bool,
        ca_file: Option<&Path>,
    ) -> Result<Self, SendError> {
        let until = clock::instant() + timeout.mul_f64(BODY_SHARE);
        let roots = ca_file.map_or(Roots::Bundled, |path| Roots::File(path.to_owned()));
        let resolver = Resolver { allow_private };
        let http = transport::client_builder(&roots)
            .map_err(|error| SendError::new(chain(&error)))?
            .no_proxy()
            .dns_resolver(resolver)
            .build()
            .map_err(|error| SendError::new(chain(&error)))?;
        Ok(Self {
            http,
            allow_private,
            until,
        })
    }

    /// The same connections for another try.
    pub(crate) fn again(&self, timeout: Duration) -> Self {
        Self {
            http: self.http.clone(),
            allow_private: self.allow_private,
            until: clock::instant() + timeout.mul_f64(BODY_SHARE),
        }
    }

    /// Posts `body` once and returns the status, such as `200 OK`, if the answer is the receiver's yes.
    ///
    /// # Errors
    /// What came instead.
    pub(crate) async fn post(
        &self,
        place: &Place,
        headers: HeaderMap,
        body: impl Into<Bytes>,
        now: DateTime<Utc>,
    ) -> Result<String, Refusal> {
        let body = body.into();
        let request = self.http.post(place.url.clone()).headers(headers);
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
        let mut text = format!("{}: {}, but {reason}", place.name, status_line(status));
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
    /// What came instead.
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
        let request = self.http.get(url).headers(headers);
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
        let silent = |text: String| Refusal::silent(place, &text);
        target::check_literal(&place.url, self.allow_private)
            .map_err(|error| silent(error.to_string()))?;
        if place.url.scheme() == "http" && !self.allow_private {
            let text = "plain http, which only `allow_private = true` allows";
            return Err(silent(text.to_owned()));
        }
        let response = request
            .headers(place.headers.clone())
            .send()
            .await
            .map_err(|error| silent(transport::broken(error).to_string()))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.refusal(place, response, now).await)
    }

    async fn refusal(&self, place: &Place, mut response: Response, now: DateTime<Utc>) -> Refusal {
        let status = response.status();
        let mut text = format!("{}: {}", place.name, status_line(status));
        let mut said = Secret::new("");
        if status.is_redirection() {
            let target = match transport::redirect_host(&response) {
                None => "nowhere".to_owned(),
                Some(_) if place.is_secret => WITHHELD.to_owned(),
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
            error: SendError::new(format!("{}: {}", place.name, place.without_host(text))),
            said: Secret::new(""),
        }
    }
}

impl Place {
    /// The place that a secret URL leads to.
    ///
    /// # Errors
    /// The URL cannot be read, or is none of HTTP.
    pub(crate) fn secret(source: &SecretSource) -> Result<Self, SendError> {
        let text = source
            .read()
            .map_err(|error| SendError::new(error.to_string()))?;
        let url = Url::parse(text.expose())
            .map_err(|error| SendError::new(format!("{source} holds no URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(SendError::new(format!(
                "the URL in {source} is neither http nor https"
            )));
        }
        let mut place = Self::new(url);
        place.name = format!("the URL in {source}");
        place.is_secret = true;
        let (user, password) = (place.url.username(), place.url.password());
        let path = place.url.path_segments().into_iter().flatten();
        let query = place.url.query_pairs();
        let can_be_token =
            |part: &String| part.len() >= TOKEN_LETTERS && !WORDS.contains(&part.as_str());
        let parts: Vec<String> = path
            .map(str::to_owned)
            .chain(query.map(|(_, value)| value.into_owned()))
            .filter(can_be_token)
            // Without a password, a user is no name but a token.
            .chain(
                (password.is_none() || user.len() >= TOKEN_LETTERS).then(|| user.to_owned()),
            )
            .chain(password.map(str::to_owned))
            .collect();
        for part in &parts {
            place.guard(&percent_decode_str(part).decode_utf8_lossy());
            place.guard(part);
        }
        place.guard_login();
        Ok(place)
    }

    /// Sees to it that no error shows the user and the password in the URL as they are sent.
    fn guard_login(&mut self) {
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let user = decoded(self.url.username());
        let password = decoded(self.url.password().unwrap_or_default());
        if !user.is_empty() || !password.is_empty() {
            self.guard(&STANDARD.encode(format!("{user}:{password}")));
        }
    }

    /// A place whose URL is no secret.
    pub(crate) fn new(url: Url) -> Self {
        Self {
            name: url.origin().ascii_serialization(),
            is_secret: false,
            receiver: Receiver::at(url.host_str().unwrap_or_default()),
            url,
            guarded: Vec::new(),
            headers: HeaderMap::new(),
        }
    }

    /// Where it is. It may hold a secret.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// The place on the same server whose path is what `change` makes of this one's.
    pub(crate) fn with_path(mut self, change: impl FnOnce(&str) -> String) -> Self {
        let path = change(self.url.path());
        self.url.set_path(&path);
        self
    }

    /// What the place is called in errors and logs: scheme, host and port, or where a secret URL is found.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether its URL is a secret, with the host in it.
    pub(crate) fn is_secret(&self) -> bool {
        self.is_secret
    }

    /// Has only what `receiver` says count as its yes.
    pub(super) fn expect(&mut self, receiver: Receiver) {
        self.receiver = receiver;
    }

    /// `text` without the host, if that is a secret.
    pub(crate) fn without_host(&self, text: &str) -> String {
        let host = self.url.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if self.is_secret {
            without(text, host)
        } else {
            text.to_owned()
        }
    }

    /// Sees to it that no error shows `secret`.
    pub(super) fn guard(&mut self, secret: &str) {
        let secret = Secret::new(secret);
        if !secret.is_empty() {
            self.guarded.push(secret);
        }
    }

    /// Proves to the receiver who sends, with a user and a password.
    ///
    /// # Errors
    /// The password cannot be read.
    pub(crate) fn log_in(&mut self, user: &str, password: &SecretSource) -> Result<(), SendError> {
        let password = password
            .read()
            .map_err(|error| SendError::new(error.to_string()))?;
        let both = STANDARD.encode(format!("{user}:{}", password.expose()));
        self.guard(password.expose());
        self.authorize("Basic", &both)
    }

    /// Proves to the receiver who sends, with a token.
    ///
    /// # Errors
    /// The token cannot be read.
    pub(crate) fn bear(&mut self, token: &SecretSource) -> Result<(), SendError> {
        let token = token
            .read()
            .map_err(|error| SendError::new(error.to_string()))?;
        self.authorize("Bearer", token.expose())
    }

    fn authorize(&mut self, scheme: &str, credential: &str) -> Result<(), SendError> {
        self.guard(credential);
        let mut header =
            HeaderValue::from_str(&format!("{scheme} {credential}")).map_err(|_| {
                SendError::new(format!(
                    "the {scheme} credential does not fit into a header"
                ))
            })?;
        header.set_sensitive(true);
        self.headers.insert(AUTHORIZATION, header);
        Ok(())
    }

    /// What an error may show of the receiver's text: a short, escaped piece, and nothing if the text
    /// holds a secret.
    fn quote(&self, text: &[u8]) -> String {
        let decoded: Vec<u8> = percent_decode(text).collect();
        let held = |secret: &Secret| secret.is_in(text) || secret.is_in(&decoded);
        if self.guarded.iter().any(held) {
            return "[withheld: it holds a secret]".to_owned();
        }
        // Cut after the host is out: half of it would not be found.
        printable(
            &self.without_host(&String::from_utf8_lossy(text)),
            QUOTE_BYTES,
        )
    }

    /// What follows on the status of an answer with this body, of which half is not shown: it could hold
    /// half a secret.
    fn quoted(&self, body: &[u8], is_whole: bool) -> String {
        match body.trim_ascii() {
            [] => String::new(),
            _ if !is_whole => String::new(),
            body => format!(": {}", self.quote(body)),
        }
    }
}

/// `text` with a sign in the place of every `host`, in any case; of a host of a few letters only where it is
/// a word.
fn without(text: &str, host: &str) -> String {
    let is_inside = |letter: Option<char>| {
        let letter = letter.filter(|_| host.len() < 5);
        letter.is_some_and(char::is_alphanumeric)
    };
    let lower = text.to_ascii_lowercase();
    let mut shown = String::new();
    let mut rest = 0;
    for (start, found) in lower.match_indices(&host.to_ascii_lowercase()) {
        let end = start + found.len();
        let is_part =
            is_inside(text[..start].chars().next_back()) || is_inside(text[end..].chars().next());
        if !host.is_empty() && !is_part {
            shown += &text[rest..start];
            shown += WITHHELD;
            rest = end;
        }
    }
    shown + &text[rest..]
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
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text += &format!(": {cause}");
        next = cause.source();
    }
    text
}
