//! What goes on inside: the ledger, the hooks, what is served and the process.

use serde_json::json;

use super::{exporter, quantile, rate};
use crate::observability::dashboards::expressions::EXPORTER;
use crate::observability::dashboards::panel::{Panel, Query, steps};
use crate::observability::dashboards::sheet::Sheet;

pub fn ledger(sheet: &mut Sheet) {
    sheet.row("Ledger and figures");
    sheet.add(
        (8, 8),
        Panel::lines(
            "Size of the ledger",
            "Size of the ledger's file and its write-ahead log.",
            "bytes",
        )
        .query(Query::range(exporter("ledger_size_bytes"), "{{instance}}"))
        .no_value("not scraped"),
    );
    let transactions = exporter("ledger_transaction_duration_seconds_count");
    sheet.add(
        (8, 8),
        Panel::lines(
            "Transactions",
            "Transactions of the ledger by name, and those that failed.",
            "ops",
        )
        .query(Query::range(
            format!("sum by (transaction) ({}) > 0", rate(&transactions)),
            "{{transaction}}",
        ))
        .query(Query::range(
            format!(
                "sum by (transaction) ({}) > 0",
                rate(&exporter("ledger_errors_total"))
            ),
            "{{transaction}} failed",
        ))
        .fields(
            "byRegexp",
            "/ failed$/",
            &[("color", json!({"mode": "fixed", "fixedColor": "red"}))],
        )
        .no_value("no transactions in this time"),
    );
    let duration = exporter("ledger_transaction_duration_seconds_bucket");
    sheet.add(
        (8, 8),
        Panel::lines(
            "Duration of transactions",
            "Time that 99 of a hundred transactions of the ledger took at most, by \
             name.",
            "s",
        )
        .query(Query::range(
            quantile("0.99", "transaction, ", &duration),
            "{{transaction}}",
        ))
        .no_value("no transactions in this time"),
    );
}

/// What follows from a change of the ledger.
pub fn figures(sheet: &mut Sheet) {
    let mean = |name: &str| {
        let (sum, count) = (
            exporter(&format!("{name}_sum")),
            exporter(&format!("{name}_count")),
        );
        format!("sum({}) / (sum({}) > 0)", rate(&sum), rate(&count))
    };
    sheet.add(
        (12, 8),
        Panel::lines(
            "Rendering and evaluating",
            "Mean time to render and compress the usage series after a change, and to \
             evaluate all rules.",
            "s",
        )
        .query(Query::range(mean("render_duration_seconds"), "render"))
        .query(Query::range(
            mean("alert_evaluation_duration_seconds"),
            "evaluate rules",
        ))
        .custom(json!({"showPoints": "always"}))
        .no_value("nothing changed in this time"),
    );
    sheet.add(
        (12, 8),
        Panel::lines(
            "Since the last evaluation",
            "How long ago the rules were last evaluated, which is done after every \
             sync and at every new day.",
            "s",
        )
        .query(Query::range(
            format!(
                "time() - ({} > 0)",
                exporter("alert_last_evaluation_timestamp_seconds")
            ),
            "{{instance}}",
        ))
        .no_value("never"),
    );
}

pub fn hooks(sheet: &mut Sheet) {
    sheet.row("Hooks");
    let hook = |name| format!("flowgent_hook_{name}{{{EXPORTER}}}");
    sheet.add(
        (9, 8),
        Panel::lines("Deliveries by hook and outcome", "Tries to deliver alerts: delivered, failed and to be tried again, or \
             given up.", "none")
            .query(Query::range(
                format!("sum by (hook, outcome) (increase({}[$__rate_interval])) > 0", hook("deliveries_total")),
                "{{hook}} {{outcome}}",
            ))
            .custom(json!({"drawStyle": "bars", "fillOpacity": 70, "lineWidth": 0, "stacking": {"group": "A", "mode": "normal"}}))
            .fields("byRegexp", "/ delivered$/", &[("color", json!({"mode": "fixed", "fixedColor": "green"}))])
            .fields("byRegexp", "/ failed$/", &[("color", json!({"mode": "fixed", "fixedColor": "orange"}))])
            .fields("byRegexp", "/ given_up$/", &[("color", json!({"mode": "fixed", "fixedColor": "red"}))])
            .no_value("no deliveries in this time"),
    );
    sheet.add(
        (7, 8),
        Panel::lines(
            "Pending deliveries",
            "Deliveries that a hook has not taken yet.",
            "none",
        )
        .query(Query::range(
            format!("sum by (hook) ({})", hook("pending_deliveries")),
            "{{hook}}",
        ))
        .default("decimals", json!(0))
        .no_value("no hooks"),
    );
    sheet.add((8, 8), hook_table());
}

