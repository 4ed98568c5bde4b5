//! Errors of a ledger, each with the file's name and the remedy.

use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rusqlite::{ErrorCode, ffi};
use rustix::process::geteuid;

use super::AgentNumber;

/// Why a ledger did not do what it was asked to. Nothing of the request was stored.
///
/// Displayed with what to do about it.
#[derive(Debug)]
pub struct LedgerError {
    /// The ledger's file.
    pub path: PathBuf,
    /// The fault.
    pub fault: Fault,
}

/// Faults of a ledger.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// There is nothing at the path.
    #[error("does not exist")]
    Missing,
    /// The path names a directory.
    #[error("is a directory, not a file")]
    Directory,
    /// The path names a pipe, a socket or a device.
    #[error("is not a regular file")]
    NoFile,
    /// More than the last directory of the path is missing, which looks like a mistake in it.
    #[error("cannot be created: directory {0} does not exist")]
    NoParent(PathBuf),
    /// The operating system refused something.
    #[error("cannot be used: cannot {action} {target}: {cause}")]
    Io {
        /// The action that failed.
        action: &'static str,
        /// The file or directory that it was tried with.
        target: PathBuf,
        /// The operating system's reason.
        cause: io::Error,
    },
    /// The process of that id, or another part of this one, has the ledger open. The id is `unknown` in the
    /// instant before that process has written it.
    #[error("is in use by process {0}")]
    InUse(String),
    /// A file of the open ledger was removed, moved or replaced.
    #[error("is closed to writing: {0} was removed or replaced while the exporter runs")]
    Gone(PathBuf),
    /// The file is something else.
    #[error("is not an SQLite file, so it is not a ledger; it was not changed")]
    NotSqlite,
    /// The file is the SQLite database of another program.
    #[error(
        "is an SQLite file of another program (application id {found}, a ledger has {expected}); it was not changed"
    )]
    Foreign {
        /// Its application id.
        found: i32,
        /// The application id of ledgers.
        expected: i32,
    },
    /// A newer version of this program has written the file.
    #[error("has schema version {found}, this program knows versions up to {supported}")]
    Newer {
        /// Its schema version.
        found: i32,
        /// The newest one that this program knows.
        supported: i32,
    },
    /// An older version of this program has written the file, and the reader cannot upgrade it.
    #[error("has schema version {found}, {needed} is needed")]
    Older {
        /// Its schema version.
        found: i32,
        /// The version that this program writes.
        needed: i32,
    },
    /// The file system cannot hold a write-ahead log, as some network file systems cannot.
    #[error("is on a file system that does not support a write-ahead log")]
    NoWriteAheadLog,
    /// The file's content contradicts itself, as SQLite says.
    #[error("is damaged ({0})")]
    Damaged(String),
    /// The disk, or the quota, is full. Works again as soon as there is space.
    #[error("has no space left on its disk")]
    Full,
    /// SQLite may not write beside the file, or may not open it.
    #[error("cannot be used: {0}")]
    ReadOnly(rusqlite::Error),
    /// Another program writes, and does not end.
    #[error("is locked by another program that writes to it")]
    Busy,
    /// Anything else that SQLite reports.
    #[error("cannot be used: {0}")]
    Sqlite(rusqlite::Error),
    /// No agent was registered under that number.
    #[error("has no agent number {0}")]
    UnknownAgent(AgentNumber),
    /// There is no delivery of that id, or none any more.
    #[error("has no delivery {0}")]
    UnknownDelivery(String),
    /// The delivery of that id was delivered, and is not sent again.
    #[error("has delivered {0} already, so there is nothing to retry")]
    AlreadyDelivered(String),
    /// A delivery is to a hook that is not there any more.
    #[error("has delivery {id} to hook `{hook}`, which is not in the config")]
    UnknownHook {
        /// The hook's name.
        hook: String,
        /// The delivery's id.
        id: String,
    },
    /// A defect of this program; the ledger itself is sound and open.
    #[error("is sound, but transaction {transaction} panicked: {message}")]
    Panicked {
        /// Its name.
        transaction: &'static str,
        /// Text of the panic.
        message: String,
    },
    /// The ledger was closed before.
    #[error("is closed")]
    Closed,
    /// The disk that a backup is written to is full.
    #[error("cannot be copied: no space left for its backup {0}")]
    NoSpaceForCopy(PathBuf),
    /// A backup never overwrites.
    #[error("cannot be copied: backup destination {0} already exists")]
    DestinationExists(PathBuf),
}

