//! Runs probes at their times, for as long as the program runs.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::metrics::{Labels, ProbeMetrics};
use super::{Probe, Times, identity, judge};
use crate::backoff::REST_AFTER_ERROR;
use crate::clock::SharedClock;
use crate::flowgent;
use crate::flowgent::client::Client;
use crate::flowgent::transport::HttpClient;
use crate::flowgent::wire::{ChatMessages, ChatRequest};
use crate::ledger::{Ledger, LedgerError, PlannedRun, ProbeOutcome, ProbeResult};
use crate::roster::Agent;
use crate::status::Board;
use crate::telemetry::{Instruments, Telemetry};

/// Interval between looks at the clock.
const TICK: Duration = Duration::from_secs(1);
/// Time for runs that are under way when the program ends. Longer ones are interrupted.
const IN_FLIGHT: Duration = Duration::from_secs(15);

/// Probes, and how FlowGent is reached.
#[derive(Debug, Clone)]
pub struct Reload {
    /// The probes.
    pub probes: Vec<Probe>,
    /// Settings of the client.
    pub api: flowgent::Settings,
    /// Its connections.
    pub http: HttpClient,
}

/// Is called after each run.
pub type Tell = Arc<dyn Fn() + Send + Sync>;

/// Runs probes. See the [module](super).
pub struct Prober {
    slots: Vec<Slot>,
    shared: Arc<Shared>,
    telemetry: Telemetry,
}

/// A probe, its times and its client.
struct Slot {
    probe: Arc<Probe>,
    times: Times,
    client: Arc<Client>,
    /// Held by a run as well while one is under way.
    busy: Arc<()>,
}

/// What all runs use.
struct Shared {
    ledger: Ledger,
    board: Arc<Board>,
    clock: SharedClock,
    metrics: ProbeMetrics,
    /// The labels of each probe's series, by its name.
    shown: Mutex<HashMap<Arc<str>, Labels>>,
    tell: Tell,
}

impl Prober {
    /// A prober of no probe yet, which `tell`s of each run. The agents are those of `board`.
    #[must_use]
    pub fn new(
        ledger: Ledger,
        board: Arc<Board>,
        clock: SharedClock,
        telemetry: &Telemetry,
        tell: Tell,
    ) -> Self {
        Self {
            slots: Vec::new(),
            telemetry: telemetry.clone(),
            shared: Arc::new(Shared {
                ledger,
                board,
                clock,
                metrics: telemetry.of(),
                shown: Mutex::default(),
                tell,
            }),
        }
    }

    /// Works until `stop` is cancelled; runs that are under way then may end within 15 seconds. `wake` is notified
    /// now and then.
    pub async fn run(
        mut self,
        first: Reload,
        wake: Arc<Notify>,
        mut reloads: mpsc::Receiver<Reload>,
        stop: CancellationToken,
    ) {
        self.take_over(first);
        let shared = Arc::clone(&self.shared);
        let mut interrupted = pin!(shared.end_interrupted());
        // Until then the ledger cannot be written, and no probe is asked.
        let mut is_ready = false;
        let mut runs = JoinSet::new();
        while !stop.is_cancelled() {
            if is_ready {
                self.begin(&mut runs);
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = &mut interrupted, if !is_ready => {
                    is_ready = true;
                    self.show().await;
                }
                () = wake.notified() => {}
                Some(reload) = reloads.recv() => self.reload(reload).await,
                Some(ended) = runs.join_next() => if let Err(failed) = ended {
                    error!("a run of a probe failed: {failed}");
                },
                () = sleep(TICK) => {}
            }
        }
        let _ = timeout(IN_FLIGHT, async {
            while runs.join_next().await.is_some() {}
        })
        .await;
    }

    /// Goes by the `first` config, after it has ended the runs that were under way when the program ended.
    pub async fn start(&mut self, first: Reload) {
        self.take_over(first);
        self.shared.end_interrupted().await;
        self.show().await;
    }

    /// Goes by another config.
    pub async fn reload(&mut self, reload: Reload) {
        self.take_over(reload);
        self.show().await;
    }

    /// Does the runs that are due.
    pub async fn turn(&mut self) {
        let mut runs = JoinSet::new();
        self.begin(&mut runs);
        while runs.join_next().await.is_some() {}
    }

    async fn show(&self) {
        let probes = self.slots.iter().map(|slot| Arc::clone(&slot.probe));
        self.shared.show(&probes.collect::<Vec<_>>()).await;
    }

    /// Takes over another config. Times of a pattern that stays go on, and a run that is under way stays the only one
    /// of its probe.
    fn take_over(&mut self, Reload { probes, api, http }: Reload) {
        let now = self.shared.clock.now();
        let mut clients: HashMap<Arc<str>, Arc<Client>> = HashMap::new();
        let mut before: HashMap<_, _> = std::mem::take(&mut self.slots)
            .into_iter()
            .map(|slot| (Arc::clone(&slot.probe.name), slot))
            .collect();
        for probe in probes {
            let client = clients
                .entry(Arc::clone(&probe.account))
                .or_insert_with(|| {
                    let (account, clock) =
                        (Arc::clone(&probe.account), Arc::clone(&self.shared.clock));
                    Arc::new(Client::new(&http, &api, account, &self.telemetry, clock))
                });
            let (times, busy) = before
                .remove(&probe.name)
                .map(|slot| (slot.times, slot.busy))
                .unzip();
            self.slots.push(Slot {
                times: Times::new(probe.cron.clone(), now).following(times),
                client: Arc::clone(client),
                busy: busy.unwrap_or_default(),
                probe: Arc::new(probe),
            });
        }
    }

