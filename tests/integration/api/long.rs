//! Long answers: all agents in one table, and what a crowd that asks for them may take.

use std::io::Read;

use flate2::read::GzDecoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{NOW, page};
use crate::harness::{Exporter, Scene, day, many_agents, request};

const AGENTS: usize = 120;
/// Ten years of all agents, which no socket holds.
const LONG: &str = "/api/v1/usage.csv?start=2016-03-03";
/// As many long answers as are sent at once.
const AT_ONCE: usize = 8;

/// An exporter of more agents than a page has, whose history is short.
async fn synced() -> (Scene, Exporter) {
    let scene = Scene::with(NOW, many_agents(AGENTS));
    let config = scene.config("");
    let start = "[schedule]\nhistory_start = \"2026-01-01\"";
    scene.write("config.toml", &config.replace("[schedule]", start));
    let exporter = scene.start().await;
    exporter.wait_for_syncs(1).await;
    (scene, exporter)
}

/// What a body in chunks holds; none if its end is not there.
pub(super) fn dechunked(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    loop {
        let end = body.windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(&body[..end]).ok()?;
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return Some(content);
        }
        content.extend_from_slice(body.get(end + 2..end + 2 + size)?);
        body = body.get(end + 2 + size + 2..)?;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_usage_holds_all_agents_however_long_it_is() {
    let (scene, exporter) = synced().await;
    let (first, last) = (day("2026-01-01"), day("2026-03-09"));
    let mut lines = Vec::new();
    for agent in scene.agents() {
        for day in first.through(last) {
            let truth = scene.sum(&agent, day, day);
            lines.push(format!(
                "acme,{},{day},{day},{truth},{truth},0,false",
                agent.name
            ));
        }
    }
    lines.sort();
    // More than two months of all are long, and made while they are sent.
    for (path, headers) in [
        ("/api/v1/usage.csv?start=2026-01-01", ""),
        ("/api/v1/usage?start=2026-01-01", "Accept: text/csv\r\n"),
        (
            "/api/v1/usage.csv?start=2026-01-01",
            "Accept-Encoding: gzip\r\n",
        ),
    ] {
        let (head, body) = exporter.get(path, headers).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        for absent in ["\r\nlink:", "\r\ncontent-length:"] {
            assert!(!head.contains(absent), "{head}");
        }
        let by_path = "\r\ncontent-disposition: attachment; filename=\"usage.csv\"\r\n";
        assert_eq!(head.contains(by_path), path.contains(".csv"), "{head}");
        let mut content = dechunked(&body).unwrap();
        if headers.contains("gzip") {
            assert!(head.contains("\r\ncontent-encoding: gzip\r\n"), "{head}");
            let zipped = std::mem::take(&mut content);
            let mut decoder = GzDecoder::new(&zipped[..]);
            decoder.read_to_end(&mut content).unwrap();
        }
        let text = String::from_utf8(content).unwrap();
        let (header, rows) = text.split_once('\n').unwrap();
        let columns = "account,agent,start,end,credits,known_credits,missing_days,former";
        assert_eq!(header, columns);
        let mut rows: Vec<&str> = rows.lines().collect();
        rows.sort_unstable();
        assert_eq!(rows.len(), lines.len(), "{path} {headers}");
        let differ = rows.iter().zip(&lines).find(|(row, line)| row != line);
        assert_eq!(differ, None, "{path} {headers}");
    }
    let path = "/api/v1/usage.csv?start=2026-01-01";
    let (head, body) = request(exporter.address(), "HEAD", path, "").await;
    assert!(
        head.starts_with("HTTP/1.1 200 ") && body.is_empty(),
        "{head}"
    );
    assert!(!head.contains("content-length"), "{head}");

    // A day of all is short: it is whole. Less is sent if less is asked for.
    let path = "/api/v1/usage.csv?start=2026-03-09";
    let (head, body) = exporter.get(path, "").await;
    assert!(head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())));
    assert_eq!(body.split(|byte| *byte == b'\n').count(), 1 + AGENTS + 1);
    let part = format!("{path}&offset=100&limit=10");
    let (_, body) = exporter.get(&part, "").await;
    assert_eq!(body.split(|byte| *byte == b'\n').count(), 1 + 10 + 1);
    // JSON comes in pages.
    let (json, next) = page(&exporter, "/api/v1/usage?start=2026-03-09").await;
    assert_eq!(json["agents"].as_array().unwrap().len(), 100);
    assert!(next.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_that_takes_long_answers_slowly_keeps_nobody_from_anything_else() {
    let (_scene, exporter) = synced().await;
    let mut crowd = Vec::new();
    for _ in 0..AT_ONCE {
        let mut stream = TcpStream::connect(exporter.address()).await.unwrap();
        let asked = format!("GET {LONG} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(asked.as_bytes()).await.unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 200");
        crowd.push(stream);
    }
    let paths = [
        "/",
        "/api/v1/status",
        "/api/v1/agents",
        "/metrics",
        "/-/healthy",
    ];
    for path in paths {
        let (head, _) = exporter.get(path, "").await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
    }
    let (head, body) = exporter.get("/api/v1/usage", "").await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert!(head.contains("\r\nretry-after: 1\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-type: application/problem+json\r\n"));
    let problem = String::from_utf8(body).unwrap();
    assert!(problem.contains(":too-busy\""), "{problem}");
    // Whoever hangs up leaves the place to the next.
    crowd.pop();
    let (head, _) = exporter.get("/api/v1/usage", "").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
}
