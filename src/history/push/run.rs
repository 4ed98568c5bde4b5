//! One pass of pushing: batches that a database does not take whole are halved until the part that it refuses is found.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tracing::{error, warn};

use super::super::placement::Sample;
use super::batch::{self, Batch, Collector};
use super::error::PushError;
use super::metrics::PushMetrics;
use super::receiver::{Receiver, Shown};
use super::settings::Settings;
use super::verdict::{self, Verdict};
use super::wire;
use crate::backoff::PUSH_REQUESTS;
use crate::clock::SharedClock;
use crate::day::Day;
use crate::egress::SendError;
use crate::egress::post::Refusal;
use crate::ledger::{Ledger, Member, PushTarget};
use crate::roster::Agent;

/// Number of agents read from the ledger at a time.
const AGENTS_AT_A_TIME: usize = 64;
/// Number of tries of a request before the pass ends.
const TRIES: u32 = 5;
/// The longest wait within a pass that a database may ask for.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// Number of series refused before any is taken from which the series are not at fault.
const MAX_REFUSED: usize = 10;
/// Number of requests in a row that are too old for a database after which the rest of a batch is no longer
/// halved: eleven halvings leave one sample.
const MAX_TOO_OLD: u32 = 32;
/// The waits before looks at what was written. VictoriaMetrics shows a new series a second later, or if it was
/// asked before that, only after some more.
const LOOKS: [Duration; 5] = [
    Duration::from_millis(1500),
    Duration::from_millis(2500),
    Duration::from_secs(5),
    Duration::from_secs(8),
    Duration::from_secs(12),
];

/// Result of a pass.
#[derive(Debug, Default, PartialEq)]
pub struct Summary {
    /// Place of the database: scheme, host and port.
    pub place: String,
    /// Samples that it has taken.
    pub samples: usize,
    /// Samples that it does not take, which are tried again at the next pass.
    pub refused_samples: usize,
    /// A line on each series that it does not take.
    pub refused: Vec<String>,
}

/// A pass under way.
pub(super) struct PushRun<'a> {
    pub(super) settings: &'a Settings,
    pub(super) ledger: &'a Ledger,
    pub(super) clock: &'a SharedClock,
    pub(super) metrics: &'a PushMetrics,
    pub(super) receiver: Receiver<'a>,
    pub(super) target: PushTarget,
    pub(super) summary: Summary,
    /// The oldest day that was left as too old, by its place, and what is to be said of it.
    pub(super) too_old: Option<(i64, PushError)>,
}

/// Result of one request, if the pass goes on.
enum Written {
    Taken,
    /// A series or a sample is at fault.
    Malformed(SendError),
    /// Another value stands at the place of a sample.
    Duplicate(SendError),
    /// A sample is older than what is taken.
    TooOld(SendError),
}

