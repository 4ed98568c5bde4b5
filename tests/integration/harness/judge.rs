//! Compares what is published, and what is kept, with the truth.

use std::fmt::Write;

use flowgent_exporter::day::{Day, TRACKING_START, Usage};
use flowgent_exporter::forecast::{PATTERN_DAYS, Pattern};
use flowgent_exporter::ledger::Ledger;
use flowgent_exporter::simulator::Agent;
use flowgent_exporter::telemetry::Telemetry;
use flowgent_exporter::window::plan::Policy;

use super::{Scene, Scrape, run};

/// The families that speak of days up to yesterday.
pub const DAY_BOUND: [&str; 5] = [
    "previous_day_credits",
    "previous_7_days_credits",
    "previous_30_days_credits",
    "month_to_date_credits",
    "previous_month_credits",
];

impl Scene {
    /// The days that a day-bound family covers today: the first and the last, which lies before the
    /// first if there is none.
    fn covered(&self, family: &str) -> (Day, Day) {
        let today = self.today();
        let month = today.month_start();
        let yesterday = today.previous();
        match family {
            "previous_day_credits" => (yesterday, yesterday),
            "previous_7_days_credits" => (today.plus(-7), yesterday),
            "previous_30_days_credits" => (today.plus(-30), yesterday),
            "month_to_date_credits" => (month, yesterday),
            _ => (month.previous().month_start(), month.previous()),
        }
    }

    /// The true value of a day-bound family.
    pub fn figure(&self, agent: &Agent, family: &str) -> f64 {
        let (first, last) = self.covered(family);
        self.sum(agent, first, last)
    }

    /// The pattern of the agent's true days before `today`.
    pub fn pattern(&self, agent: &Agent, today: Day) -> Pattern {
        let days = today
            .plus(-PATTERN_DAYS)
            .max(TRACKING_START)
            .through(today.previous());
        let usage = |day| Usage {
            day,
            credits: self.truth(agent, day),
        };
        Pattern::of(&days.map(usage).collect::<Vec<_>>(), today).unwrap()
    }

    /// What is expected of the current month once the last sixteen weeks are known. How a pattern is made is
    /// tested beside it, by its definition.
    fn forecast(&self, agent: &Agent) -> f64 {
        let (today, used) = (self.today(), self.figure(agent, "month_to_date_credits"));
        let days = (0..31).map(|days| today.plus(days));
        let left = days.filter(|day| day.month_start() == today.month_start());
        self.pattern(agent, today)
            .forecast(used, left)
            .expected_credits
    }

    /// What is published and not true, a line each. What is absent is no lie. The counter must be the
    /// sum through the frontier that is published with it.
    pub fn untruths(&self, scrape: &Scrape) -> String {
        self.differences(scrape, |_| false)
    }

    /// What is published and not true, and what is absent that must be there once all is known.
    pub fn gaps(&self, scrape: &Scrape) -> String {
        self.differences(scrape, |_| true)
    }

    /// The same for one agent.
    pub fn gaps_of(&self, agent: &Agent, scrape: &Scrape) -> String {
        self.differences(scrape, |other| other.id == agent.id)
    }

    fn differences(&self, scrape: &Scrape, must_be_there: impl Fn(&Agent) -> bool) -> String {
        let mut lines = String::new();
        for agent in &self.agents() {
            let mut compare = |family: &str, expected: &dyn Fn() -> f64| {
                let found = scrape.of(agent, family);
                let wrong = match found {
                    None => must_be_there(agent),
                    Some(found) => found.to_bits() != expected().to_bits(),
                };
                if wrong {
                    let (account, name) = (&agent.account, &agent.name);
                    writeln!(lines, "{account}/{name} {family} is {found:?}").unwrap();
                }
            };
            for family in DAY_BOUND {
                compare(family, &|| self.figure(agent, family));
            }
            let frontier = scrape.of(agent, "complete_through_timestamp_seconds");
            let end = |day: Day| day.end().timestamp() as f64;
            if let Some(frontier) = frontier {
                let last = TRACKING_START
                    .through(self.today().previous())
                    .find(|day| end(*day).to_bits() == frontier.to_bits())
                    .unwrap_or_else(|| panic!("no day ends at {frontier}"));
                compare("used_credits_total", &|| {
                    self.sum(agent, TRACKING_START, last)
                });
            }
            if must_be_there(agent) {
                let yesterday = self.today().previous();
                compare("complete_through_timestamp_seconds", &|| end(yesterday));
                compare("known_through_timestamp_seconds", &|| end(yesterday));
                compare("missing_days", &|| 0.0);
                compare("forecast_month_credits", &|| self.forecast(agent));
                compare("up", &|| 1.0);
            }
        }
        lines
    }

    /// What the ledger in that file holds of each agent, day by day. No exporter may have it open.
    pub async fn kept(&self, file: &str, agents: &[Agent]) -> Vec<Vec<(Day, f64)>> {
        let policy = Policy {
            history_start: TRACKING_START,
            settle_days: 3,
        };
        let ledger = Ledger::open(&self.path(file), policy, &Telemetry::new()).unwrap();
        let mut kept = Vec::new();
        for agent in agents {
            let identity = (agent.account.clone(), agent.id.clone());
            let number = ledger.register(vec![identity]).await.unwrap()[0];
            let usage = ledger.usage(number, TRACKING_START, self.today()).await;
            let days = usage.unwrap().into_iter().map(|u| (u.day, u.credits));
            kept.push(days.collect());
        }
        ledger.close().await;
        kept
    }

    /// The ledger is sound and holds, of every agent, every day through yesterday with its true value,
    /// with nothing ever revised. No exporter may run.
    pub async fn assert_ledger_is_the_truth(&self) {
        self.assert_truth_in("ledger.db").await;
    }

    /// The same for the ledger in another file, which the config names.
    pub async fn assert_truth_in(&self, file: &str) {
        let agents = self.agents();
        let kept = self.kept(file, &agents).await;
        for (agent, kept) in agents.iter().zip(kept) {
            let days = TRACKING_START.through(self.today().previous());
            let truth: Vec<_> = days.map(|day| (day, self.truth(agent, day))).collect();
            assert_eq!(kept, truth, "{}/{}", agent.account, agent.name);
        }
        let days = agents.len() * self.today().since(TRACKING_START).unsigned_abs() as usize;
        let found = self.check_ledger().await.replace(',', "");
        let expected = format!("{} agents {days} days 0 revisions", agents.len());
        assert_eq!(found, expected);
    }

    /// What `ledger check` counts in a ledger that it finds sound.
    pub async fn check_ledger(&self) -> String {
        let output = run(self, &["ledger", "check"]).await;
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{text}");
        let (_, counts) = text.trim_end().split_once(" is sound: ").unwrap();
        counts.to_owned()
    }
}
