//! What a good dashboard is: the rules of Grafana's dashboard-linter, and those that follow from what
//! our figures are. Each rule is a function that tells what is against it; what a rule finds is shown
//! by mistakes that are planted.

mod layout;
mod planted;
mod queries;
mod wiring;

use std::collections::BTreeMap;

use serde_json::Value;

use super::shipped;

/// Tells what of a dashboard is against a rule. The second argument is all dashboards.
type Rule = fn(&Value, &[Value]) -> Vec<String>;

/// The rules by their names. Those that dashboard-linter has too are called as there.
fn rules() -> BTreeMap<&'static str, Rule> {
    BTreeMap::from([
        ("template-datasource", wiring::datasource_variable as Rule),
        ("template-job", wiring::job_variable),
        ("template-instance", wiring::instance_variable),
        (
            "template-on-time-change-reload",
            wiring::variables_follow_the_time,
        ),
        ("template-label-promql", queries::variables_select_series),
        ("panel-datasource", wiring::chosen_datasource),
        ("panel-title-description", layout::words),
        ("panel-units", layout::units),
        ("panel-no-targets", layout::queries_of_panels),
        ("target-promql", queries::promql),
        ("target-job", queries::job_matchers),
        ("target-instance", queries::instance_matchers),
        ("target-rate-interval", queries::rate_intervals),
        ("target-counter-agg", queries::rates_of_counters),
        ("uneditable-dashboard", layout::uneditable),
        ("shape", layout::shape),
        ("identifiers", layout::identifiers),
        ("grid", layout::grid),
        ("overrides", layout::overrides),
        ("ranges", layout::ranges),
        ("empty-panels", layout::words_for_nothing),
        ("variables-defined", wiring::variables_are_defined),
        ("links", wiring::links),
        ("days", queries::days_are_asked_for_by_day),
        ("names", queries::names_and_labels),
    ])
}

#[test]
fn the_shipped_dashboards_keep_every_rule() {
    let all: Vec<Value> = shipped()
        .into_iter()
        .map(|(_, dashboard)| dashboard)
        .collect();
    let mut found = Vec::new();
    for dashboard in &all {
        for (name, rule) in rules() {
            for fault in rule(dashboard, &all) {
                found.push(format!("{}: {name}: {fault}", dashboard["title"]));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// What a panel is called in messages.
fn title(panel: &Value) -> String {
    format!("panel {} {}", panel["id"], panel["title"])
}

/// A text of an object, empty if it has none of that name.
fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// The elements of an array, none if it is none.
fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Every text in a value, however deep.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(list) => list.iter().flat_map(texts).collect(),
        Value::Object(fields) => fields.values().flat_map(texts).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}
