//! Budgets and rules that fire, and hooks that are told: the real program with real receivers.

mod alertmanager;
mod balances;
mod budgets;
mod crash;
mod heartbeats;
mod hooks;
mod probes;
mod repeats;
mod rules;
mod silences;
mod summaries;

use crate::harness::{Exporter, Receiver, Scene};

/// The secret of [`webhook`], and the bytes in it.
const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
pub const SECRET_BYTES: [u8; 24] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23,
];

/// The config of a signed webhook `name` that leads to `receiver`; `more` goes on in it.
pub fn webhook(scene: &Scene, name: &str, receiver: &Receiver, more: &str) -> String {
    scene.write(&format!("{name}.url"), &receiver.url());
    scene.write(&format!("{name}.secret"), SECRET);
    format!(
        "[[hook]]\nname = \"{name}\"\nkind = \"webhook\"\nurl_file = \"{name}.url\"\n\
         secret_files = [\"{name}.secret\"]\nallow_private = true\n{more}\n"
    )
}

/// Writes the config of all accounts with `alerting` after it.
pub fn configure(scene: &Scene, alerting: &str) {
    let config = format!("{}\n{alerting}", scene.config(""));
    scene.write("config.toml", &config);
}

/// Waits until the rules have been evaluated after the last sync, and nothing is left to be sent.
pub async fn wait_until_told(exporter: &Exporter, scene: &Scene) {
    exporter.wait_until_whole(scene).await;
    let evaluated = "flowgent_exporter_alert_last_evaluation_timestamp_seconds";
    let synced = "flowgent_exporter_sync_last_end_timestamp_seconds";
    let pending = "flowgent_hook_pending_deliveries";
    exporter
        .wait_until("everything to be told", |scrape| {
            scrape.get(evaluated) >= scrape.get(synced) && scrape.sum(pending) == 0.0
        })
        .await;
}
