//! What must hold after every event.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Timelike, Utc};
use flowgent_exporter::alert::{Notification, Status};
use flowgent_exporter::day::{Day, TRACKING_START};
use flowgent_exporter::ledger::{DeliveryRecord, DeliveryState};

use super::budgets::period;
use super::oracle::{Fires, Life};
use super::plan::AgentId;
use super::receivers::NEVER_FIRED;
use super::roll::Known;
use super::scene::Scene;

/// How long a delivery may wait though its receiver takes everything: a day and a tenth.
const LONGEST_WAIT: TimeDelta = TimeDelta::hours(27);

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

impl Scene {
    pub(crate) fn check(&mut self) {
        self.check_words();
        self.check_counters();
        if self.agrees() {
            self.check_figures();
            self.check_budgets();
        }
    }

    fn check_heard(&mut self, records: &[DeliveryRecord]) {
        let mut floor = self.office.floor();
        let given_up = records
            .iter()
            .filter(|record| record.state == DeliveryState::GivenUp);
        for record in given_up {
            if let Some(target) = self.targets.get(&*record.delivery.hook) {
                floor.desk(target).is_lossy = true;
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
        for hook in &self.plan.hooks {
            let last = |key: &str| {
                let queued = queued.get(&(hook.target.clone(), key.to_owned()));
                let word = floor.word(&hook.target, key);
                match (queued, word) {
                    (Some(queued), Some(word))
                        if word.created > queued.created
                            || queued.is_given_up && word.created == queued.created =>
                    {
                        Some(word.fires)
                    }
                    (Some(queued), _) => Some(queued.fires),
                    (None, word) => word.map(|word| word.fires),
                }
            };
            let shown = |key: &str| {
                let word = floor.word(&hook.target, key);
                let word = word.map(|word| format!("told {} {:?}", word.created, word.title));
                let queued = queued.get(&(hook.target.clone(), key.to_owned()));
                let queued =
                    queued.map(|queued| format!("queued {} {:?}", queued.created, queued.title));
                let last: Vec<String> = queued.into_iter().chain(word).collect();
                format!("last messages: {last:?}")
            };
            let mut keys: Vec<&String> = self.oracle.lives.keys().collect();
            if let Some(desk) = floor.desks.get(&hook.target) {
                let others = desk
                    .words
                    .keys()
                    .filter(|key| !self.oracle.lives.contains_key(*key));
                keys.extend(others);
            }
            for key in keys {
                let life = self.oracle.lives.get(key);
                let rule = key.split('/').next().unwrap();
                let is_told = self
                    .plan
                    .hooks_of(rule)
                    .iter()
                    .any(|told| told.name == hook.name);
                let Some(complaint) =
                    complain(life, is_told, last(key), hook.send_resolved, || {
                        let is_since_then = |key: &str, life: &Life| {
                            let word = floor.word(&hook.target, key).map(|word| word.started);
                            let queued = queued.get(&(hook.target.clone(), key.to_owned()));
                            let queued = queued.map(|queued| queued.started);
                            word.max(queued) >= Some(life.maybe_since)
                        };
                        self.is_covered(life, |key| last(key) == Some(true), is_since_then)
                    })
                else {
                    continue;
                };
                let reason = life.map_or("it is not looked at".to_owned(), Life::story);
                wrong.push(format!(
                    "hook {}, alert {key}: {}; expected: {complaint} since {reason}",
                    hook.name,
                    shown(key)
                ));
            }
        }
        drop(floor);
        for text in wrong {
            self.fail(text);
        }
    }

    /// Whether a higher threshold says as much to the same hook.
    fn is_covered(
        &self,
        life: Option<&Life>,
        fires: impl Fn(&str) -> bool,
        is_since_then: impl Fn(&str, &Life) -> bool,
    ) -> bool {
        let Some(life) = life else { return false };
        let mut others = self.oracle.lives.iter();
        others.any(|(key, other)| {
            let is_told_instead = other.is_of_same_period(life) && is_since_then(key, life);
            (other.covers(life) || is_told_instead) && fires(key)
        })
    }

    /// What is queued last about every alert, by target and key.
    fn queued(&self, records: &[DeliveryRecord]) -> HashMap<(String, String), Queued> {
        let mut queued = HashMap::new();
        for record in records {
            let Some(target) = self.targets.get(&*record.delivery.hook) else {
                continue;
            };
            let notification: Notification =
                serde_json::from_str(&record.delivery.notification).unwrap();
            for notice in notification.alerts {
                // Newest first.
                queued
                    .entry((target.clone(), notice.key))
                    .or_insert(Queued {
                        fires: notice.status == Status::Firing,
                        created: record.delivery.created,
                        is_given_up: record.state == DeliveryState::GivenUp,
                        started: notice.started_at,
                        title: notice.title,
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
                && age < TimeDelta::days(29)
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
            if record.state == DeliveryState::Pending
                && age > least
                && well > least
                && !hook.is_quiet(self.now.hour())
            {
                wrong.push(format!(
                    "hook {}: {} waits for {} hours though it takes everything, next try {}",
                    hook.name,
                    record.delivery.id,
                    age.num_hours(),
                    record.at
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

    fn check_counters(&mut self) {
        let published = self.process().board().agents(|agents| {
            let of = |series: &flowgent_exporter::exposition::AgentSeries| {
                let name = (
                    series.agent.account.to_string(),
                    series.agent.name.to_string(),
                );
                Some((name, series.figures.used_credits?))
            };
            agents.series.iter().filter_map(of).collect::<Vec<_>>()
        });
        for (name, credits) in published.unwrap_or_default() {
            let before = self.counters.insert(name.clone(), credits).unwrap_or(0.0);
            if credits < before {
                self.fail(format!(
                    "the counter of {}/{} falls from {before} to {credits}",
                    name.0, name.1
                ));
            }
        }
    }

    /// What is published of each agent is exact, or absent.
    fn check_figures(&mut self) {
        let today = self.today();
        let month = today.month_start();
        let last_month = month.previous().month_start();
        let spans = [
            ("previous_day", today.previous(), today.previous()),
            ("previous_7_days", today.plus(-7), today.previous()),
            ("previous_30_days", today.plus(-30), today.previous()),
            ("month_to_date", month, today.previous()),
            ("previous_month", last_month, month.previous()),
        ];
        let published = self.process().board().agents(|agents| {
            let of = |series: &flowgent_exporter::exposition::AgentSeries| {
                let figures = &series.figures;
                let values = [
                    figures.previous_day_credits,
                    figures.previous_7_days_credits,
                    figures.previous_30_days_credits,
                    figures.month_to_date_credits,
                    figures.previous_month_credits,
                ];
                (
                    series.agent.account.to_string(),
                    series.agent.id.to_string(),
                    values,
                )
            };
            (
                agents.today,
                agents.series.iter().map(of).collect::<Vec<_>>(),
            )
        });
        let Some((day, published)) = published else {
            return;
        };
        if day != today {
            self.fail(format!("figures are of {day} on {today}"));
        }
        let mut wrong = Vec::new();
        for (account, id, values) in published {
            let id: AgentId = id.parse().unwrap();
            let Some(known) = self.roll.agents.get(&(account.clone(), id)) else {
                wrong.push(format!(
                    "{account}/{id} is published, and nobody has listed it"
                ));
                continue;
            };
            for ((name, first, last), value) in spans.into_iter().zip(values) {
                let expected = exact(known, first, last);
                let is_right = match (value, expected) {
                    // Days from before the history start may be known, and are not shown.
                    (None, _) if first < self.plan.history_start => true,
                    (None, None) => true,
                    (Some(value), Some(expected)) => {
                        (value - expected).abs() <= 1e-9 * expected.max(1.0)
                    }
                    _ => false,
                };
                if !is_right {
                    wrong.push(format!(
                        "{account}/{}: {name} is {value:?}, exact is {expected:?}",
                        known.name
                    ));
                }
            }
        }
        for text in wrong {
            self.fail(text);
        }
    }

    /// What is published of each budget is what is known to be used in its current period.
    fn check_budgets(&mut self) {
        let Some(alerting) = self.process().board().alerting() else {
            return;
        };
        let today = self.today();
        let mut wrong = Vec::new();
        for budget in &self.plan.budgets {
            let (start, end) = period(budget.cycle, today.previous());
            let last = end.map_or(today, |end| end.min(today)).previous();
            let sum = self.roll.sum(&budget.matcher, start, last);
            let series = alerting
                .budgets
                .iter()
                .find(|series| *series.name == *budget.name);
            let Some(series) = series else {
                wrong.push(format!("budget {} is not published", budget.name));
                continue;
            };
            let standing = &series.standing;
            if standing.period.start != start {
                wrong.push(format!(
                    "budget {} is of the period from {} on, not {start}",
                    budget.name, standing.period.start
                ));
                continue;
            }
            let used = standing.used_credits.unwrap_or(0.0);
            if (used - sum.credits).abs() > 1e-6 * sum.credits.max(1.0) {
                wrong.push(format!(
                    "budget {} of the period from {start} on: {used} credits are published, {} are used", budget.name, sum.credits
                ));
            }
            let missing = standing.missing_days as usize;
            if !(sum.missing..=sum.perhaps_missing).contains(&missing) {
                wrong.push(format!(
                    "budget {} of the period from {start} on: {missing} days are said to be missing, not {} to {}",
                    budget.name, sum.missing, sum.perhaps_missing
                ));
            }
        }
        for text in wrong {
            self.fail(text);
        }
    }

    /// The ledger is what is true, once FlowGent has been there for long enough.
    pub(crate) fn check_truth(&mut self) {
        let last = self.today().previous();
        let keys: Vec<_> = self
            .roll
            .agents
            .iter()
            .filter(|(_, known)| known.presence == super::roll::Presence::Present)
            .map(|(key, _)| key.clone())
            .collect();
        let first = self.plan.history_start;
        let kept = self.kept(&keys, first, last);
        for (key, kept) in keys.into_iter().zip(kept) {
            let truth: BTreeMap<Day, f64> = first
                .through(last)
                .filter_map(|day| Some((day, self.flowgent.state().credits(key.1, day)?)))
                .collect();
            let differs = first
                .through(last)
                .find(|day| kept.get(day) != truth.get(day));
            if let Some(day) = differs {
                self.fail(format!(
                    "in the end the ledger has {:?} for {}/{} on {day}, true is {:?}",
                    kept.get(&day),
                    key.0,
                    key.1,
                    truth.get(&day)
                ));
            }
        }
    }
}

/// The credits of the days, if all are known.
fn exact(known: &Known, first: Day, last: Day) -> Option<f64> {
    let mut sum = 0.0;
    for day in first.max(TRACKING_START).through(last) {
        sum += known.days.get(&day)?;
    }
    Some(sum)
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
