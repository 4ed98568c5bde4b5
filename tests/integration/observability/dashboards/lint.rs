//! What the queries are about, held against what is served. How they look in Grafana is held by
//! `tests/grafana`.

use std::collections::BTreeSet;

use promql_parser::parser::{Expr, VectorSelector, parse};
use serde_json::Value;

use super::grafana::{Choice, Viewer, panels, variables};
use super::shipped;
use crate::observability::promql::Golden;

/// What stands for Grafana's own intervals.
const BUILT_IN: [(&str, &str); 4] = [
    ("$__rate_interval", "4m"),
    ("$__interval", "1h"),
    ("${__range_ms}", "86400000"),
    ("$__range", "1d"),
];

/// A query with a value for each variable; a label that agents need not have is chosen.
fn interpolated(dashboard: &Value, expr: &str) -> String {
    let chosen = |variable: &Value| {
        let name = variable["name"].as_str().unwrap().to_owned();
        let choice = match name.as_str() {
            "label" => Choice::one("team"),
            "price" => Choice::one("0.02"),
            _ => Choice::one("chosen"),
        };
        (name, choice)
    };
    let viewer = Viewer {
        dashboard,
        choices: variables(dashboard).iter().map(chosen).collect(),
        now: chrono::DateTime::UNIX_EPOCH,
        from: "now".to_owned(),
    };
    let replace = |text: String, (name, value): &(&str, &str)| text.replace(name, value);
    BUILT_IN.iter().fold(viewer.interpolate(expr), replace)
}

/// The counters of an expression that are not given to a function that takes their growth.
fn bare_counters<'a>(expr: &'a Expr, is_grown: bool, found: &mut Vec<&'a VectorSelector>) {
    let endings = ["_total", "_bucket", "_sum", "_count"];
    let mut select = |selector: &'a VectorSelector| {
        let name = selector.name.as_deref().unwrap_or_default();
        if !is_grown && endings.iter().any(|ending| name.ends_with(ending)) {
            found.push(selector);
        }
    };
    match expr {
        Expr::VectorSelector(selector) => select(selector),
        Expr::MatrixSelector(matrix) => select(&matrix.vs),
        Expr::Call(call) => {
            let is_grown = ["rate", "increase"].contains(&call.func.name);
            for argument in &call.args.args {
                bare_counters(argument, is_grown, found);
            }
        }
        Expr::Aggregate(aggregate) => bare_counters(&aggregate.expr, false, found),
        Expr::Binary(binary) => {
            bare_counters(&binary.lhs, false, found);
            bare_counters(&binary.rhs, false, found);
        }
        Expr::Paren(paren) => bare_counters(&paren.expr, is_grown, found),
        Expr::Subquery(subquery) => bare_counters(&subquery.expr, is_grown, found),
        Expr::Unary(unary) => bare_counters(&unary.expr, false, found),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) => {}
        Expr::Extension(_) => unreachable!("the parser makes none"),
    }
}

/// Tells what is wrong with a query, each fault in a sentence.
fn faults(golden: &Golden, query: &str) -> Vec<String> {
    let mut faults = golden.faults(query);
    if let Ok(expr) = parse(query) {
        let mut found = Vec::new();
        bare_counters(&expr, false, &mut found);
        let told = |selector: &&VectorSelector| format!("{selector} is a counter, not its growth");
        faults.extend(found.iter().map(told));
    }
    faults
}

#[test]
fn queries_are_about_what_is_served() {
    let golden = Golden::read();
    let mut found = Vec::new();
    for (file, dashboard) in shipped() {
        for panel in panels(&dashboard) {
            for target in panel["targets"].as_array().unwrap() {
                let query = interpolated(&dashboard, target["expr"].as_str().unwrap());
                for fault in faults(&golden, &query) {
                    found.push(format!("{file}, {}: {fault}", panel["title"]));
                }
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn no_two_panels_of_a_dashboard_have_one_id() {
    for (file, dashboard) in shipped() {
        let ids: Vec<_> = panels(&dashboard)
            .map(|panel| panel["id"].as_u64().unwrap())
            .collect();
        let different: BTreeSet<_> = ids.iter().collect();
        assert_eq!(different.len(), ids.len(), "{file}: {ids:?}");
    }
}

#[test]
fn a_query_about_something_else_is_found() {
    let golden = Golden::read();
    for (query, expected) in [
        ("flowgent_agent_previous_day_credit", "nobody serves"),
        ("max by (budgets) (flowgent_budget_used_ratio)", "budgets"),
        ("sum(flowgent_exporter_syncs_total)", "is a counter"),
        (
            "sum(rate(flowgent_exporter_syncs_total[4m])",
            "does not parse",
        ),
    ] {
        let found = faults(&golden, query);
        assert!(
            found.len() == 1 && found[0].contains(expected),
            "{query}: {found:?}"
        );
    }
}
