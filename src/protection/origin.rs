//! Refuses requests of foreign hosts and pages, before anything else is looked at.
//!
//! A browser sends what any web page asks it to, also to this machine. A page of another site may not change
//! anything (`Origin` and `Sec-Fetch-Site`). Nor may it read: a page whose own name leads to this machine
//! (DNS rebinding) sends that name as `Host`, so a socket of this machine only answers to names of this
//! machine, and to those that the config allows.

use std::net::IpAddr;

use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use hyper::{Method, Request, Version};

use crate::http::host::{Authority, Host};
use crate::http::problem::{Kind, Problem};
use crate::roster::printable;

/// Browsers' header about the page that sends a request.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Origin of a connection.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Arrival {
    /// The address of this side; none on a unix socket.
    pub(crate) local: Option<IpAddr>,
    /// The address of the other side; none on a unix socket.
    pub(crate) client: Option<IpAddr>,
    /// True if the socket listens on loopback only.
    pub(crate) on_loopback: bool,
}

/// Says why a request may not be answered, if so. `hosts` are those of the config; if it has some, they hold on
/// every socket but unix ones. `tls` says that the client speaks TLS to us.
pub(crate) fn check<B>(
    request: &Request<B>,
    arrival: &Arrival,
    hosts: &[Host],
    tls: bool,
) -> Result<(), Problem> {
    let called = called(request, arrival.local.is_none())?;
    if let Some(called) = &called
        && !may_be_called(&called.host, arrival, hosts)
    {
        let problem = format!(
            "this exporter does not answer to the host `{}`: use localhost or 127.0.0.1, or add the host to \
             `hosts` under [server] in its config",
            printable(&called.host.to_string())
        );
        return Err(Problem::new(Kind::Misdirected, problem));
    }
    if [Method::GET, Method::HEAD].contains(request.method())
        || comes_from_itself(request.headers(), called.as_ref(), tls)
    {
        return Ok(());
    }
    let problem =
        "a page of another site sent this request, and other sites may only read: GET or HEAD";
    Err(Problem::new(Kind::ForeignOrigin, problem))
}

/// The authority that the request is for. The target's goes before the header's (RFC 9112, 3.2.2). Clients of
/// unix sockets send all sorts of hosts, so what is no authority there is none.
fn called<B>(request: &Request<B>, by_unix_socket: bool) -> Result<Option<Authority>, Problem> {
    let refused = |detail| Err(Problem::new(Kind::InvalidHost, detail));
    let mut headers = request.headers().get_all(HOST).iter();
    let header = match (headers.next(), headers.count()) {
        (None, _) if request.version() == Version::HTTP_11 => {
            return refused("HTTP/1.1 needs a `Host` header, and this request has none".to_owned());
        }
        (header, 0) => header,
        (_, more) => return refused(format!("there are {} `Host` headers: send one", more + 1)),
    };
    let target = request.uri().authority();
    let texts = [
        header.map(HeaderValue::as_bytes),
        target.map(|target| target.as_str().as_bytes()),
    ];
    let mut called = None;
    for text in texts.into_iter().flatten() {
        let read = str::from_utf8(text).ok().and_then(Authority::parse);
        if read.is_none() && !by_unix_socket {
            let shown = printable(&String::from_utf8_lossy(text));
            return refused(format!(
                "`{shown}` is not a host: send a name or an address, and a port if it is another than usual"
            ));
        }
        called = read;
    }
    Ok(called)
}

fn may_be_called(host: &Host, arrival: &Arrival, hosts: &[Host]) -> bool {
    let Some(local) = arrival.local else {
        return true;
    };
    let is_open = !arrival.on_loopback && hosts.is_empty();
    // A page cannot give itself an address for a name. Probes of Kubernetes ask by address.
    let is_own = || *host == Host::Address(local.to_canonical());
    is_open || host.is_loopback() || is_own() || hosts.contains(host)
}

