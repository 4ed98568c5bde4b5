//! Faults on purpose: rules that say which fault meets whose requests, and how often.

use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::habit::{Stream, draw, unit};
use super::journal::Endpoint;
use super::world::Agent;

/// One thing that goes wrong. Each has a name, see [`FAULTS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// This status instead of an answer, with the documented text where there is one.
    Status(u16, Option<RetryAfter>),
    /// Never answers.
    Hang,
    /// Answers byte by byte, without end.
    Drip,
    /// Closes the connection in the middle of the body.
    Cut,
    /// A body of 64 MiB.
    Oversized,
    /// A body of 1 MB that inflates to 1 GiB.
    GzipBomb,
    /// A web page under status 200.
    Html,
    /// A redirect to another host.
    Redirect,
    /// Usage: a total that is not the sum of its days.
    WrongTotal,
    /// Usage: the newest day is not there.
    MissingDay,
    /// Usage: the newest day is there twice, with the same figure.
    DuplicateDay,
    /// Usage: the newest day is there twice, with different figures.
    ContradictingDay,
    /// Usage: the answer speaks of another agent.
    ForeignAgent,
    /// Usage: a day that was not asked for.
    ForeignDay,
    /// Usage: a negative figure.
    NegativeDay,
    /// Usage: a figure of ten trillion credits.
    HugeValue,
    /// Usage: a date that is not written as YYYY-MM-DD.
    MalformedDate,
    /// Usage: a time range that is not the one asked for.
    ContradictingRange,
    /// Chat: 402 under HTTP 200.
    NoCredits,
    /// Chat: 503 under HTTP 200.
    ChatUnavailable,
    /// Chat: 500 under HTTP 200.
    ChatFailed,
    /// WhatsApp: the agent has no connection.
    NoWhatsapp,
}

/// Value of a `Retry-After` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// Seconds.
    Seconds(u32),
    /// An HTTP date that lies so many seconds ahead of the simulator's clock.
    Date(u32),
}

/// Declares the table of faults, each as `"name" = fault, "explanation";`.
macro_rules! faults {
    ($($name:literal = $fault:expr, $about:literal;)*) => {
        /// Every fault with its name, and what happens in one line.
        pub const FAULTS: [(&str, Fault, &str); [$($name),*].len()] = [$(($name, $fault, $about)),*];
    };
}

faults! {
    "401" = Fault::Status(401, None), "status 401: the key is refused";
    "403" = Fault::Status(403, None), "status 403: access is denied";
    "429" = Fault::Status(429, Some(RetryAfter::Seconds(1))), "status 429: too many requests";
    "429-date" = Fault::Status(429, Some(RetryAfter::Date(2))), "status 429: too many requests, with a date in Retry-After";
    "500" = Fault::Status(500, None), "status 500: FlowGent fails";
    "502" = Fault::Status(502, None), "status 502: a proxy cannot reach FlowGent";
    "503" = Fault::Status(503, None), "status 503: FlowGent is unavailable";
    "hang" = Fault::Hang, "no answer, until the request times out";
    "drip" = Fault::Drip, "an endless answer, byte by byte";
    "cut" = Fault::Cut, "the connection breaks in the middle";
    "oversized" = Fault::Oversized, "an answer of 64 MiB";
    "gzip-bomb" = Fault::GzipBomb, "an answer of 1 MB that inflates to 1 GiB";
    "html" = Fault::Html, "a web page, with status 200";
    "redirect" = Fault::Redirect, "a redirect to another host";
    "wrong-total" = Fault::WrongTotal, "the total is not the sum of the days";
    "missing-day" = Fault::MissingDay, "the newest day is missing";
    "duplicate-day" = Fault::DuplicateDay, "the newest day twice, with the same figure";
    "contradicting-day" = Fault::ContradictingDay, "the newest day twice, with different figures";
    "foreign-agent" = Fault::ForeignAgent, "the answer is about another agent";
    "foreign-day" = Fault::ForeignDay, "a day that was not requested";
    "negative-day" = Fault::NegativeDay, "a day has negative credits";
    "huge-value" = Fault::HugeValue, "a day has ten trillion credits";
    "malformed-date" = Fault::MalformedDate, "a date that is not YYYY-MM-DD";
    "contradicting-range" = Fault::ContradictingRange, "a different range than requested";
    "no-credits" = Fault::NoCredits, "chats only: the credits are used up";
    "chat-unavailable" = Fault::ChatUnavailable, "chats only: unavailable";
    "chat-failed" = Fault::ChatFailed, "chats only: FlowGent fails";
    "no-whatsapp" = Fault::NoWhatsapp, "WhatsApp only: the agent has no connection";
}

