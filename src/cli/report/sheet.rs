//! Pure: agents' days → rows of a report, one for each agent, account or value of a label.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::day::{TRACKING_START, Usage};
use crate::ledger::Member;
use crate::roster::{Agent, check_label_name};
use crate::tabulate::{Amount, Step, tabulate};
use crate::window::Range;

/// Subjects of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Grouping {
    Agent,
    Account,
    /// The value of a custom label of that name.
    Label(String),
}

/// Whom a row is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Subject {
    Agent {
        account: Arc<str>,
        agent: Arc<str>,
        /// The identifier of one that has left: another may bear its name now.
        former: Option<Arc<str>>,
    },
    Account(Arc<str>),
    /// The value of the label; empty of agents that do not have it, as in a matcher.
    Label(String),
}

/// Sums of a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sums {
    /// Bucket by bucket.
    pub(super) buckets: Vec<Amount>,
    /// All of them together.
    pub(super) whole: Amount,
    /// The days before, as many as there are in all buckets.
    pub(super) before: Amount,
}

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) subject: Subject,
    pub(super) sums: Sums,
}

/// A report.
#[derive(Debug, Clone)]
pub(super) struct Sheet {
    pub(super) range: Range,
    pub(super) step: Step,
    pub(super) grouping: Grouping,
    /// Buckets of the range.
    pub(super) buckets: Vec<Range>,
    /// The rows; whoever used most comes first once the report is sorted.
    pub(super) rows: Vec<Row>,
    /// Number of rows left out, and their sums.
    pub(super) others: (usize, Sums),
    /// All rows together, with those left out.
    pub(super) total: Sums,
    places: HashMap<Subject, usize>,
}

impl Sheet {
    /// A report without rows.
    pub(super) fn new(range: Range, step: Step, grouping: Grouping) -> Self {
        let buckets: Vec<Range> = step.buckets(range).collect();
        Self {
            range,
            step,
            grouping,
            others: (0, Sums::nothing(buckets.len())),
            total: Sums::nothing(buckets.len()),
            buckets,
            rows: Vec::new(),
            places: HashMap::new(),
        }
    }

    /// Adds what an agent used to its row and to the total.
    pub(super) fn add(&mut self, member: &Member, sums: &Sums) {
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

    /// The report with whoever is known to have used most first.
    pub(super) fn sorted(mut self) -> Self {
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
    pub(super) fn keep(&mut self, rows: usize) {
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
    pub(super) fn of(buckets: &[Range], before: Range, known: &[Usage]) -> Self {
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
    pub(super) fn is_telling(&self) -> bool {
        let is_telling = |amount: &Amount| amount.known_credits > 0.0 || amount.missing_days > 0;
        is_telling(&self.whole) || is_telling(&self.before)
    }

    /// Adds another row's.
    pub(super) fn add(&mut self, other: &Self) {
        for (amount, other) in self.buckets.iter_mut().zip(&other.buckets) {
            amount.add(other);
        }
        self.whole.add(&other.whole);
        self.before.add(&other.before);
    }

    /// By which part more or less was used than in the days before; none unless all is known and there
    /// is something to compare with.
    pub(super) fn change(&self) -> Option<f64> {
        let (now, before) = (self.whole.credits()?, self.before.credits()?);
        if before > 0.0 {
            Some((now - before) / before)
        } else {
            (now == 0.0).then_some(0.0)
        }
    }

    /// The part of `total` that it is; none unless all is known, or if the total is nothing.
    pub(super) fn share_of(&self, total: &Self) -> Option<f64> {
        let (part, total) = (self.whole.credits()?, total.whole.credits()?);
        (total > 0.0).then(|| part / total)
    }
}

impl Grouping {
    /// Heading of the first column.
    pub(super) fn title(&self) -> &str {
        match self {
            Self::Agent => "agent",
            Self::Account => "account",
            Self::Label(name) => name,
        }
    }

    /// Whose row an agent is added to.
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
    pub(super) fn unknown_label<'a>(
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
