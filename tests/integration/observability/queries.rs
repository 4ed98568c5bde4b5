//! The queries of the documentation and of the runbooks on real databases that have scraped an exporter for weeks in
//! which a day came late, one never came, and two were corrected.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use flowgent_exporter::clock::{Clock, SystemClock};
use flowgent_exporter::day::Day;

use super::{JOB, history, runbooks};
use crate::harness::{Exporter, Generation, Scene, Scrape, Series, Tsdb, settings};

const INSTANCE: &str = "host:13569";
/// The agent of which a day comes two days late, and its team.
const LATE: &str = "support";
/// The agent of which a day never comes.
const MISSING: &str = "sales";
/// The agents of which a day is corrected the day after, one to less and one to more.
const CORRECTED: [(&str, &str, f64); 2] = [("acme", "legal", 1.0), ("globex", "shop", 4444.0)];
/// Labels of agents.
const TEAMS: [(&str, &str); 3] = [("support", "cx"), ("legal", "cx"), ("sales", "growth")];

/// The queries of the documentation, in their order.
fn documented() -> [String; 4] {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (_, section) = page.split_once("\n## Queries\n").unwrap();
    let (section, _) = section.split_once("\n##").unwrap();
    let blocks = section.split("```promql\n").skip(1);
    let queries = blocks.map(|block| block.split("```").next().unwrap().trim().to_owned());
    let queries: Vec<String> = queries.collect();
    queries.try_into().unwrap()
}

/// A noon of the past, and weeks before it.
struct Weeks {
    scene: Scene,
    /// The day of that noon.
    today: Day,
    /// What a Prometheus would have scraped on each of them: samples by their series.
    scraped: BTreeMap<String, Vec<(DateTime<Utc>, f64)>>,
}

impl Weeks {
    /// Lives through them, with a scrape after each poll that stands for those of its day.
    async fn live() -> Self {
        let today = Day::of(SystemClock.now()).previous();
        let first = today.plus(-16);
        let morning = |day: Day| day.start() + TimeDelta::minutes(20);
        let text = |time: DateTime<Utc>| time.format("%Y-%m-%dT%H:%M:%S").to_string();
        let scene = Scene::with(&text(morning(first)), settings());
        let mut config = scene.config("");
        for (name, team) in TEAMS {
            let place = format!("name = \"{name}\"\n");
            config = config.replace(
                &place,
                &format!("{place}labels = {{ team = \"{team}\" }}\n"),
            );
        }
        scene.write("config.toml", &config);
        let world = scene.simulator.world();
        let of_acme = |name: &str| scene.agent("acme", name);
        world.set_late(&of_acme(LATE), today.plus(-5), morning(today.plus(-3)));
        let never = today.start() + TimeDelta::days(3650);
        world.set_late(&of_acme(MISSING), today.plus(-6), never);
        // Above the threshold of the documented query.
        for (day, credits) in [(-2, 1500.0), (-1, 2000.0)] {
            world.set_credits(&of_acme(LATE), today.plus(day), credits);
        }

        let mut weeks = Self {
            scene,
            today,
            scraped: BTreeMap::new(),
        };
        let exporter = weeks.scene.start().await;
        for day in first.through(today) {
            if day == today.plus(-3) {
                for (account, name, credits) in CORRECTED {
                    let agent = weeks.scene.agent(account, name);
                    let world = weeks.scene.simulator.world();
                    world.set_credits(&agent, day.previous().previous(), credits);
                }
            }
            weeks.scene.set_time(&text(morning(day)));
            let scrape = weeks.whole(&exporter, day).await;
            weeks.note(&scrape, morning(day));
        }
        exporter.stop().await;
        weeks
    }

    /// A scrape with all that FlowGent tells on the morning of `day`.
    async fn whole(&self, exporter: &Exporter, day: Day) -> Scrape {
        let agents = self.scene.agents();
        let revised = if day < self.today.plus(-3) { 0.0 } else { 2.0 };
        let world = self.scene.simulator.world();
        let now = day.start() + TimeDelta::minutes(20);
        let told = |scrape: &Scrape| {
            let mut shown = agents.iter().map(|agent| {
                let credits = world.truth(agent, day.previous(), now);
                scrape.of(agent, "previous_day_credits") == credits
            });
            shown.all(|shown| shown)
                && scrape.sum("flowgent_agent_revised_days_total") >= revised
                && scrape.get("flowgent_exporter_sync_last_start_timestamp_seconds")
                    >= Some(now.timestamp() as f64)
                && scrape.get("flowgent_exporter_sync_running") == Some(0.0)
        };
        exporter.wait_until("all that is told", told).await
    }

    /// Notes a scrape as those from `from` until midnight.
    fn note(&mut self, scrape: &Scrape, from: DateTime<Utc>) {
        for name in ["previous_day_credits", "info", "missing_days"] {
            for (series, value) in scrape.starting_with(&format!("flowgent_agent_{name}{{")) {
                let labels = series.trim_end_matches('}');
                let series = format!("{labels},instance=\"{INSTANCE}\",job=\"{JOB}\"}}");
                let samples = self.scraped.entry(series).or_default();
                samples.extend((0..284).map(|place| (from + TimeDelta::minutes(5 * place), value)));
            }
        }
    }

    /// What was scraped, in the OpenMetrics format.
    fn openmetrics(&self) -> String {
        let mut text = String::new();
        for (series, samples) in &self.scraped {
            for (time, value) in samples {
                text += &format!("{series} {value} {}.000\n", time.timestamp());
            }
        }
        text + "# EOF\n"
    }

    /// Credits that an agent used on a day, if FlowGent ever told.
    fn truth(&self, account: &str, name: &str, day: Day) -> Option<f64> {
        let agent = self.scene.agent(account, name);
        let world = self.scene.simulator.world();
        world.truth(&agent, day, self.today.start() + TimeDelta::hours(12))
    }

