//! Pure: budgets as pages show them.

use chrono::{DateTime, Utc};
use percent_encoding::utf8_percent_encode;

use super::chart::meter;
use super::figure::{agents, amount, amount_at_least, short_span};
use super::list::{LONGEST_SEARCH, Query};
use super::{SEGMENT, alert_link};
use crate::budget::{Period, Standing};
use crate::day::Day;
use crate::exposition::{BudgetSeries, Mark};
use crate::ledger::AlertState;
use crate::roster::Matcher;
use crate::words;

/// The most subjects of a budget that are shown.
const SUBJECTS: usize = 6;

/// A budget as it is shown.
#[derive(Debug)]
pub(super) struct BudgetView {
    pub(super) name: String,
    /// Its anchor on the first page.
    pub(super) anchor: String,
    /// Its alert, seen from the first page; empty if none fires.
    pub(super) alert: String,
    /// The number of its agents.
    pub(super) agents: String,
    /// The list of them, seen from the first page; empty if the search cannot express it.
    pub(super) list: String,
    /// State in a few words, and its severity.
    pub(super) state: String,
    pub(super) class: &'static str,
    /// `4,012 of 5,000 credits (80%)`.
    pub(super) used: String,
    pub(super) meter: String,
    /// The period, what is expected, when the limit is reached, what is missing: a sentence each.
    pub(super) notes: Vec<String>,
    /// The list of all subjects of its budget, seen from the first page, if more are left out after this one.
    pub(super) all: Option<(String, String)>,
}

impl BudgetView {
    /// A budget, seen at `now`.
    pub(super) fn of(budget: &BudgetSeries, now: DateTime<Utc>) -> Self {
        let standing = &budget.standing;
        let today = Day::of(now);
        let limit = standing.limit_credits;
        let used = standing.used_credits;
        let expected = standing.forecast.map(|forecast| forecast.expected_credits);
        let (state, class) = state_of(budget);
        let name = match &budget.subject {
            Some(subject) => format!("{} ({subject})", budget.name),
            None => budget.name.to_string(),
        };
        Self {
            anchor: anchor(&name),
            name,
            alert: match fires(budget) {
                true => alert_link(&budget.name, budget.subject.as_deref().unwrap_or("all")),
                false => String::new(),
            },
            all: None,
            agents: agents(standing.agents),
            list: list_of(&budget.matcher),
            state,
            class,
            used: used_of(standing),
            meter: meter(used.unwrap_or(0.0), expected, limit),
            notes: notes(standing, now, today),
        }
    }
}

/// The budgets, and of each the subjects that used most of their limits, the worst first.
pub(super) fn cards(budgets: &[BudgetSeries], now: DateTime<Utc>) -> Vec<BudgetView> {
    let mut cards = Vec::new();
    for alike in budgets.chunk_by(|one, other| one.name == other.name) {
        let ratio = |budget: &BudgetSeries| budget.standing.used_ratio().unwrap_or(0.0);
        let mut worst: Vec<&BudgetSeries> = alike.iter().collect();
        worst.sort_by(|one, other| ratio(other).total_cmp(&ratio(one)));
        worst.truncate(SUBJECTS);
        cards.extend(worst.iter().map(|budget| BudgetView::of(budget, now)));
        if let (Some(last), true) = (cards.last_mut(), alike.len() > SUBJECTS) {
            let name = &alike[0].name;
            let link = format!(
                "api/v1/budgets?budget={}",
                utf8_percent_encode(name, SEGMENT)
            );
            let number = words::grouped(&alike.len().to_string());
            last.all = Some((link, format!("All {number} subjects of {name} as JSON")));
        }
    }
    cards
}

/// The anchor of a budget on the first page.
pub(super) fn anchor(name: &str) -> String {
    format!("budget-{}", utf8_percent_encode(name, SEGMENT))
}

/// The list of the agents that `matcher` is about, as [`BudgetView::list`].
fn list_of(matcher: &Matcher) -> String {
    let search = matcher.search();
    let search = search.filter(|search| !search.is_empty() && search.len() <= LONGEST_SEARCH);
    search.map_or_else(String::new, Query::link)
}

fn fires(budget: &BudgetSeries) -> bool {
    let firing = Some(AlertState::Firing);
    budget.marks.iter().any(|mark| mark.state == firing)
}

