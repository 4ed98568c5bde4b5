//! Runs at their times, and what outlasts a kill or a reload.

use std::path::Path;

use chrono::{DateTime, Utc};
use prometheus::proto::Metric;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::clock::ManualClock;
use crate::day::{Day, TRACKING_START};
use crate::flowgent::tests::server::Act;
use crate::flowgent::transport::HttpClient;
use crate::ledger::{Ledger, ProbeOutcome};
use crate::status::Board;
use crate::telemetry::Telemetry;
use crate::window::plan::Policy;

fn at(text: &str) -> DateTime<Utc> {
    format!("2026-11-{text}Z").parse().unwrap()
}

/// A prober under way with a ledger.
struct Running {
    ledger: Ledger,
    telemetry: Telemetry,
    clock: Arc<ManualClock>,
    wake: Arc<Notify>,
    reloads: mpsc::Sender<Reload>,
    ended: mpsc::UnboundedReceiver<()>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

fn plan(probe: Probe, server: &Server) -> Reload {
    let api = settings(server);
    Reload {
        probes: vec![probe],
        http: HttpClient::new(&api).unwrap(),
        api,
    }
}

impl Running {
    fn start(folder: &Path, now: &str, first: Reload) -> Self {
        let telemetry = Telemetry::new();
        let policy = Policy {
            history_start: TRACKING_START,
            settle_days: 3,
        };
        let ledger = Ledger::open(&folder.join("ledger.db"), policy, &telemetry).unwrap();
        let clock = ManualClock::at(at(now));
        let (told, ended) = mpsc::unbounded_channel();
        let tell = Arc::new(move || {
            let _ = told.send(());
        });
        let (wake, stop) = (Arc::<Notify>::default(), CancellationToken::new());
        let (reloads, requests) = mpsc::channel(1);
        let (board, shared) = (Arc::<Board>::default(), Arc::clone(&clock));
        let prober = Prober::new(ledger.clone(), board, shared, &telemetry, tell);
        let task = prober.run(first, Arc::clone(&wake), requests, stop.clone());
        Self {
            ledger,
            telemetry,
            clock,
            wake,
            reloads,
            ended,
            stop,
            task: tokio::spawn(task),
        }
    }

    /// Waits until the prober has taken over its config: then the series of `count` probes are there.
    async fn settled(&self, count: usize) {
        while self.series("flowgent_probe_used_credits_total").len() != count {
            tokio::task::yield_now().await;
        }
    }

    /// Waits until the prober has looked at the clock, by two reloads of the config that it has.
    async fn looked(&self, config: &Reload) {
        for _ in 0..2 {
            self.reloads.send(config.clone()).await.unwrap();
        }
        while self.reloads.capacity() == 0 {
            tokio::task::yield_now().await;
        }
    }

    fn at(&self, now: &str) {
        self.clock.set(at(now));
        self.wake.notify_one();
    }

    /// The values of a family, with the last label of each.
    fn series(&self, name: &str) -> Vec<(String, f64)> {
        let families = self.telemetry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let metrics = family.map_or(&[][..], |family| family.get_metric());
        let series = metrics.iter().map(|metric| {
            let labels = metric.get_label();
            let label = labels.iter().find(|label| label.name() == "outcome");
            let value = match name.ends_with("_total") {
                true => metric.get_counter().get_value(),
                false => metric.get_gauge().get_value(),
            };
            (label.or(labels.first()).unwrap().value().to_owned(), value)
        });
        series.collect()
    }

    fn runs_with(&self, outcome: ProbeOutcome) -> f64 {
        let runs = self.series("flowgent_probe_runs_total");
        let found = runs.iter().find(|(label, _)| label == outcome.as_str());
        found.unwrap().1
    }

