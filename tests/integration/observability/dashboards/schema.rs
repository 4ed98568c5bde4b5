//! The dashboards are what Grafana's own types describe.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::{folder, shipped};

/// What gets lost of files when Grafana's types read and write them.
fn lost(files: &[PathBuf]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(root.join("target/venv/bin/python"))
        .arg(root.join("tests/integration/observability/dashboards/schema.py"))
        .args(files)
        .output()
        .unwrap_or_else(|error| panic!("python: {error}: tests/run installs it"));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.is_empty(), "{told}");
    let found = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    assert_eq!(output.status.success(), found.is_empty(), "{found}");
    found
}

#[test]
fn grafanas_own_types_hold_every_dashboard_whole() {
    let files = shipped().into_iter().map(|(name, _)| folder().join(name));
    let files: Vec<PathBuf> = files.collect();
    assert_eq!(lost(&files), "");
}

#[test]
fn an_option_that_grafana_does_not_know_is_found() {
    let scratch = tempfile::tempdir().unwrap();
    let (name, mut dashboard) = shipped().swap_remove(2);
    let chart = "/panels/10";
    for (place, value) in [
        ("/options/legend/placment", json!("right")),
        ("/fieldConfig/defaults/custom/drawStile", json!("bars")),
        ("/maxDataPoint", json!(1)),
    ] {
        let (parent, field) = place.rsplit_once('/').unwrap();
        let parent = dashboard.pointer_mut(&format!("{chart}{parent}")).unwrap();
        parent[field] = value;
    }
    let file = scratch.path().join(name);
    std::fs::write(&file, dashboard.to_string()).unwrap();
    let found = lost(std::slice::from_ref(&file));
    let found: Vec<&str> = found
        .lines()
        .map(|line| line.rsplit_once(": ").unwrap().1)
        .collect();
    let expected = [
        "/panels/10/fieldConfig/defaults/custom/drawStile",
        "/panels/10/maxDataPoint",
        "/panels/10/options/legend/placment",
    ];
    assert_eq!(found, expected);
}
