//! An account as it is worked with: its client and key, and where its agents come from.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tracing::warn;

use super::report::{Note, NoteKind, Report, SHOWN_NAMES};
use crate::blocking;
use crate::clock::SharedClock;
use crate::day::Day;
use crate::flowgent;
use crate::flowgent::client::Client;
use crate::flowgent::error::ApiError;
use crate::flowgent::listing::Listing;
use crate::flowgent::transport::HttpClient;
use crate::ledger::{Identity, Ledger, LedgerError, ListChange, ListSource};
use crate::roster::{self, AccountSettings, Agent, ListedAgent, Roster};
use crate::telemetry::Telemetry;

/// An account as it is worked with.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) settings: AccountSettings,
    pub(super) client: Client,
    api: flowgent::Settings,
    http: HttpClient,
    /// True if it has no key, or the request for its listing says that no other will fare better.
    pub(super) is_paused: AtomicBool,
    /// True if its key was refused the last time it was tried.
    pub(super) refused: AtomicBool,
    /// The agents that failed in the last sync, by their ids: they are asked for last.
    pub(super) troubled: Mutex<HashSet<Arc<str>>>,
    /// The agents that FlowGent refused when they were last asked for, by their ids: since which day, and why.
    pub(super) denied: Mutex<HashMap<Arc<str>, (Day, ApiError)>>,
    /// The day as of which its agents were listed last.
    listed: Mutex<Option<Day>>,
    /// The longest that a first request, or listing its agents, may keep others waiting.
    pub(super) patience: Duration,
    /// Last warning about lists of agents, which is repeated only when it changes.
    warnings: Mutex<Vec<String>>,
    /// By what the last listing said that it is not whole, and how many agents it named.
    gap: Mutex<Option<(String, usize)>>,
    /// Those of the last listing that there was no room for.
    excess: Mutex<Excess>,
    /// Those and the known ones that are not asked for either.
    beyond: Mutex<Excess>,
}

/// Agents that are not asked for, since there are too many.
#[derive(Debug, Clone, Default)]
struct Excess {
    /// The names of the first ones.
    names: Vec<Arc<str>>,
    number: usize,
}

impl Excess {
    fn add(&mut self, agent: &ListedAgent) {
        self.number += 1;
        if self.names.len() < SHOWN_NAMES {
            let name = agent.name.as_ref().unwrap_or(&agent.id);
            self.names.push(Arc::clone(name));
        }
    }
}

/// Which accounts are asked for their listing, as of which day.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ask {
    Nobody,
    Everybody(Day),
    /// Those that have not answered as of that day.
    Rest(Day),
}

