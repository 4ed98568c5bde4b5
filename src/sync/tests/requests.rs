//! Number of requests to FlowGent, compared with the fewest that can do: filling takes one per agent
//! and 31 days, a day one per agent, a refused key one, a list of agents one.

use chrono::{DateTime, Utc};

use super::super::cron::parse_cron;
use super::super::schedule::{self, Schedule};
use super::*;
use crate::balance::{Book, Change, Days, Entries, Entry, Reach};
use crate::budget::Cycle;
use crate::day::Day;
use crate::flowgent::tests::server::{Server, answer};
use crate::roster::{Matcher, Pattern};
use crate::secret::Secret;
use crate::simulator::{AccountSettings as SimulatedAccount, Agent as SimulatedAgent};
use crate::simulator::{Endpoint, Fault, Listing, Settings as World, Simulator, Times};

fn at(text: &str) -> DateTime<Utc> {
    format!("{text}Z").parse().unwrap()
}

/// A simulated FlowGent with one account of four agents, and what a worker has of it.
struct Stage {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    simulator: Simulator,
    cron: &'static str,
    discover: bool,
    max_discovered: usize,
    policy: Policy,
    reaches: Vec<Reach>,
    base_url: String,
    /// None between two runs of the program.
    program: Option<(Syncer, Schedule, Ledger)>,
}

impl Stage {
    /// It is first started at `now`, and polls as `cron` says.
    async fn new(now: &str, cron: &'static str, discover: bool) -> Self {
        let clock = ManualClock::at(at(now));
        let agents = ["one", "two", "three", "four"];
        let world = World {
            seed: 7,
            accounts: vec![SimulatedAccount::named("acme", Secret::new("k"), &agents)],
            late_share: 0.0,
            revised_share: 0.0,
            record_requests: true,
            listing: Listing {
                field: Some("agents".to_owned()),
                ..Listing::default()
            },
        };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("acme.key"), "k").unwrap();
        let simulator = Simulator::start(&world, clock.clone(), listener).unwrap();
        let mut stage = Self {
            folder,
            clock,
            max_discovered: 10_000,
            policy: POLICY,
            reaches: Vec::new(),
            base_url: simulator.base_url(),
            simulator,
            cron,
            discover,
            program: None,
        };
        stage.restart().await;
        stage
    }

    fn agent(&self, place: usize) -> SimulatedAgent {
        self.simulator.world().agents("acme")[place].clone()
    }

    fn agent_of(&self, id: &str) -> SimulatedAgent {
        self.simulator.world().agent(id).unwrap().clone()
    }

    fn account(&self) -> AccountSettings {
        let named = self.simulator.world().agents("acme").iter();
        let named = named.filter(|_| !self.discover).map(|agent| Agent {
            account: "acme".into(),
            id: Arc::clone(&agent.id),
            name: Arc::clone(&agent.name),
            labels: Default::default(),
        });
        AccountSettings {
            name: "acme".into(),
            api_key: SecretSource::File(self.folder.path().join("acme.key")),
            labels: Default::default(),
            discover: self.discover,
            max_discovered: self.max_discovered,
            agents_file: None,
            agents: named.collect(),
        }
    }

    /// Ends the program, if it runs, and starts it anew.
    async fn restart(&mut self) {
        if let Some((syncer, _, ledger)) = self.program.take() {
            drop(syncer);
            ledger.close().await;
        }
        let telemetry = Telemetry::new();
        let path = self.folder.path().join("ledger.db");
        let ledger = Ledger::open(&path, self.policy, &telemetry).unwrap();
        let api = flowgent::Settings {
            base_url: self.base_url.parse().unwrap(),
            timeout: Duration::from_secs(10),
            requests_per_second: 1e6,
            concurrency: 4,
            roots: Roots::Bundled,
        };
        let http = HttpClient::new(&api).unwrap();
        let clock: SharedClock = self.clock.clone();
        let accounts = [self.account()];
        let kept = ledger.clone();
        let syncer = Syncer::new(&accounts, self.policy, &api, &http, kept, clock, &telemetry)
            .reaching(self.reaches.clone());
        let settings = schedule::Settings {
            cron: parse_cron(self.cron).unwrap(),
            jitter: Duration::ZERO,
        };
        let schedule = Schedule::new(&settings, 7, self.clock.now());
        self.program = Some((syncer, schedule, ledger));
    }

    /// Does what the schedule says until `end`. Returns how many requests that took.
    async fn run(&mut self, end: &str) -> u64 {
        let before = self.simulator.journal().total();
        let (syncer, schedule, _) = self.program.as_mut().unwrap();
        let observer: Observer = Arc::new(|_| {});
        while self.clock.now() < at(end) {
            let now = self.clock.now();
            let Some(trigger) = schedule.due(now) else {
                self.clock.set(schedule.next(now).min(at(end)));
                continue;
            };
            let as_of = schedule.as_of();
            let wanted = Wanted::AsOf(trigger, as_of);
            let stop = CancellationToken::new();
            let report = syncer.run(&wanted, &observer, &stop).await.unwrap();
            schedule.finished(report.rest(as_of), self.clock.now());
        }
        self.simulator.journal().total() - before
    }

    /// Number of requests about an agent so far.
    fn of_agent(&self, place: usize) -> u64 {
        let journal = self.simulator.journal();
        journal.count(&self.agent(place), Endpoint::Usage)
    }
}

