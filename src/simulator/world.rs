//! Truth of the simulated FlowGent: its accounts and agents, and the credits that each agent used on each
//! day, as it is known at an instant and as it will be known in the end.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::RwLock;

use super::Settings;
use super::habit::{Habit, Stream, between, draw, number, unit};
use crate::day::{Day, TRACKING_START, Usage};
use crate::secret::Secret;

/// A late day appears this many hours after it ended.
const LATE_HOURS: (f64, f64) = (2.0, 30.0);
/// A revised day gets its final figure this many hours after it ended.
const REVISED_HOURS: (f64, f64) = (24.0, 48.0);
/// From this many days after a day on, neither of the two matters any more.
const FINAL_DAYS: i32 = 4;

/// An organisation.
#[derive(Debug)]
pub struct Account {
    /// Its name.
    pub name: Arc<str>,
    /// Its agents.
    pub agents: Vec<Agent>,
}

/// An agent of an organisation.
#[derive(Debug, Clone)]
pub struct Agent {
    /// Its identifier.
    pub id: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// The organisation it belongs to.
    pub account: Arc<str>,
    /// Its place among all agents of the world.
    index: usize,
    habit: Habit,
}

/// Changes to a day from outside.
#[derive(Debug, Default)]
struct Change {
    /// Its usage, instead of the habitual one.
    credits: Option<f64>,
    /// Credits used by chats on top of that.
    chats: f64,
    /// It is absent from answers before this instant.
    late_until: Option<DateTime<Utc>>,
}

/// The truth, which tests compare with what they read back.
#[derive(Debug)]
pub struct World {
    seed: u64,
    late_share: f64,
    revised_share: f64,
    accounts: Vec<Account>,
    /// Account and place within it, by agent id.
    places: HashMap<Arc<str>, (usize, usize)>,
    /// By account.
    keys: RwLock<Vec<Secret>>,
    /// By agent index and day.
    changes: RwLock<HashMap<(usize, Day), Change>>,
    listing: RwLock<Unlisted>,
}

/// Agents that the listings leave out.
#[derive(Debug, Default)]
struct Unlisted {
    /// Ids of agents.
    agents: HashSet<Arc<str>>,
    /// Fields beside the list, such as `has_more`.
    rest: serde_json::Map<String, serde_json::Value>,
}

