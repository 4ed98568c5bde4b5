//! Holds the simulator against the API document, over real sockets and by a client of a few lines
//! that shares nothing with the exporter's.

use std::collections::HashSet;
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::*;
use crate::clock::{Clock, ManualClock};
use crate::day::{Day, TRACKING_START};
use crate::flowgent::wire;

const KEY: &str = "test-key-acme";
const USAGE_AGENT: &str = "66a72b17-cb03-4397-ab2a-1eef13847737";
const CHAT_AGENT: &str = "agent_123abc";
const ODD_AGENT: &str = "a/b ü?";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn fixture(name: &str) -> Value {
    let path = format!(
        "{}/tests/fixtures/api/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The demo's world without late and revised days, with the document's agents in place of two.
fn settings() -> Settings {
    let mut settings = Settings::demo(1);
    (settings.late_share, settings.revised_share) = (0.0, 0.0);
    for (agent, id) in
        settings.accounts[0]
            .agents
            .iter_mut()
            .zip([USAGE_AGENT, CHAT_AGENT, ODD_AGENT])
    {
        agent.id = Some(id.to_owned());
    }
    settings
}

fn start(settings: &Settings) -> (Simulator, Arc<ManualClock>) {
    let clock = ManualClock::at(at("2026-11-23T08:00:00Z"));
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let simulator = Simulator::start(settings, clock.clone(), listener).unwrap();
    (simulator, clock)
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: u16,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    /// As on the wire, up to where the connection ended.
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find_map(|(known, value)| (known == name).then_some(value.as_str()))
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Sends a request and returns the connection.
async fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    key: Option<&str>,
    body: &str,
) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let key = key.map_or_else(String::new, |key| format!("Authorization: {key}\r\n"));
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: simulator\r\nConnection: close\r\n{key}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    BufReader::new(stream)
}

/// Reads the head of a response.
async fn head(stream: &mut BufReader<TcpStream>) -> Answer {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let status = lines[0].split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines[1..].iter().map(|line| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_lowercase(), value.to_owned())
    });
    Answer {
        status,
        headers: headers.collect(),
        body: Vec::new(),
    }
}

async fn exchange(
    simulator: &Simulator,
    method: &str,
    path: &str,
    key: Option<&str>,
    body: &str,
) -> Answer {
    let mut stream = send(simulator.address(), method, path, key, body).await;
    let mut answer = head(&mut stream).await;
    stream.read_to_end(&mut answer.body).await.unwrap();
    answer
}

async fn get(simulator: &Simulator, path: &str) -> Answer {
    exchange(simulator, "GET", path, Some(KEY), "").await
}

async fn usage(simulator: &Simulator, agent: &Agent, query: &str) -> Answer {
    let key = simulator.world().key(&agent.account);
    let id = utf8_percent_encode(&agent.id, NON_ALPHANUMERIC);
    let path = format!("/api/public/agent/{id}/usage{query}");
    exchange(simulator, "GET", &path, Some(key.expose()), "").await
}

async fn post(simulator: &Simulator, action: &str, body: &Value) -> Answer {
    let path = format!("/api/public/agent/{CHAT_AGENT}/{action}");
    exchange(simulator, "POST", &path, Some(KEY), &body.to_string()).await
}

