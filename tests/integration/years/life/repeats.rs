//! Repetitions: what is critical and goes on is told again at each interval, and nothing else is.

use chrono::{DateTime, TimeDelta, Utc};
use flowgent_exporter::alert::Notification;
use flowgent_exporter::ledger::{Delivery, DeliveryState};

use super::checks::Check;
use super::oracle::{Life, Measure};
use super::plan::{Hook, Plan};
use super::receivers::Word;
use super::scene::Scene;

/// Titles of repetitions begin so.
pub(crate) const STILL: &str = "Still firing since ";

impl Plan {
    /// What is told again: on hooks, and on rules in their place.
    pub(crate) fn repeat(&mut self) {
        for (hook, hours) in [("pager", 24), ("night", 30), ("bills", 96)] {
            let hook = self.hooks.iter_mut().find(|one| one.name == hook);
            hook.expect("it is there at first").repeat = Some(hours);
        }
        for (rule, hours) in [
            ("keys", 5),
            ("all-month", 60),
            ("back-day", 7),
            ("spike", 4),
        ] {
            self.repeats.insert(rule.to_owned(), hours);
        }
    }

    /// The interval at which a hook hears again of a rule's alerts.
    fn interval(&self, rule: &str, hook: &Hook) -> Option<TimeDelta> {
        let own = self.repeats.get(rule).copied();
        own.or(hook.repeat).map(TimeDelta::hours)
    }

    /// Whether an alert is critical, by the defaults of the documentation.
    fn is_critical(&self, key: &str, life: &Life) -> bool {
        match life.mark {
            Some(mark) => match mark.measure {
                Measure::Used => mark.at >= 1.0,
                Measure::Forecast => false,
                Measure::CreditsLeft => mark.at == 0.0,
                Measure::DaysLeft => mark.at <= 2.0,
            },
            None => {
                let name = &life.rule;
                let is_critical = |check| matches!(check, Check::Key | Check::NoCredits);
                let mut rules = self.rules.iter();
                let mut probes = self.probes.iter();
                rules.any(|rule| rule.name == *name && is_critical(rule.check))
                    || probes.any(|probe| probe.name == *name && life.subject(key) != name)
            }
        }
    }
}

impl Scene {
    /// When an alert that `hook` was last told of in `word` was to be told again, if that has passed.
    pub(crate) fn is_to_be_repeated(
        &self,
        hook: &Hook,
        (key, life): (&str, &Life),
        word: &Word,
    ) -> Option<DateTime<Utc>> {
        let interval = self.plan.interval(&life.rule, hook)?;
        let due = word.at + interval;
        // What was heard under a wrong clock, and when, nobody knows.
        let is_sure = word.at > self.astray && self.agrees() && self.plan.is_critical(key, life);
        (is_sure && due < self.now).then_some(due)
    }

    /// Every repetition in what an evaluation has sent is one that is due.
    pub(crate) fn check_repeated(&mut self, sent: &[Delivery]) {
        let mut wrong = Vec::new();
        for delivery in sent {
            let notification: Notification = serde_json::from_str(&delivery.notification).unwrap();
            let again = notification.alerts.iter();
            for notice in again.filter(|notice| notice.title.starts_with(STILL)) {
                if let Some(reason) = self.complain_of_repetition(delivery, &notice.key) {
                    wrong.push(format!(
                        "hook {} is sent {:?} of {}; expected: nothing, since {reason}",
                        delivery.hook, notice.title, notice.key
                    ));
                }
            }
        }
        wrong.into_iter().for_each(|text| self.fail(text));
    }

    fn complain_of_repetition(&mut self, delivery: &Delivery, key: &str) -> Option<String> {
        let Some(hook) = self.plan.hook(&delivery.hook).cloned() else {
            return Some("there is no such hook".to_owned());
        };
        let Some(life) = self.oracle.lives.get(key).cloned() else {
            return Some("nobody looks at it".to_owned());
        };
        let Some(interval) = self.plan.interval(&life.rule, &hook) else {
            return Some("nothing repeats".to_owned());
        };
        if !self.plan.is_critical(key, &life) {
            return Some("it is not critical".to_owned());
        }
        let records = self
            .process()
            .ask(async |ledger| ledger.deliveries(false, 100_000).await.unwrap());
        let waits = records.iter().any(|record| {
            let other = &record.delivery;
            record.state == DeliveryState::Pending
                && other.hook == delivery.hook
                && other.id != delivery.id
                && other.notification.contains(&format!("{key:?}"))
        });
        if waits {
            return Some("a message about it waits".to_owned());
        }
        let floor = self.office.floor();
        let desk = floor.desks.get(&hook.target)?;
        if desk.is_lossy {
            return None;
        }
        match desk.words.get(key) {
            Some(word) if !word.fires => Some(format!("the last word is {:?}", word.title)),
            Some(word) if word.at > self.astray && self.now - word.at < interval => {
                Some(format!("it was told at {}", word.at))
            }
            Some(_) => None,
            None => Some("it was never told".to_owned()),
        }
    }
}