/// The fewest requests for so many days of an agent.
fn filling(days: i32) -> u64 {
    u64::try_from(days).unwrap().div_ceil(31)
}

const DAILY: &str = "0 10 0 * * *";

#[tokio::test]
async fn filling_and_polling_and_restarting_take_the_fewest_requests() {
    let mut stage = Stage::new("2026-11-23T09:00:00", DAILY, false).await;
    let days = Day::of(at("2026-11-23T00:00:00")).since(TRACKING_START);
    assert_eq!(stage.run("2026-11-23T12:00:00").await, 4 * filling(days));
    assert_eq!(stage.run("2026-12-03T12:00:00").await, 10 * 4);
    for (restart, end, polls) in [
        ("2026-12-03T13:00:00", "2026-12-03T14:00:00", 0),
        // Shortly before a poll, which is waited for.
        ("2026-12-04T00:02:00", "2026-12-04T00:09:00", 0),
        ("2026-12-04T00:09:30", "2026-12-04T09:00:00", 1),
        // One that was slept through.
        ("2026-12-06T13:00:00", "2026-12-06T14:00:00", 1),
    ] {
        stage.clock.set(at(restart));
        stage.restart().await;
        assert_eq!(stage.run(end).await, 4 * polls, "{restart}");
    }
}

#[tokio::test]
async fn a_first_start_shortly_before_the_poll_leaves_yesterday_to_it() {
    let mut stage = Stage::new("2026-11-23T00:03:00", DAILY, false).await;
    let days = Day::of(at("2026-11-23T00:00:00")).since(TRACKING_START);
    assert_eq!(
        stage.run("2026-11-23T00:09:00").await,
        4 * filling(days - 1)
    );
    assert_eq!(stage.run("2026-11-23T12:00:00").await, 4);
}

#[tokio::test]
async fn a_day_that_is_left_out_is_asked_for_often_on_its_first_day_and_then_daily() {
    let mut stage = Stage::new("2026-11-23T09:00:00", DAILY, false).await;
    stage.run("2026-11-23T12:00:00").await;
    let world = stage.simulator.world();
    let (never, tonight) = (stage.agent(0), stage.agent(1));
    let far = at("2030-01-01T00:00:00");
    world.set_late(&never, "2026-11-24".parse().unwrap(), far);
    let eight = at("2026-11-25T08:00:00");
    world.set_late(&tonight, "2026-11-24".parse().unwrap(), eight);
    let (before, others) = (stage.of_agent(0), stage.of_agent(3));
    let evening = stage.of_agent(1);
    stage.run("2026-11-25T00:00:00").await;
    assert_eq!(stage.of_agent(0) - before, 1, "the 23rd is there");
    // 00:10, 00:25, 00:55, 01:55, 03:55, 05:55, 07:55, and at 09:55 it is there.
    stage.run("2026-11-25T23:59:00").await;
    assert_eq!(stage.of_agent(1) - evening, 1 + 8);
    // Every two hours until 23:55, and not at 00:10 before the poll.
    assert_eq!(stage.of_agent(0) - before, 1 + 7 + 8);
    assert_eq!(stage.of_agent(3) - others, 2, "once a day");
    let first_day = stage.of_agent(0);
    assert_eq!(stage.run("2026-12-05T12:00:00").await, 10 * 4);
    assert_eq!(stage.of_agent(0) - first_day, 10);
    stage.restart().await;
    assert_eq!(stage.run("2026-12-05T18:00:00").await, 0, "a restart");
}

#[tokio::test]
async fn a_retry_leaves_a_day_to_its_poll() {
    let mut stage = Stage::new("2026-11-23T09:00:00", "0 18 0 * * *", false).await;
    stage.run("2026-11-23T12:00:00").await;
    let broken = stage.agent(0);
    let faults = stage.simulator.faults();
    faults.add_for(&broken, Fault::Html, Times::Always);
    let before: Vec<u64> = (0..4).map(|place| stage.of_agent(place)).collect();
    stage.run("2026-11-27T00:17:00").await;
    for (place, before) in before.iter().enumerate().skip(1) {
        assert_eq!(stage.of_agent(place) - before, 3, "agent {place}");
    }
}