#[tokio::test]
async fn every_documented_usage_error_is_answered_word_for_word() {
    let (simulator, _) = start(&settings());
    let path = |query: &str| format!("/api/public/agent/{USAGE_AGENT}/usage{query}");
    let foreign = &simulator.world().agents("globex")[0].id;
    let foreign = format!("/api/public/agent/{foreign}/usage");
    for (name, status, key, path) in [
        ("401-missing-key", 401, None, path("")),
        ("401-missing-key", 401, Some(""), path("")),
        ("401-invalid-key", 401, Some("test-key-wrong"), path("")),
        (
            "401-invalid-key",
            401,
            Some("Bearer test-key-acme"),
            path(""),
        ),
        ("403-access-denied", 403, Some(KEY), foreign),
        (
            "403-access-denied",
            403,
            Some(KEY),
            "/api/public/agent/nobody/usage".into(),
        ),
        (
            "400-invalid-agent-id",
            400,
            Some(KEY),
            "/api/public/agent//usage".into(),
        ),
        (
            "400-missing-start-date",
            400,
            Some(KEY),
            path("?end_date=2026-11-22"),
        ),
        (
            "400-invalid-date-format",
            400,
            Some(KEY),
            path("?start_date=22.11.2026"),
        ),
        (
            "400-invalid-dates",
            400,
            Some(KEY),
            path("?start_date=2025-02-30"),
        ),
        (
            "400-start-after-end",
            400,
            Some(KEY),
            path("?start_date=2026-11-22&end_date=2026-11-21"),
        ),
        (
            "400-end-too-recent",
            400,
            Some(KEY),
            path("?start_date=2026-11-22&end_date=2026-11-23"),
        ),
        (
            "400-range-too-large",
            400,
            Some(KEY),
            path("?start_date=2026-10-22&end_date=2026-11-22"),
        ),
    ] {
        let answer = exchange(&simulator, "GET", &path, key, "").await;
        let expected = fixture(&format!("usage-error-{name}"));
        assert_eq!((answer.status, answer.json()), (status, expected), "{path}");
    }
    simulator
        .faults()
        .add_everywhere(Fault::Status(500, None), Times::Always);
    let answer = get(&simulator, &path("")).await;
    assert_eq!(
        (answer.status, answer.json()),
        (500, fixture("usage-error-500"))
    );
}

#[tokio::test]
async fn checks_come_in_the_order_of_key_agent_access_and_dates() {
    let (simulator, _) = start(&settings());
    for (key, id, error) in [
        (None, "", "API key is required"),
        (Some("test-key-wrong"), "", "Invalid API key"),
        (
            Some(KEY),
            "",
            "agent_id is required and must be a non-empty string",
        ),
        (Some(KEY), "nobody", "Access denied"),
        (Some(KEY), USAGE_AGENT, "Invalid date format"),
    ] {
        let path = format!("/api/public/agent/{id}/usage?start_date=x");
        let answer = exchange(&simulator, "GET", &path, key, "").await;
        assert_eq!(answer.json()["error"], error);
    }
}

#[tokio::test]
async fn the_documented_usage_example_is_answered_word_for_word() {
    let (simulator, clock) = start(&settings());
    clock.set(at("2025-05-27T10:00:00Z"));
    let world = simulator.world();
    let agent = world.agent(USAGE_AGENT).unwrap();
    world.set_credits(agent, day("2025-05-26"), 1.0);
    world.set_credits(agent, day("2025-05-24"), 2.0);
    for query in [
        "",
        "?start_date=2025-05-20",
        "?start_date=2025-05-20&end_date=2025-05-26",
    ] {
        let answer = usage(&simulator, agent, query).await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.header("content-type"),
            Some("application/json; charset=utf-8")
        );
        assert_eq!(answer.json(), fixture("usage"));
    }
}

#[tokio::test]
async fn an_answer_holds_every_day_newest_first_as_the_world_knows_it() {
    let (simulator, clock) = start(&settings());
    let world = simulator.world();
    for account in world.accounts() {
        for agent in &account.agents {
            let range = "?start_date=2026-10-23&end_date=2026-11-22";
            let answer = usage(&simulator, agent, range).await;
            let answer: wire::UsageAnswer = serde_json::from_slice(&answer.body).unwrap();
            let days = day("2026-10-23").through(day("2026-11-22")).rev();
            let expected: Vec<_> = days
                .map(|day| wire::DailyUsage {
                    date: day.to_string(),
                    credits_used: world.truth(agent, day, clock.now()).unwrap(),
                })
                .collect();
            assert_eq!(answer.usage.daily_breakdown, expected);
            assert_eq!(
                answer.usage.total_credits_used,
                expected.iter().map(|day| day.credits_used).sum::<f64>()
            );
            assert_eq!(answer.note, None);
        }
    }
}

