//! Hooks: where alerts are sent, and how.
//!
//! Messages to send are in the ledger's outbox. Each hook has a worker of its own that takes what is due
//! for it, sends it, and notes what came of it ([`Deliverer`]), so one that hangs or fails holds up no
//! other. A message may be sent twice, if the program is killed between its sending and its being noted;
//! it then has the same delivery id, by which receivers tell a repetition.

mod alertmanager;
mod deliver;
mod email;
mod exec;
mod heart;
mod heartbeat;
mod identity;
mod metrics;
mod preset;
mod quiet;
mod reach;
mod schedule;
mod sender;
mod signature;
mod text;
mod template;
#[cfg(test)]
mod tests;
mod trial;
mod webhook;
mod whatsapp;
mod worker;

pub use alertmanager::Alertmanagers;
pub use deliver::{Deliverer, MakeSender};
pub use email::{Email, MailProof, hello};
pub use heart::{Condition, Health, Heart};
pub use heartbeat::Service;
pub use preset::Preset;
pub use quiet::QuietHours;
pub use reach::reach;
pub use sender::{Receiver, Sender, Taking};
pub use signature::{SigningKeyError, check_signing_secret};
pub use template::Template;
pub use trial::{check_summary, check_template, test};
pub use webhook::Webhook;
pub use whatsapp::Whatsapp;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use text::Card;

use crate::alert::{Notification, Route, Status};
use crate::clock::SharedClock;
use crate::egress::post::Poster;
use crate::egress::{Proxy, SendError};
use crate::flowgent;
use crate::flowgent::transport::HttpClient;
use crate::named::named;
use crate::telemetry::Telemetry;

/// The hooks, and what those that send through FlowGent need.
#[derive(Debug, Clone)]
pub struct Hooks {
    /// The hooks, each with a name of its own.
    pub settings: Vec<Settings>,
    /// The API of FlowGent.
    pub api: flowgent::Settings,
    /// Connections to it.
    pub http: HttpClient,
    /// The clock.
    pub clock: SharedClock,
    /// Counters of tries.
    pub telemetry: Telemetry,
    /// Health, which heartbeats report.
    pub health: Health,
}

/// Why a text is no template, or why a template gives nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// The mistake, in a line.
    pub message: String,
    /// The line of the template, counted from 1.
    pub line: usize,
}

/// Time for a try that is under way when the program ends. One that takes longer is made again at the
/// next start.
pub const IN_FLIGHT: Duration = Duration::from_secs(20);

/// The most characters of an alert's title where it stands for a message: what people still read in
/// a list of e-mails.
const TITLE_CHARACTERS: usize = 200;

/// One `[[hook]]`.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its name.
    pub name: Arc<str>,
    /// Its target.
    pub kind: Kind,
    /// True if it gets a message when alerts resolve.
    pub send_resolved: bool,
    /// True if all alerts of one evaluation go into one message.
    pub group: bool,
    /// The hours in which nothing is sent.
    pub quiet_hours: Option<QuietHours>,
    /// Interval at which it hears again of critical alerts.
    pub repeat: Option<Duration>,
    /// The most time that one try may take.
    pub timeout: Duration,
    /// True if it may lead to private and link-local addresses and to this machine.
    pub allow_private: bool,
    /// Certificates in PEM form that are trusted instead of the usual ones.
    pub ca_file: Option<PathBuf>,
    /// The proxy.
    pub proxy: Option<Proxy>,
}

/// Target of a hook.
#[derive(Debug, Clone)]
pub enum Kind {
    /// An HTTP endpoint.
    Webhook(Webhook),
    /// Alertmanagers, each of which is sent everything.
    Alertmanager(Alertmanagers),
    /// WhatsApp templates, sent by one of FlowGent's agents.
    Whatsapp(Whatsapp),
    /// E-mail by SMTP.
    Email(Email),
    /// A service that raises the alarm when no request comes.
    Heartbeat {
        /// Its URLs and token.
        service: Service,
        /// The time between two requests.
        interval: Duration,
    },
    /// A program on this machine.
    Exec {
        /// The program and its arguments. No shell looks at them.
        command: Vec<String>,
    },
}

named! {
    /// Encryption of a connection to a mail server.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Encryption {
        /// TLS after a greeting in the clear, or not at all.
        StartTls = "starttls",
        /// TLS from the first byte.
        Tls = "tls",
        /// None: only where a hook may lead to private addresses, and only to those.
        None = "none",
    }
}

/// Message of one try.
#[derive(Debug, Clone)]
pub struct Message {
    /// The delivery's id, the same at every try.
    pub id: Arc<str>,
    /// Time at which the delivery was put into the outbox.
    pub created: DateTime<Utc>,
    /// The time of this try.
    pub now: DateTime<Utc>,
    /// The receiver, where the hook has several that each get a message of their own.
    pub target: String,
    /// The notices.
    pub notification: Notification,
}

