//! What `fuzz/run` has found, and the seeds that it starts from, without the fuzzer.

mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use targets::{TARGETS, Target};

/// The most bytes of all cases together: what is found is kept small.
const CORPUS_BYTES: usize = 200_000;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

/// The files in a folder.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn no_parser_breaks_a_promise_on_what_was_found() {
    let mut bytes = 0;
    let mut broken = Vec::new();
    for (name, target) in TARGETS {
        let cases = files(&root().join(name));
        assert!(!cases.is_empty(), "{name} has no cases");
        for case in cases {
            let content = fs::read(&case).unwrap();
            bytes += content.len();
            if catch_unwind(|| target(&content)).is_err() {
                broken.push(case);
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(bytes < CORPUS_BYTES, "{bytes} bytes");
}

#[test]
fn every_folder_of_cases_is_that_of_a_parser() {
    let names: BTreeSet<PathBuf> = TARGETS.iter().map(|(name, _)| root().join(name)).collect();
    assert_eq!(files(&root()), names);
}

/// Configs, web configs and answers of the API that other tests hold are cases, too.
#[test]
fn no_parser_breaks_a_promise_on_the_fixtures() {
    for (name, folder, end) in [
        ("config", "config/bad", "toml"),
        ("config", "config/good", "toml"),
        ("web-config", "web/bad", "yml"),
        ("web-config", "web/good", "yml"),
    ] {
        let target: Target = TARGETS.iter().find(|(other, _)| *other == name).unwrap().1;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures")
            .join(folder);
        let cases = files(&folder);
        let cases = cases
            .iter()
            .filter(|case| case.extension().is_some_and(|found| found == end));
        for case in cases {
            let content = fs::read(case).unwrap();
            assert!(
                catch_unwind(|| target(&content)).is_ok(),
                "{}",
                case.display()
            );
        }
    }
}