    /// Begins the runs that are due. A time that comes while the last run is under way is missed.
    fn begin(&mut self, runs: &mut JoinSet<()>) {
        let time = self.shared.clock.time();
        if !time.standing.is_known() {
            return;
        }
        for slot in &mut self.slots {
            let Some(planned_at) = slot.times.due(time.now) else {
                continue;
            };
            let probe = Arc::clone(&slot.probe);
            if Arc::strong_count(&slot.busy) > 1 {
                warn!(
                    probe = &*probe.name,
                    "a time of the probe is skipped: its last run is not over"
                );
                continue;
            }
            let (shared, client) = (Arc::clone(&self.shared), Arc::clone(&slot.client));
            let busy = Arc::clone(&slot.busy);
            runs.spawn(async move {
                let agent = probe.target(&shared.board.members());
                let planned = PlannedRun {
                    probe: Arc::clone(&probe.name),
                    agent: identity(&agent),
                    planned_at,
                };
                shared.run(&probe, &agent, planned, &client).await;
                drop(busy);
            });
        }
    }
}

impl Shared {
    /// Ends the runs that were under way when the program ended, as soon as the ledger can be written.
    async fn end_interrupted(&self) {
        let work = || self.ledger.interrupt_probes(self.clock.now());
        if let interrupted @ 1.. = persistently("end the runs of probes", work).await {
            warn!(interrupted, "the exporter ended during runs of probes");
        }
    }

    /// Asks an agent, unless it was asked for that time already, and keeps how that went.
    async fn run(&self, probe: &Arc<Probe>, agent: &Agent, planned: PlannedRun, client: &Client) {
        let name = &*probe.name;
        let number = match self.ledger.begin_probe(planned, self.clock.now()).await {
            Ok(Some(number)) => number,
            Ok(None) => {
                debug!(probe = name, "this time of the probe was asked for before");
                return;
            }
            // A question that is not kept would be asked again after a restart.
            Err(error) => {
                error!(probe = name, "the probe is not run: {error}");
                return;
            }
        };
        let result = ask(probe, &agent.id, client).await;
        let ProbeResult {
            outcome,
            used_credits,
            detail,
            ..
        } = &result;
        let (account, agent, outcome) = (&*probe.account, &*agent.name, outcome.as_str());
        if result.outcome == ProbeOutcome::Success {
            info!(
                probe = name,
                account, agent, outcome, used_credits, "probe run"
            );
        } else {
            warn!(
                probe = name,
                account, agent, outcome, used_credits, "probe run: {detail}"
            );
        }
        let end = || {
            self.ledger
                .end_probe(number, result.clone(), self.clock.now())
        };
        persistently("keep the run of a probe", end).await;
        self.refresh(std::slice::from_ref(probe)).await;
        (self.tell)();
    }

    /// Shows the series of these probes, and no others.
    async fn show(&self, probes: &[Arc<Probe>]) {
        self.shown.lock().retain(|name, _| {
            let stays = probes.iter().any(|probe| probe.name == *name);
            if !stays {
                self.metrics.forget("probe", name);
            }
            stays
        });
        self.refresh(probes).await;
    }

    /// Shows the newest runs, and the series of these probes.
    async fn refresh(&self, probes: &[Arc<Probe>]) {
        let read = async {
            let runs = self.ledger.probe_runs().await?;
            Ok::<_, LedgerError>((runs, self.ledger.probe_totals().await?))
        };
        let (runs, totals) = match read.await {
            Ok(read) => read,
            Err(error) => return error!("cannot read the runs of probes: {error}"),
        };
        let members = self.board.members();
        for probe in probes {
            let agent = probe.target(&members);
            let labels = [&probe.name, &probe.account, &agent.name].map(ToString::to_string);
            let mut shown = self.shown.lock();
            let before = shown.insert(Arc::clone(&probe.name), labels.clone());
            if before.is_some_and(|before| before != labels) {
                self.metrics.forget("probe", &probe.name);
            }
            let own = probe.runs(&agent, &runs);
            self.metrics.show(&labels, own, &totals, &identity(&agent));
        }
        self.board.probed(runs);
    }
}

/// Does `work` on the ledger again and again until it succeeds. Logs the first error.
async fn persistently<T, W>(what: &str, work: impl Fn() -> W) -> T
where
    W: Future<Output = Result<T, LedgerError>>,
{
    let mut is_told = false;
    loop {
        match work().await {
            Ok(done) => return done,
            Err(error) if std::mem::replace(&mut is_told, true) => debug!("cannot {what}: {error}"),
            Err(error) => error!("cannot {what}, trying again: {error}"),
        }
        sleep(REST_AFTER_ERROR).await;
    }
}

/// Asks the agent with that identifier once.
pub async fn ask(probe: &Probe, agent_id: &str, client: &Client) -> ProbeResult {
    let key = match probe.api_key.read_aside().await {
        Ok(key) => client.set_key(key).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(detail) = key {
        return ProbeResult {
            outcome: ProbeOutcome::Refused,
            status_code: None,
            duration_seconds: None,
            execution_seconds: None,
            used_credits: None,
            detail,
        };
    }
    let request = ChatRequest {
        messages: ChatMessages::Text(probe.message.clone()),
        thread_id: None,
        callback_url: None,
    };
    let (reply, took) = client.chat(agent_id, &request, probe.timeout).await;
    judge(reply, probe.expect.as_ref(), took.as_secs_f64())
}
