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
    /// The body.
    pub(super) fn body(&self) -> String {
        match self.message {
            Some(message) => json!({"error": self.error, "message": message}),
            None => json!({"error": self.error}),
        }
        .to_string()
    }
}

/// Declares the refusals, each as `NAME = status, "error", "message";`.
macro_rules! refusals {
    ($($(#[$of:meta])* $name:ident = $status:literal, $error:literal $(, $message:literal)?;)*) => {
        $($(#[$of])* pub(super) const $name: Refusal = Refusal {
            status: $status,
            error: $error,
            message: refusals!(@$($message)?),
        };)*
    };
    (@$message:literal) => { Some($message) };
    (@) => { None };
}

refusals! {
    MISSING_KEY = 401, "API key is required", "Please provide an API key in the Authorization header";
    INVALID_KEY = 401, "Invalid API key", "The provided API key is not valid";
    ACCESS_DENIED = 403, "Access denied", "This agent does not belong to your organisation";
    INVALID_AGENT_ID = 400, "agent_id is required and must be a non-empty string";
    MISSING_START_DATE = 400, "Invalid date range", "start_date is required when end_date is provided (format: YYYY-MM-DD)";
    INVALID_DATE_FORMAT = 400, "Invalid date format", "Dates must be in YYYY-MM-DD format";
    INVALID_DATES = 400, "Invalid dates", "Provided dates are not valid";
    START_AFTER_END = 400, "Invalid date range", "start_date must not be after end_date";
    END_TOO_RECENT = 400, "Invalid end date", "end_date cannot be today or in the future. Data is only available up to yesterday.";
    RANGE_TOO_LARGE = 400, "Date range too large", "Date range cannot exceed 31 days";
    INTERNAL = 500, "Internal server error";
    // The document gives no status for this one and the next; these are the usual ones.
    MISSING_FIELDS = 400, "Missing required fields", "recipient_phone_number and template_name are required";
    NO_WHATSAPP = 404, "WhatsApp connection not found", "No WhatsApp connection found for this agent";
    // What follows is not documented.
    INVALID_BODY = 400, "Invalid request body", "The body must be a JSON object with the documented fields";
    INVALID_CALLBACK = 400, "Invalid callback_url", "The simulator calls back to http on the loopback interface only";
    NOT_FOUND = 404, "Not found";
    METHOD_NOT_ALLOWED = 405, "Method not allowed";
    TOO_MANY_REQUESTS = 429, "Too many requests";
}
