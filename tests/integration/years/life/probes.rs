//! Probes, as `docs/probes.md` promises them: each time is asked for once, none is made up for, and what their rules
//! are to tell.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use flowgent_exporter::day::Day;
use flowgent_exporter::ledger::{ProbeOutcome, ProbeRun};

use super::checks::{Check, Rule};
use super::first::rule;
use super::oracle::{Life, Oracle, Sight};
use super::plan::{AgentId, Plan};
use super::process::Killed;
use super::scene::Scene;
use super::talk::{COST, Ran};

/// A time is asked for this long after it at most.
const GRACE: TimeDelta = TimeDelta::seconds(60);
/// The runs that are kept of each probe.
const KEPT: usize = 10;
/// The failures in a row that the hooks of a probe hear of.
const TIMES: usize = 3;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Probe {
    pub(crate) name: String,
    account: String,
    agent: AgentId,
    /// Its time on every day.
    pub(crate) at: TimeDelta,
    /// Whether the reply must be an OK.
    expects: bool,
    pub(crate) hooks: Vec<String>,
}

/// A run of a probe.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    probe: String,
    account: String,
    /// The time that it was for.
    planned: DateTime<Utc>,
    /// Whether our clock was right then.
    is_certain: bool,
    ran: Ran,
}

impl Probe {
    pub(crate) fn toml(&self) -> String {
        let Self {
            name,
            account,
            agent,
            at,
            expects,
            hooks,
        } = self;
        let (hour, minute) = (at.num_hours(), at.num_minutes() % 60);
        let expect = if *expects {
            "expect = { regex = \"^OK$\" }\n"
        } else {
            ""
        };
        format!(
            "[[probe]]\nname = {name:?}\naccount = {account:?}\nagent = \"{agent}\"\nmessage = {name:?}\n\
             cron = \"0 {minute} {hour} * * *\"\ntimeout = \"20s\"\nhooks = {hooks:?}\n{expect}"
        )
    }

    /// Its latest time.
    fn latest(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let today = Day::of(now).start() + self.at;
        if today <= now {
            today
        } else {
            today - TimeDelta::days(1)
        }
    }

    /// How a question of it ended.
    const fn judge(&self, ran: Ran) -> Ran {
        match ran {
            Ran::Replies(_) if !self.expects => Ran::Replies(true),
            ran => ran,
        }
    }
}

impl Plan {
    /// The probes that a year with them begins with, and the rules about them.
    pub(crate) fn probe(&mut self) {
        let probe =
            |name: &str, account: &str, id, (hour, minute): (i64, i64), expects, hooks: &[&str]| {
                Probe {
                    name: name.to_owned(),
                    account: account.to_owned(),
                    agent: AgentId(id),
                    at: TimeDelta::minutes(hour * 60 + minute),
                    expects,
                    hooks: hooks.iter().map(|hook| (*hook).to_owned()).collect(),
                }
            };
        self.probes = vec![
            probe(
                "first-replies",
                "acme",
                1,
                (6, 7),
                false,
                &["pager", "chat"],
            ),
            probe("second-replies", "acme", 2, (18, 20), true, &["night"]),
            probe("listed-replies", "globex", 5, (12, 40), true, &["pager"]),
        ];
        let rules = [
            rule("replies", Check::Probe { times: 2 }, &["chat", "bills"]),
            rule("no-credits", Check::NoCredits, &["pager", "night"]),
        ];
        self.rules.extend(rules.clone());
        self.usual_rules.extend(rules);
    }
}

impl Scene {
    /// Has probes run that are due, and holds what they ask and keep.
    pub(crate) fn probe(&mut self) {
        if self.plan.probes.is_empty() {
            return;
        }
        let is_known = self.process().is_day_known();
        let killed = Arc::clone(&self.ground.killed);
        let probed = self.process().probe(&killed);
        let asked = std::mem::take(&mut self.flowgent.state().talk.asked);
        for (name, ran) in asked {
            self.note(format!("{name} asks, which ends as {ran:?}"));
            self.take_in_run(&name, ran);
        }
        if let Err(Killed) = probed {
            self.restart();
        }
        let is_well = self.agrees() && is_known && probed.is_ok();
        for probe in self.plan.probes.clone() {
            let planned = probe.latest(self.now);
            let is_due = self.calm.max(self.astray) < planned && self.now - planned < GRACE;
            let mut own = self.runs.iter().filter(|run| run.probe == probe.name);
            if is_well && is_due && !own.any(|run| run.planned == planned) {
                self.fail(format!(
                    "{} was not asked for {planned}; expected: once",
                    probe.name
                ));
            }
        }
        self.check_runs();
    }

