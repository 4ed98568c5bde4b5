//! The headers `Accept` and `Accept-Encoding`.

use flowgent_exporter::exposition::{Encoding, MediaType};

/// A type that is offered is taken by whoever asks for exactly it.
pub(super) fn accept(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let media_type = MediaType::negotiate(&text);
    let shown = media_type.to_string();
    assert_eq!(MediaType::negotiate(&shown), media_type, "{shown}");
    if Encoding::negotiate(&text) == Encoding::Gzip {
        let lower = text.to_ascii_lowercase();
        assert!(lower.contains("gzip") || lower.contains('*'), "{text}");
    }
}
