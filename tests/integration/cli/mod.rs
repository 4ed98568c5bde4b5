//! What a person sees: help, errors, tables, and exit codes.

mod alerts;
mod check;
mod demo;
mod doctor;
mod export;
mod health;
mod help;
mod init;
mod ledger;
mod report;
mod simulate;
mod sync;

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::harness::{Scene, run};

/// How a command of the program ended, and what it wrote.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Reads what was written. No key may be in it, and no colour, since nobody looks.
    pub fn new(output: Output) -> Self {
        let text = |bytes| {
            let text = String::from_utf8(bytes).unwrap();
            assert!(!text.contains("test-key"), "{text}");
            assert!(!text.contains('\x1b'), "{text}");
            text
        };
        Self {
            code: output.status.code().unwrap(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Asserts that it was refused with exactly this on stderr, and nothing else.
    #[track_caller]
    pub fn assert_refused(&self, code: i32, stderr: &str) {
        assert_eq!(self.stderr, stderr);
        assert_eq!(self.stdout, "");
        assert_eq!(self.code, code);
    }
}

/// Runs a command in the scene to its end.
async fn ran(scene: &Scene, arguments: &[&str]) -> Ran {
    Ran::new(run(scene, arguments).await)
}

/// The lines that show the progress over so many windows.
fn progress(windows: usize) -> String {
    (1..=10)
        .map(|tenth| format!("{:3} % of {windows} requests\n", tenth * 10))
        .collect()
}

/// Compares a text with a file of `tests/fixtures/cli`.
#[track_caller]
fn assert_golden(name: &str, text: &str) {
    assert_goldens(vec![(name.to_owned(), text.to_owned())]);
}

/// Compares named texts with files of `tests/fixtures/cli`. Those that differ are kept to look at, and
/// to copy if they are better.
#[track_caller]
fn assert_goldens(texts: Vec<(String, String)>) {
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cli");
    let found = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli");
    fs::create_dir_all(&found).unwrap();
    let mut different = String::new();
    for (name, text) in texts {
        if fs::read_to_string(goldens.join(&name)).unwrap_or_default() != text {
            fs::write(found.join(&name), &text).unwrap();
            different += &format!("\n{name}:\n{text}");
        }
    }
    assert!(
        different.is_empty(),
        "files in {} differ from those in {}:\n{different}",
        found.display(),
        goldens.display()
    );
}