#[tokio::test]
async fn days_before_tracking_are_zero_and_noted() {
    let (simulator, _) = start(&settings());
    let agent = &simulator.world().agents("acme")[7];
    let across = "?start_date=2025-05-26&end_date=2025-05-28";
    let answer = usage(&simulator, agent, across).await.json();
    let breakdown = &answer["usage"]["daily_breakdown"];
    assert_eq!(
        breakdown[1],
        json!({"date": "2025-05-27", "credits_used": 0})
    );
    assert_eq!(
        breakdown[0]["credits_used"].as_f64(),
        Some(simulator.world().final_truth(agent, TRACKING_START))
    );
    assert_eq!(answer["note"], fixture("usage")["note"]);
}

#[tokio::test]
async fn a_late_day_is_absent_until_it_comes_and_the_total_fits() {
    let (simulator, clock) = start(&settings());
    let world = simulator.world();
    let agent = world.agent(USAGE_AGENT).unwrap();
    world.set_late(agent, day("2026-11-22"), at("2026-11-23T12:00:00Z"));
    let query = "?start_date=2026-11-20";
    for (now, days) in [("2026-11-23T11:59:59Z", 2), ("2026-11-23T12:00:00Z", 3)] {
        clock.set(at(now));
        let answer = usage(&simulator, agent, query).await;
        let answer: wire::UsageAnswer = serde_json::from_slice(&answer.body).unwrap();
        let breakdown = answer.usage.daily_breakdown;
        assert_eq!(breakdown.len(), days);
        let sum: f64 = breakdown.iter().map(|day| day.credits_used).sum();
        assert_eq!(answer.usage.total_credits_used, sum);
    }
}

#[tokio::test]
async fn a_chat_takes_all_three_forms_and_answers_as_documented() {
    let (simulator, clock) = start(&settings());
    clock.set(at("2024-03-21T14:30:00Z"));
    let mut ids = HashSet::new();
    for name in ["text", "message", "messages"] {
        let mut request = fixture(&format!("chat-request-{name}"));
        // The document's own callback is not on this machine.
        request.as_object_mut().unwrap().remove("callback_url");
        let answer = post(&simulator, "chat", &request).await;
        let mut said = answer.json();
        let id = said["body"]["metadata"]["id"].take();
        ids.insert(id.as_str().unwrap().to_owned());
        said["body"]["metadata"]["id"] = json!("meta_xyz789");
        assert_eq!((answer.status, said), (200, fixture("chat")));
    }
    assert_eq!(ids.len(), 3);
}

#[tokio::test]
async fn a_chat_costs_a_credit_of_its_day() {
    let (simulator, clock) = start(&settings());
    let world = simulator.world();
    let agent = world.agent(CHAT_AGENT).unwrap();
    let today = clock.today();
    let before = world.final_truth(agent, today);
    post(&simulator, "chat", &json!({"messages": "Hello"})).await;
    clock.advance(TimeDelta::days(1));
    let query = format!("?start_date={today}&end_date={today}");
    let answer = usage(&simulator, agent, &query).await.json();
    assert_eq!(
        answer["usage"]["total_credits_used"].as_f64(),
        Some(before + 1.0)
    );
}

#[tokio::test]
async fn chat_errors_come_under_http_200_as_documented_and_cost_nothing() {
    let (simulator, clock) = start(&settings());
    let world = simulator.world();
    let agent = world.agent(CHAT_AGENT).unwrap();
    let before = world.final_truth(agent, clock.today());
    for (fault, name) in [
        (Fault::NoCredits, "402-no-credits"),
        (Fault::ChatUnavailable, "503-unavailable"),
        (Fault::ChatFailed, "500"),
    ] {
        simulator.faults().add_for(agent, fault, Times::Count(1));
        let answer = post(&simulator, "chat", &json!({"messages": "Hello"})).await;
        let expected = fixture(&format!("chat-error-{name}"));
        assert_eq!((answer.status, answer.json()), (200, expected));
    }
    assert_eq!(world.final_truth(agent, clock.today()), before);
}

