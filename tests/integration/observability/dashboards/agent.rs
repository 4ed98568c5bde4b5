//! *Agent*: one agent in depth.

use serde_json::{Value, json};

use super::common::{AGENT_SERIES, annotations, calendar, exporter_variables};
use super::expressions::{
    AGENTS, EXPORTER, at_the_end, day, month_through, now, week_over_week, weekday_mean,
};
use super::panel::{CREDITS, Panel, Query, WHOLE_CREDITS};
use super::sheet::{About, Sheet};
use super::variables::one_of;

/// The dashboard.
pub fn agent() -> Value {
    let mut sheet = Sheet::new();
    figures(&mut sheet);
    standing(&mut sheet);
    days(&mut sheet);
    month(&mut sheet);
    data(&mut sheet);
    let about = About {
        uid: "flowgent-agent",
        title: "FlowGent / Agent",
        description: "One AI agent on FlowGent in depth: its days, its month against forecast \
             and budget, and how fresh its figures are. All days are UTC.",
        from: "now-90d/d",
        refresh: "5m",
    };
    let accounts = format!("label_values({{{AGENT_SERIES},{EXPORTER}}}, account)");
    let agents =
        format!("label_values({{{AGENT_SERIES},{EXPORTER},account=~`${{account:regex}}`}}, agent)");
    let budgets = format!("label_values(flowgent_budget_limit_credits{{{EXPORTER}}}, budget)");
    let mut variables = exporter_variables();
    variables.extend([
        one_of("account", "Account", &accounts),
        one_of("agent", "Agent", &agents),
        one_of("budget", "Budget to compare with", &budgets),
    ]);
    sheet.finished(&about, variables, annotations())
}

const CHANGES: [(&str, Option<f64>); 3] =
    [("green", None), ("orange", Some(0.25)), ("red", Some(1.0))];

/// The figures on top, each with its family.
const FIGURES: [(&str, &str, &str); 6] = [
    (
        "Yesterday",
        "previous_day_credits",
        "Credits used yesterday (UTC). It is not known from midnight until the first sync of the day.",
    ),
    (
        "Last 7 days",
        "previous_7_days_credits",
        "Credits used in the 7 days through yesterday, if all of them are known.",
    ),
    (
        "Last 30 days",
        "previous_30_days_credits",
        "Credits used in the 30 days through yesterday, if all of them are known.",
    ),
    (
        "This month",
        "month_to_date_credits",
        "Credits used on the complete days of this UTC month, if all of them are known. Nothing on the first of a month.",
    ),
    (
        "Forecast of this month",
        "forecast_month_credits",
        "Credits that are expected to be used by the end of this UTC month: what is used, and for each other day the mean of its weekday.",
    ),
    (
        "Last month",
        "previous_month_credits",
        "Credits used in the last full UTC month, if all of its days are known.",
    ),
];

fn figures(sheet: &mut Sheet) {
    for (title, family, description) in FIGURES {
        let figure = Panel::stat(title, description, WHOLE_CREDITS)
            .query(Query::instant(now(family, AGENTS), title))
            .no_value("not known yet");
        sheet.add((4, 4), figure);
    }
    let usual = format!(
        "{} / ({} > 0) - 1",
        now("previous_day_credits", AGENTS),
        weekday_mean(1, AGENTS)
    );
    sheet.add(
        (4, 4),
        Panel::stat(
            "Yesterday against its weekday",
            "Yesterday against the mean of the same weekday in the eight weeks \
             before.",
            "percentunit",
        )
        .query(Query::instant(usual, "Against its weekday"))
        .default("decimals", json!(0))
        .thresholds(&CHANGES)
        .no_value("not known yet"),
    );
    sheet.add(
        (4, 4),
        Panel::stat(
            "Week over week",
            "The last 7 days against the 7 before, if all of them are known.",
            "percentunit",
        )
        .query(Query::instant(week_over_week(AGENTS), "Week over week"))
        .default("decimals", json!(0))
        .thresholds(&CHANGES)
        .no_value("not known yet"),
    );
}

