//! The PromQL of the panels. A sample at any instant of the day D+1 is the usage of day D, and samples are
//! there only while yesterday is known, so that each day is looked for in its own window.
//!
//! All figures of agents are taken by account and agent alone. An exporter that moves to another address
//! begins new series, and on that day there are two of each agent.

/// The exporters that were chosen.
pub const EXPORTER: &str = r#"job=~"$job",instance=~"$instance""#;
/// The agents that were chosen, one or several. What stands between backticks is taken as it is, and the
/// format `regex` escapes what means something in a pattern: so a name may hold quotes and brackets.
pub const AGENTS: &str = "job=~\"$job\",instance=~\"$instance\",\
    account=~`${account:regex}`,agent=~`${agent:regex}`";
/// The usage of the day before each sample.
pub const USAGE: &str = "flowgent_agent_previous_day_credits";
/// The last seven midnights, whenever it is asked: a millisecond short of seven days holds no eighth.
const WEEK: &str = "6d23h59m59s999ms";
/// The same of 31 midnights, as many as a month may have.
const MONTH: &str = "30d23h59m59s999ms";

/// A figure of agents as it is now.
pub fn now(family: &str, agents: &str) -> String {
    format!("max by (account, agent) (flowgent_agent_{family}{{{agents}}})")
}

/// The usage of the day that lies `days` before each midnight: 0 is the day that begins there.
pub fn day(days: i32, agents: &str) -> String {
    let offset = days - 2;
    let offset = match offset {
        0 => String::new(),
        offset => format!(" offset {offset}d"),
    };
    format!("max by (account, agent) (last_over_time({USAGE}{{{agents}}}[1d]{offset}))")
}

/// What was used in the seven days before the last seven, where all of them are known.
pub fn week_before(agents: &str) -> String {
    let days = format!("({})[{WEEK}:1d] offset 7d", day(1, agents));
    format!("(sum_over_time({days}) and count_over_time({days}) == 7)")
}

/// By how much the last seven days are over the seven before, as a share.
pub fn week_over_week(agents: &str) -> String {
    let (week, before) = (now("previous_7_days_credits", agents), week_before(agents));
    format!("{week} / ({before} > 0) - 1")
}

/// What was used from the month's first day through each day of the month in which the shown time ends,
/// where all of them are known.
pub fn month_through(agents: &str) -> String {
    let this_month = "month() == month(last_over_time(vector(time())[1d:1d] @ end()))";
    let days = format!("({} and on () ({this_month}))[{MONTH}:1d]", day(0, agents));
    format!("sum_over_time({days}) and count_over_time({days}) == scalar(day_of_month())")
}

/// The mean of a day's weekday over the eight weeks before it, of those that are known. `days` as for
/// [`day`].
pub fn weekday_mean(days: i32, agents: &str) -> String {
    let weeks: Vec<String> = (1..=8)
        .map(|weeks| {
            let day = day(days + 7 * weeks, agents);
            format!(r#"label_replace({day}, "weeks", "{weeks}", "", "")"#)
        })
        .collect();
    format!("avg without (weeks) ({})", weeks.join(" or "))
}

/// The last value of an expression that only the exporter's own series have, at the end of the shown
/// time. That is a midnight where days are asked for, before which an exporter that was started today has
/// told nothing yet; hence a day later.
pub fn at_the_end(aggregation: &str, series: &str) -> String {
    format!("{aggregation} (last_over_time({series}[1d] @ end() offset -1d))")
}

/// Those agents of an expression that have the chosen label now.
pub fn labelled_now(expr: &str) -> String {
    format!(
        "{expr} and on (account, agent) flowgent_agent_info{{{EXPORTER},$label=~`${{value:regex}}`}}"
    )
}

/// Those agents of an expression over time that have the chosen label at the end of the shown time; `of`
/// is the expression of agents that are matched in that way. If all values of the label are chosen, agents
/// of which nothing is known but their usage are among them, as they are in a history that was imported:
/// the pattern of all values is the only one that an address fits.
fn labelled_then(of: impl Fn(&str) -> String) -> String {
    let all = of(&format!("{AGENTS},instance=~`${{value:regex}}`"));
    format!(
        "{} and on (account, agent) (last_over_time(flowgent_agent_info\
         {{{EXPORTER},$label=~`${{value:regex}}`}}[14d] @ end() offset -7d) or {all})",
        of(AGENTS)
    )
}

/// The usage of a day, as for [`day`], of the agents that have the chosen label.
pub fn labelled_day(days: i32) -> String {
    labelled_then(|agents| day(days, agents))
}

/// The agents with the chosen label that used most in the shown time.
pub fn most() -> String {
    // A millisecond earlier, so that the first midnight counts and the one before does not, whichever
    // ends of a range a database counts in. Labels are looked up outside of the subquery, in which
    // Prometheus 2.42 finds nothing at the end that it is itself tied to.
    let sums = labelled_then(|agents| {
        let days = day(0, agents);
        format!("sum_over_time(({days})[${{__range_ms}}ms:1d] @ end() offset 1ms)")
    });
    format!("topk($top, {sums})")
}

/// The sums of an expression by the chosen label, `none` for agents that do not have it. An agent whose
/// label has changed counts with the one that it had for most of the last days.
pub fn by_label(expr: &str) -> String {
    let labels = format!(
        "max by (account, agent, $label) (count_over_time(flowgent_agent_info\
         {{{EXPORTER},$label=~`${{value:regex}}`}}[2d] @ end() offset -1d))"
    );
    // Not around the sums: VictoriaMetrics 1.79 then finds the value of another label in the empty one.
    let labels = format!(r#"label_replace({labels}, "$label", "none", "$label", "")"#);
    format!(
        "sum by ($label) (({expr}) * on (account, agent) group_left ($label) \
         group by (account, agent, $label) (topk by (account, agent) (1, {labels})))"
    )
}
