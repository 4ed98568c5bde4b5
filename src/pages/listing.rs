//! Pure: a page of the list of agents, with what it is sorted and filtered by.

use super::figure::agents;
use super::list::{Health, List, Query, Sort};
use super::row::Row;
use crate::day::{Day, Usage};
use crate::named::Named;
use crate::status::LastSync;
use crate::words;

/// The most accounts that can be chosen from.
const CHOICES: usize = 200;

/// A page of the list.
#[derive(Debug)]
pub(super) struct ListView {
    pub(super) query: Query,
    pub(super) columns: Vec<Column>,
    /// The accounts to choose from; none where there is one, or more than anybody would choose from.
    pub(super) accounts: Vec<Choice>,
    pub(super) has_accounts: bool,
    pub(super) states: Vec<Choice>,
    pub(super) sorts: Vec<Choice>,
    pub(super) count: String,
    pub(super) rows: Vec<Row>,
    pub(super) pages: Vec<PageLink>,
    pub(super) page: usize,
    pub(super) last_page: usize,
}

/// A choice in the form that filters.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) label: String,
    pub(super) is_chosen: bool,
}

/// A column's head, which sorts by it.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) label: &'static str,
    pub(super) link: String,
    /// `ascending`, `descending`, or none.
    pub(super) order: &'static str,
    pub(super) class: &'static str,
}

/// A link to another page of the list.
#[derive(Debug)]
pub(super) struct PageLink {
    pub(super) label: String,
    /// None for the page that is shown, and for what is left out.
    pub(super) link: Option<String>,
    pub(super) is_shown: bool,
}

impl ListView {
    /// The page `list` of what `query` asks for. `days` holds the days of each row, in order, with the
    /// history start; none if the ledger cannot be read.
    pub(super) fn of(
        list: &List,
        query: &Query,
        days: Option<(Day, &[Vec<Usage>])>,
        last: Option<&LastSync>,
        today: Day,
    ) -> Self {
        let rows = list.rows.iter().enumerate();
        let rows = rows.map(|(place, (member, figures))| {
            let days = days.and_then(|(start, days)| Some((start, days.get(place)?.as_slice())));
            let problem = last.and_then(|last| last.problem_of(member));
            Row::of(member, figures, days, problem, today)
        });
        let has_accounts = list.accounts.len() > 1;
        let choices = has_accounts && list.accounts.len() <= CHOICES;
        let count = if query.is_filtered() {
            let all = agents(list.total.agents);
            format!("{} of {all}", words::grouped(&list.matching.to_string()))
        } else {
            agents(list.matching)
        };
        Self {
            rows: rows.collect(),
            query: query.clone(),
            columns: columns(query),
            accounts: match choices {
                true => list
                    .accounts
                    .keys()
                    .map(|name| Choice::new(name, name, **name == query.account))
                    .collect(),
                false => Vec::new(),
            },
            states: Health::ALL
                .iter()
                .rev()
                .map(|state| Choice::new(state.word(), state.label(), query.state == Some(*state)))
                .collect(),
            sorts: Sort::ALL
                .iter()
                .map(|sort| Choice::new(sort.word(), label_of(*sort), query.sort == *sort))
                .collect(),
            has_accounts,
            count,
            pages: page_links(query, list.page, list.pages),
            page: list.page,
            last_page: list.pages,
        }
    }
}

fn columns(query: &Query) -> Vec<Column> {
    let column = |sort: Sort| {
        let is_sorted = query.sort == sort;
        let asked = Query {
            sort,
            // Once more the other way round.
            is_descending: sort.is_descending()
                != (is_sorted && query.is_descending == sort.is_descending()),
            page: 1,
            ..query.clone()
        };
        let (label, class) = match sort {
            Sort::Name => ("Agent", "name"),
            Sort::Yesterday => ("Yesterday", "number"),
            Sort::Week => ("7 days", "number"),
            Sort::Days30 => ("30 days", "number"),
            Sort::Month => ("Month", "number"),
            Sort::Forecast => ("Expected", "number"),
            Sort::Missing => ("Missing days", "number"),
            Sort::State => ("State", "state"),
        };
        Column {
            label,
            link: format!("?{}", asked.address()),
            order: match (is_sorted, query.is_descending) {
                (false, _) => "none",
                (true, true) => "descending",
                (true, false) => "ascending",
            },
            class,
        }
    };
    Sort::ALL.iter().copied().map(column).collect()
}

/// Links to the first and the last page and to those around the one that is shown.
fn page_links(query: &Query, page: usize, pages: usize) -> Vec<PageLink> {
    if pages < 2 {
        return Vec::new();
    }
    let mut links = Vec::new();
    let mut last = 0;
    for number in 1..=pages {
        if number != 1 && number != pages && number.abs_diff(page) > 2 {
            continue;
        }
        if number > last + 1 {
            links.push(PageLink {
                label: "…".to_owned(),
                link: None,
                is_shown: false,
            });
        }
        last = number;
        let asked = Query {
            page: number,
            ..query.clone()
        };
        links.push(PageLink {
            label: number.to_string(),
            link: (number != page).then(|| format!("?{}", asked.address())),
            is_shown: number == page,
        });
    }
    links
}

impl Choice {
    fn new(value: &str, label: &str, is_chosen: bool) -> Self {
        Self {
            value: value.to_owned(),
            label: label.to_owned(),
            is_chosen,
        }
    }
}

/// Label of a sort order in that form.
const fn label_of(sort: Sort) -> &'static str {
    match sort {
        Sort::Name => "name",
        Sort::Yesterday => "yesterday",
        Sort::Week => "7 days",
        Sort::Days30 => "30 days",
        Sort::Month => "this month",
        Sort::Forecast => "expected",
        Sort::Missing => "missing days",
        Sort::State => "state",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_around_the_shown_one_are_linked_and_the_ends() {
        let labels = |page, pages| -> Vec<String> {
            let links = page_links(&Query::default(), page, pages);
            links.into_iter().map(|link| link.label).collect()
        };
        assert_eq!(labels(1, 1), [""; 0]);
        assert_eq!(labels(1, 3), ["1", "2", "3"]);
        let middle = ["1", "…", "48", "49", "50", "51", "52", "…", "100"];
        assert_eq!(labels(50, 100), middle);
        let links = page_links(&Query::parse("sort=name"), 1, 2);
        assert!(links[0].is_shown && links[0].link.is_none());
        assert_eq!(links[1].link.as_deref(), Some("?sort=name&page=2"));
    }

    #[test]
    fn a_column_sorts_by_itself_and_then_the_other_way_round() {
        let column = |query: &str, label: &str| {
            let columns = columns(&Query::parse(query));
            let found = columns.into_iter().find(|column| column.label == label);
            found.map(|column| (column.link, column.order)).unwrap()
        };
        let all = |link: &str, order| (link.to_owned(), order);
        assert_eq!(column("", "30 days"), all("?order=asc", "descending"));
        assert_eq!(column("", "Month"), all("?sort=month", "none"));
        assert_eq!(column("", "Agent"), all("?sort=name", "none"));
        let back = column("q=a&sort=month&order=asc&page=7", "Month");
        assert_eq!(back, all("?q=a&sort=month", "ascending"));
        let name = column("sort=name", "Agent");
        assert_eq!(name, all("?sort=name&order=desc", "ascending"));
    }
}
