//! Pure: one message in a few words, whatever the number of alerts in it, and texts in the form that
//! receivers of text take.

use url::Url;

use crate::alert::{Notice, Notification, Severity, Status};
use crate::text::is_hidden;

/// A notification as one title and one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Summary {
    /// `firing`, `resolved`, or `mixed`.
    pub(super) status: &'static str,
    /// The alert's own, or how many fire and how many are over. A line.
    pub(super) title: String,
    /// Text about all of them.
    pub(super) text: String,
}

impl Summary {
    /// The summary of `notification`.
    pub(super) fn of(notification: &Notification) -> Self {
        let alerts = &notification.alerts;
        let is_firing = |alert: &&Notice| alert.status == Status::Firing;
        let firing = alerts.iter().filter(is_firing).count();
        let resolved = alerts.len() - firing;
        let (status, count) = match (firing, resolved) {
            (_, 0) => ("firing", format!("{firing} alerts firing")),
            (0, _) => ("resolved", format!("{resolved} alerts resolved")),
            _ => (
                "mixed",
                format!(
                    "{} alerts: {firing} firing, {resolved} resolved",
                    alerts.len()
                ),
            ),
        };
        let (title, text) = match alerts.as_slice() {
            [alone] => (line(&alone.title), alone.text.clone()),
            _ => {
                let texts = alerts
                    .iter()
                    .map(|alert| format!("{}\n{}", line(&alert.title), alert.text));
                (count, texts.collect::<Vec<_>>().join("\n\n"))
            }
        };
        Self {
            status,
            title,
            text,
        }
    }
}

/// Line about one alert besides its title: its status, severity and subject.
pub(super) fn facts(alert: &Notice) -> String {
    let status = match alert.status {
        Status::Firing => "firing",
        Status::Resolved => "resolved",
    };
    line(&format!(
        "{status} · {} · {} · {}",
        alert.severity.as_str(),
        alert.rule,
        alert.subject
    ))
}

/// The colour of one alert, as red, green and blue.
pub(super) fn colour(alert: &Notice) -> u32 {
    match (alert.status, alert.severity) {
        (Status::Resolved, _) => 0x2e_7d32,
        (Status::Firing, Severity::Info) => 0x15_65c0,
        (Status::Firing, Severity::Warning) => 0xef_6c00,
        (Status::Firing, Severity::Critical) => 0xc6_2828,
    }
}

/// Link for a browser, if the address is fit for one.
pub(super) fn link(alert: &Notice) -> Option<Url> {
    let url = Url::parse(alert.url.as_deref()?).ok()?;
    matches!(url.scheme(), "http" | "https").then_some(url)
}

/// A text on one line, without hidden letters and with single spaces.
pub(super) fn line(text: &str) -> String {
    let words = text.split(|letter: char| letter.is_whitespace() || is_hidden(letter));
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

/// At most `limit` letters of `text`, each as `escape` writes it; what is left out shows as `…`.
///
/// Letters are counted as UTF-16 does, which is at least as much as any receiver counts. Hidden letters
/// other than line breaks become spaces.
pub(super) fn shorten(text: &str, limit: usize, escape: impl Fn(char, &mut String)) -> String {
    let width = |text: &str| text.encode_utf16().count();
    let mut shown = String::new();
    let mut used = 0;
    // Where the text is cut if more follows than fits.
    let mut cut = 0;
    let mut piece = String::new();
    for letter in text.chars() {
        piece.clear();
        match letter {
            '\n' => piece.push('\n'),
            letter if is_hidden(letter) => piece.push(' '),
            letter => escape(letter, &mut piece),
        }
        used += width(&piece);
        if used > limit {
            shown.truncate(cut);
            shown.push('…');
            break;
        }
        shown.push_str(&piece);
        if used < limit {
            cut = shown.len();
        }
    }
    shown
}

/// Every letter as it is.
pub(super) fn verbatim(letter: char, shown: &mut String) {
    shown.push(letter);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_letters_and_never_within_an_escape() {
        let html = |letter: char, shown: &mut String| match letter {
            '&' => shown.push_str("&amp;"),
            letter => shown.push(letter),
        };
        for (text, limit, expected) in [
            ("", 3, ""),
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("a&b", 7, "a&amp;b"),
            ("a&bc", 7, "a&amp;…"),
            ("a&bc", 6, "a…"),
            ("&&&", 1, "…"),
            ("a\u{7}b\tc\r\nd", 20, "a b c \nd"),
            ("a\u{202e}b\u{200b}c", 20, "a b c"),
            ("\u{1f600}\u{1f600}", 4, "\u{1f600}\u{1f600}"),
            ("\u{1f600}\u{1f600}", 3, "\u{1f600}…"),
            ("\u{1f600}\u{1f600}", 2, "…"),
        ] {
            assert_eq!(shorten(text, limit, html), expected, "{text:?} {limit}");
        }
    }
}
