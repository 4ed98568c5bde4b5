//! How agents reply to probes, as FlowGent does it, and what goes wrong with that.

use std::collections::{BTreeMap, HashMap};

use chrono::TimeDelta;
use flowgent_exporter::day::Day;
use reqwest::Request;
use serde_json::{Value, json};

use super::flowgent::State;
use super::plan::AgentId;
use super::trouble::Ending;
use super::year::{AGENTS, Year};

/// Credits that a reply costs.
pub(crate) const COST: f64 = 0.5;

/// How a question ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ran {
    /// The agent replies; whether with an OK.
    Replies(bool),
    NoCredits,
    Fails,
    /// The program is killed before it knows.
    Killed,
}

/// What agents do instead of a reply with an OK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mute {
    /// They reply something else.
    Mumble,
    /// 500 under HTTP 200.
    Error,
    Html,
    Hang,
}

#[derive(Debug, Default)]
pub(crate) struct Talk {
    pub(crate) mute: HashMap<AgentId, Mute>,
    /// What becomes of the next question; afterwards questions are answered.
    next: Option<Reply>,
    /// The questions since somebody looked, by the probe that asks, and what became of each.
    pub(crate) asked: Vec<(String, Ran)>,
    /// What chats have used of days that are not over.
    pub(crate) used: BTreeMap<(AgentId, Day), f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reply {
    Mute(Mute),
    /// The program is killed before FlowGent is asked.
    Kill,
    /// FlowGent replies, and the program is killed before it hears of that.
    TakeAndKill,
}

/// The probe that asks, which says its name as its message.
fn probe(request: &Request) -> Option<String> {
    let body = request.body()?.as_bytes()?;
    let body: Value = serde_json::from_slice(body).ok()?;
    Some(body["messages"].as_str()?.to_owned())
}

fn agent(request: &Request) -> AgentId {
    let mut parts = request.url().path().split('/').rev();
    parts.nth(1).unwrap().parse().unwrap()
}

impl Talk {
    fn note(&mut self, request: &Request, ran: Ran) {
        if request.url().path().ends_with("/chat") {
            self.asked.push((probe(request).unwrap(), ran));
        }
    }

    pub(crate) fn note_failure(&mut self, request: &Request) {
        self.note(request, Ran::Fails);
    }

    pub(crate) fn note_kill(&mut self, request: &Request) {
        self.note(request, Ran::Killed);
    }
}

impl State {
    /// Whether the program is killed by this question.
    pub(crate) fn kills(&mut self, request: &Request) -> bool {
        let next = self.talk.next;
        if !request.url().path().ends_with("/chat")
            || !matches!(next, Some(Reply::Kill | Reply::TakeAndKill))
        {
            return false;
        }
        self.talk.next = None;
        if next == Some(Reply::TakeAndKill) {
            self.cost(agent(request));
        }
        self.talk.note_kill(request);
        true
    }

    fn cost(&mut self, id: AgentId) {
        let day = Day::of(self.now);
        *self.talk.used.entry((id, day)).or_default() += COST;
    }

    /// The reply to a question, or none at all.
    pub(crate) fn chat(&mut self, request: &Request, organisation: &str) -> Option<(u16, Value)> {
        let id = agent(request);
        let place = &self.organisations[organisation];
        let once = self.talk.next.take();
        let mute = match once {
            Some(Reply::Mute(mute)) => Some(mute),
            _ => self.talk.mute.get(&id).copied(),
        };
        let (ran, reply) = if place.is_down {
            (Ran::Fails, Some((503, json!({}))))
        } else if place.refuses_key {
            let body = json!({ "error": "Invalid API key", "message": "The provided API key is not valid" });
            (Ran::Fails, Some((401, body)))
        } else if self.denied.contains(&id) {
            let message = "This agent does not belong to your organisation";
            (
                Ran::Fails,
                Some((403, json!({ "error": "Access denied", "message": message }))),
            )
        } else if place.has_no_credits {
            let body =
                json!({ "message": "No credits available", "error": "No credits available" });
            (
                Ran::NoCredits,
                Some((200, json!({ "statusCode": 402, "body": body }))),
            )
        } else {
            match mute {
                None | Some(Mute::Mumble) => {
                    let text = if mute.is_none() { "OK" } else { "What?" };
                    self.cost(id);
                    (Ran::Replies(mute.is_none()), Some((200, replied(id, text))))
                }
                Some(Mute::Error) => {
                    let body = json!({ "error": "An unexpected error occurred" });
                    (
                        Ran::Fails,
                        Some((200, json!({ "statusCode": 500, "body": body }))),
                    )
                }
                Some(Mute::Html) => (Ran::Fails, Some((200, Value::String("<html>".to_owned())))),
                Some(Mute::Hang) => (Ran::Fails, None),
            }
        };
        self.talk.note(request, ran);
        reply
    }
}

fn replied(id: AgentId, text: &str) -> Value {
    json!({
        "statusCode": 200,
        "body": {
            "agent_id": id.to_string(),
            "conversation_history": [{ "role": "user", "content": "?" }, { "role": "assistant", "content": text }],
            "metadata": {
                "id": "1", "model": "m", "timestamp": "2026-01-01T00:00:00Z", "tool_calls": [],
                "execution_time": 1200, "used_credits": COST,
            },
        },
    })
}

impl Year {
    /// Agents fall silent, and accounts run out of credits.
    pub(crate) fn spoil_talk(&mut self) {
        let kinds = [Mute::Mumble, Mute::Error, Mute::Html, Mute::Hang];
        let mute = kinds[self.talk.usize(..4)];
        let hours = self.talk.f64() * 150.0;
        let id = AgentId(self.talk.u32(..AGENTS) % 6);
        let name = ["acme", "globex"][self.talk.usize(..2)].to_owned();
        let draw = self.talk.f64() * 100.0;
        let mut state = self.scene.flowgent.state();
        state.talk.next = if draw < 3.0 {
            Some(Reply::Kill)
        } else if draw < 6.0 {
            Some(Reply::TakeAndKill)
        } else if draw < 16.0 {
            Some(Reply::Mute(mute))
        } else {
            None
        };
        if (20.0..23.0).contains(&draw) {
            state.talk.mute.insert(id, mute);
            drop(state);
            self.scene.note(format!("{id} replies with {mute:?}"));
            self.later(hours, Ending::Talk(id));
        } else if (30.0..31.5).contains(&draw) {
            state.organisation(&name).has_no_credits = true;
            drop(state);
            self.scene.note(format!("{name} has no credits"));
            self.later(hours, Ending::Credits(name));
        }
    }

    /// When something is to happen on a day because of probes: a little after their times, and sometimes twice.
    pub(crate) fn probe_times(&mut self) -> Vec<TimeDelta> {
        let mut times = Vec::new();
        for probe in &self.scene.plan.probes {
            times.push(probe.at + TimeDelta::seconds(self.talk.i64(0..40)));
            if self.talk.bool() {
                times.push(probe.at + TimeDelta::seconds(self.talk.i64(40..60)));
            }
        }
        times
    }
}
