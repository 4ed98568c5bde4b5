//! Usage of agents as JSON or CSV, read and written some agents at a time.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use schemars::JsonSchema;
use serde::Serialize;

use super::page::{Extent, MAX_LIMIT};
use super::{MOST_DAYS, unreadable};
use crate::blocking;
use crate::csv;
use crate::day::{self, Day};
use crate::former::Once;
use crate::http::parts::Parts;
use crate::http::problem::Problem;
use crate::ledger::{Member, View};
use crate::tabulate::{Amount, Step, tabulate};
use crate::window::Range;

/// The most days that are read at once, those of all agents together, unless one alone has more.
const DAYS_AT_ONCE: u32 = 1024;

/// A sheet of usage, of which some is written.
pub(super) struct Sheet {
    view: View,
    once: Arc<Once>,
    roll: Roll,
    /// Places of its agents on the roll, in order.
    places: Arc<[usize]>,
    range: Range,
    buckets: Arc<[Range]>,
    form: Form,
    /// Number of agents written.
    written: usize,
    place: Place,
}

/// Agents that are there, and after them those that have left.
#[derive(Debug, Clone)]
pub(super) struct Roll {
    pub(super) present: Arc<[Member]>,
    pub(super) former: Arc<[Member]>,
}

/// Format of a sheet.
pub(super) enum Form {
    /// As a page, whose agents are written after it.
    Json(Usage),
    /// As a table.
    Csv,
}

/// A page of agents' usage.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Usage {
    /// The first day.
    pub(super) start: Day,
    /// The last day.
    pub(super) end: Day,
    /// Length of a bucket.
    #[schemars(with = "Step")]
    pub(super) step: &'static str,
    #[serde(flatten)]
    pub(super) extent: Extent,
    /// Agents, by the order of their accounts in the config and by name. A page is shorter than `limit` if it would cover
    /// more than 50,000 days of agents.
    #[schemars(length(max = MAX_LIMIT))]
    pub(super) agents: Vec<AgentUsage<'static>>,
}

/// Position of the writer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Beginning,
    Agents,
    End,
}

/// The usage of an agent.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct AgentUsage<'a> {
    /// The account's name, as in the config.
    account: &'a str,
    /// The agent's name, as in the config; its identifier if it has no other name.
    agent: &'a str,
    /// FlowGent's identifier of the agent.
    agent_id: &'a str,
    /// True if the agent has left. It is shown under its last name, and its days still count.
    former: bool,
    #[serde(flatten)]
    whole: Amount,
    /// The same by day, week (from Monday) or month, oldest first; the first and the last cover only days of the
    /// range.
    #[schemars(length(min = 1, max = MOST_DAYS))]
    buckets: Vec<Bucket>,
}

/// Usage on some days.
#[derive(Debug, Serialize, JsonSchema)]
struct Bucket {
    /// The first day.
    start: Day,
    /// The last day.
    end: Day,
    #[serde(flatten)]
    amount: Amount,
}

impl Roll {
    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.present.iter().chain(self.former.iter())
    }

    /// The one at `place`, which is below their number.
    pub(super) fn at(&self, place: usize) -> &Member {
        match place.checked_sub(self.present.len()) {
            None => &self.present[place],
            Some(place) => &self.former[place],
        }
    }
}

impl Sheet {
    /// A sheet of what those at `places` used, each day as it counts by `once`.
    pub(super) fn new(
        view: View,
        once: Once,
        (roll, places): (Roll, &[usize]),
        (range, step): (Range, Step),
        form: Form,
    ) -> Self {
        Self {
            view,
            once: Arc::new(once),
            roll,
            places: places.into(),
            range,
            buckets: step.buckets(range).collect(),
            form,
            written: 0,
            place: Place::Beginning,
        }
    }

    /// Its text. Each part is read from the ledger when it is wanted, so that whoever is slow to take it keeps
    /// nobody from the ledger: what is told of an agent is of one moment, and what is told of the next may be of a
    /// later one.
    pub(super) fn parts(self) -> Parts {
        Box::pin(stream::try_unfold(self, |sheet| sheet.part()))
    }

