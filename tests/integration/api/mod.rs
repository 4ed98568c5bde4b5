//! The JSON API: what it answers is the truth, and what is described of it is what it answers.

mod description;
mod figures;
mod hostile;
mod long;

use serde_json::Value;

use crate::harness::{Exporter, Receiver, Scene};

const NOW: &str = "2026-03-10T09:00:00";

/// The answer to a GET that is answered with 200, and the next page.
async fn page(exporter: &Exporter, path: &str) -> (Value, Option<String>) {
    let (head, body) = exporter.get(path, "").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
    let next = head.lines().find_map(|line| {
        let link = line.strip_prefix("link: <")?;
        link.strip_suffix(">; rel=\"next\"")
    });
    let is_long = head.contains("\r\ntransfer-encoding: chunked\r\n");
    let body = match is_long {
        true => long::dechunked(&body).unwrap(),
        false => body,
    };
    let json = serde_json::from_slice(&body).unwrap();
    (json, next.map(str::to_owned))
}

/// The same where there is only one page.
async fn json(exporter: &Exporter, path: &str) -> Value {
    let (json, next) = page(exporter, path).await;
    assert_eq!(next, None, "{path}");
    json
}

/// A scene with budgets and alerts, of which one fires and is delivered.
fn alerting(scene: &Scene, receiver: &Receiver) {
    let (first, last) = ("2026-03-01".parse().unwrap(), scene.today().previous());
    let used = |agent| scene.sum(agent, first, last);
    let limit: f64 = scene.agents().iter().map(used).sum::<f64>() / 0.9;
    let text = format!(
        "[[budget]]\nname = \"all-month\"\ncredits = {limit}\nperiod = \"month\"\n\
         thresholds = [0.5, 0.8, 1.0]\nforecast_thresholds = []\nhooks = [\"ops\"]\n\
         [[budget]]\nname = \"acme-total\"\nmatch = {{ account = \"acme\" }}\ncredits = 100000000\n\
         period = \"total\"\n"
    );
    let hook = crate::alerts::webhook(scene, "ops", receiver, "");
    crate::alerts::configure(scene, &(text + &hook));
}
