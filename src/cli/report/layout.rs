//! Pure: columns of text, as wide as they have to be, on a screen or in Markdown.

use comfy_table::{Attribute, Cell as Styled, CellAlignment, Color, Table, presets};
use unicode_width::UnicodeWidthStr;

use crate::text::visible;

/// Between two columns on a screen.
const GAP: usize = 2;
/// Sign for the end of a text that is cut.
const CUT: char = '…';

/// Screen or file that a report is shown on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Screen {
    /// Letters that fit beside each other.
    pub(super) width: usize,
    /// True if it shows colours.
    pub(super) has_colours: bool,
}

/// A text in a grid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell {
    text: String,
    look: Look,
}

/// Styles of texts where there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Plain,
    /// Headings and totals.
    Strong,
    /// A figure with missing days.
    Lacking,
}

/// Columns of texts.
#[derive(Debug, Clone, Default)]
pub(super) struct Grid {
    columns: Vec<(String, CellAlignment)>,
    rows: Vec<Vec<Cell>>,
}

impl Cell {
    pub(super) fn new(text: impl Into<String>, look: Look) -> Self {
        let text = text.into();
        Self { text, look }
    }

    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self::new(text, Look::Plain)
    }

    /// The same, standing out as a total does unless it already stands out.
    pub(super) fn strong(mut self) -> Self {
        if self.look == Look::Plain {
            self.look = Look::Strong;
        }
        self
    }
}

impl Grid {
    /// Adds a column of texts.
    pub(super) fn text(mut self, title: impl Into<String>) -> Self {
        self.columns.push((title.into(), CellAlignment::Left));
        self
    }

    /// Adds a column of figures, which stand flush right.
    pub(super) fn figures(mut self, title: impl Into<String>) -> Self {
        self.columns.push((title.into(), CellAlignment::Right));
        self
    }

    /// Adds a row with a cell for each column.
    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.columns.len());
        self.rows.push(cells);
    }

    /// Width on a screen.
    pub(super) fn width(&self) -> usize {
        let widest = |place: usize, title: &str| {
            let texts = self.rows.iter().map(|row| row[place].text.as_str());
            texts.chain([title]).map(UnicodeWidthStr::width).max()
        };
        let columns = self.columns.iter().enumerate();
        let widths = columns.filter_map(|(place, (title, _))| widest(place, title));
        widths.sum::<usize>() + GAP * self.columns.len().saturating_sub(1)
    }

    /// As it stands on a screen, with a line end.
    pub(super) fn on_screen(&self, has_colours: bool) -> String {
        let styled = |text: &str, look: Look, alignment: CellAlignment| {
            let cell = Styled::new(text).set_alignment(alignment);
            match look {
                Look::Plain => cell,
                Look::Strong => cell.add_attribute(Attribute::Bold),
                Look::Lacking => cell.fg(Color::Yellow),
            }
        };
        let mut table = Table::new();
        table.load_style(presets::NOTHING).force_no_tty();
        if has_colours {
            table.enforce_styling();
        }
        let header = self.columns.iter();
        let header = header.map(|(title, alignment)| styled(title, Look::Strong, *alignment));
        table.set_header(header.collect::<Vec<_>>());
        for row in &self.rows {
            let cells = row.iter().zip(&self.columns);
            let cells = cells.map(|(cell, (_, to))| styled(&cell.text, cell.look, *to));
            table.add_row(cells.collect::<Vec<_>>());
        }
        let last = self.columns.len().saturating_sub(1);
        for (place, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, if place == last { 0 } else { GAP as u16 }));
        }
        table.trim_fmt() + "\n"
    }

    /// As a table of Markdown.
    pub(super) fn markdown(&self) -> String {
        let line = |cells: &mut dyn Iterator<Item = String>| {
            let cells: Vec<String> = cells.collect();
            format!("| {} |\n", cells.join(" | "))
        };
        let rule = |(_, alignment): &(String, CellAlignment)| match alignment {
            CellAlignment::Right => "---:".to_owned(),
            _ => "---".to_owned(),
        };
        let mut text = line(&mut self.columns.iter().map(|(title, _)| escaped(title)));
        text += &line(&mut self.columns.iter().map(rule));
        for row in &self.rows {
            text += &line(&mut row.iter().map(|cell| match cell.look {
                Look::Strong if !cell.text.is_empty() => format!("**{}**", escaped(&cell.text)),
                _ => escaped(&cell.text),
            }));
        }
        text
    }
}

/// A text that means nothing in Markdown or in the HTML in it.
pub(super) fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, letter| {
        if matches!(
            letter,
            '\\' | '|' | '*' | '_' | '`' | '[' | ']' | '<' | '>' | '&' | '~' | '#'
        ) {
            out.push('\\');
        }
        out.push(letter);
        out
    })
}

/// The text with its hidden letters made visible, cut if it is wider than `width`.
pub(super) fn shortened(text: &str, width: usize) -> String {
    let text = &*visible(text);
    if text.width() <= width {
        return text.to_owned();
    }
    let mut shown = String::new();
    for letter in text.chars() {
        shown.push(letter);
        // The mark takes one place.
        if shown.width() >= width {
            shown.pop();
            break;
        }
    }
    shown.push(CUT);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        let mut grid = Grid::default().text("agent").figures("credits");
        grid.row(vec![Cell::plain("acme/日本"), Cell::plain("1,234.5")]);
        grid.row(vec![Cell::plain("a|b*"), Cell::new("≥3", Look::Lacking)]);
        grid.row(vec![
            Cell::plain("total").strong(),
            Cell::plain("7").strong(),
        ]);
        grid
    }

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let text = grid().on_screen(false);
        assert_eq!(
            text,
            "agent      credits\nacme/日本  1,234.5\na|b*            ≥3\ntotal            7\n"
        );
        let widest = text.lines().map(UnicodeWidthStr::width).max();
        assert_eq!(Some(grid().width()), widest);
    }

    #[test]
    fn colours_change_nothing_but_colours() {
        let coloured = grid().on_screen(true);
        assert!(coloured.contains("\x1b["), "{coloured:?}");
        let mut plain = String::new();
        for (place, part) in coloured.split("\x1b[").enumerate() {
            let text = part.split_once('m').filter(|_| place > 0);
            plain.push_str(text.map_or(part, |(_, text)| text));
        }
        let trimmed: Vec<&str> = plain.lines().map(str::trim_end).collect();
        assert_eq!(trimmed.join("\n") + "\n", grid().on_screen(false));
    }

    #[test]
    fn markdown_says_no_more_than_the_text() {
        assert_eq!(
            grid().markdown(),
            "| agent | credits |\n| --- | ---: |\n| acme/日本 | 1,234.5 |\n| a\\|b\\* | ≥3 |\n\
             | **total** | **7** |\n"
        );
    }

    #[test]
    fn long_texts_are_cut_to_the_width() {
        for (text, width, expected) in [
            ("support", 7, "support"),
            ("support", 6, "suppo…"),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日…"),
            ("support", 1, "…"),
        ] {
            assert_eq!(shortened(text, width), expected);
        }
    }
}
