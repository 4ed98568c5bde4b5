//! Pure: lines of comma-separated values, as RFC 4180 has them but for the line ends, which are those of
//! Unix: every reader takes them, and nothing has to strip a carriage return.

use crate::text::{is_hidden, visible};

/// Letters that begin a formula in a spreadsheet.
const FORMULA: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// Adds a line of these values to `text`. A text that a spreadsheet would take for a formula begins with `'`,
/// which spreadsheets take for the sign of a text; hidden letters are made visible.
///
/// Spreadsheets of many countries part cells at `;` and do not know of quotes inside such a part, so what stands
/// behind a separator is treated as if it were a cell.
pub fn push_line<V: AsRef<str>>(text: &mut String, values: impl IntoIterator<Item = V>) {
    for (place, value) in values.into_iter().enumerate() {
        if place > 0 {
            text.push(',');
        }
        push_value(text, value.as_ref());
    }
    text.push('\n');
}

fn push_value(text: &mut String, value: &str) {
    // The ends of lines belong to the value, which is quoted for them.
    let is_end = |letter: char| matches!(letter, '\n' | '\r');
    let value = if value
        .chars()
        .any(|letter| is_hidden(letter) && !is_end(letter))
    {
        visible(value)
    } else {
        value.into()
    };
    let value = defused(&value);
    // Spaces at the ends belong to the value, and some readers would strip them.
    let is_plain = !value.contains(['"', ',', '\n', '\r']) && value.trim() == value;
    if is_plain {
        text.push_str(&value);
    } else {
        text.push('"');
        text.push_str(&value.replace('"', "\"\""));
        text.push('"');
    }
}

/// A value of which no part is a formula.
fn defused(value: &str) -> String {
    // A number is no formula, whatever its sign.
    let is_number = value.parse::<f64>().is_ok_and(f64::is_finite);
    let mut text = String::with_capacity(value.len() + 1);
    let mut is_start = !is_number;
    for letter in value.chars() {
        if is_start && FORMULA.contains(&letter) {
            text.push('\'');
        }
        is_start = !is_number && matches!(letter, ';' | ',' | '"' | '\n' | '\r');
        text.push(letter);
    }
    text
}

/// A number as a value: nothing where there is none.
#[must_use]
pub fn number(number: Option<f64>) -> String {
    number.map_or_else(String::new, |number| number.to_string())
}

/// Yes or no as a value.
#[must_use]
pub const fn truth(is_true: bool) -> &'static str {
    if is_true { "true" } else { "false" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_would_break_a_line_are_quoted() {
        let mut text = String::new();
        push_line(&mut text, ["a", "", "b c", "1+1"]);
        push_line(
            &mut text,
            ["one,two", "say \"hi\"", "two\nlines", "cr\r", " x "],
        );
        assert_eq!(
            text,
            "a,,b c,1+1\n\"one,two\",\"say \"\"hi\"\"\",\"two\nlines\",\"cr\r\",\" x \"\n"
        );
    }

    #[test]
    fn nothing_in_a_table_is_run_or_hidden() {
        for (value, expected) in [
            ("=1+1", "'=1+1"),
            ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
            ("-2+3", "'-2+3"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "\\u0009=1"),
            ("\n=1", "\"'\n'=1\""),
            ("x;=1+1", "x;'=1+1"),
            ("x,@SUM(A1)", "\"x,'@SUM(A1)\""),
            ("x\";=1", "\"x\"\";'=1\""),
            ("-inf", "'-inf"),
            (
                "=HYPERLINK(\"x\",\"y\")",
                "\"'=HYPERLINK(\"\"x\"\",\"\"y\"\")\"",
            ),
            ("＝1+1", "'＝1+1"),
            ("-12.5", "-12.5"),
            ("+3", "+3"),
            ("a=1", "a=1"),
            ("a-b", "a-b"),
            ("a\u{202e}b", "a\\u202eb"),
        ] {
            let mut text = String::new();
            push_line(&mut text, [value]);
            assert_eq!(text, format!("{expected}\n"), "{value:?}");
        }
    }

    #[test]
    fn numbers_are_written_whole_and_absent_ones_are_empty() {
        for (figure, text) in [
            (None, ""),
            (Some(0.0), "0"),
            (Some(12.5), "12.5"),
            (Some(1e15), "1000000000000000"),
            (Some(0.1 + 0.2), "0.30000000000000004"),
        ] {
            assert_eq!(number(figure), text);
        }
    }
}
