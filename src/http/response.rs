//! Construction of responses, and the headers that all of them have.

use std::io::Write;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream::{self, StreamExt};
use hyper::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY, RETRY_AFTER, VARY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::gate::Place;
use super::parts::{self, BrokenOff, Parts, Sending};
use super::problem::Problem;
use super::request::joined;
use crate::blocking;
use crate::exposition::{Encoding, Frames};

/// Minimum size for compression, in bytes: fewer fit one packet as they are.
const WORTH_COMPRESSING: usize = 1400;

/// The most bytes of a text that are handed over at once.
const FRAME: usize = 64 * 1024;

/// A text up to this size is sent whole, with its length, also if it is made in parts.
const WHOLE: usize = 128 * 1024;

/// Nothing but the response itself: no script, no style, no image, no frame, no form.
const CONTENT_SECURITY: &str =
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The headers of every response that does not set them itself.
const COMMON: [(HeaderName, &str); 5] = [
    // No cache on the way keeps usage. A browser shows a page again only when somebody goes back to it.
    (CACHE_CONTROL, "private, no-cache"),
    (CONTENT_SECURITY_POLICY, CONTENT_SECURITY),
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // For browsers that know no content security policy.
    (X_FRAME_OPTIONS, "DENY"),
];

/// A response on its way to be [finished](finish).
pub(crate) type Reply = Response<Content>;

/// The content of a response, in frames.
pub(crate) struct Content {
    source: Source,
    /// Its place among those that are made and sent, until it is dropped.
    place: Option<Place>,
}

enum Source {
    Text(Bytes),
    Metrics(Frames),
    /// Parts that nobody has begun to send.
    Parts(Parts),
    Sending(Sending),
}

impl Content {
    /// A text.
    pub(crate) fn text(text: Bytes) -> Self {
        Self::of(Source::Text(text))
    }

    /// The metrics.
    pub(crate) fn metrics(frames: Frames) -> Self {
        Self::of(Source::Metrics(frames))
    }

    fn of(source: Source) -> Self {
        Self {
            source,
            place: None,
        }
    }

    /// Keeps `place` until the last frame is taken.
    pub(crate) fn hold(&mut self, place: Place) {
        self.place = Some(place);
    }

    /// Has nothing left to send.
    pub(crate) fn clear(&mut self) {
        self.source = Source::Text(Bytes::new());
    }

    /// Number of bytes left; none if unknown before they are made.
    pub(crate) fn length(&self) -> Option<u64> {
        match &self.source {
            Source::Text(text) => Some(text.len() as u64),
            Source::Metrics(frames) => Some(frames.length()),
            Source::Parts(_) | Source::Sending(_) => None,
        }
    }

    /// The next of them.
    pub(crate) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        let frame = match &mut self.source {
            // In frames, so that it is not done with before most of it is sent.
            Source::Text(text) => {
                let frame = text.split_to(text.len().min(FRAME));
                Some(frame).filter(|frame| !frame.is_empty())
            }
            Source::Metrics(frames) => frames.next(),
            Source::Sending(sending) => return sending.poll_next_unpin(context),
            Source::Parts(_) => unreachable!("a reply is finished before it is sent"),
        };
        Poll::Ready(frame.map(Ok))
    }

    /// The next of them.
    #[cfg(test)]
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, BrokenOff>> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }
}

/// A plain text.
pub(crate) fn text(status: StatusCode, text: impl Into<Bytes>) -> Reply {
    let mut reply = of_type("text/plain; charset=utf-8", text.into());
    *reply.status_mut() = status;
    reply
}

/// A page.
pub(crate) fn html(page: impl Into<Bytes>) -> Reply {
    of_type("text/html; charset=utf-8", page.into())
}

/// `value` as JSON.
pub(crate) fn json(value: &impl Serialize) -> Reply {
    of_type("application/json", to_json(value))
}

/// A text that is JSON already.
pub(crate) fn json_text(text: &'static str) -> Reply {
    of_type("application/json", text.into())
}

/// A text that is made in parts. A long one is made while it is sent.
///
/// # Errors
/// The problem with one of its first parts.
pub(crate) async fn in_parts(media_type: &'static str, mut parts: Parts) -> Result<Reply, Problem> {
    let mut begun = BytesMut::new();
    while begun.len() <= WHOLE {
        let Some(part) = parts.next().await else {
            return Ok(of_type(media_type, begun.freeze()));
        };
        begun.extend_from_slice(&part?);
    }
    let begun = stream::iter([Ok(begun.freeze())]);
    let parts = Source::Parts(Box::pin(begun.chain(parts)));
    Ok(typed(media_type, Content::of(parts)))
}

