//! HTTP as all that sends uses it: answers cannot be too large, and redirects are not followed, so that a key goes to
//! the configured host and to no other.

use std::error::Error;
use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{DATE, HeaderMap, HeaderName, LOCATION, RETRY_AFTER};
use reqwest::{ClientBuilder, Request, RequestBuilder, Response, redirect, retry};
use url::{Host, Url};

use super::trust::{self, Roots, TrustError};
use crate::text::{QUOTE_BYTES, printable};

/// The longest that connecting may take, so that a dead address is told from a slow answer.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a request has no whole answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// No connection came about, so that nothing was sent.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The connection or the compressed body broke before the answer was whole.
    #[error("the answer broke off: {0}")]
    Interrupted(String),
    /// The answer was not read to its end.
    #[error("the answer has {seen} bytes or more, the limit is {limit}")]
    TooLarge {
        /// Bytes announced, or read when reading was given up.
        seen: u64,
        /// The most bytes that an answer may have.
        limit: usize,
    },
}

/// Why nothing can be sent at all.
#[derive(Debug, thiserror::Error)]
pub enum HttpClientError {
    /// Nobody could be trusted.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The client cannot be set up.
    #[error("cannot set up the HTTP client")]
    Build(#[source] reqwest::Error),
}

/// Carries requests to a FlowGent or a database that no socket leads to, such as one in memory.
pub trait Wire: Debug + Send + Sync + 'static {
    /// Returns the answer to `request`.
    fn send(
        &self,
        request: Request,
    ) -> Pin<Box<dyn Future<Output = Result<Response, TransportError>> + Send>>;
}

/// A pool of connections; clones are the same pool.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    pub(crate) http: reqwest::Client,
    wire: Option<Arc<dyn Wire>>,
}

impl Pool {
    /// A pool as `builder` says.
    ///
    /// # Errors
    /// The client cannot be set up.
    pub(crate) fn new(builder: ClientBuilder) -> Result<Self, HttpClientError> {
        Ok(Self {
            http: builder.build().map_err(HttpClientError::Build)?,
            wire: None,
        })
    }

    /// The same over `wire` instead of sockets.
    pub(crate) fn over(self, wire: Arc<dyn Wire>) -> Self {
        Self {
            wire: Some(wire),
            ..self
        }
    }

    /// Sends a request and returns the head of its answer.
    ///
    /// # Errors
    /// There was no answer.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response, TransportError> {
        let request = request.build().map_err(broken)?;
        match &self.wire {
            Some(wire) => wire.send(request).await,
            None => self.http.execute(request).await.map_err(broken),
        }
    }
}

/// Properties that all clients have in common: no redirect is followed, nothing is asked twice, connecting is
/// bounded, and only `roots` are trusted.
///
/// # Errors
/// The certificates cannot be read or there are none.
pub(crate) fn client_builder(roots: &Roots) -> Result<ClientBuilder, HttpClientError> {
    // Fails only if one is installed already, which is then as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Over HTTP/1.1 a request that times out takes its connection with it; over HTTP/2 all that follow
    // would be sent into the same dead one.
    let mut tls = trust::client_config(roots)?;
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(reqwest::Client::builder()
        .user_agent(concat!("flowgent-exporter/", env!("CARGO_PKG_VERSION")))
        .http1_only()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .tls_backend_preconfigured(tls))
}

/// Returns true if a URL points to the machine itself, so that plain HTTP is safe and no proxy is of use.
///
/// Of names only `localhost` does: what is below it may be resolved by any server of names.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// The body of an answer, decompressed, of at most `limit` bytes.
///
/// The limit holds for every byte that is kept, whatever the length that was announced and however
/// well the body was compressed; a longer one is given up and its connection closed.
pub(crate) async fn body(response: &mut Response, limit: usize) -> Result<Vec<u8>, TransportError> {
    let announced = response.content_length().unwrap_or(0);
    let too_large = |seen| TransportError::TooLarge { seen, limit };
    let Some(capacity) = usize::try_from(announced).ok().filter(|n| *n <= limit) else {
        return Err(too_large(announced));
    };
    let mut body = Vec::with_capacity(capacity);
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if chunk.len() > limit - body.len() {
            return Err(too_large((body.len() + chunk.len()) as u64));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// An error below HTTP, told by its first cause: the layers above it only say that they met it.
pub(crate) fn broken(error: reqwest::Error) -> TransportError {
    let connecting = error.is_connect();
    let error = error.without_url();
    let mut cause: &dyn Error = &error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let mut text = printable(&cause.to_string(), QUOTE_BYTES);
    if let Some(advice) = trust::advice(&error) {
        text += &format!(": {advice}");
    }
    if connecting {
        TransportError::Connect(text)
    } else {
        TransportError::Interrupted(text)
    }
}

/// The server's time by its `Date` header, cut to the second.
pub(crate) fn date(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    http_date(headers, &DATE)
}

/// Wait that the server asks for: seconds, or a date, which is taken relative to the
/// server's own clock where it tells the time, else to `now`.
pub(crate) fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let then = http_date(headers, &RETRY_AFTER)?;
    let now = date(headers).unwrap_or(now);
    Some((then - now).to_std().unwrap_or_default())
}

fn http_date(headers: &HeaderMap, name: &HeaderName) -> Option<DateTime<Utc>> {
    let text = headers.get(name)?.to_str().ok()?.trim();
    httpdate::parse_http_date(text).ok().map(DateTime::from)
}

/// The host that a redirect points to.
pub(crate) fn redirect_host(response: &Response) -> Option<String> {
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    let target = response.url().join(location).ok()?;
    target.host_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_by_the_servers_clock() {
        let now = at("2026-11-23T12:00:00Z");
        let wait = |pairs: &[(HeaderName, &str)]| {
            retry_after(&headers(pairs), now).map(|wait| wait.as_secs())
        };
        let date = "Mon, 23 Nov 2026 12:01:00 GMT";
        assert_eq!(wait(&[(RETRY_AFTER, "30")]), Some(30));
        assert_eq!(
            wait(&[(RETRY_AFTER, "99999999999999999999")]),
            Some(u64::MAX)
        );
        assert_eq!(wait(&[(RETRY_AFTER, date)]), Some(60));
        let clock = (DATE, "Mon, 23 Nov 2026 12:00:50 GMT");
        assert_eq!(wait(&[(RETRY_AFTER, date), clock]), Some(10));
        let past = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(wait(&[(RETRY_AFTER, past)]), Some(0));
        for text in ["", "-1", "1.5", "soon"] {
            assert_eq!(wait(&[(RETRY_AFTER, text)]), None, "{text}");
        }
        assert_eq!(wait(&[]), None);
    }

    #[test]
    fn loopback_hosts_are_told_from_others() {
        let loopback = |url: &str| is_loopback(&Url::parse(url).unwrap());
        for url in ["http://127.0.0.2:1/", "http://[::1]/", "http://localhost/"] {
            assert!(loopback(url), "{url}");
        }
        for url in [
            "https://flowgent.ai/",
            "http://10.0.0.1/",
            "http://localhost.example/",
            "http://a.localhost/",
        ] {
            assert!(!loopback(url), "{url}");
        }
    }
}
