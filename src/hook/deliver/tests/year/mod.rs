//! A year of days on a clock that is moved by hand: FlowGent fails, is late and corrects itself, hooks
//! fail, and the program is killed at any moment. In the end each hook has been told exactly what it was
//! to be told, no more and no less.
//!
//! What it was to be told is worked out by an [`Oracle`] that shares no judgement with the program. It
//! looks whenever the program does, at what the ledger then knew.

mod check;
mod config;
mod oracle;
mod scene;
mod sight;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use tokio::sync::oneshot;

use self::config::Edition;
use self::oracle::{Oracle, text};
use self::scene::{Program, Scene};
use self::sight::{Known, Sight};
use super::{Reply, Seen};
use crate::clock::Clock;
use crate::day::{Day, TRACKING_START};
use crate::ledger::{AlertKey, Delivery, DeliveryRecord, DeliveryState, Which, retry};
use crate::window::plan::Refresh;

/// How long the year is, in days: a little longer than others.
const DAYS: i32 = 380;
/// The days of the other configs: late in a month, and at any time.
const RELOADS: [(i32, Edition); 2] = [(205, Edition::Second), (270, Edition::Third)];
/// Minutes after midnight of the moments of a day, each of which but the first is put off by up to an
/// hour. FlowGent is polled at the second one.
const MOMENTS: [i64; 4] = [0, 10, 480, 1_260];
const POLL: usize = 1;
/// The hooks that have the program killed while they are sent something.
const VICTIMS: [&str; 3] = ["ops", "night", "bills"];

/// A year as it is lived through.
struct Year {
    scene: Scene,
    oracle: Oracle,
    /// Every try of every hook, as it came.
    tries: Vec<Seen>,
    /// Deliveries that were taken by a receiver when the program was killed.
    unheard: BTreeMap<String, usize>,
    /// Deliveries that had failed for good, until somebody had them tried again.
    given_up: BTreeSet<String>,
    /// Those of them that are not tried again with all others, since what came later has arrived or
    /// since they are too old, and what is not told therefore.
    out_of_date: BTreeMap<String, Vec<Untold>>,
    counts: Counts,
}

/// An alert that a hook was not told of: when that was decided, the hook and the alert.
type Untold = (DateTime<Utc>, Arc<str>, String);

/// What has happened, to see that it was worth looking at.
#[derive(Debug, Default)]
struct Counts {
    restarts: usize,
    /// How often the program was killed while a hook was sent something.
    kills: usize,
}

impl Year {
    fn new(seed: u64) -> Self {
        let first: Day = "2025-12-01".parse().unwrap();
        let scene = Scene::new(seed, (first, first.plus(DAYS)));
        let oracle = Oracle::new(scene.config.alerts.clone());
        Self {
            scene,
            oracle,
            tries: Vec::new(),
            unheard: BTreeMap::new(),
            given_up: BTreeSet::new(),
            out_of_date: BTreeMap::new(),
            counts: Counts::default(),
        }
    }

    async fn live(&mut self) {
        let first = self.scene.clock.today();
        let mut program = self.scene.start().await;
        // Nothing is known yet.
        self.evaluate(&mut program).await;
        let mut is_whole = false;
        for number in 0..DAYS {
            let today = first.plus(number);
            self.scene.draw_days(today);
            if let Some((_, edition)) = RELOADS.iter().find(|(day, _)| *day == number) {
                self.scene.reload(&mut program, *edition).await;
                self.oracle.configure(self.scene.config.alerts.clone());
            }
            for (place, minutes) in MOMENTS.into_iter().enumerate() {
                let random = &mut self.scene.random;
                let late = random.i64(0..3_600_000) * i64::from(place > 0);
                let is_skipped = place != POLL && random.bool();
                let at = today.start() + TimeDelta::milliseconds(minutes * 60_000 + late);
                if is_skipped || at <= self.scene.now() {
                    continue;
                }
                self.scene.clock.set(at);
                if place == POLL || (place > POLL && !is_whole) {
                    self.scene.draw_faults(today);
                    let refresh = if place == POLL {
                        Refresh::Unsettled
                    } else {
                        Refresh::NotFetchedToday
                    };
                    is_whole = self.scene.sync(&mut program, refresh).await;
                }
                program = self.turn(program).await;
            }
            self.operate(&program, number).await;
        }
        self.finish(program).await;
    }

    /// Evaluates and delivers, unless the program is killed meanwhile.
    async fn turn(&mut self, mut program: Program) -> Program {
        let chance = self.scene.random.usize(..100);
        if chance < 2 {
            program = self.restart(program).await;
        }
        self.evaluate(&mut program).await;
        if (2..6).contains(&chance) {
            program = self.restart(program).await;
            self.evaluate(&mut program).await;
        }
        self.scene.draw_replies();
        let victim = (6..18).contains(&chance).then(|| VICTIMS[chance % 3]);
        if self.deliver(&program, victim).await {
            program = self.restart(program).await;
            self.evaluate(&mut program).await;
        }
        program
    }

    async fn restart(&mut self, program: Program) -> Program {
        self.counts.restarts += 1;
        self.scene.restart(program).await
    }

