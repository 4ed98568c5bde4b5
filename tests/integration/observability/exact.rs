//! The queries that are exact by their meaning, compared with what FlowGent told of every agent and day.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use flowgent_exporter::day::{Day, TRACKING_START};
use flowgent_exporter::simulator::Agent;

use super::Observed;
use crate::harness::Series;

const BARS: &str = "last_over_time(flowgent_agent_previous_day_credits[1d] offset -2d)";

/// The points of series by their labels.
type Points = BTreeMap<BTreeMap<String, String>, Vec<(DateTime<Utc>, f64)>>;

/// The points of each series that was found, whatever it is called.
fn points(found: Vec<Series>) -> Points {
    let count = found.len();
    let points: Points = found
        .into_iter()
        .map(|mut series| {
            series.labels.remove("__name__");
            (series.labels, series.points)
        })
        .collect();
    assert_eq!(points.len(), count, "a series is there twice");
    points
}

impl Observed {
    /// For each agent, its true points by the labels of its series.
    fn true_points(&self, points: impl Fn(&Agent) -> Vec<(DateTime<Utc>, f64)>) -> Points {
        let agents = self.scene.agents();
        agents
            .iter()
            .map(|agent| (self.labels(agent).into(), points(agent)))
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn daily_bars_and_sums_are_the_truth_of_every_agent_and_day() {
    let mut observed = Observed::start().await;
    let (today, now) = (observed.scene.today(), observed.now);
    let yesterday = today.previous();

    for server in &observed.servers {
        let days = (TRACKING_START.start(), yesterday.start());
        let found = server.query_range(BARS, days, "1d").await.unwrap();
        let expected = observed.true_points(|agent| {
            let days = TRACKING_START.through(yesterday);
            days.map(|day| (day.start(), observed.scene.truth(agent, day)))
                .collect()
        });
        assert_eq!(points(found), expected, "{}", server.name);

        for count in [7, 30, 365] {
            let sum = format!(
                "sum_over_time(last_over_time(flowgent_agent_previous_day_credits[1d] offset -1d)\
                 [{}d23h59m59s999ms:1d])",
                count - 1
            );
            let found = server.query(&sum, now).await.unwrap();
            let sum = |agent: &_, first: Day| observed.scene.sum(agent, first, yesterday);
            let expected =
                observed.true_points(|agent| vec![(now, sum(agent, today.plus(-count)))]);
            assert_eq!(points(found), expected, "{} days of {}", count, server.name);
        }
    }

    // What was imported and scraped is still there after a restart.
    for server in &mut observed.servers {
        let days = (TRACKING_START.start(), yesterday.start());
        let before = server.query_range(BARS, days, "1d").await.unwrap();
        server.stop().await;
        server.start().await;
        let after = server.query_range(BARS, days, "1d").await.unwrap();
        assert_eq!(points(after), points(before), "{}", server.name);
    }
}
