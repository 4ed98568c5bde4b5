//! What several dashboards have in common.

use serde_json::{Value, json};

use super::expressions::EXPORTER;
use super::panel::{CREDITS, Panel, Query};
use super::variables::{annotation, any_of, datasource_variable};

/// Leads from an agent's row to its dashboard, for the same exporters.
pub const TO_AGENT: &str = "/d/flowgent-agent?var-account=${__data.fields.account:percentencode}\
    &var-agent=${__data.fields.agent:percentencode}\
    &${datasource:queryparam}&${job:queryparam}&${instance:queryparam}";

/// Finds series of an agent, also where only its usage is known, as in a history that was imported.
pub const AGENT_SERIES: &str =
    r#"__name__=~"flowgent_agent_info|flowgent_agent_previous_day_credits""#;

/// The data source, and which exporters are looked at.
pub fn exporter_variables() -> Vec<Value> {
    let series = "flowgent_exporter_build_info|flowgent_agent_previous_day_credits";
    let job = format!("label_values({{__name__=~\"{series}\"}}, job)");
    let instance = format!("label_values({{__name__=~\"{series}\",job=~\"$job\"}}, instance)");
    vec![
        datasource_variable(),
        any_of("job", "Job", &job, ".+"),
        any_of("instance", "Instance", &instance, ".+"),
    ]
}

/// Which accounts and agents are looked at.
pub fn agent_variables() -> Vec<Value> {
    let accounts = format!("label_values({{{AGENT_SERIES},{EXPORTER}}}, account)");
    let agents =
        format!("label_values({{{AGENT_SERIES},{EXPORTER},account=~`${{account:regex}}`}}, agent)");
    vec![
        any_of("account", "Account", &accounts, ".+"),
        any_of("agent", "Agent", &agents, ".+"),
    ]
}

/// When the exporter's rules fired, and when Prometheus's.
pub fn annotations() -> Vec<Value> {
    vec![
        annotation(
            "Budgets and rules that fire",
            "red",
            &format!("max by (rule, subject) (flowgent_alert_firing{{{EXPORTER}}}) > 0"),
            "{{rule}}",
            "{{subject}}",
        ),
        annotation(
            "Alerts of Prometheus",
            "orange",
            r#"max by (alertname, severity, account, agent, budget, hook) (ALERTS{alertname=~"FlowGent.+",alertstate="firing"})"#,
            "{{alertname}}",
            "{{severity}} {{account}} {{agent}} {{budget}} {{hook}}",
        ),
    ]
}

/// A box for each day of the last year, in columns of weeks.
///
/// Grafana puts points a week apart onto Thursdays, where Unix time began, and draws a box around its
/// point: so a box reaches from Monday to Sunday. The time ends with the week and not now, since the
/// Thursday of this week may be yet to come. `of_day` is the expression for the day that lies so many
/// days before its point.
pub fn calendar(title: &str, description: &str, of_day: impl Fn(i32) -> String) -> Panel {
    let weekdays = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let mut panel = Panel::history(title, description, CREDITS)
        .every("7d")
        .time("52w")
        .whole_weeks()
        .default("color", json!({"mode": "continuous-blues"}))
        .default("min", json!(0))
        .no_value("no day of the last year is known");
    for (days, weekday) in (-3..).zip(weekdays) {
        panel = panel.query(Query::range(of_day(-days), weekday));
    }
    panel
}
