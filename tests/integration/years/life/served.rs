//! What a scrape is served, read as a database reads it: every figure is exact, or absent.

use std::collections::HashMap;

use flowgent_exporter::day::{Day, TRACKING_START};

use super::balances::Left;
use super::budgets::period;
use super::oracle::Fires;
use super::plan::AgentId;
use super::roll::Known;
use super::scene::Scene;

/// The lines of a text in the exposition format: each series with its value.
struct Served<'a>(HashMap<&'a str, f64>);

impl<'a> Served<'a> {
    fn parse(text: &'a str) -> Result<Self, String> {
        let mut series = HashMap::new();
        let lines = text.lines().filter(|line| line.starts_with("flowgent_"));
        for line in lines {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let value = value.parse().map_err(|_| format!("not a sample: {line}"))?;
            if series.insert(name, value).is_some() {
                return Err(format!("{name} is served twice"));
            }
        }
        Ok(Self(series))
    }

    fn get(&self, series: &str) -> Option<f64> {
        self.0.get(series).copied()
    }

    /// Account, name and id of each agent.
    fn agents(&self) -> impl Iterator<Item = [&'a str; 3]> {
        let infos = self.0.keys();
        infos.filter_map(|series| {
            let labels = series.strip_prefix("flowgent_agent_info{")?;
            let value = |name: &str| {
                let (_, rest) = labels.split_once(&format!("{name}=\""))?;
                Some(rest.split_once('"')?.0)
            };
            Some(["account", "agent", "agent_id"].map(|name| value(name).unwrap()))
        })
    }
}

impl Scene {
    /// What is served is exact, or absent.
    pub(crate) fn check_served(&mut self) {
        let text = self.process().served();
        let served = match Served::parse(&text) {
            Ok(served) => served,
            Err(text) => return self.fail(text),
        };
        let mut wrong = Vec::new();
        self.check_counters(&served, &mut wrong);
        if self.agrees() {
            self.check_figures(&served, &mut wrong);
            self.check_budgets(&served, &mut wrong);
            self.check_balances(&served, &mut wrong);
            self.check_firing(&served, &mut wrong);
        }
        wrong.sort();
        wrong.into_iter().for_each(|text| self.fail(text));
    }

    fn check_counters(&mut self, served: &Served<'_>, wrong: &mut Vec<String>) {
        for (series, value) in &served.0 {
            if !series.starts_with("flowgent_agent_used_credits_total{") {
                continue;
            }
            let Some(before) = self.counters.get_mut(*series) else {
                self.counters.insert((*series).to_owned(), *value);
                continue;
            };
            if value < before {
                wrong.push(format!("{series} falls from {before} to {value}"));
            }
            *before = *value;
        }
    }

    fn check_figures(&self, served: &Served<'_>, wrong: &mut Vec<String>) {
        let today = self.today();
        let month = today.month_start();
        let last_month = month.previous().month_start();
        let spans = [
            ("previous_day", today.previous(), today.previous()),
            ("previous_7_days", today.plus(-7), today.previous()),
            ("previous_30_days", today.plus(-30), today.previous()),
            ("month_to_date", month, today.previous()),
            ("previous_month", last_month, month.previous()),
        ];
        for [account, name, id] in served.agents() {
            let id: AgentId = id.parse().unwrap();
            let Some(known) = self.roll.agents.get(&(account.to_owned(), id)) else {
                wrong.push(format!(
                    "{account}/{id} is served, and nobody has listed it"
                ));
                continue;
            };
            for (span, first, last) in spans {
                let series = format!(
                    "flowgent_agent_{span}_credits{{account=\"{account}\",agent=\"{name}\"}}"
                );
                let (value, expected) = (served.get(&series), exact(known, first, last));
                let is_right = match (value, expected) {
                    // Days from before the history start may be known, and are not shown.
                    (None, _) if first < self.plan.history_start => true,
                    (None, None) => true,
                    (Some(value), Some(expected)) => {
                        (value - expected).abs() <= 1e-9 * expected.max(1.0)
                    }
                    _ => false,
                };
                if !is_right {
                    wrong.push(format!("{series} is {value:?}, exact is {expected:?}"));
                }
            }
        }
    }

