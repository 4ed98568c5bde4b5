//! Which request gets which response.

use hyper::body::{Body, Incoming};
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue,
    RETRY_AFTER, VARY, WWW_AUTHENTICATE,
};
use hyper::{Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use prometheus::IntCounter;

use super::metrics::ServerMetrics;
use crate::api::{self, Endpoint, FACTS};
use crate::exposition::{Encoding, MediaType, weight};
use crate::http::gate::Weight;
use crate::http::problem::{Kind, Problem};
use crate::http::request::{Asked, joined};
use crate::http::response::{self, Content, Reply, set};
use crate::http::state::State;
use crate::pages::{self, PageKind};
use crate::protection::Refusal;
use crate::protection::origin::{self, Arrival};

/// Handlers of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Handler {
    Metrics,
    Page(PageKind),
    Healthy,
    Ready,
    Reload,
    Api(Endpoint),
    /// Nobody: the path is unknown.
    None,
    /// Nobody: whoever asks may not.
    Guard,
}

/// The paths and their handlers, beside the metrics and [those of the API](FACTS). A segment in braces matches any
/// text, which the handler gets in order and decoded.
const ROUTES: [(&str, Handler); 8] = [
    ("/", Handler::Page(PageKind::Overview)),
    ("/accounts/{account}", Handler::Page(PageKind::Account)),
    ("/agents/{account}/{agent}", Handler::Page(PageKind::Agent)),
    ("/alerts", Handler::Page(PageKind::Alerts)),
    ("/favicon.svg", Handler::Page(PageKind::Icon)),
    ("/-/healthy", Handler::Healthy),
    ("/-/ready", Handler::Ready),
    ("/-/reload", Handler::Reload),
];

/// Reply to a missing or wrong name and password.
const UNAUTHORIZED: &str = "unauthorized: this exporter asks for a user name and a password\n";

/// Prefix of all paths for programs, existing or not.
const API: &str = "/api/";

impl Handler {
    /// Its name: the value of the label `handler`.
    fn name(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Page(kind) => kind.as_str(),
            Self::Healthy => "healthy",
            Self::Ready => "ready",
            Self::Reload => "reload",
            Self::Api(endpoint) => endpoint.facts().name,
            Self::None => "none",
            Self::Guard => "guard",
        }
    }

    /// The methods that it takes, as the header Allow tells them.
    const fn methods(self) -> &'static str {
        match self {
            Self::Metrics
            | Self::Page(_)
            | Self::Healthy
            | Self::Ready
            | Self::Api(_)
            | Self::None
            | Self::Guard => "GET, HEAD",
            Self::Reload => "POST, PUT",
        }
    }

    /// The outcomes that are counted from zero, so that a rate over them sees the first.
    const fn outcomes(self) -> &'static [StatusCode] {
        match self {
            Self::Metrics => &[StatusCode::OK],
            Self::Page(kind) => kind.outcomes(),
            Self::Reload => &[StatusCode::OK, StatusCode::INTERNAL_SERVER_ERROR],
            Self::Guard => &[StatusCode::UNAUTHORIZED],
            Self::Healthy | Self::Ready => &[StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE],
            Self::Api(_) => Endpoint::OUTCOMES,
            Self::None => &[StatusCode::NOT_FOUND],
        }
    }
}

/// Answers `request` and counts it. The content of a request is never read.
pub(super) async fn respond(state: &State, request: &Request<Incoming>) -> Response<Content> {
    let (uri, headers) = (request.uri(), request.headers());
    let (handler, parameters) = route(uri.path(), &state.telemetry_path);
    let asked = Asked::new(uri.path(), parameters, uri.query(), headers);
    let reply = answer(state, handler, request.method(), &asked).await;
    send(state, handler, reply, request).await
}

/// Turns away a `request` that no client may send, and counts it.
pub(super) async fn turn_away(
    state: &State,
    request: &Request<Incoming>,
    arrival: &Arrival,
    tls: bool,
) -> Option<Response<Content>> {
    let problem = origin::check(request, arrival, &state.hosts.load(), tls).err()?;
    let reply = as_text_or_problem(&problem, request.uri().path(), problem.detail());
    Some(send(state, Handler::Guard, reply, request).await)
}

