//! What can go wrong with a ledger, each with the file's name and what to do about it.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

use rusqlite::{ErrorCode, ffi};

use super::AgentNumber;

/// Why a ledger did not do what it was asked to. Nothing of the request was stored.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// There is nothing at the path.
    #[error("ledger {path} does not exist: the exporter creates it at its first start")]
    Missing {
        /// The ledger's file.
        path: PathBuf,
    },
    /// The path names a directory.
    #[error("ledger {path} is a directory, not a file")]
    Directory {
        /// The path.
        path: PathBuf,
    },
    /// The path names a pipe, a socket or a device.
    #[error("ledger {path} is not a regular file: name another by `[storage] path`")]
    NoFile {
        /// The path.
        path: PathBuf,
    },
    /// More than the last directory of the path is missing, which looks like a mistake in it.
    #[error("ledger {path}: directory {parent} does not exist")]
    NoParent {
        /// The ledger's file.
        path: PathBuf,
        /// The directory that would have to be there.
        parent: PathBuf,
    },
    /// The operating system refused something.
    #[error("ledger {path}: cannot {action} {target}: {cause}{advice}", advice = advice(.target, .cause.kind()))]
    Io {
        /// The ledger's file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The file or directory that it was tried with.
        target: PathBuf,
        /// The operating system's reason.
        cause: io::Error,
    },
    /// Another process, or another part of this one, has the ledger open.
    #[error("ledger {path} is in use by process {pid}")]
    InUse {
        /// The ledger's file.
        path: PathBuf,
        /// The process that has it, or `unknown` in the instant before it has said so.
        pid: String,
    },
    /// A file of the open ledger was removed, moved or replaced.
    #[error(
        "ledger {path}: {file} was removed or replaced while the exporter runs, so nothing more is written: put the same file back, or restart the exporter to continue with the present file"
    )]
    Gone {
        /// The ledger's file.
        path: PathBuf,
        /// The file that is not there, or another one.
        file: PathBuf,
    },
    /// The file is something else.
    #[error("{path} is not an SQLite file, so it is not a ledger; it was not changed")]
    NotSqlite {
        /// The file.
        path: PathBuf,
    },
    /// The file is the SQLite database of another program.
    #[error(
        "{path} is an SQLite file of another program (application id {found}, a ledger has {expected}); it was not changed"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Its application id.
        found: i32,
        /// The application id of ledgers.
        expected: i32,
    },
    /// A newer version of this program has written the file.
    #[error(
        "ledger {path} has schema version {found}, this program knows versions up to {supported}: use the newer program that wrote it"
    )]
    Newer {
        /// The ledger's file.
        path: PathBuf,
        /// Its schema version.
        found: i32,
        /// The newest one that this program knows.
        supported: i32,
    },
    /// An older version of this program has written the file, and whoever wants something of it cannot
    /// bring it up to date.
    #[error(
        "ledger {path} has schema version {found}, {needed} is needed: start the exporter once, which upgrades it"
    )]
    Older {
        /// The ledger's file.
        path: PathBuf,
        /// Its schema version.
        found: i32,
        /// The version that this program writes.
        needed: i32,
    },
    /// The file system cannot hold a write-ahead log, as some network file systems cannot.
    #[error("ledger {path}: its file system does not support a write-ahead log: use a local disk")]
    NoWriteAheadLog {
        /// The ledger's file.
        path: PathBuf,
    },
    /// The file's content contradicts itself.
    #[error(
        "ledger {path} is damaged ({detail}): run `flowgent-exporter ledger check`, then restore a backup, or move it away to start with an empty ledger"
    )]
    Damaged {
        /// The ledger's file.
        path: PathBuf,
        /// What SQLite says about it.
        detail: String,
    },
    /// The disk, or the quota, is full. Works again as soon as there is space.
    #[error("no space left for ledger {path}: free some space, and it continues automatically")]
    Full {
        /// The ledger's file.
        path: PathBuf,
    },
    /// SQLite may not write beside the file, or may not open it.
    #[error("ledger {path}: {cause}{advice}", advice = advice(.path, io::ErrorKind::PermissionDenied))]
    ReadOnly {
        /// The ledger's file.
        path: PathBuf,
        /// What SQLite says.
        cause: rusqlite::Error,
    },
    /// Another program writes, and does not end.
    #[error(
        "ledger {path} is locked by another program that writes to it: that program must end or commit"
    )]
    Busy {
        /// The ledger's file.
        path: PathBuf,
    },
    /// Anything else that SQLite reports.
    #[error("ledger {path}: {cause}")]
    Sqlite {
        /// The ledger's file.
        path: PathBuf,
        /// What SQLite says.
        cause: rusqlite::Error,
    },
    /// No agent was registered under that number.
    #[error("ledger {path} has no agent number {agent}")]
    UnknownAgent {
        /// The ledger's file.
        path: PathBuf,
        /// The number.
        agent: AgentNumber,
    },
    /// There is no delivery of that id, or none any more.
    #[error("ledger {path} has no delivery {id}")]
    UnknownDelivery {
        /// The ledger's file.
        path: PathBuf,
        /// The id.
        id: String,
    },
    /// What was delivered is not sent again.
    #[error("ledger {path}: delivery {id} was delivered, there is nothing to retry")]
    AlreadyDelivered {
        /// The ledger's file.
        path: PathBuf,
        /// The delivery's id.
        id: String,
    },
    /// A delivery is to a hook that is not there any more.
    #[error("hook `{hook}` of delivery `{id}` is not in the config")]
    UnknownHook {
        /// The hook's name.
        hook: String,
        /// The delivery's id.
        id: String,
    },
    /// A defect of this program; the ledger itself is sound and open.
    #[error("ledger {path}: transaction {transaction} panicked: {message}")]
    Panicked {
        /// The ledger's file.
        path: PathBuf,
        /// Its name.
        transaction: &'static str,
        /// What the panic said.
        message: String,
    },
    /// The ledger was closed before.
    #[error("ledger {path} is closed")]
    Closed {
        /// The ledger's file.
        path: PathBuf,
    },
    /// The disk that a backup is written to is full.
    #[error("ledger {path}: no space left for its backup {destination}")]
    NoSpaceForCopy {
        /// The ledger's file.
        path: PathBuf,
        /// The copy that did not fit.
        destination: PathBuf,
    },
    /// A backup never overwrites.
    #[error("ledger {path}: backup destination {destination} already exists")]
    DestinationExists {
        /// The ledger's file.
        path: PathBuf,
        /// The file that is there.
        destination: PathBuf,
    },
}

