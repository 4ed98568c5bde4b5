//! What becomes of deliveries, with a clock that is moved by hand.

use chrono_tz::Tz;

use super::*;
use crate::hook::QuietHours;
use crate::ledger::{Which, retry};

#[tokio::test(start_paused = true)]
async fn a_delivery_is_tried_ten_times_by_the_schedule_and_then_given_up() {
    let mut scene = Scene::new();
    let deliverer = scene.deliverer(vec![settings("ops")]);
    let id = scene.put("ops", "a").await;
    scene.script("ops", (0..10).map(|_| Reply::Fail));
    let waits = [
        5,
        300,
        1800,
        7200,
        18_000,
        36_000,
        50_400,
        72_000,
        86_400,
        i64::MAX,
    ];
    for (tries, least) in (1..).zip(waits) {
        assert_eq!(deliverer.deliver_due().await.unwrap(), 1);
        let record = scene.record(&id).await;
        assert_eq!(record.attempts, tries);
        let now = scene.clock.now();
        if tries == 10 {
            assert_eq!((record.state, record.at), (DeliveryState::GivenUp, now));
            let expected = "10 tries have failed, the last one with: 503 Service Unavailable";
            assert_eq!(record.result.as_deref(), Some(expected));
            break;
        }
        assert_eq!(record.state, DeliveryState::Pending);
        assert_eq!(record.result.as_deref(), Some("503 Service Unavailable"));
        let wait = (record.at - now).num_milliseconds();
        assert!((least * 1000..=least * 1100).contains(&wait), "{wait}");
        scene.clock.set(record.at - TimeDelta::milliseconds(1));
        assert_eq!(deliverer.deliver_due().await.unwrap(), 0);
        scene.clock.set(record.at);
    }
    scene.clock.advance(TimeDelta::days(80));
    assert_eq!(deliverer.deliver_due().await.unwrap(), 0);
    assert_eq!(scene.tries(), vec![id.clone(); 10]);
    let counted = |outcome| scene.counted("ops", outcome);
    assert_eq!(["delivered", "failed", "given_up"].map(counted), [0, 9, 1]);

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
