//! Talk of agents: chats, and WhatsApp templates.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use http_body_util::{BodyExt, Limited};
use hyper::Response;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::{Host, Url};

use super::Shared;
use super::body::Body;
use super::faults::Fault;
use super::journal::Endpoint;
use super::refusal::{INVALID_BODY, INVALID_CALLBACK, MISSING_FIELDS, NO_WHATSAPP, Refusal};
use super::reply::{Background, json as answer};
use super::world::Agent;
use crate::day::Day;
use crate::flowgent::wire::{ChatMessages, ChatRequest, TemplateRequest};

/// The most that a request's body may hold.
const BODY_BYTES: usize = 1024 * 1024;
/// The most time that a callback may take.
const CALLBACK_TIMEOUT: Duration = Duration::from_secs(5);
/// Cost of every chat.
const CHAT_CREDITS: u32 = 1;
const REPLY: &str =
    "I'd be happy to help with your order. Could you please provide your order number?";

/// A request's body as `T`.
async fn read<T: DeserializeOwned>(body: Incoming) -> Result<T, Refusal> {
    let collected = Limited::new(body, BODY_BYTES).collect().await;
    let bytes = collected.map_err(|_| INVALID_BODY)?.to_bytes();
    serde_json::from_slice(&bytes).map_err(|_| INVALID_BODY)
}

/// `POST agent/:agent_id/chat`
pub(super) async fn chat(
    shared: &Shared,
    agent: &Agent,
    body: Incoming,
    now: DateTime<Utc>,
    background: &Background<'_>,
) -> Result<Response<Body>, Refusal> {
    let request: ChatRequest = read(body).await?;
    let callback = request.callback_url.as_deref().map(Callback::to);
    let callback = callback.transpose()?;
    let fault = shared.faults.spoil(Endpoint::Chat, agent);
    let said = fault.and_then(|fault| failed_chat(agent, fault));
    let said = said.unwrap_or_else(|| {
        let credits = CHAT_CREDITS.into();
        shared.world.chat(agent, Day::of(now), credits);
        replied_chat(agent, request, now, shared.next_number())
    });
    let Some(callback) = callback else {
        return Ok(answer(200, said.to_string()));
    };
    background.spawn(async move {
        // Nobody is told of a callback that fails, just as FlowGent's caller would not be.
        let _ = tokio::time::timeout(CALLBACK_TIMEOUT, callback.post(said.to_string())).await;
    });
    let accepted = json!({
        "message": "Request accepted and being processed asynchronously",
        "status": "processing",
    });
    Ok(answer(200, accepted.to_string()))
}

/// The documented errors, which come under HTTP 200.
fn failed_chat(agent: &Agent, fault: Fault) -> Option<Value> {
    let agent_id = &*agent.id;
    match fault {
        Fault::NoCredits => Some(json!({
            "statusCode": 402,
            "body": {
                "agent_id": agent_id,
                "message": "No credits available",
                "error": "No credits available",
            },
        })),
        Fault::ChatUnavailable => Some(json!({
            "statusCode": 503,
            "body": {
                "agent_id": agent_id,
                "message": "Service temporarily unavailable",
                "error": "AI provider is currently experiencing high traffic",
            },
        })),
        Fault::ChatFailed => Some(json!({
            "statusCode": 500,
            "body": {"error": "An unexpected error occurred while processing your request"},
        })),
        _ => None,
    }
}

/// The conversation with the agent's reply. `number` tells replies and threads apart.
fn replied_chat(agent: &Agent, request: ChatRequest, now: DateTime<Utc>, number: u64) -> Value {
    let mut history = match request.messages {
        ChatMessages::Text(text) => vec![json!({"role": "user", "content": text})],
        ChatMessages::One(message) => vec![json!(message)],
        ChatMessages::Many(messages) => messages.iter().map(|message| json!(message)).collect(),
    };
    history.push(json!({"role": "assistant", "content": REPLY}));
    let thread_id = request
        .thread_id
        .unwrap_or_else(|| format!("thread_{number:06}"));
    json!({
        "statusCode": 200,
        "body": {
            "agent_id": &*agent.id,
            "conversation_history": history,
            "metadata": {
                "id": format!("meta_{number:06}"),
                "model": "gpt-4",
                "timestamp": now.to_rfc3339_opts(SecondsFormat::Secs, true),
                "tool_calls": {},
                "execution_time": 2500,
                "used_credits": CHAT_CREDITS,
                "thread_id": thread_id,
            },
        },
    })
}

/// Target of the answer of an asynchronous chat: a place on this machine, so that nobody can have
/// the simulator call others.
struct Callback {
    address: SocketAddr,
    /// Path and query.
    path: String,
}

impl Callback {
    fn to(url: &str) -> Result<Self, Refusal> {
        let url = Url::parse(url).map_err(|_| INVALID_CALLBACK)?;
        let host = match url.host() {
            Some(Host::Domain("localhost")) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            Some(Host::Ipv4(host)) => host.into(),
            Some(Host::Ipv6(host)) => host.into(),
            _ => return Err(INVALID_CALLBACK),
        };
        if url.scheme() != "http" || !host.is_loopback() {
            return Err(INVALID_CALLBACK);
        }
        let query = url.query().map(|query| format!("?{query}"));
        Ok(Self {
            address: SocketAddr::new(host, url.port().unwrap_or(80)),
            path: format!("{}{}", url.path(), query.unwrap_or_default()),
        })
    }

    /// Sends `body` and waits for the answer, whatever that is.
    async fn post(self, body: String) -> io::Result<()> {
        let mut stream = TcpStream::connect(self.address).await?;
        let request = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.path,
            self.address,
            body.len(),
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream
            .take(BODY_BYTES as u64)
            .read_to_end(&mut answer)
            .await?;
        Ok(())
    }
}

/// `POST agent/:agent_id/waba`
pub(super) async fn template(
    shared: &Shared,
    agent: &Agent,
    body: Incoming,
) -> Result<Response<Body>, Refusal> {
    let request: Value = read(body).await?;
    let is_given = |field: &str| matches!(&request[field], Value::String(text) if !text.is_empty());
    if !is_given("recipient_phone_number") || !is_given("template_name") {
        return Err(MISSING_FIELDS);
    }
    let template: TemplateRequest = serde_json::from_value(request).map_err(|_| INVALID_BODY)?;
    if shared.faults.spoil(Endpoint::Template, agent).is_some() {
        return Err(NO_WHATSAPP);
    }
    let number = &template.recipient_phone_number;
    let sent = json!({
        "messaging_product": "whatsapp",
        "contacts": [{"input": number, "wa_id": number.trim_start_matches('+')}],
        "messages": [{"id": format!("wamid.{:012}", shared.next_number())}],
    });
    shared.journal.note_template(agent, template);
    Ok(answer(200, Bytes::from(sent.to_string())))
}
