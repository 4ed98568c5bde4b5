//! Which request gets which response.

use std::sync::Arc;

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Request, Response, StatusCode};
use prometheus::IntCounter;

use super::pages;
use super::readiness::Readiness;
use crate::clock::SharedClock;
use crate::exposition::{Encoding, Exposition, Frames, MediaType};
use crate::status::Board;
use crate::telemetry::Telemetry;

const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// What responses are made from.
#[derive(Debug, Clone)]
pub struct State {
    /// The metrics.
    pub exposition: Arc<Exposition>,
    /// What is known at this moment.
    pub board: Arc<Board>,
    /// Whether the exporter is ready.
    pub readiness: Readiness,
    /// Tells which day it is.
    pub clock: SharedClock,
    /// Where requests are counted.
    pub telemetry: Telemetry,
    /// Path of the metrics.
    pub telemetry_path: String,
}

/// Who answers; the names are the values of the label `handler`.
#[derive(Debug, Clone, Copy)]
enum Handler {
    Metrics,
    Landing,
    Healthy,
    Ready,
    /// Nobody: the path is unknown.
    None,
}

impl Handler {
    fn of(path: &str, telemetry_path: &str) -> Self {
        match path {
            // First, so that the metrics may be at `/`.
            path if path == telemetry_path => Self::Metrics,
            "/" => Self::Landing,
            "/-/healthy" => Self::Healthy,
            "/-/ready" => Self::Ready,
            _ => Self::None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Landing => "landing",
            Self::Healthy => "healthy",
            Self::Ready => "ready",
            Self::None => "none",
        }
    }
}

/// The outcomes that are counted from zero, so that a rate over them sees the first.
const OUTCOMES: [(Handler, StatusCode); 6] = [
    (Handler::Metrics, StatusCode::OK),
    (Handler::Landing, StatusCode::OK),
    (Handler::Healthy, StatusCode::OK),
    (Handler::Ready, StatusCode::OK),
    (Handler::Ready, StatusCode::SERVICE_UNAVAILABLE),
    (Handler::None, StatusCode::NOT_FOUND),
];

/// The content of a response, in frames whose total length is known.
pub(super) enum Content {
    /// A short text.
    Text(Bytes),
    /// The metrics.
    Metrics(Frames),
}

impl Content {
    /// How many bytes are left.
    pub(super) fn length(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::Metrics(frames) => frames.length(),
        }
    }

    /// The next of them.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        match self {
            Self::Text(text) => Some(std::mem::take(text)).filter(|text| !text.is_empty()),
            Self::Metrics(frames) => frames.next(),
        }
    }
}

/// Answers `request` and counts it. The content of a request is never read.
pub(super) async fn respond(state: &State, request: &Request<Incoming>) -> Response<Content> {
    let handler = Handler::of(request.uri().path(), &state.telemetry_path);
    let is_head = request.method() == Method::HEAD;
    let mut response = match handler {
        Handler::None => text(StatusCode::NOT_FOUND, "not found\n"),
        _ if !is_head && request.method() != Method::GET => {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
            set(&mut response, ALLOW, HeaderValue::from_static("GET, HEAD"));
            response
        }
        Handler::Metrics => metrics(state, request.headers()),
        Handler::Landing => landing(state),
        Handler::Healthy => text(StatusCode::OK, "healthy\n"),
        Handler::Ready => match state.readiness.pending() {
            None => text(StatusCode::OK, "ready\n"),
            Some(reason) => text(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("not ready: {reason}\n"),
            ),
        },
    };
    let length = response.body().length().into();
    set(&mut response, CONTENT_LENGTH, length);
    let nosniff = HeaderValue::from_static("nosniff");
    set(&mut response, X_CONTENT_TYPE_OPTIONS, nosniff);
    if is_head {
        *response.body_mut() = Content::Text(Bytes::new());
    }
    if !request.body().is_end_stream() {
        // What nobody reads must not be taken for the next request. Left to itself, hyper reads on
        // if the content happens to be there already.
        set(&mut response, CONNECTION, HeaderValue::from_static("close"));
    }
    requests(&state.telemetry, handler, response.status()).inc();
    response
}

/// Makes the request counters, at zero.
pub(super) fn start_counting(telemetry: &Telemetry) {
    for (handler, status) in OUTCOMES {
        requests(telemetry, handler, status);
    }
}

fn requests(telemetry: &Telemetry, handler: Handler, status: StatusCode) -> IntCounter {
    let labels = [handler.name(), status.as_str()];
    telemetry.http_requests.with_label_values(&labels)
}

fn metrics(state: &State, headers: &HeaderMap) -> Response<Content> {
    let media_type = MediaType::negotiate(&joined(headers, &ACCEPT));
    let encoding = Encoding::negotiate(&joined(headers, &ACCEPT_ENCODING));
    let today = state.clock.today();
    let frames = state.exposition.scrape(media_type.format, encoding, today);
    let mut response = Response::new(Content::Metrics(frames));
    let content_type = HeaderValue::from_str(&media_type.to_string())
        .expect("media types are made of visible ASCII");
    set(&mut response, CONTENT_TYPE, content_type);
    if encoding == Encoding::Gzip {
        let gzip = HeaderValue::from_static("gzip");
        set(&mut response, CONTENT_ENCODING, gzip);
    }
    let vary = HeaderValue::from_static("Accept, Accept-Encoding");
    set(&mut response, VARY, vary);
    response
}

fn landing(state: &State) -> Response<Content> {
    let mut response = text(StatusCode::OK, pages::landing(&state.telemetry_path));
    set(&mut response, CONTENT_TYPE, HTML);
    let policy = HeaderValue::from_static(pages::CONTENT_SECURITY_POLICY);
    set(&mut response, CONTENT_SECURITY_POLICY, policy);
    response
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Content> {
    let mut response = Response::new(Content::Text(text.into()));
    *response.status_mut() = status;
    set(&mut response, CONTENT_TYPE, PLAIN);
    response
}

fn set(response: &mut Response<Content>, name: HeaderName, value: HeaderValue) {
    response.headers_mut().insert(name, value);
}

/// All values of a header as one list. Values that are no text are left out.
fn joined(headers: &HeaderMap, name: &HeaderName) -> String {
    let values = headers.get_all(name).iter();
    let values: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
    values.join(",")
}
