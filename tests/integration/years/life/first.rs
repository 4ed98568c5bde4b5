//! The config that a year begins with.

use std::collections::BTreeMap;

use fastrand::Rng;
use flowgent_exporter::day::Day;

use super::checks::{Check, Rule};
use super::plan::{Account, Agent, AgentId, Budget, Cycle, Hook, Matcher, Per, Plan};

pub(crate) fn agent(id: u32, team: &str) -> Agent {
    Agent {
        id: AgentId(id),
        name: format!("agent-{id}"),
        team: team.to_owned(),
    }
}

pub(crate) fn hook(name: &str, target: &str) -> Hook {
    Hook {
        name: name.to_owned(),
        target: target.to_owned(),
        send_resolved: true,
        group: false,
        quiet: None,
        repeat: None,
    }
}

pub(crate) fn rule(name: &str, check: Check, hooks: &[&str]) -> Rule {
    Rule {
        name: name.to_owned(),
        matcher: Matcher::default(),
        check,
        hooks: hooks.iter().map(|hook| (*hook).to_owned()).collect(),
    }
}

/// Rules about the other direction.
pub(crate) fn directions() -> [Rule; 2] {
    let (factor, floor) = (0.3, 10.0);
    [
        rule("drop", Check::Drop { factor, floor }, &["pager", "night"]),
        rule("silent", Check::Silent { days: 3 }, &["pager", "chat"]),
    ]
}

pub(crate) fn rules() -> Vec<Rule> {
    vec![
        rule(
            "busy-day",
            Check::Day {
                over: 150.0,
                hysteresis: 0.2,
            },
            &["pager", "bills"],
        ),
        rule(
            "busy-week",
            Check::Week {
                over: 1_300.0,
                hysteresis: 0.1,
            },
            &["pager", "chat"],
        ),
        rule(
            "spike",
            Check::Spike {
                factor: 3.0,
                floor: 20.0,
            },
            &["pager", "night"],
        ),
        rule("stale", Check::Missing { hours: 30 }, &["pager", "chat"]),
        rule("keys", Check::Key, &["pager", "chat", "night"]),
        rule("agents", Check::Agent, &["pager"]),
    ]
}

/// Budgets with a limit for each team or account.
pub(crate) fn limits(random: &mut Rng) -> [Budget; 2] {
    let size = 0.6 + 0.8 * random.f64();
    let budget =
        |name: &str, per, credits: f64, named: (&str, f64), cycle, hooks: &[&str]| Budget {
            name: name.to_owned(),
            matcher: Matcher::default(),
            credits: (credits * size).round(),
            per: Some(per),
            named: vec![(named.0.to_owned(), (named.1 * size).round())],
            cycle,
            used: vec![0.5, 0.8, 1.0],
            forecast: vec![1.0],
            hooks: hooks.iter().map(|hook| (*hook).to_owned()).collect(),
        };
    let week = ("back", 1_800.0);
    let month = ("acme", 4_000.0);
    [
        budget(
            "team-week",
            Per::Team,
            1_200.0,
            week,
            Cycle::Week,
            &["pager", "bills"],
        ),
        budget(
            "account-month",
            Per::Account,
            3_000.0,
            month,
            Cycle::Month(1),
            &["chat", "night"],
        ),
    ]
}

pub(crate) fn plan(random: &mut Rng, first: Day, history_days: i32) -> Plan {
    let account = |name: &str, team: &str, discover, agents: Vec<Agent>| Account {
        name: name.to_owned(),
        organisation: name.to_owned(),
        team: team.to_owned(),
        discover,
        has_file: name == "initech",
        agents,
    };
    let budget = |name: &str,
                  team: Option<&str>,
                  credits: f64,
                  cycle,
                  used: &[f64],
                  forecast: &[f64],
                  hooks: &[&str]| Budget {
        name: name.to_owned(),
        matcher: Matcher {
            account: None,
            team: team.map(str::to_owned),
        },
        credits: credits.round(),
        per: None,
        named: Vec::new(),
        cycle,
        used: used.to_vec(),
        forecast: forecast.to_vec(),
        hooks: hooks.iter().map(|hook| (*hook).to_owned()).collect(),
    };
    let size = 0.6 + 0.8 * random.f64();
    let anchor = [1, 15, 31][random.usize(..3)];
    let mut night = hook("night", "night");
    night.quiet = Some((22, 7));
    let mut bills = hook("bills", "bills");
    bills.send_resolved = false;
    let mut chat = hook("chat", "chat");
    chat.group = true;
    Plan {
        history_start: first.plus(-history_days),
        accounts: vec![
            account(
                "acme",
                "front",
                false,
                (0..4).map(|id| agent(id, "front")).collect(),
            ),
            account("globex", "back", true, Vec::new()),
            account(
                "umbra",
                "back",
                false,
                (8..11).map(|id| agent(id, "back")).collect(),
            ),
            account("initech", "front", false, Vec::new()),
        ],
        budgets: vec![
            budget(
                "all-month",
                None,
                14_000.0 * size,
                Cycle::Month(anchor),
                &[0.5, 0.8, 0.9, 1.0],
                &[0.8, 1.0],
                &["pager", "chat", "night"],
            ),
            budget(
                "front-week",
                Some("front"),
                1_200.0 * size,
                Cycle::Week,
                &[0.8, 1.0],
                &[1.0],
                &["pager", "bills"],
            ),
            budget(
                "back-day",
                Some("back"),
                350.0 * size,
                Cycle::Day,
                &[1.0, 2.0],
                &[],
                &["chat"],
            ),
            budget(
                "ever",
                Some("front"),
                60_000.0 * size,
                Cycle::Total(first.plus(-30)),
                &[0.1, 0.3, 0.6, 0.9],
                &[],
                &["night", "pager"],
            ),
        ],
        balances: Vec::new(),
        has_summary: false,
        probes: Vec::new(),
        rules: rules(),
        usual_rules: rules(),
        hooks: vec![hook("pager", "pager"), chat, night, bills],
        repeats: BTreeMap::new(),
    }
}
