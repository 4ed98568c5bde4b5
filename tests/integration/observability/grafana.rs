//! The shipped dashboards in Grafana's own front end: `tests/grafana` draws them on real databases, follows
//! their links and fails on whatever a reader would find broken. Here those databases are filled, each with
//! what an exporter served over a day and a half of a clock that the test moves.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Timelike, Utc};
use flowgent_exporter::secret::Secret;
use flowgent_exporter::simulator::{AccountSettings, Agent, Fault, Settings, Times};
use serde_json::json;
use tokio::process::Command;

use super::{JOB, history};
use crate::alerts::webhook;
use crate::harness::{Exporter, Receiver, Scene, Scrape, Tsdb, instant};

/// The moment at which the dashboards are looked at.
const NOW: &str = "2026-03-19T17:40:00";
/// The address in the databases, whichever port the exporter had.
const INSTANCE: &str = "127.0.0.1:13569";
/// Budgets that are far, near, exceeded, and without a forecast; and rules, of which some fire.
const ALERTING: &str = "\
[[budget]]
name = \"all-month\"
credits = 90000
period = \"month\"
hooks = [\"ops\", \"broken\"]
[[budget]]
name = \"all-week\"
credits = 12000
period = \"week\"
hooks = [\"ops\"]
[[budget]]
name = \"cx-total\"
match = { team = \"cx\" }
credits = 1e7
period = \"total\"
hooks = [\"ops\"]
[[budget]]
name = \"accounts\"
per = \"account\"
credits = 60000
period = \"month\"
hooks = [\"ops\"]
[[balance]]
name = \"acme\"
match = { account = \"acme\" }
entries = [{ on = \"2026-03-01\", set = 30000 }, { on = \"2026-03-10\", add = 5000 }]
hooks = [\"ops\"]
[[balance]]
name = \"later\"
entries = [{ on = \"2026-04-01\", set = 30000 }]
[[rule]]
name = \"busy\"
kind = \"usage\"
over = 500
span = \"previous_30_days\"
hooks = [\"ops\"]
[[rule]]
name = \"missing-data\"
kind = \"missing_data\"
hooks = [\"ops\"]
";

/// A probe of an agent every other hour.
const PROBES: &str = "message = \"OK?\"\ncron = \"0 0 */2 * * *\"\n";

/// What a database holds.
struct Contents {
    name: &'static str,
    accounts: Vec<AccountSettings>,
    /// For how long the exporter has been scraped.
    scraped: TimeDelta,
    /// Whether its history was imported.
    is_imported: bool,
}

fn contents() -> [Contents; 4] {
    let key = |name: &str| Secret::new(&format!("test-key-{name}"));
    let several = || Settings::demo(1).accounts;
    let agency = ["acme", "globex", "initech", "umbrella"];
    [
        Contents {
            name: "one",
            accounts: vec![AccountSettings::named("acme", key("acme"), &["support"])],
            scraped: TimeDelta::hours(30),
            is_imported: true,
        },
        Contents {
            name: "several",
            accounts: several(),
            scraped: TimeDelta::hours(30),
            is_imported: true,
        },
        Contents {
            name: "many",
            accounts: agency
                .map(|name| AccountSettings::numbered(name, key(name), 60))
                .into(),
            scraped: TimeDelta::hours(3),
            is_imported: true,
        },
        // The first day: nothing is known of the database but what was scraped since noon.
        Contents {
            name: "first",
            accounts: several(),
            scraped: TimeDelta::hours(2),
            is_imported: false,
        },
    ]
}

/// The samples of series, as lines of OpenMetrics.
type Samples = BTreeMap<String, String>;

impl Contents {
    /// A Prometheus that holds them.
    async fn database(self) -> Tsdb {
        let now = instant(NOW);
        let begin = now - self.scraped;
        let settings = Settings {
            accounts: self.accounts.clone(),
            late_share: 0.0,
            revised_share: 0.01,
            ..Settings::demo(1)
        };
        let scene = Scene::with(&text(begin), settings);
        let receivers = [Receiver::start().await, Receiver::start().await];
        receivers[1].set_habit(crate::harness::Habit::Status(500));
        scene.write("config.toml", &config(&scene, &receivers));
        if self.name == "several" {
            let late = scene.agent("globex", "compliance");
            let world = scene.simulator.world();
            world.set_late(&late, scene.today().plus(-40), now + TimeDelta::days(9));
        }
        let missing = f64::from(u8::from(self.name == "several"));
        let is_known = async |exporter: &Exporter| {
            let agents = scene.agents().len();
            let is_known = |scrape: &Scrape| {
                let known = "\nflowgent_agent_previous_day_credits{";
                scrape.text.matches(known).count() == agents
                    && scrape.sum("flowgent_agent_missing_days") == missing
            };
            exporter.wait_until("what there is to know", is_known).await;
        };
        if self.name == "several" {
            let faults = scene.simulator.faults();
            let last = scene.agents().pop().unwrap();
            faults.add_for(&last, Fault::NoCredits, Times::Always);
        }
        let exporter = scene.start().await;
        is_known(&exporter).await;
        let probes = if scene.agents().len() > 1 { 2 } else { 1 };
        let mut samples = Samples::new();
        let mut time = begin;
        while time <= now {
            scene.set_time(&text(time));
            // The sync is at ten past midnight.
            let day = |time: DateTime<Utc>| (time - TimeDelta::minutes(10)).date_naive();
            if day(time) != day(time - STEP) {
                is_known(&exporter).await;
            }
            // As `PROBES` are planned.
            if time.hour().is_multiple_of(2) && time.minute() == 0 {
                let at = format!(" {}\n", time.timestamp());
                let ran = |scrape: &Scrape| {
                    let lines = scrape.text.split_inclusive('\n');
                    let runs = lines.filter(|line| line.starts_with("flowgent_probe_last_run_"));
                    runs.filter(|line| line.ends_with(&at)).count() == probes
                };
                exporter.wait_until("the runs of probes", ran).await;
            }
            scrape(&exporter, time, &mut samples).await;
            time += STEP;
        }
        let mut prometheus = Tsdb::prometheus("global: {}\n", &[]);
        let scraped: String = samples.into_values().collect();
        prometheus.create_blocks(&(scraped + "# EOF\n")).await;
        if self.is_imported {
            prometheus
                .create_blocks(&history(&scene, INSTANCE).await)
                .await;
        }
        prometheus.start().await;
        prometheus
    }
}

/// So far is the clock moved between two scrapes.
const STEP: TimeDelta = TimeDelta::minutes(20);

/// Scrapes once, and has that be what a minute's scrapes show until the next step.
async fn scrape(exporter: &Exporter, time: DateTime<Utc>, samples: &mut Samples) {
    let scrape = exporter.scrape().await.text + "up 1\n";
    for line in scrape.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        // Those of agents and budgets change once a day, and there are many.
        let minutes = if series.starts_with("flowgent_exporter_") || !series.contains('{') {
            1
        } else {
            4
        };
        let target = format!("job=\"{JOB}\",instance=\"{INSTANCE}\"");
        let labelled = match series.split_once('{') {
            Some((name, labels)) => format!("{name}{{{target},{labels}"),
            None => format!("{series}{{{target}}}"),
        };
        let lines = samples.entry(labelled.clone()).or_default();
        for minute in (0..20).step_by(minutes) {
            let at = time.timestamp() - 20 * 60 + i64::from(minute) * 60 + 60;
            writeln!(lines, "{labelled} {value} {at}").unwrap();
        }
    }
}

fn text(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%S").to_string()
}

fn config(scene: &Scene, receivers: &[Receiver; 2]) -> String {
    let teams = ["cx", "growth", "cx", "ops"].into_iter().cycle();
    let mut config = scene.config("");
    for (agent, team) in scene.agents().iter().zip(teams) {
        let place = format!("id = \"{}\"\n", agent.id);
        config = config.replace(
            &place,
            &format!("{place}labels = {{ team = \"{team}\" }}\n"),
        );
    }
    let hooks = ["ops", "broken"].into_iter().zip(receivers);
    let hooks: String = hooks
        .map(|(name, receiver)| webhook(scene, name, receiver, ""))
        .collect();
    let agents = scene.agents();
    let probed = [
        ("first", agents.first()),
        ("last", agents.get(1).and(agents.last())),
    ];
    let probes: String = probed
        .iter()
        .filter_map(|(name, agent)| Some((name, (*agent)?)))
        .map(|(name, Agent { account, id, .. })| {
            format!("[[probe]]\nname = \"{name}-replies\"\naccount = \"{account}\"\nagent = \"{id}\"\n{PROBES}")
        })
        .collect();
    format!("{config}\n{ALERTING}{probes}{hooks}")
}

#[tokio::test(flavor = "multi_thread")]
async fn grafana_shows_every_dashboard_whole_and_planted_mistakes_are_found() {
    let mut databases = BTreeMap::new();
    for contents in contents() {
        let name = contents.name;
        databases.insert(name, contents.database().await);
    }
    let mut empty = Tsdb::prometheus("global: {}\n", &[]);
    empty.start().await;
    databases.insert("empty", empty);
    let urls: BTreeMap<&str, String> = databases
        .iter()
        .map(|(name, server)| (*name, server.url()))
        .collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let job = json!({
        "now": format!("{NOW}Z"),
        "databases": urls,
        "dashboards": root.join("dashboards"),
    });
    let output = Command::new("node")
        .arg(root.join("tests/grafana/run.mjs"))
        .arg(job.to_string())
        .output()
        .await
        .unwrap_or_else(|error| panic!("node: {error}: tests/run installs it"));
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