#[tokio::test]
async fn a_refused_key_and_a_page_of_a_proxy_cost_one_request() {
    let mut stage = Stage::new("2026-11-23T09:00:00", DAILY, false).await;
    let world = stage.simulator.world();
    world.set_key("acme", Secret::new("another"));
    assert_eq!(stage.run("2026-11-23T09:10:00").await, 1);

    let page = answer(401, "", "<p>Log in to this proxy");
    let proxy = Server::repeating(page, 100).await;
    stage.base_url.clone_from(&proxy.url);
    stage.restart().await;
    let (syncer, ..) = stage.program.as_ref().unwrap();
    let (observer, stop): (Observer, _) = (Arc::new(|_| {}), CancellationToken::new());
    let wanted = Wanted::Due(Refresh::NotFetchedToday);
    let report = syncer.run(&wanted, &observer, &stop).await.unwrap();
    assert_eq!(proxy.unseen(), 1);
    // It says nothing about the key.
    let kinds: Vec<&str> = report.problems.iter().map(|problem| problem.kind).collect();
    assert_eq!(kinds, ["unexpected"]);
}

#[tokio::test]
async fn an_agent_that_is_refused_is_asked_for_often_on_the_first_day_and_then_daily() {
    let mut stage = Stage::new("2026-11-23T09:00:00", DAILY, false).await;
    stage.run("2026-11-23T12:00:00").await;
    let refused = stage.agent(2);
    let faults = stage.simulator.faults();
    faults.add_for(&refused, Fault::Status(403, None), Times::Always);
    // At 00:10, 00:25, 00:55, 01:55 and every two hours from there.
    assert_eq!(stage.run("2026-11-25T00:09:00").await, 4 + 3 + 11);
    assert_eq!(stage.run("2026-11-26T12:00:00").await, 2 * 4);
    // Not in the retries for another one, either.
    let broken = stage.agent(0);
    let faults = stage.simulator.faults();
    faults.add_for(&broken, Fault::Html, Times::Always);
    let before = stage.of_agent(2);
    stage.run("2026-11-27T12:00:00").await;
    assert_eq!(stage.of_agent(2) - before, 1);
}

#[tokio::test]
async fn a_list_of_agents_is_asked_for_once_a_poll() {
    let mut stage = Stage::new("2026-11-23T09:00:00", DAILY, true).await;
    let days = Day::of(at("2026-11-23T00:00:00")).since(TRACKING_START);
    assert_eq!(
        stage.run("2026-11-23T12:00:00").await,
        1 + 4 * filling(days)
    );
    assert_eq!(stage.run("2026-11-24T12:00:00").await, 1 + 4);
    // Late days of one agent have only this one asked for.
    let late = stage.agent(0);
    let until = at("2026-11-25T00:30:00");
    stage
        .simulator
        .world()
        .set_late(&late, "2026-11-24".parse().unwrap(), until);
    assert_eq!(stage.run("2026-11-25T12:00:00").await, 1 + 4 + 2);
    // One that is listed no more is asked for on three more days, and causes no retry.
    let gone = stage.agent(3);
    stage.simulator.world().set_listed(&gone, false);
    let faults = stage.simulator.faults();
    faults.add_for(&gone, Fault::Status(403, None), Times::Always);
    assert_eq!(stage.run("2026-11-28T12:00:00").await, 3 * (1 + 4));
    assert_eq!(stage.run("2026-11-30T12:00:00").await, 2 * (1 + 3));
}

