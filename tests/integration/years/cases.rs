//! What was seen to go wrong once, each by itself on a scene of its own.

use std::ops::Range;

use chrono::{DateTime, TimeDelta, Utc};
use flowgent_exporter::day::Day;

use super::life::flowgent::{Glitch, Organisation};
use super::life::plan::{Account, Agent, AgentId, Budget, Check, Cycle, Hook, Matcher, Plan, Rule};
use super::life::receivers::Reply;
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
    }
}

fn budget(credits: f64, cycle: Cycle, used: &[f64], forecast: &[f64]) -> Budget {
    Budget {
        name: "budget".to_owned(),
        matcher: Matcher::default(),
        credits,
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
            agents: (0..agents).map(agent).collect(),
        }],
        budgets: Vec::new(),
        rules: Vec::new(),
        hooks: vec![hook("ops")],
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

// Told over, then over the line again.

#[test]
fn a_budget_told_over_is_told_again_when_it_crosses_again() {
    let mut plan = plan("2026-01-01", 1);
    plan.budgets
        .push(budget(2_500.0, Cycle::Month(1), &[0.5, 0.8, 1.0], &[]));
    let mut scene = scene(
        plan,
        "2026-01-02T10:00",
        "2025-12-01",
        "2026-02-10",
        |_, _| 100.0,
    );
    // 2,600 is said for a day, and corrected.
    scene.flowgent.state().miscount(
        AgentId(0),
        day("2026-01-04"),
        2_300.0,
        at("2026-01-06T00:05"),
    );
    scene.live("2026-02-01T12:00");
    let told = scene.told("ops");
    assert_eq!(days(&told, "used 1", true), ["2026-01-05", "2026-01-26"]);
    assert_eq!(days(&told, "used 1", false)[0], "2026-01-06");
    assert_eq!(days(&told, "used 0.8", true), ["2026-01-21"]);
    assert_eq!(days(&told, "used 0.5", true), ["2026-01-14"]);
    scene.must_be_right();
}

#[test]
fn a_forecast_told_over_is_told_again_when_use_is_heavy_again() {
    let mut plan = plan("2025-09-01", 1);
    plan.budgets
        .push(budget(3_000.0, Cycle::Month(1), &[], &[1.0]));
    let heavy = |day: Day| {
        day >= self::day("2025-11-19")
            || (self::day("2025-11-01")..=self::day("2025-11-05")).contains(&day)
    };
    let mut scene = scene(
        plan,
        "2025-11-01T10:00",
        "2025-09-01",
        "2025-12-31",
        |_, day| {
            if day < self::day("2025-11-01") {
                90.0
            } else if heavy(day) {
                260.0
            } else {
                0.0
            }
        },
    );
    scene.live("2025-11-30T12:00");
    let told = scene.told("ops");
    assert_eq!(days(&told, "forecast 1", true).len(), 2, "{told:?}");
    assert_eq!(days(&told, "forecast 1", false).len(), 1, "{told:?}");
    scene.must_be_right();
}

#[test]
fn a_forecast_is_over_after_three_days_in_a_row_below_its_threshold() {
    let mut plan = plan("2025-09-01", 1);
    plan.budgets
        .push(budget(3_000.0, Cycle::Month(1), &[], &[1.0]));
    let mut scene = scene(
        plan,
        "2025-11-03T10:00",
        "2025-09-01",
        "2025-12-31",
        |_, day| {
            if day < self::day("2025-11-04") {
                105.0
            } else {
                30.0
            }
        },
    );
    scene.live("2025-11-25T12:00");
    let told = scene.told("ops");
    assert_eq!(days(&told, "forecast 1", true), ["2025-11-03"]);
    let over = days(&told, "forecast 1", false);
    assert_eq!(over.len(), 1, "{told:?}");
    scene.must_be_right();
}

