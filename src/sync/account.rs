//! An account as it is worked with: its client and key, and where its agents come from.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing::warn;

use super::report::{Note, NoteKind, Report};
use super::{join, lock};
use crate::clock::SharedClock;
use crate::day::Day;
use crate::flowgent;
use crate::flowgent::client::Client;
use crate::flowgent::error::ApiError;
use crate::flowgent::listing::Listing;
use crate::flowgent::transport::HttpClient;
use crate::ledger::{Ledger, LedgerError, ListChange, ListSource};
use crate::roster::{self, AccountSettings, Agent, ListedAgent, Roster};
use crate::telemetry::Telemetry;

/// An account as it is worked with.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) settings: AccountSettings,
    pub(super) client: Client,
    pub(super) concurrency: usize,
    /// Whether its key was refused the last time it was tried.
    pub(super) refused: AtomicBool,
    /// The agents that failed in the last sync, by their ids: they are asked for last.
    pub(super) troubled: Mutex<HashSet<Arc<str>>>,
    /// The longest that listing its agents may keep the other accounts waiting.
    patience: Duration,
    /// What was last said about lists of agents, which is said again only when it changes.
    warnings: Mutex<Vec<String>>,
    /// By what the last listing said that it is not whole, and how many agents it named.
    gap: Mutex<Option<(String, usize)>>,
}

/// The agents of an account.
pub(super) struct Present {
    /// Those that are asked for, and since when their list no longer names them.
    pub(super) agents: Vec<(Agent, Option<Day>)>,
    /// Whether each of its lists was had, now or before.
    pub(super) is_known: bool,
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
            concurrency: api.concurrency,
            refused: AtomicBool::new(false),
            troubled: Mutex::default(),
            patience: api.timeout,
            warnings: Mutex::default(),
            gap: Mutex::default(),
        }
    }

    /// Reads the key again, so that it can be rotated while the program runs. A key that was read
    /// before stays in use while there is no other: it may well still be good.
    pub(super) async fn read_key(&self, report: &Mutex<Report>) {
        let source = self.settings.api_key.clone();
        let name = &self.settings.name;
        match join(tokio::task::spawn_blocking(move || source.read())).await {
            Ok(key) => {
                if let Err(error) = self.client.set_key(key) {
                    lock(report).account_problem(name, error.outcome(), &error);
                }
            }
            Err(error) => lock(report).account_problem(name, "key_unreadable", &error),
        }
    }

    /// The account's agents: those of the config, of the list in the file, and of FlowGent's listing,
    /// which is asked for if `ask`. A list that cannot be had now is the last one that could be, and one
    /// that has shrunk is not believed at once.
    pub(super) async fn agents(
        &self,
        ledger: &Ledger,
        ask: bool,
        today: Option<Day>,
        report: &Mutex<Report>,
    ) -> Result<Present, LedgerError> {
        let name = &self.settings.name;
        let whole = |agents| ListChange {
            agents,
            is_whole: true,
            today,
        };
        let mut from_file = Vec::new();
        let mut is_known = true;
        if let Some(path) = self.settings.agents_file.clone() {
            let read = join(tokio::task::spawn_blocking(move || {
                roster::read_agents(&path)
            }))
            .await;
            let read =
                read.map_err(|error| lock(report).account_problem(name, "agents_file", &error));
            let read = read.ok().map(whole);
            is_known = read.is_some();
            from_file = self.latest(ledger, ListSource::File, read).await?;
            is_known |= !from_file.is_empty();
        }
        let mut listed = Vec::new();
        if self.settings.discover {
            let listing = if ask { self.list(report).await } else { None };
            let was_heard = listing.is_some();
            let listing = listing.map(|listing| {
                let Listing { agents, gap } = listing;
                let is_whole = gap.is_none();
                *lock(&self.gap) = gap.map(|gap| (gap, agents.len()));
                ListChange {
                    is_whole,
                    ..whole(agents)
                }
            });
            listed = self.latest(ledger, ListSource::Flowgent, listing).await?;
            is_known &= was_heard || !listed.is_empty();
        }
        let Roster {
            agents,
            unlisted,
            mut warnings,
        } = roster::resolve(&self.settings, from_file, listed);
        let notes = self.notes(&agents, &unlisted);
        warnings.extend(notes.iter().map(ToString::to_string));
        self.warn(warnings);
        lock(report).notes.extend(notes);
        let dated = |agent: Agent| {
            let since = unlisted.get(&agent.id).copied();
            (agent, since)
        };
        Ok(Present {
            agents: agents.into_iter().map(dated).collect(),
            is_known,
        })
    }

    /// What needs a look about the lists that name the account's agents.
    fn notes(&self, agents: &[Agent], unlisted: &BTreeMap<Arc<str>, Day>) -> Vec<Note> {
        let note = |kind| Note {
            account: Arc::clone(&self.settings.name),
            kind,
        };
        let mut notes = Vec::new();
        if !unlisted.is_empty() {
            let is_unlisted = |agent: &&Agent| unlisted.contains_key(&agent.id);
            let names = agents.iter().filter(is_unlisted);
            let names = names.map(|agent| Arc::clone(&agent.name)).collect();
            notes.push(note(NoteKind::Unlisted { names }));
        }
        if let Some((gap, named)) = lock(&self.gap).clone() {
            notes.push(note(NoteKind::Partial { gap, named }));
        }
        notes
    }

    /// Logs warnings that were not logged the last time.
    fn warn(&self, warnings: Vec<String>) {
        let mut told = lock(&self.warnings);
        for warning in warnings.iter().filter(|warning| !told.contains(warning)) {
            warn!(account = %self.settings.name, "{warning}");
        }
        *told = warnings;
    }

    /// FlowGent's listing of the account's agents, if it can be had soon.
    async fn list(&self, report: &Mutex<Report>) -> Option<Listing> {
        let listing = tokio::time::timeout(self.patience, self.client.list_agents()).await;
        let listing = listing.unwrap_or(Err(ApiError::Timeout {
            limit: self.patience,
        }));
        let refused = listing.as_ref().is_err_and(ApiError::is_account_wide);
        self.refused.store(refused, Ordering::Relaxed);
        let tell = |error: ApiError| {
            let text: &dyn fmt::Display = &format!("listing agents: {error}");
            lock(report).account_problem(&self.settings.name, error.outcome(), text);
        };
        listing.map_err(tell).ok()
    }

    /// All that is kept of the list, which is kept for worse times; or else of the one that was kept last.
    async fn latest(
        &self,
        ledger: &Ledger,
        source: ListSource,
        list: Option<ListChange>,
    ) -> Result<Vec<ListedAgent>, LedgerError> {
        let account = Arc::clone(&self.settings.name);
        match list {
            Some(list) => ledger.save_list(account, source, list).await,
            None => ledger.list(account, source).await,
        }
    }
}
