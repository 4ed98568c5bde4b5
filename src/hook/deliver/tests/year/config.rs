//! The config of the year: budgets whose periods, matchers and thresholds overlap, every kind of rule,
//! and four hooks that want to be told in different ways.

use std::path::Path;

use crate::config::Config;
use crate::day::Day;
use crate::simulator::{Simulator, World};

/// Which of the configs it is. Each is in use until the next one comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Edition {
    First,
    /// An agent and a rule are gone, a budget is larger and another one is new.
    Second,
    /// An agent is new.
    Third,
}

/// The agent that is in the first config only.
pub(super) const GONE: &str = "campaigns";
/// The agent that is in the third config only.
pub(super) const NEW: &str = "spare";

const HOOKS: &str = r#"
[[hook]]
name = "ops"
kind = "webhook"
url_file = "hook.url"

[[hook]]
name = "chat"
kind = "webhook"
url_file = "hook.url"
group = true

[[hook]]
name = "night"
kind = "webhook"
url_file = "hook.url"
quiet_hours = "22:00-07:00"
time_zone = "Europe/Amsterdam"

[[hook]]
name = "bills"
kind = "webhook"
url_file = "hook.url"
group = true
send_resolved = false
"#;

/// Makes the files that the config names.
pub(super) fn write_files(folder: &Path, simulator: &Simulator) {
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    write("hook.url", "https://hooks.example/");
    for account in simulator.world().accounts() {
        let key = simulator.world().key(&account.name);
        write(&format!("{}.key", account.name), key.expose());
    }
}

/// The config as of `today`. The limits are such that they are reached in some periods between `from`
/// and `through`, and in others not.
pub(super) fn config(
    edition: Edition,
    simulator: &Simulator,
    folder: &Path,
    (from, through): (Day, Day),
    today: Day,
) -> Config {
    let world = simulator.world();
    let mean = |account: &str| mean(world, account, from, through);
    let text = format!(
        "[storage]\npath = \"ledger.db\"\n\
         [api]\nbase_url = \"{}\"\nrequests_per_second = 1000\nconcurrency = 2\n{}{}{}{HOOKS}",
        simulator.base_url(),
        accounts(world, edition),
        budgets(edition, mean("acme"), mean("globex")),
        rules(edition, mean("acme"), mean("globex")),
    );
    let path = folder.join("config.toml");
    Config::parse(&text, &path, today).unwrap_or_else(|error| panic!("{error}"))
}

/// Credits that all agents of an account use on an average day.
fn mean(world: &World, account: &str, from: Day, through: Day) -> f64 {
    let days = from.through(through);
    let agents = world.agents(account).iter();
    let sum: f64 = agents
        .flat_map(|agent| days.clone().map(|day| world.final_truth(agent, day)))
        .sum();
    sum / days.count() as f64
}

fn accounts(world: &World, edition: Edition) -> String {
    let mut text = String::new();
    for account in world.accounts() {
        let name = &account.name;
        text += &format!("[[account]]\nname = \"{name}\"\napi_key_file = \"{name}.key\"\n");
        for agent in &account.agents {
            let (id, name) = (&agent.id, &agent.name);
            let is_there = match &**name {
                GONE => edition == Edition::First,
                NEW => edition == Edition::Third,
                _ => true,
            };
            if !is_there {
                continue;
            }
            let team = if name.starts_with('s') {
                "front"
            } else {
                "back"
            };
            text += &format!(
                "[[account.agent]]\nid = \"{id}\"\nname = \"{name}\"\nlabels = {{ team = \"{team}\" }}\n"
            );
        }
    }
    text
}

fn budgets(edition: Edition, acme: f64, globex: f64) -> String {
    let all = acme + globex;
    let raised = if edition == Edition::Second {
        1.25
    } else {
        1.0
    };
    let mut text = format!(
        r#"
[[budget]]
name = "all-month"
credits = {month}
period = "month"
anchor_day = 31
thresholds = [{{ at = 0.5, severity = "info" }}, 0.6, 0.7, 0.8, 0.9, 1.0]
forecast_thresholds = [0.8, 1.0]
hooks = ["ops", "chat", "night", "bills"]

[[budget]]
name = "front-week"
match = {{ team = "front" }}
credits = {week}
period = "week"
thresholds = [0.9, 1.0]
forecast_thresholds = [1.0]
hooks = ["chat", "bills"]

[[budget]]
name = "acme-day"
match = {{ account = "acme" }}
credits = {day}
period = "day"
thresholds = [{{ at = 1.0, severity = "warning" }}, 2.0]
forecast_thresholds = []
hooks = ["ops"]

[[budget]]
name = "globex-total"
match = {{ account = {{ regex = "glo.*" }} }}
credits = {total}
period = "total"
start = "2026-01-15"
hooks = ["night"]
"#,
        month = (raised * all * 30.0).round(),
        week = (acme * 0.9 * 7.0).round(),
        day = (acme * 1.4).round(),
        total = (globex * 240.0).round(),
    );
    if edition > Edition::First {
        let week = (all * 6.5).round();
        text += &format!(
            "[[budget]]\nname = \"late-week\"\ncredits = {week}\nperiod = \"week\"\nhooks = [\"chat\"]\n"
        );
    }
    text
}

fn rules(edition: Edition, acme: f64, globex: f64) -> String {
    let mut text = format!(
        r#"
[[rule]]
name = "busy-day"
kind = "usage"
over = {busy}
hysteresis = 0.3
severity = "info"
hooks = ["bills", "night"]

[[rule]]
name = "busy-week"
kind = "usage"
span = "previous_7_days"
per = "account"
over = {week}
hysteresis = 0.1
hooks = ["ops", "chat"]

[[rule]]
name = "busy-month"
kind = "usage"
match = {{ account = "acme" }}
span = "month_to_date"
per = "total"
over = {month}
hooks = ["night", "bills"]

[[rule]]
name = "spike"
kind = "spike"
factor = 3.0
floor = 20
hooks = ["ops", "chat", "night"]

[[rule]]
name = "stale"
kind = "missing_data"
longer_than = "30h"
hooks = ["ops", "chat"]

[[rule]]
name = "keys"
kind = "key_refused"
hooks = ["ops", "chat", "night"]

[[rule]]
name = "agents"
kind = "agent_refused"
severity = "critical"
hooks = ["ops"]
"#,
        busy = (acme * 0.6).round(),
        week = (acme * 7.0).round(),
        month = (acme * 15.0).round(),
    );
    if edition == Edition::First {
        // It always fires, until it is gone.
        let ever = (globex * 3.0).round();
        text += &format!(
            r#"
[[rule]]
name = "ever"
kind = "usage"
span = "previous_30_days"
per = "account"
over = {ever}
hooks = ["ops", "night"]
"#
        );
    }
    text
}
