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
mod error;
mod metrics;
mod receiver;
mod run;
mod settings;
mod verdict;
mod wire;
mod worker;

pub use error::PushError;
#[doc(hidden)]
pub use receiver::parse as parse_answer;
pub use receiver::{query_path, reach};
pub use run::Summary;
pub use settings::Settings;
pub use worker::{Feed, Worker};

use chrono::{DateTime, Utc};

use metrics::PushMetrics;
use receiver::Receiver;
use run::PushRun;

use crate::clock::SharedClock;
use crate::day::Day;
use crate::egress::SendError;
use crate::flowgent::transport::HttpClient;
use crate::ledger::{Ledger, Member};
use crate::telemetry::Telemetry;

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
            settings: &self.settings,
            ledger: &self.ledger,
            clock: &self.clock,
            metrics: &self.metrics,
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

/// Time at which a scrape would have shown `day` at last, about.
fn noon(day: Day) -> DateTime<Utc> {
    day.end() + chrono::TimeDelta::hours(12)
}
