//! What a rule sees at one moment, by counting days one by one.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike, Utc};

use crate::alert::{Access, Check, Measure, Per, Rule, Span, Threshold};
use crate::budget::Cycle;
use crate::day::{Day, TRACKING_START, Usage};
use crate::forecast::{Outlook, Pattern};
use crate::ledger::Member;

/// What a rule says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Verdict {
    Yes,
    /// Data is missing since that day.
    Since(Day),
    /// What fires may go on.
    Edge,
    No,
    Unknown,
}

/// An agent and its known days.
pub(super) struct Known<'a> {
    pub(super) member: &'a Member,
    pub(super) days: &'a BTreeMap<Day, f64>,
}

/// All that is known at one moment.
pub(super) struct Sight<'a> {
    pub(super) now: DateTime<Utc>,
    pub(super) today: Day,
    pub(super) agents: Vec<Known<'a>>,
    pub(super) access: &'a Access,
}

/// How a budget stands in one period.
pub(super) struct Budget {
    pub(super) start: Day,
    pub(super) limit_credits: f64,
    used_credits: f64,
    is_known: bool,
    missing_days: usize,
    expected_credits: Option<f64>,
    is_over: bool,
}

impl Known<'_> {
    /// Whether anybody could know the day and does not.
    fn misses(&self, day: Day) -> bool {
        day >= TRACKING_START && !self.days.contains_key(&day)
    }

    fn credits(&self, day: Day) -> f64 {
        self.days.get(&day).copied().unwrap_or(0.0)
    }

    /// What is known to be used on these days, and whether that is all.
    fn sum(&self, first: Day, last: Day) -> (f64, bool) {
        let days = first.through(last);
        let is_all = !days.clone().any(|day| self.misses(day));
        (days.map(|day| self.credits(day)).sum(), is_all)
    }

    /// The middle one of the same weekday's figures in the eight weeks before `day`.
    fn usual(&self, day: Day) -> Option<f64> {
        let weeks = (1..=8).map(|week| day.plus(-7 * week));
        let mut figures: Vec<f64> = weeks
            .filter_map(|day| self.days.get(&day).copied())
            .collect();
        figures.sort_by(f64::total_cmp);
        let count = figures.len();
        if count < 3 {
            return None;
        }
        Some((figures[(count - 1) / 2] + figures[count / 2]) / 2.0)
    }

    fn pattern(&self, today: Day) -> Option<Pattern> {
        let recent = self.days.range(today.plus(-60)..today);
        let usage = |(day, credits): (&Day, &f64)| Usage {
            day: *day,
            credits: *credits,
        };
        Pattern::of(&recent.map(usage).collect::<Vec<_>>(), today)
    }

    fn subject(&self) -> String {
        let agent = &self.member.agent;
        format!("{}/{}", agent.account, agent.name)
    }
}

