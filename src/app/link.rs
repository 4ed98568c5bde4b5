//! The links between the parts: what one sees and others are to know.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::alert::{self, Access, Signals};
use crate::history::push::Feed;
use crate::publish::Changes;
use crate::status::Board;
use crate::sync::{Event, Observer, Report};

/// Tells `changes`, `signals`, `board` and `observer` what happens in syncs. Rules that are new come into force
/// with the first list of agents, which is of the same config.
#[must_use]
pub fn link(
    changes: &Arc<Changes>,
    signals: &Arc<Signals>,
    board: &Arc<Board>,
    observer: Option<Observer>,
    rules: Option<alert::Settings>,
) -> Observer {
    let (changes, signals, board) = (Arc::clone(changes), Arc::clone(signals), Arc::clone(board));
    let rules = Mutex::new(rules);
    Arc::new(move |event| {
        changes.observe(&event);
        board.observe(&event);
        match &event {
            Event::Members(members) => {
                let rules = rules.lock().take();
                match rules {
                    Some(rules) => signals.configure(rules, Arc::clone(members)),
                    None => signals.members(Arc::clone(members)),
                }
            }
            Event::Committed(_) | Event::Failed(_) => signals.changed(),
            Event::Ended(report) => {
                signals.synced(report.as_deref().map(access).unwrap_or_default())
            }
            Event::Started(_) => signals.syncing(),
            Event::Planned(_) | Event::Left(_) | Event::Scheduled(_) => {}
        }
        if let Some(observer) = &observer {
            observer(event);
        }
    })
}

/// Tells what is pushed, and `observer`, what happens in syncs.
pub(super) fn feeding(feed: &Arc<Feed>, observer: Option<Observer>) -> Observer {
    let feed = Arc::clone(feed);
    Arc::new(move |event| {
        feed.observe(&event);
        if let Some(observer) = &observer {
            observer(event);
        }
    })
}

/// Verdicts of a sync on keys and agents. Those that were not asked for are not in it.
fn access(report: &Report) -> Access {
    let mut access = Access::default();
    let accepted = report.accepted.iter();
    access
        .key_refused
        .extend(accepted.map(|account| (Arc::clone(account), false)));
    for report in report
        .members
        .iter()
        .filter(|report| report.counts.committed > 0)
    {
        access.agent_refused.insert(report.member.number, false);
    }
    for problem in &report.problems {
        match problem.kind {
            "invalid_key" | "key_unreadable" => {
                access
                    .key_refused
                    .insert(Arc::clone(&problem.account), true);
            }
            "access_denied" => {
                let refused = problem.agents.iter();
                let number = |index: &usize| report.members[*index].member.number;
                access
                    .agent_refused
                    .extend(refused.map(|index| (number(index), true)));
            }
            _ => {}
        }
    }
    access
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};

    use super::*;
    use crate::sync::Problem;

    #[test]
    fn a_listing_shows_that_a_key_is_taken_though_no_day_was_asked_for() {
        let report = Report {
            accepted: ["acme".into()].into(),
            ..Report::default()
        };
        assert_eq!(access(&report).key_refused, [("acme".into(), false)].into());
    }

    #[test]
    fn a_denial_that_is_only_remembered_does_not_show_that_the_key_is_accepted() {
        let denial = Problem {
            account: "acme".into(),
            kind: "access_denied",
            error: "access denied".to_owned(),
            first: None,
            windows: 1,
            agents: BTreeSet::new(),
            key: None,
        };
        let report = Report {
            problems: vec![denial],
            ..Report::default()
        };
        assert_eq!(access(&report).key_refused, HashMap::new());
    }
}
