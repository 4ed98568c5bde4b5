//! What a budget is to tell: thresholds of what is used and of what is expected, in the current period
//! and in those that have ended.

use std::hash::{DefaultHasher, Hash, Hasher};

use chrono::{Datelike, NaiveDate, TimeDelta, Weekday};
use flowgent_exporter::day::Day;

use super::oracle::{Ended, Fires, Life, Mark, Measure, Oracle, Sight};
use super::plan::{Budget, Cycle};
use super::roll::Sum;

/// By how much, relatively, figures may differ and be called equal.
const TOLERANCE: f64 = 1e-9;

/// A period of a budget and what is known of it.
struct Period<'a> {
    /// The budget's name and the subject.
    name: &'a str,
    start: Day,
    end: Option<Day>,
    is_current: bool,
    sum: Sum,
    /// What is expected by its end if former and unlisted agents use nothing more, and if they go on.
    expected: Option<(f64, f64)>,
}

impl Oracle {
    pub(crate) fn budget(&mut self, budget: &Budget, sight: &Sight<'_>) {
        for (subject, matcher, credits) in budget.limits(sight.roll) {
            let budget = Budget {
                matcher,
                credits,
                ..budget.clone()
            };
            self.subject(&budget, &subject, sight);
        }
    }

    /// One subject of a budget, whose agents and limit are the `budget`'s.
    fn subject(&mut self, budget: &Budget, subject: &str, sight: &Sight<'_>) {
        let today = sight.today();
        let current = period(budget.cycle, today.previous());
        let watched = self.watched[&budget.name].1;
        let name = format!("{}/{subject}", budget.name);
        self.current.insert((name.clone(), current.0));
        let mut starts = vec![current];
        // Whatever fires in older periods, and those that ended lately, by when it was last looked.
        let away = self.looked.map_or(0, |looked| today.since(looked));
        for days in 1..=24 + away.max(0) {
            let older = period(budget.cycle, today.plus(-1 - days));
            let is_watched = older.1.is_some_and(|end| end >= watched);
            if !starts.contains(&older) && is_watched && self.is_open(&name, budget, older, sight) {
                starts.push(older);
            }
        }
        for (start, end) in starts {
            let is_current = (start, end) == current;
            let is_foreseen =
                !budget.forecast.is_empty() && (is_current || self.foresees(budget, start));
            let passed = end.map_or(today, |end| end.min(today));
            let sum = sight.roll.sum(&budget.matcher, start, passed.previous());
            let period = Period {
                name: &name,
                start,
                end,
                is_current,
                sum,
                expected: end.filter(|_| is_foreseen).and_then(|end| {
                    let days = [start, passed, today];
                    let prospects = sight.roll.prospects(&budget.matcher, days)?;
                    let [low, high] =
                        prospects.map(|one| sum.credits + one.missing + one.until(passed, end));
                    Some((low, high))
                }),
            };
            self.period(budget, &period, sight);
        }
    }

    /// Whether anything may still become of a period that has ended.
    fn is_open(
        &self,
        name: &str,
        budget: &Budget,
        (start, end): (Day, Option<Day>),
        sight: &Sight<'_>,
    ) -> bool {
        let today = sight.today();
        let is_recent = end.is_some_and(|end| today.since(end) <= 9);
        let is_recent_to_us = self
            .ended
            .get(&(name.to_owned(), start))
            .is_none_or(|ended| sight.now - ended.seen <= TimeDelta::days(9));
        let mut lives = self.lives.values();
        is_recent
            || is_recent_to_us
            || lives.any(|life| {
                life.rule == budget.name
                    && life.fires != Fires::No
                    && life.mark.is_some_and(|mark| mark.period == Some(start))
            })
    }

    fn foresees(&self, budget: &Budget, start: Day) -> bool {
        self.lives.values().any(|life| {
            let is_of_it =
                |mark: Mark| mark.measure == Measure::Forecast && mark.period == Some(start);
            life.rule == budget.name && life.fires != Fires::No && life.mark.is_some_and(is_of_it)
        })
    }

    fn period(&mut self, budget: &Budget, period: &Period<'_>, sight: &Sight<'_>) {
        let was_current = self
            .current
            .contains(&(period.name.to_owned(), period.start));
        if !period.is_current {
            let key = (period.name.to_owned(), period.start);
            let known = self.ended.get(&key).copied();
            let was_settled = known.is_some_and(|ended| ended.is_settled);
            let ended = Ended {
                seen: known.map_or(sight.now, |ended| ended.seen),
                settled: known
                    .filter(|_| was_settled)
                    .map_or(sight.now, |ended| ended.settled),
                is_settled: was_settled || sight.agrees,
                is_known: known.is_some_and(|ended| ended.is_known)
                    || sight.agrees && was_settled && period.sum.perhaps_missing == 0,
            };
            self.ended.insert(key, ended);
        }
        let used_at = budget.used.iter().map(|ratio| (Measure::Used, *ratio));
        let forecast_at = budget.forecast.iter();
        let forecast_at = forecast_at.map(|ratio| (Measure::Forecast, *ratio));
        for (measure, ratio) in used_at.chain(forecast_at) {
            let mark = Mark {
                period: Some(period.start),
                subject: number(period.name),
                measure,
                at: ratio,
            };
            let is_forecast = measure == Measure::Forecast;
            let measure = if is_forecast { "forecast" } else { "used" };
            let key = format!("{}/{}/{measure} {ratio}", period.name, period.start);
            let ended = self
                .ended
                .get(&(period.name.to_owned(), period.start))
                .copied();
            if !period.is_current && !self.lives.contains_key(&key) && is_forecast {
                continue;
            }
            let life = self.life(&key, &budget.name, Some(mark), sight.now);
            let limit = ratio * budget.credits;
            // Of one that was never the current one while the exporter ran, nobody need be told.
            let had_settled = !was_current || ended.is_some_and(|ended| ended.is_known);
            if is_forecast {
                forecast(life, period, limit, sight);
            } else {
                used(life, period, limit, had_settled, sight);
            }
            if let Some(ended) = ended.filter(|_| !period.is_current) {
                end_of_period(life, period, ended, sight);
            }
        }
    }
}

