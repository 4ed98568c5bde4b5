//! `[alerts]`, `[[budget]]`, `[[balance]]` and `[[rule]]` → [`alert::Settings`], but for its routes, which are the
//! hooks'.

use std::ops::Range;

use toml::Spanned;

use super::check::{Check, one_of, place, title};
use super::diagnostics::Fault;
use super::file::{self, Condition, Conditions, Section, Text, Thresholds};
use super::rules::alerting as rules;
use super::world::World;
use crate::alert::{self, Measure, Per, Rule, Severity, Span, Threshold};
use crate::budget::Cycle;
use crate::day::Day;
use crate::http;
use crate::nearest::nearest;
use crate::roster::{self, Matcher, printable};

const DEFAULT_THRESHOLDS: [f64; 3] = [0.5, 0.8, 1.0];
const DEFAULT_FORECAST_THRESHOLDS: [f64; 1] = [1.0];
const DEFAULT_ANCHOR_DAY: i64 = 1;
const DEFAULT_HYSTERESIS: f64 = 0.1;
const DEFAULT_FACTOR: f64 = 3.0;
const DEFAULT_FLOOR: f64 = 10.0;
const DEFAULT_LONGER_THAN: &str = "36h";

const PERIODS: [(&str, Period); 4] = [
    ("day", Period::Day),
    ("week", Period::Week),
    ("month", Period::Month),
    ("total", Period::Total),
];

const KINDS: [(&str, Kind); 5] = [
    ("usage", Kind::Usage),
    ("spike", Kind::Spike),
    ("missing_data", Kind::MissingData),
    ("key_refused", Kind::KeyRefused),
    ("agent_refused", Kind::AgentRefused),
];

const SEVERITIES: [(&str, Severity); 3] = [
    (Severity::Info.as_str(), Severity::Info),
    (Severity::Warning.as_str(), Severity::Warning),
    (Severity::Critical.as_str(), Severity::Critical),
];

const SPANS: [(&str, Span); 4] = [
    (Span::PreviousDay.as_str(), Span::PreviousDay),
    (Span::Previous7Days.as_str(), Span::Previous7Days),
    (Span::Previous30Days.as_str(), Span::Previous30Days),
    (Span::MonthToDate.as_str(), Span::MonthToDate),
];

const PERS: [(&str, Per); 3] = [
    ("agent", Per::Agent),
    ("account", Per::Account),
    ("total", Per::Total),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Period {
    Day,
    Week,
    Month,
    Total,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Usage,
    Spike,
    MissingData,
    KeyRefused,
    AgentRefused,
}

impl Kind {
    fn name(self) -> &'static str {
        KINDS
            .into_iter()
            .find(|(_, kind)| *kind == self)
            .map_or("", |(name, _)| name)
    }
}

