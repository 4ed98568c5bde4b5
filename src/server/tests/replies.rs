//! Properties that all replies have in common, and replies to programs.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::ledger::{AgentNumber, Member};

/// Enrols so many agents of the account `acme`, whose figures are as of the clock's day.
fn enrol(running: &Running, number: usize) {
    let member = |place: usize| Member {
        agent: Agent {
            account: "acme".into(),
            id: format!("id {place}").into(),
            name: format!("agent/{place}").into(),
            labels: Arc::new(BTreeMap::from([("team".to_owned(), "cx".to_owned())])),
        },
        number: AgentNumber(i64::try_from(place).unwrap()),
        unlisted_since: None,
        left_on: None,
    };
    let board = &running.state.board;
    board.enrol((0..number).map(member).collect());
    let figures = Figures {
        previous_day_credits: Some(12.5),
        ..Figures::default()
    };
    let all = (0..number).map(|place| (place, figures));
    board.set_figures(running.clock.today(), all, true);
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

#[tokio::test]
async fn every_response_tells_browsers_to_trust_nothing_else() {
    let running = start(patient(), "").await;
    for path in ["/", "/metrics", "/-/ready", "/nothing", "/api/v1/agents"] {
        let answer = running.get(path).await;
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path} {name}");
        }
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("frame-ancestors 'none'"), "{path}");
        let caching = answer.header("cache-control");
        assert_eq!(caching, Some("private, no-cache"), "{path}");
    }
}

#[tokio::test]
async fn long_texts_are_compressed_for_those_who_take_it() {
    let running = start(patient(), "").await;
    enrol(&running, 20);
    let zipped = "Accept-Encoding: br, gzip\r\n";
    let plain = running.get("/api/v1/agents").await;
    assert_eq!(plain.header("content-encoding"), None);
    assert_eq!(plain.header("vary"), Some("Accept-Encoding"));
    let answer = running.request("GET", "/api/v1/agents", zipped).await;
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert!(answer.body.len() * 4 < plain.body.len());
    let mut text = Vec::new();
    GzDecoder::new(&answer.body[..])
        .read_to_end(&mut text)
        .unwrap();
    assert_eq!(text, plain.body);
    let head = running.request("HEAD", "/api/v1/agents", zipped).await;
    assert_eq!(
        head.header("content-length"),
        answer.header("content-length")
    );
    let short = running.request("GET", "/-/ready", zipped).await;
    assert_eq!(short.header("content-encoding"), None);
}

#[tokio::test]
async fn a_list_is_read_page_by_page_along_its_links() {
    let running = start(patient(), "").await;
    enrol(&running, 7);
    let mut path = "/api/v1/agents?account=acme&limit=3".to_owned();
    let (mut names, mut pages) = (Vec::new(), 0);
    loop {
        let answer = running.get(&path).await;
        let page = answer.json();
        assert_eq!(page["total"], 7);
        let agents = page["agents"].as_array().unwrap();
        names.extend(agents.iter().map(|agent| agent["agent"].clone()));
        pages += 1;
        match answer.header("link") {
            None => break,
            Some(link) => {
                let link = link.strip_prefix('<').unwrap();
                path = link.strip_suffix(">; rel=\"next\"").unwrap().to_owned();
            }
        }
    }
    let all: Vec<Value> = (0..7)
        .map(|place| json!(format!("agent/{place}")))
        .collect();
    assert_eq!((names, pages), (all, 3));
}

#[tokio::test]
async fn an_agent_is_found_by_its_name_and_by_its_identifier() {
    let running = start(patient(), "").await;
    enrol(&running, 3);
    for name in ["agent%2F1", "id%201"] {
        let agent = running.get(&format!("/api/v1/agents/acme/{name}")).await;
        assert_eq!(agent.header("content-type"), Some("application/json"));
        let agent = agent.json();
        assert_eq!(agent["agent"], "agent/1");
        assert_eq!(agent["labels"], json!({"team": "cx"}));
        assert_eq!(agent["previous_day_credits"], 12.5);
        assert_eq!(agent["previous_7_days_credits"], Value::Null);
    }
}

#[tokio::test]
async fn programs_are_told_of_problems_in_their_own_form() {
    let running = start(patient(), "").await;
    let loading = running.get("/api/v1/agents").await;
    assert_eq!(loading.status(), "503");
    assert_eq!(loading.header("retry-after"), Some("1"));
    enrol(&running, 3);
    for (method, path, status, detail) in [
        (
            "GET",
            "/api/v1/agents/acme/agent%2F9",
            404,
            "there is no agent `agent/9` of account acme; did you mean `agent/0`?",
        ),
        (
            "GET",
            "/api/v1/agents/%00/x",
            404,
            "there is no account `\\u{0}`",
        ),
        (
            "GET",
            "/api/v1/agents?acount=acme",
            400,
            "there is no parameter `acount`; did you mean `account`?",
        ),
        (
            "GET",
            "/api/v1/agents?agent=%ff",
            400,
            "`%ff` in the query is not percent-encoded UTF-8",
        ),
        (
            "GET",
            "/api/v1/agents/acme/agent%2F1?x",
            400,
            "there is no parameter `x`; there are none here",
        ),
        (
            "GET",
            "/api/v1/elsewhere",
            404,
            "there is nothing at this path; /api/v1/openapi.json lists all paths",
        ),
        (
            "DELETE",
            "/api/v1/agents",
            405,
            "this API is read-only: use GET or HEAD",
        ),
    ] {
        let answer = running.request(method, path, "").await;
        assert_eq!(answer.status(), status.to_string(), "{path}");
        let media_type = answer.header("content-type");
        assert_eq!(media_type, Some("application/problem+json"), "{path}");
        let problem = answer.json();
        assert_eq!(problem["status"], status, "{path}");
        assert_eq!(problem["detail"], detail, "{path}");
        assert_eq!(problem["instance"], path.split('?').next().unwrap());
        let kind = problem["type"].as_str().unwrap();
        assert!(kind.starts_with("tag:flowgent-exporter,2026:"), "{path}");
    }
}
