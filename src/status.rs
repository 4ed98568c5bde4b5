//! Current state of the exporter: one [`Board`] that the parts write on as they go, and that pages and the API read
//! without waiting for any of them.

mod obstacle;
mod trouble;

pub use obstacle::Obstacle;
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
use crate::ledger::{AgentNumber, AlertKey, Member, ProbeRun, View};
use crate::roster::{AccountSettings, Agent};
use crate::secret::SecretSource;
use crate::series::Figures;
use crate::sync::{Counts, Event, Note, Outcome, Problem, Report};

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

/// State of syncs.
#[derive(Debug, Clone, Default)]
pub struct SyncStatus {
    /// Start of the sync that runs now.
    pub running_since: Option<DateTime<Utc>>,
    /// Its progress; none until its requests are planned.
    pub progress: Option<Progress>,
    /// Outcome of the last one that could be worked through.
    pub last: Option<Arc<LastSync>>,
    /// Time at which one last left nothing undone, since the program started.
    pub last_complete: Option<DateTime<Utc>>,
    /// Why the last one could not be worked through: what the ledger said.
    pub error: Option<Arc<str>>,
    /// Time at which the next one is due.
    pub next: Option<DateTime<Utc>>,
}

/// Progress of a sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Requests that were answered, or that failed and are retried later.
    pub done: usize,
    /// Requests that are planned.
    pub planned: usize,
}

/// Outcome of a sync.
#[derive(Debug, Clone, PartialEq)]
pub struct LastSync {
    /// Start.
    pub started: DateTime<Utc>,
    /// End.
    pub ended: DateTime<Utc>,
    /// Outcome.
    pub outcome: Outcome,
    /// Its requests and days.
    pub counts: Counts,
    /// Problems by account and kind.
    pub problems: Vec<Problem>,
    /// Notes about the lists that name agents.
    pub notes: Vec<Note>,
    /// The first thing that went wrong with each agent with which something did.
    pub agent_problems: HashMap<AgentNumber, Arc<str>>,
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
        let status = |change: &dyn Fn(&mut SyncStatus)| {
            self.sync.rcu(|status| {
                let mut status = SyncStatus::clone(status);
                change(&mut status);
                status
            });
        };
        match event {
            Event::Started(at) => status(&|status| {
                status.running_since = Some(*at);
                status.progress = None;
            }),
            Event::Planned(windows) => status(&|status| {
                let (done, planned) = (0, *windows);
                status.progress = Some(Progress { done, planned });
            }),
            Event::Committed(_) | Event::Failed(_) => status(&|status| {
                if let Some(progress) = &mut status.progress {
                    progress.done += 1;
                }
            }),
            Event::Scheduled(next) => status(&|status| status.next = Some(*next)),
            Event::Ended(Ok(report)) => {
                let last = Arc::new(LastSync::of(report));
                status(&|status| {
                    status.running_since = None;
                    status.progress = None;
                    status.error = None;
                    if last.outcome == Outcome::Complete {
                        status.last_complete = Some(last.ended);
                    }
                    status.last = Some(Arc::clone(&last));
                });
            }
            Event::Ended(Err(error)) => status(&|status| {
                status.running_since = None;
                status.progress = None;
                status.error = Some(Arc::clone(error));
            }),
            Event::Members(_) | Event::Left(_) => {}
        }
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

impl LastSync {
    fn of(report: &Report) -> Self {
        let agent_problems = report.members.iter().filter_map(|report| {
            let problem = report.problem.as_deref()?;
            Some((report.member.number, problem.into()))
        });
        Self {
            started: report.started,
            ended: report.ended,
            outcome: report.outcome(),
            counts: report.counts,
            problems: report.problems.clone(),
            notes: report.notes.clone(),
            agent_problems: agent_problems.collect(),
        }
    }

    /// Problem of an agent, or else of its account as a whole.
    #[must_use]
    pub fn problem_of(&self, member: &Member) -> Option<&str> {
        let own = self.agent_problems.get(&member.number);
        let of_account = || {
            let is_whole = |problem: &&Problem| {
                problem.first.is_none() && problem.account == member.agent.account
            };
            self.problems.iter().find(is_whole)
        };
        own.map(|error| &**error)
            .or_else(|| Some(of_account()?.error.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::day::TRACKING_START;
    use crate::roster::Agent;
    use crate::sync::MemberReport;
    use crate::window::Window;

    fn members(names: &[&str]) -> Arc<[Member]> {
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

    #[test]
    fn a_sync_that_the_ledger_ended_leaves_the_one_before_to_be_seen() {
        let board = Board::default();
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        board.observe(&Event::Started(at(10)));
        assert_eq!(board.sync().running_since, Some(at(10)));
        board.observe(&Event::Planned(2));
        board.observe(&Event::Committed(AgentNumber(1)));
        let (done, planned) = (1, 2);
        assert_eq!(board.sync().progress, Some(Progress { done, planned }));
        let report = Report {
            started: at(10),
            ended: at(20),
            counts: Counts {
                planned: 1,
                committed: 1,
                ..Counts::default()
            },
            ..Report::default()
        };
        board.observe(&Event::Ended(Ok(Arc::new(report))));
        board.observe(&Event::Scheduled(at(100)));
        board.observe(&Event::Started(at(100)));
        board.observe(&Event::Ended(Err("the disk is full".into())));

        let status = board.sync();
        assert_eq!((status.running_since, status.progress), (None, None));
        assert_eq!(status.last_complete, Some(at(20)));
        assert_eq!(status.next, Some(at(100)));
        assert_eq!(status.error.as_deref(), Some("the disk is full"));
        let last = status.last.as_ref().unwrap();
        assert_eq!((last.ended, last.outcome), (at(20), Outcome::Complete));
    }

    #[test]
    fn an_agent_is_told_its_own_problem_or_else_that_of_its_account() {
        let agents = members(&["one", "two", "three"]);
        let met = |member: &Member, error: Option<&str>| MemberReport {
            member: member.clone(),
            counts: Counts {
                planned: 1,
                ..Counts::default()
            },
            problem: error.map(str::to_owned),
        };
        let problem = |account: &str, error: &str, first| Problem {
            account: account.into(),
            kind: "contract",
            error: error.to_owned(),
            first,
            windows: 1,
            agents: BTreeSet::new(),
            key: None,
        };
        let today = "2026-11-26".parse().unwrap();
        let window = Window::new(TRACKING_START, TRACKING_START, today).unwrap();
        let sums = "the total is 1, the days sum to 2";
        let mut report = Report {
            members: vec![
                met(&agents[0], Some(sums)),
                met(&agents[1], Some("the total is 7, the days sum to 8")),
                met(&agents[2], None),
            ],
            problems: vec![problem("acme", sums, Some(("one".into(), window)))],
            ..Report::default()
        };
        let told = |report: &Report| -> Vec<Option<String>> {
            let last = LastSync::of(report);
            let told = agents.iter().map(|member| last.problem_of(member));
            told.map(|told| told.map(str::to_owned)).collect()
        };
        let one = Some(sums.to_owned());
        let two = Some("the total is 7, the days sum to 8".to_owned());
        assert_eq!(told(&report), [one.clone(), two.clone(), None]);

        let of_globex = problem("globex", "the key is of globex", None);
        report.problems.push(of_globex);
        assert_eq!(told(&report), [one.clone(), two.clone(), None]);
        let of_acme = problem("acme", "the key is refused", None);
        report.problems.push(of_acme);
        let account = Some("the key is refused".to_owned());
        assert_eq!(told(&report), [one, two, account]);
    }
}