#[tokio::test]
async fn a_chat_with_callback_is_accepted_at_once_and_answered_there() {
    let (simulator, _) = start(&settings());
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .unwrap();
    let callback = format!("http://{}/hook?id=7", listener.local_addr().unwrap());
    let mut request = fixture("chat-request-text");
    request["callback_url"] = json!(callback);
    let answer = post(&simulator, "chat", &request).await;
    assert_eq!(
        (answer.status, answer.json()),
        (200, fixture("chat-accepted"))
    );

    let (stream, _) = listener.accept().await.unwrap();
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    assert_eq!(line, "POST /hook?id=7 HTTP/1.1\r\n");
    let mut length = 0;
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line).await.unwrap();
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    let said: Value = serde_json::from_slice(&body).unwrap();
    let history = &said["body"]["conversation_history"];
    assert_eq!(*history, fixture("chat")["body"]["conversation_history"]);
}

#[tokio::test]
async fn nobody_but_this_machine_is_called_back() {
    let (simulator, clock) = start(&settings());
    let world = simulator.world();
    let agent = world.agent(CHAT_AGENT).unwrap();
    let before = world.final_truth(agent, clock.today());
    for callback in [
        "https://your-domain.com/webhook",
        "http://your-domain.com/webhook",
        "http://192.0.2.1/",
        "http://localhost.your-domain.com/",
        "https://127.0.0.1/",
        "file:///etc/hosts",
        "nonsense",
    ] {
        let request = json!({"messages": "Hello", "callback_url": callback});
        let answer = post(&simulator, "chat", &request).await;
        assert_eq!(answer.status, 400, "{callback}");
        assert_eq!(answer.json()["error"], "Invalid callback_url");
    }
    assert_eq!(world.final_truth(agent, clock.today()), before);
}

#[tokio::test]
async fn a_template_is_sent_as_documented_and_remembered() {
    let (simulator, _) = start(&settings());
    let request = fixture("waba-request");
    let answer = post(&simulator, "waba", &request).await;
    let mut sent = answer.json();
    let id = sent["messages"][0]["id"].take();
    assert!(id.as_str().unwrap().starts_with("wamid."));
    let number = &request["recipient_phone_number"];
    let mut expected = fixture("waba");
    expected["contacts"][0] = json!({"input": number, "wa_id": number});
    expected["messages"][0]["id"].take();
    assert_eq!((answer.status, sent), (200, expected));

    let templates = simulator.journal().templates();
    assert_eq!(templates.len(), 1);
    assert_eq!(&*templates[0].agent, CHAT_AGENT);
    assert_eq!(json!(templates[0].template), request);
}

#[tokio::test]
async fn every_documented_template_error_is_answered_word_for_word() {
    let (simulator, _) = start(&settings());
    let agent = simulator.world().agent(CHAT_AGENT).unwrap();
    let path = format!("/api/public/agent/{CHAT_AGENT}/waba");
    let good = fixture("waba-request");
    let answer = exchange(
        &simulator,
        "POST",
        &path,
        Some("test-key-wrong"),
        &good.to_string(),
    )
    .await;
    assert_eq!(
        (answer.status, answer.json()),
        (401, fixture("waba-error-invalid-key"))
    );

    for field in ["recipient_phone_number", "template_name"] {
        let (mut without, mut empty) = (good.clone(), good.clone());
        without.as_object_mut().unwrap().remove(field);
        empty[field] = json!("");
        for request in [without, empty] {
            let answer = post(&simulator, "waba", &request).await;
            assert_eq!(
                (answer.status, answer.json()),
                (400, fixture("waba-error-missing-fields"))
            );
        }
    }
    for (fault, status, name) in [
        (Fault::NoWhatsapp, 404, "no-connection"),
        (Fault::Status(500, None), 500, "internal"),
    ] {
        simulator.faults().add_for(agent, fault, Times::Count(1));
        let answer = post(&simulator, "waba", &good).await;
        let expected = fixture(&format!("waba-error-{name}"));
        assert_eq!((answer.status, answer.json()), (status, expected));
    }
    assert_eq!(simulator.journal().templates(), []);
}

