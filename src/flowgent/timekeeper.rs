//! Asks FlowGent for the time whenever this host's clock may be wrong, and tells people.

use std::mem::discriminant;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::metrics::ApiMetrics;
use crate::backoff::TIME;
use crate::clock::{SharedClock, Standing, instant};
use crate::flowgent::transport::HttpClient;
use crate::telemetry::Telemetry;

/// Interval between looks at the clocks.
const TICK: Duration = Duration::from_secs(1);
/// Interval between requests to FlowGent while the clocks differ: either may be set right.
const DIFFERING: Duration = Duration::from_secs(900);
/// The longest that a start waits for FlowGent's answer.
const START: Duration = Duration::from_secs(5);

/// Sees to it that FlowGent confirms this host's clock. See the [module](self).
pub struct Timekeeper {
    source: Arc<ArcSwap<HttpClient>>,
    clock: SharedClock,
    metrics: ApiMetrics,
    /// Standing last seen and logged.
    standing: Option<Standing>,
    /// The earliest time to ask.
    ask_at: Instant,
    unanswered: u32,
}

impl Timekeeper {
    /// A timekeeper that asks `source`, which may be replaced at any time.
    #[must_use]
    pub fn new(
        source: Arc<ArcSwap<HttpClient>>,
        clock: SharedClock,
        telemetry: &Telemetry,
    ) -> Self {
        Self {
            source,
            clock,
            metrics: telemetry.of(),
            standing: None,
            ask_at: instant(),
            unanswered: 0,
        }
    }

    /// Asks once, and returns when FlowGent has answered or is not there.
    pub async fn confirm(&mut self) {
        // One that is slow is asked again.
        let _ = tokio::time::timeout(START, self.look()).await;
    }

    /// Looks at the clocks until `stop` is cancelled.
    pub async fn run(mut self, stop: CancellationToken) {
        let watching = async {
            loop {
                self.look().await;
                sleep(TICK).await;
            }
        };
        stop.run_until_cancelled(watching).await;
    }

    async fn look(&mut self) {
        let standing = self.clock.time().standing;
        self.show(standing);
        if standing != Standing::Agreed && instant() >= self.ask_at {
            self.ask().await;
            self.show(self.clock.time().standing);
        }
    }

    async fn ask(&mut self) {
        let source = self.source.load_full();
        let wait = match source.ask_the_time(&*self.clock).await {
            Ok(()) => {
                self.unanswered = 0;
                DIFFERING
            }
            Err(error) => {
                debug!("cannot ask FlowGent for the time: {error}");
                let wait = TIME.jittered(self.unanswered, fastrand::u64(..));
                self.unanswered = self.unanswered.saturating_add(1);
                wait
            }
        };
        self.ask_at = instant() + wait;
    }

    /// Shows how the clocks stand. A change is told, and asked about at once.
    fn show(&mut self, standing: Standing) {
        self.metrics.clock_trusted.set(standing.agrees().into());
        let before = self.standing.replace(standing);
        if before.map(|before| discriminant(&before)) == Some(discriminant(&standing)) {
            return;
        }
        match standing {
            Standing::Differs(_) => warn!(
                "{standing}: no day becomes final and no alert starts or resolves until they agree; set the clock, for example with \
                 `timedatectl set-ntp true`"
            ),
            Standing::Unset { .. } => warn!("{standing}: waiting until it is set"),
            Standing::Agreed => {
                if before.is_some_and(Standing::is_wrong) {
                    info!("{standing} again");
                }
            }
            Standing::Unchecked | Standing::Stepped(_) => debug!("{standing}"),
        }
        if !matches!(standing, Standing::Differs(_)) {
            self.ask_at = instant();
            self.unanswered = 0;
        }
    }
}
