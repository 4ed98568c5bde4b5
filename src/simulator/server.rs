//! Connections and requests: who asks for what, may they, and does anything go wrong.

use std::borrow::Cow;
use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};
use hyper::body::Incoming;
use hyper::header::{
    ALLOW, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderMap,
    HeaderValue, LOCATION, RETRY_AFTER,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::body::Body;
use super::faults::{Fault, RetryAfter};
use super::journal::Endpoint;
use super::refusal::{
    ACCESS_DENIED, INTERNAL, INVALID_AGENT_ID, INVALID_KEY, METHOD_NOT_ALLOWED, MISSING_KEY,
    NOT_FOUND, Refusal, TOO_MANY_REQUESTS,
};
use super::reply::{Background, JSON, html, json as answer};
use super::usage::{Report, range};
use super::world::{Account, Agent};
use super::{Shared, talk};
use crate::day::Day;

/// Prefix of every path, without the slash that follows.
const ROOT: &str = "/api/public/agent";
/// Pause after a connection could not be accepted, as when files run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts and serves connections until told to stop.
pub(super) struct Connections {
    pub(super) shared: Arc<Shared>,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
}

impl Connections {
    pub(super) async fn accept(self, listener: TcpListener) {
        let stop = self.stop.clone();
        let accepting = async {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => self.serve(stream),
                    Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                }
            }
        };
        stop.run_until_cancelled(accepting).await;
    }

    fn serve(&self, stream: TcpStream) {
        // Small answers should leave at once; if that can't be had they leave later.
        let _ = stream.set_nodelay(true);
        let (shared, stop, tasks) = (self.shared.clone(), self.stop.clone(), self.tasks.clone());
        self.tasks.spawn(async move {
            let caller = Background { stop: &stop, tasks };
            let service = service_fn(|request| {
                let (shared, caller) = (&shared, &caller);
                async move { Ok::<_, Infallible>(shared.respond(request, caller).await) }
            });
            let connection = http1::Builder::new()
                .header_read_timeout(None)
                .serve_connection(TokioIo::new(stream), service);
            // A client that hangs up and a body that was cut on purpose are both errors here.
            let _ = stop.run_until_cancelled(connection).await;
        });
    }
}

/// Target of a path.
struct Resource<'a> {
    endpoint: Endpoint,
    /// Empty for the listing.
    agent_id: Cow<'a, str>,
}

impl<'a> Resource<'a> {
    fn of(path: &'a str) -> Option<Self> {
        let rest = path.strip_prefix(ROOT)?;
        if rest.is_empty() {
            return Some(Self {
                endpoint: Endpoint::Listing,
                agent_id: Cow::Borrowed(""),
            });
        }
        let (agent_id, action) = rest.strip_prefix('/')?.split_once('/')?;
        let endpoint = match action {
            "usage" => Endpoint::Usage,
            "chat" => Endpoint::Chat,
            "waba" => Endpoint::Template,
            _ => return None,
        };
        Some(Self {
            endpoint,
            agent_id: percent_decode_str(agent_id).decode_utf8_lossy(),
        })
    }

    fn method(&self) -> Method {
        match self.endpoint {
            Endpoint::Listing | Endpoint::Usage => Method::GET,
            Endpoint::Chat | Endpoint::Template => Method::POST,
        }
    }
}

impl Shared {
    /// The answer to a request, dated by the simulator's clock.
    async fn respond(
        &self,
        request: Request<Incoming>,
        background: &Background<'_>,
    ) -> Response<Body> {
        let now = self.clock.now();
        let answer = self.answer(request, now, background).await;
        let mut response = answer.unwrap_or_else(|refusal| refuse(&refusal));
        response.headers_mut().insert(DATE, http_date(now));
        response
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        now: DateTime<Utc>,
        background: &Background<'_>,
    ) -> Result<Response<Body>, Refusal> {
        let (head, body) = request.into_parts();
        let target = Resource::of(head.uri.path()).ok_or(NOT_FOUND)?;
        if head.method != target.method() {
            let mut response = refuse(&METHOD_NOT_ALLOWED);
            let allowed = HeaderValue::from_str(target.method().as_str())
                .expect("the name of a method is a header value");
            response.headers_mut().insert(ALLOW, allowed);
            return Ok(response);
        }
        let account = self.account(&head.headers);
        let agent = self.world.agent(&target.agent_id);
        let window = range(head.uri.query().unwrap_or(""), Day::of(now));
        let asked = window.ok().filter(|_| target.endpoint == Endpoint::Usage);
        self.journal.note(target.endpoint, agent, asked);

        // These faults come first, as from a proxy that stands before the API.
        let name = account.ok().map(|account| &*account.name);
        if let Some(fault) = self.faults.replace(name, agent) {
            return Ok(replacement(fault, now).await);
        }
        let account = account?;
        if target.endpoint == Endpoint::Listing {
            return Ok(answer(200, self.listing(account).to_string()));
        }
        if target.agent_id.is_empty() {
            return Err(INVALID_AGENT_ID);
        }
        let agent = agent
            .filter(|agent| agent.account == account.name)
            .ok_or(ACCESS_DENIED)?;
        match target.endpoint {
            Endpoint::Chat => talk::chat(self, agent, body, now, background).await,
            Endpoint::Template => talk::template(self, agent, body).await,
            Endpoint::Usage | Endpoint::Listing => Ok(self.usage(agent, window?, now)),
        }
    }

