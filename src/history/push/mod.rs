//! Pushing history into a database by Prometheus's remote write: every value that the ledger knows, once,
//! at its [place](super::placement).
//!
//! A day is pushed as soon as its place has passed, settled or not: each value, and each revision after it,
//! has a place of its own for good, so nothing that is pushed is ever to be taken back, and waiting would
//! only leave gaps open for longer.
//!
//! Samples that were taken are noted in the ledger after each request ([`crate::ledger::Pushed`]). Killed at any
//! instant, the next pass begins with what was not noted; a sample that is sent again is the same sample.
//! A database may answer that it has taken what it drops, as VictoriaMetrics does with what is older than
//! it keeps. So nothing is noted of days that are older than all others before one of them was read back.

mod batch;
mod metrics;
mod receiver;
mod settings;
mod verdict;
mod wire;
mod worker;

#[doc(hidden)]
pub use receiver::parse as parse_answer;
pub use receiver::{query_path, reach};
pub use settings::Settings;
pub use worker::{Feed, Worker};

use std::time::Duration;

use chrono::{DateTime, Utc};
use tracing::{error, warn};

use self::batch::{Batch, Collector};
use self::metrics::PushMetrics;
use self::receiver::{Receiver, Shown};
use self::verdict::Verdict;
use super::placement::Sample;
use crate::backoff::Backoff;
use crate::clock::SharedClock;
use crate::day::Day;
use crate::egress::SendError;
use crate::egress::post::Refusal;
use crate::flowgent::transport::HttpClient;
use crate::ledger::{Ledger, LedgerError, Member, PushTarget};
use crate::roster::Agent;
use crate::telemetry::Telemetry;

/// Number of agents read from the ledger at a time.
const AGENTS_AT_A_TIME: usize = 64;
/// Number of tries of a request before the pass ends.
const TRIES: u32 = 5;
/// The waits between these tries.
const BACKOFF: Backoff = match Backoff::new(Duration::from_millis(500), Duration::from_secs(10)) {
    Ok(backoff) => backoff,
    Err(_) => panic!("the cap is above the base"),
};
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

/// Why a pass has ended before everything was pushed. The text names the database and what it said, and
/// holds no secret.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// It may go on later.
    #[error("{text}")]
    Later {
        /// Description of the failure.
        text: String,
        /// The database asked to be left alone for so long.
        retry_after: Option<Duration>,
    },
    /// Somebody has to change something first.
    #[error("{0}")]
    Stopped(String),
    /// The ledger could not be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl PushError {
    /// The value of the label `outcome` of the requests that ended so.
    const fn outcome(&self) -> &'static str {
        match self {
            Self::Later { .. } | Self::Ledger(_) => "failed",
            Self::Stopped(_) => "stopped",
        }
    }
}

impl From<SendError> for PushError {
    fn from(error: SendError) -> Self {
        // Something on this machine is not there; it may be under way.
        Self::Later {
            text: error.text,
            retry_after: error.retry_after,
        }
    }
}

/// Pushes to one database.
pub struct Pusher {
    settings: Settings,
    ledger: Ledger,
    clock: SharedClock,
    metrics: PushMetrics,
    over: Option<HttpClient>,
}

impl Pusher {
    /// A pusher of what `ledger` knows. Nothing is read or connected to yet.
    #[must_use]
    pub fn new(
        settings: Settings,
        ledger: Ledger,
        clock: SharedClock,
        telemetry: &Telemetry,
    ) -> Self {
        Self {
            settings,
            ledger,
            clock,
            metrics: telemetry.of(),
            over: None,
        }
    }

    /// The same pusher, whose requests `client` sends.
    #[must_use]
    pub fn over(self, client: HttpClient) -> Self {
        Self {
            over: Some(client),
            ..self
        }
    }

