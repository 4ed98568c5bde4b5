//! Help, completions, the manual page, and what a mistyped command line is told.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use clap::CommandFactory;
use flowgent_exporter::cli::Arguments;

use super::{Ran, assert_goldens};

/// Runs the program without any scene.
fn plainly(arguments: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_flowgent-exporter"))
        .args(arguments)
        .env_remove("COLUMNS")
        .stdin(Stdio::null())
        .output();
    Ran::new(output.unwrap())
}

/// The paths of all commands, such as `ledger check`; the first is that of the program itself.
fn commands() -> Vec<Vec<String>> {
    fn walk(command: &clap::Command, path: Vec<String>, all: &mut Vec<Vec<String>>) {
        for subcommand in command.get_subcommands() {
            let path = [path.clone(), vec![subcommand.get_name().to_owned()]].concat();
            walk(subcommand, path, all);
        }
        all.push(path);
    }
    let mut all = Vec::new();
    walk(&Arguments::command(), Vec::new(), &mut all);
    all.reverse();
    all
}

#[test]
fn the_help_of_every_command_is_as_agreed() {
    let commands = commands();
    assert!(commands.len() > 10, "{commands:?}");
    let mut texts = Vec::new();
    for path in commands {
        let name = [vec!["help".to_owned()], path.clone()].concat().join("-");
        let arguments: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
        let ran = plainly(&arguments);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{path:?}");
        texts.push((format!("{name}.txt"), ran.stdout));
    }
    assert_goldens(texts);
}

#[test]
fn a_wrong_command_line_is_told_what_is_wrong_with_it() {
    let cases: [(&str, &[&str]); 25] = [
        ("mistyped-command", &["chekc"]),
        ("mistyped-flag", &["--web.listen-adress", "127.0.0.1:1"]),
        ("mistyped-flag-of-command", &["check", "--lvie"]),
        ("bad-address", &["--web.listen-address", "localhost:http"]),
        (
            "address-without-port",
            &["--web.listen-address", "localhost"],
        ),
        (
            "demo-address-without-port",
            &["demo", "--web.listen-address", "localhost"],
        ),
        (
            "socket-to-simulate",
            &["simulate", "--listen", "unix:/run/x"],
        ),
        (
            "url-without-scheme",
            &["doctor", "--prometheus.url", "localhost:9090"],
        ),
        ("singular-command", &["alert"]),
        ("plural-command", &["reports"]),
        ("bad-level", &["--log.level", "trace"]),
        (
            "serving-flag-elsewhere",
            &["--web.telemetry-path", "/m", "check"],
        ),
        ("no-ledger-command", &["ledger"]),
        ("no-backup-destination", &["ledger", "backup"]),
        ("unknown-shell", &["completions", "tcsh"]),
        (
            "unknown-fault",
            &["simulate", "--fault", "429", "--fault", "brimstone"],
        ),
        ("no-alerts-command", &["alerts"]),
        ("mistyped-alerts-command", &["alerts", "lsit"]),
        (
            "mistyped-flag-of-alerts-command",
            &["alerts", "why", "cx", "--onn", "2026-02-01"],
        ),
        ("bad-list-format", &["alerts", "list", "--format", "xml"]),
        ("no-hook-to-test", &["alerts", "test"]),
        ("nothing-to-retry", &["alerts", "retry"]),
        (
            "retry-of-one-and-all",
            &["alerts", "retry", "msg_1", "--all"],
        ),
        ("bad-day", &["alerts", "why", "cx", "--on", "2026-02-30"]),
        ("bad-share-of-fault", &["simulate", "--fault", "429=2"]),
    ];
    let texts = cases.map(|(name, arguments)| {
        let ran = plainly(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{name}");
        (format!("error-{name}.txt"), ran.stderr)
    });
    assert_goldens(texts.into());
}

#[test]
fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let ran = plainly(&["completions", shell]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{shell}");
        for name in commands().iter().flatten() {
            assert!(ran.stdout.contains(name.as_str()), "{shell} lacks {name}");
        }
        for flag in ["config.file", "web.listen-address", "fault"] {
            assert!(ran.stdout.contains(flag), "{shell} lacks {flag}");
        }
    }
}

#[test]
fn bash_can_read_its_completions() {
    let script = plainly(&["completions", "bash"]).stdout;
    let check = "complete -p flowgent-exporter";
    let output = Command::new("bash")
        .args(["--norc", "-ec", &format!("{script}\n{check}")])
        .output()
        .unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.ends_with(" flowgent-exporter\n"), "{told}");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn the_manual_has_a_page_for_every_command_and_every_page_names_those_that_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("share/man1");
    let told = plainly(&["man", "--out", pages.to_str().unwrap()]);
    let commands = commands();
    let expected = format!("{} pages written to {}\n", commands.len(), pages.display());
    assert_eq!((told.stdout, told.stderr.as_str()), (expected, ""));
    let mut written = BTreeSet::new();
    for path in &commands {
        let name = [vec!["flowgent-exporter".to_owned()], path.clone()]
            .concat()
            .join("-");
        let page = fs::read_to_string(pages.join(format!("{name}.1"))).unwrap();
        for part in [".TH ", ".SH NAME", ".SH SYNOPSIS", ".SH OPTIONS"] {
            assert!(page.contains(part), "{name} has no {part}:\n{page}");
        }
        written.insert(name.replace('-', "\\-"));
        if path.is_empty() {
            let printed = plainly(&["man"]).stdout;
            assert_eq!(printed, page);
        }
    }
    assert_eq!(fs::read_dir(&pages).unwrap().count(), commands.len());
    for page in fs::read_dir(&pages).unwrap() {
        let page = fs::read_to_string(page.unwrap().path()).unwrap();
        for (line, _) in page.lines().filter_map(|line| line.split_once("(1)")) {
            assert!(written.contains(line), "there is no page {line}");
        }
    }
}

#[test]
fn manual_pages_that_cannot_be_written_are_named() {
    let told = plainly(&["man", "--out", "/proc/none"]);
    let expected = "error: cannot make folder /proc/none: No such file or directory (os error 2)\n";
    told.assert_refused(1, expected);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_flowgent-exporter"))
        .arg("man")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert_eq!(output.status.code(), Some(0));
}
