//! HTTP underneath the calls: one pool of connections for all accounts, and answers that cannot be too
//! large. Redirects are not followed, so that a key goes to the configured host and to no other.
//!
//! Hooks that speak HTTP are built on the same ground.

use std::error::Error;
use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::{
    ACCEPT, AGE, CACHE_CONTROL, DATE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER,
};
use reqwest::{ClientBuilder, Request, Response, redirect, retry};
use tokio::time::Instant;
use url::{Host, Url};

use crate::blocking;
use crate::clock::{Clock, instant};
use crate::files::{self, CERTIFICATES};
use crate::flowgent::error::{ApiError, QUOTE_BYTES, printable};
use crate::flowgent::trust::{self, TrustError};
use crate::flowgent::{Roots, Settings};

/// The longest that connecting may take, so that a dead address is told from a slow answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A pool of connections to FlowGent, shared by the clients of all accounts; clones are the same pool.
#[derive(Debug, Clone)]
pub struct HttpClient {
    pub(crate) http: reqwest::Client,
    wire: Option<Arc<dyn Wire>>,
    pub(super) base_url: Url,
    pub(super) timeout: Duration,
    /// The certificates of the file that was named, as they were read.
    certificates: Option<Arc<[u8]>>,
}

/// Carries requests to a FlowGent or a database that no socket leads to, such as one in memory.
pub trait Wire: Debug + Send + Sync + 'static {
    /// Returns the answer to `request`.
    fn send(
        &self,
        request: Request,
    ) -> Pin<Box<dyn Future<Output = Result<Response, ApiError>> + Send>>;
}

/// Why FlowGent cannot be talked to at all.
#[derive(Debug, thiserror::Error)]
pub enum HttpClientError {
    /// Nobody could be trusted.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The client cannot be set up.
    #[error("cannot set up the HTTP client")]
    Build(#[source] reqwest::Error),
}

impl HttpClient {
    /// A pool as `settings` say. It works on a machine without any certificates of its own, and uses
    /// the proxies that the environment names, but never for the machine itself. Blocks: see [`files::read`].
    ///
    /// # Errors
    /// The certificate authorities cannot be read or there are none.
    pub fn new(settings: &Settings) -> Result<Self, HttpClientError> {
        let accept = (ACCEPT, HeaderValue::from_static("application/json"));
        // Idle connections are not limited: there are never more of them than the accounts'
        // concurrency.
        let builder = client_builder(&settings.roots)?
            .default_headers(HeaderMap::from_iter([accept]))
            .gzip(true);
        let builder = if is_loopback(&settings.base_url) {
            builder.no_proxy()
        } else {
            builder
        };
        let certificates = match &settings.roots {
            Roots::File(path) => files::read(path, CERTIFICATES)
                .ok()
                .map(|read| read.bytes.as_slice().into()),
            Roots::Bundled | Roots::System => None,
        };
        Ok(Self {
            http: builder.build().map_err(HttpClientError::Build)?,
            wire: None,
            base_url: settings.base_url.clone(),
            timeout: settings.timeout,
            certificates,
        })
    }

    /// The same as [`Self::new`], beside the async threads.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub async fn open(settings: &Settings) -> Result<Self, HttpClientError> {
        let settings = settings.clone();
        blocking::run(move || Self::new(&settings)).await
    }

