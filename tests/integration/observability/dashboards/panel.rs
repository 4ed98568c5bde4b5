//! Panels with their units, words and queries, in what all of ours have in common.

use serde_json::{Map, Value, json};

/// The unit of credits on charts, where 12 K says enough.
pub const CREDITS: &str = "short";
/// The unit of credits that stand alone, to the last one.
pub const WHOLE_CREDITS: &str = "locale";

/// A query of a panel.
pub struct Query {
    expr: String,
    legend: String,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Over the time that is shown.
    Range,
    /// At its end.
    Instant,
    /// At its end, as the rows of a table.
    Table,
}

impl Query {
    /// One over the time that is shown; `legend` names its series.
    pub fn range(expr: impl Into<String>, legend: &str) -> Self {
        Self::new(expr.into(), legend, Kind::Range)
    }

    /// One at the end of the time that is shown.
    pub fn instant(expr: impl Into<String>, legend: &str) -> Self {
        Self::new(expr.into(), legend, Kind::Instant)
    }

    /// One at the end of the time that is shown, whose series are rows.
    pub fn rows(expr: impl Into<String>) -> Self {
        Self::new(expr.into(), "", Kind::Table)
    }

    fn new(expr: String, legend: &str, kind: Kind) -> Self {
        let legend = legend.to_owned();
        Self { expr, legend, kind }
    }

    fn json(&self, place: usize, step: Option<&str>) -> Value {
        let letter = char::from(b'A' + u8::try_from(place).unwrap());
        let format = ["time_series", "table"][usize::from(self.kind == Kind::Table)];
        let mut target = json!({
            "datasource": datasource(),
            "editorMode": "code",
            "expr": self.expr,
            "format": format,
            "instant": self.kind != Kind::Range,
            "legendFormat": self.legend,
            "range": self.kind == Kind::Range,
            "refId": letter.to_string(),
        });
        if let (Some(step), Kind::Range) = (step, self.kind) {
            target["interval"] = json!(step);
        }
        target
    }
}

/// The data source that the reader chooses.
pub fn datasource() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

/// A panel. What it shows is set by the functions that follow its making.
pub struct Panel {
    json: Value,
    queries: Vec<Query>,
    step: Option<&'static str>,
}

impl Panel {
    fn new(kind: &str, title: &str, description: &str, unit: &str, options: Value) -> Self {
        let json = json!({
            "type": kind,
            "title": title,
            "description": description,
            "datasource": datasource(),
            "fieldConfig": {
                "defaults": {
                    "unit": unit,
                    "color": {"mode": "thresholds"},
                    "mappings": [],
                    "thresholds": steps(&[("text", None)]),
                    "custom": {},
                },
                "overrides": [],
            },
            "options": options,
            "transformations": [],
        });
        Self {
            json,
            queries: Vec::new(),
            step: None,
        }
    }

    /// A single figure.
    pub fn stat(title: &str, description: &str, unit: &str) -> Self {
        let options = json!({
            "colorMode": "value",
            "graphMode": "none",
            "justifyMode": "center",
            "orientation": "auto",
            "percentChangeColorMode": "standard",
            "reduceOptions": last(),
            "showPercentChange": false,
            "textMode": "auto",
            "wideLayout": true,
        });
        Self::new("stat", title, description, unit, options)
    }

    /// A needle for each series.
    pub fn gauge(title: &str, description: &str, unit: &str) -> Self {
        let options = json!({
            "minVizHeight": 90,
            "minVizWidth": 110,
            "orientation": "auto",
            "reduceOptions": last(),
            "showThresholdLabels": false,
            "showThresholdMarkers": true,
            "sizing": "auto",
        });
        Self::new("gauge", title, description, unit, options)
    }

