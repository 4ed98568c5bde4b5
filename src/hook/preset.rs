//! Pure: messages in the words of well-known receivers.
//!
//! Names may hold anything. What a receiver would take for markup is escaped, nobody is pinged, and what
//! is longer than the receiver takes is cut with `…`, so that it is always taken.

use chrono::SecondsFormat;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use url::{Host, Url};

use super::text::{Card, MessageText, line, shorten, verbatim};
use super::{Message, TemplateError};
use crate::alert::{Severity, Status};
use crate::named::named;

/// The most alerts that are shown one by one; the title tells how many there are.
const SHOWN_ALERTS: usize = 10;
/// The most letters of the line of facts about an alert.
const FACTS_LETTERS: usize = 150;
/// The longest link that receivers take.
const LINK_LETTERS: usize = 2_000;

named! {
    /// A template for a well-known receiver.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Preset {
        /// Slack's incoming webhooks.
        Slack = "slack",
        /// Discord's webhooks.
        Discord = "discord",
        /// Microsoft Teams' workflows: an adaptive card.
        Teams = "teams",
        /// PagerDuty's Events API v2.
        PagerDuty = "pagerduty",
    }
}

/// Body of `message` in the form of `preset`, as JSON.
pub(super) fn render(preset: Preset, message: &Message) -> Result<String, TemplateError> {
    let body = match preset {
        Preset::Slack => slack(message),
        Preset::Discord => discord(message),
        Preset::Teams => teams(message),
        Preset::PagerDuty => pager_duty(message)?,
    };
    Ok(body.to_string())
}

/// A message as it is laid out for chats: one heading, and the first alerts.
struct Layout<'a> {
    heading: String,
    cards: Vec<Card<'a>>,
    /// True if each alert needs its own title, since the heading is not that of the only one.
    is_titled: bool,
}

impl<'a> Layout<'a> {
    fn of(message: &'a Message) -> Self {
        let mut cards = Card::all(&message.notification);
        let mut heading = MessageText::of(&message.notification).title;
        let is_titled = cards.len() != 1;
        if cards.len() > SHOWN_ALERTS {
            heading += &format!(", of which {SHOWN_ALERTS} are shown");
            cards.truncate(SHOWN_ALERTS);
        }
        Self {
            heading,
            cards,
            is_titled,
        }
    }

    /// Each alert's part of the `letters` that are allowed in all.
    fn share(&self, letters: usize) -> usize {
        letters / self.cards.len().max(1)
    }
}

/// An incoming webhook of Slack. A section takes 3,000 letters; all of them together are kept below the
/// 13,200 from which on Slack refuses a message.
fn slack(message: &Message) -> Value {
    let layout = Layout::of(message);
    let section_letters = layout.share(10_000).min(3_000);
    let attachments = layout.cards.iter().map(|card| {
        let mut text = String::new();
        if layout.is_titled {
            text += &format!("*{}*\n", shorten(&line(card.title), 300, slack_escape));
        }
        let left = section_letters - text.encode_utf16().count().min(section_letters);
        text += &shorten(card.text.trim(), left, slack_escape);
        let mut context = shorten(&card.facts, FACTS_LETTERS, slack_escape);
        if let Some(url) = short_link(card) {
            let url = url.as_str().replace('|', "%7C").replace('&', "&amp;");
            context += &format!(" · <{url}|open>");
        }
        let mut blocks = Vec::new();
        // Slack refuses a section without text.
        if !text.trim().is_empty() {
            let text = json!({"type": "mrkdwn", "verbatim": true, "text": text});
            blocks.push(json!({"type": "section", "text": text}));
        }
        let context = json!({"type": "mrkdwn", "verbatim": true, "text": context});
        blocks.push(json!({"type": "context", "elements": [context]}));
        json!({"color": format!("#{:06x}", card.colour()), "blocks": blocks})
    });
    let attachments: Vec<Value> = attachments.collect();
    json!({
        "text": shorten(&layout.heading, 300, slack_escape),
        "attachments": attachments,
    })
}

/// These three are all that Slack takes for the beginning of something else.
fn slack_escape(letter: char, shown: &mut String) {
    match letter {
        '&' => shown.push_str("&amp;"),
        '<' => shown.push_str("&lt;"),
        '>' => shown.push_str("&gt;"),
        letter => shown.push(letter),
    }
}

/// A webhook of Discord. Content takes 2,000 letters, a title 256, a description 4,096, and all embeds
/// together 6,000.
fn discord(message: &Message) -> Value {
    let layout = Layout::of(message);
    let share = layout.share(5_900);
    let embeds = layout.cards.iter().map(|card| {
        let title = match layout.is_titled {
            true => line(card.title),
            false => layout.heading.clone(),
        };
        let title = shorten(&title, 200, discord_escape);
        let left = (share - FACTS_LETTERS - title.encode_utf16().count()).min(4_096);
        let mut text = shorten(card.text.trim(), left, discord_escape);
        let url = short_link(card);
        if let Some(url) = url.as_ref().filter(|url| !is_linked_by_discord(url)) {
            let link = format!("\n<{url}>");
            if (text.encode_utf16().count() + link.len()) <= left {
                text += &link;
            }
        }
        let mut embed = json!({
            "title": title,
            "description": text,
            "color": card.colour(),
            // Footers know no markup.
            "footer": {"text": shorten(&card.facts, FACTS_LETTERS, verbatim)},
        });
        if let Some(url) = url.filter(is_linked_by_discord) {
            embed["url"] = url.as_str().into();
        }
        embed
    });
    let mut body = json!({
        "embeds": embeds.collect::<Vec<_>>(),
        "allowed_mentions": {"parse": []},
    });
    if layout.is_titled {
        body["content"] = shorten(&layout.heading, 2_000, discord_escape).into();
    }
    body
}