#[test]
fn a_covered_threshold_is_told_when_the_higher_one_is_over() {
    let mut plan = plan("2026-01-01", 1);
    plan.budgets
        .push(budget(1_000.0, Cycle::Month(1), &[0.5, 1.0], &[]));
    let mut scene = scene(
        plan,
        "2026-01-02T10:00",
        "2025-12-01",
        "2026-02-10",
        |_, _| 10.0,
    );
    scene.use_credits(0, day("2026-01-02"), 700.0);
    scene.flowgent.state().miscount(
        AgentId(0),
        day("2026-01-02"),
        1_200.0,
        at("2026-01-04T00:05"),
    );
    scene.live("2026-01-03T12:00");
    assert_eq!(
        scene.last("ops", "budget/all/2026-01-01/used 1"),
        Some(true)
    );
    assert_eq!(scene.last("ops", "budget/all/2026-01-01/used 0.5"), None);
    scene.live("2026-01-04T12:00");
    assert_eq!(
        scene.last("ops", "budget/all/2026-01-01/used 1"),
        Some(false)
    );
    assert_eq!(
        scene.last("ops", "budget/all/2026-01-01/used 0.5"),
        Some(true)
    );
    scene.must_be_right();
}

#[test]
fn a_threshold_stays_while_use_is_within_5_percent_of_it() {
    let mut plan = plan("2026-01-01", 1);
    plan.budgets
        .push(budget(1_000.0, Cycle::Month(1), &[1.0], &[]));
    let mut scene = scene(
        plan,
        "2026-01-02T10:00",
        "2025-12-01",
        "2026-02-10",
        |_, _| 0.0,
    );
    scene.use_credits(0, day("2026-01-02"), 960.0);
    scene.flowgent.state().miscount(
        AgentId(0),
        day("2026-01-02"),
        1_010.0,
        at("2026-01-04T00:05"),
    );
    scene.live("2026-01-20T12:00");
    assert_eq!(scene.told("ops").len(), 1);
    scene.must_be_right();
}

// What is spent stays spent.

#[test]
fn a_deleted_agent_does_not_end_an_alert() {
    let mut plan = plan("2026-01-01", 0);
    plan.accounts[0].discover = true;
    plan.budgets
        .push(budget(3_000.0, Cycle::Month(1), &[1.0], &[]));
    let days = ("2025-12-01", "2026-02-20");
    let mut scene = scene_of(plan, 0..2, "2026-01-02T10:00", days, |id, _| {
        100.0 + 60.0 * f64::from(id)
    });
    scene.live("2026-01-15T12:00");
    assert_eq!(
        scene.last("ops", "budget/all/2026-01-01/used 1"),
        Some(true)
    );
    scene.flowgent.state().denied.insert(AgentId(1));
    scene.discover(0..1);
    scene.live("2026-01-31T12:00");
    assert_eq!(
        scene.last("ops", "budget/all/2026-01-01/used 1"),
        Some(true)
    );
    assert_eq!(scene.told("ops").len(), 1, "{:?}", scene.told("ops"));
    scene.must_be_right();
}

#[test]
fn an_agent_that_is_taken_out_of_the_config_keeps_its_days() {
    let mut plan = plan("2026-01-01", 2);
    plan.budgets
        .push(budget(3_000.0, Cycle::Month(1), &[1.0], &[]));
    let mut scene = scene(
        plan,
        "2026-01-02T10:00",
        "2025-12-01",
        "2026-02-20",
        |id, _| 100.0 + 60.0 * f64::from(id),
    );
    scene.live("2026-01-15T12:00");
    scene.edit("an agent goes", |plan| {
        plan.accounts[0].agents.pop();
    });
    scene.live("2026-01-25T12:00");
    assert_eq!(scene.told("ops").len(), 1, "{:?}", scene.told("ops"));
    scene.must_be_right();
}

#[test]
fn days_of_a_renamed_account_count_once() {
    let mut plan = plan("2026-01-01", 2);
    plan.budgets
        .push(budget(3_000.0, Cycle::Month(1), &[0.8, 1.0], &[]));
    let mut scene = scene(
        plan,
        "2026-01-02T10:00",
        "2025-12-01",
        "2026-02-20",
        |_, _| 60.0,
    );
    scene.live("2026-01-15T12:00");
    scene.edit("the account is renamed", |plan| {
        plan.accounts[0].name = "acme-eu".to_owned()
    });
    scene.live("2026-01-25T12:00");
    let told = scene.told("ops");
    assert_eq!(days(&told, "used 0.8", true), ["2026-01-21"]);
    assert_eq!(days(&told, "used 1", true), Vec::<String>::new());
    scene.must_be_right();
}

