//! The signature of Standard Webhooks: the receiver can tell that a message is from here, is whole, and
//! is of now (<https://www.standardwebhooks.com/>).

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::zeroize::Zeroizing;
use sha2::Sha256;

use crate::secret::Secret;

/// Prefix of a secret.
const PREFIX: &str = "whsec_";
/// The bytes that a key may have.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Base64 with or without the padding, which gets lost where secrets are copied.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A key that messages are signed with. It is wiped from memory when dropped, and does not print.
pub(super) struct SigningKey(Zeroizing<Vec<u8>>);

/// Why a secret is no key. The secret itself is not shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SigningKeyError {
    /// It is something else.
    #[error("a signing secret begins with `{PREFIX}`")]
    Prefix,
    /// The rest is damaged.
    #[error("the text after `{PREFIX}` is not base64")]
    Base64,
    /// It is too short to be safe, or too long for receivers.
    #[error("the key has {0} bytes, it needs {start} to {end}", start = KEY_BYTES.start(), end = KEY_BYTES.end())]
    Length(usize),
}

/// Checks that messages can be signed with `secret`.
///
/// # Errors
/// They cannot.
pub fn check_signing_secret(secret: &Secret) -> Result<(), SigningKeyError> {
    SigningKey::new(secret).map(|_| ())
}

impl SigningKey {
    /// The key that a secret of the form `whsec_` and base64 holds.
    ///
    /// # Errors
    /// The secret is not of that form.
    pub(super) fn new(secret: &Secret) -> Result<Self, SigningKeyError> {
        let text = secret
            .expose()
            .strip_prefix(PREFIX)
            .ok_or(SigningKeyError::Prefix)?;
        let key = LENIENT
            .decode(text)
            .map(Zeroizing::new)
            .map_err(|_| SigningKeyError::Base64)?;
        if KEY_BYTES.contains(&key.len()) {
            Ok(Self(key))
        } else {
            Err(SigningKeyError::Length(key.len()))
        }
    }

    /// The signature of a message that is sent at `timestamp`, in seconds since 1970, as it stands in
    /// the header.
    pub(super) fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_public_reference() {
        let secret = Secret::new("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
        let signature = SigningKey::new(&secret).unwrap().sign(
            "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
            1_649_367_553,
            br#"{"email":"test@example.com","username":"test_user"}"#,
        );
        assert_eq!(signature, "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=");
    }

    #[test]
    fn a_secret_is_read_with_or_without_padding_and_refused_if_it_is_none() {
        let of = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
        for (text, expected) in [
            (of(24), Ok(24)),
            (of(64), Ok(64)),
            (of(25), Ok(25)),
            (of(25).trim_end_matches('=').to_owned(), Ok(25)),
            (of(23), Err("the key has 23 bytes, it needs 24 to 64")),
            (of(65), Err("the key has 65 bytes, it needs 24 to 64")),
            (
                "whsec_".to_owned(),
                Err("the key has 0 bytes, it needs 24 to 64"),
            ),
            (
                "canary".to_owned(),
                Err("a signing secret begins with `whsec_`"),
            ),
            (
                of(24).replace("whsec_", "whpk_"),
                Err("a signing secret begins with `whsec_`"),
            ),
            (
                "whsec_canary!".to_owned(),
                Err("the text after `whsec_` is not base64"),
            ),
        ] {
            let key = SigningKey::new(&Secret::new(&text));
            let found = key
                .map(|key| key.0.len())
                .map_err(|error| error.to_string());
            assert_eq!(found, expected.map_err(str::to_owned), "{text}");
        }
    }
}
