//! *Overview*: what all agents use, where it is heading, and what is amiss.

mod budgets;

use serde_json::{Value, json};

use super::common::{TO_AGENT, agent_variables, annotations, calendar, exporter_variables};
use super::expressions::{
    AGENTS, EXPORTER, by_label, day, labelled_day, labelled_now, most, now, week_before,
    week_over_week,
};
use super::panel::{CREDITS, Panel, Query, WHOLE_CREDITS, steps};
use super::sheet::{About, Sheet};
use super::variables::{any_of, choice, one_of};

/// The names of labels that an agent has beside the custom ones.
const NO_CUSTOM_LABELS: &str = "/^(?!(__name__|account|agent|instance|job)$).+$/";

/// The dashboard.
pub fn overview() -> Value {
    let mut sheet = Sheet::new();
    last_days(&mut sheet);
    months_and_gaps(&mut sheet);
    budgets::budgets(&mut sheet);
    days(&mut sheet);
    agents(&mut sheet);
    labels(&mut sheet);
    missing(&mut sheet);
    let about = About {
        uid: "flowgent-overview",
        title: "FlowGent / Overview",
        description: "What AI agents on FlowGent use: by day, agent and account, against \
             budgets and forecasts. All days are UTC.",
        from: "now-90d/d",
        refresh: "5m",
    };
    let info = format!("flowgent_agent_info{{{EXPORTER}}}");
    let mut label = one_of("label", "Label", "label_names(flowgent_agent_info)");
    label["regex"] = json!(NO_CUSTOM_LABELS);
    // The custom labels of most people stand after agent_id in the alphabet.
    label["sort"] = json!(6);
    let value = any_of(
        "value",
        "Label value",
        &format!("label_values({info}, $label)"),
        ".*",
    );
    let top = choice("top", "Agents shown", &["5", "10", "15", "20", "30"], 1);
    let variables = [
        exporter_variables(),
        agent_variables(),
        vec![label, value, top],
    ]
    .concat();
    sheet.finished(&about, variables, annotations())
}

/// The sum of a figure of all chosen agents.
fn sum(family: &str) -> String {
    format!("sum({})", labelled_now(&now(family, AGENTS)))
}

/// That sum in a panel of its own.
fn total(title: &str, family: &str, description: &str) -> Panel {
    Panel::stat(title, description, WHOLE_CREDITS)
        .query(Query::instant(sum(family), title))
        .no_value("not known yet")
}

fn last_days(sheet: &mut Sheet) {
    let info = labelled_now(&now("info", AGENTS));
    sheet.add(
        (3, 4),
        Panel::stat(
            "Accounts",
            "FlowGent organisations whose agents are chosen.",
            "none",
        )
        .query(Query::instant(
            format!("count(count by (account) ({info}))"),
            "Accounts",
        ))
        .no_value("none"),
    );
    sheet.add(
        (3, 4),
        Panel::stat("Agents", "Agents that are chosen above.", "none")
            .query(Query::instant(format!("count({info})"), "Agents"))
            .no_value("none"),
    );
    sheet.add(
        (5, 4),
        total(
            "Yesterday",
            "previous_day_credits",
            "Credits used yesterday (UTC) by the agents of which it is known. It is \
             not known from midnight until the first sync of the day.",
        ),
    );
    sheet.add(
        (5, 4),
        total(
            "Last 7 days",
            "previous_7_days_credits",
            "Credits used in the 7 days through yesterday, by the agents of which all \
             of them are known.",
        ),
    );
    sheet.add(
        (5, 4),
        total(
            "Last 30 days",
            "previous_30_days_credits",
            "Credits used in the 30 days through yesterday, by the agents of which \
             all of them are known.",
        ),
    );
    let (week, before) = (
        labelled_now(&now("previous_7_days_credits", AGENTS)),
        week_before(AGENTS),
    );
    let change = format!(
        "sum({week} and on (account, agent) {before}) / (sum({before} and on (account, agent) ({week})) > 0) - 1"
    );
    sheet.add(
        (3, 4),
        Panel::stat(
            "Week over week",
            "The last 7 days against the 7 before, of the agents of which all 14 are \
             known.",
            "percentunit",
        )
        .query(Query::instant(change, "Week over week"))
        .default("decimals", json!(0))
        .thresholds(&[("green", None), ("orange", Some(0.25)), ("red", Some(1.0))])
        .no_value("not known yet"),
    );
}

