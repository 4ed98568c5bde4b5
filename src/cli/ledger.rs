//! `ledger`: check and copy the ledger, also while the exporter runs.

use std::path::PathBuf;

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};

use super::{Common, Failure, load};
use crate::ledger;

/// What `ledger` does.
#[derive(Debug, Subcommand)]
pub(super) enum LedgerCommand {
    /// Check the file's integrity, and every sum in it against the days that it is of.
    Check {
        /// The file to check instead of the config's ledger, such as a backup.
        file: Option<PathBuf>,
    },
    /// Copy the ledger to a new file.
    Backup {
        /// The new file; nothing may exist there.
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
            // Hidden by itself where stderr is no terminal.
            let bar = ProgressBar::no_length().with_style(
                ProgressStyle::with_template("{wide_bar} {bytes} of {total_bytes}")
                    .unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            ledger::backup(&path, destination, |progress| {
                bar.set_length(progress.total_bytes);
                bar.set_position(progress.copied_bytes);
            })?;
            bar.finish_and_clear();
            println!("{} is a copy of {}", destination.display(), path.display());
            Ok(())
        }
    }
}

fn check(path: PathBuf) -> Result<(), Failure> {
    let report = ledger::check(&path)?;
    println!(
        "{}: {} agents, {} days, {} revisions",
        path.display(),
        report.agents,
        report.days,
        report.revisions
    );
    for violation in &report.violations {
        println!("{violation}");
    }
    if report.is_sound() {
        println!("sound");
        return Ok(());
    }
    println!("not sound: restore a backup, or move the file away and have all days fetched anew");
    Err(Failure::Told)
}
