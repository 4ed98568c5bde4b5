//! What stands where, and in which words and units.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::Value;

use super::{list, text, title};
use crate::observability::dashboards::grafana::panels;

/// The units of Grafana that we use, as `packages/grafana-data/src/valueFormats/categories.ts` calls them.
const UNITS: [&str; 10] = [
    "none",
    "short",
    "locale",
    "string",
    "percentunit",
    "s",
    "bytes",
    "ops",
    "reqps",
    "dateTimeFromNow",
];
/// The kinds of panels that we use, with the options that each has to have.
const KINDS: [(&str, &[&str]); 7] = [
    ("bargauge", &["displayMode", "orientation", "reduceOptions"]),
    (
        "gauge",
        &["orientation", "reduceOptions", "showThresholdMarkers"],
    ),
    (
        "stat",
        &["colorMode", "graphMode", "reduceOptions", "textMode"],
    ),
    (
        "state-timeline",
        &["mergeValues", "showValue", "tooltip", "legend"],
    ),
    (
        "status-history",
        &["colWidth", "rowHeight", "showValue", "tooltip", "legend"],
    ),
    ("table", &["cellHeight", "footer", "showHeader", "sortBy"]),
    ("timeseries", &["legend", "tooltip"]),
];
/// The fields of a dashboard of schema 39.
const FIELDS: [&str; 19] = [
    "annotations",
    "description",
    "editable",
    "fiscalYearStartMonth",
    "graphTooltip",
    "id",
    "links",
    "panels",
    "refresh",
    "schemaVersion",
    "tags",
    "templating",
    "time",
    "timepicker",
    "timezone",
    "title",
    "uid",
    "version",
    "weekStart",
];

/// Everything has a title and says what it shows.
pub fn words(dashboard: &Value, _: &[Value]) -> Vec<String> {
    let mut faults = Vec::new();
    for thing in panels(dashboard).chain([dashboard]) {
        for field in ["title", "description"] {
            if text(thing, field).trim().is_empty() {
                faults.push(format!("{} has no {field}", title(thing)));
            }
        }
    }
    for row in list(&dashboard["panels"]) {
        if text(row, "title").is_empty() {
            faults.push(format!("{} has no title", title(row)));
        }
    }
    faults
}

/// Every panel has a unit that Grafana knows, and so has every field that is shown in another.
pub fn units(dashboard: &Value, _: &[Value]) -> Vec<String> {
    let mut faults = Vec::new();
    for panel in panels(dashboard) {
        let config = &panel["fieldConfig"];
        let unit = text(&config["defaults"], "unit");
        if !UNITS.contains(&unit) {
            faults.push(format!("{} has the unit {unit:?}", title(panel)));
        }
        let properties = list(&config["overrides"])
            .iter()
            .flat_map(|field| list(&field["properties"]));
        for property in properties.filter(|property| property["id"] == "unit") {
            let unit = text(property, "value");
            if !UNITS.contains(&unit) && !unit.starts_with("time:YYYY-MM-DD") {
                faults.push(format!(
                    "{} has a field with the unit {unit:?}",
                    title(panel)
                ));
            }
        }
    }
    faults
}

/// Every panel asks something.
pub fn queries_of_panels(dashboard: &Value, _: &[Value]) -> Vec<String> {
    panels(dashboard)
        .filter(|panel| list(&panel["targets"]).is_empty())
        .map(|panel| format!("{} asks nothing", title(panel)))
        .collect()
}

/// It is changed at its source, and not by the way.
pub fn uneditable(dashboard: &Value, _: &[Value]) -> Vec<String> {
    match dashboard["editable"] {
        Value::Bool(false) => Vec::new(),
        _ => vec!["it can be edited".to_owned()],
    }
}

/// What Grafana needs to read it.
pub fn shape(dashboard: &Value, _: &[Value]) -> Vec<String> {
    let mut faults = Vec::new();
    let found: BTreeSet<&str> = dashboard
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    if found != BTreeSet::from(FIELDS) {
        faults.push(format!("its fields are {found:?}"));
    }
    let expected = [
        ("id", Value::Null),
        ("schemaVersion", 39.into()),
        ("timezone", "utc".into()),
    ];
    for (field, value) in expected {
        if dashboard[field] != value {
            faults.push(format!("its {field} is {}", dashboard[field]));
        }
    }
    for panel in panels(dashboard) {
        let name = title(panel);
        let Some((_, options)) = KINDS.iter().find(|(kind, _)| panel["type"] == *kind) else {
            faults.push(format!("{name} is of the kind {}", panel["type"]));
            continue;
        };
        for option in *options {
            if panel["options"].get(option).is_none() {
                faults.push(format!("{name} has no option {option}"));
            }
        }
        for field in ["defaults", "overrides"] {
            if panel["fieldConfig"].get(field).is_none() {
                faults.push(format!("{name} has no fieldConfig.{field}"));
            }
        }
        let steps = list(&panel["fieldConfig"]["defaults"]["thresholds"]["steps"]);
        let values: Vec<Option<f64>> = steps.iter().map(|step| step["value"].as_f64()).collect();
        if values.first() != Some(&None) || !values.is_sorted() {
            faults.push(format!("{name} has the thresholds {values:?}"));
        }
        for target in list(&panel["targets"]) {
            if target["instant"] == target["range"] {
                faults.push(format!(
                    "{name} asks for an instant and a range, or for neither"
                ));
            }
        }
    }
    faults
}

