//! Report of a sync: counts for the log and the summary, and each kind of problem once, however many
//! agents and requests met it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

use super::schedule::{Rest, Trigger};
use crate::day::Day;
use crate::flowgent::error::{ApiError, OUTCOMES};
use crate::ledger::{Committed, Member, UNLISTED_DAYS};
use crate::named::named;
use crate::roster::printable;
use crate::secret::SecretSource;
use crate::window::Window;

/// Values of the label `kind` of `flowgent_exporter_sync_last_problems`: the outcomes of requests
/// to FlowGent that are not as they should be, and what happens on this machine.
pub fn problem_kinds() -> impl Iterator<Item = &'static str> {
    let outcomes = OUTCOMES.into_iter();
    let bad = outcomes.filter(|outcome| !matches!(*outcome, "ok" | "end_too_recent"));
    bad.chain(["key_unreadable", "agents_file"])
}

/// The most names of agents in a line.
pub(super) const SHOWN_NAMES: usize = 10;

named! {
    /// Outcomes of a sync.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, schemars::JsonSchema)]
    #[schemars(inline, rename_all = "lowercase")]
    pub enum Outcome {
        /// Every day through yesterday is known, and what was to be asked again was.
        Complete = "complete",
        /// Something is left for the next sync.
        Incomplete = "incomplete",
        /// There was something to do, and nothing could be done.
        Failed = "failed",
    }
}

/// Meaning of a refused window of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Nothing: its list no longer names the agent.
    Unlisted,
    /// The same as on the days before: the agent is refused.
    Old,
    /// That something failed.
    New,
}

impl Refusal {
    /// Meaning of a refusal for this member, which may be an old one.
    pub(super) fn of(member: &Member, is_old: bool) -> Self {
        match member.unlisted_since {
            Some(_) => Self::Unlisted,
            None if is_old => Self::Old,
            None => Self::New,
        }
    }
}

/// Requests and days of a sync, or of one agent in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Counts {
    /// Planned requests to FlowGent.
    #[serde(rename = "planned_requests")]
    pub planned: usize,
    /// Requests whose answers are stored in the ledger.
    #[serde(rename = "committed_requests")]
    pub committed: usize,
    /// Requests that were postponed because the day had not ended yet by FlowGent's clock.
    #[serde(rename = "deferred_requests")]
    pub deferred: usize,
    /// Days that were not known before.
    pub new_days: usize,
    /// Known days whose figure changed.
    pub revised_days: usize,
    /// Days that FlowGent left out of otherwise valid answers.
    pub absent_days: usize,
}

/// Report of one sync.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Counts of all agents together; a request of the sync is a window.
    pub counts: Counts,
    /// The accounts whose keys FlowGent has accepted, as an answer showed.
    pub accepted: BTreeSet<Arc<str>>,
    /// The newest day that FlowGent left out of an otherwise sound answer.
    pub newest_absent: Option<Day>,
    /// True if it was stopped before it was through.
    pub interrupted: bool,
    /// Time of its start.
    pub started: DateTime<Utc>,
    /// Time of its end.
    pub ended: DateTime<Utc>,
    /// Its duration, whatever was done to the clock meanwhile.
    pub took: Duration,
    /// Problems by account and kind.
    pub problems: Vec<Problem>,
    /// Notes about the lists that name agents, though nothing failed.
    pub notes: Vec<Note>,
    /// Windows that could not be had of agents that their list no longer names.
    pub excused: usize,
    /// Windows of agents that FlowGent has refused since before today.
    pub refused_before: usize,
    /// True if anything failed that another sync today may mend.
    pub is_failed: bool,
    /// Result of each agent, in the order of the members.
    pub members: Vec<MemberReport>,
}

/// Something about the lists that name an account's agents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The account.
    pub account: Arc<str>,
    /// Its kind.
    pub kind: NoteKind,
}

