//! Credits of days and spans, in words.

use super::super::finding::{DayFigure, Finding, Observation};
use super::super::{Check, Span};
use crate::day::Day;
use crate::words::{credits, date, dates, number, percent};

/// Use in the span of a usage rule: `at least 1,234.5 credits on 22 Nov`.
pub(super) fn used(observation: &Observation<'_>) -> String {
    let Finding::Usage {
        span,
        days: (first, last),
        used_credits,
        missing_days,
        ..
    } = observation.finding
    else {
        return String::new();
    };
    let today = observation.today;
    let used = match used_credits {
        Some(used) if missing_days > 0 => format!("at least {}", credits(used)),
        Some(used) => credits(used),
        None => "an unknown amount".to_owned(),
    };
    let days = match span {
        Span::Previous7Days => format!("in the seven days through {}", date(last, today)),
        Span::Previous30Days => format!("in the 30 days through {}", date(last, today)),
        // On the first of a month, no day of it is over.
        Span::MonthToDate if last < first => format!("since {}", date(first, today)),
        Span::PreviousDay | Span::MonthToDate => dates(first, last, today),
    };
    format!("{used} {days}")
}

/// Use on a day, compared with the days before: `900 credits on 22 Nov, 4.5 times the usual 200`.
pub(super) fn day(observation: &Observation<'_>) -> String {
    let Finding::Day {
        agent: _,
        day,
        used_credits,
        usual_credits,
    } = observation.finding
    else {
        return String::new();
    };
    let on = date(day, observation.today);
    match used_credits {
        Some(credits) => compared(
            observation,
            &DayFigure {
                day,
                credits,
                usual_credits,
            },
        ),
        None => format!("an unknown amount on {on}"),
    }
}

fn compared(observation: &Observation<'_>, figure: &DayFigure) -> String {
    let used = credits(figure.credits);
    let on = dates(figure.day, figure.day, observation.today);
    let compared = match figure.usual_credits {
        _ if figure.credits <= 0.0 && is_silent(observation) => {
            return silence(observation, figure.day);
        }
        _ if is_silent(observation) => return format!("{used} {on}"),
        Some(usual) if usual > figure.credits => {
            format!(
                "{} of the usual {}",
                percent(figure.credits / usual),
                number(usual)
            )
        }
        Some(usual) if usual > 0.0 => format!(
            "{} times the usual {}",
            number(figure.credits / usual),
            number(usual)
        ),
        Some(_) => "usually none".to_owned(),
        None => "usual use unknown".to_owned(),
    };
    format!("{used} {on}, {compared}")
}

const fn is_silent(observation: &Observation<'_>) -> bool {
    matches!(observation.rule.check, Check::Silent { .. })
}

/// No use until `day`, and use before.
fn silence(observation: &Observation<'_>, day: Day) -> String {
    let (Finding::Day { agent, .. }, Check::Silent { days, .. }) =
        (&observation.finding, &observation.rule.check)
    else {
        return String::new();
    };
    let before = agent.silence(day, *days).used_before;
    let first = day.plus(1 - *days as i32);
    format!(
        "nothing {}, after use on {} of the 28 days before",
        dates(first, day, observation.today),
        number(before.into())
    )
}

/// The days whose figures came late, in a title: `5,000 credits on 3 Nov, reported late`, or the days alone.
pub(super) fn late(observation: &Observation<'_>, days: &[Day]) -> String {
    let figures = figures(observation, days);
    match figures.as_slice() {
        [figure] => format!("{}, reported late", one(observation, figure)),
        figures => {
            let on: Vec<String> = figures
                .iter()
                .map(|figure| date(figure.day, observation.today))
                .collect();
            let amount = match observation.rule.check {
                Check::Drop { .. } => "too little",
                Check::Silent { .. } => "nothing",
                _ => "too much",
            };
            format!("{amount} on {}, reported late", on.join(", "))
        }
    }
}

/// A line for each of those days.
pub(super) fn late_lines(observation: &Observation<'_>, days: &[Day]) -> Vec<String> {
    let figures = figures(observation, days).into_iter();
    figures
        .map(|figure| format!("Reported late: {}.", one(observation, &figure)))
        .collect()
}

fn figures(observation: &Observation<'_>, days: &[Day]) -> Vec<DayFigure> {
    let met = observation.days.met.iter();
    met.filter(|figure| days.contains(&figure.day))
        .copied()
        .collect()
}

/// One day against the rule's measure.
fn one(observation: &Observation<'_>, figure: &DayFigure) -> String {
    let today = observation.today;
    match observation.rule.check {
        Check::Usage { over_credits, .. } => format!(
            "{} {}, more than {}",
            credits(figure.credits),
            dates(figure.day, figure.day, today),
            number(over_credits)
        ),
        _ => compared(observation, figure),
    }
}