    /// Waits until the ledger was asked to keep a run.
    async fn begun(&self) {
        let name = "flowgent_exporter_ledger_transaction_duration_seconds";
        let begins = |metric: &Metric| {
            metric.get_label()[0].value() == "begin_probe"
                && metric.get_histogram().get_sample_count() > 0
        };
        loop {
            let families = self.telemetry.gather();
            let mut families = families.iter().filter(|family| family.name() == name);
            if families.any(|family| family.get_metric().iter().any(begins)) {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Waits until a transaction of that name has failed.
    async fn failed(&self, transaction: &str) {
        let errors = "flowgent_exporter_ledger_errors_total";
        let is_failed = |(name, count): &(String, f64)| name == transaction && *count > 0.0;
        while !self.series(errors).iter().any(is_failed) {
            tokio::task::yield_now().await;
        }
    }

    async fn outcomes(&self) -> Vec<Option<ProbeOutcome>> {
        let runs = self.ledger.probe_runs().await.unwrap();
        let outcome = |run: &ProbeRun| Some(run.result.as_ref()?.outcome);
        runs.iter().map(outcome).collect()
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
        self.ledger.close().await;
    }

    /// Ends as by a kill: nothing that is under way is kept.
    async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
        self.ledger.close().await;
    }
}

#[tokio::test]
async fn a_probe_asks_at_its_time_and_its_series_outlast_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(vec![
        Act::Send(ok(&reply("OK"))),
        Act::Send(answer(503, "", "")),
    ])
    .await;
    let mut running = Running::start(
        folder.path(),
        "23T05:59:59",
        plan(probe(folder.path()), &server),
    );
    running.settled(1).await;
    assert_eq!(
        running.series("flowgent_probe_success"),
        [],
        "before the first run"
    );
    running.at("23T06:00:00");
    running.ended.recv().await.unwrap();
    let request = server.request().await;
    assert!(
        request.starts_with("POST /api/public/agent/support/chat HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.ends_with("\r\n\r\n{\"messages\":\"Reply with the word OK only.\"}"),
        "{request}"
    );
    running.at("24T06:00:10");
    running.ended.recv().await.unwrap();
    running.end().await;

    let running = Running::start(
        folder.path(),
        "24T06:00:30",
        plan(probe(folder.path()), &server),
    );
    running.settled(1).await;
    let value = |name: &str| running.series(&format!("flowgent_probe_{name}"))[0].1;
    assert_eq!(value("success"), 0.0);
    assert_eq!(value("last_status_code"), 503.0);
    assert_eq!(value("used_credits_total"), 1.5);
    assert_eq!(
        value("last_run_timestamp_seconds"),
        at("24T06:00:00").timestamp() as f64
    );
    assert_eq!(running.series("flowgent_probe_execution_seconds"), []);
    assert_eq!(running.runs_with(ProbeOutcome::Success), 1.0);
    assert_eq!(running.runs_with(ProbeOutcome::Unavailable), 1.0);
    let used = running
        .ledger
        .probe_use(TRACKING_START, Day::of(at("30T00:00:00")))
        .await
        .unwrap();
    let days = &used[&("acme".into(), "support".into())];
    assert_eq!(
        (days.len(), days[0].day, days[0].credits),
        (1, Day::of(at("23T00:00:00")), 1.5)
    );
    running.end().await;
    assert_eq!(server.unseen(), 1, "a restart sends nothing");
}

#[tokio::test]
async fn a_kill_between_asking_and_keeping_leaves_an_interrupted_run_and_no_second_question() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(vec![Act::Stall(Vec::new()), Act::Send(ok(&reply("OK")))]).await;
    let running = Running::start(
        folder.path(),
        "23T05:59:59",
        plan(probe(folder.path()), &server),
    );
    running.settled(1).await;
    running.at("23T06:00:00");
    server.request().await;
    assert_eq!(
        running.outcomes().await,
        [None],
        "it is kept before it is asked"
    );
    running.kill().await;

    // The clock is set back, so that the time comes again.
    let mut running = Running::start(
        folder.path(),
        "23T05:59:59",
        plan(probe(folder.path()), &server),
    );
    running.settled(1).await;
    assert_eq!(running.outcomes().await, [Some(ProbeOutcome::Interrupted)]);
    assert_eq!(running.runs_with(ProbeOutcome::Interrupted), 1.0);
    assert_eq!(running.series("flowgent_probe_success"), []);
    running.at("23T06:00:00");
    // As long as that one is looked up, the next one's time would pass.
    running.begun().await;
    running.looked(&plan(probe(folder.path()), &server)).await;
    running.at("24T06:00:00");
    running.ended.recv().await.unwrap();
    assert_eq!(
        running.outcomes().await,
        [ProbeOutcome::Success, ProbeOutcome::Interrupted].map(Some)
    );
    running.end().await;
    assert_eq!(server.unseen(), 1, "the run of the 24th alone");
}

#[tokio::test]
async fn a_reload_sends_nothing_and_a_probe_that_is_gone_leaves_no_series() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(Vec::new()).await;
    let mut other = probe(folder.path());
    other.name = "other".into();
    let running = Running::start(
        folder.path(),
        "23T07:00:00",
        plan(probe(folder.path()), &server),
    );
    running.settled(1).await;
    running.at("23T07:00:01");
    let mut reload = plan(probe(folder.path()), &server);
    reload.probes.push(other);
    running.reloads.send(reload.clone()).await.unwrap();
    running.settled(2).await;
    reload.probes.clear();
    running.reloads.send(reload).await.unwrap();
    running.settled(0).await;
    assert_eq!(running.series("flowgent_probe_runs_total"), []);
    assert_eq!(running.outcomes().await, []);
    running.end().await;
}

#[tokio::test]
async fn a_time_that_comes_while_the_last_run_is_under_way_is_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(vec![Act::Stall(Vec::new()), Act::Send(ok(&reply("OK")))]).await;
    let running = Running::start(
        folder.path(),
        "23T05:59:59",
        plan(probe(folder.path()), &server),
    );
    running.settled(1).await;
    running.at("23T06:00:00");
    server.request().await;
    running.at("24T06:00:00");
    // A reload does not make it another probe.
    running.looked(&plan(probe(folder.path()), &server)).await;
    assert_eq!(running.outcomes().await, [None]);
    assert_eq!(server.unseen(), 0);
    running.kill().await;
}

