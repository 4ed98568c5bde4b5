//! Reads the web config and what it names, and notices when any of it has changed.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::roster::printable;

/// The most bytes of a file: far more than certificates and users need.
pub(super) const MAX_BYTES: u64 = 1024 * 1024;

/// The files of one reading, as they were when they were read.
#[derive(Debug, Default)]
pub(super) struct Files(Vec<(PathBuf, Option<Stamp>)>);

/// What changes when a file is written or replaced, as seen through symbolic links. The time of the
/// change is there beside that of the content since tools like to set the latter.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        path.metadata().ok().map(|found: Metadata| Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

impl Files {
    /// The content of the file at `path`, which is watched from now on, also if it cannot be read.
    pub(super) fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        // Looked at before it is read: a change in between shows at the next look.
        self.0.push((path.to_owned(), Stamp::of(path)));
        // Who opens a pipe waits until somebody writes into it.
        let kind = path.metadata()?.file_type();
        if !kind.is_file() {
            let what = if kind.is_dir() {
                "a directory"
            } else {
                "no regular file"
            };
            return Err(io::Error::other(format!("it is {what}")));
        }
        let mut bytes = Vec::new();
        File::open(path)?
            .take(MAX_BYTES + 1)
            .read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_BYTES {
            let message = format!("it is larger than {MAX_BYTES} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
        }
        Ok(bytes)
    }

    /// Whether any of them is another one now, or has come or gone.
    pub(super) fn have_changed(&self) -> bool {
        self.0.iter().any(|(path, stamp)| Stamp::of(path) != *stamp)
    }
}

/// The path as it is shown in messages.
pub(super) fn shown(path: &Path) -> String {
    printable(&path.display().to_string())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_written_replaced_created_or_removed_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("a"), folder.path().join("b"));
        let read = || {
            let mut files = Files::default();
            let content = files.read(&path);
            (files, content.ok())
        };
        let (absent, nothing) = read();
        assert!(nothing.is_none() && !absent.have_changed());
        fs::write(&path, "one").unwrap();
        assert!(absent.have_changed());
        let (one, content) = read();
        assert_eq!(content.as_deref(), Some(&b"one"[..]));
        assert!(!one.have_changed());
        fs::write(&path, "three").unwrap();
        assert!(one.have_changed());
        let (three, _) = read();
        fs::write(&other, "seven").unwrap();
        fs::rename(&other, &path).unwrap();
        assert!(three.have_changed());
        let (seven, _) = read();
        fs::remove_file(&path).unwrap();
        assert!(seven.have_changed());
    }

    #[test]
    fn what_is_no_regular_file_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let read = |path: &Path| Files::default().read(path).unwrap_err().to_string();
        assert_eq!(read(folder.path()), "it is a directory");
        let path = folder.path().join("socket");
        let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert_eq!(read(&path), "it is no regular file");
    }

    #[test]
    fn a_file_that_is_too_large_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let file = File::create(&path).unwrap();
        file.set_len(MAX_BYTES).unwrap();
        assert!(Files::default().read(&path).is_ok());
        file.set_len(MAX_BYTES + 1).unwrap();
        let error = Files::default().read(&path).unwrap_err();
        assert_eq!(error.to_string(), "it is larger than 1048576 bytes");
    }
}
