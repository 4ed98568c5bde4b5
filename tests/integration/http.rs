//! What is served beside the metrics, and where.

use std::net::{SocketAddr, TcpListener};

use crate::harness::{Exporter, Scene, request, run};

const NOW: &str = "2026-03-10T09:00:00";

/// The status code of a response.
fn status(head: &str) -> &str {
    head.split(' ').nth(1).unwrap()
}

/// The value of a response's header.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(": ")?;
        key.eq_ignore_ascii_case(name).then_some(value)
    })
}

/// The addresses that the exporter has logged to listen on, once there are so many.
async fn addresses(exporter: &Exporter, expected: usize) -> Vec<SocketAddr> {
    crate::harness::wait_for("the addresses", async || {
        let log = exporter.log();
        let listening = log.lines().filter(|line| line.contains("msg=listening"));
        let words = listening.flat_map(str::split_whitespace);
        let found: Vec<SocketAddr> = words
            .filter_map(|word| word.strip_prefix("address=")?.parse().ok())
            .collect();
        if found.len() == expected {
            Ok(found)
        } else {
            Err(log)
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_link_of_the_first_page_leads_somewhere() {
    let scene = Scene::new(NOW);
    let exporter = scene.start().await;
    exporter.wait_for_syncs(1).await;
    let (head, page) = exporter.get("/", "").await;
    assert_eq!(status(&head), "200");
    assert_eq!(
        header(&head, "content-type"),
        Some("text/html; charset=utf-8")
    );
    let page = String::from_utf8(page).unwrap();
    let links: Vec<&str> = page
        .split("href=\"./")
        .skip(1)
        .map(|rest| rest.split(['"', '#']).next().unwrap())
        .collect();
    for link in [
        "metrics",
        "-/healthy",
        "-/ready",
        "alerts",
        "agents/acme/legal",
    ] {
        assert!(links.contains(&link), "{link} is not among {links:?}");
    }
    for link in links {
        let link = format!("/{}", link.replace("&#38;", "&"));
        let (head, body) = exporter.get(&link, "").await;
        assert_eq!(status(&head), "200", "{link}");
        assert!(!body.is_empty(), "{link}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_readiness_are_told_in_plain_text() {
    let scene = Scene::new(NOW);
    let exporter = scene.start().await;
    for (path, text) in [("/-/healthy", "healthy\n"), ("/-/ready", "ready\n")] {
        let (head, body) = exporter.get(path, "").await;
        assert_eq!(status(&head), "200", "{path}");
        assert_eq!(
            header(&head, "content-type"),
            Some("text/plain; charset=utf-8")
        );
        assert_eq!(String::from_utf8(body).unwrap(), text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn head_is_get_without_the_body() {
    let scene = Scene::new(NOW);
    let exporter = scene.start().await;
    exporter.wait_for_syncs(1).await;
    for path in ["/", "/-/healthy", "/-/ready", "/metrics", "/nowhere"] {
        let (get, content) = exporter.get(path, "").await;
        let (head, nothing) = request(exporter.address(), "HEAD", path, "").await;
        assert_eq!(status(&head), status(&get), "{path}");
        let content_type = header(&head, "content-type");
        assert_eq!(content_type, header(&get, "content-type"), "{path}");
        let announced = |head: &str| -> usize {
            let length = header(head, "content-length").unwrap_or_default();
            length.parse().unwrap_or_else(|_| panic!("{path}: {head}"))
        };
        assert_eq!(announced(&get), content.len(), "{path}");
        // The exporter's own figures change from one scrape to the next.
        if path != "/metrics" {
            assert_eq!(announced(&head), content.len(), "{path}");
        }
        assert!(announced(&head) > 0, "{path}");
        assert!(nothing.is_empty(), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_and_methods_are_refused_in_plain_text() {
    let scene = Scene::new(NOW);
    let exporter = scene.start().await;
    let address = exporter.address();
    let (head, body) = request(address, "GET", "/metrics/", "").await;
    assert_eq!(status(&head), "404");
    assert_eq!(body, b"not found\n");
    for path in ["/", "/metrics", "/-/healthy", "/-/ready"] {
        for method in ["POST", "DELETE", "OPTIONS"] {
            let (head, body) = request(address, method, path, "").await;
            assert_eq!(status(&head), "405", "{method} {path}");
            assert_eq!(header(&head, "allow"), Some("GET, HEAD"));
            assert_eq!(body, b"method not allowed\n");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_are_where_the_command_line_says() {
    let scene = Scene::new(NOW);
    let exporter = Exporter::start(&scene, &["--web.telemetry-path", "/usage"]).await;
    let (head, _) = exporter.get("/usage", "").await;
    assert_eq!(status(&head), "200");
    let (head, _) = exporter.get("/metrics", "").await;
    assert_eq!(status(&head), "404");
    let (_, page) = exporter.get("/", "").await;
    assert!(
        String::from_utf8(page)
            .unwrap()
            .contains("href=\"./usage\"")
    );
    assert_eq!(exporter.logged("path=/usage"), 1, "{}", exporter.log());

    let refused = run(&scene, &["--web.telemetry-path", "usage"]).await;
    assert_eq!(refused.status.code(), Some(2));
    let message = String::from_utf8(refused.stderr).unwrap();
    assert!(
        message.starts_with("error: --web.telemetry-path: "),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_address_of_the_command_line_is_served_and_none_of_the_config() {
    let scene = Scene::new(NOW);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = scene.config("");
    // An address that cannot be listened on shows that the config's is left alone.
    let place = taken.local_addr().unwrap();
    scene.write(
        "config.toml",
        &config.replace("127.0.0.1:0", &place.to_string()),
    );
    let any = ["--web.listen-address", "127.0.0.1:0"];
    let exporter = Exporter::start(&scene, &[any, any].concat()).await;
    for address in addresses(&exporter, 2).await {
        let (head, _) = request(address, "GET", "/metrics", "").await;
        assert_eq!(status(&head), "200", "{address}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ipv6_is_served_too() {
    if TcpListener::bind("[::1]:0").is_err() {
        eprintln!("this machine has no IPv6");
        return;
    }
    let scene = Scene::new(NOW);
    let exporter = Exporter::start(&scene, &["--web.listen-address", "[::1]:0"]).await;
    assert!(exporter.address().is_ipv6());
    let (head, _) = exporter.get("/-/healthy", "").await;
    assert_eq!(status(&head), "200");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_a_clear_error() {
    let scene = Scene::new(NOW);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = run(&scene, &["--web.listen-address", &address]).await;
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(
        said.lines().last(),
        Some(&*format!(
            "error: cannot listen on {address}: Address already in use (os error 98)"
        )),
        "{said}"
    );
}
