//! Pure: which agents are listed, in which order, and on which page.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::exposition::AgentSeries;
use crate::http::months::Sum;
use crate::ledger::Member;
use crate::named::{Named, named};
use crate::roster::Agent;
use crate::series::Figures;
use crate::status::Agents;

/// Number of agents on a page.
pub(super) const PAGE: usize = 100;
/// The most bytes of a search that are looked for.
pub(super) const LONGEST_SEARCH: usize = 256;

named! {
    /// Sort orders of agents.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) enum Sort {
        Name = "name",
        Yesterday = "yesterday",
        Week = "7-days",
        Days30 = "30-days",
        Month = "month",
        Forecast = "forecast",
        Missing = "missing",
        State = "state",
    }
}

named! {
    /// The state of an agent's data.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub(super) enum Health {
        /// Every day is known.
        Complete = "complete",
        /// It was not fetched yet.
        Waiting = "waiting",
        /// Days are missing.
        Incomplete = "incomplete",
        /// The last fetch failed.
        Failing = "failing",
    }
}

/// Request for a page of the list, as in the query of its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) sort: Sort,
    pub(super) is_descending: bool,
    /// The page, from 1 on.
    pub(super) page: usize,
    /// Text contained in the agent's name, identifier, account or a label's value.
    pub(super) search: String,
    /// Only this account's; empty for all.
    pub(super) account: String,
    /// Only those that are so.
    pub(super) state: Option<Health>,
}

/// Sums over agents.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Totals {
    pub(super) agents: usize,
    /// By [`Figures::periods`].
    pub(super) credits: [Sum; 6],
    pub(super) missing_days: u64,
    pub(super) incomplete: usize,
    pub(super) failing: usize,
}

/// An agent that matches: the figure that it is ordered by, itself and its place.
type Found<'a> = (Option<f64>, &'a Agent, usize);

/// A page of the list, and the sums of all agents.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct List {
    /// All agents.
    pub(super) total: Totals,
    /// All agents by account, ordered by their names.
    pub(super) accounts: BTreeMap<Arc<str>, Totals>,
    /// Number of agents on all pages together.
    pub(super) matching: usize,
    /// The page, from 1 on, and how many there are: at least one.
    pub(super) page: usize,
    pub(super) pages: usize,
    /// The agents on this page.
    pub(super) rows: Vec<(Member, Figures)>,
}

impl Sort {
    /// Returns true if the largest comes first by default.
    pub(super) const fn is_descending(self) -> bool {
        !matches!(self, Self::Name)
    }

    /// The figure that it goes by, or a lower bound of it. All but the name has one, where any day is known.
    fn figure(self, figures: &Figures) -> Option<f64> {
        let period = |place: usize| {
            let (credits, known) = figures.periods()[place];
            credits.or(known)
        };
        match self {
            Self::Name => None,
            Self::Yesterday => period(0),
            Self::Week => period(1),
            Self::Days30 => period(2),
            Self::Month => period(3),
            Self::Forecast => period(4),
            Self::Missing => Some(figures.missing_days as f64),
            Self::State => Some(f64::from(Health::of(figures) as u8)),
        }
    }
}

impl Health {
    /// Health of an agent with these figures.
    pub(super) fn of(figures: &Figures) -> Self {
        match figures.up {
            Some(false) => Self::Failing,
            _ if figures.missing_days == 0 => Self::Complete,
            None => Self::Waiting,
            Some(_) => Self::Incomplete,
        }
    }

    /// Its word as people read it.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Complete => "up to date",
            _ => self.as_str(),
        }
    }
}

impl Default for Query {
    fn default() -> Self {
        Self {
            sort: Sort::Days30,
            is_descending: true,
            page: 1,
            search: String::new(),
            account: String::new(),
            state: None,
        }
    }
}

