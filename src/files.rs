//! The one reader of files that a config names: regular files of a bounded size, within a bounded time.
//!
//! Opening a pipe waits for a writer, a device has no end, and a network mount may never answer. So a file is
//! looked at before it is opened, is read by a thread of its own, and is given up when that takes too long.
//! That thread may hang for ever; it holds nothing that others need, and few more are started for the same path.
//! All functions here block for up to [`Purpose::patience`]; [`crate::blocking::run`] has them do so beside the async
//! threads.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::fs::OFlags;
use secrecy::zeroize::Zeroizing;
use tokio::time::Instant;

use crate::clock;

/// The mark that some editors put before a text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// The marks of UTF-16, in both orders.
const UTF_16_MARKS: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];
/// The advice about a file of a secret that others may read.
pub const CLOSE_IT: &str = "`chmod 600` it, and make the exporter's user its owner";
/// The longest that looking at a file may take, and reading a small one.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest that reading a large one may take.
const LONG_PATIENCE: Duration = Duration::from_secs(15);
/// While some file hangs, all others are given this share of the time: they often lie on the same mount.
const HURRIED_SHARE: u32 = 10;
/// More room than a file needs, so that its end is found without a copy of its content elsewhere.
const SPARE_BYTES: usize = 64;

/// The kind of a file: its name in messages, and the bounds of reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purpose {
    /// Its name in messages.
    pub name: &'static str,
    /// The most bytes that it may have.
    pub limit: u64,
    /// The longest that reading it may take.
    pub patience: Duration,
    /// True if an empty file has a meaning.
    pub may_be_empty: bool,
}

impl Purpose {
    const fn of(name: &'static str, limit: u64, patience: Duration) -> Self {
        Self {
            name,
            limit,
            patience,
            may_be_empty: false,
        }
    }

    const fn or_empty(self) -> Self {
        Self {
            may_be_empty: true,
            ..self
        }
    }
}

/// The config: enough for 100,000 agents named one by one.
pub const CONFIG: Purpose = Purpose::of("config file", 32 << 20, LONG_PATIENCE).or_empty();
/// The web config.
pub const WEB_CONFIG: Purpose = Purpose::of("web config file", 1 << 20, PATIENCE).or_empty();
/// Certificates, and keys of certificates: stores of whole systems have half a megabyte.
pub const CERTIFICATES: Purpose = Purpose::of("ca_file", 4 << 20, PATIENCE);
/// A secret: far more than any key, far less than a wrong file.
pub const SECRET: Purpose = Purpose::of("file", 64 << 10, PATIENCE);
/// A list of agents.
pub const AGENTS: Purpose = Purpose::of("agents file", 64 << 20, LONG_PATIENCE);
/// The entries of a balance: 20,000 of them.
pub const ENTRIES: Purpose = Purpose::of("entries file", 1 << 20, PATIENCE);
/// A template, of at most `limit` bytes.
#[must_use]
pub const fn template(limit: u64) -> Purpose {
    Purpose::of("template", limit, PATIENCE)
}

/// Why a file could not be read. It shows nothing of the content.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {name} `{}`: {fault}", path.display())]
pub struct FileError {
    /// The kind of file.
    pub name: &'static str,
    /// The file.
    pub path: PathBuf,
    /// Its fault.
    pub fault: Fault,
}

/// Faults of files.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The operating system refused.
    #[error("{0}")]
    System(io::Error),
    /// It is something that is no file to read from.
    #[error("it is {0}, not a regular file")]
    Kind(&'static str),
    /// It holds nothing.
    #[error("it is empty")]
    Empty,
    /// It is too large for what it is meant to be.
    #[error("it has {} bytes, and at most {limit} are read", .found.map_or_else(|| format!("more than {limit}"), |found| found.to_string()))]
    TooLarge {
        /// Its size in bytes, if known.
        found: Option<u64>,
        /// The most that are read.
        limit: u64,
    },
    /// It is a text in another encoding.
    #[error("line {0} is not UTF-8")]
    NotText(usize),
    /// It is a text in another encoding, which is known.
    #[error("it is UTF-16: save it as UTF-8")]
    Utf16,
    /// Nothing came of it in time.
    #[error("its file system did not answer within {} s", .0.as_secs_f64())]
    Slow(Duration),
}

/// The content of a file, which is wiped from memory, and what the file was.
pub struct Content {
    /// The bytes, without the mark that says that they are UTF-8.
    pub bytes: Zeroizing<Vec<u8>>,
    /// The file as it was when it was opened.
    pub metadata: Metadata,
}