impl Check<'_> {
    pub(super) fn dashboard_url(
        &mut self,
        alerts: file::Alerts,
        server: &http::Settings,
    ) -> Option<String> {
        let file::Alerts { dashboard_url } = alerts;
        self.optional(dashboard_url, |text| rules::dashboard_url(text))
            .or_else(|| server.own_page())
    }

    /// All budgets, balances and rules, in the order in which they are written, budgets first.
    pub(super) fn alert_rules(
        &mut self,
        budgets: Vec<Section<file::Budget>>,
        balances: Vec<Section<file::Balance>>,
        rules: Vec<Section<file::Rule>>,
        world: &World<'_>,
    ) -> Vec<Rule> {
        let of_budgets = budgets.iter().filter_map(|one| one.table.name.as_ref());
        let of_rules = rules.iter().filter_map(|one| one.table.name.as_ref());
        let of_balances = balances.iter().filter_map(|one| one.table.name.as_ref());
        let mut names: Vec<_> = of_budgets.chain(of_balances).chain(of_rules).collect();
        names.sort_by_key(|name| name.span().start);
        self.refuse_repeated_names("budget, balance or rule", names.into_iter());
        let mut checked = Vec::new();
        for budget in budgets {
            checked.extend(self.budget(budget, world));
        }
        for balance in balances {
            checked.extend(self.balance(balance, world));
        }
        for rule in rules {
            checked.extend(self.rule(rule, world));
        }
        checked
    }

    fn budget(&mut self, section: Section<file::Budget>, world: &World<'_>) -> Option<Rule> {
        let Section {
            span: header,
            table,
        } = section;
        let file::Budget {
            name,
            conditions,
            credits,
            period,
            anchor_day,
            start,
            thresholds,
            forecast_thresholds,
            severity,
            hooks,
        } = table;
        let owner = title("budget", name.as_ref());
        let name = self.required(name, "budget", "name", &header, roster::check_name);
        let matcher = self.matcher(&owner, conditions, world);
        let limit_credits = self.needed(credits, &owner, ["credits", "5000"], &header, |credits| {
            rules::credits(*credits)
        });
        let period = self.needed(period, &owner, ["period", "\"month\""], &header, |text| {
            one_of(text, &PERIODS)
        });
        let cycle = self.cycle(period, anchor_day, start, world.history_start);
        let severity = self.optional(severity, |text| one_of(text, &SEVERITIES));
        let written = (thresholds, forecast_thresholds);
        let thresholds = self.thresholds(&owner, &header, period, written, severity);
        let hooks = self.hook_names(hooks, world);
        Some(Rule {
            name: name?.into(),
            matcher,
            check: alert::Check::Budget {
                limit_credits: limit_credits?,
                cycle: cycle?,
                thresholds,
            },
            hooks,
        })
    }

    /// Says which budgets and balances need days from before the history start.
    pub(super) fn look_for_earlier_days(&mut self, rules: &[Rule], history_start: Day) {
        for rule in rules {
            let first_day = rule.reach().and_then(|reach| reach.first_day(self.today));
            if let Some(first_day) = first_day.filter(|day| *day < history_start) {
                self.warnings.push(format!(
                    "{} {} needs days from {first_day}; they are fetched though `history_start` is \
                     {history_start}",
                    rule.check.kind(),
                    rule.name
                ));
            }
        }
    }

    fn cycle(
        &mut self,
        period: Option<Period>,
        anchor_day: Option<Spanned<i64>>,
        start: Option<Text>,
        history_start: Day,
    ) -> Option<Cycle> {
        for (key, written, needed, name) in [
            ("anchor_day", place(&anchor_day), Period::Month, "month"),
            ("start", place(&start), Period::Total, "total"),
        ] {
            if let (Some(place), Some(period)) = (written, period)
                && period != needed
            {
                let fault = Fault::new(format!("`{key}` belongs to budgets of period `{name}`"));
                self.refuse(place, fault);
            }
        }
        let anchor_day = self.value(anchor_day, DEFAULT_ANCHOR_DAY, |day| {
            rules::anchor_day(*day)
        });
        let start = self
            .optional(start, |text| rules::budget_start(text))
            .unwrap_or(history_start);
        Some(match period? {
            Period::Day => Cycle::Day,
            Period::Week => Cycle::Week,
            Period::Month => Cycle::Month { anchor_day },
            Period::Total => Cycle::Total { start },
        })
    }

    /// The shares that are told of, those of use first, with the `severity` unless they have their own.
    fn thresholds(
        &mut self,
        owner: &str,
        header: &Range<usize>,
        period: Option<Period>,
        (used, forecast): (Option<Thresholds>, Option<Thresholds>),
        severity: Option<Severity>,
    ) -> Vec<Threshold> {
        let unforeseeable = match period {
            Some(Period::Day) => {
                Some("a day is over once it is known: nothing is left to forecast")
            }
            Some(Period::Total) => Some("a total has no end, so it has no forecast"),
            Some(Period::Week | Period::Month) | None => None,
        };
        if let (Some(reason), Some(list)) = (unforeseeable, &forecast)
            && !list.get_ref().is_empty()
        {
            let fault = Fault::new(reason).help("leave `forecast_thresholds` out");
            self.refuse(list.span(), fault);
        }
        let empty = |written: &Option<Thresholds>, default: usize| {
            written
                .as_ref()
                .map_or(default, |list| list.get_ref().len())
                == 0
        };
        let forecasts: &[f64] = if unforeseeable.is_some() {
            &[]
        } else {
            &DEFAULT_FORECAST_THRESHOLDS
        };
        if empty(&used, DEFAULT_THRESHOLDS.len()) && empty(&forecast, forecasts.len()) {
            let written = place(&used).or(place(&forecast));
            let fault = Fault::new(format!("{owner} has no threshold"))
                .help("add one, such as `thresholds = [0.5, 0.8, 1.0]`");
            self.refuse(written.unwrap_or(header.clone()), fault);
        }
        let mut all = self.shares(used, Measure::Used, &DEFAULT_THRESHOLDS, severity);
        all.extend(self.shares(forecast, Measure::Forecast, forecasts, severity));
        all
    }

    /// The shares of a budget, or what is left of a balance: each worse than the one before.
    pub(super) fn shares(
        &mut self,
        written: Option<Thresholds>,
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
        let Some(list) = written else {
            let defaults = default.iter();
            return defaults.map(|at| threshold(*at, usual(*at))).collect();
        };
        let mut thresholds: Vec<Threshold> = Vec::new();
        for element in list.into_inner() {
            let whole = element.span();
            let (at, severity) = match element.into_inner() {
                file::Threshold::Share(share) => (Some(Spanned::new(whole.clone(), share)), None),
                file::Threshold::Table(table) => (table.at, table.severity),
            };
            let place = place(&at).unwrap_or(whole.clone());
            let at = self.needed(at, "this threshold", ["at", example], &whole, |at| {
                rules::threshold(measure, *at)
            });
            let Some(at) = at else { continue };
            let new = threshold(at, self.choice(severity, &SEVERITIES, usual(at)));
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

    fn rule(&mut self, section: Section<file::Rule>, world: &World<'_>) -> Option<Rule> {
        let Section {
            span: header,
            mut table,
        } = section;
        let owner = title("rule", table.name.as_ref());
        let name = table.name.take();
        let name = self.required(name, "rule", "name", &header, roster::check_name);
        let kind = table.kind.take();
        let kind = self.needed(kind, &owner, ["kind", "\"usage\""], &header, |text| {
            one_of(text, &KINDS)
        });
        let matcher = self.matcher(&owner, std::mem::take(&mut table.conditions), world);
        let hooks = self.hook_names(std::mem::take(&mut table.hooks), world);
        // Without a kind nothing can be said of the keys that depend on it.
        let check = self.rule_check(table, kind?, &owner, &header);
        Some(Rule {
            name: name?.into(),
            matcher,
            check: check?,
            hooks,
        })
    }

    /// What a rule of that kind looks at. Its name, matcher and hooks are taken out already.
    fn rule_check(
        &mut self,
        rule: file::Rule,
        kind: Kind,
        owner: &str,
        header: &Range<usize>,
    ) -> Option<alert::Check> {
        let file::Rule {
            name: _,
            kind: _,
            conditions: _,
            hooks: _,
            severity,
            over,
            span,
            per,
            hysteresis,
            factor,
            floor,
            longer_than,
        } = rule;
        for (key, written, needed) in [
            ("over", place(&over), Kind::Usage),
            ("span", place(&span), Kind::Usage),
            ("per", place(&per), Kind::Usage),
            ("hysteresis", place(&hysteresis), Kind::Usage),
            ("factor", place(&factor), Kind::Spike),
            ("floor", place(&floor), Kind::Spike),
            ("longer_than", place(&longer_than), Kind::MissingData),
        ] {
            if let Some(place) = written.filter(|_| needed != kind) {
                let fault = Fault::new(format!(
                    "`{key}` belongs to rules of kind `{}`, and this one is of kind `{}`",
                    needed.name(),
                    kind.name()
                ));
                self.refuse(place, fault);
            }
        }
        let usual = match kind {
            Kind::KeyRefused => Severity::Critical,
            _ => Severity::Warning,
        };
        let severity = self.choice(severity, &SEVERITIES, usual);
        Some(match kind {
            Kind::Usage => alert::Check::Usage {
                span: self.choice(span, &SPANS, Span::PreviousDay),
                per: self.choice(per, &PERS, Per::Agent),
                hysteresis: self.value(hysteresis, DEFAULT_HYSTERESIS, |share| {
                    rules::hysteresis(*share)
                }),
                severity,
                over_credits: self.needed(over, owner, ["over", "1000"], header, |credits| {
                    rules::over(*credits)
                })?,
            },
            Kind::Spike => alert::Check::Spike {
                factor: self.value(factor, DEFAULT_FACTOR, |factor| rules::factor(*factor)),
                floor_credits: self.value(floor, DEFAULT_FLOOR, |credits| rules::floor(*credits)),
                severity,
            },
            Kind::MissingData => alert::Check::MissingData {
                longer_than: self.text(longer_than, DEFAULT_LONGER_THAN, rules::longer_than),
                severity,
            },
            Kind::KeyRefused => alert::Check::KeyRefused { severity },
            Kind::AgentRefused => alert::Check::AgentRefused { severity },
        })
    }

    /// The conditions of a budget, balance or rule, which the warnings call `owner`.
    pub(super) fn matcher(
        &mut self,
        owner: &str,
        written: Conditions,
        world: &World<'_>,
    ) -> Matcher {
        let mut conditions = Vec::with_capacity(written.len());
        let mut unknown = Vec::new();
        for (name, value) in written {
            let place = match value.get_ref() {
                Condition::Regex(file::Regex { regex: Some(text) }) => text.span(),
                _ => value.span(),
            };
            let pattern = rules::condition(value.get_ref());
            let pattern = pattern.map_err(|fault| self.refuse(place, fault)).ok();
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
}
