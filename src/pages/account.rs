//! One account: what its agents used in each of the last months, side by side.

use askama::Template;
use hyper::StatusCode;

use super::figure::Shown;
use super::{Frame, Page, State, agent_link, csv, refresh};
use crate::day::TRACKING_START;
use crate::http::months::Sum;
use crate::http::months::{MONTHS, Month, OfAccount, months};
use crate::ledger::Member;
use crate::roster::Agent;

#[derive(Debug, Template)]
#[template(path = "account.html")]
struct AccountPage {
    frame: Frame,
    name: String,
    /// The list of its agents, seen from the first page.
    list: String,
    csv: String,
    months: Vec<String>,
    /// Or the reason why they are not known.
    known: Result<Known, String>,
}

#[derive(Debug)]
struct Known {
    /// Name, link and months of each agent; no link if it has left.
    rows: Vec<(String, String, Vec<Shown>)>,
    more: usize,
    total: Vec<Shown>,
}

/// The page of an account; none if there is no such account.
pub(super) fn account(state: &State, path: &str, name: &str) -> Option<Page> {
    let kept = state.months.load();
    let (as_of, known) = match kept.as_deref() {
        Some(Ok(months)) => (
            Some((months.today, months.number)),
            months.accounts.get(name).map(Ok),
        ),
        Some(Err(error)) => (None, Some(Err(error.clone()))),
        None => (None, None),
    };
    let is_configured = || {
        state
            .board
            .accounts()
            .iter()
            .any(|place| *place.name == *name)
    };
    let has_agents = |member: &Member| *member.agent.account == *name;
    if !matches!(known, Some(Ok(_)))
        && !is_configured()
        && !state.board.members().iter().any(has_agents)
    {
        return None;
    }
    let refresh = known.is_none().then_some(refresh::SOON);
    let known = known
        .unwrap_or_else(|| Err("The figures are being computed. Reload in a moment.".to_owned()));
    let (today, number) = as_of.unwrap_or_else(|| (state.clock.today(), MONTHS));
    let months = &months(today)[..number];
    let query = super::list::Query {
        account: name.to_owned(),
        ..super::list::Query::default()
    };
    let titles = months.iter().map(|(first, _)| first.date().format("%b %Y"));
    let mut frame = Frame::new(state, path, "", name);
    frame.refresh = refresh;
    let page = AccountPage {
        frame,
        name: name.to_owned(),
        list: format!("?{}#agents", query.address()),
        csv: csv(
            Some((name, None)),
            months
                .last()
                .map_or(today, |month| month.0.max(TRACKING_START)),
            today,
            "month",
        ),
        months: titles.map(|title| title.to_string()).collect(),
        known: known.map(|known| Known::of(known, number)),
    };
    Some(Page::of(StatusCode::OK, &page).refreshing(refresh))
}

impl Known {
    fn of(months: &OfAccount, number: usize) -> Self {
        let shown = |month: &Month| {
            let (whole, some) = *month;
            Shown::of(whole, some, || "some days are missing".to_owned())
        };
        let row = |(agent, is_there, months): &(Agent, bool, [Month; MONTHS])| {
            let link = if *is_there {
                agent_link(agent)
            } else {
                String::new()
            };
            let months = months.iter().take(number).map(shown).collect();
            (agent.name.to_string(), link, months)
        };
        Self {
            rows: months.rows.iter().map(row).collect(),
            more: months.more,
            total: months.total.iter().take(number).map(Sum::shown).collect(),
        }
    }
}
