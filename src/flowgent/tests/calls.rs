//! Requests, and sound answers to them.

use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use serde_json::{Value, json};

use super::fixtures::fixture;
use super::server::{Act, Server, answer};
use super::*;
use crate::flowgent::client::ChatReply;
use crate::flowgent::error::OUTCOMES;
use crate::flowgent::metrics::ApiMetrics;
use crate::flowgent::wire::{ChatRequest, TemplateRequest};

const PATIENCE: Duration = Duration::from_secs(60);

fn header<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    let prefix = format!("{name}: ");
    request.lines().find_map(|line| line.strip_prefix(&prefix))
}

fn posted(request: &str) -> Value {
    serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[tokio::test]
async fn usage_is_asked_for_by_agent_and_window() {
    let telemetry = Telemetry::new();
    let mut server = Server::repeating(answer(200, "", usage_json()), 1).await;
    let client = client(&server, Duration::from_secs(60), &telemetry);
    assert_eq!(usage(&client).await.unwrap().usage.total_credits_used, 3.0);
    let request = server.request().await;
    assert!(
        request.starts_with(
            "GET /api/public/agent/support/usage?start_date=2026-11-20&end_date=2026-11-22 HTTP/1.1\r\n"
        ),
        "{request}"
    );
    assert_eq!(header(&request, "authorization"), Some(KEY));
    assert_eq!(header(&request, "accept"), Some("application/json"));
    assert_eq!(header(&request, "accept-encoding"), Some("gzip"));
    let agent = concat!("flowgent-exporter/", env!("CARGO_PKG_VERSION"));
    assert_eq!(header(&request, "user-agent"), Some(agent));
    assert_eq!(header(&request, "referer"), None);
    assert_eq!(counted(&telemetry, "usage", "ok"), 1);
    let durations = telemetry
        .of::<ApiMetrics>()
        .request_duration
        .with_label_values(&["acme", "usage"]);
    assert_eq!(durations.get_sample_count(), 1);
}

#[tokio::test]
async fn an_agent_id_is_one_segment_of_the_path_whatever_it_is() {
    let ids = [
        ("a/b", "a%2Fb"),
        ("../x", "..%2Fx"),
        ("...", "..."),
        ("%2e%2e", "%252e%252e"),
        ("a b?c#d&e=f", "a%20b%3Fc%23d%26e%3Df"),
        ("a\tb\\c", "a%09b%5Cc"),
        ("é", "%C3%A9"),
        ("A-z_0.9~", "A-z_0.9~"),
    ];
    let mut server = Server::repeating(answer(200, "", usage_json()), ids.len()).await;
    let client = patient(&server);
    for (id, segment) in ids {
        client.usage(id, &window(), Ok).await.unwrap();
        let request = server.request().await;
        let start = format!("GET /api/public/agent/{segment}/usage?");
        assert!(request.starts_with(&start), "{request}");
    }
    for id in ["", ".", ".."] {
        let refused = client.usage(id, &window(), Ok).await;
        assert_eq!(refused.unwrap_err(), ApiError::InvalidAgentId);
    }
}

#[tokio::test]
async fn a_rotated_key_is_used_from_the_next_request_on() {
    let mut server = Server::repeating(answer(200, "", usage_json()), 3).await;
    let client = patient(&server);
    usage(&client).await.unwrap();
    client.set_key(Secret::new("test-key-new\n")).unwrap();
    usage(&client).await.unwrap();
    assert_eq!(
        client.set_key(Secret::new("bad\u{7}key")),
        Err(ApiError::UnusableKey)
    );
    usage(&client).await.unwrap();
    for key in [KEY, "test-key-new", "test-key-new"] {
        assert_eq!(header(&server.request().await, "authorization"), Some(key));
    }
}

#[tokio::test]
async fn without_a_key_nothing_is_asked() {
    let server = Server::start(vec![]).await;
    let settings = settings(&server.url, Duration::from_secs(60));
    let http = HttpClient::new(&settings).unwrap();
    let (telemetry, clock) = (Telemetry::new(), shared_clock());
    let client = Client::new(&http, &settings, "acme".into(), &telemetry, clock);
    assert_eq!(usage(&client).await.unwrap_err(), ApiError::MissingKey);
    assert_eq!(counted(&telemetry, "usage", "invalid_key"), 0);
}

#[tokio::test]
async fn a_forgotten_account_leaves_no_series_and_takes_no_others() {
    let telemetry = Telemetry::new();
    let date = "date: Mon, 23 Nov 2026 12:00:00 GMT\r\n";
    let server = Server::repeating(answer(400, date, ""), 4).await;
    let acme = client(&server, Duration::from_secs(60), &telemetry);
    let chat: ChatRequest = serde_json::from_str(fixture!("chat-request-text")).unwrap();
    let template: TemplateRequest = serde_json::from_str(fixture!("waba-request")).unwrap();
    usage(&acme).await.unwrap_err();
    acme.list_agents().await.unwrap_err();
    acme.chat("support", &chat, PATIENCE).await.0.unwrap_err();
    acme.send_template("support", &template).await.unwrap_err();

    let settings = settings(&server.url, Duration::from_secs(60));
    let http = HttpClient::new(&settings).unwrap();
    let _globex = Client::new(
        &http,
        &settings,
        "globex".into(),
        &telemetry,
        shared_clock(),
    );
    let series = |account: &str| {
        let families = telemetry.gather();
        let labels = families
            .iter()
            .flat_map(|family| family.get_metric())
            .flat_map(|metric| metric.get_label());
        labels.filter(|label| label.value() == account).count()
    };
    // Of usage every outcome and the duration; two for the limits.
    let untouched = OUTCOMES.len() + 3;
    // The clock, and of three more endpoints an outcome and the duration.
    assert_eq!(series("acme"), untouched + 7);
    acme.forget_telemetry();
    assert_eq!((series("acme"), series("globex")), (0, untouched));
}

#[tokio::test]
async fn an_answer_that_is_judged_wrong_is_counted_as_such() {
    let telemetry = Telemetry::new();
    let server = Server::repeating(answer(200, "", usage_json()), 1).await;
    let client = client(&server, Duration::from_secs(60), &telemetry);
    let wrong = |_| Err::<(), _>(ApiError::Contract("total 41, days sum to 36".into()));
    let judged = client.usage("support", &window(), wrong).await;
    assert_eq!(
        judged.unwrap_err().to_string(),
        "invalid answer: total 41, days sum to 36"
    );
    assert_eq!(counted(&telemetry, "usage", "contract"), 1);
    assert_eq!(counted(&telemetry, "usage", "ok"), 0);
}

#[tokio::test]
async fn the_difference_of_the_clocks_is_measured() {
    let telemetry = Telemetry::new();
    let date = "date: Mon, 23 Nov 2026 11:58:00 GMT\r\n";
    let server = Server::repeating(answer(400, date, ""), 1).await;
    let client = client(&server, Duration::from_secs(60), &telemetry);
    usage(&client).await.unwrap_err();
    let skew = telemetry
        .of::<ApiMetrics>()
        .clock_skew
        .with_label_values(&["acme"])
        .get();
    // Ours is 12:00:00.5; theirs may be up to 11:58:01.
    assert!((skew + 119.5).abs() < 1e-9, "{skew}");
}

#[tokio::test]
async fn a_chat_tells_its_real_status_inside() {
    let request: ChatRequest = serde_json::from_str(fixture!("chat-request-messages")).unwrap();
    let mut server = Server::start(
        [
            fixture!("chat"),
            fixture!("chat-error-402-no-credits"),
            fixture!("chat-error-500"),
            fixture!("chat-error-503-unavailable"),
            fixture!("chat-accepted"),
            "{\"statusCode\":200}",
            "{\"statusCode\":402,\"body\":[\"none\"]}",
            "{\"statusCode\":418,\"body\":{\"message\":\"tea\\n\"}}",
            "{}",
        ]
        .map(|body| Act::Send(answer(200, "", body)))
        .to_vec(),
    )
    .await;
    let client = patient(&server);
    let chat = async || client.chat("support", &request, PATIENCE).await.0;
    let Ok(ChatReply::Answered(body)) = chat().await else {
        panic!("no reply");
    };
    assert_eq!(body.conversation_history.unwrap().len(), 2);
    let sent = server.request().await;
    assert!(
        sent.starts_with("POST /api/public/agent/support/chat HTTP/1.1\r\n"),
        "{sent}"
    );
    assert_eq!(header(&sent, "content-type"), Some("application/json"));
    let expected: Value = serde_json::from_str(fixture!("chat-request-messages")).unwrap();
    assert_eq!(posted(&sent), expected);
    assert_eq!(chat().await.unwrap_err(), ApiError::NoCredits);
    assert_eq!(chat().await.unwrap_err(), ApiError::Server { status: 500 });
    let unavailable = ApiError::Unavailable { retry_after: None };
    assert_eq!(chat().await.unwrap_err(), unavailable);
    assert!(matches!(chat().await, Ok(ChatReply::Accepted(_))));
    for text in [
        "invalid answer: statusCode 200 without a body",
        "no credits are left",
        "unexpected status 418: tea\\n",
        "invalid answer: a chat answer has neither statusCode nor status",
    ] {
        assert_eq!(chat().await.unwrap_err().to_string(), text);
    }
}

/// Log of this thread while `work` runs, a line each.
async fn logged(work: impl Future) -> Vec<String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_target(false)
        .without_time()
        .with_writer(std::sync::Mutex::new(file.reopen().unwrap()))
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    work.await;
    drop(guard);
    let text = std::fs::read_to_string(file.path()).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn each_request_is_logged_once_without_its_url_and_key() {
    let good = answer(200, "", usage_json());
    // Whoever logs here first decides for all threads that it is worth it, in another test perhaps for nobody
    // and at this very moment: then nothing is logged, and it is tried again.
    let tries = 20;
    let answers = (0..tries).flat_map(|_| [answer(500, "", KEY), good.clone()]);
    let server = Server::start(answers.map(Act::Send).collect()).await;
    let client = patient(&server);
    let mut lines = Vec::new();
    for _ in 0..tries {
        lines = logged(usage(&client)).await;
        if lines.iter().any(|line| line.contains("request ended")) {
            break;
        }
    }
    let ours: Vec<_> = lines
        .iter()
        .filter_map(|line| line.strip_prefix("DEBUG request ended account=\"acme\" "))
        .map(|rest| rest.split_once(" seconds=").unwrap())
        .collect();
    let [(failed, one), (answered, other)] = ours[..] else {
        panic!("{lines:?}");
    };
    // That is all there is in the line: no URL, no key.
    let about = format!("endpoint=\"usage\" agent=\"support\" days={}", window());
    assert_eq!(
        failed,
        format!("{about} status=500 outcome=\"server_error\"")
    );
    assert_eq!(answered, format!("{about} status=200 outcome=\"ok\""));
    for seconds in [one, other] {
        assert!(seconds.parse::<f64>().unwrap() >= 0.0);
    }
}

#[tokio::test]
async fn a_documented_error_under_a_success_is_told_by_its_name() {
    let telemetry = Telemetry::new();
    let invalid_key = fixture!("usage-error-401-invalid-key");
    let denied = fixture!("usage-error-403-access-denied");
    let inside = format!("{{\"statusCode\":403,\"body\":{denied}}}");
    let bodies = [invalid_key, invalid_key, invalid_key, denied, &inside];
    let server = Server::start(bodies.map(|body| Act::Send(answer(200, "", body))).into()).await;
    let client = client(&server, Duration::from_secs(60), &telemetry);
    let chat: ChatRequest = serde_json::from_str(fixture!("chat-request-text")).unwrap();
    assert_eq!(usage(&client).await.unwrap_err(), ApiError::InvalidKey);
    assert_eq!(client.list_agents().await, Err(ApiError::InvalidKey));
    for error in [
        ApiError::InvalidKey,
        ApiError::AccessDenied,
        ApiError::AccessDenied,
    ] {
        assert_eq!(client.chat("support", &chat, PATIENCE).await.0, Err(error));
    }
    for endpoint in ["usage", "agents", "chat"] {
        assert_eq!(
            counted(&telemetry, endpoint, "invalid_key"),
            1,
            "{endpoint}"
        );
    }
}

#[tokio::test]
async fn a_refusal_to_list_agents_blames_no_agent() {
    let denied = fixture!("usage-error-403-access-denied");
    let answers = [403, 200].map(|status| Act::Send(answer(status, "", denied)));
    let server = Server::start(answers.into()).await;
    let telemetry = Telemetry::new();
    let client = client(&server, Duration::from_secs(60), &telemetry);
    for _ in 0..2 {
        assert_eq!(client.list_agents().await, Err(ApiError::ListingDenied));
    }
    assert_eq!(counted(&telemetry, "agents", "access_denied"), 2);
}

#[tokio::test]
async fn a_web_page_is_shown_by_its_title_and_size() {
    let page = "<html><title>Sign in</title><p>hello";
    let page = |status| Act::Send(answer(status, "", page));
    let server = Server::start(vec![page(200), page(404)]).await;
    let client = client(&server, Duration::from_secs(60), &Telemetry::new());
    for start in ["not JSON but ", "unexpected status 404: "] {
        let error = usage(&client).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("{start}an HTML page \"Sign in\", 36 bytes")
        );
    }
}

