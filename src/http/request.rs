//! Requests, read with care: everything in them comes from outside.

use std::borrow::Cow;

use hyper::header::{HeaderMap, HeaderName};
use percent_encoding::percent_decode;

use super::problem::{Kind, Problem};
use crate::nearest::nearest;
use crate::roster::printable;

/// A request as its handler sees it.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    /// The path, as it was sent.
    pub(crate) path: &'a str,
    /// Parts of the path at the braces of its route, in order and decoded.
    pub(crate) parameters: Vec<String>,
    /// The headers.
    pub(crate) headers: &'a HeaderMap,
    /// The query, as it was sent; empty if there is none.
    pub(crate) query: &'a str,
}

/// The parameters of a query, by name and in order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Query(Vec<(String, String)>);

impl<'a> Asked<'a> {
    /// A request of this path, query and headers.
    pub(crate) fn new(
        path: &'a str,
        parameters: Vec<String>,
        query: Option<&'a str>,
        headers: &'a HeaderMap,
    ) -> Self {
        Self {
            path,
            parameters,
            headers,
            query: query.unwrap_or_default(),
        }
    }

    /// The parameters of the query, all of which are among `known`.
    ///
    /// # Errors
    /// The query cannot be read, or has another parameter.
    pub(crate) fn query(&self, known: &[&str]) -> Result<Query, Problem> {
        let query = Query::parse(self.query)?;
        match query.0.iter().find(|(name, _)| !known.contains(&&**name)) {
            None => Ok(query),
            Some((name, _)) => {
                let tip = match nearest(name, known) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if known.is_empty() => "there are none here".to_owned(),
                    None => format!("there are: {}", known.join(", ")),
                };
                let name = printable(name);
                Err(invalid(format!("there is no parameter `{name}`; {tip}")))
            }
        }
    }
}

impl Query {
    /// Reads a query.
    ///
    /// # Errors
    /// It is not of percent-encoded UTF-8.
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decoded(name)?, decoded(value)?))
        });
        pairs.collect::<Result<_, Problem>>().map(Self)
    }

    /// All of it.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of a parameter that may be there once.
    ///
    /// # Errors
    /// It is there more often.
    pub(crate) fn one<'a>(&'a self, name: &'a str) -> Result<Option<&'a str>, Problem> {
        let mut values = self.all(name);
        let first = values.next();
        match values.count() {
            0 => Ok(first),
            more => Err(invalid(format!(
                "`{name}` is given {} times, but may be given once",
                more + 1
            ))),
        }
    }

    /// The values of a parameter that may be repeated.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.0.iter().filter(move |(other, _)| other == name);
        named.map(|(_, value)| value.as_str())
    }
}

/// All values of a header as one list. Values that are no text are left out.
pub(crate) fn joined(headers: &HeaderMap, name: &HeaderName) -> String {
    let values = headers.get_all(name).iter();
    let values: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
    values.join(",")
}

/// A problem with a parameter.
pub(crate) fn invalid(detail: impl Into<Cow<'static, str>>) -> Problem {
    Problem::new(Kind::InvalidParameter, detail)
}

/// A name or a value, in which a plus is a space, as forms have it.
fn decoded(text: &str) -> Result<String, Problem> {
    let spaced = text.replace('+', " ");
    match percent_decode(spaced.as_bytes()).decode_utf8() {
        Ok(decoded) => Ok(decoded.into_owned()),
        Err(_) => Err(invalid(format!(
            "`{}` in the query is not percent-encoded UTF-8",
            printable(text)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: &str) -> Result<Vec<(String, String)>, String> {
        let headers = HeaderMap::new();
        let asked = Asked::new("/", Vec::new(), Some(query), &headers);
        match asked.query(&["account", "start", "a b"]) {
            Ok(Query(pairs)) => Ok(pairs),
            Err(problem) => Err(problem.detail().to_owned()),
        }
    }

    #[test]
    fn names_and_values_are_decoded_and_keep_their_order() {
        for (query, expected) in [
            ("", &[][..]),
            ("&&", &[]),
            ("account", &[("account", "")]),
            (
                "account=b&start=1&account=a",
                &[("account", "b"), ("start", "1"), ("account", "a")],
            ),
            ("a+b=%C3%BC%2B=%00", &[("a b", "ü+=\0")]),
            ("account=%", &[("account", "%")]),
        ] {
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            let expected = expected.iter().map(owned).collect();
            assert_eq!(asked(query), Ok(expected), "{query}");
        }
    }

    #[test]
    fn what_is_not_known_or_cannot_be_read_is_told() {
        let long = "x".repeat(70);
        for (query, expected) in [
            (
                "acount=a",
                "there is no parameter `acount`; did you mean `account`?",
            ),
            (
                "zzz",
                "there is no parameter `zzz`; there are: account, start, a b",
            ),
            (
                "%00%0a",
                "there is no parameter `\\u{0}\\n`; there are: account, start, a b",
            ),
            (
                "start=%ff",
                "`%ff` in the query is not percent-encoded UTF-8",
            ),
            (
                &long,
                &format!(
                    "there is no parameter `{}…`; there are: account, start, a b",
                    &long[..64]
                ),
            ),
        ] {
            assert_eq!(asked(query), Err(expected.to_owned()), "{query}");
        }
    }

    #[test]
    fn only_what_may_be_repeated_may_be_repeated() {
        let query = Query::parse("day=1&name=a&day=2&name=b&last=3").unwrap();
        assert_eq!(query.one("last"), Ok(Some("3")));
        assert_eq!(query.one("other"), Ok(None));
        assert_eq!(query.all("name").collect::<Vec<_>>(), ["a", "b"]);
        let problem = query.one("day").unwrap_err();
        assert_eq!(
            problem.detail(),
            "`day` is given 2 times, but may be given once"
        );
    }
}
