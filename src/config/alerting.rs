//! `[alerts]`, `[[budget]]`, `[[balance]]` and `[[rule]]` → [`alert::Settings`], but for its routes, which are the
//! hooks'.

use toml::Spanned;
use toml::de::DeValue;

use super::check::{Check, listed, one_of, word};
use super::diagnostics::Fault;
use super::read::{Misfit, Section, Value};
use super::rules::alerting as rules;
use super::rules::day;
use super::world::World;
use crate::alert::{self, Measure, Per, Rule, Severity, Span, Threshold};
use crate::budget::Cycle;
use crate::day::Day;
use crate::ledger::KEPT_RUNS;
use crate::named::named;
use crate::nearest::nearest;
use crate::probe::DEFAULT_FAILURES;
use crate::roster::{Matcher, Pattern, printable};
use crate::server;
use crate::summary;

const KINDS: [&str; 9] = [
    "usage",
    "spike",
    "drop",
    "silent",
    "missing_data",
    "key_refused",
    "agent_refused",
    "probe",
    "no_credits",
];

named! {
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Period {
        Day = "day",
        Week = "week",
        Month = "month",
        Total = "total",
    }
}

/// The keys that only some kinds of rules have.
const KEYS: [(&str, &[&str]); 9] = [
    ("over", &["usage"]),
    ("span", &["usage"]),
    ("per", &["usage"]),
    ("hysteresis", &["usage"]),
    ("factor", &["spike", "drop"]),
    ("floor", &["spike", "drop"]),
    ("days", &["silent"]),
    ("longer_than", &["missing_data"]),
    ("times", &["probe"]),
];