    /// What is served of each budget is what is known to be used in its current period.
    fn check_budgets(&self, served: &Served<'_>, wrong: &mut Vec<String>) {
        let today = self.today();
        for budget in &self.plan.budgets {
            let (start, end) = period(budget.cycle, today.previous());
            let last = end.map_or(today, |end| end.min(today)).previous();
            for (subject, matcher, _) in budget.limits(&self.roll) {
                let sum = self.roll.sum(&matcher, start, last);
                let (name, label) = match budget.per {
                    None => (budget.name.clone(), String::new()),
                    Some(_) => (
                        format!("{} of {subject}", budget.name),
                        format!(",subject=\"{subject}\""),
                    ),
                };
                let whose = format!("{{budget=\"{}\"{label}}}", budget.name);
                let value = |what: &str| served.get(&format!("flowgent_budget_{what}{whose}"));
                let found = value("period_start_timestamp_seconds");
                // Who has left is no subject of a later period.
                if budget.per.is_some() && found.is_none() && sum.credits == 0.0 && sum.missing == 0
                {
                    continue;
                }
                let expected = start.start().timestamp() as f64;
                if found != Some(expected) {
                    wrong.push(format!(
                        "budget {name} is of the period from {found:?} on, not {start} ({expected})"
                    ));
                    continue;
                }
                let used = value("used_credits").unwrap_or(0.0);
                if (used - sum.credits).abs() > 1e-6 * sum.credits.max(1.0) {
                    wrong.push(format!(
                    "budget {name} of the period from {start} on: {used} credits are served, {} are used",
                    sum.credits
                ));
                }
                let missing = value("missing_days").unwrap_or(-1.0);
                if !(sum.missing as f64..=sum.perhaps_missing as f64).contains(&missing) {
                    wrong.push(format!(
                    "budget {name} of the period from {start} on: {missing} days are said to be missing, \
                     not {} to {}",
                    sum.missing, sum.perhaps_missing
                ));
                }
            }
        }
    }

    /// What is served of each balance is what is left of it, and for how many days.
    fn check_balances(&self, served: &Served<'_>, wrong: &mut Vec<String>) {
        for balance in &self.plan.balances {
            let name = &balance.name;
            let value =
                |what: &str| served.get(&format!("flowgent_balance_{what}{{balance=\"{name}\"}}"));
            let credits = value("credits");
            let left = Left::of(balance, &self.roll, self.today());
            let Some(left) = left else {
                if credits.is_some() {
                    wrong.push(format!(
                        "balance {name}: {credits:?} credits; expected: none"
                    ));
                }
                continue;
            };
            if credits.is_none_or(|credits| (credits - left.credits).abs() > left.tolerance()) {
                wrong.push(format!(
                    "balance {name}: {credits:?} credits are left; expected: {}",
                    left.credits
                ));
            }
            let sum = left.sum;
            let missing = value("missing_days").unwrap_or(-1.0);
            if !(sum.missing as f64..=sum.perhaps_missing as f64).contains(&missing) {
                wrong.push(format!(
                    "balance {name}: {missing} days are said to be missing; expected: {} to {}",
                    sum.missing, sum.perhaps_missing
                ));
            }
            let days = value("days_left");
            let is_right = match (days, left.days) {
                (None, None) => true,
                (None, Some([_, high])) => high.is_infinite(),
                (Some(_), None) => false,
                (Some(days), Some([low, high])) => (low - 1e-4..=high + 1e-4).contains(&days),
            };
            if !is_right {
                wrong.push(format!(
                    "balance {name} is said to last {days:?} days; expected: {:?}",
                    left.days
                ));
            }
        }
    }

    /// What fires is served as firing, and nothing else.
    fn check_firing(&self, served: &Served<'_>, wrong: &mut Vec<String>) {
        let mut subjects: HashMap<(&str, &str), (bool, bool)> = HashMap::new();
        for (key, life) in &self.oracle.lives {
            let fires = subjects.entry((&life.rule, life.subject(key))).or_default();
            fires.0 |= life.fires == Fires::Yes;
            fires.1 |= life.fires == Fires::Either;
        }
        let floor = self.office.floor();
        for ((rule, subject), (fires, may_fire)) in subjects {
            let series = format!("flowgent_alert_firing{{rule=\"{rule}\",subject=\"{subject}\"}}");
            let found = served.get(&series) == Some(1.0);
            if found != fires && !may_fire {
                wrong.push(format!("{series} is {found}; expected: {fires}"));
            }
            let is_silenced = floor.silences.hold(&format!("{rule}/{subject}"), self.now);
            let series = series.replace("_firing", "_silenced");
            let found = served.get(&series) == Some(1.0);
            if found != is_silenced && (fires || !is_silenced) {
                wrong.push(format!("{series} is {found}; expected: {is_silenced}"));
            }
        }
    }
}

/// The credits of the days, if all are known.
fn exact(known: &Known, first: Day, last: Day) -> Option<f64> {
    let mut sum = 0.0;
    for day in first.max(TRACKING_START).through(last) {
        sum += known.days.get(day)?;
    }
    Some(sum)
}