/// Returns true if Discord takes it as the link of an embed. It refuses a message with a link to a host that is
/// neither an address nor a name with a dot, such as `localhost`.
fn is_linked_by_discord(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.trim_end_matches('.').contains('.'),
        host => host.is_some(),
    }
}

fn discord_escape(letter: char, shown: &mut String) {
    if matches!(
        letter,
        '\\' | '*' | '_' | '~' | '`' | '|' | '<' | '>' | '[' | ']' | '#' | '@'
    ) {
        shown.push('\\');
    }
    shown.push(letter);
}

/// An adaptive card for a workflow of Teams. A message takes 28 KB; `RichTextBlock`s, unlike
/// `TextBlock`s, know no markup, but no line breaks either.
fn teams(message: &Message) -> Value {
    let layout = Layout::of(message);
    let share = layout.share(5_500);
    let most_lines = layout.share(50);
    let mut body = vec![teams_line(
        &shorten(&layout.heading, 200, verbatim),
        &json!({"weight": "Bolder", "size": "Medium"}),
    )];
    for card in &layout.cards {
        let mut items = Vec::new();
        let mut left = share - FACTS_LETTERS;
        if layout.is_titled {
            let title = shorten(&line(card.title), 150, verbatim);
            left -= title.encode_utf16().count();
            items.push(teams_line(&title, &json!({"weight": "Bolder"})));
        }
        let text = shorten(card.text.trim(), left, verbatim);
        // Where there are more lines than fit, the rest stands on the last one.
        let lines = text.splitn(most_lines.max(1), '\n').map(line);
        let lines = lines.filter(|text| !text.is_empty());
        items.extend(lines.map(|text| teams_line(&text, &json!({}))));
        let facts = shorten(&card.facts, FACTS_LETTERS, verbatim);
        items.push(teams_line(
            &facts,
            &json!({"isSubtle": true, "size": "Small"}),
        ));
        body.push(json!({"type": "Container", "style": teams_style(card), "items": items}));
    }
    let mut card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
    });
    if let Some(url) = layout.cards.iter().find_map(short_link) {
        card["actions"] = json!([{"type": "Action.OpenUrl", "title": "Open", "url": url.as_str()}]);
    }
    let contents = json!({
        "contentType": "application/vnd.microsoft.card.adaptive",
        "content": card,
    });
    json!({"type": "message", "attachments": [contents]})
}

/// A line of text in the given style.
fn teams_line(text: &str, style: &Value) -> Value {
    let mut run = json!({"type": "TextRun", "text": text});
    if let (Some(run), Some(style)) = (run.as_object_mut(), style.as_object()) {
        run.extend(style.clone());
    }
    json!({"type": "RichTextBlock", "spacing": "Small", "inlines": [run]})
}

fn teams_style(card: &Card<'_>) -> &'static str {
    match (card.status, card.severity) {
        (Status::Resolved, _) => "good",
        (Status::Firing, Severity::Info) => "accent",
        (Status::Firing, Severity::Warning) => "warning",
        (Status::Firing, Severity::Critical) => "attention",
    }
}

/// An event of PagerDuty, without the key that says for whom. It is of one alert. A summary takes 1,024
/// letters, a key 255.
fn pager_duty(message: &Message) -> Result<Value, TemplateError> {
    let [alert] = message.notification.alerts.as_slice() else {
        return Err(TemplateError {
            message: format!(
                "PagerDuty takes one alert at a time, not {}",
                message.notification.alerts.len()
            ),
            line: 1,
        });
    };
    let mut details = match serde_json::to_value(&alert.figures) {
        Ok(Value::Object(figures)) => figures,
        _ => Map::new(),
    };
    details.insert(
        "text".to_owned(),
        shorten(alert.text.trim(), 10_000, verbatim).into(),
    );
    let summary = MessageText::of(&message.notification).title;
    let source = line(&alert.subject);
    // PagerDuty refuses an event without one.
    let source = if source.is_empty() { "-" } else { &source };
    let mut event = json!({
        "event_action": match alert.status {
            Status::Firing => "trigger",
            Status::Resolved => "resolve",
        },
        "dedup_key": dedup_key(&alert.key),
        "client": "flowgent-exporter",
        "payload": {
            "summary": shorten(&summary, 1_024, verbatim),
            "source": shorten(source, 1_024, verbatim),
            "severity": alert.severity.as_str(),
            "timestamp": alert.started_at.to_rfc3339_opts(SecondsFormat::Secs, true),
            "group": line(&alert.rule),
            "class": line(&alert.kind),
            "custom_details": details,
        },
    });
    if let Some(url) = short_link(&Card::of(alert)) {
        event["links"] = json!([{"href": url.as_str(), "text": "Open"}]);
        event["client_url"] = url.as_str().into();
    }
    Ok(event)
}

/// The key of an alert, or where that is too long, a digest of it: two alerts must not become one.
fn dedup_key(key: &str) -> String {
    if key.len() <= 255 {
        return key.to_owned();
    }
    let digest = Sha256::digest(key.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn short_link(card: &Card<'_>) -> Option<Url> {
    card.link().filter(|url| url.as_str().len() <= LINK_LETTERS)
}
