//! Pure: a report as tables: one of the rows as a whole, and one bucket by bucket.

use std::sync::Arc;

use chrono::Datelike;

use super::super::count;
use super::super::width::wrapped;
use super::layout::{Cell, Grid, Look, Screen, escaped, shortened};
use crate::balance::{Left, words};
use crate::sheet::{Row, Sheet, Sums};
use crate::tabulate::{Amount, Step};
use crate::text::visible;
use crate::window::Range;
use crate::words::grouped;

/// The lowest to the highest bar of a sparkline.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// The place of a bar that is not wholly known.
const NO_BAR: char = '·';
/// The most bars of a sparkline in Markdown, and the fewest on a narrow screen.
const BARS_IN_MARKDOWN: usize = 24;
const FEWEST_BARS: usize = 8;
/// The most columns of rows in Markdown, and on a wide screen.
const COLUMNS_IN_MARKDOWN: usize = 8;
const MOST_COLUMNS: usize = 12;
/// The narrowest that a name is cut to.
const NARROWEST_NAME: usize = 12;
/// The widest title of a column that bears a name.
const TITLE_WIDTH: usize = 20;

/// The report as it fits a screen.
pub(super) fn for_screen(sheet: &Sheet, balances: &[(Arc<str>, Left)], screen: Screen) -> String {
    let name_width = screen.width * 2 / 5;
    // Names give way to the shortest sparkline.
    let most = summary(sheet, name_width, 0).width() + 2 + FEWEST_BARS;
    let over = most.saturating_sub(screen.width);
    let name_width = name_width.saturating_sub(over).max(NARROWEST_NAME);
    // Whatever else there is leaves this to the sparkline.
    let others = summary(sheet, name_width, 0).width();
    let room = screen.width.saturating_sub(others + 2);
    let bars = if room < FEWEST_BARS { 0 } else { room };
    let grid = summary(sheet, name_width, bars);
    let mut text = format!(
        "{}\n\n{}",
        wrapped(&heading(sheet), 0, screen.width),
        grid.on_screen(screen.has_colours)
    );
    if sheet.buckets.len() > 1 {
        let most = sheet.rows.len().min(MOST_COLUMNS);
        let mut grids = (0..=most).rev().map(|columns| by_bucket(sheet, columns));
        // The last of them, with nothing but the total, has to do on any screen.
        let grid = grids.find(|grid| grid.width() <= screen.width);
        let grid = grid.unwrap_or_else(|| by_bucket(sheet, 0));
        text += &format!("\n{}", grid.on_screen(screen.has_colours));
    }
    if let Some(note) = note(sheet) {
        text += &format!("\n{}\n", wrapped(&note, 0, screen.width));
    }
    for (place, balance) in balances.iter().map(in_words).enumerate() {
        let gap = if place == 0 { "\n" } else { "" };
        text += &format!("{gap}{}\n", wrapped(&visible(&balance), 2, screen.width));
    }
    text
}

/// Line about a balance: `Balance acme: 812 credits left, enough for 9 days (7 to 12 days), until 9 Dec`.
fn in_words((name, left): &(Arc<str>, Left)) -> String {
    let said = [words::lasting(left), words::correction(left)];
    let said: String = said
        .into_iter()
        .flatten()
        .map(|said| format!(", {said}"))
        .collect();
    format!("Balance {name}: {}{said}", words::amount(left))
}

/// The report in Markdown.
pub(super) fn markdown(sheet: &Sheet, balances: &[(Arc<str>, Left)]) -> String {
    let grid = summary(sheet, usize::MAX, BARS_IN_MARKDOWN);
    let mut text = format!("{}\n\n{}", escaped(&heading(sheet)), grid.markdown());
    if sheet.buckets.len() > 1 {
        let grid = by_bucket(sheet, sheet.rows.len().min(COLUMNS_IN_MARKDOWN));
        text += &format!("\n{}", grid.markdown());
    }
    if let Some(note) = note(sheet) {
        text += &format!("\n{note}\n");
    }
    for (place, balance) in balances.iter().map(in_words).enumerate() {
        let gap = if place == 0 { "\n" } else { "" };
        text += &format!("{gap}- {}\n", escaped(&balance));
    }
    text
}

fn heading(sheet: &Sheet) -> String {
    let (group, step) = (sheet.grouping.title(), sheet.step.as_str());
    let days = match sheet.range.days() {
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    };
    let range = sheet.range;
    format!("Credits by {group} and {step}, {range} (UTC); change from the {days} before")
}

/// Note on missing days, if there are any.
fn note(sheet: &Sheet) -> Option<String> {
    let days = match sheet.total.whole.missing_days {
        0 => return None,
        1 => "1 agent-day is".to_owned(),
        days => format!("{days} agent-days are"),
    };
    Some(format!(
        "{days} missing: ≥ marks a lower bound, ? an unknown figure"
    ))
}

