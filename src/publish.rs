//! Keeps what is served in step with the ledger: whenever agents change or a UTC day begins, their
//! figures are computed anew, rendered and published as one immutable body.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::clock::{self, SharedClock};
use crate::day::Day;
use crate::exposition::{AgentSeries, Body, Exposition};
use crate::ledger::{AgentNumber, Ledger, LedgerError};
use crate::series::{self, Figures};
use crate::sync::{Event, Member};
use crate::telemetry::Telemetry;

/// How often the clock is looked at for a new day.
const TICK: Duration = Duration::from_secs(1);
/// After a rendering that took a second, the next one waits so many: renderings take a twentieth of
/// one core at most while a long backfill changes something all the time.
const REST: u32 = 20;
/// Changes that come within this time of each other are rendered together.
const GATHER: Duration = Duration::from_millis(100);
/// How long it rests when the ledger could not be read.
const REST_AFTER_ERROR: Duration = Duration::from_secs(10);

/// Collects what has changed since the last rendering.
#[derive(Debug, Default)]
pub struct Changes {
    pending: Mutex<Pending>,
    notify: Notify,
}

#[derive(Debug, Default)]
struct Pending {
    members: Option<Arc<[Member]>>,
    agents: HashSet<AgentNumber>,
    everything: bool,
}

impl Changes {
    /// Notes an event of a sync.
    pub fn observe(&self, event: &Event) {
        match event {
            Event::Members(members) => self.pending().members = Some(Arc::clone(members)),
            Event::Committed(agent) | Event::Failed(agent) => {
                self.pending().agents.insert(*agent);
            }
            Event::Planned(_) | Event::Left(_) | Event::Ended(_) => return,
        }
        self.notify.notify_one();
    }

    /// Notes that any figure may have changed, as under another policy.
    pub fn observe_everything(&self) {
        self.pending().everything = true;
        self.notify.notify_one();
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Renders and publishes. See the [module](self).
pub struct Publisher {
    ledger: Ledger,
    exposition: Arc<Exposition>,
    clock: SharedClock,
    telemetry: Telemetry,
    changes: Arc<Changes>,
    /// All agents with their figures, in the order in which they are rendered.
    series: Vec<AgentSeries>,
    numbers: Vec<AgentNumber>,
    places: HashMap<AgentNumber, usize>,
    /// The day that all figures are of.
    day: Option<Day>,
}

impl Publisher {
    /// A publisher that has published nothing yet.
    #[must_use]
    pub fn new(
        ledger: Ledger,
        exposition: Arc<Exposition>,
        clock: SharedClock,
        telemetry: Telemetry,
        changes: Arc<Changes>,
    ) -> Self {
        Self {
            ledger,
            exposition,
            clock,
            telemetry,
            changes,
            series: Vec::new(),
            numbers: Vec::new(),
            places: HashMap::new(),
            day: None,
        }
    }

    /// Publishes every change from now on, until `stop` is cancelled.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut rest = Duration::ZERO;
        // An error that lasts is told once, not at every try.
        let mut told = None;
        loop {
            let due = async {
                tokio::join!(self.due(), tokio::time::sleep(rest));
                tokio::time::sleep(GATHER).await;
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = due => {}
            }
            match self.publish().await {
                Ok(took) => {
                    told = None;
                    rest = took * REST;
                }
                Err(error) => {
                    // Everything is read again, so nothing that changed meanwhile is forgotten.
                    self.day = None;
                    rest = REST_AFTER_ERROR;
                    let error = error.to_string();
                    if told.as_ref() != Some(&error) {
                        error!("cannot read the figures to publish: {error}");
                        told = Some(error);
                    }
                }
            }
        }
    }

    /// Returns when something has changed or another day has begun.
    async fn due(&self) {
        while self.day == Some(self.clock.today()) {
            tokio::select! {
                () = self.changes.notify.notified() => return,
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    /// Computes what has changed, and publishes all. Returns how long the rendering took; no time if
    /// nothing has changed.
    ///
    /// # Errors
    /// The ledger could not be read.
    pub async fn publish(&mut self) -> Result<Duration, LedgerError> {
        let today = self.clock.today();
        let Pending {
            members,
            agents,
            everything,
        } = std::mem::take(&mut *self.changes.pending());
        let enrolled = members.is_some_and(|members| self.enrol(&members));
        let numbers: Vec<_> = if enrolled || everything || self.day != Some(today) {
            self.numbers.clone()
        } else {
            agents
                .into_iter()
                .filter(|agent| self.places.contains_key(agent))
                .collect()
        };
        if numbers.is_empty() && !enrolled && self.day == Some(today) {
            return Ok(Duration::ZERO);
        }
        let figures = self
            .ledger
            .snapshot(
                numbers.clone(),
                series::recent_start(today),
                move |history_start, totals, recent| {
                    series::figures(totals, recent, history_start, today)
                },
            )
            .await?;
        for (number, figures) in numbers.iter().zip(figures) {
            self.series[self.places[number]].figures = figures;
        }
        self.day = Some(today);
        Ok(self.render(today).await)
    }

    /// Takes over a list of agents, whose figures are to follow; false if it is the one from before.
    fn enrol(&mut self, members: &[Member]) -> bool {
        let known = self
            .numbers
            .iter()
            .copied()
            .zip(self.series.iter().map(|series| &series.agent));
        if known.eq(members.iter().map(|member| (member.number, &member.agent))) {
            return false;
        }
        self.numbers = members.iter().map(|member| member.number).collect();
        self.places = self
            .numbers
            .iter()
            .enumerate()
            .map(|(place, number)| (*number, place))
            .collect();
        self.series = members
            .iter()
            .map(|member| AgentSeries {
                agent: member.agent.clone(),
                figures: Figures::default(),
            })
            .collect();
        true
    }

    async fn render(&mut self, today: Day) -> Duration {
        let started = clock::instant();
        let series = std::mem::take(&mut self.series);
        let rendering = tokio::task::spawn_blocking(move || {
            let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
            (Body::render(today, &series, threads), series)
        });
        match rendering.await {
            Ok((body, series)) => {
                self.series = series;
                self.exposition.publish(body);
            }
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
        let took = started.elapsed();
        self.telemetry.render_duration.observe(took.as_secs_f64());
        took
    }
}
