//! The panels show what FlowGent told of every agent and day, to the last credit, on both databases.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use flowgent_exporter::day::{Day, TRACKING_START};
use flowgent_exporter::simulator::Agent;
use serde_json::Value;

use super::grafana::{Choice, Viewer};
use super::look::ask;
use super::shipped;
use crate::harness::{Series, Tsdb};
use crate::observability::{Observed, scene};

/// Since when the whole history is shown.
const EVER: &str = "now-3000d/d";

/// The points of a series by their time.
type Points = BTreeMap<DateTime<Utc>, f64>;

/// Somebody who looks at a dashboard, and knows the truth.
struct Looker<'a> {
    observed: &'a Observed,
    server: &'a Tsdb,
    viewer: Viewer<'a>,
}

impl<'a> Looker<'a> {
    async fn open(observed: &'a Observed, server: &'a Tsdb, dashboard: &'a Value) -> Self {
        let viewer = Viewer::open(server, dashboard, observed.now).await;
        Self {
            observed,
            server,
            viewer,
        }
    }

    async fn choose(&mut self, name: &str, choice: Choice) {
        self.viewer.choose(self.server, name, choice).await;
    }

    async fn see(&self, panel: &str, letter: &str) -> Vec<Series> {
        let query = self.viewer.panel_query(panel, letter);
        let found = ask(self.server, &query).await;
        found.unwrap_or_else(|error| panic!("{panel} {letter}: {error}"))
    }

    /// The points of a query that finds one series or nothing.
    async fn line(&self, panel: &str, letter: &str) -> Points {
        let mut found = self.see(panel, letter).await;
        assert!(found.len() < 2, "{panel} {letter}: {found:?}");
        let points = found.pop().map(|series| series.points).unwrap_or_default();
        points.into_iter().collect()
    }

    /// The figures of a query by the values of these labels.
    async fn figures(&self, panel: &str, letter: &str, labels: &[&str]) -> BTreeMap<String, f64> {
        let found = self.see(panel, letter).await.into_iter();
        found
            .map(|series| {
                let names: Vec<&str> = labels.iter().map(|label| series.label(label)).collect();
                (names.join("/"), series.points[0].1)
            })
            .collect()
    }

    fn today(&self) -> Day {
        self.observed.scene.today()
    }

    /// The days from the first through yesterday, for each that is known what agents used together.
    fn days(&self, agents: &[&Agent], first: Day) -> Points {
        let mut days = Points::new();
        for day in first.max(TRACKING_START).through(self.today().previous()) {
            for agent in agents {
                if let Some(credits) = self.observed.truth(agent, day) {
                    *days.entry(day.start()).or_default() += credits;
                }
            }
        }
        days
    }

    /// What an agent used on the days of a range, if all of them are known.
    fn sum(&self, agent: &Agent, first: Day, last: Day) -> Option<f64> {
        first
            .through(last)
            .try_fold(0.0, |sum, day| Some(sum + self.observed.truth(agent, day)?))
    }

    /// The same of the last days.
    fn last(&self, agent: &Agent, days: i32) -> Option<f64> {
        self.sum(agent, self.today().plus(-days), self.today().previous())
    }
}

/// A name for an agent among all.
fn full_name(agent: &Agent) -> String {
    format!("{}/{}", agent.account, agent.name)
}

/// Fails with the days that differ, by more than is lost in rounding.
#[track_caller]
fn assert_points(found: &Points, expected: &Points, what: &str) {
    let near = |one: f64, other: f64| (one - other).abs() <= 1e-9 * other.abs();
    let days = found.keys().chain(expected.keys());
    let differing: BTreeMap<_, _> = days
        .map(|day| (day, (found.get(day), expected.get(day))))
        .filter(|(_, pair)| match pair {
            (Some(found), Some(expected)) => !near(**found, **expected),
            _ => true,
        })
        .collect();
    assert!(
        differing.is_empty(),
        "{what}: these are found and not those: {differing:?}"
    );
}

