//! A folder with a config, a simulated FlowGent, and exporters started there on a clock that the test
//! moves. Nothing here sleeps for a time that was guessed: it waits until a condition holds, and fails
//! with what it saw last if that does not happen within a generous minute and a half.

mod browser;
mod crowd;
mod disk;
mod exporter;
mod faketime;
mod judge;
mod receiver;
mod scrape;
mod servers;
mod team;
mod tsdb;
mod writes;

pub use browser::{Browser, Screen};
pub use crowd::Crowd;
pub use disk::TinyDisk;
pub use exporter::{Exporter, command, run};
pub use judge::DAY_BOUND;
pub use receiver::{Habit, Receiver};
pub use scrape::Scrape;
pub use servers::{Alertmanager, Generation, MailServer, free_port, spawn};
pub use team::Team;
pub use tsdb::{Series, Tsdb};
pub use writes::{Database, Reply};

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use flowgent_exporter::clock::{self, Clock, ManualClock};
use flowgent_exporter::day::Day;
use flowgent_exporter::secret::Secret;
use flowgent_exporter::simulator::{AccountSettings, Agent, Listing, Settings, Simulator};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The longest that anything is waited for.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// A FlowGent, a folder to run exporters in, and the time in both.
pub struct Scene {
    pub simulator: Simulator,
    /// Variables that programs find in their environment here.
    pub environment: Vec<(&'static str, String)>,
    clock: Arc<ManualClock>,
    folder: TempDir,
}

impl Scene {
    /// Two accounts, acme with three agents and globex with two, no late or revised days, and a config
    /// that names them all. It is `now` for everybody.
    pub fn new(now: &str) -> Self {
        Self::with(now, settings())
    }

    /// The same with another FlowGent.
    pub fn with(now: &str, settings: Settings) -> Self {
        let clock = ManualClock::at(instant(now));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let simulator = Simulator::start(&settings, Arc::clone(&clock) as _, listener).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let scene = Self {
            simulator,
            environment: Vec::new(),
            clock,
            folder,
        };
        for account in scene.simulator.world().accounts() {
            let key = scene.simulator.world().key(&account.name);
            scene.write(&format!("{}.key", account.name), key.expose());
        }
        scene.write("config.toml", &scene.config(""));
        scene.set_time(now);
        scene
    }

    /// A config for all accounts with all their agents; `more` goes before them.
    pub fn config(&self, more: &str) -> String {
        let mut text = self.config_head(more);
        for account in self.simulator.world().accounts() {
            text += &self.config_account(&account.name, &account.agents);
        }
        text
    }

    /// A config without accounts. `more` goes on in `[api]`.
    pub fn config_head(&self, more: &str) -> String {
        format!(
            "[server]\nlisten = [\"127.0.0.1:0\"]\n[storage]\npath = \"ledger.db\"\n\
             [schedule]\njitter = \"0s\"\n\
             [api]\nbase_url = \"{}\"\nrequests_per_second = 1000\ntimeout = \"30s\"\n{more}\n",
            self.simulator.base_url()
        )
    }

    /// The part of a config that names an account and these of its agents.
    pub fn config_account(&self, name: &str, agents: &[Agent]) -> String {
        let mut text = format!("[[account]]\nname = \"{name}\"\napi_key_file = \"{name}.key\"\n");
        for agent in agents {
            text += &format!(
                "[[account.agent]]\nid = \"{}\"\nname = \"{}\"\n",
                agent.id, agent.name
            );
        }
        text
    }

    /// Moves the clocks of FlowGent and of all exporters here to `now`.
    pub fn set_time(&self, now: &str) {
        self.set_flowgents_time(now);
        self.set_exporters_time(now);
    }

    /// Moves FlowGent's clock alone, which is also the one that truth is judged by.
    pub fn set_flowgents_time(&self, now: &str) {
        self.clock.set(instant(now));
    }

