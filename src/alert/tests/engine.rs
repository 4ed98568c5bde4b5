//! The engine on a real ledger.

mod probes;
mod silences;
mod summaries;

use chrono::TimeDelta;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::super::metrics::AlertMetrics;
use super::*;
use crate::clock::{CheckedClock, Clock, ManualClock, SharedClock};
use crate::day::Usage;
use crate::exposition::Exposition;
use crate::ledger::{DeliveryRecord, Fetched};
use crate::window::Window;

const NOON: &str = "2026-11-23T12:00:00Z";

struct Scene {
    engine: Engine,
    signals: Arc<Signals>,
    outbox: Arc<Notify>,
    clock: Arc<ManualClock>,
    telemetry: Telemetry,
    ledger: Ledger,
    members: Arc<[Member]>,
    settings: Settings,
    folder: tempfile::TempDir,
}

impl Scene {
    /// An engine for these rules that knows who there is: one agent, of which nothing is known.
    async fn new(rules: Vec<Rule>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = open(&folder);
        let members = register(&ledger, &[("acme", "support")]).await;
        let (telemetry, clock) = (Telemetry::new(), ManualClock::at(at(NOON)));
        let (signals, outbox) = (Arc::default(), Arc::new(Notify::new()));
        let settings = settings(rules);
        let engine = engine(&settings, &ledger, &clock, &telemetry, &signals, &outbox);
        signals.members(Arc::clone(&members));
        Self {
            engine,
            signals,
            outbox,
            clock,
            telemetry,
            ledger,
            members,
            settings,
            folder,
        }
    }

    fn configure(&self, settings: Settings) {
        let members = Arc::clone(&self.members);
        self.signals.configure(settings, members);
    }

    /// The same after a restart of the program.
    fn restart(&mut self) {
        let clock = Arc::clone(&self.clock);
        self.restart_by(&clock);
    }

    /// The same after a restart of the program, by another clock.
    fn restart_by(&mut self, clock: &Arc<impl Clock + 'static>) {
        self.signals = Arc::default();
        self.engine = engine(
            &self.settings,
            &self.ledger,
            clock,
            &self.telemetry,
            &self.signals,
            &self.outbox,
        );
        self.signals.members(Arc::clone(&self.members));
    }

    /// Keeps the same credits for the days `first` through `last`.
    async fn commit(&self, first: &str, last: &str, credits: f64) {
        let (first, last) = (day(first), day(last));
        let usage = |day| Usage { day, credits };
        let fetched = Fetched {
            agent: self.members[0].number,
            window: Window::new(first, last, last.next()).unwrap(),
            rows: first.through(last).map(usage).collect(),
            at: self.clock.today().start(),
        };
        self.ledger.commit(fetched).await.unwrap();
    }

    /// Evaluates at that time.
    async fn evaluate_at(&mut self, now: &str) {
        self.clock.set(at(now));
        self.engine.evaluate().await.unwrap();
    }

    /// Contents of the outbox.
    async fn outbox(&self) -> Vec<DeliveryRecord> {
        let later = self.clock.now() + chrono::TimeDelta::days(1000);
        self.ledger
            .due_deliveries("ops".into(), later, 100)
            .await
            .unwrap()
    }

    async fn alerts(&self) -> Vec<(String, AlertState)> {
        let memory = self.ledger.alert_memory().await.unwrap();
        let alerts = memory.alerts.into_iter();
        alerts
            .map(|alert| (alert.key.subject.to_string(), alert.state))
            .collect()
    }

    fn evaluations(&self) -> u64 {
        self.telemetry
            .of::<AlertMetrics>()
            .evaluation_duration
            .get_sample_count()
    }

    /// Returns true if the hooks were told to look into the outbox.
    fn is_notified(&self) -> bool {
        use futures_util::FutureExt;
        self.outbox.notified().now_or_never().is_some()
    }
}

fn engine(
    settings: &Settings,
    ledger: &Ledger,
    clock: &Arc<impl Clock + 'static>,
    telemetry: &Telemetry,
    signals: &Arc<Signals>,
    outbox: &Arc<Notify>,
) -> Engine {
    Engine::new(
        settings.clone(),
        ledger.clone(),
        Outlets {
            exposition: Arc::new(Exposition::new(telemetry.clone())),
            board: Arc::default(),
            outbox: Arc::clone(outbox),
        },
        Arc::clone(clock) as SharedClock,
        telemetry,
        Arc::clone(signals),
    )
}

fn heavy() -> Rule {
    rule("heavy", usage_rule(Span::PreviousDay, Per::Agent))
}

