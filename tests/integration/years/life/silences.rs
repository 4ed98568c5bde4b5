//! Silences, as people set and end them beside the exporter. While one holds, nothing is sent of what it is about; at
//! its end, hooks learn how that stands.

use chrono::{DateTime, TimeDelta, Utc};
use flowgent_exporter::alert::Notification;
use flowgent_exporter::clock::Clock;
use flowgent_exporter::day::Day;
use flowgent_exporter::ledger::{Delivery, Silence, silence, unsilence};

use super::oracle::Fires;
use super::process::Ground;
use super::scene::Scene;
use super::year::Year;

/// A silence that there is, or was.
#[derive(Debug)]
struct Held {
    rule: String,
    /// None if all of the rule's subjects are silenced.
    subject: Option<String>,
    since: DateTime<Utc>,
    /// The end, if nobody ends it or sets another one before.
    until: DateTime<Utc>,
}

impl Held {
    /// Whether it is about the alert of that key.
    fn is_of(&self, key: &str) -> bool {
        let rest = key.strip_prefix(&*self.rule);
        let Some(rest) = rest.and_then(|rest| rest.strip_prefix('/')) else {
            return false;
        };
        self.subject.as_ref().is_none_or(|subject| {
            let rest = rest.strip_prefix(&**subject);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}

/// All silences that there ever were.
#[derive(Debug, Default)]
pub(crate) struct Silences(Vec<Held>);

impl Silences {
    /// Whether the alert of that key is silenced at an instant.
    pub(crate) fn hold(&self, key: &str, at: DateTime<Utc>) -> bool {
        let mut those = self.0.iter().filter(|held| held.is_of(key));
        those.any(|held| held.since <= at && at < held.until)
    }

    /// Whether it was silenced at any time between two instants.
    pub(crate) fn held(&self, key: &str, from: DateTime<Utc>, to: DateTime<Utc>) -> bool {
        let mut those = self.0.iter().filter(|held| held.is_of(key));
        those.any(|held| held.since <= to && from <= held.until)
    }

    /// Whether any alert of the rule was silenced since then.
    pub(crate) fn have_held(&self, rule: &str, since: DateTime<Utc>) -> bool {
        let is_of = |held: &&Held| held.rule == rule;
        self.0.iter().filter(is_of).any(|held| since <= held.until)
    }

    /// Ends those of that rule and subject.
    fn end(&mut self, rule: &str, subject: Option<&str>, now: DateTime<Utc>) {
        let those = self.0.iter_mut();
        let those = those.filter(|held| held.rule == rule && held.subject.as_deref() == subject);
        those.for_each(|held| held.until = held.until.min(now));
    }
}

impl Ground {
    fn silence(&self, set: &Silence) {
        silence(&self.folder.path().join("ledger.db"), set).unwrap();
    }

    fn unsilence(&self, rule: &str, subject: Option<&str>) -> bool {
        let today = self.clock.today();
        unsilence(&self.folder.path().join("ledger.db"), rule, subject, today).unwrap()
    }
}

impl Year {
    /// Somebody silences something, mostly what fires, or ends a silence.
    pub(crate) fn hush(&mut self) {
        if self.hushes.f64() * 100.0 >= 4.0 {
            return;
        }
        let now = self.scene.now;
        let mut floor = self.scene.office.floor();
        let active: Vec<_> = floor
            .silences
            .0
            .iter()
            .filter(|held| now < held.until)
            .collect();
        if !active.is_empty() && self.hushes.u8(..10) < 3 {
            let held = active[self.hushes.usize(..active.len())];
            let (rule, subject) = (held.rule.clone(), held.subject.clone());
            floor.silences.end(&rule, subject.as_deref(), now);
            drop(floor);
            self.scene
                .note(format!("{rule} {subject:?} is silenced no more"));
            if !self.scene.ground.unsilence(&rule, subject.as_deref()) {
                self.scene.fail(format!(
                    "there is no silence of {rule} {subject:?}; expected: one"
                ));
            }
            return;
        }
        let lives = self.scene.oracle.lives.iter();
        let firing = lives.filter(|(_, life)| life.fires == Fires::Yes);
        let firing =
            firing.map(|(key, life)| (life.rule.clone(), Some(life.subject(key).to_owned())));
        let mut choices: Vec<(String, Option<String>)> = firing.collect();
        if choices.is_empty() || self.hushes.u8(..10) < 3 {
            let names = self.scene.plan.names().into_iter();
            choices = names.map(|name| (name.to_owned(), None)).collect();
        }
        choices.sort();
        let (rule, subject) = choices.swap_remove(self.hushes.usize(..choices.len()));
        let subject = subject.filter(|_| self.hushes.bool());
        let until = Day::of(now).plus(self.hushes.i32(1..14));
        floor.silences.end(&rule, subject.as_deref(), now);
        floor.silences.0.push(Held {
            rule: rule.clone(),
            subject: subject.clone(),
            since: now,
            until: until.start(),
        });
        drop(floor);
        self.scene
            .note(format!("{rule} {subject:?} is silenced until {until}"));
        self.scene.ground.silence(&Silence {
            rule: rule.into(),
            subject: subject.map(Into::into),
            until,
            since: now,
            reason: "it is known".to_owned(),
        });
    }
}

impl Scene {
    /// What an evaluation has sent is not about what is silenced.
    pub(crate) fn check_hushed(&mut self, sent: &[Delivery]) {
        if !self.agrees() {
            return;
        }
        let mut wrong = Vec::new();
        let floor = self.office.floor();
        for delivery in sent {
            let notification: Notification = serde_json::from_str(&delivery.notification).unwrap();
            for notice in &notification.alerts {
                if floor.silences.hold(&notice.key, self.now) {
                    wrong.push(format!(
                        "hook {} is sent {:?}; expected: nothing, since {} is silenced",
                        delivery.hook, notice.title, notice.key
                    ));
                }
            }
        }
        drop(floor);
        wrong.into_iter().for_each(|text| self.fail(text));
    }

    /// Whether a message about the rule may wait though its receiver takes everything.
    pub(crate) fn may_wait(&self, rule: &str, patience: TimeDelta) -> bool {
        let floor = self.office.floor();
        floor.silences.have_held(rule, self.now - patience)
    }
}
