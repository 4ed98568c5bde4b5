//! `ledger`: check and copy the ledger, also while the exporter runs.

use std::path::PathBuf;

use clap::Subcommand;

use super::{Common, Failure, count, load, print, progress};
use crate::ledger;

/// Commands of `ledger`.
#[derive(Debug, Subcommand)]
pub(super) enum LedgerCommand {
    /// Check the file's integrity, and every stored sum against its days.
    Check {
        /// The file to check instead of the config's ledger, such as a backup.
        file: Option<PathBuf>,
    },
    /// Copy the ledger to a new file.
    Backup {
        /// The new file, which must not exist yet.
        destination: PathBuf,
    },
}

/// Does it.
pub(super) fn run(common: &Common, command: &LedgerCommand) -> Result<(), Failure> {
    match command {
        LedgerCommand::Check { file: Some(file) } => check(file.clone()),
        LedgerCommand::Check { file: None } => check(load(common)?.storage.path),
        LedgerCommand::Backup { destination } => {
            let path = load(common)?.storage.path;
            let bar = progress::bar("{wide_bar} {bytes} of {total_bytes}");
            ledger::backup(&path, destination, |progress| {
                bar.set_length(progress.total_bytes);
                bar.set_position(progress.copied_bytes);
            })?;
            bar.finish_and_clear();
            print(format_args!(
                "{} is a copy of {}\n",
                destination.display(),
                path.display()
            ))
        }
    }
}

fn check(path: PathBuf) -> Result<(), Failure> {
    let report = ledger::check(&path)?;
    let found = if report.is_sound() {
        "sound"
    } else {
        "not sound"
    };
    print(format_args!(
        "{} is {found}: {}, {}, {}\n",
        path.display(),
        count(report.agents, "agent"),
        count(report.days, "day"),
        count(report.revisions, "revision"),
    ))?;
    if report.is_sound() {
        return Ok(());
    }
    for violation in &report.violations {
        print(format_args!("{violation}\n"))?;
    }
    print("restore a backup, or move the file away and have all days fetched anew\n")?;
    Err(Failure::Told)
}