impl Fault {
    /// The one endpoint whose good answers the fault spoils; nothing if it replaces the answer of any.
    fn spoils(self) -> Option<Endpoint> {
        match self {
            Self::Status(..)
            | Self::Hang
            | Self::Drip
            | Self::Cut
            | Self::Oversized
            | Self::GzipBomb
            | Self::Html
            | Self::Redirect => None,
            Self::WrongTotal
            | Self::MissingDay
            | Self::DuplicateDay
            | Self::ContradictingDay
            | Self::ForeignAgent
            | Self::ForeignDay
            | Self::NegativeDay
            | Self::HugeValue
            | Self::MalformedDate
            | Self::ContradictingRange => Some(Endpoint::Usage),
            Self::NoCredits | Self::ChatUnavailable | Self::ChatFailed => Some(Endpoint::Chat),
            Self::NoWhatsapp => Some(Endpoint::Template),
        }
    }
}

/// Requests that meet a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Everyone's.
    Everything,
    /// Those of the account of this name.
    Account(String),
    /// Those that concern the agent of this id.
    Agent(String),
}

/// Number of times.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Times {
    /// At each request, until cleared.
    Always,
    /// At the next so many requests.
    Count(u32),
    /// At each request with this probability, by the world's seed, until cleared.
    Share(f64),
}

/// Which fault meets whose requests, and how often. As text, `429=0.05` is a share and `hang` is always.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// The fault.
    pub fault: Fault,
    /// For whom.
    pub scope: Scope,
    /// Number of times.
    pub times: Times,
}

/// A text that is not a fault or a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// There is no such fault.
    #[error("no fault is named `{0}`; there are {names}", names = FAULTS.map(|(name, ..)| name).join(", "))]
    Name(String),
    /// The share is not a probability.
    #[error("the share of fault {name} is `{share}`, not a number from 0 to 1")]
    Share {
        /// The fault.
        name: String,
        /// The text given as its share.
        share: String,
    },
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        FAULTS
            .iter()
            .find(|(name, ..)| *name == text)
            .map(|(_, fault, _)| *fault)
            .ok_or_else(|| FaultError::Name(text.to_owned()))
    }
}

impl FromStr for Rule {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let (name, times) = match text.split_once('=') {
            None => (text, Times::Always),
            Some((name, share)) => {
                let parsed = share
                    .parse()
                    .ok()
                    .filter(|share| (0.0..=1.0).contains(share));
                let share = parsed.ok_or_else(|| FaultError::Share {
                    name: name.to_owned(),
                    share: share.to_owned(),
                })?;
                (name, Times::Share(share))
            }
        };
        Ok(Self {
            fault: name.parse()?,
            scope: Scope::Everything,
            times,
        })
    }
}

/// The rules in force.
#[derive(Debug)]
pub struct Faults {
    seed: u64,
    rules: Mutex<Vec<Rule>>,
    /// Number of draws made, which is the number of the next one.
    draws: AtomicU64,
    /// Number of requests that met a fault.
    met: AtomicU64,
}

