//! Queries that nobody means well with.

use serde_json::Value;

use super::NOW;
use crate::harness::{Exporter, Scene, exchange};

/// The status of the answer to a GET, and the detail of a problem.
async fn told(exporter: &Exporter, target: &[u8]) -> (String, String) {
    let target: String = target.iter().map(|byte| char::from(*byte)).collect();
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let (head, body) = exchange(exporter.address(), &request).await;
    let status = head.split(' ').nth(1).unwrap().to_owned();
    let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
    if status != "200" && !problem.is_null() {
        assert!(head.contains("\r\ncontent-type: application/problem+json\r\n"));
        assert_eq!(problem["status"].to_string(), status);
    }
    let detail = problem["detail"].as_str().unwrap_or_default();
    (status, detail.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_queries_are_told_what_is_wrong_with_them() {
    let scene = Scene::new(NOW);
    let exporter = scene.start().await;
    exporter.wait_for_syncs(1).await;
    let repeated = format!("/api/v1/usage?{}", "start=2026-01-01&".repeat(800));
    let many = format!("/api/v1/agents?{}", "agent=nobody&".repeat(1000));
    let long = format!("/api/v1/agents/acme/{}", "x".repeat(15_000));
    let emoji = format!("/api/v1/agents/acme/support{}", "%F0%9F%98%80".repeat(1200));
    let deep = format!("/api/v1/agents{}", "/a".repeat(7000));
    for (target, status, detail) in [
        (
            "/api/v1/usage?start=%00",
            "400",
            "Dates must be in YYYY-MM-DD format: `",
        ),
        (
            "/api/v1/usage?start=%ff%fe",
            "400",
            "`%ff%fe` in the query is not percent-encoded UTF-8",
        ),
        (
            "/api/v1/usage?start=2026-02-30",
            "400",
            "Provided dates are not valid: `2026-02-30`",
        ),
        (
            "/api/v1/usage?end=2026-03-01",
            "400",
            "start is required when end is provided",
        ),
        (
            "/api/v1/usage?start=2026-03-10&end=2026-03-10",
            "400",
            "end cannot be today or in the future",
        ),
        (
            "/api/v1/usage?start=2026-03-02&end=2026-03-01",
            "400",
            "start must not be after end",
        ),
        (
            "/api/v1/usage?start=0001-01-01",
            "400",
            "Date range cannot exceed 3660 days",
        ),
        (
            "/api/v1/usage?start=-9999-01-01",
            "400",
            "Dates must be in YYYY-MM-DD format",
        ),
        (
            "/api/v1/usage?start=99999-01-01",
            "400",
            "Dates must be in YYYY-MM-DD format",
        ),
        (
            "/api/v1/usage?step=",
            "400",
            "`step` is `day`, `week` or `month`, not ``",
        ),
        (
            "/api/v1/usage?limit=-1",
            "400",
            "`limit` is a whole number from 1 to 1000, not `-1`",
        ),
        (
            "/api/v1/usage?offset=1e9",
            "400",
            "`offset` is a whole number from 0 to",
        ),
        ("/api/v1/usage?offset=999999999", "200", ""),
        ("/api/v1/usage?agent=", "404", "there is no agent ``"),
        (
            "/api/v1/usage?agent=suport",
            "404",
            "there is no agent `suport`; did you mean `support`?",
        ),
        (
            "/api/v1/usage?account=%00",
            "404",
            "there is no account `\\u{0}`",
        ),
        (
            "/api/v1/usage?%00=%00",
            "400",
            "there is no parameter `\\u{0}`",
        ),
        ("/api/v1/usage?=&=&&", "400", "there is no parameter ``"),
        (
            "/api/v1/status?verbose=1",
            "400",
            "there is no parameter `verbose`; there are none here",
        ),
        ("/api/v1/agents/%00/%00", "404", "there is no account"),
        (
            "/api/v1/agents/%ff/%ff",
            "404",
            "there is nothing at this path",
        ),
        (
            "/api/v1/agents/..%2f..%2fetc/passwd",
            "404",
            "there is no account",
        ),
        ("/api/v2/usage", "404", "there is nothing at this path"),
        (
            &repeated,
            "400",
            "`start` is given 800 times, but may be given once",
        ),
        (&many, "404", "there is no agent `nobody`"),
        (&long, "404", "there is no agent `xxx"),
        (&emoji, "404", "there is no agent `support😀😀"),
        (&deep, "404", "there is nothing at this path"),
    ] {
        let told = told(&exporter, target.as_bytes()).await;
        assert_eq!(told.0, status, "{target:.80}: {}", told.1);
        assert!(told.1.starts_with(detail), "{target:.80}: {}", told.1);
        assert!(told.1.len() < 400, "{target:.80}: {}", told.1);
        // What nobody types is compared with no name.
        let is_compared = told.1.contains("did you mean");
        assert!(target.len() < 1000 || !is_compared, "{target:.80}");
    }
    // Bytes that are no ASCII are refused, and whatever was sent, it goes on.
    let (status, _) = told(&exporter, b"/api/v1/usage?agent=\xc3\xbc").await;
    assert!(["400", "404"].contains(&status.as_str()), "{status}");
    assert_eq!(told(&exporter, b"/api/v1/status").await.0, "200");
    assert!(!exporter.log().contains("panic"), "{}", exporter.log());
}