#[tokio::test]
async fn a_body_that_is_not_the_documented_json_is_refused() {
    let (simulator, _) = start(&settings());
    for action in ["chat", "waba"] {
        for body in ["", "{", "[]", "\"Hello\"", "{\"messages\":7}"] {
            let path = format!("/api/public/agent/{CHAT_AGENT}/{action}");
            let answer = exchange(&simulator, "POST", &path, Some(KEY), body).await;
            assert_eq!(answer.status, 400, "{action} {body}");
        }
    }
}

#[tokio::test]
async fn agents_are_listed_in_the_form_that_is_asked_for() {
    let mut settings = settings();
    let listed = |answer: Answer| -> Vec<Value> {
        let value = answer.json();
        let array = value.as_array().or_else(|| value["agents"].as_array());
        array.unwrap().clone()
    };
    let (simulator, _) = start(&settings);
    let agents = listed(get(&simulator, "/api/public/agent").await);
    assert_eq!(agents.len(), 8);
    assert_eq!(agents[0], json!({"id": USAGE_AGENT, "name": "support"}));

    settings.listing.field = Some("agents".into());
    settings.listing.id_field = Some("agent_id".into());
    let (simulator, _) = start(&settings);
    let agents = listed(get(&simulator, "/api/public/agent").await);
    assert_eq!(agents[1], json!({"agent_id": CHAT_AGENT, "name": "sales"}));
    let answer = exchange(&simulator, "GET", "/api/public/agent", None, "").await;
    assert_eq!(answer.json(), fixture("usage-error-401-missing-key"));
}

#[tokio::test]
async fn an_agent_id_is_one_percent_encoded_segment() {
    let (simulator, _) = start(&settings());
    let answer = get(&simulator, "/api/public/agent/a%2Fb%20%C3%BC%3F/usage").await;
    assert_eq!(answer.json()["agent_id"], ODD_AGENT);
    assert_eq!(
        get(&simulator, "/api/public/agent/a/b/usage").await.status,
        404
    );
}

#[tokio::test]
async fn other_paths_and_methods_are_refused_in_json() {
    let (simulator, _) = start(&settings());
    for path in [
        "/",
        "/api/public/",
        "/api/public/agents",
        "/api/public/agent/x",
        "/api/public/agent/x/usage/",
    ] {
        let answer = get(&simulator, path).await;
        assert_eq!(
            (answer.status, answer.json()),
            (404, json!({"error": "Not found"})),
            "{path}"
        );
    }
    for (method, action, allowed) in [
        ("POST", "usage", "GET"),
        ("GET", "chat", "POST"),
        ("PUT", "waba", "POST"),
    ] {
        let path = format!("/api/public/agent/{CHAT_AGENT}/{action}");
        let answer = exchange(&simulator, method, &path, Some(KEY), "").await;
        assert_eq!(answer.status, 405);
        assert_eq!(answer.json(), json!({"error": "Method not allowed"}));
        assert_eq!(answer.header("allow"), Some(allowed));
    }
}

#[tokio::test]
async fn answers_are_dated_by_the_simulators_clock() {
    let (simulator, clock) = start(&settings());
    clock.set(at("2025-12-31T23:59:59.9Z"));
    for path in ["/api/public/agent", "/nowhere"] {
        let answer = get(&simulator, path).await;
        let dates: Vec<_> = answer
            .headers
            .iter()
            .filter(|(name, _)| name == "date")
            .collect();
        assert_eq!(dates.len(), 1);
        assert_eq!(dates[0].1, "Wed, 31 Dec 2025 23:59:59 GMT");
    }
}

