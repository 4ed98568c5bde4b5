//! What budgets of several agents come to, by the simulator's truth.

use chrono::{DateTime, TimeDelta, Utc};
use flowgent_exporter::day::Day;
use flowgent_exporter::simulator::Agent;

use super::Scene;

/// Several agents, and the day that it is for them. Every day before it is known, of the last eight
/// weeks and of all periods that are asked about.
pub struct Team<'a> {
    pub scene: &'a Scene,
    pub agents: Vec<Agent>,
    pub today: Day,
}

impl Team<'_> {
    /// Credits that they use on a day.
    fn on(&self, day: Day) -> f64 {
        let agents = self.agents.iter();
        agents.fold(0.0, |sum, agent| sum + self.scene.truth(agent, day))
    }

    /// Credits that they use on the days `first` through `last`.
    pub fn used(&self, first: Day, last: Day) -> f64 {
        first.through(last).fold(0.0, |sum, day| sum + self.on(day))
    }

    /// The same by agent, the most first.
    pub fn top(&self, first: Day, last: Day) -> Vec<(&Agent, f64)> {
        let used = |agent| (agent, self.scene.sum(agent, first, last));
        let mut top: Vec<(&Agent, f64)> = self.agents.iter().map(used).collect();
        top.sort_by(|one, other| other.1.total_cmp(&one.1));
        top
    }

    /// The mean of a day's weekday over the eight weeks before today.
    fn expected(&self, day: Day) -> f64 {
        let weekday = day.since(self.today).rem_euclid(7);
        let weeks = (1..=8).map(|weeks| self.on(self.today.plus(weekday - 7 * weeks)));
        weeks.sum::<f64>() / 8.0
    }

    /// Credits a day that are expected from today on.
    pub fn pace(&self) -> f64 {
        let week = self.today.through(self.today.plus(6));
        week.map(|day| self.expected(day)).sum::<f64>() / 7.0
    }

    /// What is expected of the period from `first` up to, but not including, `end`: the low bound, the
    /// expectation and the high bound.
    pub fn forecast(&self, first: Day, end: Day) -> (f64, f64, f64) {
        let used = self.used(first, end.min(self.today).previous());
        let left: Vec<Day> = self.today.through(end.previous()).collect();
        let expected = left.iter().fold(0.0, |sum, day| sum + self.expected(*day));
        let stray = self.stray(left.len() as f64);
        (
            used + (expected - stray).max(0.0),
            used + expected,
            used + expected + stray,
        )
    }

    /// By how much so many days to come may stray from what is expected.
    fn stray(&self, days: f64) -> f64 {
        let residual = |day: Day| self.on(day) - self.expected(day);
        let weeks: Vec<Vec<f64>> = (-8..0)
            .map(|week| {
                let first = self.today.plus(7 * week);
                first.through(first.plus(6)).map(residual).collect()
            })
            .collect();
        let days_squared: f64 = weeks
            .iter()
            .flatten()
            .map(|residual| residual.powi(2))
            .sum();
        let sums = weeks.iter().map(|week| week.iter().sum::<f64>());
        let weeks_squared: f64 = sums.map(|sum| sum.powi(2)).sum();
        // Eight weeks less the seven means that were made of them.
        let variance = days_squared.max(weeks_squared) / 49.0;
        1.28 * (variance * days * (1.0 + days / 7.0)).sqrt()
    }

    /// When use reaches `limit` in that period, or is expected to.
    pub fn exhausted_at(&self, first: Day, end: Day, limit: f64) -> Option<DateTime<Utc>> {
        let mut used = 0.0;
        for day in first.through(end.previous()) {
            let credits = if day < self.today {
                self.on(day)
            } else {
                self.expected(day)
            };
            if used + credits >= limit {
                let part = (limit - used) / credits * 86_400_000.0;
                return Some(day.start() + TimeDelta::milliseconds(part.round() as i64));
            }
            used += credits;
        }
        None
    }
}