    /// Moves the clock of all exporters here alone.
    pub fn set_exporters_time(&self, now: &str) {
        // Renamed into place, so that no exporter ever reads half of it.
        let text = instant(now).format("%Y-%m-%d %H:%M:%S").to_string();
        self.write("clock.new", &text);
        fs::rename(self.path("clock.new"), self.path("clock")).unwrap();
    }

    /// The day that it is.
    pub fn today(&self) -> Day {
        self.clock.today()
    }

    /// Writes a file in the folder. Those of secrets are for their owner alone.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        let ends = [".key", ".password", ".secret", ".token", ".url"];
        if ends.iter().any(|end| name.ends_with(end)) {
            fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
        }
    }

    /// The path of a file in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A simulated agent by its account's and its own name.
    pub fn agent(&self, account: &str, name: &str) -> Agent {
        let agents = self.simulator.world().agents(account);
        agents
            .iter()
            .find(|agent| &*agent.name == name)
            .unwrap()
            .clone()
    }

    /// All simulated agents.
    pub fn agents(&self) -> Vec<Agent> {
        let accounts = self.simulator.world().accounts();
        accounts
            .iter()
            .flat_map(|account| account.agents.clone())
            .collect()
    }

    /// Credits that FlowGent tells of an agent's day at present; a day that it does not tell is a
    /// mistake of the test.
    pub fn truth(&self, agent: &Agent, day: Day) -> f64 {
        self.simulator
            .world()
            .truth(agent, day, self.clock.now())
            .unwrap()
    }

    /// The same, summed over the days `first` through `last`.
    pub fn sum(&self, agent: &Agent, first: Day, last: Day) -> f64 {
        // Not by sum, which makes nothing minus zero.
        first
            .through(last)
            .fold(0.0, |sum, day| sum + self.truth(agent, day))
    }

    /// Starts the exporter with this folder's config, and returns when it listens.
    pub async fn start(&self) -> Exporter {
        Exporter::start(self, &[]).await
    }
}

/// Two accounts, acme with three agents and globex with two, no late or revised days.
pub fn settings() -> Settings {
    Settings {
        seed: 7,
        accounts: vec![
            AccountSettings::named(
                "acme",
                Secret::new("test-key-acme"),
                &["support", "sales", "legal"],
            ),
            AccountSettings::named(
                "globex",
                Secret::new("test-key-globex"),
                &["shop", "returns"],
            ),
        ],
        late_share: 0.0,
        revised_share: 0.0,
        record_requests: true,
        listing: Listing::default(),
    }
}

/// As many agents in one account as keep a backfill busy for a while.
pub fn many_agents(count: usize) -> Settings {
    let key = Secret::new("test-key-acme");
    Settings {
        accounts: vec![AccountSettings::numbered("acme", key, count)],
        ..settings()
    }
}

/// The day of that text.
pub fn day(text: &str) -> Day {
    text.parse().unwrap()
}

/// The UTC instant of a text such as `2026-03-02T00:10:00`.
pub fn instant(text: &str) -> DateTime<Utc> {
    format!("{text}Z").parse().unwrap()
}

/// A request on a connection of its own: status line and headers of the response, and its body.
pub async fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
) -> (String, Vec<u8>) {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n"
    );
    exchange(address, &request).await
}

/// Sends a request as it is written, and reads until the connection is closed.
pub async fn exchange(address: SocketAddr, request: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await.unwrap();
    let end = response
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let body = response.split_off(end + 4);
    (String::from_utf8(response).unwrap(), body)
}

/// Polls `look` until it gives something.
///
/// # Panics
/// After [`PATIENCE`], with the last thing that `look` saw instead.
pub async fn wait_for<T, S: std::fmt::Display>(
    what: &str,
    mut look: impl AsyncFnMut() -> Result<T, S>,
) -> T {
    let deadline = clock::instant() + PATIENCE;
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    loop {
        ticks.tick().await;
        match look().await {
            Ok(found) => return found,
            Err(seen) if clock::instant() > deadline => {
                panic!("{what} did not happen within {PATIENCE:?}; last seen:\n{seen}")
            }
            Err(_) => {}
        }
    }
}
