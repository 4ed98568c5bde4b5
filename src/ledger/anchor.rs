//! Notices that the files of an open ledger are removed or replaced. Whoever holds a file open goes on writing
//! into it when its name is gone: all of that would be lost at the next start.

use std::fs;
use std::path::Path;

use super::error::{Fault, LedgerError};
use super::file::{FileId, Lock, Place, file_id};

/// Files beside the ledger's file while it is open: the log and its index.
const BESIDE: [&str; 2] = ["-wal", "-shm"];

/// An open ledger's files, as they were when it was opened, and the right to write them.
#[derive(Debug)]
pub(super) struct Anchor {
    place: Place,
    lock: Lock,
    /// None if the file could not be looked at when the ledger was opened.
    file: Option<FileId>,
    /// Each is made at the first write.
    beside: [Option<FileId>; 2],
}

impl Anchor {
    pub(super) fn new(place: Place, lock: Lock) -> Self {
        let file = id(&place.shown);
        Self {
            place,
            lock,
            file,
            beside: [None; 2],
        }
    }

    /// Sees that every file is still the one that is open, and that the lock is held at its place.
    ///
    /// # Errors
    /// One is gone or another one. Nothing must be written then.
    pub(super) fn check(&mut self) -> Result<(), LedgerError> {
        let is_ours = id(&self.place.shown) == self.file;
        // Also where the ledger is gone, so that no second process begins at its place meanwhile.
        let lock = self.place.beside(".lock");
        if id(&lock) != self.lock.file_id() {
            match Lock::take(&self.place) {
                Ok(lock) => self.lock = lock,
                Err(_) if !is_ours => {}
                Err(error) => return Err(error),
            }
        }
        if !is_ours {
            let path = &self.place.shown;
            return Err(Fault::Gone(path.clone()).at(path));
        }
        for (suffix, known) in BESIDE.iter().zip(&mut self.beside) {
            let path = self.place.beside(suffix);
            let found = id(&path);
            if known.is_some() && found != *known {
                return Err(Fault::Gone(path).at(&self.place.shown));
            }
            *known = found;
        }
        Ok(())
    }
}

fn id(path: &Path) -> Option<FileId> {
    fs::metadata(path).ok().as_ref().map(file_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An anchor of a ledger with its log.
    fn anchor(folder: &Path) -> Anchor {
        let path = folder.join("ledger.db");
        for suffix in ["", "-wal", "-shm"] {
            fs::write(folder.join(format!("ledger.db{suffix}")), suffix).unwrap();
        }
        let place = Place::existing(&path).unwrap();
        let lock = Lock::take(&place).unwrap();
        let mut anchor = Anchor::new(place, lock);
        anchor.check().unwrap();
        anchor
    }

    #[test]
    fn a_file_that_is_removed_replaced_or_moved_back_is_noticed() {
        for suffix in ["", "-wal", "-shm"] {
            let folder = tempfile::tempdir().unwrap();
            let mut anchor = anchor(folder.path());
            let path = folder.path().join(format!("ledger.db{suffix}"));
            let aside = folder.path().join("aside");
            fs::rename(&path, &aside).unwrap();
            let error = anchor.check().unwrap_err().to_string();
            assert!(error.contains(&path.display().to_string()), "{error}");
            fs::copy(&aside, &path).unwrap();
            anchor.check().unwrap_err();
            fs::rename(&aside, &path).unwrap();
            anchor.check().unwrap();
        }
    }

    #[test]
    fn the_lock_is_taken_again_where_its_file_was_removed() {
        let folder = tempfile::tempdir().unwrap();
        let mut anchor = anchor(folder.path());
        for name in fs::read_dir(folder.path()).unwrap() {
            fs::remove_file(name.unwrap().path()).unwrap();
        }
        anchor.check().unwrap_err();
        let place = Place::existing_or_new(&folder.path().join("ledger.db")).unwrap();
        let refused = Lock::take(&place).unwrap_err();
        assert!(matches!(refused.fault, Fault::InUse(_)), "{refused}");
    }

    #[test]
    fn a_folder_that_is_moved_away_takes_the_ledger_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().join("here");
        fs::create_dir(&here).unwrap();
        let mut anchor = anchor(&here);
        fs::rename(&here, folder.path().join("there")).unwrap();
        let error = anchor.check().unwrap_err();
        assert!(matches!(error.fault, Fault::Gone(_)), "{error}");
    }
}
