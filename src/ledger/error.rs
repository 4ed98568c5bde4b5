//! What can go wrong with a ledger, each with the file's name and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{ErrorCode, ffi};

use super::AgentNumber;

/// Why a ledger did not do what it was asked to. Nothing of the request was stored.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// There is nothing at the path.
    #[error("ledger {path} does not exist: the exporter makes it at its first start")]
    Missing {
        /// The ledger's file.
        path: PathBuf,
    },
    /// The path names a directory.
    #[error("ledger {path} is a directory, a file is needed")]
    Directory {
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
    #[error("ledger {path}: cannot {action} {target}: {cause}")]
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
        "ledger {path}: {file} was removed or replaced while the exporter runs, so nothing is written any more: put the very file back, or start the exporter again to go on with what is there now"
    )]
    Gone {
        /// The ledger's file.
        path: PathBuf,
        /// The file that is not there, or another one.
        file: PathBuf,
    },
    /// The file is something else.
    #[error("{path} is not an SQLite file, so not a ledger; it was left as it is")]
    NotSqlite {
        /// The file.
        path: PathBuf,
    },
    /// The file is the SQLite database of another program.
    #[error(
        "{path} is an SQLite file of another program (application id {found}, a ledger has {expected}); it was left as it is"
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
        "ledger {path} has schema version {found}, {needed} is needed: start the exporter once, which brings it up to date"
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
        "ledger {path} is damaged ({detail}): run `flowgent-exporter ledger check`, then put a backup in its place, or move it away to start with an empty one"
    )]
    Damaged {
        /// The ledger's file.
        path: PathBuf,
        /// What SQLite says about it.
        detail: String,
    },
    /// The disk, or the quota, is full. Works again as soon as there is space.
    #[error("no space left for ledger {path}: free some, it goes on by itself")]
    Full {
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
    #[error("ledger {path}: backup destination {destination} exists already")]
    DestinationExists {
        /// The ledger's file.
        path: PathBuf,
        /// The file that is there.
        destination: PathBuf,
    },
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
                _ => LedgerError::Sqlite { path, cause },
            },
        }
    }
}

/// A full disk shows as one code when the file or its log grows, and as another when the log's
/// index does.
fn is_full(error: &ffi::Error) -> bool {
    error.code == ErrorCode::DiskFull || error.extended_code == ffi::SQLITE_IOERR_SHMSIZE
}
