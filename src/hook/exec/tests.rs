//! Real programs that behave, and that do not.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};

use super::*;
use crate::hook::tests::message::message;

/// A hook that has a shell run `script`, which finds `argument` in `$0`.
fn script(script: &str, argument: &Path) -> Exec {
    let argument = argument.to_str().unwrap();
    Exec {
        hook: "ops".into(),
        command: ["/bin/sh", "-c", script, argument]
            .map(str::to_owned)
            .into(),
    }
}

async fn answer(text: &str) -> Result<String, String> {
    let hook = script(text, Path::new("sh"));
    let answer = hook.send(&message(&["cx-month is at 80 %"])).await;
    answer.map_err(|error| error.text)
}

/// A pipe with a name. Programs that have opened it tell something by it while they live, and by its
/// end that none of them does any more.
struct Witness {
    _folder: TempDir,
    path: PathBuf,
    lines: Lines<BufReader<pipe::Receiver>>,
    /// Keeps it from ending before anybody has opened it.
    open: Option<pipe::Sender>,
}

impl Witness {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("witness");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        let receiver = pipe::OpenOptions::new().open_receiver(&path).unwrap();
        let open = pipe::OpenOptions::new().open_sender(&path).unwrap();
        Self {
            _folder: folder,
            path,
            lines: BufReader::new(receiver).lines(),
            open: Some(open),
        }
    }

    async fn next(&mut self) -> String {
        self.lines.next_line().await.unwrap().unwrap()
    }

    /// Waits until nobody is left who holds it open.
    async fn outlives_all(mut self) {
        self.open = None;
        let end = timeout(Duration::from_secs(30), self.lines.next_line()).await;
        assert_eq!(end.expect("somebody lives").unwrap(), None);
    }
}

#[tokio::test]
async fn a_program_gets_the_message_and_nothing_of_the_exporters_environment() {
    let folder = tempfile::tempdir().unwrap();
    let hook = script(
        "cat >\"$0/stdin\"; env >\"$0/env\"; pwd >\"$0/pwd\"",
        folder.path(),
    );
    let message = message(&["cx-month is\nat 80 %", "another"]);
    assert_eq!(hook.send(&message).await.unwrap(), "exited with status 0");

    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let lines = read("stdin");
    assert!(
        lines.ends_with("}\n") && lines.lines().count() == 1,
        "{lines:?}"
    );
    let stdin: serde_json::Value = serde_json::from_str(&lines).unwrap();
    assert_eq!(
        stdin,
        serde_json::from_str::<serde_json::Value>(&message.plain(None)).unwrap()
    );
    assert_eq!(read("pwd"), "/\n");

    let environment = read("env");
    let mut found: BTreeMap<&str, &str> = environment
        .lines()
        .map(|line| line.split_once('=').unwrap())
        .collect();
    // What shells set by themselves.
    for name in ["PWD", "OLDPWD", "SHLVL", "_"] {
        found.remove(name);
    }
    let run = found.remove(RUN_VARIABLE).unwrap();
    assert_eq!(run.len(), 16);
    for name in INHERITED {
        assert_eq!(found.remove(name), std::env::var(name).ok().as_deref());
    }
    let expected = [
        ("FLOWGENT_DELIVERY_ID", "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk"),
        ("FLOWGENT_STATUS", "firing"),
        ("FLOWGENT_TITLE", "cx-month is at 80 % (and 1 more)"),
    ];
    assert_eq!(found, BTreeMap::from(expected));
    // Cargo sets it for every test.
    assert!(std::env::var_os("CARGO_PKG_NAME").is_some());
}

#[tokio::test]
async fn the_exit_status_and_the_last_line_tell_what_came_of_it() {
    let long = format!(
        "`/bin/sh` exited with status 1: {}…",
        "x".repeat(QUOTE_BYTES - 3)
    );
    for (script, expected) in [
        ("exit 0", Ok("exited with status 0")),
        ("echo sent; echo", Ok("exited with status 0: sent")),
        ("printf unfinished", Ok("exited with status 0: unfinished")),
        ("exit 3", Err("`/bin/sh` exited with status 3")),
        (
            "echo first; echo second >&2; exit 1",
            Err("`/bin/sh` exited with status 1: second"),
        ),
        (
            r"printf 'a\033[31m\377\r\n'; exit 1",
            Err("`/bin/sh` exited with status 1: a\\u{1b}[31m\u{fffd}"),
        ),
        ("printf '%900d' 0 | tr '0 ' xx; exit 1", Err(&*long)),
        ("kill -9 $$", Err("`/bin/sh` was ended by signal 9")),
    ] {
        let found = answer(script).await;
        let found = found.as_deref().map_err(String::as_str);
        assert_eq!(found, expected, "{script}");
    }
}

