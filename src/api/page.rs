//! Long lists come in pages: `limit` says how much of one, `offset` from where on, and the header Link
//! (RFC 8288) where the next one is.

use hyper::header::{HeaderValue, LINK};
use schemars::JsonSchema;
use serde::Serialize;
use url::form_urlencoded::Serializer;

use crate::http::problem::Problem;
use crate::http::request::{Asked, Query, invalid};
use crate::http::response::{self, Reply};
use crate::roster::printable;

/// Default number of items on a page.
pub(super) const DEFAULT_LIMIT: usize = 100;
/// Maximum number of items on a page.
pub(super) const MAX_LIMIT: usize = 1000;
/// The furthest that a page may begin: more than there will ever be of anything.
pub(super) const MAX_OFFSET: usize = 1_000_000_000;

/// The names of the parameters.
const OFFSET: &str = "offset";
const LIMIT: &str = "limit";

/// Part of a list that a request selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    /// Items before it.
    pub(super) offset: usize,
    /// The most items in it.
    pub(super) limit: usize,
}

/// A page's place in its list.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Extent {
    /// Number of items in all.
    total: usize,
    /// Number of items before this page.
    offset: usize,
    /// Maximum number of items on a page, as requested.
    #[schemars(range(min = 1, max = MAX_LIMIT))]
    limit: usize,
}

impl Page {
    /// The page that a query asks for.
    pub(super) fn of(query: &Query) -> Result<Self, Problem> {
        Ok(Self {
            offset: number(query, OFFSET, 0, 0, MAX_OFFSET)?,
            limit: number(query, LIMIT, DEFAULT_LIMIT, 1, MAX_LIMIT)?,
        })
    }

    /// The part that a query asks for of what is not paged: all, unless it says otherwise.
    pub(super) fn or_all(query: &Query) -> Result<Self, Problem> {
        let page = Self::of(query)?;
        let limit = match query.one(LIMIT)? {
            Some(_) => page.limit,
            None => usize::MAX,
        };
        Ok(Self { limit, ..page })
    }

    /// Its place in a list of `total` items.
    pub(super) const fn extent(self, total: usize) -> Extent {
        Extent {
            total,
            offset: self.offset,
            limit: self.limit,
        }
    }

    /// Items of the page.
    pub(super) fn part<'a, T>(&self, items: &'a [T]) -> &'a [T] {
        let rest = items.get(self.offset..).unwrap_or_default();
        &rest[..rest.len().min(self.limit)]
    }

    /// The page's part of `items` as `body` writes it, with the address of the next page.
    pub(super) fn reply<'a, T, B: Serialize>(
        self,
        asked: &Asked<'_>,
        query: &Query,
        items: &'a [T],
        body: impl FnOnce(Extent, &'a [T]) -> B,
    ) -> Reply {
        let shown = self.part(items);
        let mut reply = response::json(&body(self.extent(items.len()), shown));
        self.link(&mut reply, asked, query, shown.len(), items.len());
        reply
    }

    /// Says in `reply` where the page is that follows `shown` items of this one, if any of `total` are
    /// left.
    pub(super) fn link(
        &self,
        reply: &mut Reply,
        asked: &Asked<'_>,
        query: &Query,
        shown: usize,
        total: usize,
    ) {
        let next = self.offset.saturating_add(shown);
        if shown == 0 || next >= total {
            return;
        }
        let mut text = Serializer::new(String::new());
        text.extend_pairs(query.pairs().filter(|(name, _)| *name != OFFSET));
        text.append_pair(OFFSET, &next.to_string());
        let link = format!("<{}?{}>; rel=\"next\"", asked.path, text.finish());
        if let Ok(link) = HeaderValue::from_str(&link) {
            reply.headers_mut().insert(LINK, link);
        }
    }
}

fn number(
    query: &Query,
    name: &str,
    default: usize,
    least: usize,
    most: usize,
) -> Result<usize, Problem> {
    let Some(text) = query.one(name)? else {
        return Ok(default);
    };
    // Digits only: `parse` would take a sign too.
    let number = text.parse().ok().filter(|number| {
        text.bytes().all(|byte| byte.is_ascii_digit()) && (least..=most).contains(number)
    });
    number.ok_or_else(|| {
        let text = printable(text);
        invalid(format!(
            "`{name}` is a whole number from {least} to {most}, not `{text}`"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(query: &str) -> Result<(usize, usize), String> {
        let query = Query::parse(query).unwrap();
        match Page::of(&query) {
            Ok(Page { offset, limit }) => Ok((offset, limit)),
            Err(problem) => Err(problem.detail().to_owned()),
        }
    }

    #[test]
    fn a_page_is_of_a_bounded_size_and_place() {
        assert_eq!(page(""), Ok((0, 100)));
        assert_eq!(
            page("limit=1000&offset=1000000000"),
            Ok((1_000_000_000, 1000))
        );
        for (query, problem) in [
            (
                "limit=0",
                "`limit` is a whole number from 1 to 1000, not `0`",
            ),
            (
                "limit=1001",
                "`limit` is a whole number from 1 to 1000, not `1001`",
            ),
            ("limit=", "`limit` is a whole number from 1 to 1000, not ``"),
            (
                "limit=%2B5",
                "`limit` is a whole number from 1 to 1000, not `+5`",
            ),
            (
                "offset=99999999999999999999999",
                "`offset` is a whole number from 0 to 1000000000, not `99999999999999999999999`",
            ),
            (
                "offset=1&offset=1",
                "`offset` is given 2 times, but may be given once",
            ),
        ] {
            assert_eq!(page(query), Err(problem.to_owned()), "{query}");
        }
    }

    #[test]
    fn what_is_not_paged_is_all_unless_less_is_asked_for() {
        let part = |query| {
            Page::or_all(&Query::parse(query).unwrap()).map(|page| page.part(&[1, 2, 3]).to_vec())
        };
        assert_eq!(part(""), Ok(vec![1, 2, 3]));
        assert_eq!(part("offset=1"), Ok(vec![2, 3]));
        assert_eq!(part("offset=1&limit=1"), Ok(vec![2]));
        assert!(part("limit=1001").is_err());
    }

    #[test]
    fn a_page_beyond_the_end_is_empty() {
        let items = [1, 2, 3];
        let part = |offset, limit| Page { offset, limit }.part(&items).to_vec();
        assert_eq!(part(0, 2), [1, 2]);
        assert_eq!(part(2, 2), [3]);
        assert_eq!(part(3, 2), [0; 0]);
        assert_eq!(part(usize::MAX, usize::MAX), [0; 0]);
    }
}
