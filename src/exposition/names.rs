//! Every family of usage, budget, balance and alert series: its name, type, help, labels and where its values
//! come from, once.
//!
//! The identity is on every sample of agents, budgets, balances and alerts and is not repeated here: the
//! labels `account` and `agent`, `budget`, `balance`, `rule` and `subject`.

use crate::balance::Left;
use crate::budget::Standing;
use crate::day::Day;
use crate::series::Figures;
use crate::telemetry::seconds;

/// A family of series.
#[derive(Debug)]
pub struct Family {
    /// The name of its samples. That of a counter ends in `_total`.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Its meaning, without a character that needs escaping.
    pub help: &'static str,
    /// True if the values hold for one UTC day only and are withdrawn when it is over.
    pub is_of_today: bool,
    /// Value of each agent, budget or alert.
    pub samples: Samples,
}

/// The type of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A value that only grows.
    Counter,
    /// A value that goes up and down.
    Gauge,
}

/// The samples of one agent, budget or alert in a family.
#[derive(Debug)]
pub enum Samples {
    /// Of an agent, the constant 1, labelled with its id and its custom labels.
    Info,
    /// Of an agent, the values of these figures that are there.
    Figures(&'static [Sample]),
    /// Of a budget, this value of how it stands, if it is there.
    Standing(fn(&Standing) -> Option<f64>),
    /// Of a balance, this value of what is left, if it is there.
    Left(fn(&Left) -> Option<f64>),
    /// Of an alert, 1 if it fires, else 0.
    Firing,
    /// 1 for the alerts of which nothing is sent.
    Silenced,
}

/// A sample that an agent may have in a family.
#[derive(Debug)]
pub struct Sample {
    /// The label that tells it from the family's other samples, name and value.
    pub label: Option<(&'static str, &'static str)>,
    /// Its value, absent if a day that it covers is not known.
    pub value: fn(&Figures) -> Option<f64>,
}

/// A sample without a label of its own.
const fn plain(value: fn(&Figures) -> Option<f64>) -> Sample {
    Sample { label: None, value }
}

/// A count of days or revisions, which stays far below 2^53.
const fn count(number: u64) -> f64 {
    number as f64
}

/// The end of a day.
fn end(day: Day) -> f64 {
    seconds(day.end())
}

/// A sample of the given direction.
const fn direction(direction: &'static str, value: fn(&Figures) -> Option<f64>) -> Sample {
    Sample {
        label: Some(("direction", direction)),
        value,
    }
}

/// Declares the families, each as `type life "family" = samples, "help text";`. The values of a daily one hold for
/// one UTC day only and are withdrawn when it is over.
macro_rules! families {
    ($($kind:ident $life:ident $name:literal = $samples:ident $(($($value:tt)*))?, $help:literal;)*) => {
        /// The families of series, in the order in which they are served.
        pub static FAMILIES: &[Family] = &[$(Family {
            name: $name,
            kind: Kind::$kind,
            help: $help,
            is_of_today: families!($life),
            samples: Samples::$samples $(($($value)*))?,
        }),*];
    };
    (daily) => { true };
    (lasting) => { false };
}

families! {
    Gauge lasting "flowgent_agent_info" = Info, "Constant 1, labelled with the agent's id and its custom labels.";
    Gauge lasting "flowgent_agent_up" = Figures(&[plain(|figures| figures.up.map(|up| u8::from(up).into()))]),
        "1 if the last attempt to fetch the agent's usage from FlowGent succeeded, else 0.";
    Counter lasting "flowgent_agent_used_credits_total" = Figures(&[plain(|figures| figures.used_credits)]),
        "Credits used from the history start through the last day before the first missing one. Daily figure, \
         cached: grows once a day, and stays at its high-water mark when FlowGent revises a day downwards.";
    Gauge lasting "flowgent_agent_overcount_credits" = Figures(&[plain(|figures| figures.overcount_credits)]),
        "Credits by which flowgent_agent_used_credits_total exceeds the revised daily figures.";
    Gauge daily "flowgent_agent_previous_day_credits" = Figures(&[plain(|figures| figures.previous_day_credits)]),
        "Credits used yesterday (UTC). Daily figure, cached: absent from 00:00 UTC until the new yesterday is \
         known.";
    Gauge daily "flowgent_agent_previous_7_days_credits" =
        Figures(&[plain(|figures| figures.previous_7_days_credits)]),
        "Credits used on the 7 days ending yesterday (UTC). Daily figure, cached: absent unless every one of them \
         is known.";
    Gauge daily "flowgent_agent_previous_30_days_credits" =
        Figures(&[plain(|figures| figures.previous_30_days_credits)]),
        "Credits used on the 30 days ending yesterday (UTC). Daily figure, cached: absent unless every one of them \
         is known.";
    Gauge daily "flowgent_agent_month_to_date_credits" = Figures(&[plain(|figures| figures.month_to_date_credits)]),
        "Credits used on the complete days of the current UTC month, through yesterday. Daily figure, cached: 0 on \
         the first of the month, absent unless every day is known.";
    Gauge daily "flowgent_agent_previous_month_credits" = Figures(&[plain(|figures| figures.previous_month_credits)]),
        "Credits used in the last full UTC month. Daily figure, cached: absent unless every day is known.";
    Gauge daily "flowgent_agent_forecast_month_credits" = Figures(&[plain(|figures| figures.forecast_month_credits)]),
        "Credits expected to be used in the current UTC month: those of its complete days, and for each other day \
         the mean of its weekday over the last 16 weeks, in which recent weeks count more if that foretold the last \
         ones better, or a plain mean of the last 28 or 7 known days if a weekday is known less than twice. Daily \
         figure, cached: absent unless every complete day of the month and at least 3 of the last 112 days are \
         known.";
    Gauge lasting "flowgent_agent_known_through_timestamp_seconds" =
        Figures(&[plain(|figures| figures.known_through.map(end))]),
        "End of the newest day that is known.";
    Gauge lasting "flowgent_agent_complete_through_timestamp_seconds" =
        Figures(&[plain(|figures| figures.complete_through.map(end))]),
        "End of the last day before the first missing one since the history start.";
    Gauge daily "flowgent_agent_missing_days" = Figures(&[plain(|figures| Some(count(figures.missing_days)))]),
        "Missing days from the history start through yesterday (UTC).";
    Counter lasting "flowgent_agent_revised_days_total" = Figures(&[
        direction("up", |figures| Some(count(figures.revised_up))),
        direction("down", |figures| Some(count(figures.revised_down)))
    ]),
        "Known daily figures that FlowGent revised later, by direction.";
    Gauge lasting "flowgent_agent_last_success_timestamp_seconds" =
        Figures(&[plain(|figures| figures.last_success.map(seconds))]),
        "When the agent's usage was last fetched successfully.";
    Gauge lasting "flowgent_budget_limit_credits" = Standing(|standing| Some(standing.limit_credits)),
        "Credits that the budget allows to be used in a period.";
    Gauge daily "flowgent_budget_used_credits" = Standing(|standing| standing.used_credits),
        "Credits known to be used in the budget's period that contains yesterday (UTC). Daily figure, cached: a \
         lower bound if flowgent_budget_missing_days is above 0.";
    Gauge daily "flowgent_budget_forecast_credits" =
        Standing(|standing| standing.forecast.map(|forecast| forecast.expected_credits)),
        "Credits expected to be used by the end of the budget's period: those known, and for each other day of an \
         agent the mean of its weekday over the last 16 weeks, in which recent weeks count more if that foretold \
         the last ones better, or a plain mean of the last 28 or 7 known days if a weekday is known less than \
         twice. Daily figure, cached: absent if no agent has 3 known days among the last 112, or if the period has \
         no end; an agent with fewer known days adds no expected use.";
    Gauge daily "flowgent_budget_forecast_low_credits" =
        Standing(|standing| standing.forecast.map(|forecast| forecast.low_credits)),
        "Low bound of flowgent_budget_forecast_credits, from how far use strayed from its weekly pattern: the total \
         should end between the bounds four times out of five. Daily figure, cached.";
    Gauge daily "flowgent_budget_forecast_high_credits" =
        Standing(|standing| standing.forecast.map(|forecast| forecast.high_credits)),
        "High bound of flowgent_budget_forecast_credits, from how far use strayed from its weekly pattern: the \
         total should end between the bounds four times out of five. Daily figure, cached.";
    Gauge daily "flowgent_budget_used_ratio" = Standing(Standing::used_ratio),
        "flowgent_budget_used_credits divided by flowgent_budget_limit_credits. Daily figure, cached.";
    Gauge daily "flowgent_budget_missing_days" = Standing(|standing| Some(f64::from(standing.missing_days))),
        "Missing days of the budget's period so far, summed over its agents.";
    Gauge daily "flowgent_budget_period_start_timestamp_seconds" =
        Standing(|standing| Some(seconds(standing.period.start.start()))),
        "Start of the budget's period that contains yesterday (UTC).";
    Gauge daily "flowgent_budget_period_end_timestamp_seconds" =
        Standing(|standing| standing.period.end.map(|end| seconds(end.start()))),
        "End of the budget's period that contains yesterday (UTC). Absent if it never ends.";
    Gauge daily "flowgent_budget_exhausted_timestamp_seconds" =
        Standing(|standing| standing.exhausted_at.map(seconds)),
        "When known plus expected use reaches the limit, interpolated within the day. Daily figure, cached: absent \
         if that is not within the period; a period without end is looked ahead for one year.";
    Gauge daily "flowgent_balance_credits" = Left(Left::credits),
        "Credits left of the balance: those of the last set entry and of the add entries since, minus those known \
         to be used. Daily figure, cached: an upper bound if flowgent_balance_missing_days is above 0, absent \
         before the first set entry.";
    Gauge daily "flowgent_balance_missing_days" = Left(|left| Some(f64::from(left.standing.missing_days))),
        "Missing days since the balance's last set entry, summed over its agents.";
    Gauge daily "flowgent_balance_days_left" = Left(Left::days_left),
        "Days from 00:00 UTC until the balance is expected to run out; missing days count with their expected use. \
         Daily figure, cached: absent if that is over a year away or there is no forecast.";
    Gauge daily "flowgent_balance_low_days_left" = Left(|left| left.days_left_bounds()[0]),
        "Low bound of flowgent_balance_days_left, from the high bound of expected use.";
    Gauge daily "flowgent_balance_high_days_left" = Left(|left| left.days_left_bounds()[1]),
        "High bound of flowgent_balance_days_left, from the low bound of expected use.";
    Gauge daily "flowgent_balance_exhausted_timestamp_seconds" = Left(|left| left.standing.exhausted_at.map(seconds)),
        "When the balance ran out or is expected to. Daily figure, cached: absent if that is over a year away or \
         there is no forecast.";
    Gauge daily "flowgent_balance_low_exhausted_timestamp_seconds" = Left(|left| left.bounds[0].map(seconds)),
        "Low bound of flowgent_balance_exhausted_timestamp_seconds.";
    Gauge daily "flowgent_balance_high_exhausted_timestamp_seconds" = Left(|left| left.bounds[1].map(seconds)),
        "High bound of flowgent_balance_exhausted_timestamp_seconds.";
    Gauge lasting "flowgent_alert_firing" = Firing, "1 if the rule, budget or balance fires for the subject, else 0.";
    Gauge lasting "flowgent_alert_silenced" = Silenced,
        "1 if hooks get no messages about the rule and subject because of `alerts silence`, else absent.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_follow_the_prometheus_conventions() {
        let mut seen = BTreeSet::new();
        for family in FAMILIES {
            assert!(seen.insert(family.name), "{} is there twice", family.name);
            let whose = match family.samples {
                Samples::Info | Samples::Figures(_) => "flowgent_agent_",
                Samples::Standing(_) => "flowgent_budget_",
                Samples::Left(_) => "flowgent_balance_",
                Samples::Firing | Samples::Silenced => "flowgent_alert_",
            };
            assert!(family.name.starts_with(whose), "{}", family.name);
            assert_eq!(
                family.name.ends_with("_total"),
                family.kind == Kind::Counter,
                "{}",
                family.name
            );
            assert!(family.help.ends_with('.'), "{}", family.help);
            assert!(
                !family.help.contains(['\\', '\n', '"']) && !family.help.contains("  "),
                "{}",
                family.help
            );
        }
    }
}
