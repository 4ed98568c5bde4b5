//! Summaries, as `docs/alerts.md` promises them: each week once, with what is known of it.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use flowgent_exporter::alert::Notification;
use flowgent_exporter::day::Day;
use flowgent_exporter::ledger::Delivery;
use flowgent_exporter::summary::Summary;

use super::plan::Matcher;
use super::scene::Scene;

/// The name of the summary in the config.
pub(crate) const SUMMARY: &str = "monday";
/// For so long after its end a week may wait for its summary: two days, until the next sync has ended.
const PATIENCE: TimeDelta = TimeDelta::days(4);

/// What was sent of weeks.
#[derive(Debug, Default)]
pub(crate) struct Weeks {
    /// The Monday of the first week that one is due of: of that in which the rules were first looked at.
    first: Option<Day>,
    /// The delivery of each, by its Monday.
    sent: BTreeMap<Day, String>,
    /// What was sent under a wrong clock may be sent again until then.
    doubtful_until: Option<DateTime<Utc>>,
}

fn monday(day: Day) -> Day {
    day.plus(-(day.weekday() as i32))
}

fn summary(delivery: &Delivery) -> Option<Summary> {
    let notification: Notification = serde_json::from_str(&delivery.notification).unwrap();
    notification.summary
}

impl Scene {
    /// What an evaluation has sent of a week.
    pub(crate) fn check_sent_summaries(&mut self, sent: &[Delivery]) {
        if !self.agrees() {
            if sent.iter().any(|delivery| summary(delivery).is_some()) {
                self.weeks.doubtful_until = Some(self.now + TimeDelta::days(8));
            }
            return;
        }
        let today = Day::of(self.local());
        self.weeks.first.get_or_insert(monday(today));
        for delivery in sent {
            let Some(summary) = summary(delivery) else {
                continue;
            };
            let (first, last) = (monday(today).plus(-7), monday(today).previous());
            let known = self.roll.sum(&Matcher::default(), first, last);
            let total = &summary.total;
            let missing = total.missing_days as usize;
            let is_exact =
                (total.known_credits - known.credits).abs() <= 1e-9 * known.credits.max(1.0);
            if (summary.first_day.parse(), summary.last_day.parse()) != (Ok(first), Ok(last)) {
                self.fail(format!(
                    "{} is sent; expected: {first} through {last}",
                    summary.title
                ));
            }
            if !is_exact || missing < known.missing || missing > known.perhaps_missing {
                self.fail(format!(
                    "the week of {first} has {} credits with {missing} missing; expected: {known:?}",
                    total.known_credits
                ));
            }
            if missing > 0 && today.since(last.next()) < 2 {
                self.fail(format!(
                    "the week of {first} is sent with {missing} missing; expected: later"
                ));
            }
        }
    }

    /// Each week that has ended was sent once, whatever was killed.
    pub(crate) fn check_weeks(&mut self) {
        let week = monday(self.today()).plus(-7);
        let is_due = self.weeks.first.is_some_and(|first| first <= week)
            && self.now - week.plus(7).start() > PATIENCE
            && self.now - self.calm > PATIENCE
            && self.agrees()
            && self
                .weeks
                .doubtful_until
                .is_none_or(|until| until < self.now);
        if !self.plan.has_summary || !is_due || self.weeks.sent.contains_key(&week) {
            return;
        }
        let records = self
            .process()
            .ask(async |ledger| ledger.deliveries(true, 100_000).await.unwrap());
        let mut sent: BTreeMap<Day, Vec<String>> = BTreeMap::new();
        for record in &records {
            if let Some(summary) = summary(&record.delivery) {
                let first = summary.first_day.parse().unwrap();
                sent.entry(first)
                    .or_default()
                    .push(record.delivery.id.to_string());
            }
        }
        for (first, ids) in &sent {
            if ids.len() > 1 && self.weeks.doubtful_until.is_none() {
                self.fail(format!(
                    "the week of {first} was sent as {ids:?}; expected: once"
                ));
            }
        }
        match sent.remove(&week) {
            Some(ids) => {
                self.weeks.sent.insert(week, ids.concat());
            }
            None => self.fail(format!(
                "nothing was sent of the week of {week}; expected: a summary"
            )),
        }
    }
}
