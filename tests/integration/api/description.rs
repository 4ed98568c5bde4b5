//! The OpenAPI document is held to what the running exporter answers, by an independent checker.

use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;
use tokio::process::Command;

use super::{NOW, alerting};
use crate::harness::{Exporter, Receiver, Scene};

/// What the checker is to expect beyond the description.
const EXPECTATIONS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/fixtures/schemathesis.toml"
);

/// What it has to be taught.
const LESSONS: &str = include_str!("../../fixtures/schemathesis.py");

/// Has the checker try everything that `description` says of the exporter.
async fn check(scene: &Scene, exporter: &Exporter, description: &str, more: &[&str]) -> Output {
    scene.write("openapi.json", description);
    scene.write("checks.py", LESSONS);
    let checker = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/venv/bin/schemathesis");
    assert!(
        checker.exists(),
        "{} is not there: tests/run installs it",
        checker.display()
    );
    let url = format!("http://{}", exporter.address());
    Command::new(checker)
        .args(["--config-file", EXPECTATIONS])
        .args(["run", "openapi.json", "--url", &url])
        .args(["--checks", "all", "--phases", "examples,coverage,fuzzing"])
        .args(["--seed", "7", "--generation-database", "none", "--no-color"])
        .args(more)
        .current_dir(scene.folder())
        .env("SCHEMATHESIS_HOOKS", "checks.py")
        .env_remove("http_proxy")
        .env_remove("HTTP_PROXY")
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap()
}

/// The description that the exporter serves.
async fn served(exporter: &Exporter) -> String {
    let (_, description) = exporter.get("/api/v1/openapi.json", "").await;
    String::from_utf8(description).unwrap()
}

/// An exporter that has something of everything to tell.
async fn telling(scene: &Scene, receiver: &Receiver) -> Exporter {
    alerting(scene, receiver);
    let exporter = scene.start().await;
    crate::alerts::wait_until_told(&exporter, scene).await;
    exporter
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_is_true_of_every_answer() {
    let scene = Scene::new(NOW);
    let receiver = Receiver::start().await;
    let exporter = telling(&scene, &receiver).await;
    let description = served(&exporter).await;
    let output = check(&scene, &exporter, &description, &["--max-examples", "25"]).await;
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(!exporter.log().contains("panic"), "{}", exporter.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_description_that_is_not_true_does_not_pass() {
    let scene = Scene::new(NOW);
    let receiver = Receiver::start().await;
    let exporter = telling(&scene, &receiver).await;
    let description = served(&exporter).await;
    for (schema, property, lie) in [
        ("Bucket", "missing_days", "string"),
        ("Budget", "agents", "null"),
    ] {
        let mut description: Value = serde_json::from_str(&description).unwrap();
        description["components"]["schemas"][schema]["properties"][property] =
            serde_json::json!({"type": lie});
        let path = if schema == "Bucket" {
            "/api/v1/usage"
        } else {
            "/api/v1/budgets"
        };
        let only = ["--include-path", path, "--max-examples", "1", "--no-shrink"];
        let output = check(&scene, &exporter, &description.to_string(), &only).await;
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("Response violates schema"), "{text}");
        assert!(text.contains(property), "{text}");
    }
}
