//! The ledger, and the room that it has.

use std::path::Path;

use indicatif::HumanBytes;
use rustix::fs::statvfs;

use super::super::{Failure, count};
use super::{Finding, Known, NO_LEDGER, known};
use crate::blocking;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::ledger::{self, Fault, Member};

/// Less room than this is soon used up by whatever else writes there.
const SCARCE_BYTES: u64 = 64 << 20;
/// Number of agents that are named; the rest is counted.
const NAMED: usize = 3;
/// Checks skipped without a sound ledger.
const AGENTS: &str = "fetches and missing days of agents";
const START_ANEW: &str = "restore a backup, or move the file away to fetch all days again";
const NOT_SOUND: &str = "the ledger is not sound";

/// Checks the ledger's file, and looks at what is missing in it.
pub(super) async fn look_at_ledger(config: &Config) -> Result<Vec<Finding>, Failure> {
    let path = config.storage.path.clone();
    let checked = blocking::run(move || ledger::check(&path)).await;
    let report = match checked {
        Ok(report) => report,
        Err(error) if matches!(error.fault, Fault::Missing) => {
            let missing = Finding::warning(error.problem(), "start the exporter, which creates it");
            let place = look_at_place(config).await;
            let agents = Finding::unseen(AGENTS, "there is no ledger yet");
            return Ok(place.into_iter().chain([missing, agents]).collect());
        }
        Err(error) => {
            let advice = error.advice();
            let advice = advice.as_deref().unwrap_or(START_ANEW);
            let problem = Finding::problem(error.problem(), advice);
            return Ok(vec![problem, Finding::unseen(AGENTS, NO_LEDGER)]);
        }
    };
    let path = config.storage.path.display();
    if !report.is_sound() {
        let problem = Finding::problem(
            format!("{path} is not sound: {}", report.violations[0]),
            "`ledger check` lists all faults; restore a backup, or move the file away to fetch all days again",
        );
        return Ok(vec![problem, Finding::unseen(AGENTS, NOT_SOUND)]);
    }
    let mut findings: Vec<Finding> = look_at_place(config).await.into_iter().collect();
    findings.push(Finding::good(format!(
        "{path} is sound: {}, {}, {}",
        count(report.agents, "agent"),
        count(report.days, "day"),
        count(report.revisions, "revision"),
    )));
    findings.extend(look_at_agents(config).await);
    Ok(findings)
}

/// Says why the ledger cannot be written, if it cannot.
async fn look_at_place(config: &Config) -> Option<Finding> {
    let path = config.storage.path.clone();
    let error = blocking::run(move || ledger::may_be_written(&path))
        .await
        .err()?;
    let advice = "run this as the exporter's user, to see whether that user can write";
    Some(Finding::problem(error.to_string(), advice))
}

/// Agents whose last fetch failed, and agents that lack days.
async fn look_at_agents(config: &Config) -> Vec<Finding> {
    let Some(known) = known(config).await else {
        return vec![Finding::unseen(AGENTS, NO_LEDGER)];
    };
    let those = |is_one: fn(&Known) -> bool| -> Vec<&Member> {
        let agents = known.iter().filter(|known| is_one(known));
        agents.map(|known| &known.member).collect()
    };
    let failing = those(|known| known.figures.up == Some(false));
    let lacking = those(|known| known.figures.missing_days > 0);
    let newest = known.iter().filter_map(|known| known.totals.last_success);
    let newest = newest.max();
    let mut findings = Vec::new();
    if !failing.is_empty() {
        findings.push(Finding::problem(
            format!("the last fetch failed for {}", named(&failing)),
            "the exporter's log shows the cause; `check --live` tries each agent",
        ));
    }
    if !lacking.is_empty() {
        findings.push(Finding::warning(
            format!("days are missing from {}", named(&lacking)),
            "a running exporter retries them automatically; without one, run `sync`",
        ));
    }
    let Some(newest) = newest else {
        findings.push(Finding::unseen("the last answer", "no agent has had one"));
        return findings;
    };
    let hours = SystemClock.now().signed_duration_since(newest).num_hours();
    let what = format!(
        "the last good answer is from {} UTC",
        newest.format("%Y-%m-%d %H:%M")
    );
    findings.push(if hours < 26 {
        Finding::good(what)
    } else {
        Finding::problem(
            format!("{what}, {hours} hours ago"),
            "check that the exporter is running: it polls once a day",
        )
    });
    findings
}

/// The first few of them, and how many more there are.
fn named(members: &[&Member]) -> String {
    let names = members.iter().take(NAMED);
    let names: Vec<String> = names
        .map(|member| format!("{}/{}", member.agent.account, member.agent.name))
        .collect();
    match members.len().saturating_sub(NAMED) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

/// Checks that there is room for the ledger to grow, and for its log and a backup.
pub(super) fn look_at_disk(config: &Config) -> Finding {
    let path = &config.storage.path;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let space = match statvfs(folder) {
        Ok(space) => space,
        Err(error) => {
            return Finding::problem(
                format!("{}: {error}", folder.display()),
                "create the directory, and let the exporter's user write there",
            );
        }
    };
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    let ledger = ledger_bytes(path);
    let what = format!(
        "{} has {} free, the ledger takes {}",
        folder.display(),
        HumanBytes(free),
        HumanBytes(ledger)
    );
    if free < SCARCE_BYTES {
        Finding::problem(
            what,
            "free some space: days that cannot be stored are fetched again later, but not served",
        )
    } else if free < ledger.saturating_add(SCARCE_BYTES) {
        Finding::warning(
            what,
            "free some space: a backup or an upgrade of the ledger needs as much again",
        )
    } else {
        Finding::good(what)
    }
}

/// Size of the ledger, with the log of what was written last.
fn ledger_bytes(path: &Path) -> u64 {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    [path, Path::new(&log)]
        .into_iter()
        .filter_map(|file| std::fs::metadata(file).ok())
        .map(|metadata| metadata.len())
        .sum()
}