/// Everything on the agent's dashboard that is made of days.
async fn agent_dashboard(observed: &Observed, server: &Tsdb, dashboard: &Value) {
    let mut looker = Looker::open(observed, server, dashboard).await;
    let today = looker.today();
    for agent in observed.scene.agents() {
        let name = format!("{} on {}", full_name(&agent), server.name);
        looker.choose("account", Choice::one(&agent.account)).await;
        looker.choose("agent", Choice::one(&agent.name)).await;
        let all = looker.days(&[&agent], TRACKING_START);

        // The time that is shown at first begins with a whole day.
        let bars = looker.line("Credits by day", "A").await;
        let quarter = looker.days(&[&agent], today.plus(-90));
        assert_points(&bars, &quarter, &name);
        looker.viewer.from = EVER.to_owned();
        assert_points(&looker.line("Credits by day", "A").await, &all, &name);

        let usual = looker.line("Credits by day", "B").await;
        let mut expected = Points::new();
        for day in TRACKING_START.through(today) {
            let weeks = (1..=8).filter_map(|weeks| all.get(&day.plus(-7 * weeks).start()));
            let weeks: Vec<f64> = weeks.copied().collect();
            if !weeks.is_empty() {
                expected.insert(day.start(), weeks.iter().sum::<f64>() / weeks.len() as f64);
            }
        }
        assert_points(&usual, &expected, &format!("the usual of {name}"));
        looker.viewer.from = "now-90d/d".to_owned();

        assert_points(&looker.line("Calendar", "A").await, &quarter, &name);

        let month = looker.line("Month day by day", "A").await;
        let first = today.month_start();
        let days = first.through(today.previous());
        let expected: Points = days
            .filter_map(|day| Some((day.start(), looker.sum(&agent, first, day)?)))
            .collect();
        assert_points(&month, &expected, &name);

        // The figures, each with the day before it; the newest is that of today.
        let yesterdays = looker.line("Yesterday", "A").await;
        let quarter = looker.days(&[&agent], today.plus(-91));
        let next = |day: &DateTime<Utc>| *day + TimeDelta::days(1);
        let expected = quarter.iter().map(|(day, credits)| (next(day), *credits));
        assert_points(&yesterdays, &expected.collect(), &name);
        for (panel, days) in [("Yesterday", 1), ("Last 7 days", 7), ("Last 30 days", 30)] {
            let found = looker.line(panel, "A").await;
            let newest = found.last_key_value().map(|(_, credits)| *credits);
            assert_eq!(newest, looker.last(&agent, days), "{panel} of {name}");
        }
        let found = looker.line("Change", "B").await.into_values().next();
        assert_eq!(found, week_over_week(&looker, &agent), "{name}");
    }
}

fn week_over_week(looker: &Looker, agent: &Agent) -> Option<f64> {
    let week = looker.last(agent, 7)?;
    let before = looker.sum(agent, looker.today().plus(-14), looker.today().plus(-8))?;
    (before > 0.0).then(|| week / before - 1.0)
}

/// What the overview shows of agents together, of those that are given as expected.
async fn overview(looker: &mut Looker<'_>, agents: &[&Agent]) {
    let (today, name) = (looker.today(), looker.server.name);
    looker.viewer.from = EVER.to_owned();
    let mut sums: Vec<(f64, &Agent)> = agents
        .iter()
        .map(|agent| {
            (
                looker.days(&[*agent], TRACKING_START).values().sum(),
                *agent,
            )
        })
        .collect();
    sums.sort_by(|one, other| other.0.total_cmp(&one.0));
    let (top, others) = sums.split_at(2.min(sums.len()));
    let found = looker.see("Credits by day", "A").await;
    assert_eq!(found.len(), top.len(), "{name}");
    for (_, agent) in top {
        let mut of_agent = found
            .iter()
            .filter(|series| series.label("agent") == &*agent.name);
        let points = of_agent.next().unwrap().points.iter().copied().collect();
        let expected = looker.days(&[agent], TRACKING_START);
        assert_points(&points, &expected, &format!("{} on {name}", agent.name));
    }
    let others: Vec<&Agent> = others.iter().map(|(_, agent)| *agent).collect();
    let found = looker.line("Credits by day", "B").await;
    let expected = looker.days(&others, TRACKING_START);
    assert_points(&found, &expected, &format!("the others on {name}"));

    let all = looker.days(agents, TRACKING_START);
    assert_points(&looker.line("Calendar", "A").await, &all, name);

    looker.viewer.from = "now-90d/d".to_owned();
    for (panel, days) in [("Yesterday", 1), ("Last 7 days", 7), ("Last 30 days", 30)] {
        let known = agents.iter().filter_map(|agent| looker.last(agent, days));
        let found = looker.line(panel, "A").await;
        let newest = found.last_key_value().map(|(_, credits)| *credits);
        assert_eq!(newest, Some(known.sum()), "{panel} on {name}");
    }
    for (letter, days) in [("A", 30), ("C", 7), ("D", 1)] {
        let figures = agents
            .iter()
            .filter_map(|agent| Some((full_name(agent), looker.last(agent, days)?)));
        let found = looker.figures("Top agents", letter, &["account", "agent"]);
        assert_eq!(found.await, figures.collect(), "{days} days on {name}");
    }
    let grown = agents.iter().filter_map(|agent| {
        let week = looker.last(agent, 7)?;
        let before = looker.sum(agent, today.plus(-14), today.plus(-8))?;
        (week > before).then(|| (full_name(agent), week - before))
    });
    let found = looker
        .figures("Fastest growers", "A", &["account", "agent"])
        .await;
    assert_eq!(found, grown.collect(), "growth on {name}");
}

