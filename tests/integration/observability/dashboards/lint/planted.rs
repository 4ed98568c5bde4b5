//! Mistakes that the rules find.

use serde_json::{Value, json};

use super::rules;
use crate::observability::dashboards::sources;

/// Where a mistake is made: a dashboard by its place among the sources, and a path in it.
struct Mistake {
    /// The rule that finds it.
    rule: &'static str,
    place: String,
    value: Value,
    /// What the rule says of it.
    told: &'static str,
}

fn mistake(rule: &'static str, place: &str, value: Value, told: &'static str) -> Mistake {
    let place = place.to_owned();
    Mistake {
        rule,
        place,
        value,
        told,
    }
}

/// The path of the overview's panel of that title.
fn panel(title: &str) -> String {
    let (_, overview) = &sources()[2];
    let panels = overview["panels"].as_array().unwrap();
    let place = panels.iter().position(|panel| panel["title"] == title);
    format!("/panels/{}", place.unwrap())
}

/// The path of the overview's variable of that name.
fn variable(name: &str) -> String {
    let (_, overview) = &sources()[2];
    let variables = overview["templating"]["list"].as_array().unwrap();
    let place = variables
        .iter()
        .position(|variable| variable["name"] == name);
    format!("/templating/list/{}", place.unwrap())
}

fn mistakes() -> Vec<Mistake> {
    let bars = panel("Credits by day");
    let expr = format!("{bars}/targets/0/expr");
    let of = |rest: &str| format!("{bars}{rest}");
    let query = |rule, query: &str, told| mistake(rule, &expr, json!(query), told);
    vec![
        mistake(
            "template-datasource",
            &format!("{}/name", variable("datasource")),
            json!("source"),
            "no variable datasource",
        ),
        mistake(
            "template-job",
            &format!("{}/multi", variable("job")),
            json!(false),
            "multi of $job is false",
        ),
        mistake(
            "template-instance",
            &format!("{}/allValue", variable("instance")),
            json!(".*"),
            "allValue of $instance",
        ),
        mistake(
            "template-on-time-change-reload",
            &format!("{}/refresh", variable("agent")),
            json!(1),
            "$agent is not refreshed",
        ),
        mistake(
            "template-label-promql",
            &format!("{}/query/query", variable("agent")),
            json!("label_values(up{, agent)"),
            "does not select series",
        ),
        mistake(
            "panel-datasource",
            &of("/targets/0/datasource/uid"),
            json!("prometheus"),
            "query \"A\" asks",
        ),
        mistake(
            "panel-title-description",
            &of("/description"),
            json!(" "),
            "has no description",
        ),
        mistake(
            "panel-units",
            &of("/fieldConfig/defaults/unit"),
            json!("credits"),
            "has the unit \"credits\"",
        ),
        mistake(
            "panel-no-targets",
            &of("/targets"),
            json!([]),
            "asks nothing",
        ),
        query("target-promql", "sum(", "unclosed"),
        query(
            "target-job",
            "up{job=\"chosen-job\",instance=~\"$instance\"}",
            "job=~\"$job\"",
        ),
        query(
            "target-instance",
            "up{job=~\"$job\"}",
            "instance=~\"$instance\"",
        ),
        query(
            "target-rate-interval",
            "rate(flowgent_exporter_syncs_total[5m])",
            "$__rate_interval",
        ),
        query(
            "target-counter-agg",
            "sum(flowgent_exporter_syncs_total)",
            "not rated",
        ),
        mistake(
            "uneditable-dashboard",
            "/editable",
            json!(true),
            "it can be edited",
        ),
        mistake(
            "shape",
            &of("/type"),
            json!("graph"),
            "is of the kind \"graph\"",
        ),
        mistake(
            "shape",
            &of("/targets/0/instant"),
            json!(true),
            "an instant and a range",
        ),
        mistake(
            "shape",
            &of("/fieldConfig/defaults/thresholds/steps/0/value"),
            json!(0),
            "the thresholds",
        ),
        mistake("shape", "/timezone", json!("browser"), "its timezone"),
        mistake("identifiers", &of("/id"), json!(1), "has the id 1"),
        mistake(
            "identifiers",
            &of("/targets/1/refId"),
            json!("A"),
            "of the same name",
        ),
        mistake("identifiers", "/uid", json!("flowgent-agent"), "its uid"),
        mistake("grid", &of("/gridPos/w"), json!(25), "lies at"),
        mistake("grid", &of("/gridPos/y"), json!(0), "lies on another"),
        mistake("grid", &of("/gridPos/w"), json!(23), "is 23 wide"),
        mistake(
            "overrides",
            &of("/fieldConfig/overrides/0/matcher/options"),
            json!("others"),
            "has no",
        ),
        mistake(
            "empty-panels",
            &of("/fieldConfig/defaults/noValue"),
            json!(""),
            "says nothing",
        ),
        query(
            "variables-defined",
            "up{job=~\"$jobs\"}",
            "there is no variable $jobs",
        ),
        mistake(
            "variables-defined",
            &format!("{}/name", variable("top")),
            json!("most"),
            "$most is not used",
        ),
        mistake(
            "variables-defined",
            &format!("{}/definition", variable("job")),
            json!("$instance"),
            "before its time",
        ),
        mistake(
            "links",
            &format!(
                "{}/fieldConfig/defaults/links/0/url",
                panel("Most used in 30 days")
            ),
            json!("/d/flowgent-agents"),
            "leads nowhere",
        ),
        mistake(
            "links",
            &format!(
                "{}/fieldConfig/defaults/links/0/url",
                panel("Most used in 30 days")
            ),
            json!("/d/flowgent-agent?var-agents=x"),
            "\"agents\"",
        ),
        mistake(
            "links",
            "/links/0/tags",
            json!(["other"]),
            "nothing leads to",
        ),
        mistake("days", &of("/interval"), json!("1h"), "every \"1h\""),
        mistake(
            "links",
            &format!(
                "{}/fieldConfig/overrides/0/properties/0/value/0/url",
                panel("All agents")
            ),
            json!("/d/flowgent-agent?var-agent=${__data.fields.name}"),
            "has no column name",
        ),
        mistake(
            "ranges",
            &format!(
                "{}/fieldConfig/overrides/2/properties/2/value",
                panel("All agents")
            ),
            json!(false),
            "has no range for \"30 days\"",
        ),
        mistake(
            "days",
            &of("/maxDataPoints"),
            json!(400),
            "no more than 400",
        ),
        query(
            "names",
            "flowgent_agent_previous_days_credits",
            "nobody serves",
        ),
        query(
            "names",
            "sum by (budget) (flowgent_agent_up)",
            "no label budget",
        ),
    ]
}

#[test]
fn every_rule_finds_a_mistake_that_is_planted() {
    let sources = sources().map(|(_, dashboard)| dashboard);
    let rules = rules();
    let mut shown = std::collections::BTreeSet::new();
    for mistake in mistakes() {
        let mut all = sources.to_vec();
        let place = all[2].pointer_mut(&mistake.place);
        *place.unwrap_or_else(|| panic!("there is no {}", mistake.place)) = mistake.value;
        let faults = rules[mistake.rule](&all[2], &all);
        assert!(
            faults.iter().any(|fault| fault.contains(mistake.told)),
            "{} at {}: {faults:?} instead of {:?}",
            mistake.rule,
            mistake.place,
            mistake.told
        );
        shown.insert(mistake.rule);
    }
    let rules: std::collections::BTreeSet<&str> = rules.into_keys().collect();
    assert_eq!(shown, rules, "a rule that nothing shows");
}
