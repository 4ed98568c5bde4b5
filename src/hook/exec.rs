//! Programs on this machine as hooks.
//!
//! A program is started for each message, without a shell, in `/`, in a process group of its own, and
//! with an environment that holds nothing of the exporter's own, which may hold API keys. It reads the
//! message from its standard input as a line of JSON and says by its exit status whether that is done.
//! Once it has ended or is given up, everything that it started is killed: its group, and whatever else has the mark of
//! this run in its environment. Only what has left both can go on.

mod descendants;

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{sleep, timeout};

use super::Message;
use crate::blocking;
use crate::egress::SendError;
use crate::secret::Secret;
use crate::text::{QUOTE_BYTES, printable};

/// Variables of the exporter's own environment that a program gets.
const INHERITED: [&str; 3] = ["PATH", "LANG", "TZ"];
/// Number of lines of a program's output in the log.
const LOGGED_LINES: usize = 20;
/// Longest part of a line that is kept: with all lines that are logged, less than 16 KiB.
const LINE_BYTES: usize = 800;
/// Time for which the output is read after the program has ended: only what is about to be killed can still hold it
/// open then, and nobody waits for that.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Number of searches for what a program has left behind, and the rest between them: who is killed takes
/// a moment to die, and may have started others meanwhile.
const SWEEPS: u32 = 20;
const SWEEP_REST: Duration = Duration::from_millis(50);
/// The most bytes of a secret that a program prints: tokens have a few thousand.
const SECRET_BYTES: u64 = 16 << 10;
/// The variable that is another one at each start of a program.
const RUN_VARIABLE: &str = "FLOWGENT_RUN";

/// A hook that starts a program.
#[derive(Debug)]
pub(super) struct Exec {
    /// Its name.
    pub(super) hook: Arc<str>,
    /// The program and its arguments.
    pub(super) command: Vec<String>,
}

impl Exec {
    /// Runs the program with `message` and says how it ended. Dropping this kills it.
    ///
    /// # Errors
    /// It could not be started, or said that it failed.
    pub(super) async fn send(&self, message: &Message) -> Result<String, SendError> {
        let program = self.command.first().map_or("", String::as_str);
        let (mut running, stdin, output) = self.start(message).map_err(|error| {
            let text = format!("cannot start `{program}`: {error}");
            SendError::unready(printable(&text, QUOTE_BYTES))
        })?;
        let mut output_log = OutputLog::of(&self.hook, &message.id);
        let talk = async {
            tokio::join!(feed(stdin, message), output_log.listen(output));
            false
        };
        let status = running.see_through(talk).await;
        let last_line = output_log.last_line();
        let failed = |end: String| SendError::new(format!("`{program}` {end}{last_line}"));
        let status = status.map_err(|error| failed(format!("cannot be waited for: {error}")))?;
        if status.success() {
            Ok(format!("{}{last_line}", describe(status)))
        } else {
            Err(failed(describe(status)))
        }
    }

    /// Starts the program: what runs, its standard input, and all that it says.
    fn start(
        &self,
        message: &Message,
    ) -> io::Result<(Running, Option<ChildStdin>, pipe::Receiver)> {
        // One pipe for both outputs, so that their lines come in the order in which they were written.
        let (receiver, sender) = io::pipe()?;
        let receiver = pipe::Receiver::from_owned_fd(OwnedFd::from(receiver))?;
        let mut running = Running::start(&self.command, |command| {
            command
                .env("FLOWGENT_DELIVERY_ID", &*message.id)
                .env("FLOWGENT_STATUS", message.status())
                .env("FLOWGENT_TITLE", message.title())
                .stdin(Stdio::piped())
                .stdout(sender.try_clone()?)
                .stderr(sender);
            Ok(())
        })?;
        let stdin = running.child.stdin.take();
        Ok((running, stdin, receiver))
    }
}

/// Runs a program that prints a secret, as those of hooks are run, and returns the secret. Nothing that it prints is
/// shown. Dropping this kills it.
///
/// # Errors
/// It could not be started, failed, or printed too much.
pub(super) async fn print_secret(command: &[String]) -> Result<Secret, SendError> {
    let program = command.first().map_or("", String::as_str);
    let failed =
        |what: String| SendError::unready(printable(&format!("`{program}` {what}"), QUOTE_BYTES));
    let running = Running::start(command, |command| {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        Ok(())
    });
    let mut running = running.map_err(|error| failed(format!("cannot be started: {error}")))?;
    let stdout = running.child.stdout.take();
    let mut printed = Vec::new();
    let read = async {
        let Some(stdout) = stdout else { return false };
        let mut stdout = stdout.take(SECRET_BYTES + 1);
        let read = stdout.read_to_end(&mut printed).await;
        read.is_ok_and(|count| count as u64 > SECRET_BYTES)
    };
    let status = running.see_through(read).await;
    if printed.len() as u64 > SECRET_BYTES {
        return Err(failed(format!("printed more than {SECRET_BYTES} bytes")));
    }
    match status {
        Ok(status) if status.success() => Ok(Secret::new(&String::from_utf8_lossy(&printed))),
        Ok(status) => Err(failed(describe(status))),
        Err(error) => Err(failed(format!("cannot be waited for: {error}"))),
    }
}

