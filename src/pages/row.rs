//! Pure: an agent as a row of the list.

use super::chart::{Days, sparkline};
use super::figure::{Shown, counted, lacking, shortened};
use super::list::Health;
use crate::day::{Day, Usage};
use crate::ledger::Member;
use crate::series::Figures;
use crate::words;

/// Number of days in a row's chart.
pub(super) const SPARK_DAYS: i32 = 60;
/// The most letters of a reason.
const REASON: usize = 200;

/// An agent as a row of the list.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) link: String,
    pub(super) name: String,
    pub(super) account: String,
    /// Yesterday, 7 days, 30 days, this month, and what is expected of this month.
    pub(super) figures: [Shown; 5],
    /// A chart of the last days; none if the ledger cannot be read.
    pub(super) spark: Option<String>,
    pub(super) missing: Shown,
    pub(super) health: Health,
    /// Why the last fetch failed; empty if it did not.
    pub(super) reason: String,
}

impl Row {
    /// The row of `member`. `days` are its days of the last [`SPARK_DAYS`] that are known, with the
    /// history start, where the ledger can be read; `problem` is what went wrong with it in the last sync.
    pub(super) fn of(
        member: &Member,
        figures: &Figures,
        days: Option<(Day, &[Usage])>,
        problem: Option<&str>,
        today: Day,
    ) -> Self {
        let days = days.map(|(history_start, known)| {
            Days::of(
                today.plus(-SPARK_DAYS),
                today.previous(),
                history_start,
                known,
            )
        });
        let health = Health::of(figures);
        let reason = match (health, problem) {
            (Health::Failing, Some(problem)) => shortened(problem, REASON),
            (Health::Failing, None) => "the last fetch failed".to_owned(),
            (Health::Incomplete | Health::Waiting | Health::Complete, _) => String::new(),
        };
        Self {
            link: super::agent_link(&member.agent),
            name: member.agent.name.to_string(),
            account: member.agent.account.to_string(),
            figures: shown(figures, days.as_ref(), today),
            missing: missing(figures.missing_days, days.as_ref(), today),
            spark: days.as_ref().map(sparkline),
            health,
            reason,
        }
    }
}

/// The figures of a row, each with the days that it lacks where it is not known.
pub(super) fn shown(figures: &Figures, days: Option<&Days>, today: Day) -> [Shown; 5] {
    let lacking = |first: Day| {
        let missing = days.iter().flat_map(|days| days.missing());
        let missing: Vec<Day> = missing.filter(|day| *day >= first).collect();
        self::lacking(&missing, today)
    };
    let [yesterday, week, days_30, month, forecast, _] = figures.periods();
    let shown = |(credits, known), first| Shown::of(credits, known, || lacking(first));
    [
        shown(yesterday, today.previous()),
        shown(week, today.plus(-7)),
        shown(days_30, today.plus(-30)),
        shown(month, today.month_start()),
        Shown::of(forecast.0, forecast.1, || {
            "too few known days for a forecast".to_owned()
        }),
    ]
}

/// Number of missing days, with the newest of them.
fn missing(number: u64, days: Option<&Days>, today: Day) -> Shown {
    let text = words::grouped(&number.to_string());
    let missing: Vec<Day> = days.iter().flat_map(|days| days.missing()).collect();
    let title = match (number > 0, missing.len()) {
        (false, _) => String::new(),
        (true, 0) => "none in the last 60 days".to_owned(),
        (true, listed) if listed as u64 >= number => lacking(&missing, today),
        (true, listed) => format!(
            "{}; {} in the last 60 days",
            lacking(&missing, today),
            counted(listed, "day", "days")
        ),
    };
    Shown {
        title,
        ..Shown::plain(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::AgentNumber;
    use crate::roster::Agent;
    use crate::series::{self, Totals};

    fn member(name: &str) -> Member {
        Member {
            agent: Agent {
                account: "a b".into(),
                id: "id-1".into(),
                name: name.into(),
                labels: Default::default(),
            },
            number: AgentNumber(1),
            unlisted_since: None,
            left_on: None,
        }
    }

    fn usage(day: Day) -> Usage {
        Usage { day, credits: 1.0 }
    }

    #[test]
    fn a_figure_that_is_not_known_says_which_days_it_lacks() {
        let today: Day = "2026-11-26".parse().unwrap();
        let mut known: Vec<Usage> = today
            .plus(-60)
            .through(today.previous())
            .map(usage)
            .collect();
        known.retain(|usage| ![today.plus(-1), today.plus(-9)].contains(&usage.day));
        let mut figures = series::figures(&Totals::default(), &known, today.plus(-60), today);
        figures.up = Some(false);
        figures.missing_days = 2;
        let days = Some((today.plus(-100), &known[..]));
        let row = Row::of(
            &member("x"),
            &figures,
            days,
            Some("server error 500"),
            today,
        );
        let titles: Vec<&str> = row.figures.iter().map(|shown| &*shown.title).collect();
        let both = "25 Nov and 17 Nov are missing";
        let one = "25 Nov is missing";
        assert_eq!(titles, [one, one, both, both, ""]);
        let texts: Vec<&str> = row.figures.iter().map(|shown| &*shown.text).collect();
        // One credit a day is expected of the missing days, too.
        assert_eq!(texts, ["–", "≥ 6", "≥ 28", "≥ 23", "30"]);
        assert_eq!((&*row.missing.text, &*row.missing.title), ("2", both));
        assert_eq!(row.health, Health::Failing);
        assert_eq!(row.reason, "server error 500");
        assert!(row.spark.unwrap().contains("class=\"gap\""));
    }

    #[test]
    fn an_agent_is_linked_by_a_path_that_leads_to_it() {
        let today: Day = "2026-11-26".parse().unwrap();
        for (name, link) in [
            ("support", "agents/a%20b/support"),
            ("a/b?#%\"<", "agents/a%20b/a%2Fb%3F%23%25%22%3C"),
            ("é", "agents/a%20b/%C3%A9"),
            // Of which a browser would make `agents/`.
            ("..", "agents/a%20b/id-1"),
        ] {
            let row = Row::of(&member(name), &Figures::default(), None, None, today);
            assert_eq!(row.link, link);
            assert_eq!(row.name, name);
        }
    }
}
