//! Heartbeats against small servers that take what the well-known services take.

use reqwest::Method;

use super::*;
use crate::egress::SendError;
use crate::flowgent::tests::server::{Act, Server, answer};
use crate::hook::heartbeat::Service;

const TOKEN: &str = "canary-token-0123";
const REASON: &str = "the sync of 12:00 failed: 100 % & more";

/// Request to a service by these URLs, relative to its own, and its result.
async fn told(
    method: Method,
    [url, failure_url]: [&str; 2],
    failure: Option<&str>,
    reply: Vec<u8>,
) -> (String, Result<String, SendError>) {
    let mut server = Server::start(vec![Act::Send(reply)]).await;
    let origin = server.url.trim_end_matches("/api/public/").to_owned();
    let files = [url, failure_url].map(|url| SecretFile::new(&format!("{origin}{url}")));
    let token = SecretFile::new(TOKEN);
    let service = Service {
        url: files[0].source(),
        failure_url: Some(files[1].source()),
        method,
        bearer_token: Some(token.source()),
    };
    let result = service.tell(&settings(), failure, at(NOW)).await;
    (server.request().await, result)
}

fn parts(request: &str) -> (&str, &str) {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap(), body)
}

#[tokio::test]
async fn a_service_by_paths_gets_a_post_and_the_reason_in_its_body() {
    let urls = ["/ping/0b8e", "/ping/0b8e/fail"];
    let ok = || answer(200, "", "OK");
    let (request, result) = told(Method::POST, urls, None, ok()).await;
    assert_eq!(parts(&request), ("POST /ping/0b8e HTTP/1.1", "all is well"));
    assert_eq!(result.unwrap(), "200 OK");
    let (request, _) = told(Method::POST, urls, Some(REASON), ok()).await;
    assert_eq!(parts(&request), ("POST /ping/0b8e/fail HTTP/1.1", REASON));
}

#[tokio::test]
async fn a_service_by_queries_gets_the_reason_in_its_url() {
    let urls = [
        "/api/push/a1?status=up&msg=OK",
        "/api/push/a1?status=down&msg={reason}",
    ];
    let ok = || answer(200, "content-type: application/json\r\n", "{\"ok\":true}");
    let (request, result) = told(Method::GET, urls, None, ok()).await;
    let expected = "GET /api/push/a1?status=up&msg=OK HTTP/1.1";
    assert_eq!(parts(&request), (expected, ""));
    assert_eq!(result.unwrap(), "200 OK");
    let (request, _) = told(Method::GET, urls, Some(REASON), ok()).await;
    let url = parts(&request).0.split(' ').nth(1).unwrap();
    let url = url::Url::parse(&format!("http://kuma{url}")).unwrap();
    let query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(query, [pair("status", "down"), pair("msg", REASON)]);
}

#[tokio::test]
async fn a_service_that_wants_a_token_gets_it_and_no_error_shows_it() {
    let place = "/api/v1/endpoints/ops_flowgent/external?success=";
    let (up, down) = (
        format!("{place}true"),
        format!("{place}false&error={{reason}}"),
    );
    let (request, _) = told(Method::POST, [&up, &down], None, answer(200, "", "")).await;
    let token = format!("authorization: Bearer {TOKEN}\r\n");
    assert!(request.contains(&token), "{request}");
    let echo = format!("no token {TOKEN} here");
    let refused = answer(401, "", &echo);
    let (request, result) = told(Method::POST, [&up, &down], Some("x"), refused).await;
    assert!(
        request.contains("external?success=false&error=x "),
        "{request}"
    );
    let error = result.unwrap_err().text;
    assert!(
        error.contains("401 Unauthorized") && !error.contains("canary"),
        "{error}"
    );
}

#[tokio::test]
async fn a_web_page_is_no_yes_and_a_failure_without_a_url_is_not_sent() {
    let page = answer(200, "content-type: text/html\r\n", "<html>Sign in");
    let (_, result) = told(Method::POST, ["/a", "/b"], None, page).await;
    let error = result.unwrap_err().text;
    assert!(error.contains("a web page answered"), "{error}");
    let service = Service {
        // Whatever is read of it fails.
        url: SecretSource::File("/nowhere".into()),
        failure_url: None,
        method: Method::POST,
        bearer_token: None,
    };
    let sent = service.tell(&settings(), Some("x"), at(NOW)).await;
    assert_eq!(sent.unwrap(), "nothing is sent");
}
