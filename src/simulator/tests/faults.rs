//! Faults on request, as a client sees them.

use std::io::Read;

use super::*;

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
