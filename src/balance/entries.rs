//! Pure: the entries of a balance, and the account that they open on a day.

use serde::{Deserialize, Serialize};

use crate::day::{Day, TRACKING_START};
use crate::text::printable;
use crate::validate::MOST_CREDITS;

/// The most bytes of an entry's date in a message.
const SHOWN_BYTES: usize = 40;

/// An entry as it is written in the config or in a file, unchecked.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// The UTC day on which it counts first, `YYYY-MM-DD`.
    pub on: Option<String>,
    /// Credits left when that day began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<f64>,
    /// Credits added on that day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub add: Option<f64>,
}

/// Credits that were counted or bought.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entry {
    /// The UTC day from which on it counts.
    pub on: Day,
    /// The change.
    pub change: Change,
}

/// Change of a balance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// Credits left when the day began: its whole use counts after that.
    Set(f64),
    /// Credits added.
    Add(f64),
}

/// Why an entry is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EntryError {
    /// It has no day.
    #[error("an entry has no `on`")]
    NoDay,
    /// Its day is none.
    #[error("{0}")]
    Day(String),
    /// Usage before that day is not known.
    #[error("the entry on {0} is before {TRACKING_START}, when tracking started")]
    BeforeTracking(Day),
    /// It has both or none of `set` and `add`.
    #[error("the entry on {0} has {1} of `set` and `add`")]
    NotOne(Day, &'static str),
    /// The balance cannot have been that.
    #[error("`set` {0} is not between 0 and {MOST_CREDITS}")]
    Set(f64),
    /// Nobody adds that.
    #[error("`add` {0} is not above 0 and at most {MOST_CREDITS}")]
    Add(f64),
    /// Two balances on a day.
    #[error("{on} has two `set`s, {0} and {1}", .credits[0], .credits[1])]
    SetTwice {
        /// The day.
        on: Day,
        /// The two balances.
        credits: [f64; 2],
    },
    /// It is not known which came first.
    #[error("{0} has a `set` and an `add`, and which came first is unknown")]
    AddOnSet(Day),
}

impl EntryError {
    /// Advice.
    #[must_use]
    pub const fn help(&self) -> &'static str {
        match self {
            Self::NoDay | Self::Day(_) => {
                "write the UTC day, such as `{ on = \"2026-01-01\", set = 1234 }`"
            }
            Self::BeforeTracking(_) => {
                "FlowGent has no usage of earlier days: begin with a later `set`"
            }
            Self::NotOne(..) => "`set` is what was left that day, `add` is what was bought",
            Self::Set(_) => "it is the balance that FlowGent shows, in credits",
            Self::Add(_) => "for credits that were taken away, `set` what is left",
            Self::SetTwice { .. } => "keep the right one",
            Self::AddOnSet(_) => {
                "give one of them another day, or `set` the balance after the top-up"
            }
        }
    }
}

impl TryFrom<Written> for Entry {
    type Error = EntryError;

    fn try_from(written: Written) -> Result<Self, EntryError> {
        let Written { on, set, add } = written;
        let on = on.ok_or(EntryError::NoDay)?;
        let on: Day = on
            .parse()
            .map_err(|error: crate::day::DayError| error.to_string())
            .map_err(|error| EntryError::Day(printable(&error, SHOWN_BYTES + 80)))?;
        if on < TRACKING_START {
            return Err(EntryError::BeforeTracking(on));
        }
        let change = match (set, add) {
            (Some(set), None) if !(0.0..=MOST_CREDITS).contains(&set) => {
                return Err(EntryError::Set(set));
            }
            (None, Some(add)) if !(add > 0.0 && add <= MOST_CREDITS) => {
                return Err(EntryError::Add(add));
            }
            (Some(set), None) => Change::Set(set),
            (None, Some(add)) => Change::Add(add),
            (Some(_), Some(_)) => return Err(EntryError::NotOne(on, "both")),
            (None, None) => return Err(EntryError::NotOne(on, "neither")),
        };
        Ok(Self { on, change })
    }
}

impl From<Entry> for Written {
    fn from(entry: Entry) -> Self {
        let (set, add) = match entry.change {
            Change::Set(credits) => (Some(credits), None),
            Change::Add(credits) => (None, Some(credits)),
        };
        let on = Some(entry.on.to_string());
        Self { on, set, add }
    }
}

/// Entries that do not contradict each other, by their days.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Entries(Vec<Entry>);

impl Entries {
    /// The entries in the order of their days.
    ///
    /// # Errors
    /// The place of the first one that contradicts another, and why.
    pub fn new(written: &[Entry]) -> Result<Self, (usize, EntryError)> {
        let mut order: Vec<(usize, Entry)> = written.iter().copied().enumerate().collect();
        order.sort_by_key(|(_, entry)| entry.on);
        for pair in order.windows(2) {
            let [(_, one), (place, other)] = pair else {
                continue;
            };
            let error = match (one.change, other.change) {
                _ if one.on != other.on => continue,
                (Change::Add(_), Change::Add(_)) => continue,
                (Change::Set(one), Change::Set(two)) => EntryError::SetTwice {
                    on: other.on,
                    credits: [one, two],
                },
                _ => EntryError::AddOnSet(other.on),
            };
            return Err((*place, error));
        }
        Ok(Self(order.into_iter().map(|(_, entry)| entry).collect()))
    }

    /// The account as of the day `today`; none before the first `set`. Later entries do not count yet.
    #[must_use]
    pub fn account(&self, today: Day) -> Option<Account> {
        let past = &self.0[..self.0.partition_point(|entry| entry.on <= today)];
        let mut account: Option<Account> = None;
        for entry in past {
            match (entry.change, &mut account) {
                (Change::Set(credits), _) => {
                    account = Some(Account {
                        since: entry.on,
                        credits,
                        closed: account.map(|closed| Closed {
                            since: closed.since,
                            credits: closed.credits,
                            set_credits: credits,
                        }),
                    });
                }
                (Change::Add(credits), Some(account)) => account.credits += credits,
                // Whatever was there before the first `set` is in it.
                (Change::Add(_), None) => {}
            }
        }
        account
    }

    /// The entries as a JSON array, as they are written in a file.
    #[must_use]
    pub fn json(&self) -> String {
        let written: Vec<Written> = self.0.iter().copied().map(Written::from).collect();
        // Numbers and texts are always JSON.
        serde_json::to_string(&written).unwrap_or_default()
    }

    /// The day of the first `set`; none without one.
    #[must_use]
    pub fn first_set(&self) -> Option<Day> {
        let mut sets = self.0.iter();
        let first = sets.find(|entry| matches!(entry.change, Change::Set(_)))?;
        Some(first.on)
    }
}

/// Credits to spend from the last `set` on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Account {
    /// The day of the last `set`: use counts from this day on.
    pub since: Day,
    /// Credits that were set, and those added since.
    pub credits: f64,
    /// The account that the `set` has closed, if there was one.
    pub closed: Option<Closed>,
}

/// An account that another `set` has closed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Closed {
    /// The day of its `set`.
    pub since: Day,
    /// Credits that were set, and those added since.
    pub credits: f64,
    /// Credits that were really left.
    pub set_credits: f64,
}