#[test]
fn an_edited_match_ends_what_fires() {
    let mut plan = plan("2026-01-01", 2);
    plan.accounts[0].agents[1].team = "back".to_owned();
    plan.budgets
        .push(budget(1_000.0, Cycle::Month(1), &[1.0], &[]));
    let mut scene = scene(
        plan,
        "2026-01-02T10:00",
        "2025-12-01",
        "2026-02-20",
        |id, _| 10.0 + 190.0 * f64::from(id),
    );
    scene.live("2026-01-10T12:00");
    assert_eq!(
        scene.last("ops", "budget/all/2026-01-01/used 1"),
        Some(true)
    );
    scene.edit("the budget is about others", |plan| {
        plan.budgets[0].matcher.team = Some("front".to_owned())
    });
    scene.live("2026-01-11T12:00");
    assert_eq!(
        scene.last("ops", "budget/all/2026-01-01/used 1"),
        Some(false)
    );
    scene.must_be_right();
}

// Listings that shrink.

fn listed() -> Scene {
    let mut plan = plan("2026-01-01", 0);
    plan.accounts[0].discover = true;
    plan.budgets
        .push(budget(800.0, Cycle::Month(1), &[1.0], &[]));
    let days = ("2025-12-01", "2026-02-20");
    let mut scene = scene_of(plan, 0..5, "2026-01-02T10:00", days, |_, _| 10.0);
    scene.live("2026-01-20T20:00");
    assert_eq!(
        scene.last("ops", "budget/all/2026-01-01/used 1"),
        Some(true)
    );
    scene
}

#[test]
fn one_short_listing_ends_nothing() {
    let mut scene = listed();
    let glitch = |scene: &mut Scene, glitch| {
        scene
            .flowgent
            .state()
            .organisations
            .get_mut("acme")
            .unwrap()
            .glitch = glitch;
    };
    glitch(&mut scene, Some(Glitch::Short(4)));
    scene.live("2026-01-21T20:00");
    glitch(&mut scene, None);
    scene.live("2026-01-31T20:00");
    assert_eq!(scene.told("ops").len(), 1, "{:?}", scene.told("ops"));
    scene.must_be_right();
}

#[test]
fn a_listing_that_says_that_it_is_not_whole_lets_nobody_leave() {
    let mut scene = listed();
    let whole = Some(Glitch::NotWhole(4));
    scene
        .flowgent
        .state()
        .organisations
        .get_mut("acme")
        .unwrap()
        .glitch = whole;
    scene.live("2026-01-31T20:00");
    assert_eq!(scene.process().members().len(), 5);
    assert_eq!(scene.told("ops").len(), 1, "{:?}", scene.told("ops"));
    scene.must_be_right();
}

#[test]
fn who_is_missing_from_the_listings_is_neither_refused_nor_missing() {
    let mut scene = listed();
    scene.edit("rules", |plan| {
        plan.rules.push(rule(Check::Agent));
        plan.rules.push(Rule {
            name: "stale".to_owned(),
            ..rule(Check::Missing { hours: 12 })
        });
    });
    scene.flowgent.state().denied.insert(AgentId(4));
    scene.discover(0..4);
    scene.live("2026-01-31T20:00");
    assert_eq!(scene.told("ops").len(), 1, "{:?}", scene.told("ops"));
    assert_eq!(scene.process().members().len(), 4);
    scene.must_be_right();
}

// Each day is judged when it is known.

#[test]
fn a_day_that_comes_after_the_next_midnight_is_judged() {
    let mut plan = plan("2026-01-01", 1);
    plan.rules.push(rule(Check::Day {
        over: 1_000.0,
        hysteresis: 0.1,
    }));
    let mut scene = scene(
        plan,
        "2026-01-10T10:00",
        "2025-12-01",
        "2026-02-20",
        |_, _| 10.0,
    );
    scene.use_credits(0, day("2026-01-12"), 5_000.0);
    scene
        .flowgent
        .state()
        .hide(AgentId(0), day("2026-01-12"), at("2026-01-14T06:00"));
    scene.live("2026-01-20T12:00");
    let told: Vec<_> = scene
        .told("ops")
        .into_iter()
        .map(|(at, _, fires)| (at, fires))
        .collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].1 && !told[1].1, "{told:?}");
    scene.must_be_right();
}