impl World {
    /// The world that `settings` describe; equal settings make equal worlds.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let mut accounts = Vec::with_capacity(settings.accounts.len());
        let mut places = HashMap::new();
        for account in &settings.accounts {
            let name: Arc<str> = account.name.as_str().into();
            let mut agents = Vec::with_capacity(account.agents.len());
            for agent in &account.agents {
                let index = places.len();
                let id: Arc<str> = match &agent.id {
                    Some(id) => id.as_str().into(),
                    None => identifier(settings.seed, index).into(),
                };
                let place = (accounts.len(), agents.len());
                let earlier = places.insert(Arc::clone(&id), place);
                assert!(earlier.is_none(), "two simulated agents have the id {id}");
                agents.push(Agent {
                    id,
                    name: agent.name.as_str().into(),
                    account: Arc::clone(&name),
                    index,
                    habit: Habit::of(settings.seed, index),
                });
            }
            accounts.push(Account { name, agents });
        }
        Self {
            seed: settings.seed,
            late_share: settings.late_share,
            revised_share: settings.revised_share,
            accounts,
            places,
            keys: RwLock::new(settings.accounts.iter().map(|a| a.key.clone()).collect()),
            changes: RwLock::default(),
            listing: RwLock::default(),
        }
    }

    /// All organisations.
    #[must_use]
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// The agents of the organisation of that name.
    ///
    /// # Panics
    /// If there is no such organisation.
    #[must_use]
    pub fn agents(&self, account: &str) -> &[Agent] {
        &self.accounts[self.position(account)].agents
    }

    /// The agent of that id.
    #[must_use]
    pub fn agent(&self, id: &str) -> Option<&Agent> {
        let (account, agent) = *self.places.get(id)?;
        Some(&self.accounts[account].agents[agent])
    }

    /// The key that the organisation of that name has at present.
    ///
    /// # Panics
    /// If there is no such organisation.
    #[must_use]
    pub fn key(&self, account: &str) -> Secret {
        let keys = self.keys.read();
        keys[self.position(account)].clone()
    }

    /// Gives the organisation of that name another key; the old one is invalid from now on.
    ///
    /// # Panics
    /// If there is no such organisation.
    pub fn set_key(&self, account: &str, key: Secret) {
        let position = self.position(account);
        self.keys.write()[position] = key;
    }

    /// Leaves the agent out of its organisation's listing, or names it again.
    pub fn set_listed(&self, agent: &Agent, is_listed: bool) {
        let mut listing = self.listing.write();
        if is_listed {
            listing.agents.remove(&agent.id);
        } else {
            listing.agents.insert(Arc::clone(&agent.id));
        }
    }

    /// Puts these fields beside the list in listings that are objects.
    pub fn set_listing_rest(&self, rest: serde_json::Map<String, serde_json::Value>) {
        let mut listing = self.listing.write();
        listing.rest = rest;
    }

    /// The agents of a listing of that organisation, and what stands beside them.
    pub(super) fn listed<'a>(
        &self,
        account: &'a Account,
    ) -> (Vec<&'a Agent>, serde_json::Map<String, serde_json::Value>) {
        let listing = self.listing.read();
        let agents = account.agents.iter();
        let agents = agents.filter(|agent| !listing.agents.contains(&agent.id));
        (agents.collect(), listing.rest.clone())
    }

    /// The organisation whose key this is.
    pub(super) fn owner(&self, key: &str) -> Option<&Account> {
        let keys = self.keys.read();
        let position = keys.iter().position(|known| known.expose() == key)?;
        Some(&self.accounts[position])
    }

    /// Revises a day: from now on the agent used `credits` on it, a finite number.
    pub fn set_credits(&self, agent: &Agent, day: Day, credits: f64) {
        self.change(agent, day, |change| {
            change.credits = Some(credits);
            change.chats = 0.0;
        });
    }

    /// Makes a day absent from answers before `until`.
    pub fn set_late(&self, agent: &Agent, day: Day, until: DateTime<Utc>) {
        self.change(agent, day, |change| change.late_until = Some(until));
    }

    /// Counts what a chat on `day` cost.
    pub(super) fn chat(&self, agent: &Agent, day: Day, credits: f64) {
        self.change(agent, day, |change| change.chats += credits);
    }

    /// The usage that an answer at `now` shows for that day; nothing if the day is late or not over.
    #[must_use]
    pub fn truth(&self, agent: &Agent, day: Day, now: DateTime<Utc>) -> Option<f64> {
        self.known(agent, day, day, now)
            .pop()
            .map(|usage| usage.credits)
    }

    /// The usage of that day when nothing is late any more and all that was revised is.
    #[must_use]
    pub fn final_truth(&self, agent: &Agent, day: Day) -> f64 {
        let changes = self.changes.read();
        settled(agent, day, changes.get(&(agent.index, day)))
    }

    /// Days from `start` through `end` as known at `now`, newest first.
    pub(super) fn known(
        &self,
        agent: &Agent,
        start: Day,
        end: Day,
        now: DateTime<Utc>,
    ) -> Vec<Usage> {
        let today = Day::of(now);
        let changes = self.changes.read();
        let days = start.through(end.min(today.previous())).rev();
        days.filter_map(|day| {
            let change = changes.get(&(agent.index, day));
            let credits = if today.since(day) >= FINAL_DAYS && change.is_none() {
                settled(agent, day, None)
            } else {
                self.unsettled(agent, day, change, now)?
            };
            Some(Usage { day, credits })
        })
        .collect()
    }

    /// The usage of a day for which lateness and revision may still matter.
    fn unsettled(
        &self,
        agent: &Agent,
        day: Day,
        change: Option<&Change>,
        now: DateTime<Utc>,
    ) -> Option<f64> {
        let late_until = change
            .and_then(|change| change.late_until)
            .or_else(|| self.chance(agent, day, Stream::Lateness, self.late_share, LATE_HOURS));
        if late_until.is_some_and(|until| now < until) {
            return None;
        }
        let credits = settled(agent, day, change);
        let habitual = day >= TRACKING_START && change.is_none_or(|c| c.credits.is_none());
        let revised_at = habitual
            .then(|| {
                self.chance(
                    agent,
                    day,
                    Stream::Revision,
                    self.revised_share,
                    REVISED_HOURS,
                )
            })
            .flatten();
        if revised_at.is_some_and(|at| now < at) {
            return Some(preliminary(credits));
        }
        Some(credits)
    }

    /// With the probability `share`, an instant that lies so many hours after the end of the day.
    fn chance(
        &self,
        agent: &Agent,
        day: Day,
        stream: Stream,
        share: f64,
        hours: (f64, f64),
    ) -> Option<DateTime<Utc>> {
        let agent_seed = draw(self.seed, stream, agent.index as u64);
        let bits = draw(agent_seed, stream, number(day));
        (unit(bits) < share).then(|| {
            #[allow(clippy::cast_possible_truncation, reason = "a few hours")]
            let seconds = (between(hours, draw(bits, stream, 0)) * 3600.0) as i64;
            day.end() + TimeDelta::seconds(seconds)
        })
    }

    fn change(&self, agent: &Agent, day: Day, apply: impl FnOnce(&mut Change)) {
        let mut changes = self.changes.write();
        apply(changes.entry((agent.index, day)).or_default());
    }

    /// A misspelt name is a mistake of whoever wrote it, which should show at once.
    fn position(&self, account: &str) -> usize {
        self.accounts
            .iter()
            .position(|known| *known.name == *account)
            .unwrap_or_else(|| panic!("no simulated account is named {account}"))
    }
}