#[tokio::test]
async fn of_too_many_agents_those_that_are_known_are_asked_for_and_then_the_first_ids() {
    let mut stage = Stage::new("2026-11-23T09:00:00", DAILY, true).await;
    let mut ids: Vec<Arc<str>> = (0..4).map(|place| stage.agent(place).id).collect();
    ids.sort_unstable();
    stage
        .simulator
        .world()
        .set_listed(&stage.agent_of(&ids[0]), false);
    // max_discovered, the first one listed or not -> who is asked for, and how many are not
    let table: [(usize, bool, &[usize], usize); 4] = [
        (2, false, &[1, 2], 1),
        (3, true, &[0, 1, 2], 1),
        (1, true, &[0], 3),
        (4, true, &[0, 1, 2, 3], 0),
    ];
    for (max, is_first_listed, expected, excess) in table {
        let first = stage.agent_of(&ids[0]);
        stage.simulator.world().set_listed(&first, is_first_listed);
        stage.max_discovered = max;
        stage.restart().await;
        let (syncer, _, ledger) = stage.program.as_ref().unwrap();
        let (observer, stop): (Observer, _) = (Arc::new(|_| {}), CancellationToken::new());
        let wanted = Wanted::Due(Refresh::NotFetchedToday);
        let report = syncer.run(&wanted, &observer, &stop).await.unwrap();
        let asked = report.members.iter().map(|report| &report.member.agent.id);
        let mut asked: Vec<&Arc<str>> = asked.collect();
        asked.sort_unstable();
        let expected: Vec<&Arc<str>> = expected.iter().map(|place| &ids[*place]).collect();
        assert_eq!(asked, expected, "{max}");
        let told = report.notes.iter().find_map(|note| match &note.kind {
            NoteKind::Excess {
                number,
                names,
                limit,
            } => Some((*number, names.len(), *limit)),
            _ => None,
        });
        assert_eq!(told, (excess > 0).then_some((excess, excess, max)), "{max}");
        assert_eq!(report.outcome(), Outcome::Complete);
        // Nobody has left.
        let absent = ledger
            .absent(Default::default(), TRACKING_START)
            .await
            .unwrap();
        assert!(
            absent.iter().all(|member| member.left_on.is_none()),
            "{max}"
        );
    }
}

#[tokio::test]
async fn a_budget_or_balance_has_earlier_days_asked_for_than_the_history_start_until_they_are_known()
 {
    let mut stage = Stage::new("2026-11-23T09:00:00", DAILY, false).await;
    stage.policy.history_start = "2026-11-20".parse().unwrap();
    let named = |name: &str| Matcher::new(vec![("agent".into(), Pattern::Equals(name.into()))]);
    let sets = ["2026-11-05", "2026-11-18"].map(|on| Entry {
        on: on.parse().unwrap(),
        change: Change::Set(1_000.0),
    });
    let book = Book::of("four", Entries::new(&sets).unwrap());
    stage.reaches = vec![
        Reach {
            matcher: named("one"),
            days: Days::Of(Cycle::Month { anchor_day: 1 }),
        },
        Reach {
            matcher: named("two"),
            days: Days::Of(Cycle::Day),
        },
        Reach {
            matcher: named("four"),
            days: Days::By(book),
        },
    ];
    stage.restart().await;
    assert_eq!(stage.run("2026-11-23T12:00:00").await, 4);
    let asked = |stage: &Stage, place| {
        let windows = stage.simulator.journal().windows(&stage.agent(place));
        windows
            .iter()
            .map(|(first, last)| format!("{first}..{last}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(asked(&stage, 0), ["2026-11-01..2026-11-22"]);
    assert_eq!(asked(&stage, 1), ["2026-11-15..2026-11-22"]);
    assert_eq!(asked(&stage, 2), ["2026-11-20..2026-11-22"]);
    // Also the account that the last `set` has closed is checked.
    assert_eq!(asked(&stage, 3), ["2026-11-05..2026-11-22"]);
    // They are known for good, also to a program that has just started.
    stage.restart().await;
    assert_eq!(stage.run("2026-11-23T13:00:00").await, 0);
    assert_eq!(stage.run("2026-12-01T12:00:00").await, 8 * 4);
    assert_eq!(asked(&stage, 0).last().unwrap(), "2026-11-27..2026-11-30");
}

#[tokio::test]
async fn a_list_that_says_that_it_is_not_whole_lets_nobody_leave() {
    let mut stage = Stage::new("2026-11-23T09:00:00", DAILY, true).await;
    stage.run("2026-11-23T12:00:00").await;
    let world = stage.simulator.world();
    world.set_listed(&stage.agent(0), false);
    let rest = serde_json::json!({"has_more": true});
    world.set_listing_rest(rest.as_object().unwrap().clone());
    stage.run("2026-11-29T12:00:00").await;
    let (syncer, ..) = stage.program.as_ref().unwrap();
    let members = syncer.known_members().await.unwrap();
    assert_eq!(members.len(), 4);
    assert!(members.iter().all(|member| member.unlisted_since.is_none()));
    let is_partial = &syncer.metrics.partial_listing;
    assert_eq!(is_partial.with_label_values(&["acme"]).get(), 1);
    // Once it is whole, whom it does not name leaves after three days.
    stage
        .simulator
        .world()
        .set_listing_rest(serde_json::Map::new());
    stage.run("2026-12-02T00:09:00").await;
    let (syncer, ..) = stage.program.as_ref().unwrap();
    assert_eq!(syncer.known_members().await.unwrap().len(), 4);
    stage.run("2026-12-03T12:00:00").await;
    let (syncer, ..) = stage.program.as_ref().unwrap();
    assert_eq!(syncer.known_members().await.unwrap().len(), 3);
}
