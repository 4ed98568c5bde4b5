//! What must hold after every event.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Timelike, Utc};
use flowgent_exporter::alert::{Notice, Notification, Status};
use flowgent_exporter::ledger::{Delivery, DeliveryRecord, DeliveryState};

use super::oracle::{Fires, Life};
use super::receivers::{NEVER_FIRED, ROUNDED, Word};
use super::scene::Scene;
use super::silences::Silences;

/// How long a delivery may wait though its receiver takes everything: a day and a tenth.
const LONGEST_WAIT: TimeDelta = TimeDelta::hours(27);
/// How long a last word is tried, within a day.
const LONGEST_TRIED: TimeDelta = TimeDelta::days(29);
/// The most alerts in one message.
const MOST_IN_A_MESSAGE: usize = 100;

/// What one receiver was told last of each alert, and what is queued last for it.
struct Words<'a> {
    queued: Option<&'a BTreeMap<String, Queued>>,
    told: Option<&'a BTreeMap<String, Word>>,
}

/// What is queued last for a receiver about an alert.
struct Queued {
    fires: bool,
    created: DateTime<Utc>,
    /// Whether it is not tried any more.
    is_given_up: bool,
    /// When its episode began.
    started: DateTime<Utc>,
    title: String,
}

impl<'a> Words<'a> {
    fn of(&self, key: &str) -> (Option<&'a Queued>, Option<&'a Word>) {
        let queued = self.queued.and_then(|queued| queued.get(key));
        (queued, self.told.and_then(|told| told.get(key)))
    }

    /// Whether the last word on the alert is, or will be, that it fires.
    fn last(&self, key: &str) -> Option<bool> {
        match self.of(key) {
            (Some(queued), Some(word))
                if word.created > queued.created + ROUNDED
                    || queued.is_given_up && word.created == queued.created =>
            {
                Some(word.fires)
            }
            (Some(queued), _) => Some(queued.fires),
            (None, word) => word.map(|word| word.fires),
        }
    }

    /// When the episode began that the alert was last told of.
    fn started(&self, key: &str) -> Option<DateTime<Utc>> {
        let (queued, word) = self.of(key);
        let queued = queued.map(|queued| queued.started);
        word.map(|word| word.started).max(queued)
    }

    /// The alerts of which some word is that they fire.
    fn firing(&self) -> impl Iterator<Item = &'a String> {
        let queued = self.queued.into_iter().flatten();
        let queued = queued
            .filter(|(_, queued)| queued.fires)
            .map(|(key, _)| key);
        let told = self.told.into_iter().flatten();
        queued.chain(told.filter(|(_, word)| word.fires).map(|(key, _)| key))
    }

    fn shown(&self, key: &str) -> String {
        let (queued, word) = self.of(key);
        let word = word.map(|word| format!("told {} {:?}", word.created, word.title));
        let queued = queued.map(|queued| format!("queued {} {:?}", queued.created, queued.title));
        let last: Vec<String> = queued.into_iter().chain(word).collect();
        format!("last messages: {last:?}")
    }
}

impl Scene {
    pub(crate) fn check(&mut self) {
        self.check_words();
        self.check_beats();
        self.check_weeks();
        // What is wrong in a text stays so until the next day or sync.
        if self.events.is_multiple_of(3) {
            self.check_served();
        }
    }

    /// What an evaluation brings for a hook that groups comes in one message, or in as few as hold it.
    pub(crate) fn check_grouped(&mut self, sent: &[Delivery]) {
        let mut wrong = Vec::new();
        for hook in self.plan.hooks.iter().filter(|hook| hook.group) {
            let messages = sent.iter().filter(|delivery| *delivery.hook == *hook.name);
            // A summary is about no alert.
            let messages = messages.filter(|delivery| !delivery.alerts.is_empty());
            let sizes: Vec<usize> = messages.map(|delivery| delivery.alerts.len()).collect();
            if sizes.len() > sizes.iter().sum::<usize>().div_ceil(MOST_IN_A_MESSAGE) {
                let name = &hook.name;
                wrong.push(format!(
                    "hook {name}: messages of {sizes:?} alerts of one evaluation"
                ));
            }
        }
        wrong.into_iter().for_each(|text| self.fail(text));
    }

