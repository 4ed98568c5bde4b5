//! The receivers of all hooks: what each does with a try, and what it was told last of every alert.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use flowgent_exporter::alert::{Notice, Status};
use flowgent_exporter::egress::SendError;
use flowgent_exporter::hook::{Message, Receiver, Taking};
use flowgent_exporter::ledger::{Alert, Delivery};
use tokio::sync::Notify;

use super::beats::Beat;
use super::repeats::STILL;
use super::silences::Silences;

/// What a receiver does with one try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply {
    Fail,
    Hang,
    /// It wants nothing any more.
    Gone,
    FailFor(u64),
    /// Takes it, and the program is killed before it hears of that.
    TakeAndKill,
    /// The program is killed before it is taken.
    Kill,
}

/// What a receiver was told of an alert.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Word {
    pub(crate) fires: bool,
    pub(crate) id: String,
    pub(crate) started: DateTime<Utc>,
    pub(crate) title: String,
    /// When the message was decided.
    pub(crate) created: DateTime<Utc>,
    /// When it was taken.
    pub(crate) at: DateTime<Utc>,
    /// Whether the rule has been taken from it since, of which it hears nothing.
    is_dropped: bool,
}

/// One receiver.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    /// Nothing is taken before this instant.
    pub(crate) down_until: Option<DateTime<Utc>>,
    /// What it does with the next tries, the last one first; it takes what comes after.
    pub(crate) replies: Vec<Reply>,
    /// Whether something was given up before it was taken: what comes later need not fit.
    pub(crate) is_lossy: bool,
    ids: HashSet<String>,
    /// Whether it wants nothing any more, until somebody says otherwise.
    pub(crate) is_gone: bool,
    /// Whether what one evaluation brings comes in one message.
    pub(crate) group: bool,
    /// The last word on each alert, by its key.
    pub(crate) words: BTreeMap<String, Word>,
    /// Everything that was told, in order.
    pub(crate) heard: Vec<(String, Word)>,
    /// Whether it is told when alerts resolve, which changes what a second firing means.
    pub(crate) send_resolved: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Floor {
    pub(crate) now: DateTime<Utc>,
    pub(crate) desks: HashMap<String, Desk>,
    /// What went wrong as it was heard.
    pub(crate) complaints: Vec<String>,
    pub(crate) messages: usize,
    /// The heartbeats since somebody looked.
    pub(crate) beats: Vec<Beat>,
    pub(crate) silences: Silences,
    /// Whether our clock is right, so that everybody knows if a silence is over.
    pub(crate) is_certain: bool,
}

/// All receivers, cloned freely.
#[derive(Debug, Clone)]
pub(crate) struct Office {
    floor: Arc<Mutex<Floor>>,
    pub(crate) killed: Arc<Notify>,
}

/// The way to one of them.
struct Door {
    office: Office,
    target: String,
}

impl Office {
    pub(crate) fn new(killed: Arc<Notify>) -> Self {
        Self {
            floor: Arc::default(),
            killed,
        }
    }

    pub(crate) fn floor(&self) -> MutexGuard<'_, Floor> {
        self.floor.lock().unwrap()
    }

    pub(crate) fn door(&self, target: &str) -> Arc<dyn Receiver> {
        Arc::new(Door {
            office: self.clone(),
            target: target.to_owned(),
        })
    }
}

impl Floor {
    pub(crate) fn desk(&mut self, target: &str) -> &mut Desk {
        self.desks.entry(target.to_owned()).or_default()
    }

    /// The last word that `target` was told of the alert.
    pub(crate) fn word(&self, target: &str, key: &str) -> Option<&Word> {
        self.desks.get(target)?.words.get(key)
    }

