//! [`WebFile`] → [`WebConfig`]: every value by its rule, and the files that are named.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{
    CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS, X_XSS_PROTECTION,
};

use super::file::{self, Text, WebFile, parse, place};
use super::files::Files;
use super::limit::RateLimit;
use super::tls::{self, Surroundings, Tls};
use super::users::Users;
use super::{Fault, Time, WebConfigError};
use crate::clock::SharedClock;
use crate::files::{WEB_CONFIG, exposure};

/// A web config that has been checked whole. The default protects nothing.
#[derive(Debug, Default)]
pub(super) struct WebConfig {
    /// TLS, if it is spoken.
    pub(super) tls: Option<Tls>,
    /// Headers of all responses.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// Users; none if anybody may ask.
    pub(super) users: Option<Users>,
    /// Rate limit for all clients together.
    pub(super) rate_limit: Option<RateLimit>,
    /// Settings that are allowed but deserve a second look, a line each.
    pub(super) warnings: Vec<String>,
    /// Files of secrets that others may read, a line each.
    pub(super) exposed: Vec<String>,
}

/// Reads the file at `path`, and notes in `files` what was read.
pub(super) fn read(
    path: &Path,
    clock: &SharedClock,
    files: &mut Files,
) -> Result<WebConfig, WebConfigError> {
    let unreadable = |reason: String| WebConfigError::Read {
        path: path.to_owned(),
        reason,
    };
    let mut exposed = None;
    let text = files
        .read(path, WEB_CONFIG)
        .and_then(|content| {
            exposed = exposure(path, &content.metadata);
            content.into_text(WEB_CONFIG, path)
        })
        .map_err(|error| unreadable(error.fault.to_string()))?;
    parse(&text)
        .and_then(|file| {
            // Hashes of passwords are made to be seen; the key of a certificate is not.
            let tls = file.tls_server_config.as_ref();
            let holds_key = tls.is_some_and(|tls| tls.value.key.is_some());
            let mut config = check(file, path, clock, files)?;
            config.exposed.extend(exposed.filter(|_| holds_key));
            Ok(config)
        })
        .map_err(|fault| WebConfigError::Invalid {
            path: path.to_owned(),
            fault,
        })
}

fn check(
    file: WebFile,
    path: &Path,
    clock: &SharedClock,
    files: &mut Files,
) -> Result<WebConfig, Fault> {
    let WebFile {
        tls_server_config,
        http_server_config,
        basic_auth_users,
        rate_limit,
    } = file;
    let file::Http { http2, headers } = http_server_config.unwrap_or_default();
    let (mut warnings, mut exposed) = (Vec::new(), Vec::new());
    let mut surroundings = Surroundings {
        folder: path.parent().unwrap_or(Path::new("")),
        files,
        warnings: &mut warnings,
        exposed: &mut exposed,
        time: Arc::new(Time(Arc::clone(clock))),
        http2: http2 != Some(false),
    };
    let tls = match tls_server_config {
        Some(section) => tls::check(section, &mut surroundings)?,
        None => None,
    };
    if http2 == Some(true) {
        warnings.push("http2 has no effect: HTTP/1.1 is spoken to all".to_owned());
    }
    let headers = headers.map_or_else(|| Ok(Vec::new()), check_headers)?;
    let users = match basic_auth_users {
        Some(written) => Users::new(written, random_key()?, &mut warnings)?,
        None => None,
    };
    if users.is_some() && tls.is_none() {
        warnings.push("passwords travel unencrypted: there is no `tls_server_config`".to_owned());
    }
    let rate_limit = rate_limit.map_or(Ok(None), |rate| check_rate_limit(rate, &mut warnings))?;
    Ok(WebConfig {
        tls,
        headers,
        users,
        rate_limit,
        warnings,
        exposed,
    })
}

fn check_headers(written: file::Headers) -> Result<Vec<(HeaderName, HeaderValue)>, Fault> {
    let file::Headers {
        content_security_policy,
        x_frame_options,
        x_content_type_options,
        x_xss_protection,
        strict_transport_security,
    } = written;
    let mut headers = Vec::new();
    for (name, value, allowed) in [
        (CONTENT_SECURITY_POLICY, content_security_policy, &[][..]),
        (X_FRAME_OPTIONS, x_frame_options, &["deny", "sameorigin"]),
        (X_CONTENT_TYPE_OPTIONS, x_content_type_options, &["nosniff"]),
        (X_XSS_PROTECTION, x_xss_protection, &[]),
        (STRICT_TRANSPORT_SECURITY, strict_transport_security, &[]),
    ] {
        // A blank one is unset.
        let Some(text) = value.filter(|text| !text.value.is_empty()) else {
            continue;
        };
        if !allowed.is_empty() && !allowed.contains(&text.value.as_str()) {
            let message = format!("this header can only be {}", allowed.join(" or "));
            return Err(Fault::at(place(text.referenced), message));
        }
        let value = HeaderValue::from_str(&text.value).map_err(|_| {
            let message = "a header cannot have such characters";
            Fault::at(place(text.referenced), message)
        })?;
        headers.push((name, value));
    }
    Ok(headers)
}

/// Without an interval there is no limit. A burst of nothing answers nobody, as with the toolkit.
fn check_rate_limit(
    written: file::Rate,
    warnings: &mut Vec<String>,
) -> Result<Option<RateLimit>, Fault> {
    let file::Rate { interval, burst } = written;
    let interval = interval.as_ref().map_or(Ok(Duration::ZERO), duration)?;
    let burst = burst.map_or(0, |burst| burst.value);
    if interval.is_zero() {
        if burst > 0 {
            warnings.push("`rate_limit` has no `interval`, so it limits nothing".to_owned());
        }
        return Ok(None);
    }
    if burst == 0 {
        warnings.push(
            "`rate_limit` has a `burst` of 0, so nobody is answered: give at least 1".to_owned(),
        );
    }
    Ok(Some(RateLimit::new(interval, burst)))
}

/// A duration with a unit, or nanoseconds without one, as Go reads them.
fn duration(text: &Text) -> Result<Duration, Fault> {
    if let Ok(nanoseconds) = text.value.parse() {
        return Ok(Duration::from_nanos(nanoseconds));
    }
    humantime::parse_duration(&text.value).map_err(|error| {
        let message = format!("`interval` is a duration such as `100ms`: {error}");
        Fault::at(place(text.referenced), message)
    })
}

fn random_key() -> Result<[u8; 32], Fault> {
    let mut key = [0; 32];
    rustls::crypto::ring::default_provider()
        .secure_random
        .fill(&mut key)
        .map_err(|_| Fault::at(None, "the system gives no random numbers"))?;
    Ok(key)
}
