//! Keeps what is served in step with the ledger: whenever agents change or a UTC day begins, their
//! figures are computed anew, rendered and published as one immutable body.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::backoff::{REST_AFTER_ERROR, is_news};
use crate::blocking;
use crate::clock::{self, SharedClock};
use crate::day::Day;
use crate::exposition::{Body, Exposition};
use crate::ledger::{AgentNumber, Ledger, LedgerError, Member};
use crate::series::{self, Figures};
use crate::status::Board;
use crate::sync::Event;
use crate::telemetry::{QUICK_BUCKETS, Telemetry};

/// Interval between looks at the clock for a new day.
const TICK: Duration = Duration::from_secs(1);
/// Seconds of rest after a rendering that took one second: renderings take a twentieth of one core at most while a
/// long backfill changes something all the time.
const REST: u32 = 20;
/// Number of agents read from the ledger at a time: memory never holds the days of all at
/// once, and other readers come in between.
const AGENTS_AT_A_TIME: usize = 4096;
/// Changes that come within this time of each other are rendered together.
const GATHER: Duration = Duration::from_millis(100);

crate::telemetry::instruments! {
    /// Renderings of the usage series.
    struct RenderMetrics {
        duration: Histogram = "flowgent_exporter_render_duration_seconds",
            "Time to render and compress the usage series after a change.", QUICK_BUCKETS;
    }
}

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
            Event::Members(members) => self.pending.lock().members = Some(Arc::clone(members)),
            Event::Committed(agent) | Event::Failed(agent) => {
                self.pending.lock().agents.insert(*agent);
            }
            Event::Started(_)
            | Event::Planned(_)
            | Event::Left(_)
            | Event::Ended(_)
            | Event::Scheduled(_) => return,
        }
        self.notify.notify_one();
    }

    /// Notes that any figure may have changed, as under another policy.
    pub fn observe_everything(&self) {
        self.pending.lock().everything = true;
        self.notify.notify_one();
    }
}

