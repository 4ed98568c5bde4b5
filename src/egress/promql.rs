//! Queries of Prometheus, and of databases that answer like it.

use serde::Deserialize;

/// An answer of `/api/v1/query`, with series of the kind that was asked for.
#[derive(Debug, Deserialize)]
pub(crate) struct Answer<S> {
    pub(crate) status: String,
    pub(crate) error: Option<String>,
    pub(crate) data: Option<Data<S>>,
}

/// The result of a query.
#[derive(Debug, Deserialize)]
pub(crate) struct Data<S> {
    pub(crate) result: Vec<S>,
}

/// A text as queries write it.
pub(crate) fn quoted(text: &str) -> String {
    let escaped = text
        .replace('\\', r"\\")
        .replace('"', r#"\""#)
        .replace('\n', r"\n");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_quoted_as_queries_want_them() {
        assert_eq!(quoted("a\"b\\c\nd"), r#""a\"b\\c\nd""#);
    }
}
