//! No key is ever shown, whatever goes wrong with it and whoever sends it back.

mod hooks;
mod push;
mod web;

use std::fs;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{Exporter, Scene, run};

const KEY: &str = "test-key-canary-7731";
const CANARY: &str = "canary-7731";

/// What a server that sends back what it was sent says about each agent, by the agent's id: the status,
/// a header, and the body, in which `KEY` stands for the key.
const ECHOES: [(&str, &str, &str, &str); 10] = [
    ("page", "200 OK", "X-A: b", "<html>KEY</html>"),
    ("bad", "400 Bad Request", "X-A: KEY", "<html>KEY</html>"),
    ("refused", "401 Unauthorized", "X-A: KEY", "invalid key KEY"),
    (
        "denied",
        "403 Forbidden",
        "X-A: KEY",
        r#"{"error": "Access denied to KEY"}"#,
    ),
    (
        "teapot",
        "418 KEY",
        "Set-Cookie: k=KEY",
        r#"{"error": "KEY"}"#,
    ),
    ("busy", "429 KEY", "Retry-After: 900", "KEY"),
    (
        "moved",
        "302 Found",
        "Location: http://KEY.example/KEY",
        "KEY",
    ),
    (
        "other",
        "200 OK",
        "X-A: b",
        r#"{"agent_id": "KEY", "time_range": {"start": "KEY", "end": "KEY"},
        "usage": {"total_credits_used": 0, "daily_breakdown": []}}"#,
    ),
    (
        "typed",
        "200 OK",
        "X-A: b",
        r#"{"agent_id": {"KEY": "KEY"}}"#,
    ),
    (
        "list",
        "200 OK",
        "X-A: b",
        r#"[{"id": "KEY", "name": "KEY"}, {"KEY": 1}]"#,
    ),
];

async fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    // Who asks for the time alone needs no key.
    assert_eq!(head.contains(KEY), !head.starts_with("HEAD / "), "{head}");
    let row = ECHOES.iter().find(|row| head.contains(row.0));
    let (_, status, header, body) = row.unwrap_or(&ECHOES[ECHOES.len() - 1]);
    let length = body.replace("KEY", KEY).len();
    let answer = format!(
        "HTTP/1.1 {status}\r\n{header}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream
        .write_all(answer.replace("KEY", KEY).as_bytes())
        .await
}

/// A scene whose FlowGent sends back what it is sent: an account per way to do so.
async fn scene_of_echoes() -> Scene {
    let scene = Scene::new("2026-03-04T09:00:00");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(echo(stream));
        }
    });
    scene.write("some.key", KEY);
    let mut config = scene
        .config_head("")
        .replace(&scene.simulator.base_url(), &url);
    for (name, ..) in ECHOES {
        config += &format!("[[account]]\nname = \"{name}\"\napi_key_file = \"some.key\"\n");
        config += &if name == "list" {
            "discover = true\n".to_owned()
        } else {
            format!("[[account.agent]]\nid = \"{name}\"\n")
        };
    }
    scene.write("config.toml", &config);
    scene
}

#[track_caller]
fn assert_no_key(place: &str, bytes: &[u8]) {
    let found = bytes
        .windows(CANARY.len())
        .any(|window| window == CANARY.as_bytes());
    assert!(!found, "{place}: {}", String::from_utf8_lossy(bytes));
}

/// What is served beside the metrics in their formats, and which status it has if all is well.
const SERVED: [(&str, &str, &str); 16] = [
    ("/metrics", "", "200"),
    (
        "/metrics",
        "Accept: application/openmetrics-text\r\n",
        "200",
    ),
    ("/-/healthy", "", "200"),
    ("/-/ready", "", "200"),
    ("/nowhere", "", "404"),
    ("/", "", "200"),
    ("/alerts", "", "200"),
    ("/agents/nobody/nothing", "", "404"),
    ("/api/v1/nowhere", "", "404"),
    ("/api/v1/status", "", "200"),
    ("/api/v1/accounts", "", "200"),
    ("/api/v1/agents?limit=1000", "", "200"),
    ("/api/v1/usage?limit=1000", "", "200"),
    ("/api/v1/usage.csv", "", "200"),
    ("/api/v1/budgets", "", "200"),
    ("/api/v1/alerts", "", "200"),
];

async fn assert_no_key_is_served(exporter: &Exporter) {
    for (path, reply) in everything_served(exporter).await {
        assert_no_key(&path, &reply);
    }
}

/// Every metric, page and answer of the API, with its headers, by its path.
async fn everything_served(exporter: &Exporter) -> Vec<(String, Vec<u8>)> {
    let mut paths: Vec<(String, &str, &str)> = SERVED
        .map(|(path, headers, status)| (path.to_owned(), headers, status))
        .into();
    for (account, agent) in agents(exporter).await {
        paths.push((format!("/agents/{account}/{agent}"), "", "200"));
        paths.push((format!("/api/v1/agents/{account}/{agent}"), "", "200"));
    }
    let mut served = Vec::new();
    for (path, headers, status) in paths {
        let (head, body) = exporter.get(&path, headers).await;
        let expected = format!("HTTP/1.1 {status} ");
        assert!(head.starts_with(&expected), "{path}: {head}");
        served.push((path, [head.into_bytes(), body].concat()));
    }
    served
}

