//! Everything that FlowGent can do wrong: what is published is true or absent, the operator is told
//! once, and in the end nothing is lost.

use flowgent_exporter::secret::Secret;
use flowgent_exporter::simulator::{
    AccountSettings, Agent, Endpoint, FAULTS, Fault, RetryAfter, Rule, Scope, Settings, Times,
};

use crate::harness::{Exporter, Scene, Scrape, settings};

/// What a fault that strikes at every request comes to.
struct Expected {
    fault: &'static str,
    /// The label `outcome` of the requests that met it.
    outcome: &'static str,
    /// How many requests one window takes then.
    requests: u64,
    /// What becomes of the agent.
    agent: Fate,
}

#[derive(PartialEq)]
enum Fate {
    /// Yesterday is absent and the agent is down.
    Down,
    /// Yesterday is absent, but the answer was good.
    Late,
    /// Everything is there.
    Unharmed,
}

const fn expected(
    fault: &'static str,
    outcome: &'static str,
    requests: u64,
    agent: Fate,
) -> Expected {
    Expected {
        fault,
        outcome,
        requests,
        agent,
    }
}

/// A try and three more, for what may be better a moment later; one for what is said on purpose.
const TABLE: [Expected; FAULTS.len()] = [
    expected("401", "invalid_key", 1, Fate::Down),
    expected("403", "access_denied", 1, Fate::Down),
    expected("429", "rate_limited", 4, Fate::Down),
    expected("429-date", "rate_limited", 4, Fate::Down),
    expected("500", "server_error", 4, Fate::Down),
    expected("502", "server_error", 4, Fate::Down),
    expected("503", "unavailable", 4, Fate::Down),
    expected("hang", "timeout", 4, Fate::Down),
    expected("drip", "timeout", 4, Fate::Down),
    expected("cut", "interrupted", 4, Fate::Down),
    expected("oversized", "too_large", 1, Fate::Down),
    expected("gzip-bomb", "too_large", 1, Fate::Down),
    expected("html", "not_json", 1, Fate::Down),
    expected("redirect", "redirect", 1, Fate::Down),
    expected("wrong-total", "contract", 1, Fate::Down),
    expected("missing-day", "ok", 1, Fate::Late),
    expected("duplicate-day", "ok", 1, Fate::Unharmed),
    expected("contradicting-day", "contract", 1, Fate::Down),
    expected("foreign-agent", "contract", 1, Fate::Down),
    expected("foreign-day", "contract", 1, Fate::Down),
    expected("negative-day", "contract", 1, Fate::Down),
    expected("huge-value", "contract", 1, Fate::Down),
    expected("malformed-date", "contract", 1, Fate::Down),
    expected("contradicting-range", "contract", 1, Fate::Down),
    // These spoil other endpoints.
    expected("no-credits", "ok", 1, Fate::Unharmed),
    expected("chat-unavailable", "ok", 1, Fate::Unharmed),
    expected("chat-failed", "ok", 1, Fate::Unharmed),
    expected("no-whatsapp", "ok", 1, Fate::Unharmed),
];

/// An account per fault, named after it, with an agent that it will strike and one that it will not.
fn an_account_per_fault() -> Settings {
    let accounts = FAULTS.iter().map(|(name, ..)| {
        let key = Secret::new(&format!("test-key-{name}"));
        AccountSettings::named(name, key, &["neighbour", "victim"])
    });
    Settings {
        accounts: accounts.collect(),
        ..settings()
    }
}

/// A config by which what hangs is given up soon.
fn impatient(scene: &Scene) -> String {
    scene.config("").replace("\"30s\"", "\"2s\"")
}

fn victim(scene: &Scene, row: &Expected) -> Agent {
    scene.agent(row.fault, "victim")
}

/// What the exporter says about requests of the row's account with the row's outcome.
fn counted(scrape: &Scrape, row: &Expected) -> f64 {
    let Expected { fault, outcome, .. } = row;
    scrape
        .get(&format!(
            "flowgent_exporter_api_requests_total\
             {{account=\"{fault}\",endpoint=\"usage\",outcome=\"{outcome}\"}}"
        ))
        .unwrap()
}

/// How many agents of the row's account met a problem of the row's kind in the last sync.
fn problems(scrape: &Scrape, row: &Expected) -> Option<f64> {
    let Expected { fault, outcome, .. } = row;
    scrape.get(&format!(
        "flowgent_exporter_sync_last_problems{{account=\"{fault}\",kind=\"{outcome}\"}}"
    ))
}