#[tokio::test]
async fn a_post_is_repeated_only_where_it_had_no_effect() {
    let request: TemplateRequest = serde_json::from_str(fixture!("waba-request")).unwrap();
    let refused = Act::Send(answer(429, "", ""));
    let failed = Act::Send(answer(500, "", ""));
    let cut = Act::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{".to_vec());
    let server = Server::start(vec![refused, failed, cut]).await;
    let client = patient(&server);
    let error = client.send_template("support", &request).await.unwrap_err();
    assert_eq!(error, ApiError::Server { status: 500 });
    assert_eq!(server.unseen(), 2);
    let error = client.send_template("support", &request).await.unwrap_err();
    assert_eq!(error.outcome(), "interrupted");
    assert_eq!(server.unseen(), 3);
}

#[tokio::test]
async fn a_template_is_sent_as_documented() {
    let text = fixture!("waba-request");
    let request: TemplateRequest = serde_json::from_str(text).unwrap();
    let answers = [
        answer(200, "", fixture!("waba")),
        answer(404, "", fixture!("waba-error-no-connection")),
        answer(200, "", fixture!("waba-error-missing-fields")),
    ];
    let mut server = Server::start(answers.map(Act::Send).to_vec()).await;
    let client = patient(&server);
    let sent = client.send_template("support", &request).await.unwrap();
    assert_eq!(sent.messages[0].id, "wamid.ID");
    let received = server.request().await;
    assert!(received.starts_with("POST /api/public/agent/support/waba HTTP/1.1\r\n"));
    assert_eq!(
        posted(&received),
        serde_json::from_str::<Value>(text).unwrap()
    );
    for error in [
        ApiError::WhatsAppNotConnected,
        ApiError::MissingTemplateFields,
    ] {
        let refused = client.send_template("support", &request).await;
        assert_eq!(refused.unwrap_err(), error);
    }
}

#[tokio::test]
async fn the_agents_of_an_account_are_listed() {
    let listing = json!({"agents": [{"id": "a-1", "name": "support"}, {"agent_id": "a-2"}]});
    let leaking = json!([{"id": "a-1", "name": KEY}]);
    let bodies = [listing, leaking].map(|body| Act::Send(answer(200, "", body.to_string())));
    let mut server = Server::start(bodies.to_vec()).await;
    let client = patient(&server);
    let agents = client.list_agents().await.unwrap().agents;
    assert_eq!(agents.len(), 2);
    assert_eq!(
        (&*agents[0].id, agents[0].name.as_deref()),
        ("a-1", Some("support"))
    );
    assert!(
        server
            .request()
            .await
            .starts_with("GET /api/public/agent HTTP/1.1\r\n")
    );
    assert_eq!(
        client.list_agents().await.unwrap_err().to_string(),
        "invalid answer: the answer holds the API key"
    );
}

#[tokio::test]
async fn a_dropped_call_leaves_nothing_behind() {
    let stalled = Act::Stall(Vec::new());
    let good = Act::Send(answer(200, "", usage_json()));
    let mut server = Server::start(vec![stalled, good]).await;
    let client = patient(&server);
    tokio::select! {
        answered = usage(&client) => panic!("{answered:?}"),
        _ = server.request() => {}
    }
    assert_eq!(client.pace.under_way(), 0);
    usage(&client).await.unwrap();
}

#[tokio::test]
async fn a_long_retry_after_ends_the_call_and_holds_the_account() {
    let date = "date: Mon, 23 Nov 2026 12:00:00 GMT\r\n";
    for (header, wait) in [
        ("retry-after: 3600\r\n".to_owned(), 3600),
        (
            format!("retry-after: Mon, 23 Nov 2026 12:30:00 GMT\r\n{date}"),
            1800,
        ),
        (
            "retry-after: Mon, 23 Nov 2026 12:30:00 GMT\r\n".to_owned(),
            1799,
        ),
    ] {
        let server = Server::repeating(answer(429, &header, ""), 1).await;
        let client = patient(&server);
        let error = usage(&client).await.unwrap_err();
        assert_eq!(error.retry_after().map(|wait| wait.as_secs()), Some(wait));
        assert!(error.is_account_wide());
        let mut context = Context::from_waker(Waker::noop());
        assert!(pin!(client.pace.acquire()).poll(&mut context).is_pending());
    }
}