    /// A bar for each series, with its name beside it.
    pub fn bar_gauge(title: &str, description: &str, unit: &str) -> Self {
        let options = json!({
            "displayMode": "basic",
            "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": false},
            "maxVizHeight": 24,
            "minVizHeight": 16,
            "minVizWidth": 8,
            "namePlacement": "left",
            "orientation": "horizontal",
            "reduceOptions": last(),
            "showUnfilled": true,
            "sizing": "manual",
            "valueMode": "color",
        });
        Self::new("bargauge", title, description, unit, options)
    }

    /// Lines over time.
    pub fn lines(title: &str, description: &str, unit: &str) -> Self {
        let options = json!({
            "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": true},
            "tooltip": {"hideZeros": false, "mode": "multi", "sort": "desc"},
        });
        let panel = Self::new("timeseries", title, description, unit, options);
        panel
            .default("color", json!({"mode": "palette-classic"}))
            .default("min", json!(0))
            .custom(json!({
                "axisBorderShow": false,
                "axisCenteredZero": false,
                "axisColorMode": "text",
                "axisLabel": "",
                "axisPlacement": "auto",
                "barAlignment": 0,
                "drawStyle": "line",
                "fillOpacity": 8,
                "gradientMode": "none",
                "hideFrom": {"legend": false, "tooltip": false, "viz": false},
                "insertNulls": false,
                "lineInterpolation": "linear",
                "lineWidth": 1,
                "pointSize": 5,
                "scaleDistribution": {"type": "linear"},
                "showPoints": "auto",
                "spanNulls": false,
                "stacking": {"group": "A", "mode": "none"},
                "thresholdsStyle": {"mode": "off"},
            }))
    }

    /// A stack of bars for each day, from its midnight to the next.
    pub fn daily_bars(title: &str, description: &str, unit: &str) -> Self {
        Self::lines(title, description, unit).daily().custom(json!({
            "barAlignment": 1,
            "barWidthFactor": 0.9,
            "drawStyle": "bars",
            "fillOpacity": 85,
            "lineWidth": 0,
            "showPoints": "never",
            "stacking": {"group": "A", "mode": "normal"},
        }))
    }

    /// A row of boxes for each series.
    pub fn history(title: &str, description: &str, unit: &str) -> Self {
        let options = json!({
            "colWidth": 0.92,
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": false},
            "rowHeight": 0.9,
            "showValue": "never",
            "tooltip": {"hideZeros": false, "mode": "single", "sort": "none"},
        });
        Self::new("status-history", title, description, unit, options).custom(json!({
            "fillOpacity": 90,
            "hideFrom": {"legend": false, "tooltip": false, "viz": false},
            "lineWidth": 0,
        }))
    }

    /// A band for each series that changes its colour with the state.
    pub fn states(title: &str, description: &str, unit: &str) -> Self {
        let options = json!({
            "alignValue": "left",
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": false},
            "mergeValues": true,
            "rowHeight": 0.8,
            "showValue": "never",
            "tooltip": {"hideZeros": false, "mode": "single", "sort": "none"},
        });
        Self::new("state-timeline", title, description, unit, options).custom(json!({
            "fillOpacity": 80,
            "hideFrom": {"legend": false, "tooltip": false, "viz": false},
            "lineWidth": 0,
        }))
    }

    /// A table.
    pub fn table(title: &str, description: &str, unit: &str) -> Self {
        let options = json!({
            "cellHeight": "sm",
            "footer": {"countRows": false, "enablePagination": true, "fields": "", "reducer": ["sum"], "show": false},
            "showHeader": true,
            "sortBy": [],
        });
        Self::new("table", title, description, unit, options).custom(json!({
            "align": "auto",
            "cellOptions": {"type": "auto"},
            "filterable": true,
            "inspect": false,
        }))
    }

    /// Adds a query.
    pub fn query(mut self, query: Query) -> Self {
        self.queries.push(query);
        self
    }

    /// Sets what holds for all fields.
    pub fn default(mut self, name: &str, value: Value) -> Self {
        self.json["fieldConfig"]["defaults"][name] = value;
        self
    }

    /// Sets how all fields are drawn.
    pub fn custom(mut self, settings: Value) -> Self {
        merge(
            &mut self.json["fieldConfig"]["defaults"]["custom"],
            settings,
        );
        self
    }

    /// Sets options of this kind of panel.
    pub fn options(mut self, settings: Value) -> Self {
        merge(&mut self.json["options"], settings);
        self
    }

    /// The text where there is no value.
    pub fn no_value(self, text: &str) -> Self {
        self.default("noValue", json!(text))
    }

    /// The colour from each value on; the first has none.
    pub fn thresholds(self, colours: &[(&str, Option<f64>)]) -> Self {
        self.default("thresholds", steps(colours))
    }

    /// Shows whole numbers in words.
    pub fn words(self, words: &[(i64, &str, &str)]) -> Self {
        let options: Map<String, Value> = words
            .iter()
            .enumerate()
            .map(|(index, (value, text, color))| {
                let shown = json!({"text": text, "color": color, "index": index});
                (value.to_string(), shown)
            })
            .collect();
        self.default("mappings", json!([{"type": "value", "options": options}]))
    }

    /// Draws the field of that name in another way.
    pub fn field(self, name: &str, properties: &[(&str, Value)]) -> Self {
        self.fields("byName", name, properties)
    }

    /// Draws the fields that a matcher finds in another way.
    pub fn fields(mut self, matcher: &str, name: &str, properties: &[(&str, Value)]) -> Self {
        let properties: Vec<Value> = properties
            .iter()
            .map(|(id, value)| json!({"id": id, "value": value}))
            .collect();
        let overrides = self.json["fieldConfig"]["overrides"]
            .as_array_mut()
            .unwrap();
        overrides.push(json!({
            "matcher": {"id": matcher, "options": name},
            "properties": properties,
        }));
        self
    }

    /// Adds a step between the answers of the queries and what is drawn.
    pub fn transform(mut self, id: &str, options: Value) -> Self {
        let list = self.json["transformations"].as_array_mut().unwrap();
        list.push(json!({"id": id, "options": options}));
        self
    }

    /// Joins the rows of all queries, and shows these columns in this order, under these names.
    pub fn columns(self, columns: &[(&str, &str)], hidden: &[&str]) -> Self {
        let order: Map<String, Value> = columns
            .iter()
            .enumerate()
            .map(|(place, (name, _))| ((*name).to_owned(), json!(place)))
            .collect();
        let names: Map<String, Value> = columns
            .iter()
            .map(|(name, shown)| ((*name).to_owned(), json!(shown)))
            .collect();
        let hidden: Map<String, Value> = hidden
            .iter()
            .map(|name| ((*name).to_owned(), json!(true)))
            .collect();
        self.transform("merge", json!({})).transform(
            "organize",
            json!({"excludeByName": hidden, "indexByName": order, "renameByName": names}),
        )
    }

    /// Leads from a value to a dashboard.
    pub fn link(self, title: &str, url: &str) -> Self {
        self.default("links", json!([{"title": title, "url": url}]))
    }

    /// Asks for a point a day, at midnight, however long the time is that is shown.
    pub fn daily(self) -> Self {
        self.every("1d")
    }

    /// Asks for a point in so much time, and no rarer.
    pub fn every(mut self, step: &'static str) -> Self {
        self.json["interval"] = json!(step);
        // More than a decade of days, and less than what Prometheus refuses.
        self.json["maxDataPoints"] = json!(5000);
        self.step = Some(step);
        self
    }

    /// Shows another time than the rest of the dashboard.
    pub fn time(mut self, from: &str) -> Self {
        self.json["timeFrom"] = json!(from);
        self
    }

    /// Shows whole weeks, as many as there are in its time, to the end of this one.
    pub fn whole_weeks(mut self) -> Self {
        self.json["timeShift"] = json!("0w/w");
        // Grafana's words for that would say little.
        self.json["hideTimeOverride"] = json!(true);
        self
    }

    /// The whole panel, at its place.
    pub fn finished(mut self, id: usize, grid: Value) -> Value {
        let queries = self.queries.iter().enumerate();
        let targets: Vec<Value> = queries
            .map(|(place, query)| query.json(place, self.step))
            .collect();
        self.json["id"] = json!(id);
        self.json["gridPos"] = grid;
        self.json["targets"] = json!(targets);
        self.json
    }
}

/// Thresholds on values, each with the colour from there on.
pub fn steps(colours: &[(&str, Option<f64>)]) -> Value {
    let steps: Vec<Value> = colours
        .iter()
        .map(|(color, value)| json!({"color": color, "value": value}))
        .collect();
    json!({"mode": "absolute", "steps": steps})
}

/// One value for each series, the last.
fn last() -> Value {
    json!({"calcs": ["lastNotNull"], "fields": "", "values": false})
}

fn merge(into: &mut Value, settings: Value) {
    let Value::Object(settings) = settings else {
        panic!("not an object: {settings}");
    };
    into.as_object_mut().unwrap().extend(settings);
}
