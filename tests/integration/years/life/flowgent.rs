//! FlowGent in memory: what is true of every agent and day, what FlowGent says of it at an instant, and
//! everything that it has said so far.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use chrono::{DateTime, Utc};
use flowgent_exporter::day::{Day, TRACKING_START};
use flowgent_exporter::egress::{TransportError, Wire};
use reqwest::{Request, Response};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::plan::AgentId;
use super::talk::Talk;

/// One day of one agent.
#[derive(Debug, Clone, Copy)]
struct Truth {
    /// It is absent before this instant.
    visible_from: DateTime<Utc>,
    /// What is said of it before it is corrected, and until when.
    wrong: Option<(f64, DateTime<Utc>)>,
    credits: f64,
}

/// What goes wrong with single requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Unavailable,
    TooMany,
    Hang,
    Html,
    WrongTotal,
    AbsentDay,
}

/// A listing: when it was, the agents with their names, and whether it was whole.
pub(crate) type Listed = (DateTime<Utc>, Vec<(AgentId, String)>, bool);

/// What a listing does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Glitch {
    /// Agents are left out, this many.
    Short(usize),
    /// The same, and it says that there are more.
    NotWhole(usize),
    /// It cannot be had.
    Down,
}

/// An organisation.
#[derive(Debug, Default)]
pub(crate) struct Organisation {
    /// Its agents as they are listed: id and name.
    pub(crate) listed: Vec<(AgentId, String)>,
    pub(crate) glitch: Option<Glitch>,
    pub(crate) is_down: bool,
    pub(crate) refuses_key: bool,
    pub(crate) has_no_credits: bool,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) now: DateTime<Utc>,
    pub(crate) organisations: BTreeMap<String, Organisation>,
    /// The agents that are nobody's any more.
    pub(crate) denied: BTreeSet<AgentId>,
    days: HashMap<(AgentId, Day), Truth>,
    /// The faults of the next requests, the last one first; none if it is to work.
    pub(crate) faults: Vec<Option<Fault>>,
    /// The requests that are still answered before the program is killed.
    pub(crate) kill_after: Option<usize>,
    /// What was said since somebody looked, by account, agent and day.
    pub(crate) said: BTreeMap<(String, AgentId), BTreeMap<Day, f64>>,
    /// By account: whether its key was refused the last time; by account and agent: whether it was.
    pub(crate) key_refused: BTreeMap<String, bool>,
    pub(crate) agent_refused: BTreeMap<(String, AgentId), bool>,
    /// The last good listing of each account.
    pub(crate) listing: BTreeMap<String, Listed>,
    pub(crate) requests: usize,
    pub(crate) talk: Talk,
    /// Nobody can reach it.
    pub(crate) is_unreachable: bool,
    /// When it answered last, with its time.
    pub(crate) answered: DateTime<Utc>,
}

/// FlowGent, cloned freely.
#[derive(Debug, Clone)]
pub(crate) struct FlowGent {
    state: Arc<Mutex<State>>,
    pub(crate) killed: Arc<Notify>,
}

