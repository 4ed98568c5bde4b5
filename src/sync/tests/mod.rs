//! Members of syncs, and their requests.

mod requests;

use std::time::Duration;

use chrono::TimeDelta;

use super::metrics::SyncMetrics;
use super::*;
use crate::clock::{CheckedClock, Clock, ManualClock};
use crate::day::TRACKING_START;
use crate::egress::Roots;
use crate::secret::SecretSource;

/// A syncer of one account, whose agents are in the config and in a file.
struct Scene {
    folder: tempfile::TempDir,
    account: AccountSettings,
    clock: Arc<ManualClock>,
    ledger: Ledger,
    telemetry: Telemetry,
}

impl Scene {
    fn new(list: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let telemetry = Telemetry::new();
        let path = folder.path().join("ledger.db");
        let scene = Self {
            account: AccountSettings {
                name: "acme".into(),
                api_key: SecretSource::File(folder.path().join("acme.key")),
                labels: Default::default(),
                discover: false,
                max_discovered: 10_000,
                agents_file: Some(folder.path().join("agents.json")),
                agents: Vec::new(),
            },
            clock: ManualClock::at(TRACKING_START.plus(10).start()),
            ledger: Ledger::open(&path, POLICY, &telemetry).unwrap(),
            telemetry,
            folder,
        };
        scene.list(list);
        scene
    }

    fn list(&self, list: &str) {
        std::fs::write(self.folder.path().join("agents.json"), list).unwrap();
    }

    fn syncer(&self) -> Syncer {
        self.syncer_by(self.clock.clone())
    }

    fn syncer_by(&self, clock: SharedClock) -> Syncer {
        let api = flowgent::Settings {
            base_url: "http://127.0.0.1:9/".parse().unwrap(),
            timeout: Duration::from_secs(1),
            requests_per_second: 1.0,
            concurrency: 1,
            roots: Roots::Bundled,
        };
        let http = HttpClient::new(&api).unwrap();
        let (ledger, telemetry) = (self.ledger.clone(), self.telemetry.clone());
        let accounts = std::slice::from_ref(&self.account);
        Syncer::new(accounts, POLICY, &api, &http, ledger, clock, &telemetry)
    }

    /// Whom `syncer` knows, with a mark behind those who are listed no more.
    async fn known(&self, syncer: &Syncer) -> Vec<String> {
        let members = syncer.known_members().await.unwrap();
        let shown = members.iter().map(|member| {
            let mark = if member.unlisted_since.is_some() {
                "?"
            } else {
                ""
            };
            format!("{}{mark}", member.agent.name)
        });
        shown.collect()
    }

    fn unlisted(&self) -> i64 {
        let unlisted = self.telemetry.of::<SyncMetrics>().unlisted_agents;
        unlisted.with_label_values(&["acme"]).get()
    }
}

const POLICY: Policy = Policy {
    history_start: TRACKING_START,
    settle_days: 3,
};

/// An agent that the config names.
fn in_config() -> Agent {
    Agent {
        account: "acme".into(),
        id: "c".into(),
        name: "config".into(),
        labels: Default::default(),
    }
}

#[tokio::test]
async fn the_list_of_members_stays_the_same_until_an_agent_changes() {
    let scene = Scene::new(r#"["a", "b"]"#);
    let first = scene.syncer();
    let members = first.known_members().await.unwrap();
    assert_eq!(members.len(), 2);
    assert!(Arc::ptr_eq(&members, &first.known_members().await.unwrap()));
    let reloaded = scene.syncer().following(&first);
    let known = reloaded.known_members().await.unwrap();
    assert!(Arc::ptr_eq(&members, &known));

    scene.list(r#"["b", "c", "a"]"#);
    let changed = reloaded.known_members().await.unwrap();
    assert_eq!(scene.known(&reloaded).await, ["a", "b", "c"]);
    assert_eq!(changed[1].number, members[1].number);
}

#[tokio::test]
async fn an_agents_file_that_shrinks_is_believed_on_the_third_day() {
    let scene = Scene::new(r#"["a", "b"]"#);
    let syncer = scene.syncer();
    assert_eq!(scene.known(&syncer).await, ["a", "b"]);
    for list in ["[]", r#"["b"]"#] {
        scene.list(list);
        let expected: &[&str] = if list == "[]" {
            &["a?", "b?"]
        } else {
            &["a?", "b"]
        };
        assert_eq!(scene.known(&syncer).await, expected);
    }
    assert_eq!(scene.unlisted(), 1);
    // A file that cannot be read lets nobody leave.
    scene.list("[");
    scene.clock.set(scene.clock.today().plus(5).start());
    assert_eq!(scene.known(&scene.syncer()).await, ["a?", "b"]);
    scene.list(r#"["b"]"#);
    assert_eq!(scene.known(&scene.syncer()).await, ["b"]);
    let left = scene
        .ledger
        .absent(Default::default(), TRACKING_START)
        .await;
    let left = left.unwrap().into_iter();
    let mut left: Vec<_> = left.map(|member| member.left_on).collect();
    left.sort_unstable();
    assert_eq!(left, [None, Some(scene.clock.today())]);
}

#[tokio::test]
async fn nobody_leaves_by_a_clock_that_flowgent_has_not_confirmed() {
    let mut scene = Scene::new(r#"["a", "b"]"#);
    scene.account.agents.push(in_config());
    assert_eq!(scene.known(&scene.syncer()).await, ["a", "b", "config"]);
    scene.list(r#"["b"]"#);
    assert_eq!(scene.known(&scene.syncer()).await, ["a?", "b", "config"]);
    scene.account.agents.clear();
    scene.clock.set(scene.clock.today().plus(40).start());
    let clock = CheckedClock::new(scene.clock.clone());
    let syncer = scene.syncer_by(clock.clone());
    assert_eq!(scene.known(&syncer).await, ["a?", "b"]);
    // By FlowGent's clock, no day has passed; then three have.
    for (days_ahead, expected, left) in [(40, &["a?", "b"] as &[&str], 1), (37, &["b"], 2)] {
        clock.hear(Some(TimeDelta::days(-days_ahead)));
        assert_eq!(scene.known(&syncer).await, expected, "{days_ahead}");
        let absent = scene.ledger.absent(Default::default(), TRACKING_START);
        let absent = absent.await.unwrap().into_iter();
        let has_left = |member: &Member| member.left_on.is_some_and(|day| day <= clock.today());
        assert_eq!(absent.filter(has_left).count(), left, "{days_ahead}");
    }
}

#[tokio::test]
async fn the_config_is_believed_at_once() {
    let mut scene = Scene::new(r#"["a"]"#);
    scene.account.agents.push(in_config());
    let first = scene.syncer();
    assert_eq!(scene.known(&first).await, ["a", "config"]);
    scene.account.agents.clear();
    let second = scene.syncer().following(&first);
    assert_eq!(scene.known(&second).await, ["a"]);
    // So is that there is no list any more.
    scene.account.agents_file = None;
    let third = scene.syncer().following(&second);
    assert_eq!(scene.known(&third).await, [""; 0]);
    let left = scene
        .ledger
        .absent(Default::default(), TRACKING_START)
        .await;
    assert!(left.unwrap().iter().all(|member| member.left_on.is_some()));
    assert_eq!(scene.unlisted(), 0);
}
