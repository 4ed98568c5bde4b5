//! Fates of deliveries, with a clock that is moved by hand.

use std::sync::atomic::{AtomicBool, Ordering};

use chrono_tz::Tz;

use super::*;
use crate::alert::Notification;
use crate::hook::QuietHours;
use crate::ledger::{self, Silence, Which, retry};

/// The seconds between the tries of the schedule.
const WAITS: [i64; 9] = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400];

/// Has the first try of `id` fail, and all others of the schedule, each when it is due.
async fn use_up_the_schedule(scene: &Scene, deliverer: &Deliverer, id: &str) {
    for (tries, least) in (1..).zip(WAITS) {
        scene.script("ops", [Reply::Fail]);
        assert_eq!(deliverer.deliver_due().await.unwrap(), 1);
        let record = scene.record(id).await;
        assert_eq!(
            (record.state, record.attempts),
            (DeliveryState::Pending, tries)
        );
        assert_eq!(record.result.as_deref(), Some("503 Service Unavailable"));
        let wait = (record.at - scene.clock.now()).num_milliseconds();
        assert!((least * 1000..=least * 1100).contains(&wait), "{wait}");
        assert!(wait <= 86_400_000, "{wait}");
        scene.clock.set(record.at - TimeDelta::milliseconds(1));
        assert_eq!(deliverer.deliver_due().await.unwrap(), 0);
        scene.clock.set(record.at);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_hook_lacks_itself_costs_no_try_and_is_looked_for_again_every_minute() {
    let mut scene = Scene::new();
    let deliverer = scene.deliverer(vec![settings("ops")]);
    let [first, second] = [scene.put("ops", "a").await, scene.put("ops", "b").await];
    for _ in 0..30 {
        scene.script("ops", [Reply::Unready]);
        assert_eq!(deliverer.deliver_due().await.unwrap(), 1);
        scene.clock.advance(TimeDelta::minutes(1));
    }
    let record = scene.record(&first).await;
    assert_eq!((record.state, record.attempts), (DeliveryState::Pending, 0));
    assert_eq!(record.result.as_deref(), Some("it has no URL"));
    assert_eq!(scene.counted("ops", "failed"), 30);
    assert_eq!(deliverer.deliver_due().await.unwrap(), 2);
    for id in [&first, &second] {
        assert_eq!(scene.record(id).await.state, DeliveryState::Delivered);
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_word_is_tried_by_the_schedule_and_then_daily_for_thirty_days() {
    let mut scene = Scene::new();
    let deliverer = scene.deliverer(vec![settings("ops")]);
    let id = scene.put("ops", "a").await;
    let created = scene.clock.now();
    use_up_the_schedule(&scene, &deliverer, &id).await;
    let mut tries = 9;
    while scene.clock.now() - created <= TimeDelta::days(30) {
        scene.script("ops", [Reply::Fail]);
        assert_eq!(deliverer.deliver_due().await.unwrap(), 1);
        tries += 1;
        let record = scene.record(&id).await;
        assert_eq!(
            (record.state, record.attempts),
            (DeliveryState::Pending, tries)
        );
        assert_eq!(record.at - scene.clock.now(), TimeDelta::days(1));
        scene.clock.set(record.at);
    }
    assert!((33..=37).contains(&tries), "{tries}");
    assert_eq!(deliverer.deliver_due().await.unwrap(), 0);
    let record = scene.record(&id).await;
    assert_eq!(record.state, DeliveryState::GivenUp);
    let expected = format!(
        "not taken for 30 days, the last of {tries} tries failed with: {tries} tries have failed, \
         the last one with: 503 Service Unavailable"
    );
    assert_eq!(record.result, Some(expected));
    let counted = |outcome| scene.counted("ops", outcome);
    let failed = u64::from(tries);
    assert_eq!(
        ["delivered", "failed", "given_up"].map(counted),
        [0, failed, 1]
    );

    // Somebody wants it all the same.
    let now = scene.clock.now();
    retry(&scene.path, Which::Delivery(id.clone()), &["ops"], now).unwrap();
    scene.script("ops", [Reply::Fail]);
    assert_eq!(deliverer.deliver_due().await.unwrap(), 1);
    scene.clock.advance(TimeDelta::seconds(6));
    assert_eq!(deliverer.deliver_due().await.unwrap(), 1);
    let record = scene.record(&id).await;
    assert_eq!(record.state, DeliveryState::Delivered);
    assert_eq!(record.result.as_deref(), Some("200 OK"));
    assert_eq!(scene.counted("ops", "delivered"), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_the_last_word_is_given_up_after_the_schedule_for_the_one_that_is() {
    let mut scene = Scene::new();
    let deliverer = scene.deliverer(vec![settings("ops"), settings("chat")]);
    let fires = scene.put("ops", "a").await;
    use_up_the_schedule(&scene, &deliverer, &fires).await;
    let resolves = scene.put("ops", "a").await;
    scene.script("ops", [Reply::Fail]);
    assert_eq!(deliverer.deliver_due().await.unwrap(), 2);
    let record = scene.record(&fires).await;
    assert_eq!(record.state, DeliveryState::GivenUp);
    let expected = "10 tries have failed, the last one with: 503 Service Unavailable";
    assert_eq!(record.result.as_deref(), Some(expected));
    assert_eq!(
        scene.record(&resolves).await.state,
        DeliveryState::Delivered
    );
    let counted = |outcome| scene.counted("ops", outcome);
    assert_eq!(["delivered", "failed", "given_up"].map(counted), [1, 9, 1]);

    // The last word of its own receiver, whatever another one was told.
    let other = scene.put("chat", "a").await;
    let last = scene.put("ops", "a").await;
    scene.put("chat", "a").await;
    assert_eq!(deliverer.deliver_due().await.unwrap(), 3);
    assert_eq!(scene.record(&other).await.state, DeliveryState::Delivered);
    assert_eq!(scene.record(&last).await.state, DeliveryState::Delivered);
}

#[tokio::test(start_paused = true)]
async fn a_daily_try_comes_early_when_something_newer_waits_for_it() {
    let mut scene = Scene::new();
    let deliverer = scene.deliverer(vec![settings("ops")]);
    let fires = scene.put("ops", "a").await;
    use_up_the_schedule(&scene, &deliverer, &fires).await;
    scene.script("ops", [Reply::Fail]);
    assert_eq!(deliverer.deliver_due().await.unwrap(), 1);
    scene.tries();
    scene.clock.advance(TimeDelta::hours(1));
    let resolves = scene.put("ops", "a").await;
    // Back up by now: both arrive, in their order.
    assert_eq!(deliverer.deliver_due().await.unwrap(), 2);
    assert_eq!(scene.tries(), [fires, resolves]);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_ran_ahead_neither_blocks_nor_ends_what_waits() {
    let mut scene = Scene::new();
    let deliverer = scene.deliverer(vec![settings("ops")]);
    let start = scene.clock.now();
    let id = scene.put("ops", "a").await;
    scene.clock.set(start + TimeDelta::days(20));
    let wish = Duration::from_secs(3600);
    scene.script("ops", [Reply::FailFor(wish)]);
    assert_eq!(deliverer.deliver_due().await.unwrap(), 1);
    let ahead = scene.put("ops", "b").await;
    scene.clock.set(start + TimeDelta::minutes(1));
    let behind = scene.put("ops", "a").await;
    assert_eq!(deliverer.deliver_due().await.unwrap(), 3);
    assert_eq!(scene.tries(), [id.clone(), id, ahead.clone(), behind]);
    let record = scene.record(&ahead).await;
    assert_eq!(record.delivery.created, start + TimeDelta::minutes(1));
    assert_eq!(record.state, DeliveryState::Delivered);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_given_up_while_the_clocks_disagree() {
    let mut scene = Scene::new();
    let clock = Arc::new(Doubtful {
        clock: Arc::clone(&scene.clock),
        agrees: AtomicBool::new(false),
    });
    let mut deliverer = scene.deliverer(vec![settings("ops")]);
    Arc::get_mut(&mut deliverer.hooks).unwrap().clock = Arc::clone(&clock) as SharedClock;
    let fires = scene.put("ops", "a").await;
    let resolves = scene.put("ops", "a").await;
    use_up_the_schedule(&scene, &deliverer, &fires).await;
    scene.script("ops", [Reply::Fail]);
    assert_eq!(deliverer.deliver_due().await.unwrap(), 1);
    assert_eq!(scene.record(&fires).await.state, DeliveryState::Pending);
    scene.clock.advance(TimeDelta::days(40));
    scene.script("ops", [Reply::Fail]);
    assert_eq!(deliverer.deliver_due().await.unwrap(), 1);
    let state = async |id: &str| scene.record(id).await.state;
    assert_eq!(state(&fires).await, DeliveryState::Pending);
    assert_eq!(state(&resolves).await, DeliveryState::Pending);

    clock.agrees.store(true, Ordering::Relaxed);
    assert_eq!(deliverer.deliver_due().await.unwrap(), 0);
    assert_eq!(state(&fires).await, DeliveryState::GivenUp);
    assert_eq!(state(&resolves).await, DeliveryState::GivenUp);
}

/// A clock that is not always known to be right.
#[derive(Debug)]
struct Doubtful {
    clock: Arc<ManualClock>,
    agrees: AtomicBool,
}

impl Clock for Doubtful {
    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    fn agrees(&self) -> bool {
        self.agrees.load(Ordering::Relaxed)
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_told_of_one_alert_waits_for_what_was_told_before_and_nothing_else_does() {
    let mut scene = Scene::new();
    let deliverer = scene.deliverer(vec![settings("ops"), settings("chat")]);
    let fires = scene.put("ops", "a").await;
    let resolves = scene.put("ops", "a").await;
    let other = scene.put("ops", "b").await;
    let elsewhere = scene.put("chat", "a").await;
    scene.script("ops", [Reply::Fail]);
    assert_eq!(deliverer.deliver_due().await.unwrap(), 3);
    assert_eq!(scene.tries(), [fires.clone(), other, elsewhere]);
    assert_eq!(deliverer.deliver_due().await.unwrap(), 0);
    scene.clock.advance(TimeDelta::seconds(6));
    assert_eq!(deliverer.deliver_due().await.unwrap(), 2);
    assert_eq!(scene.tries(), [fires, resolves]);
}

#[tokio::test(start_paused = true)]
async fn what_is_silenced_holds_up_nothing_and_is_not_told_after_newer_news() {
    let mut scene = Scene::new();
    let deliverer = scene.deliverer(vec![settings("ops")]);
    let message = |rules: &str| {
        let notice = |rule: &str| Notice {
            key: format!("{rule}/all"),
            ..Notification::sample(None, TRACKING_START.start())
                .alerts
                .remove(0)
        };
        let alerts = rules.split(' ').map(notice).collect();
        serde_json::to_string(&Notification::of_alerts(alerts)).unwrap()
    };
    let mut put = async |rules| scene.put_message("ops", rules, &message(rules)).await;
    put("a").await;
    let in_part = put("a b").await;
    let newest = put("a c").await;
    let silences = ["a", "b"].map(|rule| Silence {
        rule: rule.into(),
        subject: None,
        until: TRACKING_START.next(),
        since: TRACKING_START.start(),
        reason: String::new(),
    });
    for silence in &silences {
        ledger::silence(&scene.path, silence).unwrap();
    }
    assert_eq!(deliverer.deliver_due().await.unwrap(), 1);
    scene.clock.advance(TimeDelta::days(1));
    assert_eq!(deliverer.deliver_due().await.unwrap(), 1);
    let seen = std::iter::from_fn(|| scene.seen.try_recv().ok()).map(|seen| {
        let keys = seen.alerts.into_iter().map(|notice| notice.key);
        (seen.id, keys.collect::<Vec<_>>().join(" "))
    });
    let expected = [(newest, "a/all c/all"), (in_part, "b/all")];
    assert!(seen.eq(expected.map(|(id, keys)| (id, keys.to_owned()))));
}

#[tokio::test(start_paused = true)]
async fn a_receiver_is_left_alone_for_as_long_as_it_asks_to_be() {
    let mut scene = Scene::new();
    let deliverer = scene.deliverer(vec![settings("ops")]);
    let id = scene.put("ops", "a").await;
    let wish = Duration::from_secs(3600);
    scene.script("ops", [Reply::FailFor(wish)]);
    deliverer.deliver_due().await.unwrap();
    let wait = scene.record(&id).await.at - scene.clock.now();
    assert_eq!(wait, TimeDelta::hours(1));
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_is_gone_is_sent_nothing_until_it_is_enabled() {
    let mut scene = Scene::new();
    let deliverer = scene.deliverer(vec![settings("ops"), settings("chat")]);
    let first = scene.put("ops", "a").await;
    let second = scene.put("ops", "b").await;
    let elsewhere = scene.put("chat", "a").await;
    scene.script("ops", [Reply::Gone]);
    assert_eq!(deliverer.deliver_due().await.unwrap(), 2);
    assert_eq!(scene.tries(), [first.clone(), elsewhere]);
    scene.clock.advance(TimeDelta::days(9));
    let third = scene.put("ops", "c").await;
    assert_eq!(deliverer.deliver_due().await.unwrap(), 0);
    let disabled = scene.ledger.disabled_hooks().await.unwrap();
    assert_eq!(disabled[0].reason, "503 Service Unavailable");
    let ops = |value| ("ops".to_owned(), value);
    let chat = |value| ("chat".to_owned(), value);
    assert_eq!(scene.gauges("disabled"), [chat(0.0), ops(1.0)]);
    assert_eq!(scene.gauges("pending_deliveries"), [chat(0.0), ops(3.0)]);
    let noon = telemetry::seconds(TRACKING_START.start() + TimeDelta::hours(12));
    let oldest = scene.gauges("oldest_pending_timestamp_seconds");
    assert_eq!(oldest, [chat(0.0), ops(noon)]);

    let now = scene.clock.now();
    retry(&scene.path, Which::Delivery(third.clone()), &["ops"], now).unwrap();
    assert_eq!(deliverer.deliver_due().await.unwrap(), 3);
    assert_eq!(scene.tries(), [first, second, third]);
    assert_eq!(scene.gauges("disabled"), [chat(0.0), ops(0.0)]);
    assert_eq!(scene.gauges("pending_deliveries"), [chat(0.0), ops(0.0)]);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_be_read_is_given_up_and_holds_up_nothing() {
    let mut scene = Scene::new();
    let deliverer = scene.deliverer(vec![settings("ops")]);
    let unreadable = scene.put_message("ops", "a", "{\"alerts\":7}").await;
    let next = scene.put("ops", "a").await;
    deliverer.deliver_due().await.unwrap();
    assert_eq!(scene.tries(), [next]);
    let record = scene.record(&unreadable).await;
    assert_eq!(record.state, DeliveryState::GivenUp);
    let expected = "its message cannot be read: invalid type: integer `7`, expected a sequence at line 1 column 11";
    assert_eq!(record.result.as_deref(), Some(expected));
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_hangs_and_a_sender_that_panics_are_failed_tries() {
    let mut scene = Scene::new();
    let deliverer = scene.deliverer(vec![settings("ops")]);
    let hangs = scene.put("ops", "a").await;
    let panics = scene.put("ops", "b").await;
    let fine = scene.put("ops", "c").await;
    scene.script("ops", [Reply::Hang, Reply::Panic]);
    assert_eq!(deliverer.deliver_due().await.unwrap(), 3);
    let result = scene.record(&hangs).await.result.unwrap();
    assert_eq!(result, "no answer within 30s");
    let result = scene.record(&panics).await.result.unwrap();
    assert!(result.contains("on purpose"), "{result}");
    assert_eq!(scene.record(&fine).await.state, DeliveryState::Delivered);
    assert_eq!(scene.counted("ops", "failed"), 2);
}

/// Quiet from 13:00 to 07:00 UTC; it is noon.
fn quiet(name: &str) -> Settings {
    let time = |hour| chrono::NaiveTime::from_hms_opt(hour, 0, 0).unwrap();
    Settings {
        quiet_hours: QuietHours::new(time(13), time(7), Tz::UTC),
        ..settings(name)
    }
}

#[tokio::test(start_paused = true)]
async fn quiet_hours_delay_and_drop_nothing() {
    let mut scene = Scene::new();
    let deliverer = scene.deliverer(vec![quiet("ops"), settings("chat")]);
    scene.clock.advance(TimeDelta::hours(1));
    let mut expected = Vec::new();
    for rule in ["a", "b", "a"] {
        expected.push(scene.put("ops", rule).await);
    }
    let elsewhere = scene.put("chat", "a").await;
    assert_eq!(deliverer.deliver_due().await.unwrap(), 1);
    assert_eq!(scene.tries(), [elsewhere]);
    let morning = TRACKING_START.next().start() + TimeDelta::hours(7);
    let record = scene.record(&expected[0]).await;
    assert_eq!((record.attempts, record.at), (0, morning));

    scene.clock.set(morning - TimeDelta::milliseconds(1));
    assert_eq!(deliverer.deliver_due().await.unwrap(), 0);
    scene.clock.set(morning);
    assert_eq!(deliverer.deliver_due().await.unwrap(), 3);
    // The last one was not due before the first was taken, so it comes last.
    assert_eq!(scene.tries(), expected);
}

#[tokio::test(start_paused = true)]
async fn quiet_begins_also_between_two_tries() {
    let mut scene = Scene::new();
    let deliverer = scene.deliverer(vec![quiet("ops")]);
    let first = scene.put("ops", "a").await;
    scene.put("ops", "b").await;
    scene.script("ops", [Reply::TakeSlowly(TimeDelta::hours(1))]);
    assert_eq!(deliverer.deliver_due().await.unwrap(), 1);
    assert_eq!(scene.tries(), [first]);
}