    fn hear(&mut self, target: &str, message: &Message) {
        let now = self.now;
        self.messages += 1;
        let silences = std::mem::take(&mut self.silences);
        let is_certain = self.is_certain;
        let desk = self.desk(target);
        let is_repeated = !desk.ids.insert(message.id.to_string());
        let mut complaints = Vec::new();
        if !is_repeated {
            complaints.extend(
                desk.complain_of_form(message)
                    .map(|complaint| format!("{target}: {complaint}")),
            );
        }
        let notices = &message.notification.alerts;
        let mut silenced = notices.iter().map(|notice| silences.hold(&notice.key, now));
        if is_certain && !notices.is_empty() && silenced.all(|is_silenced| is_silenced) {
            complaints.push(format!("{target}: told of what is silenced: {notices:?}"));
        }
        for notice in notices {
            let word = Word::new(notice, &message.id, message.created, now);
            if is_repeated {
                let known = desk.words.get_mut(&notice.key);
                if let Some(known) = known.filter(|known| known.id == word.id) {
                    known.at = now;
                }
                continue;
            }
            let before = desk.words.get(&notice.key);
            let was_silenced = before
                .is_some_and(|before| silences.held(&notice.key, before.created, word.created));
            if let Some(complaint) = complain(before, &word, desk.send_resolved)
                && !desk.is_lossy
                && !(was_silenced && complaint.starts_with(OTHER_EPISODE))
            {
                complaints.push(format!("{target} on {}: {complaint}", notice.key));
            }
            desk.words.insert(notice.key.clone(), word.clone());
            desk.heard.push((notice.key.clone(), word));
        }
        self.silences = silences;
        self.complaints.extend(complaints);
    }
}

impl Desk {
    /// It is not told of this rule any more, and hears no word of that if it hears of no end.
    pub(crate) fn drop_rule(&mut self, rule: &str) {
        let words = self.words.iter_mut();
        let own = words.filter(|(key, _)| key.split('/').next() == Some(rule));
        own.for_each(|(_, word)| word.is_dropped |= !self.send_resolved);
    }

    /// Nobody tells it any more what it was to be told, which was the last word on these alerts.
    pub(crate) fn give_up(&mut self, delivery: &Delivery, notices: &[Notice], at: DateTime<Utc>) {
        for notice in notices {
            let heard = self.words.get(&notice.key);
            if heard.is_none_or(|heard| heard.created < delivery.created) {
                let word = Word::new(notice, &delivery.id, delivery.created, at);
                self.words.insert(notice.key.clone(), word);
            }
        }
    }

    /// What is wrong with the form of a message: the worst comes first, and a receiver that does not
    /// group gets one for each alert.
    fn complain_of_form(&self, message: &Message) -> Option<String> {
        let alerts = &message.notification.alerts;
        if message.notification.summary.is_some() {
            return None;
        }
        let badness = |notice: &Notice| (notice.status == Status::Firing, notice.severity);
        if !alerts.is_sorted_by(|a, b| badness(a) >= badness(b)) {
            return Some(format!("the worst does not come first in {alerts:?}"));
        }
        if !self.group {
            return (alerts.len() != 1).then(|| format!("{} alerts in a message", alerts.len()));
        }
        None
    }
}

impl Word {
    /// Whether it says that a hook was taken out of a rule: the alert may fire on, and is told if it is back.
    fn is_withdrawn(&self) -> bool {
        self.is_dropped || self.title.starts_with("No longer sent here")
    }

    fn new(notice: &Notice, id: &str, created: DateTime<Utc>, at: DateTime<Utc>) -> Self {
        Self {
            fires: notice.status == Status::Firing,
            id: id.to_owned(),
            started: notice.started_at,
            title: notice.title.clone(),
            created,
            at,
            is_dropped: false,
        }
    }
}

/// Where our clock is wrong, a message is dated by FlowGent's, which it says in whole seconds.
pub(crate) const ROUNDED: TimeDelta = TimeDelta::seconds(1);
/// What is said of an end without a beginning.
pub(crate) const NEVER_FIRED: &str = "resolved though it never fired";
/// What is said of the end, or the repetition, of an episode whose beginning was not told.
const OTHER_EPISODE: &str = "another episode ";

