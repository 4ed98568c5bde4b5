//! How budgets stand, and which rules fire.

use serde_json::json;

use crate::observability::dashboards::expressions::EXPORTER;
use crate::observability::dashboards::panel::{Panel, Query, WHOLE_CREDITS, steps};
use crate::observability::dashboards::sheet::Sheet;

/// A figure of budgets as it is now.
fn budget(figure: &str) -> String {
    format!("max by (budget) (flowgent_budget_{figure}{{{EXPORTER}}})")
}

const SHARES: [(&str, Option<f64>); 3] =
    [("green", None), ("orange", Some(0.8)), ("red", Some(1.0))];

/// Adds all about them.
pub fn budgets(sheet: &mut Sheet) {
    sheet.row("Budgets");
    sheet.add(
        (9, 8),
        Panel::gauge(
            "Used",
            "Which share of each budget is used in its current period, the one that \
             yesterday lies in.",
            "percentunit",
        )
        .query(Query::instant(budget("used_ratio"), "{{budget}}"))
        .default("min", json!(0))
        .default("max", json!(1.25))
        .default("decimals", json!(0))
        .thresholds(&SHARES)
        .no_value("no budgets"),
    );
    sheet.add((15, 8), budget_table());
    sheet.add(
        (12, 8),
        Panel::lines("Use of budgets", "Which share of each budget was used in its period at that time.", "percentunit")
            .query(Query::range(budget("used_ratio"), "{{budget}}"))
            .custom(json!({"lineInterpolation": "stepAfter", "lineWidth": 2, "thresholdsStyle": {"mode": "dashed"}}))
            .thresholds(&[("transparent", None), ("red", Some(1.0))])
            .no_value("no budgets"),
    );
    let firing = format!("flowgent_alert_firing{{{EXPORTER}}}");
    sheet.add(
        (12, 8),
        Panel::states(
            "Alerts",
            "The budgets and rules of the exporter that fired in the time that is \
             shown, with their subjects.",
            "none",
        )
        .query(Query::range(
            format!(
                "max by (rule, subject) (max_over_time({firing}[$__interval])) \
                     and on (rule, subject) (max_over_time({firing}[$__range] @ end()) > 0)"
            ),
            "{{rule}}: {{subject}}",
        ))
        .words(&[(0, "quiet", "green"), (1, "fires", "red")])
        .no_value("nothing has fired"),
    );
}

fn budget_table() -> Panel {
    let milliseconds = |figure| format!("{} * 1000", budget(figure));
    Panel::table(
        "Budgets and forecasts",
        "How each budget stands, and what is expected by the end of its period: \
             four times out of five, use ends between low and high.",
        WHOLE_CREDITS,
    )
    .query(Query::rows(budget("used_credits")))
    .query(Query::rows(budget("limit_credits")))
    .query(Query::rows(budget("used_ratio")))
    .query(Query::rows(budget("forecast_credits")))
    .query(Query::rows(budget("forecast_low_credits")))
    .query(Query::rows(budget("forecast_high_credits")))
    .query(Query::rows(milliseconds("exhausted_timestamp_seconds")))
    .query(Query::rows(milliseconds("period_end_timestamp_seconds")))
    .query(Query::rows(budget("missing_days")))
    .columns(
        &[
            ("budget", "Budget"),
            ("Value #C", "Used"),
            ("Value #A", "Credits"),
            ("Value #B", "Limit"),
            ("Value #D", "Forecast"),
            ("Value #E", "Low"),
            ("Value #F", "High"),
            ("Value #G", "Reached"),
            ("Value #H", "Period ends"),
            ("Value #I", "Missing days"),
        ],
        &["Time"],
    )
    .field(
        "Used",
        &[
            ("unit", json!("percentunit")),
            ("min", json!(0)),
            ("max", json!(1)),
            ("thresholds", steps(&SHARES)),
            (
                "custom.cellOptions",
                json!({"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}),
            ),
            ("custom.width", json!(160)),
        ],
    )
    .fields(
        "byRegexp",
        "/^(Reached|Period ends)$/",
        &[
            ("unit", json!("time:YYYY-MM-DD HH:mm")),
            ("custom.width", json!(140)),
        ],
    )
    .field(
        "Missing days",
        &[
            ("unit", json!("none")),
            (
                "thresholds",
                steps(&[("text", None), ("orange", Some(1.0))]),
            ),
            ("custom.cellOptions", json!({"type": "color-text"})),
        ],
    )
    .options(json!({"sortBy": [{"desc": true, "displayName": "Used"}]}))
    .no_value("no budgets")
}
