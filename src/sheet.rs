//! Agents' days → a sheet of rows, one for each agent, account or value of a label. All but its reading is pure.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::day::{Day, TRACKING_START, Usage};
use crate::former::Once;
use crate::ledger::{LedgerError, Member, View};
use crate::roster::{Agent, check_label_name};
use crate::tabulate::{Amount, Step, tabulate};
use crate::window::Range;

/// Number of agents read from the ledger at a time.
const AGENTS_AT_A_TIME: usize = 4096;

/// Subjects of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grouping {
    /// Each agent.
    Agent,
    /// Each account.
    Account,
    /// The value of a custom label of that name.
    Label(String),
}

/// Subjects of rows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// An agent.
    Agent {
        /// Its account.
        account: Arc<str>,
        /// Its name.
        agent: Arc<str>,
        /// The identifier of one that has left: another may bear its name now.
        former: Option<Arc<str>>,
    },
    /// An account.
    Account(Arc<str>),
    /// The value of the label; empty of agents that do not have it, as in a matcher.
    Label(String),
}

/// Sums of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Sums {
    /// Bucket by bucket.
    pub buckets: Vec<Amount>,
    /// All of them together.
    pub whole: Amount,
    /// The days before that it is compared with.
    pub before: Amount,
}

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its subject.
    pub subject: Subject,
    /// Its sums.
    pub sums: Sums,
}

/// Use in a range, row by row.
#[derive(Debug, Clone)]
pub struct Sheet {
    /// Its days.
    pub range: Range,
    /// The days that they are compared with.
    pub before: Range,
    /// Length of a bucket.
    pub step: Step,
    /// Subjects of its rows.
    pub grouping: Grouping,
    /// Buckets of the range.
    pub buckets: Vec<Range>,
    /// The rows; whoever used most comes first once they are sorted.
    pub rows: Vec<Row>,
    /// Number of rows left out, and their sums.
    pub others: (usize, Sums),
    /// All rows together, with those left out.
    pub total: Sums,
    places: HashMap<Subject, usize>,
}

impl Sheet {
    /// A sheet without rows, to be compared with as many days right before `range`.
    #[must_use]
    pub fn new(range: Range, step: Step, grouping: Grouping) -> Self {
        let buckets: Vec<Range> = step.buckets(range).collect();
        Self {
            range,
            before: range.before(),
            step,
            grouping,
            others: (0, Sums::nothing(buckets.len())),
            total: Sums::nothing(buckets.len()),
            buckets,
            rows: Vec::new(),
            places: HashMap::new(),
        }
    }

    /// The same compared with the days `before`, which end right before its own.
    #[must_use]
    pub fn against(self, before: Range) -> Self {
        Self { before, ..self }
    }

    /// The same with what all of `members` used, as of the day `today`.
    ///
    /// # Errors
    /// The ledger could not be read.
    pub async fn read(
        mut self,
        members: &[Member],
        view: &View,
        today: Day,
    ) -> Result<Self, LedgerError> {
        let (first, last) = (self.before.start(), self.range.end());
        let all: Vec<&Member> = members.iter().collect();
        let once = Arc::new(Once::read(view, &all, (first, last), today).await?);
        for members in members.chunks(AGENTS_AT_A_TIME) {
            let (buckets, before) = (self.buckets.clone(), self.before);
            let sums = move |days: &[Usage]| Sums::of(&buckets, before, days);
            let sums = once.each(view, members.to_vec(), sums).await?;
            for (member, sums) in members.iter().zip(&sums) {
                // One that has left has a row only where something is to be told of it.
                if member.left_on.is_none() || sums.is_telling() {
                    self.add(member, sums);
                }
            }
        }
        Ok(self)
    }

    /// Adds what an agent used to its row and to the total.
    pub(crate) fn add(&mut self, member: &Member, sums: &Sums) {
        let subject = self.grouping.subject(member);
        let place = match self.places.get(&subject) {
            Some(place) => *place,
            None => {
                self.places.insert(subject.clone(), self.rows.len());
                let sums = Sums::nothing(self.buckets.len());
                self.rows.push(Row { subject, sums });
                self.rows.len() - 1
            }
        };
        self.rows[place].sums.add(sums);
        self.total.add(sums);
    }

    /// The same with whoever is known to have used most first.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.places.clear();
        self.rows.sort_by(|one, other| {
            let credits = |row: &Row| row.sums.whole.known_credits;
            credits(other)
                .total_cmp(&credits(one))
                .then_with(|| one.subject.cmp(&other.subject))
        });
        self
    }
}