/// Whether its figures come, and what is said of it.
fn standing(sheet: &mut Sheet) {
    sheet.add(
        (4, 4),
        Panel::stat(
            "State",
            "Whether the last attempt to fetch its usage from FlowGent succeeded.",
            "none",
        )
        .query(Query::instant(now("up", AGENTS), "State"))
        .words(&[(0, "fails", "red"), (1, "well", "green")])
        .no_value("not known"),
    );
    sheet.add(
        (4, 4),
        Panel::stat("Known through", "The newest day that is known.", "none")
            .field("Known through", &[("unit", json!("time:YYYY-MM-DD"))])
            .query(Query::instant(
                format!(
                    "({} - 86400) * 1000",
                    now("known_through_timestamp_seconds", AGENTS)
                ),
                "Known through",
            ))
            .no_value("nothing"),
    );
    sheet.add(
        (4, 4),
        Panel::stat(
            "Missing days",
            "Days from the start of its history through yesterday that FlowGent has \
             not told yet.",
            "none",
        )
        .query(Query::instant(now("missing_days", AGENTS), "Missing days"))
        .thresholds(&[("green", None), ("orange", Some(1.0)), ("red", Some(30.0))])
        .no_value("not known"),
    );
    sheet.add(
        (4, 4),
        Panel::stat(
            "Last fetched",
            "When its usage was last fetched from FlowGent.",
            "dateTimeFromNow",
        )
        .query(Query::instant(
            format!("{} * 1000", now("last_success_timestamp_seconds", AGENTS)),
            "Last fetched",
        ))
        .no_value("never"),
    );
    sheet.add(
        (24, 4),
        Panel::table("Labels", "The agent's id and its custom labels.", "string")
            .query(Query::rows(format!("flowgent_agent_info{{{AGENTS}}}")))
            .transform(
                "organize",
                json!({
                    "excludeByName": {"Time": true, "Value": true, "__name__": true},
                    "indexByName": {},
                    "renameByName": {},
                }),
            )
            .no_value("the exporter does not know this agent"),
    );
}

fn days(sheet: &mut Sheet) {
    sheet.row("Every day");
    sheet.add(
        (24, 10),
        Panel::daily_bars("Credits by day", "Credits used on each UTC day, and the mean of the same weekday in the \
             eight weeks before it. A day that is not known has no bar.", CREDITS)
            .query(Query::range(day(0, AGENTS), "used"))
            .query(Query::range(weekday_mean(0, AGENTS), "usual for the weekday"))
            .field("used", &[("color", json!({"mode": "fixed", "fixedColor": "blue"}))])
            .field(
                "usual for the weekday",
                &[
                    ("color", json!({"mode": "fixed", "fixedColor": "orange"})),
                    ("custom.drawStyle", json!("line")),
                    ("custom.fillOpacity", json!(0)),
                    ("custom.lineInterpolation", json!("stepAfter")),
                    ("custom.lineWidth", json!(2)),
                    ("custom.stacking", json!({"group": "A", "mode": "none"})),
                ],
            )
            .options(json!({"legend": {"calcs": ["mean", "max", "sum"], "displayMode": "table", "placement": "bottom", "showLegend": true}}))
            .no_value("no day is known in this time"),
    );
    sheet.add(
        (24, 7),
        calendar(
            "Calendar",
            "Credits used on each UTC day of the last year: a column for each week \
             from Monday to Sunday, which stands at its Thursday.",
            |days| day(days, AGENTS),
        ),
    );
}