#[tokio::test]
async fn a_rotated_key_is_refused_at_the_next_request() {
    let (simulator, _) = start(&settings());
    assert_eq!(get(&simulator, "/api/public/agent").await.status, 200);
    simulator
        .world()
        .set_key("acme", Secret::new("test-key-acme-2"));
    assert_eq!(get(&simulator, "/api/public/agent").await.status, 401);
    let answer = exchange(
        &simulator,
        "GET",
        "/api/public/agent",
        Some("test-key-acme-2"),
        "",
    )
    .await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn the_journal_tells_who_was_asked_for_what() {
    let (simulator, _) = start(&settings());
    let [first, second] = [0, 3].map(|position| &simulator.world().agents("acme")[position]);
    usage(&simulator, first, "").await;
    usage(
        &simulator,
        first,
        "?start_date=2026-11-01&end_date=2026-11-02",
    )
    .await;
    usage(
        &simulator,
        first,
        "?start_date=2026-11-23&end_date=2026-11-23",
    )
    .await;
    let journal = simulator.journal();
    assert_eq!(
        journal.windows(first),
        [
            (day("2026-11-16"), day("2026-11-22")),
            (day("2026-11-01"), day("2026-11-02")),
        ]
    );
    assert_eq!(journal.count(first, Endpoint::Usage), 3);
    assert_eq!(journal.count(second, Endpoint::Usage), 0);
    assert_eq!(journal.total(), 3);
    journal.clear();
    assert_eq!((journal.total(), journal.requests()), (0, vec![]));
}

#[tokio::test]
async fn faults_of_status_say_when_to_come_back() {
    let (simulator, _) = start(&settings());
    for (name, status, retry_after) in [
        ("401", 401, None),
        ("403", 403, None),
        ("429", 429, Some("1")),
        ("429-date", 429, Some("Mon, 23 Nov 2026 08:00:02 GMT")),
        ("500", 500, None),
        ("502", 502, None),
        ("503", 503, None),
    ] {
        let fault = name.parse().unwrap();
        simulator.faults().add_everywhere(fault, Times::Count(1));
        let answer = get(&simulator, "/api/public/agent").await;
        assert_eq!(
            (answer.status, answer.header("retry-after")),
            (status, retry_after)
        );
    }
    assert_eq!(get(&simulator, "/api/public/agent").await.status, 200);
}

#[tokio::test]
async fn a_fault_of_one_agent_leaves_the_others_alone() {
    let (simulator, _) = start(&settings());
    let world = simulator.world();
    let [bad, good] = [&world.agents("acme")[4], &world.agents("globex")[0]];
    simulator
        .faults()
        .add_for(bad, Fault::Status(503, None), Times::Always);
    simulator
        .faults()
        .add_for(bad, Fault::WrongTotal, Times::Always);
    for _ in 0..3 {
        assert_eq!(usage(&simulator, bad, "").await.status, 503);
        assert_eq!(usage(&simulator, good, "").await.status, 200);
    }
}

#[tokio::test]
async fn a_fault_that_spoils_usage_is_not_spent_on_a_refused_request() {
    let (simulator, _) = start(&settings());
    let agent = simulator.world().agent(USAGE_AGENT).unwrap();
    simulator
        .faults()
        .add_for(agent, Fault::ForeignAgent, Times::Count(1));
    assert_eq!(usage(&simulator, agent, "?start_date=x").await.status, 400);
    let ids = [
        usage(&simulator, agent, "").await,
        usage(&simulator, agent, "").await,
    ];
    let ids = ids.map(|answer| answer.json()["agent_id"].clone());
    assert_ne!(ids[0], USAGE_AGENT);
    assert_eq!(ids[1], USAGE_AGENT);
}

#[tokio::test]
async fn a_cut_body_ends_before_its_promised_length() {
    let (simulator, _) = start(&settings());
    simulator.faults().add_everywhere(Fault::Cut, Times::Always);
    let answer = get(&simulator, "/api/public/agent").await;
    assert_eq!(
        (answer.status, answer.header("content-length")),
        (200, Some("4096"))
    );
    assert_eq!(answer.body, br#"{"agent_id":"#);
}

#[tokio::test]
async fn an_oversized_body_is_many_mebibytes_long() {
    let (simulator, _) = start(&settings());
    simulator
        .faults()
        .add_everywhere(Fault::Oversized, Times::Always);
    let mut stream = send(
        simulator.address(),
        "GET",
        "/api/public/agent",
        Some(KEY),
        "",
    )
    .await;
    assert_eq!(head(&mut stream).await.status, 200);
    let mut body = vec![0; 8 << 20];
    stream.read_exact(&mut body).await.unwrap();
}

#[tokio::test]
async fn a_gzip_bomb_inflates_to_much_more_than_was_sent() {
    let (simulator, _) = start(&settings());
    simulator
        .faults()
        .add_everywhere(Fault::GzipBomb, Times::Always);
    let answer = get(&simulator, "/api/public/agent").await;
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert!(answer.body.len() < 4 << 20, "{}", answer.body.len());
    // Chunks of a kilobyte or so: their frames are taken off first.
    let mut rest = answer.body.as_slice();
    let mut gzip = Vec::new();
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let size = std::str::from_utf8(&rest[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        gzip.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 4 + size..];
    }
    let mut inflated = vec![0; 8 << 20];
    flate2::read::GzDecoder::new(gzip.as_slice())
        .read_exact(&mut inflated)
        .unwrap();
    assert!(inflated.iter().all(|byte| *byte == b' '));
}

#[tokio::test]
async fn a_dripping_body_goes_on_and_on() {
    let (simulator, _) = start(&settings());
    simulator
        .faults()
        .add_everywhere(Fault::Drip, Times::Always);
    let mut stream = send(
        simulator.address(),
        "GET",
        "/api/public/agent",
        Some(KEY),
        "",
    )
    .await;
    assert_eq!(head(&mut stream).await.status, 200);
    let mut chunks = [0; 3 * b"1\r\n \r\n".len()];
    stream.read_exact(&mut chunks).await.unwrap();
    assert_eq!(&chunks, b"1\r\n \r\n1\r\n \r\n1\r\n \r\n");
}

#[tokio::test]
async fn html_and_redirects_come_in_place_of_json() {
    let (simulator, _) = start(&settings());
    simulator
        .faults()
        .add_everywhere(Fault::Html, Times::Count(1));
    simulator
        .faults()
        .add_everywhere(Fault::Redirect, Times::Count(1));
    let page = get(&simulator, "/api/public/agent").await;
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, Some("text/html; charset=utf-8"))
    );
    assert!(page.body.starts_with(b"<!DOCTYPE html>"));
    let redirect = get(&simulator, "/api/public/agent").await;
    assert_eq!(
        (redirect.status, redirect.header("location")),
        (302, Some("http://elsewhere.invalid/"))
    );
}

