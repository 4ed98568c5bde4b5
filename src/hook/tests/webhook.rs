//! Webhooks against receivers that do what they should not.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::egress::SendError;
use crate::flowgent::tests::server::{Act, Server, answer, chunked_head};
use crate::flowgent::tests::tls::TlsServer;
use crate::hook::signature::SigningKey;
use crate::hook::webhook::Webhook;
use crate::hook::{Preset, Template};
use crate::secret::Secret;

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const OTHER_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const TOKEN: &str = "canary-token-0123";

/// A webhook with the settings that hooks of all kinds have.
#[derive(Debug)]
pub(super) struct Hook(Settings, Webhook);

impl Hook {
    pub(super) async fn send(&self, message: &Message) -> Result<String, SendError> {
        self.1.send(&self.0, message).await
    }
}

fn webhook_of(
    settings: &Settings,
    url: &Endpoint,
    secrets: &[SecretSource],
    template: Option<&Template>,
    content_type: &str,
    routing_key: Option<&SecretSource>,
) -> Hook {
    let webhook = Webhook {
        url: url.clone(),
        secrets: secrets.to_vec(),
        template: template.cloned(),
        content_type: content_type.to_owned(),
        routing_key: routing_key.cloned(),
    };
    Hook(settings.clone(), webhook)
}

/// A webhook to `url`, which is read from a file that is gone once the other half is dropped.
pub(super) fn webhook(settings: &Settings, url: &str) -> (Hook, SecretFile) {
    let url = SecretFile::new(url);
    let webhook = webhook_of(
        settings,
        &url.endpoint(),
        &[],
        None,
        "application/json",
        None,
    );
    (webhook, url)
}

/// Result of a message to a server that answers so.
async fn sent(settings: &Settings, act: Act) -> Result<String, SendError> {
    let server = Server::start(vec![act]).await;
    let url = format!("{}{TOKEN}?key={TOKEN}-query", server.url);
    let (webhook, url) = webhook(settings, &url);
    let result = webhook.send(&message(vec![firing()])).await;
    if let Err(error) = &result {
        assert!(!error.text.contains("canary"), "{error}");
        assert!(!error.text.contains("api/public"), "{error}");
        assert!(!error.text.contains("127.0.0.1"), "{error}");
    }
    let place = format!("the URL in {}", url.source());
    result.map_err(|error| SendError {
        text: error.text.replace(&place, "SERVER"),
        ..error
    })
}

fn header<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    let head = request.split("\r\n\r\n").next().unwrap();
    head.lines()
        .find_map(|line| line.strip_prefix(&format!("{name}: ")))
}

