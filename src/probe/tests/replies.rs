//! Replies, good and hostile: each is one question, and one outcome.

use super::*;
use crate::clock::ManualClock;
use crate::flowgent::client::Client;
use crate::flowgent::tests::server::{Act, chunked_head};
use crate::flowgent::transport::HttpClient;
use crate::ledger::ProbeOutcome::{self, *};
use crate::ledger::ProbeResult;
use crate::telemetry::Telemetry;

/// The result of a probe with a server that does this, which must be asked once.
async fn result(act: Act, change: impl Fn(&mut Probe)) -> ProbeResult {
    let folder = tempfile::tempdir().unwrap();
    // The second act is there for whoever asks twice.
    let server = Server::start(vec![act, Act::Send(ok(&reply("OK")))]).await;
    let mut probe = probe(folder.path());
    change(&mut probe);
    let settings = settings(&server);
    let http = HttpClient::new(&settings).unwrap();
    let clock = ManualClock::at("2026-11-23T06:00:00Z".parse().unwrap());
    let client = Client::new(&http, &settings, "acme".into(), &Telemetry::new(), clock);
    let result = ask(&probe, "support", &client).await;
    assert_eq!(server.unseen(), 1, "{result:?}");
    result
}

fn fate(result: &ProbeResult) -> (ProbeOutcome, Option<u16>, &str) {
    (result.outcome, result.status_code, &result.detail)
}

#[tokio::test]
async fn a_reply_as_expected_is_a_success_with_its_figures() {
    let result = result(Act::Send(ok(&reply(" OK. "))), |probe| {
        probe.expect = Some(Regex::new("(?i)ok").unwrap());
    });
    let result = result.await;
    assert_eq!(fate(&result), (Success, Some(200), ""));
    let figures = (result.execution_seconds, result.used_credits);
    assert_eq!(figures, (Some(2.5), Some(1.5)));
    assert!(result.duration_seconds.is_some_and(|seconds| seconds > 0.0));
}

#[tokio::test]
async fn each_hostile_answer_has_its_outcome_and_the_status_inside_counts() {
    let inside = |status: u16| {
        let body = json!({"error": "An unexpected error occurred", "message": "m"});
        json!({"statusCode": status, "body": body})
    };
    let with = |path: &str, value: Value| {
        let mut reply = reply("OK");
        *reply.pointer_mut(path).unwrap() = value;
        reply
    };
    let cases = [
        (
            ok(&inside(402)),
            NoCredits,
            Some(402),
            "no credits are left",
        ),
        (
            answer(402, "", "<p>pay"),
            NoCredits,
            Some(402),
            "no credits are left",
        ),
        (
            ok(&inside(503)),
            Unavailable,
            Some(503),
            "service unavailable",
        ),
        (ok(&inside(500)), Unavailable, Some(500), "server error 500"),
        (
            answer(503, "", ""),
            Unavailable,
            Some(503),
            "service unavailable",
        ),
        (
            answer(429, "retry-after: 7\r\n", ""),
            Unavailable,
            Some(429),
            "too many requests, retry after 7s",
        ),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{".to_vec(),
            Unavailable,
            None,
            "the answer broke off: ",
        ),
        (
            answer(401, "", json!({"error": "Invalid API key"}).to_string()),
            Refused,
            Some(401),
            "the API key is not valid",
        ),
        (
            ok(&inside(404)),
            Refused,
            Some(404),
            "unexpected status 404: An unexpected error occurred",
        ),
        (
            answer(200, "", "<html><title>Sign in</title>"),
            Malformed,
            None,
            "not JSON but an HTML page \"Sign in\", 28 bytes",
        ),
        (
            answer(302, "location: https://elsewhere.example/\r\n", ""),
            Malformed,
            Some(302),
            "redirect 302 to elsewhere.example, which is not followed",
        ),
        (
            ok(&json!({"message": "m", "status": "processing"})),
            Malformed,
            None,
            "FlowGent answers that it will reply later",
        ),
        (
            ok(&json!({"statusCode": "200"})),
            Malformed,
            None,
            "invalid answer: ",
        ),
        (
            ok(&reply(" \n")),
            Malformed,
            Some(200),
            "the conversation does not end with a reply of the agent",
        ),
        (
            ok(&with("/body/conversation_history/1/role", json!("user"))),
            Malformed,
            Some(200),
            "the conversation does not end with a reply of the agent",
        ),
        (
            ok(&with("/body/metadata", json!("none"))),
            Malformed,
            None,
            "invalid answer: ",
        ),
        (
            ok(&reply(KEY)),
            Malformed,
            None,
            "invalid answer: the answer holds the API key",
        ),
        (
            ok(&reply("Sorry\u{7}, no.")),
            Unexpected,
            Some(200),
            "the reply does not match `^OK`: Sorry\\u{7}, no.",
        ),
    ];
    let expected = Regex::new("^OK").unwrap();
    for (answer, outcome, status, detail) in cases {
        let result = result(Act::Send(answer), |probe| {
            probe.expect = Some(expected.clone());
        });
        let result = result.await;
        assert_eq!(
            (result.outcome, result.status_code),
            (outcome, status),
            "{result:?}"
        );
        assert!(result.detail.starts_with(detail), "{result:?}");
        assert_eq!(
            result.used_credits.is_some(),
            status == Some(200),
            "{result:?}"
        );
    }
}

