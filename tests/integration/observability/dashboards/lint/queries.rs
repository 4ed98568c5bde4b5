//! What is asked of the database.

use promql_parser::label::MatchOp;
use promql_parser::parser::{Expr, VectorSelector, parse};
use serde_json::Value;

use super::{list, text, title};
use crate::observability::dashboards::expressions::USAGE;
use crate::observability::dashboards::grafana::{Choice, Viewer, annotations, panels, variables};
use crate::observability::promql::Golden;

/// What stands for Grafana's own intervals. No query has them otherwise.
const BUILT_IN: [(&str, &str); 4] = [
    ("$__rate_interval", "7919s"),
    ("$__interval", "7907s"),
    ("${__range_ms}", "7901"),
    ("$__range", "7883s"),
];
/// The first of them in seconds.
const RATE_INTERVAL: u64 = 7919;

/// A text of a dashboard with a value for each variable.
fn interpolated(dashboard: &Value, expr: &str) -> String {
    let chosen = |variable: &Value| {
        let name = text(variable, "name");
        let choice = match name {
            // A name, a number, and a pattern of labels that need not be there.
            "label" => Choice::one("team"),
            "top" => Choice::one("10"),
            "value" => Choice::All,
            name => Choice::one(&format!("chosen-{name}")),
        };
        (name.to_owned(), choice)
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

/// Every query of panels and annotations, with what asks it.
fn queries(dashboard: &Value) -> Vec<(String, String)> {
    let mut queries = Vec::new();
    for panel in panels(dashboard) {
        for target in list(&panel["targets"]) {
            let name = format!("{} query {}", title(panel), target["refId"]);
            queries.push((name, text(target, "expr")));
        }
    }
    for annotation in annotations(dashboard) {
        let name = format!("annotation {}", annotation["name"]);
        queries.push((name, text(annotation, "expr")));
    }
    let queries = queries.into_iter();
    queries
        .map(|(name, expr)| (name, interpolated(dashboard, expr)))
        .collect()
}

/// A selector in a query, the function that it is given to, and of how much time.
struct Selected {
    selector: VectorSelector,
    function: &'static str,
    seconds: Option<u64>,
}

/// The selectors of a query; none if it does not parse, which is another rule's.
fn selected(expr: &str) -> Vec<Selected> {
    fn walk(expr: &Expr, function: &'static str, found: &mut Vec<Selected>) {
        match expr {
            Expr::VectorSelector(selector) => found.push(Selected {
                selector: selector.clone(),
                function,
                seconds: None,
            }),
            Expr::MatrixSelector(matrix) => found.push(Selected {
                selector: matrix.vs.clone(),
                function,
                seconds: Some(matrix.range.as_secs()),
            }),
            Expr::Call(call) => {
                for argument in &call.args.args {
                    walk(argument, call.func.name, found);
                }
            }
            Expr::Aggregate(aggregate) => {
                walk(&aggregate.expr, "", found);
                if let Some(parameter) = &aggregate.param {
                    walk(parameter, "", found);
                }
            }
            Expr::Binary(binary) => {
                walk(&binary.lhs, "", found);
                walk(&binary.rhs, "", found);
            }
            Expr::Paren(paren) => walk(&paren.expr, function, found),
            Expr::Subquery(subquery) => walk(&subquery.expr, "", found),
            Expr::Unary(unary) => walk(&unary.expr, "", found),
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) => {}
            Expr::Extension(_) => unreachable!("the parser makes none"),
        }
    }
    let mut found = Vec::new();
    if let Ok(expr) = parse(expr) {
        walk(&expr, "", &mut found);
    }
    found
}

/// What is against a rule about selectors, which tells it of each.
fn about_selectors(
    dashboard: &Value,
    fault: impl Fn(&Selected, &str) -> Option<String>,
) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, expr) in queries(dashboard) {
        for selected in selected(&expr) {
            let metric = selected.selector.name.clone().unwrap_or_default();
            let fault = fault(&selected, &metric);
            faults.extend(fault.map(|fault| format!("{name}: {metric} {fault}")));
        }
    }
    faults
}

/// Every query is one.
pub fn promql(dashboard: &Value, _: &[Value]) -> Vec<String> {
    let queries = queries(dashboard).into_iter();
    queries
        .filter_map(|(name, expr)| {
            let error = parse(&expr).err()?;
            Some(format!("{name}: {error}: {expr}"))
        })
        .collect()
}

