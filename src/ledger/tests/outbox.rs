//! The order of the outbox, by random histories against a model that looks at everything each time.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use proptest::prelude::*;

use super::alerts::{changes, delivery, key};
use super::*;

const HOOKS: [&str; 2] = ["chat", "ops"];

#[derive(Debug, Clone)]
enum Op {
    /// A delivery to a hook and a target about some of a few alerts.
    Add(usize, usize, BTreeSet<u8>),
    /// Result of the first one that is due for a hook.
    Deliver(usize),
    /// With the seconds to the next try, and whether it may be given up instead.
    Fail(usize, i64, bool),
    GiveUp(usize),
    Postpone(usize, i64),
    Unready(usize),
    Disable(usize),
    /// If one of the hooks is in the config, or both are.
    RetryAll(usize),
    /// One of those that are there, whatever became of it.
    Retry(usize),
    /// Seconds pass; a negative number is a clock that was set back.
    Advance(i64),
    Wait(i64),
    /// The alerts of one rule are silenced, or are no more.
    Silence(bool),
    Tidy,
    Reopen,
}

/// The rule that is silenced now and then.
const SILENCED: &str = "b";

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let alerts = prop::collection::btree_set(0..4_u8, 0..3);
    let op = prop_oneof![
        8 => (0..2_usize, 0..2_usize, alerts)
            .prop_map(|(hook, target, alerts)| Op::Add(hook, target, alerts)),
        4 => (0..2_usize).prop_map(Op::Deliver),
        4 => (0..2_usize, 1..20_i64, any::<bool>())
            .prop_map(|(hook, wait, may_end)| Op::Fail(hook, wait, may_end)),
        1 => (0..2_usize).prop_map(Op::GiveUp),
        2 => (0..2_usize, 1..20_i64).prop_map(|(hook, wait)| Op::Postpone(hook, wait)),
        1 => (0..2_usize).prop_map(Op::Unready),
        1 => (0..2_usize).prop_map(Op::Disable),
        1 => (1..3_usize).prop_map(Op::RetryAll),
        1 => (0..40_usize).prop_map(Op::Retry),
        4 => (-3..15_i64).prop_map(Op::Advance),
        1 => (10..70_i64).prop_map(Op::Wait),
        3 => any::<bool>().prop_map(Op::Silence),
        1 => Just(Op::Tidy),
        1 => Just(Op::Reopen),
    ];
    prop::collection::vec(op, 1..50)
}

#[derive(Debug, Default)]
struct Model {
    /// Oldest first.
    records: Vec<DeliveryRecord>,
    disabled: BTreeSet<&'static str>,
    is_silenced: bool,
}

impl Model {
    /// Returns true if a silence holds the delivery back.
    fn is_held(&self, delivery: &Delivery) -> bool {
        let mut alerts = delivery.alerts.iter();
        self.is_silenced && !delivery.alerts.is_empty() && alerts.all(|key| &*key.rule == SILENCED)
    }

    /// Returns true if the receiver of the record at `index` has a newer delivery about the alert whose state satisfies
    /// `is_told`.
    fn is_told_later(
        &self,
        index: usize,
        alert: &AlertKey,
        is_told: impl Fn(DeliveryState) -> bool,
    ) -> bool {
        let Delivery { hook, target, .. } = &self.records[index].delivery;
        self.records[index + 1..].iter().any(|newer| {
            is_told(newer.state)
                && (&newer.delivery.hook, &newer.delivery.target) == (hook, target)
                && newer.delivery.alerts.contains(alert)
        })
    }