    async fn open(&self) -> Result<Receiver<'_>, SendError> {
        Receiver::open(&self.settings, self.over.as_ref()).await
    }

    /// Forgets what the database has taken, so that the next pass sends everything.
    ///
    /// # Errors
    /// A secret cannot be read, or the ledger not written.
    pub async fn forget(&self) -> Result<(), PushError> {
        let identity = self.open().await?.identity();
        Ok(self.ledger.forget_pushed(identity).await?)
    }

    /// Pushes what is known of `members` and was not pushed; `progress` is told how many of them are done.
    /// Whoever drops this has what was taken by then noted, but for one request.
    ///
    /// # Errors
    /// Why not everything was pushed. What was taken before that is noted.
    pub async fn pass(
        &self,
        members: &[Member],
        progress: impl Fn(usize),
    ) -> Result<Summary, PushError> {
        let receiver = self.open().await?;
        let target = self.ledger.push_target(receiver.identity()).await?;
        if let Some(day) = target.newest {
            self.metrics.reached(noon(day));
        }
        let mut pass = PushRun {
            pusher: self,
            summary: Summary {
                place: receiver.name().to_owned(),
                ..Summary::default()
            },
            receiver,
            target,
            too_old: None,
        };
        let result = pass.run(members, progress).await;
        let pushed = &self.metrics;
        match &result {
            // Where nothing is known yet, nothing was tried.
            Ok(()) if pass.summary.samples == 0 && target.newest.is_none() => {}
            Ok(()) if pass.summary.refused.is_empty() => pushed.succeeded(self.clock.now()),
            Ok(()) => {}
            Err(error) => pushed.request(error.outcome()),
        }
        result.map(|()| pass.summary)
    }
}

/// A pass under way.
struct PushRun<'a> {
    pusher: &'a Pusher,
    receiver: Receiver<'a>,
    target: PushTarget,
    summary: Summary,
    /// The oldest day that was left as too old, by its place, and what is to be said of it.
    too_old: Option<(i64, PushError)>,
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
    async fn run(&mut self, members: &[Member], progress: impl Fn(usize)) -> Result<(), PushError> {
        // Nothing is written that lies in the future by either clock.
        let now = self.pusher.clock.earliest();
        let days = [self.pusher.settings.from, Day::of(now).previous()];
        let mut collector = Collector::default();
        let mut done = 0;
        for members in members.chunks(AGENTS_AT_A_TIME) {
            let numbers = members.iter().map(|member| member.number).collect();
            let unpushed = self.pusher.ledger.unpushed(self.target, numbers, days);
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
            self.too_old = Some((at, too_old(batch, error, self.pusher.clock.now())));
        }
    }

    /// Sends a batch, several times if need be.
    async fn write(&self, batch: &Batch) -> Result<Written, PushError> {
        let Pusher {
            clock,
            settings,
            metrics,
            ..
        } = self.pusher;
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
            let jittered = BACKOFF.jittered(tries - 1, fastrand::u64(..));
            tokio::time::sleep(wait.unwrap_or_default().max(jittered)).await;
        }
    }

    /// Notes that a batch was taken, once that is proven where it was not before.
    async fn taken(&mut self, batch: &Batch) -> Result<(), PushError> {
        let metrics = &self.pusher.metrics;
        metrics.request("accepted");
        let mut read_back_from = None;
        if let Some((member, sample)) = batch::earliest(batch)
            && self.pusher.settings.read_back
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
        let ledger = &self.pusher.ledger;
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
            let now = self.pusher.clock.now();
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
        self.pusher.metrics.request("duplicate");
        self.note(batch, None).await
    }

    /// A series that is not taken.
    fn refused(&mut self, batch: &Batch, error: &SendError) -> Result<(), PushError> {
        self.pusher.metrics.request("refused");
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

/// Time at which a scrape would have shown `day` at last, about.
fn noon(day: Day) -> DateTime<Utc> {
    day.end() + chrono::TimeDelta::hours(12)
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
