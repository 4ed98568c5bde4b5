//! Use of agents by day, week or month, as JSON or as CSV.

use std::sync::Arc;

use hyper::header::{ACCEPT, CONTENT_DISPOSITION, VARY};

use super::agents::selected;
use super::page::Page;
use super::sheet::{self, Roll, Sheet, Usage};
use super::{MOST_DAYS, ledger, unreadable};
use crate::day::{Day, DayError};
use crate::exposition::weight;
use crate::former::Once;
use crate::http::problem::{Kind, Problem};
use crate::http::request::{Asked, Query, invalid, joined};
use crate::http::response::{self, Reply, set};
use crate::http::state::State;
use crate::ledger::{LedgerError, Member, View};
use crate::named::{Named, words};
use crate::nearest::nearest;
use crate::roster::printable;
use crate::tabulate::Step;
use crate::window::{Range, RangeError, WindowError};

/// Default number of days, as in FlowGent's API.
const DEFAULT_DAYS: u16 = 7;
/// The most days that a page of JSON covers, those of all its agents together: whoever reads it has all of it in memory.
const MOST_DAYS_OF_AGENTS: u32 = 50_000;

/// Format of usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// JSON, or CSV for whoever prefers it.
    Negotiated,
    /// CSV, also for those who do not ask for it: the path says so.
    Csv,
}

/// `/api/v1/usage`: usage of the selected agents, as pages of JSON or as one CSV table.
pub(super) async fn usage(
    state: &State,
    asked: &Asked<'_>,
    query: &Query,
    form: Form,
) -> Result<Reply, Problem> {
    let as_csv = form == Form::Csv || prefers_csv(&joined(asked.headers, &ACCEPT));
    let page = if as_csv {
        Page::or_all(query)?
    } else {
        Page::of(query)?
    };
    let range = range(query, state.clock.today())?;
    let step = step(query)?;
    let view = ledger(state)?;
    let today = state.clock.today();
    let roll = roll(&view, state.board.members(), range.start()).await;
    let roll = roll.map_err(|error| unreadable(&error))?;
    let all = selected(roll.iter(), query)?;
    let total = all.len();
    let fitting = match as_csv {
        true => usize::MAX,
        false => (MOST_DAYS_OF_AGENTS / range.days()).max(1) as usize,
    };
    let shown = page.part(&all);
    let shown = &shown[..shown.len().min(fitting)];
    let once = {
        let chosen: Vec<&Member> = all.iter().map(|place| roll.at(*place)).collect();
        Once::read(&view, &chosen, (range.start(), range.end()), today).await
    };
    let once = once.map_err(|error| unreadable(&error))?;
    let (media_type, written) = match as_csv {
        true => ("text/csv; charset=utf-8", sheet::Form::Csv),
        false => {
            let page = Usage {
                start: range.start(),
                end: range.end(),
                step: step.as_str(),
                extent: page.extent(total),
                agents: Vec::new(),
            };
            ("application/json", sheet::Form::Json(page))
        }
    };
    let sheet = Sheet::new(view, once, (roll, shown), (range, step), written);
    let mut reply = response::in_parts(media_type, sheet.parts()).await?;
    match form {
        Form::Negotiated => set(&mut reply, VARY, "Accept"),
        Form::Csv => {
            let name = "attachment; filename=\"usage.csv\"";
            set(&mut reply, CONTENT_DISPOSITION, name);
        }
    }
    if !as_csv {
        page.link(&mut reply, asked, query, shown.len(), total);
    }
    Ok(reply)
}

/// These agents, which are there, and after them those that have left and may have days from `start` on.
async fn roll(view: &View, present: Arc<[Member]>, start: Day) -> Result<Roll, LedgerError> {
    let numbers = present.iter().map(|member| member.number).collect();
    let mut former = view.absent(numbers, start).await?;
    former.sort_by(|one, other| {
        let order = |member: &Member| {
            let agent = &member.agent;
            (
                Arc::clone(&agent.account),
                Arc::clone(&agent.name),
                member.number,
            )
        };
        order(one).cmp(&order(other))
    });
    Ok(Roll {
        present,
        former: former.into(),
    })
}

/// Requested days, checked by FlowGent's rules except for the length of the range.
fn range(query: &Query, today: Day) -> Result<Range, Problem> {
    let (start, end) = (query.one("start")?, query.one("end")?);
    let range = Range::asked(start, end, DEFAULT_DAYS, today).map_err(|error| bad_range(&error))?;
    match range.days() {
        ..=MOST_DAYS => Ok(range),
        days => Err(Problem::new(
            Kind::DateRangeTooLarge,
            format!("Date range cannot exceed {MOST_DAYS} days: {range} is {days}"),
        )),
    }
}

