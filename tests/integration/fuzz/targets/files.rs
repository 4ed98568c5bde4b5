//! Files that people write: the config, the web config, and a list of agents.

use std::fs;
use std::path::PathBuf;

use flowgent_exporter::config::{Config, SOME_DAY};
use flowgent_exporter::protection;
use flowgent_exporter::roster::read_agents;
use tempfile::TempDir;

use super::{assert_line, assert_lines};

/// The most bytes of a report on a config, which shows up to 20 lines of it.
const REPORT_BYTES: usize = 64 << 10;

thread_local! {
    static FOLDER: TempDir = tempfile::tempdir().expect("there is room for a folder");
}

/// A file with these bytes, at the same place every time.
fn file(bytes: &[u8]) -> PathBuf {
    FOLDER.with(|folder| {
        let path = folder.path().join("file");
        fs::write(&path, bytes).expect("there is room for a file");
        path
    })
}

pub(super) fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let path = FOLDER.with(|folder| folder.path().join("config.toml"));
    match Config::parse(text, &path, SOME_DAY) {
        Ok(config) => {
            let said = [config.warnings, config.failures, config.exposed].concat();
            said.iter().for_each(|line| assert_line(line));
            assert!(!config.accounts.is_empty(), "it has no account");
        }
        Err(error) => {
            assert_line(&error.summary());
            assert_lines(&error.render(false), REPORT_BYTES);
        }
    }
}

pub(super) fn web_config(bytes: &[u8]) {
    match protection::check_file(&file(bytes)) {
        Ok(checked) => {
            let said = [checked.warnings, checked.exposed].concat();
            said.iter().for_each(|line| assert_line(line));
        }
        Err(error) => assert_line(&error.to_string()),
    }
}

pub(super) fn agents(bytes: &[u8]) {
    match read_agents(&file(bytes)) {
        Ok(agents) => assert!(agents.len() <= bytes.len(), "{} agents", agents.len()),
        Err(error) => assert_line(&error.to_string()),
    }
}
