//! Processes: started, measured by what the kernel says of them, and never left behind.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

/// A child process, killed when dropped.
pub(crate) struct Running(Child);

impl Running {
    /// Starts `command`, whose first line of output can be read.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        Ok(Self(child.context("cannot start a process")?))
    }

    /// Its first line of output.
    pub(crate) fn line(&mut self) -> Result<String> {
        let stdout = self.0.stdout.take().context("the line was read before")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    /// What `find` makes of the first line of output that it makes something of. What follows is read by
    /// nobody, and may be as long as a pipe holds.
    pub(crate) fn find<T>(&mut self, find: impl Fn(&str) -> Option<T>) -> Result<T> {
        let stdout = self.0.stdout.take().context("the output was read before")?;
        let mut output = BufReader::new(stdout);
        let mut line = String::new();
        loop {
            line.clear();
            let read = output.read_line(&mut line)?;
            anyhow::ensure!(
                read > 0,
                "the process ended without the line that was waited for"
            );
            if let Some(found) = find(&line) {
                self.0.stdout = Some(output.into_inner());
                return Ok(found);
            }
        }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The middle one of `values`.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// CPU time of `process` and its threads in seconds, finished ones included, in steps of 10 ms.
pub(crate) fn cpu_seconds(process: &str) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("/proc/…/stat has a name")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    Ok(ticks / 100.0)
}

/// The highest resident set size that `process` has had, in bytes of 1024 × 1024.
pub(crate) fn peak_rss_mib(process: &str) -> Result<f64> {
    memory_mib(process, "VmHWM:")
}

/// The resident set size that `process` has now, in bytes of 1024 × 1024.
pub(crate) fn rss_mib(process: &str) -> Result<f64> {
    memory_mib(process, "VmRSS:")
}

fn memory_mib(process: &str, line: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let size = status
        .lines()
        .find_map(|text| text.strip_prefix(line))
        .with_context(|| format!("/proc/…/status has no {line}"))?;
    let kib = size.trim().trim_end_matches("kB").trim();
    Ok(kib.parse::<f64>()? / 1024.0)
}
