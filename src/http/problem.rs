//! Why a request cannot be answered, as RFC 9457 has it told to programs.

use std::borrow::Cow;

use hyper::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use crate::named::{Named, named};

/// Prefix of problem types: they are names, and lead nowhere.
const TYPES: &str = "tag:flowgent-exporter,2026:";

/// Why a request cannot be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    kind: Kind,
    detail: Cow<'static, str>,
}

named! {
    /// The kinds of problems.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Kind {
        /// A query that cannot be read, or a parameter that is not known, repeated or out of bounds.
        InvalidParameter = "invalid-parameter",
        /// A day that is not of the form YYYY-MM-DD.
        InvalidDateFormat = "invalid-date-format",
        /// A day that the calendar does not have.
        InvalidDates = "invalid-dates",
        /// Days that make no range.
        InvalidDateRange = "invalid-date-range",
        /// A range that ends too late.
        InvalidEndDate = "invalid-end-date",
        /// More days than may be asked for.
        DateRangeTooLarge = "date-range-too-large",
        /// No host, several, or one that cannot be read.
        InvalidHost = "invalid-host",
        /// A page of another site wants more than to read.
        ForeignOrigin = "foreign-origin",
        /// The path leads nowhere.
        NotFound = "not-found",
        /// An account or an agent that is not known.
        UnknownName = "unknown-name",
        /// The path takes other methods.
        MethodNotAllowed = "method-not-allowed",
        /// A host that is not answered to.
        Misdirected = "misdirected-request",
        /// The ledger has failed.
        LedgerUnreadable = "ledger-unreadable",
        /// The figures are not loaded yet.
        NotReady = "not-ready",
        /// Too much is asked for at once.
        TooBusy = "too-busy",
    }
}

/// Reason why a request cannot be answered (RFC 9457).
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(crate) struct Document<'a> {
    /// The kind of problem: a name that leads nowhere.
    #[schemars(url, extend("enum" = each(Kind::uri)))]
    r#type: String,
    /// The kind of problem in words, the same each time.
    #[schemars(extend("enum" = each(Kind::title)))]
    title: String,
    /// The status of the response.
    #[schemars(extend("enum" = statuses()))]
    status: u16,
    /// The problem with this request, and how to put it right.
    detail: &'a str,
    /// The path that was asked for.
    instance: &'a str,
}

impl Problem {
    /// A problem whose `detail` says what is wrong with this request, and how to put it right.
    pub(crate) fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
        }
    }

    /// The status of its response.
    pub(crate) fn status(&self) -> StatusCode {
        self.kind.status()
    }

    /// Description of the mistake in this request.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// Title of its kind.
    #[cfg(test)]
    pub(crate) fn title(&self) -> String {
        self.kind.title()
    }

    /// The reply to a request of `path`.
    pub(crate) fn document<'a>(&'a self, path: &'a str) -> Document<'a> {
        Document {
            r#type: self.kind.uri(),
            title: self.kind.title(),
            status: self.status().as_u16(),
            detail: &self.detail,
            instance: path,
        }
    }
}

impl Kind {
    /// All of them, in the order of their statuses.
    /// Its name for programs.
    pub(crate) fn uri(self) -> String {
        format!("{TYPES}{}", self.as_str())
    }

    /// Its name for people, which is the same each time.
    pub(crate) fn title(self) -> String {
        let name = self.as_str();
        name[..1].to_uppercase() + &name[1..].replace('-', " ")
    }

    /// Status of its response.
    const fn status(self) -> StatusCode {
        match self {
            Self::InvalidParameter
            | Self::InvalidDateFormat
            | Self::InvalidDates
            | Self::InvalidDateRange
            | Self::InvalidEndDate
            | Self::DateRangeTooLarge
            | Self::InvalidHost => StatusCode::BAD_REQUEST,
            Self::ForeignOrigin => StatusCode::FORBIDDEN,
            Self::NotFound | Self::UnknownName => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::LedgerUnreadable => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotReady | Self::TooBusy => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// `fact` of all kinds, in their order.
fn each<T>(fact: fn(Kind) -> T) -> Vec<T> {
    Kind::ALL.iter().copied().map(fact).collect()
}

/// The statuses of all kinds, each once.
fn statuses() -> Vec<u16> {
    let mut statuses = each(|kind| kind.status().as_u16());
    statuses.dedup();
    statuses
}