/// Somebody who writes into the ledger and does not end, so that nobody else can.
fn hold(folder: &Path) -> rusqlite::Connection {
    let other = rusqlite::Connection::open(folder.join("ledger.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    other
}

#[tokio::test]
async fn an_agent_is_not_asked_if_the_time_cannot_be_kept() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(vec![Act::Send(ok(&reply("OK")))]).await;
    let config = plan(probe(folder.path()), &server);
    let mut running = Running::start(folder.path(), "23T05:59:59", config.clone());
    running.settled(1).await;
    let other = hold(folder.path());
    running.at("23T06:00:00");
    running.failed("begin_probe").await;
    other.execute_batch("ROLLBACK").unwrap();
    running.looked(&config).await;
    assert_eq!((running.outcomes().await, server.unseen()), (vec![], 0));
    running.at("24T06:00:00");
    running.ended.recv().await.unwrap();
    assert_eq!(running.outcomes().await, [Some(ProbeOutcome::Success)]);
    running.end().await;
    assert_eq!(server.unseen(), 1);
}

#[tokio::test]
async fn a_run_whose_end_cannot_be_kept_at_once_is_kept_later() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(vec![Act::Stall(Vec::new())]).await;
    let config = plan(probe(folder.path()), &server);
    let mut running = Running::start(folder.path(), "23T05:59:59", config);
    running.settled(1).await;
    running.at("23T06:00:00");
    server.request().await;
    let other = hold(folder.path());
    // Its connections end with it.
    drop(server);
    running.failed("end_probe").await;
    assert_eq!(running.outcomes().await, [None]);
    other.execute_batch("ROLLBACK").unwrap();
    running.ended.recv().await.unwrap();
    assert_eq!(running.outcomes().await, [Some(ProbeOutcome::Unavailable)]);
    running.end().await;
}

#[tokio::test]
async fn while_runs_of_before_cannot_be_ended_reloads_are_taken_and_no_agent_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(vec![Act::Stall(Vec::new()), Act::Send(ok(&reply("OK")))]).await;
    let config = plan(probe(folder.path()), &server);
    let running = Running::start(folder.path(), "23T05:59:59", config.clone());
    running.settled(1).await;
    running.at("23T06:00:00");
    server.request().await;
    running.kill().await;

    let mut running = Running::start(folder.path(), "24T05:59:59", config.clone());
    // The prober begins once this waits for something.
    let other = hold(folder.path());
    running.failed("end_probe").await;
    running.at("24T06:00:00");
    let looked = timeout(Duration::from_secs(60), running.looked(&config));
    looked.await.expect("a reload does not wait for the ledger");
    assert_eq!((running.outcomes().await, server.unseen()), (vec![None], 0));
    running.at("24T06:02:00");
    other.execute_batch("ROLLBACK").unwrap();
    while running.outcomes().await == [None] {
        tokio::task::yield_now().await;
    }
    running.looked(&config).await;
    running.at("25T06:00:00");
    running.ended.recv().await.unwrap();
    let outcomes = running.outcomes().await;
    assert_eq!(outcomes[0], Some(ProbeOutcome::Success));
    assert_eq!(outcomes.last(), Some(&Some(ProbeOutcome::Interrupted)));
    running.end().await;
}