    /// What `of` gives of each agent that it gives something of, by account and name.
    fn by_agent<T>(&self, of: impl Fn(&str, &str) -> Option<T>) -> BTreeMap<String, T> {
        let agents = self.scene.agents();
        let given = agents.iter().filter_map(|agent| {
            let key = format!("{}/{}", agent.account, agent.name);
            Some((key, of(&agent.account, &agent.name)?))
        });
        given.collect()
    }

    /// Asserts what the documented queries find in a database with the scrapes and the history.
    async fn assert_answers(&self, server: &Tsdb) {
        let [bars, threshold, sum, by_team] = documented();
        let (today, name) = (self.today, server.name);
        let at = |day: Day, minutes: i64| day.start() + TimeDelta::minutes(minutes);

        let range = (today.plus(-16).start(), today.previous().start());
        let found = server.query_range(&bars, range, "1d").await.unwrap();
        let bars: BTreeMap<String, Vec<_>> = keyed(found, |series| series.points);
        let expected = self.by_agent(|account, name| {
            let days = today.plus(-16).through(today.previous());
            let bars = days.filter_map(|day| Some((day.start(), self.truth(account, name, day)?)));
            Some(bars.collect::<Vec<_>>())
        });
        assert_eq!(bars, expected, "bars of {name}");

        let value = |series: Series| series.points[0].1;
        for (minutes, credits) in [(10, 1500.0), (720, 2000.0)] {
            let found = server.query(&threshold, at(today, minutes)).await.unwrap();
            let expected = BTreeMap::from([(format!("acme/{LATE}"), credits)]);
            assert_eq!(
                keyed(found, value),
                expected,
                "threshold of {name} at {minutes}"
            );
        }

        // Nothing of the agent of which a day never came.
        let found = server.query(&sum, at(today, 720)).await.unwrap();
        let expected = self.by_agent(|account, name| {
            let days = today.plus(-14).through(today.previous());
            days.map(|day| self.truth(account, name, day))
                .sum::<Option<f64>>()
        });
        assert_eq!(expected.len(), 4);
        assert_close(&keyed(found, value), &expected, &format!("sums of {name}"));

        // In the morning: what came late has its place in the history at noon.
        for (day, is_whole) in [(today, true), (today.plus(-4), false)] {
            let found = server.query(&by_team, at(day, 700)).await.unwrap();
            let found = found
                .into_iter()
                .map(|series| (series.label("team").to_owned(), series.points[0].1));
            let of = |names: &[(&str, &str)]| {
                let told = names
                    .iter()
                    .map(|(account, name)| self.truth(account, name, day.previous()));
                told.sum::<Option<f64>>().unwrap()
            };
            let mut expected = BTreeMap::from([("growth".to_owned(), of(&[("acme", "sales")]))]);
            if is_whole {
                expected.insert(
                    "cx".to_owned(),
                    of(&[("acme", "legal"), ("acme", "support")]),
                );
            }
            let found = found.filter(|(team, _)| !team.is_empty()).collect();
            assert_close(&found, &expected, &format!("teams of {name}"));
        }
    }
}

/// What `of` makes of each series, by account and agent.
fn keyed<T>(found: Vec<Series>, of: impl Fn(Series) -> T) -> BTreeMap<String, T> {
    let count = found.len();
    let keyed = found.into_iter().map(|series| {
        let key = format!("{}/{}", series.label("account"), series.label("agent"));
        (key, of(series))
    });
    let keyed: BTreeMap<String, T> = keyed.collect();
    assert_eq!(keyed.len(), count, "an agent is there twice");
    keyed
}

/// Asserts that both have the same keys, and values that only the order of additions parts.
#[track_caller]
fn assert_close(found: &BTreeMap<String, f64>, expected: &BTreeMap<String, f64>, what: &str) {
    assert!(
        found.keys().eq(expected.keys()),
        "{what}: {found:?}, not {expected:?}"
    );
    for ((key, found), expected) in found.iter().zip(expected.values()) {
        assert!(
            (found - expected).abs() < 1e-6,
            "{what}: {key}: {found}, not {expected}"
        );
    }
}

/// A database of each kind and generation that has what was scraped and the history.
async fn databases(weeks: &Weeks) -> Vec<Tsdb> {
    let scraped = weeks.openmetrics();
    let history = history(&weeks.scene, INSTANCE).await;
    let mut databases = Vec::new();
    for generation in Generation::BOTH {
        let mut prometheus = Tsdb::prometheus("", &[]).of(generation);
        let mut victoria_metrics = Tsdb::victoria_metrics("", &[]).of(generation);
        tokio::join!(
            async {
                prometheus.create_blocks(&scraped).await;
                prometheus.create_blocks(&history).await;
                prometheus.start().await;
            },
            async {
                victoria_metrics.start().await;
                victoria_metrics.import(&scraped).await;
                victoria_metrics.import(&history).await;
            }
        );
        databases.extend([prometheus, victoria_metrics]);
    }
    databases
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_is_exact_or_finds_nothing_where_days_are_late_missing_or_corrected() {
    let weeks = Weeks::live().await;
    let noon = weeks.today.start() + TimeDelta::hours(12);
    for server in databases(&weeks).await {
        weeks.assert_answers(&server).await;
        for query in runbooks::queries() {
            let found = server.query(&query, noon).await;
            let found = found.unwrap_or_else(|error| panic!("{query}: {error}"));
            if query.contains("flowgent_agent_missing_days > 0") {
                let expected = BTreeMap::from([(format!("acme/{MISSING}"), 1.0)]);
                assert_eq!(keyed(found, |series| series.points[0].1), expected);
            }
        }
    }
}