impl PushRun<'_> {
    pub(super) async fn run(
        &mut self,
        members: &[Member],
        progress: impl Fn(usize),
    ) -> Result<(), PushError> {
        // Nothing is written that lies in the future by either clock.
        let now = self.clock.earliest();
        let days = [self.settings.from, Day::of(now).previous()];
        let mut collector = Collector::default();
        let mut done = 0;
        for members in members.chunks(AGENTS_AT_A_TIME) {
            let numbers = members.iter().map(|member| member.number).collect();
            let unpushed = self.ledger.unpushed(self.target, numbers, days);
            for (member, unpushed) in members.iter().zip(unpushed.await?) {
                for batch in collector.add(member, &batch::due(&unpushed, now)) {
                    self.send(batch).await?;
                }
                done += 1;
                progress(done);
            }
        }
        if let Some(batch) = collector.take() {
            self.send(batch).await?;
        }
        // Everything else was taken by now.
        self.too_old.take().map_or(Ok(()), |(_, error)| Err(error))
    }

    /// Has a batch taken, but for the series in it that are refused and the samples that are too old.
    async fn send(&mut self, batch: Batch) -> Result<(), PushError> {
        let mut open = vec![batch];
        let mut too_old = 0;
        while let Some(batch) = open.pop() {
            let (halves, error) = match self.write(&batch).await? {
                Written::Taken => {
                    too_old = 0;
                    self.taken(&batch).await?;
                    continue;
                }
                Written::TooOld(error) => {
                    too_old += 1;
                    self.halve_by_age(&mut open, batch, &error, too_old < MAX_TOO_OLD);
                    if too_old >= MAX_TOO_OLD
                        && self.summary.samples == 0
                        && let Some((_, error)) = self.too_old.take()
                    {
                        return Err(error);
                    }
                    continue;
                }
                Written::Malformed(error) => (batch::halves_of_series(&batch), error),
                Written::Duplicate(error) => match batch::halves_of_samples(&batch) {
                    None => {
                        self.duplicate(&batch, &error).await?;
                        continue;
                    }
                    halves => (halves, error),
                },
            };
            match halves {
                Some([first, second]) => open.extend([second, first]),
                None => self.refused(&batch, &error)?,
            }
        }
        Ok(())
    }

    /// Leaves what is too old of a refused batch, as far as that is known, and opens the rest. The newer half
    /// of a series is tried before the older one, which is left unsent if the newer one is too old already.
    fn halve_by_age(
        &mut self,
        open: &mut Vec<Batch>,
        batch: Batch,
        error: &SendError,
        halve: bool,
    ) {
        if let Some(older) = open.pop_if(|other| batch::is_older(other, &batch)) {
            self.left(&older, error);
        }
        match batch::halves_of_samples(&batch) {
            Some([older, newer]) if halve && batch.len() == 1 => open.extend([older, newer]),
            Some([first, second]) if halve => open.extend([second, first]),
            _ => self.left(&batch, error),
        }
    }

    /// Remembers what is left as too old, if nothing older was.
    fn left(&mut self, batch: &Batch, error: &SendError) {
        let at = batch::earliest(batch).map_or(i64::MAX, |(_, sample)| sample.at_ms);
        if self.too_old.as_ref().is_none_or(|(oldest, _)| at < *oldest) {
            self.too_old = Some((at, too_old(batch, error, self.clock.now())));
        }
    }

    /// Sends a batch, several times if need be.
    async fn write(&self, batch: &Batch) -> Result<Written, PushError> {
        let Self {
            clock,
            settings,
            metrics,
            ..
        } = self;
        let body = wire::body(batch, &settings.target);
        let mut tries = 0;
        loop {
            let now = clock.now();
            let Err(Refusal {
                status,
                error,
                said,
            }) = self.receiver.write(body.clone(), now).await
            else {
                return Ok(Written::Taken);
            };
            match verdict::verdict(status.map(|status| status.as_u16()), said.expose()) {
                Verdict::Malformed => return Ok(Written::Malformed(error)),
                Verdict::Duplicate => return Ok(Written::Duplicate(error)),
                Verdict::TooOld => return Ok(Written::TooOld(error)),
                Verdict::Refused => return Err(refused(&error)),
                Verdict::Later => {}
            }
            tries += 1;
            let wait = error.retry_after;
            if tries == TRIES || wait.is_some_and(|wait| wait > MAX_WAIT) {
                return Err(PushError::Later {
                    text: error.text,
                    retry_after: wait,
                });
            }
            metrics.request("retried");
            let jittered = PUSH_REQUESTS.jittered(tries - 1, fastrand::u64(..));
            tokio::time::sleep(wait.unwrap_or_default().max(jittered)).await;
        }
    }

    /// Notes that a batch was taken, once that is proven where it was not before.
    async fn taken(&mut self, batch: &Batch) -> Result<(), PushError> {
        let metrics = self.metrics;
        metrics.request("accepted");
        let mut read_back_from = None;
        if let Some((member, sample)) = batch::earliest(batch)
            && self.settings.read_back
            && self
                .target
                .read_back_from
                .is_none_or(|from| sample.day() < from)
        {
            self.read_back(&member.agent, sample).await?;
            read_back_from = Some(sample.day());
        }
        self.note(batch, read_back_from).await?;
        let count = batch::count(batch);
        self.summary.samples += count;
        metrics.taken(count as u64);
        let samples = batch.iter().flat_map(|part| &part.samples);
        let newest = samples.filter_map(|sample| DateTime::from_timestamp_millis(sample.at_ms));
        if let Some(newest) = newest.max() {
            metrics.reached(newest);
        }
        Ok(())
    }

    async fn note(&mut self, batch: &Batch, read_back_from: Option<Day>) -> Result<(), PushError> {
        let ledger = &self.ledger;
        ledger
            .record_pushed(self.target, batch::taken(batch), read_back_from)
            .await?;
        self.target.read_back_from = read_back_from.or(self.target.read_back_from);
        Ok(())
    }

    /// Looks whether queries show a sample, for a while.
    async fn read_back(&self, agent: &Agent, sample: Sample) -> Result<(), PushError> {
        let mut last = Shown::Nothing;
        for wait in LOOKS {
            tokio::time::sleep(wait).await;
            let now = self.clock.now();
            match self.receiver.shows(agent, sample, now).await {
                Ok(Shown::Same) => return Ok(()),
                Ok(shown) => last = shown,
                Err(Refusal { status, error, .. }) => {
                    let text = format!("{error}: what was written cannot be read back");
                    return Err(
                        if verdict::verdict(status.map(|status| status.as_u16()), "")
                            == Verdict::Later
                        {
                            PushError::Later {
                                text,
                                retry_after: error.retry_after,
                            }
                        } else {
                            PushError::Stopped(format!(
                                "{text}: set `query_url` in [push] to where it answers queries, or \
                             `read_back = false`"
                            ))
                        },
                    );
                }
            }
        }
        Err(not_there(self.receiver.name(), agent, sample, last))
    }

    /// A sample whose place is taken: what the database has cannot be changed, so there is nothing more to
    /// do about it.
    async fn duplicate(&mut self, batch: &Batch, error: &SendError) -> Result<(), PushError> {
        for part in batch {
            for sample in &part.samples {
                warn!(
                    account = &*part.member.agent.account,
                    agent = &*part.member.agent.name,
                    day = %sample.day(),
                    credits = sample.credits,
                    "{error}: another value stands at this instant, and stays"
                );
            }
        }
        self.metrics.request("duplicate");
        self.note(batch, None).await
    }

    /// A series that is not taken.
    fn refused(&mut self, batch: &Batch, error: &SendError) -> Result<(), PushError> {
        self.metrics.request("refused");
        for part in batch {
            let Agent { account, name, .. } = &part.member.agent;
            error!(
                account = &**account,
                agent = &**name,
                "a series is refused: {error}"
            );
            let line = format!("account {account}, agent {name}: {error}");
            self.summary.refused.push(line);
            self.summary.refused_samples += part.samples.len();
        }
        let refused = self.summary.refused.len();
        if self.summary.samples == 0 && refused >= MAX_REFUSED {
            return Err(PushError::Stopped(format!(
                "{error}: {refused} series were refused, and none was taken"
            )));
        }
        Ok(())
    }
}