    /// Returns true if both trust the same certificates.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.certificates == other.certificates
    }

    /// The same client over `wire` instead of sockets.
    #[must_use]
    pub fn over(self, wire: Arc<dyn Wire>) -> Self {
        Self {
            wire: Some(wire),
            ..self
        }
    }

    /// Sends a request and returns the head of its answer.
    pub(crate) async fn send(&self, request: Request) -> Result<Response, ApiError> {
        match &self.wire {
            Some(wire) => wire.send(request).await,
            None => self.http.execute(request).await.map_err(broken),
        }
    }

    /// Asks FlowGent for nothing but its time, without a key, and has `clock` hear it.
    ///
    /// # Errors
    /// There was no answer.
    pub async fn ask_the_time(&self, clock: &dyn Clock) -> Result<(), ApiError> {
        let question = Question::now(clock);
        let request = self
            .http
            .head(self.base_url.clone())
            .header(CACHE_CONTROL, "no-cache")
            .timeout(CONNECT_TIMEOUT);
        let response = self.send(request.build().map_err(broken)?).await?;
        clock.hear(question.skew(response.headers(), clock));
        Ok(())
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
pub(crate) async fn body(response: &mut Response, limit: usize) -> Result<Vec<u8>, ApiError> {
    let announced = response.content_length().unwrap_or(0);
    let too_large = |seen| ApiError::TooLarge { seen, limit };
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
pub(crate) fn broken(error: reqwest::Error) -> ApiError {
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
        ApiError::Connect(text)
    } else {
        ApiError::Interrupted(text)
    }
}

/// The server's time by its `Date` header, cut to the second.
pub(super) fn date(headers: &HeaderMap) -> Option<DateTime<Utc>> {
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

/// Time of a request, by both of this host's clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question {
    wall: DateTime<Utc>,
    sent: Instant,
}

impl Question {
    /// A question that is asked now.
    pub(super) fn now(clock: &dyn Clock) -> Self {
        Self {
            wall: clock.wall(),
            sent: instant(),
        }
    }

    /// The server's clock minus ours, from the headers of the answer, which has just come. None if they hold
    /// no date.
    pub(super) fn skew(self, headers: &HeaderMap, clock: &dyn Clock) -> Option<TimeDelta> {
        let answered = clock.wall();
        let took = TimeDelta::from_std(self.sent.elapsed()).unwrap_or_default();
        // Our clock may have been set meanwhile.
        skew(headers, self.wall.max(answered - took), answered)
    }
}

/// The server's clock minus ours, from the headers of an answer, and when we asked and were answered.
///
/// The date is cut to the second and was read at some instant in between, so that it fits a whole
/// range of differences; this is the one nearest to none. A cache says how old its answer is.
fn skew(headers: &HeaderMap, asked: DateTime<Utc>, answered: DateTime<Utc>) -> Option<TimeDelta> {
    let age = headers.get(AGE).and_then(|age| age.to_str().ok());
    let age = age.and_then(|age| age.trim().parse::<u32>().ok());
    let date = date(headers)? + TimeDelta::seconds(age.unwrap_or(0).into());
    let least = date - answered;
    let most = date + TimeDelta::seconds(1) - asked;
    Some(least.max(most.min(TimeDelta::zero())))
}

#[cfg(test)]
mod tests {
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
    fn skew_is_the_least_difference_that_explains_the_date() {
        let noon = "Mon, 23 Nov 2026 12:00:00 GMT";
        let skew = |asked, answered| {
            let headers = headers(&[(DATE, noon)]);
            skew(&headers, at(asked), at(answered)).unwrap()
        };
        let none = [
            skew("2026-11-23T12:00:00.100Z", "2026-11-23T12:00:00.900Z"),
            skew("2026-11-23T12:00:00.900Z", "2026-11-23T12:00:01.300Z"),
            skew("2026-11-23T11:59:59Z", "2026-11-23T12:00:00Z"),
        ];
        assert_eq!(none, [TimeDelta::zero(); 3]);
        let ahead = skew("2026-11-23T11:59:50Z", "2026-11-23T11:59:50.500Z");
        assert_eq!(ahead, TimeDelta::milliseconds(9_500));
        let behind = skew("2026-11-24T12:00:00.500Z", "2026-11-24T12:00:00.600Z");
        assert_eq!(behind, TimeDelta::milliseconds(-86_399_500));
    }

    #[test]
    fn an_answer_from_a_cache_is_as_old_as_the_cache_says() {
        let answered = at("2026-11-23T12:00:00Z");
        let date = (DATE, "Mon, 23 Nov 2026 10:00:00 GMT");
        let skew = |headers: &HeaderMap| skew(headers, answered, answered);
        // The date is cut to the second.
        let old = Some(TimeDelta::seconds(1 - 7200));
        assert_eq!(skew(&headers(std::slice::from_ref(&date))), old);
        let cached = headers(&[date.clone(), (AGE, "7200")]);
        assert_eq!(skew(&cached), Some(TimeDelta::zero()));
        assert_eq!(skew(&headers(&[date, (AGE, "old")])), old);
        assert_eq!(skew(&headers(&[(AGE, "7200")])), None);
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
