//! Pure: whether an answer under 2xx is the receiver's own yes.
//!
//! Portals and sign-in pages answer 200 in the place of a receiver, and some receivers answer 200 with what
//! went wrong. HTML counts as a no, as does an answer that says so in plain words; everything
//! else is a yes, since receivers are free in how they say it.

use serde_json::{Map, Value};

use crate::text::{is_page, root};

/// The most letters of a line that is searched for words of an error: those of an answer, not of an article.
const LINE_LETTERS: usize = 300;

/// A receiver, as far as it says yes in a way of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Receiver {
    /// Any status of success will do.
    Any,
    /// Slack itself: `ok`. Others imitate it and answer as they like.
    Slack,
    /// PagerDuty: 202.
    PagerDuty,
}

/// An answer under 2xx.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reply<'a> {
    /// The status.
    pub(crate) status: u16,
    /// The media type, or nothing.
    pub(crate) content_type: &'a str,
    /// The body, or the beginning of it.
    pub(crate) body: &'a [u8],
    /// True if that is all of it.
    pub(crate) is_whole: bool,
}

impl Receiver {
    /// The receiver that a URL with this host leads to.
    pub(crate) fn at(host: &str) -> Self {
        match host.trim_end_matches('.').to_ascii_lowercase().as_str() {
            "hooks.slack.com" | "hooks.slack-gov.com" => Self::Slack,
            "events.pagerduty.com" | "events.eu.pagerduty.com" => Self::PagerDuty,
            _ => Self::Any,
        }
    }
}

/// Why `reply` to the message `sent` is no yes of `receiver`, in words that follow on a status and `but`;
/// none if it is one. A body that cannot be read says nothing, and the status counts.
pub(crate) fn refusal(receiver: Receiver, reply: Reply<'_>, sent: &[u8]) -> Option<&'static str> {
    let Reply {
        status,
        content_type,
        body,
        is_whole,
    } = reply;
    if receiver == Receiver::PagerDuty && status != 202 {
        return Some("PagerDuty must answer 202");
    }
    let start = String::from_utf8_lossy(body);
    if is_html(content_type, &start) {
        return Some("a web page answered, not the receiver");
    }
    if !is_whole {
        return None;
    }
    let text = std::str::from_utf8(body).ok()?;
    let text = text.trim_start_matches('\u{feff}').trim();
    let json: Option<Value> = serde_json::from_str(text).ok();
    if receiver == Receiver::Slack {
        let is_ok = text.eq_ignore_ascii_case("ok")
            || json.is_some_and(|json| json.get("ok") == Some(&Value::Bool(true)));
        return (!is_ok).then_some("Slack must answer `ok`");
    }
    // A receiver that sends back what it was sent says nothing about itself.
    if text.as_bytes() == sent.trim_ascii() {
        return None;
    }
    let sent = words(&String::from_utf8_lossy(sent)).join(" ");
    let is_error = content_type.starts_with("application/problem+")
        || match &json {
            Some(json) => is_json_error(json, &sent),
            None => is_xml_error(text) || is_error_text(text, &sent),
        };
    is_error.then_some("the answer is an error")
}

/// Returns true if a text is a web page: by its media type if it has any markup, else by how it begins.
fn is_html(content_type: &str, text: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    // Many receivers call a plain `ok` HTML.
    if matches!(essence.as_str(), "text/html" | "application/xhtml+xml") {
        let mut after = text.split('<').skip(1);
        return after.any(|tag| tag.starts_with(|c: char| c.is_ascii_alphabetic() || c == '!'));
    }
    is_page(text)
}

fn is_xml_error(text: &str) -> bool {
    let names = ["error", "errors", "errorresponse", "fault", "exception"];
    let is_fault = || root(text).as_deref() == Some("envelope") && text.contains("Fault>");
    root(text).is_some_and(|root| names.contains(&root.as_str())) || is_fault()
}

/// Returns true if a JSON answer says no: in one of its own keys, or in those of one of its elements.
fn is_json_error(json: &Value, sent: &str) -> bool {
    match json {
        Value::Object(object) => is_error_object(object, sent),
        Value::Array(elements) => elements.iter().any(|element| is_json_error(element, sent)),
        Value::String(text) => is_error_text(text, sent),
        Value::Bool(yes) => !yes,
        Value::Number(_) | Value::Null => false,
    }
}

fn is_error_object(object: &Map<String, Value>, sent: &str) -> bool {
    /// Keys that an object may have besides a message, and be about nothing else.
    const ABOUT: [&str; 12] = [
        "status",
        "statuscode",
        "code",
        "httpcode",
        "type",
        "title",
        "timestamp",
        "path",
        "instance",
        "requestid",
        "traceid",
        "data",
    ];
    const MESSAGES: [&str; 6] = [
        "message",
        "msg",
        "detail",
        "details",
        "description",
        "reason",
    ];
    let bare = |key: &String| key.to_lowercase().replace(['_', '-', ' '], "");
    let is_said = |key: &str| MESSAGES.contains(&key);
    // Receivers that keep messages give back what they were sent, beside an id.
    let is_message = object
        .keys()
        .map(bare)
        .all(|key| is_said(&key) || ABOUT.contains(&key.as_str()));
    object.iter().any(|(key, value)| {
        let key = bare(key);
        let text = value.as_str().unwrap_or_default();
        says_no(&key, value, sent) || is_message && is_said(&key) && is_error_text(text, sent)
    })
}

/// Returns true if this value says no under this key, which is in lower case and has no signs in it.
fn says_no(key: &str, value: &Value, sent: &str) -> bool {
    const TROUBLES: [&str; 4] = ["err", "fail", "exception", "fault"];
    match key {
        "ok" | "success" | "succeeded" | "successful" | "issuccess" | "accepted" | "delivered"
        | "received" | "sent" => is_no(value),
        "status" | "statuscode" | "code" | "httpcode" | "httpstatus" | "result" | "outcome"
        | "type" => is_error_status(value, sent),
        key => TROUBLES.iter().any(|start| key.starts_with(start)) && is_trouble(value),
    }
}

/// Returns true if the value denies that the message was accepted.
fn is_no(value: &Value) -> bool {
    match value {
        Value::Bool(yes) => !yes,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => matches!(text.trim().to_lowercase().as_str(), "false" | "no" | "0"),
        _ => false,
    }
}

fn is_error_status(value: &Value, sent: &str) -> bool {
    match value {
        Value::Number(number) => number
            .as_u64()
            .is_some_and(|code| (400..600).contains(&code)),
        Value::String(text) => match text.trim().parse::<u64>() {
            Ok(code) => (400..600).contains(&code),
            Err(_) => is_error_text(text, sent),
        },
        Value::Bool(is_good) => !is_good,
        _ => false,
    }
}

/// Returns true if a value under an error's key is an error.
fn is_trouble(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(is_error) => *is_error,
        Value::Number(code) => !code
            .as_f64()
            .is_some_and(|code| code == 0.0 || (200.0..300.0).contains(&code)),
        Value::String(text) => {
            let words = words(text).join(" ");
            let none = [
                "",
                "0",
                "00000",
                "200",
                "ok",
                "none",
                "null",
                "no",
                "false",
                "success",
                "successful",
                "no error",
                "no errors",
                "n a",
                "noerror",
            ];
            !none.contains(&words.as_str())
        }
        Value::Array(all) => !all.is_empty(),
        Value::Object(all) => !all.is_empty(),
    }
}

