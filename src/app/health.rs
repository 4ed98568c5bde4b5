//! Health for heartbeats: the last sync, and the storage of its results.

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use crate::hook::{Condition, Health};
use crate::pulse::Pulses;
use crate::status::Board;
use crate::sync::Outcome;

/// Time after a sync within which the rules must have been evaluated.
const EVALUATION: TimeDelta = TimeDelta::minutes(5);
/// A part that makes no progress for so long is stuck.
const STUCK: std::time::Duration = std::time::Duration::from_secs(60);

/// The health that `board` and `pulses` show.
#[must_use]
pub fn health(board: Arc<Board>, pulses: Pulses) -> Health {
    Health::new(move |now| match pulses.silent(STUCK).first() {
        Some((part, silence)) => Condition::Failing(format!(
            "the {part} has been stuck for {} s",
            silence.as_secs()
        )),
        None => condition(&board, now),
    })
}

fn condition(board: &Board, now: DateTime<Utc>) -> Condition {
    let at = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    let sync = board.sync();
    if let Some(error) = board.ledger_error() {
        return Condition::Failing(error.to_string());
    }
    if let Some(error) = &sync.error {
        return Condition::Failing(format!("the last sync could not be finished: {error}"));
    }
    let Some(last) = &sync.last else {
        return Condition::Starting;
    };
    if last.outcome == Outcome::Failed {
        let problem = last.problems.first();
        let why = problem.map_or(String::new(), |problem| {
            format!(": account {}: {problem}", problem.account)
        });
        return Condition::Failing(format!("the sync of {} failed{why}", at(last.ended)));
    }
    // A sync that ended later than now is from before the clock was set back: nothing can be told by it.
    let is_kept = board
        .alerting()
        .is_some_and(|alerting| alerting.evaluated_at >= last.ended || last.ended > now);
    if is_kept {
        Condition::Well
    } else if now - last.ended <= EVALUATION {
        Condition::Starting
    } else {
        Condition::Failing(format!(
            "the rules have not been evaluated since the sync of {}",
            at(last.ended)
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};

    use super::*;
    use crate::status::Alerting;
    use crate::sync::{Counts, Event, Problem, Report};

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn failing(text: &str) -> Condition {
        Condition::Failing(text.to_owned())
    }

    /// Makes the end of a sync with these numbers of requests and answers.
    fn ended(board: &Board, ended: &str, planned: usize, committed: usize) {
        let problem = Problem {
            account: "acme".into(),
            kind: "network",
            error: "connection refused".to_owned(),
            first: None,
            windows: planned - committed,
            agents: BTreeSet::new(),
            key: None,
        };
        let report = Report {
            counts: Counts {
                planned,
                committed,
                ..Counts::default()
            },
            problems: (committed < planned)
                .then_some(problem)
                .into_iter()
                .collect(),
            started: at(ended),
            ended: at(ended),
            ..Report::default()
        };
        board.observe(&Event::Ended(Ok(Arc::new(report))));
    }

    fn evaluated(board: &Board, at_time: &str) {
        board.evaluated(Alerting {
            evaluated_at: at(at_time),
            budgets: Vec::new(),
            balances: Vec::new(),
            alerts: Vec::new(),
            firing_at: HashMap::new(),
        });
    }

    #[test]
    fn all_is_well_once_what_a_sync_brought_is_evaluated_and_kept() {
        let board = Board::default();
        let noon = at("2026-11-23T12:00:00Z");
        let look = |minutes| condition(&board, noon + TimeDelta::minutes(minutes));
        assert_eq!(look(0), Condition::Starting);
        // A day that is left out, or an agent that is refused, is no failure.
        ended(&board, "2026-11-23T12:00:00Z", 9, 8);
        assert_eq!(look(5), Condition::Starting);
        let text = "the rules have not been evaluated since the sync of 2026-11-23T12:00:00Z";
        assert_eq!(look(6), failing(text));
        evaluated(&board, "2026-11-23T12:00:01Z");
        assert_eq!(look(6), Condition::Well);
        ended(&board, "2026-11-23T13:00:00Z", 0, 0);
        assert_eq!(look(61), Condition::Starting);
        assert_eq!(look(66), failing(&text.replace("T12", "T13")));
        // The clock was set back.
        assert_eq!(look(30), Condition::Well);
    }

    #[test]
    fn a_sync_that_failed_and_a_ledger_that_is_gone_are_told_until_they_are_mended() {
        let board = Board::default();
        let noon = at("2026-11-23T12:00:00Z");
        evaluated(&board, "2026-11-23T12:00:00Z");
        ended(&board, "2026-11-23T12:00:00Z", 3, 0);
        let text = "the sync of 2026-11-23T12:00:00Z failed: account acme: connection refused";
        assert_eq!(condition(&board, noon), failing(text));
        board.observe(&Event::Ended(Err("disk full".into())));
        let text = "the last sync could not be finished: disk full";
        assert_eq!(condition(&board, noon), failing(text));
        board.ledger_lost(Some("ledger.db is gone".to_owned()));
        assert_eq!(condition(&board, noon), failing("ledger.db is gone"));
        board.ledger_lost(None);
        ended(&board, "2026-11-23T12:00:00Z", 3, 3);
        assert_eq!(condition(&board, noon), Condition::Well);
    }
}