/// The sums by a label, of days and now.
async fn by_label(looker: &mut Looker<'_>, label: &str, groups: &BTreeMap<&str, Vec<&Agent>>) {
    looker.viewer.from = EVER.to_owned();
    let found = looker.see("Credits by day and $label", "A").await;
    assert_eq!(found.len(), groups.len(), "{}", looker.server.name);
    for series in &found {
        let value = series.label("by");
        let points = series.points.iter().copied().collect();
        let what = format!("{label} {value:?} on {}", looker.server.name);
        let agents = groups.get(value).unwrap_or_else(|| panic!("{what}"));
        let expected = looker.days(agents, TRACKING_START);
        assert_points(&points, &expected, &what);
    }
    let found = looker.figures("Last 30 days by $label", "A", &["by"]).await;
    let sum = |agents: &Vec<&Agent>| {
        agents
            .iter()
            .filter_map(|agent| looker.last(agent, 30))
            .sum()
    };
    let expected = groups
        .iter()
        .map(|(value, agents)| ((*value).to_owned(), sum(agents)));
    assert_eq!(found, expected.collect(), "{}", looker.server.name);
    looker.viewer.from = "now-90d/d".to_owned();
}

#[tokio::test(flavor = "multi_thread")]
async fn bars_calendars_and_sums_are_the_truth_of_every_agent_and_day() {
    let mut observed = Observed::start().await;
    let dashboards: BTreeMap<String, Value> = shipped().into_iter().collect();
    let agent = &dashboards["agent.json"];
    // With as few agents of their own colour that there are others.
    let text = dashboards["overview.json"].to_string();
    let text = text.replace("topk(8, sum_over_time", "topk(2, sum_over_time");
    let whole = &serde_json::from_str(&text).unwrap();
    let agents = observed.scene.agents();
    let all: Vec<&Agent> = agents.iter().collect();
    let named = |names: &[&str]| -> Vec<&Agent> {
        let chosen = all.iter().filter(|agent| names.contains(&&*agent.name));
        chosen.copied().collect()
    };
    let (cx, growth) = (named(&["support", "shop"]), named(&["sales"]));
    let rest = named(&["legal", "returns", scene::ODD_NAME]);

    for server in &observed.servers {
        agent_dashboard(&observed, server, agent).await;

        let mut looker = Looker::open(&observed, server, whole).await;
        overview(&mut looker, &all).await;
        looker.choose("label", Choice::one("team")).await;
        let teams = [
            ("cx", cx.clone()),
            ("growth", growth.clone()),
            ("none", rest.clone()),
        ];
        by_label(&mut looker, "team", &BTreeMap::from(teams)).await;

        looker.choose("value", Choice::one("cx")).await;
        overview(&mut looker, &cx).await;
        by_label(&mut looker, "team", &BTreeMap::from([("cx", cx.clone())])).await;
        looker.choose("value", Choice::All).await;

        let names = ["legal", scene::ODD_NAME].map(str::to_owned);
        looker.choose("agent", Choice::Values(names.to_vec())).await;
        overview(&mut looker, &named(&["legal", scene::ODD_NAME])).await;
        looker.choose("account", Choice::one("globex")).await;
        overview(&mut looker, &named(&[scene::ODD_NAME])).await;
    }

    // What was imported and scraped is still there after a restart.
    let now = observed.now;
    for server in &mut observed.servers {
        let viewer = Viewer::open(server, whole, now).await;
        let query = viewer.panel_query("Credits by day", "A");
        let before = ask(server, &query).await.unwrap();
        server.stop().await;
        server.start().await;
        assert_eq!(
            ask(server, &query).await.unwrap(),
            before,
            "{}",
            server.name
        );
    }
}