fn months_and_gaps(sheet: &mut Sheet) {
    sheet.add(
        (5, 4),
        total(
            "This month",
            "month_to_date_credits",
            "Credits used on the complete days of this UTC month, by the agents of \
             which all of them are known. Nothing on the first of a month.",
        ),
    );
    sheet.add(
        (5, 4),
        total(
            "Forecast of this month",
            "forecast_month_credits",
            "Credits that are expected to be used by the end of this UTC month: what \
             is used, and for each other day the mean of its weekday.",
        ),
    );
    sheet.add(
        (5, 4),
        total(
            "Last month",
            "previous_month_credits",
            "Credits used in the last full UTC month, by the agents of which all of \
             its days are known.",
        ),
    );
    let info = labelled_now(&now("info", AGENTS));
    let known = labelled_now(&now("previous_day_credits", AGENTS));
    sheet.add(
        (3, 4),
        Panel::stat(
            "Yesterday is known",
            "Of which share of the agents yesterday is known. The sums here are of \
             these agents alone.",
            "percentunit",
        )
        .query(Query::instant(
            format!("(count({known}) or vector(0)) / count({info})"),
            "Yesterday is known",
        ))
        .default("max", json!(1))
        .thresholds(&[("red", None), ("orange", Some(0.5)), ("green", Some(1.0))])
        .no_value("no agents"),
    );
    sheet.add(
        (3, 4),
        Panel::stat(
            "Missing days",
            "Days of agents, from the start of their history through yesterday, that \
             FlowGent has not told yet.",
            "none",
        )
        .query(Query::instant(sum("missing_days"), "Missing days"))
        .thresholds(&[("green", None), ("orange", Some(1.0)), ("red", Some(30.0))])
        .no_value("no agents"),
    );
    sheet.add(
        (3, 4),
        Panel::stat(
            "Firing alerts",
            "Budgets and rules of the exporter that fire now, each for each of its \
             subjects.",
            "none",
        )
        .query(Query::instant(
            format!("sum(max by (rule, subject) (flowgent_alert_firing{{{EXPORTER}}}))"),
            "Firing alerts",
        ))
        .thresholds(&[("green", None), ("red", Some(1.0))])
        .no_value("no rules"),
    );
}

fn days(sheet: &mut Sheet) {
    sheet.row("Every day");
    let (days, most) = (labelled_day(0), most());
    sheet.add(
        (24, 10),
        Panel::daily_bars("Credits by day", "Credits used on each UTC day. The agents that used most in the time that \
             is shown have a colour of their own; the others are added up. A day that \
             is not known is no part of it.", CREDITS)
            .query(Query::range(
                format!("{} and on (account, agent) {most}", day(0, AGENTS)),
                "{{account}}/{{agent}}",
            ))
            .query(Query::range(
                format!("sum(({days}) unless on (account, agent) {most})"),
                "other agents",
            ))
            .field("other agents", &[("color", json!({"mode": "fixed", "fixedColor": "#8e8e8e"}))])
            .options(json!({"legend": {"calcs": ["sum"], "displayMode": "table", "placement": "right", "showLegend": true, "sortBy": "Total", "sortDesc": true, "width": 280}}))
            .no_value("no day is known in this time"),
    );
    sheet.add(
        (24, 7),
        calendar(
            "Calendar",
            "Credits used on each UTC day of the last year, all chosen agents \
             together: a column for each week from Monday to Sunday, which stands at \
             its Thursday.",
            |days| format!("sum({})", labelled_day(days)),
        ),
    );
}

