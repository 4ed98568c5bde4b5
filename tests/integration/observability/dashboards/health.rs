//! *Exporter health*: whether the exporter itself is well.

mod inside;

use serde_json::{Value, json};

use super::common::{annotations, exporter_variables};
use super::expressions::EXPORTER;
use super::panel::{Panel, Query};
use super::sheet::{About, Sheet};
use super::variables::any_of;

/// Series of the chosen exporters and accounts.
const ACCOUNTS: &str = "job=~\"$job\",instance=~\"$instance\",account=~`${account:regex}`";

/// The dashboard.
pub fn health() -> Value {
    let mut sheet = Sheet::new();
    state(&mut sheet);
    syncs(&mut sheet);
    api(&mut sheet);
    limits(&mut sheet);
    inside::ledger(&mut sheet);
    inside::figures(&mut sheet);
    inside::hooks(&mut sheet);
    inside::serving(&mut sheet);
    inside::process(&mut sheet);
    let about = About {
        uid: "flowgent-exporter",
        title: "FlowGent / Exporter health",
        description: "Whether the FlowGent exporter is well: its syncs, its requests to \
             FlowGent, its ledger, its hooks and its process.",
        from: "now-24h",
        refresh: "1m",
    };
    let accounts =
        format!("label_values(flowgent_exporter_api_requests_total{{{EXPORTER}}}, account)");
    let mut variables = exporter_variables();
    variables.push(any_of("account", "Account", &accounts, ".+"));
    sheet.finished(&about, variables, annotations())
}

/// A series of the exporter by its name without prefix.
fn exporter(name: &str) -> String {
    format!("flowgent_exporter_{name}{{{EXPORTER}}}")
}

/// A series of accounts by its name without prefix.
fn account(name: &str) -> String {
    format!("flowgent_exporter_{name}{{{ACCOUNTS}}}")
}

fn rate(series: &str) -> String {
    format!("rate({series}[$__rate_interval])")
}

/// Time that a share of what a histogram counts took no longer than.
fn quantile(share: &str, by: &str, series: &str) -> String {
    format!(
        "histogram_quantile({share}, sum by ({by}le) ({}))",
        rate(series)
    )
}

fn state(sheet: &mut Sheet) {
    let ago = |name| format!("min by (instance) ({} > 0) * 1000", exporter(name));
    sheet.add(
        (4, 4),
        Panel::stat(
            "Scrapes",
            "Whether Prometheus reaches the exporter.",
            "none",
        )
        .query(Query::instant(format!("up{{{EXPORTER}}}"), "{{instance}}"))
        .words(&[(0, "down", "red"), (1, "up", "green")])
        .no_value("not scraped"),
    );
    sheet.add(
        (4, 4),
        Panel::stat("Version", "What runs.", "string")
            .query(Query::instant(exporter("build_info"), "{{version}}"))
            .options(json!({"textMode": "name"}))
            .no_value("not scraped"),
    );
    sheet.add(
        (4, 4),
        Panel::stat(
            "Config",
            "Whether the config was good when it was last read. If not, the one from \
             before is in use.",
            "none",
        )
        .query(Query::instant(
            exporter("config_last_reload_successful"),
            "{{instance}}",
        ))
        .words(&[(0, "refused", "red"), (1, "good", "green")])
        .no_value("not scraped"),
    );
    sheet.add(
        (4, 4),
        Panel::stat(
            "Last whole sync",
            "When a sync last fetched everything that there was to fetch.",
            "dateTimeFromNow",
        )
        .query(Query::instant(
            ago("sync_last_complete_timestamp_seconds"),
            "{{instance}}",
        ))
        .no_value("none yet"),
    );
    sheet.add(
        (4, 4),
        Panel::stat("Next sync", "When the next sync is due.", "dateTimeFromNow")
            .query(Query::instant(
                ago("sync_next_timestamp_seconds"),
                "{{instance}}",
            ))
            .no_value("not scheduled"),
    );
    sheet.add(
        (4, 4),
        Panel::stat(
            "Windows left",
            "Requests for ranges of days that the current or last sync has yet to \
             make.",
            "none",
        )
        .query(Query::instant(exporter("windows_left"), "{{instance}}"))
        .thresholds(&[("green", None), ("orange", Some(1.0))])
        .no_value("not scraped"),
    );
}