/// State and severity of a budget: the threshold that it is past, and its forecast.
fn state_of(budget: &BudgetSeries) -> (String, &'static str) {
    let standing = &budget.standing;
    let (limit, used) = (standing.limit_credits, standing.used_credits);
    if used.is_some_and(|used| used >= limit) {
        return ("used up".to_owned(), "bad");
    }
    let expected = standing.forecast.map(|forecast| forecast.expected_credits);
    let expected_ratio = expected.map(|expected| expected / limit);
    let reached = |measure: &str, ratio: Option<f64>| -> Vec<&Mark> {
        let marks = budget.marks.iter().filter(|mark| mark.measure == measure);
        // An alert fires until use is clearly below its threshold, also on this page.
        let is_reached = |mark: &&Mark| {
            mark.state == Some(AlertState::Firing) || ratio.is_some_and(|ratio| ratio >= mark.at)
        };
        marks.filter(is_reached).collect()
    };
    let used_marks = reached("used", standing.used_ratio());
    let forecast_marks = reached("forecast", expected_ratio);
    let mut states = Vec::new();
    if let Some(ratio) = used_marks.iter().map(|mark| mark.at).reduce(f64::max) {
        states.push(format!("past {}", words::exact_percent(ratio)));
    }
    let heads_to = forecast_marks.iter().map(|mark| mark.at).reduce(f64::max);
    if expected.is_some_and(|expected| expected >= limit) {
        states.push("expected to be exceeded".to_owned());
    } else if let Some(ratio) = heads_to {
        states.push(format!("heading past {}", words::exact_percent(ratio)));
    }
    let mut marks = used_marks.iter().chain(&forecast_marks);
    let class = match marks.any(|mark| mark.severity == "critical") {
        true => "bad",
        false => "warn",
    };
    match (states.is_empty(), used) {
        (false, _) => (states.join(", "), class),
        (true, None) => ("no known day".to_owned(), "warn"),
        (true, Some(_)) => ("within budget".to_owned(), "good"),
    }
}

/// Used share of the limit.
fn used_of(standing: &Standing) -> String {
    let limit = words::credits(standing.limit_credits);
    let Some(used) = standing.used_credits else {
        return format!("– of {limit}");
    };
    let percent = standing.used_ratio().map(words::percent);
    let percent = percent.map_or_else(String::new, |percent| format!(" ({percent})"));
    let used = match standing.missing_days {
        0 if used < standing.limit_credits && used.round() >= standing.limit_credits => {
            amount_at_least(used)
        }
        0 => amount(used),
        _ => format!("≥ {}", amount_at_least(used)),
    };
    format!("{used} of {limit}{percent}")
}

