//! Pages for addresses at which there is nothing.

use askama::Template;
use hyper::StatusCode;

use super::list::Query;
use super::{Frame, Page, State};

/// The most letters of a path that are repeated.
const REPEATED: usize = 200;

#[derive(Debug, Template)]
#[template(path = "missing.html")]
struct Missing {
    frame: Frame,
    /// The path or agent that was asked for.
    asked: String,
    /// The list of agents with names like it, seen from the first page; none if no agent was asked for.
    search: Option<String>,
}

/// The page for a path at which there is nothing. If it is that of an agent, `names` are those of its
/// account and its own.
pub(super) fn missing(state: &State, path: &str, names: Option<(&str, &str)>) -> Page {
    let asked = match names {
        Some((account, name)) => format!("{account}/{name}"),
        None => path.to_owned(),
    };
    let search = names.map(|(_, name)| Query::link(name.chars().take(REPEATED).collect()));
    let page = Missing {
        frame: Frame::new(state, path, "", "Not found"),
        asked: asked.chars().take(REPEATED).collect(),
        search,
    };
    Page::of(StatusCode::NOT_FOUND, &page)
}
