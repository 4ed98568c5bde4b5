//! Checks of the config against this machine: the ledger's place, the known agents, and the time.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::TimeDelta;

use super::super::examine::from_file;
use super::super::{count, view};
use crate::alert::{self, Check};
use crate::blocking;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::ledger::{self, GoneHook, ListSource, View};
use crate::nearest::nearest;
use crate::probe::Probe;
use crate::roster::{self, AccountSettings, Agent, Roster, printable};
use crate::words::number;

/// The most runs of a probe that are counted.
const SHOWN_RUNS: usize = 50_000;

/// Time of the next poll.
pub(super) fn next_poll(config: &Config) -> String {
    let schedule = &config.schedule;
    let next = schedule
        .cron
        .find_next_occurrence(&SystemClock.now(), false);
    let next = next.map_or_else(
        |_| "never".to_owned(),
        |next| next.format("at %Y-%m-%d %H:%M:%S UTC").to_string(),
    );
    if schedule.jitter.is_zero() {
        return format!("the next poll is due {next}");
    }
    let jitter = humantime::format_duration(schedule.jitter);
    format!("the next poll is due {next}, plus up to {jitter} of jitter")
}

/// The number of runs of a probe, each of which costs credits.
pub(super) fn runs(probe: &Probe) -> String {
    let now = SystemClock.now();
    let end = now + TimeDelta::days(30);
    let times = probe.cron.iter_after(now);
    let runs = times
        .take(SHOWN_RUNS)
        .take_while(|time| *time <= end)
        .count();
    let runs = match runs {
        SHOWN_RUNS => format!("{} times or more", number(SHOWN_RUNS as f64)),
        1 => "once".to_owned(),
        runs => format!("{} times", number(runs as f64)),
    };
    format!(
        "probe {} runs {runs} in 30 days; each run costs credits",
        probe.name
    )
}

/// The warnings, one line each.
pub(super) async fn warnings(config: &Config) -> Vec<String> {
    let path = config.storage.path.clone();
    let place = blocking::run(move || ledger::may_be_written(&path)).await;
    let mut warnings: Vec<String> = place.err().iter().map(ToString::to_string).collect();
    let view = view::open(config).await.ok();
    let mut known = Vec::new();
    for account in &config.accounts {
        known.push(agents(account, view.as_ref()).await);
    }
    warnings.extend(idle_matchers(config, &known));
    warnings.extend(unknown_subjects(config, &known));
    if let Some(view) = &view {
        let gone = gone_hooks(config, view).await;
        warnings.extend(gone.iter().map(ToString::to_string));
    }
    warnings
}

/// The open ends that the ledger remembers of hooks that are no longer in the config.
async fn gone_hooks(config: &Config, view: &View) -> Vec<GoneHook> {
    let names = config.hooks.iter().map(|hook| Arc::clone(&hook.name));
    view.gone_hooks(names.collect()).await.unwrap_or_default()
}

/// The agents of an account that are known here, and whether its lists are.
struct Known<'a> {
    account: &'a AccountSettings,
    agents: Vec<Agent>,
    is_whole: bool,
}

/// Budgets and rules that match nobody who is known. Those of which the config alone tells that are warned of
/// where it is read, and where a list was never had, nothing can be said.
fn idle_matchers(config: &Config, known: &[Known<'_>]) -> Vec<String> {
    let number: usize = known.iter().map(|known| known.agents.len()).sum();
    let idle = config.alerts.rules.iter().filter(|rule| {
        let mut agents = known.iter().flat_map(|known| &known.agents);
        let mut listed = known.iter().filter(|known| {
            let account = known.account;
            let is_listed = account.discover || account.agents_file.is_some();
            is_listed && rule.matcher.concerns(&account.name)
        });
        let is_known = listed.clone().all(|known| known.is_whole);
        listed.next().is_some() && is_known && !agents.any(|agent| rule.matcher.matches(agent))
    });
    let told = idle.map(|rule| {
        format!(
            "{} `{}` matches no agent: {}. The config and its lists name {}",
            rule.check.section(),
            printable(&rule.name),
            rule.matcher,
            count(number, "agent"),
        )
    });
    told.collect()
}

/// Limits for subjects that no known agent is part of, if all agents are known.
fn unknown_subjects(config: &Config, known: &[Known<'_>]) -> Vec<String> {
    let mut warnings = Vec::new();
    for rule in &config.alerts.rules {
        let (Check::Budget { limits, .. }, Some(per)) = (&rule.check, rule.per()) else {
            continue;
        };
        let mut concerned = known.iter();
        if !concerned.all(|known| known.is_whole || !rule.matcher.concerns(&known.account.name)) {
            continue;
        }
        let agents = known.iter().flat_map(|known| &known.agents);
        let agents = agents.filter(|agent| rule.matcher.matches(agent));
        let subjects: BTreeSet<Arc<str>> = agents
            .filter_map(|agent| alert::subject_of(per, agent))
            .collect();
        let mut near: Vec<&str> = subjects.iter().map(|subject| &**subject).collect();
        near.extend(limits.default.is_none().then_some("default"));
        let unknown = limits.named.keys().filter(|name| !subjects.contains(*name));
        warnings.extend(unknown.map(|name| {
            let near = nearest(name, &near).map(printable);
            let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            format!(
                "budget `{}` has a limit for `{}`, which is none of its subjects{near}",
                printable(&rule.name),
                printable(name)
            )
        }));
    }
    warnings
}

/// The agents of `account` by the config, by its list in a file, and by FlowGent's list that the ledger kept.
async fn agents<'a>(account: &'a AccountSettings, view: Option<&View>) -> Known<'a> {
    let list = from_file(account).await;
    let listed = match view {
        Some(view) if account.discover => {
            let name = Arc::clone(&account.name);
            let list = view.list(name, ListSource::Flowgent).await;
            list.unwrap_or_default()
        }
        _ => Vec::new(),
    };
    let is_whole = list.is_ok() && (!account.discover || !listed.is_empty());
    let Roster { agents, .. } = roster::resolve(account, list.unwrap_or_default(), listed);
    Known {
        account,
        agents,
        is_whole,
    }
}