/// Every series is of the chosen jobs.
pub fn job_matchers(dashboard: &Value, _: &[Value]) -> Vec<String> {
    matchers(dashboard, "job")
}

/// Every series is of the chosen instances.
pub fn instance_matchers(dashboard: &Value, _: &[Value]) -> Vec<String> {
    matchers(dashboard, "instance")
}

fn matchers(dashboard: &Value, label: &str) -> Vec<String> {
    let chosen = format!("chosen-{label}");
    about_selectors(dashboard, |selected, metric| {
        let mut matchers = selected.selector.matchers.matchers.iter();
        let is_chosen = matchers.any(|matcher| {
            let by_pattern = matches!(matcher.op, MatchOp::Re(_));
            matcher.name == label && by_pattern && matcher.value == chosen
        });
        // What Prometheus makes of rules need not have what their series have.
        (!is_chosen && metric != "ALERTS")
            .then(|| format!("is not matched by {label}=~\"${label}\""))
    })
}

/// A rate is taken over as much time as the steps are apart, and at least over several scrapes.
pub fn rate_intervals(dashboard: &Value, _: &[Value]) -> Vec<String> {
    about_selectors(dashboard, |selected, _| {
        let is_rate = ["rate", "irate"].contains(&selected.function);
        (is_rate && selected.seconds != Some(RATE_INTERVAL))
            .then(|| "is rated over another time than $__rate_interval".to_owned())
    })
}

/// A counter is shown by what it has grown.
pub fn rates_of_counters(dashboard: &Value, _: &[Value]) -> Vec<String> {
    about_selectors(dashboard, |selected, metric| {
        let endings = ["_total", "_bucket", "_sum", "_count"];
        let is_counter = endings.iter().any(|ending| metric.ends_with(ending));
        let is_rated = ["rate", "irate", "increase"].contains(&selected.function);
        (is_counter && !is_rated).then(|| "is a counter that is not rated".to_owned())
    })
}

/// The values of a variable are labels of series that can be selected.
pub fn variables_select_series(dashboard: &Value, _: &[Value]) -> Vec<String> {
    let mut faults = Vec::new();
    for variable in variables(dashboard)
        .iter()
        .filter(|one| one["type"] == "query")
    {
        let query = text(&variable["query"], "query");
        let mut fault = |what: &str| faults.push(format!("{} {what}: {query}", variable["name"]));
        if variable["definition"] != query {
            fault("has another definition");
        }
        let query = interpolated(dashboard, query);
        let label = query
            .strip_prefix("label_values(")
            .and_then(|rest| rest.strip_suffix(')'))
            .and_then(|rest| rest.rsplit_once(", "));
        if let Some((selector, _)) = label {
            match parse(selector) {
                Ok(Expr::VectorSelector(_)) => {}
                _ => fault("does not select series"),
            }
        } else if query != "label_names(flowgent_agent_info)" {
            fault("does not list labels");
        }
    }
    faults
}

/// What is known by day is asked for by day, so that the points stand at midnight.
pub fn days_are_asked_for_by_day(dashboard: &Value, _: &[Value]) -> Vec<String> {
    let mut faults = Vec::new();
    for panel in panels(dashboard) {
        for target in list(&panel["targets"]) {
            let expr = interpolated(dashboard, text(target, "expr"));
            let is_daily = selected(&expr).iter().any(|selected| {
                selected.selector.name.as_deref() == Some(USAGE) && selected.seconds.is_some()
            });
            let step = text(panel, "interval");
            let by_day = ["1d", "7d"].contains(&step) && target["interval"] == step;
            if is_daily && target["range"] == true && !by_day {
                faults.push(format!("{} asks for days every {step:?}", title(panel)));
            }
            // More than a decade, and less than the 11,000 points that Prometheus refuses.
            let points = panel["maxDataPoints"].as_u64().unwrap_or_default();
            if is_daily && target["range"] == true && !(4000..10_000).contains(&points) {
                faults.push(format!("{} shows no more than {points} days", title(panel)));
            }
        }
    }
    faults
}

/// Names and labels are those that are served.
pub fn names_and_labels(dashboard: &Value, _: &[Value]) -> Vec<String> {
    let golden = Golden::read();
    let mut faults = Vec::new();
    for (name, expr) in queries(dashboard) {
        let found = golden.faults(&expr).into_iter();
        faults.extend(found.map(|fault| format!("{name}: {fault}")));
    }
    faults
}
