//! The listing, paths, keys, dates and the journal.

use super::*;

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
