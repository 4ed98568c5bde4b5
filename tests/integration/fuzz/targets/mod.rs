//! Parsers of outside bytes, each as a function that takes any bytes: it panics if the parser does, or breaks a
//! promise. `fuzz/run` looks for bytes that make one panic; the tests hold those that are known.

mod accept;
mod files;
mod flowgent;
mod receivers;
mod request;
mod template;

use std::sync::Arc;

use flowgent_exporter::clock::ManualClock;
use flowgent_exporter::text::is_hidden;
use tokio::runtime::{Builder, Runtime};

/// Panics if a parser does something wrong with these bytes.
pub(crate) type Target = fn(&[u8]);

/// Every target by its name, which is also its folder in `fuzz/corpus`.
pub(crate) const TARGETS: [(&str, Target); 14] = [
    ("accept", accept::accept),
    ("agents", files::agents),
    ("alertmanager", receivers::alertmanager),
    ("chat", flowgent::chat),
    ("config", files::config),
    ("listing", flowgent::listing),
    ("query-answer", receivers::query_answer),
    ("remote-write", receivers::remote_write),
    ("request", request::request),
    ("smtp", receivers::smtp),
    ("template", template::template),
    ("usage", flowgent::usage),
    ("web-config", files::web_config),
    ("webhook", receivers::webhook),
];

/// A key, a token and a password that no message may show.
const SECRET: &str = "canary-7f3a91c2";
/// The most bytes of a message of one line. Paths and names of our own are in it, too.
const LINE_BYTES: usize = 1500;

fn clock() -> Arc<ManualClock> {
    ManualClock::at("2026-11-23T12:00:00Z".parse().expect("it is a time"))
}

fn runtime(is_paused: bool) -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .start_paused(is_paused)
        .build()
        .expect("a runtime starts")
}

/// Holds what is promised of a message of one line, as logs and pages have it.
fn assert_line(text: &str) {
    assert!(!text.chars().any(is_hidden), "hidden letters: {text:?}");
    assert!(text.len() <= LINE_BYTES, "{} bytes: {text}", text.len());
    assert!(!text.contains(SECRET), "it shows the secret: {text}");
}

/// Holds what is promised of a message of several lines, as terminals have it.
fn assert_lines(text: &str, limit: usize) {
    let is_bad = |letter: char| letter != '\n' && is_hidden(letter);
    assert!(!text.chars().any(is_bad), "hidden letters: {text:?}");
    assert!(text.len() <= limit, "{} bytes: {text}", text.len());
}