/// The final usage of a day.
fn settled(agent: &Agent, day: Day, change: Option<&Change>) -> f64 {
    let habitual = || {
        if day < TRACKING_START {
            0.0
        } else {
            agent.habit.credits(day)
        }
    };
    change.map_or_else(habitual, |change| {
        change.credits.unwrap_or_else(habitual) + change.chats
    })
}

/// A first figure that differs from the final one: most of it has been counted, or a credit too many.
fn preliminary(credits: f64) -> f64 {
    if credits < 2.0 {
        credits + 1.0
    } else {
        (credits * 0.8).floor()
    }
}

/// A version 4 UUID that depends on nothing but the arguments.
fn identifier(seed: u64, index: usize) -> String {
    let agent_seed = draw(seed, Stream::Identity, index as u64);
    let high = draw(agent_seed, Stream::Identity, 0);
    let low = draw(agent_seed, Stream::Identity, 1);
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0x0fff,
        low >> 48 & 0x3fff | 0x8000,
        low & 0xffff_ffff_ffff,
    )
}

#[cfg(test)]
mod tests {
    use super::super::AccountSettings;
    use super::*;

    fn world(late_share: f64, revised_share: f64) -> World {
        World::new(&Settings {
            late_share,
            revised_share,
            ..Settings::demo(1)
        })
    }

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    #[test]
    fn identifiers_are_stable_uuids() {
        let world = world(0.0, 0.0);
        assert_eq!(
            &*world.agents("acme")[0].id,
            "c3298653-2276-467d-b1c7-03d7fcfcacea"
        );
        let all: std::collections::HashSet<_> =
            (0..1000).map(|index| identifier(1, index)).collect();
        assert_eq!(all.len(), 1000);
    }

