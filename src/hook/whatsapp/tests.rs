//! WhatsApp templates sent through the simulator.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::clock::ManualClock;
use crate::egress::Roots;
use crate::flowgent;
use crate::flowgent::transport::HttpClient;
use crate::flowgent::wire::TemplateAnswer;
use crate::hook::tests::{at, message::message};
use crate::secret::Secret;
use crate::simulator::{self, Fault, RetryAfter, Simulator, Times};
use crate::telemetry::Telemetry;

const KEY: &str = "test-key-acme";
const AGENT: &str = "agent_123abc";
const NUMBER: &str = "+31612345678";

/// The simulator, and an account's key in a file.
struct Stage {
    simulator: Simulator,
    clock: Arc<ManualClock>,
    folder: TempDir,
}

impl Stage {
    fn new() -> Self {
        let mut settings = simulator::Settings::demo(1);
        settings.accounts[0].agents[0].id = Some(AGENT.to_owned());
        let clock = ManualClock::at(at("2026-11-23T08:00:00Z"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let simulator = Simulator::start(&settings, clock.clone(), listener).unwrap();
        let stage = Self {
            simulator,
            clock,
            folder: tempfile::tempdir().unwrap(),
        };
        stage.write_key(KEY);
        stage
    }

    fn write_key(&self, key: &str) {
        fs::write(self.folder.path().join("acme.key"), key).unwrap();
    }

    /// A hook whose template has these parameters.
    fn hook(&self, parameters: &[&str]) -> Hook {
        let api = flowgent::Settings {
            base_url: self.simulator.base_url().parse().unwrap(),
            timeout: Duration::from_secs(60),
            requests_per_second: f64::INFINITY,
            concurrency: 4,
            roots: Roots::Bundled,
        };
        let hook = Whatsapp {
            account: "acme".into(),
            api_key: SecretSource::File(self.folder.path().join("acme.key")),
            agent_id: AGENT.into(),
            template_name: "credit_alert".to_owned(),
            language: "nl_NL".to_owned(),
            recipients: vec![NUMBER.to_owned()],
            parameters: parameters
                .iter()
                .map(|source| Template::new(source).unwrap())
                .collect(),
        };
        let hooks = Hooks {
            settings: Vec::new(),
            http: HttpClient::new(&api).unwrap(),
            api,
            clock: self.clock.clone(),
            telemetry: Telemetry::new(),
            health: crate::hook::Health::default(),
        };
        let client = hook.client(&hooks);
        Hook(hook, client)
    }

    /// The requests that were taken.
    fn sent(&self) -> Vec<TemplateRequest> {
        let sent = self.simulator.journal().templates();
        assert!(sent.iter().all(|sent| &*sent.agent == AGENT));
        sent.into_iter().map(|sent| sent.template).collect()
    }
}

/// A hook and its client.
struct Hook(Whatsapp, Client);

impl Hook {
    async fn send(&self, message: &Message) -> Result<String, SendError> {
        self.0.send(&self.1, message).await
    }
}

fn to_number(titles: &[&str]) -> Message {
    Message {
        target: NUMBER.to_owned(),
        ..message(titles)
    }
}

fn request(parameters: &[&str]) -> TemplateRequest {
    let texts: Vec<_> = parameters
        .iter()
        .map(|text| json!({"type": "text", "text": text}))
        .collect();
    let body = json!({"type": "body", "parameters": texts});
    TemplateRequest {
        recipient_phone_number: NUMBER.to_owned(),
        template_name: "credit_alert".to_owned(),
        language: "nl_NL".to_owned(),
        customer_name: None,
        parameters: if parameters.is_empty() {
            Vec::new()
        } else {
            vec![body]
        },
    }
}

#[tokio::test]
async fn a_template_without_parameters_is_sent_without_any() {
    let stage = Stage::new();
    let answer = stage.hook(&[]).send(&to_number(&["one"])).await.unwrap();
    assert!(answer.starts_with("sent as wamid."), "{answer}");
    assert_eq!(stage.sent(), [request(&[])]);
}

#[tokio::test]
async fn parameters_are_texts_that_whatsapp_takes() {
    let stage = Stage::new();
    let long = "ü".repeat(2000);
    let hook = stage.hook(&[
        "{{ alerts[0].title }}",
        "a\r\n\tb      c\u{0}",
        "{{ alerts[0].url|default('') }} ",
        &long,
    ]);
    hook.send(&to_number(&["cx-month is at 80 %"]))
        .await
        .unwrap();
    let cut = format!("{}…", "ü".repeat(1023));
    assert_eq!(
        stage.sent(),
        [request(&["cx-month is at 80 %", "a b c", "-", &cut])]
    );
}

#[tokio::test]
async fn a_parameter_that_fails_says_the_title_instead() {
    let stage = Stage::new();
    let hook = stage.hook(&["fine", "{{ 1 // 0 }}"]);
    let answer = hook.send(&to_number(&["one", "two"])).await.unwrap();
    let (id, remark) = answer.split_once(", ").unwrap();
    assert!(id.starts_with("sent as wamid."), "{answer}");
    assert!(
        remark.starts_with("with the title as parameter 2: "),
        "{answer}"
    );
    assert_eq!(stage.sent(), [request(&["fine", "one (and 1 more)"])]);
}

#[tokio::test]
async fn what_flowgent_says_is_told_with_when_to_come_again() {
    let stage = Stage::new();
    let hook = stage.hook(&[]);
    let agent = stage.simulator.world().agent(AGENT).unwrap();
    let after = |seconds| Some(RetryAfter::Seconds(seconds));
    for (fault, reason, retry_after) in [
        (
            Fault::NoWhatsapp,
            "the agent has no WhatsApp connection",
            None,
        ),
        (Fault::Status(401, None), "the API key is not valid", None),
        (Fault::Status(500, None), "server error 500", None),
        (
            Fault::Status(503, after(7)),
            "service unavailable, retry after 7s",
            Some(Duration::from_secs(7)),
        ),
    ] {
        // A new hook is not held back by what the one before was told.
        stage
            .simulator
            .faults()
            .add_for(agent, fault, Times::Count(1));
        let hook = stage.hook(&[]);
        let error = hook.send(&to_number(&["one"])).await.unwrap_err();
        let expected = SendError {
            retry_after,
            ..SendError::new(format!("WhatsApp template of agent {AGENT}: {reason}"))
        };
        assert_eq!(error, expected);
    }
    assert_eq!(stage.sent(), []);
    hook.send(&to_number(&["one"])).await.unwrap();
    assert_eq!(stage.sent().len(), 1);
}

#[test]
fn only_a_message_with_an_id_and_no_error_was_sent() {
    let judged = |answer: &str| {
        let answer: TemplateAnswer = serde_json::from_str(answer).unwrap();
        answer.sent().map(str::to_owned)
    };
    let sent = r#"{"messaging_product":"whatsapp","contacts":[],"messages":[{"id":"wamid.1"}]}"#;
    assert_eq!(judged(sent), Ok("wamid.1".to_owned()));
    for (answer, reason) in [
        ("{}", "it names no message that was sent"),
        (r#"{"messages":[]}"#, "it names no message that was sent"),
        (
            r#"{"error":"Internal server error"}"#,
            r#"it says: "Internal server error""#,
        ),
        (
            r#"{"error":{"code":132001},"message":"no such template"}"#,
            r#"it says: {"code":132001}: no such template"#,
        ),
        (
            r#"{"messages":[{"id":"wamid.1"}],"error":"held"}"#,
            r#"it says: "held""#,
        ),
    ] {
        assert_eq!(judged(answer), Err(reason.to_owned()), "{answer}");
    }
}

#[tokio::test]
async fn being_asked_to_wait_for_long_ends_the_try() {
    let stage = Stage::new();
    let agent = stage.simulator.world().agent(AGENT).unwrap();
    let fault = Fault::Status(429, Some(RetryAfter::Seconds(3600)));
    stage
        .simulator
        .faults()
        .add_for(agent, fault, Times::Count(1));
    let error = stage
        .hook(&[])
        .send(&to_number(&["one"]))
        .await
        .unwrap_err();
    assert_eq!(error.retry_after, Some(Duration::from_secs(3600)));
    assert_eq!(stage.sent(), []);
}

#[tokio::test]
async fn the_key_is_read_at_every_try() {
    let stage = Stage::new();
    let hook = stage.hook(&[]);
    hook.send(&to_number(&["one"])).await.unwrap();

    stage
        .simulator
        .world()
        .set_key("acme", Secret::new("test-key-new"));
    stage.write_key("test-key-new\n");
    hook.send(&to_number(&["two"])).await.unwrap();
    assert_eq!(stage.sent().len(), 2);

    fs::remove_file(stage.folder.path().join("acme.key")).unwrap();
    let error = hook.send(&to_number(&["three"])).await.unwrap_err();
    assert!(error.text.starts_with("cannot read file `"), "{error}");
    assert_eq!(stage.sent().len(), 2);
}