    fn due(&self, hook: &str, now: DateTime<Utc>) -> Vec<DeliveryRecord> {
        let pending = |record: &DeliveryRecord| record.state == DeliveryState::Pending;
        let waits = |(index, record): &(usize, &DeliveryRecord)| {
            self.records[..*index].iter().any(|older| {
                pending(older)
                    && !self.is_held(&older.delivery)
                    && older.delivery.hook == record.delivery.hook
                    && older.delivery.target == record.delivery.target
                    && (older.delivery.alerts.iter())
                        .any(|alert| record.delivery.alerts.contains(alert))
            })
        };
        (self.records.iter().enumerate())
            .filter(|_| !self.disabled.contains(hook))
            .filter(|(_, record)| &*record.delivery.hook == hook)
            .filter(|(_, record)| pending(record) && record.at <= now)
            .filter(|(_, record)| !self.is_held(&record.delivery))
            .filter(|candidate| !waits(candidate))
            .map(|(index, record)| {
                let mut record = record.clone();
                let is_told = |state| state == DeliveryState::Delivered;
                let is_news = |alert: &AlertKey| !self.is_told_later(index, alert, is_told);
                record.delivery.alerts.retain(is_news);
                record
            })
            .collect()
    }

    /// Returns true if one of the alerts of the record at `index` has no newer delivery that may still arrive.
    fn is_last_word(&self, index: usize) -> bool {
        let alerts = &self.records[index].delivery.alerts;
        let may_arrive = |state| state != DeliveryState::GivenUp;
        let followed = |alert| self.is_told_later(index, alert, may_arrive);
        !alerts.iter().all(followed)
    }

    fn note(&mut self, id: &str, attempt: &Attempt, at: DateTime<Utc>) {
        let mut records = self.records.iter();
        let index = records.position(|record| &*record.delivery.id == id);
        let index = index.unwrap();
        let is_last_word = self.is_last_word(index);
        let record = &mut self.records[index];
        let (state, at, result) = match attempt {
            Attempt::Delivered { answer } => (DeliveryState::Delivered, at, answer),
            Attempt::Failed {
                error,
                may_end: true,
                ..
            } if !is_last_word => (DeliveryState::GivenUp, at, error),
            Attempt::Failed { error, next, .. } => (DeliveryState::Pending, *next, error),
            Attempt::GivenUp { error } => (DeliveryState::GivenUp, at, error),
            Attempt::Postponed { until } => {
                record.at = *until;
                return;
            }
            Attempt::Unready { error } => {
                record.result = Some(error.clone());
                return;
            }
        };
        record.attempts += 1;
        record.result = Some(result.clone());
        (record.state, record.at) = (state, at);
        if state == DeliveryState::Delivered {
            self.forget_overtaken(index);
        }
    }

    /// Forgets what was pending before the delivered record at `newest`, if its receiver has newer news of all of it.
    fn forget_overtaken(&mut self, newest: usize) {
        let is_told = |state| state == DeliveryState::Delivered;
        let newer = &self.records[newest].delivery.alerts;
        let is_overtaken = |index: &usize| {
            let Delivery { alerts, .. } = &self.records[*index].delivery;
            self.records[*index].state == DeliveryState::Pending
                && alerts.iter().any(|alert| newer.contains(alert))
                && alerts
                    .iter()
                    .all(|alert| self.is_told_later(*index, alert, is_told))
        };
        let overtaken: BTreeSet<usize> = (0..newest).filter(is_overtaken).collect();
        let mut index = 0..;
        self.records
            .retain(|_| !overtaken.contains(&index.next().unwrap()));
    }

    /// The ids of what is out of date: it is old, or newer news of all that it says was delivered, or is about to be.
    fn outdated(&self, now: DateTime<Utc>) -> BTreeSet<Arc<str>> {
        let is_outdated = |(index, record): &(usize, &DeliveryRecord)| {
            let Delivery {
                alerts, created, ..
            } = &record.delivery;
            let may_arrive = |state| state != DeliveryState::GivenUp;
            let overtaken = |alert| self.is_told_later(*index, alert, may_arrive);
            record.state == DeliveryState::GivenUp
                && (*created < now - TimeDelta::days(30)
                    || !alerts.is_empty() && alerts.iter().all(overtaken))
        };
        let outdated = self.records.iter().enumerate().filter(is_outdated);
        outdated
            .map(|(_, record)| Arc::clone(&record.delivery.id))
            .collect()
    }

