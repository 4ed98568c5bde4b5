//! Current state of the exporter: one [`Board`] that the parts write on as they go, and that pages and the API read
//! without waiting for any of them.

mod obstacle;
mod syncs;
mod trouble;

pub use obstacle::Obstacle;
pub use syncs::{LastSync, Progress, SyncStatus};
pub use trouble::{Facts, Trouble};

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwap, ArcSwapOption};
use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use parking_lot::RwLock;
use tokio::sync::watch;

use crate::day::Day;
use crate::exposition::{AgentSeries, AlertSeries, BalanceSeries, BudgetSeries};
use crate::ledger::{AlertKey, Member, ProbeRun, View};
use crate::roster::{AccountSettings, Agent};
use crate::secret::SecretSource;
use crate::series::Figures;
use crate::sync::Event;

/// State of the exporter at this moment. See the [module](self).
#[derive(Debug, Default)]
pub struct Board {
    ledger: OnceLock<View>,
    agents: RwLock<AgentList>,
    alerting: ArcSwapOption<Alerting>,
    sync: ArcSwap<SyncStatus>,
    accounts: ArcSwap<Vec<AccountPlace>>,
    probe_runs: ArcSwap<Vec<ProbeRun>>,
    obstacles: ArcSwap<Vec<Obstacle>>,
    config_error: ArcSwapOption<String>,
    ledger_error: ArcSwapOption<String>,
    changes: watch::Sender<()>,
}

/// An account and where its key comes from, as people find both in the config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountPlace {
    /// Its name.
    pub name: Arc<str>,
    /// Source of its key.
    pub api_key: SecretSource,
}

/// All agents and their figures, as of one UTC day.
#[derive(Debug)]
pub struct Agents {
    /// The day that the figures are as of.
    pub today: Day,
    /// All agents, in the order of their accounts in the config and of their names.
    pub members: Arc<[Member]>,
    /// Their figures, in the same order.
    pub series: Vec<AgentSeries>,
}

/// [`Agents`] while they may still be of different days.
#[derive(Debug)]
struct AgentList {
    agents: Agents,
    /// True if all figures are of one day.
    is_whole: bool,
}

/// Results of the last evaluation of the rules.
#[derive(Debug)]
pub struct Alerting {
    /// Time of the evaluation.
    pub evaluated_at: DateTime<Utc>,
    /// Budgets, in the order of the config.
    pub budgets: Vec<BudgetSeries>,
    /// Balances, in the order of the config.
    pub balances: Vec<BalanceSeries>,
    /// Every subject of every rule, and whether it fires.
    pub alerts: Vec<AlertSeries>,
    /// Time at which each pending alert fires, if its condition lasts.
    pub firing_at: HashMap<AlertKey, DateTime<Utc>>,
}

impl Board {
    /// The ledger; none while it is loading.
    #[must_use]
    pub fn ledger(&self) -> Option<View> {
        self.ledger.get().cloned()
    }

    /// Result of `look` at the agents; none while their figures are computed for the first time, or
    /// for another day. Must not take long, since figures that change wait for it.
    pub fn agents<T>(&self, look: impl FnOnce(&Agents) -> T) -> Option<T> {
        let list = self.agents.read();
        list.is_whole.then(|| look(&list.agents))
    }

    /// All agents, whatever is known of their figures; none of them while the ledger is loading.
    #[must_use]
    pub fn members(&self) -> Arc<[Member]> {
        Arc::clone(&self.agents.read().agents.members)
    }

    /// Changes of agents or their figures, from now on.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// The results of the rules; none until they were first evaluated.
    #[must_use]
    pub fn alerting(&self) -> Option<Arc<Alerting>> {
        self.alerting.load_full()
    }

    /// The last runs of probes that asked `agent`, newest first.
    #[must_use]
    pub fn probe_runs(&self, agent: &Agent) -> Vec<ProbeRun> {
        let runs = self.probe_runs.load();
        let is_own = |run: &&ProbeRun| {
            let (account, id) = &run.planned.agent;
            *account == agent.account && *id == agent.id
        };
        runs.iter().filter(is_own).cloned().collect()
    }

    /// State of syncs.
    #[must_use]
    pub fn sync(&self) -> Arc<SyncStatus> {
        self.sync.load_full()
    }

    /// The accounts of the config that is in use, in its order.
    #[must_use]
    pub fn accounts(&self) -> Arc<Vec<AccountPlace>> {
        self.accounts.load_full()
    }

    /// Why the config that was read last is not the one in use; none if it is.
    #[must_use]
    pub fn config_error(&self) -> Option<Arc<String>> {
        self.config_error.load_full()
    }

    /// Why nothing can be kept any more; none if it can.
    #[must_use]
    pub fn ledger_error(&self) -> Option<Arc<String>> {
        self.ledger_error.load_full()
    }

    /// The ledger's files are not there any more, or there again.
    pub fn ledger_lost(&self, error: Option<String>) {
        self.ledger_error.store(error.map(Arc::new));
    }

