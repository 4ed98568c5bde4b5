//! Workers beside each other, at work on tokio's paused time.

use tokio::task::JoinHandle;

use super::*;
use crate::ledger::AlertState;
use crate::ledger::LedgerMetrics;
use crate::ledger::tests::limit_pages;

/// A deliverer at work.
struct Work {
    outbox: Arc<Notify>,
    reloads: mpsc::Sender<Hooks>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Work {
    fn start(deliverer: Deliverer) -> Self {
        let outbox = Arc::new(Notify::new());
        let (reloads, requests) = mpsc::channel(1);
        let stop = CancellationToken::new();
        let run = deliverer.run(Arc::clone(&outbox), requests, stop.clone());
        Self {
            outbox,
            reloads,
            task: tokio::spawn(run),
            stop,
        }
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

/// Returns once `condition` holds. Each look goes over another thread, so that what waits for the ledger
/// gets on meanwhile.
async fn wait_for(mut condition: impl AsyncFnMut() -> bool) {
    for _ in 0..100_000 {
        if condition().await {
            return;
        }
        tokio::task::spawn_blocking(|| ()).await.unwrap();
        sleep(Duration::from_millis(100)).await;
    }
    panic!("it never came to that");
}

impl Scene {
    /// The next try. A day of paused time is many looks at the ledger, so what is under way on other
    /// threads gets on meanwhile.
    async fn next(&mut self) -> Seen {
        let day = Duration::from_secs(86_400);
        let seen = tokio::time::timeout(day, self.seen.recv()).await;
        seen.expect("nothing was tried for a day").unwrap()
    }

    async fn delivered(&self, id: &str) {
        wait_for(async || self.record(id).await.state == DeliveryState::Delivered).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_hangs_holds_up_no_other() {
    let mut scene = Scene::new();
    let stuck = scene.put("stuck", "a").await;
    let fast = [scene.put("fast", "a").await, scene.put("fast", "a").await];
    let (_release, held) = oneshot::channel();
    scene.script("stuck", [Reply::Hold(held)]);
    let patient = Settings {
        timeout: Duration::from_secs(1 << 30),
        ..settings("stuck")
    };
    let work = Work::start(scene.deliverer(vec![patient, settings("fast")]));
    for id in &fast {
        scene.delivered(id).await;
    }
    let mut tries = scene.tries();
    tries.sort();
    assert_eq!(tries, [stuck.clone(), fast[0].clone(), fast[1].clone()]);
    let record = scene.record(&stuck).await;
    assert_eq!((record.state, record.attempts), (DeliveryState::Pending, 0));
    work.task.abort();
}

#[tokio::test(start_paused = true)]
async fn one_notification_wakes_every_worker_at_once() {
    let mut scene = Scene::new();
    let deliverer = scene.deliverer(vec![settings("ops"), settings("chat")]);
    // Not due yet, as long as the clock stands still.
    let now = scene.clock.now();
    scene.clock.advance(TimeDelta::hours(1));
    scene.put("ops", "a").await;
    scene.put("chat", "a").await;
    scene.clock.set(now);
    let work = Work::start(deliverer);
    sleep(Duration::from_millis(2500)).await;
    assert_eq!(scene.tries(), [""; 0]);
    let instant = clock::instant();
    scene.clock.advance(TimeDelta::hours(1));
    work.outbox.notify_one();
    for _ in 0..2 {
        assert_eq!(scene.next().await.instant, instant);
    }
    work.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_becomes_due_is_found_without_a_notification() {
    let mut scene = Scene::new();
    let work = Work::start(scene.deliverer(vec![settings("ops")]));
    scene.script("ops", [Reply::Fail]);
    let id = scene.put("ops", "a").await;
    assert_eq!(scene.next().await.id, id);
    wait_for(async || scene.record(&id).await.attempts == 1).await;
    scene.clock.advance(TimeDelta::seconds(6));
    assert_eq!(scene.next().await.id, id);
    scene.delivered(&id).await;
    work.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_asks_for_a_pause_is_left_alone_with_all_that_waits() {
    let mut scene = Scene::new();
    let mut waiting = Vec::new();
    for rule in ["a", "b", "c"] {
        waiting.push(scene.put("ops", rule).await);
    }
    let elsewhere = scene.put("chat", "a").await;
    let asks = |seconds| Reply::FailFor(Duration::from_secs(seconds));
    scene.script("ops", [asks(3600), asks(u64::MAX)]);
    let work = Work::start(scene.deliverer(vec![settings("ops"), settings("chat")]));
    scene.delivered(&elsewhere).await;
    wait_for(async || scene.record(&waiting[0]).await.attempts == 1).await;
    let mut tries = scene.tries();
    tries.sort();
    assert_eq!(tries, [waiting[0].clone(), elsewhere]);

    // Neither time that passes nor what is new ends it.
    scene.clock.advance(TimeDelta::seconds(3599));
    waiting.push(scene.put("ops", "d").await);
    work.outbox.notify_one();
    sleep(Duration::from_secs(10)).await;
    assert_eq!(scene.tries(), [""; 0]);
    for id in &waiting[1..] {
        assert_eq!(scene.record(id).await.attempts, 0);
    }

    // No pause is longer than the longest rest between two tries.
    scene.clock.advance(TimeDelta::seconds(1));
    assert_eq!(scene.next().await.id, waiting[0]);
    wait_for(async || scene.record(&waiting[0]).await.attempts == 2).await;
    scene.clock.advance(TimeDelta::seconds(86_399));
    sleep(Duration::from_secs(10)).await;
    assert_eq!(scene.tries(), [""; 0]);
    scene.clock.advance(TimeDelta::seconds(1));
    for id in &waiting {
        scene.delivered(id).await;
    }
    assert_eq!(scene.tries(), waiting);
    work.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_try_that_cannot_be_noted_is_not_repeated() {
    let mut scene = Scene::new();
    let first = scene.put("ops", "a").await;
    let second = scene.put("ops", "b").await;
    // An answer that needs pages which the file may not have.
    scene.script("ops", [Reply::TakeSaying(100_000)]);
    limit_pages(&scene.ledger, 1).await;
    let work = Work::start(scene.deliverer(vec![settings("ops")]));
    let noted = scene
        .telemetry
        .of::<LedgerMetrics>()
        .transaction_duration
        .with_label_values(&["record_attempt"]);
    wait_for(async || noted.get_sample_count() >= 5).await;
    assert_eq!(scene.tries(), std::slice::from_ref(&first));
    assert_eq!(scene.record(&first).await.attempts, 0);

    limit_pages(&scene.ledger, 1 << 20).await;
    scene.delivered(&second).await;
    let record = scene.record(&first).await;
    assert_eq!(
        (record.state, record.attempts),
        (DeliveryState::Delivered, 1)
    );
    assert_eq!(scene.tries(), [second]);
    work.end().await;
}

#[tokio::test(start_paused = true)]
async fn stopping_finishes_the_try_under_way_and_begins_no_other() {
    let mut scene = Scene::new();
    let first = scene.put("ops", "a").await;
    let second = scene.put("ops", "b").await;
    let (release, held) = oneshot::channel();
    scene.script("ops", [Reply::Hold(held)]);
    let work = Work::start(scene.deliverer(vec![settings("ops")]));
    assert_eq!(scene.next().await.id, first);
    work.stop.cancel();
    tokio::task::yield_now().await;
    assert!(!work.task.is_finished());
    release.send(()).unwrap();
    work.task.await.unwrap();
    let state = async |id: &str| scene.record(id).await.state;
    assert_eq!(state(&first).await, DeliveryState::Delivered);
    assert_eq!(state(&second).await, DeliveryState::Pending);
    assert_eq!(scene.tries(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_try_that_outlives_the_end_is_broken_off_and_stays_due() {
    let mut scene = Scene::new();
    let id = scene.put("ops", "a").await;
    scene.script("ops", [Reply::Hang]);
    let patient = Settings {
        timeout: Duration::from_secs(1 << 30),
        ..settings("ops")
    };
    let work = Work::start(scene.deliverer(vec![patient.clone()]));
    assert_eq!(scene.next().await.id, id);
    let stopped = clock::instant();
    work.end().await;
    let took = clock::instant() - stopped;
    assert!((20..=21).contains(&took.as_secs()), "{took:?}");
    let record = scene.record(&id).await;
    assert_eq!((record.state, record.attempts), (DeliveryState::Pending, 0));
    let work = Work::start(scene.deliverer(vec![patient]));
    assert_eq!(scene.next().await.id, id);
    scene.delivered(&id).await;
    work.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_reload_lets_the_try_under_way_finish_before_the_new_hook_begins() {
    let mut scene = Scene::new();
    let first = scene.put("ops", "a").await;
    let second = scene.put("ops", "b").await;
    let (release, held) = oneshot::channel();
    scene.script("ops", [Reply::Hold(held)]);
    let patient = Settings {
        timeout: Duration::from_secs(1 << 30),
        ..settings("ops")
    };
    let work = Work::start(scene.deliverer(vec![patient, settings("old")]));
    let seen = scene.next().await;
    assert_eq!((seen.id, seen.mark.as_str()), (first.clone(), "first"));

    let changed = Settings {
        kind: Kind::Exec {
            command: vec!["second".to_owned()],
        },
        ..settings("ops")
    };
    // Twice, so that one has to wait for another that waits itself.
    for _ in 0..2 {
        let hooks = scene.hooks(vec![changed.clone(), settings("new")]);
        work.reloads.send(hooks).await.unwrap();
    }
    let elsewhere = scene.put("new", "a").await;
    scene.delivered(&elsewhere).await;
    assert_eq!(scene.tries(), [elsewhere]);
    wait_for(async || scene.gauges("disabled").len() == 2).await;
    let shown: Vec<_> = scene.gauges("disabled");
    assert_eq!(shown[0].0, "new");
    assert_eq!(shown[1].0, "ops");
    assert_eq!(scene.gauges("pending_deliveries").len(), 2);
    assert_eq!(scene.gauges("oldest_pending_timestamp_seconds").len(), 2);

    release.send(()).unwrap();
    let seen = scene.next().await;
    assert_eq!((seen.id, seen.mark.as_str()), (second.clone(), "second"));
    scene.delivered(&second).await;
    assert_eq!(scene.record(&first).await.attempts, 1);
    work.end().await;
    assert_eq!(scene.tries(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_comes_back_waits_for_what_it_was_doing() {
    let mut scene = Scene::new();
    let first = scene.put("ops", "a").await;
    let second = scene.put("ops", "b").await;
    let (release, held) = oneshot::channel();
    scene.script("ops", [Reply::Hold(held)]);
    let patient = Settings {
        timeout: Duration::from_secs(1 << 30),
        ..settings("ops")
    };
    let work = Work::start(scene.deliverer(vec![patient.clone()]));
    assert_eq!(scene.next().await.id, first);
    for settings in [vec![], vec![patient, settings("new")]] {
        work.reloads.send(scene.hooks(settings)).await.unwrap();
    }
    let elsewhere = scene.put("new", "a").await;
    scene.delivered(&elsewhere).await;
    assert_eq!(scene.tries(), [elsewhere]);
    release.send(()).unwrap();
    scene.delivered(&second).await;
    assert_eq!(scene.tries(), [second]);
    assert_eq!(scene.record(&first).await.attempts, 1);
    wait_for(async || scene.gauges("disabled").len() == 2).await;
    work.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_alertmanager_is_reminded_every_minute_of_what_it_was_told() {
    let mut scene = Scene::new();
    let fires = Alert {
        key: AlertKey {
            rule: "a".into(),
            subject: "all".into(),
            period: None,
            threshold: "".into(),
        },
        state: AlertState::Firing,
        since: scene.clock.now(),
        fired_at: Some(scene.clock.now()),
        hooks: ["am".to_owned()].into(),
        over_hooks: Default::default(),
        agent: None,
        days: Vec::new(),
        below_since: None,
        is_closed: false,
        notice: "{}".to_owned(),
    };
    let changes = AlertChanges {
        changed: vec![fires],
        ..AlertChanges::default()
    };
    let now = scene.clock.now();
    scene.ledger.record_alerts(changes, now).await.unwrap();
    let alertmanager = Settings {
        kind: Kind::Alertmanager(crate::hook::Alertmanagers::default()),
        ..settings("am")
    };
    let work = Work::start(scene.deliverer(vec![alertmanager, settings("ops")]));
    let mut before = scene.next().await;
    for _ in 0..3 {
        let seen = scene.next().await;
        assert_eq!((seen.id.as_str(), seen.target.as_str()), ("a", "resent"));
        let passed = seen.instant - before.instant;
        let minute = Duration::from_secs(60)..Duration::from_secs(62);
        assert!(minute.contains(&passed), "{passed:?}");
        before = seen;
    }
    assert_eq!(scene.counted("am", "delivered"), 0);
    work.end().await;
}
