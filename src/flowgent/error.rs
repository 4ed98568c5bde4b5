//! Everything that can come of a request, each outcome by its name. Nothing of a server's text gets in
//! here unbounded or unescaped, no URL with its query, and never the key.

use std::time::Duration;

use crate::egress::TransportError;
use crate::flowgent::wire::ErrorAnswer;
use crate::roster::NAME_AGENTS;

/// The longest that a server's Retry-After stops an account; what asks for more ends the attempt.
pub const LONGEST_HOLD: Duration = Duration::from_secs(5 * 60);

/// Why a request to FlowGent has no usable answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// 401, or nothing was sent since the account has no key.
    #[error("no API key is given")]
    MissingKey,
    /// 401 with FlowGent's own words: it does not know the key.
    #[error("the API key is not valid")]
    InvalidKey,
    /// Nothing was sent: the key would break out of its header.
    #[error("the API key cannot be sent: it holds a character other than visible ASCII")]
    UnusableKey,
    /// 403 with FlowGent's own words: a proxy's refusal says nothing about the agent.
    #[error("access denied: the agent does not belong to the key's organisation")]
    AccessDenied,
    /// The same 403 to a request for the account's agents, which concerns none of them.
    #[error("access denied: the key may not list the organisation's agents")]
    ListingDenied,
    /// 400, or nothing was sent since no URL can name such an agent.
    #[error("the agent id is empty or not valid")]
    InvalidAgentId,
    /// 400.
    #[error("start_date is required when end_date is given")]
    StartDateMissing,
    /// 400.
    #[error("dates must be in YYYY-MM-DD format")]
    InvalidDateFormat,
    /// 400.
    #[error("the dates are not valid")]
    InvalidDates,
    /// 400.
    #[error("start_date must not be after end_date")]
    StartAfterEnd,
    /// 400: near midnight, or one of the two clocks is wrong. The agent is not to blame.
    #[error("end_date cannot be today or in the future by FlowGent's clock")]
    EndDateTooRecent,
    /// 400.
    #[error("the date range exceeds 31 days")]
    RangeTooLarge,
    /// A WhatsApp template without recipient or name.
    #[error("recipient_phone_number and template_name are required")]
    MissingTemplateFields,
    /// The agent cannot send WhatsApp templates.
    #[error("the agent has no WhatsApp connection")]
    WhatsAppNotConnected,
    /// 402: the account's credits are used up.
    #[error("no credits are left")]
    NoCredits,
    /// 429.
    #[error("too many requests{}", again(*.retry_after))]
    RateLimited {
        /// Wait that FlowGent asks for.
        retry_after: Option<Duration>,
    },
    /// 503.
    #[error("service unavailable{}", again(*.retry_after))]
    Unavailable {
        /// Wait that FlowGent asks for.
        retry_after: Option<Duration>,
    },
    /// Any other status from 500 on.
    #[error("server error {status}")]
    Server {
        /// The HTTP status.
        status: u16,
    },
    /// The whole answer was not there in time.
    #[error("no complete answer within {limit:?}")]
    Timeout {
        /// The time that a request may take.
        limit: Duration,
    },
    /// The request or its answer did not come through.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// A success whose body is something else, such as the page of a proxy.
    #[error("not JSON but {0}")]
    NotJson(String),
    /// JSON that is not what the API document promises, with both figures.
    #[error("invalid answer: {0}")]
    Contract(String),
    /// A redirect. It is not followed: the key is for one host only.
    #[error("redirect {status} to {}, which is not followed", .host.as_deref().unwrap_or("nowhere"))]
    Redirect {
        /// The HTTP status.
        status: u16,
        /// The host it points to.
        host: Option<String>,
    },
    /// Anything else.
    #[error("unexpected status {status}: {body}")]
    Unexpected {
        /// The HTTP status.
        status: u16,
        /// At most 200 bytes of the body, escaped.
        body: String,
    },
}

