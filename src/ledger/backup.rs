//! A copy of a ledger, made while an exporter goes on writing it.

use std::fs::File;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::error::{Fault, LedgerError};
use super::file::{Place, io_error};
use super::schema;

/// Pages per step, between which the progress is told: 4 MiB.
const STEP_PAGES: i32 = 1024;

/// Progress of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupProgress {
    /// Bytes that were copied.
    pub copied_bytes: u64,
    /// Bytes to copy in all.
    pub total_bytes: u64,
}

/// Copies the ledger at `path`, as it is at this instant, to the new file `destination`. Blocks.
///
/// The copy appears under its name once it is whole and on the disk; it needs no log beside it.
///
/// # Errors
/// There is no sound ledger at `path`, something exists at `destination`, or the operating system
/// refuses; then nothing is left behind at `destination`.
pub fn backup(
    path: &Path,
    destination: &Path,
    progress: impl FnMut(BackupProgress),
) -> Result<(), LedgerError> {
    let place = Place::existing(path)?;
    let exists = || Fault::DestinationExists(destination.into()).at(path);
    if destination.symlink_metadata().is_ok() {
        return Err(exists());
    }
    let directory = match destination.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let source = place.open_reader()?;
    // One read transaction over all steps: otherwise each write of the exporter would start the
    // copying over, and a busy one would keep it from ever ending.
    let snapshot = source
        .unchecked_transaction()
        .map_err(|error| Fault::from(error).at(path))?;
    // Also the first read, which is what the transaction's state of the ledger is fixed by.
    schema::version(&snapshot, &place)?;
    // Removed again if anything fails before it has its name, and readable for its owner alone.
    let partial = tempfile::Builder::new()
        .prefix(".ledger-backup-")
        .tempfile_in(directory)
        .map_err(io_error(path, "create the copy in", directory))?;
    let no_space = |error: LedgerError| match error.fault {
        // The ledger itself has all it needs: it is the copy that does not fit.
        Fault::Full => Fault::NoSpaceForCopy(destination.into()).at(path),
        _ => error,
    };
    copy(&snapshot, partial.path(), progress)
        .map_err(|error| no_space(Fault::from(error).at(path)))?;
    partial
        .as_file()
        .sync_all()
        .map_err(|cause| no_space(io_error(path, "flush", destination)(cause)))?;
    partial
        .persist_noclobber(destination)
        .map_err(|refusal| match refusal.error.kind() {
            std::io::ErrorKind::AlreadyExists => exists(),
            _ => io_error(path, "name the copy", destination)(refusal.error),
        })?;
    // Without this a power cut could take the name back.
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(io_error(path, "flush directory", directory))
}

fn copy(
    source: &Connection,
    destination: &Path,
    mut progress: impl FnMut(BackupProgress),
) -> rusqlite::Result<()> {
    let page_size: u32 = source.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let mut target = Connection::open(destination)?;
    let backup = Backup::new(source, &mut target)?;
    loop {
        let step = backup.step(STEP_PAGES)?;
        let now = backup.progress();
        let bytes = |pages: i32| u64::from(pages.unsigned_abs()) * u64::from(page_size);
        progress(BackupProgress {
            copied_bytes: bytes(now.pagecount - now.remaining),
            total_bytes: bytes(now.pagecount),
        });
        if step == StepResult::Done {
            break;
        }
    }
    drop(backup);
    // The source's mode came along. A copy is one file, which can be read where nothing can be written.
    target.pragma_update_and_check(None, "journal_mode", "delete", |_| Ok(()))?;
    target.close().map_err(|(_, error)| error)
}
