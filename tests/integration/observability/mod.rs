//! What people see in Prometheus and Grafana: the shipped rules and dashboards, on real databases that
//! have scraped an exporter and imported its history.

mod dashboards;
mod firing;
mod grafana;
pub mod promql;
mod push;
mod queries;
mod rules;
mod runbooks;
mod scene;

use chrono::{DateTime, SubsecRound, Utc};
use flowgent_exporter::clock::{Clock, SystemClock};
use flowgent_exporter::day::Day;
use flowgent_exporter::simulator::Agent;

use crate::harness::{Exporter, Receiver, Scene, Tsdb, run, wait_for};

/// The databases, an exporter that they scrape, and the truth about what it tells.
struct Observed {
    scene: Scene,
    exporter: Exporter,
    _receivers: [Receiver; 2],
    servers: [Tsdb; 2],
    /// A moment of the scene's day at which everything had been scraped.
    now: DateTime<Utc>,
}

/// The name of the exporter's job, as in the shipped config.
pub const JOB: &str = "flowgent";

impl Observed {
    /// Everything at work, at the real time, which is the databases'. The exporter's day is the one
    /// before them, so it is begun anew if midnight comes between.
    async fn start() -> Self {
        loop {
            let observed = Self::begin().await;
            if Day::of(observed.now) == observed.scene.today() {
                return observed;
            }
        }
    }

    async fn begin() -> Self {
        let now = SystemClock.now();
        let (scene, exporter, receivers) = scene::lively(now).await;
        let target = exporter.address();
        let config = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
             scrape_configs:\n\
             - {{job_name: {JOB}, static_configs: [{{targets: ['{target}']}}]}}\n"
        );
        let history = history(&scene, &target.to_string()).await;
        let mut prometheus = Tsdb::prometheus(&config, &[]);
        prometheus.create_blocks(&history).await;
        prometheus.start().await;
        let mut victoria_metrics = Tsdb::victoria_metrics(&config, &[]);
        victoria_metrics.start().await;
        victoria_metrics.import(&history).await;
        let servers = [prometheus, victoria_metrics];
        for server in &servers {
            wait_for("several scrapes", async || {
                let scrapes = "count_over_time(flowgent_exporter_build_info[1h])";
                let found = server.query(scrapes, SystemClock.now()).await?;
                match found.first() {
                    Some(series) if series.points[0].1 >= 3.0 => Ok(()),
                    _ => Err(format!("{found:?}")),
                }
            })
            .await;
        }
        Self {
            scene,
            exporter,
            _receivers: receivers,
            servers,
            now: SystemClock.now().trunc_subsecs(3),
        }
    }

    /// Credits that an agent used on a day, if FlowGent has told it.
    fn truth(&self, agent: &Agent, day: Day) -> Option<f64> {
        let world = self.scene.simulator.world();
        world.truth(agent, day, self.now)
    }
}

/// Every day of every agent, as `export` writes it for a database that scrapes `instance`.
async fn history(scene: &Scene, instance: &str) -> String {
    let arguments = ["export", "--job", JOB, "--instance", instance];
    let output = run(scene, &arguments).await;
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}