    /// Secrets and files that hooks and pushing lack at this moment, a line each.
    pub async fn obstacles(&self) -> Vec<String> {
        let obstacles = self.obstacles.load_full();
        let found = join_all(obstacles.iter().map(Obstacle::now)).await;
        found.into_iter().flatten().collect()
    }

    /// A config with these accounts is in use from now on, whose other parts may lack something.
    pub fn configured(&self, accounts: &[AccountSettings], obstacles: Vec<Obstacle>) {
        let places = accounts.iter().map(|account| AccountPlace {
            name: Arc::clone(&account.name),
            api_key: account.api_key.clone(),
        });
        self.accounts.store(Arc::new(places.collect()));
        self.obstacles.store(Arc::new(obstacles));
        self.config_error.store(None);
    }

    /// A config was read and is not used, for this reason.
    pub fn not_configured(&self, error: String) {
        self.config_error.store(Some(Arc::new(error)));
    }

    /// The ledger is open from now on.
    pub fn open(&self, ledger: View) {
        // A board is of one program, which opens its ledger once.
        self.ledger.get_or_init(|| ledger);
    }

    /// These are the agents from now on, and their figures are still to be computed.
    pub fn enrol(&self, members: Arc<[Member]>) {
        let series = members.iter().map(|member| AgentSeries {
            agent: member.agent.clone(),
            figures: Figures::default(),
        });
        let series = series.collect();
        let mut list = self.agents.write();
        list.agents.series = series;
        list.agents.members = members;
        list.is_whole = false;
        self.changes.send_replace(());
    }

    /// Takes over figures as of `today`, by the agents' places. `is_last` says that with them all
    /// figures are of that day.
    pub fn set_figures(
        &self,
        today: Day,
        figures: impl IntoIterator<Item = (usize, Figures)>,
        is_last: bool,
    ) {
        let mut list = self.agents.write();
        for (place, figures) in figures {
            if let Some(series) = list.agents.series.get_mut(place) {
                series.figures = figures;
            }
        }
        list.is_whole = is_last || (list.is_whole && list.agents.today == today);
        list.agents.today = today;
        self.changes.send_replace(());
    }

    /// Result of `render` for the series, whether they are of one day or not.
    pub(crate) fn series<T>(&self, render: impl FnOnce(&[AgentSeries]) -> T) -> T {
        render(&self.agents.read().agents.series)
    }

    /// These are the last runs of probes, newest first.
    pub fn probed(&self, runs: Vec<ProbeRun>) {
        self.probe_runs.store(Arc::new(runs));
    }

    /// This is what the rules came to.
    pub fn evaluated(&self, alerting: Alerting) {
        self.alerting.store(Some(Arc::new(alerting)));
    }

    /// Notes an event of a sync.
    pub fn observe(&self, event: &Event) {
        self.sync.rcu(|status| {
            let mut status = SyncStatus::clone(status);
            status.observe(event);
            status
        });
    }
}

impl Default for AgentList {
    fn default() -> Self {
        Self {
            agents: Agents {
                today: Day::of(DateTime::UNIX_EPOCH),
                members: Arc::default(),
                series: Vec::new(),
            },
            is_whole: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::AgentNumber;

    pub(super) fn members(names: &[&str]) -> Arc<[Member]> {
        let member = |(number, name): (i64, &&str)| Member {
            agent: Agent {
                account: "acme".into(),
                id: (*name).into(),
                name: (*name).into(),
                labels: Arc::default(),
            },
            number: AgentNumber(number),
            unlisted_since: None,
            left_on: None,
        };
        (1..).zip(names).map(member).collect()
    }

    fn figures(credits: f64) -> Figures {
        Figures {
            previous_day_credits: Some(credits),
            ..Figures::default()
        }
    }

    fn seen(board: &Board) -> Option<(Day, Vec<Option<f64>>)> {
        let credits = |series: &AgentSeries| series.figures.previous_day_credits;
        board.agents(|agents| (agents.today, agents.series.iter().map(credits).collect()))
    }

    #[test]
    fn figures_of_different_days_are_never_seen_side_by_side() {
        let board = Board::default();
        let monday: Day = "2026-11-23".parse().unwrap();
        assert_eq!(seen(&board), None);
        board.enrol(members(&["one", "two"]));
        board.set_figures(monday, [(0, figures(1.0))], false);
        assert_eq!(seen(&board), None, "the second is not computed");
        board.set_figures(monday, [(1, figures(2.0))], true);
        assert_eq!(seen(&board), Some((monday, vec![Some(1.0), Some(2.0)])));

        board.set_figures(monday, [(1, figures(3.0))], false);
        let changed = Some((monday, vec![Some(1.0), Some(3.0)]));
        assert_eq!(seen(&board), changed, "of the same day");

        let tuesday = monday.next();
        board.set_figures(tuesday, [(0, figures(4.0))], false);
        assert_eq!(seen(&board), None, "one of Tuesday, one of Monday");
        board.set_figures(tuesday, [(1, figures(5.0))], true);
        assert_eq!(seen(&board), Some((tuesday, vec![Some(4.0), Some(5.0)])));

        board.enrol(members(&["three"]));
        assert_eq!(seen(&board), None, "other agents");
    }
}
