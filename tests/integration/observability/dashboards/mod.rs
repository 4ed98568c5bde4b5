//! The dashboards: their source, and what is held of them. The files of `dashboards/` are written from
//! the rooms beside this one, and a test compares the two.

mod agent;
mod answers;
mod common;
mod expressions;
mod grafana;
mod health;
mod lint;
mod look;
mod overview;
mod panel;
mod schema;
mod sheet;
mod truth;
mod variables;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The dashboards that are shipped, by the names of their files, as their source has them.
fn sources() -> [(&'static str, Value); 3] {
    [
        ("agent.json", agent::agent()),
        ("exporter-health.json", health::health()),
        ("overview.json", overview::overview()),
    ]
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards")
}

/// The dashboards that are shipped, by the names of their files, as they are there.
fn shipped() -> Vec<(String, Value)> {
    let mut shipped: Vec<(String, Value)> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        // Beside them is what makes ConfigMaps of them.
        .filter(|path| path.extension().is_some_and(|kind| kind == "json"))
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let text = fs::read_to_string(&path).unwrap();
            (name, serde_json::from_str(&text).unwrap())
        })
        .collect();
    shipped.sort_by(|one, other| one.0.cmp(&other.0));
    shipped
}

#[test]
fn the_shipped_files_are_what_their_source_says() {
    let found = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dashboards");
    fs::create_dir_all(&found).unwrap();
    let mut different = Vec::new();
    for (name, dashboard) in sources() {
        let text = serde_json::to_string_pretty(&dashboard).unwrap() + "\n";
        if fs::read_to_string(folder().join(name)).unwrap_or_default() != text {
            fs::write(found.join(name), text).unwrap();
            different.push(name);
        }
    }
    assert!(
        different.is_empty(),
        "{different:?} in {} differ from those in {}: look at them, and copy them if they are better",
        found.display(),
        folder().display()
    );
    let names: Vec<String> = shipped().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, sources().map(|(name, _)| name));
}