#[tokio::test]
async fn what_fires_is_in_the_outbox_once_even_after_a_restart() {
    let mut scene = Scene::new(vec![heavy()]).await;
    scene.engine.evaluate().await.unwrap();
    assert!(scene.outbox().await.is_empty());
    scene.commit("2026-11-22", "2026-11-22", 2_000.0).await;
    scene.engine.evaluate().await.unwrap();
    let outbox = scene.outbox().await;
    assert_eq!(outbox.len(), 1);
    assert!(scene.is_notified());
    let notification: Notification =
        serde_json::from_str(&outbox[0].delivery.notification).unwrap();
    assert_eq!(notification.alerts[0].key, "heavy/acme/support");
    assert_eq!(notification.alerts[0].started_at, at(NOON));

    for _ in 0..3 {
        scene.restart();
        scene.evaluate_at("2026-11-23T13:00:00Z").await;
    }
    assert_eq!(scene.outbox().await, outbox);
    assert!(!scene.is_notified());
    assert_eq!(
        scene.alerts().await,
        [("acme/support".to_owned(), AlertState::Firing)]
    );
}

#[tokio::test]
async fn a_renamed_hook_tells_the_end_of_what_it_told_under_its_old_name() {
    let mut scene = Scene::new(vec![heavy()]).await;
    scene.commit("2026-11-22", "2026-11-22", 2_000.0).await;
    scene.engine.evaluate().await.unwrap();
    assert_eq!(scene.outbox().await.len(), 1);
    let same = Route {
        hook: "night".into(),
        ..route("ops")
    };
    let renamed = Rule {
        hooks: vec!["night".into()],
        ..heavy()
    };
    scene.settings.routes = vec![same];
    scene.settings.rules = vec![renamed];
    scene.configure(scene.settings.clone());
    scene.engine.evaluate().await.unwrap();
    scene.commit("2026-11-23", "2026-11-23", 1.0).await;
    scene.evaluate_at("2026-11-24T12:00:00Z").await;
    assert!(scene.outbox().await.is_empty());
    let later = scene.clock.now();
    let told = scene.ledger.deliveries(true, 9).await.unwrap();
    let told = told.iter().map(|record| {
        let notification: Notification =
            serde_json::from_str(&record.delivery.notification).unwrap();
        (&*record.delivery.hook, notification.alerts[0].status)
    });
    let expected = [("night", Status::Resolved), ("night", Status::Firing)];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    // The message of the end waits for that of the beginning.
    let due = scene.ledger.due_deliveries("night".into(), later, 9).await;
    assert_eq!(due.unwrap().len(), 1);
}

#[tokio::test]
async fn nothing_is_evaluated_before_anybody_knows_who_there_is() {
    let mut scene = Scene::new(vec![heavy()]).await;
    scene.commit("2026-11-22", "2026-11-22", 2_000.0).await;
    scene.engine.evaluate().await.unwrap();
    scene.signals = Arc::default();
    let (settings, clock) = (&scene.settings, &scene.clock);
    let (signals, outbox) = (&scene.signals, &scene.outbox);
    let mut fresh = engine(
        settings,
        &scene.ledger,
        clock,
        &scene.telemetry,
        signals,
        outbox,
    );
    fresh.evaluate().await.unwrap();
    // Otherwise its agent would be gone, and what fires would be over.
    assert_eq!(
        scene.alerts().await,
        [("acme/support".to_owned(), AlertState::Firing)]
    );
    assert_eq!(scene.evaluations(), 1);
}

#[tokio::test]
async fn a_first_start_tells_nothing_of_the_past() {
    let budget = budget("cx", MONTH, 100.0, &[used(0.5), used(1.0)]);
    let mut scene = Scene::new(vec![rule("stale", MISSING), budget, heavy()]).await;
    // Nothing is known for days, while the history is being filled.
    for now in [
        "2026-12-03T10:00:00Z",
        "2026-12-03T20:00:00Z",
        "2026-12-04T00:00:00Z",
        "2026-12-04T05:00:00Z",
    ] {
        scene.evaluate_at(now).await;
    }
    assert!(scene.outbox().await.is_empty());
    // November was far over the budget, and its days come now.
    scene.commit("2026-11-01", "2026-11-30", 50.0).await;
    scene.evaluate_at("2026-12-04T05:30:00Z").await;
    assert!(scene.outbox().await.is_empty());
    // Only what has passed since is missing.
    scene.commit("2026-12-01", "2026-12-02", 1.0).await;
    scene.evaluate_at("2026-12-04T06:00:01Z").await;
    let outbox = scene.outbox().await;
    assert_eq!(outbox.len(), 1);
    let notification: Notification =
        serde_json::from_str(&outbox[0].delivery.notification).unwrap();
    let figures = &notification.alerts[0].figures;
    assert_eq!(figures.missing_since.as_deref(), Some("2026-12-03"));
}

