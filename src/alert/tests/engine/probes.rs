//! Probes, from their runs to the outbox.

use super::super::probes::probes;
use super::*;
use crate::ledger::ProbeOutcome::{self, *};
use crate::ledger::{PlannedRun, ProbeResult};
use crate::probe::Probe;
use crate::secret::SecretSource;
use crate::sync::cron::parse_cron;

fn probe() -> Probe {
    Probe {
        name: "ping".into(),
        account: "acme".into(),
        api_key: SecretSource::Environment("KEY".to_owned()),
        agent: "support".into(),
        message: "OK?".to_owned(),
        cron: parse_cron("@hourly").unwrap(),
        timeout: Duration::from_secs(1),
        expect: None,
    }
}

impl Scene {
    /// Keeps a run of the probe at that hour and signals it.
    async fn ran(&mut self, hour: u32, outcome: ProbeOutcome) {
        let now = at(&format!("2026-11-23T{hour:02}:00:00Z"));
        let agent = &self.members[0].agent;
        let run = PlannedRun {
            probe: "ping".into(),
            agent: (Arc::clone(&agent.account), Arc::clone(&agent.id)),
            planned_at: now,
        };
        let number = self.ledger.begin_probe(run, now).await.unwrap().unwrap();
        let result = ProbeResult {
            outcome,
            status_code: None,
            duration_seconds: None,
            execution_seconds: None,
            used_credits: None,
            detail: String::new(),
        };
        self.ledger.end_probe(number, result, now).await.unwrap();
        self.clock.set(now);
        assert!(!self.engine.is_due());
        self.signals.probed();
        assert!(self.engine.is_due(), "soon after each run");
        self.engine.evaluate().await.unwrap();
    }

    /// Titles of all messages, oldest first.
    async fn told(&self) -> Vec<(String, Severity)> {
        let told = self.ledger.deliveries(true, 99).await.unwrap();
        let mut titles = Vec::new();
        for record in told.iter().rev() {
            let notification: Notification =
                serde_json::from_str(&record.delivery.notification).unwrap();
            let alerts = notification.alerts.into_iter();
            titles.extend(alerts.map(|notice| (notice.title, notice.severity)));
        }
        titles
    }
}

#[tokio::test]
async fn credits_are_told_of_at_once_failures_after_three_and_both_ends_once() {
    let mut scene = Scene::new(vec![rule("ping", probes(Some("ping"), 3))]).await;
    scene.settings.probes = vec![probe()];
    scene.configure(scene.settings.clone());
    scene.engine.evaluate().await.unwrap();
    let hours = (13..).zip([Timeout, NoCredits, NoCredits, Unavailable]);
    for (hour, outcome) in hours {
        scene.ran(hour, outcome).await;
    }
    let critical = |text: &str| (text.to_owned(), Severity::Critical);
    let warning = |text: &str| (text.to_owned(), Severity::Warning);
    let mut expected = vec![critical("ping: account acme has no credits left")];
    assert_eq!(scene.told().await, expected);
    // A restart tells nothing again.
    scene.restart();
    scene.engine.evaluate().await.unwrap();
    scene.ran(17, Malformed).await;
    let failed = "ping: agent acme/support failed three times in a row, last with malformed";
    expected.push(warning(failed));
    assert_eq!(scene.told().await, expected);
    scene.ran(18, Interrupted).await;
    scene.ran(19, Success).await;
    scene.ran(20, Success).await;
    expected.push(critical("Resolved: ping: account acme has credits again"));
    expected.push(warning("Resolved: ping: agent acme/support replies again"));
    assert_eq!(scene.told().await, expected);
}
