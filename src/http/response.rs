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
use tokio::sync::OwnedSemaphorePermit;

use super::problem::Problem;
use super::request::joined;
use crate::exposition::{Encoding, Frames};

/// From so many bytes on a text is compressed: fewer fit one packet as they are.
const WORTH_COMPRESSING: usize = 1400;

/// The most bytes of a text that are handed over at once.
const FRAME: usize = 64 * 1024;

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
pub(super) struct Content {
    source: Source,
    /// Says that it is being sent, until it is dropped.
    permit: Option<OwnedSemaphorePermit>,
}

enum Source {
    Text(Bytes),
    Metrics(Frames),
}

impl Content {
    /// A text.
    pub(super) fn text(text: Bytes) -> Self {
        Self {
            source: Source::Text(text),
            permit: None,
        }
    }

    /// The metrics.
    pub(super) fn metrics(frames: Frames) -> Self {
        Self {
            source: Source::Metrics(frames),
            permit: None,
        }
    }

    /// Keeps `permit` until the last frame is taken.
    pub(super) fn hold(&mut self, permit: OwnedSemaphorePermit) {
        self.permit = Some(permit);
    }

    /// Has nothing left to send.
    pub(super) fn clear(&mut self) {
        self.source = Source::Text(Bytes::new());
    }

    /// How many bytes are left.
    pub(super) fn length(&self) -> u64 {
        match &self.source {
            Source::Text(text) => text.len() as u64,
            Source::Metrics(frames) => frames.length(),
        }
    }

    /// The next of them.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        match &mut self.source {
            // In parts, so that it is not done with before most of it is sent.
            Source::Text(text) => {
                let part = text.split_to(text.len().min(FRAME));
                Some(part).filter(|part| !part.is_empty())
            }
            Source::Metrics(frames) => frames.next(),
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

/// `value` as JSON that is only so at this moment.
pub(super) fn momentary(value: &impl Serialize) -> Reply {
    let mut reply = json(value);
    set(&mut reply, CACHE_CONTROL, "no-store");
    reply
}

/// A text that is JSON already.
pub(super) fn json_text(text: &'static str) -> Reply {
    revalidated(of_type("application/json", text.into()))
}

/// Lines of CSV, the first of which names the columns.
pub(super) fn csv(lines: String) -> Reply {
    revalidated(of_type("text/csv; charset=utf-8", lines.into()))
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
    let mut reply = Response::new(Content::text(text));
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
    if let Source::Text(text) = &reply.body().source {
        let wish = Wish {
            text: text.clone(),
            known_tags: may_be_kept(&reply).then(|| joined(asked, &IF_NONE_MATCH)),
            encoding: Encoding::negotiate(&joined(asked, &ACCEPT_ENCODING)),
        };
        let is_long = text.len() >= WORTH_COMPRESSING;
        let granted = if is_long {
            on_blocking_thread(move || wish.granted()).await
        } else {
            wish.granted()
        };
        if is_long {
            let vary = HeaderValue::from_static("Accept-Encoding");
            reply.headers_mut().append(VARY, vary);
        }
        granted.apply(&mut reply);
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

/// A text, and how the client would have it.
struct Wish {
    text: Bytes,
    /// The tags of what it has; none if the text may not be kept.
    known_tags: Option<String>,
    encoding: Encoding,
}

/// What the client gets.
struct Granted {
    tag: Option<String>,
    /// None if the client has it already.
    text: Option<Bytes>,
    encoding: Encoding,
}

impl Wish {
    /// Looks at every byte of the text.
    fn granted(self) -> Granted {
        let Self {
            text,
            known_tags,
            encoding,
        } = self;
        let tag = known_tags.as_ref().map(|_| entity_tag(&text));
        let is_known = tag
            .as_ref()
            .zip(known_tags)
            .is_some_and(|(tag, known)| is_among(tag, &known));
        let (text, encoding) = match encoding {
            _ if is_known => (None, Encoding::Identity),
            Encoding::Gzip if text.len() >= WORTH_COMPRESSING => {
                (Some(compressed(&text)), Encoding::Gzip)
            }
            _ => (Some(text), Encoding::Identity),
        };
        Granted {
            tag,
            text,
            encoding,
        }
    }
}

impl Granted {
    fn apply(self, reply: &mut Reply) {
        if let Some(tag) = self.tag {
            let tag = HeaderValue::from_str(&tag).expect("a tag is made of visible ASCII");
            reply.headers_mut().insert(ETAG, tag);
        }
        if self.encoding == Encoding::Gzip {
            set(reply, CONTENT_ENCODING, "gzip");
        }
        match self.text {
            Some(text) => reply.body_mut().source = Source::Text(text),
            None => {
                *reply.status_mut() = StatusCode::NOT_MODIFIED;
                reply.body_mut().clear();
                reply.headers_mut().remove(CONTENT_TYPE);
            }
        }
    }
}

/// What `work` comes to, on a thread that may take its time.
pub(super) async fn on_blocking_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
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

fn compressed(text: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let written = encoder.write_all(text).and_then(|()| encoder.finish());
    let bytes = written.expect("memory takes whatever is written to it");
    bytes.into()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn a_permit_is_held_until_the_content_is_sent() {
        let permits = Arc::new(Semaphore::new(1));
        let mut reply = json(&"x".repeat(FRAME * 2));
        let permit = Arc::clone(&permits).try_acquire_owned().unwrap();
        reply.body_mut().hold(permit);
        let mut content = finish(reply, &HeaderMap::new()).await.into_body();
        let (mut bytes, mut frames) = (0, 0);
        while let Some(frame) = content.next() {
            assert_eq!(permits.available_permits(), 0);
            bytes += frame.len();
            frames += 1;
        }
        // Two quotes and the end of the line.
        assert_eq!((bytes, frames), (FRAME * 2 + 3, 3));
        drop(content);
        assert_eq!(permits.available_permits(), 1);
    }

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