    /// The account that the request's key belongs to.
    fn account(&self, headers: &HeaderMap) -> Result<&Account, Refusal> {
        let key = headers.get(AUTHORIZATION).ok_or(MISSING_KEY)?;
        if key.is_empty() {
            return Err(MISSING_KEY);
        }
        let owner = key.to_str().ok().and_then(|key| self.world.owner(key));
        owner.ok_or(INVALID_KEY)
    }

    fn usage(&self, agent: &Agent, (start, end): (Day, Day), now: DateTime<Utc>) -> Response<Body> {
        let report = Report {
            agent_id: &agent.id,
            start,
            end,
            days: self.world.known(agent, start, end, now),
        };
        let body = match self.faults.spoil(Endpoint::Usage, agent) {
            Some(fault) => report.spoilt(fault),
            None => report.json(),
        };
        answer(200, body)
    }

    /// The agents of an account, in the form that the settings ask for.
    fn listing(&self, account: &Account) -> serde_json::Value {
        let id = self.listing.id_field.as_deref().unwrap_or("id");
        let (agents, mut rest) = self.world.listed(account);
        let agents = agents.into_iter();
        let agents: serde_json::Value = agents
            .map(|agent| json!({id: &*agent.id, "name": &*agent.name}))
            .collect();
        match &self.listing.field {
            Some(field) => {
                rest.insert(field.clone(), agents);
                rest.into()
            }
            None => agents,
        }
    }
}

fn refuse(refusal: &Refusal) -> Response<Body> {
    answer(refusal.status, refusal.body())
}

/// Replacement for the answer by a fault.
async fn replacement(fault: Fault, now: DateTime<Utc>) -> Response<Body> {
    let body = match fault {
        Fault::Status(status, retry_after) => return failure(status, retry_after, now),
        Fault::Html => return html(200, "Down for maintenance"),
        Fault::Redirect => {
            let mut response = html(302, "Found");
            let elsewhere = HeaderValue::from_static("http://elsewhere.invalid/");
            response.headers_mut().insert(LOCATION, elsewhere);
            return response;
        }
        Fault::Drip => Body::drip(),
        Fault::Cut => Body::cut(),
        Fault::Oversized => Body::oversized(),
        Fault::GzipBomb => Body::gzip_bomb(),
        // Of the faults that replace an answer, only the silent one is left.
        _ => return pending().await,
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, JSON);
    if fault == Fault::Cut {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("4096"));
    }
    if fault == Fault::GzipBomb {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// An error status, told as FlowGent or, for those of a proxy, as a proxy tells it.
fn failure(status: u16, retry_after: Option<RetryAfter>, now: DateTime<Utc>) -> Response<Body> {
    let mut response = match status {
        401 => refuse(&INVALID_KEY),
        403 => refuse(&ACCESS_DENIED),
        429 => refuse(&TOO_MANY_REQUESTS),
        500 => refuse(&INTERNAL),
        502 => html(502, "Bad Gateway"),
        503 => html(503, "Service Unavailable"),
        other => html(other, "Error"),
    };
    let value = retry_after.map(|after| match after {
        RetryAfter::Seconds(seconds) => HeaderValue::from(seconds),
        RetryAfter::Date(seconds) => http_date(now + TimeDelta::seconds(seconds.into())),
    });
    if let Some(value) = value {
        response.headers_mut().insert(RETRY_AFTER, value);
    }
    response
}

fn http_date(instant: DateTime<Utc>) -> HeaderValue {
    // The format knows no years before 1970 and after 9999; a clock that strays there gets an end.
    let last = 253_402_300_799;
    let seconds = instant.timestamp().clamp(0, last).unsigned_abs();
    let date = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    HeaderValue::try_from(date).expect("an HTTP date is ASCII")
}
