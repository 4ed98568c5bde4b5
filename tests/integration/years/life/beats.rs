//! Heartbeats, as the service hears them that raises the alarm when none come.

use chrono::{DateTime, TimeDelta, Utc};
use flowgent_exporter::sync::Outcome;

use super::scene::Scene;

/// The time between two heartbeats.
const INTERVAL: TimeDelta = TimeDelta::hours(1);

/// A heartbeat that the service has heard.
#[derive(Debug, Clone)]
pub(crate) struct Beat {
    /// When, if time stands still while the host sleeps.
    pub(crate) at: DateTime<Utc>,
    /// Why all is not well; none if it is.
    pub(crate) failure: Option<String>,
}

/// What is known of one run of the program.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    /// What came of its last sync; none before the first.
    pub(crate) outcome: Option<Outcome>,
    /// The last beat that was heard of this run.
    last: Option<Beat>,
}

impl Pulse {
    /// The host has slept for so long, which the program does not feel.
    pub(crate) fn rest(&mut self, slept: TimeDelta) {
        if let Some(beat) = &mut self.last {
            beat.at += slept;
        }
    }
}

impl Scene {
    /// No beat before the first sync, none that all is well after one that failed, and one in every interval.
    pub(crate) fn check_beats(&mut self) {
        let beats = std::mem::take(&mut self.office.floor().beats);
        let outcome = self.pulse.outcome;
        for beat in beats {
            let is_right = match outcome {
                None => false,
                Some(Outcome::Failed) => beat.failure.is_some(),
                Some(_) => beat.failure.is_none(),
            };
            if !is_right {
                self.fail(format!(
                    "{beat:?} was sent; expected: what fits a sync that was {outcome:?}"
                ));
            }
            self.pulse.last = Some(beat);
        }
        let is_due = |beat: &Beat| {
            self.now - beat.at > INTERVAL
                || beat.failure.is_some() != (outcome == Some(Outcome::Failed))
        };
        if outcome.is_some() && self.pulse.last.as_ref().is_none_or(is_due) {
            let last = self.pulse.last.clone();
            self.fail(format!(
                "no heartbeat after {last:?}; expected: one, since a sync was {outcome:?}"
            ));
        }
    }
}
