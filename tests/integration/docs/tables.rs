//! Tables that list all of a kind: held against what there is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{Page, quoted};
use crate::harness::Scene;
use crate::observability::promql::Golden;

#[test]
fn the_tables_of_metrics_list_each_one_with_its_type_and_its_labels() {
    let golden = Golden::read();
    let page = Page::read("docs/metrics.md");
    let mut listed = BTreeMap::new();
    for heading in [
        "## Agents",
        "## Budgets, balances and alerts",
        "## Probes",
        "## The exporter itself",
    ] {
        for row in page.rows(heading) {
            let &[names, kind, meaning] = row.as_slice() else {
                panic!("{row:?}");
            };
            for name in quoted(names).filter(|name| *name != "process_*") {
                assert_eq!(
                    listed.insert(name.to_owned(), kind.to_owned()),
                    None,
                    "{name}"
                );
                let (_, labels) = meaning.split_once("by `").unwrap_or_default();
                let labels = format!("`{}", labels.split(" (").next().unwrap());
                let sample = if kind == "histogram" {
                    format!("{name}_bucket")
                } else {
                    name.to_owned()
                };
                let metric = golden
                    .get(&sample)
                    .unwrap_or_else(|| panic!("{name} is not served"));
                for label in quoted(&labels).filter(|_| labels.len() > 1) {
                    assert!(metric.labels.contains(label), "{name} has no label {label}");
                }
            }
        }
    }
    let mut served = golden.families();
    served.retain(|name, _| name.starts_with("flowgent_"));
    assert_eq!(listed, served);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_of_the_api_lists_each_path_of_its_description() {
    let scene = Scene::new("2026-03-10T12:00:00");
    let exporter = scene.start().await;
    let (_, description) = exporter.get("/api/v1/openapi.json", "").await;
    let description: Value = serde_json::from_slice(&description).unwrap();
    let paths = description["paths"].as_object().unwrap().keys();
    let paths: BTreeSet<&str> = paths.map(String::as_str).collect();
    let page = Page::read("docs/api.md");
    let rows = page.rows("# JSON API");
    let listed = rows.iter().map(|row| row[0].trim_matches('`'));
    assert_eq!(listed.collect::<BTreeSet<_>>(), paths);
}

#[test]
fn the_table_of_commands_lists_each_one_of_the_help() {
    let mut exporter = Command::new(env!("CARGO_BIN_EXE_flowgent-exporter"));
    let help = String::from_utf8(exporter.arg("--help").output().unwrap().stdout).unwrap();
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let (commands, _) = commands.split_once("\n\n").unwrap();
    let commands = commands.lines().filter(|line| !line.starts_with("    "));
    let commands = commands.filter_map(|line| line.split_whitespace().next());
    let commands: BTreeSet<&str> = commands.filter(|name| *name != "help").collect();
    let page = Page::read("docs/operations.md");
    let rows = page.rows("## Commands");
    let names = rows.iter().map(|row| row[0].trim_matches('`'));
    let listed: BTreeSet<&str> = names
        .filter(|name| name.chars().all(|letter| letter.is_ascii_lowercase()))
        .collect();
    assert_eq!(listed, commands);
}

#[test]
fn what_troubleshooting_quotes_is_what_the_program_says() {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut source = String::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                source += &fs::read_to_string(path).unwrap();
            }
        }
    }
    let page = Page::read("docs/operations.md");
    let rows = page.rows("## Troubleshooting");
    let mut count = 0;
    for row in &rows {
        for quote in quoted(row[0]) {
            for part in quote.split('…').map(str::trim) {
                assert!(source.contains(part), "nothing says {part:?}");
                count += 1;
            }
        }
    }
    assert!(count > 10, "only {count} quotations were found");
}

#[test]
fn the_tables_of_rules_and_hooks_name_keys_that_the_reference_explains() {
    let reference = Page::read("deploy/config.toml").text;
    let page = Page::read("docs/alerts.md");
    for heading in ["## Rules", "## Hooks"] {
        for row in page.rows(heading) {
            assert!(
                reference.contains(&format!("kind = {}", row[0].replace('`', "\""))),
                "{row:?}"
            );
            for key in quoted(row[1]) {
                let key = key.split(' ').next().unwrap();
                let is_shown = [format!("{key} = "), format!("\"{key}\"")];
                assert!(
                    is_shown.iter().any(|form| reference.contains(form)),
                    "{key}"
                );
            }
        }
    }
}