/// Returns true if the first line of a text speaks of an error, other than one that it was `sent`, given as words.
fn is_error_text(text: &str, sent: &str) -> bool {
    const ERRORS: [&str; 24] = [
        "error",
        "errors",
        "err",
        "fail",
        "failed",
        "failure",
        "failures",
        "exception",
        "traceback",
        "fatal",
        "invalid",
        "unauthorized",
        "unauthorised",
        "unauthenticated",
        "forbidden",
        "denied",
        "refused",
        "rejected",
        "unavailable",
        "malformed",
        "unsupported",
        "expired",
        "nok",
        "throttled",
    ];
    const PHRASES: [[&str; 2]; 21] = [
        ["not", "found"],
        ["not", "allowed"],
        ["not", "permitted"],
        ["not", "authorized"],
        ["not", "authorised"],
        ["not", "accepted"],
        ["not", "delivered"],
        ["not", "ok"],
        ["not", "supported"],
        ["not", "sent"],
        ["not", "active"],
        ["bad", "request"],
        ["bad", "gateway"],
        ["timed", "out"],
        ["too", "many"],
        ["too", "large"],
        ["rate", "limit"],
        ["rate", "limited"],
        ["unable", "to"],
        ["could", "not"],
        ["no", "such"],
    ];
    const NONE: [&str; 8] = ["0", "no", "none", "zero", "null", "false", "without", "any"];
    let line = text.trim().lines().next().unwrap_or_default();
    let line: String = line.chars().take(LINE_LETTERS).collect();
    // What was sent may be shown in JSON.
    let line = line.split(['{', '[']).next().unwrap_or_default();
    let words = words(line);
    let said = |place: usize| words.get(place).map_or("", String::as_str);
    (0..words.len()).any(|place| {
        let before = place.checked_sub(1).map_or("", said);
        let (word, after) = (said(place), said(place + 1));
        let is_error = ERRORS.contains(&word) && !NONE.contains(&before) && !NONE.contains(&after)
            || PHRASES.contains(&[word, after]);
        let around = &words[place.saturating_sub(1)..words.len().min(place + 2)];
        let is_sent = around.len() > 1 && sent.contains(&around.join(" "));
        is_error && !is_sent
    })
}

/// The words of a text, in lower case.
fn words(text: &str) -> Vec<String> {
    let words = text.split(|letter: char| !letter.is_alphanumeric());
    let words = words.filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests;