    async fn part(mut self) -> Result<Option<(Bytes, Self)>, Problem> {
        if self.place == Place::End {
            return Ok(None);
        }
        let amounts = self.read().await?;
        let written = blocking::run(move || {
            let text = self.write(&amounts);
            (text.into(), self)
        });
        Ok(Some(written.await))
    }

    /// Usage of the next agents in each bucket.
    async fn read(&self) -> Result<Vec<Vec<Amount>>, Problem> {
        let at_once = (DAYS_AT_ONCE / self.range.days()).max(1) as usize;
        let last = (self.written + at_once).min(self.places.len());
        let places = self.places[self.written..last].iter();
        let members = places.map(|place| self.roll.at(*place).clone());
        let buckets = Arc::clone(&self.buckets);
        let amounts = move |days: &[day::Usage]| tabulate(buckets.iter().copied(), days).collect();
        let amounts = self.once.each(&self.view, members.collect(), amounts);
        amounts.await.map_err(|error| unreadable(&error))
    }

    /// Writes the next agents, after what stands before them all and before what stands after them.
    fn write(&mut self, amounts: &[Vec<Amount>]) -> Vec<u8> {
        let mut text = Vec::new();
        if self.place == Place::Beginning {
            self.begin(&mut text);
            self.place = Place::Agents;
        }
        for amounts in amounts {
            let member = self.roll.at(self.places[self.written]);
            match self.form {
                Form::Json(_) => {
                    if self.written > 0 {
                        text.push(b',');
                    }
                    push_json(&mut text, &self.usage(member, amounts));
                }
                Form::Csv => self.push_lines(&mut text, member, amounts),
            }
            self.written += 1;
        }
        if self.written == self.places.len() {
            if let Form::Json(_) = self.form {
                text.extend_from_slice(b"]}\n");
            }
            self.place = Place::End;
        }
        text
    }

    fn begin(&self, text: &mut Vec<u8>) {
        match &self.form {
            Form::Json(page) => {
                push_json(text, page);
                // Its agents, of which there are none yet, are the last of its members.
                text.truncate(text.len() - "]}".len());
            }
            Form::Csv => text.extend_from_slice(header().as_bytes()),
        }
    }

    fn usage<'a>(&self, member: &'a Member, amounts: &[Amount]) -> AgentUsage<'a> {
        let mut whole = Amount::default();
        amounts.iter().for_each(|amount| whole.add(amount));
        let buckets = self.buckets.iter().zip(amounts);
        AgentUsage {
            account: &member.agent.account,
            agent: &member.agent.name,
            agent_id: &member.agent.id,
            former: member.left_on.is_some(),
            whole,
            buckets: buckets
                .map(|(bucket, amount)| Bucket {
                    start: bucket.start(),
                    end: bucket.end(),
                    amount: *amount,
                })
                .collect(),
        }
    }

    fn push_lines(&self, text: &mut Vec<u8>, member: &Member, amounts: &[Amount]) {
        let last = [csv::truth(member.left_on.is_some())];
        let mut line = String::new();
        for (bucket, amount) in self.buckets.iter().zip(amounts) {
            let figures = amount.columns(*bucket);
            let names = [&*member.agent.account, &*member.agent.name].into_iter();
            let cells = names.chain(figures.iter().map(String::as_str));
            line.clear();
            csv::push_line(&mut line, cells.chain(last));
            text.extend_from_slice(line.as_bytes());
        }
    }
}

/// The first line of CSV.
pub(super) fn header() -> String {
    let mut line = String::new();
    let (agent, last) = (["account", "agent"], ["former"]);
    csv::push_line(&mut line, agent.iter().chain(&Amount::COLUMNS).chain(&last));
    line
}

fn push_json(text: &mut Vec<u8>, value: &impl Serialize) {
    serde_json::to_writer(text, value)
        .expect("what is served has texts as keys and does not fail to be written");
}