impl Faults {
    /// No rules; shares are drawn by `seed`.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            rules: Mutex::default(),
            draws: AtomicU64::new(0),
            met: AtomicU64::new(0),
        }
    }

    /// Adds a rule. Of several that fit, the earliest added one is met.
    pub fn add(&self, rule: Rule) {
        self.rules.lock().push(rule);
    }

    /// Adds a rule for everyone.
    pub fn add_everywhere(&self, fault: Fault, times: Times) {
        let scope = Scope::Everything;
        self.add(Rule {
            fault,
            scope,
            times,
        });
    }

    /// Adds a rule for the requests that concern one agent.
    pub fn add_for(&self, agent: &Agent, fault: Fault, times: Times) {
        let scope = Scope::Agent(agent.id.to_string());
        self.add(Rule {
            fault,
            scope,
            times,
        });
    }

    /// Takes all rules away.
    pub fn clear(&self) {
        self.rules.lock().clear();
    }

    /// Number of requests that met a fault so far.
    #[must_use]
    pub fn met(&self) -> u64 {
        self.met.load(Ordering::Relaxed)
    }

    /// The fault that replaces the answer to a request of that account which concerns that agent.
    pub(super) fn replace(&self, account: Option<&str>, agent: Option<&Agent>) -> Option<Fault> {
        self.meet(None, account, agent)
    }

    /// The fault that spoils the good answer of `endpoint` to a request which concerns that agent.
    pub(super) fn spoil(&self, endpoint: Endpoint, agent: &Agent) -> Option<Fault> {
        self.meet(Some(endpoint), Some(&agent.account), Some(agent))
    }

    fn meet(
        &self,
        spoils: Option<Endpoint>,
        account: Option<&str>,
        agent: Option<&Agent>,
    ) -> Option<Fault> {
        let mut rules = self.rules.lock();
        let position = rules.iter().position(|rule| {
            let concerned = match &rule.scope {
                Scope::Everything => true,
                Scope::Account(name) => account == Some(name),
                Scope::Agent(id) => agent.is_some_and(|agent| *agent.id == **id),
            };
            concerned && rule.fault.spoils() == spoils && self.strikes(rule.times)
        })?;
        let fault = rules[position].fault;
        if let Times::Count(left) = &mut rules[position].times {
            *left -= 1;
        }
        self.met.fetch_add(1, Ordering::Relaxed);
        Some(fault)
    }

    fn strikes(&self, times: Times) -> bool {
        match times {
            Times::Always => true,
            Times::Count(left) => left > 0,
            Times::Share(share) => {
                let number = self.draws.fetch_add(1, Ordering::Relaxed);
                unit(draw(self.seed, Stream::Fault, number)) < share
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::super::world::World;
    use super::*;

    #[test]
    fn every_fault_is_known_by_its_name() {
        for (name, fault, _) in FAULTS {
            assert_eq!(name.parse(), Ok(fault));
        }
        assert_eq!(
            "409"
                .parse::<Fault>()
                .unwrap_err()
                .to_string()
                .split(';')
                .next(),
            Some("no fault is named `409`")
        );
    }

    #[test]
    fn a_rule_is_written_as_a_fault_and_its_share() {
        let rule: Rule = "429=0.05".parse().unwrap();
        assert_eq!(rule.fault, Fault::Status(429, Some(RetryAfter::Seconds(1))));
        assert_eq!(rule.times, Times::Share(0.05));
        assert_eq!("hang".parse::<Rule>().unwrap().times, Times::Always);
        for share in ["", "5%", "1.5", "-0.1", "NaN"] {
            assert_eq!(
                format!("cut={share}")
                    .parse::<Rule>()
                    .unwrap_err()
                    .to_string(),
                format!("the share of fault cut is `{share}`, not a number from 0 to 1")
            );
        }
    }

    #[test]
    fn a_counted_fault_is_met_that_often_by_those_it_concerns() {
        let world = World::new(&Settings::demo(1));
        let acme = &world.accounts()[0];
        let faults = Faults::new(1);
        faults.add_for(&acme.agents[0], Fault::Hang, Times::Count(2));
        let met = |agent| faults.replace(None, Some(agent));
        assert_eq!(met(&acme.agents[1]), None);
        assert_eq!(met(&acme.agents[0]), Some(Fault::Hang));
        assert_eq!(met(&acme.agents[0]), Some(Fault::Hang));
        assert_eq!(met(&acme.agents[0]), None);
        assert_eq!(faults.met(), 2);

        faults.add(Rule {
            fault: Fault::Cut,
            scope: Scope::Account("globex".into()),
            times: Times::Always,
        });
        assert_eq!(faults.replace(Some("acme"), None), None);
        assert_eq!(faults.replace(Some("globex"), None), Some(Fault::Cut));
        faults.clear();
        assert_eq!(faults.replace(Some("globex"), None), None);
    }

    #[test]
    fn a_fault_that_spoils_usage_waits_for_a_usage_answer() {
        let world = World::new(&Settings::demo(1));
        let agent = &world.agents("globex")[0];
        let faults = Faults::new(1);
        faults.add_everywhere(Fault::WrongTotal, Times::Count(1));
        assert_eq!(faults.replace(None, Some(agent)), None);
        assert_eq!(faults.spoil(Endpoint::Chat, agent), None);
        assert_eq!(
            faults.spoil(Endpoint::Usage, agent),
            Some(Fault::WrongTotal)
        );
    }

    #[test]
    fn a_share_of_requests_meets_a_fault() {
        let faults = Faults::new(1);
        faults.add_everywhere(Fault::Cut, Times::Share(0.1));
        let met = (0..10_000)
            .filter(|_| faults.replace(None, None).is_some())
            .count();
        assert!((900..1100).contains(&met), "{met}");
    }
}
