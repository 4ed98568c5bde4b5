//! HTTP underneath the calls: one pool of connections for all accounts, and the time that FlowGent's answers tell.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::{ACCEPT, AGE, CACHE_CONTROL, HeaderMap, HeaderValue};
use tokio::time::Instant;
use url::Url;

use crate::blocking;
use crate::clock::{Clock, instant};
use crate::egress::transport::{
    CONNECT_TIMEOUT, HttpClientError, Pool, Wire, client_builder, date, is_loopback,
};
use crate::egress::{Roots, TransportError};
use crate::files::{self, CERTIFICATES};
use crate::flowgent::Settings;

/// A pool of connections to FlowGent, shared by the clients of all accounts; clones are the same pool.
#[derive(Debug, Clone)]
pub struct HttpClient {
    pub(crate) pool: Pool,
    pub(super) base_url: Url,
    pub(super) timeout: Duration,
    /// The certificates of the file that was named, as they were read.
    certificates: Option<Arc<[u8]>>,
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
            pool: Pool::new(builder)?,
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
            pool: self.pool.over(wire),
            ..self
        }
    }

    /// Asks FlowGent for nothing but its time, without a key, and has `clock` hear it.
    ///
    /// # Errors
    /// There was no answer.
    pub async fn ask_the_time(&self, clock: &dyn Clock) -> Result<(), TransportError> {
        let question = Question::now(clock);
        let request = self
            .pool
            .http
            .head(self.base_url.clone())
            .header(CACHE_CONTROL, "no-cache")
            .timeout(CONNECT_TIMEOUT);
        let response = self.pool.send(request).await?;
        clock.hear(question.skew(response.headers(), clock));
        Ok(())
    }
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
    use reqwest::header::{DATE, HeaderName};

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
}