fn hook_table() -> Panel {
    let hook = |name| format!("flowgent_hook_{name}{{{EXPORTER}}}");
    let oldest = hook("oldest_pending_timestamp_seconds");
    Panel::table(
        "Hooks",
        "What waits for each hook and since when, and whether the hook has \
             answered that it wants nothing more.",
        "none",
    )
    .query(Query::rows(format!(
        "max by (hook) ({})",
        hook("pending_deliveries")
    )))
    .query(Query::rows(format!("min by (hook) ({oldest} > 0) * 1000")))
    .query(Query::rows(format!("max by (hook) ({})", hook("disabled"))))
    .columns(
        &[
            ("hook", "Hook"),
            ("Value #A", "Pending"),
            ("Value #B", "Oldest"),
            ("Value #C", "State"),
        ],
        &["Time"],
    )
    .field(
        "Pending",
        &[
            (
                "thresholds",
                steps(&[("text", None), ("orange", Some(1.0))]),
            ),
            ("custom.cellOptions", json!({"type": "color-text"})),
        ],
    )
    .field(
        "Oldest",
        &[
            ("unit", json!("dateTimeFromNow")),
            ("noValue", json!("nothing waits")),
        ],
    )
    .field(
        "State",
        &[
            (
                "mappings",
                json!([{"type": "value", "options": {
                    "0": {"text": "in use", "color": "green", "index": 0},
                    "1": {"text": "wants nothing", "color": "red", "index": 1},
                }}]),
            ),
            ("custom.cellOptions", json!({"type": "color-text"})),
        ],
    )
    .no_value("no hooks")
}

pub fn serving(sheet: &mut Sheet) {
    sheet.row("Serving and process");
    sheet.add(
        (8, 8),
        Panel::lines(
            "Requests served",
            "Requests to the exporter by handler and status code.",
            "reqps",
        )
        .query(Query::range(
            format!(
                "sum by (handler, code) ({}) > 0",
                rate(&exporter("http_requests_total"))
            ),
            "{{handler}} {{code}}",
        ))
        .no_value("not scraped"),
    );
}

pub fn process(sheet: &mut Sheet) {
    let process = |name| format!("process_{name}{{{EXPORTER}}}");
    sheet.add(
        (8, 8),
        Panel::lines(
            "Connections and tasks",
            "Open connections of clients, asynchronous tasks that are alive, and \
             connections a second that were closed to make room for others.",
            "none",
        )
        .query(Query::range(exporter("http_connections"), "connections"))
        .query(Query::range(exporter("runtime_tasks"), "tasks"))
        .query(Query::range(
            rate(&exporter("http_connections_evicted_total")),
            "evicted a second",
        ))
        .field("evicted a second", &[("unit", json!("ops"))])
        .no_value("not scraped"),
    );
    sheet.add(
        (8, 8),
        Panel::lines(
            "CPU",
            "Processor cores that the exporter keeps busy.",
            "percentunit",
        )
        .query(Query::range(
            rate(&process("cpu_seconds_total")),
            "{{instance}}",
        ))
        .no_value("not scraped"),
    );
    sheet.add(
        (8, 8),
        Panel::lines(
            "Memory",
            "Memory of the process: what it holds, and what it has reserved.",
            "bytes",
        )
        .query(Query::range(process("resident_memory_bytes"), "resident"))
        .query(Query::range(process("virtual_memory_bytes"), "virtual"))
        .field(
            "virtual",
            &[(
                "custom.hideFrom",
                json!({"legend": false, "tooltip": false, "viz": true}),
            )],
        )
        .no_value("not scraped"),
    );
    sheet.add(
        (8, 8),
        Panel::lines(
            "Files and threads",
            "Open files and how many may be open, and threads.",
            "none",
        )
        .query(Query::range(process("open_fds"), "open files"))
        .query(Query::range(process("max_fds"), "most open files"))
        .query(Query::range(process("threads"), "threads"))
        .field(
            "most open files",
            &[(
                "custom.hideFrom",
                json!({"legend": false, "tooltip": false, "viz": true}),
            )],
        )
        .no_value("not scraped"),
    );
    sheet.add(
        (8, 8),
        Panel::lines("Uptime", "How long the process has been running.", "s")
            .query(Query::range(
                format!("time() - {}", process("start_time_seconds")),
                "{{instance}}",
            ))
            .no_value("not scraped"),
    );
}
