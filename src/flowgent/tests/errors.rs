//! Every error by its text, its outcome and what may be done about it.

use std::time::Duration;

use super::fixtures::fixture;
use crate::egress::TransportError;
use crate::flowgent::error::{ApiError, OUTCOMES};
use crate::text::{QUOTE_BYTES, printable};

const HOUR: Duration = Duration::from_secs(3600);

/// Every error: its outcome, whether it is retryable, account-wide, without effect, its text.
fn table() -> Vec<(ApiError, &'static str, [bool; 3], &'static str)> {
    use ApiError::*;
    let (no, again, unsent) = ([false; 3], [true, false, false], [true, false, true]);
    let account = [false, true, false];
    vec![
        (MissingKey, "invalid_key", account, "no API key is given"),
        (
            InvalidKey,
            "invalid_key",
            account,
            "the API key is not valid",
        ),
        (
            UnusableKey,
            "invalid_key",
            account,
            "the API key cannot be sent: it holds a character other than visible ASCII",
        ),
        (
            AccessDenied,
            "access_denied",
            no,
            "access denied: the agent does not belong to the key's organisation",
        ),
        (
            ListingDenied,
            "access_denied",
            no,
            "access denied: the key may not list the organisation's agents",
        ),
        (
            InvalidAgentId,
            "bad_request",
            no,
            "the agent id is empty or not valid",
        ),
        (
            StartDateMissing,
            "bad_request",
            no,
            "start_date is required when end_date is given",
        ),
        (
            InvalidDateFormat,
            "bad_request",
            no,
            "dates must be in YYYY-MM-DD format",
        ),
        (InvalidDates, "bad_request", no, "the dates are not valid"),
        (
            StartAfterEnd,
            "bad_request",
            no,
            "start_date must not be after end_date",
        ),
        (
            EndDateTooRecent,
            "end_too_recent",
            no,
            "end_date cannot be today or in the future by FlowGent's clock",
        ),
        (
            RangeTooLarge,
            "bad_request",
            no,
            "the date range exceeds 31 days",
        ),
        (
            MissingTemplateFields,
            "bad_request",
            no,
            "recipient_phone_number and template_name are required",
        ),
        (
            WhatsAppNotConnected,
            "bad_request",
            no,
            "the agent has no WhatsApp connection",
        ),
        (NoCredits, "no_credits", no, "no credits are left"),
        (
            RateLimited { retry_after: None },
            "rate_limited",
            unsent,
            "too many requests",
        ),
        (
            RateLimited {
                retry_after: Some(HOUR),
            },
            "rate_limited",
            [true; 3],
            "too many requests, retry after 3600s",
        ),
        (
            Unavailable {
                retry_after: Some(HOUR / 60),
            },
            "unavailable",
            again,
            "service unavailable, retry after 60s",
        ),
        (
            Server { status: 502 },
            "server_error",
            again,
            "server error 502",
        ),
        (
            Timeout { limit: HOUR / 120 },
            "timeout",
            again,
            "no complete answer within 30s",
        ),
        (
            TransportError::Connect("connection refused".into()).into(),
            "connect",
            unsent,
            "cannot connect: connection refused",
        ),
        (
            TransportError::Interrupted("end of file".into()).into(),
            "interrupted",
            again,
            "the answer broke off: end of file",
        ),
        (
            TransportError::TooLarge { seen: 9, limit: 8 }.into(),
            "too_large",
            no,
            "the answer has 9 bytes or more, the limit is 8",
        ),
        (NotJson("x".into()), "not_json", no, "not JSON but x"),
        (
            Contract("total 41, days sum to 36".into()),
            "contract",
            no,
            "invalid answer: total 41, days sum to 36",
        ),
        (
            Redirect {
                status: 302,
                host: Some("example.org".into()),
            },
            "redirect",
            no,
            "redirect 302 to example.org, which is not followed",
        ),
        (
            Redirect {
                status: 301,
                host: None,
            },
            "redirect",
            no,
            "redirect 301 to nowhere, which is not followed",
        ),
        (
            Unexpected {
                status: 418,
                body: "tea".into(),
            },
            "unexpected",
            no,
            "unexpected status 418: tea",
        ),
        (
            Unexpected {
                status: 408,
                body: String::new(),
            },
            "unexpected",
            again,
            "unexpected status 408: ",
        ),
    ]
}

#[test]
fn every_error_has_its_outcome_its_flags_and_its_text() {
    let table = table();
    for (error, outcome, flags, text) in &table {
        assert_eq!(error.outcome(), *outcome);
        assert_eq!(error.to_string(), *text);
        let found = [
            error.is_retryable(),
            error.is_account_wide(),
            error.is_without_effect(),
        ];
        assert_eq!(found, *flags, "{error}");
    }
    for outcome in &OUTCOMES[1..] {
        assert!(table.iter().any(|row| row.1 == *outcome), "{outcome}");
    }
    assert!(table.iter().all(|row| OUTCOMES.contains(&row.1)));
}

#[test]
fn every_documented_error_text_has_its_name() {
    use ApiError::*;
    let cases: [(&str, ApiError); 14] = [
        (fixture!("usage-error-401-missing-key"), MissingKey),
        (fixture!("usage-error-401-invalid-key"), InvalidKey),
        (fixture!("usage-error-403-access-denied"), AccessDenied),
        (fixture!("usage-error-400-invalid-agent-id"), InvalidAgentId),
        (
            fixture!("usage-error-400-missing-start-date"),
            StartDateMissing,
        ),
        (
            fixture!("usage-error-400-invalid-date-format"),
            InvalidDateFormat,
        ),
        (fixture!("usage-error-400-invalid-dates"), InvalidDates),
        (fixture!("usage-error-400-start-after-end"), StartAfterEnd),
        (fixture!("usage-error-400-end-too-recent"), EndDateTooRecent),
        (fixture!("usage-error-400-range-too-large"), RangeTooLarge),
        (fixture!("usage-error-500"), Server { status: 500 }),
        (fixture!("waba-error-invalid-key"), InvalidKey),
        (fixture!("waba-error-missing-fields"), MissingTemplateFields),
        (fixture!("waba-error-no-connection"), WhatsAppNotConnected),
    ];
    for (body, error) in cases {
        assert_eq!(ApiError::documented(body.as_bytes()), Some(error));
    }
    assert_eq!(
        ApiError::documented(br#"{"error":"Invalid date range"}"#),
        None
    );
}

#[test]
fn a_foreign_text_is_shown_short_and_on_one_line() {
    assert_eq!(
        printable("a\r\n\u{1b}[31m\u{202e}\"é\"", 99),
        "a\\r\\n\\u{1b}[31m\\u{202e}\"é\""
    );
    assert_eq!(printable("abcdef", 6), "abcdef");
    assert_eq!(printable("abcdefg", 6), "abc…");
    let flood = printable(&"\u{7}é".repeat(1000), QUOTE_BYTES);
    assert!(flood.len() <= QUOTE_BYTES && flood.ends_with('…'));
}
