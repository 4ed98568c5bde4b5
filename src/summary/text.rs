//! A summary in words.

use super::{Row, Summary};
use crate::day::Day;
use crate::sheet::{Grouping, Sheet};
use crate::tabulate::Step;
use crate::words::{count, credits, dates, number, percent, rounded, sentence};

/// The total in a line.
pub(super) fn title(summary: &Summary, sheet: &Sheet, today: Day) -> String {
    let (adjective, days) = match sheet.step {
        Step::Month => (
            "Monthly",
            sheet.range.start().date().format("in %B %Y").to_string(),
        ),
        _ => (
            "Weekly",
            dates(sheet.range.start(), sheet.range.end(), today),
        ),
    };
    let change = change(&summary.total).map(|change| format!(", {change} than {}", before(sheet)));
    format!(
        "{adjective} summary {}: {} used {days}{}",
        summary.name,
        used(&summary.total),
        change.unwrap_or_default()
    )
}

/// All of it.
pub(super) fn text(summary: &Summary, sheet: &Sheet) -> String {
    let mut sections = vec![total(summary, sheet)];
    let mut add = |heading: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            sections.push(format!("{heading}\n{}", lines.join("\n")));
        }
    };
    let heading = match &sheet.grouping {
        Grouping::Agent => "Top agents:".to_owned(),
        Grouping::Account => "Top accounts:".to_owned(),
        Grouping::Label(name) => format!("Top by {name}:"),
    };
    let top = summary.top.iter().filter(|row| row.known_credits > 0.0);
    let top = (1..)
        .zip(top)
        .map(|(rank, row)| format!("{rank}. {}", line(row)));
    let others = summary.others.iter().map(|row| sentence(&line(row)));
    add(&heading, top.chain(others).collect());
    let growing = summary.growing.iter().map(|row| {
        let before = row.before_credits.unwrap_or_default();
        let (before, now) = (number(rounded(before)), credits(rounded(row.known_credits)));
        format!("{}: from {before} to {now}", row.name)
    });
    add("Growing fastest:", growing.collect());
    for (heading, lines) in [
        ("Budgets:", &summary.budgets),
        ("Balances:", &summary.balances),
    ] {
        let lines = lines
            .iter()
            .map(|line| format!("{}: {}", line.name, line.text));
        add(heading, lines.collect());
    }
    sections.join("\n\n")
}

/// Rows that have none of their own: `three others`.
pub(super) fn others(number: usize) -> String {
    count(u32::try_from(number).unwrap_or(u32::MAX), "other", "others")
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
    let mut text = format!("{} used{compared}.", sentence(&used(total)));
    if total.missing_days > 0 {
        let days = count(total.missing_days, "agent-day is", "agent-days are");
        let whose = summary.missing.iter();
        let listed: u32 = whose.clone().map(|row| row.missing_days).sum();
        let whose = whose.map(|row| format!("{} ({})", row.name, row.missing_days));
        let whose: Vec<String> = whose.collect();
        let of = if listed < total.missing_days {
            "mostly of"
        } else {
            "of"
        };
        text += &format!(
            "\n{} missing, so use may be higher: {of} {}.",
            sentence(&days),
            whose.join(", ")
        );
    }
    text
}

/// One row: `acme/support: 4,012 credits (33%), 12% more`.
fn line(row: &Row) -> String {
    let share = row
        .share_ratio
        .map(|share| format!(" ({})", percent(share)));
    let change = change(row).map(|change| format!(", {change}"));
    format!(
        "{}: {}{}{}",
        row.name,
        used(row),
        share.unwrap_or_default(),
        change.unwrap_or_default()
    )
}

/// What was used: `at least 4,012 credits`.
fn used(row: &Row) -> String {
    let bound = if row.missing_days > 0 {
        "at least "
    } else {
        ""
    };
    format!("{bound}{}", credits(rounded(row.known_credits)))
}

/// By how much use grew or fell: `12% more`; none if it cannot be said, or is less than a percent.
fn change(row: &Row) -> Option<String> {
    let change = row.change_ratio?;
    let direction = if change > 0.0 { "more" } else { "less" };
    let percent = (change.abs() * 100.0).round();
    (percent >= 1.0).then(|| format!("{}% {direction}", number(percent)))
}

fn before(sheet: &Sheet) -> String {
    match sheet.step {
        Step::Month => sheet.before.start().date().format("in %B").to_string(),
        _ => "in the week before".to_owned(),
    }
}