    fn check_heard(&mut self, records: &[DeliveryRecord]) {
        let mut floor = self.office.floor();
        let given_up = records
            .iter()
            .filter(|record| record.state == DeliveryState::GivenUp);
        for record in given_up {
            let Some(target) = self.targets.get(&*record.delivery.hook) else {
                continue;
            };
            let desk = floor.desk(target);
            desk.is_lossy = true;
            if self.now - record.delivery.created >= LONGEST_TRIED {
                let notices = notices(&mut self.notices, &record.delivery);
                desk.give_up(&record.delivery, notices, self.now);
            }
        }
        let mut complaints = std::mem::take(&mut floor.complaints);
        // What fired may have been given up in the same moment.
        let is_lossy = |complaint: &String| {
            let desks = floor.desks.iter();
            complaint.contains(NEVER_FIRED)
                && desks
                    .filter(|(target, _)| complaint.starts_with(&**target))
                    .any(|(_, desk)| desk.is_lossy)
        };
        complaints.retain(|complaint| !is_lossy(complaint));
        drop(floor);
        for complaint in complaints {
            self.fail(complaint);
        }
    }

    fn check_words(&mut self) {
        let records = self
            .process()
            .ask(async |ledger| ledger.deliveries(false, 100_000).await.unwrap());
        self.check_heard(&records);
        self.check_waiting(&records);
        let queued = self.queued(&records);
        let mut wrong = Vec::new();
        let floor = self.office.floor();
        let mut firing: Vec<&String> = Vec::new();
        let lives = self.oracle.lives.iter();
        firing.extend(
            lives
                .filter(|(_, life)| life.fires == Fires::Yes)
                .map(|(key, _)| key),
        );
        for hook in &self.plan.hooks {
            let words = Words {
                queued: queued.get(&*hook.target),
                told: floor.desks.get(&hook.target).map(|desk| &desk.words),
            };
            let mut keys: BTreeSet<&String> = words.firing().collect();
            keys.extend(&firing);
            for key in keys {
                // At its end, everybody learns how it stands; while nobody knows what day it is, it holds on.
                let silences = &floor.silences;
                let held_on = || !self.agrees() && silences.held(key, self.evaluated, self.now);
                if silences.hold(key, self.now) || held_on() {
                    continue;
                }
                let life = self.oracle.lives.get(key);
                let rule = key.split('/').next().unwrap();
                let is_told = self
                    .plan
                    .hooks_of(rule)
                    .iter()
                    .any(|told| told.name == hook.name);
                let is_covered =
                    || life.is_some_and(|life| self.is_covered(life, &words, &floor.silences));
                let last = words.last(key);
                let is_to_be_repeated = || {
                    let (queued, word) = words.of(key);
                    let waits = queued
                        .zip(word)
                        .is_some_and(|(queued, word)| queued.created > word.created);
                    let due = self.is_to_be_repeated(hook, (key, life?), word?);
                    let is_lossy = floor
                        .desks
                        .get(&hook.target)
                        .is_some_and(|desk| desk.is_lossy);
                    due.filter(|_| is_told && !waits && !is_lossy && !is_covered())
                };
                let complaint = complain(life, is_told, last, hook.send_resolved, is_covered);
                let is_known =
                    life.is_some_and(|life| life.fires == Fires::Yes) && last == Some(true);
                let is_not_repeated = || is_known && is_to_be_repeated().is_some();
                let Some(complaint) =
                    complaint.or_else(|| is_not_repeated().then_some("that it still fires,"))
                else {
                    continue;
                };
                let reason = life.map_or("it is not looked at".to_owned(), Life::story);
                wrong.push(format!(
                    "hook {}, alert {key}: {}; expected: {complaint} since {reason}",
                    hook.name,
                    words.shown(key)
                ));
            }
        }
        drop(floor);
        for text in wrong {
            self.fail(text);
        }
    }

    /// Whether a higher threshold says as much to the same hook.
    fn is_covered(&self, life: &Life, words: &Words<'_>, silences: &Silences) -> bool {
        let mut others = self.oracle.lives.iter();
        others.any(|(key, other)| {
            let is_known = |told: DateTime<Utc>| {
                // Whoever knows that it fires is not told of another episode that began in a silence.
                told >= life.maybe_since || silences.held(key, told, self.now)
            };
            let is_told_instead =
                other.is_of_same_period(life) && words.started(key).is_some_and(is_known);
            (other.covers(life) || is_told_instead) && words.last(key) == Some(true)
        })
    }

