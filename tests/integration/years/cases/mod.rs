//! What was seen to go wrong once, each by itself on a scene of its own.

mod clocks;
mod days;
mod episodes;
mod hooks;
mod members;
mod periods;

use std::collections::BTreeMap;
use std::ops::Range;

use chrono::{DateTime, TimeDelta, Utc};
use flowgent_exporter::day::Day;

use super::life::checks::{Check, Rule};
use super::life::flowgent::Organisation;
use super::life::plan::{Account, Agent, AgentId, Budget, Cycle, Hook, Matcher, Plan};
use super::life::scene::{Scene, http};

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn at(text: &str) -> DateTime<Utc> {
    format!("{text}:00Z").parse().unwrap()
}

fn agent(id: u32) -> Agent {
    Agent {
        id: AgentId(id),
        name: format!("agent-{id}"),
        team: "front".to_owned(),
    }
}

fn hook(name: &str) -> Hook {
    Hook {
        name: name.to_owned(),
        target: name.to_owned(),
        send_resolved: true,
        group: false,
        quiet: None,
        repeat: None,
    }
}

fn budget(credits: f64, cycle: Cycle, used: &[f64], forecast: &[f64]) -> Budget {
    Budget {
        name: "budget".to_owned(),
        matcher: Matcher::default(),
        credits,
        per: None,
        named: Vec::new(),
        cycle,
        used: used.to_vec(),
        forecast: forecast.to_vec(),
        hooks: vec!["ops".to_owned()],
    }
}

fn rule(check: Check) -> Rule {
    Rule {
        name: "rule".to_owned(),
        matcher: Matcher::default(),
        check,
        hooks: vec!["ops".to_owned()],
    }
}

/// One account with so many agents, of whom nothing is said yet.
fn plan(history_start: &str, agents: u32) -> Plan {
    Plan {
        history_start: day(history_start),
        accounts: vec![Account {
            name: "acme".to_owned(),
            organisation: "acme".to_owned(),
            team: "front".to_owned(),
            discover: false,
            has_file: false,
            agents: (0..agents).map(agent).collect(),
        }],
        budgets: Vec::new(),
        balances: Vec::new(),
        has_summary: false,
        probes: Vec::new(),
        rules: Vec::new(),
        usual_rules: Vec::new(),
        hooks: vec![hook("ops")],
        repeats: BTreeMap::new(),
    }
}

/// A scene that starts at `now`, with the use of every agent on the days from `first` on.
fn scene(
    plan: Plan,
    now: &str,
    first: &str,
    last: &str,
    credits: impl Fn(u32, Day) -> f64,
) -> Scene {
    scene_of(plan, 0..0, now, (first, last), credits)
}

/// The same where these agents are listed.
fn scene_of(
    plan: Plan,
    listed: Range<u32>,
    now: &str,
    (first, last): (&str, &str),
    credits: impl Fn(u32, Day) -> f64,
) -> Scene {
    let mut scene = Scene::new(plan, at(now), &http());
    fastrand::seed(1);
    let organisation = Organisation::default();
    scene
        .flowgent
        .state()
        .organisations
        .insert("acme".to_owned(), organisation);
    scene.discover(listed);
    for id in 0..8 {
        for day in day(first).through(day(last)) {
            scene.use_credits(id, day, credits(id, day));
        }
    }
    scene.start();
    scene.turn();
    scene
}

impl Scene {
    /// Lives on until `until`: midnight, poll, noon and evening of each day, and once then.
    fn live(&mut self, until: &str) {
        let until = at(until);
        while self.now < until {
            let midnight = self.today().start();
            let moments = [5, 605, 43_200, 75_600, 86_405]
                .map(|seconds| midnight + TimeDelta::seconds(seconds));
            let next = moments
                .into_iter()
                .find(|moment| *moment > self.now)
                .unwrap();
            self.go(next.min(until));
            self.turn();
        }
    }

    /// What a receiver was told: when, of which alert, and whether it fires.
    fn told(&self, target: &str) -> Vec<(String, String, bool)> {
        let mut floor = self.office.floor();
        let heard = floor.desk(target).heard.iter();
        let told = heard.map(|(key, word)| {
            let at = word.at.format("%Y-%m-%d").to_string();
            (at, key.clone(), word.fires)
        });
        told.collect()
    }

    /// The last thing that a receiver was told of an alert.
    fn last(&self, target: &str, key: &str) -> Option<bool> {
        self.office.floor().word(target, key).map(|word| word.fires)
    }

    /// What is wrong is told with what had happened.
    fn must_be_right(&self) {
        let failures = self.failures.join("\n");
        assert!(
            self.failures.is_empty(),
            "{failures}\nbefore that:\n{}",
            self.log.join("\n")
        );
    }

    fn discover(&mut self, ids: Range<u32>) {
        let mut state = self.flowgent.state();
        let listed = ids
            .map(|id| (AgentId(id), format!("listed-{id}")))
            .collect();
        state.organisations.get_mut("acme").unwrap().listed = listed;
    }
}

/// The days on which a hook was told that alerts of these thresholds fire or are over.
fn days(told: &[(String, String, bool)], threshold: &str, fires: bool) -> Vec<String> {
    let told = told
        .iter()
        .filter(|(_, key, is)| key.ends_with(threshold) && *is == fires);
    told.map(|(at, _, _)| at.clone()).collect()
}

/// An exporter of which a budget fires.
fn firing() -> Scene {
    let mut plan = plan("2026-01-01", 1);
    plan.budgets
        .push(budget(1_000.0, Cycle::Month(1), &[0.5, 1.0], &[]));
    let mut scene = scene(
        plan,
        "2026-01-02T10:00",
        "2025-12-01",
        "2026-03-31",
        |_, _| 100.0,
    );
    scene.live("2026-01-06T12:00");
    assert_eq!(
        scene.last("ops", "budget/all/2026-01-01/used 0.5"),
        Some(true)
    );
    scene
}
