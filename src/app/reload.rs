//! The reload: what a new config changes in parts that go on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::metrics::ConfigMetrics;
use super::probes::probes;
use super::start::{hooks, unlocked};
use super::{App, StartError, read, syncer};
use crate::config::Config;
use crate::flowgent::transport::HttpClient;
use crate::http::Reloaded;
use crate::server::{self, Address};
use crate::sync::Syncer;
use crate::sync::worker::Reload;

/// Longest time that a reload waits for another program that writes into the ledger.
const LOCK_PATIENCE: Duration = Duration::from_secs(60);

impl App {
    /// Has the config read again; says why if it stays as it was. Nothing if the program is to end before
    /// it is read, which may take for ever.
    pub(super) async fn reload(&mut self, stop: &CancellationToken) -> Option<Reloaded> {
        let read = stop
            .run_until_cancelled(read(&self.read_config, &self.clock))
            .await?;
        let result = match read {
            Ok(config) => {
                let ready = self.prepare(&config);
                match stop.run_until_cancelled(ready).await? {
                    Ok((http, syncer)) => {
                        self.apply(config, http, syncer).await;
                        Ok(())
                    }
                    Err(error) => Err(error),
                }
            }
            Err(error) => Err(error.into()),
        };
        self.telemetry
            .of::<ConfigMetrics>()
            .reloaded(self.clock.now(), result.is_ok());
        Some(match result {
            Ok(()) => {
                info!("config reloaded");
                Ok(())
            }
            Err(error) => {
                let summary = error.summary();
                error!("config not reloaded; the previous one stays active: {summary}");
                self.board.not_configured(summary.clone());
                Err(summary)
            }
        })
    }

    /// Does what may fail before anything is changed: a config is applied whole or not at all.
    async fn prepare(&self, config: &Config) -> Result<(HttpClient, Syncer), StartError> {
        let http = HttpClient::open(&config.api).await?;
        let syncer = syncer(config, &http, &self.ledger, &self.clock, &self.telemetry);
        unlocked(LOCK_PATIENCE, || self.ledger.configure(config.policy)).await?;
        Ok((http, syncer))
    }

    async fn apply(&mut self, config: Config, http: HttpClient, syncer: Syncer) {
        self.time_source.store(Arc::new(http.clone()));
        if config.policy != self.config.policy {
            self.changes.observe_everything();
        }
        self.board
            .configured(&config.accounts, config.obstacles.clone());
        let reload = Reload {
            syncer,
            schedule: config.schedule.clone(),
            observer: self.linked(Some(config.alerts.clone())),
        };
        let probes = probes(&config, http.clone());
        let (clock, telemetry) = (Arc::clone(&self.clock), self.telemetry.clone());
        let hooks = hooks(&config, http, clock, telemetry, self.health());
        let sent = [
            self.reloads.send(reload).await.is_ok(),
            self.hook_reloads.send(hooks).await.is_ok(),
            self.push_reloads.send(config.push.clone()).await.is_ok(),
            self.probe_reloads.send(probes).await.is_ok(),
        ];
        if sent.contains(&false) {
            debug!("a component has ended, so the program ends");
        }
        for key in needs_restart(&self.config, &config) {
            warn!("config: {key} has changed; restart to apply it");
        }
        config.log();
        // What takes effect at the next start is still as it was.
        let (server, storage) = (self.config.server.clone(), self.config.storage.clone());
        let hosts = config.server.hosts.clone();
        self.hosts.store(Arc::new(hosts.clone()));
        self.config = Config {
            server: server::Settings { hosts, ..server },
            storage,
            ..config
        };
    }
}

/// The keys whose change a running exporter cannot follow.
fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let mut keys = Vec::new();
    fn addresses(config: &Config) -> BTreeSet<&Address> {
        config.server.listen.iter().collect()
    }
    if addresses(old) != addresses(new) {
        keys.push("[server] listen");
    }
    if old.server.telemetry_path != new.server.telemetry_path {
        keys.push("[server] telemetry_path");
    }
    let web_config = |config: &Config| {
        let file = config.server.web_config.as_ref();
        file.map(|file| file.path.clone())
    };
    if web_config(old) != web_config(new) {
        keys.push("[server] web_config_file");
    }
    if old.storage != new.storage {
        keys.push("[storage] path");
    }
    keys
}
