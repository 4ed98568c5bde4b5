//! The ledger's file: found or created, locked against a second process, opened for one purpose.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use rustix::fs::{Access, access};

use super::error::{Fault, LedgerError};

/// Time to wait for another tool that holds the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Pages of the write-ahead log after which they are moved into the file: 64 MiB. A backfill changes
/// the same pages again and again; the rarer they are moved, the fewer times each is.
const CHECKPOINT_PAGES: i32 = 16 * 1024;
/// The write-ahead log is cut back to this many bytes after a burst.
const LOG_LIMIT_BYTES: i64 = 64 << 20;
/// Page cache of the writer in KiB; enough for the inner pages of 100,000 agents' history.
const WRITER_CACHE_KIB: i32 = 8192;
/// Page cache of a reader in KiB. Everything else is left to the operating system's.
const READER_CACHE_KIB: i32 = 4096;

/// Path of a ledger: as the user wrote it, for messages, and with links resolved, so that two
/// paths to one file meet at one lock.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// As given.
    pub(super) shown: PathBuf,
    /// Absolute, without links.
    pub(super) real: PathBuf,
}

impl Place {
    /// The place of a ledger that must exist.
    pub(super) fn existing(path: &Path) -> Result<Self, LedgerError> {
        match fs::canonicalize(path) {
            Ok(real) if real.is_dir() => Err(Fault::Directory.at(path)),
            Ok(real) if !real.is_file() => Err(Fault::NoFile.at(path)),
            Ok(real) => Ok(Self {
                shown: path.into(),
                real,
            }),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Err(Fault::Missing.at(path)),
            Err(cause) => Err(io_error(path, "find", path)(cause)),
        }
    }

    /// The place of a ledger that may be new. The last directory of the path is created if it is
    /// missing, for the owner alone; further ones are not, since that is more likely a typing error.
    pub(super) fn existing_or_new(path: &Path) -> Result<Self, LedgerError> {
        match Self::existing(path) {
            Err(error) if matches!(error.fault, Fault::Missing) => {}
            found => return found,
        }
        let absolute = std::path::absolute(path).map_err(io_error(path, "find", path))?;
        let (Some(parent), Some(name)) = (absolute.parent(), absolute.file_name()) else {
            return Err(Fault::Directory.at(path));
        };
        if !parent.exists() {
            if let Some(grandparent) = parent.parent().filter(|directory| !directory.exists()) {
                return Err(Fault::NoParent(grandparent.into()).at(path));
            }
            DirBuilder::new()
                .mode(0o700)
                .create(parent)
                .map_err(io_error(path, "create directory", parent))?;
        }
        let parent = fs::canonicalize(parent).map_err(io_error(path, "find", parent))?;
        Ok(Self {
            shown: path.into(),
            real: parent.join(name),
        })
    }

    /// Checks that this process may write the ledger at `path`, and beside it, without touching anything.
    pub(super) fn may_be_written(path: &Path) -> Result<(), LedgerError> {
        let file = match Self::existing(path) {
            Ok(place) => Some(place.real),
            Err(error) if matches!(error.fault, Fault::Missing) => None,
            Err(error) => return Err(error),
        };
        let absolute = std::path::absolute(file.as_deref().unwrap_or(path));
        let absolute = absolute.map_err(io_error(path, "find", path))?;
        let mut folder = absolute.parent().unwrap_or(Path::new("/"));
        if let (false, Some(grandparent)) = (folder.exists(), folder.parent()) {
            if !grandparent.exists() {
                return Err(Fault::NoParent(grandparent.into()).at(path));
            }
            folder = grandparent;
        }
        for (place, rights) in file
            .iter()
            .map(|file| (&**file, Access::READ_OK | Access::WRITE_OK))
            .chain([(folder, Access::WRITE_OK | Access::EXEC_OK)])
        {
            access(place, rights)
                .map_err(|errno| io_error(path, "write to", place)(errno.into()))?;
        }
        Ok(())
    }