    /// Has what `chosen` says tried again. Says how many that are.
    fn retry(&mut self, chosen: impl Fn(&DeliveryRecord) -> bool, now: DateTime<Utc>) -> usize {
        let mut count = 0;
        for record in &mut self.records {
            if record.state == DeliveryState::Delivered || !chosen(record) {
                continue;
            }
            count += 1;
            self.disabled.retain(|hook| *hook != &*record.delivery.hook);
            if record.state == DeliveryState::GivenUp {
                (record.state, record.attempts) = (DeliveryState::Pending, 0);
            }
            record.at = now;
        }
        count
    }

    /// Gives up what nobody has taken for 30 days, and forgets what ended 90 days ago.
    fn tidy(&mut self, now: DateTime<Utc>) {
        let before = |days| now - TimeDelta::days(days);
        let held: BTreeSet<Arc<str>> = (self.records.iter())
            .filter(|record| self.is_held(&record.delivery))
            .map(|record| Arc::clone(&record.delivery.id))
            .collect();
        for record in &mut self.records {
            record.delivery.created = record.delivery.created.min(now);
            if record.state != DeliveryState::Pending {
                record.at = record.at.min(now);
            }
            let is_old = record.delivery.created < before(30);
            let is_tried = record.at >= before(30);
            let is_held = held.contains(&record.delivery.id);
            if record.state == DeliveryState::Pending && is_old && !is_tried && !is_held {
                (record.state, record.at) = (DeliveryState::GivenUp, now);
                let tries = record.attempts;
                record.result = Some(match &record.result {
                    Some(error) if tries > 0 => format!(
                        "not taken for 30 days, the last of {tries} tries failed with: {error}"
                    ),
                    Some(error) => format!("waited for 30 days; last: {error}"),
                    None => "waited for 30 days".to_owned(),
                });
            }
        }
        self.records
            .retain(|record| record.state == DeliveryState::Pending || record.at >= before(90));
    }

    fn backlogs(&self) -> Vec<Backlog> {
        let backlog = |hook: &&str| {
            let pending = self.records.iter().filter(|record| {
                record.state == DeliveryState::Pending && &*record.delivery.hook == *hook
            });
            Some(Backlog {
                hook: (*hook).into(),
                pending: pending.clone().count() as u64,
                oldest: pending.map(|record| record.delivery.created).min()?,
            })
        };
        HOOKS.iter().filter_map(backlog).collect()
    }
}

struct Scene {
    path: std::path::PathBuf,
    ledger: Ledger,
    model: Model,
    /// Number of deliveries that there ever were.
    added: usize,
    now: DateTime<Utc>,
}

impl Scene {
    async fn add(&mut self, hook: usize, target: usize, alerts: &BTreeSet<u8>) {
        let keys: Vec<_> = alerts
            .iter()
            .map(|&number| match number {
                // The same but for the period, so that its absence is a value like others.
                0 => key("a", ""),
                1 => AlertKey {
                    period: Some(day(3)),
                    ..key("a", "")
                },
                number => key(SILENCED, &format!("used {number}")),
            })
            .collect();
        let id = format!("msg_{}", self.added);
        self.added += 1;
        let delivery = Delivery {
            target: format!("+{target}"),
            created: self.now,
            ..delivery(&id, HOOKS[hook], &keys)
        };
        let changes = changes(vec![], vec![delivery.clone()]);
        self.ledger.record_alerts(changes, self.now).await.unwrap();
        self.model.records.push(DeliveryRecord {
            at: delivery.created,
            delivery,
            state: DeliveryState::Pending,
            attempts: 0,
            result: None,
        });
    }

    async fn attempt(&mut self, hook: usize, attempt: Attempt) {
        let due = self
            .ledger
            .due_deliveries(HOOKS[hook].into(), self.now, 1)
            .await;
        if let Some(record) = due.unwrap().pop() {
            let id = record.delivery.id;
            let noted = (self.ledger).record_attempt(Arc::clone(&id), attempt.clone(), self.now);
            noted.await.unwrap();
            self.model.note(&id, &attempt, self.now);
        }
    }

