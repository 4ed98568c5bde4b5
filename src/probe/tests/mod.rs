//! Probes against servers that do what an API should not, and against kills.

mod replies;
mod runs;

use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use super::*;
use crate::egress::Roots;
use crate::flowgent::Settings;
use crate::flowgent::tests::server::{Server, answer};
use crate::sync::cron::parse_cron;

const KEY: &str = "test-key-acme";

fn settings(server: &Server) -> Settings {
    Settings {
        base_url: Url::parse(&server.url).unwrap(),
        timeout: Duration::from_secs(60),
        requests_per_second: f64::INFINITY,
        concurrency: 4,
        roots: Roots::Bundled,
    }
}

/// A probe every day at 06:00, whose key is in `folder`.
fn probe(folder: &std::path::Path) -> Probe {
    let key = folder.join("acme.key");
    std::fs::write(&key, KEY).unwrap();
    Probe {
        name: "ping".into(),
        account: "acme".into(),
        api_key: SecretSource::File(key),
        agent: "support".into(),
        message: "Reply with the word OK only.".to_owned(),
        cron: parse_cron("0 0 6 * * *").unwrap(),
        timeout: Duration::from_secs(60),
        expect: None,
    }
}

/// A reply as documented, with that text.
fn reply(text: &str) -> Value {
    json!({"statusCode": 200, "body": {
        "agent_id": "support",
        "conversation_history": [
            {"role": "user", "content": "Reply with the word OK only."},
            {"role": "assistant", "content": text},
        ],
        "metadata": {"id": "meta_1", "model": "m", "timestamp": "2026-11-23T06:00:01Z", "tool_calls": {},
            "execution_time": 2500, "used_credits": 1.5, "thread_id": "thread_1"},
    }})
}

fn ok(body: &Value) -> Vec<u8> {
    answer(200, "", body.to_string())
}
