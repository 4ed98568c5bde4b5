//! No password, hash or key of the web config is ever shown, whoever is refused and however wrong it becomes.

use base64::prelude::{BASE64_STANDARD, Engine};

use super::everything_served;
use crate::harness::{Exporter, Scene, run, wait_for};

const PASSWORD: &str = "password-canary-7731";
const WRONG: &str = "wrong-canary-7731";
/// What can be told of the hash in the file: its salt.
const HASH: &str = "$2y$04$saltcanarysaltcanarysOZvB7sUPxsYVmuW9bOPSShqHfDQ1nZLa";
const KEY: &str = "keycanary7731keycanary7731";

fn login(password: &str) -> String {
    BASE64_STANDARD.encode(format!("alice:{password}"))
}

#[track_caller]
fn assert_no_secret(place: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for secret in [
        PASSWORD,
        WRONG,
        "saltcanary",
        "keycanary",
        &login(PASSWORD),
        &login(WRONG),
    ] {
        assert!(!text.contains(secret), "{secret} is in {place}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_config_shows_none_of_its_secrets_whoever_is_refused() {
    let scene = Scene::new("2026-03-04T09:00:00");
    let headers = "http_server_config:\n  headers:\n    X-Frame-Options: deny\n";
    scene.write("web.yml", headers);
    let arguments = ["--log.level", "debug", "--web.config.file", "web.yml"];
    let exporter = Exporter::start(&scene, &arguments).await;
    exporter.wait_until_whole(&scene).await;
    // Each is wrong in another place, and holds secrets there.
    let key = format!("-----BEGIN PRIVATE KEY-----\\n{KEY}\\n-----END PRIVATE KEY-----\\n");
    let wrong = [
        format!("basic_auth_users:\n  alice: {PASSWORD}\n"),
        format!("basic_auth_users:\n  alice: {HASH}\n  alice: {HASH}\n"),
        format!("basic_auth_users: {HASH}\n"),
        format!("basic_auth_users:\n  - {HASH}\n"),
        format!("tls_server_config:\n  cert: {WRONG}\n  key: \"{key}\"\n"),
        format!("tls_server_config:\n  key: \"{key}\"\n"),
    ];
    for (number, wrong) in wrong.iter().enumerate() {
        scene.write("web.yml", wrong);
        let checked = run(&scene, &[&["serve"], &arguments[..]].concat()).await;
        assert_eq!(checked.status.code(), Some(2), "{wrong}");
        assert_no_secret("output", &checked.stdout);
        assert_no_secret("error output", &checked.stderr);
        wait_for("the refusal", async || {
            exporter.scrape().await;
            let seen = exporter.logged("web config not reloaded");
            if seen == number + 1 {
                Ok(())
            } else {
                Err(seen)
            }
        })
        .await;
    }
    for (path, reply) in everything_served(&exporter).await {
        assert_no_secret(&path, &reply);
    }

    scene.write("web.yml", &format!("basic_auth_users:\n  alice: {HASH}\n"));
    for password in [PASSWORD, WRONG] {
        for path in ["/metrics", "/", "/api/v1/status"] {
            let header = format!("Authorization: Basic {}\r\n", login(password));
            let (head, body) = exporter.get(path, &header).await;
            assert!(head.starts_with("HTTP/1.1 401 "), "{path}: {head}");
            assert_no_secret(path, &[head.into_bytes(), body].concat());
        }
    }
    let log = exporter.stop().await;
    assert_no_secret("log", log.as_bytes());
}