/// Error about the days, in FlowGent's words and with the days themselves.
fn bad_range(error: &RangeError) -> Problem {
    let (kind, detail) = match error {
        RangeError::StartMissing { .. } => (
            Kind::InvalidDateRange,
            "start is required when end is provided (format: YYYY-MM-DD)".to_owned(),
        ),
        RangeError::Day(error @ DayError::Format(_)) => (
            Kind::InvalidDateFormat,
            format!("Dates must be in YYYY-MM-DD format: {error}"),
        ),
        RangeError::Day(error @ DayError::Calendar(_)) => (
            Kind::InvalidDates,
            format!("Provided dates are not valid: {error}"),
        ),
        RangeError::Days(WindowError::StartAfterEnd { start, end }) => (
            Kind::InvalidDateRange,
            format!("start must not be after end: {start} is after {end}"),
        ),
        RangeError::Days(WindowError::EndTooRecent { end, yesterday }) => (
            Kind::InvalidEndDate,
            format!(
                "end cannot be today or in the future, and {end} is. Data is only available up to \
                 yesterday, {yesterday}."
            ),
        ),
        RangeError::Days(error @ WindowError::TooLong { .. }) => {
            (Kind::DateRangeTooLarge, error.to_string())
        }
    };
    Problem::new(kind, detail)
}

fn step(query: &Query) -> Result<Step, Problem> {
    let Some(word) = query.one("step")? else {
        return Ok(Step::Day);
    };
    let step = Step::from_word(word);
    step.ok_or_else(|| {
        let tip = match nearest(word, &words::<Step>()) {
            Some(near) => format!("; did you mean `{near}`?"),
            None => String::new(),
        };
        let word = printable(word);
        invalid(format!(
            "`step` is `day`, `week` or `month`, not `{word}`{tip}"
        ))
    })
}

/// Reports if a client with that header Accept prefers CSV to JSON.
fn prefers_csv(accept: &str) -> bool {
    weight(accept, &["text/csv", "text/*", "*/*"])
        > weight(accept, &["application/json", "application/*", "*/*"])
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: &str = "2026-11-23";

    #[test]
    fn bad_days_are_told_in_flowgents_words() {
        for (text, expected) in [
            (
                "end=2026-11-22",
                "Invalid date range: start is required when end is provided (format: YYYY-MM-DD)",
            ),
            (
                "start=yesterday",
                "Invalid date format: Dates must be in YYYY-MM-DD format: `yesterday` is not in \
                 YYYY-MM-DD format",
            ),
            (
                "start=2026-02-30",
                "Invalid dates: Provided dates are not valid: `2026-02-30` is not a day of the calendar",
            ),
            (
                "start=2026-11-02&end=2026-11-01",
                "Invalid date range: start must not be after end: 2026-11-02 is after 2026-11-01",
            ),
            (
                "start=2026-11-02&end=2026-11-23",
                "Invalid end date: end cannot be today or in the future, and 2026-11-23 is. Data is \
                 only available up to yesterday, 2026-11-22.",
            ),
            (
                "start=2016-11-14&end=2026-11-22",
                "Date range too large: Date range cannot exceed 3660 days: 2016-11-14 through \
                 2026-11-22 is 3661",
            ),
        ] {
            let query = Query::parse(text).unwrap();
            let problem = range(&query, TODAY.parse().unwrap()).unwrap_err();
            let told = format!("{}: {}", problem.title(), problem.detail());
            assert_eq!(told, expected, "{text}");
        }
    }

    #[test]
    fn days_are_asked_for_as_of_flowgent_and_as_many_as_ten_years() {
        for (text, expected) in [
            ("", "2026-11-16 through 2026-11-22"),
            ("start=2026-11-20", "2026-11-20 through 2026-11-22"),
            ("start=2016-11-15", "2016-11-15 through 2026-11-22"),
        ] {
            let query = Query::parse(text).unwrap();
            let range = range(&query, TODAY.parse().unwrap()).unwrap();
            assert_eq!(range.to_string(), expected, "{text}");
        }
    }

    #[test]
    fn steps_are_three_words() {
        let step = |text| step(&Query::parse(text).unwrap());
        assert_eq!(step(""), Ok(Step::Day));
        assert_eq!(step("step=month"), Ok(Step::Month));
        let problem = step("step=Weeks").unwrap_err();
        assert_eq!(
            problem.detail(),
            "`step` is `day`, `week` or `month`, not `Weeks`; did you mean `week`?"
        );
    }

    #[test]
    fn csv_is_for_those_who_would_rather_have_it() {
        for (accept, csv) in [
            ("", false),
            ("*/*", false),
            ("text/csv", true),
            ("Text/CSV;q=0.5", true),
            ("text/*", true),
            ("text/csv, application/json", false),
            ("text/csv;q=0.9, application/json;q=0.8", true),
            ("text/csv;q=0.5, */*;q=0.8", false),
            ("text/csv;header=present;q=1, */*;q=0.1", true),
            ("text/csv;q=0", false),
            ("text/csv;q=NaN", false),
            ("text/html,application/xhtml+xml,*/*;q=0.8", false),
        ] {
            assert_eq!(prefers_csv(accept), csv, "{accept}");
        }
    }
}