/// A row for each group with its sparkline, as many bars wide as there is room for; none at all in no
/// room, and where there is only one bucket.
fn summary(sheet: &Sheet, name_width: usize, bars: usize) -> Grid {
    let decimals = decimals(sheet);
    let has_trend = bars > 0 && sheet.buckets.len() > 1;
    let is_missing = sheet.total.whole.missing_days > 0;
    let mut grid = Grid::default().text(shortened(sheet.grouping.title(), name_width));
    if has_trend {
        grid = grid.text("trend");
    }
    grid = grid.figures("credits").figures("share").figures("change");
    if is_missing {
        grid = grid.figures("missing days");
    }
    let cells = |name: String, sums: &Sums| {
        let mut cells = vec![Cell::plain(shortened(&name, name_width))];
        if has_trend {
            cells.push(Cell::plain(sparkline(sums, &sheet.buckets, bars)));
        }
        cells.push(amount(&sums.whole, decimals));
        cells.push(Cell::plain(share(sums, &sheet.total)));
        cells.push(Cell::plain(change(sums)));
        if is_missing {
            let days = grouped(&sums.whole.missing_days.to_string());
            let look = if days == "0" {
                Look::Plain
            } else {
                Look::Lacking
            };
            cells.push(Cell::new(days, look));
        }
        cells
    };
    for row in &sheet.rows {
        grid.row(cells(row.subject.to_string(), &row.sums));
    }
    let (left_out, sums) = &sheet.others;
    if *left_out > 0 {
        grid.row(cells(count(left_out, "other"), sums));
    }
    if sheet.rows.len() + left_out > 1 {
        let total = cells("total".to_owned(), &sheet.total);
        grid.row(total.into_iter().map(Cell::strong).collect());
    }
    grid
}

/// A row for each bucket, with columns for the first rows, for all others together, and for the total.
fn by_bucket(sheet: &Sheet, columns: usize) -> Grid {
    let decimals = decimals(sheet);
    let (shown, others) = sheet.rows.split_at(columns);
    let mut grid = Grid::default().text(sheet.step.as_str());
    for row in shown {
        grid = grid.figures(shortened(&row.subject.to_string(), TITLE_WIDTH));
    }
    let (left_out, left_out_sums) = &sheet.others;
    let more = others.len() + left_out;
    let has_others = columns > 0 && more > 0;
    if has_others {
        grid = grid.figures(count(more, "other"));
    }
    let has_total = sheet.rows.len() + left_out > 1;
    if has_total || columns == 0 {
        grid = grid.figures("total");
    }
    for (place, bucket) in sheet.buckets.iter().enumerate() {
        let of = |row: &Row| row.sums.buckets[place];
        let mut cells = vec![Cell::plain(label(*bucket, sheet.step))];
        cells.extend(shown.iter().map(|row| amount(&of(row), decimals)));
        if has_others {
            let mut sum = left_out_sums.buckets[place];
            for row in others {
                sum.add(&of(row));
            }
            cells.push(amount(&sum, decimals));
        }
        if has_total || columns == 0 {
            cells.push(amount(&sheet.total.buckets[place], decimals).strong());
        }
        grid.row(cells);
    }
    grid
}

/// Name of a bucket: its month if it is a whole one, else its days.
fn label(bucket: Range, step: Step) -> String {
    let (first, last) = (bucket.start(), bucket.end());
    let month_end = first.month_start().plus(31).month_start().previous();
    if step == Step::Month && first == first.month_start() && last == month_end {
        return first.date().format("%Y-%m").to_string();
    }
    if step == Step::Day {
        return first.date().format("%Y-%m-%d %a").to_string();
    }
    if first == last {
        return first.to_string();
    }
    let is_same_year = first.date().year() == last.date().year();
    let last = last.date();
    let last = last.format(if is_same_year { "%m-%d" } else { "%Y-%m-%d" });
    format!("{first} to {last}")
}

/// Number of decimals of all figures: none if all are whole.
fn decimals(sheet: &Sheet) -> usize {
    let rows = sheet.rows.iter().map(|row| &row.sums);
    let mut amounts = rows.flat_map(|sums| &sums.buckets);
    let is_whole = amounts.all(|amount| amount.known_credits.fract() == 0.0);
    if is_whole { 0 } else { 2 }
}

/// Credits; what is not wholly known is marked.
fn amount(amount: &Amount, decimals: usize) -> Cell {
    // The sum is what makes a negative zero a positive one.
    let credits = grouped(&format!("{:.decimals$}", amount.known_credits + 0.0));
    match (amount.missing_days, amount.known_days) {
        (0, _) => Cell::plain(credits),
        (_, 0) => Cell::new("?", Look::Lacking),
        _ => Cell::new(format!("≥{credits}"), Look::Lacking),
    }
}

fn share(sums: &Sums, total: &Sums) -> String {
    sums.share_of(total)
        .map_or_else(|| "-".to_owned(), |share| format!("{:.1}%", share * 100.0))
}

fn change(sums: &Sums) -> String {
    match sums.change() {
        Some(0.0) => "0%".to_owned(),
        Some(change) if change.abs() < 10.0 => format!("{:+.1}%", change * 100.0),
        Some(change) => format!("{}%", grouped(&format!("{:+.0}", change * 100.0))),
        // All of it is known, and there was nothing before.
        None if sums.whole.credits().and(sums.before.credits()).is_some() => "new".to_owned(),
        None => "-".to_owned(),
    }
}

/// Bars of the credits per day, from zero to the highest, since the first and the last bucket may be
/// shorter. If there are more buckets than `most`, neighbours share a bar.
fn sparkline(sums: &Sums, buckets: &[Range], most: usize) -> String {
    let together = buckets.len().div_ceil(most.max(1));
    let bars = sums.buckets.chunks(together).zip(buckets.chunks(together));
    let bars = bars.map(|(amounts, buckets)| {
        let days: u32 = buckets.iter().map(Range::days).sum();
        let credits = amounts
            .iter()
            .try_fold(0.0, |sum, amount| Some(sum + amount.credits()?));
        credits.map(|credits| credits / f64::from(days))
    });
    let bars: Vec<Option<f64>> = bars.collect();
    let highest = bars.iter().flatten().copied().fold(0.0, f64::max);
    bars.into_iter()
        .map(|bar| match bar {
            None => NO_BAR,
            Some(_) if highest <= 0.0 => BARS[0],
            // A share of the highest is at most 1.
            Some(bar) => BARS[(bar / highest * 7.0).round() as usize],
        })
        .collect()
}
