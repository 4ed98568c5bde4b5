//! The database on the other end: where it is, how to write to it, and how to see what it has.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use super::settings::Settings;
use super::wire;
use crate::egress::SendError;
use crate::egress::place::Place;
use crate::egress::post::{Poster, Refusal};
use crate::egress::promql::{Answer, quoted};
use crate::egress::reach::reach_place;
use crate::flowgent::transport::HttpClient;
use crate::history::placement::Sample;
use crate::roster::Agent;

/// The most bytes that are read of an answer to a query: it holds one series with one sample.
const ANSWER_LIMIT: usize = 64 << 10;
/// Relative tolerance of a value that comes back. VictoriaMetrics keeps fifteen digits of it.
const PRECISION: f64 = 1e-12;

/// Paths' ends for writes, and for queries of the same databases.
const PATHS: [[&str; 2]; 2] = [
    // Prometheus and VictoriaMetrics.
    ["/api/v1/write", "/api/v1/query"],
    // Mimir.
    ["/api/v1/push", "/prometheus/api/v1/query"],
];

/// The path of queries, as far as that of writes tells it.
#[must_use]
pub fn query_path(write_path: &str) -> Option<String> {
    let write_path = write_path.trim_end_matches('/');
    PATHS.iter().find_map(|[write, query]| {
        let before = write_path.strip_suffix(write)?;
        // In a cluster of VictoriaMetrics queries go to another host.
        (!before.contains("/insert/")).then(|| format!("{before}{query}"))
    })
}

/// A database that can be written to. Secrets are read when it is opened, so that they can be exchanged.
pub(super) struct Receiver<'a> {
    settings: &'a Settings,
    poster: Poster,
    write: Place,
    query: Option<Place>,
}

impl<'a> Receiver<'a> {
    /// Nothing is connected to yet.
    ///
    /// # Errors
    /// A secret cannot be read, or the certificates.
    pub(super) async fn open(
        settings: &'a Settings,
        over: Option<&HttpClient>,
    ) -> Result<Self, SendError> {
        let poster = match over {
            Some(client) => Poster::over(&client.pool, settings.timeout),
            None => {
                let (ca_file, proxy) = (settings.ca_file.as_deref(), settings.proxy.as_ref());
                Poster::new(settings.timeout, settings.allow_private, ca_file, proxy).await?
            }
        };
        let mut query = match &settings.query_url {
            _ if !settings.read_back => None,
            Some(url) => Some(Place::new(url.clone())),
            None => {
                let place = settings.write_url.place().await?;
                let Some(path) = query_path(place.url.path()) else {
                    return Err(SendError::new(format!(
                        "{}: the path of its URL does not tell where it answers queries: set `query_url` \
                         in [push], or `read_back = false`",
                        place.name()
                    )));
                };
                Some(place.with_path(|_| path))
            }
        };
        let mut write = settings.write_url.place().await?;
        for place in std::iter::once(&mut write).chain(&mut query) {
            if let Some((user, password)) = &settings.basic_auth {
                place.log_in(user, password).await?;
            }
            if let Some(token) = &settings.bearer_token {
                place.bear(token).await?;
            }
        }
        Ok(Self {
            settings,
            poster,
            write,
            query,
        })
    }

    /// Its name in errors and logs: scheme, host and port, or the source of a secret URL.
    pub(super) fn name(&self) -> &str {
        self.write.name()
    }

