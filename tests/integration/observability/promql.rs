//! What the queries of the shipped rules and dashboards are about, held against what is served.
//!
//! [`Golden::read`] knows every metric of the golden exposition, by the name of its samples, with its
//! type and its labels, those of a target (`job` and `instance`) among them; and what Prometheus itself
//! makes: `up`, the `scrape_…` series and `ALERTS`. [`Golden::faults`] reads a query and tells what is
//! wrong with it: that it does not parse, a metric that nobody serves, a label that the metric does not
//! have, and labels to aggregate by or to match on which are not there at that place. Grafana's variables
//! are to be replaced before, by values that fit.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use promql_parser::label::Matchers;
use promql_parser::parser::{
    AggregateExpr, BinaryExpr, Call, Expr, LabelModifier, VectorMatchCardinality, VectorSelector,
    parse, token,
};

/// The labels that every series has by its target.
const TARGET: [&str; 2] = ["job", "instance"];

/// Names of labels.
type Labels = BTreeSet<String>;

/// A metric, by the name of its samples.
#[derive(Debug, Clone, Default)]
pub struct Metric {
    /// `counter`, `gauge` or `histogram`.
    pub kind: String,
    /// The labels that one or another of its series has.
    pub labels: Labels,
}

/// Every metric that a query may be about.
pub struct Golden(BTreeMap<String, Metric>);

