//! A secret that cannot print: neither [`Debug`] nor any error or log line shows what is inside.

mod source;

pub use source::{SecretError, SecretSource};

use std::{fmt, io};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use secrecy::{ExposeSecret, SecretString};

/// An API key or another credential. It is wiped from memory when dropped.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps `text`, without the white space around it that editors and `echo` leave in key files.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.trim().into())
    }

    /// Returns true if it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.expose_secret().is_empty()
    }

    /// The secret itself: for the one header or digest that needs it, and for nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Returns true if a foreign text holds the secret: as it is, escaped as in JSON, or in other case.
    #[must_use]
    pub fn is_in(&self, text: &[u8]) -> bool {
        let text = text.to_ascii_lowercase();
        let secret = self.expose().to_ascii_lowercase();
        let escaped = secret.replace('\\', r"\\").replace('"', r#"\""#);
        let slashes = escaped.replace('/', r"\/");
        [secret, escaped, slashes].iter().any(|form| {
            text.windows(form.len().max(1))
                .any(|part| part == form.as_bytes())
        })
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Secret {}

/// Keeps this process from leaving its memory, and the secrets in it, behind when it crashes.
///
/// If the hard limit is 0 already, no file is left, but a program that `core_pattern` pipes to still
/// gets all: the limit of one byte that keeps it away could be set by root only.
///
/// # Errors
/// The operating system's, where it refuses.
pub fn forbid_core_dumps() -> io::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Core);
    if maximum == Some(0) {
        return Ok(()); // Nobody but root could set another.
    }
    // A limit of one byte, not of none: to a program that `core_pattern` pipes to, the kernel gives all
    // whatever the limit is, except where it is one.
    let current = Some(1);
    Ok(setrlimit(Resource::Core, Rlimit { current, maximum })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_prints() {
        let secret = Secret::new(" canary-secret\n");
        assert_eq!(
            format!("{secret:?} {:?}", Some(&secret)),
            "Secret(…) Some(Secret(…))"
        );
        assert_eq!(secret.expose(), "canary-secret");
    }

    #[test]
    fn a_secret_is_found_in_every_form_in_which_it_may_come_back() {
        let odd = Secret::new(r#"te/st"k\ey"#);
        for text in [
            r#"a te/st"k\ey b"#,
            r#"TE/ST"K\EY"#,
            r#""te/st\"k\\ey""#,
            r#""te\/st\"k\\ey""#,
        ] {
            assert!(odd.is_in(text.as_bytes()), "{text}");
        }
        for text in ["", "te/st", r#"te/st"key"#] {
            assert!(!odd.is_in(text.as_bytes()), "{text}");
        }
        assert!(!Secret::new("").is_in(b"anything"));
    }
}