    async fn apply(&mut self, op: Op) {
        let after = |seconds| self.now + TimeDelta::seconds(seconds);
        let text = || "an answer".to_owned();
        match op {
            Op::Add(hook, target, alerts) => self.add(hook, target, &alerts).await,
            Op::Deliver(hook) => {
                let attempt = Attempt::Delivered { answer: text() };
                self.attempt(hook, attempt).await;
            }
            Op::Fail(hook, wait, may_end) => {
                let failed = Attempt::Failed {
                    error: text(),
                    next: after(wait),
                    may_end,
                };
                self.attempt(hook, failed).await;
            }
            Op::GiveUp(hook) => self.attempt(hook, Attempt::GivenUp { error: text() }).await,
            Op::Postpone(hook, wait) => {
                let until = after(wait);
                self.attempt(hook, Attempt::Postponed { until }).await;
            }
            Op::Unready(hook) => self.attempt(hook, Attempt::Unready { error: text() }).await,
            Op::Disable(hook) => {
                let disabled = DisabledHook {
                    hook: HOOKS[hook].into(),
                    at: self.now,
                    reason: text(),
                };
                self.ledger.disable_hook(disabled).await.unwrap();
                self.model.disabled.insert(HOOKS[hook]);
            }
            Op::RetryAll(number) => {
                let hooks = &HOOKS[..number];
                let outdated = self.model.outdated(self.now);
                let is_meant = |record: &DeliveryRecord| {
                    let Delivery { id, hook, .. } = &record.delivery;
                    hooks.contains(&&**hook) && !outdated.contains(id)
                };
                let expected = self.model.retry(is_meant, self.now);
                self.model.disabled.retain(|hook| !hooks.contains(hook));
                let made = retry(&self.path, Which::All, hooks, self.now).unwrap();
                assert_eq!(made, expected);
            }
            Op::Retry(number) => {
                let wanted = format!("msg_{number}");
                let expected = (self.model).retry(|record| *record.delivery.id == wanted, self.now);
                let made = retry(&self.path, Which::Delivery(wanted), &HOOKS, self.now);
                assert_eq!(made.unwrap_or(0), expected);
            }
            Op::Advance(seconds) => self.now = after(seconds),
            Op::Wait(days) => self.now += TimeDelta::days(days),
            Op::Silence(is_silenced) => {
                self.model.is_silenced = is_silenced;
                let silence = Silence {
                    rule: SILENCED.into(),
                    subject: None,
                    until: day(if is_silenced { 100_000 } else { -1 }),
                    since: noon(0),
                    reason: String::new(),
                };
                super::silence(&self.path, &silence).unwrap();
            }
            Op::Tidy => {
                self.ledger.tidy_deliveries(self.now).await.unwrap();
                self.model.tidy(self.now);
            }
            Op::Reopen => {
                self.ledger.close().await;
                self.ledger = open(&self.path);
            }
        }
    }

    async fn compare(&self) {
        for hook in HOOKS {
            let due = self.ledger.due_deliveries(hook.into(), self.now, 99).await;
            assert_eq!(due.unwrap(), self.model.due(hook, self.now));
        }
        let mut all = self.ledger.deliveries(true, 99).await.unwrap();
        all.reverse();
        assert_eq!(all, self.model.records);
        let backlogs = self.ledger.backlogs().await.unwrap();
        assert_eq!(backlogs, self.model.backlogs());
    }
}

async fn live_through(ops: Vec<Op>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let mut scene = Scene {
        ledger: open(&path),
        path,
        model: Model::default(),
        added: 0,
        now: noon(0),
    };
    for op in ops {
        scene.apply(op).await;
        scene.compare().await;
    }
    scene.ledger.close().await;
    assert_eq!(check(&scene.path).unwrap().violations, [""; 0]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn an_outbox_gives_out_what_a_naive_model_gives_out(ops in ops()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(live_through(ops));
    }
}
