//! The deliverer with receivers that do what a test says, over a real ledger.

mod deliveries;
mod workers;

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::*;
use crate::alert::Notice;
use crate::clock::{self, Clock, ManualClock, SharedClock};
use crate::day::TRACKING_START;
use crate::egress::Roots;
use crate::egress::SendError;
use crate::flowgent;
use crate::flowgent::transport::HttpClient;
use crate::hook::{Kind, Message, Receiver, Taking};
use crate::ledger::{Alert, AlertChanges, AlertKey, Delivery, DeliveryRecord, DeliveryState};
use crate::telemetry::Telemetry;
use crate::window::plan::Policy;

const POLICY: Policy = Policy {
    history_start: TRACKING_START,
    settle_days: 3,
};

/// A receiver's answer to one try.
enum Reply {
    Take,
    /// Takes it with so long an answer.
    TakeSaying(usize),
    Fail,
    FailFor(Duration),
    /// Says that its own settings are not there yet.
    Unready,
    Gone,
    Hang,
    Panic,
    /// Takes it when it is let go.
    Hold(oneshot::Receiver<()>),
    /// Takes it, and time has passed meanwhile.
    TakeSlowly(TimeDelta),
}

/// A try as a receiver has seen it.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    hook: String,
    /// Mark in the hook's settings that identifies one generation of them.
    mark: String,
    id: String,
    target: String,
    /// Time at which the delivery was put into the outbox.
    created: DateTime<Utc>,
    /// Its notices.
    alerts: Vec<Notice>,
    /// True if it takes it, though nobody may hear of that.
    takes: bool,
    at: DateTime<Utc>,
    instant: Instant,
}

/// Plays the receiver of one hook.
struct Script {
    hook: String,
    mark: String,
    stage: Arc<Stage>,
}

/// State that all receivers share.
struct Stage {
    clock: Arc<ManualClock>,
    /// Next answers of each hook, in order.
    replies: Mutex<HashMap<String, VecDeque<Reply>>>,
    seen: mpsc::UnboundedSender<Seen>,
}

impl Receiver for Script {
    fn take<'a>(&'a self, message: &'a Message) -> Taking<'a> {
        Box::pin(self.send(message))
    }

    fn remind<'a>(&'a self, alerts: &'a [Alert], now: DateTime<Utc>) -> Taking<'a> {
        self.resend(alerts, now);
        Box::pin(async { Ok("200 OK".to_owned()) })
    }
}

impl Script {
    async fn send(&self, message: &Message) -> Result<String, SendError> {
        let reply = self.reply();
        self.see(Seen {
            id: message.id.to_string(),
            target: message.target.clone(),
            created: message.created,
            alerts: message.notification.alerts.clone(),
            takes: reply.takes(),
            ..self.nothing(message.now)
        });
        let failure = |retry_after, gone| SendError {
            retry_after,
            gone,
            ..SendError::new("503 Service Unavailable".to_owned())
        };
        match reply {
            Reply::Take => {}
            Reply::TakeSaying(length) => return Ok("x".repeat(length)),
            Reply::Fail => return Err(failure(None, false)),
            Reply::FailFor(wish) => return Err(failure(Some(wish), false)),
            Reply::Unready => return Err(SendError::unready("it has no URL".to_owned())),
            Reply::Gone => return Err(failure(None, true)),
            Reply::Hang => std::future::pending().await,
            Reply::Panic => panic!("on purpose"),
            Reply::Hold(release) => release.await.unwrap(),
            Reply::TakeSlowly(took) => self.stage.clock.advance(took),
        }
        Ok("200 OK".to_owned())
    }

    /// Shows the rules of the alerts instead of a delivery's id.
    fn resend(&self, alerts: &[Alert], now: DateTime<Utc>) {
        let rules: Vec<&str> = alerts.iter().map(|alert| &*alert.key.rule).collect();
        self.see(Seen {
            id: rules.join(" "),
            target: "resent".to_owned(),
            ..self.nothing(now)
        });
    }

    fn reply(&self) -> Reply {
        let mut replies = self.stage.replies.lock().unwrap();
        let reply = replies.get_mut(&self.hook).and_then(VecDeque::pop_front);
        reply.unwrap_or(Reply::Take)
    }

    /// A try of this hook at `at` that says nothing.
    fn nothing(&self, at: DateTime<Utc>) -> Seen {
        Seen {
            hook: self.hook.clone(),
            mark: self.mark.clone(),
            id: String::new(),
            target: String::new(),
            created: at,
            alerts: Vec::new(),
            takes: true,
            at,
            instant: clock::instant(),
        }
    }

    fn see(&self, seen: Seen) {
        // A test that has seen enough looks no more.
        let _ = self.stage.seen.send(seen);
    }
}

impl Reply {
    fn takes(&self) -> bool {
        match self {
            Self::Take | Self::TakeSaying(_) | Self::Hold(_) | Self::TakeSlowly(_) => true,
            Self::Fail
            | Self::FailFor(_)
            | Self::Unready
            | Self::Gone
            | Self::Hang
            | Self::Panic => false,
        }
    }
}

