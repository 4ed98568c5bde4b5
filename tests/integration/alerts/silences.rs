//! Silences, set beside an exporter that runs, and one that does not.

use serde_json::Value;

use super::{configure, wait_until_told, webhook};
use crate::harness::{Exporter, Receiver, Scene, run};

const FIRING: &str = "flowgent_alert_firing{rule=\"busy\",subject=\"acme/support\"}";
const SILENCED: &str = "flowgent_alert_silenced{rule=\"busy\",subject=\"acme/support\"}";

/// A rule that fires for one agent above so many credits.
fn busy(scene: &Scene, over: f64, receiver: &Receiver) -> String {
    format!(
        "[[rule]]\nname = \"busy\"\nkind = \"usage\"\nover = {over}\nspan = \"previous_30_days\"\n\
         match = {{ agent = \"support\" }}\nhooks = [\"ops\"]\n{}",
        webhook(scene, "ops", receiver, "")
    )
}

async fn done(scene: &Scene, arguments: &[&str]) -> String {
    let output = run(scene, &[&["alerts"], arguments].concat()).await;
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

async fn page(exporter: &Exporter, path: &str) -> String {
    let (head, body) = exporter.get(path, "").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    String::from_utf8(body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_of_a_silenced_alert_and_its_state_at_the_end() {
    let scene = Scene::new("2026-03-02T09:00:00");
    let receiver = Receiver::start().await;
    configure(&scene, &busy(&scene, 0.001, &receiver));
    let output = run(&scene, &["sync"]).await;
    assert!(output.status.success(), "{output:?}");
    let silence = [
        "silence",
        "busy",
        "acme/support",
        "--until",
        "2026-03-05",
        "--reason",
        "we know",
    ];
    assert_eq!(
        done(&scene, &silence).await,
        "busy of acme/support is silenced until 2026-03-05, 00:00 UTC: hooks get no messages about it before then\n"
    );
    let exporter = scene.start().await;
    wait_until_told(&exporter, &scene).await;
    let scrape = exporter.scrape().await;
    assert_eq!(
        [FIRING, SILENCED].map(|name| scrape.get(name)),
        [Some(1.0); 2]
    );
    assert_eq!(receiver.received().len(), 0);
    let told =
        "busy</bdi>, <bdi>acme/support</bdi>: no messages until 2026-03-05. <bdi>we know</bdi>";
    let alerts = page(&exporter, "/alerts").await;
    assert!(
        alerts.contains(told) && alerts.contains("until 2026-03-05.</p>"),
        "{alerts}"
    );
    let agent = page(&exporter, "/agents/acme/support").await;
    assert!(agent.contains("(silenced)"), "{agent}");
    let api: Value = serde_json::from_str(&page(&exporter, "/api/v1/alerts").await).unwrap();
    assert_eq!(api["alerts"][0]["silenced_until"], "2026-03-05");
    assert_eq!(api["silences"][0]["reason"], "we know");
    let list = done(&scene, &["list"]).await;
    let line = "busy of acme/support is silenced until 2026-03-05: we know";
    assert!(list.contains(line), "{list}");

    // Its end is noticed at once, without another event.
    done(&scene, &["unsilence", "busy", "acme/support"]).await;
    let told = receiver.wait_for_deliveries(1).await;
    assert_eq!(told[0].alerts(), [("busy".to_owned(), "firing".to_owned())]);
    exporter
        .wait_until("no silence", |scrape| scrape.get(SILENCED).is_none())
        .await;

    // Silenced while the exporter runs, it resolves, and a restart forgets nothing of that.
    done(
        &scene,
        &[
            "silence",
            "busy",
            "--until",
            "2026-03-04",
            "--reason",
            "again",
        ],
    )
    .await;
    exporter
        .wait_until("the silence", |scrape| scrape.get(SILENCED) == Some(1.0))
        .await;
    exporter.stop().await;
    configure(&scene, &busy(&scene, 1e9, &receiver));
    let exporter = scene.start().await;
    exporter
        .wait_until("the end", |scrape| scrape.get(FIRING) == Some(0.0))
        .await;
    wait_until_told(&exporter, &scene).await;
    assert_eq!(receiver.received().len(), 1);
    scene.set_time("2026-03-04T00:00:10");
    let told = receiver.wait_for_deliveries(2).await;
    assert_eq!(
        told[1].alerts(),
        [("busy".to_owned(), "resolved".to_owned())]
    );
    exporter.stop().await;
    assert_eq!(receiver.received().len(), 2);
}