/// Values of the label `outcome` of `flowgent_exporter_api_requests_total`.
pub const OUTCOMES: [&str; 17] = [
    "ok",
    "invalid_key",
    "access_denied",
    "bad_request",
    "end_too_recent",
    "no_credits",
    "rate_limited",
    "unavailable",
    "server_error",
    "timeout",
    "connect",
    "interrupted",
    "too_large",
    "not_json",
    "contract",
    "redirect",
    "unexpected",
];

/// The documented errors by their text: `error`, then how `message` begins.
const DOCUMENTED: [(&str, &str, ApiError); 13] = [
    ("API key is required", "", ApiError::MissingKey),
    ("Invalid API key", "", ApiError::InvalidKey),
    ("Access denied", "", ApiError::AccessDenied),
    (
        "agent_id is required and must be a non-empty string",
        "",
        ApiError::InvalidAgentId,
    ),
    (
        "Invalid date range",
        "start_date is required",
        ApiError::StartDateMissing,
    ),
    (
        "Invalid date range",
        "start_date must not be after",
        ApiError::StartAfterEnd,
    ),
    ("Invalid date format", "", ApiError::InvalidDateFormat),
    ("Invalid dates", "", ApiError::InvalidDates),
    ("Invalid end date", "", ApiError::EndDateTooRecent),
    ("Date range too large", "", ApiError::RangeTooLarge),
    (
        "Missing required fields",
        "",
        ApiError::MissingTemplateFields,
    ),
    (
        "WhatsApp connection not found",
        "",
        ApiError::WhatsAppNotConnected,
    ),
    (
        "Internal server error",
        "",
        ApiError::Server { status: 500 },
    ),
];

impl ApiError {
    /// The documented error that a body says, whatever its status: the document gives none for the
    /// errors of WhatsApp templates.
    pub(crate) fn documented(body: &[u8]) -> Option<Self> {
        Self::named(&serde_json::from_slice(body).ok()?)
    }

    /// The documented error that has this text.
    pub(crate) fn named(said: &ErrorAnswer) -> Option<Self> {
        let message = said.message.as_deref().unwrap_or_default();
        DOCUMENTED
            .iter()
            .find(|(text, start, _)| said.error == *text && message.starts_with(start))
            .map(|(.., found)| found.clone())
    }

    /// Error for a status whose body is no documented error; `quote` is what may be shown of it.
    pub(crate) fn of_status(status: u16, retry_after: Option<Duration>, quote: String) -> Self {
        match status {
            402 => Self::NoCredits,
            429 => Self::RateLimited { retry_after },
            503 => Self::Unavailable { retry_after },
            500.. => Self::Server { status },
            _ => Self::Unexpected {
                status,
                body: quote,
            },
        }
    }

