//! A summary in words.

use super::{Row, Summary};
use crate::day::Day;
use crate::sheet::{Grouping, Sheet};
use crate::tabulate::Step;
use crate::words::{agent_days_are, credits, dates, grouped, number, rounded, sentence};

/// The highest change in percent that says anything.
const MOST_PERCENT: f64 = 1_000.0;

/// The total in a line.
pub(super) fn title(summary: &Summary, sheet: &Sheet, today: Day) -> String {
    let days = match sheet.step {
        Step::Month => sheet.range.start().date().format("in %B %Y").to_string(),
        _ => dates(sheet.range.start(), sheet.range.end(), today),
    };
    if sheet.total.whole.known_days == 0 {
        return format!("Summary {}: nothing is known of use {days}", summary.name);
    }
    let change = change(&summary.total).map(|change| format!(", {change} than {}", before(sheet)));
    format!(
        "Summary {}: {} used {days}{}",
        summary.name,
        used(&summary.total),
        change.unwrap_or_default()
    )
}

/// All of it: what a reader with little room sees comes first.
pub(super) fn text(summary: &Summary, sheet: &Sheet) -> String {
    let mut sections = vec![total(summary, sheet)];
    let mut add = |heading: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            sections.push(format!("{heading}:\n{}", lines.join("\n")));
        }
    };
    for (heading, lines) in [
        ("Balances", &summary.balances),
        ("Budgets", &summary.budgets),
    ] {
        let lines = lines
            .iter()
            .map(|line| format!("{}: {}", line.name, line.text));
        add(heading, lines.collect());
    }
    let growing = summary.growing.iter().map(|row| {
        let before = row.before_credits.unwrap_or_default();
        let (before, now) = (number(rounded(before)), credits(rounded(row.known_credits)));
        format!("{}: from {before} to {now}", row.name)
    });
    add("Growing fastest", growing.collect());
    let top = (1..).zip(&summary.top);
    let top = top.map(|(rank, row)| format!("{rank}. {}", line(row)));
    let others = summary.others.iter().map(line);
    if !summary.top.is_empty() {
        add(&heading(&sheet.grouping), top.chain(others).collect());
    }
    sections.join("\n\n")
}

/// Heading above those who used most.
fn heading(grouping: &Grouping) -> String {
    match grouping {
        Grouping::Agent => "Top agents".to_owned(),
        Grouping::Account => "Top accounts".to_owned(),
        Grouping::Label(name) => format!("Top by {name}"),
    }
}

/// Rows that have none of their own: `3 others`.
pub(super) fn others(number: usize) -> String {
    match number {
        1 => "1 other".to_owned(),
        _ => format!("{} others", grouped(&number.to_string())),
    }
}

fn total(summary: &Summary, sheet: &Sheet) -> String {
    let before = before(sheet);
    let total = &summary.total;
    let known = &sheet.total.before;
    let compared = match (change(total), total.before_credits) {
        (Some(change), Some(credits)) => {
            format!(", {change} than {before} ({})", number(rounded(credits)))
        }
        (None, Some(0.0)) => format!("; none {before}"),
        (None, Some(credits)) => format!("; {} {before}", number(rounded(credits))),
        (_, None) if known.known_credits > 0.0 => {
            format!(
                "; at least {} {before}",
                number(rounded(known.known_credits))
            )
        }
        (_, None) => String::new(),
    };
    let mut text = match sheet.total.whole.known_days {
        0 => format!("Nothing is known of use{compared}."),
        _ => format!("{} used{compared}.", sentence(&used(total))),
    };
    if total.missing_days > 0 {
        let days = agent_days_are(total.missing_days);
        let whose = summary.missing.iter();
        let listed: u32 = whose.clone().map(|row| row.missing_days).sum();
        let whose = whose.map(|row| {
            let days = grouped(&row.missing_days.to_string());
            format!("{} ({days})", row.name)
        });
        let whose: Vec<String> = whose.collect();
        let more = match listed < total.missing_days {
            true => ", and others",
            false => "",
        };
        text += &format!(
            "\n{days} missing, so use may be higher: of {}{more}.",
            whose.join(", ")
        );
    }
    text
}

/// One row: `acme/support: 4,012 credits (33%), 12% more`.
fn line(row: &Row) -> String {
    let share = share(row).map(|share| format!(" ({share})"));
    let change = change(row).map(|change| format!(", {change}"));
    format!(
        "{}: {}{}{}",
        row.name,
        used(row),
        share.unwrap_or_default(),
        change.unwrap_or_default()
    )
}

/// Use in words: `at least 4,012 credits`.
fn used(row: &Row) -> String {
    let bound = if row.missing_days > 0 {
        "at least "
    } else {
        ""
    };
    format!("{bound}{}", credits(rounded(row.known_credits)))
}

/// A row's part of all in whole percent.
#[must_use]
pub fn share(row: &Row) -> Option<String> {
    let percent = (row.share_ratio? * 100.0).round();
    Some(format!("{}%", number(percent)))
}

/// By how much use grew or fell, in whole percent; none if it cannot be said, is less than a percent, or so much that
/// it says nothing.
#[must_use]
pub fn change_percent(row: &Row) -> Option<f64> {
    let percent = (row.change_ratio? * 100.0).round();
    (1.0..=MOST_PERCENT)
        .contains(&percent.abs())
        .then_some(percent)
}

/// The same in words: `12% more`.
fn change(row: &Row) -> Option<String> {
    let percent = change_percent(row)?;
    let direction = if percent > 0.0 { "more" } else { "less" };
    Some(format!("{}% {direction}", number(percent.abs())))
}

fn before(sheet: &Sheet) -> String {
    match sheet.step {
        Step::Month => sheet.before.start().date().format("in %B").to_string(),
        _ => "in the week before".to_owned(),
    }
}
