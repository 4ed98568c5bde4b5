//! What readers choose above the panels, and the marks on all charts.

use serde_json::{Value, json};

use super::panel::datasource;

/// The variable of the data source.
pub fn datasource_variable() -> Value {
    json!({
        "current": {},
        "hide": 0,
        "includeAll": false,
        "label": "Data source",
        "multi": false,
        "name": "datasource",
        "options": [],
        "query": "prometheus",
        "refresh": 1,
        "regex": "",
        "skipUrlSync": false,
        "type": "datasource",
    })
}

/// A variable whose values a query finds, of which any number is chosen, at first all. `all` is the
/// regular expression that stands for all of them.
pub fn any_of(name: &str, label: &str, query: &str, all: &str) -> Value {
    let mut variable = one_of(name, label, query);
    variable["includeAll"] = json!(true);
    variable["multi"] = json!(true);
    variable["allValue"] = json!(all);
    variable["current"] = json!({"selected": true, "text": ["All"], "value": ["$__all"]});
    variable
}

/// A variable whose values a query finds, of which one is chosen, at first the first.
pub fn one_of(name: &str, label: &str, query: &str) -> Value {
    json!({
        "allValue": null,
        "current": {},
        "datasource": datasource(),
        "definition": query,
        "hide": 0,
        "includeAll": false,
        "label": label,
        "multi": false,
        "name": name,
        "options": [],
        "query": {"query": query, "refId": "StandardVariableQuery"},
        // Whenever the time that is shown changes.
        "refresh": 2,
        "regex": "",
        "skipUrlSync": false,
        // By the alphabet, whatever the case of letters.
        "sort": 5,
        "type": "query",
    })
}

/// A variable of fixed values, of which the one at `first` is chosen at first.
pub fn choice(name: &str, label: &str, values: &[&str], first: usize) -> Value {
    let option = |(place, value): (usize, &&str)| json!({"selected": place == first, "text": value, "value": value});
    let options: Vec<Value> = values.iter().enumerate().map(option).collect();
    json!({
        "current": options[first],
        "hide": 0,
        "includeAll": false,
        "label": label,
        "multi": false,
        "name": name,
        "options": options,
        "query": values.join(","),
        "skipUrlSync": false,
        "type": "custom",
    })
}

/// Marks on all charts, while the expression is above zero.
pub fn annotation(name: &str, colour: &str, expr: &str, title: &str, text: &str) -> Value {
    json!({
        "datasource": datasource(),
        "enable": true,
        "expr": expr,
        "hide": false,
        "iconColor": colour,
        "name": name,
        "step": "1m",
        "tagKeys": "",
        "target": {
            "datasource": datasource(),
            "editorMode": "code",
            "expr": expr,
            "interval": "1m",
            "range": true,
            "refId": "Anno",
        },
        "textFormat": text,
        "titleFormat": title,
        "useValueForTime": false,
    })
}
