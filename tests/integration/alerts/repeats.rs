//! Critical alerts that go on are sent again, also after a restart.

use super::{configure, wait_until_told, webhook};
use crate::harness::{Receiver, Scene};

#[tokio::test(flavor = "multi_thread")]
async fn a_critical_alert_that_goes_on_is_told_again_once_an_interval_also_after_a_restart() {
    let scene = Scene::new("2026-03-02T09:00:00");
    let (pager, chat) = (Receiver::start().await, Receiver::start().await);
    let alerting =
        "[[rule]]\nname = \"busy\"\nkind = \"usage\"\nover = 0.001\nspan = \"previous_30_days\"\n\
         match = { agent = \"support\" }\nseverity = \"critical\"\nhooks = [\"pager\", \"chat\"]\n"
            .to_owned()
            + &webhook(&scene, "pager", &pager, "repeat = \"2h\"")
            + &webhook(&scene, "chat", &chat, "");
    configure(&scene, &alerting);
    let exporter = scene.start().await;
    pager.wait_for_deliveries(1).await;
    chat.wait_for_deliveries(1).await;
    scene.set_time("2026-03-02T10:30:00");
    wait_until_told(&exporter, &scene).await;
    exporter.stop().await;
    let exporter = scene.start().await;
    wait_until_told(&exporter, &scene).await;
    assert_eq!(pager.received().len(), 1, "the interval is not over");
    scene.set_time("2026-03-02T11:00:30");
    let told = pager.wait_for_deliveries(2).await;
    let [first, second] = [0, 1].map(|place: usize| told[place].json());
    let title = first["alerts"][0]["title"].as_str().unwrap();
    assert_eq!(
        second["alerts"][0]["title"],
        format!("Still firing since 2 Mar: {title}")
    );
    for same in ["key", "status", "started_at"] {
        assert_eq!(
            second["alerts"][0][same], first["alerts"][0][same],
            "{same}"
        );
    }
    assert_ne!(told[0].id(), told[1].id());
    wait_until_told(&exporter, &scene).await;
    scene.set_time("2026-03-02T13:01:00");
    pager.wait_for_deliveries(3).await;
    exporter.stop().await;
    assert_eq!((pager.received().len(), chat.received().len()), (3, 1));
}
