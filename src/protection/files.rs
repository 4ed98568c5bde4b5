//! Reads the web config and what it names, and notices when any of it has changed.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::files::{self, Content, FileError, Purpose, WEB_CONFIG, within};
use crate::roster::printable;

/// The files of one reading, as they were when they were read.
#[derive(Debug, Default)]
pub(super) struct Files(Vec<(PathBuf, Option<Stamp>)>);

/// Marks that change when a file is written or replaced, as seen through symbolic links. The time of the
/// change is there beside that of the content since tools like to set the latter.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    pub(super) fn read(&mut self, path: &Path, purpose: Purpose) -> Result<Content, FileError> {
        // Looked at before it is read: a change in between shows at the next look.
        let file = path.to_owned();
        let stamp = within(path, purpose.patience, move || Stamp::of(&file));
        self.0.push((path.to_owned(), stamp.ok().flatten()));
        files::read(path, purpose)
    }

    /// Returns true if any of them was replaced, created or removed. Those that cannot be looked at in time are
    /// taken to be the same.
    pub(super) fn have_changed(&self) -> bool {
        let Some((first, _)) = self.0.first() else {
            return false;
        };
        let stamps = self.0.clone();
        let is_other = |(path, stamp): &(PathBuf, Option<Stamp>)| Stamp::of(path) != *stamp;
        within(first, WEB_CONFIG.patience, move || {
            stamps.iter().any(is_other)
        })
        .unwrap_or(false)
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
            let content = files.read(&path, WEB_CONFIG);
            (files, content.ok().map(|content| content.bytes.to_vec()))
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
}