/// A problem, with the path that it is of.
pub(crate) fn problem(problem: &Problem, path: &str) -> Reply {
    let text = to_json(&problem.document(path));
    let mut reply = of_type("application/problem+json", text);
    *reply.status_mut() = problem.status();
    if problem.status() == StatusCode::SERVICE_UNAVAILABLE {
        set(&mut reply, RETRY_AFTER, "1");
    }
    reply
}

/// Sets a header to a text that is known beforehand.
pub(crate) fn set(reply: &mut Reply, name: HeaderName, value: &'static str) {
    let value = HeaderValue::from_static(value);
    reply.headers_mut().insert(name, value);
}

/// A text of that media type.
pub(crate) fn of_type(media_type: &'static str, text: Bytes) -> Reply {
    typed(media_type, Content::text(text))
}

fn typed(media_type: &'static str, content: Content) -> Reply {
    let mut reply = Response::new(content);
    set(&mut reply, CONTENT_TYPE, media_type);
    reply
}

fn to_json(value: &impl Serialize) -> Bytes {
    let mut text = serde_json::to_vec(value)
        .expect("what is served has texts as keys and does not fail to be written");
    text.push(b'\n');
    text.into()
}

/// Makes a reply ready to be sent: compresses a long text if the client takes that, and sets the headers that all
/// responses have.
pub(crate) async fn finish(mut reply: Reply, asked: &HeaderMap) -> Reply {
    let encoding = Encoding::negotiate(&joined(asked, &ACCEPT_ENCODING));
    let content = reply.body_mut();
    let source = std::mem::replace(&mut content.source, Source::Text(Bytes::new()));
    let (source, varies) = match source {
        Source::Text(text) if text.len() >= WORTH_COMPRESSING => {
            let text = match encoding {
                Encoding::Gzip => blocking::run(move || compressed(&text)).await,
                Encoding::Identity => text,
            };
            (Source::Text(text), true)
        }
        Source::Parts(parts) => {
            let sending = parts::sending(parts, encoding, content.place.take());
            (Source::Sending(sending), true)
        }
        source => (source, false),
    };
    content.source = source;
    if let Some(place) = &mut content.place {
        place.rest();
    }
    let length = content.length();
    let headers = reply.headers_mut();
    if varies {
        headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
        if encoding == Encoding::Gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
    }
    if let Some(length) = length {
        headers.insert(CONTENT_LENGTH, length.into());
    }
    for (name, value) in COMMON {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    reply
}

fn compressed(text: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let written = encoder.write_all(text).and_then(|()| encoder.finish());
    let bytes = written.expect("memory takes whatever is written to it");
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::gate::{Gate, Weight};

    #[tokio::test]
    async fn a_place_is_held_until_the_content_is_sent() {
        let gate = Gate::default();
        let mut reply = json(&"x".repeat(FRAME * 2));
        reply
            .body_mut()
            .hold(gate.enter(Weight::Page).await.unwrap());
        let mut content = finish(reply, &HeaderMap::new()).await.into_body();
        let (mut bytes, mut frames) = (0, 0);
        while let Some(frame) = content.next().await {
            assert_eq!(gate.taken(Weight::Page), 1);
            bytes += frame.unwrap().len();
            frames += 1;
        }
        // Two quotes and the end of the line.
        assert_eq!((bytes, frames), (FRAME * 2 + 3, 3));
        drop(content);
        assert_eq!(gate.taken(Weight::Page), 0);
    }

    #[tokio::test]
    async fn a_text_in_parts_is_whole_if_it_is_short_and_otherwise_made_as_it_is_sent() {
        let parts = |number: usize| -> Parts {
            let part = |_| Ok(Bytes::from(vec![b'x'; FRAME]));
            Box::pin(stream::iter(0..number).map(part))
        };
        for (number, is_whole) in [(0, true), (2, true), (3, false), (9, false)] {
            let reply = in_parts("text/csv", parts(number)).await.unwrap();
            let reply = finish(reply, &HeaderMap::new()).await;
            let has = |name| reply.headers().contains_key(name);
            assert_eq!(has(CONTENT_LENGTH), is_whole, "{number}");
            let mut content = reply.into_body();
            let mut bytes = 0;
            while let Some(frame) = content.next().await {
                bytes += frame.unwrap().len();
            }
            assert_eq!(bytes, number * FRAME);
        }
    }

    #[tokio::test]
    async fn a_problem_with_the_first_parts_is_told_as_one() {
        let problem = Problem::new(crate::http::problem::Kind::LedgerUnreadable, "it is gone");
        let parts = [Ok(Bytes::from("begun")), Err(problem.clone())];
        let told = in_parts("text/csv", Box::pin(stream::iter(parts))).await;
        assert_eq!(told.err(), Some(problem));
    }
}
