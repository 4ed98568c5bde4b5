//! What budgets of several agents come to, by the simulator's truth.

use chrono::{DateTime, TimeDelta, Utc};
use flowgent_exporter::day::Day;
use flowgent_exporter::forecast::Outlook;
use flowgent_exporter::simulator::Agent;

use super::Scene;

/// Several agents, and the day that it is for them. Every day before it is known, of the last
/// sixteen weeks and of all periods that are asked about.
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

    /// What is expected of a day to come.
    fn expected(&self, day: Day) -> f64 {
        let agents = self.agents.iter();
        agents
            .map(|agent| self.scene.pattern(agent, self.today).expected_credits(day))
            .sum()
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
        let mut outlook = Outlook::default();
        for agent in &self.agents {
            outlook.add(&self.scene.pattern(agent, self.today), left.iter().copied());
        }
        let forecast = outlook.forecast(used);
        (
            forecast.low_credits,
            forecast.expected_credits,
            forecast.high_credits,
        )
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
