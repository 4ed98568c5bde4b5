//! An exporter in whose life something happens: late and revised days, budgets and rules that fire, hooks
//! that take what they are sent and hooks that do not.

use chrono::{DateTime, TimeDelta, Utc};
use flowgent_exporter::day::Day;
use flowgent_exporter::simulator::{Agent, AgentSettings};

use crate::alerts::webhook;
use crate::harness::{Exporter, Habit, Receiver, Scene, Scrape, settings};

/// An agent whose name needs escaping in patterns and texts.
pub const ODD_NAME: &str = "R&D (o'ne+)";
/// Labels of agents: account, name, and what stands in the config.
const LABELS: [(&str, &str, &str); 3] = [
    ("acme", "support", "{ team = \"cx\", tier = \"1\" }"),
    ("acme", "sales", "{ team = \"growth\" }"),
    ("globex", "shop", "{ team = \"cx\" }"),
];
/// What fires whatever the day, and what is used up soon.
const ALERTING: &str = "\
[[budget]]
name = \"all-month\"
credits = 100
period = \"month\"
hooks = [\"ops\", \"broken\"]
[[budget]]
name = \"cx-week\"
match = { team = \"cx\" }
credits = 1e6
period = \"week\"
hooks = [\"ops\"]
[[rule]]
name = \"busy\"
kind = \"usage\"
over = 1
span = \"previous_30_days\"
hooks = [\"ops\", \"broken\"]
[[rule]]
name = \"missing-data\"
kind = \"missing_data\"
hooks = [\"ops\"]
[[probe]]
name = \"ping\"
account = \"acme\"
agent = \"support\"
message = \"OK?\"
cron = \"* * * * * *\"
";

/// The agent of which days are missing.
pub fn late(scene: &Scene) -> Agent {
    scene.agent("globex", "returns")
}

/// The days of it that are missing; the newer one is there an hour later.
pub fn late_days(today: Day) -> [Day; 2] {
    [today.plus(-41), today.plus(-40)]
}

/// Everything at work at `now`, after a day on which some figures were revised. The receivers are those
/// of its hooks, of which the second refuses everything.
pub async fn lively(now: DateTime<Utc>) -> (Scene, Exporter, [Receiver; 2]) {
    let text = |time: DateTime<Utc>| time.format("%Y-%m-%dT%H:%M:%S").to_string();
    let mut settings = settings();
    settings.accounts[1].agents.push(AgentSettings {
        name: ODD_NAME.to_owned(),
        id: None,
    });
    let scene = Scene::with(&text(now), settings);
    let receivers = [Receiver::start().await, Receiver::start().await];
    receivers[1].set_habit(Habit::Status(500));
    scene.write("config.toml", &config(&scene, &receivers));

    let today = scene.today();
    let world = scene.simulator.world();
    for (day, hours) in late_days(today).into_iter().zip([24 * 3650, 1]) {
        world.set_late(&late(&scene), day, now + TimeDelta::hours(hours));
    }
    scene.set_time(&text(now - TimeDelta::days(1)));
    let exporter = scene.start().await;
    exporter.wait_for_syncs(1).await;
    for (name, change) in [("support", 7.0), ("sales", -1.0)] {
        let agent = scene.agent("acme", name);
        let day = today.plus(-2);
        let credits = scene.truth(&agent, day) + change;
        world.set_credits(&agent, day, credits.max(0.0));
    }
    scene.set_time(&text(now));
    exporter
        .wait_until("a whole day, and everybody told of it", |scrape| {
            is_whole(&scene, scrape) && is_told(scrape)
        })
        .await;
    (scene, exporter, receivers)
}

fn config(scene: &Scene, receivers: &[Receiver; 2]) -> String {
    let mut config = scene.config("");
    for (account, name, labels) in LABELS {
        let agent = scene.agent(account, name);
        let place = format!("id = \"{}\"\nname = \"{name}\"\n", agent.id);
        assert!(config.contains(&place), "{config}");
        config = config.replace(&place, &format!("{place}labels = {labels}\n"));
    }
    // At midnight, so that days which may still change are asked for again whatever the time of day.
    let config = config.replace("jitter = \"0s\"", "jitter = \"0s\"\ncron = \"0 0 0 * * *\"");
    let hooks = ["ops", "broken"].into_iter().zip(receivers);
    let hooks: String = hooks
        .map(|(name, receiver)| webhook(scene, name, receiver, ""))
        .collect();
    let balance = balance(scene);
    format!("{config}\n{ALERTING}{balance}{hooks}")
}

/// A balance that lasts about as long again as it has lasted, a month.
fn balance(scene: &Scene) -> String {
    let (first, last) = (scene.today().plus(-30), scene.today().previous());
    let agents = ["support", "sales", "legal"].map(|name| scene.agent("acme", name));
    let used: f64 = agents
        .iter()
        .map(|agent| scene.sum(agent, first, last))
        .sum();
    format!(
        "[[balance]]\nname = \"acme\"\nmatch = {{ account = \"acme\" }}\n\
         entries = [{{ on = \"{first}\", set = {} }}]\nhooks = [\"ops\"]\n",
        (used * 2.0).round()
    )
}

/// Whether yesterday is known of all agents, and both revisions have been seen.
fn is_whole(scene: &Scene, scrape: &Scrape) -> bool {
    let midnight = scene.today().start().timestamp() as f64;
    let agents = scene.agents();
    let mut known = agents
        .iter()
        .map(|agent| scrape.of(agent, "known_through_timestamp_seconds"));
    known.all(|known| known == Some(midnight))
        && scrape.sum("flowgent_agent_revised_days_total") >= 2.0
        && scrape.get("flowgent_exporter_sync_running") == Some(0.0)
}

/// Whether the rules have been evaluated since the last sync, and the broken hook has been tried.
fn is_told(scrape: &Scrape) -> bool {
    let of_exporter =
        |name: &str| scrape.get(&format!("flowgent_exporter_{name}_timestamp_seconds"));
    let tried = "flowgent_hook_deliveries_total{hook=\"broken\",outcome=\"failed\"}";
    of_exporter("alert_last_evaluation") >= of_exporter("sync_last_end")
        && scrape.get(tried).is_some_and(|tried| tried > 0.0)
        && scrape.get("flowgent_hook_pending_deliveries{hook=\"ops\"}") == Some(0.0)
}
