//! Tests of the room, and the world that they share.

mod balances;
mod days;
mod deliveries;
mod engine;
mod episodes;
mod former;
mod judge;
mod machine;
mod message;
mod observe;
mod pending;
mod probes;
mod properties;
mod quiet;
mod repeats;
mod rule;
mod silences;
mod subjects;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::machine::Step;
use super::memory::Memory;
use super::*;
use crate::budget::{Cycle, Period, Standing};
use crate::day::{Day, TRACKING_START};
use crate::forecast::Forecast;
use crate::ledger::{AlertChanges, AlertMemory, AlertState, Ledger, Member, Watched};
use crate::roster::{Agent, Matcher, Pattern};
use crate::telemetry::Telemetry;
use crate::window::plan::Policy;

const MONTH: Cycle = Cycle::Month { anchor_day: 1 };

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn agent(account: &str, name: &str) -> Agent {
    Agent {
        account: account.into(),
        id: format!("id-{name}").into(),
        name: name.into(),
        labels: Arc::new([("team".to_owned(), "cx".to_owned())].into()),
    }
}

/// These agents with the numbers that a ledger gives them.
async fn register(ledger: &Ledger, agents: &[(&str, &str)]) -> Arc<[Member]> {
    let agents = agents.iter().map(|(account, name)| agent(account, name));
    let agents: Vec<Agent> = agents.collect();
    let identity = |agent: &Agent| (Arc::clone(&agent.account), Arc::clone(&agent.id));
    let numbers = ledger.register(agents.iter().map(identity).collect()).await;
    let members = agents.into_iter().zip(numbers.unwrap());
    members
        .map(|(agent, number)| Member::present(agent, number))
        .collect()
}

fn open(folder: &tempfile::TempDir) -> Ledger {
    let policy = Policy {
        history_start: TRACKING_START,
        settle_days: 3,
    };
    Ledger::open(&folder.path().join("ledger.db"), policy, &Telemetry::new()).unwrap()
}

/// These agents as members of some ledger.
fn members(agents: &[(&str, &str)]) -> Arc<[Member]> {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(register(&open(&folder), agents))
}

/// A rule about all agents that tells the hook `ops`.
fn rule(name: &str, check: Check) -> Rule {
    Rule {
        name: name.into(),
        matcher: Matcher::default(),
        check,
        hooks: vec!["ops".into()],
        repeat: None,
    }
}

fn used(ratio: f64) -> Threshold {
    Threshold {
        measure: Measure::Used,
        at: ratio,
        severity: Severity::Warning,
    }
}

fn expected(ratio: f64) -> Threshold {
    Threshold {
        measure: Measure::Forecast,
        ..used(ratio)
    }
}

fn critical(threshold: Threshold) -> Threshold {
    Threshold {
        severity: Severity::Critical,
        ..threshold
    }
}

fn budget(name: &str, cycle: Cycle, limit_credits: f64, thresholds: &[Threshold]) -> Rule {
    let check = Check::Budget {
        limits: limit_credits.into(),
        per: None,
        cycle,
        thresholds: thresholds.to_vec(),
    };
    rule(name, check)
}

fn route(hook: &str) -> Route {
    Route {
        hook: hook.into(),
        identity: hook.to_owned(),
        group: true,
        tracks: false,
        send_resolved: true,
        targets: vec![String::new()],
        repeat: None,
        repeats_itself: false,
    }
}

fn settings(rules: Vec<Rule>) -> Settings {
    Settings {
        accounts: vec!["acme".into()],
        rules,
        probes: Vec::new(),
        summaries: Vec::new(),
        routes: vec![route("ops")],
        dashboard_url: None,
    }
}

/// These rules, watched as they are since then.
fn watched(rules: &[Rule], since: &str) -> HashMap<Arc<str>, Watched> {
    let watched = rules.iter().map(|rule| {
        let watched = Watched {
            since: at(since),
            definition: rule.definition(),
            evaluated: Some(Day::of(at(since))),
            open_periods: Vec::new(),
            agents: BTreeMap::new(),
        };
        (Arc::clone(&rule.name), watched)
    });
    watched.collect()
}

/// Facts without an agent.
fn facts(today: &str) -> Facts {
    Facts {
        today: day(today),
        accounts: BTreeSet::new(),
        agents: Vec::new(),
        members: Arc::default(),
        left: Vec::new(),
        others: HashMap::new(),
        budgets: HashMap::new(),
        balances: HashMap::new(),
        watched_from: HashMap::new(),
        unseeded: HashSet::new(),
        has_synced: false,
        judged: Arc::default(),
        probes: ProbeFacts::default(),
        unsettled: HashMap::new(),
        access: Arc::default(),
    }
}

/// Agents of which nothing is known yet on 23 November.
fn unread(agents: &[(&str, &str)]) -> Vec<AgentFacts> {
    let members = members(agents);
    let unread = |member| AgentFacts::unread(member, day("2026-11-23"));
    members.iter().map(unread).collect()
}

impl AgentFacts {
    /// Has the agent used these credits yesterday.
    fn used(&mut self, credits: Option<f64>) {
        self.used_on(1, credits);
    }

