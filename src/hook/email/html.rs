//! Pure: a summary as the HTML of an e-mail, with bars. Mail programs know tables and inline styles, and little else.

use std::fmt::Write;

use crate::summary::{Line, Row, Summary};
use crate::text::visible;
use crate::words::{number, percent, rounded};

const CELL: &str = "padding:4px 8px 4px 0;text-align:left;vertical-align:top";
const NUMBER: &str = "padding:4px 8px 4px 0;text-align:right;vertical-align:top;white-space:nowrap";
const BAR: &str = "#1565c0";
/// A budget that is used up.
const OVER: &str = "#c62828";

/// The page of `summary`. Its text is plain and has all of it; this one shows what is more easily seen.
pub(super) fn html(summary: &Summary) -> String {
    let mut page = String::from(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"color-scheme\" content=\"light dark\"></head>\
         <body style=\"font-family:sans-serif;font-size:15px;line-height:1.4;max-width:640px\">",
    );
    let lead = summary.text.split("\n\n").next().unwrap_or_default();
    let lead = escaped(lead).replace('\n', "<br>");
    let _ = write!(
        page,
        "<h1 style=\"font-size:18px\">{}</h1><p>{lead}</p>",
        escaped(&summary.title)
    );
    let most = summary.top.iter().map(|row| row.known_credits);
    let most = most.fold(0.0, f64::max);
    let rows = summary.top.iter().map(|row| of_row(row, most));
    let others = summary.others.iter().map(|row| of_row(row, 0.0));
    section(&mut page, "Top", rows.chain(others));
    section(
        &mut page,
        "Growing fastest",
        summary.growing.iter().map(growing),
    );
    section(&mut page, "Budgets", summary.budgets.iter().map(of_line));
    section(&mut page, "Balances", summary.balances.iter().map(of_line));
    if let Some(url) = &summary.url {
        let _ = write!(page, "<p><a href=\"{}\">Open</a></p>", escaped(url));
    }
    page + "</body></html>\n"
}

/// A table of `rows` under its heading, if there are any.
fn section(page: &mut String, heading: &str, rows: impl Iterator<Item = String>) {
    let rows: String = rows.collect();
    if !rows.is_empty() {
        let _ = write!(
            page,
            "<h2 style=\"font-size:15px;margin-bottom:0\">{heading}</h2>\
             <table style=\"border-collapse:collapse;width:100%\">{rows}</table>"
        );
    }
}

/// A row with its credits, share and change, and a bar that is longest for `most` credits.
fn of_row(row: &Row, most: f64) -> String {
    let bound = if row.missing_days > 0 { "≥ " } else { "" };
    let share = row.share_ratio.map(percent).unwrap_or_default();
    let change = row.change_ratio.map(|change| {
        let sign = if change < 0.0 { "−" } else { "+" };
        format!("{sign}{}%", number((change.abs() * 100.0).round()))
    });
    format!(
        "<tr><td style=\"{CELL}\">{}{}</td><td style=\"{NUMBER}\">{bound}{}</td>\
         <td style=\"{NUMBER}\">{share}</td><td style=\"{NUMBER}\">{}</td></tr>",
        escaped(&row.name),
        bar(
            if most > 0.0 {
                row.known_credits / most
            } else {
                0.0
            },
            BAR
        ),
        number(rounded(row.known_credits)),
        change.unwrap_or_default()
    )
}

fn growing(row: &Row) -> String {
    let before = row.before_credits.unwrap_or_default();
    format!(
        "<tr><td style=\"{CELL}\">{}</td><td style=\"{NUMBER}\">{} → {}</td></tr>",
        escaped(&row.name),
        number(rounded(before)),
        number(rounded(row.known_credits))
    )
}

/// A budget or a balance with a bar of what is used.
fn of_line(line: &Line) -> String {
    let used = line.used_ratio.unwrap_or_default();
    let colour = if used >= 1.0 { OVER } else { BAR };
    format!(
        "<tr><td style=\"{CELL}\"><b>{}</b>: {}{}</td></tr>",
        escaped(&line.name),
        escaped(&line.text),
        bar(used, colour)
    )
}

/// A bar that is `ratio` as wide as its cell, at most all of it.
fn bar(ratio: f64, colour: &str) -> String {
    let percent = (ratio.clamp(0.0, 1.0) * 100.0).round();
    if percent < 1.0 {
        return String::new();
    }
    format!(
        "<div style=\"width:{percent}%;height:6px;background-color:{colour};margin-top:2px\"></div>"
    )
}

/// A text that no mail program takes for markup.
fn escaped(text: &str) -> String {
    let mut shown = String::new();
    for letter in visible(text).chars() {
        match letter {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '"' => shown.push_str("&quot;"),
            letter => shown.push(letter),
        }
    }
    shown
}