/// Tells that `request` may not be answered, and counts it.
pub(super) async fn refuse(
    state: &State,
    request: &Request<Incoming>,
    refusal: Refusal,
) -> Response<Content> {
    let mut reply = match refusal {
        Refusal::Unauthorized => response::text(StatusCode::UNAUTHORIZED, UNAUTHORIZED),
        Refusal::Busy => response::text(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many passwords are being checked\n",
        ),
        Refusal::TooMany => response::text(
            StatusCode::TOO_MANY_REQUESTS,
            "too many requests: see rate_limit in the web config\n",
        ),
    };
    match refusal {
        Refusal::Unauthorized => set(
            &mut reply,
            WWW_AUTHENTICATE,
            "Basic realm=\"flowgent-exporter\", charset=\"UTF-8\"",
        ),
        Refusal::Busy | Refusal::TooMany => set(&mut reply, RETRY_AFTER, "1"),
    }
    send(state, Handler::Guard, reply, request).await
}

/// Makes the response of a reply to `request`, and counts it.
async fn send(
    state: &State,
    handler: Handler,
    reply: Reply,
    request: &Request<Incoming>,
) -> Response<Content> {
    let mut response = response::finish(reply, request.headers()).await;
    if request.method() == Method::HEAD {
        response.body_mut().clear();
    }
    if !request.body().is_end_stream() {
        // What nobody reads must not be taken for the next request. Left to itself, hyper reads on
        // if the content happens to be there already.
        set(&mut response, CONNECTION, "close");
    }
    requests(&state.telemetry.of(), handler, response.status()).inc();
    response
}

/// Handler of `path`, and its parameters.
fn route(path: &str, telemetry_path: &str) -> (Handler, Vec<String>) {
    // First, so that the metrics may be at `/`.
    if path == telemetry_path {
        return (Handler::Metrics, Vec::new());
    }
    routes()
        .find_map(|(pattern, handler)| Some((handler, parameters(pattern, path)?)))
        .unwrap_or((Handler::None, Vec::new()))
}

/// All paths but that of the metrics.
fn routes() -> impl Iterator<Item = (&'static str, Handler)> {
    let api = FACTS.iter();
    let api = api.map(|facts| (facts.path, Handler::Api(facts.endpoint)));
    ROUTES.into_iter().chain(api)
}

/// Parts of `path` at the braces of `pattern`, decoded; none if it does not match.
fn parameters(pattern: &str, path: &str) -> Option<Vec<String>> {
    let mut segments = path.split('/');
    let mut parameters = Vec::new();
    for expected in pattern.split('/') {
        let segment = segments.next()?;
        if expected.starts_with('{') {
            let decoded = percent_decode_str(segment).decode_utf8().ok()?;
            parameters.push(decoded.into_owned());
        } else if segment != expected {
            return None;
        }
    }
    segments.next().is_none().then_some(parameters)
}

async fn answer(state: &State, handler: Handler, method: &Method, asked: &Asked<'_>) -> Reply {
    let methods = handler.methods();
    if handler != Handler::None && !methods.split(", ").any(|known| known == method.as_str()) {
        let mut reply = refusal(Kind::MethodNotAllowed, asked);
        set(&mut reply, ALLOW, methods);
        return reply;
    }
    match handler {
        Handler::Metrics => metrics(state, asked),
        Handler::Page(kind) => {
            let page = async { Ok(pages::answer(kind, state, asked).await) };
            let page = admitted(state, kind.weight(), page).await;
            page.unwrap_or_else(|_| busy())
        }
        Handler::Healthy => healthy(state),
        Handler::Ready => ready(state),
        Handler::Reload => reload(state).await,
        Handler::Api(endpoint) => {
            let answer = api::answer(endpoint, state, asked);
            let answer = admitted(state, endpoint.facts().weight, answer).await;
            answer.unwrap_or_else(|problem| response::problem(&problem, asked.path))
        }
        // Browsers ask for HTML by its name, and programs do not.
        Handler::None
            if !asked.path.starts_with(API)
                && weight(&joined(asked.headers, &ACCEPT), &["text/html"]) > 0 =>
        {
            pages::nothing(state, asked)
        }
        Handler::None | Handler::Guard => refusal(Kind::NotFound, asked),
    }
}

