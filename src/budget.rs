//! Pure: how much of a budget its agents have used in a period, and where that is heading.
//!
//! The period that counts on a day is the one that *yesterday* lies in, since yesterday is the newest
//! day that anyone can know: on the first of December, November's budget stands as it ended.

pub mod words;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::day::{Day, TRACKING_START, Usage};
use crate::forecast::{Forecast, Outlook, Pattern};
use crate::ledger::Member;
use crate::tabulate::Step;

/// Days after the end of a period in which its last days may still come.
const LATE_DAYS: i32 = 7;
/// Number of days that a period without end is looked ahead.
const LOOK_AHEAD_DAYS: i32 = 365;
/// Number of top users in messages.
pub const TOP_AGENTS: usize = 3;

/// Periods of budgets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cycle {
    /// Every UTC day.
    Day,
    /// Every Monday.
    Week,
    /// Every month on that day, 1 to 31; where a month is shorter, on its last day.
    Month {
        /// The day of the month.
        anchor_day: u32,
    },
    /// Never: it counts from that day on.
    Total {
        /// The first day that counts.
        start: Day,
    },
}

/// Limits of a budget: of all its agents together, or of each of its subjects.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Limits {
    /// Limit of a subject without one of its own; if absent, only named subjects have a limit.
    pub default: Option<f64>,
    /// Limits of named subjects.
    pub named: BTreeMap<Arc<str>, f64>,
}

impl Limits {
    /// The limit of `subject`, if it has one.
    #[must_use]
    pub fn of(&self, subject: &str) -> Option<f64> {
        self.named.get(subject).copied().or(self.default)
    }
}

impl From<f64> for Limits {
    fn from(default: f64) -> Self {
        Self {
            default: Some(default),
            named: BTreeMap::new(),
        }
    }
}

impl fmt::Display for Limits {
    /// As in a rule's definition: `100 credits, acme/support 800 credits`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let default = self.default.map(|limit| format!("{limit} credits"));
        let named = self.named.iter();
        let named = named.map(|(subject, limit)| format!("{subject} {limit} credits"));
        let all: Vec<String> = default.into_iter().chain(named).collect();
        f.write_str(&all.join(", "))
    }
}

/// The days from `start` up to, but not including, `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period {
    /// The first day.
    pub start: Day,
    /// The day after the last one; none if it never ends.
    pub end: Option<Day>,
}

/// Standing of a budget in one period.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// The period.
    pub period: Period,
    /// The budget.
    pub limit_credits: f64,
    /// Credits known to be used: all of them if no day is missing, else a lower bound. None if days
    /// have passed and nothing at all is known of them.
    pub used_credits: Option<f64>,
    /// Days of agents that have passed and are not known.
    pub missing_days: u32,
    /// Use expected by the end of the period; none for a period without an end, or if no agent has
    /// enough known days. Of an agent that has too few, no more than what is known is expected.
    pub forecast: Option<Forecast>,
    /// Time at which use reached the limit, or is expected to within the period, interpolated within the day. A
    /// period without end is looked ahead for a year.
    pub exhausted_at: Option<DateTime<Utc>>,
    /// Credits per day that are expected from now on, on the average of a week.
    pub pace_credits_per_day: Option<f64>,
    /// Those who used most, at most three, descending; none who used nothing.
    pub top: Vec<(Member, f64)>,
    /// Number of its agents.
    pub agents: usize,
}

impl Period {
    /// Returns true if all its days have passed on the day `today`.
    #[must_use]
    pub fn is_over(self, today: Day) -> bool {
        self.end.is_some_and(|end| end <= today)
    }
}

impl Cycle {
    /// The periods that may still change on the day `today`, oldest first: the one that yesterday lies in,
    /// and those before it that ended so shortly ago that their last days may come late.
    #[must_use]
    pub fn open_periods(self, today: Day) -> Vec<Period> {
        let mut periods = vec![self.period_of(today.previous())];
        let mut start = periods[0].start;
        loop {
            let period = self.period_of(start.previous());
            let is_late = |end: Day| today.since(end) <= LATE_DAYS;
            // The period before a total is that total.
            if period.start >= start || !period.end.is_some_and(is_late) {
                break;
            }
            periods.push(period);
            start = period.start;
        }
        periods.reverse();
        periods
    }

    /// The period that `day` lies in. One before the start of a total lies in that total.
    #[must_use]
    pub fn period_of(self, day: Day) -> Period {
        let (start, end) = match self {
            Self::Day => (day, day.next()),
            Self::Week => {
                let monday = Step::Week.first_day(day);
                (monday, monday.plus(7))
            }
            Self::Month { anchor_day } => {
                let month = day.month_start();
                let anchor = anchor(month, anchor_day);
                if anchor <= day {
                    (anchor, self::anchor(next_month(month), anchor_day))
                } else {
                    let previous = month.previous().month_start();
                    (self::anchor(previous, anchor_day), anchor)
                }
            }
            Self::Total { start } => return Period { start, end: None },
        };
        Period {
            start,
            end: Some(end),
        }
    }
}

