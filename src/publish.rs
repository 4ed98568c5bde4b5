//! Keeps what is served in step with the ledger: whenever agents change or a UTC day begins, their
//! figures are computed anew, rendered and published as one immutable body.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::clock::{self, SharedClock};
use crate::day::{Day, TRACKING_START};
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

/// Collects what has changed since the last rendering.
#[derive(Debug, Default)]
pub struct Changes {
    pending: Mutex<Pending>,
    notify: Notify,
}

#[derive(Debug, Default)]
struct Pending {
    members: Option<(Arc<[Member]>, Day)>,
    agents: HashSet<AgentNumber>,
}

impl Changes {
    /// Notes an event of a sync.
    pub fn observe(&self, event: &Event) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Members(members, history_start) => {
                pending.members = Some((Arc::clone(members), *history_start));
            }
            Event::Committed(agent) | Event::Failed(agent) => {
                pending.agents.insert(*agent);
            }
            Event::Planned(_) | Event::Left(_) | Event::Ended(_) => return,
        }
        self.notify.notify_one();
    }

    fn take(&self) -> Pending {
        std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Renders and publishes. See the [module](self).
pub struct Publisher {
    ledger: Ledger,
    exposition: Arc<Exposition>,
    clock: SharedClock,
    telemetry: Telemetry,
    changes: Arc<Changes>,
    history_start: Day,
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
            history_start: TRACKING_START,
            series: Vec::new(),
            numbers: Vec::new(),
            places: HashMap::new(),
            day: None,
        }
    }

    /// Publishes until `stop` is cancelled.
    pub async fn run(mut self, stop: CancellationToken) {
        // An error that lasts is told once, not at every try.
        let mut told = None;
        loop {
            let rest = match self.publish().await {
                Ok(took) => {
                    told = None;
                    took * REST
                }
                Err(error) => {
                    // Everything is read again, so nothing that changed meanwhile is forgotten.
                    self.day = None;
                    let error = error.to_string();
                    if told.as_ref() != Some(&error) {
                        error!("cannot read the figures to publish: {error}");
                        told = Some(error);
                    }
                    Duration::from_secs(10)
                }
            };
            let due = async {
                tokio::time::sleep(rest.max(GATHER)).await;
                self.due().await;
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = due => {}
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

    /// Computes what has changed, and publishes all. Returns how long the rendering took.
    ///
    /// # Errors
    /// The ledger could not be read.
    pub async fn publish(&mut self) -> Result<Duration, LedgerError> {
        let today = self.clock.today();
        let changed = self.changes.take();
        let mut all = self.day != Some(today);
        if let Some((members, history_start)) = changed.members {
            self.enrol(&members, history_start);
            all = true;
        }
        let numbers: Vec<AgentNumber> = if all {
            self.numbers.clone()
        } else {
            changed
                .agents
                .into_iter()
                .filter(|agent| self.places.contains_key(agent))
                .collect()
        };
        let history_start = self.history_start;
        let figures = self
            .ledger
            .snapshot(
                numbers.clone(),
                series::recent_start(today),
                move |_, totals, recent| series::figures(totals, recent, history_start, today),
            )
            .await?;
        for (number, figures) in numbers.iter().zip(figures) {
            self.series[self.places[number]].figures = figures;
        }
        self.day = Some(today);
        Ok(self.render(today).await)
    }

    /// Takes over a new list of agents. Their figures follow.
    fn enrol(&mut self, members: &[Member], history_start: Day) {
        self.history_start = history_start;
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