impl FlowGent {
    pub(crate) fn new(now: DateTime<Utc>) -> Self {
        let state = State {
            now,
            organisations: BTreeMap::new(),
            denied: BTreeSet::new(),
            days: HashMap::new(),
            faults: Vec::new(),
            kill_after: None,
            said: BTreeMap::new(),
            key_refused: BTreeMap::new(),
            agent_refused: BTreeMap::new(),
            listing: BTreeMap::new(),
            requests: 0,
            talk: Talk::default(),
            is_unreachable: false,
            answered: now,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            killed: Arc::default(),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    /// The organisation of that name.
    pub(crate) fn organisation(&mut self, name: &str) -> &mut Organisation {
        self.organisations
            .get_mut(name)
            .expect("there is such an organisation")
    }

    /// From now on the agent has used `credits` on `day`.
    pub(crate) fn set(&mut self, id: AgentId, day: Day, credits: f64) {
        let visible_from = self
            .days
            .get(&(id, day))
            .map_or(day.end(), |truth| truth.visible_from);
        let truth = Truth {
            visible_from,
            wrong: None,
            credits,
        };
        self.days.insert((id, day), truth);
    }

    /// Leaves the day out of answers before `instant`.
    pub(crate) fn hide(&mut self, id: AgentId, day: Day, instant: DateTime<Utc>) {
        if let Some(truth) = self.days.get_mut(&(id, day)) {
            truth.visible_from = instant;
        }
    }

    /// Says from now on what is true of every day.
    pub(crate) fn show_everything(&mut self) {
        for truth in self.days.values_mut() {
            truth.visible_from = truth.visible_from.min(self.now);
        }
    }

    /// Says `credits` of the day before `instant`.
    pub(crate) fn miscount(&mut self, id: AgentId, day: Day, credits: f64, instant: DateTime<Utc>) {
        if let Some(truth) = self.days.get_mut(&(id, day)) {
            truth.wrong = Some((credits, instant));
        }
    }

    /// What the agent has used on the day, by the truth of now.
    pub(crate) fn credits(&self, id: AgentId, day: Day) -> Option<f64> {
        let truth = self.days.get(&(id, day))?;
        if self.now < truth.visible_from || day >= Day::of(self.now) {
            return None;
        }
        let wrong = truth.wrong.filter(|(_, until)| self.now < *until);
        Some(wrong.map_or(truth.credits, |(credits, _)| credits))
    }

    fn answer(&mut self, request: &Request) -> Option<(u16, Value)> {
        self.requests += 1;
        if request.method() == "HEAD" {
            return Some((404, json!({})));
        }
        let key = request.headers().get("authorization");
        let key = key.and_then(|key| key.to_str().ok()).unwrap_or_default();
        let mut parts = key.split(' ').map(str::to_owned);
        let (organisation, account) = (parts.next().unwrap(), parts.next().unwrap_or_default());
        let path = request.url().path().to_owned();
        let place = self.organisations.get(&organisation);
        let (is_down, refuses) = place.map_or((false, true), |o| (o.is_down, o.refuses_key));
        if path.ends_with("/chat") {
            return self.chat(request, &organisation);
        }
        if is_down {
            return Some((503, json!({ "error": "Service unavailable" })));
        }
        if refuses {
            self.key_refused.insert(account, true);
            let body = json!({ "error": "Invalid API key", "message": "The provided API key is not valid" });
            return Some((401, body));
        }
        if path.ends_with("/agent") {
            return Some(self.list(&organisation, account));
        }
        let fault = self.faults.pop().flatten();
        match fault {
            Some(Fault::Unavailable) => return Some((503, json!({}))),
            Some(Fault::TooMany) => return Some((429, json!({}))),
            Some(Fault::Hang) => return None,
            Some(Fault::Html) => return Some((200, Value::String("<html>".to_owned()))),
            _ => {}
        }
        let id: AgentId = path.split('/').rev().nth(1).unwrap().parse().unwrap();
        // An answer that makes no sense does not say what became of the key.
        if fault != Some(Fault::WrongTotal) {
            self.key_refused.insert(account.clone(), false);
        }
        if self.denied.contains(&id) {
            self.agent_refused.insert((account, id), true);
            let message = "This agent does not belong to your organisation";
            return Some((403, json!({ "error": "Access denied", "message": message })));
        }
        let asked: HashMap<String, String> = request.url().query_pairs().into_owned().collect();
        let [start, end]: [Day; 2] =
            ["start_date", "end_date"].map(|name| asked[name].parse().unwrap());
        if end >= Day::of(self.now) {
            let message = "end_date cannot be today or in the future. Data is only available up to yesterday.";
            return Some((
                400,
                json!({ "error": "Invalid end date", "message": message }),
            ));
        }
        assert!(
            end.since(start) < 31 && start <= end,
            "{start} through {end} was asked for"
        );
        Some((200, self.usage(account, id, (start, end), fault)))
    }

    fn usage(
        &mut self,
        account: String,
        id: AgentId,
        (start, end): (Day, Day),
        fault: Option<Fault>,
    ) -> Value {
        let mut rows = Vec::new();
        let mut total = 0.0;
        let mut said = BTreeMap::new();
        for day in start.through(end).rev() {
            let credits = if day < TRACKING_START {
                Some(0.0)
            } else {
                self.credits(id, day)
            };
            let Some(credits) = credits else { continue };
            if fault == Some(Fault::AbsentDay) && day == end {
                continue;
            }
            rows.push(json!({ "date": day.to_string(), "credits_used": credits }));
            total += credits;
            said.insert(day, credits);
        }
        if fault == Some(Fault::WrongTotal) {
            total += 5.0;
        } else {
            self.agent_refused.insert((account.clone(), id), false);
            self.said.entry((account, id)).or_default().extend(said);
        }
        json!({
            "agent_id": id.to_string(),
            "time_range": { "start": format!("{start}T00:00:00.000Z"), "end": format!("{end}T23:59:59.999Z") },
            "usage": { "total_credits_used": total, "daily_breakdown": rows },
        })
    }

    /// The agents that the file of an organisation names; none if it cannot be read.
    pub(crate) fn file(&self, organisation: &str) -> Option<&[(AgentId, String)]> {
        let Organisation { listed, glitch, .. } = &self.organisations[organisation];
        let left_out = match glitch {
            Some(Glitch::Down) => return None,
            Some(Glitch::Short(count) | Glitch::NotWhole(count)) => *count,
            None => 0,
        };
        Some(&listed[..listed.len().saturating_sub(left_out)])
    }

    fn list(&mut self, organisation: &str, account: String) -> (u16, Value) {
        let place = &self.organisations[organisation];
        let left_out = match place.glitch {
            Some(Glitch::Down) => return (503, json!({})),
            Some(Glitch::Short(count) | Glitch::NotWhole(count)) => count,
            None => 0,
        };
        let count = place.listed.len().saturating_sub(left_out);
        let listed = place.listed[..count].to_vec();
        let agents: Vec<Value> = listed
            .iter()
            .map(|(id, name)| json!({ "id": id.to_string(), "name": name }))
            .collect();
        let is_whole = !matches!(place.glitch, Some(Glitch::NotWhole(_)));
        let mut answer = json!({ "agents": agents });
        if !is_whole {
            answer["has_more"] = json!(true);
        }
        self.key_refused.insert(account.clone(), false);
        self.listing.insert(account, (self.now, listed, is_whole));
        (200, answer)
    }
}

impl Wire for FlowGent {
    fn send(
        &self,
        request: Request,
    ) -> Pin<Box<dyn Future<Output = Result<Response, TransportError>> + Send>> {
        let mut state = self.state();
        if state.kills(&request) {
            self.killed.notify_one();
            return Box::pin(std::future::pending());
        }
        if state.kill_after == Some(0) {
            state.kill_after = None;
            state.talk.note_kill(&request);
            self.killed.notify_one();
            return Box::pin(std::future::pending());
        }
        state.kill_after = state.kill_after.map(|left| left - 1);
        if state.is_unreachable {
            state.talk.note_failure(&request);
            let refused = TransportError::Connect("connection refused".to_owned());
            return Box::pin(async move { Err(refused) });
        }
        let Some((status, body)) = state.answer(&request) else {
            return Box::pin(std::future::pending());
        };
        state.answered = state.now;
        let body = match body {
            Value::String(text) => text,
            body => body.to_string(),
        };
        // As FlowGent's own clock says.
        let date = httpdate::fmt_http_date(state.now.into());
        let response = hyper::Response::builder()
            .status(status)
            .header("date", date);
        let response = response.body(body).unwrap();
        Box::pin(async move { Ok(Response::from(response)) })
    }
}