/// The first day of the month after the one that starts with `month`.
fn next_month(month: Day) -> Day {
    month.plus(31).month_start()
}

/// The anchor day of the month that starts with `month`, its last one if it is too short.
fn anchor(month: Day, anchor_day: u32) -> Day {
    let days = i32::try_from(anchor_day).unwrap_or(i32::MAX);
    month.plus(days - 1).min(next_month(month).previous())
}

impl Standing {
    /// The part of the limit that is used, 1 being all of it; none if that is not known or the limit is
    /// zero.
    #[must_use]
    pub fn used_ratio(&self) -> Option<f64> {
        let used = self.used_credits.filter(|_| self.limit_credits > 0.0)?;
        Some(used / self.limit_credits)
    }

    /// The day on which it was exhausted, or is expected to be. What is exhausted at midnight is exhausted
    /// by the day that ends then.
    #[must_use]
    pub fn last_day(&self) -> Option<Day> {
        let at = self.exhausted_at? - TimeDelta::milliseconds(1);
        Some(Day::of(at))
    }
}

/// Adds up agents, one after the other, to a [`Standing`].
#[derive(Debug, Clone)]
pub struct Tally {
    period: Period,
    /// The day that it is, or the day after the period if that is over: the days before it have passed.
    passed_end: Day,
    /// Of each day that has passed.
    passed: Vec<Passed>,
    /// Returns true if any day of any agent is known.
    is_known: bool,
    missing_days: u32,
    /// Of the agents that have a pattern: what is expected of their missing days and of those to come.
    outlook: Outlook,
    agents: usize,
    top: Vec<(Member, f64)>,
}

/// Credits of all agents on a day that has passed.
#[derive(Debug, Clone, Copy, Default)]
struct Passed {
    /// Those known to be used.
    known: f64,
    /// Those expected of the agents of whom the day is missing.
    expected: f64,
}

impl Tally {
    /// Nobody's use in `period` yet, as of the UTC day `today`.
    #[must_use]
    pub fn new(period: Period, today: Day) -> Self {
        let passed_end = period.end.map_or(today, |end| end.min(today));
        let days = usize::try_from(passed_end.since(period.start)).unwrap_or(0);
        Self {
            period,
            // A period that has yet to start begins with days to come.
            passed_end: passed_end.max(period.start),
            passed: vec![Passed::default(); days],
            is_known: false,
            missing_days: 0,
            outlook: Outlook::default(),
            agents: 0,
            top: Vec::with_capacity(TOP_AGENTS + 1),
        }
    }

    /// The first day that counts.
    #[must_use]
    pub const fn start(&self) -> Day {
        self.period.start
    }

    /// Adds an agent. `recent` holds its known days, ascending and each once, at least from the start
    /// of the period on. Days from `asked_until` on are not missing: nobody asks for them.
    pub fn add(
        &mut self,
        member: &Member,
        recent: &[Usage],
        pattern: Option<&Pattern>,
        asked_until: Day,
    ) {
        let (start, end) = (self.period.start, self.passed_end);
        let recent = &recent[..recent.partition_point(|usage| usage.day < end)];
        let recent = &recent[recent.partition_point(|usage| usage.day < start)..];
        let mut used = 0.0;
        for usage in recent {
            self.passed[place(start, usage.day)].known += usage.credits;
            used += usage.credits;
        }
        self.agents += 1;
        self.is_known |= !recent.is_empty();
        self.rank(member, used);

        let missing = missing(start.max(TRACKING_START), end.min(asked_until), recent);
        let count = u32::try_from(missing.len()).unwrap_or(u32::MAX);
        self.missing_days = self.missing_days.saturating_add(count);
        // One that has just begun, or whose id is wrong, leaves the forecast to the others.
        let Some(pattern) = pattern else {
            return;
        };
        for day in &missing {
            self.passed[place(start, *day)].expected += pattern.expected_credits(*day);
        }
        self.outlook.add(pattern, missing);
    }