fn syncs(sheet: &mut Sheet) {
    sheet.row("Syncs");
    sheet.add(
        (6, 8),
        Panel::lines("Syncs by outcome", "Syncs that have ended: complete if everything was fetched, incomplete if \
             something is left, failed if nothing came of it.", "none")
            .query(Query::range(
                format!("sum by (outcome) (increase({}[$__rate_interval]))", exporter("syncs_total")),
                "{{outcome}}",
            ))
            .custom(json!({"drawStyle": "bars", "fillOpacity": 70, "lineWidth": 0, "stacking": {"group": "A", "mode": "normal"}}))
            .field("complete", &[("color", json!({"mode": "fixed", "fixedColor": "green"}))])
            .field("incomplete", &[("color", json!({"mode": "fixed", "fixedColor": "orange"}))])
            .field("failed", &[("color", json!({"mode": "fixed", "fixedColor": "red"}))])
            .no_value("not scraped"),
    );
    sheet.add(
        (6, 8),
        Panel::lines(
            "Problems of the last sync",
            "Agents that met a problem in the last sync, by its kind; 1 for a problem \
             of an account as a whole.",
            "none",
        )
        .query(Query::range(
            format!(
                "sum by (account, kind) ({}) > 0",
                account("sync_last_problems")
            ),
            "{{account}}: {{kind}}",
        ))
        .default("decimals", json!(0))
        .no_value("no problems"),
    );
    sheet.add(
        (6, 8),
        Panel::lines(
            "Duration of the last sync",
            "How long the last sync took.",
            "s",
        )
        .query(Query::range(
            exporter("sync_last_duration_seconds"),
            "{{instance}}",
        ))
        .custom(json!({"lineInterpolation": "stepAfter"}))
        .no_value("not scraped"),
    );
    sheet.add(
        (6, 8),
        Panel::lines(
            "Windows",
            "Requests for ranges of days: how many were planned a second, and how \
             many are left to be made.",
            "none",
        )
        .query(Query::range(
            format!("sum({})", rate(&exporter("windows_planned_total"))),
            "planned a second",
        ))
        .query(Query::range(
            format!("sum({})", exporter("windows_left")),
            "left",
        ))
        .field(
            "planned a second",
            &[
                ("unit", json!("ops")),
                ("custom.axisPlacement", json!("right")),
            ],
        )
        .no_value("not scraped"),
    );
    sheet.add((24, 4), runs());
}

fn runs() -> Panel {
    Panel::states("Sync runs", "When the exporter was syncing.", "none")
        .query(Query::range(
            format!("max_over_time({}[$__interval])", exporter("sync_running")),
            "{{instance}}",
        ))
        .words(&[(0, "idle", "transparent"), (1, "syncs", "blue")])
        .no_value("not scraped")
}

fn api(sheet: &mut Sheet) {
    sheet.row("Requests to FlowGent");
    let requests = rate(&account("api_requests_total"));
    sheet.add(
        (8, 9),
        Panel::lines(
            "Requests by outcome",
            "Requests to FlowGent: ok, or why they failed.",
            "reqps",
        )
        .query(Query::range(
            format!("sum by (outcome) ({requests}) > 0"),
            "{{outcome}}",
        ))
        .custom(json!({"fillOpacity": 30, "stacking": {"group": "A", "mode": "normal"}}))
        .field(
            "ok",
            &[("color", json!({"mode": "fixed", "fixedColor": "green"}))],
        )
        .no_value("no requests in this time"),
    );
    let failed = rate(&format!(
        "flowgent_exporter_api_requests_total{{{ACCOUNTS},outcome!=\"ok\"}}"
    ));
    sheet.add(
        (8, 9),
        Panel::lines(
            "Failed requests by account",
            "Which share of the requests to FlowGent failed.",
            "percentunit",
        )
        .query(Query::range(
            format!("sum by (account) ({failed}) / (sum by (account) ({requests}) > 0)"),
            "{{account}}",
        ))
        .default("max", json!(1))
        .no_value("no requests in this time"),
    );
    let duration = account("api_request_duration_seconds_bucket");
    let mut latency = Panel::lines(
        "Latency by endpoint",
        "How long requests to FlowGent took: half of them, nine of ten, and 99 of \
             a hundred were faster.",
        "s",
    )
    .no_value("no requests in this time");
    for (share, name) in [("0.5", "half"), ("0.9", "90 %"), ("0.99", "99 %")] {
        latency = latency.query(Query::range(
            quantile(share, "endpoint, ", &duration),
            &format!("{{{{endpoint}}}} {name}"),
        ));
    }
    sheet.add((8, 9), latency);
}

fn limits(sheet: &mut Sheet) {
    sheet.add(
        (8, 8),
        Panel::lines(
            "Waits for the limits",
            "How many requests a second had to wait for the account's rate or \
             concurrency limit.",
            "reqps",
        )
        .query(Query::range(
            format!(
                "sum by (account) ({})",
                rate(&account("api_limit_waits_total"))
            ),
            "{{account}}",
        ))
        .no_value("not scraped"),
    );
    sheet.add(
        (8, 8),
        Panel::lines(
            "Time waited for the limits",
            "How much time requests spend waiting for the account's limits, each \
             second.",
            "s",
        )
        .query(Query::range(
            format!(
                "sum by (account) ({})",
                rate(&account("api_limit_wait_seconds_total"))
            ),
            "{{account}}",
        ))
        .no_value("not scraped"),
    );
    let mut skew = Panel::lines(
        "Clock skew",
        "FlowGent's clock minus that of the exporter's host. Below zero it is \
             tomorrow here too early.",
        "s",
    )
    .query(Query::range(
        format!("max by (account) ({})", account("api_clock_skew_seconds")),
        "{{account}}",
    ))
    .custom(json!({"thresholdsStyle": {"mode": "area"}}))
    .thresholds(&[
        ("red", None),
        ("transparent", Some(-60.0)),
        ("red", Some(60.0)),
    ])
    .no_value("no answer yet");
    skew = skew.default("min", Value::Null);
    sheet.add((8, 8), skew);
}