/// Renders and publishes. See the [module](self).
pub struct Publisher {
    ledger: Ledger,
    exposition: Arc<Exposition>,
    board: Arc<Board>,
    clock: SharedClock,
    metrics: RenderMetrics,
    changes: Arc<Changes>,
    members: Arc<[Member]>,
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
        board: Arc<Board>,
        clock: SharedClock,
        telemetry: &Telemetry,
        changes: Arc<Changes>,
    ) -> Self {
        Self {
            ledger,
            exposition,
            board,
            clock,
            metrics: telemetry.of(),
            changes,
            members: Arc::default(),
            places: HashMap::new(),
            day: None,
        }
    }

    /// Publishes every change from now on, until `stop` is cancelled.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut rest = Duration::ZERO;
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
                    if is_news(&mut told, &error) {
                        error!("cannot read the figures to publish: {error}");
                    }
                }
            }
        }
    }

    /// Returns when something has changed or another day has begun.
    async fn due(&self) {
        while !self.clock.is_known() {
            tokio::time::sleep(TICK).await;
        }
        while self.day == Some(self.clock.today()) {
            tokio::select! {
                () = self.changes.notify.notified() => return,
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    /// Computes what has changed, and publishes all. Returns how long the rendering took; no time if
    /// nothing has changed, or the day is not known.
    ///
    /// # Errors
    /// The ledger could not be read.
    pub async fn publish(&mut self) -> Result<Duration, LedgerError> {
        let time = self.clock.time();
        if !time.standing.is_known() {
            return Ok(Duration::ZERO);
        }
        let today = Day::of(time.now);
        let Pending {
            members,
            agents,
            everything,
        } = std::mem::take(&mut *self.changes.pending.lock());
        let enrolled = members.is_some_and(|members| self.enrol(members));
        let places: Vec<usize> = if enrolled || everything || self.day != Some(today) {
            (0..self.members.len()).collect()
        } else {
            agents
                .iter()
                .filter_map(|agent| self.places.get(agent).copied())
                .collect()
        };
        if places.is_empty() && !enrolled && self.day == Some(today) {
            return Ok(Duration::ZERO);
        }
        // Until all is read, what is there may be of different days.
        self.day = None;
        let mut left = places.len();
        for places in places.chunks(AGENTS_AT_A_TIME) {
            let figures = self.compute(places, today).await?;
            left -= places.len();
            let figures = places.iter().copied().zip(figures);
            self.board.set_figures(today, figures, left == 0);
        }
        if places.is_empty() {
            self.board.set_figures(today, [], true);
        }
        self.day = Some(today);
        Ok(self.render(today).await)
    }

    /// The figures of the agents at `places`.
    async fn compute(&self, places: &[usize], today: Day) -> Result<Vec<Figures>, LedgerError> {
        self.ledger
            .snapshot(
                places
                    .iter()
                    .map(|place| self.members[*place].number)
                    .collect(),
                series::recent_start(today),
                move |history_start, totals, recent| {
                    series::figures(totals, recent, history_start, today)
                },
            )
            .await
    }

    /// Takes over a list of agents, whose figures are to follow; false if it is the one from before.
    fn enrol(&mut self, members: Arc<[Member]>) -> bool {
        if Arc::ptr_eq(&members, &self.members) {
            return false;
        }
        self.members = members;
        let places = self.members.iter().enumerate();
        self.places = places
            .map(|(place, member)| (member.number, place))
            .collect();
        self.board.enrol(Arc::clone(&self.members));
        true
    }

    async fn render(&self, today: Day) -> Duration {
        let started = clock::instant();
        let board = Arc::clone(&self.board);
        let body = blocking::run(move || {
            let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
            board.series(|series| Body::render(today, series, threads))
        });
        self.exposition.publish(body.await);
        let took = started.elapsed();
        self.metrics.duration.observe(took.as_secs_f64());
        took
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};
    use crate::day::TRACKING_START;
    use crate::roster::Agent;
    use crate::window::plan::Policy;

    const POLICY: Policy = Policy {
        history_start: TRACKING_START,
        settle_days: 3,
    };

    struct Scene {
        publisher: Publisher,
        changes: Arc<Changes>,
        clock: Arc<ManualClock>,
        telemetry: Telemetry,
        members: Arc<[Member]>,
        _folder: tempfile::TempDir,
    }

    impl Scene {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let telemetry = Telemetry::new();
            let path = folder.path().join("ledger.db");
            let ledger = Ledger::open(&path, POLICY, &telemetry).unwrap();
            let agent = Agent {
                account: "acme".into(),
                id: "a".into(),
                name: "support".into(),
                labels: Arc::default(),
            };
            let identity = (Arc::clone(&agent.account), Arc::clone(&agent.id));
            let number = ledger.register(vec![identity]).await.unwrap()[0];
            let clock = ManualClock::at(TRACKING_START.plus(10).start());
            let changes = Arc::new(Changes::default());
            let publisher = Publisher::new(
                ledger,
                Arc::new(Exposition::new(telemetry.clone())),
                Arc::default(),
                Arc::clone(&clock) as SharedClock,
                &telemetry,
                Arc::clone(&changes),
            );
            Self {
                publisher,
                changes,
                clock,
                telemetry,
                members: Arc::new([Member::present(agent, number)]),
                _folder: folder,
            }
        }

        /// Number of renderings once `event` has been dealt with.
        async fn renderings_after(&mut self, event: &Event) -> u64 {
            self.changes.observe(event);
            self.publisher.publish().await.unwrap();
            self.telemetry
                .of::<RenderMetrics>()
                .duration
                .get_sample_count()
        }
    }

    #[tokio::test]
    async fn only_what_changes_something_is_rendered() {
        let mut scene = Scene::new().await;
        let number = scene.members[0].number;
        let listed = Event::Members(Arc::clone(&scene.members));
        let equal = Event::Members(scene.members.iter().cloned().collect());
        assert_eq!(scene.renderings_after(&listed).await, 1);
        assert_eq!(scene.renderings_after(&listed).await, 1, "the same list");
        assert_eq!(scene.renderings_after(&Event::Committed(number)).await, 2);
        assert_eq!(scene.renderings_after(&Event::Planned(1)).await, 2);
        scene.changes.observe_everything();
        assert_eq!(scene.renderings_after(&Event::Planned(1)).await, 3);
        assert_eq!(scene.renderings_after(&equal).await, 4, "another list");
        scene.clock.set(scene.clock.today().end());
        assert_eq!(scene.renderings_after(&Event::Planned(1)).await, 5);
    }
}