impl Fault {
    /// The same with the ledger's `path`.
    pub(super) fn at(self, path: &Path) -> LedgerError {
        let path = path.to_path_buf();
        LedgerError { path, fault: self }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(cause: rusqlite::Error) -> Self {
        let Some(error) = cause.sqlite_error() else {
            return Self::Sqlite(cause);
        };
        match error.code {
            _ if is_full(error) => Self::Full,
            ErrorCode::NotADatabase => Self::NotSqlite,
            ErrorCode::DatabaseCorrupt => Self::Damaged(cause.to_string()),
            ErrorCode::DatabaseBusy => Self::Busy,
            ErrorCode::ReadOnly | ErrorCode::CannotOpen => Self::ReadOnly(cause),
            _ => Self::Sqlite(cause),
        }
    }
}

impl LedgerError {
    /// Returns true if it passes when another program has done its work.
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        matches!(self.fault, Fault::Busy)
    }

    /// The fault, without the remedy.
    #[must_use]
    pub fn problem(&self) -> String {
        format!("ledger {} {}", self.path.display(), self.fault)
    }

    /// The remedy, if there is one.
    #[must_use]
    pub fn advice(&self) -> Option<String> {
        let advice = match &self.fault {
            Fault::Missing => "the exporter creates it at its first start",
            Fault::Directory | Fault::NoFile => "correct `[storage] path`",
            Fault::NotSqlite | Fault::Foreign { .. } => "correct `[storage] path`, or move it away",
            Fault::NoParent(_) => "create it, or correct `[storage] path`",
            Fault::Io { target, cause, .. } => return advice(target, cause.kind()),
            Fault::ReadOnly(_) => return advice(&self.path, io::ErrorKind::PermissionDenied),
            Fault::Gone(_) => {
                "put the same file back, or restart the exporter to continue with the present file"
            }
            Fault::Newer { .. } => {
                "use the newer program that wrote it, or restore a backup from before it"
            }
            Fault::Older { .. } => "start the exporter once, which upgrades it",
            Fault::NoWriteAheadLog => "use a local disk",
            Fault::Damaged(_) => {
                "run `flowgent-exporter ledger check`, then restore a backup, or move it away to start with an empty ledger"
            }
            Fault::Full => "free some space, and it continues automatically",
            Fault::Busy => "that program must end or commit",
            _ => return None,
        };
        Some(advice.to_owned())
    }
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem())?;
        self.advice()
            .map_or(Ok(()), |advice| write!(f, ": {advice}"))
    }
}

impl std::error::Error for LedgerError {}

/// Says what to do where `target`, a file or directory, cannot be written.
fn advice(target: &Path, reason: io::ErrorKind) -> Option<String> {
    let is_there = target.exists();
    let folder = target
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = if target.is_dir() {
        target
    } else {
        folder.unwrap_or(Path::new("."))
    };
    let shown = folder.display();
    match reason {
        io::ErrorKind::ReadOnlyFilesystem => Some(format!(
            "its file system is read-only here. In a service of systemd add `ReadWritePaths={shown}` or use \
             `StateDirectory=`; in a container mount a volume at {shown}"
        )),
        io::ErrorKind::PermissionDenied => {
            let user = geteuid().as_raw();
            let rights = |path: &Path| {
                let found = path.metadata().ok()?;
                let (owner, mode) = (found.uid(), found.mode() & 0o7777);
                Some(format!(
                    "{} belongs to user {owner} with mode {mode:04o}",
                    path.display()
                ))
            };
            let places = [
                Some(folder),
                Some(target).filter(|target| is_there && *target != folder),
            ];
            let places: Vec<String> = places.into_iter().flatten().filter_map(rights).collect();
            let places = if places.is_empty() {
                String::new()
            } else {
                format!("{}, ", places.join(", "))
            };
            Some(format!(
                "{places}and this is user {user}. Run `chown -R {user} {shown}`; for a service of systemd use \
                 `StateDirectory=` or `ReadWritePaths={shown}`; for a container mount a volume that user {user} \
                 may write"
            ))
        }
        _ => None,
    }
}

/// A full disk shows as one code when the file or its log grows, and as another when the log's
/// index does.
fn is_full(error: &ffi::Error) -> bool {
    error.code == ErrorCode::DiskFull || error.extended_code == ffi::SQLITE_IOERR_SHMSIZE
}