impl Content {
    /// The content of the file at `path` as a text.
    ///
    /// # Errors
    /// It is in another encoding than UTF-8.
    pub fn into_text(mut self, purpose: Purpose, path: &Path) -> Result<String, FileError> {
        String::from_utf8(std::mem::take(&mut *self.bytes)).map_err(|error| {
            let bytes = error.as_bytes();
            let fault = if UTF_16_MARKS.iter().any(|mark| bytes.starts_with(mark)) {
                Fault::Utf16
            } else {
                let before = &bytes[..error.utf8_error().valid_up_to()];
                Fault::NotText(before.split(|byte| *byte == b'\n').count())
            };
            fault.of(purpose, path)
        })
    }
}

impl Fault {
    /// Returns true if there is no such file.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::System(error) if error.kind() == io::ErrorKind::NotFound)
    }

    fn of(self, purpose: Purpose, path: &Path) -> FileError {
        FileError {
            name: purpose.name,
            path: path.to_owned(),
            fault: self,
        }
    }
}

/// Reads a file. A file of bytes that are all white space is not empty here.
///
/// # Errors
/// It is no regular file, too large, empty where that says nothing, or cannot be read in time.
pub fn read(path: &Path, purpose: Purpose) -> Result<Content, FileError> {
    let file = path.to_owned();
    within(path, purpose.patience, move || {
        read_whole(&file, purpose.limit)
    })
    .and_then(|read| read)
    .and_then(|content| {
        if content.bytes.is_empty() && !purpose.may_be_empty {
            return Err(Fault::Empty);
        }
        Ok(content)
    })
    .map_err(|fault| fault.of(purpose, path))
}

/// Reads a text in UTF-8.
///
/// # Errors
/// As for [`read`], or it is in another encoding.
pub fn text(path: &Path, purpose: Purpose) -> Result<String, FileError> {
    read(path, purpose)?.into_text(purpose, path)
}

/// Says whether a file could be read, by everything but its content.
///
/// # Errors
/// As for [`read`].
pub fn probe(path: &Path, purpose: Purpose) -> Result<(), FileError> {
    let file = path.to_owned();
    let opened = within(path, purpose.patience, move || {
        let (_, metadata) = open(&file, purpose.limit)?;
        if metadata.len() == 0 && !purpose.may_be_empty {
            return Err(Fault::Empty);
        }
        Ok(())
    });
    opened
        .and_then(|opened| opened)
        .map_err(|fault| fault.of(purpose, path))
}

/// Looks at what is at `path`, as seen through links.
///
/// # Errors
/// There is nothing, or it cannot be looked at in time.
pub fn metadata(path: &Path) -> io::Result<Metadata> {
    let file = path.to_owned();
    within(path, PATIENCE, move || file.metadata()).unwrap_or_else(|fault| {
        let text = fault.to_string();
        Err(io::Error::new(io::ErrorKind::TimedOut, text))
    })
}

/// Returns true if something is at `path`, be it a link to nowhere or something that does not answer.
#[must_use]
pub fn is_there(path: &Path) -> bool {
    let file = path.to_owned();
    within(path, PATIENCE, move || file.symlink_metadata().is_ok()).unwrap_or(true)
}

/// Says who beside this process' user may read the file of a secret, and its mode. None if nobody may.
///
/// Group members may read a file of somebody else that this process reads as one of them: so Kubernetes hands
/// out secrets. The credentials of systemd show the rights of a list beside the mode.
#[must_use]
pub fn exposure(path: &Path, metadata: &Metadata) -> Option<String> {
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY");
    if credentials.is_some_and(|folder| path.starts_with(folder)) {
        return None;
    }
    let mode = metadata.mode() & 0o7777;
    let user = rustix::process::geteuid();
    let is_read_as_group = || {
        let mut ours = rustix::process::getgroups().unwrap_or_default();
        ours.push(rustix::process::getegid());
        let is_of = ours.iter().any(|group| group.as_raw() == metadata.gid());
        is_of && !user.is_root() && metadata.uid() != user.as_raw()
    };
    let readers = if mode & 0o004 != 0 {
        "everybody on this machine"
    } else if mode & 0o040 != 0 && !is_read_as_group() {
        "its group"
    } else {
        return None;
    };
    Some(format!(
        "`{}` holds a secret and can be read by {readers} (mode {mode:04o})",
        path.display()
    ))
}

