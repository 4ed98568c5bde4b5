//! Why a request cannot be answered, as RFC 9457 has it told to programs.

use std::borrow::Cow;

use hyper::StatusCode;
use serde::Serialize;

/// What begins the types of problems: they are names, and lead nowhere.
const TYPES: &str = "tag:flowgent-exporter,2026:";

/// Why a request cannot be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    kind: Kind,
    detail: Cow<'static, str>,
}

/// The kinds of problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A query that cannot be read, or a parameter that is not known, repeated or out of bounds.
    InvalidParameter,
    /// The path leads nowhere.
    NotFound,
    /// An account or an agent that is not known.
    UnknownName,
    /// The path takes other methods.
    MethodNotAllowed,
    /// What is asked for is not there yet.
    NotReady,
}

/// A problem as it is sent.
#[derive(Debug, Serialize)]
pub(super) struct Document<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    instance: &'a str,
}

impl Problem {
    /// A problem whose `detail` says what is wrong with this request, and how to put it right.
    pub(super) fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
        }
    }

    /// The status of its response.
    pub(super) fn status(&self) -> StatusCode {
        self.kind.status()
    }

    /// What is wrong with this request.
    #[cfg(test)]
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// What is sent of it in answer to a request of `path`.
    pub(super) fn document<'a>(&'a self, path: &'a str) -> Document<'a> {
        let (name, title) = self.kind.words();
        Document {
            r#type: format!("{TYPES}{name}"),
            title,
            status: self.status().as_u16(),
            detail: &self.detail,
            instance: path,
        }
    }
}

impl Kind {
    const fn status(self) -> StatusCode {
        match self {
            Self::InvalidParameter => StatusCode::BAD_REQUEST,
            Self::NotFound | Self::UnknownName => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotReady => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Its name and its title, which is the same each time.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::InvalidParameter => ("invalid-parameter", "Invalid parameter"),
            Self::NotFound => ("not-found", "Not found"),
            Self::UnknownName => ("unknown-name", "Unknown name"),
            Self::MethodNotAllowed => ("method-not-allowed", "Method not allowed"),
            Self::NotReady => ("not-ready", "Not ready"),
        }
    }
}
