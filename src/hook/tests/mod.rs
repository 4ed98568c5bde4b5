//! Hooks that speak HTTP, against servers on the loopback interface, and what they send.

mod alertmanager;
mod heartbeat;
pub(super) mod message;
mod post;
mod preset;
mod template;
mod webhook;

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tempfile::NamedTempFile;

use super::{Kind, Message, Settings};
use crate::alert::{Figures, Notice, Notification, Severity, Share, Status};
use crate::egress::Endpoint;
use crate::secret::SecretSource;

/// The time of every try.
const NOW: &str = "2026-11-23T12:00:00Z";

pub(in crate::hook) fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// A hook that may reach this machine, and that no test makes wait for long.
pub(in crate::hook) fn settings() -> Settings {
    Settings {
        name: "ops".into(),
        kind: Kind::Exec { command: vec![] },
        send_resolved: true,
        group: false,
        quiet_hours: None,
        repeat: None,
        timeout: Duration::from_secs(60),
        allow_private: true,
        ca_file: None,
        proxy: None,
    }
}

/// A file that holds a secret, for as long as it lives.
struct SecretFile(NamedTempFile);

impl SecretFile {
    fn new(content: &str) -> Self {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        Self(file)
    }

    fn source(&self) -> SecretSource {
        SecretSource::File(self.0.path().to_owned())
    }

    /// It as the place of a URL.
    fn endpoint(&self) -> Endpoint {
        Endpoint::Secret(self.source())
    }
}

/// A budget that fires.
fn firing() -> Notice {
    Notice {
        status: Status::Firing,
        rule: "cx-month".to_owned(),
        kind: "budget".to_owned(),
        subject: "all".to_owned(),
        severity: Severity::Warning,
        key: "cx-month all 2026-11-01 used 0.8".to_owned(),
        title: "Budget cx-month has used 80% of its credits".to_owned(),
        text: "4,020 of 5,000 credits used.\nExhausted on 27 Nov.".to_owned(),
        started_at: at("2026-11-23T00:10:00Z"),
        resolved_at: None,
        url: Some("https://grafana.example/d/1?a=1&b=2".to_owned()),
        labels: BTreeMap::from([
            ("budget".to_owned(), "cx-month".to_owned()),
            ("threshold".to_owned(), "used 0.8".to_owned()),
        ]),
        figures: Figures {
            used_credits: Some(4020.0),
            limit_credits: Some(5000.0),
            used_ratio: Some(0.804),
            exhausted_at: Some(at("2026-11-27T05:00:00Z")),
            top: vec![Share {
                account: "acme".to_owned(),
                agent: "support".to_owned(),
                credits: 3000.5,
            }],
            ..Figures::default()
        },
        subjects: Vec::new(),
    }
}

/// A spike that is over, of an agent whose name is an attack.
fn resolved() -> Notice {
    Notice {
        status: Status::Resolved,
        rule: "spike".to_owned(),
        kind: "spike".to_owned(),
        subject: "acme/<@everyone>".to_owned(),
        severity: Severity::Critical,
        key: "spike acme/<@everyone>".to_owned(),
        title: "Agent \"<@everyone>\"\n& *co* used more".to_owned(),
        text: "Agent \"<@everyone>\" <!channel> & [x](http://e.example) `#_~|\\` @here\n\n\u{1b}[31mred"
            .to_owned(),
        started_at: at("2026-11-22T00:10:00Z"),
        resolved_at: Some(at("2026-11-23T00:10:00Z")),
        url: Some("javascript:alert(1)".to_owned()),
        labels: BTreeMap::new(),
        figures: Figures::default(),
        subjects: Vec::new(),
    }
}

fn message(alerts: Vec<Notice>) -> Message {
    Message {
        id: "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk".into(),
        created: at(NOW),
        now: at(NOW),
        target: String::new(),
        notification: Notification::of_alerts(alerts),
    }
}