fn settings(name: &str) -> Settings {
    Settings {
        name: name.into(),
        kind: Kind::Exec {
            command: vec!["first".to_owned()],
        },
        send_resolved: true,
        group: false,
        quiet_hours: None,
        repeat: None,
        timeout: Duration::from_secs(30),
        allow_private: false,
        ca_file: None,
        proxy: None,
    }
}

fn hooks(settings: Vec<Settings>, clock: SharedClock, telemetry: Telemetry) -> Hooks {
    let api = flowgent::Settings {
        base_url: "http://127.0.0.1:1/".parse().unwrap(),
        timeout: Duration::from_secs(1),
        requests_per_second: 1.0,
        concurrency: 1,
        roots: Roots::Bundled,
    };
    Hooks {
        settings,
        http: HttpClient::new(&api).unwrap(),
        api,
        clock,
        telemetry,
        health: crate::hook::Health::default(),
    }
}

struct Scene {
    path: PathBuf,
    ledger: Ledger,
    clock: Arc<ManualClock>,
    telemetry: Telemetry,
    stage: Arc<Stage>,
    seen: mpsc::UnboundedReceiver<Seen>,
    /// Number of deliveries so far, which their ids count.
    count: usize,
    _folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let telemetry = Telemetry::new();
        let ledger = Ledger::open(&path, POLICY, &telemetry).unwrap();
        let clock = ManualClock::at(TRACKING_START.start() + TimeDelta::hours(12));
        let (sender, seen) = mpsc::unbounded_channel();
        let stage = Arc::new(Stage {
            clock: Arc::clone(&clock),
            replies: Mutex::default(),
            seen: sender,
        });
        Self {
            path,
            ledger,
            clock,
            telemetry,
            stage,
            seen,
            count: 0,
            _folder: folder,
        }
    }

    fn deliverer(&self, settings: Vec<Settings>) -> Deliverer {
        let stage = Arc::clone(&self.stage);
        let make = move |settings: &Settings, _: &Hooks| {
            let mark = match &settings.kind {
                Kind::Exec { command } => command.join(" "),
                _ => String::new(),
            };
            let script = Script {
                hook: settings.name.to_string(),
                mark,
                stage: Arc::clone(&stage),
            };
            Sender::direct(settings, Arc::new(script))
        };
        Deliverer::with_senders(self.hooks(settings), Arc::new(make), self.ledger.clone())
    }

    fn hooks(&self, settings: Vec<Settings>) -> Hooks {
        hooks(settings, self.clock.clone(), self.telemetry.clone())
    }

    /// Answers of `hook` to its next tries.
    fn script(&self, hook: &str, replies: impl IntoIterator<Item = Reply>) {
        let mut all = self.stage.replies.lock().unwrap();
        all.entry(hook.to_owned()).or_default().extend(replies);
    }

    /// Puts a delivery about the alerts of `rules`, with blanks between, into the outbox, and says which.
    async fn put(&mut self, hook: &str, rules: &str) -> String {
        let message = "{\"alerts\":[]}";
        self.put_message(hook, rules, message).await
    }

    async fn put_message(&mut self, hook: &str, rules: &str, message: &str) -> String {
        self.count += 1;
        let id = format!("msg_{}", self.count);
        let key = |rule: &str| AlertKey {
            rule: rule.into(),
            subject: "all".into(),
            period: None,
            threshold: "".into(),
        };
        let now = self.clock.now();
        let changes = AlertChanges {
            deliveries: vec![Delivery {
                id: id.as_str().into(),
                hook: hook.into(),
                target: "+49".to_owned(),
                alerts: rules.split(' ').map(key).collect(),
                notification: message.to_owned(),
                created: now,
            }],
            ..AlertChanges::default()
        };
        self.ledger.record_alerts(changes, now).await.unwrap();
        id
    }

    async fn record(&self, id: &str) -> DeliveryRecord {
        let records = self.ledger.deliveries(true, 99).await.unwrap();
        let mut records = records.into_iter();
        records.find(|record| &*record.delivery.id == id).unwrap()
    }

    /// The ids of the tries so far.
    fn tries(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.seen.try_recv().ok())
            .map(|seen| seen.id)
            .collect()
    }

    /// Number of tries to `hook` with that result.
    fn counted(&self, hook: &str, outcome: &str) -> u64 {
        self.telemetry
            .of::<HookMetrics>()
            .deliveries
            .with_label_values(&[hook, outcome])
            .get()
    }

    /// The value of every series of a family, by the hook.
    fn gauges(&self, family: &str) -> Vec<(String, f64)> {
        let families = self.telemetry.gather();
        let family = families
            .iter()
            .find(|candidate| candidate.name() == format!("flowgent_hook_{family}"));
        let metrics = family.map_or(&[][..], |family| family.get_metric());
        let value = |metric: &prometheus::proto::Metric| {
            let hook = metric.get_label()[0].value().to_owned();
            (hook, metric.get_gauge().get_value())
        };
        metrics.iter().map(value).collect()
    }
}
