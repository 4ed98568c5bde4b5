//! Pure: one message in a few words, whatever the number of alerts in it, and texts in the form that
//! receivers of text take.

use url::Url;

use crate::alert::{Notice, Notification, Severity, Status};
use crate::text::is_hidden;

/// A message as one title and one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MessageText {
    /// `firing`, `resolved`, `mixed`, or `summary`.
    pub(super) status: &'static str,
    /// The alert's or summary's own, or how many alerts fire and how many are over. A line.
    pub(super) title: String,
    /// All of it.
    pub(super) text: String,
}

impl MessageText {
    /// The text of `notification`.
    pub(super) fn of(notification: &Notification) -> Self {
        let alerts = &notification.alerts;
        let is_firing = |alert: &&Notice| alert.status == Status::Firing;
        let firing = alerts.iter().filter(is_firing).count();
        let resolved = alerts.len() - firing;
        let (status, count) = match (&notification.summary, firing, resolved) {
            (Some(_), ..) => ("summary", String::new()),
            (None, _, 0) => ("firing", format!("{firing} alerts firing")),
            (None, 0, _) => ("resolved", format!("{resolved} alerts resolved")),
            _ => (
                "mixed",
                format!(
                    "{} alerts: {firing} firing, {resolved} resolved",
                    alerts.len()
                ),
            ),
        };
        let (title, text) = match Card::all(notification).as_slice() {
            [alone] => (line(alone.title), alone.text.to_owned()),
            cards => {
                let texts = cards
                    .iter()
                    .map(|card| format!("{}\n{}", line(card.title), card.text));
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

/// An alert or a summary as a message shows it.
pub(super) struct Card<'a> {
    pub(super) title: &'a str,
    pub(super) text: &'a str,
    /// Line besides its title: of an alert its status, severity and subject.
    pub(super) facts: String,
    /// A summary looks like good news that goes on.
    pub(super) status: Status,
    pub(super) severity: Severity,
    /// Link, as it is written.
    pub(super) url: Option<&'a str>,
}

impl<'a> Card<'a> {
    /// Everything that `notification` shows.
    pub(super) fn all(notification: &'a Notification) -> Vec<Self> {
        let summaries = notification.summary.iter().map(|summary| Self {
            title: &summary.title,
            text: &summary.text,
            facts: line(&format!("summary · {}", summary.name)),
            status: Status::Firing,
            severity: Severity::Info,
            url: summary.url.as_deref(),
        });
        let alerts = notification.alerts.iter().map(Self::of);
        summaries.chain(alerts).collect()
    }

    pub(super) fn of(alert: &'a Notice) -> Self {
        let status = match alert.status {
            Status::Firing => "firing",
            Status::Resolved => "resolved",
        };
        let severity = alert.severity.as_str();
        Self {
            title: &alert.title,
            text: &alert.text,
            facts: line(&format!(
                "{status} · {severity} · {} · {}",
                alert.rule, alert.subject
            )),
            status: alert.status,
            severity: alert.severity,
            url: alert.url.as_deref(),
        }
    }

    /// Its colour, as red, green and blue.
    pub(super) fn colour(&self) -> u32 {
        match (self.status, self.severity) {
            (Status::Resolved, _) => 0x2e_7d32,
            (Status::Firing, Severity::Info) => 0x15_65c0,
            (Status::Firing, Severity::Warning) => 0xef_6c00,
            (Status::Firing, Severity::Critical) => 0xc6_2828,
        }
    }

    /// Link for a browser, if the address is fit for one.
    pub(super) fn link(&self) -> Option<Url> {
        let url = Url::parse(self.url?).ok()?;
        matches!(url.scheme(), "http" | "https").then_some(url)
    }
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