#[test]
fn a_spike_that_comes_late_is_held_against_its_own_weeks() {
    let mut plan = plan("2025-10-01", 1);
    plan.rules.push(rule(Check::Spike {
        factor: 3.0,
        floor: 20.0,
    }));
    let mut scene = scene(
        plan,
        "2026-01-10T10:00",
        "2025-10-01",
        "2026-02-20",
        |_, _| 10.0,
    );
    scene.use_credits(0, day("2026-01-12"), 500.0);
    scene
        .flowgent
        .state()
        .hide(AgentId(0), day("2026-01-12"), at("2026-01-15T06:00"));
    scene.live("2026-01-20T12:00");
    assert_eq!(scene.told("ops").len(), 2, "{:?}", scene.told("ops"));
    scene.must_be_right();
}

#[test]
fn a_day_that_is_revised_within_a_week_is_judged_again() {
    let mut plan = plan("2026-01-01", 1);
    plan.rules.push(rule(Check::Day {
        over: 1_000.0,
        hysteresis: 0.1,
    }));
    let mut scene = scene(
        plan,
        "2026-01-10T10:00",
        "2025-12-01",
        "2026-02-20",
        |_, _| 10.0,
    );
    scene.use_credits(0, day("2026-01-12"), 5_000.0);
    scene
        .flowgent
        .state()
        .miscount(AgentId(0), day("2026-01-12"), 10.0, at("2026-01-14T06:00"));
    scene.live("2026-01-20T12:00");
    assert_eq!(scene.told("ops").len(), 2, "{:?}", scene.told("ops"));
    scene.must_be_right();
}

// The history reaches back by itself.

#[test]
fn a_period_that_begins_before_the_history_start_is_fetched() {
    let mut plan = plan("2026-02-10", 1);
    plan.budgets
        .push(budget(2_000.0, Cycle::Month(1), &[0.9], &[]));
    let scene = scene(
        plan,
        "2026-02-20T10:00",
        "2026-01-01",
        "2026-02-28",
        |_, _| 100.0,
    );
    assert_eq!(scene.told("ops").len(), 1, "{:?}", scene.told("ops"));
    scene.must_be_right();
}

// The end of a period.

#[test]
fn a_period_ends_when_all_its_days_are_known() {
    let mut plan = plan("2026-01-01", 2);
    plan.budgets
        .push(budget(2_800.0, Cycle::Month(1), &[0.5, 1.0], &[]));
    let mut scene = scene(
        plan,
        "2026-01-02T10:00",
        "2025-12-01",
        "2026-02-20",
        |_, _| 50.0,
    );
    for number in 27..=31 {
        scene.flowgent.state().hide(
            AgentId(0),
            day(&format!("2026-01-{number}")),
            at("2026-02-04T06:00"),
        );
    }
    scene.live("2026-02-03T12:00");
    assert_eq!(
        scene.last("ops", "budget/all/2026-01-01/used 0.5"),
        Some(true)
    );
    assert_eq!(
        scene.last("ops", "budget/all/2026-01-01/used 1"),
        Some(true)
    );
    scene.live("2026-02-08T12:00");
    assert_eq!(
        scene.last("ops", "budget/all/2026-01-01/used 1"),
        Some(false)
    );
    assert_eq!(
        scene
            .told("ops")
            .iter()
            .filter(|(_, key, _)| key.contains("2026-01-01"))
            .count(),
        4
    );
    scene.must_be_right();
}

#[test]
fn an_exporter_that_was_off_for_ten_days_tells_what_was_crossed_in_a_periods_last_days() {
    let mut plan = plan("2026-01-01", 1);
    plan.budgets
        .push(budget(3_000.0, Cycle::Month(1), &[1.0], &[]));
    let mut scene = scene(
        plan,
        "2026-01-02T10:00",
        "2025-12-01",
        "2026-02-20",
        |_, day| {
            if day == self::day("2026-01-31") {
                200.0
            } else {
                97.0
            }
        },
    );
    scene.live("2026-01-30T20:00");
    scene.kill();
    scene.go(at("2026-02-09T20:00"));
    scene.start();
    scene.turn();
    assert_eq!(
        scene.last("ops", "budget/all/2026-01-01/used 1"),
        Some(true)
    );
    scene.live("2026-02-11T22:00");
    assert_eq!(
        scene.last("ops", "budget/all/2026-01-01/used 1"),
        Some(false)
    );
    scene.must_be_right();
}