/// Kinds of [`Note`]s.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoteKind {
    /// Agents that their list no longer names, and that have not left yet.
    Unlisted {
        /// Their names.
        names: Vec<Arc<str>>,
    },
    /// FlowGent's list names more agents than are asked for.
    Excess {
        /// Some of those that are not asked for.
        names: Vec<Arc<str>>,
        /// Their number.
        number: usize,
        /// Most agents that are asked for.
        limit: usize,
    },
    /// FlowGent's list says that it does not name all agents.
    Partial {
        /// By what it says so.
        gap: String,
        /// Number of agents that it names.
        named: usize,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let account = &self.account;
        match &self.kind {
            NoteKind::Unlisted { names } => {
                let (agents, they) = match names.len() {
                    1 => (
                        "1 agent is".to_owned(),
                        "It is polled on, and leaves if it is",
                    ),
                    number => (
                        format!("{number} agents are"),
                        "They are polled on, and leave if they are",
                    ),
                };
                write!(
                    f,
                    "account {account}: {agents} no longer listed: {}. {they} still not listed after \
                     {UNLISTED_DAYS} days",
                    shortened(names, names.len())
                )
            }
            NoteKind::Excess {
                names,
                number,
                limit,
            } => write!(
                f,
                "account {account}: FlowGent lists more than {limit} agents. {number} of them are not asked \
                 for: {}",
                shortened(names, *number)
            ),
            NoteKind::Partial { gap, named } => write!(
                f,
                "account {account}: FlowGent's list of agents is not complete: {gap}. The {named} \
                 that it names are used, and no agent leaves because of it"
            ),
        }
    }
}

/// The names of so many agents: these, or the first of them and how many more there are.
pub(super) fn shortened(names: &[Arc<str>], number: usize) -> String {
    let shown: Vec<String> = names
        .iter()
        .take(SHOWN_NAMES)
        .map(|name| printable(name))
        .collect();
    match number.saturating_sub(shown.len()) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Result of one agent in a sync.
#[derive(Debug, Clone)]
pub struct MemberReport {
    /// The agent.
    pub member: Member,
    /// Its counts.
    pub counts: Counts,
    /// The first thing that went wrong with it.
    pub problem: Option<String>,
}

/// One kind of thing that went wrong with one account, or with some of its agents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The account.
    pub account: Arc<str>,
    /// The kind in one word.
    pub kind: &'static str,
    /// The first error of this kind.
    pub error: String,
    /// First agent's name and window that met it. None if it is the account's.
    pub first: Option<(Arc<str>, Window)>,
    /// Number of windows that met it.
    pub windows: usize,
    /// The agents that met it, by their index among the members.
    pub agents: BTreeSet<usize>,
    /// The account's key, if that is what it is about.
    pub key: Option<SecretSource>,
}

impl Problem {
    /// Returns true if both are the same kind of problem of the same account.
    fn is_like(&self, other: &Self) -> bool {
        self.account == other.account && self.kind == other.kind
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.first, self.agents.len()) {
            (None, _) => {}
            (Some((agent, window)), ..=1) => write!(f, "agent {agent}, {window}: ")?,
            (Some((agent, window)), agents) => {
                write!(f, "{agents} agents, the first is {agent}, {window}: ")?;
            }
        }
        f.write_str(&self.error)
    }
}

impl Report {
    /// Notes what there is to do for whom.
    pub(super) fn begin(&mut self, members: &[Member], work: &[(usize, Window)]) {
        self.counts.planned = work.len();
        self.members = members
            .iter()
            .map(|member| MemberReport {
                member: member.clone(),
                counts: Counts::default(),
                problem: None,
            })
            .collect();
        for (index, _) in work {
            self.members[*index].counts.planned += 1;
        }
    }

