//! Sources of a balance's entries: the config, or a file that another tool or person keeps.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::{info, warn};

use super::entries::{Entries, Entry, Written};
use crate::blocking;
use crate::files::{self, ENTRIES};
use crate::text::printable;

/// The most bytes of what an error says of a file's form.
const REASON_BYTES: usize = 300;

/// The entries of one balance. Clones share what was read.
#[derive(Debug, Clone)]
pub struct Book {
    /// The balance's name.
    name: Arc<str>,
    /// None if the entries are in the config.
    path: Option<PathBuf>,
    latest: Arc<Mutex<Latest>>,
}

/// Result of the last reading of the entries.
#[derive(Debug, Default)]
struct Latest {
    /// The last entries that were good.
    entries: Option<Arc<Entries>>,
    /// Why those in the file now are not.
    problem: Option<String>,
}

impl Book {
    /// The book of a balance whose entries are in the config.
    #[must_use]
    pub fn of(name: &str, entries: Entries) -> Self {
        let latest = Latest {
            entries: Some(Arc::new(entries)),
            problem: None,
        };
        Self {
            name: name.into(),
            path: None,
            latest: Arc::new(Mutex::new(latest)),
        }
    }

    /// The book of a balance whose entries are in the file at `path`, which is read at once.
    #[must_use]
    pub fn open(name: &str, path: PathBuf) -> Self {
        let latest = match read(&path) {
            Ok(entries) => Latest {
                entries: Some(Arc::new(entries)),
                problem: None,
            },
            Err(problem) => Latest {
                entries: None,
                problem: Some(problem),
            },
        };
        Self {
            name: name.into(),
            path: Some(path),
            latest: Arc::new(Mutex::new(latest)),
        }
    }

    /// Reads the file again, if there is one. Entries that are not good change nothing.
    pub async fn refresh(&self) {
        let Some(path) = self.path.clone() else {
            return;
        };
        let read = blocking::run(move || read(&path)).await;
        let mut latest = self.latest.lock();
        let problem = match read {
            Ok(entries) => {
                latest.entries = Some(Arc::new(entries));
                None
            }
            Err(problem) => Some(problem),
        };
        if latest.problem != problem {
            match &problem {
                Some(problem) => {
                    warn!(
                        "balance {}: {problem}; the last valid entries stay active",
                        self.name
                    );
                }
                None => info!("balance {}: its entries can be read again", self.name),
            }
        }
        latest.problem = problem;
    }

    /// The last entries that were good; none if there never were any.
    #[must_use]
    pub fn entries(&self) -> Option<Arc<Entries>> {
        self.latest.lock().entries.clone()
    }

    /// Takes over entries that were good before the program started, as a JSON array, if none have been since.
    pub fn recall(&self, text: &str) {
        let mut latest = self.latest.lock();
        if latest.entries.is_none() {
            latest.entries = parse(text.as_bytes()).ok().map(Arc::new);
        }
    }

    /// Why the entries in the file are not those in use; none if they are.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.latest.lock().problem.clone()
    }

    /// Returns true if the entries are in a file.
    #[must_use]
    pub const fn is_in_file(&self) -> bool {
        self.path.is_some()
    }
}

/// Reads a JSON array of `{"on": …, "set": …}` and `{"on": …, "add": …}`.
fn read(path: &Path) -> Result<Entries, String> {
    let text = files::read(path, ENTRIES).map_err(|error| error.to_string())?;
    parse(&text.bytes).map_err(|what| format!("entries file `{}`: {what}", path.display()))
}

/// The entries that are written as such an array.
fn parse(text: &[u8]) -> Result<Entries, String> {
    let written: Vec<Written> = serde_json::from_slice(text)
        .map_err(|error| printable(&error.to_string(), REASON_BYTES))?;
    let checked: Result<Vec<Entry>, _> = (0..)
        .zip(written)
        .map(|(place, written)| Entry::try_from(written).map_err(|error| (place, error)))
        .collect();
    checked
        .and_then(|entries| Entries::new(&entries))
        .map_err(|(place, error)| format!("entry {}: {error}", place + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_is_no_good_changes_nothing_and_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("acme.json");
        let book = Book::open("acme", path.clone());
        assert_eq!(book.entries(), None);
        let reopened = Book::open("acme", path.clone());
        reopened.recall(r#"[{"on":"2026-01-01","set":5.0}]"#);
        let recalled = reopened.entries().unwrap();
        assert_eq!(
            recalled
                .account("2026-11-30".parse().unwrap())
                .unwrap()
                .credits,
            5.0
        );
        assert!(book.problem().unwrap().contains("No such file"));
        std::fs::write(
            &path,
            r#"[{"on": "2026-03-10", "add": 5000}, {"on": "2026-01-01", "set": 1}]"#,
        )
        .unwrap();
        book.refresh().await;
        let good = book.entries().unwrap();
        assert_eq!(
            good.account("2026-11-30".parse().unwrap()).unwrap().credits,
            5001.0
        );
        assert_eq!(book.problem(), None);
        for (content, problem) in [
            ("", "cannot read entries file `acme.json`: it is empty"),
            (
                "{}",
                "entries file `acme.json`: invalid type: map, expected a sequence at line 1 column 0",
            ),
            (
                r#"[{"on": "2026-01-01", "sett": 1}]"#,
                "entries file `acme.json`: unknown field `sett`, expected one of `on`, `set`, `add` at line 1 column 28",
            ),
            (
                r#"[{"on": "2026-01-01", "set": 1e999}]"#,
                "entries file `acme.json`: number out of range at line 1 column 34",
            ),
            (
                r#"[{"\u001b[2J\u202e": 1}]"#,
                "entries file `acme.json`: unknown field `\\u{1b}[2J\\u{202e}`, expected one of `on`, `set`, `add` at line 1 column 19",
            ),
            (
                r#"[{"on": "2026-01-01", "set": 1}, {"on": "2026-01-01", "set": 2}]"#,
                "entries file `acme.json`: entry 2: 2026-01-01 has two `set`s, 1 and 2",
            ),
            (
                r#"[{"on": "2026-01-01", "set": 1}, {"on": "2026-01-02", "add": -2}]"#,
                "entries file `acme.json`: entry 2: `add` -2 is not above 0 and at most 1000000000000",
            ),
        ] {
            std::fs::write(&path, content).unwrap();
            book.refresh().await;
            let shown = book
                .problem()
                .unwrap()
                .replace(&format!("{}/", folder.path().display()), "");
            assert_eq!(shown, problem);
            assert_eq!(book.entries().unwrap(), good);
        }
        std::fs::write(&path, "[]").unwrap();
        book.refresh().await;
        assert_eq!(
            (book.problem(), book.entries()),
            (None, Some(Arc::default()))
        );
    }
}
