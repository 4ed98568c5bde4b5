//! The API key as it is sent, and the guard over every text that might hold it.

use reqwest::header::HeaderValue;

use crate::flowgent::error::ApiError;
use crate::secret::Secret;
use crate::text::web_page;
use crate::text::{QUOTE_BYTES, printable};

/// An API key that fits into its header.
#[derive(Debug)]
pub(super) struct Credential {
    secret: Secret,
    header: HeaderValue,
}

impl Credential {
    /// Takes over `secret`.
    ///
    /// # Errors
    /// It is empty, or would break out of its header.
    pub(super) fn new(secret: Secret) -> Result<Self, ApiError> {
        if secret.is_empty() {
            return Err(ApiError::MissingKey);
        }
        // HTTP would let other letters through, as bytes that every server reads differently.
        let mut header = Some(secret.expose())
            .filter(|key| key.is_ascii())
            .and_then(|key| HeaderValue::from_str(key).ok())
            .ok_or(ApiError::UnusableKey)?;
        header.set_sensitive(true);
        Ok(Self { secret, header })
    }

    /// The value of `Authorization`, which prints as `Sensitive`.
    pub(super) fn header(&self) -> HeaderValue {
        self.header.clone()
    }

    /// Returns true if a server's text holds the key, in one of the forms in which it may come back.
    pub(super) fn is_in(&self, text: &[u8]) -> bool {
        self.secret.is_in(text)
    }

    /// Part of a server's text that an error may show: a short, escaped piece, and nothing if the text
    /// holds the key.
    pub(super) fn quote(&self, text: &[u8]) -> String {
        if self.is_in(text) {
            return "[withheld: it holds the API key]".to_owned();
        }
        if let Some(page) = web_page(text, text.len()) {
            return page;
        }
        // No letter gets shorter by being shown, so that the rest cannot matter.
        let start = &text[..text.len().min(QUOTE_BYTES + 4)];
        printable(&String::from_utf8_lossy(start), QUOTE_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(key: &str) -> Credential {
        Credential::new(Secret::new(key)).unwrap()
    }

    #[test]
    fn a_text_that_holds_the_key_is_not_quoted() {
        let plain = credential("test-key-acme");
        let long = format!("{}test-key-acme", "x".repeat(QUOTE_BYTES - 4));
        for text in ["a test-key-acme b", "TEST-KEY-ACME", long.as_str()] {
            assert_eq!(
                plain.quote(text.as_bytes()),
                "[withheld: it holds the API key]"
            );
        }
        assert_eq!(plain.quote(b"test-key-\xff"), "test-key-\u{fffd}");
    }

    #[test]
    fn a_key_that_is_no_header_is_refused_without_showing_it() {
        assert_eq!(
            Credential::new(Secret::new(" \n")).unwrap_err(),
            ApiError::MissingKey
        );
        for key in ["test\nkey", "tést-key"] {
            assert_eq!(
                Credential::new(Secret::new(key)).unwrap_err(),
                ApiError::UnusableKey
            );
        }
        assert!(!format!("{:?}", credential("test-key-acme")).contains("acme"));
    }
}
