//! Answers of FlowGent: a status, headers in a line each, an empty line, and a body.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use flowgent_exporter::day::Day;
use flowgent_exporter::egress::Roots;
use flowgent_exporter::egress::{TransportError, Wire};
use flowgent_exporter::flowgent::Settings;
use flowgent_exporter::flowgent::client::Client;
use flowgent_exporter::flowgent::error::ApiError;
use flowgent_exporter::flowgent::transport::HttpClient;
use flowgent_exporter::flowgent::wire::{
    ChatMessages, ChatRequest, TemplateAnswer, TemplateRequest,
};
use flowgent_exporter::secret::Secret;
use flowgent_exporter::telemetry::Telemetry;
use flowgent_exporter::validate::{self, MOST_CREDITS};
use flowgent_exporter::window::Window;
use reqwest::{Request, Response};
use tokio::runtime::Runtime;

use super::{SECRET, assert_line, clock, runtime};

const AGENT: &str = "agent-1";

/// What is asked with, made once.
struct Ground {
    runtime: Runtime,
    http: HttpClient,
    settings: Settings,
    telemetry: Telemetry,
}

thread_local! {
    static GROUND: Ground = {
        let settings = Settings {
            base_url: "http://127.0.0.1:9/".parse().expect("it is a URL"),
            timeout: Duration::from_secs(30),
            requests_per_second: 1000.0,
            concurrency: 1,
            roots: Roots::Bundled,
        };
        Ground {
            // Retries wait by this clock.
            runtime: runtime(true),
            http: HttpClient::new(&settings).expect("the built-in certificates can be read"),
            settings,
            telemetry: Telemetry::new(),
        }
    };
}

/// A FlowGent that always answers the same.
#[derive(Debug, Clone)]
struct Answer {
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Answer {
    fn read(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(2).position(|pair| pair == b"\n\n")?;
        let head = String::from_utf8_lossy(&bytes[..end]);
        let mut lines = head.lines();
        let status = lines.next()?.parse().ok()?;
        let headers = lines.filter_map(|line| line.split_once(": "));
        let answer = Self {
            status,
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
                .collect(),
            body: bytes[end + 2..].to_vec(),
        };
        // Not every text is a status or a header.
        answer.response().map(|_| answer)
    }

    fn response(&self) -> Option<Response> {
        let mut response = hyper::Response::builder().status(self.status);
        for (name, value) in &self.headers {
            response = response.header(name.as_str(), value.as_slice());
        }
        Some(response.body(self.body.clone()).ok()?.into())
    }
}

impl Wire for Answer {
    fn send(
        &self,
        _: Request,
    ) -> Pin<Box<dyn Future<Output = Result<Response, TransportError>> + Send>> {
        let response = self.response().expect("it was tried");
        Box::pin(async move { Ok(response) })
    }
}

/// Has `ask` ask a FlowGent that answers with `bytes`. An error keeps its promises.
fn asked<T>(bytes: &[u8], ask: impl AsyncFn(Client) -> Result<T, ApiError>) -> Option<T> {
    let answer = Answer::read(bytes)?;
    GROUND.with(|ground| {
        let http = ground.http.clone().over(Arc::new(answer));
        let (settings, telemetry) = (&ground.settings, &ground.telemetry);
        let client = Client::new(&http, settings, "acme".into(), telemetry, clock());
        let key = client.set_key(Secret::new(SECRET));
        key.expect("it fits into a header");
        match ground.runtime.block_on(ask(client)) {
            Ok(told) => Some(told),
            Err(error) => {
                assert_line(&error.to_string());
                None
            }
        }
    })
}

/// What is accepted is of the window, each day once, and can be.
pub(super) fn usage(bytes: &[u8]) {
    let day = |text: &str| -> Day { text.parse().expect("it is a day") };
    let window = Window::new(day("2026-11-01"), day("2026-11-07"), day("2026-11-23"));
    let window = window.expect("it is of a week");
    let accepted = asked(bytes, async |client| {
        let judge = |answer| Ok(validate::rows(&window, AGENT, &answer)?);
        client.usage(AGENT, &window, judge).await
    });
    let Some(accepted) = accepted else { return };
    let known: Vec<Day> = accepted.rows.iter().map(|row| row.day).collect();
    assert!(known.is_sorted(), "{known:?}");
    for row in &accepted.rows {
        assert!((0.0..=MOST_CREDITS).contains(&row.credits), "{row:?}");
    }
    let mut days = [known, accepted.missing].concat();
    days.sort_unstable();
    assert!(days.iter().copied().eq(window.days()), "{days:?}");
}

/// An agent that is listed has an identifier, and no key becomes a name.
pub(super) fn listing(bytes: &[u8]) {
    let Some(listing) = asked(bytes, async |client| client.list_agents().await) else {
        return;
    };
    for agent in &listing.agents {
        assert!(!agent.id.is_empty(), "{agent:?}");
        assert!(!format!("{agent:?}").contains(SECRET), "{agent:?}");
    }
    listing.gap.iter().for_each(|gap| assert_line(gap));
}

/// Chats and WhatsApp templates, of which errors come under HTTP 200, too.
pub(super) fn chat(bytes: &[u8]) {
    let request = ChatRequest {
        messages: ChatMessages::Text("hello".to_owned()),
        thread_id: None,
        callback_url: None,
    };
    let _ = asked(bytes, async |client| {
        client
            .chat(AGENT, &request, Duration::from_secs(60))
            .await
            .0
    });
    let template = TemplateRequest {
        recipient_phone_number: "+31612345678".to_owned(),
        template_name: "alert".to_owned(),
        language: "en".to_owned(),
        customer_name: None,
        parameters: Vec::new(),
    };
    let sent = asked(bytes, async |client| {
        client.send_template(AGENT, &template).await
    });
    if let Some(Err(reason)) = sent.as_ref().map(TemplateAnswer::sent) {
        panic!("it is taken, though {reason}");
    }
}
