//! Messages as all hooks use them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::{Message, TITLE_CHARACTERS};
use super::at;
use crate::alert::{Figures, Notice, Notification, Severity, Status};
use crate::summary::Summary;

/// A message that tells of one alert per title, each with a text of its own.
pub(in crate::hook) fn message(titles: &[&str]) -> Message {
    let notice = |title: &&str| Notice {
        status: Status::Firing,
        rule: "cx-month".to_owned(),
        kind: "budget".to_owned(),
        subject: "all".to_owned(),
        severity: Severity::Warning,
        key: "cx-month/all/2026-11-01/0.8".to_owned(),
        title: (*title).to_owned(),
        text: format!("{title}.\nUsed: 4,012 of 5,000 credits."),
        started_at: at("2026-11-23T00:12:00Z"),
        resolved_at: None,
        url: None,
        labels: BTreeMap::new(),
        figures: Figures::default(),
        subjects: Vec::new(),
    };
    Message {
        id: "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk".into(),
        created: at("2026-11-23T00:12:00Z"),
        now: at("2026-11-23T00:17:00Z"),
        target: String::new(),
        notification: Notification::of_alerts(titles.iter().map(notice).collect()),
    }
}

#[test]
fn a_title_is_one_line_that_counts_the_rest() {
    for (titles, expected) in [
        (&["cx-month is at 80 %"][..], "cx-month is at 80 %"),
        (&["one", "two", "three"], "one (and 2 more)"),
        (
            &["a\r\nBcc: x@example.com\t\u{85}\0b"],
            "a Bcc: x@example.com b",
        ),
    ] {
        assert_eq!(message(titles).title(), expected);
    }
    let long = message(&[&"ü".repeat(500)]).title();
    assert_eq!(long, format!("{}…", "ü".repeat(TITLE_CHARACTERS - 1)));
}

#[test]
fn a_message_fires_as_long_as_one_of_its_alerts_does() {
    let mut message = message(&["one", "two"]);
    message.notification.alerts[0].status = Status::Resolved;
    assert_eq!(message.status(), "firing");
    message.notification.alerts[1].status = Status::Resolved;
    assert_eq!(message.status(), "resolved");
    message.notification = Notification::of_summary(Summary::sample("2026-11-30".parse().unwrap()));
    assert_eq!(message.status(), "summary");
    assert_eq!(message.title(), "Summary example: 8,024 credits used");
}

#[test]
fn programs_are_sent_the_notification_with_its_id() {
    let message = message(&["one"]);
    let mut sent: Value = serde_json::from_str(&message.plain(None)).unwrap();
    assert_eq!(sent["id"], json!("msg_27UH4WbU6Z5A5EzD8u03UvzRbpk"));
    sent.as_object_mut().unwrap().remove("id");
    let read: Notification = serde_json::from_value(sent).unwrap();
    assert_eq!(read, message.notification);
}