#[tokio::test]
async fn a_budget_that_is_changed_tells_nothing_of_periods_that_it_was_not_meant_for() {
    let week = |limit| budget("cx", Cycle::Week, limit, &[used(0.5), used(0.8)]);
    let mut scene = Scene::new(vec![week(60_000.0)]).await;
    scene.evaluate_at("2026-11-20T12:00:00Z").await;
    scene.commit("2026-11-16", "2026-11-22", 2_750.0).await;
    scene.evaluate_at("2026-11-24T12:00:00Z").await;
    assert!(scene.outbox().await.is_empty(), "32 % of 60,000");

    scene.settings.rules = vec![week(20_000.0)];
    scene.configure(scene.settings.clone());
    scene.evaluate_at("2026-11-24T13:00:00Z").await;
    scene.restart();
    scene.evaluate_at("2026-11-25T13:00:00Z").await;
    assert!(scene.outbox().await.is_empty(), "last week's 96 %");

    // The week in which it was changed is told of even if its days come late.
    scene.commit("2026-11-23", "2026-11-29", 2_750.0).await;
    scene.evaluate_at("2026-12-01T12:00:00Z").await;
    let outbox = scene.outbox().await;
    let told: Vec<_> = outbox
        .iter()
        .flat_map(|record| &record.delivery.alerts)
        .collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].period, Some(day("2026-11-23")));
}

#[tokio::test]
async fn if_the_ledger_cannot_keep_it_nothing_has_changed_and_nobody_is_told() {
    let mut scene = Scene::new(vec![heavy()]).await;
    scene.engine.evaluate().await.unwrap();
    scene.commit("2026-11-22", "2026-11-22", 2_000.0).await;
    scene.ledger.close().await;
    assert!(scene.engine.evaluate().await.is_err());
    assert!(!scene.is_notified());
    scene.ledger = open(&scene.folder);
    assert!(scene.alerts().await.is_empty());
    scene.restart();
    scene.engine.evaluate().await.unwrap();
    assert_eq!(scene.outbox().await.len(), 1);
}

#[tokio::test]
async fn what_a_sync_saw_of_keys_is_added_to_what_others_saw() {
    let severity = Severity::Critical;
    let mut scene = Scene::new(vec![rule("keys", Check::KeyRefused { severity })]).await;
    scene.settings.accounts = ["acme", "globex"].map(Arc::from).to_vec();
    scene.configure(scene.settings.clone());
    let seen = |refused: &[(&str, bool)]| Access {
        key_refused: refused
            .iter()
            .map(|(name, refused)| ((*name).into(), *refused))
            .collect(),
        ..Access::default()
    };
    let firing = |subject: &str| (subject.to_owned(), AlertState::Firing);
    scene
        .signals
        .synced(seen(&[("acme", true), ("globex", true)]));
    scene.engine.evaluate().await.unwrap();
    assert_eq!(scene.alerts().await, [firing("acme"), firing("globex")]);
    scene.signals.synced(seen(&[("globex", false)]));
    scene.engine.evaluate().await.unwrap();
    let ended = ("globex".to_owned(), AlertState::Resolved);
    assert_eq!(scene.alerts().await, [firing("acme"), ended.clone()]);
    // What the first sync saw still holds for a rule that is new.
    let also = rule("also", Check::KeyRefused { severity });
    scene.settings.rules.push(also);
    scene.configure(scene.settings.clone());
    scene.engine.evaluate().await.unwrap();
    assert_eq!(scene.alerts().await[0], firing("acme"));
    assert_eq!(scene.alerts().await.len(), 3);
    // After a restart nobody knows, until the next sync.
    scene.restart();
    scene.engine.evaluate().await.unwrap();
    assert_eq!(
        scene.alerts().await,
        [firing("acme"), firing("acme"), ended]
    );
}

