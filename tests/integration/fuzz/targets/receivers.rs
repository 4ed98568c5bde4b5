//! Answers of receivers, which are sent to over sockets: of hooks, of mail servers and of databases. The first
//! line of the input names the hook; what follows is what the receiver says.

use std::fs;
use std::sync::{Arc, Mutex};

use flowgent_exporter::alert::Notification;
use flowgent_exporter::clock::Clock;
use flowgent_exporter::config::Config;
use flowgent_exporter::flowgent::transport::HttpClient;
use flowgent_exporter::history::push::{self, Pusher};
use flowgent_exporter::hook::{self, Hooks};
use flowgent_exporter::ledger::{Ledger, Member};
use flowgent_exporter::telemetry::Telemetry;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use super::request::{ledger, members};
use super::{SECRET, assert_line, clock, runtime};

const CONFIG: &str = r#"
[push]
write_url = "http://127.0.0.1:HTTP/api/v1/write"
allow_private = true
bearer_token_file = "secret"
read_back = false

[[account]]
name = "acme"
api_key_file = "secret"
agent = [{ id = "agent-1" }]

[[hook]]
name = "plain"
kind = "webhook"
url_file = "url"
allow_private = true

[[hook]]
name = "slack"
kind = "webhook"
preset = "slack"
url_file = "url"
allow_private = true

[[hook]]
name = "discord"
kind = "webhook"
preset = "discord"
url_file = "url"
allow_private = true

[[hook]]
name = "teams"
kind = "webhook"
preset = "teams"
url_file = "url"
allow_private = true

[[hook]]
name = "alertmanager"
kind = "alertmanager"
urls = ["http://127.0.0.1:HTTP"]
allow_private = true
bearer_token_file = "secret"

[[hook]]
name = "none"
kind = "email"
host = "127.0.0.1"
port = SMTP
encryption = "none"
allow_private = true
username = "ops"
password_file = "secret"
from = "alerts@example.com"
to = ["ops@example.com"]

[[hook]]
name = "starttls"
kind = "email"
host = "127.0.0.1"
port = SMTP
encryption = "starttls"
allow_private = true
username = "ops"
password_file = "secret"
from = "alerts@example.com"
to = ["ops@example.com"]
"#;

/// The receivers, and what is sent to them.
struct Ground {
    runtime: Runtime,
    /// What all of them say.
    words: Arc<Mutex<Vec<u8>>>,
    config: Config,
    http: HttpClient,
    telemetry: Telemetry,
    ledger: Ledger,
    members: Arc<[Member]>,
    _folder: TempDir,
}

thread_local! {
    static GROUND: Ground = Ground::new();
}

impl Ground {
    fn new() -> Self {
        let runtime = runtime(false);
        let words = Arc::<Mutex<Vec<u8>>>::default();
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let [http, smtp] = [true, false].map(|hears_first| {
            let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"));
            let listener = listener.expect("there is a port");
            let port = listener.local_addr().expect("it has an address").port();
            runtime.spawn(receive(listener, Arc::clone(&words), hears_first));
            port.to_string()
        });
        let url = format!("http://127.0.0.1:{http}/{SECRET}");
        for (name, secret) in [("secret", SECRET), ("url", &url)] {
            fs::write(folder.path().join(name), secret).expect("there is room for a file");
        }
        let text = CONFIG.replace("HTTP", &http).replace("SMTP", &smtp);
        let path = folder.path().join("config.toml");
        let config = Config::parse(&text, &path, clock().today());
        let config = config.unwrap_or_else(|error| panic!("{error}"));
        let ledger = ledger(&folder);
        Self {
            members: runtime.block_on(members(&ledger)),
            runtime,
            words,
            http: HttpClient::new(&config.api).expect("the built-in certificates can be read"),
            config,
            telemetry: Telemetry::new(),
            ledger,
            _folder: folder,
        }
    }

    fn say(&self, words: &[u8]) {
        *self.words.lock().expect("nobody panics with it") = words.to_vec();
    }
}

/// Says the same on every connection: at once, or when something was heard.
async fn receive(listener: TcpListener, words: Arc<Mutex<Vec<u8>>>, hears_first: bool) {
    while let Ok((stream, _)) = listener.accept().await {
        let words = words.lock().expect("nobody panics with it").clone();
        tokio::spawn(answer(stream, words, hears_first));
    }
}

/// Whatever the other side does then is heard to its end.
async fn answer(mut stream: TcpStream, words: Vec<u8>, hears_first: bool) {
    let mut heard = [0; 4096];
    if hears_first {
        let _ = stream.read(&mut heard).await;
    }
    let _ = stream.write_all(&words).await;
    let _ = stream.shutdown().await;
    while stream.read(&mut heard).await.is_ok_and(|count| count > 0) {}
}

/// Sends a message to the hook of the first line, if it is one of `names`. Its receiver says the rest.
fn sent(names: &[&str], bytes: &[u8]) {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        return;
    };
    let Some(name) = names.iter().find(|name| name.as_bytes() == &bytes[..end]) else {
        return;
    };
    GROUND.with(|ground| {
        ground.say(&bytes[end + 1..]);
        let all = ground.config.hooks.iter();
        let hooks = Hooks {
            settings: all.filter(|hook| *hook.name == **name).cloned().collect(),
            api: ground.config.api.clone(),
            http: ground.http.clone(),
            clock: clock(),
            telemetry: ground.telemetry.clone(),
            health: flowgent_exporter::hook::Health::default(),
        };
        let now = clock().now();
        let notification = Notification::sample(None, now);
        let answers = ground
            .runtime
            .block_on(hook::test(&hooks, &notification, now));
        assert_eq!(answers.len(), 1, "{answers:?}");
        for (_, answer) in answers {
            let said = answer.unwrap_or_else(|error| error.text);
            assert_line(&said);
            assert!(!said.contains("the sending itself failed"), "{said}");
        }
    });
}

pub(super) fn webhook(bytes: &[u8]) {
    sent(&["plain", "slack", "discord", "teams"], bytes);
}

pub(super) fn alertmanager(bytes: &[u8]) {
    sent(&["alertmanager"], bytes);
}

pub(super) fn smtp(bytes: &[u8]) {
    sent(&["none", "starttls"], bytes);
}

/// The answer of a database to every write of a pass.
pub(super) fn remote_write(bytes: &[u8]) {
    GROUND.with(|ground| {
        ground.say(bytes);
        let settings = ground.config.push.clone().expect("it has a section [push]");
        let (ledger, telemetry) = (ground.ledger.clone(), &ground.telemetry);
        let pusher = Pusher::new(settings, ledger, clock(), telemetry);
        let pass = async {
            pusher.forget().await?;
            pusher.pass(&ground.members, |_| {}).await
        };
        match ground.runtime.block_on(pass) {
            Ok(summary) => {
                summary.refused.iter().for_each(|line| assert_line(line));
                let samples = summary.samples + summary.refused_samples;
                // Those that are there already count as neither.
                assert!(samples <= 14, "{summary:?}");
            }
            Err(error) => assert_line(&error.to_string()),
        }
    });
}

/// The answer of a database to a query.
pub(super) fn query_answer(bytes: &[u8]) {
    if let Some(values) = push::parse_answer(bytes) {
        assert!(values.len() <= bytes.len(), "{} values", values.len());
    }
}