impl Kind {
    /// Usual value of `send_resolved`.
    #[must_use]
    pub const fn tells_the_end(&self) -> bool {
        matches!(
            self,
            Self::Webhook(_) | Self::Alertmanager(_) | Self::Exec { .. }
        )
    }

    /// Usual value of `group`.
    #[must_use]
    pub fn groups(&self) -> bool {
        match self {
            Self::Webhook(webhook) => webhook.has_preset() && !webhook.takes_one_alert(),
            Self::Alertmanager(_) | Self::Email(_) => true,
            Self::Whatsapp(_) | Self::Heartbeat { .. } | Self::Exec { .. } => false,
        }
    }

    /// Reason why a message is about one alert; none if it may be about several.
    #[must_use]
    pub fn takes_one_alert(&self) -> Option<&'static str> {
        match self {
            Self::Webhook(webhook) if webhook.takes_one_alert() => {
                Some("PagerDuty takes one event per message")
            }
            Self::Whatsapp(_) => Some("a WhatsApp template carries one alert per message"),
            _ => None,
        }
    }
}

impl Message {
    /// JSON for programs where no template says otherwise: a [`Notification`], the delivery's id,
    /// and why a template that there is gave nothing.
    fn plain(&self, template_error: Option<&str>) -> String {
        #[derive(Serialize)]
        struct Plain<'a> {
            id: &'a str,
            #[serde(flatten)]
            notification: &'a Notification,
            #[serde(skip_serializing_if = "Option::is_none")]
            template_error: Option<&'a str>,
        }
        let plain = Plain {
            id: &self.id,
            notification: &self.notification,
            template_error,
        };
        serde_json::to_string(&plain).expect("all its maps have texts as their keys")
    }

    /// Heading: the title of the summary or of the worst alert, and how many more alerts there are.
    fn title(&self) -> String {
        let cards = Card::all(&self.notification);
        let first = cards.first().map_or("", |card| card.title);
        let first = one_line(first, TITLE_CHARACTERS);
        let more = match cards.len() {
            0 | 1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        format!("{first}{more}")
    }

    /// `summary`, `resolved` if all alerts are over, or else `firing`.
    fn status(&self) -> &'static str {
        let mut alerts = self.notification.alerts.iter();
        match &self.notification.summary {
            Some(_) => "summary",
            None if alerts.all(|notice| notice.status == Status::Resolved) => "resolved",
            None => "firing",
        }
    }
}

/// `text` as one line without hidden letters and with single spaces, cut to `limit` characters.
fn one_line(text: &str, limit: usize) -> String {
    let line = text::line(text);
    if line.chars().count() <= limit {
        return line;
    }
    let kept: String = line.chars().take(limit.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

impl Settings {
    /// Connections for one try.
    ///
    /// # Errors
    /// The file of certificates cannot be read or holds none.
    async fn poster(&self) -> Result<Poster, SendError> {
        let (ca_file, proxy) = (self.ca_file.as_deref(), self.proxy.as_ref());
        Poster::new(self.timeout, self.allow_private, ca_file, proxy).await
    }

    /// True if it sends what a template of the user's makes.
    #[must_use]
    pub fn has_template(&self) -> bool {
        let Kind::Webhook(webhook) = &self.kind else {
            return false;
        };
        webhook.template.is_some() && !webhook.takes_one_alert()
    }

    /// The time between two heartbeats, if it is a hook for these: no alert is sent there.
    #[must_use]
    pub fn interval(&self) -> Option<Duration> {
        match self.kind {
            Kind::Heartbeat { interval, .. } => Some(interval),
            _ => None,
        }
    }

    /// Returns true if the receiver forgets what it was told unless it is told again and again, as an
    /// Alertmanager does.
    #[must_use]
    pub fn forgets(&self) -> bool {
        matches!(self.kind, Kind::Alertmanager(_))
    }

    /// The hook as alerts see it.
    #[must_use]
    pub fn route(&self) -> Route {
        Route {
            hook: Arc::clone(&self.name),
            identity: identity::identity(&self.kind),
            group: self.group,
            tracks: self.forgets()
                || matches!(&self.kind, Kind::Webhook(webhook) if webhook.routing_key.is_some()),
            send_resolved: self.send_resolved,
            targets: match &self.kind {
                Kind::Whatsapp(whatsapp) => whatsapp.recipients.clone(),
                Kind::Email(email) => {
                    let addresses = email.to.iter().map(|mailbox| mailbox.email.to_string());
                    addresses.collect()
                }
                _ => vec![String::new()],
            },
            repeat: self.repeat,
            repeats_itself: self.forgets(),
        }
    }
}