/// Returns true unless a browser sent this on behalf of another origin than the one that it is for.
fn comes_from_itself(headers: &HeaderMap, called: Option<&Authority>, tls: bool) -> bool {
    let site = |site: &HeaderValue| site == "same-origin" || site == "none";
    let origin = |origin: &HeaderValue| {
        let origin = origin.to_str().ok();
        origin.is_some_and(|origin| called.is_some_and(|called| is_of(origin, called, tls)))
    };
    headers.get_all(SEC_FETCH_SITE).iter().all(site) && headers.get_all(ORIGIN).iter().all(origin)
}

/// Returns true if `origin` is that of the authority. Without TLS of ours, there may be some before us.
fn is_of(origin: &str, called: &Authority, tls: bool) -> bool {
    let (usual, origin) = match origin.split_once("://") {
        Some(("https", rest)) => (443, rest),
        Some(("http", rest)) if !tls => (80, rest),
        _ => return false,
    };
    let port = |authority: &Authority| authority.port.unwrap_or(usual);
    Authority::parse(origin)
        .is_some_and(|origin| origin.host == called.host && port(&origin) == port(called))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: &str = "127.0.0.1";

    fn arrival(local: &str) -> Arrival {
        let local: IpAddr = local.parse().unwrap();
        Arrival {
            local: Some(local),
            client: None,
            on_loopback: local.is_loopback(),
        }
    }

    fn request(method: &str, target: &str, headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    fn status(request: &Request<()>, arrival: &Arrival, hosts: &[&str], tls: bool) -> u16 {
        let hosts: Vec<Host> = hosts.iter().map(|host| host.parse().unwrap()).collect();
        check(request, arrival, &hosts, tls)
            .map_or_else(|problem| problem.status().as_u16(), |()| 200)
    }

    #[test]
    fn a_socket_of_this_machine_answers_to_its_own_names_and_those_of_the_config() {
        for (host, status_without, status_with) in [
            ("localhost:13569", 200, 200),
            ("127.0.0.1:13569", 200, 200),
            ("[::1]", 200, 200),
            ("app.localhost", 200, 200),
            ("metrics.example:443", 421, 200),
            ("METRICS.example.", 421, 200),
            ("evil.example", 421, 421),
            ("metrics.example.evil.example", 421, 421),
            ("10.0.0.1", 421, 200),
            ("10.0.0.2", 421, 421),
            ("0.0.0.0", 421, 421),
            ("a b", 400, 400),
            ("", 400, 400),
            ("me@localhost", 400, 400),
        ] {
            for method in ["GET", "HEAD", "POST", "OPTIONS"] {
                let request = request(method, "/metrics", &[("host", host)]);
                let arrival = arrival(LOOPBACK);
                let statuses = [
                    status(&request, &arrival, &[], false),
                    status(&request, &arrival, &["metrics.example", "10.0.0.1"], false),
                ];
                assert_eq!(statuses, [status_without, status_with], "{method} {host}");
            }
        }
    }

    #[test]
    fn a_socket_for_other_machines_answers_to_any_host_unless_the_config_has_some() {
        for (host, open, closed) in [
            ("evil.example", 200, 421),
            ("metrics.example", 200, 200),
            ("10.0.0.7:13569", 200, 200),
            ("10.0.0.8:13569", 200, 421),
            ("localhost", 200, 200),
            ("[::1", 400, 400),
        ] {
            let request = request("GET", "/", &[("host", host)]);
            for local in ["10.0.0.7", "::ffff:10.0.0.7"] {
                let arrival = arrival(local);
                assert_eq!(status(&request, &arrival, &[], false), open, "{host}");
                let hosts = ["metrics.example"];
                assert_eq!(status(&request, &arrival, &hosts, false), closed, "{host}");
            }
        }
        let unix = Arrival::default();
        for host in ["evil.example", "", "/run/web.sock"] {
            let request = request("GET", "/", &[("host", host)]);
            assert_eq!(status(&request, &unix, &["a.example"], false), 200);
        }
    }

    #[test]
    fn there_is_one_host_and_the_target_goes_before_the_header() {
        let http10 = |mut request: Request<()>| {
            *request.version_mut() = Version::HTTP_10;
            request
        };
        let localhost = ("host", "localhost");
        let evil = ("host", "evil.example");
        for (request, expected) in [
            (request("GET", "/", &[]), 400),
            (request("GET", "http://localhost/", &[]), 400),
            (request("GET", "/", &[localhost, localhost]), 400),
            (http10(request("GET", "/", &[])), 200),
            (http10(request("GET", "/", &[localhost, localhost])), 400),
            (http10(request("GET", "/", &[evil])), 421),
            (http10(request("GET", "http://evil.example/", &[])), 421),
            (request("GET", "http://localhost/", &[evil]), 200),
            (request("GET", "http://evil.example/", &[localhost]), 421),
            (request("GET", "http://me@localhost/", &[localhost]), 400),
            (request("CONNECT", "evil.example:443", &[localhost]), 421),
        ] {
            let got = status(&request, &arrival(LOOPBACK), &[], false);
            assert_eq!(got, expected, "{request:?}");
        }
    }

    #[test]
    fn a_page_of_another_origin_may_only_read() {
        for (host, tls, headers, expected) in [
            ("localhost:13569", false, &[][..], 200),
            (
                "localhost:13569",
                false,
                &[("origin", "http://localhost:13569")],
                200,
            ),
            (
                "localhost:13569",
                false,
                &[("origin", "http://LOCALHOST:13569")],
                200,
            ),
            (
                "localhost:13569",
                false,
                &[("origin", "http://localhost:3000")],
                403,
            ),
            (
                "localhost:13569",
                false,
                &[("origin", "http://127.0.0.1:13569")],
                403,
            ),
            (
                "localhost:13569",
                false,
                &[("origin", "http://evil.example")],
                403,
            ),
            ("localhost:13569", false, &[("origin", "null")], 403),
            ("localhost:13569", false, &[("origin", "")], 403),
            ("localhost:13569", false, &[("origin", "file://")], 403),
            (
                "localhost",
                false,
                &[("origin", "http://localhost:80")],
                200,
            ),
            // Something before us may have ended TLS.
            ("localhost", false, &[("origin", "https://localhost")], 200),
            ("localhost", true, &[("origin", "https://localhost")], 200),
            ("localhost", true, &[("origin", "http://localhost")], 403),
            (
                "localhost",
                false,
                &[("origin", "http://localhost"), ("origin", "null")],
                403,
            ),
            (
                "localhost",
                false,
                &[("sec-fetch-site", "same-origin")],
                200,
            ),
            ("localhost", false, &[("sec-fetch-site", "none")], 200),
            ("localhost", false, &[("sec-fetch-site", "same-site")], 403),
            ("localhost", false, &[("sec-fetch-site", "cross-site")], 403),
            ("localhost", false, &[("sec-fetch-site", "anything")], 403),
            (
                "localhost",
                false,
                &[
                    ("origin", "http://localhost"),
                    ("sec-fetch-site", "cross-site"),
                ],
                403,
            ),
        ] {
            let headers = [&[("host", host)], headers].concat();
            for method in ["POST", "PUT", "DELETE", "OPTIONS", "GET", "HEAD"] {
                let reads = ["GET", "HEAD"].contains(&method);
                let expected = if reads { 200 } else { expected };
                let request = request(method, "/-/reload", &headers);
                let got = status(&request, &arrival(LOOPBACK), &[], tls);
                assert_eq!(got, expected, "{method} {headers:?}");
            }
        }
        // Who names no host has no origin that could be the same.
        let mut bare = request("POST", "/-/reload", &[("origin", "http://localhost")]);
        *bare.version_mut() = Version::HTTP_10;
        assert_eq!(status(&bare, &arrival(LOOPBACK), &[], false), 403);
    }
}
