//! Sources of secrets, read again whenever one is needed, so that it rotates without a restart.

use std::fmt;
use std::path::PathBuf;

use secrecy::zeroize::Zeroizing;

use super::Secret;
use crate::blocking;
use crate::files::{self, FileError, SECRET};

/// Source of a secret: an API key, a URL that holds a token, a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// The content of a file.
    File(PathBuf),
    /// The value of an environment variable.
    Environment(String),
}

/// Why there is no secret: names the place, never what was found in it.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is no such environment variable.
    #[error("{0} is not set")]
    Unset(SecretSource),
    /// There is nothing but white space.
    #[error("{0} is empty")]
    Empty(SecretSource),
    /// A header could not carry it, or it is more than one line.
    #[error("{0} holds more than one line of printable ASCII characters")]
    NotPrintable(SecretSource),
}

impl SecretSource {
    /// Reads the secret, without the white space around it. It may go into a header as it is. Blocks: see
    /// [`files::read`].
    ///
    /// # Errors
    /// The place cannot be read, or what it holds cannot be a secret. No error shows the content.
    pub fn read(&self) -> Result<Secret, SecretError> {
        let bytes = match self {
            Self::File(path) => files::read(path, SECRET)?.bytes,
            Self::Environment(name) => std::env::var_os(name)
                .map(|value| Zeroizing::new(value.into_encoded_bytes()))
                .ok_or_else(|| SecretError::Unset(self.clone()))?,
        };
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| SecretError::NotPrintable(self.clone()))?
            .trim_start_matches('\u{feff}')
            .trim();
        if text.is_empty() {
            return Err(SecretError::Empty(self.clone()));
        }
        if !text.bytes().all(|byte| (0x20..=0x7e).contains(&byte)) {
            return Err(SecretError::NotPrintable(self.clone()));
        }
        Ok(Secret::new(text))
    }

    /// Reads the secret beside the async threads; see [`Self::read`].
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub async fn read_aside(&self) -> Result<Secret, SecretError> {
        let source = self.clone();
        blocking::run(move || source.read()).await
    }

    /// Others who may read the file of a secret that can be read; see [`files::exposure`].
    #[must_use]
    pub fn exposure(&self) -> Option<String> {
        match self {
            Self::File(path) => files::exposure(path, &files::metadata(path).ok()?),
            Self::Environment(_) => None,
        }
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file `{}`", path.display()),
            Self::Environment(name) => write!(f, "environment variable `{name}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &[u8]) -> Result<Secret, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("acme.key");
        std::fs::write(&path, content).unwrap();
        SecretSource::File(path).read().map_err(|error| {
            let folder = format!("{}/", folder.path().display());
            format!("{error}, {error:?}").replace(&folder, "")
        })
    }

    #[test]
    fn a_key_is_read_without_the_white_space_around_it() {
        assert_eq!(
            read(b" test-key-acme\r\n").unwrap().expose(),
            "test-key-acme"
        );
        assert_eq!(read(&[b'k'; 65_536]).unwrap().expose().len(), 65_536);
        let marked = "\u{feff}test-key-acme\r\n".as_bytes();
        assert_eq!(read(marked).unwrap().expose(), "test-key-acme");
    }

    #[test]
    fn what_cannot_be_a_key_is_refused_without_being_shown() {
        for (content, reason) in [
            (&b""[..], "cannot read file `acme.key`: it is empty"),
            (b" \n\t\n", "file `acme.key` is empty"),
            (
                b"canary\nline",
                "file `acme.key` holds more than one line of printable ASCII characters",
            ),
            (
                b"canary\0",
                "file `acme.key` holds more than one line of printable ASCII characters",
            ),
            (
                b"canary\xff",
                "file `acme.key` holds more than one line of printable ASCII characters",
            ),
            (
                &[b'c'; 65_537],
                "cannot read file `acme.key`: it has 65537 bytes, and at most 65536 are read",
            ),
        ] {
            let error = read(content).unwrap_err();
            assert!(error.starts_with(reason), "{error}");
            assert!(!error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn a_place_that_cannot_be_read_is_named() {
        let missing = SecretSource::File("no-such-folder/acme.key".into());
        assert_eq!(
            missing.read().unwrap_err().to_string(),
            "cannot read file `no-such-folder/acme.key`: No such file or directory (os error 2)"
        );
        let unset = SecretSource::Environment("FLOWGENT_TEST_UNSET_KEY".to_owned());
        assert_eq!(
            unset.read().unwrap_err().to_string(),
            "environment variable `FLOWGENT_TEST_UNSET_KEY` is not set"
        );
    }

    #[test]
    fn a_key_is_read_from_the_environment() {
        // Cargo sets it for every test.
        let set = SecretSource::Environment("CARGO_PKG_NAME".to_owned());
        assert_eq!(set.read().unwrap().expose(), "flowgent-exporter");
    }
}