/// A number that tells a subject from others.
fn number(subject: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    subject.hash(&mut hasher);
    hasher.finish()
}

fn used(life: &mut Life, period: &Period<'_>, limit: f64, had_settled: bool, sight: &Sight<'_>) {
    let Sum {
        credits,
        missing,
        perhaps_missing,
        known,
    } = period.sum;
    let reason = format!("{credits} of {limit} are used, {missing} days are missing");
    if (credits - limit).abs() <= limit * TOLERANCE
        || (credits - 0.95 * limit).abs() <= limit * TOLERANCE
    {
        life.may_be_either(sight, &reason);
    } else if credits > limit && known > 0 {
        let has_ended = life.has_ended || life.may_have_ended;
        let is_open = period.is_current || !had_settled && !has_ended;
        if is_open {
            life.meet(sight, &reason);
        } else if life.fires == Fires::No && !has_ended {
            // A revision after all was known.
            life.may_be_either(sight, &reason);
        }
    } else if credits < 0.95 * limit && perhaps_missing == 0 {
        life.end(sight, &reason);
    } else if credits < 0.95 * limit && missing == 0 && life.fires == Fires::Yes {
        life.may_be_either(sight, &reason);
    }
}

fn forecast(life: &mut Life, period: &Period<'_>, limit: f64, sight: &Sight<'_>) {
    let today = sight.today();
    let is_over = period.end.is_some_and(|end| end <= today);
    let Some((low, high)) = period.expected else {
        return;
    };
    let is_below = high < 0.95 * limit * (1.0 - TOLERANCE);
    let may_be_below = low < 0.95 * limit * (1.0 + TOLERANCE);
    if !sight.agrees {
        if high >= limit * (1.0 - TOLERANCE) {
            // What begins to fire now has not been clear before.
            life.note_below(today, (may_be_below, is_below));
            if life.fires == Fires::No {
                life.may_be_either(sight, "it may be expected");
            }
        }
        return;
    }
    let reason = format!("{low} to {high} of {limit} are expected");
    life.note_below(today, (may_be_below, is_below));
    if low >= limit * (1.0 + TOLERANCE) && !is_over {
        life.meet(sight, &reason);
    } else if high >= limit * (1.0 - TOLERANCE) && !is_over && life.fires == Fires::No {
        life.may_be_either(sight, &reason);
    } else if is_below || may_be_below {
        life.end_after_three_days(sight, &reason);
    }
}

/// What fires in a period that is not the current one any more is over when all is known and it has
/// fired for a day, at the latest after a week.
fn end_of_period(life: &mut Life, period: &Period<'_>, ended: Ended, sight: &Sight<'_>) {
    if life.fires == Fires::No && !life.has_ended {
        return;
    }
    let may_be_past = sight.now - ended.seen >= TimeDelta::days(7);
    if !sight.agrees {
        if may_be_past {
            // A hook that is new is not told of it.
            life.may_be_either(sight, "its period is past");
        }
        return;
    }
    let has_fired = sight.now - life.since >= TimeDelta::hours(24);
    let may_have_fired = sight.now - life.maybe_since >= TimeDelta::hours(24);
    let fired_long_ago = |since| sight.now - since >= TimeDelta::hours(49);
    let has_fired_long = life.certain_since.is_some_and(fired_long_ago);
    let is_fresh = life
        .certain_since
        .is_some_and(|since| !fired_long_ago(since));
    if period.sum.perhaps_missing == 0 && has_fired && life.fires == Fires::Yes
        || !is_fresh && sight.now - ended.settled >= TimeDelta::days(8)
    {
        life.set(Fires::No, sight.now, "its period is over");
        life.has_ended = true;
    } else if period.sum.missing == 0 && may_have_fired || may_be_past {
        life.may_be_either(sight, "its period may be over");
        life.may_have_ended = true;
        if has_fired_long && period.sum.perhaps_missing == 0 {
            life.set(Fires::No, sight.now, "its period is over");
            life.has_ended = true;
        }
    }
}

/// Start and end of the period that `day` lies in, found day by day.
pub(crate) fn period(cycle: Cycle, day: Day) -> (Day, Option<Day>) {
    if let Cycle::Total(start) = cycle {
        return (start, None);
    }
    let date = day.date();
    let before = date.iter_days().rev().position(|date| begins(cycle, date));
    let after = date
        .iter_days()
        .skip(1)
        .position(|date| begins(cycle, date));
    let days = |days: Option<usize>| i32::try_from(days.unwrap()).unwrap();
    (day.plus(-days(before)), Some(day.plus(days(after) + 1)))
}

fn begins(cycle: Cycle, date: NaiveDate) -> bool {
    match cycle {
        Cycle::Day => true,
        Cycle::Week => date.weekday() == Weekday::Mon,
        Cycle::Month(anchor) => {
            let is_last = || date.succ_opt().unwrap().day() == 1;
            date.day() == anchor || (date.day() < anchor && is_last())
        }
        Cycle::Total(_) => false,
    }
}
