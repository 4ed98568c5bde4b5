//! `export`: the history as a file that a database imports.

use std::fs::{File, Permissions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;
use tempfile::TempPath;

use super::{Common, Failure, count, load, print, progress, view};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::day::{Day, TRACKING_START};
use crate::history::{DEFAULT_JOB, Document, Target};
use crate::ledger::{Member, View};
use crate::roster::Selection;
use crate::window::Range;

/// Arguments of `export`.
#[derive(Debug, Args)]
pub(super) struct ExportArguments {
    /// The first day, YYYY-MM-DD, UTC [default: 2025-05-28, when tracking started].
    #[arg(long, value_name = "DAY")]
    from: Option<Day>,
    /// The last day, YYYY-MM-DD, UTC [default: yesterday].
    #[arg(long, value_name = "DAY")]
    to: Option<Day>,
    /// Only this account; may be repeated.
    #[arg(long, value_name = "NAME")]
    account: Vec<String>,
    /// Only this agent, by its name or id; may be repeated.
    #[arg(long, value_name = "NAME")]
    agent: Vec<String>,
    /// The `job` label of the scraped series [default: flowgent].
    #[arg(long, value_name = "NAME")]
    job: Option<String>,
    /// The `instance` label of the scraped series, the address that Prometheus scrapes [default: the config's
    /// first listen address].
    #[arg(long, value_name = "ADDRESS")]
    instance: Option<String>,
    /// Write to this file instead of stdout; it is replaced only when the output is complete.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Reads the ledger and writes its history.
pub(super) async fn export(common: &Common, arguments: &ExportArguments) -> Result<(), Failure> {
    let range = range(arguments, SystemClock.today())?;
    let config = load(common)?;
    let target = target(arguments, &config)?;
    let view = view::open(&config).await?;
    let members = view::members(&config, &view).await?;
    let selection = Selection {
        accounts: arguments.account.clone(),
        agents: arguments.agent.clone(),
    };
    let members = view::selected(&members, &selection)?;
    let Some(path) = &arguments.output else {
        let out = BufWriter::new(io::stdout().lock());
        return match write(out, target, range, &members, &view, |_| {}).await {
            // A reader that has gone away, as `head` does, has seen enough.
            Err(WriteError::Io(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            Err(error) => Err(error.told("stdout")),
            Ok(_) => Ok(()),
        };
    };
    let bar = progress::bar(progress::AGENTS);
    bar.set_length(members.len() as u64);
    let shown = path.display();
    let told = |error: WriteError| error.told(&shown.to_string());
    let output = Output::create(path).map_err(|error| told(error.into()))?;
    let (output, samples) = write(output, target, range, &members, &view, |done| {
        bar.set_position(done)
    })
    .await
    .map_err(told)?;
    output.keep(path).map_err(|error| told(error.into()))?;
    bar.finish_and_clear();
    print(format_args!(
        "{shown}: {} of {}\n",
        count(samples, "sample"),
        count(members.len(), "agent")
    ))
}

/// The days that are asked for.
fn range(arguments: &ExportArguments, today: Day) -> Result<Range, Failure> {
    let from = arguments.from.unwrap_or(TRACKING_START);
    let to = arguments.to.unwrap_or(today.previous());
    Range::new(from, to, today).map_err(|error| Failure::Usage(format!("error: {error}")))
}

/// The labels of the scraped series, by the arguments and the config.
fn target(arguments: &ExportArguments, config: &Config) -> Result<Target, Failure> {
    let ExportArguments { job, instance, .. } = arguments;
    let instance = instance.clone();
    let instance = instance.or_else(|| Target::instance_of(&config.server.ip_addresses()));
    let instance = instance.ok_or_else(|| {
        Failure::Usage(
            "error: --instance is needed, since the config's listen address names no machine\n\n  \
             tip: give the address that Prometheus scrapes, as its page of targets shows it"
                .to_owned(),
        )
    })?;
    Ok(Target {
        job: job.as_deref().unwrap_or(DEFAULT_JOB).to_owned(),
        instance,
    })
}

/// Writes everything, an agent at a time; `progress` is told how many are done. Returns how many samples
/// there are.
async fn write<W: Write>(
    out: W,
    target: Target,
    range: Range,
    members: &[Member],
    view: &View,
    progress: impl Fn(u64),
) -> Result<(W, u64), WriteError> {
    let mut document = Document::begin(out, target, SystemClock.now())?;
    for (done, member) in (1..).zip(members) {
        let days = view
            .usage(member.number, range.start(), range.end())
            .await?;
        let revisions = view.revisions(member.number).await?;
        document.agent(&member.agent, &days, &revisions)?;
        progress(done);
    }
    Ok(document.end()?)
}

/// Why there is no history.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Ledger(#[from] crate::ledger::LedgerError),
}

impl WriteError {
    /// The error with the name of what could not be written.
    fn told(self, place: &str) -> Failure {
        match self {
            Self::Io(error) => anyhow!("cannot write {place}: {error}").into(),
            Self::Ledger(error) => error.into(),
        }
    }
}

/// A file that is being written: beside its place, so that nobody ever finds half of it there, unless what
/// is there is no file, such as a pipe.
struct Output {
    file: BufWriter<File>,
    beside: Option<TempPath>,
}

impl Output {
    fn create(path: &Path) -> io::Result<Self> {
        if path.metadata().is_ok_and(|found| !found.is_file()) {
            let file = File::options().write(true).open(path)?;
            return Ok(Self {
                file: BufWriter::new(file),
                beside: None,
            });
        }
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        // What is said of a folder that is not there is clearer than of a file in it with a made-up name.
        folder.metadata()?;
        let (file, beside) = tempfile::Builder::new()
            .prefix(".flowgent-exporter-export-")
            // As any new file: the user's mask applies.
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder)?
            .into_parts();
        Ok(Self {
            file: BufWriter::new(file),
            beside: Some(beside),
        })
    }

    /// Puts it in its place once it is on the disk.
    fn keep(self, path: &Path) -> io::Result<()> {
        let file = self.file.into_inner();
        let file = file.map_err(io::IntoInnerError::into_error)?;
        match self.beside {
            None => Ok(()),
            Some(beside) => {
                file.sync_all()?;
                beside.persist(path).map_err(|error| error.error)
            }
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