    /// What is queued last about every alert, by target and key.
    fn queued(&mut self, records: &[DeliveryRecord]) -> HashMap<String, BTreeMap<String, Queued>> {
        let mut queued: HashMap<String, BTreeMap<String, Queued>> = HashMap::new();
        for record in records {
            let Some(target) = self.targets.get(&*record.delivery.hook) else {
                continue;
            };
            let notices = notices(&mut self.notices, &record.delivery);
            let queued = queued.entry(target.clone()).or_default();
            for notice in notices {
                // Newest first.
                queued.entry(notice.key.clone()).or_insert_with(|| Queued {
                    fires: notice.status == Status::Firing,
                    created: record.delivery.created,
                    is_given_up: record.state == DeliveryState::GivenUp,
                    started: notice.started_at,
                    title: notice.title.clone(),
                });
            }
        }
        queued
    }

    /// Nothing waits for long for a receiver that takes everything, and nothing is given up early.
    fn check_waiting(&mut self, records: &[DeliveryRecord]) {
        let mut wrong = Vec::new();
        for record in records {
            let hook = self.plan.hook(&record.delivery.hook);
            let Some(hook) = hook else { continue };
            if self.office.floor().desk(&hook.target).is_gone {
                continue;
            }
            let age = self.now - record.delivery.created;
            let since = self
                .troubled
                .get(&hook.target)
                .copied()
                .unwrap_or(DateTime::<Utc>::MIN_UTC);
            let quiet = if hook.quiet.is_some() {
                TimeDelta::hours(13)
            } else {
                TimeDelta::zero()
            };
            let least = LONGEST_WAIT + quiet;
            let well = self.now - since.max(self.calm_since());
            if record.state == DeliveryState::GivenUp
                && !record.delivery.alerts.is_empty()
                && age < LONGEST_TRIED
                && self.is_last(record, records)
            {
                wrong.push(format!(
                    "hook {}: {} was given up after {} days and was the last word: {}",
                    hook.name,
                    record.delivery.id,
                    age.num_days(),
                    record.delivery.notification
                ));
            }
            let may_wait = || {
                let mut alerts = record.delivery.alerts.iter();
                alerts.any(|key| self.may_wait(&key.rule, least))
            };
            if record.state == DeliveryState::Pending
                && age > least
                && well > least
                && !hook.is_quiet(self.now.hour())
                && !may_wait()
            {
                wrong.push(format!(
                    "hook {}: {} waits for {} hours though it takes everything, next try {}: {}",
                    hook.name,
                    record.delivery.id,
                    age.num_hours(),
                    record.at,
                    record.delivery.notification
                ));
            }
        }
        for text in wrong {
            self.fail(text);
        }
    }

    /// Since when the process has run on a clock that is right.
    fn calm_since(&self) -> DateTime<Utc> {
        if self.agrees() { self.calm } else { self.now }
    }

    fn is_last(&self, record: &DeliveryRecord, records: &[DeliveryRecord]) -> bool {
        let mut newer = records
            .iter()
            .take_while(|other| other.delivery.id != record.delivery.id);
        let overtaken = newer.any(|newer| {
            newer.delivery.hook == record.delivery.hook
                && newer
                    .delivery
                    .alerts
                    .iter()
                    .any(|key| record.delivery.alerts.contains(key))
        });
        let Some(target) = self.targets.get(&*record.delivery.hook) else {
            return false;
        };
        let Ok(notification) = serde_json::from_str::<Notification>(&record.delivery.notification)
        else {
            return false;
        };
        let floor = self.office.floor();
        let told = notification.alerts.iter().any(|notice| {
            floor
                .word(target, &notice.key)
                .is_some_and(|word| word.created >= record.delivery.created)
        });
        !overtaken && !told
    }
}

/// What the delivery tells, which is read once.
fn notices<'a>(known: &'a mut HashMap<Arc<str>, Vec<Notice>>, delivery: &Delivery) -> &'a [Notice] {
    known.entry(Arc::clone(&delivery.id)).or_insert_with(|| {
        let notification: Notification = serde_json::from_str(&delivery.notification).unwrap();
        notification.alerts
    })
}

/// What the last word should have been, if it is wrong.
fn complain(
    life: Option<&Life>,
    is_told: bool,
    last: Option<bool>,
    send_resolved: bool,
    is_covered: impl Fn() -> bool,
) -> Option<&'static str> {
    match (life.map(|life| life.fires), last) {
        (Some(Fires::Yes), None | Some(false)) if is_told && !is_covered() => {
            Some("that it fires,")
        }
        (Some(Fires::No) | None, Some(true)) if send_resolved => Some("that it is over,"),
        (_, Some(true)) if !is_told && send_resolved => Some("that it is told no more,"),
        _ => None,
    }
}
