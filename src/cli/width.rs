//! Text that fits a terminal.

use comfy_table::Table;
use unicode_width::UnicodeWidthStr;

/// Narrower terminals are not served: a word of a name would not fit either.
const NARROWEST: usize = 40;

/// Columns of the terminal, or of `COLUMNS` if that is set; none where nobody looks.
pub(super) fn columns() -> Option<usize> {
    let set = std::env::var("COLUMNS").ok();
    let set = set.and_then(|columns| columns.parse().ok());
    let columns: Option<usize> = set.or_else(|| Table::new().width().map(usize::from));
    columns.map(|columns| columns.max(NARROWEST))
}

/// Breaks a line between words so that it fits `width`; every line but the first begins with `indent` spaces, and
/// the first is that much shorter. A longer word stays whole.
pub(super) fn wrapped(line: &str, indent: usize, width: usize) -> String {
    let mut text = String::new();
    let mut used = indent;
    for word in line.split(' ') {
        let wide = word.width();
        if used > indent && used + 1 + wide > width {
            text.push('\n');
            text.push_str(&" ".repeat(indent));
            used = indent;
        } else if used > indent {
            text.push(' ');
            used += 1;
        }
        text.push_str(word);
        used += wide;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_go_on_below_themselves() {
        for (line, indent, width, text) in [
            ("one two three", 0, 80, "one two three"),
            ("one two three", 0, 7, "one two\nthree"),
            ("one two three", 2, 9, "one two\n  three"),
            ("日本 語", 0, 6, "日本\n語"),
            ("endless-word b", 4, 8, "endless-word\n    b"),
            ("", 4, 8, ""),
        ] {
            assert_eq!(wrapped(line, indent, width), text);
        }
    }
}