    /// Creates the file, readable for its owner alone, if it is not there. An existing one is only
    /// opened for writing once, because the operating system says more clearly than SQLite why not.
    /// No connection of this process may be open on it, whose locks would be lost.
    pub(super) fn create(&self) -> Result<(), LedgerError> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&self.real)
            .map_err(io_error(&self.shown, "open", &self.real))?;
        Ok(())
    }

    /// The file that stands beside the ledger's with `suffix` after its name.
    pub(super) fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = OsString::from(&self.real);
        name.push(suffix);
        name.into()
    }

    /// Bytes of the file and of its write-ahead log.
    pub(super) fn size(&self) -> u64 {
        [self.real.clone(), self.beside("-wal")]
            .iter()
            .filter_map(|file| fs::metadata(file).ok())
            .map(|metadata| metadata.len())
            .sum()
    }

    /// The one connection that writes. It is what turns the file into one with a write-ahead log,
    /// so the file must have been found to be ours before.
    pub(super) fn configure_writer(&self, connection: &Connection) -> Result<(), LedgerError> {
        let mode = || -> rusqlite::Result<String> {
            let mode = connection
                .pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
            // A committed window is on the disk, not just in the operating system's cache.
            connection.pragma_update(None, "synchronous", "full")?;
            connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
            connection.pragma_update_and_check(
                None,
                "journal_size_limit",
                LOG_LIMIT_BYTES,
                |_| Ok(()),
            )?;
            connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
            // Whoever adds rows of an agent has read the agent's own row in the same transaction.
            // Looking it up again for every day would cost a backfill a good part of its time.
            connection.pragma_update(None, "foreign_keys", false)?;
            Ok(mode)
        };
        match mode() {
            Ok(mode) if mode == "wal" => Ok(()),
            Ok(_) => Err(Fault::NoWriteAheadLog.at(&self.shown)),
            Err(error) => Err(Fault::from(error).at(&self.shown)),
        }
    }

    /// A connection that can write, not yet configured for it.
    pub(super) fn open_writer(&self) -> Result<Connection, LedgerError> {
        self.open(OpenFlags::SQLITE_OPEN_READ_WRITE)
    }

    /// A connection that cannot write.
    pub(super) fn open_reader(&self) -> Result<Connection, LedgerError> {
        let connection = self.open(OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection
            .pragma_update(None, "cache_size", -READER_CACHE_KIB)
            .map_err(|error| Fault::from(error).at(&self.shown))?;
        Ok(connection)
    }

    fn open(&self, access: OpenFlags) -> Result<Connection, LedgerError> {
        let open = || {
            // Each connection is used by one thread at a time, so SQLite need not lock it.
            let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(&self.real, flags)?;
            connection.busy_timeout(BUSY_TIMEOUT)?;
            connection.set_prepared_statement_cache_capacity(64);
            // Without this promise SQLite plans a range query anew for each value that is bound.
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
            Ok(connection)
        };
        open().map_err(|error: rusqlite::Error| Fault::from(error).at(&self.shown))
    }
}

/// The right to write a ledger. The operating system takes it back when the process ends, however
/// it ends; the file itself stays, since removing it would let two processes lock two files.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

/// A file, whatever its name: its device and inode.
pub(super) type FileId = (u64, u64);

/// Which file that is.
pub(super) fn file_id(metadata: &Metadata) -> FileId {
    (metadata.dev(), metadata.ino())
}

impl Lock {
    /// Takes the lock, and writes this process' id where a refused one will look for it.
    pub(super) fn take(place: &Place) -> Result<Self, LedgerError> {
        let path = place.beside(".lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(io_error(&place.shown, "open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // Unreadable is as good as empty here: the refusal stands, only the id is missing.
                let _ = file.take(32).read_to_string(&mut text);
                let pid = text.trim().parse::<u32>();
                let pid = pid.map_or_else(|_| "unknown".into(), |pid| pid.to_string());
                return Err(Fault::InUse(pid).at(&place.shown));
            }
            Err(TryLockError::Error(cause)) => {
                return Err(io_error(&place.shown, "lock", &path)(cause));
            }
        }
        let mut sign = || {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        match sign() {
            // The id is a courtesy: a full disk must not keep the exporter from starting.
            Err(cause) if cause.kind() != io::ErrorKind::StorageFull => {
                Err(io_error(&place.shown, "write", &path)(cause))
            }
            _ => Ok(Self { file }),
        }
    }

    /// Which file is locked.
    pub(super) fn file_id(&self) -> Option<FileId> {
        self.file.metadata().ok().as_ref().map(file_id)
    }
}

/// Turns the operating system's reason into an error about the ledger at `path`.
pub(super) fn io_error(
    path: &Path,
    action: &'static str,
    target: &Path,
) -> impl FnOnce(io::Error) -> LedgerError {
    move |cause| {
        let fault = match cause.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Fault::Full,
            _ => Fault::Io {
                action,
                target: target.into(),
                cause,
            },
        };
        fault.at(path)
    }
}