#[tokio::test]
async fn an_agent_that_hangs_or_drips_times_out_and_a_flood_is_cut_off() {
    let short = |probe: &mut Probe| probe.timeout = Duration::from_millis(50);
    for act in [
        Act::Stall(Vec::new()),
        Act::Stall(chunked_head()),
        Act::Drip(chunked_head()),
    ] {
        let result = result(act, short).await;
        assert_eq!(
            fate(&result),
            (Timeout, None, "no complete answer within 50ms")
        );
    }
    let flooded = result(Act::Flood(chunked_head()), |_| {}).await;
    assert_eq!((flooded.outcome, flooded.status_code), (Malformed, None));
}

#[tokio::test]
async fn figures_that_cannot_be_are_unknown() {
    for (credits, milliseconds) in [(-1.0, -1.0), (1e300, 1e300)] {
        let mut reply = reply("OK");
        reply["body"]["metadata"]["used_credits"] = json!(credits);
        reply["body"]["metadata"]["execution_time"] = json!(milliseconds);
        let result = result(Act::Send(ok(&reply)), |_| {}).await;
        assert_eq!(result.outcome, Success);
        assert_eq!(
            (result.used_credits, result.execution_seconds),
            (None, None)
        );
    }
}

#[tokio::test]
async fn without_a_key_nothing_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(Vec::new()).await;
    let probe = probe(folder.path());
    std::fs::remove_file(folder.path().join("acme.key")).unwrap();
    let settings = settings(&server);
    let http = HttpClient::new(&settings).unwrap();
    let clock = ManualClock::at("2026-11-23T06:00:00Z".parse().unwrap());
    let client = Client::new(&http, &settings, "acme".into(), &Telemetry::new(), clock);
    let result = ask(&probe, "support", &client).await;
    assert_eq!((result.outcome, result.duration_seconds), (Refused, None));
    assert!(result.detail.contains("acme.key"), "{}", result.detail);
}

#[test]
fn an_agent_is_found_by_its_identifier_then_by_its_name_and_is_asked_for_unseen() {
    use crate::ledger::{AgentNumber, Member};
    let folder = tempfile::tempdir().unwrap();
    let mut probe = probe(folder.path());
    let agent = |account: &str, id: &str, name: &str| Agent {
        account: account.into(),
        id: id.into(),
        name: name.into(),
        labels: Default::default(),
    };
    let agents = [
        agent("globex", "support", "support"),
        agent("acme", "a1", "support"),
        agent("acme", "a2", "a1"),
    ];
    let members: Vec<_> = agents
        .into_iter()
        .map(|agent| Member::present(agent, AgentNumber(1)))
        .collect();
    for (written, id, name) in [
        ("support", "a1", "support"),
        ("a1", "a1", "support"),
        ("new", "new", "new"),
    ] {
        probe.agent = written.into();
        let target = probe.target(&members);
        assert_eq!(
            (&*target.account, &*target.id, &*target.name),
            ("acme", id, name)
        );
    }
}