fn agents(sheet: &mut Sheet) {
    sheet.row("Agents");
    sheet.add((7, 13), most_used());
    sheet.add((17, 13), agent_table());
}

fn most_used() -> Panel {
    Panel::bar_gauge(
        "Most used in 30 days",
        "The agents that used most in the 30 days through yesterday. Follow one \
             to see it in depth.",
        CREDITS,
    )
    .query(Query::instant(
        format!(
            "sort_desc(topk($top, {}))",
            labelled_now(&now("previous_30_days_credits", AGENTS))
        ),
        "{{account}}/{{agent}}",
    ))
    .default("color", json!({"mode": "continuous-blues"}))
    .default("min", json!(0))
    .link(
        "See this agent",
        &TO_AGENT.replace("__data.fields.", "__field.labels."),
    )
    .no_value("no agent's 30 days are known")
}

/// The columns of the table of agents: what is asked, and what it is called.
const AGENT_COLUMNS: [(&str, &str); 12] = [
    ("account", "Account"),
    ("agent", "Agent"),
    ("Value #A", "Yesterday"),
    ("Value #B", "7 days"),
    ("Value #C", "Week over week"),
    ("Value #D", "30 days"),
    ("Value #E", "This month"),
    ("Value #F", "Forecast"),
    ("Value #G", "Last month"),
    ("Value #H", "Missing days"),
    ("Value #I", "Known through"),
    ("Value #J", "State"),
];

fn agent_table() -> Panel {
    let figure = |family| Query::rows(labelled_now(&now(family, AGENTS)));
    let change = week_over_week(AGENTS);
    let known = format!(
        "({} - 86400) * 1000",
        now("known_through_timestamp_seconds", AGENTS)
    );
    let credits_bar = json!({"type": "gauge", "mode": "basic", "valueDisplayMode": "text"});
    Panel::table(
        "All agents",
        "What each agent uses. Figures are there only if every day that they \
             cover is known. Follow an agent to see it in depth.",
        WHOLE_CREDITS,
    )
    .query(figure("previous_day_credits"))
    .query(figure("previous_7_days_credits"))
    .query(Query::rows(labelled_now(&change)))
    .query(figure("previous_30_days_credits"))
    .query(figure("month_to_date_credits"))
    .query(figure("forecast_month_credits"))
    .query(figure("previous_month_credits"))
    .query(figure("missing_days"))
    .query(Query::rows(labelled_now(&known)))
    .query(figure("up"))
    .columns(&AGENT_COLUMNS, &["Time"])
    .field(
        "Agent",
        &[(
            "links",
            json!([{"title": "See this agent", "url": TO_AGENT}]),
        )],
    )
    .field(
        "Week over week",
        &[
            ("unit", json!("percentunit")),
            ("decimals", json!(0)),
            (
                "thresholds",
                steps(&[
                    ("green", None),
                    ("text", Some(-0.1)),
                    ("orange", Some(0.25)),
                    ("red", Some(1.0)),
                ]),
            ),
            ("custom.cellOptions", json!({"type": "color-text"})),
        ],
    )
    .field(
        "30 days",
        &[
            ("color", json!({"mode": "continuous-blues"})),
            ("min", json!(0)),
            // Otherwise the longest bar is for the greatest number in the table, a time.
            ("fieldMinMax", json!(true)),
            ("custom.cellOptions", credits_bar),
            ("custom.width", json!(150)),
        ],
    )
    .field(
        "Missing days",
        &[
            ("unit", json!("none")),
            (
                "thresholds",
                steps(&[("text", None), ("orange", Some(1.0)), ("red", Some(30.0))]),
            ),
            ("custom.cellOptions", json!({"type": "color-text"})),
        ],
    )
    .field("Known through", &[("unit", json!("time:YYYY-MM-DD"))])
    .field(
        "State",
        &[
            ("unit", json!("none")),
            (
                "mappings",
                json!([{"type": "value", "options": {
                    "0": {"text": "fails", "color": "red", "index": 0},
                    "1": {"text": "well", "color": "green", "index": 1},
                }}]),
            ),
            ("custom.cellOptions", json!({"type": "color-text"})),
        ],
    )
    .options(json!({"sortBy": [{"desc": true, "displayName": "30 days"}]}))
    .no_value("no agents")
}