fn read_whole(path: &Path, limit: u64) -> Result<Content, Fault> {
    let (file, metadata) = open(path, limit)?;
    let size = metadata.len();
    // The room is reserved at once: a vector that grows leaves copies behind. Files that are made up as they
    // are read say that they have none.
    let least = size.max(limit.min(64 << 10));
    let room = usize::try_from(least).unwrap_or_default() + SPARE_BYTES;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(Fault::System)?;
    if bytes.len() as u64 > limit {
        return Err(Fault::TooLarge { found: None, limit });
    }
    if bytes.starts_with(BYTE_ORDER_MARK) {
        bytes.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(Content { bytes, metadata })
}

/// Opens a regular file that is not too large.
fn open(path: &Path, limit: u64) -> Result<(File, Metadata), Fault> {
    // Looked at before it is opened: opening some devices has effects.
    regular(path.metadata())?;
    let (file, metadata) = open_at_once(path)?;
    let size = metadata.len();
    if size > limit {
        let found = Some(size);
        return Err(Fault::TooLarge { found, limit });
    }
    Ok((file, metadata))
}

/// Opens a regular file, or nothing: something else may have taken its place.
fn open_at_once(path: &Path) -> Result<(File, Metadata), Fault> {
    let open = |flags: OFlags| {
        let flags = i32::try_from(flags.bits()).unwrap_or_default();
        File::options().read(true).custom_flags(flags).open(path)
    };
    let file = match open(OFlags::NONBLOCK | OFlags::NOCTTY) {
        // Somebody has a lease on it, and is asked to give it back.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => open(OFlags::NOCTTY),
        opened => opened,
    };
    let file = file.map_err(Fault::System)?;
    let metadata = regular(file.metadata())?;
    Ok((file, metadata))
}

fn regular(found: io::Result<Metadata>) -> Result<Metadata, Fault> {
    let found = found.map_err(Fault::System)?;
    let kind = found.file_type();
    if kind.is_file() {
        return Ok(found);
    }
    Err(Fault::Kind(if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }))
}

/// Work on a path that has not ended in time.
#[derive(Debug, Clone, Copy)]
struct Hang {
    /// Time at which the first of it was given up.
    since: Instant,
    /// Number of vain tries.
    tries: u32,
}

impl Hang {
    /// Returns true if enough time has passed to risk another thread: it doubles with each.
    fn is_worth_a_try(&self, now: Instant) -> bool {
        let doublings = self.tries.saturating_sub(1).min(20);
        now.saturating_duration_since(self.since) >= PATIENCE * 2_u32.pow(doublings)
    }
}

/// Paths that do not answer now.
static HANGS: LazyLock<Mutex<HashMap<PathBuf, Hang>>> = LazyLock::new(Mutex::default);

/// Does `work` on the file at `path`, on a thread that is left alone when it takes longer than `patience`.
/// While one hangs there already, others are started less and less often.
///
/// # Errors
/// It took too long, now or before.
pub fn within<T: Send + 'static>(
    path: &Path,
    patience: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Fault> {
    let patience = {
        let hangs = HANGS.lock();
        if hangs
            .get(path)
            .is_some_and(|hang| !hang.is_worth_a_try(clock::instant()))
        {
            return Err(Fault::Slow(patience));
        }
        if hangs.is_empty() {
            patience
        } else {
            patience / HURRIED_SHARE
        }
    };
    let (done, result) = sync_channel(1);
    let place = path.to_owned();
    thread::Builder::new()
        .name("file".to_owned())
        .spawn(move || {
            // Who waited may have gone.
            let _ = done.send(work());
            HANGS.lock().remove(&place);
        })
        .map_err(Fault::System)?;
    match result.recv_timeout(patience) {
        Ok(result) => return Ok(result),
        Err(RecvTimeoutError::Disconnected) => {
            let text = "reading it has failed by a defect of this program";
            return Err(Fault::System(io::Error::other(text)));
        }
        Err(RecvTimeoutError::Timeout) => {}
    }
    let since = clock::instant();
    HANGS
        .lock()
        .entry(path.to_owned())
        .or_insert(Hang { since, tries: 0 })
        .tries += 1;
    // It may have ended before that was noted.
    result
        .try_recv()
        .map_err(|_| Fault::Slow(patience))
        .inspect(|_| {
            HANGS.lock().remove(path);
        })
}

#[cfg(test)]
mod tests;