    /// Outcome of the sync.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let whole = self.counts.committed + self.excused == self.counts.planned
            && self.counts.absent_days == 0
            && self.problems.is_empty()
            && !self.interrupted;
        // Where nothing is missing nothing can fail, but without a single agent something has.
        let wanted = self.counts.planned > 0 || self.members.is_empty();
        if whole {
            Outcome::Complete
        } else if wanted && self.counts.committed == 0 && !self.problems.is_empty() {
            Outcome::Failed
        } else {
            Outcome::Incomplete
        }
    }

    /// Work that another sync as of the day `as_of` may do.
    #[must_use]
    pub fn rest(&self, as_of: Day) -> Rest {
        let is_through =
            self.counts.committed + self.excused + self.refused_before >= self.counts.planned;
        if self.interrupted || !is_through || self.is_failed {
            Rest::Failed
        } else if self
            .newest_absent
            .is_some_and(|day| day == as_of.previous())
        {
            Rest::Late
        } else {
            Rest::Nothing
        }
    }

    /// Number of the account's agents that met that kind of problem; 1 if it is the account's as a whole.
    pub(super) fn problem_count(&self, account: &str, kind: &str) -> usize {
        let met = |problem: &&Problem| *problem.account == *account && problem.kind == kind;
        let problem = self.problems.iter().find(met);
        problem.map_or(0, |problem| problem.agents.len().max(1))
    }

    /// Counts a window that is in the ledger, with the `absent` days that the answer left out.
    pub(super) fn committed(&mut self, index: usize, committed: &Committed, absent: &[Day]) {
        let member = &mut self.members[index];
        let account = &member.member.agent.account;
        if !self.accepted.contains(account) {
            self.accepted.insert(Arc::clone(account));
        }
        for counts in [&mut self.counts, &mut member.counts] {
            counts.committed += 1;
            counts.new_days += committed.inserted.len();
            counts.revised_days += committed.revisions.len();
            counts.absent_days += absent.len();
        }
        self.newest_absent = self.newest_absent.max(absent.iter().max().copied());
    }

    /// Notes a problem of the account as a whole.
    pub(super) fn account_problem(
        &mut self,
        account: &Arc<str>,
        kind: &'static str,
        error: &dyn fmt::Display,
    ) {
        self.problem(account, kind, error);
    }

    /// Notes that a window of the member with that index could not be had.
    pub(super) fn refused(
        &mut self,
        index: usize,
        window: Window,
        error: &ApiError,
        refusal: Refusal,
    ) {
        match refusal {
            Refusal::Unlisted => self.excused += 1,
            Refusal::Old => {
                let is_failed = self.is_failed;
                self.window_problem(index, window, error.outcome(), error);
                self.is_failed = is_failed;
                self.refused_before += 1;
            }
            Refusal::New => self.window_problem(index, window, error.outcome(), error),
        }
    }

    /// Notes a problem of the account's key, which is read from `source`.
    pub(super) fn key_problem(
        &mut self,
        account: &Arc<str>,
        kind: &'static str,
        error: &dyn fmt::Display,
        source: &SecretSource,
    ) {
        self.problem(account, kind, error).key = Some(source.clone());
    }

    /// Notes what went wrong with a window of the member with that index.
    pub(super) fn window_problem(
        &mut self,
        index: usize,
        window: Window,
        kind: &'static str,
        error: &dyn fmt::Display,
    ) {
        let member = &mut self.members[index];
        member.problem.get_or_insert_with(|| error.to_string());
        let agent = member.member.agent.clone();
        let problem = self.problem(&agent.account, kind, error);
        problem.first.get_or_insert((agent.name, window));
        problem.windows += 1;
        problem.agents.insert(index);
    }

    /// The problem of that account and kind, new if there was none.
    fn problem(
        &mut self,
        account: &Arc<str>,
        kind: &'static str,
        error: &dyn fmt::Display,
    ) -> &mut Problem {
        self.is_failed = true;
        let known = |problem: &Problem| problem.account == *account && problem.kind == kind;
        let place = self.problems.iter().position(known).unwrap_or_else(|| {
            self.problems.push(Problem {
                account: Arc::clone(account),
                kind,
                error: error.to_string(),
                first: None,
                windows: 0,
                agents: BTreeSet::new(),
                key: None,
            });
            self.problems.len() - 1
        });
        &mut self.problems[place]
    }

    /// Writes a warning per problem and one line with the counts into the log. A retry leaves out
    /// the problems of the sync `before` it, which are logged already.
    pub fn log(&self, trigger: Trigger, next: DateTime<Utc>, before: &[Problem]) {
        let is_told = |problem: &&Problem| {
            trigger == Trigger::Retry && before.iter().any(|known| known.is_like(problem))
        };
        for problem in self.problems.iter().filter(|problem| !is_told(problem)) {
            tracing::warn!(
                account = %problem.account,
                kind = problem.kind,
                requests = problem.windows,
                key = problem.key.as_ref().map(tracing::field::display),
                "{problem}"
            );
        }
        // A total outage is a warning at each retry too, which leaves out known problems.
        macro_rules! ended { ($level:ident) => { tracing::$level!(
            trigger = trigger.as_str(),
            outcome = self.outcome().as_str(),
            agents = self.members.len(),
            requests = self.counts.planned,
            committed = self.counts.committed,
            deferred = self.counts.deferred,
            new_days = self.counts.new_days,
            revised_days = self.counts.revised_days,
            absent_days = self.counts.absent_days,
            problems = self.problems.len(),
            seconds = (self.took.as_secs_f64() * 1000.0).round() / 1000.0,
            next = %next.to_rfc3339_opts(SecondsFormat::Secs, true),
            "sync ended"
        ) } }
        match self.outcome() {
            Outcome::Failed => ended!(warn),
            Outcome::Complete | Outcome::Incomplete => ended!(info),
        }
    }
}