#[tokio::test]
async fn a_hanging_request_is_never_answered_and_shutdown_does_not_wait_for_it() {
    let (simulator, _) = start(&settings());
    simulator
        .faults()
        .add_everywhere(Fault::Hang, Times::Always);
    let mut stream = send(
        simulator.address(),
        "GET",
        "/api/public/agent",
        Some(KEY),
        "",
    )
    .await;
    while simulator.faults().met() == 0 {
        tokio::task::yield_now().await;
    }
    let address = simulator.address();
    simulator.shutdown().await;
    let mut answer = Vec::new();
    // Reset or closed, but without a byte.
    let _ = stream.read_to_end(&mut answer).await;
    assert_eq!(answer, b"");
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn many_clients_are_served_at_once() {
    let (simulator, _) = start(&settings());
    let agent = simulator.world().agent(USAGE_AGENT).unwrap();
    simulator
        .faults()
        .add_everywhere(Fault::Hang, Times::Count(5));
    let mut hanging = Vec::new();
    for _ in 0..5 {
        hanging.push(
            send(
                simulator.address(),
                "GET",
                "/api/public/agent",
                Some(KEY),
                "",
            )
            .await,
        );
    }
    while simulator.faults().met() < 5 {
        tokio::task::yield_now().await;
    }
    for _ in 0..20 {
        assert_eq!(usage(&simulator, agent, "").await.status, 200);
    }
}
