//! State of syncs, as pages and the API show it.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::ledger::{AgentNumber, Member};
use crate::sync::{Counts, Event, Note, Outcome, Problem, Report};

/// State of syncs.
#[derive(Debug, Clone, Default)]
pub struct SyncStatus {
    /// Start of the sync that runs now.
    pub running_since: Option<DateTime<Utc>>,
    /// Its progress; none until its requests are planned.
    pub progress: Option<Progress>,
    /// Outcome of the last one that could be worked through.
    pub last: Option<Arc<LastSync>>,
    /// Time at which one last left nothing undone, since the program started.
    pub last_complete: Option<DateTime<Utc>>,
    /// Why the last one could not be worked through: what the ledger said.
    pub error: Option<Arc<str>>,
    /// Time at which the next one is due.
    pub next: Option<DateTime<Utc>>,
}

/// Progress of a sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Requests that were answered, or that failed and are retried later.
    pub done: usize,
    /// Requests that are planned.
    pub planned: usize,
}

/// Outcome of a sync.
#[derive(Debug, Clone, PartialEq)]
pub struct LastSync {
    /// Start.
    pub started: DateTime<Utc>,
    /// End.
    pub ended: DateTime<Utc>,
    /// Outcome.
    pub outcome: Outcome,
    /// Its requests and days.
    pub counts: Counts,
    /// Problems by account and kind.
    pub problems: Vec<Problem>,
    /// Notes about the lists that name agents.
    pub notes: Vec<Note>,
    /// The first thing that went wrong with each agent with which something did.
    pub agent_problems: HashMap<AgentNumber, Arc<str>>,
}

impl SyncStatus {
    /// Notes an event.
    pub(super) fn observe(&mut self, event: &Event) {
        match event {
            Event::Started(at) => {
                self.running_since = Some(*at);
                self.progress = None;
            }
            Event::Planned(windows) => {
                let (done, planned) = (0, *windows);
                self.progress = Some(Progress { done, planned });
            }
            Event::Committed(_) | Event::Failed(_) => {
                if let Some(progress) = &mut self.progress {
                    progress.done += 1;
                }
            }
            Event::Scheduled(next) => self.next = Some(*next),
            Event::Ended(result) => {
                self.running_since = None;
                self.progress = None;
                self.error = result.as_ref().err().cloned();
                if let Ok(report) = result {
                    let last = LastSync::of(report);
                    if last.outcome == Outcome::Complete {
                        self.last_complete = Some(last.ended);
                    }
                    self.last = Some(Arc::new(last));
                }
            }
            Event::Members(_) | Event::Left(_) => {}
        }
    }
}

impl LastSync {
    fn of(report: &Report) -> Self {
        let agent_problems = report.members.iter().filter_map(|report| {
            let problem = report.problem.as_deref()?;
            Some((report.member.number, problem.into()))
        });
        Self {
            started: report.started,
            ended: report.ended,
            outcome: report.outcome(),
            counts: report.counts,
            problems: report.problems.clone(),
            notes: report.notes.clone(),
            agent_problems: agent_problems.collect(),
        }
    }

    /// Problem of an agent, or else of its account as a whole.
    #[must_use]
    pub fn problem_of(&self, member: &Member) -> Option<&str> {
        let own = self.agent_problems.get(&member.number);
        let of_account = || {
            let is_whole = |problem: &&Problem| {
                problem.first.is_none() && problem.account == member.agent.account
            };
            self.problems.iter().find(is_whole)
        };
        own.map(|error| &**error)
            .or_else(|| Some(of_account()?.error.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::day::TRACKING_START;
    use crate::status::tests::members;
    use crate::sync::MemberReport;
    use crate::window::Window;

    #[test]
    fn a_sync_that_the_ledger_ended_leaves_the_one_before_to_be_seen() {
        let mut status = SyncStatus::default();
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        status.observe(&Event::Started(at(10)));
        assert_eq!(status.running_since, Some(at(10)));
        status.observe(&Event::Planned(2));
        status.observe(&Event::Committed(AgentNumber(1)));
        let (done, planned) = (1, 2);
        assert_eq!(status.progress, Some(Progress { done, planned }));
        let report = Report {
            started: at(10),
            ended: at(20),
            counts: Counts {
                planned: 1,
                committed: 1,
                ..Counts::default()
            },
            ..Report::default()
        };
        status.observe(&Event::Ended(Ok(Arc::new(report))));
        status.observe(&Event::Scheduled(at(100)));
        status.observe(&Event::Started(at(100)));
        status.observe(&Event::Ended(Err("the disk is full".into())));

        assert_eq!((status.running_since, status.progress), (None, None));
        assert_eq!(status.last_complete, Some(at(20)));
        assert_eq!(status.next, Some(at(100)));
        assert_eq!(status.error.as_deref(), Some("the disk is full"));
        let last = status.last.as_ref().unwrap();
        assert_eq!((last.ended, last.outcome), (at(20), Outcome::Complete));
    }

    #[test]
    fn an_agent_is_told_its_own_problem_or_else_that_of_its_account() {
        let agents = members(&["one", "two", "three"]);
        let met = |member: &Member, error: Option<&str>| MemberReport {
            member: member.clone(),
            counts: Counts {
                planned: 1,
                ..Counts::default()
            },
            problem: error.map(str::to_owned),
        };
        let problem = |account: &str, error: &str, first| Problem {
            account: account.into(),
            kind: "contract",
            error: error.to_owned(),
            first,
            windows: 1,
            agents: BTreeSet::new(),
            key: None,
        };
        let today = "2026-11-26".parse().unwrap();
        let window = Window::new(TRACKING_START, TRACKING_START, today).unwrap();
        let sums = "the total is 1, the days sum to 2";
        let mut report = Report {
            members: vec![
                met(&agents[0], Some(sums)),
                met(&agents[1], Some("the total is 7, the days sum to 8")),
                met(&agents[2], None),
            ],
            problems: vec![problem("acme", sums, Some(("one".into(), window)))],
            ..Report::default()
        };
        let told = |report: &Report| -> Vec<Option<String>> {
            let last = LastSync::of(report);
            let told = agents.iter().map(|member| last.problem_of(member));
            told.map(|told| told.map(str::to_owned)).collect()
        };
        let one = Some(sums.to_owned());
        let two = Some("the total is 7, the days sum to 8".to_owned());
        assert_eq!(told(&report), [one.clone(), two.clone(), None]);

        let of_globex = problem("globex", "the key is of globex", None);
        report.problems.push(of_globex);
        assert_eq!(told(&report), [one.clone(), two.clone(), None]);
        let of_acme = problem("acme", "the key is refused", None);
        report.problems.push(of_acme);
        let account = Some("the key is refused".to_owned());
        assert_eq!(told(&report), [one, two, account]);
    }
}
