//! Why a request cannot be answered, as RFC 9457 has it told to programs.

use std::borrow::Cow;

use hyper::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

/// Prefix of problem types: they are names, and lead nowhere.
const TYPES: &str = "tag:flowgent-exporter,2026:";

/// Why a request cannot be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    kind: Kind,
    detail: Cow<'static, str>,
}

/// The kinds of problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A query that cannot be read, or a parameter that is not known, repeated or out of bounds.
    InvalidParameter,
    /// A day that is not of the form YYYY-MM-DD.
    InvalidDateFormat,
    /// A day that the calendar does not have.
    InvalidDates,
    /// Days that make no range.
    InvalidDateRange,
    /// A range that ends too late.
    InvalidEndDate,
    /// More days than may be asked for.
    DateRangeTooLarge,
    /// No host, several, or one that cannot be read.
    InvalidHost,
    /// A page of another site wants more than to read.
    ForeignOrigin,
    /// The path leads nowhere.
    NotFound,
    /// An account or an agent that is not known.
    UnknownName,
    /// The path takes other methods.
    MethodNotAllowed,
    /// A host that is not answered to.
    Misdirected,
    /// The ledger has failed.
    LedgerUnreadable,
    /// The figures are not loaded yet.
    NotReady,
    /// Too much is asked for at once.
    TooBusy,
}

/// Reason why a request cannot be answered (RFC 9457).
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(crate) struct Document<'a> {
    /// The kind of problem: a name that leads nowhere.
    #[schemars(url, extend("enum" = Kind::ALL.map(Kind::uri)))]
    r#type: String,
    /// The kind of problem in words, the same each time.
    #[schemars(extend("enum" = Kind::ALL.map(Kind::title)))]
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
    const ALL: [Self; 15] = [
        Self::InvalidParameter,
        Self::InvalidDateFormat,
        Self::InvalidDates,
        Self::InvalidDateRange,
        Self::InvalidEndDate,
        Self::DateRangeTooLarge,
        Self::InvalidHost,
        Self::ForeignOrigin,
        Self::NotFound,
        Self::UnknownName,
        Self::MethodNotAllowed,
        Self::Misdirected,
        Self::LedgerUnreadable,
        Self::NotReady,
        Self::TooBusy,
    ];

    /// Its name for programs.
    pub(crate) fn uri(self) -> String {
        format!("{TYPES}{}", self.row().0)
    }

    /// Its name for people, which is the same each time.
    pub(crate) fn title(self) -> String {
        let (name, _) = self.row();
        name[..1].to_uppercase() + &name[1..].replace('-', " ")
    }

    const fn status(self) -> StatusCode {
        self.row().1
    }

    /// Its name and its status. The names of dates are FlowGent's own.
    const fn row(self) -> (&'static str, StatusCode) {
        match self {
            Self::InvalidParameter => ("invalid-parameter", StatusCode::BAD_REQUEST),
            Self::InvalidDateFormat => ("invalid-date-format", StatusCode::BAD_REQUEST),
            Self::InvalidDates => ("invalid-dates", StatusCode::BAD_REQUEST),
            Self::InvalidDateRange => ("invalid-date-range", StatusCode::BAD_REQUEST),
            Self::InvalidEndDate => ("invalid-end-date", StatusCode::BAD_REQUEST),
            Self::DateRangeTooLarge => ("date-range-too-large", StatusCode::BAD_REQUEST),
            Self::InvalidHost => ("invalid-host", StatusCode::BAD_REQUEST),
            Self::ForeignOrigin => ("foreign-origin", StatusCode::FORBIDDEN),
            Self::NotFound => ("not-found", StatusCode::NOT_FOUND),
            Self::UnknownName => ("unknown-name", StatusCode::NOT_FOUND),
            Self::MethodNotAllowed => ("method-not-allowed", StatusCode::METHOD_NOT_ALLOWED),
            Self::Misdirected => ("misdirected-request", StatusCode::MISDIRECTED_REQUEST),
            Self::LedgerUnreadable => ("ledger-unreadable", StatusCode::INTERNAL_SERVER_ERROR),
            Self::NotReady => ("not-ready", StatusCode::SERVICE_UNAVAILABLE),
            Self::TooBusy => ("too-busy", StatusCode::SERVICE_UNAVAILABLE),
        }
    }
}

/// The statuses of problems, ascending.
fn statuses() -> Vec<u16> {
    let mut statuses = Kind::ALL.map(|kind| kind.status().as_u16()).to_vec();
    statuses.dedup();
    statuses
}
