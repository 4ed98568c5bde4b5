//! What is expected of agents, by the exporter's own patterns of their known days.

use flowgent_exporter::day::{Day, Usage};
use flowgent_exporter::forecast::{PATTERN_DAYS, Pattern};

use super::plan::Matcher;
use super::roll::{Known, Presence, Roll};

/// Credits expected of some agents together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Prospect {
    /// On the days of each that have passed and are missing.
    pub(crate) missing: f64,
    /// On Monday through Sunday.
    week: [f64; 7],
}

/// Without and with what former, unlisted and moved agents may use.
pub(crate) type Prospects = [Prospect; 2];

impl Prospect {
    pub(crate) fn on(&self, day: Day) -> f64 {
        self.week[day.weekday()]
    }

    /// On all days from `first` up to, but not including, `end`.
    pub(crate) fn until(&self, first: Day, end: Day) -> f64 {
        first.through(end.previous()).map(|day| self.on(day)).sum()
    }
}

impl Roll {
    /// What is expected of those who match as of the day `today`, if their days count from `start` up to, but
    /// not including, `passed`; none if nothing is.
    pub(super) fn look_ahead(
        &self,
        matcher: &Matcher,
        [start, passed, today]: [Day; 3],
    ) -> Option<Prospects> {
        let mut prospects = Prospects::default();
        let mut is_foreseen = false;
        for same in self.matching(matcher).values() {
            let on = |day: Day| same.iter().find_map(|known| known.days.get(day));
            let Some(week) = week(same, today) else {
                continue;
            };
            is_foreseen = true;
            let missing = start
                .through(passed.previous())
                .filter(|day| on(*day).is_none());
            let missing: f64 = missing.map(|day| week[day.weekday()]).sum();
            let is_certain = same[0].presence == Presence::Present && same.len() == 1;
            for (place, prospect) in prospects.iter_mut().enumerate() {
                if place == 1 || is_certain {
                    prospect.missing += missing;
                    for (sum, credits) in prospect.week.iter_mut().zip(week) {
                        *sum += credits;
                    }
                }
            }
        }
        is_foreseen.then_some(prospects)
    }
}

/// What is expected of an identifier on Monday through Sunday, which several accounts may have.
fn week(same: &[&Known], today: Day) -> Option<[f64; 7]> {
    let [known] = same else {
        return look(
            |day| same.iter().find_map(|known| known.days.get(day)),
            today,
        );
    };
    let mut kept = known.week.borrow_mut();
    if kept.is_none_or(|(day, _)| day != today) {
        *kept = Some((today, look(|day| known.days.get(day), today)));
    }
    kept.and_then(|(_, week)| week)
}

fn look(on: impl Fn(Day) -> Option<f64>, today: Day) -> Option<[f64; 7]> {
    let usage = |day| {
        let credits = on(day)?;
        Some(Usage { day, credits })
    };
    let recent = today.plus(-PATTERN_DAYS).through(today.previous());
    let recent: Vec<Usage> = recent.filter_map(usage).collect();
    let pattern = Pattern::of(&recent, today)?;
    let mut week = [0.0; 7];
    for day in today.through(today.plus(6)) {
        week[day.weekday()] = pattern.expected_credits(day);
    }
    Some(week)
}
