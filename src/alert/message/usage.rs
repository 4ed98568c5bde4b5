//! Credits of days and spans, in words.

use super::super::finding::{DayFigure, Finding, Observation};
use super::super::{Check, Span};
use crate::day::Day;
use crate::words::{credits, date, dates, number};

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

/// Use on a day, compared with the usual: `900 credits on 22 Nov, 4.5 times the usual 200`.
pub(super) fn spike(observation: &Observation<'_>) -> String {
    let Finding::Spike {
        day,
        used_credits,
        usual_credits,
        ..
    } = observation.finding
    else {
        return String::new();
    };
    let on = date(day, observation.today);
    match used_credits {
        Some(credits) => compared(
            &DayFigure {
                day,
                credits,
                usual_credits,
            },
            observation.today,
        ),
        None => format!("an unknown amount on {on}"),
    }
}

fn compared(figure: &DayFigure, today: Day) -> String {
    let used = credits(figure.credits);
    let on = dates(figure.day, figure.day, today);
    let compared = match figure.usual_credits {
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
            format!("too much on {}, reported late", on.join(", "))
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
        _ => compared(figure, today),
    }
}
