//! Answers that an API should not give.

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use super::server::{Act, Server, answer, chunked_head};
use super::*;
use crate::egress::TransportError;

/// For servers that never finish, so that no test can be too slow for it.
const SHORT: Duration = Duration::from_millis(50);
const TRIES: usize = 4;
const LIMIT: usize = 1 << 20;

/// A client's result with a server that sends this to everyone, and the number of its requests.
async fn fate(sent: Vec<u8>) -> (ApiError, usize) {
    let server = Server::repeating(sent, TRIES).await;
    let error = usage(&patient(&server)).await.unwrap_err();
    (error, server.unseen())
}

#[tokio::test]
async fn every_status_has_its_error_and_only_the_passing_ones_are_tried_again() {
    use ApiError::*;
    let body = |error: &str, message: &str| json!({"error": error, "message": message}).to_string();
    let cases = [
        (401, body("API key is required", ""), MissingKey, 1),
        (401, body("Invalid API key", "x"), InvalidKey, 1),
        (
            401,
            "<p>who are you".into(),
            Unexpected {
                status: 401,
                body: "an HTML page, 14 bytes".into(),
            },
            1,
        ),
        (402, String::new(), NoCredits, 1),
        (403, body("Access denied", "x"), AccessDenied, 1),
        (
            403,
            "<p>blocked".into(),
            Unexpected {
                status: 403,
                body: "an HTML page, 10 bytes".into(),
            },
            1,
        ),
        (
            400,
            body("Invalid end date", "end_date cannot be today"),
            EndDateTooRecent,
            1,
        ),
        (
            400,
            "what\r\n".into(),
            Unexpected {
                status: 400,
                body: "what\\r\\n".into(),
            },
            1,
        ),
        (
            404,
            String::new(),
            Unexpected {
                status: 404,
                body: String::new(),
            },
            1,
        ),
        (
            408,
            String::new(),
            Unexpected {
                status: 408,
                body: String::new(),
            },
            4,
        ),
        (429, String::new(), RateLimited { retry_after: None }, 4),
        (
            500,
            body("Internal server error", ""),
            Server { status: 500 },
            4,
        ),
        (502, "<html>".into(), Server { status: 502 }, 4),
        (503, String::new(), Unavailable { retry_after: None }, 4),
        (599, String::new(), Server { status: 599 }, 4),
        (
            304,
            String::new(),
            Redirect {
                status: 304,
                host: None,
            },
            1,
        ),
        (204, String::new(), NotJson("an empty body".into()), 1),
    ];
    for (status, body, error, tries) in cases {
        assert_eq!(
            fate(answer(status, "", body)).await,
            (error, tries),
            "{status}"
        );
    }
}

