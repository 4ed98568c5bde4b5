//! Pure: which letters may be shown, by one rule for terminals, logs, pages, tables and messages.
//!
//! Names and answers come from elsewhere and may hold anything: letters that turn the rest of a line around,
//! that nobody sees, or that a terminal obeys. Where a program reads, in JSON and metrics, texts stay exact.

use std::borrow::Cow;

/// The most bytes of a foreign text that an error shows.
pub(crate) const QUOTE_BYTES: usize = 200;

/// The most letters of a foreign text that [`brief`] shows.
const BRIEF_LETTERS: usize = 64;
const CUT: char = '…';

/// Returns true if a letter is not seen as itself: a control character, one that changes the direction of writing,
/// one without width, or one that looks like a space and is a letter.
#[must_use]
pub const fn is_hidden(letter: char) -> bool {
    matches!(letter,
        // Control characters, and line ends of other ages.
        '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}' | '\u{2029}'
        // Soft hyphen, joiners, and fillers that show nothing.
        | '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{2800}' | '\u{3164}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d159}'
        // Variations of the letter before, but for the two that make it an emoji or none.
        | '\u{fe00}'..='\u{fe0d}'
        // Zero width, and the direction of writing.
        | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}'
        // Tags, which spell an invisible text, and what no text holds.
        | '\u{e0000}'..='\u{e0fff}' | '\u{fffe}' | '\u{ffff}')
}

/// A text of several lines with every hidden letter made visible: `\u202e`, as JSON writes it too, so that
/// JSON stays the same to those who read it.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    let is_shown = |letter: char| letter == '\n' || !is_hidden(letter);
    if text.chars().all(is_shown) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if is_shown(letter) {
            shown.push(letter);
        } else {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                shown.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    Cow::Owned(shown)
}

/// At most `limit` bytes of a foreign text, on one line and with every hidden letter escaped; what is left out
/// shows as `…`.
pub(crate) fn printable(text: &str, limit: usize) -> String {
    let mut shown = String::new();
    for letter in text.chars() {
        let mark = shown.len();
        push(&mut shown, letter);
        if shown.len() > limit {
            shown.truncate(mark);
            while shown.len() + CUT.len_utf8() > limit {
                shown.pop();
            }
            shown.push(CUT);
            break;
        }
    }
    shown
}

/// A foreign text as it may stand in a message: one short line with every hidden letter escaped.
pub(crate) fn brief(text: &str) -> String {
    let mut shown = String::new();
    for letter in text.chars().take(BRIEF_LETTERS) {
        push(&mut shown, letter);
    }
    if text.chars().nth(BRIEF_LETTERS).is_some() {
        shown.push(CUT);
    }
    shown
}

/// The most bytes of a web page that are searched for its title.
const TITLE_WITHIN: usize = 4096;

/// Describes an HTML page of that size by its title, as in `an HTML page "502 Bad Gateway", 157 bytes`; none if
/// the text is not one.
pub(crate) fn web_page(text: &[u8], bytes: usize) -> Option<String> {
    let start = String::from_utf8_lossy(&text[..text.len().min(TITLE_WITHIN)]);
    let lower = start.to_ascii_lowercase();
    if !is_page(&start) {
        return None;
    }
    let title = lower.find("<title").and_then(|tag| {
        let open = tag + lower[tag..].find('>')? + 1;
        let end = open + lower[open..].find("</title")?;
        let words: Vec<&str> = start[open..end].split_whitespace().collect();
        Some(words.join(" ")).filter(|title| !title.is_empty())
    });
    let title = title.map_or_else(String::new, |title| format!(" \"{}\"", brief(&title)));
    Some(format!("an HTML page{title}, {bytes} bytes"))
}

/// Returns true if a text begins as a web page does.
pub(crate) fn is_page(text: &str) -> bool {
    const PAGES: [&str; 24] = [
        "!doctype", "html", "head", "body", "title", "meta", "link", "style", "script", "noscript",
        "div", "p", "span", "h1", "h2", "h3", "br", "b", "font", "center", "table", "form", "pre",
        "a",
    ];
    root(text).is_some_and(|name| PAGES.contains(&name.as_str()))
}

