//! What leads from one thing to another: data source, variables and links.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::{Value, json};

use super::{list, text, texts, title};
use crate::observability::dashboards::grafana::{annotations, panels, used, variables};

/// What Grafana itself puts into texts.
const BUILT_IN: [&str; 5] = [
    "__all",
    "__interval",
    "__range",
    "__range_ms",
    "__rate_interval",
];

fn variable<'a>(dashboard: &'a Value, name: &str) -> Option<&'a Value> {
    variables(dashboard)
        .iter()
        .find(|variable| variable["name"] == name)
}

/// The reader chooses the data source.
pub fn datasource_variable(dashboard: &Value, _: &[Value]) -> Vec<String> {
    let found = variable(dashboard, "datasource");
    let expected = [
        ("type", "datasource"),
        ("query", "prometheus"),
        ("label", "Data source"),
    ];
    let is_as_expected =
        found.is_some_and(|found| expected.iter().all(|(name, value)| found[*name] == *value));
    if is_as_expected && variables(dashboard)[0]["name"] == "datasource" {
        Vec::new()
    } else {
        vec!["no variable datasource stands first".to_owned()]
    }
}

/// The reader chooses jobs.
pub fn job_variable(dashboard: &Value, _: &[Value]) -> Vec<String> {
    target_variable(dashboard, "job", "Job")
}

/// The reader chooses instances.
pub fn instance_variable(dashboard: &Value, _: &[Value]) -> Vec<String> {
    target_variable(dashboard, "instance", "Instance")
}

fn target_variable(dashboard: &Value, name: &str, label: &str) -> Vec<String> {
    let Some(found) = variable(dashboard, name) else {
        return vec![format!("there is no variable {name}")];
    };
    let expected = json!({
        "type": "query",
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "label": label,
        "multi": true,
        "includeAll": true,
        "allValue": ".+",
    });
    let expected = expected.as_object().unwrap().iter();
    expected
        .filter(|(field, value)| found[field] != **value)
        .map(|(field, value)| format!("{field} of ${name} is {} and not {value}", found[field]))
        .collect()
}

/// Values are looked for again when another time is shown.
pub fn variables_follow_the_time(dashboard: &Value, _: &[Value]) -> Vec<String> {
    let queried = variables(dashboard).iter();
    queried
        .filter(|variable| variable["type"] == "query" && variable["refresh"] != 2)
        .map(|variable| format!("${} is not refreshed", text(variable, "name")))
        .collect()
}

/// Everything asks the data source that was chosen.
pub fn chosen_datasource(dashboard: &Value, _: &[Value]) -> Vec<String> {
    let chosen = json!({"type": "prometheus", "uid": "${datasource}"});
    let mut faults = Vec::new();
    let mut check = |thing: &Value, name: String| {
        if thing["datasource"] != chosen {
            faults.push(format!("{name} asks {}", thing["datasource"]));
        }
    };
    for panel in panels(dashboard) {
        check(panel, title(panel));
        for target in list(&panel["targets"]) {
            check(
                target,
                format!("{} query {}", title(panel), target["refId"]),
            );
        }
    }
    for annotation in annotations(dashboard) {
        check(annotation, format!("annotation {}", annotation["name"]));
        check(
            &annotation["target"],
            format!("annotation {}", annotation["name"]),
        );
    }
    for variable in variables(dashboard)
        .iter()
        .filter(|variable| variable["type"] == "query")
    {
        check(variable, format!("variable {}", variable["name"]));
    }
    for annotation in annotations(dashboard) {
        if annotation["expr"] != annotation["target"]["expr"] {
            faults.push(format!("annotation {} asks two things", annotation["name"]));
        }
    }
    faults
}

/// Every variable that is used is there, and used by others only after itself; and none is for nothing.
pub fn variables_are_defined(dashboard: &Value, _: &[Value]) -> Vec<String> {
    let names = variables(dashboard)
        .iter()
        .map(|variable| text(variable, "name"));
    let names: Vec<&str> = names.collect();
    let mut faults = Vec::new();
    let mut all = BTreeSet::new();
    for found in texts(dashboard).into_iter().flat_map(used) {
        if !names.contains(&found.as_str()) && !BUILT_IN.contains(&found.as_str()) {
            faults.push(format!("there is no variable ${found}"));
        }
        all.insert(found);
    }
    for (place, variable) in variables(dashboard).iter().enumerate() {
        for found in texts(variable).into_iter().flat_map(used) {
            if !names[..place].contains(&found.as_str()) && !BUILT_IN.contains(&found.as_str()) {
                faults.push(format!("${} uses ${found} before its time", names[place]));
            }
        }
    }
    for name in names.into_iter().filter(|name| !all.contains(*name)) {
        faults.push(format!("${name} is not used"));
    }
    faults
}

/// Every link leads to a dashboard that is shipped, and gives it variables that it has.
pub fn links(dashboard: &Value, all: &[Value]) -> Vec<String> {
    let mut faults = Vec::new();
    for url in texts(dashboard)
        .into_iter()
        .filter(|text| text.starts_with("/d/"))
    {
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let uid = path.trim_start_matches("/d/");
        let Some(target) = all.iter().find(|other| other["uid"] == uid) else {
            faults.push(format!("{url} leads nowhere"));
            continue;
        };
        for part in query.split('&') {
            let name = match part.strip_prefix("var-") {
                Some(given) => given.split('=').next().unwrap_or_default().to_owned(),
                None => used(part).into_iter().next().unwrap_or_default(),
            };
            if variable(target, &name).is_none() {
                faults.push(format!("{url} gives {name:?}, which {uid} does not have"));
            }
        }
    }
    let column = Regex::new(r"__data\.fields\.(\w+)").unwrap();
    for panel in panels(dashboard) {
        let columns: Vec<&str> = list(&panel["transformations"])
            .iter()
            .filter_map(|step| step["options"]["renameByName"].as_object())
            .flat_map(|columns| columns.keys().map(String::as_str))
            .collect();
        for url in texts(panel) {
            for found in column.captures_iter(url) {
                if !columns.contains(&&found[1]) {
                    faults.push(format!("{} has no column {}", title(panel), &found[1]));
                }
            }
        }
    }
    let links = list(&dashboard["links"]);
    let leads = |link: &Value, other: &Value| {
        list(&link["tags"])
            .iter()
            .all(|tag| list(&other["tags"]).contains(tag))
    };
    for other in all {
        if !links
            .iter()
            .any(|link| link["type"] == "dashboards" && leads(link, other))
        {
            faults.push(format!("nothing leads to {}", other["title"]));
        }
    }
    faults
}