    /// Has it used them that many days ago.
    fn used_on(&mut self, days_ago: usize, credits: Option<f64>) {
        self.days[self.days.len() - days_ago].known = Known {
            credits,
            missing_days: u32::from(credits.is_none()),
        };
    }

    /// Makes this usual yesterday.
    fn usually(&mut self, credits: Option<f64>) {
        self.days[self.days.len() - 1].usual_credits = credits;
    }
}

/// A budget in its current period.
fn current(standing: Standing) -> PeriodFacts {
    PeriodFacts {
        subject: "all".into(),
        agent: None,
        standing,
        over_since: None,
    }
}

/// A budget in a period whose end was first seen then.
fn over_since(standing: Standing, since: &str) -> PeriodFacts {
    PeriodFacts {
        subject: "all".into(),
        agent: None,
        standing,
        over_since: Some(at(since)),
    }
}

/// A budget of 5,000 credits in November 2026.
fn november(used_credits: f64) -> Standing {
    Standing {
        period: Period {
            start: day("2026-11-01"),
            end: Some(day("2026-12-01")),
        },
        limit_credits: 5_000.0,
        used_credits: Some(used_credits),
        missing_days: 0,
        forecast: None,
        exhausted_at: None,
        pace_credits_per_day: None,
        top: Vec::new(),
        agents: 3,
    }
}

fn forecast(expected_credits: f64) -> Option<Forecast> {
    Some(Forecast {
        expected_credits,
        low_credits: expected_credits - 150.0,
        high_credits: expected_credits + 150.0,
    })
}

/// These credits, of all days.
fn known(credits: f64) -> Known {
    Known {
        credits: Some(credits),
        missing_days: 0,
    }
}

fn usage_rule(span: Span, per: Per) -> Check {
    Check::Usage {
        span,
        per,
        over_credits: 1_000.0,
        hysteresis: 0.1,
        severity: Severity::Warning,
    }
}

const SPIKE: Check = Check::Spike {
    factor: 3.0,
    floor_credits: 100.0,
    severity: Severity::Warning,
};

const MISSING: Check = Check::MissingData {
    longer_than: Duration::from_secs(6 * 3600),
    severity: Severity::Warning,
};

/// Remembers alerts from one evaluation to the next, as the engine does.
struct Stage {
    settings: Settings,
    memory: Memory,
}

impl Stage {
    fn new(settings: Settings) -> Self {
        Self {
            settings,
            memory: Memory::default(),
        }
    }

    fn step(&mut self, facts: &Facts, now: DateTime<Utc>) -> Step {
        self.step_if(facts, now, true)
    }

    /// A step, with the day known for certain or not.
    fn step_if(&mut self, facts: &Facts, now: DateTime<Utc>, is_certain: bool) -> Step {
        self.step_by(facts, now, is_certain, true)
    }

    /// A step on a clock that nothing has confirmed yet.
    fn step_unchecked(&mut self, facts: &Facts, now: DateTime<Utc>) -> Step {
        self.step_by(facts, now, false, false)
    }

    fn step_by(
        &mut self,
        facts: &Facts,
        now: DateTime<Utc>,
        is_certain: bool,
        is_checked: bool,
    ) -> Step {
        let background = Background {
            now,
            today: facts.today,
            is_certain,
            is_checked,
            has_synced: facts.has_synced,
            watched: Arc::clone(&self.memory.watched),
            judged: Arc::clone(&self.memory.judged),
            access: Arc::clone(&facts.access),
            firing: self.memory.firing(),
        };
        let facts = Facts {
            members: facts
                .agents
                .iter()
                .map(|facts| facts.member.clone())
                .collect(),
            judged: Arc::clone(&self.memory.judged),
            ..facts.clone()
        };
        let verdict = super::decide::decide(&self.settings, &facts, &self.memory, &background);
        self.memory.apply(AlertChanges {
            changed: verdict.step.changed.clone(),
            forgotten: verdict.step.forgotten.clone(),
            ..verdict.changes
        });
        verdict.step
    }

    /// Content of messages: the identity of each alert, and its status.
    fn told(&mut self, facts: &Facts, now: &str) -> Vec<String> {
        let step = self.step(facts, at(now));
        let shown = step.told.iter().map(|told| {
            let sign = match told.notice.status {
                Status::Firing => '+',
                Status::Resolved => '-',
            };
            format!("{sign}{}", told.notice.key)
        });
        shown.collect()
    }

    /// Alerts in this state, as the text of their subjects and thresholds.
    fn all(&self, state: AlertState) -> Vec<String> {
        let alerts = self.memory.alerts.values();
        let alerts = alerts.filter(|alert| alert.state == state);
        alerts
            .map(|alert| format!("{} {}", alert.key.subject, alert.key.threshold))
            .collect()
    }

    /// Forgets all but what the ledger keeps.
    fn restart(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        self.memory = Memory::from(AlertMemory {
            alerts: memory.alerts.into_values().collect(),
            watched: HashMap::clone(&memory.watched),
            judged: HashMap::clone(&memory.judged),
            summaries: memory.summaries,
        });
    }
}
