//! The files that people install the exporter with, read by what will read them there.

mod compose;
mod container;
mod engine;
mod helm;
mod kubernetes;
mod release;

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use tokio::process::Command;

/// A file or folder of the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A text file of the repository.
fn text(path: &str) -> String {
    let path = repository(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A YAML file of the repository.
fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// One of Python's tools, which `tests/run` installs.
fn tool(name: &str) -> Command {
    let path = repository("target/venv/bin").join(name);
    assert!(
        path.exists(),
        "{} is missing: tests/run installs it",
        path.display()
    );
    Command::new(path)
}

/// Runs a command to its end: whether it succeeded, and what it wrote.
async fn outcome(command: &mut Command) -> (bool, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().await.unwrap();
    let written = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
    (status.success(), written)
}

/// Runs a command, which has to succeed, and returns what it wrote to its standard output.
async fn done(command: &mut Command) -> String {
    let output = command.output().await.unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
