//! Pure: names of the subjects of alerts, and of alerts themselves.

use std::sync::{Arc, LazyLock};

use crate::ledger::AlertKey;
use crate::roster::Agent;
use crate::sheet::Grouping;

/// The subject of a rule that is about all its agents together.
pub(super) static ALL: LazyLock<Arc<str>> = LazyLock::new(|| "all".into());

/// An agent as the subject of an alert: `acme/support`. A slash in the account's name is escaped: two
/// agents never become one subject.
pub(crate) fn subject(agent: &Agent) -> Arc<str> {
    format!("{}/{}", escaped(&agent.account), agent.name).into()
}

/// A name that a slash comes after, with its own slashes escaped.
fn escaped(name: &str) -> String {
    name.replace('\\', "\\\\").replace('/', "\\/")
}

/// The subject of a group that `agent` is part of; none without the label.
#[must_use]
pub fn subject_of(per: &Grouping, agent: &Agent) -> Option<Arc<str>> {
    let subject = match per {
        Grouping::Agent => subject(agent),
        Grouping::Account => Arc::clone(&agent.account),
        Grouping::Label(name) => agent.labels.get(name)?.as_str().into(),
    };
    Some(subject).filter(|subject| !subject.is_empty())
}

/// An alert's identity as text: `cx-month/all/2026-11-01/used 0.8`. A slash in the rule's name is
/// escaped: two alerts never have one text.
pub(super) fn key_text(key: &AlertKey) -> String {
    let mut text = format!("{}/{}", escaped(&key.rule), key.subject);
    if let Some(period) = key.period {
        text.push_str(&format!("/{period}"));
    }
    if !key.threshold.is_empty() {
        text.push_str(&format!("/{}", key.threshold));
    }
    text
}
