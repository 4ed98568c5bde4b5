//! Few heaps for a program that runs for months.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// The variable that glibc reads once, before the program begins.
const VARIABLE: &str = "MALLOC_ARENA_MAX";
/// By default glibc has eight heaps a processor, and gives none of them back: with 50,000 agents a sixth of the
/// memory is then lost between them, and each flood of queries leaves its peak in every one.
const HEAPS: &str = "2";

/// Executes the program once more, as the same process, unless somebody has said how many heaps it has. Goes on
/// as it is where that is forbidden.
pub(super) fn limit() {
    if !cfg!(target_env = "gnu") || std::env::var_os(VARIABLE).is_some() {
        return;
    }
    let Ok(program) = std::env::current_exe() else {
        return;
    };
    let mut arguments = std::env::args_os();
    let mut again = Command::new(program);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    // It returns only if it fails.
    let _ = again.args(arguments).env(VARIABLE, HEAPS).exec();
}