impl Golden {
    /// The metrics of the golden files.
    pub fn read() -> Self {
        let fixture = |name: &str| {
            let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/exposition");
            std::fs::read_to_string(fixtures.join(name)).unwrap()
        };
        let mut golden = Self(BTreeMap::new());
        for line in fixture("families.txt").lines() {
            let mut words = line.split(' ');
            let (name, kind) = (words.next().unwrap(), words.next().unwrap());
            golden.add(name, kind, &words.collect::<Vec<_>>());
        }
        // Those of budgets, alerts and hooks, series by series.
        let alerting = fixture("alerting.txt");
        let kinds = alerting
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        let kinds: BTreeMap<&str, &str> = kinds.collect();
        for line in alerting.lines().filter(|line| !line.starts_with('#')) {
            let (name, labels) = series(line);
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|suffix| name.strip_suffix(suffix));
            let family = family
                .filter(|family| kinds.contains_key(family))
                .unwrap_or(&name);
            let labels: Vec<&str> = labels
                .iter()
                .map(String::as_str)
                .filter(|label| *label != "le")
                .collect();
            golden.add(family, kinds[family], &labels);
        }
        let of_prometheus = ["up", "scrape_duration_seconds", "scrape_samples_scraped"];
        for name in of_prometheus {
            golden.add(name, "gauge", &[]);
        }
        let all: Labels = golden
            .0
            .values()
            .flat_map(|metric| metric.labels.clone())
            .collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        golden.add(
            "ALERTS",
            "gauge",
            &[&all, ["alertname", "alertstate", "severity"].as_slice()].concat(),
        );
        golden
    }

    fn add(&mut self, family: &str, kind: &str, labels: &[&str]) {
        let mut add = |name: String, more: &[&str]| {
            let metric = self.0.entry(name).or_default();
            kind.clone_into(&mut metric.kind);
            let labels = labels.iter().chain(more).chain(&TARGET);
            metric
                .labels
                .extend(labels.map(|label| (*label).to_owned()));
        };
        if kind == "histogram" {
            add(format!("{family}_bucket"), &["le"]);
            add(format!("{family}_sum"), &[]);
            add(format!("{family}_count"), &[]);
        } else {
            add(family.to_owned(), &[]);
        }
    }

    /// The metric of that name, if anybody serves it.
    pub fn get(&self, name: &str) -> Option<&Metric> {
        self.0.get(name)
    }

    /// Every family by its name, with its type.
    pub fn families(&self) -> BTreeMap<String, String> {
        let mut families = BTreeMap::new();
        for (name, metric) in &self.0 {
            let family = match metric.kind.as_str() {
                "histogram" => match name.strip_suffix("_bucket") {
                    Some(family) => family,
                    None => continue,
                },
                _ => name,
            };
            families.insert(family.to_owned(), metric.kind.clone());
        }
        families
    }

    /// What is wrong with a query, each fault in a sentence; nothing if it is sound.
    pub fn faults(&self, query: &str) -> Vec<String> {
        let mut faults = Vec::new();
        match parse(query) {
            Ok(expr) => {
                self.labels(&expr, &mut faults);
            }
            Err(error) => faults.push(format!("it does not parse: {error}")),
        }
        faults
    }

    /// The labels that the series of an expression may have, none for a number.
    fn labels(&self, expr: &Expr, faults: &mut Vec<String>) -> Labels {
        match expr {
            Expr::VectorSelector(selector) => self.selected(selector, faults),
            Expr::MatrixSelector(selector) => self.selected(&selector.vs, faults),
            Expr::Aggregate(aggregate) => self.aggregated(aggregate, faults),
            Expr::Binary(binary) => self.combined(binary, faults),
            Expr::Call(call) => self.called(call, faults),
            Expr::Unary(unary) => self.labels(&unary.expr, faults),
            Expr::Paren(paren) => self.labels(&paren.expr, faults),
            Expr::Subquery(subquery) => self.labels(&subquery.expr, faults),
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) => Labels::new(),
            Expr::Extension(_) => unreachable!("the parser makes none"),
        }
    }

    fn selected(&self, selector: &VectorSelector, faults: &mut Vec<String>) -> Labels {
        let Some(name) = &selector.name else {
            faults.push(format!("{selector} names no metric"));
            return Labels::new();
        };
        let Some(metric) = self.get(name) else {
            faults.push(format!("nobody serves {name}"));
            return Labels::new();
        };
        for label in matched(&selector.matchers) {
            if !metric.labels.contains(&label) {
                faults.push(format!("{name} has no label {label}"));
            }
        }
        metric.labels.clone()
    }

    fn aggregated(&self, aggregate: &AggregateExpr, faults: &mut Vec<String>) -> Labels {
        let mut labels = self.labels(&aggregate.expr, faults);
        if let Some(parameter) = &aggregate.param {
            self.labels(parameter, faults);
        }
        let op = aggregate.op;
        // These give series as they are, however they are grouped.
        let keeps = [token::T_TOPK, token::T_BOTTOMK].contains(&op.id());
        // It gives each value a label.
        let given = match aggregate.param.as_deref() {
            Some(Expr::StringLiteral(label)) if op.id() == token::T_COUNT_VALUES => {
                Some(label.val.clone())
            }
            _ => None,
        };
        let Some(modifier) = &aggregate.modifier else {
            return if keeps {
                labels
            } else {
                given.into_iter().collect()
            };
        };
        for label in &modifier.labels().labels {
            if !labels.contains(label) {
                faults.push(format!(
                    "{op} of what has no label {label}: {}",
                    aggregate.expr
                ));
            }
        }
        match modifier {
            _ if keeps => labels,
            LabelModifier::Include(kept) => kept.labels.iter().cloned().chain(given).collect(),
            LabelModifier::Exclude(lost) => {
                labels.retain(|label| !lost.labels.contains(label));
                labels
            }
        }
    }

    fn combined(&self, binary: &BinaryExpr, faults: &mut Vec<String>) -> Labels {
        let left = self.labels(&binary.lhs, faults);
        let right = self.labels(&binary.rhs, faults);
        let Some(modifier) = &binary.modifier else {
            return left.union(&right).cloned().collect();
        };
        match &modifier.matching {
            Some(LabelModifier::Include(on)) => {
                for label in &on.labels {
                    for (side, expr) in [(&left, &binary.lhs), (&right, &binary.rhs)] {
                        if !side.contains(label) {
                            faults.push(format!("matching on {label}, which is not on {expr}"));
                        }
                    }
                }
            }
            Some(LabelModifier::Exclude(ignored)) => {
                for label in &ignored.labels {
                    if !left.contains(label) && !right.contains(label) {
                        faults.push(format!(
                            "ignoring {label}, which is on neither side of {binary}"
                        ));
                    }
                }
            }
            None => {}
        }
        let (many, one, taken) = match &modifier.card {
            VectorMatchCardinality::ManyToOne(taken) => (left, right, Some(taken)),
            VectorMatchCardinality::OneToMany(taken) => (right, left, Some(taken)),
            VectorMatchCardinality::OneToOne => (left, right, None),
            VectorMatchCardinality::ManyToMany if binary.op.id() == token::T_LOR => {
                return left.union(&right).cloned().collect();
            }
            VectorMatchCardinality::ManyToMany => return left,
        };
        let taken = taken.into_iter().flat_map(|taken| &taken.labels);
        let mut labels = many;
        for label in taken {
            if !one.contains(label) {
                faults.push(format!(
                    "{label} is taken from a side that does not have it: {binary}"
                ));
            }
            labels.insert(label.clone());
        }
        labels
    }

    fn called(&self, call: &Call, faults: &mut Vec<String>) -> Labels {
        let arguments = call.args.args.iter();
        let mut labels: Labels = arguments
            .flat_map(|argument| self.labels(argument, faults))
            .collect();
        let text = |place: usize| match call.args.args.get(place).map(|argument| &**argument) {
            Some(Expr::StringLiteral(text)) => text.val.clone(),
            other => panic!("{other:?} is no text"),
        };
        match call.func.name {
            "label_replace" | "label_join" => {
                labels.insert(text(1));
            }
            "scalar" | "time" | "vector" => labels.clear(),
            "histogram_quantile" if !labels.remove("le") => {
                faults.push(format!("a quantile of what has no label le: {call}"));
            }
            _ => {}
        }
        labels
    }
}

