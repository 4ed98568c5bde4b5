//! Pure: lines of comma-separated values, as RFC 4180 has them but for the line ends, which are those of
//! Unix: every reader takes them, and nothing has to strip a carriage return.

use crate::text::{is_hidden, visible};

/// Adds a line of these values to `text`. A text that a spreadsheet would take for a formula begins with `'`,
/// which spreadsheets take for the sign of a text; hidden letters are made visible.
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
    // A number is no formula, whatever its sign.
    let may_run = value.starts_with(['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'])
        && value.parse::<f64>().is_err();
    let defused = if may_run { "'" } else { "" };
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
    let value = format!("{defused}{value}");
    let value = value.as_str();
    // Spaces at the ends belong to the value, and some readers would strip them.
    let is_plain = !value.contains(['"', ',', '\n', '\r']) && value.trim() == value;
    if is_plain {
        text.push_str(value);
    } else {
        text.push('"');
        text.push_str(&value.replace('"', "\"\""));
        text.push('"');
    }
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
            ("\t=1", "'\\u0009=1"),
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