fn body(request: &str) -> Value {
    serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[tokio::test]
async fn a_message_is_json_signed_by_every_secret() {
    let mut server = Server::start(vec![Act::Send(answer(202, "", "thanks"))]).await;
    let url = SecretFile::new(&server.url);
    let secrets = [SECRET, OTHER_SECRET].map(SecretFile::new);
    let webhook = webhook_of(
        &settings(),
        &url.endpoint(),
        &secrets.each_ref().map(SecretFile::source),
        None,
        "application/json",
        None,
    );
    let message = message(vec![firing()]);
    assert_eq!(webhook.send(&message).await.unwrap(), "202 Accepted");
    let request = server.request().await;
    assert!(request.starts_with("POST /api/public/ HTTP/1.1\r\n"));
    assert_eq!(header(&request, "content-type"), Some("application/json"));
    assert_eq!(header(&request, "webhook-id"), Some(&*message.id));
    assert_eq!(header(&request, "webhook-timestamp"), Some("1795435200"));
    let version = concat!("flowgent-exporter/", env!("CARGO_PKG_VERSION"));
    assert_eq!(header(&request, "user-agent"), Some(version));
    let text = request.split_once("\r\n\r\n").unwrap().1;
    let signatures = [SECRET, OTHER_SECRET].map(|secret| {
        let key = SigningKey::new(&Secret::new(secret)).unwrap();
        key.sign(&message.id, 1_795_435_200, text.as_bytes())
    });
    assert_eq!(
        header(&request, "webhook-signature"),
        Some(&*signatures.join(" "))
    );
    assert_ne!(signatures[0], signatures[1]);
    let notice = serde_json::to_value(firing()).unwrap();
    assert_eq!(
        body(&request),
        json!({"id": &*message.id, "test": false, "alerts": [notice]})
    );
}

#[tokio::test]
async fn a_webhook_without_secrets_is_not_signed() {
    let mut server = Server::start(vec![Act::Send(answer(200, "", ""))]).await;
    let (webhook, _url) = webhook(&settings(), &server.url);
    let answer = webhook.send(&message(vec![firing()])).await.unwrap();
    assert_eq!(answer, "200 OK");
    let request = server.request().await;
    assert_eq!(header(&request, "webhook-signature"), None);
    assert!(header(&request, "webhook-id").is_some());
}

#[tokio::test]
async fn what_receivers_answer_is_told_without_secrets() {
    let send = |status, headers: &str, body: &str| Act::Send(answer(status, headers, body));
    let long = "x".repeat(500);
    let huge = "x".repeat((64 << 10) + 1);
    let echo = format!("cannot POST /api/public/{TOKEN}?x");
    let escaped = "no CANARY%2Dtoken%2D0123-query here";
    for (act, expected) in [
        (
            send(400, "", "no such\u{7} hook\n"),
            "400 Bad Request: no such\\u{7} hook",
        ),
        (
            send(404, "", &echo),
            "404 Not Found: [withheld: it holds a secret]",
        ),
        (
            send(404, "", escaped),
            "404 Not Found: [withheld: it holds a secret]",
        ),
        (send(404, "", ""), "404 Not Found"),
        (
            send(404, "", "no hook on 127.0.0.1, x127.0.0.1 nor 127.0.0.1:80"),
            "404 Not Found: no hook on [withheld], x[withheld] nor [withheld]:80",
        ),
        (
            send(200, "content-type: text/html\r\n", "<html>\nSign in"),
            "200 OK, but a web page answered, not the receiver: an HTML page, 14 bytes",
        ),
        (
            send(200, "", &format!("{{\"error\":\"no {TOKEN} here\"}}")),
            "200 OK, but the answer is an error: [withheld: it holds a secret]",
        ),
        (
            send(202, "", "{\"ok\":false,\"error\":\"no_service\"}"),
            "202 Accepted, but the answer is an error: {\"ok\":false,\"error\":\"no_service\"}",
        ),
        (send(413, "", &huge), "413 Payload Too Large"),
        (send(500, "", "oops"), "500 Internal Server Error: oops"),
        (send(599, "", "oops"), "599: oops"),
        (
            send(302, "location: https://evil.example/canary\r\n", "go"),
            "302 Found, a redirect to [withheld], which is not followed",
        ),
        (
            send(
                302,
                &format!("location: https://{TOKEN}.example/\r\n"),
                "go",
            ),
            "302 Found, a redirect to [withheld], which is not followed",
        ),
        (
            send(304, "", ""),
            "304 Not Modified, a redirect to nowhere, which is not followed",
        ),
        (
            Act::Send(Vec::new()),
            "the answer broke off: connection closed before message completed",
        ),
    ] {
        let error = sent(&settings(), act).await.unwrap_err();
        assert_eq!(error.text, format!("SERVER: {expected}"));
        assert_eq!((error.retry_after, error.gone), (None, false), "{expected}");
    }
    let error = sent(&settings(), send(400, "", &long)).await.unwrap_err();
    assert!(
        error.text.ends_with("xx…") && error.text.len() < 250,
        "{error}"
    );
}

#[tokio::test]
async fn a_receiver_says_when_to_come_again_or_never() {
    let after = "retry-after: 30\r\n";
    for (status, retry_after, gone) in [
        (429, Some(Duration::from_secs(30)), false),
        (503, Some(Duration::from_secs(30)), false),
        (500, None, false),
        (410, None, true),
    ] {
        let act = Act::Send(answer(status, after, "x"));
        let error = sent(&settings(), act).await.unwrap_err();
        assert_eq!(
            (error.retry_after, error.gone),
            (retry_after, gone),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_body_that_never_ends_hides_no_status() {
    let head = |status: &str| {
        let ok = String::from_utf8(chunked_head()).unwrap();
        ok.replace("200 OK", status).into_bytes()
    };
    let hasty = Settings {
        timeout: Duration::from_millis(100),
        ..settings()
    };
    for (act, settings) in [
        (Act::Drip(chunked_head()), &hasty),
        (Act::Stall(chunked_head()), &hasty),
        (Act::Flood(chunked_head()), &super::settings()),
    ] {
        assert_eq!(sent(settings, act).await.unwrap(), "200 OK");
    }
    for (act, settings) in [
        (Act::Drip(head("410 Gone")), &hasty),
        (Act::Stall(head("410 Gone")), &hasty),
        (Act::Flood(head("410 Gone")), &super::settings()),
    ] {
        let error = sent(settings, act).await.unwrap_err();
        assert_eq!(error.text, "SERVER: 410 Gone");
        assert!(error.gone);
    }
}

#[tokio::test]
async fn private_targets_are_refused_unless_allowed() {
    let mut server = Server::start(vec![Act::Send(answer(200, "", ""))]).await;
    let port = server.url.split([':', '/']).nth(4).unwrap().to_owned();
    let strict = Settings {
        allow_private: false,
        ..settings()
    };
    for (host, text) in [
        ("127.0.0.1", "[withheld] leads to a loopback address, "),
        ("2130706433", "[withheld] leads to a loopback address, "),
        ("[::ffff:7f00:1]", "leads to a loopback address, "),
        ("localhost", "[withheld] leads to a loopback address, "),
        (
            "169.254.169.254",
            "[withheld] leads to a link-local address, [withheld]",
        ),
    ] {
        let url = format!("https://{host}:{port}/{TOKEN}");
        let (secret, _url) = webhook(&strict, &url);
        let error = secret.send(&message(vec![firing()])).await.unwrap_err();
        assert!(error.text.contains(text), "{error}");
        assert!(!error.text.contains(host), "{error}");
        assert!(
            error
                .text
                .ends_with(", which only `allow_private = true` allows"),
            "{error}"
        );
        assert!(!error.text.contains("canary"), "{error}");
    }
    // A name that would be resolved, if anything were sent there in the clear.
    let (in_the_clear, _url) = webhook(&strict, &format!("http://hooks.invalid/{TOKEN}"));
    let error = in_the_clear
        .send(&message(vec![firing()]))
        .await
        .unwrap_err();
    let said = ": plain http, which only `allow_private = true` allows";
    assert!(error.text.ends_with(said), "{error}");
    assert!(!error.text.contains("hooks.invalid"), "{error}");
    assert_eq!(server.unseen(), 0);
    let (webhook, _url) = webhook(&settings(), &format!("http://localhost:{port}/"));
    assert_eq!(
        webhook.send(&message(vec![firing()])).await.unwrap(),
        "200 OK"
    );
    assert_eq!(
        header(&server.request().await, "host"),
        Some(&*format!("localhost:{port}"))
    );
}

#[tokio::test]
async fn a_private_authority_is_trusted_by_its_file_alone() {
    let server = TlsServer::self_signed("127.0.0.1").await;
    let own = Settings {
        ca_file: Some(server.ca.path().to_owned()),
        ..settings()
    };
    let (trusted, _url) = webhook(&own, &server.url);
    let answer = trusted.send(&message(vec![firing()])).await;
    assert_eq!(answer.unwrap(), "200 OK");
    let server = TlsServer::start("127.0.0.1").await;
    let trusting = Settings {
        ca_file: Some(server.ca.path().to_owned()),
        ..settings()
    };
    let (trusted, _url) = webhook(&trusting, &server.url);
    assert_eq!(
        trusted.send(&message(vec![firing()])).await.unwrap(),
        "200 OK"
    );
    let (untrusted, _url) = webhook(&settings(), &server.url);
    let error = untrusted.send(&message(vec![firing()])).await.unwrap_err();
    assert!(
        error
            .text
            .contains("cannot connect: invalid peer certificate: UnknownIssuer"),
        "{error}"
    );
    let missing = Settings {
        ca_file: Some("/nonexistent.pem".into()),
        ..settings()
    };
    let (webhook, _url) = webhook(&missing, &server.url);
    assert_eq!(
        webhook
            .send(&message(vec![firing()]))
            .await
            .unwrap_err()
            .text,
        "cannot read ca_file `/nonexistent.pem`: No such file or directory (os error 2)"
    );
}

#[tokio::test]
async fn unusable_secrets_are_named_by_their_place_and_not_shown() {
    let good = SecretFile::new("http://127.0.0.1:1/");
    for (url, secret, expected) in [
        (
            "canary",
            SECRET,
            "URL holds no URL: relative URL without a base",
        ),
        (
            "ftp://canary/",
            SECRET,
            "the URL in URL is neither http nor https",
        ),
        ("\n", SECRET, "URL is empty"),
        (
            "http://127.0.0.1:1/",
            "canary",
            "SECRET: a signing secret begins with `whsec_`",
        ),
    ] {
        let [url, secret] = [url, secret].map(SecretFile::new);
        let (url, secrets) = (url.source(), [secret.source()]);
        let webhook = webhook_of(
            &settings(),
            &Endpoint::Secret(url.clone()),
            &secrets,
            None,
            "application/json",
            None,
        );
        let error = webhook.send(&message(vec![firing()])).await.unwrap_err();
        let text = error.text.replace(&url.to_string(), "URL");
        let text = text.replace(&secrets[0].to_string(), "SECRET");
        assert_eq!(text, expected);
        assert!(!format!("{webhook:?}").contains("canary"));
    }
    let missing = SecretSource::File("no-such-folder/url".into());
    let webhook = webhook_of(
        &settings(),
        &Endpoint::Secret(missing),
        &[],
        None,
        "application/json",
        None,
    );
    let error = webhook.send(&message(vec![firing()])).await.unwrap_err();
    assert!(
        error
            .text
            .starts_with("cannot read file `no-such-folder/url`: "),
        "{error}"
    );
    drop(good);
}

#[tokio::test]
async fn a_template_that_fails_is_replaced_by_plain_json_that_says_so() {
    for (source, content_type, reason) in [
        (
            "\n{{ alerts[9].title }}",
            "text/plain",
            "line 2: undefined value",
        ),
        (
            "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
            "text/plain",
            "line 1: engine ran out of fuel",
        ),
        (
            "{\"text\": \"{{ title }}\"",
            "Application/Json; charset=utf-8",
            "its output is not JSON: EOF while parsing an object at line 1 column 54; write texts with \
             `| tojson`, or set another `content_type`",
        ),
        (
            "{{ title }}",
            "application/cloudevents+json",
            "its output is not JSON: expected value at line 1 column 1; write texts with `| tojson`, or \
             set another `content_type`",
        ),
    ] {
        let mut server = Server::start(vec![Act::Send(answer(200, "", ""))]).await;
        let url = SecretFile::new(&server.url);
        let template = Template::new(source).unwrap();
        let url = (url.source(), url);
        let webhook = webhook_of(
            &settings(),
            &Endpoint::Secret(url.0.clone()),
            &[],
            Some(&template),
            content_type,
            None,
        );
        let message = message(vec![firing()]);
        let answer = webhook.send(&message).await.unwrap();
        assert_eq!(
            answer,
            format!("200 OK, but the template failed, so plain JSON was sent: {reason}")
        );
        let request = server.request().await;
        assert_eq!(header(&request, "content-type"), Some("application/json"));
        let notice = serde_json::to_value(firing()).unwrap();
        assert_eq!(
            body(&request),
            json!({
                "id": &*message.id, "test": false, "alerts": [notice], "template_error": reason,
            })
        );
    }
}

#[tokio::test]
async fn a_template_is_sent_in_its_own_media_type() {
    let mut server = Server::start(vec![Act::Send(answer(200, "", ""))]).await;
    let url = SecretFile::new(&server.url);
    let template = Template::new("{{ title }} \"").unwrap();
    let webhook = webhook_of(
        &settings(),
        &url.endpoint(),
        &[],
        Some(&template),
        "text/plain",
        None,
    );
    assert_eq!(
        webhook.send(&message(vec![firing()])).await.unwrap(),
        "200 OK"
    );
    let request = server.request().await;
    assert_eq!(header(&request, "content-type"), Some("text/plain"));
    assert!(request.ends_with("\r\n\r\nBudget cx-month has used 80% of its credits \""));
}

#[tokio::test]
async fn pager_duty_gets_one_event_per_alert_with_its_key_which_no_error_shows() {
    let key = SecretFile::new("canaryrouting0000key\n");
    let refusal = r#"{"message": "Invalid CanaryRouting0000Key"}"#;
    let ok = Act::Send(answer(202, "", ""));
    let refuse = Act::Send(answer(400, "", refusal));
    let mut server = Server::start(vec![ok.clone(), ok, refuse]).await;
    let url = SecretFile::new(&server.url);
    let webhook = webhook_of(
        &settings(),
        &url.endpoint(),
        &[],
        Some(&Template::preset(Preset::PagerDuty)),
        "application/json",
        Some(&key.source()),
    );
    let answer = webhook.send(&message(vec![firing(), resolved()])).await;
    assert_eq!(answer.unwrap(), "202 Accepted");
    for (action, dedup_key) in [("trigger", firing().key), ("resolve", resolved().key)] {
        let event = body(&server.request().await);
        assert_eq!(event["routing_key"], "canaryrouting0000key");
        assert_eq!(event["event_action"], action);
        assert_eq!(event["dedup_key"], dedup_key);
    }
    let error = webhook.send(&message(vec![firing()])).await.unwrap_err();
    assert!(
        error
            .text
            .ends_with("400 Bad Request: [withheld: it holds a secret]"),
        "{error}"
    );
}