/// The agents of an account.
pub(super) struct Present {
    /// Those that are asked for, and since when their list no longer names them.
    pub(super) agents: Vec<(Agent, Option<Day>)>,
    /// Those that are listed and are not asked for, since there are too many.
    pub(super) set_aside: Vec<Identity>,
    /// True if each of its lists was had, now or before.
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
            api: api.clone(),
            http: http.clone(),
            is_paused: AtomicBool::new(false),
            listed: Mutex::default(),
            denied: Mutex::default(),
            refused: AtomicBool::new(false),
            troubled: Mutex::default(),
            patience: api.timeout,
            warnings: Mutex::default(),
            gap: Mutex::default(),
            excess: Mutex::default(),
            beyond: Mutex::default(),
        }
    }

    /// Returns true if both are asked in the same way. Keys are read at each sync anyway.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.settings == other.settings && self.api == other.api && self.http.is_like(&other.http)
    }

    /// Returns true if its key was refused the last time it was tried.
    pub(super) fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// The most requests under way at once.
    pub(super) const fn concurrency(&self) -> usize {
        self.api.concurrency
    }

    /// Reads the key again, so that it can be rotated while the program runs. A key that was read
    /// before stays in use while there is no other: it may well still be good. Without any, nothing is asked.
    pub(super) async fn read_key(&self, report: &Mutex<Report>) {
        let source = &self.settings.api_key;
        let name = &self.settings.name;
        match source.read_aside().await {
            Ok(key) => {
                if let Err(error) = self.client.set_key(key) {
                    report.lock().key_problem(
                        name,
                        error.outcome(),
                        &error,
                        &self.settings.api_key,
                    );
                }
            }
            Err(error) => {
                report
                    .lock()
                    .key_problem(name, "key_unreadable", &error, &self.settings.api_key)
            }
        }
        let is_keyless = !self.client.has_key();
        self.is_paused.store(is_keyless, Ordering::Relaxed);
        self.refused.fetch_or(is_keyless, Ordering::Relaxed);
    }

    /// The account's agents: those of the config, of the list in the file, and of FlowGent's listing,
    /// which is asked for as `ask` says. A list that cannot be had now is the last one that could be, and one
    /// that has shrunk is not believed at once.
    pub(super) async fn agents(
        &self,
        ledger: &Ledger,
        ask: Ask,
        today: Option<Day>,
        report: &Mutex<Report>,
    ) -> Result<Present, LedgerError> {
        let (from_file, is_file_known) = self.listed_in_file(ledger, today, report).await?;
        let (mut listed, is_listing_known) = self.discovered(ledger, ask, today, report).await?;
        let set_aside = self.set_aside(&mut listed);
        let Roster {
            agents,
            unlisted,
            mut warnings,
        } = roster::resolve(&self.settings, from_file, listed);
        let notes = self.notes(&agents, &unlisted);
        warnings.extend(notes.iter().map(ToString::to_string));
        self.warn(warnings);
        report.lock().notes.extend(notes);
        let dated = |agent: Agent| {
            let since = unlisted.get(&agent.id).copied();
            (agent, since)
        };
        Ok(Present {
            agents: agents.into_iter().map(dated).collect(),
            set_aside,
            is_known: is_file_known && is_listing_known,
        })
    }

    /// The agents of the list in the file, and whether that was had, now or before.
    async fn listed_in_file(
        &self,
        ledger: &Ledger,
        today: Option<Day>,
        report: &Mutex<Report>,
    ) -> Result<(Vec<ListedAgent>, bool), LedgerError> {
        let Some(path) = self.settings.agents_file.clone() else {
            return Ok((Vec::new(), true));
        };
        let name = &self.settings.name;
        let read = blocking::run(move || roster::read_agents(&path)).await;
        let read = read.map_err(|error| report.lock().account_problem(name, "agents_file", &error));
        let read = read.ok().map(|agents| ListChange {
            agents,
            is_whole: true,
            today,
        });
        let was_read = read.is_some();
        let kept = self.latest(ledger, ListSource::File, read).await?;
        let is_known = was_read || !kept.is_empty();
        Ok((kept, is_known))
    }

    /// The agents of FlowGent's listing, and whether that was had, now or before.
    async fn discovered(
        &self,
        ledger: &Ledger,
        ask: Ask,
        today: Option<Day>,
        report: &Mutex<Report>,
    ) -> Result<(Vec<ListedAgent>, bool), LedgerError> {
        if !self.settings.discover {
            return Ok((Vec::new(), true));
        }
        let as_of = match ask {
            Ask::Nobody => None,
            Ask::Everybody(day) => Some(day),
            Ask::Rest(day) => Some(day).filter(|day| *self.listed.lock() != Some(*day)),
        };
        let listing = match as_of {
            None => None,
            Some(_) if self.client.has_key() => self.list(report).await,
            Some(_) => None,
        };
        let Some(Listing { agents, gap }) = listing else {
            let kept = self.latest(ledger, ListSource::Flowgent, None).await?;
            let is_known = !kept.is_empty();
            return Ok((kept, is_known));
        };
        *self.listed.lock() = as_of;
        let is_whole = gap.is_none();
        *self.gap.lock() = gap.map(|gap| (gap, agents.len()));
        let change = ListChange {
            agents: self.admitted(ledger, agents).await?,
            is_whole,
            today,
        };
        let kept = self
            .latest(ledger, ListSource::Flowgent, Some(change))
            .await?;
        Ok((kept, true))
    }

    /// Those of `listed` that are kept: all that were kept before, and as many others, by their ids, as there
    /// is room for. The agents of the config need none.
    async fn admitted(
        &self,
        ledger: &Ledger,
        mut listed: Vec<ListedAgent>,
    ) -> Result<Vec<ListedAgent>, LedgerError> {
        let mut excess = Excess::default();
        if listed.len() > self.settings.max_discovered {
            let name = Arc::clone(&self.settings.name);
            let kept = ledger.list(name, ListSource::Flowgent).await?;
            let named: HashSet<&Arc<str>> = self.named().collect();
            let known: HashSet<&Arc<str>> = kept.iter().map(|agent| &agent.id).collect();
            listed.sort_by(|one, other| one.id.cmp(&other.id));
            listed.dedup_by(|later, first| later.id == first.id);
            let takes_room =
                |agent: &&ListedAgent| known.contains(&agent.id) && !named.contains(&agent.id);
            let taken = listed.iter().filter(takes_room).count();
            let mut room = self.settings.max_discovered.saturating_sub(taken);
            listed.retain(|agent| {
                if known.contains(&agent.id) || named.contains(&agent.id) {
                    return true;
                }
                let is_admitted = room > 0;
                room = room.saturating_sub(1);
                if !is_admitted {
                    excess.add(agent);
                }
                is_admitted
            });
            listed.shrink_to_fit();
        }
        *self.excess.lock() = excess;
        Ok(listed)
    }

    /// The identifiers of the agents of the config.
    fn named(&self) -> impl Iterator<Item = &Arc<str>> {
        self.settings.agents.iter().map(|agent| &agent.id)
    }

    /// Takes those out of `listed` that are known and yet too many, by their ids.
    fn set_aside(&self, listed: &mut Vec<ListedAgent>) -> Vec<Identity> {
        let named: HashSet<&Arc<str>> = self.named().collect();
        let mut room = self.settings.max_discovered;
        let (mut set_aside, mut excess) = (Vec::new(), self.excess.lock().clone());
        listed.retain(|agent| {
            if agent.unlisted_since.is_some() || named.contains(&agent.id) {
                return true;
            }
            let is_admitted = room > 0;
            room = room.saturating_sub(1);
            if !is_admitted {
                set_aside.push((Arc::clone(&self.settings.name), Arc::clone(&agent.id)));
                excess.add(agent);
            }
            is_admitted
        });
        *self.beyond.lock() = excess;
        set_aside
    }

    /// Warnings about the lists that name the account's agents.
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
        let Excess { names, number } = self.beyond.lock().clone();
        if number > 0 {
            let limit = self.settings.max_discovered;
            notes.push(note(NoteKind::Excess {
                names,
                number,
                limit,
            }));
        }
        if let Some((gap, named)) = self.gap.lock().clone() {
            notes.push(note(NoteKind::Partial { gap, named }));
        }
        notes
    }

    /// Logs warnings that were not logged the last time.
    fn warn(&self, warnings: Vec<String>) {
        let mut told = self.warnings.lock();
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
        let is_paused = listing.as_ref().is_err_and(ApiError::pauses_account);
        self.is_paused.store(is_paused, Ordering::Relaxed);
        self.refused.store(is_paused, Ordering::Relaxed);
        let tell = |error: ApiError| {
            let text: &dyn fmt::Display = &format!("listing agents: {error}");
            let name = &self.settings.name;
            let mut report = report.lock();
            report.account_problem(name, error.outcome(), text);
            if error.is_account_wide() {
                report.key_problem(name, error.outcome(), text, &self.settings.api_key);
            }
        };
        if listing
            .as_ref()
            .err()
            .is_none_or(ApiError::shows_key_accepted)
        {
            let name = Arc::clone(&self.settings.name);
            report.lock().accepted.insert(name);
        }
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