/// A program that runs, with its descendants. When this is dropped, they do so no longer; tokio then
/// collects the program's exit status, so that nothing is left of it.
struct Running {
    child: Child,
    group: Option<Pid>,
    process: Option<Pid>,
    /// Mark in the environment of its descendants.
    mark: String,
}

impl Running {
    /// Starts a program in a group and with an environment of its own; `set` adds to both.
    fn start(
        command: &[String],
        set: impl FnOnce(&mut Command) -> io::Result<()>,
    ) -> io::Result<Self> {
        let [program, arguments @ ..] = command else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let inherited = INHERITED.map(|name| (name, std::env::var_os(name)));
        let run = format!("{:016x}", fastrand::u64(..));
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir("/")
            .env_clear()
            .envs(
                inherited
                    .iter()
                    .filter_map(|(name, value)| Some((name, value.as_ref()?))),
            )
            .env(RUN_VARIABLE, &run)
            .process_group(0)
            .kill_on_drop(true);
        set(&mut command)?;
        // The group of a child that leads one has the child's number.
        let (child, group) = descendants::started(|| {
            let child = command.spawn()?;
            let id = child.id();
            let process = id.and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
            io::Result::Ok((child, process))
        })?;
        Ok(Self {
            child,
            group,
            process: group,
            mark: format!("{RUN_VARIABLE}={run}"),
        })
    }

    /// Waits for the end of the program, and of `talk` with it, for which it is killed if that returns true. What it
    /// leaves behind has a moment for its last words.
    async fn see_through(&mut self, talk: impl Future<Output = bool>) -> io::Result<ExitStatus> {
        let mut talk = pin!(talk);
        tokio::select! {
            status = self.child.wait() => {
                self.kill_group();
                let _ = timeout(LAST_WORDS, talk).await;
                status
            }
            is_enough = &mut talk => {
                if is_enough {
                    self.kill_group();
                }
                let status = self.child.wait().await;
                self.kill_group();
                status
            }
        }
    }

    /// Kills what is left of the group, once: its number may mean another one later.
    fn kill_group(&mut self) {
        if let Some(group) = self.group.take() {
            // It fails if nobody is left, which is as good.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill_group();
        if let Some(process) = self.process {
            descendants::ended(process);
        }
        // Without a runtime the whole program is about to end.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(clean_up(std::mem::take(&mut self.mark)));
        }
    }
}

/// Kills and collects what a program has left behind, until nothing is found.
async fn clean_up(mark: String) {
    for _ in 0..SWEEPS {
        let mark = mark.clone();
        let swept = blocking::run(move || descendants::sweep(&mark)).await;
        if !swept {
            return;
        }
        sleep(SWEEP_REST).await;
    }
}

/// Writes `message` as one line, so that programs can append it to a file, and closes the input.
async fn feed(stdin: Option<ChildStdin>, message: &Message) {
    if let Some(mut stdin) = stdin {
        let line = format!("{}\n", message.plain(None));
        // A program need not read it: whether it is content is for its exit status to say.
        let _ = stdin.write_all(line.as_bytes()).await;
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with status {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// Output of a program: logged line by line, so that it is there when the program is given up,
/// and bounded, however much it is.
struct OutputLog<'a> {
    hook: &'a str,
    delivery: &'a str,
    /// The beginning of the line that has not ended.
    line: Vec<u8>,
    /// The beginning of the last one that has.
    last: Vec<u8>,
    lines: usize,
}

impl<'a> OutputLog<'a> {
    fn of(hook: &'a str, delivery: &'a str) -> Self {
        Self {
            hook,
            delivery,
            line: Vec::new(),
            last: Vec::new(),
            lines: 0,
        }
    }

    /// Listens until everybody who could say something has closed the pipe.
    async fn listen(&mut self, mut output: pipe::Receiver) {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = output.read(&mut bytes).await {
            self.hear(&bytes[..count]);
        }
    }

    fn hear(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = LINE_BYTES - self.line.len();
            self.line.extend(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if line.trim_ascii().is_empty() {
            return;
        }
        self.lines += 1;
        self.last = line;
        if self.lines <= LOGGED_LINES {
            tracing::info!(
                hook = self.hook,
                delivery = self.delivery,
                line = shown(&self.last, LINE_BYTES),
                "output of the hook's program"
            );
        }
    }

    /// The end of a sentence that shows the last line, if there was any.
    fn last_line(&mut self) -> String {
        self.end_line();
        if self.lines > LOGGED_LINES {
            tracing::info!(
                hook = self.hook,
                delivery = self.delivery,
                lines = self.lines - LOGGED_LINES,
                "further output of the hook's program is not logged"
            );
        }
        match self.lines {
            0 => String::new(),
            _ => format!(": {}", shown(&self.last, QUOTE_BYTES)),
        }
    }
}

fn shown(line: &[u8], limit: usize) -> String {
    printable(String::from_utf8_lossy(line).trim(), limit)
}

#[cfg(test)]
mod tests;