/// What is wrong with a word after the one before it.
fn complain(before: Option<&Word>, word: &Word, send_resolved: bool) -> Option<String> {
    let days_that_came_late = word.title.contains(" late");
    match before {
        None if !word.fires => Some(format!("{NEVER_FIRED}: {word:?}")),
        Some(before) if before.created > word.created + ROUNDED => {
            Some(format!("out of order: {word:?} after {before:?}"))
        }
        Some(before) if before.fires && word.fires && word.title.starts_with(STILL) => {
            (before.started != word.started).then(|| {
                format!("{OTHER_EPISODE}goes on than the one that fires: {word:?} after {before:?}")
            })
        }
        _ if word.title.starts_with(STILL) => Some(format!(
            "told again though it does not fire: {word:?} after {before:?}"
        )),
        Some(before) if before.fires && word.fires && !days_that_came_late => {
            if before.started == word.started && !before.is_dropped {
                Some(format!(
                    "a second message in an episode: {word:?} after {before:?}"
                ))
            } else if send_resolved {
                Some(format!(
                    "fires anew and was not over: {word:?} after {before:?}"
                ))
            } else {
                None
            }
        }
        Some(before) if !before.fires && !word.fires => {
            Some(format!("resolved twice: {word:?} after {before:?}"))
        }
        Some(before)
            if !before.fires
                && word.fires
                && before.started >= word.started
                && !before.is_withdrawn()
                // The clock stands still between two things that happen at one moment.
                && before.created < word.created =>
        {
            Some(format!(
                "a new episode without a new start: {word:?} after {before:?}"
            ))
        }
        Some(before) if before.fires && !word.fires && before.started != word.started => Some(
            format!("{OTHER_EPISODE}is over than the one that fires: {word:?} after {before:?}"),
        ),
        _ => None,
    }
}

impl Receiver for Door {
    fn take<'a>(&'a self, message: &'a Message) -> Taking<'a> {
        let refused = |retry_after| SendError {
            text: "503 Service Unavailable".to_owned(),
            retry_after,
            gone: false,
            unready: false,
        };
        let mut floor = self.office.floor();
        let now = floor.now;
        let desk = floor.desk(&self.target);
        if desk.down_until.is_some_and(|until| now < until) {
            return Box::pin(async move { Err(refused(None)) });
        }
        match desk.replies.pop() {
            Some(Reply::Fail) => return Box::pin(async move { Err(refused(None)) }),
            Some(Reply::FailFor(seconds)) => {
                let wish = Duration::from_secs(seconds);
                return Box::pin(async move { Err(refused(Some(wish))) });
            }
            Some(Reply::Gone) => {
                desk.is_gone = true;
                let gone = SendError {
                    gone: true,
                    ..refused(None)
                };
                return Box::pin(async move { Err(gone) });
            }
            Some(Reply::Hang) => return Box::pin(std::future::pending()),
            Some(Reply::Kill) => {
                self.office.killed.notify_one();
                return Box::pin(std::future::pending());
            }
            Some(Reply::TakeAndKill) => {
                floor.hear(&self.target, message);
                self.office.killed.notify_one();
                return Box::pin(std::future::pending());
            }
            None => floor.hear(&self.target, message),
        }
        Box::pin(async { Ok("200 OK".to_owned()) })
    }

    fn beat<'a>(&'a self, failure: Option<&'a str>) -> Taking<'a> {
        let mut floor = self.office.floor();
        let at = floor.now;
        let failure = failure.map(str::to_owned);
        floor.beats.push(Beat { at, failure });
        Box::pin(async { Ok("200 OK".to_owned()) })
    }

    fn remind<'a>(&'a self, _: &'a [Alert], _: DateTime<Utc>) -> Taking<'a> {
        Box::pin(async { Ok("nothing to do".to_owned()) })
    }
}