fn labels(sheet: &mut Sheet) {
    sheet.row("By $label");
    sheet.add(
        (16, 9),
        Panel::daily_bars("Credits by day and $label", "Credits used on each UTC day by agents with the same value of the label \
             that is chosen above. Agents have the labels that they have at the end \
             of the time that is shown.", CREDITS)
            .query(Query::range(by_label(&day(0, AGENTS)), "{{$label}}"))
            .options(json!({"legend": {"calcs": ["sum"], "displayMode": "table", "placement": "right", "showLegend": true, "sortBy": "Total", "sortDesc": true}}))
            .no_value("no agent has this label"),
    );
    sheet.add(
        (8, 9),
        Panel::bar_gauge(
            "Last 30 days by $label",
            "Credits used in the 30 days through yesterday by agents with the same \
             value of the label that is chosen above.",
            CREDITS,
        )
        .query(Query::instant(
            format!(
                "sort_desc({})",
                by_label(&now("previous_30_days_credits", AGENTS))
            ),
            "{{$label}}",
        ))
        .default("color", json!({"mode": "continuous-blues"}))
        .default("min", json!(0))
        .no_value("no agent has this label"),
    );
}

fn missing(sheet: &mut Sheet) {
    sheet.row("Missing data");
    let day = |family| format!("({} - 86400) * 1000", now(family, AGENTS));
    let missing = format!("{} > 0", now("missing_days", AGENTS));
    let of_those = |expr: &str| {
        Query::rows(labelled_now(&format!(
            "{expr} and on (account, agent) ({missing})"
        )))
    };
    sheet.add(
        (14, 8),
        Panel::table(
            "Agents with missing days",
            "Days that FlowGent has not told yet. Sums that cover them are left out, \
             not guessed.",
            "none",
        )
        .query(Query::rows(labelled_now(&missing)))
        .query(of_those(&day("known_through_timestamp_seconds")))
        .query(of_those(&day("complete_through_timestamp_seconds")))
        .query(of_those(&format!(
            "{} * 1000",
            now("last_success_timestamp_seconds", AGENTS)
        )))
        .columns(
            &[
                ("account", "Account"),
                ("agent", "Agent"),
                ("Value #A", "Missing days"),
                ("Value #B", "Newest known day"),
                ("Value #C", "Every day known through"),
                ("Value #D", "Last fetched"),
            ],
            &["Time"],
        )
        .field(
            "Agent",
            &[(
                "links",
                json!([{"title": "See this agent", "url": TO_AGENT}]),
            )],
        )
        .fields("byRegexp", "/known/", &[("unit", json!("time:YYYY-MM-DD"))])
        .field("Last fetched", &[("unit", json!("dateTimeFromNow"))])
        .options(json!({"sortBy": [{"desc": true, "displayName": "Missing days"}]}))
        .no_value("no day is missing"),
    );
    sheet.add(
        (10, 8),
        Panel::lines(
            "Missing days by account",
            "Days of agents that FlowGent had not told at that time. It rises by one \
             for each agent at midnight, and falls when yesterday comes.",
            "none",
        )
        .query(Query::range(
            format!(
                "sum by (account) ({})",
                labelled_now(&now("missing_days", AGENTS))
            ),
            "{{account}}",
        ))
        .default("decimals", json!(0))
        .custom(json!({"lineInterpolation": "stepAfter"}))
        .no_value("no agents"),
    );
}