#[tokio::test]
async fn there_is_a_reason_to_evaluate_when_something_has_happened() {
    let mut scene = Scene::new(vec![rule("stale", MISSING)]).await;
    assert!(scene.engine.is_due(), "at the start");
    scene.evaluate_at(NOON).await;
    assert!(!scene.engine.is_due());

    scene.signals.members(Arc::clone(&scene.members));
    assert!(!scene.engine.is_due(), "the same agents");
    scene
        .signals
        .members(scene.members.iter().cloned().collect());
    assert!(scene.engine.is_due(), "other agents");
    scene.evaluate_at(NOON).await;

    scene.signals.changed();
    scene.clock.set(at("2026-11-23T12:14:59Z"));
    assert!(!scene.engine.is_due(), "a sync goes on");
    scene.clock.set(at("2026-11-23T12:15:00Z"));
    assert!(scene.engine.is_due(), "it has gone on for long");
    scene.evaluate_at("2026-11-23T12:15:00Z").await;
    scene.clock.set(at("2026-11-23T23:59:59Z"));
    assert!(!scene.engine.is_due(), "nothing has changed for hours");

    scene.signals.synced(Access::default());
    assert!(scene.engine.is_due(), "a sync has ended");
    scene.evaluate_at("2026-11-23T23:59:59Z").await;
    scene.configure(scene.settings.clone());
    assert!(scene.engine.is_due(), "the rules are others");
    scene.evaluate_at("2026-11-23T23:59:59Z").await;

    scene.clock.set(at("2026-11-24T00:00:00Z"));
    assert!(scene.engine.is_due(), "a day has begun");
    // The day that is missing now is told of in six hours.
    scene.evaluate_at("2026-11-24T00:00:00Z").await;
    scene.clock.set(at("2026-11-24T06:00:00Z"));
    assert!(!scene.engine.is_due());
    scene.clock.set(at("2026-11-24T06:00:00.001Z"));
    assert!(scene.engine.is_due(), "what is pending is to fire");
    scene.evaluate_at("2026-11-24T06:00:00.001Z").await;
    assert_eq!(scene.outbox().await.len(), 1);
    assert!(!scene.engine.is_due());

    scene.signals.changed();
    scene.clock.set(at("2026-11-24T05:00:00Z"));
    assert!(scene.engine.is_due(), "the clock was set back");
}

#[tokio::test(start_paused = true)]
async fn another_trust_in_the_clock_is_a_reason_to_evaluate_unless_a_sync_is_at_work() {
    let mut scene = Scene::new(vec![heavy()]).await;
    let clock = CheckedClock::new(Arc::clone(&scene.clock) as SharedClock);
    scene.restart_by(&clock);
    scene.engine.evaluate().await.unwrap();
    clock.hear(Some(TimeDelta::zero()));
    assert!(!scene.engine.is_due(), "no sync has ended");
    scene.signals.synced(Access::default());
    scene.engine.evaluate().await.unwrap();
    assert!(!scene.engine.is_due());

    let step = TimeDelta::hours(3);
    scene.clock.advance(step);
    assert!(scene.engine.is_due(), "the clock has stepped");
    scene.engine.evaluate().await.unwrap();
    assert!(!scene.engine.is_due());
    clock.hear(Some(-step));
    assert!(!scene.engine.is_due(), "as doubtful as before");
    scene.clock.advance(-step);
    scene.signals.syncing();
    clock.hear(Some(TimeDelta::zero()));
    assert!(!scene.engine.is_due(), "the end of the sync is waited for");
    scene.signals.synced(Access::default());
    scene.engine.evaluate().await.unwrap();
    scene.clock.advance(step);
    scene.engine.evaluate().await.unwrap();
    clock.hear(Some(TimeDelta::zero()));
    assert!(scene.engine.is_due(), "FlowGent has confirmed the step");
}

#[tokio::test(start_paused = true)]
async fn rules_that_were_never_evaluated_wait_for_the_end_of_a_first_sync() {
    let mut scene = Scene::new(vec![heavy()]).await;
    scene.engine.begin().await;
    assert!(scene.engine.is_due(), "no sync is at work");
    scene.signals.syncing();
    assert!(!scene.engine.is_due());
    scene.signals.synced(Access::default());
    assert!(scene.engine.is_due(), "the sync has ended");
    // A sync that takes very long is not waited for.
    scene.signals.syncing();
    tokio::time::advance(Duration::from_secs(15 * 60)).await;
    assert!(scene.engine.is_due());
    scene.engine.evaluate().await.unwrap();

    // After a restart, the rules are evaluated at once.
    scene.signals.synced(Access::default());
    scene.restart();
    scene.engine.begin().await;
    scene.signals.syncing();
    assert!(scene.engine.is_due());
    scene.engine.evaluate().await.unwrap();
    // Agents that a sync has found are judged at its end.
    scene.signals.members(scene.members.to_vec().into());
    assert!(!scene.engine.is_due());
    scene.signals.synced(Access::default());
    assert!(scene.engine.is_due());
}

#[tokio::test]
async fn a_running_engine_evaluates_by_itself_until_it_is_stopped() {
    let scene = Scene::new(vec![heavy()]).await;
    scene.commit("2026-11-22", "2026-11-22", 2_000.0).await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(scene.engine.run(stop.clone()));
    scene.outbox.notified().await;
    let later = scene.clock.now();
    assert_eq!(
        scene
            .ledger
            .due_deliveries("ops".into(), later, 100)
            .await
            .unwrap()
            .len(),
        1
    );

    let mut settings = scene.settings.clone();
    settings.rules.clear();
    scene
        .signals
        .configure(settings, Arc::clone(&scene.members));
    scene.outbox.notified().await;
    let memory = scene.ledger.alert_memory().await.unwrap();
    assert_eq!(memory.alerts[0].state, AlertState::Resolved);
    stop.cancel();
    running.await.unwrap();
}
