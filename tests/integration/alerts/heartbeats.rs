//! Heartbeats of the whole program.

use flowgent_exporter::simulator::{Fault, Times};

use super::configure;
use crate::harness::{Habit, Receiver, Scene, run, wait_for};

/// Path and body of the request of that number, once it has come.
async fn beat(service: &Receiver, number: usize) -> (String, String) {
    wait_for("a heartbeat", async || {
        let received = service.received();
        match received.get(number) {
            Some(beat) => {
                let body = String::from_utf8(beat.body.to_vec()).unwrap();
                Ok((beat.path.clone(), body))
            }
            None => Err(format!("{received:#?}")),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_follows_each_sound_sync_and_a_failed_one_is_told_with_its_reason() {
    let scene = Scene::new("2026-03-02T09:00:00");
    let (service, ops) = (Receiver::start().await, Receiver::start().await);
    // A receiver that is down silences nothing.
    ops.set_habit(Habit::Status(503));
    let url = |path: &str| format!("http://{}{path}", service.address());
    scene.write("alive.url", &url("/up-canary-0123456789"));
    scene.write("failure.url", &url("/down"));
    let alerting = "[[hook]]\nname = \"alive\"\nkind = \"heartbeat\"\nallow_private = true\n\
                    url_file = \"alive.url\"\nfailure_url_file = \"failure.url\"\n\
                    [[rule]]\nname = \"busy\"\nkind = \"usage\"\nover = 0.001\n\
                    span = \"previous_30_days\"\nhooks = [\"ops\"]\n";
    let alerting = alerting.to_owned() + &super::webhook(&scene, "ops", &ops, "");
    configure(&scene, &alerting);
    let exporter = scene.start().await;
    let well = ("/up-canary-0123456789".to_owned(), "all is well".to_owned());
    assert_eq!(beat(&service, 0).await, well);

    // The next day FlowGent takes no key.
    let refused = Fault::Status(401, None);
    scene
        .simulator
        .faults()
        .add_everywhere(refused, Times::Always);
    scene.set_time("2026-03-03T09:00:00");
    let (path, reason) = beat(&service, 1).await;
    assert_eq!(path, "/down");
    assert!(
        reason.starts_with("the sync of 2026-03-03T09:0"),
        "{reason}"
    );
    assert!(reason.ends_with(": the API key is not valid"), "{reason}");

    // And then it does again.
    scene.simulator.faults().clear();
    scene.set_time("2026-03-04T09:00:00");
    assert_eq!(beat(&service, 2).await, well);
    let output = run(&scene, &["alerts", "test", "alive"]).await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(beat(&service, 3).await, well);
    let log = exporter.log();
    assert!(
        log.contains("heartbeats have stopped: the sync of"),
        "{log}"
    );
    assert!(!log.contains("canary"), "{log}");
    exporter.stop().await;
}