    /// Returns the standing of a budget of `limit_credits` for the agents that were added.
    #[must_use]
    pub fn standing(&self, limit_credits: f64) -> Standing {
        let used = self.passed.iter().fold(0.0, |sum, day| sum + day.known);
        // What nobody has asked for is zero, and what is missing is not.
        let is_known = self.is_known || (self.agents > 0 && self.missing_days == 0);
        let is_foreseen = !self.outlook.is_empty();
        let week = self.passed_end.through(self.passed_end.plus(6));
        Standing {
            period: self.period,
            limit_credits,
            used_credits: (self.passed.is_empty() || is_known).then_some(used),
            missing_days: self.missing_days,
            forecast: self.period.end.filter(|_| is_foreseen).map(|end| {
                let ahead = self.passed_end.through(end.previous());
                self.outlook.forecast_with(used, ahead)
            }),
            exhausted_at: self.exhausted_at(limit_credits),
            pace_credits_per_day: is_foreseen.then(|| {
                let credits = week.map(|day| self.outlook.expected_credits(day));
                credits.sum::<f64>() / 7.0
            }),
            top: self.top.clone(),
            agents: self.agents,
        }
    }

    /// Returns when a period without end with this standing is exhausted: by the high bound of use, which is the
    /// earlier one, and by the low one; none of what is over a year away.
    #[must_use]
    pub fn exhaustion_bounds(&self, standing: &Standing) -> [Option<DateTime<Utc>>; 2] {
        let limit = standing.limit_credits;
        let used = standing.used_credits.unwrap_or(0.0);
        if self.outlook.is_empty() || used >= limit {
            return [standing.exhausted_at; 2];
        }
        let mut bounds = [None; 2];
        let mut before = [used; 2];
        for number in 0..=LOOK_AHEAD_DAYS {
            let next = self.passed_end.plus(number);
            let ahead = self.passed_end.through(next.previous());
            let forecast = self.outlook.forecast_with(used, ahead);
            let after = [forecast.high_credits, forecast.low_credits];
            for (bound, (before, after)) in bounds.iter_mut().zip(before.iter_mut().zip(after)) {
                if bound.is_none() && after >= limit {
                    let part = (limit - *before) / (after - *before);
                    // By what is expected of missing days alone, it is exhausted already.
                    let day = if number == 0 { next } else { next.previous() };
                    *bound = Some(within(day, if number == 0 { 0.0 } else { part }));
                }
                *before = after;
            }
            if bounds.iter().all(Option::is_some) {
                break;
            }
        }
        // Where days are missing, what is expected may lie in the past.
        let [early, late] = bounds;
        let expected = standing.exhausted_at;
        [
            early.into_iter().chain(expected).min(),
            late.map(|late| expected.map_or(late, |expected| late.max(expected))),
        ]
    }

    /// Keeps an agent if it is among those who used most.
    fn rank(&mut self, member: &Member, used: f64) {
        let rank = self.top.partition_point(|(_, credits)| *credits >= used);
        if used > 0.0 && rank < TOP_AGENTS {
            self.top.insert(rank, (member.clone(), used));
            self.top.truncate(TOP_AGENTS);
        }
    }

    /// Time at which use, known or expected, adds up to the limit.
    fn exhausted_at(&self, limit_credits: f64) -> Option<DateTime<Utc>> {
        let start = self.period.start;
        if limit_credits <= 0.0 {
            return Some(start.start());
        }
        let passed = self.passed.iter().map(|day| day.known + day.expected);
        let last = match self.period.end {
            Some(end) => end.previous(),
            None => self.passed_end.plus(LOOK_AHEAD_DAYS - 1),
        };
        let ahead = self.passed_end.through(last);
        let ahead = ahead.map(|day| self.outlook.expected_credits(day));
        let mut used = 0.0;
        for (number, credits) in (0..).zip(passed.chain(ahead)) {
            if used + credits >= limit_credits {
                return Some(within(start.plus(number), (limit_credits - used) / credits));
            }
            used += credits;
        }
        None
    }
}

/// The instant when that part of `day` has passed.
fn within(day: Day, part: f64) -> DateTime<Utc> {
    let milliseconds = (part.clamp(0.0, 1.0) * 86_400_000.0).round() as i64;
    day.start() + TimeDelta::milliseconds(milliseconds)
}

/// Place of `day` in a list of days that begins with `start`, which is not after it.
fn place(start: Day, day: Day) -> usize {
    day.since(start).unsigned_abs() as usize
}

/// The days from `first` up to, but not including, `end` that are not among the `known` ones, which
/// ascend.
fn missing(first: Day, end: Day, known: &[Usage]) -> Vec<Day> {
    let known = &known[..known.partition_point(|usage| usage.day < end)];
    let known = &known[known.partition_point(|usage| usage.day < first)..];
    if usize::try_from(end.since(first)).is_ok_and(|days| days <= known.len()) || end <= first {
        return Vec::new();
    }
    let mut known = known.iter().peekable();
    first
        .through(end.previous())
        .filter(|day| known.next_if(|usage| usage.day == *day).is_none())
        .collect()
}

#[cfg(test)]
mod tests;