impl Sheet {
    /// Keeps the first rows, and adds up the others.
    pub fn keep(&mut self, rows: usize) {
        for row in self.rows.drain(rows.min(self.rows.len())..) {
            self.others.0 += 1;
            self.others.1.add(&row.sums);
        }
    }
}

impl Sums {
    fn nothing(buckets: usize) -> Self {
        Self {
            buckets: vec![Amount::default(); buckets],
            whole: Amount::default(),
            before: Amount::default(),
        }
    }

    /// Use of one agent in `buckets` and in the days `before` them, which `known` holds.
    pub(crate) fn of(buckets: &[Range], before: Range, known: &[Usage]) -> Self {
        let buckets: Vec<Amount> = tabulate(buckets.iter().copied(), known).collect();
        let mut whole = Amount::default();
        for bucket in &buckets {
            whole.add(bucket);
        }
        let before = if before.start() < TRACKING_START {
            // Nobody counted then, so there is nothing to compare with.
            Amount {
                missing_days: before.days(),
                ..Amount::default()
            }
        } else {
            tabulate([before], known).next().unwrap_or_default()
        };
        Self {
            buckets,
            whole,
            before,
        }
    }

    /// Returns true if anything was used, or may have been.
    fn is_telling(&self) -> bool {
        let is_telling = |amount: &Amount| amount.known_credits > 0.0 || amount.missing_days > 0;
        is_telling(&self.whole) || is_telling(&self.before)
    }

    /// Adds another row's.
    fn add(&mut self, other: &Self) {
        for (amount, other) in self.buckets.iter_mut().zip(&other.buckets) {
            amount.add(other);
        }
        self.whole.add(&other.whole);
        self.before.add(&other.before);
    }

    /// By which part more or less was used than in the days before; none unless all is known and there
    /// is something to compare with.
    #[must_use]
    pub fn change(&self) -> Option<f64> {
        let (now, before) = (self.whole.credits()?, self.before.credits()?);
        if before > 0.0 {
            Some((now - before) / before)
        } else {
            (now == 0.0).then_some(0.0)
        }
    }

    /// The part of `total` that it is; none unless all is known, or if the total is nothing.
    #[must_use]
    pub fn share_of(&self, total: &Self) -> Option<f64> {
        let (part, total) = (self.whole.credits()?, total.whole.credits()?);
        (total > 0.0).then(|| part / total)
    }
}

impl Grouping {
    /// Heading of the first column.
    #[must_use]
    pub fn title(&self) -> &str {
        match self {
            Self::Agent => "agent",
            Self::Account => "account",
            Self::Label(name) => name,
        }
    }

    /// Subject of the row that an agent is added to.
    fn subject(&self, member: &Member) -> Subject {
        let agent = &member.agent;
        match self {
            Self::Agent => Subject::Agent {
                account: Arc::clone(&agent.account),
                agent: Arc::clone(&agent.name),
                former: member.left_on.map(|_| Arc::clone(&agent.id)),
            },
            Self::Account => Subject::Account(Arc::clone(&agent.account)),
            Self::Label(name) => {
                Subject::Label(agent.labels.get(name).cloned().unwrap_or_default())
            }
        }
    }

    /// The labels that agents have but not this one, if it is of a label that none of them has.
    #[must_use]
    pub fn unknown_label<'a>(
        &self,
        agents: impl IntoIterator<Item = &'a Agent>,
    ) -> Option<(&str, Vec<&'a str>)> {
        let Self::Label(name) = self else {
            return None;
        };
        let mut known: Vec<&str> = agents
            .into_iter()
            .flat_map(|agent| agent.labels.keys().map(String::as_str))
            .collect();
        known.sort_unstable();
        known.dedup();
        (!known.contains(&name.as_str())).then_some((name, known))
    }
}

impl fmt::Display for Grouping {
    /// As in the config.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent => f.write_str("agent"),
            Self::Account => f.write_str("account"),
            Self::Label(name) => write!(f, "label:{name}"),
        }
    }
}

impl FromStr for Grouping {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("label:")) {
            ("agent", _) => Ok(Self::Agent),
            ("account", _) => Ok(Self::Account),
            (_, Some(name)) => match check_label_name(name) {
                Ok(()) => Ok(Self::Label(name.to_owned())),
                Err(error) => Err(error.to_string()),
            },
            _ => Err("it is `agent`, `account` or `label:NAME`".to_owned()),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent {
                account,
                agent,
                former: None,
            } => write!(f, "{account}/{agent}"),
            Self::Agent { account, agent, .. } => write!(f, "{account}/{agent} (former)"),
            Self::Account(account) => f.write_str(account),
            Self::Label(value) if value.is_empty() => f.write_str("(none)"),
            Self::Label(value) => f.write_str(value),
        }
    }
}