impl LedgerError {
    /// Whether it passes when another program has done its work.
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        matches!(self, Self::Busy { .. })
    }
}

/// What went wrong inside a transaction, where the file's name is not known.
#[derive(Debug)]
pub(super) enum Fault {
    /// SQLite reports it.
    Sqlite(rusqlite::Error),
    /// No agent was registered under that number.
    UnknownAgent(AgentNumber),
    /// There is no delivery of that id.
    UnknownDelivery(String),
    /// The delivery of that id was delivered.
    AlreadyDelivered(String),
    /// The delivery of that id is to a hook that is not there any more.
    UnknownHook { hook: String, id: String },
    /// The transaction of that name panicked with that message.
    Panicked(&'static str, String),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Fault {
    /// The error that callers see, with the ledger's `path` in it.
    pub(super) fn at(self, path: &Path) -> LedgerError {
        let path = path.to_path_buf();
        match self {
            Self::UnknownAgent(agent) => LedgerError::UnknownAgent { path, agent },
            Self::UnknownDelivery(id) => LedgerError::UnknownDelivery { path, id },
            Self::AlreadyDelivered(id) => LedgerError::AlreadyDelivered { path, id },
            Self::UnknownHook { hook, id } => LedgerError::UnknownHook { hook, id },
            Self::Panicked(transaction, message) => LedgerError::Panicked {
                path,
                transaction,
                message,
            },
            Self::Sqlite(cause) => match cause.sqlite_error() {
                Some(error) if is_full(error) => LedgerError::Full { path },
                Some(error) if error.code == ErrorCode::NotADatabase => {
                    LedgerError::NotSqlite { path }
                }
                Some(error) if error.code == ErrorCode::DatabaseCorrupt => LedgerError::Damaged {
                    path,
                    detail: cause.to_string(),
                },
                Some(error) if error.code == ErrorCode::DatabaseBusy => LedgerError::Busy { path },
                Some(error)
                    if matches!(error.code, ErrorCode::ReadOnly | ErrorCode::CannotOpen) =>
                {
                    LedgerError::ReadOnly { path, cause }
                }
                _ => LedgerError::Sqlite { path, cause },
            },
        }
    }
}

/// Says what to do where `target`, a file or directory, cannot be written.
fn advice(target: &Path, reason: io::ErrorKind) -> String {
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
        io::ErrorKind::ReadOnlyFilesystem => format!(
            ": its file system is read-only here. In a service of systemd add `ReadWritePaths={shown}` or use \
             `StateDirectory=`; in a container mount a volume at {shown}"
        ),
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
            format!(
                ": {places}and this is user {user}. Run `chown -R {user} {shown}`; for a service of systemd use \
                 `StateDirectory=` or `ReadWritePaths={shown}`; for a container mount a volume that user {user} \
                 may write"
            )
        }
        _ => String::new(),
    }
}

/// A full disk shows as one code when the file or its log grows, and as another when the log's
/// index does.
fn is_full(error: &ffi::Error) -> bool {
    error.code == ErrorCode::DiskFull || error.extended_code == ffi::SQLITE_IOERR_SHMSIZE
}
