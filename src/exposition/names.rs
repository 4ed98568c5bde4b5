//! Every family of usage series: its name, type, help, labels and where its values come from, once.
//!
//! The labels `account` and `agent` are on every sample and are not repeated here.

use crate::series::Figures;

/// A family of usage series.
#[derive(Debug)]
pub struct Family {
    /// The name of its samples. That of a counter ends in `_total`.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// What it means, without a character that needs escaping.
    pub help: &'static str,
    /// Whether the values hold for one UTC day only and are withdrawn when it is over.
    pub is_of_today: bool,
    /// What each agent contributes.
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

/// The samples of one agent in a family.
#[derive(Debug)]
pub enum Samples {
    /// The constant 1, labelled with the agent's id and its custom labels.
    Info,
    /// The values of these figures that are there.
    Figures(&'static [Sample]),
}

/// A sample that an agent may have in a family.
#[derive(Debug)]
pub struct Sample {
    /// The label that tells it from the family's other samples, name and value.
    pub label: Option<(&'static str, &'static str)>,
    /// Its value, absent if a day that it covers is not known.
    pub value: fn(&Figures) -> Option<f64>,
}

impl Family {
    const fn gauge(name: &'static str, help: &'static str, samples: &'static [Sample]) -> Self {
        Self {
            name,
            kind: Kind::Gauge,
            help,
            is_of_today: false,
            samples: Samples::Figures(samples),
        }
    }

    const fn counter(name: &'static str, help: &'static str, samples: &'static [Sample]) -> Self {
        Self {
            kind: Kind::Counter,
            ..Self::gauge(name, help, samples)
        }
    }

    const fn of_today(self) -> Self {
        Self {
            is_of_today: true,
            ..self
        }
    }
}

/// A sample without a label of its own.
const fn plain(value: fn(&Figures) -> Option<f64>) -> Sample {
    Sample { label: None, value }
}

/// A sample of the given direction.
const fn direction(direction: &'static str, value: fn(&Figures) -> Option<f64>) -> Sample {
    Sample {
        label: Some(("direction", direction)),
        value,
    }
}

/// The families of usage series, in the order in which they are served.
pub static FAMILIES: [Family; 14] = [
    Family {
        name: "flowgent_agent_info",
        kind: Kind::Gauge,
        help: "Constant 1, labelled with the agent's id and its custom labels.",
        is_of_today: false,
        samples: Samples::Info,
    },
    Family::gauge(
        "flowgent_agent_up",
        "1 if the last attempt to fetch the agent's usage from FlowGent succeeded, else 0.",
        &[plain(|figures| figures.up)],
    ),
    Family::counter(
        "flowgent_agent_used_credits_total",
        "Credits used from the history start through the newest day up to which every day is known. \
         Daily figure, cached: grows once a day, and stays at its high-water mark when FlowGent \
         revises a day downwards.",
        &[plain(|figures| figures.used_credits)],
    ),
    Family::gauge(
        "flowgent_agent_overcount_credits",
        "Credits by which flowgent_agent_used_credits_total stands above the revised daily figures.",
        &[plain(|figures| figures.overcount_credits)],
    ),
    Family::gauge(
        "flowgent_agent_previous_day_credits",
        "Credits used yesterday (UTC). Daily figure, cached: absent from 00:00 UTC until the new \
         yesterday is known.",
        &[plain(|figures| figures.previous_day_credits)],
    )
    .of_today(),
    Family::gauge(
        "flowgent_agent_previous_7_days_credits",
        "Credits used on the 7 days ending yesterday (UTC). Daily figure, cached: absent unless \
         every one of them is known.",
        &[plain(|figures| figures.previous_7_days_credits)],
    )
    .of_today(),
    Family::gauge(
        "flowgent_agent_previous_30_days_credits",
        "Credits used on the 30 days ending yesterday (UTC). Daily figure, cached: absent unless \
         every one of them is known.",
        &[plain(|figures| figures.previous_30_days_credits)],
    )
    .of_today(),
    Family::gauge(
        "flowgent_agent_month_to_date_credits",
        "Credits used on the complete days of the current UTC month, through yesterday. Daily \
         figure, cached: 0 on the first of the month, absent unless every day is known.",
        &[plain(|figures| figures.month_to_date_credits)],
    )
    .of_today(),
    Family::gauge(
        "flowgent_agent_previous_month_credits",
        "Credits used in the last full UTC month. Daily figure, cached: absent unless every day is \
         known.",
        &[plain(|figures| figures.previous_month_credits)],
    )
    .of_today(),
    Family::gauge(
        "flowgent_agent_known_through_timestamp_seconds",
        "End of the newest day that is known.",
        &[plain(|figures| figures.known_through_seconds)],
    ),
    Family::gauge(
        "flowgent_agent_complete_through_timestamp_seconds",
        "End of the newest day up to which every day since the history start is known.",
        &[plain(|figures| figures.complete_through_seconds)],
    ),
    Family::gauge(
        "flowgent_agent_missing_days",
        "Days from the history start through yesterday (UTC) that are not known.",
        &[plain(|figures| Some(figures.missing_days))],
    )
    .of_today(),
    Family::counter(
        "flowgent_agent_revised_days_total",
        "Known daily figures that FlowGent changed afterwards, by direction.",
        &[
            direction("up", |figures| Some(figures.revised_up)),
            direction("down", |figures| Some(figures.revised_down)),
        ],
    ),
    Family::gauge(
        "flowgent_agent_last_success_timestamp_seconds",
        "When the agent's usage was last fetched successfully.",
        &[plain(|figures| figures.last_success_seconds)],
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_follow_the_prometheus_conventions() {
        let mut seen = BTreeSet::new();
        for family in &FAMILIES {
            assert!(seen.insert(family.name), "{} is there twice", family.name);
            assert!(family.name.starts_with("flowgent_agent_"));
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
