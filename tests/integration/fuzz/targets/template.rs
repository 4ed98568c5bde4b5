//! Templates of users.

use flowgent_exporter::clock::Clock;
use flowgent_exporter::hook::{Template, check_template};

use super::{assert_line, clock};

/// A template is tried before it is used, within bounds of time and size.
pub(super) fn template(bytes: &[u8]) {
    let Ok(source) = std::str::from_utf8(bytes) else {
        return;
    };
    let outcome = Template::new(source).and_then(|template| {
        check_template(&template, None, clock().now())?;
        check_template(&template, Some("application/json"), clock().now())
    });
    if let Err(error) = outcome {
        assert_line(&error.message);
        let lines = source.split('\n').count();
        assert!((1..=lines).contains(&error.line), "line {}", error.line);
    }
}
