//! The program is killed at every instant of an alert's way, hundreds of times for each kind of hook:
//! before the alert is on the disk, between that and its sending, and between its sending and the
//! receiver's word being on the disk. Every alert arrives; none arrives twice but in the last case, and
//! then with the delivery id that it had.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::{configure, webhook};
use crate::harness::{Habit, Receiver, Scene, wait_for};

/// How often each kind of hook is killed at.
const ROUNDS: usize = 200;

/// What a receiver has seen: the ids of deliveries, as often as they came. An Alertmanager is told no
/// id: alerts with the same labels are one to it, so their names stand here.
trait Witness {
    fn seen(&self) -> impl Future<Output = Vec<String>>;

    /// Keeps the sender of what comes of `rule` waiting for an answer, or nobody.
    fn hold(&self, _rule: Option<&str>) {}

    /// The port that it listens at.
    fn port(&self) -> Option<u16> {
        None
    }
}

/// Waits until everything that was sent to `port` by a program that is gone has been read: until nobody
/// there has a connection any more.
async fn settle(port: u16) {
    let local = format!("0100007F:{port:04X}");
    let mut ticks = tokio::time::interval(Duration::from_micros(500));
    let is_open = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let (address, state) = (fields.next(), fields.nth(1));
        // Established, or closed by the other side only.
        address == Some(&local) && matches!(state, Some("01" | "08"))
    };
    while fs::read_to_string("/proc/net/tcp")
        .unwrap()
        .lines()
        .any(is_open)
    {
        ticks.tick().await;
    }
}

/// How many kills met an alert at which point of its way.
#[derive(Debug, Default)]
struct Census {
    before_commit: usize,
    before_send: usize,
    before_acknowledgement: usize,
    after: usize,
    copies: usize,
}

impl fmt::Display for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            before_commit,
            before_send,
            before_acknowledgement,
            after,
            copies,
        } = self;
        write!(
            f,
            "{before_commit} before the commit, {before_send} before the sending, \
             {before_acknowledgement} before the acknowledgement, {after} after it; \
             {copies} arrived more than once"
        )
    }
}

/// The deliveries of the rules, as the ledger has them.
struct Outbox(Connection);

impl Outbox {
    fn open(scene: &Scene) -> Self {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(scene.path("ledger.db"), flags).unwrap();
        connection.busy_timeout(Duration::from_secs(10)).unwrap();
        Self(connection)
    }

    /// By the rule: the delivery's id, and whether it is still pending.
    fn deliveries(&self) -> BTreeMap<String, (String, bool)> {
        let query = "SELECT rule, id, state = 'pending' FROM delivery
            JOIN delivery_alert ON delivery = delivery.number";
        let mut statement = self.0.prepare_cached(query).unwrap();
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, (row.get(1)?, row.get(2)?)));
        let rows = statement.query_map([], row).unwrap();
        rows.map(Result::unwrap).collect()
    }
}

fn count(seen: &[String]) -> HashMap<&str, usize> {
    let mut counts = HashMap::new();
    for id in seen {
        *counts.entry(id.as_str()).or_default() += 1;
    }
    counts
}

fn rule(round: usize) -> String {
    format!("round-{round:03}")
}

/// All rules of the rounds so far: each fires as soon as it is evaluated.
fn rules(rounds: usize) -> String {
    let rule = |round| {
        let name = rule(round);
        format!(
            "[[rule]]\nname = \"{name}\"\nkind = \"usage\"\nover = 0.001\nhooks = [\"ops\"]\n\
             span = \"previous_30_days\"\nmatch = {{ agent = \"support\" }}\n"
        )
    };
    (0..rounds).map(rule).collect()
}

