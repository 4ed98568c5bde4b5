//! A database in memory that history is pushed to, and what it must have: every value that FlowGent has
//! said of a day, at its place.

use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use chrono::{DateTime, TimeDelta, Utc};
use flowgent_exporter::day::Day;
use flowgent_exporter::egress::{TransportError, Wire};
use prost::Message;
use reqwest::{Request, Response};
use tokio::sync::Notify;

use super::process::Killed;
use super::roll::{Key, Presence};
use super::scene::Scene;

/// What the database does with a write.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Write {
    Down,
    /// The program is killed before it is taken.
    Kill,
    /// Takes it, and the program is killed before it hears of that.
    TakeAndKill,
}

/// Account and name of an agent, an instant in milliseconds, and the value there.
type Written = ((String, String), i64, f64);

#[derive(Debug, Default)]
pub(crate) struct Store {
    /// What it does with the next writes, the last one first; it takes those after.
    pub(crate) writes: Vec<Write>,
    /// What it has taken since somebody looked.
    fresh: Vec<Written>,
}

/// The database, cloned freely.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    store: Arc<Mutex<Store>>,
    killed: Arc<Notify>,
}

/// The messages of remote write, written anew from its definition.
#[derive(Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    series: Vec<Series>,
}

#[derive(Message)]
struct Series {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

#[derive(Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    at_ms: i64,
}

impl Database {
    pub(crate) fn new(killed: Arc<Notify>) -> Self {
        Self {
            store: Arc::default(),
            killed,
        }
    }

    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap()
    }
}

impl Store {
    fn take(&mut self, body: &[u8]) {
        let plain = snap::raw::Decoder::new().decompress_vec(body).unwrap();
        for series in WriteRequest::decode(&*plain).unwrap().series {
            let label = |name: &str| {
                let label = series.labels.iter().find(|label| label.name == name);
                label.unwrap().value.clone()
            };
            assert_eq!(label("__name__"), "flowgent_agent_previous_day_credits");
            let agent = (label("account"), label("agent"));
            let samples = series.samples.iter();
            let written = samples.map(|sample| (agent.clone(), sample.at_ms, sample.value));
            self.fresh.extend(written);
        }
    }
}

impl Wire for Database {
    fn send(
        &self,
        request: Request,
    ) -> Pin<Box<dyn Future<Output = Result<Response, TransportError>> + Send>> {
        let mut store = self.store();
        let write = store.writes.pop();
        if matches!(write, None | Some(Write::TakeAndKill)) {
            store.take(request.body().unwrap().as_bytes().unwrap());
        }
        if matches!(write, Some(Write::Kill | Write::TakeAndKill)) {
            self.killed.notify_one();
            return Box::pin(std::future::pending());
        }
        let status = if write.is_none() { 204 } else { 503 };
        let response = hyper::Response::builder().status(status).body("").unwrap();
        Box::pin(async move { Ok(Response::from(response)) })
    }
}

/// What the database has of each agent, under whatever names.
pub(crate) type Pushed = HashMap<Key, BTreeMap<i64, f64>>;

impl Scene {
    /// Pushes what has reached its place.
    pub(crate) fn push(&mut self) {
        let killed = Arc::clone(&self.ground.killed);
        let pushed = self.process().push(&killed);
        self.check_written();
        match pushed {
            Ok(true) if self.agrees() => {
                self.push_at = self.now + TimeDelta::hours(12);
                self.check_pushed(self.today().plus(-12));
            }
            Ok(_) => {}
            Err(Killed) => self.restart(),
        }
    }

    /// What the database has just taken is what FlowGent has said, and nothing takes another value's place.
    fn check_written(&mut self) {
        let written = std::mem::take(&mut self.ground.database.store().fresh);
        let mut wrong = Vec::new();
        for ((account, name), at_ms, value) in written {
            let at = DateTime::<Utc>::from_timestamp_millis(at_ms).unwrap();
            let day = Day::of(at).previous();
            let what = format!("{account}/{name}: {value} was pushed for {day} at {at}");
            let Some(key) = self.roll.named(&account, &name) else {
                wrong.push(format!("{what}, and nobody has listed it"));
                continue;
            };
            let values = self.roll.agents[&key].values(day);
            let value_there = (0..values.len()).find(|number| place(day, *number) == at_ms);
            let expected = value_there.map(|number| values[number]);
            if expected != Some(value) {
                wrong.push(format!("{what}, exact is {expected:?} of {values:?}"));
            }
            if self.agrees() && at > self.now {
                wrong.push(format!("{what}, in the future"));
            }
            let before = self.pushed.entry(key).or_default().insert(at_ms, value);
            if before.is_some_and(|before| before != value) {
                wrong.push(format!("{what} over {before:?}"));
            }
        }
        wrong.into_iter().for_each(|text| self.fail(text));
    }

    /// Nothing is missing in the database of what has reached its place, from the day `from` on.
    pub(crate) fn check_pushed(&mut self, from: Day) {
        let mut wrong = Vec::new();
        let days = from
            .max(self.plan.history_start)
            .through(self.today().previous());
        for (key, known) in &self.roll.agents {
            if known.presence != Presence::Present {
                continue;
            }
            let pushed = self.pushed.get(key);
            for day in days.clone() {
                for (number, value) in known.values(day).into_iter().enumerate() {
                    let at = place(day, number);
                    let found = pushed.and_then(|pushed| pushed.get(&at));
                    if at <= self.now.timestamp_millis() && found != Some(&value) {
                        wrong.push(format!(
                            "{}/{}: {value} of {day} was not pushed, but {found:?}",
                            key.0, known.name
                        ));
                    }
                }
            }
        }
        wrong.into_iter().for_each(|text| self.fail(text));
    }
}

/// Where the value of that number stands of those that a day has had.
fn place(day: Day, number: usize) -> i64 {
    let next = day.end();
    let at = match i64::try_from(number).unwrap() {
        0 => next + TimeDelta::hours(12),
        number => next + TimeDelta::days(1) - TimeDelta::milliseconds(100 - number),
    };
    at.timestamp_millis()
}