impl Sight<'_> {
    fn matching(&self, rule: &Rule) -> Vec<&Known<'_>> {
        let agents = self.agents.iter();
        agents
            .filter(|known| rule.matcher.matches(&known.member.agent))
            .collect()
    }

    /// What the rule says about each of its subjects.
    pub(super) fn subjects(&self, rule: &Rule, watched: Day) -> Vec<(String, Verdict)> {
        let agents = self.matching(rule);
        let each = |verdict: &dyn Fn(&Known<'_>) -> Verdict| {
            let verdict = |known: &&Known<'_>| (known.subject(), verdict(known));
            agents.iter().map(verdict).collect()
        };
        let yesterday = self.today.previous();
        let refused = |refused: Option<&bool>| refused.map_or(Verdict::Unknown, |is| yes(*is));
        match rule.check {
            Check::Usage { .. } => self.usage(rule, &agents),
            Check::Spike {
                factor,
                floor_credits,
                ..
            } => each(
                &|known| match (known.sum(yesterday, yesterday), known.usual(yesterday)) {
                    ((used, true), Some(usual)) => {
                        yes(used > factor * usual && used > floor_credits)
                    }
                    _ => Verdict::Unknown,
                },
            ),
            Check::MissingData { .. } => each(&|known| {
                let mut days = watched.through(yesterday);
                let oldest = days.find(|day| known.misses(*day));
                oldest.map_or(Verdict::No, Verdict::Since)
            }),
            Check::KeyRefused { .. } => {
                let accounts = agents.iter().map(|known| &known.member.agent.account);
                let accounts: BTreeSet<_> = accounts.collect();
                let verdict = |account| refused(self.access.key_refused.get(account));
                let verdicts = accounts.into_iter();
                verdicts
                    .map(|account| (account.to_string(), verdict(account)))
                    .collect()
            }
            Check::AgentRefused { .. } => {
                each(&|known| refused(self.access.agent_refused.get(&known.member.number)))
            }
            Check::Budget { .. } => unreachable!("budgets have periods"),
        }
    }

    fn usage(&self, rule: &Rule, agents: &[&Known<'_>]) -> Vec<(String, Verdict)> {
        let Check::Usage {
            span,
            per,
            over_credits,
            hysteresis,
            ..
        } = rule.check
        else {
            unreachable!("only usage is added up");
        };
        let first = match span {
            Span::PreviousDay => self.today.plus(-1),
            Span::Previous7Days => self.today.plus(-7),
            Span::Previous30Days => self.today.plus(-30),
            Span::MonthToDate => self.today.plus(1 - self.today.date().day() as i32),
        };
        let mut sums: BTreeMap<String, (f64, bool)> = BTreeMap::new();
        for known in agents {
            let subject = match per {
                Per::Agent => known.subject(),
                Per::Account => known.member.agent.account.to_string(),
                Per::Total => "all".to_owned(),
            };
            let sum = sums.entry(subject).or_insert((0.0, true));
            let (credits, is_all) = known.sum(first, self.today.previous());
            *sum = (sum.0 + credits, sum.1 && is_all);
        }
        // What is missing can only add to it.
        let verdict = |(sum, is_all): (f64, bool)| match is_all {
            _ if sum > over_credits => Verdict::Yes,
            false => Verdict::Unknown,
            true if sum > over_credits * (1.0 - hysteresis) => Verdict::Edge,
            true => Verdict::No,
        };
        sums.into_iter()
            .map(|(subject, sum)| (subject, verdict(sum)))
            .collect()
    }

    /// How the budget stands in the periods that are looked at, the current one last: it is the one
    /// that yesterday lies in. Others ended in the last week, and after the budget was first looked at.
    pub(super) fn budgets(&self, rule: &Rule, watched: Day) -> Vec<Budget> {
        let Check::Budget {
            limit_credits,
            cycle,
            ..
        } = rule.check
        else {
            unreachable!("only budgets have periods");
        };
        let yesterday = self.today.previous();
        let days = yesterday.plus(-7).through(yesterday);
        let mut periods: Vec<(Day, Option<Day>)> = days.map(|day| period(cycle, day)).collect();
        periods.dedup();
        let current = period(cycle, yesterday);
        periods.retain(|period| {
            let is_late = |end: Day| end.plus(7) >= self.today && end > watched;
            *period == current || period.1.is_some_and(is_late)
        });
        let budget = |(start, end)| self.budget(rule, start, end, limit_credits);
        periods.into_iter().map(budget).collect()
    }

    fn budget(&self, rule: &Rule, start: Day, end: Option<Day>, limit_credits: f64) -> Budget {
        let agents = self.matching(rule);
        let end_passed = end.map_or(self.today, |end| end.min(self.today));
        let mut budget = Budget {
            start,
            limit_credits,
            used_credits: 0.0,
            is_known: false,
            missing_days: 0,
            expected_credits: None,
            is_over: end.is_some_and(|end| end <= self.today),
        };
        let mut outlook = Outlook::default();
        let mut is_foreseen = false;
        for known in agents {
            let passed = start.through(end_passed.previous());
            budget.is_known |= passed.clone().any(|day| known.days.contains_key(&day));
            budget.used_credits += passed.clone().map(|day| known.credits(day)).sum::<f64>();
            let missing: Vec<Day> = passed.filter(|day| known.misses(*day)).collect();
            budget.missing_days += missing.len();
            let ahead = end_passed.through(end.unwrap_or(end_passed).previous());
            // One that is hardly known leaves the forecast to the others.
            if let Some(pattern) = known.pattern(self.today) {
                outlook.add(&pattern, missing.into_iter().chain(ahead));
                is_foreseen = end.is_some();
            }
        }
        let forecast = outlook.forecast(budget.used_credits);
        budget.expected_credits = is_foreseen.then_some(forecast.expected_credits);
        budget
    }
}

impl Budget {
    /// Whether the threshold is reached. What is used can only grow while days are missing.
    pub(super) fn verdict(&self, threshold: &Threshold) -> Verdict {
        let limit = threshold.ratio * self.limit_credits * (1.0 - 1e-9);
        match (threshold.measure, self.expected_credits) {
            (Measure::Used, _) => {
                if self.used_credits >= limit && self.is_known {
                    Verdict::Yes
                } else if self.missing_days > 0 {
                    Verdict::Unknown
                } else {
                    Verdict::No
                }
            }
            (Measure::Forecast, None) => Verdict::Unknown,
            (Measure::Forecast, Some(expected)) if expected < 0.95 * limit => Verdict::No,
            // What was expected of a period that is over is no news.
            (Measure::Forecast, Some(expected)) if expected < limit || self.is_over => {
                Verdict::Edge
            }
            (Measure::Forecast, Some(_)) => Verdict::Yes,
        }
    }
}

const fn yes(is: bool) -> Verdict {
    if is { Verdict::Yes } else { Verdict::No }
}

/// Start and end of the period that `day` lies in, found day by day.
fn period(cycle: Cycle, day: Day) -> (Day, Option<Day>) {
    if let Cycle::Total { start } = cycle {
        return (start, None);
    }
    let mut start = day;
    while !begins(cycle, start) {
        start = start.previous();
    }
    let mut end = day.next();
    while !begins(cycle, end) {
        end = end.next();
    }
    (start, Some(end))
}

/// Whether a period begins on `day`.
fn begins(cycle: Cycle, day: Day) -> bool {
    let date = day.date();
    match cycle {
        Cycle::Day => true,
        Cycle::Week => date.weekday() == chrono::Weekday::Mon,
        Cycle::Month { anchor_day } => {
            let is_last = day.next().date().day() == 1;
            date.day() == anchor_day || (is_last && date.day() < anchor_day)
        }
        Cycle::Total { start } => day == start,
    }
}