/// Kills the program in every round, then has it deliver what is left, and judges what was seen.
async fn kill_again_and_again(kind: &str, scene: &Scene, hook: &str, witness: &impl Witness) {
    // By what the receiver calls it: its name for an Alertmanager, else its id.
    let name = |rule: &str, id: &str| if kind == "alertmanager" { rule } else { id }.to_owned();
    configure(scene, hook);
    let exporter = scene.start().await;
    exporter.wait_until_whole(scene).await;
    exporter.stop().await;
    let outbox = Outbox::open(scene);
    let mut census = Census::default();
    let mut killed_in_flight: HashMap<String, usize> = HashMap::new();
    let mut random = fastrand::Rng::new();
    let seed = random.get_seed();
    for round in 0..ROUNDS {
        configure(scene, &(rules(round + 1) + hook));
        let rule = rule(round);
        let before = witness.seen().await;
        let instant = random.u8(..4);
        witness.hold((instant == 2).then_some(&*rule));
        let exporter = scene.start().await;
        let mut ticks = tokio::time::interval(Duration::from_micros(500));
        match instant {
            // Kills at any moment of a start, so no condition is waited for.
            0 => tokio::time::sleep(Duration::from_micros(random.u64(..5_000))).await,
            1 => {
                while !outbox.deliveries().contains_key(&rule) {
                    ticks.tick().await;
                }
            }
            2 => {
                // An Alertmanager is also reminded of what fires since earlier rounds.
                let is_told = |seen: &[String]| match kind {
                    "alertmanager" => seen.contains(&rule),
                    _ => seen.len() > before.len(),
                };
                while !is_told(&witness.seen().await) {
                    ticks.tick().await;
                }
            }
            _ => {
                while outbox
                    .deliveries()
                    .get(&rule)
                    .is_none_or(|(_, is_pending)| *is_pending)
                {
                    ticks.tick().await;
                }
            }
        }
        exporter.kill().await;
        witness.hold(None);
        if let Some(port) = witness.port() {
            settle(port).await;
        }
        let (before, seen) = (count(&before), witness.seen().await);
        let seen = count(&seen);
        let deliveries = outbox.deliveries();
        for (rule, (id, is_pending)) in &deliveries {
            let name = name(rule, id);
            if *is_pending && seen.get(&*name) > before.get(&*name) {
                *killed_in_flight.entry(name).or_default() += 1;
            }
        }
        match deliveries.get(&rule) {
            None => census.before_commit += 1,
            Some((_, false)) => census.after += 1,
            Some((id, true)) if seen.contains_key(&*name(&rule, id)) => {
                census.before_acknowledgement += 1;
            }
            Some((_, true)) => census.before_send += 1,
        }
    }

    let exporter = scene.start().await;
    let deliveries = wait_for("the rest to be delivered", async || {
        let deliveries = outbox.deliveries();
        let done = deliveries.values().filter(|(_, is_pending)| !is_pending);
        if done.count() == ROUNDS {
            Ok(deliveries)
        } else {
            Err(format!("{deliveries:?}\n{}", exporter.log()))
        }
    })
    .await;
    exporter.stop().await;
    let seen = witness.seen().await;
    let seen = count(&seen);
    for (rule, (id, _)) in &deliveries {
        let name = name(rule, id);
        let copies = seen.get(&*name).copied().unwrap_or_default();
        let excuses = killed_in_flight.get(&name).copied().unwrap_or_default();
        assert!(copies >= 1, "{kind}, seed {seed}: {rule} was lost");
        if kind != "alertmanager" {
            assert!(
                copies <= 1 + excuses,
                "{kind}, seed {seed}: {rule} came {copies} times, killed in flight {excuses} times"
            );
        }
        census.copies += usize::from(copies > 1);
    }
    assert_eq!(seen.len(), ROUNDS, "{kind}: nothing else arrived");
    for (point, met) in [
        ("before the commit", census.before_commit),
        ("before the sending", census.before_send),
        ("before the acknowledgement", census.before_acknowledgement),
    ] {
        assert!(met > 0, "{kind}: no kill {point}, seed {seed}: {census}");
    }
    // Not by a macro, whose output is shown of failed tests only.
    let line = format!("{kind}: killed {ROUNDS} times, seed {seed}, none lost: {census}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

impl Witness for Receiver {
    async fn seen(&self) -> Vec<String> {
        let received = self.received();
        let ids = received
            .iter()
            .filter(|one| one.headers.contains_key("webhook-id"));
        ids.map(|one| one.id()).collect()
    }

    fn hold(&self, rule: Option<&str>) {
        self.set_habit(match rule {
            Some(_) => Habit::Silence,
            None => Habit::Status(200),
        });
    }

    fn port(&self) -> Option<u16> {
        Some(self.address().port())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_gets_every_alert_however_often_the_program_is_killed() {
    let scene = Scene::new("2026-03-02T09:00:00");
    let receiver = Receiver::start().await;
    let hook = webhook(&scene, "ops", &receiver, "");
    kill_again_and_again("webhook", &scene, &hook, &receiver).await;
}

/// Stands for an Alertmanager where it matters only what it is sent.
struct Alerts(Receiver);

impl Witness for Alerts {
    async fn seen(&self) -> Vec<String> {
        let name =
            |alert: &serde_json::Value| alert["labels"]["alertname"].as_str().unwrap().to_owned();
        let received = self.0.received();
        let alerts = received
            .iter()
            .filter(|one| one.path.ends_with("/api/v2/alerts"));
        let alerts = alerts.flat_map(|one| one.json().as_array().unwrap().clone());
        alerts.map(|alert| name(&alert)).collect()
    }

    fn hold(&self, rule: Option<&str>) {
        self.0.set_habit(match rule {
            Some(rule) => Habit::SilenceAt(rule.to_owned()),
            None => Habit::Status(200),
        });
    }

    fn port(&self) -> Option<u16> {
        self.0.port()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alertmanager_gets_every_alert_however_often_the_program_is_killed() {
    let scene = Scene::new("2026-03-02T09:00:00");
    let receiver = Receiver::start().await;
    let hook = format!(
        "[[hook]]\nname = \"ops\"\nkind = \"alertmanager\"\nurls = [\"{}\"]\nallow_private = true\n\
         group = false\n",
        receiver.url()
    );
    kill_again_and_again("alertmanager", &scene, &hook, &Alerts(receiver)).await;
}

/// The simulated FlowGent, whose templates say which delivery they are of.
struct Phone<'a>(&'a Scene);

impl Witness for Phone<'_> {
    async fn seen(&self) -> Vec<String> {
        let templates = self.0.simulator.journal().templates();
        let id = |template: &serde_json::Value| {
            let text = template["parameters"][0]["text"].as_str().unwrap();
            text.to_owned()
        };
        templates
            .iter()
            .map(|sent| id(&sent.template.parameters[0]))
            .collect()
    }

    fn port(&self) -> Option<u16> {
        let url: url::Url = self.0.simulator.base_url().parse().unwrap();
        url.port()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_gets_every_alert_however_often_the_program_is_killed() {
    let scene = Scene::new("2026-03-02T09:00:00");
    let hook = "[[hook]]\nname = \"ops\"\nkind = \"whatsapp\"\naccount = \"acme\"\nagent = \"sales\"\n\
                template_name = \"usage_alert\"\nlanguage = \"en_US\"\nrecipients = [\"31612345678\"]\n\
                parameters = [\"{{ id }}\"]\n";
    kill_again_and_again("whatsapp", &scene, hook, &Phone(&scene)).await;
}

/// A program that writes down what it is given, and takes its time where it is to.
struct Program<'a>(&'a Scene);

impl Program<'_> {
    fn write(scene: &Scene) -> String {
        let script = format!(
            "#!/bin/sh\ncd {}\ntouch told\ncat >> told\n\
             while [ -e hold ]; do sleep 0.01; done\n",
            scene.folder().display()
        );
        scene.write("program", &script);
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(scene.path("program"), executable).unwrap();
        let command = scene.path("program");
        format!(
            "[[hook]]\nname = \"ops\"\nkind = \"exec\"\ncommand = [\"{}\"]\n",
            command.display()
        )
    }

    /// Whether one still runs: it is a child of nobody once the exporter is killed.
    fn runs(&self) -> bool {
        let program = self.0.path("program").display().to_string();
        let processes = fs::read_dir("/proc").unwrap();
        processes.filter_map(Result::ok).any(|process| {
            let command = fs::read_to_string(process.path().join("cmdline"));
            command
                .is_ok_and(|command| command.starts_with("/bin/sh") && command.contains(&program))
        })
    }
}

impl Witness for Program<'_> {
    async fn seen(&self) -> Vec<String> {
        let told = fs::read_to_string(self.0.path("told")).unwrap_or_default();
        // The last line may be half there.
        let whole = told.rsplit_once('\n').map_or("", |(whole, _)| whole);
        // Nor has one whose exporter was killed while it wrote been told anything.
        let told = whole.lines().map(serde_json::from_str::<serde_json::Value>);
        let id = |json: serde_json::Value| json["id"].as_str().unwrap().to_owned();
        told.filter_map(Result::ok).map(id).collect()
    }

    fn hold(&self, rule: Option<&str>) {
        let path = self.0.path("hold");
        if rule.is_some() {
            fs::write(path, "").unwrap();
            return;
        }
        let _ = fs::remove_file(path);
        while self.runs() {
            std::thread::yield_now();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_gets_every_alert_however_often_the_exporter_is_killed() {
    let scene = Scene::new("2026-03-02T09:00:00");
    let hook = Program::write(&scene);
    kill_again_and_again("exec", &scene, &hook, &Program(&scene)).await;
}

/// A mail server in a few lines, which can keep its sender waiting once it has the message.
struct Post {
    address: SocketAddr,
    mails: Arc<Mutex<Vec<String>>>,
    is_held: Arc<AtomicBool>,
}

impl Post {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let post = Self {
            address: listener.local_addr().unwrap(),
            mails: Arc::default(),
            is_held: Arc::default(),
        };
        let (mails, is_held) = (Arc::clone(&post.mails), Arc::clone(&post.is_held));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (mails, is_held) = (Arc::clone(&mails), Arc::clone(&is_held));
                // A client that is killed breaks the conversation off.
                tokio::spawn(async move { converse(stream, &mails, &is_held).await.ok() });
            }
        });
        post
    }
}

async fn converse(
    mut stream: TcpStream,
    mails: &Mutex<Vec<String>>,
    is_held: &AtomicBool,
) -> std::io::Result<()> {
    let (read, mut write) = stream.split();
    let mut lines = BufReader::new(read).lines();
    write.write_all(b"220 post\r\n").await?;
    while let Some(line) = lines.next_line().await? {
        let answer: &[u8] = match line.get(..4) {
            Some("EHLO") => b"250 post\r\n",
            Some("DATA") => {
                write.write_all(b"354 go on\r\n").await?;
                let mut mail = String::new();
                loop {
                    match lines.next_line().await? {
                        // A mail that breaks off was never sent.
                        None => return Ok(()),
                        Some(end) if end == "." => break,
                        Some(line) => {
                            mail += &line;
                            mail += "\n";
                        }
                    }
                }
                mails.lock().unwrap().push(mail);
                if is_held.load(Ordering::SeqCst) {
                    // Nothing comes before the answer, but the end.
                    lines.next_line().await?;
                    break;
                }
                b"250 taken\r\n"
            }
            Some("QUIT") => b"221 bye\r\n",
            _ => b"250 ok\r\n",
        };
        write.write_all(answer).await?;
    }
    Ok(())
}

impl Witness for Post {
    async fn seen(&self) -> Vec<String> {
        let mails = self.mails.lock().unwrap();
        let id = |mail: &String| {
            let line = mail.lines().find(|line| line.starts_with("Message-ID: <"));
            let id = line.unwrap().trim_start_matches("Message-ID: <");
            id.split('@').next().unwrap().to_owned()
        };
        mails.iter().map(id).collect()
    }

    fn hold(&self, rule: Option<&str>) {
        self.is_held.store(rule.is_some(), Ordering::SeqCst);
    }

    fn port(&self) -> Option<u16> {
        Some(self.address.port())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_gets_every_alert_however_often_the_program_is_killed() {
    let scene = Scene::new("2026-03-02T09:00:00");
    let post = Post::start().await;
    let hook = format!(
        "[[hook]]\nname = \"ops\"\nkind = \"email\"\nhost = \"127.0.0.1\"\nport = {}\n\
         encryption = \"none\"\nallow_private = true\ngroup = false\n\
         from = \"usage@example.com\"\nto = [\"ops@example.com\"]\n",
        post.address.port()
    );
    kill_again_and_again("email", &scene, &hook, &post).await;
}