#[test]
fn at_least_is_said_where_days_are_missing() {
    let mut plan = plan("2026-01-01", 2);
    plan.budgets
        .push(budget(1_000.0, Cycle::Month(1), &[0.5], &[]));
    let mut scene = scene(
        plan,
        "2026-01-02T10:00",
        "2025-12-01",
        "2026-02-20",
        |_, _| 100.0,
    );
    scene
        .flowgent
        .state()
        .hide(AgentId(1), day("2026-01-02"), at("2026-01-10T06:00"));
    scene.live("2026-01-06T12:00");
    let titles: Vec<String> = scene
        .office
        .floor()
        .desk("ops")
        .heard
        .iter()
        .map(|(_, word)| word.title.clone())
        .collect();
    assert_eq!(titles.len(), 1);
    assert!(titles[0].contains("at least"), "{titles:?}");
    scene.must_be_right();
}

// Clocks.

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

#[test]
fn a_clock_20_days_ahead_blocks_no_delivery() {
    let mut scene = firing();
    scene.close_desk("ops", at("2026-01-11T06:00"));
    scene.live("2026-01-11T00:12");
    // The crossing of 100 % waits for its receiver, and is tried while our clock is wrong.
    scene.set_clock(TimeDelta::days(20));
    for seconds in [20, 400, 4_000] {
        scene.go(at("2026-01-11T00:12") + TimeDelta::seconds(seconds));
        scene.turn();
    }
    scene.set_clock(TimeDelta::zero());
    scene.live("2026-01-13T12:00");
    assert_eq!(
        scene.last("ops", "budget/all/2026-01-01/used 1"),
        Some(true)
    );
    scene.must_be_right();
}

#[test]
fn a_clock_40_days_ahead_ends_nothing() {
    let mut scene = firing();
    scene.live("2026-01-12T12:00");
    let told = scene.told("ops");
    scene.set_clock(TimeDelta::days(40));
    scene.live("2026-01-13T15:00");
    scene.set_clock(TimeDelta::zero());
    scene.live("2026-01-20T12:00");
    assert_eq!(scene.told("ops"), told);
    scene.must_be_right();
}

#[test]
fn a_clock_30_days_ahead_gives_no_message_up() {
    let mut scene = firing();
    scene.close_desk("ops", at("2026-01-14T06:00"));
    scene.live("2026-01-12T12:00");
    scene.set_clock(TimeDelta::days(31));
    scene.live("2026-01-12T18:00");
    scene.set_clock(TimeDelta::zero());
    scene.live("2026-01-16T12:00");
    assert_eq!(
        scene.last("ops", "budget/all/2026-01-01/used 1"),
        Some(true)
    );
    scene.must_be_right();
}

#[test]
fn days_that_were_fetched_under_a_clock_that_ran_ahead_are_asked_for_again() {
    // Thirty days ahead of 10 January: one window ends with it, and the next one is not to be had.
    let mut plan = plan("2025-12-11", 1);
    plan.rules.push(rule(Check::Key));
    let mut scene = Scene::new(plan, at("2026-01-11T10:00"), &http());
    scene
        .flowgent
        .state()
        .organisations
        .insert("acme".to_owned(), Organisation::default());
    for day in day("2025-12-01").through(day("2026-02-20")) {
        scene.use_credits(0, day, 10.0);
    }
    scene
        .flowgent
        .state()
        .miscount(AgentId(0), day("2026-01-10"), 70.0, at("2026-01-12T06:00"));
    scene.set_clock(TimeDelta::days(20));
    scene.start();
    scene.turn();
    scene.set_clock(TimeDelta::zero());
    scene.live("2026-01-18T12:00");
    scene.check_truth();
    scene.must_be_right();
}

// Hooks that change.

#[test]
fn a_hook_that_is_taken_out_of_a_rule_is_told_so() {
    let mut scene = firing();
    scene.edit("the budget tells nobody", |plan| {
        plan.budgets[0].hooks.clear()
    });
    scene.live("2026-01-07T12:00");
    assert_eq!(
        scene.last("ops", "budget/all/2026-01-01/used 0.5"),
        Some(false)
    );
    scene.must_be_right();
}