#[tokio::test]
async fn what_cannot_be_started_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notes.txt");
    fs::write(&file, "no program").unwrap();
    for (program, reason) in [
        (
            "/nonexistent/notify",
            "No such file or directory (os error 2)",
        ),
        (
            "no-such-program-in-path",
            "No such file or directory (os error 2)",
        ),
        (file.to_str().unwrap(), "Permission denied (os error 13)"),
        ("/", "Permission denied (os error 13)"),
    ] {
        let hook = Exec {
            hook: "ops".into(),
            command: vec![program.to_owned()],
        };
        let error = hook.send(&message(&["one"])).await.unwrap_err();
        assert_eq!(error.text, format!("cannot start `{program}`: {reason}"));
    }
}

#[tokio::test]
async fn a_program_need_not_read_its_input() {
    // More than a pipe holds.
    let message = message(&[&"x".repeat(1 << 20)]);
    for text in [
        "exit 0",
        "exec <&-; echo deaf",
        "head -c 10 >/dev/null; exit 0",
    ] {
        let hook = script(text, Path::new("sh"));
        assert!(hook.send(&message).await.is_ok(), "{text}");
    }
}

#[tokio::test]
async fn output_without_end_or_line_is_read_and_not_kept() {
    let text = "head -c 1000000 /dev/zero | tr '\\0' x; echo; yes | head -n 50000; echo last";
    assert_eq!(answer(text).await.unwrap(), "exited with status 0: last");
}

#[tokio::test]
async fn a_program_that_is_given_up_is_killed_with_its_children() {
    let mut witness = Witness::new();
    let hook = script(
        "exec 3>\"$0\"; sleep 1000 & echo $$ >&3; sleep 1000",
        &witness.path,
    );
    let message = message(&["one"]);
    let id = tokio::select! {
        answer = hook.send(&message) => panic!("{answer:?}"),
        id = witness.next() => id,
    };
    witness.outlives_all().await;
    // Its exit status is collected, too.
    let process = Path::new("/proc").join(id);
    while process.exists() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_a_program_leaves_behind_ends_with_it() {
    let witness = Witness::new();
    let hook = script("exec 3>\"$0\"; sleep 1000 & echo done", &witness.path);
    let answer = hook.send(&message(&["one"])).await;
    assert_eq!(answer.unwrap(), "exited with status 0: done");
    witness.outlives_all().await;
}

#[tokio::test]
async fn what_has_left_the_group_ends_with_the_program_and_is_collected() {
    // As the first process of a container does, this one inherits orphans.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let leaver = "setsid sh -c 'echo $$ >\"$0\"; exec sleep 1000' \"$0\"";
    let orphan = "orphan=$(sh -c '(sh -c \"exit 0\") >&- & echo $!')";
    let hook = script(
        &format!("mkfifo \"$0\"; {leaver} & read id <\"$0\"; {orphan}; echo $id $orphan"),
        &folder.path().join("fifo"),
    );
    let answer = hook.send(&message(&["one"])).await.unwrap();
    let ids = answer.strip_prefix("exited with status 0: ").unwrap();
    for id in ids.split(' ') {
        assert!(id.parse::<u32>().is_ok(), "{ids}");
        let process = Path::new("/proc").join(id);
        while process.exists() {
            tokio::task::yield_now().await;
        }
    }
}

proptest! {
    #[test]
    fn however_output_is_cut_its_lines_are_the_same(
        lines in prop::collection::vec((0..3_usize, 0..1000_usize), 0..40),
        cuts in prop::collection::vec(1..300_usize, 1..50),
    ) {
        let line = |(spaces, letters): &(usize, usize)| " ".repeat(*spaces) + &"x".repeat(*letters);
        let lines: Vec<String> = lines.iter().map(line).collect();
        let text = lines.join("\n");
        let mut output_log = OutputLog::of("ops", "msg_1");
        let mut rest = text.as_bytes();
        for cut in cuts.iter().cycle() {
            let (part, left) = rest.split_at((*cut).min(rest.len()));
            output_log.hear(part);
            rest = left;
            if rest.is_empty() {
                break;
            }
        }
        let kept = |line: &str| line[..line.len().min(LINE_BYTES)].trim().to_owned();
        let mut expected: Vec<String> = lines.iter().map(|line| kept(line)).collect();
        expected.retain(|line| !line.is_empty());
        let last = output_log.last_line();
        prop_assert!(output_log.last.len() <= LINE_BYTES);
        prop_assert_eq!(output_log.lines, expected.len());
        let shown = expected.last().map(|line| format!(": {}", printable(line, QUOTE_BYTES)));
        prop_assert_eq!(last, shown.unwrap_or_default());
    }
}
