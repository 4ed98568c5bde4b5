//! The other direction: agents that are used less for a while, or not at all, and what rules are to tell of that.

use std::collections::BTreeMap;

use fastrand::Rng;
use flowgent_exporter::day::Day;

use super::oracle::Fires;
use super::plan::AgentId;
use super::roll::Known;

/// So many of the days before its silence an agent must have been used, and so many days these are.
const USED_DAYS: usize = 4;
const DAYS_BEFORE: i32 = 28;

/// Which agents are used less than usual.
#[derive(Debug)]
pub(crate) struct Lulls {
    random: Rng,
    /// Until which day, which share of the usual is used, and in how many of ten days at all.
    lulls: BTreeMap<AgentId, (Day, f64, u8)>,
}

impl Lulls {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: Rng::with_seed(seed.rotate_left(17)),
            lulls: BTreeMap::new(),
        }
    }

    /// What the agent uses on the day, if it uses `credits` in other times.
    pub(crate) fn lessen(&mut self, id: AgentId, day: Day, credits: f64) -> f64 {
        let random = &mut self.random;
        if self.lulls.get(&id).is_none_or(|(until, ..)| *until < day) {
            if random.f64() * 100.0 >= 2.0 {
                return credits;
            }
            let (days, share, used) = [
                (1..9, 0.0, 10),
                (2..6, 0.1, 10),
                (1..4, 0.25, 10),
                (20..50, 0.0, 10),
                (20..60, 1.0, 2),
            ][random.usize(..5)]
            .clone();
            self.lulls
                .insert(id, (day.plus(random.i32(days)), share, used));
        }
        let (_, share, used) = self.lulls[&id];
        let is_used = random.u8(..10) < used;
        if is_used {
            (credits * share * 4.0).round() / 4.0
        } else {
            0.0
        }
    }
}

impl Known {
    /// What was used on the day, without what probes used.
    fn unprobed(&self, day: Day) -> Option<f64> {
        Some(self.without_probes(day, self.days.get(day)?))
    }

    /// The same if all that was used are these `credits`.
    pub(crate) fn without_probes(&self, day: Day, credits: f64) -> f64 {
        let probed = self.probed.get(&day).copied().unwrap_or(0.0);
        (credits - probed).max(0.0)
    }

    /// Whether a settled day is far below the usual; none if nobody can say.
    pub(crate) fn drops(&self, day: Day, factor: f64, floor: f64) -> Option<Fires> {
        let usual = self.median(day, |day| self.unprobed(day))?;
        let drops = self.unprobed(day)? < factor * usual && usual > floor;
        Some(if drops { Fires::Yes } else { Fires::No })
    }

    /// Whether nothing was used on the `days` days that end with `day`, after days of use; none if nobody can say.
    pub(crate) fn is_silent(&self, day: Day, days: i32) -> Option<Fires> {
        let mut is_known = true;
        for day in day.plus(1 - days).through(day) {
            match self.unprobed(day) {
                Some(credits) if credits > 0.0 => return Some(Fires::No),
                Some(_) => {}
                None => is_known = false,
            }
        }
        let before = day.plus(1 - days - DAYS_BEFORE).through(day.plus(-days));
        let (mut used, mut unknown) = (0, 0);
        for day in before {
            match self.unprobed(day) {
                Some(credits) => used += usize::from(credits > 0.0),
                None => unknown += 1,
            }
        }
        if used + unknown < USED_DAYS {
            return is_known.then_some(Fires::No);
        }
        (is_known && used >= USED_DAYS).then_some(Fires::Yes)
    }
}