/// The agents that the exporter knows, by account and name.
async fn agents(exporter: &Exporter) -> Vec<(String, String)> {
    let (_, body) = exporter.get("/api/v1/agents?limit=1000", "").await;
    let answer: Value = serde_json::from_slice(&body).unwrap();
    let agents = answer["agents"].as_array().unwrap().iter();
    let text = |agent: &Value, name: &str| agent[name].as_str().unwrap().to_owned();
    agents
        .map(|agent| (text(agent, "account"), text(agent, "agent")))
        .collect()
}

fn assert_no_key_in_the_ledger(scene: &Scene) {
    for entry in fs::read_dir(scene.folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("ledger.db") {
            assert_no_key(&name, &fs::read(&path).unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_sends_the_key_back_in_every_way_does_not_have_it_shown() {
    let scene = scene_of_echoes().await;
    let arguments = ["--log.level", "debug"];
    let exporter = Exporter::start(&scene, &arguments).await;
    exporter.wait_for_log("sync ended").await;
    // Each of them was met, and said.
    for (name, ..) in ECHOES {
        assert_eq!(
            exporter.logged(&format!("account={name} kind=")),
            1,
            "{name}"
        );
    }
    assert_no_key_is_served(&exporter).await;
    assert_no_key_in_the_ledger(&scene);
    let config = fs::read_to_string(scene.path("config.toml")).unwrap();
    let changed = config.replace("jitter = \"0s\"", "jitter = \"1s\"");
    assert_ne!(changed, config);
    scene.write("config.toml", &changed);
    exporter.signal("HUP").await;
    exporter.wait_for_log("trigger=reload").await;
    // The account that was asked to wait is not asked before that.
    exporter
        .wait_until("the others to be asked again", |_| {
            exporter.logged("account=denied endpoint=usage") >= 2
        })
        .await;
    let log = exporter.stop().await;
    assert_no_key("log", log.as_bytes());
    assert_no_key_in_the_ledger(&scene);

    for command in [&["sync"][..], &["check"], &["check", "--live"]] {
        let output = run(&scene, &[command, &arguments[..]].concat()).await;
        assert_no_key("output", &output.stdout);
        assert_no_key("error output", &output.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_or_a_key_file_that_is_wrong_does_not_have_the_key_shown() {
    let scene = Scene::new("2026-03-04T09:00:00");
    let good = scene.config("");
    let place = "api_key_file = \"acme.key\"";
    let exporter = scene.start().await;
    exporter.wait_until_whole(&scene).await;
    let wrong = [
        format!("api_key = \"{KEY}\""),
        format!("api_key_file = \"{KEY}\""),
        format!("api_key_env = \"{KEY}\""),
        format!("api_key_file = {KEY}"),
        format!("{place}\nlabels = {{ token = \"{KEY}\""),
        format!("{place}\npassword = \"{KEY}\""),
    ];
    for (number, wrong) in wrong.iter().enumerate() {
        scene.write("config.toml", &good.replace(place, wrong));
        for command in ["serve", "check", "sync"] {
            let output = run(&scene, &[command, "--log.level", "debug"]).await;
            assert_eq!(output.status.code(), Some(2), "{command}: {wrong}");
            let error = String::from_utf8_lossy(&output.stderr);
            assert_eq!(error.matches("error: ").count(), 1, "{error}");
            assert_no_key(wrong, &output.stdout);
            assert_no_key(wrong, &output.stderr);
        }
        // A running exporter is told of it in its log.
        exporter.signal("HUP").await;
        exporter
            .wait_until("the refusal", |_| {
                exporter.logged("config not reloaded") == number + 1
            })
            .await;
    }
    assert_no_key_is_served(&exporter).await;

    // A file that goes bad while the exporter runs.
    scene.write("acme.key", &format!("{KEY}\n{KEY}\n"));
    scene.write("config.toml", &good);
    for command in ["check", "sync"] {
        let output = run(&scene, &[command, "--log.level", "debug"]).await;
        assert_eq!(output.status.code(), Some(1), "{command}");
        assert_no_key(command, &output.stdout);
        assert_no_key(command, &output.stderr);
    }
    scene.set_time("2026-03-05T00:10:00");
    exporter.wait_until_whole(&scene).await;
    exporter.wait_for_log("kind=key_unreadable").await;
    let log = exporter.stop().await;
    assert_no_key("log", log.as_bytes());
    assert_no_key_in_the_ledger(&scene);
}

/// The soft and the hard limit of core dumps that a process has.
fn core_limits(process: &str) -> [String; 2] {
    let limits = fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
    let of_core = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max core file size"))
        .unwrap();
    let mut words = of_core.split_whitespace().map(str::to_owned);
    [words.next().unwrap(), words.next().unwrap()]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_leaves_no_memory_behind() {
    let scene = Scene::new("2026-03-04T09:00:00");
    let exporter = scene.start().await;
    exporter.wait_until_whole(&scene).await;
    // One byte: a program that core dumps are piped to would get all of it under a limit of none. Where
    // this process may have none, neither may the exporter, which cannot raise that.
    let [_, hard] = core_limits("self");
    let expected = if hard == "0" { "0" } else { "1" };
    let [soft, _] = core_limits(&exporter.pid().to_string());
    assert_eq!(soft, expected);
    exporter.signal("ABRT").await;
    exporter.ended().await;
    let left = fs::read_dir(scene.folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let cores: Vec<_> = left
        .filter(|name| name.to_string_lossy().starts_with("core"))
        .collect();
    assert!(cores.is_empty(), "{cores:?}");
}