/// The name and the labels of a series as an exporter writes it.
pub fn series(text: &str) -> (String, Labels) {
    // A series is written like a selector of it.
    match parse(text) {
        Ok(Expr::VectorSelector(selector)) => {
            let labels = matched(&selector.matchers);
            (
                selector.name.unwrap_or_default(),
                labels.into_iter().collect(),
            )
        }
        other => panic!("{text} is no series: {other:?}"),
    }
}

fn matched(matchers: &Matchers) -> Vec<String> {
    let alternatives = matchers.or_matchers.iter().flatten();
    let all = matchers.matchers.iter().chain(alternatives);
    all.map(|matcher| matcher.name.clone()).collect()
}

#[test]
fn what_is_wrong_with_a_query_is_found() {
    let golden = Golden::read();
    for (query, expected) in [
        ("sum(", "it does not parse"),
        (
            "flowgent_agent_previous_dya_credits",
            "nobody serves flowgent_agent_previous_dya_credits",
        ),
        ("{job=\"flowgent\"}", "names no metric"),
        (
            "up == 0 or flowgent_agent_up{acount=\"a\"}",
            "flowgent_agent_up has no label acount",
        ),
        (
            "sum by (budget) (flowgent_agent_up)",
            "sum of what has no label budget",
        ),
        (
            "count without (hook) (flowgent_agent_up)",
            "count of what has no label hook",
        ),
        (
            "sum by (account) (flowgent_agent_up) * on (job) flowgent_agent_info",
            "matching on job, which is not on sum by (account)",
        ),
        (
            "flowgent_agent_up / ignoring (hook) flowgent_agent_up",
            "ignoring hook",
        ),
        (
            "flowgent_agent_up * on (agent) group_left (budget) flowgent_agent_info",
            "budget is taken from a side that does not have it",
        ),
        (
            "histogram_quantile(0.9, sum by (job) (rate(flowgent_exporter_ledger_transaction_duration_seconds_bucket[5m])))",
            "a quantile of what has no label le",
        ),
    ] {
        let faults = golden.faults(query);
        assert!(
            faults.len() == 1 && faults[0].contains(expected),
            "{query}: {faults:?} instead of {expected}"
        );
    }
}

#[test]
fn a_sound_query_has_no_fault() {
    let golden = Golden::read();
    for query in [
        "sum by (team) (flowgent_agent_previous_day_credits * on (account, agent, job, instance) group_left (team) flowgent_agent_info)",
        "histogram_quantile(0.9, sum by (le, endpoint) (rate(flowgent_exporter_api_request_duration_seconds_bucket[5m])))",
        "topk(5, flowgent_agent_previous_day_credits) > on (account, agent) group_left (team) flowgent_agent_info",
        "sum by (team) (topk by (account) (1, flowgent_agent_info))",
        "time() - last_over_time(flowgent_budget_exhausted_timestamp_seconds{budget=\"total\"}[2h])",
        "flowgent_hook_disabled unless on (job, instance) up == 0",
        "ALERTS{alertname=~\"FlowGent.+\", alertstate=\"firing\", severity!=\"info\"}",
    ] {
        assert_eq!(golden.faults(query), Vec::<String>::new(), "{query}");
    }
    assert_eq!(
        golden
            .get("flowgent_agent_used_credits_total")
            .unwrap()
            .kind,
        "counter"
    );
}