fn too_old(batch: &Batch, error: &SendError, now: DateTime<Utc>) -> PushError {
    let Some((member, sample)) = batch::earliest(batch) else {
        return refused(error);
    };
    let Agent { account, name, .. } = &member.agent;
    let day = sample.day();
    let age = Day::of(now).since(day);
    PushError::Stopped(format!(
        "{error}: it takes nothing that is so old as day {day} of account {account}, agent {name}, {age} days \
         ago: raise `out_of_order_time_window` to {}d at least, which is in `storage.tsdb` of Prometheus's \
         config and in the `limits` of Mimir's, or push from a later day on with `from` in [push]",
        age + 1
    ))
}

fn refused(error: &SendError) -> PushError {
    let text = &error.text;
    let advice = if text.contains(": 401 ") || text.contains(": 403 ") {
        ": look at the user and the password, or the token, of [push]"
    } else if text.contains(": 404 ") || text.contains(": 405 ") {
        ": look at the path of the URL in [push]; Prometheus takes writes only with \
         `--web.enable-remote-write-receiver`"
    } else {
        ""
    };
    PushError::Stopped(format!("{text}{advice}"))
}

fn not_there(place: &str, agent: &Agent, sample: Sample, shown: Shown) -> PushError {
    let Agent { account, name, .. } = agent;
    let (day, credits) = (sample.day(), sample.credits);
    let what = format!("day {day} of account {account}, agent {name}");
    PushError::Stopped(match shown {
        Shown::Other(other) => format!(
            "{place}: it has taken {credits} for {what}, and shows {other}: something else writes the same \
             series"
        ),
        Shown::Nothing | Shown::Same => format!(
            "{place}: it has answered that it takes {what}, and does not show it: it drops what is older than \
             it keeps: raise `-retentionPeriod` of VictoriaMetrics or `--storage.tsdb.retention.time` of \
             Prometheus, or push from a later day on with `from` in [push]; if queries go to another place, \
             set `query_url`"
        ),
    })
}