impl Query {
    /// Parses the query of an address. Invalid parts are ignored.
    pub(super) fn parse(query: &str) -> Self {
        let mut parsed = Self::default();
        let mut order = None;
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "sort" => {
                    let sort = Sort::from_word(&value);
                    parsed.sort = sort.unwrap_or(parsed.sort);
                }
                "order" => order = ["asc", "desc"].into_iter().find(|order| *order == value),
                "page" => parsed.page = value.parse().unwrap_or(1).max(1),
                "q" => {
                    let end = value.trim().floor_char_boundary(LONGEST_SEARCH);
                    value.trim()[..end].clone_into(&mut parsed.search);
                }
                "account" => parsed.account = value.into_owned(),
                "state" => {
                    parsed.state = Health::from_word(&value);
                }
                _ => {}
            }
        }
        parsed.is_descending = match order {
            Some(order) => order == "desc",
            None => parsed.sort.is_descending(),
        };
        parsed
    }

    /// The list with that search, seen from the first page.
    pub(super) fn link(search: String) -> String {
        let query = Self {
            search,
            ..Self::default()
        };
        format!("?{}#agents", query.address())
    }

    /// The query of an address that asks for this; empty if it is what is shown anyway.
    pub(super) fn address(&self) -> String {
        let default = Self::default();
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        if !self.search.is_empty() {
            query.append_pair("q", &self.search);
        }
        if !self.account.is_empty() {
            query.append_pair("account", &self.account);
        }
        if let Some(state) = self.state {
            query.append_pair("state", state.word());
        }
        if self.sort != default.sort {
            query.append_pair("sort", self.sort.word());
        }
        if self.is_descending != self.sort.is_descending() {
            let order = if self.is_descending { "desc" } else { "asc" };
            query.append_pair("order", order);
        }
        if self.page > 1 {
            query.append_pair("page", &self.page.to_string());
        }
        query.finish()
    }

    /// Returns true if some agents may be left out.
    pub(super) fn is_filtered(&self) -> bool {
        !self.search.is_empty() || !self.account.is_empty() || self.state.is_some()
    }

    /// Returns true if `agent`, which is `health`, matches. `search` is the lower-case one.
    fn takes(&self, agent: &Agent, health: Health, search: &str) -> bool {
        (self.account.is_empty() || *agent.account == *self.account)
            && self.state.is_none_or(|state| state == health)
            && (search.is_empty() || contains(agent, search))
    }

    /// The order of two agents; unknown figures come last either way.
    fn compare(&self, one: &Found<'_>, other: &Found<'_>) -> Ordering {
        let by_name = || {
            (&one.1.name, &one.1.account, one.2).cmp(&(&other.1.name, &other.1.account, other.2))
        };
        let directed = |order: Ordering| {
            if self.is_descending {
                order.reverse()
            } else {
                order
            }
        };
        if self.sort == Sort::Name {
            return directed(by_name());
        }
        match (one.0, other.0) {
            (Some(one), Some(other)) => directed(one.total_cmp(&other)).then_with(by_name),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => by_name(),
        }
    }
}

/// Reports if `agent` has every word of `search`, which is lower-case: in its name, identifier, account or a
/// label's value. A word such as `team=cx` is a label, or `account`, `agent` or `id`, and its whole value.
fn contains(agent: &Agent, search: &str) -> bool {
    let own = [
        ("agent", &*agent.name),
        ("id", &agent.id),
        ("account", &agent.account),
    ];
    let labels = agent.labels.iter();
    let labels = labels.map(|(name, value)| (name.as_str(), value.as_str()));
    let all = || own.into_iter().chain(labels.clone());
    search.split_whitespace().all(|word| {
        let is_label = |(name, value): (&str, &str)| {
            word.split_once('=').is_some_and(|(wanted, text)| {
                name.to_lowercase() == wanted && value.to_lowercase() == text
            })
        };
        all().any(|(_, value)| has(value, word)) || all().any(is_label)
    })
}

/// Reports if the lower-case form of `value` contains `word`. Most values are lower-case and need no copy.
fn has(value: &str, word: &str) -> bool {
    // Without a branch for each byte, several are looked at once.
    let may_change = |any, byte: u8| any | byte.is_ascii_uppercase() | !byte.is_ascii();
    value.contains(word)
        || (value.bytes().fold(false, may_change) && value.to_lowercase().contains(word))
}

impl Totals {
    fn add(&mut self, figures: &Figures) {
        self.agents += 1;
        for (sum, (credits, known)) in self.credits.iter_mut().zip(figures.periods()) {
            sum.add(credits, known);
        }
        self.missing_days += figures.missing_days;
        self.incomplete += usize::from(figures.missing_days > 0);
        self.failing += usize::from(Health::of(figures) == Health::Failing);
    }
}

