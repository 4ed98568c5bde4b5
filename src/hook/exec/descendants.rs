//! Remains of programs: processes that have left their group, and, where this process is the first one
//! of a container and inherits every orphan, the dead whom nobody else collects.

use std::collections::HashSet;
use std::fs;

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, WaitOptions, getpgrp, getpid, kill_process, waitpid};

/// The programs that run, whose exit status is for others to collect. It is held while one is started, so that
/// none is taken for an orphan before it is known.
static PROGRAMS: Mutex<Option<HashSet<Pid>>> = Mutex::new(None);

/// Starts a program by `start`, which tells its process, and knows it from then on.
pub(super) fn started<T, E>(
    start: impl FnOnce() -> Result<(T, Option<Pid>), E>,
) -> Result<(T, Option<Pid>), E> {
    let mut programs = PROGRAMS.lock();
    let (started, process) = start()?;
    programs.get_or_insert_default().extend(process);
    Ok((started, process))
}

/// Knows a program no longer: it has ended, or nobody waits for it.
pub(super) fn ended(process: Pid) {
    if let Some(programs) = &mut *PROGRAMS.lock() {
        programs.remove(&process);
    }
}

/// Kills every process whose environment holds `mark`, such as `NAME=value`, and collects the dead that this
/// process has inherited. Says whether there was anything to do. Blocks.
pub(super) fn sweep(mark: &str) -> bool {
    let programs = PROGRAMS.lock();
    let is_program = |process: Pid| {
        let programs = programs.as_ref();
        programs.is_some_and(|programs| programs.contains(&process))
    };
    let mut found = false;
    for process in processes() {
        let Process {
            id,
            parent,
            group,
            is_dead,
        } = process;
        if is_program(id) {
            continue;
        }
        // Whatever else this process starts stays in its own group.
        if is_dead && parent == Some(getpid()) && group != Some(getpgrp()) {
            found |= waitpid(Some(id), WaitOptions::NOHANG).is_ok();
        } else if !is_dead && id != getpid() && is_marked(id, mark) {
            found |= kill_process(id, Signal::KILL).is_ok();
        }
    }
    found
}

/// A process as the kernel shows it.
#[derive(Debug, PartialEq, Eq)]
struct Process {
    id: Pid,
    parent: Option<Pid>,
    group: Option<Pid>,
    /// True if it has ended and nobody has collected its exit status.
    is_dead: bool,
}

fn processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let names = entries.flatten().map(|entry| entry.file_name());
    let numbers = names.filter_map(|name| name.to_str()?.parse::<i32>().ok());
    // One that has gone meanwhile cannot be read.
    numbers
        .filter_map(|number| parse(&fs::read_to_string(format!("/proc/{number}/stat")).ok()?))
        .collect()
}

/// Reads a line of `/proc/PID/stat`. The name of the program stands in brackets, and may hold some itself.
fn parse(stat: &str) -> Option<Process> {
    let (id, _) = stat.split_once(' ')?;
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?;
    let mut number = || Some(Pid::from_raw(fields.next()?.parse().ok()?));
    Some(Process {
        id: Pid::from_raw(id.parse().ok()?)?,
        parent: number()?,
        group: number()?,
        is_dead: state == "Z",
    })
}

/// Returns true if the initial environment of a process holds `mark`. That of others cannot be read.
fn is_marked(process: Pid, mark: &str) -> bool {
    let path = format!("/proc/{}/environ", process.as_raw_nonzero());
    let environment = fs::read(path).unwrap_or_default();
    environment
        .split(|byte| *byte == 0)
        .any(|variable| variable == mark.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let pid = |number| Pid::from_raw(number);
        for name in ["sh", "a b", ")", "Z) R 1 1 ("] {
            let process = parse(&format!("7 ({name}) Z 1 5 5 0 -1 4194560 0\n")).unwrap();
            let expected = Process {
                id: pid(7).unwrap(),
                parent: pid(1),
                group: pid(5),
                is_dead: true,
            };
            assert_eq!(process, expected, "{name}");
        }
        assert_eq!(parse("7 (sh) S 0 0 0").unwrap().parent, None);
        assert_eq!(parse("7 (sh"), None);
    }
}