/// The name of the first element of a text in XML or HTML, in lower case and without its prefix.
pub(crate) fn root(text: &str) -> Option<String> {
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    while let Some(end) = match () {
        () if rest.starts_with("<?") => Some("?>"),
        () if rest.starts_with("<!--") => Some("-->"),
        () => None,
    } {
        rest = rest.split_once(end)?.1.trim_start();
    }
    let rest = rest.strip_prefix('<')?;
    let name = rest.split(|c: char| !(c.is_ascii_alphanumeric() || "!:-_.".contains(c)));
    let name = name.into_iter().next()?.rsplit(':').next()?;
    Some(name.to_ascii_lowercase()).filter(|name| !name.is_empty())
}

fn push(shown: &mut String, letter: char) {
    if is_hidden(letter) {
        shown.extend(letter.escape_default());
    } else {
        shown.push(letter);
    }
}

/// A decimal number as text with thousands separators.
pub(crate) fn grouped(text: &str) -> String {
    let (sign, text) = text
        .strip_prefix('-')
        .map_or(("", text), |text| ("-", text));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut shown = String::from(sign);
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    if !fraction.is_empty() {
        shown.push('.');
        shown.push_str(fraction);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Letters of attackers: to turn a line around, to hide in one, to be obeyed by a terminal.
    const HIDDEN: [char; 20] = [
        '\0',
        '\u{1b}',
        '\u{7f}',
        '\u{9b}',
        '\u{ad}',
        '\u{200b}',
        '\u{200d}',
        '\u{200e}',
        '\u{202e}',
        '\u{2066}',
        '\u{2069}',
        '\u{2028}',
        '\u{61c}',
        '\u{feff}',
        '\u{3164}',
        '\u{2800}',
        '\u{fe00}',
        '\u{fff1}',
        '\u{1bca2}',
        '\u{e0041}',
    ];

    #[test]
    fn hidden_letters_are_seen_everywhere() {
        for letter in HIDDEN {
            assert!(is_hidden(letter), "{letter:?}");
            let text = format!("a{letter}b");
            for shown in [
                visible(&text).into_owned(),
                printable(&text, 99),
                brief(&text),
            ] {
                assert!(!shown.chars().any(is_hidden), "{letter:?}: {shown}");
                assert!(
                    shown.starts_with("a\\u") && shown.ends_with('b') || shown == "a\\u0000b",
                    "{shown}"
                );
            }
        }
        for letter in "aß…\"'\\<&Ω日本א\u{1f600}\u{301} \u{a0}".chars() {
            assert!(!is_hidden(letter), "{letter:?}");
        }
    }

    #[test]
    fn json_stays_the_same_to_its_readers() {
        let all: String = HIDDEN.iter().collect();
        let json = serde_json::to_string(&all).unwrap();
        let shown = visible(&json);
        assert!(!shown.chars().any(is_hidden), "{shown}");
        let read: String = serde_json::from_str(&shown).unwrap();
        assert_eq!(read, all);
    }

    #[test]
    fn lines_stay_lines_where_there_may_be_several_and_plain_texts_are_not_copied() {
        assert_eq!(visible("a\nb\tc\r\n"), "a\nb\\u0009c\\u000d\n");
        assert!(matches!(visible("plain\n"), Cow::Borrowed("plain\n")));
        assert_eq!(printable("a\nb", 99), "a\\nb");
        assert_eq!(brief("a\r\nb"), "a\\r\\nb");
    }

    #[test]
    fn a_web_page_is_described_by_its_title_and_size() {
        for (page, description) in [
            (
                "\n<!DOCTYPE html><HTML><Title lang=en>\n 502  Bad\nGateway</TITLE>",
                Some("an HTML page \"502 Bad Gateway\", 63 bytes"),
            ),
            ("\u{feff}<!-- x --><p>no", Some("an HTML page, 18 bytes")),
            ("<html><body>no</body>", Some("an HTML page, 21 bytes")),
            ("<html><title> </title>", Some("an HTML page, 22 bytes")),
            ("<html><title>cut", Some("an HTML page, 16 bytes")),
            (
                "<html><title>a\u{1b}[1m</title>",
                Some("an HTML page \"a\\u{1b}[1m\", 26 bytes"),
            ),
            ("<Error>no</Error>", None),
            ("not found", None),
            ("", None),
        ] {
            assert_eq!(
                web_page(page.as_bytes(), page.len()).as_deref(),
                description,
                "{page:?}"
            );
        }
    }

    #[test]
    fn a_text_is_cut_between_letters() {
        assert_eq!(printable("äöü", 6), "äöü");
        assert_eq!(printable("äöüä", 6), "ä…");
        assert_eq!(brief(&"x".repeat(65)), "x".repeat(64) + "…");
    }
}