    async fn evaluate(&mut self, program: &mut Program) {
        program.evaluate().await;
        let now = self.scene.now().trunc_subsecs(3);
        let scene = &self.scene;
        let known = |member| Known {
            member,
            days: &scene.known[&member.number],
        };
        let agents = program.members.iter();
        let sight = Sight {
            now,
            today: Day::of(now),
            agents: agents.map(known).collect(),
            access: &scene.access,
        };
        self.oracle.look(&sight);
    }

    /// Delivers what is due. If `victim` takes something, the program is killed before it hears of
    /// that; says whether it was.
    async fn deliver(&mut self, program: &Program, victim: Option<&str>) -> bool {
        // What holds the answer back, for ever.
        let (_holding, held) = oneshot::channel();
        if let Some(hook) = victim {
            let mut replies = self.scene.stage.replies.lock().unwrap();
            replies.insert(hook.to_owned(), [Reply::Hold(held)].into());
        }
        let mut delivering = std::pin::pin!(program.deliverer().deliver_due());
        loop {
            tokio::select! {
                biased;
                Some(seen) = self.scene.seen.recv() => {
                    let is_killed = victim == Some(&seen.hook);
                    if is_killed {
                        *self.unheard.entry(seen.id.clone()).or_default() += 1;
                        self.counts.kills += 1;
                    }
                    self.tries.push(seen);
                    if is_killed {
                        return true;
                    }
                }
                delivered = &mut delivering => {
                    delivered.unwrap();
                    break;
                }
            }
        }
        while let Ok(seen) = self.scene.seen.try_recv() {
            self.tries.push(seen);
        }
        false
    }

    /// What a person does in the evening: whatever was given up is tried again once the hook works, and
    /// a hook that wanted nothing any more is told to want.
    async fn operate(&mut self, program: &Program, number: i32) {
        let disabled = program.ledger.disabled_hooks().await.unwrap();
        self.scene.has_left |= !disabled.is_empty();
        let has_waited = |since: DateTime<Utc>| self.scene.now() - since > TimeDelta::days(2);
        let is_time = disabled.iter().any(|hook| has_waited(hook.at));
        if number % 30 == 0 || is_time {
            self.retry_all(program).await;
        }
    }

    async fn retry_all(&mut self, program: &Program) {
        let records = program.ledger.deliveries(true, 100_000).await.unwrap();
        for (place, record) in records.iter().enumerate() {
            if record.state != DeliveryState::GivenUp {
                continue;
            }
            let id = record.delivery.id.to_string();
            let is_old = self.scene.now() - record.delivery.created > TimeDelta::days(30);
            if is_old || has_been_overtaken(record, &records[..place]) {
                let Delivery {
                    hook,
                    created,
                    alerts,
                    ..
                } = &record.delivery;
                let untold = alerts
                    .iter()
                    .map(|key| (*created, Arc::clone(hook), text(key)));
                self.out_of_date.insert(id.clone(), untold.collect());
            }
            self.given_up.insert(id);
        }
        let path = &self.scene.config.storage.path;
        let hooks = self.scene.config.hooks.iter();
        let hooks: Vec<&str> = hooks.map(|hook| &*hook.name).collect();
        retry(path, Which::All, &hooks, self.scene.now()).unwrap();
    }

    /// Lets the hooks work again, until nothing waits any more.
    async fn finish(&mut self, program: Program) {
        assert!(
            self.scene.has_left,
            "no hook has ever wanted to be left alone"
        );
        self.retry_all(&program).await;
        for _ in 0..20 {
            self.scene.clock.advance(TimeDelta::hours(13));
            self.scene.stage.replies.lock().unwrap().clear();
            self.deliver(&program, None).await;
        }
        assert_eq!(program.ledger.backlogs().await.unwrap(), []);
        for record in program.ledger.deliveries(true, 100_000).await.unwrap() {
            let is_out_of_date = self.out_of_date.contains_key(&*record.delivery.id);
            let expected = if is_out_of_date {
                DeliveryState::GivenUp
            } else {
                DeliveryState::Delivered
            };
            assert_eq!(record.state, expected, "{record:?}");
        }
        // The oracle has seen the ledger as it is.
        for member in program.members.iter() {
            let usage =
                program
                    .ledger
                    .usage(member.number, TRACKING_START, self.scene.clock.today());
            let usage = usage.await.unwrap().into_iter();
            let known: BTreeMap<Day, f64> = usage.map(|usage| (usage.day, usage.credits)).collect();
            assert_eq!(known, self.scene.known[&member.number]);
        }
        program.ledger.close().await;
    }
}

/// Whether what was given up says nothing that was not said anew by those who came later, and arrived.
fn has_been_overtaken(record: &DeliveryRecord, newer: &[DeliveryRecord]) -> bool {
    let has_arrived = |key: &AlertKey| {
        newer.iter().any(|newer| {
            newer.state == DeliveryState::Delivered
                && newer.delivery.hook == record.delivery.hook
                && newer.delivery.alerts.contains(key)
        })
    };
    record.delivery.alerts.iter().all(has_arrived)
}

/// Lives through a year, and sees to it that it was worth it.
async fn live_and_check(seed: u64) {
    let mut year = Year::new(seed);
    year.live().await;
    year.check();
    year.must_have_been_eventful();
}

#[tokio::test(start_paused = true)]
async fn a_year_with_faults_on_everything_ends_with_exactly_the_expected_notifications() {
    live_and_check(1).await;
}

#[tokio::test(start_paused = true)]
async fn so_does_another_year() {
    live_and_check(3).await;
}