impl List {
    /// The page of `agents` that is asked for; the last one if there are not so many.
    pub(super) fn of(agents: &Agents, query: &Query) -> Self {
        let mut total = Totals::default();
        let mut accounts: BTreeMap<Arc<str>, Totals> = BTreeMap::new();
        let mut found: Vec<Found<'_>> = Vec::new();
        let search = query.search.to_lowercase();
        for (place, AgentSeries { agent, figures }) in agents.series.iter().enumerate() {
            total.add(figures);
            match accounts.get_mut(&agent.account) {
                Some(totals) => totals.add(figures),
                None => accounts
                    .entry(Arc::clone(&agent.account))
                    .or_default()
                    .add(figures),
            }
            if query.takes(agent, Health::of(figures), &search) {
                found.push((query.sort.figure(figures), agent, place));
            }
        }
        let matching = found.len();
        let pages = matching.div_ceil(PAGE).max(1);
        let page = query.page.min(pages);
        // The agents of later pages need no order.
        let end = page * PAGE;
        if end < matching {
            found.select_nth_unstable_by(end, |one, other| query.compare(one, other));
            found.truncate(end);
        }
        found.sort_unstable_by(|one, other| query.compare(one, other));
        let rows = found.iter().skip((page - 1) * PAGE);
        let rows = rows.map(|(.., place)| {
            let figures = agents.series[*place].figures;
            (agents.members[*place].clone(), figures)
        });
        Self {
            total,
            accounts,
            matching,
            page,
            pages,
            rows: rows.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::AgentNumber;

    /// Agents by account, name, credits of yesterday and missing days.
    fn agents(list: &[(&str, &str, Option<f64>, u64)]) -> Agents {
        let agent = |account: &str, name: &str| Agent {
            account: account.into(),
            id: format!("id-{name}").into(),
            name: name.into(),
            labels: Arc::new([("team".to_owned(), format!("Team {name}"))].into()),
        };
        let members = (1..).zip(list).map(|(number, (account, name, ..))| Member {
            agent: agent(account, name),
            number: AgentNumber(number),
            unlisted_since: None,
            left_on: None,
        });
        let series = list
            .iter()
            .map(|(account, name, credits, missing)| AgentSeries {
                agent: agent(account, name),
                figures: Figures {
                    up: Some(true),
                    previous_day_credits: *credits,
                    missing_days: *missing,
                    ..Figures::default()
                },
            });
        Agents {
            today: "2026-11-26".parse().unwrap(),
            members: members.collect(),
            series: series.collect(),
        }
    }

    fn few() -> Agents {
        agents(&[
            ("acme", "support", Some(2.0), 0),
            ("acme", "legal", None, 3),
            ("globex", "shop", Some(10.0), 0),
            ("globex", "returns", Some(2.0), 1),
        ])
    }

    fn listed(query: &str) -> Vec<String> {
        let list = List::of(&few(), &Query::parse(query));
        let name = |(member, _): &(Member, Figures)| member.agent.name.to_string();
        list.rows.iter().map(name).collect()
    }

    #[test]
    fn what_is_not_known_comes_last_in_either_order() {
        assert_eq!(
            listed("sort=yesterday"),
            ["shop", "returns", "support", "legal"]
        );
        assert_eq!(
            listed("sort=yesterday&order=asc"),
            ["returns", "support", "shop", "legal"]
        );
        assert_eq!(listed("sort=name"), ["legal", "returns", "shop", "support"]);
        assert_eq!(
            listed("sort=missing"),
            ["legal", "returns", "shop", "support"]
        );
    }

    #[test]
    fn filters_leave_out_what_is_not_asked_for() {
        assert_eq!(listed("q=SUPP"), ["support"]);
        assert_eq!(listed("q=team+legal"), ["legal"]);
        assert_eq!(listed("q=id-shop"), ["shop"]);
        assert_eq!(listed("q=shop+globex"), ["shop"]);
        assert_eq!(listed("q=shop+acme"), [""; 0]);
        assert_eq!(listed("q=account%3DACME&sort=name"), ["legal", "support"]);
        assert_eq!(listed("q=agent%3Dsho"), [""; 0]);
        assert_eq!(listed("q=agent%3Dshop+team"), ["shop"]);
        assert_eq!(listed("account=acme&sort=name"), ["legal", "support"]);
        assert_eq!(listed("state=incomplete&account=globex"), ["returns"]);
        assert_eq!(listed("state=failing"), [""; 0]);
        assert_eq!(listed("q=nobody"), [""; 0]);
    }

    #[test]
    fn what_makes_no_sense_in_an_address_asks_for_nothing() {
        let parsed = Query::parse("sort=banana&order=up&page=-1&state=%00&x=y&&=&%ff");
        assert_eq!(parsed, Query::default());
        let long = format!("q={}", "é".repeat(400));
        assert_eq!(Query::parse(&long).search, "é".repeat(128));
    }

    #[test]
    fn an_address_asks_for_what_it_was_made_from() {
        for query in [
            "",
            "q=a%26b&account=a+b&state=failing",
            "sort=name",
            "sort=name&order=desc",
            "sort=forecast&page=3",
            "order=asc&page=2",
        ] {
            let parsed = Query::parse(query);
            assert_eq!(parsed.address(), query);
            assert_eq!(Query::parse(&parsed.address()), parsed);
        }
    }

    #[test]
    fn sums_are_of_all_agents_whatever_is_listed() {
        let list = List::of(&few(), &Query::parse("q=shop"));
        assert_eq!((list.matching, list.total.agents), (1, 4));
        assert_eq!(list.total.credits[0].shown().text, "≥ 14");
        assert_eq!(list.accounts["globex"].credits[0].shown().text, "12");
        assert_eq!(list.total.missing_days, 4);
    }

    #[test]
    fn pages_hold_each_agent_once() {
        let names: Vec<String> = (0..250)
            .map(|number| format!("agent-{number:03}"))
            .collect();
        let list: Vec<_> = names
            .iter()
            .map(|name| ("acme", name.as_str(), Some(1.0), 0))
            .collect();
        let agents = agents(&list);
        let mut seen = Vec::new();
        for page in 1..=3 {
            let list = List::of(&agents, &Query::parse(&format!("sort=name&page={page}")));
            assert_eq!((list.page, list.pages, list.matching), (page, 3, 250));
            let rows = list.rows.iter();
            seen.extend(rows.map(|(member, _)| member.agent.name.to_string()));
        }
        assert_eq!(seen, names);
        let beyond = List::of(&agents, &Query::parse("page=99"));
        assert_eq!((beyond.page, beyond.rows.len()), (3, 50));
        let none = List::of(&agents, &Query::parse("q=nobody"));
        assert_eq!((none.page, none.pages), (1, 1));
    }
}
