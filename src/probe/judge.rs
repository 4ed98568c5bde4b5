//! Pure: how a run went, by what came of its question.

use regex::Regex;

use crate::egress::TransportError;
use crate::flowgent::client::ChatReply;
use crate::flowgent::error::ApiError;
use crate::flowgent::wire::{ChatBody, ChatMetadata};
use crate::ledger::{ProbeOutcome, ProbeResult};
use crate::text::{QUOTE_BYTES, printable};

/// The most credits, or milliseconds, that a reply may say of itself.
const ABSURD: f64 = 1e9;

/// Judges the reply to a probe, or the error in its stead, which came after `duration_seconds`.
#[must_use]
pub fn judge(
    reply: Result<ChatReply, ApiError>,
    expect: Option<&Regex>,
    duration_seconds: f64,
) -> ProbeResult {
    let ended = |outcome, status_code, detail: String| ProbeResult {
        outcome,
        status_code,
        duration_seconds: Some(duration_seconds),
        execution_seconds: None,
        used_credits: None,
        detail,
    };
    match reply {
        Ok(ChatReply::Answered(body)) => {
            let (outcome, detail) = said(&body, expect);
            let figure = |figure: fn(&ChatMetadata) -> f64| {
                let figure = body.metadata.as_ref().map(figure)?;
                (0.0..=ABSURD).contains(&figure).then_some(figure)
            };
            ProbeResult {
                execution_seconds: figure(|metadata| metadata.execution_time)
                    .map(|milliseconds| milliseconds / 1000.0),
                used_credits: figure(|metadata| metadata.used_credits),
                ..ended(outcome, Some(200), detail)
            }
        }
        Ok(ChatReply::Accepted(_)) => ended(
            ProbeOutcome::Malformed,
            None,
            "FlowGent answers that it will reply later, which it was not asked to".to_owned(),
        ),
        Err(error) => ended(outcome(&error), status_code(&error), error.to_string()),
    }
}

/// The outcome of a reply, and the reason for it.
fn said(body: &ChatBody, expect: Option<&Regex>) -> (ProbeOutcome, String) {
    let history = body.conversation_history.iter().flatten();
    let last = history.last().filter(|last| last.role == "assistant");
    let reply = last.map(|last| last.content.trim()).unwrap_or_default();
    match expect {
        _ if reply.is_empty() => (
            ProbeOutcome::Malformed,
            "the conversation does not end with a reply of the agent".to_owned(),
        ),
        Some(expect) if !expect.is_match(reply) => (
            ProbeOutcome::Unexpected,
            format!(
                "the reply does not match `{}`: {}",
                printable(expect.as_str(), QUOTE_BYTES),
                printable(reply, QUOTE_BYTES)
            ),
        ),
        _ => (ProbeOutcome::Success, String::new()),
    }
}

/// The outcome that an error means.
const fn outcome(error: &ApiError) -> ProbeOutcome {
    match error {
        ApiError::NoCredits => ProbeOutcome::NoCredits,
        ApiError::Timeout { .. } => ProbeOutcome::Timeout,
        ApiError::RateLimited { .. }
        | ApiError::Unavailable { .. }
        | ApiError::Server { .. }
        | ApiError::Transport(TransportError::Connect(_) | TransportError::Interrupted(_)) => {
            ProbeOutcome::Unavailable
        }
        ApiError::Transport(TransportError::TooLarge { .. })
        | ApiError::NotJson(_)
        | ApiError::Contract(_)
        | ApiError::Redirect { .. } => ProbeOutcome::Malformed,
        ApiError::Unexpected { status, .. } if *status < 400 => ProbeOutcome::Malformed,
        _ => ProbeOutcome::Refused,
    }
}

/// The status that an error came with.
const fn status_code(error: &ApiError) -> Option<u16> {
    Some(match error {
        ApiError::InvalidKey => 401,
        ApiError::AccessDenied | ApiError::ListingDenied => 403,
        ApiError::InvalidAgentId => 400,
        ApiError::NoCredits => 402,
        ApiError::RateLimited { .. } => 429,
        ApiError::Unavailable { .. } => 503,
        ApiError::Server { status }
        | ApiError::Redirect { status, .. }
        | ApiError::Unexpected { status, .. } => *status,
        _ => return None,
    })
}
