//! Errors that receivers answer with: in time, and without tokens.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::webhook::webhook;
use super::*;
use crate::egress::Proxy;
use crate::flowgent::tests::server::{Act, Server, answer, request};

/// A server whose error takes most of a try's time to begin, and then never ends.
async fn late_and_endless(status: &'static str, delay: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        request(&mut stream).await;
        let mut late = tokio::time::interval(delay);
        late.tick().await;
        late.tick().await;
        let head = format!(
            "HTTP/1.1 {status}\r\nretry-after: 30\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        std::future::pending::<()>().await;
    });
    address
}

#[tokio::test]
async fn an_error_that_comes_late_is_told_before_the_time_is_over() {
    let settings = Settings {
        timeout: Duration::from_secs(2),
        ..settings()
    };
    for (status, expected) in [
        ("410 Gone", (None, true)),
        (
            "429 Too Many Requests",
            (Some(Duration::from_secs(30)), false),
        ),
    ] {
        let address = late_and_endless(status, settings.timeout.mul_f64(0.6)).await;
        let (webhook, url) = webhook(&settings, &format!("http://{address}/"));
        let message = message(vec![firing()]);
        let sent = tokio::time::timeout(settings.timeout, webhook.send(&message)).await;
        let error = sent.expect("no answer").unwrap_err();
        let expected_text = format!("the URL in {}: {status}", url.source());
        assert_eq!(error.text, expected_text);
        assert_eq!((error.retry_after, error.gone), expected);
    }
}

#[tokio::test]
async fn what_can_be_a_token_is_withheld_and_nothing_else_is() {
    for (user, path, said, is_withheld) in [
        ("canarytoken@", "hook", "no canarytoken here", true),
        ("CANARY7@", "hook", "no canary7 here", true),
        ("ops:canary8@", "hook", "canary8 is wrong", true),
        ("ops:canary8@", "hook", "ops is unknown", false),
        ("", "services/T1/canary-b2", "no canary-b2", true),
        ("", "services/T1/B2", "no services here", false),
        ("", "webhooks/12", "webhooks are off", false),
        ("", "workflows/12", "workflows are off", false),
        ("", "hook?signature=canary-b2", "no canary-b2", true),
        (
            "",
            "hook?signature=canary-b2",
            "the signature is wrong",
            false,
        ),
    ] {
        let server = Server::start(vec![Act::Send(answer(400, "", said))]).await;
        let url = server.url.replace("http://", &format!("http://{user}"));
        let (webhook, _url) = webhook(&settings(), &format!("{url}{path}"));
        let error = webhook.send(&message(vec![firing()])).await.unwrap_err();
        assert_eq!(
            error.text.contains("[withheld"),
            is_withheld,
            "{path}: {error}"
        );
        assert_eq!(error.text.ends_with(said), !is_withheld, "{path}: {error}");
    }
}

#[tokio::test]
async fn a_body_in_gzip_is_read_and_one_that_is_none_counts_by_its_status() {
    let head = "content-encoding: gzip\r\ncontent-type: application/json\r\n";
    let packed = gzip(br#"{"ok":false}"#);
    for (body, is_taken) in [(packed, false), (b"{\"ok\":false}".to_vec(), true)] {
        let length = format!("content-length: {}\r\n\r\n", body.len());
        let reply = [
            b"HTTP/1.1 200 OK\r\n",
            head.as_bytes(),
            length.as_bytes(),
            &body,
        ]
        .concat();
        let server = Server::start(vec![Act::Send(reply)]).await;
        let (webhook, _url) = webhook(&settings(), &server.url);
        let sent = webhook.send(&message(vec![firing()])).await;
        assert_eq!(sent.is_ok(), is_taken, "{sent:?}");
    }
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(text).unwrap();
    packer.finish().unwrap()
}

#[tokio::test]
async fn a_proxy_is_asked_in_the_receivers_place_and_named_in_errors() {
    let ok = Act::Send(answer(200, "", ""));
    let refused = Act::Send(answer(407, "", "who are you"));
    let mut proxy = Server::start(vec![ok, refused]).await;
    let origin = proxy.url.trim_end_matches("/api/public/").to_owned();
    let through = Settings {
        proxy: Some(Proxy::At(origin.parse().unwrap())),
        ..settings()
    };
    // Nobody here could resolve it.
    let (hook, url) = webhook(&through, "http://hooks.invalid/canary");
    let message = message(vec![firing()]);
    assert_eq!(hook.send(&message).await.unwrap(), "200 OK");
    let request = proxy.request().await;
    assert!(
        request.starts_with("POST http://hooks.invalid/canary HTTP/1.1\r\n"),
        "{request}"
    );
    let error = hook.send(&message).await.unwrap_err();
    let place = format!("the URL in {}", url.source());
    let expected = "407 Proxy Authentication Required: who are you";
    assert_eq!(
        error.text,
        format!("{place}: through the proxy {origin}: {expected}")
    );
    let strict = Settings {
        allow_private: false,
        ..through
    };
    let (hook, _url) = webhook(&strict, "https://hooks.invalid/canary");
    let error = hook.send(&message).await.unwrap_err();
    let expected = format!(
        "through the proxy {origin}: 127.0.0.1 leads to a loopback address, 127.0.0.1, which only \
         `allow_private = true` allows"
    );
    assert!(error.text.ends_with(&expected), "{error}");
}