/// Makes `answer` once there is room for one of its weight.
async fn admitted(
    state: &State,
    weight: Weight,
    answer: impl Future<Output = Result<Reply, Problem>>,
) -> Result<Reply, Problem> {
    let place = state.gate.enter(weight).await?;
    let mut reply = answer.await?;
    reply.body_mut().hold(place);
    Ok(reply)
}

/// Page for people while too many requests wait.
fn busy() -> Reply {
    let mut reply = response::text(
        StatusCode::SERVICE_UNAVAILABLE,
        "too many other requests: retry in a moment\n",
    );
    set(&mut reply, RETRY_AFTER, "1");
    reply
}

/// Makes the request counters, at zero.
pub(super) fn start_counting(metrics: &ServerMetrics) {
    let routed = routes().map(|(_, handler)| handler);
    for handler in routed.chain([Handler::Metrics, Handler::None, Handler::Guard]) {
        for status in handler.outcomes() {
            requests(metrics, handler, *status);
        }
    }
}

fn requests(metrics: &ServerMetrics, handler: Handler, status: StatusCode) -> IntCounter {
    let labels = [handler.name(), status.as_str()];
    metrics.requests.with_label_values(&labels)
}

fn metrics(state: &State, asked: &Asked<'_>) -> Reply {
    let media_type = MediaType::negotiate(&joined(asked.headers, &ACCEPT));
    let encoding = Encoding::negotiate(&joined(asked.headers, &ACCEPT_ENCODING));
    let today = state.clock.time().day;
    let frames = state.exposition.scrape(media_type.format, encoding, today);
    let mut reply = Response::new(Content::metrics(frames));
    let content_type = HeaderValue::from_str(&media_type.to_string())
        .expect("media types are made of visible ASCII");
    reply.headers_mut().insert(CONTENT_TYPE, content_type);
    if encoding == Encoding::Gzip {
        set(&mut reply, CONTENT_ENCODING, "gzip");
    }
    set(&mut reply, VARY, "Accept, Accept-Encoding");
    reply
}

fn healthy(state: &State) -> Reply {
    match state.board.ledger_error() {
        None => response::text(StatusCode::OK, healthy_but(state)),
        Some(reason) => response::text(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("not healthy: {reason}\n"),
        ),
    }
}

/// That all is well, and which accounts stand still all the same: no reason to start again. Where their keys are
/// is for others to say, to whom not everybody may listen.
fn healthy_but(state: &State) -> String {
    let mut text = "healthy\n".to_owned();
    let sync = state.board.sync();
    let problems = sync.last.iter().flat_map(|last| &last.problems);
    for problem in problems.filter(|problem| problem.kind == "key_unreadable") {
        text += &format!(
            "the key of account {} cannot be read\n",
            crate::roster::printable(&problem.account)
        );
    }
    text
}

fn ready(state: &State) -> Reply {
    match state.pending() {
        None => response::text(StatusCode::OK, "ready\n"),
        Some(reason) => response::text(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("not ready: {reason}\n"),
        ),
    }
}

async fn reload(state: &State) -> Reply {
    let Some(lifecycle) = &state.lifecycle else {
        return response::text(
            StatusCode::FORBIDDEN,
            "reloading over HTTP is not enabled: start the exporter with --web.enable-lifecycle, or send \
             it a SIGHUP\n",
        );
    };
    match lifecycle.reload().await {
        Ok(()) => response::text(StatusCode::OK, "config reloaded\n"),
        Err(reason) => response::text(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("config not reloaded; the previous one stays active: {reason}\n"),
        ),
    }
}

/// Reply to a request without an answer, as a page or as JSON.
fn refusal(kind: Kind, asked: &Asked<'_>) -> Reply {
    let (words, detail) = match kind {
        Kind::MethodNotAllowed => (
            "method not allowed",
            "this API is read-only: use GET or HEAD",
        ),
        _ => (
            "not found",
            "there is nothing at this path; /api/v1/openapi.json lists all paths",
        ),
    };
    as_text_or_problem(&Problem::new(kind, detail), asked.path, words)
}

