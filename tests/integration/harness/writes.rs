//! A database that takes remote writes and answers queries, as it is told to.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use prost::Message;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::form_urlencoded;

/// A series by its labels, in the order in which they came.
pub type Labels = Vec<(String, String)>;

/// A request that wrote.
#[derive(Debug, Clone)]
pub struct Write {
    pub path: String,
    pub headers: BTreeMap<String, String>,
    /// Each series with its samples: milliseconds and value.
    pub series: Vec<(Labels, Vec<(i64, f64)>)>,
}

impl Write {
    /// Whether an agent of that name is in it.
    pub fn is_about(&self, agent: &str) -> bool {
        let label = ("agent".to_owned(), agent.to_owned());
        self.series
            .iter()
            .any(|(labels, _)| labels.contains(&label))
    }
}

/// What it answers to a write.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// It takes it.
    Taken,
    /// It answers so, and takes nothing of it.
    Dropped,
    /// That status with that header and that body.
    Refused(u16, &'static str, &'static str),
    /// It has read everything, and never answers.
    Silence,
}

type Judge = dyn Fn(usize, &Write) -> Reply + Send + Sync;

/// A database on a port of its own, until it is dropped.
pub struct Database {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    judge: Mutex<Arc<Judge>>,
    writes: Mutex<Vec<Write>>,
    queries: Mutex<Vec<String>>,
    samples: Mutex<BTreeMap<Labels, BTreeMap<i64, f64>>>,
}

impl Database {
    /// One that takes everything.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let judge: Arc<Judge> = Arc::new(|_, _| Reply::Taken);
        let shared = Arc::new(Shared {
            judge: Mutex::new(judge),
            writes: Mutex::default(),
            queries: Mutex::default(),
            samples: Mutex::default(),
        });
        let served = Arc::clone(&shared);
        let server = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let shared = Arc::clone(&served);
                tokio::spawn(async move {
                    let service = service_fn(|request| answer(request, Arc::clone(&shared)));
                    // A client that is killed breaks its connection off, which is no concern of this one.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self {
            address,
            shared,
            server,
        }
    }

    /// The URL that takes writes.
    pub fn url(&self) -> String {
        format!("http://{}/api/v1/write", self.address)
    }

    /// Where it is, as messages call it.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers writes so from now on: by how many have come since then, and by what they write.
    pub fn judge(&self, judge: impl Fn(usize, &Write) -> Reply + Send + Sync + 'static) {
        let mut writes = self.shared.writes.lock().unwrap();
        *self.shared.judge.lock().unwrap() = Arc::new(judge);
        writes.clear();
    }

    /// The writes that came since it was told how to answer.
    pub fn writes(&self) -> Vec<Write> {
        self.shared.writes.lock().unwrap().clone()
    }

    /// The queries that came.
    pub fn queries(&self) -> Vec<String> {
        self.shared.queries.lock().unwrap().clone()
    }

    /// The samples that it has of the agent of that name and account.
    pub fn samples(&self, account: &str, agent: &str) -> Vec<(i64, f64)> {
        let samples = self.shared.samples.lock().unwrap();
        let wanted = [("account", account), ("agent", agent)];
        let wanted = wanted.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let series = samples
            .iter()
            .filter(|(labels, _)| wanted.iter().all(|label| labels.contains(label)));
        series
            .flat_map(|(_, samples)| samples.iter().map(|(at, value)| (*at, *value)))
            .collect()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// As the definition of remote write has it, written anew.
#[derive(Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    series: Vec<Series>,
}

#[derive(Message)]
struct Series {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

#[derive(Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    at_ms: i64,
}

async fn answer(
    request: Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    if head.method == "GET" {
        let query = head.uri.query().unwrap_or_default().to_owned();
        shared.queries.lock().unwrap().push(query.clone());
        let found = found(&shared, &query);
        return Ok(Response::new(Full::from(found)));
    }
    let plain = snap::raw::Decoder::new().decompress_vec(&body).unwrap();
    let request = WriteRequest::decode(plain.as_slice()).unwrap();
    let write = Write {
        path: head.uri.path().to_owned(),
        headers: head
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect(),
        series: request
            .series
            .into_iter()
            .map(|series| {
                let labels = series.labels.into_iter();
                let samples = series.samples.into_iter();
                (
                    labels.map(|label| (label.name, label.value)).collect(),
                    samples.map(|sample| (sample.at_ms, sample.value)).collect(),
                )
            })
            .collect(),
    };
    let reply = {
        let mut writes = shared.writes.lock().unwrap();
        let judge = Arc::clone(&shared.judge.lock().unwrap());
        let reply = judge(writes.len(), &write);
        writes.push(write.clone());
        reply
    };
    Ok(match reply {
        Reply::Taken => {
            keep(&shared, write);
            status(204)
        }
        Reply::Dropped => status(204),
        Reply::Refused(code, header, body) => {
            let (name, value) = header.split_once(": ").unwrap_or(("x-a", "b"));
            Response::builder()
                .status(code)
                .header(name, value)
                .body(Full::from(body))
                .unwrap()
        }
        Reply::Silence => std::future::pending().await,
    })
}

fn status(code: u16) -> Response<Full<Bytes>> {
    let body = Full::default();
    Response::builder().status(code).body(body).unwrap()
}

/// Keeps samples as a database does: what is there stays.
fn keep(shared: &Shared, write: Write) {
    let mut all = shared.samples.lock().unwrap();
    for (labels, samples) in write.series {
        let series = all.entry(labels).or_default();
        for (at, value) in samples {
            let kept = *series.entry(at).or_insert(value);
            assert!(kept == value, "{value} was written where {kept} is");
        }
    }
}

/// The sample at the very instant of a query, of the series whose labels it names.
fn found(shared: &Shared, query: &str) -> String {
    let form: BTreeMap<String, String> = form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    let seconds: f64 = form["time"].parse().unwrap();
    let at = (seconds * 1000.0).round() as i64;
    let all = shared.samples.lock().unwrap();
    let of_labels = all.iter().filter(|(labels, _)| {
        labels
            .iter()
            .all(|(name, value)| form["query"].contains(&format!("{name}=\"{value}\"")))
    });
    let values: Vec<_> = of_labels
        .filter_map(|(_, samples)| samples.get(&at))
        .map(|value| json!({"metric": {}, "values": [[seconds, value.to_string()]]}))
        .collect();
    json!({"status": "success", "data": {"resultType": "matrix", "result": values}}).to_string()
}