    fn take_in_run(&mut self, name: &str, ran: Ran) {
        let probe = self.plan.probes.iter().find(|probe| probe.name == name);
        let probe = probe.expect("nobody else asks").clone();
        let planned = probe.latest(self.now);
        let is_certain = self.agrees();
        let mut own = self.runs.iter().filter(|run| run.probe == name);
        let before = own.find(|run| run.planned == planned && run.is_certain);
        if is_certain && let Some(before) = before {
            self.fail(format!(
                "{name} was asked for {planned} after {before:?}; expected: once"
            ));
        }
        if is_certain && (self.now - planned > GRACE || self.started >= planned) {
            self.fail(format!(
                "{name} was asked at {}; expected: not for {planned}, in a process since {}",
                self.now, self.started
            ));
        }
        let key = (probe.account.clone(), probe.agent);
        if let (Ran::Replies(_), Some(known)) = (ran, self.roll.agents.get_mut(&key)) {
            *known.probed.entry(Day::of(self.now)).or_default() += COST;
        }
        self.runs.push(Run {
            probe: probe.name.clone(),
            account: probe.account.clone(),
            planned,
            is_certain,
            ran: probe.judge(ran),
        });
    }

    /// The ten newest runs of each probe are kept, and no others.
    fn check_runs(&mut self) {
        let kept = self
            .process()
            .ask(async |ledger| ledger.probe_runs().await.unwrap());
        for probe in self.plan.probes.clone() {
            let own = kept.iter().filter(|run| *run.planned.probe == *probe.name);
            let own: Vec<Option<Ran>> = own.map(ended).collect();
            let those = self.runs.iter().rev().filter(|run| run.probe == probe.name);
            let those: Vec<Option<Ran>> = those.take(KEPT).map(|run| Some(run.ran)).collect();
            if own != those {
                self.fail(format!(
                    "{} has kept {own:?}; expected: {those:?}",
                    probe.name
                ));
            }
        }
    }
}

/// How a run ended that is kept; none if it has not.
fn ended(run: &ProbeRun) -> Option<Ran> {
    Some(match run.result.as_ref()?.outcome {
        ProbeOutcome::Success => Ran::Replies(true),
        ProbeOutcome::Unexpected => Ran::Replies(false),
        ProbeOutcome::NoCredits => Ran::NoCredits,
        ProbeOutcome::Interrupted => Ran::Killed,
        _ => Ran::Fails,
    })
}

impl Oracle {
    /// The alerts of a probe that has hooks.
    pub(crate) fn probe(&mut self, probe: &Probe, sight: &Sight<'_>) {
        let Probe { name, account, .. } = probe;
        let life = self.life(&format!("{name}/{name}"), name, None, sight.now);
        fails(life, &results(name, false, sight), TIMES, sight);
        let life = self.life(&format!("{name}/{account}"), name, None, sight.now);
        // Who is asked by others than this probe counts where a reply shows that the account has credits.
        let is_of = |run: &Run| {
            let replies = matches!(run.ran, Ran::Replies(_)) && run.account == *account;
            replies || run.probe == *name
        };
        match last_word(is_of, sight) {
            Some(Ran::Replies(_)) => life.end(sight, "an agent of the account replies"),
            Some(_) => life.meet(sight, "its account has no credits"),
            None => {}
        }
    }

    /// A rule about failures of each probe.
    pub(crate) fn failing(&mut self, rule: &Rule, times: usize, sight: &Sight<'_>) {
        for Probe { name, .. } in &sight.plan.probes {
            let life = self.life(
                &format!("{}/{name}", rule.name),
                &rule.name,
                None,
                sight.now,
            );
            fails(life, &results(name, true, sight), times, sight);
        }
    }

    /// A rule about the credits of each account that is probed.
    pub(crate) fn without_credits(&mut self, rule: &Rule, sight: &Sight<'_>) {
        for Probe { account, .. } in &sight.plan.probes {
            let life = self.life(
                &format!("{}/{account}", rule.name),
                &rule.name,
                None,
                sight.now,
            );
            match last_word(|run| run.account == *account, sight) {
                Some(Ran::Replies(_)) => life.end(sight, "an agent of the account replies"),
                Some(_) => life.meet(sight, "the account has no credits"),
                None => {}
            }
        }
    }
}

/// How the kept runs of a probe ended, newest first, but those that were interrupted.
fn results(name: &str, with_credits: bool, sight: &Sight<'_>) -> Vec<Ran> {
    let runs = sight.runs.iter().rev().filter(|run| run.probe == name);
    let kept = runs.take(KEPT).map(|run| run.ran);
    kept.filter(|ran| *ran != Ran::Killed && (with_credits || *ran != Ran::NoCredits))
        .collect()
}

/// The last that was seen of an account's credits in the runs that are kept.
fn last_word(is_of: impl Fn(&Run) -> bool, sight: &Sight<'_>) -> Option<Ran> {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let runs = sight.runs.iter().rev();
    let mut kept = runs.filter(|run| {
        let newer = seen.entry(&run.probe).or_default();
        *newer += 1;
        *newer <= KEPT
    });
    let shows = |ran| matches!(ran, Ran::Replies(_) | Ran::NoCredits);
    let last = kept.find(|run| is_of(run) && shows(run.ran));
    last.map(|run| run.ran)
}

fn fails(life: &mut Life, results: &[Ran], times: usize, sight: &Sight<'_>) {
    let failed = results
        .iter()
        .take_while(|ran| **ran != Ran::Replies(true))
        .count();
    let reason = format!("it failed {failed} times in a row");
    match failed {
        _ if results.is_empty() => {}
        0 => life.end(sight, reason),
        failed if failed >= times => life.meet(sight, reason),
        _ => {}
    }
}
