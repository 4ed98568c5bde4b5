//! A dashboard: panels laid out from left to right, and what holds for all of them. The schema is that of
//! Grafana 11.

use serde_json::{Value, json};

use super::panel::Panel;

/// The version of the schema of Grafana 11.
const SCHEMA: u32 = 39;
/// The width of a dashboard.
const WIDTH: u32 = 24;

/// A dashboard that is being filled, from left to right and from top to bottom.
pub struct Sheet {
    panels: Vec<Value>,
    x: u32,
    y: u32,
    line: u32,
}

impl Sheet {
    pub fn new() -> Self {
        Self {
            panels: Vec::new(),
            x: 0,
            y: 0,
            line: 0,
        }
    }

    /// Begins a row with a heading.
    pub fn row(&mut self, title: &str) {
        self.next_line();
        let id = self.panels.len() + 1;
        self.panels.push(json!({
            "type": "row",
            "title": title,
            "id": id,
            "collapsed": false,
            "gridPos": {"h": 1, "w": WIDTH, "x": 0, "y": self.y},
            "panels": [],
        }));
        self.y += 1;
    }

    /// Adds a panel of that width and height.
    pub fn add(&mut self, (w, h): (u32, u32), panel: Panel) {
        if self.x + w > WIDTH {
            self.next_line();
        }
        let grid = json!({"h": h, "w": w, "x": self.x, "y": self.y});
        let id = self.panels.len() + 1;
        self.panels.push(panel.finished(id, grid));
        self.x += w;
        self.line = self.line.max(h);
    }

    fn next_line(&mut self) {
        self.y += self.line;
        self.x = 0;
        self.line = 0;
    }

    /// The whole dashboard.
    pub fn finished(self, about: &About, variables: Vec<Value>, annotations: Vec<Value>) -> Value {
        let mut annotations = annotations;
        annotations.insert(
            0,
            json!({
                "builtIn": 1,
                "datasource": {"type": "grafana", "uid": "-- Grafana --"},
                "enable": true,
                "hide": true,
                "iconColor": "rgba(0, 211, 255, 1)",
                "name": "Annotations & Alerts",
                "type": "dashboard",
            }),
        );
        json!({
            "annotations": {"list": annotations},
            "description": about.description,
            "editable": false,
            "fiscalYearStartMonth": 0,
            "graphTooltip": 1,
            "id": null,
            "links": [{
                "asDropdown": false,
                "icon": "external link",
                "includeVars": true,
                "keepTime": false,
                "tags": ["flowgent"],
                "targetBlank": false,
                "title": "FlowGent",
                "tooltip": "The other dashboards of FlowGent",
                "type": "dashboards",
                "url": "",
            }],
            "panels": self.panels,
            "refresh": about.refresh,
            "schemaVersion": SCHEMA,
            "tags": ["flowgent"],
            "templating": {"list": variables},
            "time": {"from": about.from, "to": "now"},
            "timepicker": {},
            "timezone": "utc",
            "title": about.title,
            "uid": about.uid,
            "version": 1,
            "weekStart": "monday",
        })
    }
}

/// What a dashboard is called, and the time that it shows at first.
pub struct About {
    pub uid: &'static str,
    pub title: &'static str,
    pub description: &'static str,
    pub from: &'static str,
    pub refresh: &'static str,
}
