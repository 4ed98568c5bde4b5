//! Messages to the service manager: that the exporter is ready, reloads or stops, what it does, and
//! that it is alive. Elsewhere than under systemd nobody listens, and nothing is said.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::stream::{FuturesUnordered, StreamExt};
use sd_notify::NotifyState;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tracing::{error, info, warn};

use super::manager;
use crate::pulse::Pulses;
use crate::status::{Board, SyncStatus};
use crate::sync::Outcome;

/// Interval between updates of the line that `systemctl status` shows.
const STATUS_INTERVAL: Duration = Duration::from_secs(5);
/// Watchdog pings per timeout.
const BEATS: u32 = 3;

/// The exporter's word to its service manager.
pub(super) struct Supervisor {
    pulses: Pulses,
    /// Time after which the manager ends an exporter without a sign of life.
    patience: Option<Duration>,
    ticks: Interval,
    /// The status line that was last told.
    status: String,
    /// True if a part was stuck at the last look.
    is_stuck: bool,
    /// True if the manager could not be notified, which is logged once.
    is_mute: bool,
}

impl Supervisor {
    pub(super) fn new(pulses: Pulses) -> Self {
        let patience = sd_notify::watchdog_enabled().filter(|patience| !patience.is_zero());
        let tick = patience.map_or(STATUS_INTERVAL, |patience| {
            STATUS_INTERVAL.min(patience / BEATS)
        });
        let mut ticks = interval(tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            pulses,
            patience,
            ticks,
            status: String::new(),
            is_stuck: false,
            is_mute: false,
        }
    }

    /// Everything is there, or there again.
    pub(super) fn ready(&mut self, board: &Board) {
        let status = status_line(board);
        self.tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
        self.status = status;
    }

    /// The config is read again; [`Supervisor::ready`] must follow.
    pub(super) fn reloading(&mut self) {
        // A manager that asked for the reload takes only what was said after that.
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.tell(&[NotifyState::Reloading, now]),
            Err(error) => warn!("cannot read the monotonic clock for systemd: {error}"),
        }
    }

    /// The exporter ends.
    pub(super) fn stopping(&mut self) {
        let status = NotifyState::Status("finishing what is under way");
        let mut said = vec![NotifyState::Stopping, status];
        if self.patience.is_some() && !self.is_stuck {
            said.push(NotifyState::Watchdog);
        }
        self.tell(&said);
    }

    /// Returns when something is to be said again.
    pub(super) async fn due(&mut self) {
        self.ticks.tick().await;
    }

    /// Does `work`, and reports on time until it is done.
    pub(super) async fn meanwhile<T>(&mut self, board: &Board, work: impl Future<Output = T>) -> T {
        // It polls the work only when that has been woken, so that the pulse is the work's own.
        let mut work = FuturesUnordered::from_iter([work]);
        loop {
            tokio::select! {
                Some(done) = work.next() => return done,
                () = self.due() => self.report(board),
            }
        }
    }

    /// Says what the exporter does, and that it is alive, if it is: the loop that asks for it goes round,
    /// and so does every part.
    pub(super) fn report(&mut self, board: &Board) {
        let stuck = self.look_for_stuck_parts();
        let status = stuck.clone().unwrap_or_else(|| status_line(board));
        let mut said = Vec::new();
        if status != self.status {
            said.push(NotifyState::Status(&status));
        }
        if self.patience.is_some() && stuck.is_none() {
            said.push(NotifyState::Watchdog);
        }
        if !said.is_empty() {
            self.tell(&said);
        }
        self.status = status;
    }

    /// Which parts are stuck, if any. It is logged when that changes.
    fn look_for_stuck_parts(&mut self) -> Option<String> {
        let patience = self.patience?;
        let silent = self.pulses.silent(patience / 2);
        let was_stuck = std::mem::replace(&mut self.is_stuck, !silent.is_empty());
        if silent.is_empty() {
            if was_stuck {
                info!("all components make progress again");
            }
            return None;
        }
        let parts = silent.iter();
        let parts: Vec<String> = parts
            .map(|(part, silence)| format!("the {part} has been stuck for {} s", silence.as_secs()))
            .collect();
        let parts = parts.join(", ");
        if !was_stuck {
            error!(
                "{parts}; unless that changes, systemd stops the exporter within {} s",
                patience.as_secs()
            );
        }
        Some(parts)
    }

    fn tell(&mut self, said: &[NotifyState<'_>]) {
        if let Err(error) = manager::tell(said)
            && !std::mem::replace(&mut self.is_mute, true)
        {
            warn!("cannot notify systemd: {error}");
        }
    }
}

/// The exporter's present work, in a line for people.
fn status_line(board: &Board) -> String {
    let agents = board.agents(|agents| agents.members.len());
    let mut line = sync_line(agents, &board.sync());
    if let Some(reason) = board.config_error() {
        line += &format!("; config not reloaded: {reason}");
    }
    line
}

fn sync_line(agents: Option<usize>, sync: &SyncStatus) -> String {
    let at = |time: DateTime<Utc>| time.format("%Y-%m-%d %H:%M UTC");
    let mut line = match agents {
        Some(1) => "1 agent".to_owned(),
        Some(agents) => format!("{agents} agents"),
        None => "computing the figures".to_owned(),
    };
    if let Some(since) = sync.running_since {
        line += &format!(", syncing since {}", at(since));
        return line;
    }
    match (&sync.error, &sync.last) {
        (Some(error), _) => line += &format!(", the last sync failed: {error}"),
        (None, Some(last)) => {
            let outcome = match last.outcome {
                Outcome::Complete => "complete",
                Outcome::Incomplete => "incomplete",
                Outcome::Failed => "failed",
            };
            line += &format!(", the last sync ended {} ({outcome})", at(last.ended));
        }
        (None, None) => {}
    }
    if let Some(next) = sync.next {
        line += &format!(", the next is due {}", at(next));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::sync::{Event, Report};

    #[test]
    fn the_status_line_tells_of_syncs_in_plain_words() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let board = Board::default();
        let line = || sync_line(Some(5), &board.sync());
        assert_eq!(sync_line(None, &board.sync()), "computing the figures");
        assert_eq!(sync_line(Some(1), &board.sync()), "1 agent");
        board.observe(&Event::Started(at(0)));
        assert_eq!(line(), "5 agents, syncing since 1970-01-01 00:00 UTC");
        let report = Report {
            started: at(0),
            ended: at(120),
            ..Report::default()
        };
        board.observe(&Event::Ended(Ok(Arc::new(report))));
        board.observe(&Event::Scheduled(at(3600)));
        assert_eq!(
            line(),
            "5 agents, the last sync ended 1970-01-01 00:02 UTC (complete), the next is due \
             1970-01-01 01:00 UTC"
        );
        board.observe(&Event::Ended(Err("the disk is full".into())));
        assert_eq!(
            line(),
            "5 agents, the last sync failed: the disk is full, the next is due 1970-01-01 01:00 UTC"
        );
    }
}
