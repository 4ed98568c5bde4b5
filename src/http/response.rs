//! How responses are made, and what all of them have in common.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH, REFERRER_POLICY,
    RETRY_AFTER, VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::{Response, StatusCode};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::problem::Problem;
use super::request::joined;
use crate::exposition::{Encoding, Frames};

/// From so many bytes on a text is compressed: fewer fit one packet as they are.
const WORTH_COMPRESSING: usize = 1400;

/// Nothing but the response itself: no script, no style, no image, no frame, no form.
const CONTENT_SECURITY: &str =
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The headers of every response that does not set them itself.
const SECURITY: [(HeaderName, &str); 4] = [
    (CONTENT_SECURITY_POLICY, CONTENT_SECURITY),
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // For browsers that know no content security policy.
    (X_FRAME_OPTIONS, "DENY"),
];

/// A response on its way to be [finished](finish).
pub(super) type Reply = Response<Content>;

/// The content of a response, in frames whose total length is known.
pub(super) enum Content {
    /// A text.
    Text(Bytes),
    /// The metrics.
    Metrics(Frames),
}

impl Content {
    /// How many bytes are left.
    pub(super) fn length(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::Metrics(frames) => frames.length(),
        }
    }

    /// The next of them.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        match self {
            Self::Text(text) => Some(std::mem::take(text)).filter(|text| !text.is_empty()),
            Self::Metrics(frames) => frames.next(),
        }
    }
}

/// A plain text of this moment.
pub(super) fn text(status: StatusCode, text: impl Into<Bytes>) -> Reply {
    let mut reply = of_type("text/plain; charset=utf-8", text.into());
    *reply.status_mut() = status;
    set(&mut reply, CACHE_CONTROL, "no-store");
    reply
}

/// A page, which a browser may keep if it asks whether it has changed.
pub(super) fn html(page: impl Into<Bytes>) -> Reply {
    revalidated(of_type("text/html; charset=utf-8", page.into()))
}

/// `value` as JSON, which a client may keep if it asks whether it has changed.
pub(super) fn json(value: &impl Serialize) -> Reply {
    revalidated(of_type("application/json", to_json(value)))
}

/// A problem, with the path that it is of.
pub(super) fn problem(problem: &Problem, path: &str) -> Reply {
    let text = to_json(&problem.document(path));
    let mut reply = of_type("application/problem+json", text);
    *reply.status_mut() = problem.status();
    set(&mut reply, CACHE_CONTROL, "no-store");
    if problem.status() == StatusCode::SERVICE_UNAVAILABLE {
        set(&mut reply, RETRY_AFTER, "1");
    }
    reply
}

/// Sets a header to a text that is known beforehand.
pub(super) fn set(reply: &mut Reply, name: HeaderName, value: &'static str) {
    let value = HeaderValue::from_static(value);
    reply.headers_mut().insert(name, value);
}

/// A text of that media type.
pub(super) fn of_type(media_type: &'static str, text: Bytes) -> Reply {
    let mut reply = Response::new(Content::Text(text));
    set(&mut reply, CONTENT_TYPE, media_type);
    reply
}

fn revalidated(mut reply: Reply) -> Reply {
    // What an organisation uses is nobody's business on the way.
    set(&mut reply, CACHE_CONTROL, "private, no-cache");
    reply
}

fn to_json(value: &impl Serialize) -> Bytes {
    let mut text = serde_json::to_vec(value)
        .expect("what is served has texts as keys and does not fail to be written");
    text.push(b'\n');
    text.into()
}

/// Makes a reply ready to be sent: a text that the client has already is not sent again, a long one is
/// compressed if the client takes that, and the headers that all responses have are set.
pub(super) async fn finish(mut reply: Reply, asked: &HeaderMap) -> Reply {
    if let Content::Text(text) = reply.body() {
        let text = text.clone();
        if may_be_kept(&reply) {
            let tag = entity_tag(&text);
            let is_known = is_among(&tag, &joined(asked, &IF_NONE_MATCH));
            let value = HeaderValue::from_str(&tag).expect("a tag is made of visible ASCII");
            reply.headers_mut().insert(ETAG, value);
            if is_known {
                *reply.status_mut() = StatusCode::NOT_MODIFIED;
                *reply.body_mut() = Content::Text(Bytes::new());
                reply.headers_mut().remove(CONTENT_TYPE);
            }
        }
        if text.len() >= WORTH_COMPRESSING {
            reply
                .headers_mut()
                .append(VARY, HeaderValue::from_static("Accept-Encoding"));
            let encoding = Encoding::negotiate(&joined(asked, &ACCEPT_ENCODING));
            if encoding == Encoding::Gzip && reply.status() != StatusCode::NOT_MODIFIED {
                *reply.body_mut() = Content::Text(compressed(text).await);
                set(&mut reply, CONTENT_ENCODING, "gzip");
            }
        }
    }
    if reply.status() != StatusCode::NOT_MODIFIED {
        let length = reply.body().length().into();
        reply.headers_mut().insert(CONTENT_LENGTH, length);
    }
    for (name, value) in SECURITY {
        let value = HeaderValue::from_static(value);
        reply.headers_mut().entry(name).or_insert(value);
    }
    reply
}

fn may_be_kept(reply: &Reply) -> bool {
    let caching = reply.headers().get(CACHE_CONTROL);
    reply.status() == StatusCode::OK && caching.is_some_and(|caching| caching != "no-store")
}

/// The tag of a text, compressed or not. It is weak, since these are not the same bytes.
fn entity_tag(text: &[u8]) -> String {
    let digest = Sha256::digest(text);
    let hex: String = digest[..16].iter().map(|b| format!("{b:02x}")).collect();
    format!("W/\"{hex}\"")
}

/// Whether one of the tags that the client has is `tag`.
fn is_among(tag: &str, known: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    known
        .split(',')
        .any(|known| known.trim() == "*" || opaque(known) == opaque(tag))
}

/// `text` compressed, on a thread that may take its time.
async fn compressed(text: Bytes) -> Bytes {
    let compress = move || {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        let written = encoder.write_all(&text).and_then(|()| encoder.finish());
        written.expect("memory takes whatever is written to it")
    };
    match tokio::task::spawn_blocking(compress).await {
        Ok(bytes) => bytes.into(),
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_the_client_has_is_recognized_by_its_tag() {
        let tag = entity_tag(b"some text");
        let strong = tag.trim_start_matches("W/").to_owned();
        for known in [
            tag.clone(),
            strong,
            "*".to_owned(),
            format!("\"other\" , {tag}"),
        ] {
            assert!(is_among(&tag, &known), "{known}");
        }
        for known in ["", "\"other\"", "W/", &entity_tag(b"other text")] {
            assert!(!is_among(&tag, known), "{known}");
        }
    }
}