fn notes(standing: &Standing, now: DateTime<Utc>, today: Day) -> Vec<String> {
    let Period { start, end } = standing.period;
    let mut notes = vec![match end {
        Some(end) => short_span(start, end.previous(), today),
        None => format!("Since {}", words::date(start, today)),
    }];
    if let (Some(forecast), Some(end)) = (standing.forecast, end.filter(|end| *end > today)) {
        notes.push(format!(
            "{} credits expected by {} ({} to {})",
            amount(forecast.expected_credits),
            words::date(end.previous(), today),
            amount(forecast.low_credits),
            amount(forecast.high_credits),
        ));
    }
    if let Some(at) = standing.exhausted_at {
        let day = words::date(Day::of(at), today);
        notes.push(if at <= now {
            format!("Used up on {day}")
        } else {
            format!("Expected to be used up on {day}")
        });
    }
    if standing.missing_days > 0 {
        let days = words::count(standing.missing_days, "missing day", "missing days");
        notes.push(format!("{}: use may be higher", words::sentence(&days)));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::Forecast;
    use crate::roster::Pattern;

    fn standing(used: Option<f64>, expected: f64, missing_days: u32) -> Standing {
        let day = |text: &str| text.parse::<Day>().unwrap();
        Standing {
            period: Period {
                start: day("2026-11-01"),
                end: Some(day("2026-12-01")),
            },
            limit_credits: 1_000.0,
            used_credits: used,
            missing_days,
            forecast: Some(Forecast {
                expected_credits: expected,
                low_credits: expected - 50.0,
                high_credits: expected + 50.0,
            }),
            exhausted_at: (expected >= 1_000.0).then(|| day("2026-11-28").start()),
            pace_credits_per_day: None,
            top: Vec::new(),
            agents: 3,
        }
    }

    fn view(standing: Standing) -> BudgetView {
        marked(standing, &[])
    }

    /// The view of a budget with thresholds: what they measure, their shares and severities.
    fn marked(standing: Standing, marks: &[(&'static str, f64, &'static str)]) -> BudgetView {
        let mark = |&(measure, ratio, severity): &(&'static str, f64, &'static str)| Mark {
            measure,
            at: ratio,
            severity,
            threshold: String::new(),
            state: None,
        };
        let budget = BudgetSeries {
            name: "team".into(),
            subject: None,
            agent: None,
            matcher: Default::default(),
            standing,
            marks: marks.iter().map(mark).collect(),
        };
        BudgetView::of(&budget, "2026-11-26T12:00:00Z".parse().unwrap())
    }

    #[test]
    fn a_budget_says_what_is_used_and_where_that_leads() {
        let view = view(standing(Some(804.25), 1_100.0, 0));
        assert_eq!(
            (&*view.state, view.class),
            ("expected to be exceeded", "warn")
        );
        assert_eq!(view.used, "804 of 1,000 credits (80%)");
        assert_eq!(
            view.notes,
            [
                "1 – 30 Nov",
                "1,100 credits expected by 30 Nov (1,050 to 1,150)",
                "Expected to be used up on 28 Nov",
            ]
        );
    }

    #[test]
    fn what_is_missing_makes_it_a_lower_bound_and_nothing_known_a_dash() {
        let some = view(standing(Some(500.0), 900.0, 1));
        assert_eq!(some.used, "≥ 500 of 1,000 credits (50%)");
        assert_eq!(
            some.notes.last().unwrap(),
            "One missing day: use may be higher"
        );
        assert_eq!((&*some.state, some.class), ("within budget", "good"));
        let none = view(standing(None, 900.0, 25));
        assert_eq!(
            (&*none.used, &*none.state),
            ("– of 1,000 credits", "no known day")
        );
    }

    #[test]
    fn a_budget_past_a_threshold_says_which_and_is_red_if_that_is_critical() {
        let (half, most) = (("used", 0.5, "warning"), ("used", 0.8, "critical"));
        let forecast = ("forecast", 0.9, "warning");
        let state = |used, expected| {
            let view = marked(standing(Some(used), expected, 0), &[half, most, forecast]);
            (view.state, view.class)
        };
        let both = |state: &str, class| (state.to_owned(), class);
        assert_eq!(state(499.0, 700.0), both("within budget", "good"));
        assert_eq!(state(500.0, 700.0), both("past 50%", "warn"));
        assert_eq!(state(800.0, 850.0), both("past 80%", "bad"));
        assert_eq!(state(100.0, 950.0), both("heading past 90%", "warn"));
        assert_eq!(
            state(600.0, 1_100.0),
            both("past 50%, expected to be exceeded", "warn")
        );
    }

    #[test]
    fn a_budget_links_to_its_agents_where_the_search_can_express_them() {
        let equals = |name: &str, text: &str| (name.to_owned(), Pattern::Equals(text.to_owned()));
        let list = |conditions: Vec<(String, Pattern)>| list_of(&Matcher::new(conditions));
        let two = vec![equals("agent_id", "a1"), equals("team", "cx")];
        assert_eq!(list(two), "?q=id%3Da1+team%3Dcx#agents");
        assert_eq!(list(vec![equals("team", "customer care")]), "");
        assert_eq!(list(vec![equals("team", "")]), "");
        assert_eq!(list(vec![equals("team", &"x".repeat(LONGEST_SEARCH))]), "");
        let regex = Pattern::regex("c.").unwrap();
        assert_eq!(
            list(vec![equals("account", "acme"), ("team".to_owned(), regex)]),
            ""
        );
        assert_eq!(list(vec![]), "", "all agents are no selection");
    }

    #[test]
    fn of_a_thousand_subjects_the_worst_are_cards_and_the_last_one_links_to_all() {
        let budget = |number: u32| BudgetSeries {
            name: "each team".into(),
            subject: Some(format!("team-{number}").into()),
            agent: None,
            matcher: Default::default(),
            standing: standing(Some(f64::from(number)), 100.0, 0),
            marks: Vec::new(),
        };
        let budgets: Vec<BudgetSeries> = (0..1_000).map(budget).collect();
        let cards = cards(&budgets, "2026-11-26T12:00:00Z".parse().unwrap());
        let names: Vec<&str> = cards.iter().map(|card| &*card.name).collect();
        assert_eq!((names.len(), names[0]), (6, "each team (team-999)"));
        let link = "api/v1/budgets?budget=each%20team".to_owned();
        let text = "All 1,000 subjects of each team as JSON".to_owned();
        assert_eq!(cards[5].all, Some((link, text)));
        assert!(cards[..5].iter().all(|card| card.all.is_none()));
    }

    #[test]
    fn a_budget_that_is_used_up_says_since_when() {
        let mut over = standing(Some(1_000.0), 1_300.0, 0);
        over.exhausted_at = Some("2026-11-24T06:00:00Z".parse().unwrap());
        let view = view(over);
        assert_eq!((&*view.state, view.class), ("used up", "bad"));
        assert_eq!(view.notes[2], "Used up on 24 Nov");
    }
}