/// In what a row's account is not as it should be, after the fault has struck at the victim's day.
fn misfortunes(scene: &Scene, scrape: &Scrape, row: &Expected) -> String {
    let victim = victim(scene, row);
    let of_victim = match row.agent {
        Fate::Unharmed => scene.gaps_of(&victim, scrape),
        Fate::Down | Fate::Late => {
            let up = if row.agent == Fate::Late { 1.0 } else { 0.0 };
            let figures = ["previous_day_credits", "missing_days", "up"];
            let found = figures.map(|family| scrape.of(&victim, family));
            if found == [None, Some(1.0), Some(up)] {
                String::new()
            } else {
                format!("{} {found:?}\n", row.fault)
            }
        }
    };
    // A refused key may have kept the neighbour from being asked.
    let of_neighbour = if row.outcome == "invalid_key" {
        String::new()
    } else {
        scene.gaps_of(&scene.agent(row.fault, "neighbour"), scrape)
    };
    of_victim + &of_neighbour
}

async fn wait_for_misfortunes(scene: &Scene, exporter: &Exporter, syncs: u32) -> Scrape {
    exporter.wait_for_syncs(syncs).await;
    exporter
        .wait_until("each agent to fare as it must", |scrape| {
            let wrong: String = TABLE
                .iter()
                .map(|row| misfortunes(scene, scrape, row))
                .collect();
            assert_eq!(scene.untruths(scrape), "");
            wrong.is_empty()
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_stays_with_its_agent_is_told_once_and_leaves_no_trace() {
    let names = FAULTS.map(|(name, ..)| name);
    assert_eq!(names, TABLE.each_ref().map(|row| row.fault));
    let scene = Scene::with("2026-03-04T09:00:00", an_account_per_fault());
    scene.write("config.toml", &impatient(&scene));
    let exporter = scene.start().await;
    let good = exporter.wait_until_whole(&scene).await;
    scene.simulator.journal().clear();

    for (row, (_, fault, _)) in TABLE.iter().zip(FAULTS) {
        let faults = scene.simulator.faults();
        faults.add_for(&victim(&scene, row), fault, Times::Always);
    }
    let mut told = 0;
    for (syncs, now) in [(2, "2026-03-05T00:10:00"), (3, "2026-03-05T00:25:00")] {
        scene.set_time(now);
        let scrape = wait_for_misfortunes(&scene, &exporter, syncs).await;
        for row in &TABLE {
            let tried = u64::from(syncs - 1);
            let times = if row.agent == Fate::Unharmed {
                1
            } else {
                tried
            };
            let asked = scene
                .simulator
                .journal()
                .count(&victim(&scene, row), Endpoint::Usage);
            assert_eq!(asked, row.requests * times, "{}", row.fault);
            if row.outcome != "ok" {
                let counted = counted(&scrape, row) - counted(&good, row);
                assert_eq!(counted, asked as f64, "{}", row.fault);
                assert_eq!(problems(&scrape, row), Some(1.0), "{}", row.fault);
            }
        }
        let log = exporter.log();
        let warnings = log.lines().filter(|line| line.contains("level=warn"));
        let warnings: Vec<&str> = warnings.collect();
        for row in TABLE.iter().filter(|row| row.agent == Fate::Down) {
            let what = format!("account={} kind={} ", row.fault, row.outcome);
            let count = warnings.iter().filter(|line| line.contains(&what)).count();
            assert_eq!(count, 1, "{what}\n{log}");
        }
        let down = TABLE.iter().filter(|row| row.agent == Fate::Down).count();
        assert_eq!(warnings.len(), down, "{log}");
        assert!(!log.contains("level=error"), "{log}");
        told = warnings.len();
    }

    scene.simulator.faults().clear();
    scene.set_time("2026-03-05T00:55:00");
    exporter.wait_until_whole(&scene).await;
    let scrape = exporter.wait_for_syncs(4).await;
    for row in TABLE.iter().filter(|row| row.outcome != "ok") {
        assert_eq!(problems(&scrape, row), Some(0.0), "{}", row.fault);
    }
    let log = exporter.stop().await;
    assert_eq!(log.matches("level=warn").count(), told, "{log}");
    scene.assert_ledger_is_the_truth().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_in_which_a_fifth_of_all_requests_fail_ends_with_the_whole_truth() {
    let scene = Scene::new("2026-03-04T00:30:00");
    scene.write("config.toml", &impatient(&scene));
    for (_, fault, _) in FAULTS {
        let share = 0.2 / FAULTS.len() as f64;
        let times = Times::Share(share);
        scene.simulator.faults().add_everywhere(fault, times);
    }
    let exporter = scene.start().await;
    let mut now = scene.today().start() + chrono::TimeDelta::minutes(30);
    for syncs in 1.. {
        let scrape = exporter.wait_for_syncs(syncs).await;
        assert_eq!(scene.untruths(&scrape), "");
        let complete = "flowgent_exporter_syncs_total{outcome=\"complete\"}";
        if scrape.get(complete) == Some(1.0) {
            break;
        }
        now += chrono::TimeDelta::hours(2);
        scene.set_time(&now.format("%Y-%m-%dT%H:%M:%S").to_string());
    }
    assert!(scene.simulator.faults().met() > 0);
    exporter.stop().await;
    scene.assert_ledger_is_the_truth().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_while_flowgent_is_down_gives_up_soon_and_completes_by_itself_later() {
    let scene = Scene::new("2026-03-04T09:00:00");
    let down = Fault::Status(502, None);
    scene.simulator.faults().add_everywhere(down, Times::Always);
    let exporter = scene.start().await;
    let scrape = exporter.wait_for_syncs(1).await;
    let failed = "flowgent_exporter_syncs_total{outcome=\"failed\"}";
    assert_eq!(scrape.get(failed), Some(1.0));
    assert_eq!(scrape.get("flowgent_exporter_windows_left"), Some(50.0));
    // Per account: twenty windows, and what was under way beside the last of them.
    assert!(scene.simulator.journal().total() <= 2 * 23 * 4);
    let agents = scene.agents();
    let every = |value| move |scrape: &Scrape| agents.iter().all(|a| scrape.of(a, "up") == value);
    exporter
        .wait_until("all to be down", every(Some(0.0)))
        .await;
    // One for each account, and that nothing was had at all.
    assert_eq!(exporter.logged("level=warn"), 3);

    scene.simulator.faults().clear();
    scene.set_time("2026-03-04T09:15:00");
    let scrape = exporter.wait_until_whole(&scene).await;
    assert_eq!(scrape.get("flowgent_exporter_windows_left"), Some(0.0));
    exporter.stop().await;
    scene.assert_ledger_is_the_truth().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_told_to_wait_is_left_alone_and_delays_neither_the_other_nor_the_end() {
    let scene = Scene::new("2026-03-04T09:00:00");
    let wait = Fault::Status(429, Some(RetryAfter::Seconds(300)));
    scene.simulator.faults().add(Rule {
        fault: wait,
        scope: Scope::Account("acme".to_owned()),
        times: Times::Always,
    });
    let exporter = scene.start().await;
    let (good, waiting): (Vec<Agent>, Vec<Agent>) = scene
        .agents()
        .into_iter()
        .partition(|agent| &*agent.account == "globex");
    exporter
        .wait_until("the other account", |scrape| {
            good.iter().all(|a| scene.gaps_of(a, scrape).is_empty())
        })
        .await;
    let asked = |agents: &[Agent]| -> u64 {
        let count = |agent| scene.simulator.journal().count(agent, Endpoint::Usage);
        agents.iter().map(count).sum()
    };
    // Not more than were under way when the first of them was refused.
    assert!((1..=4).contains(&asked(&waiting)), "{}", asked(&waiting));
    let scrape = exporter.scrape().await;
    assert_eq!(scrape.get("flowgent_exporter_sync_running"), Some(1.0));
    exporter.stop().await;
    assert!((1..=4).contains(&asked(&waiting)), "{}", asked(&waiting));

    // Told to wait for longer than a sync does, it is left to the next one at once.
    scene.simulator.faults().clear();
    let wait = Fault::Status(429, Some(RetryAfter::Seconds(600)));
    scene.simulator.faults().add_everywhere(wait, Times::Always);
    let before = asked(&waiting);
    let exporter = scene.start().await;
    let scrape = exporter.wait_for_syncs(1).await;
    assert_eq!(scrape.get("flowgent_exporter_windows_left"), Some(30.0));
    assert!((1..=4).contains(&(asked(&waiting) - before)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_that_a_sync_starts_that_all_fails_and_which_key_is_refused() {
    let scene = Scene::new("2026-03-04T09:00:00");
    scene.write("acme.key", "test-key-nobody");
    scene.simulator.faults().add(Rule {
        fault: Fault::Status(500, None),
        scope: Scope::Account("globex".into()),
        times: Times::Always,
    });
    let exporter = scene.start().await;
    let ended =
        |trigger: &str| format!("level=warn msg=\"sync ended\" trigger={trigger} outcome=failed");
    exporter.wait_for_log(&ended("startup")).await;
    assert_eq!(
        exporter.logged("level=info msg=\"sync started\" trigger=startup"),
        1
    );
    let refused = "kind=invalid_key requests=0 key=\"file `acme.key`\"";
    exporter.wait_for_log(refused).await;
    // Its problems are logged already; the total failure is logged again.
    scene.set_time("2026-03-04T09:15:01");
    exporter.wait_for_log(&ended("retry")).await;
    assert_eq!(exporter.logged(refused), 1);
}