    #[test]
    fn a_day_is_known_once_it_is_over() {
        let world = world(0.0, 0.0);
        let agent = &world.agents("acme")[0];
        let today = day("2026-11-23");
        assert_eq!(
            world.truth(agent, today, today.end() - TimeDelta::seconds(1)),
            None
        );
        assert_eq!(
            world.truth(agent, today, today.end()),
            Some(world.final_truth(agent, today))
        );
    }

    #[test]
    fn nothing_was_used_before_tracking_started() {
        let world = world(0.0, 0.5);
        let now = TRACKING_START.end();
        for agent in world.agents("globex") {
            for days in 1..40 {
                assert_eq!(
                    world.truth(agent, TRACKING_START.plus(-days), now),
                    Some(0.0)
                );
            }
        }
    }

    /// For each of 12 agents × 100 days: hours after its end until the day is known, and until it
    /// has its final figure.
    fn delays(world: &World) -> Vec<(i64, i64)> {
        let agents = world.accounts().iter().flat_map(|account| &account.agents);
        agents
            .flat_map(|agent| {
                (0..100).map(move |number| {
                    let day = day("2026-01-01").plus(number);
                    let seen = |hour| world.truth(agent, day, day.end() + TimeDelta::hours(hour));
                    let known = (0..).find(|hour| seen(*hour).is_some()).unwrap();
                    let last = Some(world.final_truth(agent, day));
                    let right = (0..).find(|hour| seen(*hour) == last).unwrap();
                    assert_eq!(seen(72), last);
                    (known, right)
                })
            })
            .collect()
    }

    #[test]
    fn a_share_of_the_days_comes_late() {
        let delays = delays(&world(0.2, 0.0));
        let late = delays.iter().filter(|(known, _)| *known > 0).count();
        assert!((180..300).contains(&late), "{late}");
        assert!(
            delays
                .iter()
                .all(|(known, right)| known == right && (*known == 0 || (2..=30).contains(known)))
        );
    }

    #[test]
    fn a_share_of_the_days_is_revised_a_day_or_two_later() {
        let delays = delays(&world(0.0, 0.2));
        let revised = delays.iter().filter(|(_, right)| *right > 0).count();
        assert!((180..300).contains(&revised), "{revised}");
        assert!(
            delays
                .iter()
                .all(|(known, right)| *known == 0 && (*right == 0 || (24..=48).contains(right)))
        );
    }

    #[test]
    fn what_is_set_from_outside_holds_at_once() {
        let world = world(0.0, 1.0);
        let agent = &world.agents("acme")[1];
        let day = day("2026-11-20");
        world.set_credits(agent, day, 2.5);
        assert_eq!(world.truth(agent, day, day.end()), Some(2.5));
        world.chat(agent, day, 1.0);
        assert_eq!(world.final_truth(agent, day), 3.5);
        world.set_credits(agent, day, 3.5);
        assert_eq!(world.final_truth(agent, day), 3.5);
        let until = day.end() + TimeDelta::days(9);
        world.set_late(agent, day, until);
        assert_eq!(world.truth(agent, day, until - TimeDelta::seconds(1)), None);
        assert_eq!(world.truth(agent, day, until), Some(3.5));
        assert_eq!(
            world.truth(agent, day.previous(), until),
            Some(world.final_truth(agent, day.previous()))
        );
    }

    #[test]
    fn a_rotated_key_replaces_the_old_one() {
        let world = world(0.0, 0.0);
        let old = world.key("acme");
        world.set_key("acme", Secret::new("test-key-acme-2"));
        assert!(world.owner(old.expose()).is_none());
        assert_eq!(
            world.owner("test-key-acme-2").map(|a| &*a.name),
            Some("acme")
        );
    }

    #[test]
    #[should_panic(expected = "two simulated agents have the id twin")]
    fn two_agents_with_one_id_are_refused() {
        let mut account = AccountSettings::numbered("acme", Secret::new("test-key-acme"), 2);
        for agent in &mut account.agents {
            agent.id = Some("twin".into());
        }
        let _ = World::new(&Settings {
            accounts: vec![account],
            ..Settings::demo(1)
        });
    }
}
