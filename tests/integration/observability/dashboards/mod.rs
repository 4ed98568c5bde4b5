//! The dashboards: what they ask is answered truly by both databases, and about what is served.

mod answers;
mod grafana;
mod lint;
mod look;
mod schema;
mod truth;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards")
}

/// The dashboards that are shipped, by the names of their files.
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