impl Check<'_> {
    pub(super) fn dashboard_url(
        &mut self,
        mut alerts: Section<'_>,
        server: &server::Settings,
    ) -> Option<String> {
        self.optional(&mut alerts, "dashboard_url", rules::dashboard_url)
            .or_else(|| server.own_page())
    }

    /// All budgets, balances and rules, in the order in which they are written, budgets first.
    pub(super) fn alert_rules(
        &mut self,
        sections: [Vec<Section<'_>>; 3],
        world: &World<'_>,
    ) -> Vec<Rule> {
        let sections = sections.into_iter().flatten();
        sections
            .filter_map(|mut section| {
                let repeat = self.optional(&mut section, "repeat", rules::repeat);
                let rule = match section.kind {
                    "budget" => self.budget(section, world),
                    "balance" => self.balance(section, world),
                    _ => self.rule(section, world),
                };
                rule.map(|rule| Rule { repeat, ..rule })
            })
            .collect()
    }

    fn budget(&mut self, mut budget: Section<'_>, world: &World<'_>) -> Option<Rule> {
        let budget = &mut budget;
        let name = self.name(budget);
        let matcher = self.matcher(budget, world);
        let per = self.per(budget, world);
        let is_each = budget.place("per").is_some() || per.is_some();
        let limits = self.limits(budget, is_each);
        let period = self.needed(budget, ["period", "\"month\""], one_of);
        let cycle = self.cycle(budget, period, world.history_start);
        let thresholds = self.thresholds(budget, period);
        let hooks = self.hook_names(budget, world);
        Some(Rule {
            name: name?.into(),
            matcher,
            check: alert::Check::Budget {
                limits: limits?,
                per,
                cycle: cycle?,
                thresholds,
            },
            hooks,
            repeat: None,
        })
    }

    /// Says which budgets and balances need days from before the history start.
    pub(super) fn look_for_earlier_days(
        &mut self,
        rules: &[Rule],
        summaries: &[summary::Settings],
        history_start: Day,
    ) {
        let rules = rules
            .iter()
            .filter_map(|rule| Some((rule.check.kind(), &rule.name, rule.reach()?)));
        let summaries = summaries
            .iter()
            .map(|one| ("summary", &one.name, one.reach()));
        for (kind, name, reach) in rules.chain(summaries) {
            let first_day = reach.first_day(self.today);
            if let Some(first_day) = first_day.filter(|day| *day < history_start) {
                self.warnings.push(format!(
                    "{kind} {name} needs days from {first_day}; they are fetched though `history_start` is \
                     {history_start}"
                ));
            }
        }
    }

    /// Says which rules never fire because days settle too late for them.
    pub(super) fn look_for_late_drops(&mut self, rules: &[Rule], settle_days: i32) {
        let is_late = |rule: &&Rule| matches!(rule.check, alert::Check::Drop { .. });
        let late = rules.iter().filter(is_late).filter(|_| settle_days > 7);
        let warnings = late.map(|rule| {
            format!(
                "rule `{}` never fires: days settle after {settle_days} days, and it looks at the last 7",
                printable(&rule.name)
            )
        });
        self.warnings.extend(warnings);
    }

    fn cycle(
        &mut self,
        budget: &mut Section<'_>,
        period: Option<Period>,
        history_start: Day,
    ) -> Option<Cycle> {
        for (key, needed, name) in [
            ("anchor_day", Period::Month, "month"),
            ("start", Period::Total, "total"),
        ] {
            if let Some(place) = budget.place(key)
                && period.is_some_and(|period| period != needed)
            {
                let fault = Fault::new(format!("`{key}` belongs to budgets of period `{name}`"));
                self.refuse(place, fault);
            }
        }
        let anchor_day = self.whole(budget, "anchor_day", 1, 1..=31);
        // It may lie ahead, or before the history start.
        let start = self.optional(budget, "start", |text| day(text, "start "));
        Some(match period? {
            Period::Day => Cycle::Day,
            Period::Week => Cycle::Week,
            Period::Month => Cycle::Month { anchor_day },
            Period::Total => Cycle::Total {
                start: start.unwrap_or(history_start),
            },
        })
    }

    /// Reads the thresholds of a budget, those of use first. One without a severity of its own has the budget's.
    fn thresholds(&mut self, budget: &mut Section<'_>, period: Option<Period>) -> Vec<Threshold> {
        let severity = self.optional(budget, "severity", one_of);
        let unforeseeable = match period {
            Some(Period::Day) => {
                Some("a day is over once it is known: nothing is left to forecast")
            }
            Some(Period::Total) => Some("a total has no end, so it has no forecast"),
            Some(Period::Week | Period::Month) | None => None,
        };
        let [used, forecast] = ["thresholds", "forecast_thresholds"]
            .map(|key| (budget.place(key), budget.length(key)));
        if let (Some(reason), (Some(place), Some(1..))) = (unforeseeable, &forecast) {
            let fault = Fault::new(reason).help("leave `forecast_thresholds` out");
            self.refuse(place.clone(), fault);
        }
        let forecasts: &[f64] = if unforeseeable.is_some() { &[] } else { &[1.0] };
        if used.1 == Some(0) && forecast.1.unwrap_or(forecasts.len()) == 0 {
            let fault = Fault::new(format!("{} has no threshold", budget.owner))
                .help("add one, such as `thresholds = [0.5, 0.8, 1.0]`");
            self.refuse(used.0.unwrap_or(budget.header.clone()), fault);
        }
        let default = [0.5, 0.8, 1.0];
        let mut all = self.shares(budget, "thresholds", Measure::Used, &default, severity);
        let (key, measure) = ("forecast_thresholds", Measure::Forecast);
        all.extend(self.shares(budget, key, measure, forecasts, severity));
        all
    }

    /// The shares of a budget, or what is left of a balance: each worse than the one before.
    pub(super) fn shares(
        &mut self,
        section: &mut Section<'_>,
        key: &'static str,
        measure: Measure,
        default: &[f64],
        severity: Option<Severity>,
    ) -> Vec<Threshold> {
        let usual = |at: f64| match (severity, measure) {
            (Some(severity), _) => severity,
            (None, Measure::Used) if at >= 1.0 => Severity::Critical,
            (None, Measure::CreditsLeft) if at <= 0.0 => Severity::Critical,
            (None, Measure::DaysLeft) if at <= 2.0 => Severity::Critical,
            (None, _) => Severity::Warning,
        };
        let threshold = |at: f64, severity| Threshold {
            measure,
            at,
            severity,
        };
        let (order, example) = match measure {
            Measure::Used | Measure::Forecast => ("ascending", "0.8"),
            Measure::CreditsLeft => ("descending", "1000"),
            Measure::DaysLeft => ("descending", "7"),
        };
        let Some(list) = section.get::<Vec<Spanned<DeValue<'_>>>>(key) else {
            let defaults = default.iter();
            return defaults.map(|at| threshold(*at, usual(*at))).collect();
        };
        let mut thresholds: Vec<Threshold> = Vec::new();
        for element in list.into_inner() {
            let mut place = element.span();
            let rule = |at| rules::threshold(measure, at);
            let (at, severity) = match element.get_ref() {
                DeValue::Table(table) => {
                    let table = Spanned::new(place.clone(), table.clone());
                    let mut table = section.inner(key, table, true);
                    "this threshold".clone_into(&mut table.owner);
                    place = table.place("at").unwrap_or(place);
                    let at = self.needed_value(&mut table, ["at", example], rule);
                    let severity = table.get("severity");
                    let severity = self.meaning(severity, |text: String| one_of(&text));
                    (at, severity)
                }
                _ => match f64::read(&element) {
                    Ok(at) => (
                        self.meaning(Some(Spanned::new(place.clone(), at)), rule),
                        None,
                    ),
                    Err(_) => {
                        let expected = "a number or a table with `at`";
                        section.misfit(key, &Misfit::new(&element, expected, true));
                        continue;
                    }
                },
            };
            let Some(at) = at else { continue };
            let new = threshold(at, severity.unwrap_or(usual(at)));
            let last = thresholds.last();
            if let Some(last) = last.filter(|last| last.height() >= new.height()) {
                let fault = if last.at == at {
                    Fault::new(format!("threshold {at} is listed twice"))
                } else {
                    Fault::new(format!("threshold {at} comes after {}", last.at))
                        .help(format!("write them in {order} order"))
                };
                self.refuse(place, fault);
                continue;
            }
            thresholds.push(new);
        }
        thresholds
    }

    fn rule(&mut self, mut rule: Section<'_>, world: &World<'_>) -> Option<Rule> {
        let rule = &mut rule;
        let name = self.name(rule);
        let kind = self.needed(rule, ["kind", "\"usage\""], |text| word(text, &KINDS));
        let matcher = self.matcher(rule, world);
        let hooks = self.hook_names(rule, world);
        rule.may_have(&KEYS.map(|(key, _)| key));
        rule.may_have(&["severity"]);
        for (key, needed) in KEYS {
            let Some(kind) = kind.filter(|kind| !needed.contains(kind)) else {
                continue;
            };
            if let Some(place) = rule.place(key) {
                let fault = Fault::new(format!(
                    "`{key}` belongs to rules of kind {}, and this one is of kind `{kind}`",
                    listed(needed)
                ));
                self.refuse(place, fault);
            }
            rule.skip(key);
        }
        // Without a kind nothing can be said of the keys that depend on it.
        let check = self.rule_check(rule, kind?);
        Some(Rule {
            name: name?.into(),
            matcher,
            check: check?,
            hooks,
            repeat: None,
        })
    }

    /// Reads the keys of a rule of that kind.
    fn rule_check(&mut self, rule: &mut Section<'_>, kind: &str) -> Option<alert::Check> {
        let usual = match kind {
            "key_refused" | "no_credits" => Severity::Critical,
            _ => Severity::Warning,
        };
        let severity = self.choice(rule, "severity", usual);
        Some(match kind {
            "usage" => alert::Check::Usage {
                span: self.choice(rule, "span", Span::PreviousDay),
                per: self.choice(rule, "per", Per::Agent),
                hysteresis: self.value(rule, "hysteresis", 0.1, rules::hysteresis),
                severity,
                over_credits: self.needed_value(
                    rule,
                    ["over", "1000"],
                    rules::at_least_zero("over"),
                )?,
            },
            "spike" => alert::Check::Spike {
                factor: self.value(rule, "factor", 3.0, rules::above("factor", 1.0)),
                floor_credits: self.value(rule, "floor", 10.0, rules::at_least_zero("floor")),
                severity,
            },
            "drop" => alert::Check::Drop {
                factor: self.value(rule, "factor", 0.2, rules::below_one("factor")),
                floor_credits: self.value(rule, "floor", 10.0, rules::at_least_zero("floor")),
                severity,
            },
            "silent" => alert::Check::Silent {
                days: self.whole(rule, "days", 3, 1..=28),
                severity,
            },
            "missing_data" => alert::Check::MissingData {
                longer_than: self.duration(rule, "longer_than", "36h", ["1h", "30days"]),
                severity,
            },
            "key_refused" => alert::Check::KeyRefused { severity },
            "probe" => alert::Check::Probe {
                only: None,
                times: self.whole(rule, "times", DEFAULT_FAILURES.into(), 1..=KEPT_RUNS as i64),
                severity,
            },
            "no_credits" => alert::Check::NoCredits { severity },
            _ => alert::Check::AgentRefused { severity },
        })
    }

    /// The conditions of a budget, balance or rule.
    pub(super) fn matcher(&mut self, section: &mut Section<'_>, world: &World<'_>) -> Matcher {
        let mut written = section.section("match");
        let rest: Vec<_> = written.rest().collect();
        let mut conditions = Vec::with_capacity(rest.len());
        let mut unknown = Vec::new();
        for (name, value) in rest {
            let pattern = self.pattern(&written, name.get_ref(), &value);
            if let Err(fault) = rules::condition_name(name.get_ref()) {
                self.refuse(name.span(), fault);
                continue;
            }
            let name = name.into_inner();
            let built_in = matches!(name.as_str(), "account" | "agent" | "agent_id");
            if !built_in && world.is_unknown_label(&name) {
                unknown.push(name.clone());
            }
            conditions.extend(pattern.map(|pattern| (name, pattern)));
        }
        let matcher = Matcher::new(conditions);
        let owner = &section.owner;
        for name in &unknown {
            self.warn_of_unknown_label(owner, "matches by", name, world);
        }
        // One mistake is told once.
        if unknown.is_empty() && !world.may_match(&matcher) {
            self.warnings
                .push(format!("{owner} matches no agent: {matcher}"));
        }
        matcher
    }

    /// Warns of a label that no agent has, if it is one, which `owner` uses.
    pub(super) fn warn_of_unknown_label(
        &mut self,
        owner: &str,
        uses: &str,
        name: &str,
        world: &World<'_>,
    ) {
        if !world.is_unknown_label(name) {
            return;
        }
        let known: Vec<_> = world.labels.iter().flatten().copied().collect();
        let near = nearest(name, &known);
        let near = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        self.warnings.push(format!(
            "{owner} {uses} `{}`, which is a label of no agent{near}",
            printable(name)
        ));
    }

    /// Reads one condition: the `value` that a label, an account or an agent must have.
    fn pattern<'i>(
        &mut self,
        conditions: &Section<'i>,
        name: &str,
        value: &Spanned<DeValue<'i>>,
    ) -> Option<Pattern> {
        match value.get_ref() {
            DeValue::String(text) => Some(Pattern::Equals(text.to_string())),
            DeValue::Array(_) => self.meaning(conditions.fit(name, value), rules::one_of),
            DeValue::Table(table) => {
                let table = Spanned::new(value.span(), table.clone());
                let mut table = conditions.inner(name, table, false);
                "this table".clone_into(&mut table.owner);
                self.needed(&mut table, ["regex", "\"…\""], rules::regular_expression)
            }
            _ => {
                let expected = "a string, an array of strings or a table with `regex`";
                conditions.misfit(name, &Misfit::new(value, expected, false));
                None
            }
        }
    }
}
