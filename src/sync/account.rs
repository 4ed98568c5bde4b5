//! An account as it is worked with: its client and key, and where its agents come from.

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing::warn;

use super::report::Report;
use super::{join, lock};
use crate::clock::SharedClock;
use crate::flowgent;
use crate::flowgent::client::Client;
use crate::flowgent::error::ApiError;
use crate::flowgent::transport::HttpClient;
use crate::ledger::{Ledger, LedgerError, ListSource};
use crate::roster::{self, AccountSettings, Agent, ListedAgent};
use crate::telemetry::Telemetry;

/// An account as it is worked with.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) settings: AccountSettings,
    pub(super) client: Client,
    api: flowgent::Settings,
    http: HttpClient,
    /// Whether its key was refused the last time it was tried.
    pub(super) refused: AtomicBool,
    /// The agents that failed in the last sync, by their ids: they are asked for last.
    pub(super) troubled: Mutex<HashSet<Arc<str>>>,
    /// The longest that listing its agents may keep the other accounts waiting.
    patience: Duration,
    /// What was last said about lists of agents, which is said again only when it changes.
    warnings: Mutex<Vec<String>>,
}

impl Account {
    pub(super) fn new(
        settings: &AccountSettings,
        api: &flowgent::Settings,
        http: &HttpClient,
        clock: SharedClock,
        telemetry: &Telemetry,
    ) -> Self {
        Self {
            settings: settings.clone(),
            client: Client::new(http, api, Arc::clone(&settings.name), telemetry, clock),
            api: api.clone(),
            http: http.clone(),
            refused: AtomicBool::new(false),
            troubled: Mutex::default(),
            patience: api.timeout,
            warnings: Mutex::default(),
        }
    }

    /// Whether both are asked in the same way. Keys are read at each sync anyway.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.settings == other.settings && self.api == other.api && self.http.is_like(&other.http)
    }

    /// Whether its key was refused the last time it was tried.
    pub(super) fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// The most requests under way at once.
    pub(super) const fn concurrency(&self) -> usize {
        self.api.concurrency
    }

    /// Reads the key again, so that it can be rotated while the program runs. A key that was read
    /// before stays in use while there is no other: it may well still be good.
    pub(super) async fn read_key(&self, report: &Mutex<Report>) {
        let source = self.settings.api_key.clone();
        let name = &self.settings.name;
        match join(tokio::task::spawn_blocking(move || source.read())).await {
            Ok(key) => {
                if let Err(error) = self.client.set_key(key) {
                    lock(report).key_problem(name, error.outcome(), &error, &self.settings.api_key);
                }
            }
            Err(error) => {
                lock(report).key_problem(name, "key_unreadable", &error, &self.settings.api_key)
            }
        }
    }

    /// The account's agents: those of the config, of the list in the file, and of FlowGent's listing,
    /// which is asked for if `ask`. A list that cannot be had now is the last one that could be.
    pub(super) async fn agents(
        &self,
        ledger: &Ledger,
        ask: bool,
        report: &Mutex<Report>,
    ) -> Result<Vec<Agent>, LedgerError> {
        let name = &self.settings.name;
        let mut from_file = Vec::new();
        if let Some(path) = self.settings.agents_file.clone() {
            let read = join(tokio::task::spawn_blocking(move || {
                roster::read_agents(&path)
            }))
            .await;
            let read =
                read.map_err(|error| lock(report).account_problem(name, "agents_file", &error));
            from_file = self.latest(ledger, ListSource::File, read.ok()).await?;
        }
        let mut listed = Vec::new();
        if self.settings.discover {
            let listing = if ask { self.list(report).await } else { None };
            listed = self.latest(ledger, ListSource::Flowgent, listing).await?;
        }
        let roster = roster::resolve(&self.settings, from_file, listed);
        let mut told = lock(&self.warnings);
        for warning in roster
            .warnings
            .iter()
            .filter(|warning| !told.contains(warning))
        {
            warn!(account = %name, "{warning}");
        }
        *told = roster.warnings;
        Ok(roster.agents)
    }

    /// FlowGent's listing of the account's agents, if it can be had soon.
    async fn list(&self, report: &Mutex<Report>) -> Option<Vec<ListedAgent>> {
        let listing = tokio::time::timeout(self.patience, self.client.list_agents()).await;
        let listing = listing.unwrap_or(Err(ApiError::Timeout {
            limit: self.patience,
        }));
        let refused = listing.as_ref().is_err_and(ApiError::is_account_wide);
        self.refused.store(refused, Ordering::Relaxed);
        let tell = |error: ApiError| {
            let text: &dyn fmt::Display = &format!("listing agents: {error}");
            let name = &self.settings.name;
            let mut report = lock(report);
            report.account_problem(name, error.outcome(), text);
            if refused {
                report.key_problem(name, error.outcome(), text, &self.settings.api_key);
            }
        };
        listing.map_err(tell).ok()
    }

    /// The list, which is kept for worse times, or else the one that was kept last.
    async fn latest(
        &self,
        ledger: &Ledger,
        source: ListSource,
        list: Option<Vec<ListedAgent>>,
    ) -> Result<Vec<ListedAgent>, LedgerError> {
        let account = Arc::clone(&self.settings.name);
        match list {
            Some(list) => {
                ledger.save_list(account, source, list.clone()).await?;
                Ok(list)
            }
            None => ledger.list(account, source).await,
        }
    }
}