/// Nothing is called as something else is.
pub fn identifiers(dashboard: &Value, all: &[Value]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut ids = BTreeSet::new();
    for panel in list(&dashboard["panels"]) {
        match panel["id"].as_u64() {
            Some(id) if id > 0 && ids.insert(id) => {}
            _ => faults.push(format!("{} has the id {}", title(panel), panel["id"])),
        }
        let targets = list(&panel["targets"]).iter();
        let letters: BTreeSet<&str> = targets.map(|target| text(target, "refId")).collect();
        if letters.len() != list(&panel["targets"]).len() || letters.contains("") {
            faults.push(format!("{} has queries of the same name", title(panel)));
        }
    }
    let variables = list(&dashboard["templating"]["list"]).iter();
    let names: Vec<&str> = variables.map(|variable| text(variable, "name")).collect();
    if names.iter().collect::<BTreeSet<_>>().len() != names.len() {
        faults.push(format!("variables are called the same: {names:?}"));
    }
    for field in ["uid", "title"] {
        let same = all.iter().filter(|other| other[field] == dashboard[field]);
        if same.count() > 1 || text(dashboard, field).is_empty() {
            faults.push(format!("its {field} is {}", dashboard[field]));
        }
    }
    // Grafana takes no longer one.
    if text(dashboard, "uid").len() > 40 {
        faults.push(format!("its uid is too long: {}", dashboard["uid"]));
    }
    faults
}

/// Panels lie within 24 columns and on nothing else, and leave no holes in their lines.
pub fn grid(dashboard: &Value, _: &[Value]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut taken = BTreeSet::new();
    let mut bottom = 0;
    for panel in list(&dashboard["panels"]) {
        let side = |name| panel["gridPos"][name].as_u64().unwrap_or(u64::MAX);
        let (x, y, w, h) = (side("x"), side("y"), side("w"), side("h"));
        if x.saturating_add(w) > 24 || w == 0 || h == 0 || h > 30 || y > 1000 {
            faults.push(format!("{} lies at {}", title(panel), panel["gridPos"]));
            continue;
        }
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            if !taken.insert(cell) {
                faults.push(format!("{} lies on another at {cell:?}", title(panel)));
                break;
            }
        }
        bottom = bottom.max(y + h);
    }
    for y in 0..bottom {
        let width = taken.iter().filter(|cell| cell.1 == y).count();
        if width != 24 {
            faults.push(format!("line {y} is {width} wide"));
        }
    }
    faults
}

/// What is drawn in another way is there: a series by its legend, or a column.
pub fn overrides(dashboard: &Value, _: &[Value]) -> Vec<String> {
    let mut faults = Vec::new();
    for panel in panels(dashboard) {
        let targets = list(&panel["targets"]).iter();
        let mut names: Vec<&str> = targets.map(|target| text(target, "legendFormat")).collect();
        for step in list(&panel["transformations"]) {
            let renamed = step["options"]["renameByName"].as_object();
            names.extend(
                renamed
                    .into_iter()
                    .flatten()
                    .filter_map(|(_, name)| name.as_str()),
            );
        }
        for field in list(&panel["fieldConfig"]["overrides"]) {
            let sought = text(&field["matcher"], "options");
            let pattern = sought.trim_matches('/');
            let is_there = match text(&field["matcher"], "id") {
                // A label's value may make a name that a legend does not show.
                "byName" => names.iter().any(|name| {
                    *name == sought || *name == "{{outcome}}" || *name == "{{direction}}"
                }),
                "byRegexp" => {
                    let pattern = Regex::new(pattern);
                    pattern.is_ok_and(|pattern| {
                        names
                            .iter()
                            .any(|name| name.ends_with("{{outcome}}") || pattern.is_match(name))
                    })
                }
                _ => false,
            };
            if !is_there {
                faults.push(format!(
                    "{} has no {} among {names:?}",
                    title(panel),
                    field["matcher"]
                ));
            }
        }
    }
    faults
}

/// A panel without data says in words what that means.
pub fn words_for_nothing(dashboard: &Value, _: &[Value]) -> Vec<String> {
    panels(dashboard)
        .filter(|panel| text(&panel["fieldConfig"]["defaults"], "noValue").is_empty())
        .map(|panel| format!("{} says nothing where there is nothing", title(panel)))
        .collect()
}

/// A bar in a table is measured by its own column, or by bounds that are given. Otherwise it is by the
/// greatest number of the whole table, which may be a time.
pub fn ranges(dashboard: &Value, _: &[Value]) -> Vec<String> {
    let mut faults = Vec::new();
    for panel in panels(dashboard).filter(|panel| panel["type"] == "table") {
        for field in list(&panel["fieldConfig"]["overrides"]) {
            let property = |id: &str| {
                let mut found = list(&field["properties"]).iter();
                found.find(|property| property["id"] == id)
            };
            let is_bar = property("custom.cellOptions")
                .is_some_and(|options| options["value"]["type"] == "gauge");
            let is_own = property("fieldMinMax").is_some_and(|own| own["value"] == true);
            let is_bounded = property("min").is_some() && property("max").is_some();
            if is_bar && !is_own && !is_bounded {
                let column = &field["matcher"]["options"];
                faults.push(format!("{} has no range for {column}", title(panel)));
            }
        }
    }
    faults
}