#[test]
fn a_renamed_hook_takes_over_what_was_told() {
    let mut scene = firing();
    scene.edit("the hook is renamed", |plan| {
        plan.hooks[0].name = "operations".to_owned();
        plan.budgets[0].hooks = vec!["operations".to_owned()];
    });
    scene.live("2026-01-08T12:00");
    assert_eq!(scene.told("ops").len(), 1, "{:?}", scene.told("ops"));
    scene.live("2026-02-05T12:00");
    assert_eq!(
        scene.last("ops", "budget/all/2026-01-01/used 0.5"),
        Some(false)
    );
    scene.must_be_right();
}

#[test]
fn an_added_hook_learns_what_fires() {
    let mut scene = firing();
    scene.edit("a hook is added", |plan| {
        plan.hooks.push(hook("new"));
        plan.budgets[0].hooks.push("new".to_owned());
    });
    scene.live("2026-01-07T12:00");
    assert_eq!(
        scene.last("new", "budget/all/2026-01-01/used 0.5"),
        Some(true)
    );
    assert_eq!(scene.told("ops").len(), 1, "{:?}", scene.told("ops"));
    scene.must_be_right();
}

#[test]
fn a_hook_that_was_gone_learns_the_truth_when_it_is_back() {
    let mut scene = firing();
    scene.edit("the hook is gone", |plan| {
        plan.hooks[0] = hook("other");
        plan.budgets[0].hooks = vec!["other".to_owned()];
    });
    scene.live("2026-01-07T12:00");
    assert_eq!(scene.told("ops").len(), 1, "{:?}", scene.told("ops"));
    scene.edit("the budget is larger", |plan| {
        plan.budgets[0].credits = 100_000.0
    });
    scene.live("2026-01-08T12:00");
    scene.edit("the hook is back", |plan| {
        plan.hooks.push(hook("ops"));
        plan.budgets[0].hooks.push("ops".to_owned());
    });
    scene.live("2026-01-09T12:00");
    assert_eq!(
        scene.last("ops", "budget/all/2026-01-01/used 0.5"),
        Some(false)
    );
    scene.must_be_right();
}

// Missing data, and receivers that are down for long.

#[test]
fn missing_data_counts_what_a_first_start_could_not_get() {
    let mut plan = plan("2026-01-01", 2);
    plan.rules.push(rule(Check::Missing { hours: 30 }));
    let mut scene = scene(
        plan,
        "2026-01-10T10:00",
        "2025-12-01",
        "2026-02-20",
        |_, _| 10.0,
    );
    scene.must_be_right();
    drop(scene);
    let mut plan = self::plan("2026-01-01", 2);
    plan.rules.push(rule(Check::Missing { hours: 30 }));
    scene = Scene::new(plan, at("2026-01-10T10:00"), &http());
    scene
        .flowgent
        .state()
        .organisations
        .insert("acme".to_owned(), Organisation::default());
    for id in 0..2 {
        for day in day("2025-12-01").through(day("2026-02-20")) {
            scene.use_credits(id, day, 10.0);
        }
    }
    scene
        .flowgent
        .state()
        .hide(AgentId(1), day("2026-01-05"), at("2026-02-01T00:00"));
    scene.start();
    scene.turn();
    scene.live("2026-01-14T12:00");
    assert_eq!(scene.last("ops", "rule/acme/agent-1"), Some(true));
    scene.must_be_right();
}

#[test]
fn the_last_word_is_tried_daily_after_the_tenth_try() {
    let mut scene = firing();
    scene.close_desk("ops", at("2026-01-25T06:00"));
    scene.live("2026-01-28T12:00");
    assert_eq!(
        scene.last("ops", "budget/all/2026-01-01/used 1"),
        Some(true)
    );
    scene.must_be_right();
}

#[test]
fn a_message_that_was_taken_before_a_kill_is_sent_again_with_its_id() {
    let mut scene = firing();
    scene.office.floor().desk("ops").replies = vec![Reply::TakeAndKill];
    scene.live("2026-01-12T12:00");
    assert_eq!(scene.restarts, 1);
    let messages = scene.office.floor().messages;
    assert_eq!((messages, scene.told("ops").len()), (3, 2));
    scene.must_be_right();
}
