//! The usage endpoint: its date rules, its answer, and the ways to spoil that.
//!
//! The rules are the API document's, written down a second time on purpose: [`crate::window`] is what
//! the client believes, and here is what it is held against.

use std::borrow::Cow;

use chrono::Datelike;
use url::form_urlencoded;

use super::faults::Fault;
use super::refusal::{
    END_TOO_RECENT, INVALID_DATE_FORMAT, INVALID_DATES, MISSING_START_DATE, RANGE_TOO_LARGE,
    Refusal, START_AFTER_END,
};
use crate::day::{Day, DayError, TRACKING_START, Usage};
use crate::flowgent::wire;
use crate::window::MAX_DAYS;

/// Days in the answer if none are asked for.
const DEFAULT_DAYS: i32 = 7;
/// The id of no agent of any world.
const FOREIGN_AGENT: &str = "00000000-0000-4000-8000-000000000000";
/// Said if days before that one were asked for.
const NOTE: &str = "Endpoint active from 28 May 2025 onwards";
/// Above this, not every whole number is a double, and the plain notation grows long.
const WHOLE_LIMIT: f64 = 9_007_199_254_740_992.0;

/// First and last day that a query asks for, on the UTC day `today`.
pub(super) fn range(query: &str, today: Day) -> Result<(Day, Day), Refusal> {
    let (mut start, mut end) = (None, None);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "start_date" => start = start.or(Some(value)),
            "end_date" => end = end.or(Some(value)),
            _ => {}
        }
    }
    let yesterday = today.previous();
    let (start, end) = match (start, end) {
        (None, None) => return Ok((today.plus(-DEFAULT_DAYS), yesterday)),
        (None, Some(_)) => return Err(MISSING_START_DATE),
        (Some(start), end) => dates(&start, end, yesterday)?,
    };
    if start > end {
        return Err(START_AFTER_END);
    }
    if end >= today {
        return Err(END_TOO_RECENT);
    }
    if end.since(start) + 1 > MAX_DAYS {
        return Err(RANGE_TOO_LARGE);
    }
    Ok((start, end))
}

/// Both dates are looked at for their form before either is looked up in the calendar.
fn dates(start: &str, end: Option<Cow<'_, str>>, yesterday: Day) -> Result<(Day, Day), Refusal> {
    let start = start.parse::<Day>();
    let end = end.map_or(Ok(yesterday), |end| end.parse());
    match (start, end) {
        (Ok(start), Ok(end)) => Ok((start, end)),
        (Err(DayError::Format(_)), _) | (_, Err(DayError::Format(_))) => Err(INVALID_DATE_FORMAT),
        _ => Err(INVALID_DATES),
    }
}

/// Contents of an answer.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) agent_id: &'a str,
    pub(super) start: Day,
    pub(super) end: Day,
    /// Newest first.
    pub(super) days: Vec<Usage>,
}

