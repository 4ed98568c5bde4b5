//! Parts shared by the server and the conversations: responses, and work that goes on after them.

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::body::Body;

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// Tasks that go on after the answer.
pub(super) struct Background<'a> {
    pub(super) stop: &'a CancellationToken,
    pub(super) tasks: TaskTracker,
}

impl Background<'_> {
    /// Does `work` until the simulator stops.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            stop.run_until_cancelled(work).await;
        });
    }
}

/// A JSON response.
pub(super) fn json(status: u16, body: impl Into<Bytes>) -> Response<Body> {
    with_type(status, JSON, body)
}

/// A page.
pub(super) fn html(status: u16, text: &str) -> Response<Body> {
    let page = format!(
        "<!DOCTYPE html><html><head><title>{text}</title></head><body><h1>{text}</h1></body></html>\n"
    );
    with_type(status, HTML, page)
}

fn with_type(status: u16, kind: HeaderValue, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::Whole(body.into()));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
