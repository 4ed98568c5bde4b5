//! The errors of the API, text by text as the API document has them.

use serde_json::json;

/// An error answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The HTTP status.
    pub(super) status: u16,
    /// The field `error`.
    pub(super) error: &'static str,
    /// The field `message`, if the answer has one.
    pub(super) message: Option<&'static str>,
}

impl Refusal {
    const fn new(status: u16, error: &'static str, message: &'static str) -> Self {
        Self {
            status,
            error,
            message: Some(message),
        }
    }

    const fn brief(status: u16, error: &'static str) -> Self {
        Self {
            status,
            error,
            message: None,
        }
    }

    /// The body.
    pub(super) fn body(&self) -> String {
        match self.message {
            Some(message) => json!({"error": self.error, "message": message}),
            None => json!({"error": self.error}),
        }
        .to_string()
    }
}

pub(super) const MISSING_KEY: Refusal = Refusal::new(
    401,
    "API key is required",
    "Please provide an API key in the Authorization header",
);
pub(super) const INVALID_KEY: Refusal =
    Refusal::new(401, "Invalid API key", "The provided API key is not valid");
pub(super) const ACCESS_DENIED: Refusal = Refusal::new(
    403,
    "Access denied",
    "This agent does not belong to your organisation",
);
pub(super) const INVALID_AGENT_ID: Refusal =
    Refusal::brief(400, "agent_id is required and must be a non-empty string");
pub(super) const MISSING_START_DATE: Refusal = Refusal::new(
    400,
    "Invalid date range",
    "start_date is required when end_date is provided (format: YYYY-MM-DD)",
);
pub(super) const INVALID_DATE_FORMAT: Refusal = Refusal::new(
    400,
    "Invalid date format",
    "Dates must be in YYYY-MM-DD format",
);
pub(super) const INVALID_DATES: Refusal =
    Refusal::new(400, "Invalid dates", "Provided dates are not valid");
pub(super) const START_AFTER_END: Refusal = Refusal::new(
    400,
    "Invalid date range",
    "start_date must not be after end_date",
);
pub(super) const END_TOO_RECENT: Refusal = Refusal::new(
    400,
    "Invalid end date",
    "end_date cannot be today or in the future. Data is only available up to yesterday.",
);
pub(super) const RANGE_TOO_LARGE: Refusal = Refusal::new(
    400,
    "Date range too large",
    "Date range cannot exceed 31 days",
);
pub(super) const INTERNAL: Refusal = Refusal::brief(500, "Internal server error");
/// The document gives no status for this one and the next; these are the usual ones.
pub(super) const MISSING_FIELDS: Refusal = Refusal::new(
    400,
    "Missing required fields",
    "recipient_phone_number and template_name are required",
);
pub(super) const NO_WHATSAPP: Refusal = Refusal::new(
    404,
    "WhatsApp connection not found",
    "No WhatsApp connection found for this agent",
);

// What follows is not documented.

pub(super) const INVALID_BODY: Refusal = Refusal::new(
    400,
    "Invalid request body",
    "The body must be a JSON object with the documented fields",
);
pub(super) const INVALID_CALLBACK: Refusal = Refusal::new(
    400,
    "Invalid callback_url",
    "The simulator calls back to http on the loopback interface only",
);
pub(super) const NOT_FOUND: Refusal = Refusal::brief(404, "Not found");
pub(super) const METHOD_NOT_ALLOWED: Refusal = Refusal::brief(405, "Method not allowed");
pub(super) const TOO_MANY_REQUESTS: Refusal = Refusal::brief(429, "Too many requests");