    /// Its name in the ledger: something that is another one wherever other series are written, and
    /// that tells no secret.
    pub(super) fn identity(&self) -> String {
        let mut url = self.write.url.clone();
        // Who writes makes no difference, and passwords change. A URL of HTTP can have both removed.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        let tenant = self.settings.tenant.as_deref().unwrap_or_default();
        let target = &self.settings.target;
        let mut digest = Sha256::new();
        for part in [url.as_str(), tenant, &target.job, &target.instance] {
            digest.update(part.len().to_be_bytes());
            digest.update(part);
        }
        let bytes = digest.finalize();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Sends `body`, which is of [`wire::body`], once.
    ///
    /// # Errors
    /// It was not taken, or not within the timeout.
    pub(super) async fn write(&self, body: Vec<u8>, now: DateTime<Utc>) -> Result<(), Refusal> {
        let mut headers = self.headers();
        for (name, value) in [
            (CONTENT_TYPE, "application/x-protobuf"),
            (CONTENT_ENCODING, "snappy"),
            (VERSION, "0.1.0"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let poster = self.poster.again(self.settings.timeout);
        let posted = poster.post(&self.write, headers, body, now);
        in_time(&self.write, self.settings.timeout, posted)
            .await
            .map(drop)
    }

    /// Checks that queries show `sample` of `agent`, or returns what they show instead. Nothing is asked
    /// if nothing is to be read back.
    ///
    /// # Errors
    /// The query was not answered.
    pub(super) async fn shows(
        &self,
        agent: &Agent,
        sample: Sample,
        now: DateTime<Utc>,
    ) -> Result<Shown, Refusal> {
        let Some(place) = &self.query else {
            return Ok(Shown::Same);
        };
        let labels = wire::labels(agent, &self.settings.target);
        let matchers = labels.map(|(name, value)| format!("{name}={}", quoted(value)));
        // The raw samples of the second before that instant, and of the instant itself.
        let query = format!("{{{}}}[1s]", matchers.join(","));
        let (seconds, millis) = (sample.at_ms.div_euclid(1000), sample.at_ms.rem_euclid(1000));
        let time = format!("{seconds}.{millis:03}");
        // VictoriaMetrics remembers that nothing was there; others do not know the word.
        let form = [("query", query.as_str()), ("time", &time), ("nocache", "1")];
        let poster = self.poster.again(self.settings.timeout);
        let asked = poster.get(place, &form, self.headers(), ANSWER_LIMIT, now);
        let answer = in_time(place, self.settings.timeout, asked).await?;
        let values = parse(&answer).ok_or_else(|| {
            Refusal::silent(place, "its answer to a query is not that of a Prometheus")
        })?;
        let there = values.iter().find(|(at_ms, _)| *at_ms == sample.at_ms);
        Ok(match there {
            None => Shown::Nothing,
            Some((_, value)) if is_same(*value, sample.credits) => Shown::Same,
            Some((_, value)) => Shown::Other(*value),
        })
    }

    fn headers(&self) -> HeaderMap {
        let tenant = self.settings.tenant.as_deref();
        // The config was refused if it is no value of a header.
        let tenant = tenant.and_then(|tenant| HeaderValue::from_str(tenant).ok());
        tenant.map(|tenant| (TENANT, tenant)).into_iter().collect()
    }
}

/// The version of the protocol.
const VERSION: HeaderName = HeaderName::from_static("x-prometheus-remote-write-version");
/// Which tenant of Mimir, Cortex or Loki is meant.
const TENANT: HeaderName = HeaderName::from_static("x-scope-orgid");

/// Result of a query at an instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Shown {
    /// The value that was written.
    Same,
    /// Nothing.
    Nothing,
    /// Another value.
    Other(f64),
}

/// Connects to the database that `settings` name, and hangs up. Returns that it can be reached, in words.
///
/// # Errors
/// Why it cannot.
pub async fn reach(settings: &Settings) -> Result<String, String> {
    let place = settings.write_url.place().await;
    let place = place.map_err(|error| error.text)?;
    let reached = reach_place(&place, settings.allow_private, settings.proxy.as_ref()).await;
    reached.map_err(|error| error.text)
}

/// Result of `answer`, if it comes in time.
async fn in_time<T>(
    place: &Place,
    limit: Duration,
    answer: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    let late = |_| Refusal::silent(place, &format!("no answer within {limit:?}"));
    timeout(limit, answer).await.map_err(late)?
}

fn is_same(one: f64, other: f64) -> bool {
    (one - other).abs() <= PRECISION * other.abs()
}

#[derive(Deserialize)]
struct Series {
    values: Vec<(f64, String)>,
}

/// Each instant in milliseconds and the value there.
#[allow(
    clippy::cast_possible_truncation,
    reason = "milliseconds of any date stay far below 2^53"
)]
#[must_use]
pub fn parse(answer: &[u8]) -> Option<Vec<(i64, f64)>> {
    let answer: Answer<Series> = serde_json::from_slice(answer).ok()?;
    let series = answer.data?.result.into_iter();
    series
        .flat_map(|series| series.values)
        .map(|(seconds, value)| Some(((seconds * 1000.0).round() as i64, value.parse().ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_queries_follows_from_that_of_writes() {
        for (write, query) in [
            ("/api/v1/write", Some("/api/v1/query")),
            (
                "/prometheus/api/v1/write/",
                Some("/prometheus/api/v1/query"),
            ),
            ("/api/v1/push", Some("/prometheus/api/v1/query")),
            ("/insert/0/prometheus/api/v1/write", None),
            ("/write", None),
            ("/", None),
        ] {
            assert_eq!(query_path(write).as_deref(), query, "{write}");
        }
    }

    #[test]
    fn answers_are_read_and_others_are_not() {
        let answer = br#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{},"values":[[1772452799.5,"4"],[1772452800,"5.25"]]}]}}"#;
        assert_eq!(
            parse(answer).unwrap(),
            [(1_772_452_799_500, 4.0), (1_772_452_800_000, 5.25)]
        );
        let empty = br#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#;
        assert_eq!(parse(empty).unwrap(), []);
        for wrong in [&b"<html>"[..], b"{}", br#"{"status":"error","error":"x"}"#] {
            assert_eq!(parse(wrong), None);
        }
    }

    #[test]
    fn a_value_is_the_same_in_fifteen_digits() {
        assert!(is_same(0.3, 0.1 + 0.2));
        assert!(is_same(0.0, 0.0));
        assert!(!is_same(5.0, 6.0));
        assert!(!is_same(0.0, 1e-9));
    }
}