    /// Returns true if the same request may well succeed in a few seconds.
    ///
    /// An answer that breaks the contract is not: who answers wrongly does so twice, and the
    /// schedule asks again in some minutes.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::RateLimited { .. }
            | Self::Unavailable { .. }
            | Self::Server { .. }
            | Self::Timeout { .. }
            | Self::Transport(TransportError::Connect(_) | TransportError::Interrupted(_)) => true,
            // Load balancers say so when a connection that they meant to close is used once more.
            Self::Unexpected { status, .. } => *status == 408,
            _ => false,
        }
    }

    /// Returns true if FlowGent certainly did nothing, so that even a request with effects may be repeated.
    #[must_use]
    pub const fn is_without_effect(&self) -> bool {
        matches!(
            self,
            Self::Transport(TransportError::Connect(_)) | Self::RateLimited { .. }
        )
    }

    /// Returns true if no other request of the account will fare better within this sync: the key is
    /// refused, or FlowGent wants to be left alone for longer than a worker waits.
    #[must_use]
    pub fn is_account_wide(&self) -> bool {
        matches!(
            self,
            Self::MissingKey | Self::InvalidKey | Self::UnusableKey
        ) || self.retry_after().is_some_and(|wait| wait > LONGEST_HOLD)
    }

    /// Returns true if the account is left alone for the rest of this sync: also where somebody on the way, such as a
    /// proxy, says 401 in other words than FlowGent's, which says nothing about the key.
    #[must_use]
    pub fn pauses_account(&self) -> bool {
        self.is_account_wide() || matches!(self, Self::Unexpected { status: 401, .. })
    }

    /// Returns true if FlowGent has accepted the key before it refused the request.
    #[must_use]
    pub const fn shows_key_accepted(&self) -> bool {
        matches!(
            self,
            Self::AccessDenied | Self::ListingDenied | Self::EndDateTooRecent
        )
    }

    /// Returns true if the agent's other windows will fail in the same way, today as tomorrow.
    #[must_use]
    pub const fn is_lasting(&self) -> bool {
        matches!(self, Self::AccessDenied | Self::InvalidAgentId)
    }

    /// Returns true if this may show a piece of a body.
    pub(crate) const fn quotes(&self) -> bool {
        matches!(
            self,
            Self::NotJson(_) | Self::Contract(_) | Self::Unexpected { .. }
        )
    }

    /// Wait that FlowGent asks for.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } | Self::Unavailable { retry_after } => *retry_after,
            _ => None,
        }
    }

    /// Advice about it, as a clause.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::ListingDenied => NAME_AGENTS,
            other => advice(other.outcome()),
        }
    }

    /// The value of the label `outcome`, one of [`OUTCOMES`].
    #[must_use]
    pub const fn outcome(&self) -> &'static str {
        match self {
            Self::MissingKey | Self::InvalidKey | Self::UnusableKey => "invalid_key",
            Self::AccessDenied | Self::ListingDenied => "access_denied",
            Self::InvalidAgentId
            | Self::StartDateMissing
            | Self::InvalidDateFormat
            | Self::InvalidDates
            | Self::StartAfterEnd
            | Self::RangeTooLarge
            | Self::MissingTemplateFields
            | Self::WhatsAppNotConnected => "bad_request",
            Self::EndDateTooRecent => "end_too_recent",
            Self::NoCredits => "no_credits",
            Self::RateLimited { .. } => "rate_limited",
            Self::Unavailable { .. } => "unavailable",
            Self::Server { .. } => "server_error",
            Self::Timeout { .. } => "timeout",
            Self::Transport(TransportError::Connect(_)) => "connect",
            Self::Transport(TransportError::Interrupted(_)) => "interrupted",
            Self::Transport(TransportError::TooLarge { .. }) => "too_large",
            Self::NotJson(_) => "not_json",
            Self::Contract(_) => "contract",
            Self::Redirect { .. } => "redirect",
            Self::Unexpected { .. } => "unexpected",
        }
    }
}

/// The end of a message whose sender said when to come again.
/// Advice about errors of that outcome, as a clause.
#[must_use]
pub fn advice(outcome: &str) -> &'static str {
    match outcome {
        "invalid_key" => {
            "put the account's current key into its file, which is read at every sync; a systemd credential \
             needs `systemctl restart`"
        }
        "access_denied" | "bad_request" => {
            "compare the agent's id and its account with FlowGent's settings"
        }
        "end_too_recent" => "set this machine's clock, which is ahead of FlowGent's",
        "connect" | "interrupted" | "timeout" => {
            "check `[api] base_url`, DNS, proxy variables, firewall and certificates"
        }
        "redirect" | "not_json" => {
            "something other than FlowGent answers: check `[api] base_url` and any proxies"
        }
        "rate_limited" => "lower `[api] requests_per_second`",
        "unavailable" | "server_error" => {
            "FlowGent has a problem; missing days are retried automatically"
        }
        _ => "run `check --live --log.level debug`, and send its output to FlowGent's support",
    }
}

fn again(retry_after: Option<Duration>) -> String {
    retry_after.map_or_else(String::new, |wait| format!(", retry after {wait:?}"))
}