/// A problem for programs, or `words` for people, by the path.
fn as_text_or_problem(problem: &Problem, path: &str, words: &str) -> Reply {
    if path.starts_with(API) {
        return response::problem(problem, path);
    }
    response::text(problem.status(), format!("{words}\n"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hyper::HeaderMap;

    use super::*;
    use crate::clock::ManualClock;
    use crate::exposition::Exposition;
    use crate::http::gate::Gate;
    use crate::http::readiness::Readiness;
    use crate::telemetry::Telemetry;

    #[test]
    fn a_path_leads_to_its_handler_with_its_decoded_segments() {
        let agent = Handler::Api(Endpoint::Agent);
        for (path, handler, parameters) in [
            ("/", Handler::Page(PageKind::Overview), &[][..]),
            ("/metrics", Handler::Metrics, &[]),
            ("/metrics/", Handler::None, &[]),
            ("", Handler::None, &[]),
            ("//", Handler::None, &[]),
            ("/%2d/ready", Handler::None, &[]),
            (
                "/api/v1/agents/acme/a%2Fb%20%C3%BC",
                agent,
                &["acme", "a/b ü"],
            ),
            ("/api/v1/agents/a+b/%", agent, &["a+b", "%"]),
            ("/api/v1/agents//", agent, &["", ""]),
            ("/api/v1/agents/a/%ff", Handler::None, &[]),
            ("/api/v1/agents/a/b/", Handler::None, &[]),
        ] {
            let expected = parameters.iter().map(|text| (*text).to_owned()).collect();
            assert_eq!(route(path, "/metrics"), (handler, expected), "{path}");
        }
        assert_eq!(route("/", "/").0, Handler::Metrics);
    }

    // The clock stands still, so that patience is over at once.
    #[tokio::test(start_paused = true)]
    async fn nothing_waits_for_heavier_answers_and_probes_for_none() {
        let telemetry = Telemetry::new();
        let state = State {
            exposition: Arc::new(Exposition::new(telemetry.clone())),
            board: Arc::default(),
            readiness: Readiness::default(),
            clock: ManualClock::at("2026-11-23T12:00:00Z".parse().unwrap()),
            telemetry,
            telemetry_path: "/metrics".to_owned(),
            hosts: Arc::default(),
            gate: Gate::default(),
            months: Default::default(),
            lifecycle: None,
        };
        let status = async |path: &str| {
            let (handler, parameters) = route(path, &state.telemetry_path);
            let headers = HeaderMap::new();
            let asked = Asked::new(path, parameters, None, &headers);
            let reply = answer(&state, handler, &Method::GET, &asked).await;
            (
                reply.status().as_u16(),
                reply.headers().contains_key(RETRY_AFTER),
            )
        };
        let groups = [
            (Weight::Long, &["/api/v1/usage", "/api/v1/usage.csv"][..]),
            (
                Weight::Page,
                &["/", "/alerts", "/agents/acme/support", "/api/v1/agents"],
            ),
            (Weight::Light, &["/api/v1/status", "/api/v1/openapi.json"]),
        ];
        for (full, refused) in groups {
            let mut places = Vec::new();
            while let Ok(place) = state.gate.enter(full).await {
                places.push(place);
            }
            for path in refused {
                assert_eq!(status(path).await, (503, true), "{path}");
            }
            let others = ["/", "/alerts", "/api/v1/status", "/metrics", "/-/healthy"];
            for path in others.iter().filter(|path| !refused.contains(path)) {
                assert_eq!(status(path).await, (200, false), "{path} beside {full:?}");
            }
            drop(places);
            assert_eq!(state.gate.taken(full), 0);
        }
    }

    #[test]
    fn no_two_routes_or_handlers_are_taken_for_each_other() {
        for (place, (pattern, handler)) in routes().enumerate() {
            assert_eq!(route(pattern, "/metrics").0, handler, "{pattern}");
            let mut others = routes().skip(place + 1);
            assert!(!others.any(|(_, other)| other.name() == handler.name()));
        }
    }
}
