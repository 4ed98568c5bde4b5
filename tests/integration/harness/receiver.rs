//! A receiver of webhooks: it checks signatures, keeps what it got, and answers as it is told to.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::wait_for;

/// How a receiver answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Habit {
    /// With that status.
    Status(u16),
    /// Never, though it has read everything.
    Silence,
    /// Never where the body holds that text, else with 200.
    SilenceAt(String),
    /// With a body that never ends, a byte at a time.
    Drip,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Received {
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: Bytes,
}

impl Received {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The delivery's id.
    pub fn id(&self) -> String {
        self.headers["webhook-id"].clone()
    }

    /// The rules of the alerts in it, with their status.
    pub fn alerts(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let json = self.json();
        let alerts = json["alerts"].as_array().unwrap();
        alerts
            .iter()
            .map(|alert| (text(&alert["rule"]), text(&alert["status"])))
            .collect()
    }

    /// Fails unless it was signed with the secret whose bytes these are.
    pub fn assert_signed_with(&self, secret: &[u8]) {
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret).unwrap();
        let timestamp = &self.headers["webhook-timestamp"];
        mac.update(format!("{}.{timestamp}.", self.id()).as_bytes());
        mac.update(&self.body);
        let signature = format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()));
        let given = &self.headers["webhook-signature"];
        assert!(
            given.split(' ').any(|one| one == signature),
            "{signature} is not among {given}"
        );
    }
}

/// A receiver on a port of its own, until it is dropped.
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    habit: Mutex<Habit>,
    received: Mutex<Vec<Received>>,
}

impl Receiver {
    /// One that answers with 200.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            habit: Mutex::new(Habit::Status(200)),
            received: Mutex::default(),
        });
        let server = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Self {
            address,
            shared,
            server,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL; the path holds what a token would be.
    pub fn url(&self) -> String {
        format!("http://{}/token-canary/in", self.address)
    }

    /// Answers in that way from now on.
    pub fn set_habit(&self, habit: Habit) {
        *self.shared.habit.lock().unwrap() = habit;
    }

    /// All that came.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// Forgets what came.
    pub fn forget(&self) {
        self.shared.received.lock().unwrap().clear();
    }

    /// Waits until so many different deliveries have come.
    pub async fn wait_for_deliveries(&self, count: usize) -> Vec<Received> {
        wait_for(&format!("delivery {count}"), async || {
            let received = self.received();
            let ids: BTreeSet<String> = received.iter().map(Received::id).collect();
            if ids.len() >= count {
                Ok(received)
            } else {
                Err(format!("{received:#?}"))
            }
        })
        .await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, Arc::clone(&shared)));
            // A client that is killed breaks its connection off, which is no concern of a receiver.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<Response<http_body_util::combinators::BoxBody<Bytes, Infallible>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let text = |value: &hyper::header::HeaderValue| value.to_str().unwrap().to_owned();
    let headers = head.headers.iter();
    let habit = shared.habit.lock().unwrap().clone();
    let is_silent = match &habit {
        Habit::Silence => true,
        Habit::SilenceAt(text) => String::from_utf8_lossy(&body).contains(text),
        Habit::Status(_) | Habit::Drip => false,
    };
    shared.received.lock().unwrap().push(Received {
        path: head.uri.path().to_owned(),
        headers: headers
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect(),
        body,
    });
    if is_silent {
        std::future::pending::<()>().await;
    }
    let noted = Full::new(Bytes::from_static(b"noted")).boxed();
    let (status, body) = match habit {
        Habit::Status(status) => (status, noted),
        Habit::Drip => (200, Drip::default().boxed()),
        Habit::Silence | Habit::SilenceAt(_) => (200, noted),
    };
    Ok(Response::builder().status(status).body(body).unwrap())
}

/// A body that never ends.
#[derive(Default)]
struct Drip(Option<std::pin::Pin<Box<tokio::time::Sleep>>>);

impl hyper::body::Body for Drip {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Infallible>>> {
        // The drip is the fault that is tried; no test waits for its time.
        let pause = std::time::Duration::from_millis(50);
        let sleep = self
            .0
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
        std::task::ready!(sleep.as_mut().poll(context));
        self.0 = None;
        let frame = hyper::body::Frame::data(Bytes::from_static(b" "));
        std::task::Poll::Ready(Some(Ok(frame)))
    }
}