fn month(sheet: &mut Sheet) {
    sheet.row("This month");
    let line = |colour, dash: Value| {
        [
            ("color", json!({"mode": "fixed", "fixedColor": colour})),
            ("custom.fillOpacity", json!(0)),
            ("custom.lineStyle", dash),
            ("custom.showPoints", json!("never")),
        ]
    };
    let constant = |family: &str| {
        at_the_end(
            "max by (account, agent)",
            &format!("flowgent_agent_{family}{{{AGENTS}}}"),
        )
    };
    let limit = at_the_end(
        "max by (budget)",
        &format!("flowgent_budget_limit_credits{{{EXPORTER},budget=~`${{budget:regex}}`}}"),
    );
    sheet.add(
        (18, 10),
        Panel::lines(
            "This month day by day",
            "Credits used from the first of the month through each day, against what \
             is expected by its end, what was used in the last month, and the budget \
             that is chosen above. A budget may be for more agents than this one.",
            CREDITS,
        )
        .daily()
        .time("now/M")
        .query(Query::range(month_through(AGENTS), "used through the day"))
        .query(Query::range(
            constant("forecast_month_credits"),
            "forecast of the month",
        ))
        .query(Query::range(
            constant("previous_month_credits"),
            "last month",
        ))
        .query(Query::range(limit, "budget {{budget}}"))
        .custom(json!({"lineWidth": 2}))
        .field(
            "used through the day",
            &[
                ("color", json!({"mode": "fixed", "fixedColor": "blue"})),
                ("custom.fillOpacity", json!(15)),
                ("custom.showPoints", json!("always")),
            ],
        )
        .field(
            "forecast of the month",
            &line("orange", json!({"dash": [10, 8], "fill": "dash"})),
        )
        .field(
            "last month",
            &line("#8e8e8e", json!({"dash": [2, 6], "fill": "dash"})),
        )
        .fields(
            "byRegexp",
            "/^budget /",
            &line("red", json!({"fill": "solid"})),
        )
        .no_value("no day of this month is known yet"),
    );
    sheet.add((6, 10), budget());
}

/// How the chosen budget stands.
fn budget() -> Panel {
    let share = |figure: &str| {
        let of = |figure| {
            format!(
                "max by (budget) (flowgent_budget_{figure}{{{EXPORTER},budget=~`${{budget:regex}}`}})"
            )
        };
        format!("{} / ({} > 0)", of(figure), of("limit_credits"))
    };
    Panel::gauge(
        "Budget $budget",
        "Which share of the budget that is chosen above is used, and is expected \
             to be used by the end of its period, by all agents that it is for.",
        "percentunit",
    )
    .query(Query::instant(share("used_credits"), "used"))
    .query(Query::instant(share("forecast_credits"), "forecast"))
    .default("min", json!(0))
    .default("max", json!(1.25))
    .default("decimals", json!(0))
    .thresholds(&[("green", None), ("orange", Some(0.8)), ("red", Some(1.0))])
    .options(json!({"orientation": "horizontal"}))
    .no_value("no budget")
}

fn data(sheet: &mut Sheet) {
    sheet.row("Late and revised figures");
    let revised = format!(
        "max by (account, agent, direction) (increase(flowgent_agent_revised_days_total{{{AGENTS}}}[1d] offset -1d))"
    );
    sheet.add(
        (8, 8),
        Panel::daily_bars(
            "Revisions",
            "Days whose figure FlowGent changed after it had told it, by the day on \
             which that was seen.",
            "none",
        )
        .query(Query::range(revised, "{{direction}}"))
        .default("decimals", json!(0))
        .field(
            "up",
            &[("color", json!({"mode": "fixed", "fixedColor": "orange"}))],
        )
        .field(
            "down",
            &[("color", json!({"mode": "fixed", "fixedColor": "green"}))],
        )
        .no_value("nothing was seen in this time"),
    );
    sheet.add(
        (8, 8),
        Panel::lines(
            "Overcount",
            "By how much the counter of used credits stands above the revised days. \
             It never falls, as counters must not, when a day is revised downwards.",
            CREDITS,
        )
        .query(Query::range(
            now("overcount_credits", AGENTS),
            "above the days",
        ))
        .custom(json!({"lineInterpolation": "stepAfter"}))
        .no_value("not known"),
    );
    let age = |family| format!("time() - {}", now(family, AGENTS));
    sheet.add(
        (8, 8),
        Panel::lines(
            "Freshness",
            "How long ago the newest known day ended, how long ago the last day ended \
             up to which every day is known, and how long ago the usage was last \
             fetched.",
            "s",
        )
        .query(Query::range(
            age("known_through_timestamp_seconds"),
            "newest known day",
        ))
        .query(Query::range(
            age("complete_through_timestamp_seconds"),
            "every day known through",
        ))
        .query(Query::range(
            age("last_success_timestamp_seconds"),
            "last fetched",
        ))
        .no_value("not known"),
    );
}
