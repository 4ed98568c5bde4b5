//! The web config file as it is written: the YAML of the Prometheus exporter-toolkit
//! (`docs/web-configuration.md` there), names and types, nothing more. What the values mean and which of
//! them are good is decided in [`super::check`] and [`super::tls`].

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_saphyr::{Error, Location, Options, Spanned};

use super::Fault;
use crate::nearest::nearest;
use crate::roster::printable;

/// A text and its place.
pub(super) type Text = Spanned<String>;

/// The whole file. A section without content is as good as none.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WebFile {
    /// TLS, if it is spoken.
    pub(super) tls_server_config: Option<Spanned<Tls>>,
    /// Headers of HTTP responses.
    pub(super) http_server_config: Option<Http>,
    /// Users: names, and passwords as bcrypt hashes.
    pub(super) basic_auth_users: Option<BTreeMap<String, Text>>,
    /// Rate limit for all clients together.
    pub(super) rate_limit: Option<Rate>,
}

/// `tls_server_config`.
#[derive(Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    /// The server's certificate chain in PEM.
    pub(super) cert: Option<Text>,
    /// Its key in PEM.
    pub(super) key: Option<Text>,
    /// Certificates in PEM of those who vouch for clients.
    pub(super) client_ca: Option<Text>,
    /// The file of the server's certificate chain.
    pub(super) cert_file: Option<Text>,
    /// The file of its key.
    pub(super) key_file: Option<Text>,
    /// Demand on clients. Default: `NoClientCert`.
    pub(super) client_auth_type: Option<Text>,
    /// The file of certificates of those who vouch for clients.
    pub(super) client_ca_file: Option<Text>,
    /// Of these names, a client's certificate must have one.
    pub(super) client_allowed_sans: Option<Spanned<Vec<String>>>,
    /// The lowest version of TLS. Default: `TLS12`.
    pub(super) min_version: Option<Text>,
    /// The highest. Default: `TLS13`.
    pub(super) max_version: Option<Text>,
    /// Cipher suites of TLS 1.2, the best first.
    pub(super) cipher_suites: Option<Vec<Text>>,
    /// True if the server's order of suites counts, not the client's. Default: true.
    pub(super) prefer_server_cipher_suites: Option<bool>,
    /// Groups of the key exchange, the best first.
    pub(super) curve_preferences: Option<Vec<Text>>,
}

/// `http_server_config`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Http {
    /// True if HTTP/2 is spoken. Default here: as if it were false.
    pub(super) http2: Option<bool>,
    /// Headers of all responses.
    pub(super) headers: Option<Headers>,
}

/// `headers`: these and no others.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Headers {
    #[serde(rename = "Content-Security-Policy")]
    pub(super) content_security_policy: Option<Text>,
    #[serde(rename = "X-Frame-Options")]
    pub(super) x_frame_options: Option<Text>,
    #[serde(rename = "X-Content-Type-Options")]
    pub(super) x_content_type_options: Option<Text>,
    #[serde(rename = "X-XSS-Protection")]
    pub(super) x_xss_protection: Option<Text>,
    #[serde(rename = "Strict-Transport-Security")]
    pub(super) strict_transport_security: Option<Text>,
}

/// `rate_limit`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rate {
    /// The time after which one more request is allowed, such as `100ms`. Default: `0`, no limit.
    pub(super) interval: Option<Text>,
    /// Most requests at once.
    pub(super) burst: Option<Spanned<u32>>,
}

/// Reads `text`.
pub(super) fn parse(text: &str) -> Result<WebFile, Fault> {
    // No snippets: they would show hashes and keys.
    let options: Options = serde_saphyr::options! {
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options::<Option<WebFile>>(text, options)
        .map(Option::unwrap_or_default)
        .map_err(|error| fault(&error))
}

/// Description of a mistake that holds no value of the file: it may be a secret.
fn fault(error: &Error) -> Fault {
    let message = match error {
        Error::WithSnippet { error, .. } | Error::AliasError { error, .. } => return fault(error),
        Error::SerdeUnknownField {
            field, expected, ..
        } => {
            let key = printable(field);
            match nearest(field, expected) {
                Some(near) => format!("unknown key `{key}`: did you mean `{near}`?"),
                None => format!(
                    "unknown key `{key}`: known here are {}",
                    expected.join(", ")
                ),
            }
        }
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            format!("`{}` is defined twice", printable(key))
        }
        Error::SerdeInvalidType { expected, .. } | Error::SerdeInvalidValue { expected, .. } => {
            format!("expected {}", in_words(expected))
        }
        Error::Unexpected { expected, .. } => format!("expected {}", in_words(expected)),
        Error::InvalidScalar { ty, .. } => format!("expected {}", in_words(ty)),
        Error::NullIntoString { .. } => "expected a text".to_owned(),
        // The parser's words about syntax hold nothing of the file.
        Error::ExternalMessage { msg, .. } => format!("not YAML: {}", printable(msg)),
        Error::MultipleDocuments { .. } => "a second document begins here".to_owned(),
        Error::UnknownAnchor { .. } => "there is no such anchor".to_owned(),
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            "the YAML is nested or repeated beyond all measure".to_owned()
        }
        _ => "not YAML as it is expected here".to_owned(),
    };
    Fault {
        place: error.location().and_then(place),
        message,
    }
}

fn in_words(expected: &str) -> &str {
    match expected {
        "string" | "string scalar" | "a string" => "a text",
        "mapping" | "mapping start" | "a map" => "keys and values",
        "sequence" | "sequence start" | "a sequence" => "a list",
        "bool" | "boolean" => "true or false",
        "u32" => "a whole number, not negative",
        other => other,
    }
}

/// Line and column of a value, counted from 1.
pub(super) fn place(location: Location) -> Option<(u64, u64)> {
    (location != Location::UNKNOWN).then(|| (location.line(), location.column()))
}