impl Report<'_> {
    fn total(&self) -> f64 {
        // Not by sum, which makes nothing minus zero.
        self.days.iter().fold(0.0, |sum, usage| sum + usage.credits)
    }

    fn has_note(&self) -> bool {
        self.start < TRACKING_START
    }

    /// The answer as JSON text, written directly: whole numbers without a fraction, as JavaScript
    /// prints them, and several times as fast as by way of [`Report::answer`].
    pub(super) fn json(&self) -> Vec<u8> {
        let mut json = Vec::with_capacity(256 + 48 * self.days.len());
        json.extend_from_slice(br#"{"agent_id":"#);
        serde_json::to_writer(&mut json, self.agent_id)
            .expect("text can be written to memory as JSON");
        json.extend_from_slice(br#","time_range":{"start":""#);
        put_date(&mut json, self.start);
        json.extend_from_slice(br#"T00:00:00.000Z","end":""#);
        put_date(&mut json, self.end);
        json.extend_from_slice(br#"T23:59:59.999Z"},"usage":{"total_credits_used":"#);
        put_credits(&mut json, self.total());
        json.extend_from_slice(br#","daily_breakdown":["#);
        for (position, usage) in self.days.iter().enumerate() {
            if position > 0 {
                json.push(b',');
            }
            json.extend_from_slice(br#"{"date":""#);
            put_date(&mut json, usage.day);
            json.extend_from_slice(br#"","credits_used":"#);
            put_credits(&mut json, usage.credits);
            json.push(b'}');
        }
        json.extend_from_slice(b"]}");
        if self.has_note() {
            json.extend_from_slice(br#","note":""#);
            json.extend_from_slice(NOTE.as_bytes());
            json.push(b'"');
        }
        json.push(b'}');
        json
    }

    /// The answer as a value, to be spoilt.
    fn answer(&self) -> wire::UsageAnswer {
        let daily_breakdown = self.days.iter().map(|usage| wire::DailyUsage {
            date: usage.day.to_string(),
            credits_used: usage.credits,
        });
        wire::UsageAnswer {
            agent_id: self.agent_id.to_owned(),
            time_range: wire::TimeRange {
                start: format!("{}T00:00:00.000Z", self.start),
                end: format!("{}T23:59:59.999Z", self.end),
            },
            usage: wire::Usage {
                total_credits_used: self.total(),
                daily_breakdown: daily_breakdown.collect(),
            },
            note: self.has_note().then(|| NOTE.to_owned()),
        }
    }

    /// The answer as JSON text with one fault in it, and no other: unless the total is what is
    /// wrong, it fits the days. An answer without days has nothing to spoil.
    pub(super) fn spoilt(&self, fault: Fault) -> Vec<u8> {
        let mut answer = self.answer();
        let days = &mut answer.usage.daily_breakdown;
        let Some(newest) = days.first().cloned() else {
            return self.json();
        };
        match fault {
            Fault::MissingDay => drop(days.remove(0)),
            Fault::DuplicateDay => days.push(newest),
            Fault::ContradictingDay => days.push(wire::DailyUsage {
                credits_used: newest.credits_used + 1.0,
                ..newest
            }),
            Fault::ForeignDay => days.push(wire::DailyUsage {
                date: self.start.previous().to_string(),
                credits_used: 1.0,
            }),
            Fault::NegativeDay => days[0].credits_used = -1.0,
            Fault::HugeValue => days[0].credits_used = 1e13,
            Fault::MalformedDate => days[0].date = newest.date.replace('-', "/"),
            Fault::ForeignAgent => answer.agent_id = FOREIGN_AGENT.to_owned(),
            Fault::ContradictingRange => {
                answer.time_range.start = format!("{}T00:00:00.000Z", self.start.previous());
            }
            // A wrong total is below, and no other fault concerns usage.
            _ => {}
        }
        answer.usage.total_credits_used = match fault {
            Fault::WrongTotal => self.total() + 5.0,
            // A day that is told twice counts once.
            Fault::DuplicateDay | Fault::ContradictingDay => self.total(),
            _ => days.iter().fold(0.0, |sum, day| sum + day.credits_used),
        };
        serde_json::to_vec(&answer).expect("an answer of texts and finite numbers is JSON")
    }
}

/// Appends `day` as YYYY-MM-DD.
fn put_date(json: &mut Vec<u8>, day: Day) {
    let date = day.date();
    let year = date.year().unsigned_abs();
    for (position, pair) in [year / 100, year % 100, date.month(), date.day()]
        .into_iter()
        .enumerate()
    {
        if position >= 2 {
            json.push(b'-');
        }
        json.extend([pair / 10 % 10, pair % 10].map(|digit| b'0' + digit as u8));
    }
}

/// Appends a finite number.
fn put_credits(json: &mut Vec<u8>, credits: f64) {
    if credits.fract() == 0.0 && credits.abs() < WHOLE_LIMIT {
        #[allow(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
        let whole = credits as i64;
        json.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
    } else {
        json.extend_from_slice(zmij::Buffer::new().format(credits).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    const TODAY: &str = "2026-11-23";

    fn asked(query: &str) -> Result<(String, String), Refusal> {
        range(query, day(TODAY)).map(|(start, end)| (start.to_string(), end.to_string()))
    }

    fn days(start: &str, end: &str) -> Result<(String, String), Refusal> {
        Ok((start.to_owned(), end.to_owned()))
    }

    #[test]
    fn without_dates_the_seven_days_ending_yesterday_are_meant() {
        assert_eq!(asked(""), days("2026-11-16", "2026-11-22"));
        assert_eq!(asked("other=1"), days("2026-11-16", "2026-11-22"));
    }

    #[test]
    fn a_start_alone_means_through_yesterday() {
        assert_eq!(
            asked("start_date=2026-11-01"),
            days("2026-11-01", "2026-11-22")
        );
        assert_eq!(
            asked("start_date=2026-11-22"),
            days("2026-11-22", "2026-11-22")
        );
        assert_eq!(asked("start_date=2026-11-23"), Err(START_AFTER_END));
        assert_eq!(asked("start_date=2026-10-22"), Err(RANGE_TOO_LARGE));
    }

    #[test]
    fn thirty_one_days_are_the_most() {
        assert_eq!(
            asked("start_date=2026-10-23&end_date=2026-11-22"),
            days("2026-10-23", "2026-11-22")
        );
        assert_eq!(
            asked("start_date=2026-10-22&end_date=2026-11-22"),
            Err(RANGE_TOO_LARGE)
        );
    }

    #[test]
    fn dates_that_break_a_rule_are_refused_by_the_first_that_applies() {
        for (query, refusal) in [
            ("end_date=2026-11-22", MISSING_START_DATE),
            ("end_date=nonsense", MISSING_START_DATE),
            ("start_date=&end_date=2026-11-22", INVALID_DATE_FORMAT),
            ("start_date=2026-11-1", INVALID_DATE_FORMAT),
            ("start_date=01-11-2026", INVALID_DATE_FORMAT),
            ("start_date=2026-11-01T00:00:00Z", INVALID_DATE_FORMAT),
            ("start_date=2026-02-30&end_date=today", INVALID_DATE_FORMAT),
            ("start_date=2025-02-30", INVALID_DATES),
            ("start_date=2026-11-01&end_date=2026-13-01", INVALID_DATES),
            ("start_date=2026-11-20&end_date=2026-11-19", START_AFTER_END),
            ("start_date=2026-11-25&end_date=2026-11-24", START_AFTER_END),
            ("start_date=2026-11-20&end_date=2026-11-23", END_TOO_RECENT),
            ("start_date=2020-01-01&end_date=2027-01-01", END_TOO_RECENT),
            ("start_date=2020-01-01&end_date=2026-11-22", RANGE_TOO_LARGE),
        ] {
            assert_eq!(asked(query), Err(refusal), "{query}");
        }
    }

    #[test]
    fn the_first_of_repeated_parameters_counts_and_they_are_decoded() {
        assert_eq!(
            asked("start_date=2026%2D11-20&start_date=x&end_date=2026-11-21&end_date=2026-11-22"),
            days("2026-11-20", "2026-11-21")
        );
    }

    fn report(start: &str, credits: &[f64]) -> Report<'static> {
        let start = day(start);
        let mut days: Vec<_> = (0..)
            .zip(credits)
            .map(|(number, credits)| Usage {
                day: start.plus(number),
                credits: *credits,
            })
            .collect();
        days.reverse();
        Report {
            agent_id: "quote \" and back\\slash",
            start,
            end: days.first().map_or(start, |usage| usage.day),
            days,
        }
    }

    #[test]
    fn the_written_answer_is_what_serde_writes() {
        for report in [
            report("2026-11-01", &[3.0, 0.0, 1e6, 12.0]),
            report("2025-05-26", &[0.0, 0.0, 7.0]),
            report("2026-02-28", &[0.25, 1e12, 0.1]),
            report("2026-02-28", &[]),
        ] {
            let json = String::from_utf8(report.json()).unwrap();
            let answer = report.answer();
            let by_serde = serde_json::to_string(&answer).unwrap();
            // Serde writes whole doubles with a fraction of zero.
            let whole = by_serde.replace(".0,", ",").replace(".0}", "}");
            assert_eq!(json, whole);
            assert_eq!(
                serde_json::from_str::<wire::UsageAnswer>(&json).unwrap(),
                answer
            );
        }
    }

    #[test]
    fn the_note_comes_only_with_days_before_tracking() {
        assert!(report("2025-05-27", &[0.0, 1.0]).answer().note.is_some());
        assert!(report("2025-05-28", &[0.0, 1.0]).answer().note.is_none());
    }

    #[test]
    fn a_spoilt_answer_has_exactly_one_fault() {
        let report = report("2026-11-01", &[1.0, 2.0, 3.0]);
        let spoilt = |fault| {
            let answer =
                serde_json::from_slice::<wire::UsageAnswer>(&report.spoilt(fault)).unwrap();
            let days = answer.usage.daily_breakdown.iter();
            let days: Vec<_> = days
                .map(|day| format!("{} {}", day.date, day.credits_used))
                .collect();
            (days.join(", "), answer.usage.total_credits_used)
        };
        let full = "2026-11-03 3, 2026-11-02 2, 2026-11-01 1";
        for (fault, days, total) in [
            (Fault::WrongTotal, full.to_owned(), 11.0),
            (
                Fault::MissingDay,
                "2026-11-02 2, 2026-11-01 1".to_owned(),
                3.0,
            ),
            (Fault::DuplicateDay, format!("{full}, 2026-11-03 3"), 6.0),
            (
                Fault::ContradictingDay,
                format!("{full}, 2026-11-03 4"),
                6.0,
            ),
            (Fault::ForeignDay, format!("{full}, 2026-10-31 1"), 7.0),
            (Fault::NegativeDay, full.replace("03 3", "03 -1"), 2.0),
            (
                Fault::HugeValue,
                full.replace("03 3", "03 10000000000000"),
                1e13 + 3.0,
            ),
            (
                Fault::MalformedDate,
                full.replace("2026-11-03", "2026/11/03"),
                6.0,
            ),
            (Fault::ForeignAgent, full.to_owned(), 6.0),
            (Fault::ContradictingRange, full.to_owned(), 6.0),
        ] {
            assert_eq!(spoilt(fault), (days, total), "{fault:?}");
        }
    }
}