#[tokio::test]
async fn passing_failures_are_survived_and_each_is_counted() {
    let telemetry = Telemetry::new();
    let mut server = Server::start(vec![
        Act::Send(answer(500, "", "")),
        Act::Send(answer(503, "retry-after: 0\r\n", "")),
        Act::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"agent_id\"".to_vec()),
        Act::Send(answer(200, "", usage_json())),
    ])
    .await;
    let client = client(&server, Duration::from_secs(60), &telemetry);
    usage(&client).await.unwrap();
    assert!((client.pace.share() - 0.52).abs() < 1e-9);
    for _ in 0..TRIES {
        server.request().await;
    }
    for outcome in ["server_error", "unavailable", "interrupted", "ok"] {
        assert_eq!(counted(&telemetry, "usage", outcome), 1, "{outcome}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_or_drips_is_left_in_time() {
    let unfinished = [
        Act::Stall(Vec::new()),
        Act::Stall(b"HTTP/1.1 200 OK\r\n".to_vec()),
        Act::Stall(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{".to_vec()),
        Act::Stall(b"HTTP/1.1 404 No\r\ncontent-length: 9\r\n\r\n{".to_vec()),
        Act::Drip(chunked_head()),
    ];
    for act in unfinished {
        let server = Server::start(vec![act; TRIES]).await;
        let client = client(&server, SHORT, &Telemetry::new());
        let error = usage(&client).await.unwrap_err();
        assert_eq!(error, ApiError::Timeout { limit: SHORT });
    }
}

#[tokio::test]
async fn a_refusal_is_told_by_its_status_even_if_its_body_never_ends() {
    for (status, outcome) in [(429, "rate_limited"), (500, "server_error")] {
        let head = format!("HTTP/1.1 {status} No\r\ncontent-length: 9\r\n\r\n");
        let server = Server::start(vec![Act::Stall(head.into_bytes()); TRIES]).await;
        let error = usage(&patient(&server)).await.unwrap_err();
        assert_eq!(error.outcome(), outcome);
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_asked_for_again() {
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"agent_id\"".to_vec();
    let (error, tries) = fate(cut).await;
    assert_eq!((error.outcome(), tries), ("interrupted", TRIES));
    let unmarked = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"agent_id\"".to_vec();
    assert_eq!(
        fate(unmarked).await.0.to_string(),
        "the answer broke off: its JSON ends early, after 11 bytes"
    );
    let (error, tries) = fate(answer(200, "content-encoding: gzip\r\n", "no gzip")).await;
    assert_eq!((error.outcome(), tries), ("interrupted", TRIES));
    let (error, tries) = fate(Vec::new()).await;
    assert_eq!((error.outcome(), tries), ("interrupted", TRIES));
}

#[tokio::test]
async fn no_answer_is_larger_than_its_limit() {
    let announced = b"HTTP/1.1 200 OK\r\ncontent-length: 1048577\r\n\r\n".to_vec();
    let server = Server::start(vec![Act::Stall(announced)]).await;
    let error = usage(&patient(&server)).await.unwrap_err();
    let seen = 1_048_577;
    assert_eq!(
        error,
        TransportError::TooLarge { seen, limit: LIMIT }.into()
    );

    let server = Server::start(vec![Act::Flood(chunked_head())]).await;
    let error = usage(&patient(&server)).await.unwrap_err();
    assert!(
        matches!(
            error,
            ApiError::Transport(TransportError::TooLarge { limit: LIMIT, .. })
        ),
        "{error}"
    );

    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    bomb.write_all(&vec![b' '; 16 << 20]).unwrap();
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < LIMIT / 8);
    let (error, tries) = fate(answer(200, "content-encoding: gzip\r\n", bomb)).await;
    assert!(
        matches!(error, ApiError::Transport(TransportError::TooLarge { seen, limit: LIMIT }) if seen < 2 << 20),
        "{error}"
    );
    assert_eq!(tries, 1);
}

#[tokio::test]
async fn an_answer_up_to_the_limit_is_read_plain_or_compressed() {
    let padded = usage_json() + &" ".repeat(LIMIT - usage_json().len());
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(padded.as_bytes()).unwrap();
    let packed = answer(200, "content-encoding: gzip\r\n", packed.finish().unwrap());
    for sent in [answer(200, "", padded), packed] {
        let server = Server::repeating(sent, 1).await;
        usage(&patient(&server)).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_not_usage_is_told_by_what_it_is() {
    for (body, text) in [
        (
            "<!DOCTYPE html>\n<p>",
            "not JSON but an HTML page, 19 bytes",
        ),
        (" ", "not JSON but an empty body"),
        (
            "{} {}",
            "invalid answer: missing field `agent_id` at line 1 column 2",
        ),
        (
            "{\"agent_id\": 7}",
            "invalid answer: invalid type: integer `7`, expected a string at line 1 column 14",
        ),
        ("{\"error\":\"Invalid dates\"}", "the dates are not valid"),
    ] {
        assert_eq!(fate(answer(200, "", body)).await.0.to_string(), text);
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = Server::start(vec![Act::Send(answer(200, "", usage_json()))]).await;
    for (location, host) in [
        (other.url.as_str(), "127.0.0.1"),
        ("https://example.org/?q", "example.org"),
    ] {
        for status in [301, 302, 303, 307, 308] {
            let header = format!("location: {location}\r\n");
            let (error, tries) = fate(answer(status, &header, "")).await;
            let host = Some(host.to_owned());
            assert_eq!((error, tries), (ApiError::Redirect { status, host }, 1));
        }
    }
    assert_eq!(other.unseen(), 0);
}

#[tokio::test]
async fn no_error_shows_the_key_whatever_the_server_echoes() {
    let long = format!("{}{KEY}", "x".repeat(195));
    let usage_of = usage_json().replace("support", KEY);
    let wrong_type = json!({"agent_id": "support", "time_range": KEY}).to_string();
    let mut echoes = vec![answer(
        302,
        &format!("location: https://{KEY}.example/\r\n"),
        "",
    )];
    for status in [200, 400, 401, 403, 404, 409, 429, 500, 503] {
        for body in [KEY, &long, &usage_of, &wrong_type] {
            echoes.push(answer(status, "", body));
        }
    }
    // Half a key must not be shown either.
    echoes.push(b"HTTP/1.1 404 No\r\ncontent-length: 99\r\n\r\n{\"key\": \"test-key-a".to_vec());
    for echo in echoes {
        let sent = String::from_utf8_lossy(&echo).into_owned();
        let server = Server::repeating(echo, TRIES).await;
        let client = patient(&server);
        let strict = |answer: UsageAnswer| match answer.agent_id.as_str() {
            "support" => Ok(()),
            other => Err(ApiError::Contract(format!("answered for `{other}`"))),
        };
        let error = client
            .usage("support", &window(), strict)
            .await
            .unwrap_err();
        for shown in [
            format!("{error}"),
            format!("{error:?}"),
            format!("{client:?}"),
        ] {
            assert!(!shown.contains("test-key"), "{sent}\n{shown}");
        }
    }
}

#[tokio::test]
async fn a_refused_connection_is_told_without_the_url() {
    let server = Server::start(vec![]).await;
    let telemetry = Telemetry::new();
    let client = client(&server, Duration::from_secs(60), &telemetry);
    // The server is gone once its task has run.
    tokio::task::yield_now().await;
    let text = usage(&client).await.unwrap_err().to_string();
    assert!(text.starts_with("cannot connect: "), "{text}");
    assert!(
        text.contains("refused") && !text.contains("start_date"),
        "{text}"
    );
    assert_eq!(counted(&telemetry, "usage", "connect"), 4);
}
