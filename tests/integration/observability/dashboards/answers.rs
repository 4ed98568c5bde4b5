//! Every query is answered by both databases, and with data where there should be some.

use std::collections::BTreeSet;

use flowgent_exporter::clock::{Clock, SystemClock};
use flowgent_exporter::simulator::{Fault, Times};
use serde_json::Value;

use super::grafana::{Viewer, When, panels};
use super::look::ask;
use super::shipped;
use crate::harness::{Series, Tsdb, wait_for};
use crate::observability::{Observed, rules, scene};

/// Queries that find nothing here, each with the reason: dashboard, panel, query.
const EMPTY: [(&str, &str, &str); 5] = [
    // There are fewer agents, and labels, than have a colour of their own.
    ("flowgent-overview", "Credits by day", "B"),
    ("flowgent-overview", "Credits by day and $label", "B"),
    // No price is set.
    ("flowgent-overview", "Cost", "A"),
    ("flowgent-overview", "Cost", "B"),
    // The ledger has done all that it was asked to.
    ("flowgent-exporter", "Failed ledger transactions", "A"),
];
/// What finds nothing on the first of a month, before which no day of it is over.
const EMPTY_ON_THE_FIRST: (&str, &str, &str) = ("flowgent-agent", "Month day by day", "A");

/// A query, and where it stands.
struct Asked {
    place: (String, String, String),
    query: (String, When),
}

/// All queries of a dashboard.
fn queries(viewer: &Viewer) -> Vec<Asked> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let uid = text(&viewer.dashboard["uid"]);
    let mut queries = Vec::new();
    for panel in panels(viewer.dashboard) {
        for target in panel["targets"].as_array().unwrap() {
            queries.push(Asked {
                place: (uid.clone(), text(&panel["title"]), text(&target["refId"])),
                query: viewer.query(panel, target),
            });
        }
    }
    queries
}

fn has_data(found: &[Series]) -> bool {
    let mut points = found.iter().flat_map(|series| &series.points);
    points.any(|(_, value)| value.is_finite())
}

/// The queries that a database answers with nothing, whether the dashboards show the time that they do
/// at first, or the last quarter of an hour, in which everything happened here.
async fn unanswered(observed: &Observed, server: &Tsdb) -> BTreeSet<(String, String, String)> {
    let mut answered = BTreeSet::new();
    let mut empty = BTreeSet::new();
    // The databases' clock is the real one, and the grids of their points go on with it.
    let now = SystemClock.now();
    for (_, dashboard) in shipped() {
        let mut viewer = Viewer::open(server, &dashboard, observed.now).await;
        let mut asked = queries(&viewer);
        viewer.now = now;
        viewer.from = "now-15m".to_owned();
        asked.extend(queries(&viewer));
        for Asked { place, query } in asked {
            let found = ask(server, &query).await;
            let found = found.unwrap_or_else(|error| panic!("{place:?}: {error}"));
            if has_data(&found) {
                answered.insert(place);
            } else {
                empty.insert(place);
            }
        }
    }
    empty.retain(|place| !answered.contains(place));
    empty
}

#[tokio::test(flavor = "multi_thread")]
async fn both_databases_answer_every_query_and_those_are_empty_that_should_be() {
    let observed = Observed::start().await;
    // While the databases look, another rule fires, and a sync goes wrong.
    let config = std::fs::read_to_string(observed.scene.path("config.toml")).unwrap();
    let rule = "[[rule]]\nname = \"busier\"\nkind = \"usage\"\nover = 1\nspan = \"previous_7_days\"\nhooks = [\"ops\"]\n";
    // Weeks are asked for again, since they may still change.
    let config = config.replace("jitter = \"0s\"", "jitter = \"0s\"\nsettle_days = 30");
    observed
        .scene
        .write("config.toml", &format!("{config}{rule}"));
    let late = scene::late(&observed.scene);
    let faults = observed.scene.simulator.faults();
    faults.add_for(&late, Fault::Html, Times::Always);
    observed.exporter.signal("HUP").await;
    let mut expected = BTreeSet::from(EMPTY);
    if observed.scene.today() == observed.scene.today().month_start() {
        expected.insert(EMPTY_ON_THE_FIRST);
    }
    let owned =
        |(one, two, three): (&str, &str, &str)| (one.to_owned(), two.to_owned(), three.to_owned());
    let expected: BTreeSet<_> = expected.into_iter().map(owned).collect();
    for server in &observed.servers {
        // Until the newest points of the charts lie behind the first scrapes.
        wait_for("data for every panel", async || {
            let empty = unanswered(&observed, server).await;
            if empty == expected {
                Ok(())
            } else {
                let what = format!("{}: these are empty: {empty:#?}", server.name);
                Err(what)
            }
        })
        .await;
        // The slowest are ranked in a view that is shorter than the distance of its points, too.
        let dashboards = shipped();
        let health = dashboards
            .iter()
            .find(|(_, it)| it["uid"] == "flowgent-exporter");
        let mut viewer = Viewer::open(server, &health.unwrap().1, observed.now).await;
        (viewer.now, viewer.from) = (SystemClock.now(), "now-15m".to_owned());
        let query = viewer.panel_query("Ledger transaction duration", "A");
        let found = ask(server, &query).await.unwrap();
        assert!(has_data(&found), "{}: {query:?}", server.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_databases_answer_every_alert() {
    let observed = Observed::start().await;
    let alerts = rules::alerts();
    // A budget is used up, which is a rule that fires.
    let expected = ["FlowGentBudgetUsed", "FlowGentRuleFiring"];
    for server in &observed.servers {
        let mut found = BTreeSet::new();
        for alert in &alerts {
            let answer = server.query(&alert.expr, observed.now).await;
            let answer = answer.unwrap_or_else(|error| panic!("{}: {error}", alert.alert));
            if has_data(&answer) {
                found.insert(alert.alert.as_str());
            }
        }
        for name in expected {
            assert!(found.contains(name), "{}: only {found:?}", server.name);
        }
    }
}
