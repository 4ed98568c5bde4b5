//! The usage endpoint.

use super::*;
use crate::clock::Clock;
use crate::day::TRACKING_START;
use crate::flowgent::wire;

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
